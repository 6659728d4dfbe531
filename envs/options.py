"""What an environment can be told when it is made: what all tasks share stands here alone."""

import inspect
from collections.abc import Iterable
from typing import Any

from gymnasium.vector import AutoresetMode
from typing_extensions import TypedDict

from envs import interface
from genesis.errors import GenesisTypeError


class TaskOptions(TypedDict, total=False):
    """Of every environment, single or in a batch."""

    action_delay: int
    """Steps between an action and its effect; until then the space's middle acts."""
    action_noise: float
    """Standard deviation of the noise on actions, in action units; clipped to the space afterwards."""
    observation_noise: float
    """Standard deviation of the noise on observations, in observation units."""
    parameter_randomisation: float
    """Relative half-width, in [0, 1), of the task's physical parameters per episode."""
    render_mode: str | None
    """None, or "rgb_array": `render()` gives pictures."""
    render_size: tuple[int, int]
    """Width and height of pictures, pixels."""


class BatchOptions(TaskOptions, total=False):
    """Of a batch of environments."""

    output: str
    """"numpy" or "torch": what goes in and out."""
    differentiable: bool
    """Keep the graph from actions to observations and rewards; needs `output="torch"`."""
    autoreset_mode: AutoresetMode | str
    """A member of `gymnasium.vector.AutoresetMode`, or its value."""
    staggered: bool
    """First episodes end at times that are spread over `max_episode_steps`, so that environments do not start together
    ever after."""
    first_env_index: int
    """Global index of the first environment, where a batch is split over several objects."""


DEFAULTS: dict[str, Any] = {
    "action_delay": 0,
    "action_noise": 0.0,
    "observation_noise": 0.0,
    "parameter_randomisation": 0.0,
    "render_mode": None,
    "render_size": interface.RENDER_SIZE,
    "output": "numpy",
    "differentiable": False,
    "autoreset_mode": AutoresetMode.NEXT_STEP,
    "staggered": False,
    "first_env_index": 0,
}


def completed(env: type, options: Any, shared: Any, own: Iterable[str] = ()) -> dict[str, Any]:
    """The shared options as given, the others by default.

    Args:
        env: The environment's class; constructors along its line may name options of their own.
        options: What its constructor got beside these.
        shared: `TaskOptions` or `BatchOptions`.
        own: Names of further options of the environment, for the message.

    Raises:
        GenesisTypeError: An unknown name; the message lists the valid ones.
    """
    names = sorted(shared.__optional_keys__)
    unknown = [name for name in options if name not in names]
    if unknown:
        lines = [inspect.signature(cls.__init__).parameters.values() for cls in env.__mro__ if "__init__" in vars(cls)]
        named = {p.name for line in lines for p in line if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        raise GenesisTypeError(
            f"{env.__name__} must get known options only, got {', '.join(unknown)}. "
            f"Valid ones: {', '.join(sorted({*names, *named, *own} - {'self', 'args', 'kwargs'}))}."
        )
    return {name: options.get(name, DEFAULTS[name]) for name in names}
