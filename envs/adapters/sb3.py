"""Stable-Baselines3: a batch of environments as its `VecEnv`. Extra: `sb3`."""
# pyright: reportMissingImports=false

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from envs.adapters.checks import checked_env
from envs.base import DifferentiableVectorEnv
from genesis.errors import GenesisRuntimeError, GenesisValueError, optional_import

with optional_import("stable-baselines3", "sb3", "for this adapter"):
    from stable_baselines3.common.vec_env import VecEnv


class SB3VecEnv(VecEnv):
    """One batch, in which all environments step together, behind the interface of a list of environments.

    Infos have what Stable-Baselines3 reads: `terminal_observation` and `TimeLimit.truncated`, and, where an episode
    ended, `episode` with its return `r` and length `l`, so that no monitor is needed. Rewards are float32.

    Differences from a list of environments, all of them because there is only one object:
    - `seed(s)` seeds the batch with `s`; its environments still have random streams of their own.
    - `get_attr` and `env_method` give the batch's answer once for every index asked; `set_attr` sets it for all.
    - No reset options exist.

    Source: the abstract class `stable_baselines3.common.vec_env.VecEnv`.
    """

    def __init__(self, env: DifferentiableVectorEnv):
        """Takes over `env`, which must have the numpy interface and `autoreset_mode="SameStep"`.

        Raises:
            gs.GenesisException: Another kind of environment, interface or mode.
        """
        self.env = checked_env(env, output="numpy", mode=AutoresetMode.SAME_STEP)
        self._actions: np.ndarray | None = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.metadata = dict(env.metadata)

    def reset(self) -> np.ndarray:
        """Starts new episodes everywhere; observations (num_envs, O), float32.

        Raises:
            GenesisValueError: `set_options` was called with options.
        """
        if any(self._options):
            self._reset_options()
            raise GenesisValueError("options must be empty, got some. Environments in a batch have no reset options.")
        observation, info = self.env.reset(seed=self._seeds[0])
        self._reset_seeds()
        self.reset_infos = self._rows(info)
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        """Keeps the actions (num_envs, A) for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Steps; observations (num_envs, O), rewards (num_envs,), dones (num_envs,) and an info per environment.

        Raises:
            GenesisRuntimeError: There are no actions.
        """
        if self._actions is None:
            raise GenesisRuntimeError("step_async must come before step_wait, got no actions. Call step(actions).")
        actions, self._actions = self._actions, None
        observation, reward, terminated, truncated, info = self.env.step(actions)
        final_obs, final_info = info.pop("final_obs", None), info.pop("final_info", {})
        rows = self._rows(info)
        dones = terminated | truncated
        for index in np.flatnonzero(dones):
            row = rows[index]
            episode = {"r": row.pop("episode_return"), "l": row.pop("episode_length")}
            self.reset_infos[index] = dict(row)  # the batch has measured the new episode already
            row.update(self._row(final_info, int(index)), episode=episode, terminal_observation=final_obs[index])
        for index, row in enumerate(rows):
            row["TimeLimit.truncated"] = bool(truncated[index] and not terminated[index])
        return observation, reward.astype(np.float32), dones, rows

    def close(self) -> None:
        """Lets go of the scene; calling it again does nothing."""
        self.env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A picture of each environment; None where there is no render mode."""
        return [None] * self.num_envs if self.render_mode is None else list(self.env.render())

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The batch's attribute, once for each index."""
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Sets the batch's attribute.

        Raises:
            GenesisValueError: Only some of the environments are meant.
        """
        if set(self._get_indices(indices)) != set(range(self.num_envs)):
            raise GenesisValueError(
                f"indices must be all environments, got {indices}. A batch has one {attr_name}: leave indices out."
            )
        setattr(self.env, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Calls the batch's method once; its answer, once for each index."""
        answer = getattr(self.env, method_name)(*method_args, **method_kwargs)
        return [answer for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: Any = None) -> list[bool]:
        """Never: wrappers of single environments do not fit around a batch."""
        return [False for _ in self._get_indices(indices)]

    def _rows(self, info: dict[str, Any]) -> list[dict[str, Any]]:
        return [self._row(info, index) for index in range(self.num_envs)]

    def _row(self, info: dict[str, Any], index: int) -> dict[str, Any]:
        """What one environment has of an info in Gymnasium's layout."""
        names = [name for name in info if not name.startswith("_")]
        valid = {name: info[name][index] for name in names if info[f"_{name}"][index]}
        return {name: value.item() if value.ndim == 0 else value.copy() for name, value in valid.items()}
