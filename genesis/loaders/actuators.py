"""MuJoCo's actuators as motors, position and velocity servos on single degrees of freedom, which is what the compliant
contact model has. What MuJoCo's own model has besides: `actuator_table`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from genesis.loaders.lazy_import import mujoco
from genesis.loaders.parts import Actuator


@dataclass(frozen=True)
class _Servo:
    """An actuator, and the range of the joint force that it can give; N or N m."""

    actuator: Actuator
    force_low: float
    force_high: float

    @property
    def has_force_range(self) -> bool:
        return bool(np.isfinite([self.force_low, self.force_high]).any())


@dataclass(frozen=True)
class _Problem:
    category: str
    text: str


def actuator_problems(model: Any) -> list[tuple[str, str]]:
    """(category of refusal, name and reason) of each actuator that cannot be translated."""
    return [(each.category, each.text) for each in _read_all(model) if isinstance(each, _Problem)]


def read_actuators(
    model: Any,
) -> tuple[tuple[Actuator, ...], np.ndarray, np.ndarray]:
    """The actuators that can be translated, and per degree of freedom the range of their forces (D,), (D,)."""
    low, high = np.full(model.nv, -np.inf), np.full(model.nv, np.inf)
    actuators = []
    for servo in _read_all(model):
        if isinstance(servo, _Servo):
            actuators.append(servo.actuator)
            dof = servo.actuator.dof
            low[dof], high[dof] = max(low[dof], servo.force_low), min(high[dof], servo.force_high)
    return tuple(actuators), low, high


def _read_all(model: Any) -> Iterator[_Servo | _Problem]:
    """Each actuator alone, then what several on one degree of freedom must not do together."""
    per_dof: dict[int, list[_Servo]] = {}
    for index in range(getattr(model, "nactuator", model.nu)):
        each = _read(model, index)
        if isinstance(each, _Servo):
            others = per_dof.setdefault(each.actuator.dof, [])
            reason = _clash(others, each)
            if reason:
                yield _Problem("actuator", f"{each.actuator.name} ({reason})")
                continue
            others.append(each)
        yield each


def _clash(others: list[_Servo], new: _Servo) -> str | None:
    """Why one degree of freedom cannot have all of these, or None."""
    if not others:
        return None
    servos = [servo.actuator for servo in (*others, new)]
    kinds = [actuator.kind for actuator in servos]
    if any(servo.has_force_range for servo in (*others, new)):
        return "shares its joint with another actuator, and one of them has a range of force"
    for kind in ("position", "velocity"):
        if kinds.count(kind) > 1:
            return f"is a second {kind} actuator on its joint"
    if "velocity" in kinds and any(actuator.kind == "position" and actuator.kv for actuator in servos):
        return "shares its joint with a position and a velocity actuator that both damp it"
    return None


def _read(model: Any, index: int) -> _Servo | _Problem:
    name = model.actuator(index).name or f"actuator {index}"
    free, ball = int(mujoco().mjtJoint.mjJNT_FREE), int(mujoco().mjtJoint.mjJNT_BALL)
    gains, biases = mujoco().mjtGain, mujoco().mjtBias
    if model.actuator_dyntype[index] != int(mujoco().mjtDyn.mjDYN_NONE):
        return _Problem("activation", name)
    if model.actuator_trntype[index] != int(mujoco().mjtTrn.mjTRN_JOINT):
        return _Problem("transmission", name)
    joint = model.actuator_trnid[index, 0]
    kind, dof = int(model.jnt_type[joint]), int(model.jnt_dofadr[joint])
    n_dofs = {free: 6, ball: 3}.get(kind, 1)
    used = np.flatnonzero(model.actuator_gear[index, :n_dofs])
    if len(used) != 1:
        return _Problem("transmission", f"{name} (gear must have one entry other than zero)")
    gear = float(model.actuator_gear[index, used[0]])
    gain, bias = model.actuator_gainprm[index], model.actuator_biasprm[index]
    if model.actuator_gaintype[index] != int(gains.mjGAIN_FIXED) or gain[1:].any() or _has_new_features(model, index):
        return _Problem("actuator", name)
    affine = model.actuator_biastype[index] == int(biases.mjBIAS_AFFINE)
    if not affine and model.actuator_biastype[index] != int(biases.mjBIAS_NONE):
        return _Problem("actuator", name)
    law = _law(float(gain[0]), tuple(bias[:3].tolist()) if affine and not bias[3:].any() else None, affine)
    if law is None or gain[0] == 0:
        return _Problem("actuator", name)
    law_kind, kp, kv, scale = law
    if law_kind == "position" and kind == free:
        return _Problem("actuator", f"{name} (a position actuator on a free joint)")
    low, high = _range(model.actuator_ctrllimited[index], model.actuator_ctrlrange[index])
    ends = [gear * end for end in _range(model.actuator_forcelimited[index], model.actuator_forcerange[index])]
    actuator = Actuator(name, dof + int(used[0]), gear * scale, law_kind, kp, kv, low, high)
    return _Servo(actuator, min(ends), max(ends))


def _law(gain: float, bias: tuple[float, ...] | None, affine: bool) -> tuple[str, float, float, float] | None:
    """(kind, kp, kv, factor of the gear) of: gain * control + bias[0] + bias[1] * length + bias[2] * velocity."""
    if not affine:
        return "force", 0.0, 0.0, gain
    if bias is None or bias[0] != 0:
        return None
    stiffness, damping = -bias[1], -bias[2]
    if stiffness == 0 and damping == 0:
        return "force", 0.0, 0.0, gain
    if stiffness == gain and gain > 0 and damping >= 0:
        return "position", gain, damping, 1.0
    if stiffness == 0 and damping == gain and gain > 0:
        return "velocity", 0.0, gain, 1.0
    return None


def _has_new_features(model: Any, index: int) -> bool:
    """Whether it uses what later versions of MuJoCo added: delays, own armature or damping, several controls."""
    zero = ("actuator_armature", "actuator_damping", "actuator_dampingpoly", "actuator_delay")
    one = ("actuator_ctrlnum", "actuator_outnum")
    arrays = [(getattr(model, name, None), expected) for names, expected in ((zero, 0), (one, 1)) for name in names]
    return any(array is not None and np.any(array[index] != expected) for array, expected in arrays)


def _range(limited: bool, ends: np.ndarray) -> tuple[float, float]:
    return (float(ends[0]), float(ends[1])) if limited else (-np.inf, np.inf)
