"""The constraints on every robot, checked before a solver gets it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.loaders import rotations
from genesis.loaders.parts import (
    ACTUATOR_KINDS,
    BALL,
    FREE,
    GEOM_KINDS,
    GROUND_KINDS,
    HINGE,
    JOINT_KINDS,
    JOINT_SIZES,
    SLIDE,
    VISUAL_KINDS,
    Actuator,
    Geom,
    GroundGeom,
    Joint,
    Visual,
)

if TYPE_CHECKING:
    from genesis.loaders.model import RigidModel

PER_LINK = {"link_pos": 3, "link_quat": 4, "mass": 0, "com": 3, "inertia": 6}
"""Arrays over links and their columns; 0 = a vector."""
PER_DOF = (
    "armature",
    "damping",
    "stiffness",
    "spring_ref",
    "limit_low",
    "limit_high",
    "force_low",
    "force_high",
)
REAL_ARRAYS = (*PER_LINK, "qpos0", *PER_DOF)

UNIT_TOLERANCE = 1e-6
"""Of the length of quaternions and axes: room for numbers that were stored in single precision."""
INERTIA_TOLERANCE = 1e-9
"""Relative; room for rounding in the triangle inequality of principal moments (a thin plate meets it with equality)."""


def check(model: "RigidModel") -> None:
    """Raises GenesisValueError or GenesisTypeError at the first violated constraint."""
    _check_classes(model)
    _check_tree(model)
    _check_sizes(model)
    _check_joints(model)
    _check_links(model)
    _check_dofs(model)
    _check_geoms(model.geoms, model.n_links)
    _check_visuals(model.visuals, model.n_links)
    _check_grounds(model.grounds)
    _check_actuators(model.actuators, model.n_dofs)
    for pair in model.excluded:
        if not (len(pair) == 2 and 0 <= pair[0] < pair[1] < model.n_links):
            _fail("excluded", f"be pairs (i, j) of links, 0 <= i < j < {model.n_links}", pair, "Order each pair.")
    for name, (link, pos, quat) in model.aliases.items():
        _check_index(f"link of alias {name!r}", link, -1, model.n_links)
        _check_finite(f"position of alias {name!r}", pos)
        check_unit(f"quaternion of alias {name!r}", quat)


def moving_links(model: "RigidModel") -> np.ndarray:
    """(L,) bool: a joint of the link or of an ancestor can move it."""
    moving = np.zeros(len(model.link_names), dtype=bool)
    moving[[joint.link for joint in model.joints]] = True
    for link, parent in enumerate(model.parent):
        moving[link] |= parent >= 0 and moving[parent]
    return moving


def check_unit(what: str, vector: Sequence[float] | np.ndarray) -> None:
    """Raises GenesisValueError unless `vector` has length one."""
    length = float(np.linalg.norm(np.asarray(vector, dtype=np.float64)))
    if not abs(length - 1.0) < UNIT_TOLERANCE:
        values = tuple(float(value) for value in vector)
        _fail(what, "have length 1", f"{values} of length {length:g}", "Divide it by its length.")


def _check_classes(model: "RigidModel") -> None:
    expected = {"joints": Joint, "geoms": Geom, "actuators": Actuator, "grounds": GroundGeom, "visuals": Visual}
    expected["link_names"] = str
    for name, kind in expected.items():
        parts = getattr(model, name)
        if not isinstance(parts, tuple):
            raise GenesisTypeError(f"{name} must be a tuple, got {type(parts).__name__}. Pass tuple(...).")
        for part in parts:
            if not isinstance(part, kind):
                raise GenesisTypeError(f"{name} must hold {kind.__name__}s, got {type(part).__name__}. Construct them.")
    for part in (*model.joints, *model.geoms, *model.actuators, *model.grounds, *model.visuals):
        if not isinstance(part.name, str):
            raise GenesisTypeError(f"names must be strings, got {type(part.name).__name__}. Pass str.")
    for names in (model.link_names, tuple(joint.name for joint in model.joints)):
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            _fail("names of links and of joints", "be unique", ", ".join(twice) + " twice", "Rename one.")


def _check_tree(model: "RigidModel") -> None:
    if model.n_links == 0:
        _fail("a robot", "have links", "none", "Add one.")
    _check_shape("parent", model.parent, (model.n_links,))
    for link, parent in enumerate(model.parent.tolist()):
        if not -1 <= parent < link:
            constraint = "come before the link (links are ordered parents first; -1 = world)"
            _fail(f"parent of link {model.link_names[link]!r} (index {link})", constraint, parent, "Reorder the links.")


def _check_sizes(model: "RigidModel") -> None:
    for joint in model.joints:
        _check_choice(f"kind of joint {joint.name!r}", joint.kind, JOINT_KINDS)
    for name, columns in PER_LINK.items():
        _check_shape(name, getattr(model, name), (model.n_links, columns) if columns else (model.n_links,))
    _check_shape("qpos0", model.qpos0, (model.n_qs,))
    for name in PER_DOF:
        _check_shape(name, getattr(model, name), (model.n_dofs,))


def _check_joints(model: "RigidModel") -> None:
    q = dof = link = 0
    ball_of = -1
    for joint in model.joints:
        what = f"joint {joint.name!r}"
        _check_index(f"link of {what}", joint.link, 0, model.n_links)
        if joint.link < link:
            _fail(f"link of {what}", "not come before that of the joint above it", joint.link, "Reorder the joints.")
        if (joint.q, joint.dof) != (q, dof):
            _fail(f"(q, dof) of {what}", f"follow the joints above it: {(q, dof)}", (joint.q, joint.dof), "Count them.")
        alone = sum(other.link == joint.link for other in model.joints) == 1
        if joint.kind == FREE and not (alone and model.parent[joint.link] == -1):
            _fail(what, "be alone on a link without parent, as it is free", "another place", "Move it to a root.")
        if joint.kind in (BALL, HINGE) and ball_of == joint.link:
            _fail(what, "not follow a ball joint on the same link", "that", "Put it before, or on a link of its own.")
        if joint.kind in (HINGE, SLIDE):
            _check_finite(f"axis of {what}", joint.axis)
            check_unit(f"axis of {what}", joint.axis)
        _check_finite(f"anchor of {what}", joint.anchor)
        _check_finite(f"qpos0 of {what}", model.qpos0[q : q + JOINT_SIZES[joint.kind][0]])
        if joint.kind == FREE:
            check_unit(f"quaternion in qpos0 of {what}", model.qpos0[q + 3 : q + 7])
        if joint.kind == BALL:
            ball_of = joint.link
            if not np.allclose(model.qpos0[q : q + 4], (1, 0, 0, 0), rtol=0, atol=UNIT_TOLERANCE):
                _fail(f"qpos0 of {what}", "be (1, 0, 0, 0)", model.qpos0[q : q + 4], "Turn the link's rest pose.")
        q, dof = (now + more for now, more in zip((q, dof), JOINT_SIZES[joint.kind], strict=True))
        link = joint.link


def _check_links(model: "RigidModel") -> None:
    for name in PER_LINK:
        _check_finite(name, getattr(model, name))
    moving = moving_links(model)
    with_joints = {joint.link for joint in model.joints}
    for link, name in enumerate(model.link_names):
        what = f"link {name!r}"
        check_unit(f"quaternion of {what}", model.link_quat[link])
        mass = float(model.mass[link])
        if not moving[link]:
            if mass < 0:
                _fail(f"mass of {what}", "be >= 0", mass, "Change it.")
            continue
        if link not in with_joints:
            _fail(what, "have a joint, as its parent moves", "none", "Merge it into its parent (masses, geoms, alias).")
        if not mass > 0:
            _fail(f"mass of {what}", "be > 0, as the link moves", mass, "Give the body a mass, or geoms of a density.")
        moments = np.linalg.eigvalsh(rotations.symmetric(model.inertia[link]))
        if not moments[0] > 0:
            _fail(
                f"inertia of {what}",
                "be positive definite, as the link moves",
                f"principal moments {tuple(moments.tolist())}",
                "Give it the inertia of a solid.",
            )
        if moments[2] > (moments[0] + moments[1]) * (1 + INERTIA_TOLERANCE):
            _fail(
                f"inertia of {what}",
                "obey the triangle inequality a + b >= c of every body's principal moments",
                f"{tuple(moments.tolist())}",
                "Correct it, or set balanceinertia in the model file.",
            )


def _check_dofs(model: "RigidModel") -> None:
    for name in ("armature", "damping", "stiffness", "spring_ref"):
        _check_finite(name, getattr(model, name))
    for name in ("armature", "damping", "stiffness"):
        if (getattr(model, name) < 0).any():
            _fail(name, "be >= 0", float(getattr(model, name).min()), "Change it.")
    for low_name, high_name in (("limit_low", "limit_high"), ("force_low", "force_high")):
        low, high = getattr(model, low_name), getattr(model, high_name)
        wrong = np.flatnonzero(~(low < high))
        if len(wrong):
            joint = [joint.name for joint in model.joints if joint.dof <= wrong[0]][-1]
            got = f"{low[wrong[0]]:g} and {high[wrong[0]]:g} at joint {joint!r}"
            _fail(f"{low_name} and {high_name}", "be numbers, low < high", got, "Swap or widen them.")
    if (model.force_low > 0).any() or (model.force_high < 0).any():
        _fail("force_low and force_high", "have 0 between them", "another range", "Widen it.")


def _check_shape_on_link(what: str, part: Geom | Visual, links: tuple[int, int]) -> None:
    """`links`: the first index that its link may have, and how many there are."""
    _check_index(f"link of {what}", part.link, *links)
    for name in ("pos", "quat", "size"):
        _check_finite(f"{name} of {what}", getattr(part, name))
    _check_shape(f"size of {what}", np.asarray(part.size), (3,))
    check_unit(f"quaternion of {what}", part.quat)
    n_sizes = {"sphere": 1, "capsule": 2, "cylinder": 2, "hull": 0, "mesh": 0}.get(part.kind, 3)
    if not all(entry > 0 for entry in part.size[:n_sizes]):
        _fail(f"size of {what}", f"have {n_sizes} entries > 0", part.size, "Change it.")


def _check_geoms(geoms: tuple[Geom, ...], n_links: int) -> None:
    for index, geom in enumerate(geoms):
        what = f"geom {geom.name!r}" if geom.name else f"geom {index}"
        _check_choice(f"kind of {what}", geom.kind, GEOM_KINDS)
        _check_shape_on_link(what, geom, (0, n_links))
        _check_friction(what, geom.friction)
        if geom.kind == "hull":
            _check_finite(f"vertices of {what}", geom.vertices)
            if geom.vertices.ndim != 2 or geom.vertices.shape[1] != 3 or len(geom.vertices) < 4:
                _fail(f"vertices of {what}", "have shape (n >= 4, 3)", geom.vertices.shape, "Pass a hull's corners.")


def _check_visuals(visuals: tuple[Visual, ...], n_links: int) -> None:
    for index, seen in enumerate(visuals):
        what = f"visual {seen.name!r}" if seen.name else f"visual {index}"
        _check_choice(f"kind of {what}", seen.kind, VISUAL_KINDS)
        _check_shape_on_link(what, seen, (-1, n_links))
        if seen.tint is not None and not all(0 <= part <= 1 for part in seen.tint):
            _fail(f"tint of {what}", "be from 0 to 1", seen.tint, "Change it.")
        if (seen.kind == "mesh") != (seen.mesh is not None):
            _fail(f"mesh of {what}", "be there if it is of that kind, and only then", seen.mesh, "Change the kind.")
        if seen.mesh is not None:
            _check_finite(f"vertices of {what}", seen.mesh.vertices)
            faces = seen.mesh.faces
            if len(faces) == 0 or not (0 <= faces.min() and faces.max() < len(seen.mesh.vertices)):
                _fail(f"faces of {what}", "be indices of its vertices, one or more", f"{len(faces)}", "Correct them.")


def _check_grounds(grounds: tuple[GroundGeom, ...]) -> None:
    for index, ground in enumerate(grounds):
        what = f"ground {ground.name!r}" if ground.name else f"ground {index}"
        _check_choice(f"kind of {what}", ground.kind, GROUND_KINDS)
        _check_finite(f"pos of {what}", ground.pos)
        check_unit(f"normal of {what}", ground.normal)
        _check_friction(what, ground.friction)
        if ground.kind == "heightfield":
            _check_finite(f"heights of {what}", ground.heights)
            if ground.heights.ndim != 2 or min(ground.heights.shape) < 2:
                _fail(f"heights of {what}", "have shape (nx >= 2, ny >= 2)", ground.heights.shape, "Pass a grid.")
            if not 0 < ground.spacing < np.inf:
                _fail(f"spacing of {what}", "be finite and > 0", ground.spacing, "Change it.")


def _check_actuators(actuators: tuple[Actuator, ...], n_dofs: int) -> None:
    for index, actuator in enumerate(actuators):
        what = f"actuator {actuator.name!r}" if actuator.name else f"actuator {index}"
        _check_choice(f"kind of {what}", actuator.kind, ACTUATOR_KINDS)
        _check_index(f"dof of {what}", actuator.dof, 0, n_dofs)
        _check_finite(f"gear, kp and kv of {what}", (actuator.gear, actuator.kp, actuator.kv))
        if actuator.gear == 0:
            _fail(f"gear of {what}", "not be 0", actuator.gear, "Change it, or remove the actuator.")
        if actuator.kp < 0 or actuator.kv < 0:
            _fail(f"kp and kv of {what}", "be >= 0", (actuator.kp, actuator.kv), "Change them.")
        if not actuator.low < actuator.high:
            _fail(f"range of {what}", "be numbers, low < high", (actuator.low, actuator.high), "Swap or widen it.")


def _check_friction(what: str, friction: float) -> None:
    if not 0 <= friction < np.inf:
        _fail(f"friction of {what}", "be finite and >= 0", friction, "Change it.")


def _check_choice(what: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        _fail(what, f"be one of {', '.join(valid)}", repr(value), "Choose one of these.")


def _check_index(what: str, value: int, low: int, high: int) -> None:
    if not low <= value < high:
        _fail(what, f"be from {low} to {high - 1}", value, "Correct it.")


def _check_finite(what: str, values: Any) -> None:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        _fail(what, "be finite", array[~np.isfinite(array)].flat[0], "Change it.")


def _check_shape(what: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        _fail(what, f"have shape {shape}", array.shape, "Pass one entry each.")


def _fail(what: str, constraint: str, got: Any, remedy: str) -> None:
    raise GenesisValueError(f"{what} must {constraint}, got {got}. {remedy}")
