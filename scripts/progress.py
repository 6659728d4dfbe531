"""Progress of a run: a bar on a terminal, plain lines otherwise, also where a terminal has no width."""

import os
import sys
import time
from collections.abc import Mapping

from tqdm import tqdm

_FORMAT = "{percentage:3.0f}%|{bar:20}| {desc} [{elapsed}<{remaining}]"


class Progress:
    """Shows how much is done, in steps or, where its time is up first, in seconds; with a few numbers beside."""

    def __init__(self, total: int, limit_s: float = float("inf"), every_s: float = 10.0, unit: str = "steps"):
        """Prints nothing yet.

        Args:
            total: Steps at which it ends.
            limit_s: Seconds, as `show` is told them, after which it ends before.
            every_s: Seconds between lines where standard error is no terminal.
            unit: Of `total`.
        """
        self._total, self._limit_s, self._every_s, self._unit = max(1, total), limit_s, every_s, unit
        self._started = self._printed = time.perf_counter()
        self._bar = tqdm(total=1.0, bar_format=_FORMAT, dynamic_ncols=True) if _has_room() else None

    def show(self, done: int, numbers: Mapping[str, float | str], seconds: float = 0.0) -> None:
        """Updates the bar, or prints a line when it is time for one.

        Args:
            done: Steps until now.
            numbers: Shown beside, by name; words as they are.
            seconds: Of `limit_s`, what is over.
        """
        timed = seconds / self._limit_s > done / self._total
        part = min(1.0, seconds / self._limit_s if timed else done / self._total)
        beside = ", ".join(f"{name} {_short(value)}" for name, value in numbers.items())
        steps = f"{done:,} {self._unit}" if timed else f"{done:,}/{self._total:,} {self._unit}"
        text = f"{steps}  {beside}".rstrip()
        if timed:
            digits = 0 if self._limit_s >= 10.0 else 1
            text = f"{min(seconds, self._limit_s):.{digits}f}/{self._limit_s:.{digits}f} s  {text}"
        if self._bar is not None:
            self._bar.n = part
            self._bar.set_description_str(text)
            return
        now = time.perf_counter()
        if now - self._printed >= self._every_s or part >= 1.0:
            self._printed = now
            print(text if timed else f"{now - self._started:6.0f} s  {text}", flush=True)

    def close(self) -> None:
        """Leaves the terminal's line."""
        if self._bar is not None:
            self._bar.close()


class EpisodeProgress:
    """Shows how many episodes have ended; it is told of them as `agents.core.evaluation.Report` says."""

    def __init__(self, total: int):
        self._progress, self._ended, self._steps = Progress(total, unit="episodes"), 0, 0
        self.close = self._progress.close

    def __call__(self, ended: int, steps: int) -> None:
        self._ended, self._steps = self._ended + ended, self._steps + steps
        self._progress.show(self._ended, {"steps": f"{self._steps:,}"})


def _has_room() -> bool:
    """Whether standard error is a terminal of some width; those without a size (`docker run -t`) say 0: no bar fits."""
    if not sys.stderr.isatty():
        return False
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):  # a terminal that cannot be asked
        return True


def _short(value: float | str) -> str:
    """Three digits, or all of those before the point."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.3g}"
