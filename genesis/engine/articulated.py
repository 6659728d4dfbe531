"""From morphs to articulated bodies and grounds, and from these to the numbers of the rigid solver."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from genesis import morphs, runtime
from genesis.engine.entities.articulated import ActuatorOffsets, EntityOffsets
from genesis.engine.entities.base import Entity
from genesis.engine.entities.ground import GroundEntity
from genesis.engine.entities.rigid import RigidEntity
from genesis.engine.inputs import numeric
from genesis.engine.parameters import Constraint, Parameter
from genesis.errors import GenesisRuntimeError, GenesisValueError
from genesis.loaders.files import load_mjcf, load_urdf
from genesis.loaders.library import load_robot
from genesis.loaders.model import HINGE, SLIDE, GroundGeom, RigidModel, fuse, hull, nothing, place, primitive
from genesis.loaders.mujoco_flags import SEEN_ALONE
from genesis.loaders.pairs import without_grounds
from genesis.loaders.switches import without_constraints, without_contact, without_limits
from genesis.materials import FRICTION_RANGE, Rigid
from genesis.meshes.decomposition import convex_parts
from genesis.meshes.hull import triangles
from genesis.meshes.surface import Surface
from genesis.options import CompliantContact, MujocoContact, RigidOptions, SimOptions
from genesis.solvers.rigid import prepare
from genesis.solvers.rigid.publish import WORLD, LinkCollider, link_colliders
from genesis.solvers.rigid.setups import initial_parameters, owners, parameter_layout, places
from genesis.solvers.rigid.solver import RigidSolver
from genesis.surfaces import Default

FRICTION = 0.7
"""Coulomb coefficient of a primitive whose material has none."""
NEARLY_CONVEX = 1.05
"""Of the volume of a mesh's hull over that of the mesh: up to this nothing is told."""
EVERYTHING = 2**31 - 1
"""Group and mask of a ground that touches every shape that touches anything."""
SHORTEST_IMPACT = 10.0
"""Substeps that an impact should last. With 15 the slope of what leaves over what arrives is right to a fifth."""
OF_MATERIALS = ("friction", "coup_friction")
"""Parameters that a material may give."""
POSITIVE = Constraint(0.0, math.inf)
NOT_NEGATIVE = Constraint(0.0, math.inf, closed=True)
SETTERS = {
    "mass": "set_mass",
    "inertia": "set_inertia",
    "friction": "set_friction",
    "coup_friction": "set_coup_friction",
    "force_low": "set_dofs_force_range",
    "force_high": "set_dofs_force_range",
    "contact_stiffness": "set_contact_stiffness",
    "damping": "set_dofs_damping",
    "armature": "set_dofs_armature",
    "stiffness": "set_dofs_stiffness",
    "kp": "set_dofs_kp",
    "kv": "set_dofs_kv",
    "size": "set_geoms_size",
    "actuator_gain": "set_actuators_gain",
    "actuator_bias": "set_actuators_bias",
}


@dataclass(frozen=True, eq=False)
class RigidSystem:
    """All that the rigid solver moves, and what it stands on."""

    bodies: list[RigidEntity]
    grounds: list[GroundEntity]
    model: RigidModel
    """All bodies in one."""
    options: RigidOptions

    @property
    def parameter_layout(self) -> dict[str, tuple[int, tuple[int, ...]]]:
        """Name -> (first index, shape) of the solver's parameters."""
        return parameter_layout(self.options, self.model, [ground.geom for ground in self.grounds])


def entities_of(
    idx: int, name: str, morph: morphs.Morph, material: Rigid, surface: Default, options: RigidOptions
) -> list[Entity]:
    """The body or ground of a morph with material Rigid, and after it the grounds of its file."""
    if isinstance(morph, morphs.Plane | morphs.Terrain):
        geom = _ground_geom(name, morph)
        if options.disable_constraint or not options.enable_collision:
            geom = replace(geom, group=geom.group & ~SEEN_ALONE, mask=geom.mask & ~SEEN_ALONE)
        return [GroundEntity(idx, name, morph, material, surface, geom)]
    model, grounds = load(morph, material, options)
    if isinstance(morph, morphs.FileMorph):  # environments place the package's own robots
        _warn_of_start(name, model)
    body = RigidEntity(idx, name, morph, material, surface, replace(model, name=name, grounds=tuple(grounds)))
    found: list[Entity] = [body]
    for geom in grounds:
        found.append(GroundEntity(idx + len(found), f"{name}/{geom.name}", _morph_of(geom), material, surface, geom))
    return found


