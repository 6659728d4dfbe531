"""Checkpoints: one file of tensors and plain values, written whole or not at all."""

import os
from pathlib import Path
from typing import Any

import torch

from genesis.errors import GenesisValueError

FORMAT = 1


def save(path: Path, payload: dict[str, Any]) -> None:
    """Writes the payload, readable with `torch.load(weights_only=True)`; a crash leaves the old file in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            torch.save({"format": FORMAT, **payload}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path, env: str | None = None, agent: str | None = None) -> dict[str, Any]:
    """Reads a payload, and refuses what it was not made for.

    Args:
        path: The file, or a run's folder (its latest checkpoint then).
        env: Environment id that the checkpoint must be of; None: any.
        agent: Name of the agent that the checkpoint must be of; None: any.

    Raises:
        GenesisValueError: No such file, not a checkpoint, another format, another environment or agent.
    """
    if path.is_dir():
        path = path / "checkpoints" / "latest.pt"
    if not path.is_file():
        raise GenesisValueError(f"The checkpoint must exist, got {path}. Give a file, or the folder of a run.")
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise GenesisValueError(f"The checkpoint must be readable, got {path}: {error}") from error
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        found = payload.get("format") if isinstance(payload, dict) else type(payload).__name__
        raise GenesisValueError(
            f"The checkpoint must have format {FORMAT}, got {found} in {path}. Use the version that wrote it."
        )
    for name, wanted in (("env", env), ("agent", agent)):
        if wanted is not None and payload[name] != wanted:
            raise GenesisValueError(
                f"The checkpoint must be of {name} {wanted!r}, got {payload[name]!r} in {path}. Leave --{name} out."
            )
    return payload
