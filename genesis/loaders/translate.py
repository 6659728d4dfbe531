"""From MuJoCo's compiled model to ours."""

from collections.abc import Callable
from typing import Any

import numpy as np

from genesis.errors import GenesisValueError
from genesis.loaders.actuators import read_actuators
from genesis.loaders.contacts import read_exclusions, read_geoms, read_grounds
from genesis.loaders.links import Links, aliases, mass_properties, three
from genesis.loaders.model import RigidModel
from genesis.loaders.mujoco_flags import flags_in_numbers
from genesis.loaders.mujoco_read import read_numbers
from genesis.loaders.mujoco_refusals import (
    check_for_mujoco,
    grouped,
    known_to_mujoco_model,
    unsupported_by_mujoco_model,
)
from genesis.loaders.parts import BALL, FREE, HINGE, JOINT_SIZES, ORIGIN, SLIDE, Joint
from genesis.loaders.reading import Reading
from genesis.loaders.refusals import refuse, unsupported
from genesis.loaders.visuals import read_visuals

WORLD = "world"
"""Name of the link that holds the geoms fixed to the world itself, if there are any."""
STANDARD_GRAVITY = (0.0, 0.0, -9.81)
"""m/s^2, MuJoCo's default; a file with another one expects something that a robot does not bring along."""

JOINT_TYPES = (FREE, BALL, SLIDE, HINGE)
"""In the order of MuJoCo's mjtJoint."""


def translate(
    model: Any, name: str, source: str, allowed: frozenset[str], reading: Reading, contact: str
) -> tuple[RigidModel, list[str]]:
    """The robot, and warnings about what of the file it lacks.

    Args:
        source: what messages call the file.
        reading: of the file, with what is in it but not in `model`.
        contact: the contact model that is to simulate it, "compliant" | "mujoco".
    """
    compliant, original, lost = contact == "compliant", model, reading.lost
    reduced = flags_in_numbers(model)
    model = model if compliant else reduced
    links = Links(model, with_pairs=contact == "mujoco")
    excluded, partly = read_exclusions(model, links)
    of_mujoco = grouped(unsupported_by_mujoco_model(reduced))
    lacking = unsupported(original, partly) | lost if compliant else of_mujoco
    if "mimic" in lost:  # constraints of a URDF file are of those joints
        lacking.pop("equality", None)
    elsewhere = [*known_to_mujoco_model(reduced, lacking), *(category for category in lost if category in lacking)]
    warnings = refuse(source, lacking, allowed, dict.fromkeys(elsewhere) if compliant else ())
    if compliant and np.any(model.opt.gravity != STANDARD_GRAVITY):
        told = tuple(model.opt.gravity.tolist())
        warnings.append(f"{source}: its gravity {told} is left out, because the scene has its own.")
    if not links.bodies:
        raise GenesisValueError(f"{source} must hold bodies, got none. Add one.")
    _check_ranges(model, source)
    mass, com, inertia = mass_properties(model, links)
    joints = _joints(model, links)
    limits = _limits(model)
    actuators, force_low, force_high = read_actuators(model)
    low, high = _joint_force_ranges(model)
    robot = RigidModel(
        name=name,
        link_names=_unique([model.body(body).name if body else WORLD for body in links.bodies], "link"),
        parent=np.array(links.parent),
        link_pos=np.array([pos for pos, _ in links.rest]),
        link_quat=np.array([quat for _, quat in links.rest]),
        mass=mass,
        com=com,
        inertia=inertia,
        joints=joints,
        qpos0=model.qpos0.copy(),
        armature=model.dof_armature.copy(),
        damping=_first_column(model.dof_damping, model.nv),
        stiffness=_over_dofs(model, lambda joint: _joint_stiffness(model, joint)),
        spring_ref=_over_dofs(model, lambda joint: _spring_reference(model, joint)),
        limit_low=limits[0],
        limit_high=limits[1],
        force_low=np.maximum(force_low, low),
        force_high=np.minimum(force_high, high),
        geoms=read_geoms(model, links, source),
        excluded=excluded,
        actuators=actuators,
        aliases=aliases(model, links),
        grounds=read_grounds(model, links, source),
        mujoco=read_numbers(model, links, name, allowed),
        visuals=read_visuals(model, links, reading.looks),
    ).validate()
    if not compliant:
        check_for_mujoco(robot)
    return robot, warnings


