"""The parts of a robot: joints, geoms, actuators, and the grounds that its file brings along. Plain frozen records.

SI units and radians; quaternions w, x, y, z; poses in the frame of the link that a part belongs to.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from genesis.errors import GenesisValueError
from genesis.meshes.surface import Surface
from genesis.meshes.triangles import TriangleMesh

FREE, BALL, HINGE, SLIDE = "free", "ball", "hinge", "slide"
JOINT_KINDS = (FREE, BALL, HINGE, SLIDE)
JOINT_SIZES = {FREE: (7, 6), BALL: (4, 3), HINGE: (1, 1), SLIDE: (1, 1)}
"""Numbers of q and of degrees of freedom of each joint."""

GEOM_KINDS = ("sphere", "capsule", "box", "cylinder", "ellipsoid", "hull")
ACTUATOR_KINDS = ("force", "position", "velocity")
GROUND_KINDS = ("plane", "heightfield")

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
IDENTITY: Quaternion = (1.0, 0.0, 0.0, 0.0)
ORIGIN: Vector = (0.0, 0.0, 0.0)


DEFAULT_SOLREF = (0.02, 1.0)
DEFAULT_SOLIMP = (0.9, 0.95, 0.001, 0.5, 2.0)
"""MuJoCo's, of contacts, limits and dry friction."""


def check_solref(what: str, row: Sequence[float]) -> None:
    """Raise unless two numbers are a time constant and a damping ratio, or minus a stiffness and a damping."""
    if not all(math.isfinite(x) for x in row) or not (all(x > 0 for x in row) or all(x <= 0 for x in row)):
        raise GenesisValueError(
            f"{what} must be finite, both > 0 (time constant, damping ratio) or both <= 0 (-stiffness, -damping), "
            f"got {tuple(row)}. The usual one is {DEFAULT_SOLREF}."
        )


def check_solimp(what: str, row: Sequence[float]) -> None:
    """Raise unless five numbers d_min, d_max, width, midpoint and power are finite. As in MuJoCo they may lie beyond
    their ranges: those of a contact are bounded after the numbers of its two geoms are mixed."""
    if not all(math.isfinite(number) for number in row):
        raise GenesisValueError(f"{what} must be five finite numbers, got {tuple(row)}. Usual are {DEFAULT_SOLIMP}.")


def check_solimp_range(what: str, row: Sequence[float]) -> None:
    """Raise unless d_min, d_max, width, midpoint and power are within the ranges that have a meaning: of numbers that a
    user sets; a file's are bounded."""
    d_min, d_max, width, middle, power = row
    parts = 0 <= d_min <= 1 and 0 <= d_max <= 1 and 0 <= middle <= 1
    if not (parts and 0 <= width < math.inf and 1 <= power < math.inf):
        raise GenesisValueError(
            f"{what} must have d_min, d_max and midpoint from 0 to 1, width >= 0 and power >= 1, got {tuple(row)}. "
            f"The usual one is {DEFAULT_SOLIMP}."
        )


def _empty(columns: int) -> np.ndarray:
    return np.zeros((0, columns))


@dataclass(frozen=True)
class ContactNumbers:
    """Parameters of contact that MuJoCo's contact model takes from a geom; the defaults are MuJoCo's.

    Attributes:
        condim: 1 (no friction) | 3 (sliding) | 4 (and torsional) | 6 (and rolling).
        torsional, rolling: coefficients of friction, m. The sliding one is the geom's `friction`.
        margin: a contact acts where the distance is below the sum of both geoms' margins, m.
        gap: it is listed, without force, from that much farther away, m.
        solref: (time constant s, damping ratio), or both negative: (-stiffness 1/s^2, -damping 1/s).
        solimp: (d_min, d_max, width m, midpoint, power).
        solmix: weight of solref and solimp in the mean of both geoms.
        priority: the geom of the higher one gives condim, friction, solref and solimp alone.
        base: m of ground below the lowest height of a height field.
    """

    condim: int = 3
    torsional: float = 0.005
    rolling: float = 0.0001
    margin: float = 0.0
    gap: float = 0.0
    solref: tuple[float, float] = DEFAULT_SOLREF
    solimp: tuple[float, float, float, float, float] = DEFAULT_SOLIMP
    solmix: float = 1.0
    priority: int = 0
    base: float = 0.0


