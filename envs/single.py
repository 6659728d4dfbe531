"""The single env of a task, for `gymnasium.make`."""

from collections.abc import Iterable
from typing import Any, ClassVar

import gymnasium
from gymnasium.vector import AutoresetMode
from typing_extensions import Unpack

from envs import interface
from envs.base import DifferentiableVectorEnv
from envs.options import TaskOptions, completed
from genesis.errors import GenesisForkError


class SingleEnv(interface.EnvInterface, gymnasium.Env):
    """One environment of a task as a `gymnasium.Env` of numpy arrays; the batch of one lives in `core`.

    Time limits are Gymnasium's (`TimeLimit`, put on by `gymnasium.make`). Make a concrete class with `single_env`.
    """

    task: ClassVar[type[DifferentiableVectorEnv]]
    metadata: dict[str, Any] = DifferentiableVectorEnv.metadata

    def __init__(self, **options: Unpack[TaskOptions]):
        """Builds the task's scene; see `envs.options`."""
        self._build({}, options)

    def _build(self, own: dict[str, Any], options: Any, others: Iterable[str] = ()) -> None:
        """Makes the batch of one, with options of these tasks alone and those that all share.

        Args:
            own: Options of these tasks alone, by name.
            options: Those that all share, as given.
            others: Names of further options that could have been given.
        """
        given = completed(type(self), options, TaskOptions, others)
        self.render_mode, self._render_size = given["render_mode"], interface.checked_size(given["render_size"])
        self.observation_space = self.task.single_observation_space
        self.action_space = self.task.single_action_space
        self._refusal: GenesisForkError | None = None
        try:
            self.core = self.task(num_envs=1, autoreset_mode=AutoresetMode.DISABLED, **own, **given)
        except GenesisForkError as error:
            # A forked worker of Gymnasium's AsyncVectorEnv, which passes on to its parent what a call raises, but loses
            # what the making of an environment raises. So the first call says it.
            self._refusal = error
            return
        self.observation_space = self.core.single_observation_space
        self.metadata = {name: value for name, value in self.core.metadata.items() if name != "autoreset_mode"}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode."""
        if self._refusal is not None:
            raise self._refusal
        interface.check_reset_options(options, valid=())
        seed = interface.checked_seed(seed)
        super().reset(seed=seed)
        observation, info = self.core.reset(seed=seed)
        return observation[0], _row(info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Advances one control step; `action` (A,) is clipped to the action space."""
        observation, reward, terminated, truncated, info = self.core.step(interface.as_floats(action)[None])
        return observation[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), _row(info)

    def render(self) -> Any:
        """A picture of the present state, (H, W, 3) uint8; see `DifferentiableVectorEnv.render`."""
        return self.core.render()[0]

    def close(self) -> None:
        """Lets go of the scene; calling it again does nothing."""
        if self._refusal is None:
            self.core.close()


def single_env(task: type[DifferentiableVectorEnv], base: type[SingleEnv] = SingleEnv) -> type[SingleEnv]:
    """The `gymnasium.Env` class of a task: what its `entry_point` names. `base` may know more options of its tasks."""
    return type(f"{task.__name__}Env", (base,), {"task": task, "metadata": task.metadata, "__doc__": task.__doc__})


def _row(info: dict[str, Any]) -> dict[str, Any]:
    """The values of the only row where they are valid, without the masks."""
    valid = {name: value[0] for name, value in info.items() if not name.startswith("_") and info[f"_{name}"][0]}
    return {name: value.item() if value.ndim == 0 else value.copy() for name, value in valid.items()}
