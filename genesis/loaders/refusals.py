"""What a model file may hold that the compliant contact model does not have, found in MuJoCo's compiled model, by name.

What MuJoCo's own contact model does not have here: `genesis/loaders/mujoco_refusals.py`.

Left out without a word, because they change nothing that is simulated here: cameras, lights, materials, textures,
skins, keyframes, sensors, sizes, statistics, visual settings, user data, geoms that touch nothing. Also not taken over
by that model, because they belong to MuJoCo's own numerical method: timestep, integrator, cone, solver and its
tolerances, impratio, solref, solimp, solmix, priority, friction's torsional and rolling parts (condim 3 has none).
Gravity is the scene's.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.loaders.actuators import actuator_problems
from genesis.loaders.lazy_import import mujoco
from genesis.loaders.links import touches

WHEN_ALLOWED = {
    "activation": "actuators with these inner dynamics are left out",
    "actuator": "actuators with these laws of force are left out",
    "adhesion": "adhesion is left out",
    "ball_limit": "limits of ball joints are left out",
    "condim": "every contact has condim 3: sliding friction, no torsional or rolling friction",
    "equality": "equality constraints are left out",
    "exclude": "the pair of merged bodies stays able to touch",
    "flag": "what the option switches off or overrides stays as usual",
    "flex": "flexible bodies are left out",
    "fluid": "the medium's density, viscosity and wind are left out",
    "free_spring": "springs of free joints are left out",
    "frictionloss": "dry friction of joints is left out",
    "gap": "contact gaps are taken as zero",
    "gravcomp": "gravity compensation is left out",
    "margin": "margins of contacts and limits are taken as zero",
    "mimic": "joints that mimic another move on their own",
    "mocap": "mocap bodies, or with MujocoContact grounds on them, are fixed to the world",
    "nonlinear": "springs and dampers keep their linear part only",
    "noslip": "contacts creep as with noslip_iterations at zero; MujocoContact.impratio makes that less",
    "pair": "explicit contact pairs are left out",
    "plugin": "plugins are left out",
    "sdf": "geoms given by a signed distance are left out",
    "surface_velocity": "surface velocities are left out",
    "tendon": "tendons are left out",
    "transmission": "actuators with these transmissions are left out",
    "yield": "springs do not yield",
}
"""The names to allow, and what then happens."""

DISABLING = ("CONSTRAINT", "LIMIT", "CONTACT", "PASSIVE", "SPRING", "DAMPER", "GRAVITY", "CLAMPCTRL", "ACTUATION")
"""MuJoCo's flags that switch physics off; its others are numerical."""


def check_allowed(allow: Iterable[str]) -> frozenset[str]:
    """The names as a set. Raises GenesisTypeError for a bare string, GenesisValueError for an unknown name."""
    if isinstance(allow, str) or not isinstance(allow, Iterable):
        raise GenesisTypeError(f"allow must be a sequence of names, got {allow!r}. Pass a tuple.")
    names = frozenset(allow)
    unknown = sorted(str(name) for name in names if name not in WHEN_ALLOWED)
    if unknown:
        raise GenesisValueError(
            f"allow must name unsupported elements, got {', '.join(unknown)}. Valid ones: {', '.join(WHEN_ALLOWED)}."
        )
    return names


def refuse(
    source: str, found: dict[str, list[str]], allowed: frozenset[str], elsewhere: Iterable[str] = ()
) -> list[str]:
    """Warnings for what is found and allowed. Raises GenesisValueError that lists all that is not allowed.

    Args:
        elsewhere: categories of which MuJoCo's contact model has all that is found.
    """
    refused = {category: names for category, names in found.items() if category not in allowed}
    if refused:
        listing = "; ".join(f"{category}: {', '.join(names)}" for category, names in refused.items())
        there = [category for category in refused if category in set(elsewhere)]
        named = "all" if len(there) == len(refused) else ", ".join(there)
        hint = f" RigidOptions(contact=MujocoContact()) has {named} of these." if there else ""
        raise GenesisValueError(
            f"{source} must hold supported elements only, got {listing}. Remove them, or pass "
            f"allow={tuple(refused)!r} to load without them.{hint}"
        )
    return [
        f"{source}: {category} ({', '.join(names)}): {WHEN_ALLOWED[category]}." for category, names in found.items()
    ]