def _warn_of_start(name: str, model: RigidModel) -> None:
    """Joints that begin outside of their ranges are thrown into them."""
    outside = [
        f"{joint.name!r} at {start:.3g} of {low:.3g} to {high:.3g}"
        for joint in model.joints
        if joint.kind in (HINGE, SLIDE)
        for start, low, high in [(model.qpos0[joint.q], model.limit_low[joint.dof], model.limit_high[joint.dof])]
        if not low - 1e-6 <= start <= high + 1e-6
    ]
    if outside:
        runtime.logger.warning(
            f"joints of {name!r} must start within their limits, got {', '.join(outside[:4])}"
            f"{f' and {len(outside) - 4} more' if len(outside) > 4 else ''}, from where the limits throw them. "
            "Set a start with set_qpos before the first step."
        )


def load(morph: morphs.Morph, material: Rigid, options: RigidOptions) -> tuple[RigidModel, Sequence[GroundGeom]]:
    """The robot of a morph at its pose, and the grounds that come with it."""
    contact = "mujoco" if isinstance(options.contact, MujocoContact) else "compliant"
    match morph:
        case morphs.MJCF():
            model = load_mjcf(_path(morph), morph.fixed, morph.allow, contact=contact, repair=morph.repair)
        case morphs.URDF():
            model = load_urdf(_path(morph), morph.fixed, morph.allow, contact=contact, repair=morph.repair)
        case morphs.Robot():
            model = load_robot(morph.name)
        case _:
            model = _primitive(morph, material)
    if options.disable_constraint:
        model = without_constraints(model)
    elif not options.enable_collision:
        model = without_contact(model)
    if not options.enable_joint_limit:
        model = without_limits(model)
    model = place(model, morph.pos, morph.orientation)
    if isinstance(morph, morphs.MJCF | morphs.Robot) and not morph.ground:
        record = model.mujoco
        return replace(model, grounds=(), mujoco=None if record is None else without_grounds(record)), ()
    return model, model.grounds


def _path(morph: morphs.FileMorph) -> str:
    return os.fspath(morph.file or "")


def _primitive(morph: morphs.Morph, material: Rigid) -> RigidModel:
    match morph:
        case morphs.Mesh():
            return _hull(morph, material)
        case morphs.Capsule() if morph.height > 0.0:
            kind, size = "capsule", [morph.radius, morph.height / 2]
        case morphs.Sphere() | morphs.Capsule():
            kind, size = "sphere", [morph.radius]
        case morphs.Box():
            kind, size = "box", list(morph.half_extent)
        case morphs.Cylinder():
            kind, size = "cylinder", [morph.radius, morph.height / 2]
        case _:
            raise AssertionError(f"{type(morph).__name__} is no solid")
    return primitive(kind, size, material.rho * morph.volume, FRICTION, morph.fixed)


def _hull(morph: morphs.Mesh, material: Rigid) -> RigidModel:
    """The convex hull of a mesh, or those of its parts, with the mesh's own mass and inertia."""
    surface, mass = morph.surface, material.rho * morph.volume
    parts = convex_parts(surface) if morph.decompose else [surface.vertices]
    hulls, volume = [], 0.0
    for part in parts:
        corners, faces = triangles(part)
        corners, faces = corners[np.unique(faces)], np.unique(faces, return_inverse=True)[1].reshape(-1, 3)
        hulls.append(corners)
        volume += Surface(corners, faces).volume
    ratio = volume / morph.volume
    if ratio > NEARLY_CONVEX:
        whose = f"{len(hulls)} hulls have together" if morph.decompose else "hull has"
        remedy = "Build it" if morph.decompose else "Pass decompose=True, or build it"
        runtime.logger.warning(
            f"rigid meshes must be convex to touch as they are, got {str(morph.file)!r}, whose {whose} {ratio:.3g} "
            f"times its volume. Its mass and inertia are its own. {remedy} from convex geoms of an MJCF file."
        )
    return hull(surface, hulls, mass, FRICTION, morph.fixed, "mesh")


