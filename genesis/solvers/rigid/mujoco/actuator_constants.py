"""From a robot's actuators with a law of their own to the constants of `actuators`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from genesis.loaders.actuator_table import joint_force_ranges
from genesis.loaders.invweight import numbers_of
from genesis.loaders.model import RigidModel
from genesis.loaders.mujoco_numbers import ACTIVATIONS
from genesis.solvers.rigid.mujoco import layout as slot
from genesis.solvers.rigid.prepare import UNLIMITED


def pack_actuators(model: RigidModel, dt: float, transmissions: Sequence[int]) -> dict[str, Any]:
    """The constants of `layout.ACTUATOR_TABLE`; `dt` is that of a substep; `transmissions`: what each pulls by."""
    table, rows = model.actuator_table, numbers_of(model).actuators
    ints = np.zeros((len(table.others), slot.ACTUATOR_INTS), int)
    numbers = np.zeros((len(table.others), slot.ACTUATOR_NUMBERS))
    for k, (i, transmission) in enumerate(zip(table.others, transmissions, strict=True)):
        dof = model.joints[rows.joint[i]].dof if rows.joint[i] >= 0 else -1
        ints[k] = transmission, dof, rows.act[i], rows.early[i]
        for low, ends in (
            (slot.A_CTRL_LOW, rows.control_range),
            (slot.A_FORCE_LOW, rows.force_range),
            (slot.A_ACT_LOW, rows.activation_range),
        ):
            numbers[k, low : low + 2] = finite(ends[i])
        kind, time = ACTIVATIONS[rows.activation[i]], rows.time[i]
        filters = kind in ("filter", "filterexact")
        numbers[k, slot.A_LEAK], numbers[k, slot.A_TIME] = float(filters), time if filters else 1.0
        numbers[k, slot.A_STEP] = -time * np.expm1(-dt / time) if kind == "filterexact" else dt
        servo = rows.gain[i, 0] == -rows.bias[i, 1] and not rows.gain[i, 1:].any()
        if rows.sites[i] == 2 and servo and not rows.gear[i, :3].any() and not filters:
            numbers[k, slot.A_PERIOD] = 2.0 * np.pi * np.linalg.norm(rows.gear[i, 3:])
        numbers[k, slot.A_GEAR] = 1.0 if rows.sites[i] else rows.gear[i, 0]  # of sites it is the wrench
    return {"actuator": ints, "actuator_numbers": numbers, "drive_range": finite(joint_force_ranges(model))}


def sizes(model: RigidModel) -> dict[str, int]:
    """Of the same arrays."""
    others = model.actuator_table.others
    return {"actuators": len(others), "activations": numbers_of(model).n_activations} if others else {}


def laws(model: RigidModel) -> dict[str, np.ndarray]:
    """The parameters `actuator_gain` and `actuator_bias`, (A, 3)."""
    others = list(model.actuator_table.others)
    if not others:
        return {"actuator_gain": np.zeros((0, 3)), "actuator_bias": np.zeros((0, 3))}
    rows = numbers_of(model).actuators
    return {"actuator_gain": rows.gain[others], "actuator_bias": rows.bias[others]}


def finite(ends: np.ndarray) -> np.ndarray:
    return np.clip(ends, -UNLIMITED, UNLIMITED)
