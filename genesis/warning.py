"""Warnings that are said once until `gs.destroy`: scenes built alike, for training and evaluations, need no more."""

import logging
from collections.abc import Hashable

_LOG = logging.getLogger("genesis")
_said: set[Hashable] = set()


def warn_once(text: str, about: Hashable = None) -> None:
    """Log a warning, unless the same text has been logged before, or any text `about` the same thing."""
    key = text if about is None else about
    if key not in _said:
        _said.add(key)
        _LOG.warning(text)


def forget_warnings() -> None:
    """What has been said may be said again."""
    _said.clear()