def _ground_geom(name: str, morph: morphs.Plane | morphs.Terrain) -> GroundGeom:
    if isinstance(morph, morphs.Plane):
        return GroundGeom(name, "plane", morph.pos, morph.normal, 0.0, EVERYTHING, EVERYTHING)
    up, heights = (0.0, 0.0, 1.0), np.asarray(morph.heights)
    return GroundGeom(name, "heightfield", morph.pos, up, 0.0, EVERYTHING, EVERYTHING, heights, morph.spacing)


def _morph_of(geom: GroundGeom) -> morphs.Morph:
    if geom.kind == "plane":
        return morphs.Plane(pos=geom.pos, normal=geom.normal)
    return morphs.Terrain(pos=geom.pos, heights=geom.heights, spacing=geom.spacing)


def assemble(entities: Sequence[Entity], options: RigidOptions, sim: SimOptions, matter: bool) -> RigidSystem | None:
    """The system of the rigid entities, each of which learns its offsets in it; None if there are none.

    Args:
        matter: Whether there is something else that a ground may hold.

    Raises:
        GenesisRuntimeError: Grounds that hold nothing.
        GenesisValueError: Two planes in one place.
    """
    bodies = [entity for entity in entities if isinstance(entity, RigidEntity)]
    grounds = [entity for entity in entities if isinstance(entity, GroundEntity)]
    if not bodies and not grounds:
        return None
    if not bodies and not matter:
        raise GenesisRuntimeError(
            f"a scene with a ground must have a body on it, got {grounds[0].name!r} alone. Add one with material Rigid."
        )
    _check_apart(grounds)
    of_files = {body.idx + 1 + k for body in bodies for k in range(len(body.model.grounds))}
    grounds.sort(key=lambda ground: ground.idx not in of_files)  # first those of the model, in its order
    rigid_system = RigidSystem(bodies, grounds, fuse([body.model for body in bodies]) if bodies else nothing(), options)
    _set_offsets(rigid_system, sim)
    return rigid_system


def _check_apart(grounds: Sequence[GroundEntity]) -> None:
    planes: list[tuple[GroundEntity, np.ndarray]] = []
    for ground in grounds:
        if ground.geom.kind == "plane":
            normal = np.array(ground.geom.normal)
            plane = np.append(normal, normal @ np.array(ground.geom.pos))
            twin = next((other for other, there in planes if np.allclose(plane, there, atol=1e-9)), None)
            if twin is not None:
                raise GenesisValueError(
                    f"grounds must not lie in one plane, got {twin.name!r} and {ground.name!r}, which would push "
                    "twice. Leave one out; that of a model file with ground=False."
                )
            planes.append((ground, plane))


