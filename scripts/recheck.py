"""Re-checks the physics of a trained policy: `python -m scripts.recheck --checkpoint runs/...`."""

import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium
import torch
import tyro
from gymnasium.envs.registration import load_env_creator

import genesis as gs
from agents.core import checkpoint
from agents.core.evaluation import FRESH_ENV_INDEX
from envs.locomotion.base import RobotTask
from genesis.errors import GenesisValueError
from genesis.loaders import lazy_import
from scripts import common, gymnasium_world
from scripts.mujoco_world import CONTROL_STEPS, MujocoWorld, control_deviation
from scripts.physics import GenesisWorld, Performance, World, body_size, perform

CONTROL_BAR = 0.2
"""Relative deviation of the positive control beyond which the transfer says nothing."""


@dataclass(frozen=True)
class RecheckConfig:
    """Plays a robot's policy again at finer substeps and in MuJoCo, to see whether what it does holds there.

    Prints, beside the return, the largest excess over a joint's range, the largest depth of a foot in the ground, and
    the share of contacts that pull. A policy of a task of genesis-mujoco/... plays in Gymnasium's original instead.
    """

    checkpoint: Path
    """A checkpoint file, or the folder of a run (its newest checkpoint)."""
    multiples: tuple[int, ...] = (1, 2, 4)
    """Multiples of the task's substeps to play at; the first one is what the others are compared with."""
    episodes: int = 16
    """Fresh episodes, the same ones in each row of the table."""
    seed: int = 1
    """Seed of the episodes."""
    contact: str | None = None
    """Contact model, where a task has several: "mujoco" or "smoothed"; None: that of the training."""
    mujoco: bool = True
    """Also play in MuJoCo (extra `mjcf`), with the first multiple's substeps."""
    backend: str = "cpu"
    """Where the simulator runs: "cpu", "cuda" or "gpu" (CUDA where there is one)."""
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    world: str
    substeps: int
    return_mean: float
    return_std: float
    length_mean: float
    change: float
    """(return - return of the first row) / |return of the first row|."""
    limit_excess: float
    """rad (m of slides)."""
    penetration: float | None
    """m; None without a ground."""
    penetration_share: float | None
    """Of the body's size."""
    pulling_share: float | None
    """Of the touching contact points; None where nothing touched."""


def run(config: RecheckConfig) -> dict[str, Any]:
    """Plays all of it.

    Returns:
        checkpoint, env, agent, contact, trained_steps, body_size (m), rows (see `Row`), and control: the deviation of
        the transfer's positive control, its bar, and whether it passed; None without MuJoCo. Of Gymnasium's tasks in
        place of the last three what `scripts.gymnasium_world.comparison` says.

    Raises:
        gs.GenesisException: The checkpoint is not of a robot task, MuJoCo is missing, or an option violates its
            constraint.
    """
    _check(config)
    saved = checkpoint.load(config.checkpoint)
    common.check_names(saved["env"], saved["agent"])
    contact = common.contact_of(saved["env"], saved, config.contact)
    if not gs.is_initialized():
        level = "warning" if config.json else None
        gs.init(backend=getattr(gs, config.backend), precision=saved["precision"], logging_level=level)
    about = {"checkpoint": str(config.checkpoint), "env": saved["env"], "agent": saved["agent"], "contact": contact}
    if common.of_gymnasium(saved["env"]):
        env = common.evaluation_env(saved["env"], config.episodes, contact)
        agent = common.restored_agent(saved, env)
        found = gymnasium_world.comparison(agent.act, env, config.episodes, config.seed)
        return about | {"trained_steps": agent.steps} | found
    rows: list[Row] = []
    control = transfer = None
    size, steps = 0.0, 0
    for multiple in config.multiples:
        gs.logger.info("playing at %dx the substeps.", multiple)
        env = _make(saved["env"], config.episodes, multiple)
        agent = common.restored_agent(saved, env)
        rows.append(_row(f"{multiple}x", env, GenesisWorld(env), agent, config.seed, rows))
        if multiple == config.multiples[0] and config.mujoco:
            gs.logger.info("playing in MuJoCo.")
            deviation = control_deviation(env, config.seed)
            control = {"deviation": deviation, "bar": CONTROL_BAR, "passed": deviation < CONTROL_BAR}
            transfer = _row("MuJoCo", env, MujocoWorld(env), common.restored_agent(saved, env), config.seed, rows)
        size, steps = body_size(env.robot.model), agent.steps
        env.close()
    if transfer is not None:
        rows.append(transfer)
    return about | {
        "trained_steps": steps,
        "body_size": size,
        "rows": [asdict(row) for row in rows],
        "control": control,
    }


