"""The one place that imports MuJoCo, and only when a model file is compiled."""

from importlib import metadata
from typing import Any

from genesis.errors import optional_import


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
