"""What a robot is, as arrays: links, joints, geoms, actuators. `primitive` makes one of a shape, `fuse` joins several.

Conventions are MuJoCo's: a free joint has q = (position, quaternion) and velocity = (linear in the world frame,
angular in the link frame); a ball joint q = quaternion and velocity = angular in the link frame. L links, Q = n_qs,
D = n_dofs. SI units, radians, quaternions w, x, y, z.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from genesis.checks import boolean, choice, number, vector
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.loaders import archive, rotations, shapes, validation
from genesis.loaders.actuator_table import ActuatorTable, divide
from genesis.loaders.equalities import moved_world
from genesis.loaders.invweight import numbers_of
from genesis.loaders.links import three
from genesis.loaders.mujoco_numbers import MujocoNumbers, exclude_links, join
from genesis.loaders.parts import (
    ACTUATOR_KINDS,
    BALL,
    FREE,
    GEOM_KINDS,
    GROUND_KINDS,
    HINGE,
    IDENTITY,
    JOINT_KINDS,
    JOINT_SIZES,
    ORIGIN,
    SLIDE,
    Actuator,
    Geom,
    GroundGeom,
    Joint,
    Quaternion,
    Vector,
    Visual,
)
from genesis.meshes.surface import Surface

__all__ = [
    "ACTUATOR_KINDS",
    "BALL",
    "FREE",
    "GEOM_KINDS",
    "GROUND_KINDS",
    "HINGE",
    "JOINT_KINDS",
    "JOINT_SIZES",
    "SLIDE",
    "Actuator",
    "Geom",
    "GroundGeom",
    "Joint",
    "RigidModel",
    "Visual",
    "fuse",
    "place",
    "primitive",
]


@dataclass(frozen=True, eq=False)
class RigidModel:
    """A forest of links. Arrays are float64 (`parent`: int64), copied and read-only; links are ordered parents first.

    Links are bodies that have joints, and bodies that are fixed to the world (no joints, no moving ancestor). Bodies
    welded to a moving one are part of it, and found by name in `aliases`.

    Attributes:
        parent: (L,) index of the parent link, -1 = world.
        link_pos, link_quat: (L, 3), (L, 4) link frame in the parent's frame with the joints at rest; world for roots.
        mass: (L,) kg. com: (L, 3) centre of mass, link frame, m.
        inertia: (L, 6) about the centre of mass along the link's axes: xx, yy, zz, xy, xz, yz, kg m^2.
        joints: in the order of their degrees of freedom.
        qpos0: (Q,) rest configuration: hinges and slides are at zero displacement when q equals it (MuJoCo's `ref`),
            free joints have the world pose of the link, ball joints (1, 0, 0, 0).
        armature: (D,) kg or kg m^2 added to the joint-space inertia. damping: (D,) N s/m or N m s/rad.
        stiffness, spring_ref: (D,) N/m or N m/rad, and the value of the elastic coordinate without force.
        limit_low, limit_high: (D,) range of q, m or rad; -inf and inf where there is none.
        force_low, force_high: (D,) range of the actuators' force, N or N m; -inf and inf where there is none.
        excluded: pairs (i, j), i < j, of links that never touch each other; parents with their children included.
        aliases: name -> (link, position, quaternion): merged bodies and sites, in the frame of their link (-1 = world).
        grounds: planes and height fields that came with the model's file.
        visuals: what is seen of links; those without one look as they touch.
        mujoco: what MuJoCo's contact model needs besides; None of models from no file (`numbers_of` makes it then).
        losses: what of its file it lacks or has otherwise, in sentences, which are told whenever it is loaded.
        repairs: what was mended to load it, as "kind: what was done".
    """

    name: str
    link_names: tuple[str, ...]
    parent: np.ndarray
    link_pos: np.ndarray
    link_quat: np.ndarray
    mass: np.ndarray
    com: np.ndarray
    inertia: np.ndarray
    joints: tuple[Joint, ...]
    qpos0: np.ndarray
    armature: np.ndarray
    damping: np.ndarray
    stiffness: np.ndarray
    spring_ref: np.ndarray
    limit_low: np.ndarray
    limit_high: np.ndarray
    force_low: np.ndarray
    force_high: np.ndarray
    geoms: tuple[Geom, ...] = ()
    excluded: frozenset[tuple[int, int]] = frozenset()
    actuators: tuple[Actuator, ...] = ()
    aliases: dict[str, tuple[int, Vector, Quaternion]] = field(default_factory=dict)
    grounds: tuple[GroundGeom, ...] = ()
    mujoco: MujocoNumbers | None = None
    losses: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    visuals: tuple[Visual, ...] = ()

    def __post_init__(self) -> None:
        for name in ("parent", *validation.REAL_ARRAYS):
            value = getattr(self, name)
            try:
                array = np.array(value, dtype=np.int64 if name == "parent" else np.float64, order="C")
            except (TypeError, ValueError) as error:
                raise GenesisTypeError(f"{name} must be an array of numbers, got {error}. Pass one.") from None
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def n_links(self) -> int:
        return len(self.link_names)

    @cached_property
    def n_qs(self) -> int:
        return sum(JOINT_SIZES[joint.kind][0] for joint in self.joints)

    @cached_property
    def n_dofs(self) -> int:
        return sum(JOINT_SIZES[joint.kind][1] for joint in self.joints)

    @property
    def moving(self) -> np.ndarray:
        """(L,) bool: whether a joint of the link or of an ancestor can move it."""
        return validation.moving_links(self)

    @property
    def mocap_links(self) -> tuple[int, ...]:
        """Links, roots without joints, whose poses are set: mocap bodies, in the file's order."""
        return () if self.mujoco is None else tuple(self.mujoco.mocaps.link.tolist())

    @cached_property
    def actuator_table(self) -> ActuatorTable:
        """All actuators of the file, as MuJoCo's contact model has them."""
        return divide(self)

    def dof_gains(self) -> tuple[np.ndarray, np.ndarray]:
        """(kp (D,), kv (D,)) of the position and velocity actuators, per degree of freedom: N m/rad and N m s/rad
        (N/m and N s/m of slides). Zero where there are none."""
        kp, kv = np.zeros(self.n_dofs), np.zeros(self.n_dofs)
        for actuator in self.actuators:
            kp[actuator.dof] += actuator.gear**2 * actuator.kp
            kv[actuator.dof] += actuator.gear**2 * actuator.kv
        return kp, kv

    def validate(self) -> "RigidModel":
        """Returns the model itself.

        Raises:
            GenesisValueError: wrong sizes, numbers that are not finite, quaternions or axes that are not of length one,
                moving links without mass or with an inertia that no body has, inverted ranges, indices out of range,
                links before their parents, free joints that are not alone at a root.
            GenesisTypeError: parts of the wrong class.
        """
        validation.check(self)
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes an .npz of arrays, atomically: a reader sees the old file or the new one."""
        archive.write(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "RigidModel":
        """Reads what `save` wrote.

        Raises:
            GenesisValueError: missing file, not such an archive, or of another version.
        """
        return cls(**archive.read(path)).validate()


def primitive(
    kind: str, size: Sequence[float], mass: float, friction: float, fixed: bool = False, name: str | None = None
) -> RigidModel:
    """A solid shape of one link and one geom, centred at the origin; on a free joint unless `fixed` to the world.

    Args:
        kind: "sphere" | "capsule" | "box" | "cylinder" | "ellipsoid".
        size: m, one to three numbers as in `Geom.size`.
        mass: kg, evenly spread.
        friction: Coulomb's coefficient.
    """
    choice("kind", kind, shapes.SOLIDS)
    number("mass", mass, low=0.0)
    number("friction", friction, low=0.0, closed=True)
    n_sizes = shapes.N_SIZES[kind]
    numbers = vector(f"size of a {kind}", tuple(size)[:n_sizes] if len(size) == 3 else size, n_sizes)
    for entry in numbers:
        number(f"every entry of the size of a {kind}", entry, low=0.0)
    full: Vector = (*numbers, 0.0, 0.0)[:3]  # type: ignore[assignment]
    geom = Geom(name or kind, kind, 0, ORIGIN, IDENTITY, full, float(friction))
    return single([geom], mass, shapes.inertia(kind, full, mass), fixed, geom.name)


def hull(
    surface: Surface, hulls: Sequence[np.ndarray], mass: float, friction: float, fixed: bool, name: str
) -> RigidModel:
    """A mesh of one link, which touches as convex hulls; on a free joint unless `fixed` to the world.

    Args:
        surface: In the link's frame, m; has the mass, evenly spread.
        hulls: Of each geom the corners (n, 3) of its hull, m.
        mass: kg.
        friction: Coulomb's coefficient.
    """
    x, y, z = surface.moments[1].tolist()
    felt = Surface(surface.vertices - (x, y, z), surface.faces)
    geoms = []
    for k, corners in enumerate(hulls):
        label, local = f"{name}_{k}" if len(hulls) > 1 else name, corners - (x, y, z)
        geoms.append(Geom(label, "hull", 0, (x, y, z), IDENTITY, ORIGIN, float(friction), vertices=local, surface=felt))
        felt = Surface(surface.vertices[:0], surface.faces[:0])
    middle, mesh = surface.seen
    seen = Visual(name, "mesh", 0, three(middle), IDENTITY, ORIGIN, mesh=mesh)
    return replace(single(geoms, mass, surface.inertia(mass), fixed, name), visuals=(seen,))


def single(geoms: Sequence[Geom], mass: float, inertia: Sequence[float], fixed: bool, name: str) -> RigidModel:
    """A model of one link with geoms, about whose common place it has its mass (kg) and inertia (kg m^2, as of
    `RigidModel`)."""
    n_dofs = 0 if boolean("fixed", fixed) else 6
    return RigidModel(
        name=name,
        link_names=(name,),
        parent=np.array([-1]),
        link_pos=np.zeros((1, 3)),
        link_quat=np.array([IDENTITY]),
        mass=np.array([mass]),
        com=np.array([geoms[0].pos]),
        inertia=np.array([inertia]),
        joints=() if fixed else (Joint(name, FREE, 0, ORIGIN, ORIGIN, 0, 0),),
        qpos0=np.zeros(0) if fixed else np.array([*ORIGIN, *IDENTITY]),
        **_per_dof_defaults(n_dofs),
        geoms=tuple(geoms),
    ).validate()


def place(model: RigidModel, pos: Sequence[float] = ORIGIN, quat: Sequence[float] = IDENTITY) -> RigidModel:
    """The model with its roots' rest poses moved by a rotation `quat` about the world's origin, then by `pos` (m).

    Grounds of its file stay where they are.
    """
    shift, turn = np.array(vector("pos", pos)), np.array(vector("quat", quat, 4))
    validation.check_unit("quat", turn)
    link_pos, link_quat, qpos0 = model.link_pos.copy(), model.link_quat.copy(), model.qpos0.copy()
    for link in np.flatnonzero(model.parent < 0):
        link_pos[link] = shift + rotations.rotate(turn, link_pos[link])
        link_quat[link] = rotations.multiply(turn, link_quat[link])
    for joint in model.joints:
        if joint.kind == FREE:
            qpos0[joint.q : joint.q + 3] = link_pos[joint.link]
            qpos0[joint.q + 3 : joint.q + 7] = link_quat[joint.link]
    aliases = dict(model.aliases)
    for name, (link, at, along) in model.aliases.items():
        if link < 0:
            moved, turned = shift + rotations.rotate(turn, np.array(at)), rotations.multiply(turn, np.array(along))
            aliases[name] = (link, tuple(moved.tolist()), tuple(turned.tolist()))
    visuals = []
    for seen in model.visuals:
        if seen.link < 0:
            moved, turned = rotations.compose((shift, turn), (np.array(seen.pos), np.array(seen.quat)))
            seen = replace(seen, pos=tuple(moved.tolist()), quat=tuple(turned.tolist()))
        visuals.append(seen)
    record = moved_world(model.mujoco, shift, turn) if model.mujoco else None
    changed: dict[str, Any] = {"link_pos": link_pos, "link_quat": link_quat, "qpos0": qpos0, "aliases": aliases}
    return replace(model, **changed, mujoco=record, visuals=tuple(visuals))


def nothing() -> RigidModel:
    """A model without links, for grounds that hold other matter."""
    columns = {"link_pos": (3,), "link_quat": (4,), "com": (3,), "inertia": (6,)}
    empty: dict[str, Any] = {name: np.zeros((0, *columns.get(name, ()))) for name in validation.REAL_ARRAYS}
    return RigidModel(name="nothing", link_names=(), parent=np.zeros(0, np.int64), joints=(), **empty)


def fuse(models: Sequence[RigidModel], excluded: Iterable[tuple[int, int]] = ()) -> RigidModel:
    """One model of all the models' links, in order: indices of the k-th are offset by the sizes of those before it.

    Names get the prefix "<model>[<k>]/" if there is more than one model. `excluded` are further pairs of links,
    by their new indices, that never touch.
    """
    if not models:
        raise GenesisValueError("models must not be empty, got none. Pass at least one RigidModel.")
    more = {(min(pair), max(pair)) for pair in excluded}
    if len(models) == 1:
        record = models[0].mujoco
        record = exclude_links(record, more) if record else None
        return replace(models[0], excluded=models[0].excluded | more, mujoco=record)
    links = np.cumsum([0, *(model.n_links for model in models)])
    qs, dofs = (np.cumsum([0, *(getattr(model, size) for model in models)]) for size in ("n_qs", "n_dofs"))
    prefixes = [f"{model.name}[{k}]/" for k, model in enumerate(models)]
    together = list(zip(models, prefixes, links.tolist(), qs.tolist(), dofs.tolist(), strict=False))

    def shift(link: int, offset: int) -> int:
        return link + offset if link >= 0 else -1

    stacked: dict[str, Any] = {
        name: np.concatenate([getattr(model, name) for model in models]) for name in validation.REAL_ARRAYS
    }

    return RigidModel(
        name="+".join(model.name for model in models),
        link_names=tuple(prefix + name for model, prefix, *_ in together for name in model.link_names),
        parent=np.concatenate([np.where(m.parent >= 0, m.parent + link, -1) for m, _, link, _, _ in together]),
        joints=tuple(
            replace(joint, name=prefix + joint.name, link=joint.link + link, q=joint.q + q, dof=joint.dof + dof)
            for model, prefix, link, q, dof in together
            for joint in model.joints
        ),
        geoms=tuple(
            replace(geom, name=prefix + geom.name, link=geom.link + link)
            for model, prefix, link, *_ in together
            for geom in model.geoms
        ),
        excluded=frozenset((a + link, b + link) for model, _, link, *_ in together for a, b in model.excluded) | more,
        actuators=tuple(
            replace(actuator, name=prefix + actuator.name, dof=actuator.dof + dof)
            for model, prefix, _, _, dof in together
            for actuator in model.actuators
        ),
        aliases={
            prefix + name: (shift(place_[0], link), *place_[1:])
            for model, prefix, link, *_ in together
            for name, place_ in model.aliases.items()
        },
        grounds=tuple(
            replace(ground, name=prefix + ground.name) for model, prefix, *_ in together for ground in model.grounds
        ),
        visuals=tuple(
            replace(seen, name=prefix + seen.name, link=shift(seen.link, link))
            for model, prefix, link, *_ in together
            for seen in model.visuals
        ),
        mujoco=_joined(together, more) if any(model.mujoco for model in models) else None,
        **stacked,
    ).validate()


def _joined(together: list[tuple[RigidModel, str, int, int, int]], more: set[tuple[int, int]]) -> MujocoNumbers:
    grounds = np.cumsum([0, *(len(model.grounds) for model, *_ in together)]).tolist()
    parts = zip(together, grounds, strict=False)
    return join(((numbers_of(model), link, ground, prefix) for (model, prefix, link, *_), ground in parts), more)


def _per_dof_defaults(n_dofs: int) -> dict[str, Any]:
    """No armature, damping, springs, limits or limits of force."""
    values = dict.fromkeys(validation.PER_DOF, 0.0)
    values |= {"limit_low": -np.inf, "limit_high": np.inf, "force_low": -np.inf, "force_high": np.inf}
    return {name: np.full(n_dofs, value) for name, value in values.items()}
