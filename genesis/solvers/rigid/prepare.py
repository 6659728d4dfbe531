"""From a `RigidModel` to the numbers that kernels read: packed constants, contact points, default stiffnesses."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from genesis.errors import GenesisValueError
from genesis.loaders import rotations
from genesis.loaders.mass_matrix import mass_matrix
from genesis.loaders.model import BALL, FREE, HINGE, JOINT_SIZES, RigidModel
from genesis.loaders.parts import Geom, GroundGeom
from genesis.solvers.rigid import layout as slot
from genesis.solvers.rigid.setup import Place

UNLIMITED = 1e30
"""Stands for infinity in kernels, which are compiled under the assumption that there is none."""
LIMIT_RATE = 300.0
"""rad/s: a joint that arrives at its limit at 30 rad/s exceeds it by some 0.04 rad."""
RIM = 4
"""Contact points on each rim of a cylinder: its lowest one, and others at equal angles from it, on which it stands."""
STUCK_MASS = 4.0
"""Masses of its tree that a sticking contact seems to add to a link. More of them creep less, but a perturbation of a
contact that breaks away grows by up to their ratio to what moves with it, and gradients do too."""
LEAST_SLIP = 1e-3
"""Of the velocity that a substep's fall gives: keeps the friction of an unloaded contact finite, m/s per m/s."""


class Compliant(Protocol):
    """What this solver reads of `genesis.options.CompliantContact`; see there."""

    @property
    def sag(self) -> float | None: ...
    @property
    def stiffness(self) -> float | None: ...
    @property
    def dissipation(self) -> float | None: ...
    @property
    def smoothing(self) -> float | None: ...
    @property
    def friction_velocity(self) -> float | None: ...
    @property
    def limit_stiffness(self) -> float | None: ...
    @property
    def limit_damping(self) -> float | None: ...
    @property
    def limit_smoothing(self) -> float | None: ...


class Options(Protocol):
    """What this solver reads of `genesis.options.RigidOptions`; see there."""

    @property
    def contact(self) -> Any: ...  # a `Compliant`, or another model's


class ContactPoint(NamedTuple):
    """A sphere (radius 0: a point) or an ellipsoid (axes given) fixed to a link, in the link frame, m; or a place at an
    angle (rad) from the lowest point of a rim, a circle of that radius about the z-axis of `quat`."""

    link: int
    geom: str
    geom_idx: int
    centre: np.ndarray
    radius: float
    axes: np.ndarray | None = None
    quat: np.ndarray | None = None
    angle: float | None = None


def contact_points(model: RigidModel) -> list[ContactPoint]:
    """What touches the ground, ordered by link."""
    points = [point for i, geom in enumerate(model.geoms) for point in _points_of(geom, i)]
    return sorted(points, key=lambda point: point.link)


def places(model: RigidModel) -> list[Place]:
    """Of the outputs `contacts`: points."""
    return [Place(point.link, point.geom) for point in contact_points(model)]


def _points_of(geom: Geom, idx: int) -> list[ContactPoint]:
    size, pos, quat = np.asarray(geom.size), np.asarray(geom.pos), np.asarray(geom.quat)
    radius = 0.0
    if geom.kind == "ellipsoid":
        return [ContactPoint(geom.link, geom.name, idx, pos, 0.0, size, quat)]
    if geom.kind == "cylinder":
        ends = [pos + rotations.rotate(quat, np.array([0.0, 0.0, end * size[1]])) for end in (1, -1)]
        angles = (2 * math.pi * np.arange(RIM) / RIM).tolist()
        return [
            ContactPoint(geom.link, geom.name, idx, end, float(size[0]), None, quat, angle)
            for end in ends
            for angle in angles
        ]
    if geom.kind == "sphere":
        local, radius = np.zeros((1, 3)), size[0]
    elif geom.kind == "capsule":
        local, radius = np.array([[0, 0, size[1]], [0, 0, -size[1]]]), size[0]
    elif geom.kind == "box":
        local = size * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    else:
        local = np.asarray(geom.vertices)
    return [ContactPoint(geom.link, geom.name, idx, pos + rotations.rotate(quat, v), float(radius)) for v in local]


