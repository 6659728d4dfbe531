"""The one place that imports MuJoCo, and only when a model file is compiled."""

from functools import cache
from importlib import metadata
from typing import Any

from genesis.errors import optional_import
from genesis.runtime import logger

COMPARED_VERSION = "4.0"
"""Of MuJoCo: the one that its contact model here is compared with."""


def mujoco(purpose: str = "to load model files", instead: str = "") -> Any:
    """MuJoCo's module, untyped: its extension modules tell type checkers nothing.

    Args:
        purpose: What it is needed for, in the error of its absence.
        instead: How to do without it, in that error.
    """
    with optional_import("MuJoCo", "mjcf", purpose, instead):
        import mujoco as module
    return module


def mujoco_version() -> str:
    """Of the installed package, without importing it."""
    with optional_import("MuJoCo", "mjcf", "to load model files"):
        return metadata.version("mujoco")


def warn_of_other_version() -> None:
    """A warning, once per process, if the installed MuJoCo is not of the version that is compared with."""
    _warn_of(mujoco_version())


@cache
def _warn_of(version: str) -> None:
    if not f"{version}.".startswith(f"{COMPARED_VERSION}."):
        logger.warning(
            f"MuJoCo must be {COMPARED_VERSION}.x for its contact model to be compared with, got {version}, which may "
            f"give other numbers. Install mujoco=={COMPARED_VERSION}.*."
        )
