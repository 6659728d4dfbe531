"""TorchRL: a batch of environments as its `EnvBase`. Extra: `torchrl`."""
# pyright: reportMissingImports=false

from typing import Any

import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode

from envs.adapters.checks import checked_env
from envs.base import DifferentiableVectorEnv
from genesis.errors import optional_import

with optional_import("torchrl", "torchrl", "for this adapter"):
    from tensordict import TensorDict, TensorDictBase
    from torchrl.data import Bounded, Categorical, Composite, Unbounded
    from torchrl.envs import EnvBase


class TorchRLEnv(EnvBase):
    """A batch with the keys "observation", "action", "reward", "done", "terminated" and "truncated".

    Finished environments are reset by TorchRL, through its "_reset" masks. Tensors have the precision of `gs.init`: at
    "64", give networks that dtype or append `torchrl.envs.transforms.DoubleToFloat`.

    If the environment is differentiable, a rollout has gradients from its rewards and observations to its actions. A
    window starts with `env.env.detach_()`, from a detached tensordict.

    Source: the abstract class `torchrl.envs.EnvBase`.
    """

    def __init__(self, env: DifferentiableVectorEnv):
        """Takes over `env`, which must have `output="torch"` and `autoreset_mode="Disabled"`.

        Raises:
            gs.GenesisException: Another kind of environment, interface or mode.
        """
        checked = checked_env(env, output="torch", mode=AutoresetMode.DISABLED, may_be_differentiable=True)
        super().__init__(device=checked.device, batch_size=[checked.num_envs])
        self.env = checked
        self._seed_of_next_reset: int | None = None
        self.observation_spec = Composite(
            observation=self._spec(env.single_observation_space), shape=self.batch_size, device=self.device
        )
        self.action_spec = self._spec(env.single_action_space)
        self.reward_spec = Unbounded((*self.batch_size, 1), dtype=env.dtype, device=self.device)
        flag = Categorical(2, shape=(*self.batch_size, 1), dtype=torch.bool, device=self.device)
        flags = {name: flag.clone() for name in ("done", "terminated", "truncated")}
        self.full_done_spec = Composite(flags, shape=self.batch_size, device=self.device)

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDictBase:
        mask = None if tensordict is None else tensordict.get("_reset", None)
        options = None if mask is None else {"reset_mask": mask.reshape(self.batch_size)}
        observation, _ = self.env.reset(seed=self._seed_of_next_reset, options=options)
        self._seed_of_next_reset = None
        return self._batch({"observation": _plain(observation)})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        observation, reward, terminated, truncated, _ = self.env.step(tensordict.get("action"))
        column = {"reward": reward, "terminated": terminated, "truncated": truncated, "done": terminated | truncated}
        column = {name: _plain(value)[:, None] for name, value in column.items()}
        return self._batch({"observation": _plain(observation), **column})

    def _set_seed(self, seed: int | None) -> None:
        self._seed_of_next_reset = seed

    def close(self, *, raise_if_closed: bool = True) -> None:
        """Lets go of the scene."""
        self.env.close()
        super().close(raise_if_closed=raise_if_closed)

    def _spec(self, space: Box) -> Any:
        shape, options = (*self.batch_size, *space.shape), {"dtype": self.env.dtype, "device": self.device}
        if not space.is_bounded():
            return Unbounded(shape, **options)
        low, high = (self.env.tensor(bound).expand(shape) for bound in (space.low, space.high))
        return Bounded(low, high, shape, **options)

    def _batch(self, values: dict[str, torch.Tensor]) -> TensorDict:
        return TensorDict(values, batch_size=self.batch_size, device=self.device)


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.as_subclass(torch.Tensor)