def _set_offsets(rigid_system: RigidSystem, sim: SimOptions) -> None:
    """Tell every entity where its numbers are."""
    points = places(rigid_system.options, rigid_system.model)
    n_bodies = len(rigid_system.bodies)
    mujoco = isinstance(rigid_system.options.contact, MujocoContact)
    substep = sim.dt / (rigid_system.options.substeps or sim.substeps)
    q, activations, mocaps, before = 0, 0, 0, {"links": 0, "geoms": 0, "dofs": 0, "actuators": 0}
    for k, body in enumerate(rigid_system.bodies):
        firsts, numbers = {}, {}
        for b, (name, owner, (begin, shape)) in enumerate(_body_parameters(rigid_system)):
            firsts[name], numbers[name] = begin + before[owner] * math.prod(shape[1:]), b * n_bodies + k
        link = before["links"]
        mine = [i for i, point in enumerate(points) if link <= point.link < link + body.n_links]
        prefix = f"{body.model.name}[{k}]/" if n_bodies > 1 else ""
        at = tuple(mine), tuple(points[i].link - link for i in mine)
        names = tuple(points[i].geom.removeprefix(prefix) for i in mine)
        own = ActuatorOffsets(before["actuators"], activations, substep) if mujoco else None
        activations += len(body.model.actuator_table.activated) if mujoco else 0
        posed = mocaps if mujoco else None
        body._place(EntityOffsets(q, before["dofs"], link, sim.dt, firsts, numbers, (*at, names), own, posed))
        mocaps += len(body.model.mocap_links)
        q, before = q + body.n_qs, {owner: n + _counts(body)[owner] for owner, n in before.items()}
    of, before_grounds = owners(rigid_system.options), len(_body_parameters(rigid_system)) * n_bodies
    theirs = [item for item in rigid_system.parameter_layout.items() if of[item[0]] == "grounds"]
    for g, ground in enumerate(rigid_system.grounds):
        ground._place(
            {
                name.removeprefix("ground_"): (
                    begin + g * math.prod(shape[1:]),
                    before_grounds + b * len(rigid_system.grounds) + g,
                )
                for b, (name, (begin, shape)) in enumerate(theirs)
            }
        )


def _counts(body: RigidEntity) -> dict[str, int]:
    others = len(body.model.actuator_table.others)
    return {"links": body.n_links, "geoms": body.n_geoms, "dofs": body.n_dofs, "actuators": others}


def _body_parameters(rigid_system: RigidSystem) -> list[tuple[str, str, tuple[int, tuple[int, ...]]]]:
    """Name, what has it, and place of every parameter but those of grounds."""
    of = owners(rigid_system.options)
    return [(name, of[name], place) for name, place in rigid_system.parameter_layout.items() if of[name] != "grounds"]


def places_of_bodies(rigid_system: RigidSystem) -> dict[str, range]:
    """Of every parameter but those of grounds, by name, where those of all bodies are among `parameters`."""
    n = len(rigid_system.bodies)
    return {name: range(b * n, b * n + n) for b, (name, *_) in enumerate(_body_parameters(rigid_system))}


def parameters(rigid_system: RigidSystem, sim: SimOptions, n_envs: int, scene: Any) -> list[Parameter]:
    """The numbers of the solver's parameters as models and materials say, in its order."""
    grounds = [ground.geom for ground in rigid_system.grounds]
    initial = initial_parameters(rigid_system.options, rigid_system.model, grounds, sim.gravity)
    found = []
    for name, owner, (begin, shape) in _body_parameters(rigid_system):
        first, size = begin, math.prod(shape[1:])
        for body in rigid_system.bodies:
            n = _counts(body)[owner]
            given = getattr(body.material, name) if name in OF_MATERIALS else None
            what, remedy = f"{body.name}.{name}", f"{body.name}.{SETTERS.get(name, 'its file')}"
            constraint = _constraint(name, bool(body.model.moving.all()))
            own = torch.as_tensor(initial[first : first + n * size].reshape(n, *shape[1:]))
            tensor = own if given is None else numeric(what, given, scene)
            per_env = given is not None and tensor.dim() == 1
            found.append(Parameter.of(what, remedy, constraint, tensor, n_envs, (n, *shape[1:]), True, per_env))
            first += n * size
    of = owners(rigid_system.options)
    for name, (begin, shape) in rigid_system.parameter_layout.items():
        if of[name] != "grounds":
            continue
        size, short = math.prod(shape[1:]), name.removeprefix("ground_")
        for g, ground in enumerate(rigid_system.grounds):
            given = getattr(ground.material, short) if short in OF_MATERIALS else None
            what, remedy = f"{ground.name}.{short}", f"{ground.name}.set_{short}"
            own = torch.as_tensor(initial[begin + g * size : begin + (g + 1) * size].reshape(shape[1:]))
            value = own if given is None else numeric(what, given, scene)
            constraint = Constraint(*FRICTION_RANGE, closed=True) if short in OF_MATERIALS else _constraint(short, True)
            found.append(Parameter.of(what, remedy, constraint, value, n_envs, shape[1:]))
    return found


