"""Keywords of Gymnasium's tasks: their types, and the constraints on their values, once for all tasks."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from envs.options import BatchOptions
from genesis.errors import GenesisValueError


class GymnasiumOptions(BatchOptions, total=False):
    """Of a task of Gymnasium's, by its keywords; each task has some of them, with defaults of its own."""

    frame_skip: int
    """Steps of the model in a control step, of the model's own timestep each."""
    forward_reward_weight: float
    """Of the velocity along +x."""
    ctrl_cost_weight: float
    """Of the squared length of the action."""
    contact_cost_weight: float
    """Of the squared contact forces. It must be 0: the contact model gives no forces to observe."""
    healthy_reward: float
    """Per step in which the robot is healthy."""
    terminate_when_unhealthy: bool
    """Whether an episode ends where the robot is not healthy."""
    healthy_z_range: tuple[float, float]
    """Lowest and greatest healthy height, m."""
    reset_noise_scale: float
    """Of the noise on the start's positions and velocities."""
    exclude_current_positions_from_observation: bool
    """Whether the place along the ground is left out of the observation."""
    include_cfrc_ext_in_observation: bool
    """Whether contact forces are part of the observation. It must be False: there are none to observe."""


def settings(task: str, defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A task's own options, checked: as given, the others by default.

    Raises:
        GenesisValueError: A value violates its constraint.
    """
    result = {name: given.get(name, default) for name, default in defaults.items()}
    for name, value in result.items():
        constraint, lawful, remedy = _CONSTRAINTS[name]
        if not lawful(value):
            raise GenesisValueError(f"{name} of {task} must {constraint}, got {value!r}. {remedy}")
    return result


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _not_negative(value: Any) -> bool:
    return _finite(value) and value >= 0


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _range(value: Any) -> bool:
    pair = isinstance(value, tuple | list) and len(value) == 2
    return pair and all(isinstance(x, int | float) and not math.isnan(x) for x in value) and value[0] < value[1]


Constraint = tuple[str, Callable[[Any], bool], str]
_WEIGHT: Constraint = ("be a finite number", _finite, "Pass a float.")
_FLAG: Constraint = ("be True or False", _flag, "Pass a bool.")
_NO_FORCES = "The contact model here gives no contact forces to tasks; leave it out, in Gymnasium's own task too."

_CONSTRAINTS: dict[str, Constraint] = {
    "frame_skip": ("be a whole number >= 1", _whole, "Pass an int."),
    "forward_reward_weight": _WEIGHT,
    "ctrl_cost_weight": _WEIGHT,
    "contact_cost_weight": ("be 0", lambda value: _finite(value) and value == 0, _NO_FORCES),
    "healthy_reward": _WEIGHT,
    "terminate_when_unhealthy": _FLAG,
    "healthy_z_range": ("be (lowest, greatest), m", _range, "Pass two numbers in rising order."),
    "reset_noise_scale": ("be a finite number >= 0", _not_negative, "Pass 0 for none."),
    "exclude_current_positions_from_observation": _FLAG,
    "include_cfrc_ext_in_observation": ("be False", lambda value: value is False, _NO_FORCES),
}
