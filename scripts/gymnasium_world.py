"""A policy of a task of `genesis-mujoco/...` in Gymnasium's own environment, on MuJoCo's C engine."""

import math
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch

from agents.core.evaluation import Report, evaluate, summary
from envs.mujoco.base import MujocoTask
from genesis.errors import GenesisValueError
from genesis.loaders import lazy_import
from genesis.loaders.files import mujoco_warnings
from genesis.warning import warn_once

Act = Callable[[torch.Tensor], torch.Tensor]
"""Maps observations (B, O) to actions (B, A)."""


def check_task(env: Any, env_id: str) -> None:
    """Raises GenesisValueError unless Gymnasium has this task, GenesisImportError unless MuJoCo is installed."""
    if not isinstance(env, MujocoTask):
        raise GenesisValueError(
            f"The checkpoint must be of a task of Gymnasium's, genesis-mujoco/..., got {env_id}. Leave --engine out."
        )
    lazy_import.mujoco("to play the policy in Gymnasium", instead="leave --engine out")


def comparison(act: Act, env: MujocoTask, episodes: int, seed: int, report: Report | None = None) -> dict[str, Any]:
    """A deterministic policy here and in Gymnasium's environment; `report` is told of the episodes of both.

    Returns:
        deterministic and gymnasium: the statistics of `agents.core.evaluation.evaluate` and of `scores`; kept: the part
        of the mean return that is left in Gymnasium, and kept_interval: half the width of its 95 % interval. Both are
        NaN where there was no return.
    """
    here, there = evaluate(act, env, episodes, seed, report), scores(act, env, episodes, seed, report)
    return {"deterministic": here, "gymnasium": there, **kept(here, there)}


def scores(act: Act, env: MujocoTask, episodes: int, seed: int, report: Report | None = None) -> dict[str, float]:
    """Statistics of a policy in Gymnasium's environment, see `agents.core.evaluation.summary`.

    Args:
        act: See `Act`.
        env: The task here; Gymnasium's environment gets its options.
        episodes: Episodes, of the seeds `seed`, `seed` + 1, ...
        seed: Of the first episode.
        report: See `agents.core.evaluation.Report`.
    """
    return summary(*_played(act, env, episodes, seed, report))


def kept(here: dict[str, float], there: dict[str, float]) -> dict[str, float]:
    """`kept` and `kept_interval` of `comparison`; the interval by linear propagation."""
    if not here["return_mean"]:
        return {"kept": math.nan, "kept_interval": math.nan}
    part = there["return_mean"] / here["return_mean"]
    spread = math.hypot(there["return_interval"], part * here["return_interval"])
    return {"kept": part, "kept_interval": spread / abs(here["return_mean"])}


@torch.no_grad()
def _played(
    act: Act, env: MujocoTask, episodes: int, seed: int, report: Report | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns and lengths (episodes,)."""
    with mujoco_warnings(lambda text: warn_once(f"{env.GYMNASIUM}: {text}")):
        worlds: list[Any] = [gymnasium.make(env.GYMNASIUM, **env.options) for _ in range(episodes)]
    seen = np.stack([world.reset(seed=seed + k)[0] for k, world in enumerate(worlds)])
    returns, lengths = np.zeros(episodes), np.zeros(episodes)
    playing = list(range(episodes))
    while playing:
        actions = act(env.tensor(seen)).as_subclass(torch.Tensor).double().cpu().numpy()
        played = tuple(playing)
        for k in played:
            seen[k], reward, terminated, truncated, _ = worlds[k].step(actions[k])
            returns[k] += reward
            lengths[k] += 1
            if terminated or truncated:
                worlds[k].close()
                playing.remove(k)
        if report is not None:
            report(len(played) - len(playing), len(played))
    return torch.from_numpy(returns), torch.from_numpy(lengths)
