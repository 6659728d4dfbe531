"""Checkpoints: files of tensors and plain values, written whole or not at all, of which the last few are kept."""

import logging
import os
from pathlib import Path
from typing import Any

import torch

from genesis.errors import GenesisValueError

FORMAT = 2
PARTS = {
    *("genesis_version", "env", "agent", "hyper", "seed", "total_steps", "precision", "observation_size"),
    *("action_size", "agent_state"),
}
"""What every reader of a checkpoint counts on."""

_LOG = logging.getLogger("genesis")


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


def path_of(run: Path, step: int) -> Path:
    """Where a run's checkpoint of a step lies."""
    return run / "checkpoints" / f"step-{step:012d}.pt"


def of_run(run: Path) -> list[Path]:
    """A run's checkpoints by step, the newest last; files that were never finished are not among them."""
    return sorted((run / "checkpoints").glob("step-*.pt"))


def prune(run: Path, keep: int) -> None:
    """Removes all of a run's checkpoints by step but the newest `keep`."""
    for path in of_run(run)[:-keep]:
        path.unlink(missing_ok=True)


def load(path: Path, env: str | None = None, agent: str | None = None) -> dict[str, Any]:
    """Reads a payload, and refuses what it was not made for.

    Args:
        path: The file, or a run's folder: its newest checkpoint then that can be read.
        env: Environment id that the checkpoint must be of; None: any.
        agent: Name of the agent that the checkpoint must be of; None: any.

    Raises:
        GenesisValueError: No such file, not a checkpoint, another format, another environment or agent.
    """
    payload, path = _newest(path) if path.is_dir() else (_read(path), path)
    for name, wanted in (("env", env), ("agent", agent)):
        if wanted is not None and payload[name] != wanted:
            raise GenesisValueError(
                f"The checkpoint must be of {name} {wanted!r}, got {payload[name]!r} in {path}. Leave --{name} out."
            )
    return payload


def _newest(run: Path) -> tuple[dict[str, Any], Path]:
    paths = of_run(run)
    for path in reversed(paths):
        try:
            return _read(path), path
        except GenesisValueError as error:
            if path is paths[0]:
                raise
            _LOG.warning("%s Taking the one before.", error)
    raise GenesisValueError(
        f"A run must have a checkpoint, got {run} without one. Give a file or another run, or train anew."
    )


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise GenesisValueError(f"The checkpoint must exist, got {path}. Give a file, or the folder of a run.")
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch's own words would advise to read it with weights_only=False, which runs whatever is in it
        reason = str(error) if isinstance(error, OSError) else "it is cut off, or no checkpoint"
        raise GenesisValueError(
            f"The checkpoint must be readable, got {path}: {reason}. Give a file that scripts.train or scripts.shrink "
            "wrote, or the folder of a run."
        ) from error
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        found = payload.get("format") if isinstance(payload, dict) else type(payload).__name__
        raise GenesisValueError(
            f"The checkpoint must have format {FORMAT}, got {found} in {path}. Use the version that wrote it."
        )
    if missing := sorted(PARTS - payload.keys()):
        raise GenesisValueError(
            f"The checkpoint must hold {sorted(PARTS)}, got none of {missing} in {path}. Give a file that "
            "scripts.train or scripts.shrink wrote, or the folder of a run."
        )
    return payload