def unsupported(model: Any, exclude_problems: list[str]) -> dict[str, list[str]]:
    """Category -> names of the elements of that kind, in the order of `WHEN_ALLOWED`; empty categories left out."""
    found: dict[str, list[str]] = {category: [] for category in WHEN_ALLOWED}
    for category, text in actuator_problems(model):
        found[category].append(text)
    found["exclude"] += exclude_problems
    _find_objects(model, found)
    _find_options(model, found)
    _find_in_joints(model, found)
    _find_in_geoms(model, found)
    return {category: names for category, names in found.items() if names}


def _find_objects(model: Any, found: dict[str, list[str]]) -> None:
    for category, accessor, count in (
        ("tendon", model.tendon, model.ntendon),
        ("equality", model.equality, model.neq),
        ("pair", model.pair, model.npair),
    ):
        found[category] += [_label(category, index, accessor(index).name) for index in range(count)]
    found["flex"] += [f"flex {index}" for index in range(model.nflex)]
    found["plugin"] += [f"plugin {index}" for index in range(model.nplugin)]
    for index in range(model.nbody):
        label = _label("body", index, model.body(index).name)
        if model.body_mocapid[index] >= 0:
            found["mocap"].append(label)
        if model.body_gravcomp[index] != 0:
            found["gravcomp"].append(label)


def _find_options(model: Any, found: dict[str, list[str]]) -> None:
    option = model.opt
    for name in ("density", "viscosity", "wind"):
        if np.any(getattr(option, name) != 0):
            found["fluid"].append(name)
    for name in DISABLING:
        bit = getattr(mujoco().mjtDisableBit, f"mjDSBL_{name}", None)
        if bit is not None and option.disableflags & int(bit):
            found["flag"].append(f"{name.lower()} disabled")
    if option.enableflags & int(mujoco().mjtEnableBit.mjENBL_OVERRIDE):
        found["flag"].append("override enabled")
    if getattr(option, "disableactuator", 0):
        found["flag"].append("actuator groups disabled")


def _find_in_joints(model: Any, found: dict[str, list[str]]) -> None:
    ball, free = int(mujoco().mjtJoint.mjJNT_BALL), int(mujoco().mjtJoint.mjJNT_FREE)
    for index in range(model.njnt):
        label = _label("joint", index, model.joint(index).name)
        kind, dof = model.jnt_type[index], model.jnt_dofadr[index]
        if kind == ball and model.jnt_limited[index]:
            found["ball_limit"].append(label)
        if kind == free and np.ravel(model.jnt_stiffness[index])[0] != 0:
            found["free_spring"].append(label)
        if model.dof_frictionloss[dof] != 0:
            found["frictionloss"].append(label)
        if model.jnt_limited[index] and model.jnt_margin[index] != 0:
            found["margin"].append(label)
        if model.jnt_actgravcomp[index]:
            found["gravcomp"].append(label)
        for category, nonzero in (
            ("nonlinear", np.ravel(model.jnt_stiffness[index])[1:]),
            ("nonlinear", np.ravel(model.dof_damping[dof])[1:]),
            ("nonlinear", _newer(model, "jnt_stiffnesspoly", index)),
            ("nonlinear", _newer(model, "dof_dampingpoly", dof)),
            ("yield", _newer(model, "jnt_springyield", index)),
        ):
            if np.any(nonzero != 0) and label not in found[category]:
                found[category].append(label)


def _find_in_geoms(model: Any, found: dict[str, list[str]]) -> None:
    conditions: tuple[tuple[str, Callable[[int], bool]], ...] = (
        ("condim", lambda index: model.geom_condim[index] != 3),
        ("margin", lambda index: model.geom_margin[index] != 0),
        ("gap", lambda index: model.geom_gap[index] != 0),
        ("sdf", lambda index: model.geom_type[index] == int(mujoco().mjtGeom.mjGEOM_SDF)),
        ("adhesion", lambda index: bool(np.any(_newer(model, "geom_adhesion", index) != 0))),
        ("surface_velocity", lambda index: bool(np.any(_newer(model, "geom_surfacevel", index) != 0))),
    )
    for index in range(model.ngeom):
        if not touches(model, index):
            continue
        label = _label("geom", index, model.geom(index).name)
        for category, broken in conditions:
            if broken(index):
                found[category].append(label)


def _newer(model: Any, name: str, index: int) -> np.ndarray:
    """An entry of an array that only later versions of MuJoCo have; else zero."""
    array = getattr(model, name, None)
    return np.zeros(1) if array is None else np.ravel(array[index])


def _label(kind: str, index: int, name: str) -> str:
    return name or f"{kind} {index}"
