"""Evaluates a checkpoint: `python -m scripts.evaluate --checkpoint runs/...`."""

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

import genesis as gs
from agents.core import checkpoint
from agents.core.evaluation import evaluate
from genesis.errors import GenesisValueError
from scripts import common, gymnasium_world
from scripts.mujoco_world import MujocoScene
from scripts.progress import EpisodeProgress

PLAYED = {
    "genesis": "deterministic and then as it explores", "gymnasium": "here and in Gymnasium",
    "mujoco": "here and in MuJoCo",
}  # fmt: skip


@dataclass(frozen=True)
class EvaluateConfig:
    """Prints the statistics of a trained policy over fresh episodes, deterministic and as it explores.

    With --engine gymnasium, or mujoco, the deterministic policy plays in the other engine instead of exploring.
    """

    checkpoint: Path
    """A checkpoint file, or the folder of a run (its newest checkpoint)."""
    episodes: int = 100
    """Episodes to play deterministically, and as many with exploration; rounded up to a multiple of --num-envs."""
    num_envs: int = 50
    """Environments that are simulated side by side."""
    seed: int = 1
    """Seed of the episodes. They differ from those of the training, whatever the seed."""
    env: Annotated[
        str | None,
        tyro.conf.arg(help=f"Refuse a checkpoint of another environment; None: take any. One of {common.ENV_NAMES}."),
    ] = None
    agent: Annotated[
        str | None,
        tyro.conf.arg(help=f"Refuse a checkpoint of another agent; None: take any. One of {common.AGENT_NAMES}."),
    ] = None
    contact: str | None = None
    """Contact model, where a task has several: "mujoco" or "smoothed"; None: that of the training."""
    backend: str = "cpu"
    """Where the simulator runs: "cpu", "cuda" or "gpu" (CUDA where there is one)."""
    engine: Literal["genesis", "gymnasium", "mujoco"] = "genesis"
    """"gymnasium": also play a task of genesis-mujoco/... in Gymnasium's original; "mujoco": a task whose world is one
    MJCF file (BlockPush) on MuJoCo's C engine (extra `mjcf`)."""
    json: bool = False
    """Print one JSON object instead of lines."""


def run(config: EvaluateConfig) -> dict[str, Any]:
    """Loads and evaluates.

    Returns:
        checkpoint, env, agent, contact (the model's name; None where the task has one), trained_steps, seed, and under
        deterministic and stochastic the statistics of `agents.core.evaluation.evaluate`. With the engine "gymnasium"
        in their place what `scripts.gymnasium_world.comparison` says, with "mujoco" in place of stochastic the same
        statistics there, under mujoco.

    Raises:
        gs.GenesisException: The checkpoint is not of this environment, agent or format, or an option violates its
            constraint; or Gymnasium does not have the task.
    """
    for name, value in (("episodes", config.episodes), ("num_envs", config.num_envs)):
        if value < 1:
            raise GenesisValueError(f"{name} must be at least 1, got {value}.")
    if config.backend not in ("cpu", "cuda", "gpu"):
        raise GenesisValueError(f'backend must be "cpu", "cuda" or "gpu", got {config.backend!r}.')
    saved = checkpoint.load(config.checkpoint, config.env, config.agent)
    common.check_names(saved["env"], saved["agent"])
    if not gs.is_initialized():
        level = "warning" if config.json else None
        gs.init(backend=getattr(gs, config.backend), precision=saved["precision"], logging_level=level)
    contact = common.contact_of(saved["env"], saved, config.contact)
    own = common.own_contact(saved["env"])
    if contact != own and config.contact is None:
        gs.logger.info("on the contact model of the training, %s; on the task's own: --contact %s.", contact, own)
    env = common.evaluation_env(saved["env"], min(config.num_envs, config.episodes), contact)
    agent = common.restored_agent(saved, env)
    result: dict[str, Any] = {
        "checkpoint": str(config.checkpoint),
        "env": saved["env"],
        "agent": saved["agent"],
        "contact": contact,
        "trained_steps": agent.steps,
        "seed": config.seed,
    }
    if config.engine == "gymnasium":
        gymnasium_world.check_task(env, saved["env"])
    scene = MujocoScene(env) if config.engine == "mujoco" else env.scene
    gs.logger.info("playing %d episodes, %s.", config.episodes, PLAYED[config.engine])
    rounded = math.ceil(config.episodes / env.num_envs) * env.num_envs
    total = rounded + (config.episodes if config.engine == "gymnasium" else rounded)
    progress = None if config.json else EpisodeProgress(total)
    if config.engine == "gymnasium":
        result |= gymnasium_world.comparison(agent.act, env, config.episodes, config.seed, progress)
    elif config.engine == "mujoco":
        result["deterministic"] = evaluate(agent.act, env, config.episodes, config.seed, progress)
        env.scene = scene
        result["mujoco"] = evaluate(agent.act, env, config.episodes, config.seed, progress)
    else:
        torch.manual_seed(config.seed)  # of the exploration
        for name, deterministic in (("deterministic", True), ("stochastic", False)):
            result[name] = evaluate(
                lambda o, d=deterministic: agent.act(o, d), env, config.episodes, config.seed, progress
            )
    if progress is not None:
        progress.close()
    env.close()
    return result


def main() -> int:
    """Entry point of `genesis-evaluate`."""
    return common.run(_main)


def _main() -> int:
    config = tyro.cli(EvaluateConfig, prog=common.program())
    torch.set_num_threads(1)  # the tensors are small, and the simulator has threads of its own
    result = run(config)
    if config.json:
        print(json.dumps(result))
        return 0
    statistics = {name: value for name, value in result.items() if isinstance(value, dict)}
    width = max(len(name) for name in (*result, *statistics["deterministic"]))
    for name, value in result.items():
        if name not in statistics:
            print(f"{name:<{width}} {'the only model' if value is None else value}")
    print(f"{'':<{width}} " + " ".join(f"{name:>17}" for name in statistics))
    for name in statistics["deterministic"]:
        print(f"{name:<{width}} " + " ".join(f"{values.get(name, math.nan):>17.4g}" for values in statistics.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
