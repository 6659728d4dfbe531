"""Keeps of a checkpoint what acting needs: `python -m scripts.shrink --checkpoint runs/... --output policy.pt`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from agents.core import checkpoint
from genesis.errors import GenesisValueError
from scripts import common

FOR_RESUMING = "processes"


@dataclass(frozen=True)
class ShrinkConfig:
    """Writes a small copy of a checkpoint, for evaluate, render and export. Training cannot go on from it."""

    checkpoint: Path
    """A checkpoint file, or the folder of a run (its newest checkpoint)."""
    output: Path
    """File to write, ending in .pt."""


def run(config: ShrinkConfig) -> dict[str, Any]:
    """Reads, drops the states of environments and random streams, which only resuming needs, and writes.

    Returns:
        What was written.

    Raises:
        gs.GenesisException: The checkpoint cannot be read, or the output has another ending or no folder.
    """
    if config.output.suffix != ".pt":
        raise GenesisValueError(f"output must end in .pt, got {str(config.output)!r}. Rename it.")
    if not config.output.resolve().parent.is_dir():
        raise GenesisValueError(f"output must lie in an existing folder, got {str(config.output)!r}. Make the folder.")
    saved = checkpoint.load(config.checkpoint)
    kept = {name: value for name, value in saved.items() if name != FOR_RESUMING}
    kept["agent_state"] = {**saved["agent_state"], "observation": None}
    checkpoint.save(config.output, kept)
    return kept


def main() -> int:
    """Entry point."""
    return common.run(_main)


def _main() -> int:
    config = tyro.cli(ShrinkConfig, prog=common.program())
    kept = run(config)
    size = config.output.stat().st_size / 1000
    print(f"written: {config.output} ({kept['env']}, {kept['agent']}, {size:.0f} kB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
