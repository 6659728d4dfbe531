"""Keeps of a checkpoint what acting needs: `python -m scripts.shrink --checkpoint runs/... --output policy.pt`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from agents.core import checkpoint
from genesis.render.files import check_target
from scripts import common

FOR_RESUMING = "processes"
MOMENTS = {"first_moment", "second_moment"}
"""Of optimisers, as large as the nets each."""
VALUES = ("critics", "target", "q", "target_q", "value")
"""Parts of agents that judge actions and do not choose them, larger than the policy."""
MEMORY = {"rows", "next"}
"""Of an off-policy agent's steps, far larger than its nets."""


@dataclass(frozen=True)
class ShrinkConfig:
    """Writes a small copy of a checkpoint, for evaluate, render and export. Training cannot go on from it."""

    checkpoint: Path
    """A checkpoint file, or the folder of a run (its newest checkpoint)."""
    output: Path
    """File to write, ending in .pt."""


def run(config: ShrinkConfig) -> dict[str, Any]:
    """Reads, drops what only learning needs (environments, random streams, moments, memory, values), and writes.

    Returns:
        What was written.

    Raises:
        gs.GenesisException: The checkpoint cannot be read, or the output has another ending or no folder.
    """
    check_target("output", config.output, (".pt",))
    saved = checkpoint.load(config.checkpoint)
    kept = {name: value for name, value in saved.items() if name != FOR_RESUMING}
    kept["agent_state"] = {n: _acting(n, part) for n, part in saved["agent_state"].items()} | {"observation": None}
    checkpoint.save(config.output, kept)
    return kept


def _acting(name: str, part: Any) -> Any:
    """A part of an agent's state; moments of optimisers and values become zeros without room, and a memory forgets."""
    if not isinstance(part, dict):
        return part
    if part.keys() == MEMORY:
        return {"rows": part["rows"][:0].clone(), "next": 0}
    zeroed = part if name in VALUES else part.keys() & MOMENTS
    return part | {key: part[key].new_zeros(1).expand_as(part[key]) for key in zeroed}


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
