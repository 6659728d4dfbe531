"""The folder of a training run: configuration, git revision, TensorBoard events and checkpoints."""

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from agents.core import checkpoint


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
        self.path.mkdir(parents=True, exist_ok=True)
        self.writer = SummaryWriter(str(path))

    @classmethod
    def fresh(cls, parent: Path, env: str, agent: str, seed: int, keep: int = 3) -> "RunFolder":
        """A folder that did not exist before."""
        stem = f"{env.replace('/', '-')}__{agent}__{seed}__{time.strftime('%Y%m%d-%H%M%S')}"
        names = [stem] + [f"{stem}-{count}" for count in range(1, 1000)]
        for name in names:
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

    def write_config(self, config: Any) -> None:
        """Writes config.json: the configuration (a dataclass), the command and the git revision."""
        text = json.dumps(
            {"config": dataclasses.asdict(config), "command": sys.argv, "git": git_revision()}, indent=2, default=str
        )
        (self.path / "config.json").write_text(text + "\n")
        self.writer.add_text("hyperparameters", f"```\n{text}\n```")

    def write_result(self, result: dict[str, Any]) -> None:
        """Writes result.json."""
        (self.path / "result.json").write_text(json.dumps(result, indent=2) + "\n")

    def log(self, scalars: dict[str, float], step: int) -> None:
        """Writes scalars by tag."""
        for tag, value in scalars.items():
            self.writer.add_scalar(tag, value, step)

    def save(self, payload: dict[str, Any], step: int) -> Path:
        """Writes the checkpoint of a step, and removes the oldest ones."""
        path = checkpoint.path_of(self.path, step)
        checkpoint.save(path, payload)
        checkpoint.prune(self.path, self.keep)
        return path

    def save_best(self, payload: dict[str, Any]) -> None:
        """Writes the best checkpoint."""
        checkpoint.save(self.best, payload)

    def close(self) -> None:
        """Flushes the events."""
        self.writer.close()


def git_revision() -> str:
    """Commit of the sources, with "+changes" where they differ from it; "unknown" outside a repository."""

    def git(*arguments: str) -> str:
        root = Path(__file__).resolve().parent
        return subprocess.run(
            ["git", *arguments], cwd=root, check=True, capture_output=True, text=True, timeout=10
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