def table(result: dict[str, Any]) -> str:
    """What the command prints."""
    if "kept" in result:
        return _in_gymnasium(result)
    lines = [
        f"{result['env']}, {result['agent']}, {result['trained_steps']} steps trained",
        f"{'':<8} {'substeps':>8} {'return':>18} {'change':>8} {'length':>7} {'limits':>9} "
        f"{'penetration':>17} {'pulling':>8}",
    ]
    for row in (Row(**row) for row in result["rows"]):
        depth, pulling = "–", "–"
        if row.penetration is not None and row.penetration_share is not None:
            depth = f"{1e3 * row.penetration:.1f} mm ({100 * row.penetration_share:.1f} %)"
        if row.pulling_share is not None:
            pulling = f"{100 * row.pulling_share:.2f}%"
        lines.append(
            f"{row.world:<8} {row.substeps:>8} {row.return_mean:>10.1f} +-{row.return_std:>6.1f} "
            f"{100 * row.change:>+7.1f}% {row.length_mean:>7.0f} {row.limit_excess:>9.4f} {depth:>17} {pulling:>8}"
        )
    lines.append("return: mean and standard deviation of episodes")
    lines.append("limits: largest excess, rad or m. penetration: largest, and of the body's size. pulling: of contacts")
    if result["control"] is not None:
        control = result["control"]
        verdict = (
            "so MuJoCo's row can be believed" if control["passed"] else "so MuJoCo's row says nothing about the policy"
        )
        lines.append(
            f"control: after the same {CONTROL_STEPS} actions both engines differ by {100 * control['deviation']:.1f} "
            f"% of the motion (bar {100 * control['bar']:.0f} %), {verdict}"
        )
    return "\n".join(lines)


def _in_gymnasium(result: dict[str, Any]) -> str:
    worlds = {"here": result["deterministic"], "Gymnasium": result["gymnasium"]}
    lines = [
        f"{result['env']}, {result['agent']}, contact {result['contact']!r}, {result['trained_steps']} steps trained",
        f"{'':<10} {'return':>20} {'length':>7}",
    ]
    lines += [
        f"{name:<10} {each['return_mean']:>10.1f} +-{each['return_interval']:>8.1f} {each['length_mean']:>7.0f}"
        for name, each in worlds.items()
    ]
    return "\n".join([*lines, f"kept: {100 * result['kept']:.1f} % +- {100 * result['kept_interval']:.1f} % (95 %)"])


def main() -> int:
    """Entry point of `genesis-recheck`."""
    return common.run(_main)


def _main() -> int:
    config = tyro.cli(RecheckConfig, prog=common.program())
    torch.set_num_threads(1)  # the tensors are small, and the simulator has threads of its own
    result = run(config)
    print(json.dumps(result) if config.json else table(result))
    return 0


def _row(name: str, env: Any, world: World, agent: Any, seed: int, before: list[Row]) -> Row:
    played: Performance = perform(world, agent.act, seed)
    mean = played.returns.mean().item()
    first = before[0].return_mean if before else mean
    return Row(
        world=name,
        substeps=env.substeps,
        return_mean=mean,
        return_std=played.returns.std(correction=0).item(),
        length_mean=played.lengths.double().mean().item(),
        change=(mean - first) / max(abs(first), 1e-12),
        limit_excess=played.limit_excess,
        penetration=_known(played.penetration),
        penetration_share=_known(played.penetration / body_size(env.robot.model)),
        pulling_share=_known(played.pulling_share),
    )


def _known(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value


def _make(env: str, num_envs: int, multiple: int) -> Any:
    """The task with a multiple of its own substeps, measuring contacts if it has a ground."""
    vector_entry_point = gymnasium.spec(env).vector_entry_point
    task = load_env_creator(str(vector_entry_point))
    if not (isinstance(task, type) and issubclass(task, RobotTask)):
        raise GenesisValueError(
            f"The checkpoint must be of a robot task, got {env}. Only those have substeps to refine."
        )
    return gymnasium.make_vec(
        env,
        num_envs=num_envs,
        vectorization_mode="vector_entry_point",
        output="torch",
        autoreset_mode="SameStep",
        first_env_index=FRESH_ENV_INDEX,
        substeps=multiple * task.SUBSTEPS,
        step_outputs=() if task.FRICTION is None else ("contacts",),
    ).unwrapped


def _check(config: RecheckConfig) -> None:
    if config.episodes < 1:
        raise GenesisValueError(f"episodes must be at least 1, got {config.episodes}.")
    if not config.multiples or min(config.multiples) < 1:
        raise GenesisValueError(f"multiples must be whole numbers of at least 1, got {config.multiples}.")
    if config.backend not in ("cpu", "cuda", "gpu"):
        raise GenesisValueError(f'backend must be "cpu", "cuda" or "gpu", got {config.backend!r}.')
    if config.mujoco:  # missing, it would be missed after the first row only
        lazy_import.mujoco("to play the policy in it", instead="leave the transfer out: --no-mujoco")


if __name__ == "__main__":
    sys.exit(main())