@dataclass(frozen=True, eq=False)
class Joint:
    """One joint between a link and its parent. Joints of one link act in the order of the tuple, MuJoCo's.

    Attributes:
        kind: "free" | "ball" | "hinge" | "slide".
        link: the link that it moves.
        axis: unit vector, link frame (hinge, slide; else zeros).
        anchor: a point of the rotation axis or the ball's centre, link frame, m (else zeros).
        q: index of its first number in qpos.
        dof: index of its first degree of freedom.
    """

    name: str
    kind: str
    link: int
    axis: Vector
    anchor: Vector
    q: int
    dof: int


@dataclass(frozen=True, eq=False)
class Geom:
    """A shape that touches.

    Attributes:
        kind: "sphere" | "capsule" | "box" | "cylinder" | "ellipsoid" | "hull".
        pos, quat: its pose in the link frame; the axis of capsules and cylinders is z.
        size: m. sphere: (r, 0, 0); capsule: (r, half length of the straight part, 0); box: half edges;
            cylinder: (r, half height, 0); ellipsoid: semi-axes; hull: zeros.
        friction: Coulomb's coefficient.
        group, mask: bit fields; two geoms may touch if the group of one meets the mask of the other
            (MuJoCo's contype and conaffinity).
        vertices: (n, 3) corners of the convex hull in the geom's frame, m (hull only, else (0, 3)).
        faces: (k, 2) of the hull: (index of a face, index of a corner), the corners of a face together and
            counter-clockwise seen from outside; (0, 2) where MuJoCo's compiler is to find them.
        surface: in the geom's frame, what particles feel of a mesh that the hull stands for; None: the hull. Of several
            hulls of one mesh the first has it, the others have one without triangles. Not saved.
        contact: what MuJoCo's contact model needs besides.
    """

    name: str
    kind: str
    link: int
    pos: Vector
    quat: Quaternion
    size: Vector
    friction: float
    group: int = 1
    mask: int = 1
    vertices: np.ndarray = field(default_factory=lambda: _empty(3))
    contact: ContactNumbers = ContactNumbers()
    faces: np.ndarray = field(default_factory=lambda: _empty(2).astype(np.int64))
    surface: Surface | None = None


VISUAL_KINDS = ("sphere", "capsule", "box", "cylinder", "ellipsoid", "mesh")


@dataclass(frozen=True, eq=False)
class Visual:
    """A shape that is seen and touches nothing.

    Attributes:
        kind: one of `VISUAL_KINDS`.
        link: that it moves with; -1 = the world.
        pos, quat, size: as of `Geom`.
        tint: red, green and blue as displays take them, 0 … 1; None: the file does not say.
        mesh: its triangles about the middle of their bounding box (mesh only).
    """

    name: str
    kind: str
    link: int
    pos: Vector
    quat: Quaternion
    size: Vector
    tint: Vector | None = None
    mesh: TriangleMesh | None = None


@dataclass(frozen=True, eq=False)
class Actuator:
    """What turns a control c into a force on one degree of freedom with elastic coordinate y and velocity v.

    force: gear * c. position: gear * (kp * (c - gear * y) - kv * gear * v). velocity: gear * kv * (c - gear * v).
    The limits of the force are the degree of freedom's own (`RigidModel.force_low`, `force_high`).

    Attributes:
        dof: the degree of freedom.
        gear: N or N m per unit of actuator force; also units of actuator length per m or rad.
        kind: "force" | "position" | "velocity".
        kp, kv: gains in the actuator's own units; zero where the kind does not use them.
        low, high: range of the control, -inf and inf where it has none.
    """

    name: str
    dof: int
    gear: float
    kind: str
    kp: float
    kv: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class GroundGeom:
    """A plane or a height field that a model file fixes to the world. The scene's grounds are made from these.

    Attributes:
        kind: "plane" | "heightfield".
        pos: plane: a point of it; heightfield: where heights[0, 0] stands above; world frame, m.
        normal: unit vector out of the ground, world frame (heightfield: always +z).
        friction: Coulomb's coefficient.
        group, mask: as of `Geom`.
        heights: (nx, ny) m above pos, along x then y (heightfield only, else (0, 0)).
        spacing: m between neighbouring heights (heightfield only, else 0).
        contact: as of `Geom`.
    """

    name: str
    kind: str
    pos: Vector
    normal: Vector
    friction: float
    group: int = 1
    mask: int = 1
    heights: np.ndarray = field(default_factory=lambda: _empty(0))
    spacing: float = 0.0
    contact: ContactNumbers = ContactNumbers()