def roots(model: RigidModel) -> np.ndarray:
    """(L,) the root link of each link's tree."""
    root = np.arange(model.n_links)
    for link, parent in enumerate(model.parent):
        if parent >= 0:
            root[link] = root[parent]
    return root


def sag(model: RigidModel, law: Compliant) -> np.ndarray:
    """(L,) m: how deep a tree would sink on one contact point: `law.sag`, else 0.5 % of the tree's extent."""
    return 0.005 * extents(model) if law.sag is None else np.full(model.n_links, law.sag)


def extents(model: RigidModel) -> np.ndarray:
    """(L,) m: root mean square of the edges of a box around the tree at rest; 2 m where nothing touches."""
    root, poses = roots(model), link_poses(model)
    out = np.full(model.n_links, 2.0)
    for tree in set(root.tolist()):
        corners = []
        for geom in model.geoms:
            if root[geom.link] == tree:
                pos, quat = rotations.compose(poses[geom.link], (np.asarray(geom.pos), np.asarray(geom.quat)))
                half = bounding_box(geom)
                signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
                corners += [pos + rotations.rotate(quat, sign * half) for sign in signs]
        if corners:
            out[root == tree] = np.linalg.norm(np.ptp(corners, axis=0)) / math.sqrt(3)
    return out


def bounding_box(geom: Geom) -> np.ndarray:
    """(3,) half edges of a box about the geom's centre that holds it, in its frame, m."""
    size = np.asarray(geom.size, float)
    if geom.kind == "sphere":
        return np.full(3, size[0])
    if geom.kind == "capsule":
        return np.array([size[0], size[0], size[0] + size[1]])
    if geom.kind == "cylinder":
        return np.array([size[0], size[0], size[1]])
    if geom.kind == "hull":
        return np.abs(geom.vertices).max(0)
    return size


def link_poses(model: RigidModel) -> list[tuple[np.ndarray, np.ndarray]]:
    """World pose of every link in the rest configuration."""
    poses: list[tuple[np.ndarray, np.ndarray]] = []
    free = {joint.link: joint.q for joint in model.joints if joint.kind == FREE}
    for link, parent in enumerate(model.parent):
        if link in free:
            q = model.qpos0[free[link] : free[link] + 7]
            poses.append((q[:3], q[3:]))
            continue
        pose = (model.link_pos[link], model.link_quat[link])
        poses.append(rotations.compose(poses[parent], pose) if parent >= 0 else pose)
    return poses


def tree_mass(model: RigidModel) -> np.ndarray:
    """(L,) kg: mass of all that moves in the tree that a link belongs to; of a tree that cannot move, of all of it."""
    root = roots(model)
    moves = np.bincount(root, model.moving, model.n_links)[root] > 0
    return np.bincount(root, np.where(moves & ~model.moving, 0.0, model.mass), model.n_links)[root]


def contact_stiffness(model: RigidModel, law: Compliant, gravity: Sequence[float]) -> np.ndarray:
    """(L,) N/m: a tree on a single contact point sinks by its sag. Weightless scenes are taken at 9.81 m/s^2."""
    if law.stiffness is not None:
        return np.full(model.n_links, law.stiffness)
    g = float(np.linalg.norm(gravity)) or 9.81
    return np.maximum(tree_mass(model) * g / sag(model, law), 1e-6)


def own_values(model: RigidModel, name: str) -> np.ndarray:
    """The model's own values of one of `layout.PARAMETER_TABLE`, of links, geoms or dofs, less contact stiffness."""
    if name in ("kp", "kv"):
        return model.dof_gains()[("kp", "kv").index(name)]
    if name in ("friction", "coup_friction"):
        return np.array([geom.friction for geom in model.geoms])
    if name in ("force_low", "force_high"):
        return np.clip(getattr(model, name), -UNLIMITED, UNLIMITED)
    return getattr(model, name)


