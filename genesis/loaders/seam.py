"""The one place that imports MuJoCo, and only when a model file is compiled."""

from importlib import metadata
from typing import Any

from genesis.errors import GenesisImportError


def mujoco() -> Any:
    """MuJoCo's module, untyped: its extension modules tell type checkers nothing."""
    try:
        import mujoco as module
    except ImportError as error:
        raise GenesisImportError(_told(str(error))) from None
    return module


def mujoco_version() -> str:
    """Of the installed package, without importing it."""
    try:
        return metadata.version("mujoco")
    except metadata.PackageNotFoundError:
        raise GenesisImportError(_told("none")) from None


def _told(got: str) -> str:
    return f"MuJoCo's compiler must be installed to load model files, got {got}. pip install genesis-policy[mjcf]."
