"""Small tools that scripts of the public engine use."""

import time
from typing import TYPE_CHECKING, Any

from genesis import runtime
from genesis.checks import boolean
from genesis.public_engine import keywords, missing


class Timer:
    """Tells how long parts of a program take.

    Args:
        skip: Whether to tell nothing.
    """

    @keywords
    def __init__(self, skip: bool = False) -> None:
        self.skip = boolean("skip", skip)
        self.reset()

    def reset(self) -> None:
        """Start from now."""
        self._start = self._last = time.perf_counter()

    def stamp(self, msg: str = "") -> float:
        """Log how long it is since the last stamp, and since the start.

        Returns:
            s, since the last stamp.
        """
        now = time.perf_counter()
        part, whole = now - self._last, now - self._start
        if not self.skip:
            runtime.logger.info("%s%.3f s, %.3f s since the start.", f"{msg.strip()} " if msg else "", part, whole)
        self._last = now
        return part


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing("gs.tools", name)
