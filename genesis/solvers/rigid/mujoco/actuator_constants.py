"""From a robot's actuators with a law of their own to the constants of `actuators`."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from genesis.errors import GenesisValueError
from genesis.loaders.actuator_table import joint_force_ranges
from genesis.loaders.invweight import numbers_of
from genesis.loaders.model import RigidModel
from genesis.loaders.mujoco_numbers import ACTIVATIONS, agreed
from genesis.solvers.rigid.mujoco import layout as slot
from genesis.solvers.rigid.prepare import UNLIMITED


def pack_actuators(model: RigidModel, dt: float) -> dict[str, Any]:
    """The constants of `layout.ACTUATOR_TABLE`; `dt` is that of a substep."""
    table, rows = model.actuator_table, numbers_of(model).actuators
    ints = np.zeros((len(table.others), slot.ACTUATOR_INTS), int)
    numbers = np.zeros((len(table.others), slot.ACTUATOR_NUMBERS))
    dofs: list[int] = []
    arms: list[float] = []
    for k, (i, own) in enumerate(zip(table.others, table.arms, strict=True)):
        ints[k] = len(dofs), len(own), rows.act[i], rows.early[i]
        dofs += own.keys()
        arms += own.values()
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
    return {
        "actuator": ints, "actuator_numbers": numbers, "arm_dof": np.array(dofs, int), "arm": np.array(arms),
        "drive_range": finite(joint_force_ranges(model)),
    }  # fmt: skip


def sizes(model: RigidModel) -> dict[str, int]:
    """Of the same arrays."""
    table = model.actuator_table
    if not table.others:
        return {}
    return {
        "actuators": len(table.others), "activations": numbers_of(model).n_activations,
        "arms": sum(map(len, table.arms)),
    }  # fmt: skip


def laws(model: RigidModel) -> dict[str, np.ndarray]:
    """The parameters `actuator_gain` and `actuator_bias`, (A, 3)."""
    others = list(model.actuator_table.others)
    if not others:
        return {"actuator_gain": np.zeros((0, 3)), "actuator_bias": np.zeros((0, 3))}
    rows = numbers_of(model).actuators
    return {"actuator_gain": rows.gain[others], "actuator_bias": rows.bias[others]}


def actuators_check(
    model: RigidModel, given: str | None, places: Mapping[str, tuple[int, tuple[int, ...]]]
) -> Callable[[torch.Tensor], None] | None:
    """A function that raises if packed parameters (B, P) make a tendon's force depend on its velocity, which
    implicitfast does not take implicitly here; None where that cannot be. `given`: the integrator of options."""
    table = model.actuator_table
    on_tendons = [k for k, own in enumerate(table.arms) if len(own) > 1]
    if not on_tendons:
        return None
    if (given or agreed(numbers_of(model).options, "integrator", slot.IMPLICITFAST)) != slot.IMPLICITFAST:
        return None

    def check(packed: torch.Tensor) -> None:
        for name in ("actuator_gain", "actuator_bias"):
            begin, (count, _) = places[name]
            by_velocity = packed.detach()[:, begin : begin + 3 * count].reshape(-1, count, 3)[:, on_tendons, 2]
            if by_velocity.any():
                row, k = by_velocity.nonzero()[0].tolist()
                actuator = table.names[table.others[on_tendons[k]]]
                raise GenesisValueError(
                    f"the force of actuator {actuator!r} on a tendon must not depend on its velocity with "
                    f"implicitfast, got {name} {by_velocity[row, k].item():g}. Take RigidOptions.integrator = Euler or "
                    "RK4."
                )

    return check


def finite(ends: np.ndarray) -> np.ndarray:
    return np.clip(ends, -UNLIMITED, UNLIMITED)
