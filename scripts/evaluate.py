"""Evaluates a checkpoint: `python -m scripts.evaluate --checkpoint runs/...`."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro

import genesis as gs
from agents.core import checkpoint
from agents.core.evaluation import evaluate
from genesis.errors import GenesisValueError
from scripts import make


@dataclass(frozen=True)
class EvaluateConfig:
    """Prints the statistics of a trained policy over fresh episodes."""

    checkpoint: Path
    """A checkpoint file, or the folder of a run (its latest checkpoint)."""
    episodes: int = 100
    """Episodes to run, at least; rounded up to a multiple of --num-envs."""
    num_envs: int = 50
    """Environments in the batch."""
    seed: int = 1
    """Seed of the episodes; no seed gives episodes of the training."""
    env: str | None = None
    """Refuse the checkpoint unless it is of this environment id; None: take the checkpoint's."""
    agent: str | None = None
    """Refuse the checkpoint unless it is of this agent; None: take the checkpoint's."""
    backend: str = "cpu"
    """Where the simulator runs: "cpu", "cuda" or "gpu" (CUDA where there is one)."""
    json: bool = False
    """Print one JSON object instead of lines."""


def run(config: EvaluateConfig) -> dict[str, Any]:
    """Loads and evaluates.

    Returns:
        checkpoint, env, agent, trained_steps, and the statistics of `agents.core.evaluation.evaluate`.

    Raises:
        gs.GenesisException: The checkpoint is not of this environment, agent or format, or an option breaks its law.
    """
    for name, value in (("episodes", config.episodes), ("num_envs", config.num_envs)):
        if value < 1:
            raise GenesisValueError(f"{name} must be at least 1, got {value}.")
    if config.backend not in ("cpu", "cuda", "gpu"):
        raise GenesisValueError(f'backend must be "cpu", "cuda" or "gpu", got {config.backend!r}.')
    saved = checkpoint.load(config.checkpoint, config.env, config.agent)
    make.check_names(saved["env"], saved["agent"])
    if not gs.is_initialized():
        level = "warning" if config.json else None
        gs.init(backend=getattr(gs, config.backend), precision=saved["precision"], logging_level=level)
    env = make.evaluation_env(saved["env"], min(config.num_envs, config.episodes))
    agent = make.trained_agent(saved, env)
    statistics = evaluate(agent.act, env, config.episodes, config.seed)
    env.close()
    about = {name: saved[name] for name in ("env", "agent")}
    return {"checkpoint": str(config.checkpoint), **about, "trained_steps": agent.steps, **statistics}


def main() -> int:
    """Entry point of `genesis-evaluate`."""
    return make.run(_main)


def _main() -> int:
    config = tyro.cli(EvaluateConfig)
    torch.set_num_threads(1)  # the tensors are small, and the simulator has threads of its own
    result = run(config)
    if config.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<16} {value:.4g}" if isinstance(value, float) else f"{name:<16} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