def _constraint(name: str, all_move: bool) -> Constraint:
    if name == "inertia":
        return Constraint(-math.inf, math.inf, closed=not all_move, rule="inertia")
    for rule in ("solref", "solimp"):
        if name.endswith(rule):
            return Constraint(-math.inf, math.inf, rule=rule)
    if name in ("actuator_gain", "actuator_bias"):
        return Constraint(-math.inf, math.inf)
    if name == "force_low":
        return Constraint(-math.inf, 0.0, closed=True)
    if name == "contact_stiffness" or (name == "mass" and all_move):
        return POSITIVE
    return NOT_NEGATIVE  # a link that is fixed to the world may be without mass


def _warn_of_short_impacts(rigid_system: RigidSystem, sim: SimOptions) -> None:
    """Whose impacts on the ground last too few substeps for derivatives through them."""
    model = rigid_system.model
    if not (sim.requires_grad and rigid_system.grounds and model.moving.any()):
        return
    law = rigid_system.options.contact
    if not isinstance(law, CompliantContact):
        return
    stiffness = prepare.contact_stiffness(model, law, sim.gravity)
    lasts = math.pi * np.sqrt(prepare.tree_mass(model) / stiffness) / sim.substep_dt
    touching = [link for link in {point.link for point in prepare.contact_points(model)} if model.moving[link]]
    link = min(touching, key=lambda link: lasts[link], default=None)
    if link is not None and lasts[link] < SHORTEST_IMPACT:
        runtime.logger.warning(
            f"an impact must last {SHORTEST_IMPACT:.0f} substeps for its gradients, got {lasts[link]:.1f} for "
            f"{model.link_names[link]!r}: they are too small. Use {math.ceil(SHORTEST_IMPACT / lasts[link])} times as "
            "many substeps, or a larger CompliantContact.sag."
        )


def colliders(rigid_system: RigidSystem) -> list[LinkCollider]:
    """What matter feels of the system."""
    system = rigid_system
    softness = [body.material.coup_softness for body in system.bodies for _ in body.model.link_names]
    softness += [ground.material.coup_softness for ground in system.grounds]
    own = [body.material.coup_friction is not None for body in system.bodies for _ in body.model.link_names]
    own += [ground.material.coup_friction is not None for ground in system.grounds]
    return link_colliders(system.model, [ground.geom for ground in system.grounds], softness, own)


def labels(rigid_system: RigidSystem) -> list[str]:
    """What messages call each link."""
    return [f"{body.name}/{link}" for body in rigid_system.bodies for link in body.model.link_names]


def feels(rigid_system: RigidSystem, found: Sequence[LinkCollider], outputs: Sequence[str]) -> bool:
    """Whether it makes a difference to links what matter does to their colliders: they move, or their joints' wrenches
    are measured."""
    measured, moving = "link_wrench" in outputs, rigid_system.model.moving
    return any(collider.link != WORLD and (measured or moving[collider.link]) for collider in found)


def solver(
    rigid_system: RigidSystem, sim: SimOptions, n_envs: int, outputs: Sequence[str], found: Sequence[LinkCollider],
    first: int, every: int, mobility: torch.Tensor | None,
) -> RigidSolver:  # fmt: skip
    """The solver, in which `sim` says how long a step is, and how many substeps of its own are in it.

    Args:
        found: What matter feels of it.
        first: Index of the first of these among the scene's.
        every: Substeps of the scene in one of its own.
        mobility: With which links yield to matter within a substep; None where they do not.
    """
    _warn_of_short_impacts(rigid_system, sim)
    geoms = [ground.geom for ground in rigid_system.grounds]
    return RigidSolver(
        rigid_system.model, geoms, rigid_system.options, sim.dt, sim.substeps, n_envs, outputs, sim.gravity,
        labels(rigid_system), found, first, every, feels(rigid_system, found, outputs), mobility,
    )  # fmt: skip
