"""Which actuators of a robot are drives of single degrees of freedom, and which have a law and a control of their own.

A *drive* is a motor, a position or a velocity servo on one degree of freedom, alone there (or one of each servo): the
controls of the degree of freedom say all of it. All others pull by moment arms, constant ones of joints and fixed
tendons, or ones that change with the configuration, of sites and other tendons:

    length = sum of arm * q (of constant arms)      velocity = sum of arm * q'
    force of a joint = sum of arm * actuator force
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
    """Of each of the others: degree of freedom -> constant part of its moment arm. Empty where it is `refused`."""
    changing: tuple[bool, ...]
    """Of each of the others: whether its arms change."""
    activated: tuple[int, ...]
    """Which of the others have an activation, in the order of these."""
    refused: tuple[str, ...]
    """Names, with a reason, of those of the others that have no constant arms."""

    @property
    def taken(self) -> list[int]:
        """Degrees of freedom that the others with constant arms act on."""
        return sorted({dof for arms, changing in zip(self.arms, self.changing, strict=True) if not changing
                       for dof in arms})  # fmt: skip


NONE = ActuatorTable((), {}, (), (), (), (), ())


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
    ranged = set(np.flatnonzero(np.isfinite(joint_force_ranges(model)).any(axis=1)).tolist())
    taken = {dof for index in others for dof in _arms(model, numbers, index)
             if dof in ranged or not _changes(numbers, index)}  # fmt: skip
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
        changing=tuple(_changes(numbers, index) for index in others),
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


def chains_of(model: "RigidModel") -> list[list[int]]:
    """Of each link the degrees of freedom that move it, in their order."""
    chains: list[list[int]] = []
    for link, parent in enumerate(model.parent):
        own = [dof for joint in model.joints if joint.link == link
               for dof in range(joint.dof, joint.dof + JOINT_SIZES[joint.kind][1])]  # fmt: skip
        chains.append([*(chains[parent] if parent >= 0 else []), *own])
    return chains


def apart(chains: list[list[int]], one: int, two: int) -> tuple[list[int], list[int]]:
    """Degrees of freedom that move one of two links (-1: the world) and not the other, from the base on."""
    first, second = (chains[link] if link >= 0 else [] for link in (one, two))
    return [dof for dof in first if dof not in second], [dof for dof in second if dof not in first]


def tendon_arms(model: "RigidModel", numbers: MujocoNumbers, tendon: int) -> dict[int, float]:
    """Of a tendon: degree of freedom -> constant part of its moment arm."""
    arms: dict[int, float] = defaultdict(float)
    parts, chains = numbers.tendon_parts, None
    for row in np.flatnonzero(parts.tendon == tendon):
        if parts.joint[row] >= 0:
            arms[model.joints[parts.joint[row]].dof] += float(parts.coefficient[row])
        else:
            chains = chains_of(model) if chains is None else chains
            for side in apart(chains, *parts.link[row].tolist()):
                arms.update({dof: arms[dof] for dof in side})
    return dict(arms)


def _arms(model: "RigidModel", numbers: MujocoNumbers, index: int) -> dict[int, float]:
    """Degree of freedom -> constant part of the moment arm."""
    rows = numbers.actuators
    gear, joint, tendon = rows.gear[index], rows.joint[index], rows.tendon[index]
    if joint >= 0:
        first, size = model.joints[joint].dof, JOINT_SIZES[model.joints[joint].kind][1]
        if size > 1:
            return {first + int(c): float(gear[c]) for c in np.flatnonzero(gear[:size])}
        return {first: float(gear[0])}
    if tendon >= 0:
        return {dof: float(gear[0] * arm) for dof, arm in tendon_arms(model, numbers, tendon).items()}
    site, reference = rows.link[index].tolist()
    one, two = apart(chains_of(model), site, reference if rows.sites[index] == 2 else -1)
    return dict.fromkeys([*one, *two], 0.0)


def _changes(numbers: MujocoNumbers, index: int) -> bool:
    """Whether an actuator's moment arms change with the configuration."""
    rows, parts = numbers.actuators, numbers.tendon_parts
    if rows.tendon[index] >= 0:
        return bool((parts.joint[parts.tendon == rows.tendon[index]] < 0).any())
    return bool(rows.sites[index])


def _refused(model: "RigidModel", numbers: MujocoNumbers, index: int) -> str:
    """Name and reason, or nothing."""
    joint = numbers.actuators.joint[index]
    if joint >= 0 and model.joints[joint].kind in (BALL, FREE):
        name, own = model.joints[joint].name, numbers.actuator_names[index]
        return f"actuator {own!r} (more than a servo alone on an axis of {model.joints[joint].kind} joint {name!r})"
    return ""
