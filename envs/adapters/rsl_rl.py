"""rsl_rl (version 5 and later): a batch of environments as its `VecEnv`. Extra: `rsl-rl`."""
# pyright: reportMissingImports=false

from typing import Any

import torch
from gymnasium.vector import AutoresetMode

from envs.adapters.checks import checked_env
from envs.base import DifferentiableVectorEnv
from genesis.errors import GenesisValueError, optional_import

with optional_import("rsl-rl-lib", "rsl-rl", "for this adapter"):
    from rsl_rl.env import VecEnv
    from tensordict import TensorDict


class RslRlVecEnv(VecEnv):
    """A batch whose observations are the one group "policy": name it in the runner's `obs_groups`.

    Everything is float32, as rsl_rl's networks are, whatever the precision. `extras["time_outs"]` are truncations
    without a termination; `extras["log"]` has the task's measurements averaged over the batch.

    Source: the abstract class `rsl_rl.env.VecEnv`.
    """

    def __init__(self, env: DifferentiableVectorEnv, cfg: dict[str, Any] | None = None):
        """Takes over `env`, and starts its first episodes; `reset(seed=...)` starts others, which can be repeated.

        Args:
            env: Made with `output="torch"`, `autoreset_mode="SameStep"` and a limit on the steps of an episode.
            cfg: What rsl_rl shall store as the environment's configuration; None: id and number of environments.

        Raises:
            gs.GenesisException: Another kind of environment, interface or mode, or episodes without a limit.
        """
        self.env = checked_env(env, output="torch", mode=AutoresetMode.SAME_STEP)
        if env.max_episode_steps is None:
            raise GenesisValueError("env must have max_episode_steps, got None. Make it with a number of steps.")
        self.num_envs = env.num_envs
        self.num_actions = env.single_action_space.shape[0]
        self.max_episode_length = env.max_episode_steps
        self.device = env.device
        self.cfg = {"env": env.spec.id if env.spec else type(env).__name__, "num_envs": env.num_envs, **(cfg or {})}
        self._observation = self._grouped(env.reset()[0])

    @property
    def unwrapped(self) -> DifferentiableVectorEnv:
        """The environment inside."""
        return self.env

    @property
    def episode_length_buf(self) -> torch.Tensor:
        """Steps (num_envs,) of the running episodes; setting it makes them end earlier or later."""
        return self.env.elapsed

    @episode_length_buf.setter
    def episode_length_buf(self, steps: torch.Tensor) -> None:
        self.env.elapsed = steps.to(self.env.elapsed).clone()

    def get_observations(self) -> TensorDict:
        """The present observations, without stepping."""
        return self._observation

    def reset(self, seed: int | None = None) -> tuple[TensorDict, dict[str, Any]]:
        """Starts new episodes everywhere; `seed` as in Gymnasium."""
        self._observation = self._grouped(self.env.reset(seed=seed)[0])
        return self._observation, {}

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict[str, Any]]:
        """Steps with actions (num_envs, A), clipped to the action space.

        Returns:
            Observations, rewards (num_envs,), dones (num_envs,) bool, extras.
        """
        with torch.no_grad():
            observation, reward, terminated, truncated, info = self.env.step(actions)
        self._observation = self._grouped(observation)
        names = [name for name in info["final_info"] if not name.startswith("_")]
        log = {f"/task/{name}": _plain(info["final_info"][name]).float().mean() for name in names}
        extras = {"time_outs": _plain(truncated & ~terminated), "log": log}
        return self._observation, _plain(reward).float(), _plain(terminated | truncated), extras

    def close(self) -> None:
        """Lets go of the scene."""
        self.env.close()

    def _grouped(self, observation: torch.Tensor) -> TensorDict:
        return TensorDict({"policy": _plain(observation).float()}, batch_size=[self.num_envs], device=self.device)


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.as_subclass(torch.Tensor)
