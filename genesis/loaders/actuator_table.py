"""Which actuators of a robot are drives of single degrees of freedom, and which have a law and a control of their own.

A *drive* is a motor, a position or a velocity servo on one degree of freedom, alone there (or one of each servo): the
controls of the degree of freedom say all of it. All others pull on hinges and slides by constant moment arms:

    length = sum of arm * q      velocity = sum of arm * q'      force of a joint = sum of arm * actuator force
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from genesis.loaders.invweight import numbers_of
from genesis.loaders.mujoco_numbers import MujocoNumbers
from genesis.loaders.parts import BALL, FREE, JOINT_SIZES, Actuator

if TYPE_CHECKING:
    from genesis.loaders.model import RigidModel


@dataclass(frozen=True)
class ActuatorTable:
    """All actuators of a robot in the order of its file; indices count these."""

    names: tuple[str, ...]
    drives: dict[int, Actuator]
    """Index -> what it is of its degree of freedom."""
    others: tuple[int, ...]
    """Indices of those with a law of their own."""
    arms: tuple[dict[int, float], ...]
    """Of each of the others: degree of freedom -> moment arm. Empty where it is `refused`."""
    activated: tuple[int, ...]
    """Which of the others have an activation, in the order of these."""
    refused: tuple[str, ...]
    """Names, with a reason, of those of the others that have no constant arms."""

    @property
    def taken(self) -> list[int]:
        """Degrees of freedom that the others act on."""
        return sorted({dof for arms in self.arms for dof in arms})


NONE = ActuatorTable((), {}, (), (), (), ())


def divide(model: "RigidModel") -> ActuatorTable:
    """The actuators of `RigidModel.mujoco`, divided."""
    if model.mujoco is None and not model.actuators:
        return NONE
    numbers = numbers_of(model)
    known = {actuator.name: actuator for actuator in model.actuators}
    drives, others = {}, []
    for index, name in enumerate(numbers.actuator_names):
        simple = name in known and numbers.actuators.activation[index] == 0 and numbers.actuators.joint[index] >= 0
        if simple:
            drives[index] = known[name]
        else:
            others.append(index)
    taken = {dof for index in others for dof in _arms(model, numbers, index)}
    per_dof: dict[int, list[str]] = defaultdict(list)
    for drive in drives.values():
        per_dof[drive.dof].append(drive.kind)
    taken |= {dof for dof, kinds in per_dof.items() if len(kinds) > 1 and sorted(kinds) != ["position", "velocity"]}
    others = sorted([*others, *(index for index, drive in drives.items() if drive.dof in taken)])
    refused = [_refused(model, numbers, index) for index in others]
    return ActuatorTable(
        names=numbers.actuator_names,
        drives={index: drive for index, drive in drives.items() if index not in others},
        others=tuple(others),
        arms=tuple(
            {} if reason else _arms(model, numbers, index) for index, reason in zip(others, refused, strict=True)
        ),
        activated=tuple(k for k, index in enumerate(others) if numbers.actuators.activation[index] > 0),
        refused=tuple(reason for reason in refused if reason),
    )


def drive_ranges(model: "RigidModel") -> tuple[np.ndarray, np.ndarray]:
    """(D,), (D,) range of force of the controls of each degree of freedom: where other actuators act, that of its joint
    alone, for theirs is their own."""
    low, high = model.force_low.copy(), model.force_high.copy()
    taken = model.actuator_table.taken
    low[taken], high[taken] = joint_force_ranges(model)[taken].T
    return low, high


def joint_force_ranges(model: "RigidModel") -> np.ndarray:
    """(D, 2) range of the force of all actuators of each degree of freedom's joint."""
    sizes = [JOINT_SIZES[joint.kind][1] for joint in model.joints]
    return np.repeat(numbers_of(model).joints.force_range, sizes, axis=0).reshape(-1, 2)


def _arms(model: "RigidModel", numbers: MujocoNumbers, index: int) -> dict[int, float]:
    """Degree of freedom -> gear; of a fixed tendon times the sum of its coefficients."""
    gear, joint = numbers.actuators.gear[index], numbers.actuators.joint[index]
    if joint >= 0:
        first, size = model.joints[joint].dof, JOINT_SIZES[model.joints[joint].kind][1]
        if size > 1:
            return {first + int(c): float(gear[c]) for c in np.flatnonzero(gear[:size])}
        return {first: float(gear[0])}
    arms: dict[int, float] = defaultdict(float)
    for row in np.flatnonzero(numbers.tendons.actuator == index):
        dof = model.joints[numbers.tendons.joint[row]].dof
        arms[dof] += float(gear[0] * numbers.tendons.coefficient[row])
    return dict(arms)


def _refused(model: "RigidModel", numbers: MujocoNumbers, index: int) -> str:
    """Name and reason, or nothing."""
    joint = numbers.actuators.joint[index]
    if joint >= 0 and model.joints[joint].kind in (BALL, FREE):
        name, own = model.joints[joint].name, numbers.actuator_names[index]
        return f"actuator {own!r} (more than a servo alone on an axis of {model.joints[joint].kind} joint {name!r})"
    return ""