def contact_laws(model: RigidModel, law: Compliant, points: Sequence[ContactPoint], uneven: bool) -> np.ndarray:
    """(L, 4): dissipation (s/m), smoothing and reach (from the link's origin) of contact points (m), grip / dt (1/kg).

    The default dissipation damps a tree on one contact point critically: 2 / sqrt(g sag). The grip is zero where a
    `friction_velocity` is given. By default it bounds the apparent inertia of friction, dt times force per velocity.
    """
    depth = sag(model, law)
    rows = np.zeros((model.n_links, 4))
    rows[:, 0] = 2.0 / np.sqrt(9.81 * depth) if law.dissipation is None else law.dissipation
    rows[:, 1] = 0.4 * depth if law.smoothing is None else law.smoothing
    rows[:, 2] = -UNLIMITED
    if law.friction_velocity is None:
        rows[:, 3] = 1.0 / (STUCK_MASS * np.maximum(tree_mass(model), 1e-6))
    for point in points:
        far = np.linalg.norm(point.centre) + (point.radius if point.axes is None else np.max(point.axes))
        rows[point.link, 2] = max(rows[point.link, 2], UNLIMITED if uneven else far + rows[point.link, 1])
    return rows


def slip(law: Compliant, substep_dt: float) -> float:
    """m/s: `friction_velocity`, else a number that matters only to contacts with next to no load."""
    return LEAST_SLIP * 9.81 * substep_dt if law.friction_velocity is None else law.friction_velocity


def limit_laws(model: RigidModel, law: Compliant) -> tuple[np.ndarray, np.ndarray]:
    """(D,) stiffness and damping of joint limits.

    The default stiffness holds the actuators' strength within 0.003 (rad or m), or makes the joint swing at
    `LIMIT_RATE`, whichever is more; the default damping is critical.
    """
    inertia = np.diag(mass_matrix(model, model.qpos0)) if model.n_dofs else np.zeros(0)
    strength = np.zeros(model.n_dofs)
    for side in (model.force_low, model.force_high):
        strength = np.maximum(strength, np.where(np.isfinite(side), np.abs(side), 0.0))
    for actuator in model.actuators:
        for end in (actuator.low, actuator.high):
            if actuator.kind == "force" and math.isfinite(end):
                strength[actuator.dof] = max(strength[actuator.dof], abs(actuator.gear * end))
    stiffness = np.maximum(strength / 0.003, inertia * LIMIT_RATE**2)
    if law.limit_stiffness is not None:
        stiffness = np.full(model.n_dofs, law.limit_stiffness)
    damping = 2.0 * np.sqrt(stiffness * inertia)
    if law.limit_damping is not None:
        damping = np.full(model.n_dofs, law.limit_damping)
    return stiffness, damping


def limit_widths(model: RigidModel, law: Compliant) -> np.ndarray:
    """(D,) half the width of a limit's rounding, rad or m: `limit_smoothing`, else a hundredth of the range.

    The range of a joint that turns counts as one radian at most; of a slide, as the extent of its tree.
    """
    if law.limit_smoothing is not None:
        return np.full(model.n_dofs, law.limit_smoothing)
    span = np.where(slides(model), extents(model)[dof_links(model)], 1.0)
    return 0.01 * np.minimum(span, np.maximum(model.limit_high - model.limit_low, 1e-4))


def dof_links(model: RigidModel) -> np.ndarray:
    """(D,) the link that each degree of freedom moves."""
    return np.array([joint.link for joint in model.joints for _ in range(JOINT_SIZES[joint.kind][1])], int)