def _check_ranges(model: Any, source: str) -> None:
    """Raises GenesisValueError for ranges the wrong way round, which MuJoCo reads as no range at all."""
    for kind, ranges, name in (
        ("range of joint", model.jnt_range, model.joint),
        ("range of force of joint", model.jnt_actfrcrange, model.joint),
        ("range of control of actuator", model.actuator_ctrlrange, model.actuator),
        ("range of force of actuator", model.actuator_forcerange, model.actuator),
    ):
        for index in np.flatnonzero(~(ranges[:, 0] <= ranges[:, 1])):
            low, high = ranges[index].tolist()
            label = name(int(index)).name or int(index)
            raise GenesisValueError(
                f"{kind} {label!r} of {source} must have low < high, got {low:g} and {high:g}. Swap them."
            )


def _joints(model: Any, links: Links) -> tuple[Joint, ...]:
    labels = _unique([model.joint(index).name for index in range(model.njnt)], "joint")
    joints = []
    for index in range(model.njnt):
        kind = _kind(model, index)
        joints.append(
            Joint(
                name=labels[index],
                kind=kind,
                link=int(links.of_body[model.jnt_bodyid[index]]),
                axis=three(model.jnt_axis[index]) if kind in (HINGE, SLIDE) else ORIGIN,
                anchor=three(model.jnt_pos[index]) if kind in (HINGE, BALL) else ORIGIN,
                q=int(model.jnt_qposadr[index]),
                dof=int(model.jnt_dofadr[index]),
            )
        )
    return tuple(joints)


def _kind(model: Any, joint: int) -> str:
    return JOINT_TYPES[model.jnt_type[joint]]


def _over_dofs(model: Any, of_joint: Callable[[int], float]) -> np.ndarray:
    """(D,) a number per joint, repeated over its degrees of freedom."""
    sizes = [JOINT_SIZES[_kind(model, joint)][1] for joint in range(model.njnt)]
    return np.repeat(np.array([of_joint(joint) for joint in range(model.njnt)], dtype=np.float64), sizes)


def _joint_stiffness(model: Any, joint: int) -> float:
    return 0.0 if _kind(model, joint) == FREE else float(np.ravel(model.jnt_stiffness[joint])[0])


def _spring_reference(model: Any, joint: int) -> float:
    return float(model.qpos_spring[model.jnt_qposadr[joint]]) if _kind(model, joint) in (HINGE, SLIDE) else 0.0


def _limits(model: Any) -> tuple[np.ndarray, np.ndarray]:
    limited = [model.jnt_limited[joint] and _kind(model, joint) in (HINGE, SLIDE) for joint in range(model.njnt)]
    low = _over_dofs(model, lambda joint: model.jnt_range[joint, 0] if limited[joint] else -np.inf)
    high = _over_dofs(model, lambda joint: model.jnt_range[joint, 1] if limited[joint] else np.inf)
    return low, high


def _joint_force_ranges(model: Any) -> tuple[np.ndarray, np.ndarray]:
    limited = model.jnt_actfrclimited
    low = _over_dofs(model, lambda joint: model.jnt_actfrcrange[joint, 0] if limited[joint] else -np.inf)
    high = _over_dofs(model, lambda joint: model.jnt_actfrcrange[joint, 1] if limited[joint] else np.inf)
    return low, high


def _unique(names: list[str], kind: str) -> tuple[str, ...]:
    """The names, with "<kind> <index>" for those without one."""
    return tuple(name or f"{kind} {index}" for index, name in enumerate(names))


def _first_column(array: np.ndarray, rows: int) -> np.ndarray:
    return np.array(array, dtype=np.float64).reshape(rows, -1)[:, 0] if rows else np.zeros(0)
