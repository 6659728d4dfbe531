"""A policy of a task of `genesis-mujoco/...` in Gymnasium's own environment, on MuJoCo's C engine."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch

from envs.mujoco.base import MujocoTask
from genesis.errors import GenesisValueError
from genesis.loaders import lazy_import

OWN, DEFAULT = "gymnasium", "gymnasium_default"
"""Names of the results in Gymnasium: with the task's own options, and as `gymnasium.make(id)` makes the environment."""


def check_task(env: Any, env_id: str) -> None:
    """Raises GenesisValueError unless Gymnasium has this task, GenesisImportError unless MuJoCo is installed."""
    if not isinstance(env, MujocoTask):
        raise GenesisValueError(
            f"The checkpoint must be of a task of Gymnasium's, genesis-mujoco/..., got {env_id}. Leave --engine out."
        )
    lazy_import.mujoco("to play the policy in Gymnasium", instead="leave --engine out")


def scores(
    act: Callable[[torch.Tensor], torch.Tensor], env: MujocoTask, episodes: int, seed: int
) -> dict[str, dict[str, float]]:
    """Statistics of a policy in Gymnasium's environment by `OWN` and `DEFAULT`: the same episodes, rewarded otherwise.

    Args:
        act: Maps observations (B, O) to actions (B, A).
        env: The task here; Gymnasium's environment gets its options, and the policy no numbers that it does not have.
        episodes: Episodes, of the seeds `seed`, `seed` + 1, ...
        seed: Of the first episode.
    """
    options = {OWN: env.options, DEFAULT: {}}
    return {name: _statistics(*_played(act, env, own, episodes, seed)) for name, own in options.items()}


def kept(here: dict[str, float], there: dict[str, float]) -> float:
    """The part of the mean return that is left in Gymnasium; NaN where there was none."""
    return there["return_mean"] / here["return_mean"] if here["return_mean"] else float("nan")


@torch.no_grad()
def _played(
    act: Callable[[torch.Tensor], torch.Tensor], env: MujocoTask, options: dict[str, Any], episodes: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns and lengths (episodes,)."""
    size = env.single_observation_space.shape[0]
    worlds: list[Any] = [gymnasium.make(env.GYMNASIUM, **options) for _ in range(episodes)]
    seen = np.stack([world.reset(seed=seed + k)[0][:size] for k, world in enumerate(worlds)])
    returns, lengths = np.zeros(episodes), np.zeros(episodes)
    playing = list(range(episodes))
    while playing:
        actions = act(env.tensor(seen)).as_subclass(torch.Tensor).double().cpu().numpy()
        for k in tuple(playing):
            observation, reward, terminated, truncated, _ = worlds[k].step(actions[k])
            seen[k] = observation[:size]
            returns[k] += reward
            lengths[k] += 1
            if terminated or truncated:
                worlds[k].close()
                playing.remove(k)
    return returns, lengths


def _statistics(returns: np.ndarray, lengths: np.ndarray) -> dict[str, float]:
    """Under the names of `agents.core.evaluation.evaluate`."""
    return {
        "episodes": float(len(returns)),
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std()),
        "return_min": float(returns.min()),
        "return_max": float(returns.max()),
        "length_mean": float(lengths.mean()),
    }
