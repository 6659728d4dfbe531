"""The folder of a training run: configuration, git revision, result and checkpoints."""

import dataclasses
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.core import checkpoint
from genesis.errors import GenesisRuntimeError

NEEDED_MB = 200
"""Free space below which no training starts, MB: a few checkpoints and the events."""
PROBE_BYTES = 2**20


class RunFolder:
    """`{parent}/{env}__{agent}__{seed}__{time}` and what is written into it."""

    def __init__(self, path: Path, keep: int = 3):
        """Opens the folder, which is made if it does not exist.

        Args:
            path: The folder.
            keep: Number of checkpoints by step that stay.
        """
        self.path = path
        self.keep = keep
        with on_disk(path):
            self.path.mkdir(parents=True, exist_ok=True)

    @classmethod
    def fresh(cls, parent: Path, env: str, agent: str, seed: int, keep: int = 3) -> "RunFolder":
        """A folder that did not exist before."""
        stem = f"{env.replace('/', '-')}__{agent}__{seed}__{time.strftime('%Y%m%d-%H%M%S')}"
        names = [stem] + [f"{stem}-{count}" for count in range(1, 1000)]
        for name in names:
            with on_disk(parent):
                try:
                    (parent / name).mkdir(parents=True)
                except FileExistsError:
                    continue
            return cls(parent / name, keep)
        raise FileExistsError(parent / stem)

    @property
    def best(self) -> Path:
        """The checkpoint of the best evaluation."""
        return self.path / "checkpoints" / "best.pt"

    def write_config(self, config: Any, revision: str, fresh: bool = True) -> None:
        """Writes config.json: the configuration (a dataclass), the command and the git revision.

        Args:
            config: As the run is now.
            revision: Of the sources.
            fresh: Whether the run starts; of a resumed one, first command and revision stay and these are added.
        """
        present = {"command": sys.argv, "git": revision}
        if not fresh:
            first = json.loads((self.path / "config.json").read_text())
            present = {**first, "resumed": [*first.get("resumed", []), present]}
        self._write_json("config.json", {**present, "config": dataclasses.asdict(config)})

    def write_result(self, result: dict[str, Any]) -> None:
        """Writes result.json."""
        self._write_json("result.json", result)

    def save(self, payload: dict[str, Any], step: int) -> Path:
        """Writes the checkpoint of a step, and removes the oldest ones.

        Raises:
            GenesisRuntimeError: The disk did not take it; the earlier ones are whole.
        """
        path = checkpoint.path_of(self.path, step)
        with on_disk(path):
            checkpoint.save(path, payload)
            checkpoint.prune(self.path, self.keep)
        return path

    def save_best(self, payload: dict[str, Any]) -> None:
        """Writes the best checkpoint.

        Raises:
            GenesisRuntimeError: The disk did not take it; the one before is whole.
        """
        with on_disk(self.best):
            checkpoint.save(self.best, payload)

    def _write_json(self, name: str, value: dict[str, Any]) -> None:
        temporary = self.path / f".{name}.{os.getpid()}"
        with on_disk(self.path / name):
            try:
                temporary.write_text(json.dumps(value, indent=2, default=str) + "\n")
                temporary.replace(self.path / name)
            finally:
                temporary.unlink(missing_ok=True)


@contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """What the system says about a file, or torch while it writes one, becomes one sentence."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise GenesisRuntimeError(
            f"{path} must be writable, got: {' '.join(str(error).split())[:300]}. "
            "Make room on the disk, or choose another place with --run-dir."
        ) from error


def check_place(name: str, folder: Path) -> None:
    """Makes sure that files can be written into a folder, or into one that is still to be made; leaves nothing there.

    Args:
        name: Of the option that the folder comes from.
        folder: The folder.

    Raises:
        GenesisRuntimeError: It cannot be written to, or its disk is full.
    """
    folder = folder.absolute()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=existing) as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
        free = shutil.disk_usage(existing).free // 10**6
    except OSError as error:
        raise GenesisRuntimeError(
            f"{name} must be a folder that can be written to, got {folder}: {error.strerror or error}. "
            "Choose another, or make room."
        ) from error
    if free < NEEDED_MB:
        raise GenesisRuntimeError(
            f"{name} must be on a disk with at least {NEEDED_MB} MB free, got {free} MB at {existing}. "
            "Make room, or choose another."
        )
