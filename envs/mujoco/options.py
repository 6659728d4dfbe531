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
    """Of the squared forces of contacts."""
    contact_force_range: tuple[float, float]
    """What forces of contacts are clipped to, N and N m, to be observed and to cost."""
    contact_cost_range: tuple[float, float]
    """What the cost of contacts is clipped to."""
    impact_cost_weight: float
    """Of the squared forces of contacts."""
    impact_cost_range: tuple[float, float]
    """What that cost is clipped to."""
    uph_cost_weight: float
    """Taken, and without effect, as in Gymnasium."""
    healthy_reward: float
    """Per step in which the robot is healthy."""
    terminate_when_unhealthy: bool
    """Whether an episode ends where the robot is not healthy."""
    healthy_state_range: tuple[float, float]
    """Of all coordinates and velocities but the first two coordinates."""
    healthy_z_range: tuple[float, float]
    """Lowest and greatest healthy height, m."""
    healthy_angle_range: tuple[float, float]
    """Least and greatest healthy angle of the torso, rad."""
    reward_near_weight: float
    """Of the distance from the arm's tip to the object."""
    reward_dist_weight: float
    """Of the distance to the goal."""
    reward_control_weight: float
    """Of the squared length of the action."""
    reset_noise_scale: float
    """Of the noise on the start's positions and velocities."""
    exclude_current_positions_from_observation: bool
    """Whether the place along the ground is left out of the observation."""
    include_cinert_in_observation: bool
    """Whether the bodies' inertias are part of the observation."""
    include_cvel_in_observation: bool
    """Whether the bodies' velocities are part of the observation."""
    include_qfrc_actuator_in_observation: bool
    """Whether the actuators' forces are part of the observation."""
    include_cfrc_ext_in_observation: bool
    """Whether the forces of contacts are part of the observation."""


def settings(task: str, defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A task's own options, checked: as given, the others by default.

    Raises:
        GenesisValueError: A value violates its constraint.
    """
    result = {name: given.get(name, default) for name, default in defaults.items()}
    for name, value in result.items():
        constraint, lawful, remedy = _constraint(name)
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
_RANGE: Constraint = ("be (lowest, greatest)", _range, "Pass two numbers in rising order.")

_CONSTRAINTS: dict[str, Constraint] = {
    "frame_skip": ("be a whole number >= 1", _whole, "Pass an int."),
    "terminate_when_unhealthy": _FLAG,
    "reset_noise_scale": ("be a finite number >= 0", _not_negative, "Pass 0 for none."),
    "exclude_current_positions_from_observation": _FLAG,
}
"""By keyword; of the others by how it ends."""
_ENDINGS = {"_weight": _WEIGHT, "_reward": _WEIGHT, "_range": _RANGE, "_in_observation": _FLAG}


def _constraint(name: str) -> Constraint:
    return _CONSTRAINTS.get(name) or next(each for ending, each in _ENDINGS.items() if name.endswith(ending))
