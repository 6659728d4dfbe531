"""Flags of a file that switch physics off, or override numbers, written into the numbers themselves."""

import copy
from typing import Any

import numpy as np

from genesis.loaders.lazy_import import mujoco

SEEN_ALONE = 1 << 30
"""contype of geoms that are there to be looked at, as bits of no other geom."""
LEFT_OUT = ("CONTACT", "CONSTRAINT", "LIMIT", "FRICTIONLOSS", "EQUALITY", "SPRING", "DAMPER", "PASSIVE")
"""Flags whose effect is always one of numbers."""


def flags_in_numbers(model: Any) -> Any:
    """A compiled model that moves as this one, with as few flags as can be: a copy, or itself where there are none.

    What acts is the same; that a switch is off can no longer be seen of those that it has been for.
    """
    option = model.opt
    if not (option.disableflags or option.enableflags or getattr(option, "disableactuator", 0)):
        return model
    model = copy.copy(model)
    names = [name for name in LEFT_OUT if not (name in ("CONTACT", "CONSTRAINT") and model.npair)]
    off = {name for name in names if _take(model, name)}
    if off & {"CONTACT", "CONSTRAINT"}:
        touching = (model.geom_contype | model.geom_conaffinity) != 0
        model.geom_contype[:], model.geom_conaffinity[:] = np.where(touching, SEEN_ALONE, 0), 0
    if off & {"LIMIT", "CONSTRAINT"}:
        model.jnt_limited[:] = model.tendon_limited[:] = 0
    if off & {"FRICTIONLOSS", "CONSTRAINT"}:
        model.dof_frictionloss[:] = model.tendon_frictionloss[:] = 0
    if off & {"EQUALITY", "CONSTRAINT"}:
        model.eq_active0[:] = 0
    if off & {"SPRING", "PASSIVE"}:
        _clear(model, "jnt_stiffness", "jnt_stiffnesspoly", "tendon_stiffness", "tendon_stiffnesspoly")
    if off & {"DAMPER", "PASSIVE"}:
        _clear(model, "dof_damping", "dof_dampingpoly", "tendon_damping", "tendon_dampingpoly")
    if "PASSIVE" in off or {"SPRING", "DAMPER"} <= off:  # then MuJoCo leaves out all that is passive
        _clear(model, "body_gravcomp")
        model.opt.density = model.opt.viscosity = 0.0
    _leave_out_actuators(model)
    _override(model)
    return model


def _take(model: Any, name: str) -> bool:
    """Whether a flag is off; it is on afterwards."""
    bit = int(getattr(mujoco().mjtDisableBit, f"mjDSBL_{name}", 0))
    found = bool(model.opt.disableflags & bit)
    model.opt.disableflags &= ~bit
    return found


def _clear(model: Any, *names: str) -> None:
    for name in names:
        if hasattr(model, name):
            getattr(model, name)[:] = 0


def _leave_out_actuators(model: Any) -> None:
    """Those that are switched off get no force; but not where activations would stand still, or carry gravity."""
    count = getattr(model, "nactuator", model.nu)
    bit = int(mujoco().mjtDisableBit.mjDSBL_ACTUATION)
    if model.opt.disableflags & bit:
        chosen = np.arange(count)
        if model.jnt_actgravcomp.any():
            return
    else:
        groups = int(getattr(model.opt, "disableactuator", 0))
        chosen = np.array([index for index in range(count) if groups >> int(model.actuator_group[index]) & 1], int)
    if np.any(model.actuator_dyntype[chosen] != int(mujoco().mjtDyn.mjDYN_NONE)):
        return
    model.actuator_gaintype[chosen] = int(mujoco().mjtGain.mjGAIN_FIXED)
    model.actuator_biastype[chosen] = int(mujoco().mjtBias.mjBIAS_NONE)
    model.actuator_gainprm[chosen] = model.actuator_biasprm[chosen] = 0
    model.opt.disableflags &= ~bit
    if hasattr(model.opt, "disableactuator"):
        model.opt.disableactuator = 0


def _override(model: Any) -> None:
    """Margin, solref, solimp and friction of all contacts; as long as both tangents have one friction."""
    bit, option = int(mujoco().mjtEnableBit.mjENBL_OVERRIDE), model.opt
    first, second, spin, roll, other = option.o_friction.tolist()
    if option.enableflags & bit and first == second and roll == other and not model.npair:
        model.geom_priority[:] = 0
        model.geom_margin[:] = 0.5 * option.o_margin
        model.geom_solref[:], model.geom_solimp[:] = option.o_solref, option.o_solimp
        model.geom_friction[:] = first, spin, roll
        option.enableflags &= ~bit