def slides(model: RigidModel) -> np.ndarray:
    """(D,) bool: whether the velocity of a degree of freedom is in m/s; that of the others is in rad/s."""
    of = {FREE: [True] * 3 + [False] * 3, BALL: [False] * 3, HINGE: [False]}
    return np.array([moves for joint in model.joints for moves in of.get(joint.kind, [True])], bool)


def pack_tree(model: RigidModel, points: Sequence[ContactPoint]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`link_tree`, `dof_tree` and `chain` of `layout.TABLE`."""
    L, D = model.n_links, model.n_dofs
    links = np.zeros((L, slot.LINK_INTS), int)
    dofs = np.zeros((D, slot.DOF_INTS), int)
    links[:, slot.PARENT], links[:, slot.ROOT] = model.parent, roots(model)
    of_points = np.array([point.link for point in points], int)
    links[:, slot.POINT0] = np.searchsorted(of_points, np.arange(L))
    links[:, slot.N_POINTS] = np.bincount(of_points, minlength=L)
    links[:, slot.MOCAP] = -1
    links[list(model.mocap_links), slot.MOCAP] = np.arange(len(model.mocap_links))
    last: dict[int, int] = {}
    parent_dof = []
    for joint in model.joints:
        kinds = {FREE: [slot.SLIDE] * 3 + [slot.BALL] * 3, BALL: [slot.BALL] * 3, HINGE: [slot.HINGE]}
        for c, kind in enumerate(kinds.get(joint.kind, [slot.SLIDE])):
            dof = joint.dof + c
            q = joint.q + (min(c, 3) if joint.kind == FREE else 0 if joint.kind == BALL else c)
            dofs[dof, slot.KIND], dofs[dof, slot.Q_INDEX] = kind, q
            dofs[dof, slot.COMPONENT] = c if joint.kind == BALL else -1
            above = joint.link
            while above >= 0 and above not in last:
                above = int(model.parent[above])
            parent_dof.append(last[above] if above >= 0 else -1)
            last[joint.link] = dof
            if links[joint.link, slot.N_DOFS] == 0:
                links[joint.link, slot.DOF0] = dof
            links[joint.link, slot.N_DOFS] += 1
    chains = list(slot.chain_entries(parent_dof))
    dofs[:, slot.DEPTH] = [len(chain) for chain in chains]
    dofs[:, slot.ENTRY0] = np.cumsum([0, *dofs[:, slot.DEPTH]])[:D]
    return links, dofs, np.concatenate([np.zeros(0, int), *chains])


def pack_frames(model: RigidModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`link_fixed` (L, 2, 3), `dof_fixed` (D, 2, 3) and `turn` (L, 3, 3) of `layout.TABLE`."""
    offset, turn = model.link_pos.copy(), np.array([rotations.matrix(q) for q in model.link_quat]).reshape(-1, 3, 3)
    axes, anchors = np.zeros((model.n_dofs, 3)), np.zeros((model.n_dofs, 3))
    for joint in model.joints:
        if joint.kind == FREE:  # its position is absolute
            offset[joint.link], turn[joint.link] = 0.0, np.eye(3)
            axes[joint.dof : joint.dof + 3] = np.eye(3)
        else:
            axes[joint.dof], anchors[joint.dof] = joint.axis, joint.anchor
    return np.stack([offset, model.com], 1), np.stack([axes, anchors], 1), turn


def rest_quaternions(model: RigidModel) -> np.ndarray:
    """(L, 4) rotation of each link from its parent at rest; identity where a free joint's is absolute."""
    quats = model.link_quat.copy()
    for joint in model.joints:
        if joint.kind == FREE:
            quats[joint.link] = (1.0, 0.0, 0.0, 0.0)
    return quats


def rest_poses(model: RigidModel) -> np.ndarray:
    """(M, 7) position and quaternion of mocap bodies at rest."""
    links = list(model.mocap_links)
    return np.concatenate([model.link_pos[links], model.link_quat[links]], 1)


def pack_laws(model: RigidModel, law: Compliant) -> np.ndarray:
    """`dof_law` (D, 3, 4) of `layout.TABLE`."""
    rows = np.zeros((model.n_dofs, slot.LAW_ROWS, 4))
    limit, rest = rows[:, slot.LIMIT], rows[:, slot.REST]
    limit[:, 0] = np.maximum(model.limit_low, -UNLIMITED)
    limit[:, 1] = np.minimum(model.limit_high, UNLIMITED)
    limit[:, 2], limit[:, 3] = limit_laws(model, law)
    rows[:, slot.LIMIT_WIDTH, 0] = limit_widths(model, law)
    rest[:, 0] = model.spring_ref
    for j in model.joints:
        if j.kind not in (FREE, BALL):
            rest[j.dof, 3] = model.qpos0[j.q]
    return rows


def pack_points(points: Sequence[ContactPoint]) -> np.ndarray:
    """`point` (n, 4, 4) of `layout.TABLE`."""
    rows = np.zeros((len(points), slot.POINT_ROWS, 4))
    for row, point in zip(rows, points, strict=True):
        row[slot.POINT_CENTRE] = (*point.centre, point.radius if point.angle is None else 0.0)
        row[slot.POINT_EXTRA, 2] = point.geom_idx
        if point.angle is not None and point.quat is not None:
            turn, c, s = rotations.matrix(point.quat), math.cos(point.angle), math.sin(point.angle)
            row[slot.POINT_DIAGONAL] = (*turn[:, 2], 2.0)
            row[slot.POINT_OFF, :3] = point.radius * (c * turn[:, 0] + s * turn[:, 1])
            row[slot.POINT_EXTRA, :2] = point.radius * c, point.radius * s
        elif point.axes is not None and point.quat is not None:
            turn = rotations.matrix(point.quat)
            six = rotations.six(turn @ np.diag(point.axes**2) @ turn.T)
            row[slot.POINT_DIAGONAL], row[slot.POINT_OFF, :3] = (*six[:3], 1.0), six[3:]
    return rows


def pack_grounds(grounds: Sequence[GroundGeom]) -> tuple[np.ndarray, np.ndarray]:
    """`ground` (G, 2, 4) and `heights` of `layout.TABLE`."""
    rows, heights, first = np.zeros((len(grounds), slot.GROUND_ROWS, 4)), [np.zeros(1)], 1
    for row, ground in zip(rows, grounds, strict=True):
        if ground.kind == "plane":
            normal = np.asarray(ground.normal) / np.linalg.norm(ground.normal)
            row[slot.GROUND_HEAD] = (*normal, normal @ np.asarray(ground.pos))
        else:
            nx, ny = ground.heights.shape
            if min(nx, ny) < 3:
                raise GenesisValueError(
                    f"a height field must have at least 3 x 3 samples, got {nx} x {ny}. Give more, or use a Plane."
                )
            row[slot.GROUND_HEAD] = (*ground.pos, ground.spacing)
            row[slot.GROUND_INFO] = (1.0, nx, ny, first)
            heights.append(np.asarray(ground.heights, float).ravel())
            first += nx * ny
    return rows, np.concatenate(heights)


def initial_parameters(
    model: RigidModel, grounds: Sequence[GroundGeom], law: Compliant, gravity: Sequence[float]
) -> np.ndarray:
    """All parameters as model, grounds and options say, flat, in the order of `layout.PARAMETER_TABLE`."""
    frictions = np.array([ground.friction for ground in grounds])
    values = {"contact_stiffness": contact_stiffness(model, law, gravity)}
    values |= dict.fromkeys(("ground_friction", "ground_coup_friction"), frictions)
    parts = [values[name] if name in values else own_values(model, name) for name in slot.PARAMETER_TABLE]
    return np.concatenate([np.ravel(part) for part in parts])
