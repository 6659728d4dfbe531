"""What MuJoCo's contact model needs of a robot beyond `RigidModel`: the sub-record `RigidModel.mujoco`.

B bodies (MuJoCo's own, without the world, which is index -1: several may be merged into one link), J joints, D degrees
of freedom, A actuators, in the file's order, which is that of `RigidModel.joints`. SI units; arrays are read-only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from genesis.errors import GenesisValueError
from genesis.loaders.parts import DEFAULT_SOLIMP, DEFAULT_SOLREF
from genesis.loaders.tables import Table, column

INTEGRATORS = ("Euler", "RK4", "implicit", "implicitfast", "discrete")
"""In the order of MuJoCo's mjtIntegrator."""
CONES = ("pyramidal", "elliptic")
SOLVERS = ("PGS", "CG", "Newton")
ACTIVATIONS = ("none", "integrator", "filter", "filterexact")
"""In the order of MuJoCo's mjtDyn."""
EQUALITIES = ("connect", "weld", "joint", "tendon")
"""In the order of MuJoCo's mjtEq."""


@dataclass(frozen=True, eq=False)
class BodyNumbers(Table):
    """Per body of MuJoCo's. Its inertial frame has its origin in the centre of mass and principal axes.

    Attributes:
        link: (B,) index of the link that it is a part of; -1 = none (a body at rest without geoms).
        parent: (B,) index of the parent body; -1 = world.
        weld: (B,) index of the first body of those that move as one with it; -1 = the world.
        invweight: (B, 2) MuJoCo's body_invweight0: 1/kg, 1/(kg m^2). Zero for bodies at rest.
        slides_only: (B,) bool, MuJoCo's body_simple == 2: a body without children, on the world, which only slides
            along axes of its inertial frame. MuJoCo takes 1/mass for its inverse weights, without the armature.
        pos, quat: (B, 3), (B, 4) its inertial frame in the link's frame; zero and one where there is no link.
        mass: (B,) kg. inertia: (B, 3) principal moments, kg m^2.
        gravcomp: (B,) part of its weight that a force at its centre of mass holds.
        box: (B, 3) edges of the box of even density with this mass and inertia, for forces of a fluid, m.
    """

    link: np.ndarray = column(dtype=np.int64, index="link", default=-1)
    parent: np.ndarray = column(dtype=np.int64, index="body", default=-1)
    weld: np.ndarray = column(dtype=np.int64, index="body", default=-1)
    invweight: np.ndarray = column(2)
    slides_only: np.ndarray = column(dtype=np.bool_, default=False)
    pos: np.ndarray = column(3)
    quat: np.ndarray = column(4, default=(1.0, 0.0, 0.0, 0.0))
    mass: np.ndarray = column()
    inertia: np.ndarray = column(3)
    box: np.ndarray = column(3)
    gravcomp: np.ndarray = column()


@dataclass(frozen=True, eq=False)
class JointNumbers(Table):
    """Per joint.

    Attributes:
        limited: (J,) bool; limits that the file's flags switch off are none.
        range: (J, 2) of q, m or rad; of a ball its angle's, of which the larger end counts; zeros where not limited.
        margin: (J,) of the limit, m or rad.
        solref, solimp: (J, 2), (J, 5) of the limit.
        stiffness: (J,) of its spring, N/m or N m/rad, for all kinds: of a free joint both for positions and rotations.
        force_range: (J, 2) of the actuators' force together, N or N m; -inf and inf where there is none.
    """

    limited: np.ndarray = column(dtype=np.bool_, default=False)
    range: np.ndarray = column(2)
    margin: np.ndarray = column()
    solref: np.ndarray = column(2, default=DEFAULT_SOLREF)
    solimp: np.ndarray = column(5, default=DEFAULT_SOLIMP)
    stiffness: np.ndarray = column()
    force_range: np.ndarray = column(2, default=(-np.inf, np.inf))


@dataclass(frozen=True, eq=False)
class DofNumbers(Table):
    """Per degree of freedom. Armature and damping are those of `RigidModel`.

    Attributes:
        invweight: (D,) MuJoCo's dof_invweight0, 1/kg or 1/(kg m^2).
        frictionloss: (D,) dry friction, N or N m; zero where the file's flags switch it off.
        solref, solimp: (D, 2), (D, 5) of the dry friction.
    """

    invweight: np.ndarray = column()
    frictionloss: np.ndarray = column()
    solref: np.ndarray = column(2, default=DEFAULT_SOLREF)
    solimp: np.ndarray = column(5, default=DEFAULT_SOLIMP)


@dataclass(frozen=True, eq=False)
class ActuatorNumbers(Table):
    """Per actuator: force = gain . (1, length, velocity) * input + bias . (1, length, velocity), on gear * joint.

    The input is the control or, with an activation, that. Length is gear[0] * q of a hinge or slide, gear[:3] . (the
    rotation's vector) of a ball, 0 of a free joint; the six of a free joint's gear act along the world's axes and about
    the link's. Of a tendon it is gear[0] * its length. A site gets the force gear[:3] and the torque gear[3:] in its
    own axes, and has no length; with a reference site these are along that one's axes, and the length is gear . (place,
    rotation's vector) of the site seen from there.

    Attributes:
        joint: (A,) index of its joint; -1 = none. tendon: (A,) index of its tendon; -1 = none.
        sites: (A,) 0 = none; 1 = a site; 2 = a site and a reference site.
        link: (A, 2) of these; -1 = the world. pos, quat: (A, 2, 3), (A, 2, 4) their frames in the links'.
        gear: (A, 6).
        gain, bias: (A, 3) constant, by length, by velocity.
        control_range, force_range, activation_range: (A, 2); -inf and inf where there is none.
        activation: (A,) kind, an index of ACTIVATIONS: none; integrator (act' = ctrl); filter, filterexact
            (act' = (ctrl - act) / time).
        time: (A,) time constant of a filter, s.
        early: (A,) bool, whether the force comes from the activation after the step.
        act: (A,) index of its activation among all; -1 = none.
    """

    joint: np.ndarray = column(dtype=np.int64, index="joint", default=0)
    tendon: np.ndarray = column(dtype=np.int64, index="tendon", default=-1)
    sites: np.ndarray = column(dtype=np.int64)
    link: np.ndarray = column(2, dtype=np.int64, index="link", default=-1)
    pos: np.ndarray = column(2, 3)
    quat: np.ndarray = column(2, 4, default=(1.0, 0.0, 0.0, 0.0))
    gear: np.ndarray = column(6)
    gain: np.ndarray = column(3)
    bias: np.ndarray = column(3)
    control_range: np.ndarray = column(2, default=(-np.inf, np.inf))
    force_range: np.ndarray = column(2, default=(-np.inf, np.inf))
    activation_range: np.ndarray = column(2, default=(-np.inf, np.inf))
    activation: np.ndarray = column(dtype=np.int64)
    time: np.ndarray = column(default=1.0)
    early: np.ndarray = column(dtype=np.bool_, default=False)
    act: np.ndarray = column(dtype=np.int64, index="act", default=-1)


@dataclass(frozen=True, eq=False)
class EqualityNumbers(Table):
    """Per equality constraint that is active. Of a connect or a weld each side is a frame that is fixed to a link.

    Attributes:
        kind: (E,) index of EQUALITIES: connect, both frames have one origin; weld, they are one frame; joint, with
            the displacements x, y of the joints from their rest, x = sum of polynomial[k] y^k, or polynomial[0];
            tendon, the same of the lengths of tendons.
        link: (E, 2) of both sides; -1 = the world. pos, quat: (E, 2, 3), (E, 2, 4) their frames.
        joint, tendon: (E, 2) indices of the joints or tendons; -1 = there is no other.
        polynomial: (E, 5), m or rad by powers of m or rad.
        torquescale: (E,) weight of a weld's rotation, m.
        weight: (E, 2) inverse weights of both bodies together, 1/kg and 1/(kg m^2), or (of both joints or tendons, 0).
        solref, solimp: (E, 2), (E, 5).
    """

    kind: np.ndarray = column(dtype=np.int64)
    link: np.ndarray = column(2, dtype=np.int64, index="link", default=-1)
    pos: np.ndarray = column(2, 3)
    quat: np.ndarray = column(2, 4, default=(1.0, 0.0, 0.0, 0.0))
    joint: np.ndarray = column(2, dtype=np.int64, index="joint", default=-1)
    tendon: np.ndarray = column(2, dtype=np.int64, index="tendon", default=-1)
    polynomial: np.ndarray = column(5)
    torquescale: np.ndarray = column()
    weight: np.ndarray = column(2)
    solref: np.ndarray = column(2, default=DEFAULT_SOLREF)
    solimp: np.ndarray = column(5, default=DEFAULT_SOLIMP)


@dataclass(frozen=True, eq=False)
class TendonNumbers(Table):
    """Per tendon. Its length is the sum of its parts, see TendonPartNumbers.

    Attributes:
        stiffness: (T,) of a spring that acts where the length is outside of `spring` (T, 2), m.
        damping, armature: (T,) by the rate of its length.
        range: (T, 2) limits of its length; -inf and inf where there is none. margin: (T,) of the limits.
        solref, solimp: (T, 2), (T, 5) of the limits.
        frictionloss: (T,) dry friction; zero where the file's flags switch it off.
        loss_solref, loss_solimp: (T, 2), (T, 5) of the dry friction.
        weight: (T,) MuJoCo's tendon_invweight0. rest: (T,) length at qpos0.
    """

    stiffness: np.ndarray = column()
    spring: np.ndarray = column(2)
    damping: np.ndarray = column()
    armature: np.ndarray = column()
    range: np.ndarray = column(2, default=(-np.inf, np.inf))
    margin: np.ndarray = column()
    solref: np.ndarray = column(2, default=DEFAULT_SOLREF)
    solimp: np.ndarray = column(5, default=DEFAULT_SOLIMP)
    frictionloss: np.ndarray = column()
    loss_solref: np.ndarray = column(2, default=DEFAULT_SOLREF)
    loss_solimp: np.ndarray = column(5, default=DEFAULT_SOLIMP)
    weight: np.ndarray = column(default=1.0)
    rest: np.ndarray = column()


@dataclass(frozen=True, eq=False)
class TendonPartNumbers(Table):
    """Per joint, a hinge or slide, that a fixed tendon passes: coefficient * q; and per straight part of another:
    coefficient * distance of two points.

    Attributes:
        tendon: (N,) index of the tendon.
        joint: (N,) index of the joint; -1 = a straight part.
        coefficient: (N,) length of tendon per m or rad; one over the divisor of the pulley before it.
        link: (N, 2) of the points; -1 = the world. pos: (N, 2, 3) the points.
    """

    tendon: np.ndarray = column(dtype=np.int64, index="tendon")
    joint: np.ndarray = column(dtype=np.int64, index="joint", default=-1)
    coefficient: np.ndarray = column()
    link: np.ndarray = column(2, dtype=np.int64, index="link", default=-1)
    pos: np.ndarray = column(2, 3)


@dataclass(frozen=True, eq=False)
class ExplicitPairs(Table):
    """Per explicit contact pair: it touches whatever bits, parents and exclusions say, with numbers of its own.

    Attributes:
        geom: (N, 2) indices of RigidModel.geoms; the first is -1 where it is a ground.
        ground: (N,) index of RigidModel.grounds; -1 = none.
        condim: (N,) 1 | 3 | 4 | 6.
        friction: (N, 5) along both tangents, torsional, rolling about both tangents.
        solref, solimp: (N, 2), (N, 5).
        solreffriction: (N, 2) solref of the rows of friction of elliptic cones; zeros: solref.
        margin, gap: (N,) m.
    """

    geom: np.ndarray = column(2, dtype=np.int64, index="geom", default=-1)
    ground: np.ndarray = column(dtype=np.int64, index="ground", default=-1)
    condim: np.ndarray = column(dtype=np.int64, default=3)
    friction: np.ndarray = column(5)
    solref: np.ndarray = column(2, default=DEFAULT_SOLREF)
    solreffriction: np.ndarray = column(2)
    solimp: np.ndarray = column(5, default=DEFAULT_SOLIMP)
    margin: np.ndarray = column()
    gap: np.ndarray = column()


@dataclass(frozen=True, eq=False)
class MocapNumbers(Table):
    """Per mocap body: fixed to the world, at a pose that is set.

    Attributes:
        link: (M,) its link, a root without joints; the pose at rest is that link's.
    """

    link: np.ndarray = column(dtype=np.int64, index="link")


@dataclass(frozen=True)
class MujocoOptions:
    """What a file says of the whole scene.

    Attributes:
        source: Name of the model that says so.
        timestep: s.
        integrator: of INTEGRATORS. cone: of CONES. solver: of SOLVERS; the answer does not depend on it.
        impratio: Frictional by normal impedance of elliptic cones, and of pyramids.
        iterations, tolerance, ls_iterations, ls_tolerance: of MuJoCo's solver.
        gravity: m/s^2; zeros where the file's flags switch it off.
        density: of the medium, kg/m^3. viscosity: Pa s. wind: its velocity, m/s.
        refsafe, eulerdamp, warmstart, filterparent: whether these flags of MuJoCo are on.
    """

    source: str
    timestep: float
    integrator: str
    cone: str
    solver: str
    impratio: float
    iterations: int
    tolerance: float
    ls_iterations: int
    ls_tolerance: float
    gravity: tuple[float, float, float]
    density: float
    viscosity: float
    wind: tuple[float, float, float]
    refsafe: bool
    eulerdamp: bool
    warmstart: bool
    filterparent: bool


TABLES: dict[str, type[Table]] = {
    "bodies": BodyNumbers,
    "joints": JointNumbers,
    "dofs": DofNumbers,
    "actuators": ActuatorNumbers,
    "equalities": EqualityNumbers,
    "tendons": TendonNumbers,
    "tendon_parts": TendonPartNumbers,
    "pairs": ExplicitPairs,
    "mocaps": MocapNumbers,
}


@dataclass(frozen=True, eq=False)
class MujocoNumbers:
    """All of it. Contact parameters of geoms and grounds are theirs: `Geom.contact`, `GroundGeom.contact`.

    Attributes:
        bodies, joints, dofs, actuators, equalities, tendons, tendon_parts, pairs, mocaps: tables, see their classes.
        actuator_names: A strings.
        qpos_spring: (Q,) configuration in which springs exert nothing.
        geom_body: (G,) per entry of `RigidModel.geoms` the index of its body; -1 = world.
        excluded: (n, 2) pairs of bodies that never touch, besides those of one weld group, parents and children.
        options: one record per file that it comes from; none of bodies that come from shapes.
        unsupported: (category, name) of what the model's file holds and MuJoCo's contact model here does not.
    """

    bodies: BodyNumbers
    joints: JointNumbers
    dofs: DofNumbers
    actuators: ActuatorNumbers
    actuator_names: tuple[str, ...]
    qpos_spring: np.ndarray
    geom_body: np.ndarray
    excluded: np.ndarray
    options: tuple[MujocoOptions, ...] = ()
    unsupported: tuple[tuple[str, str], ...] = ()
    equalities: EqualityNumbers = field(default_factory=lambda: EqualityNumbers.defaults(0, {}))
    tendons: TendonNumbers = field(default_factory=lambda: TendonNumbers.defaults(0, {}))
    tendon_parts: TendonPartNumbers = field(default_factory=lambda: TendonPartNumbers.defaults(0, {}))
    pairs: ExplicitPairs = field(default_factory=lambda: ExplicitPairs.defaults(0, {}))
    mocaps: MocapNumbers = field(default_factory=lambda: MocapNumbers.defaults(0, {}))

    def __post_init__(self) -> None:
        for name, dtype, shape in (
            ("qpos_spring", np.float64, (-1,)),
            ("geom_body", np.int64, (-1,)),
            ("excluded", np.int64, (-1, 2)),
        ):
            array = np.array(getattr(self, name), dtype=dtype).reshape(shape)
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def n_activations(self) -> int:
        return int((self.actuators.act >= 0).sum())


def agreed(options: Sequence[MujocoOptions], name: str, default: Any) -> Any:
    """What all files say of an option of the scene, `default` if none says anything.

    Raises:
        GenesisValueError: Two files disagree.
    """
    if not options:
        return default
    first = options[0]
    given = {"integrator": "RigidOptions", "cone": "MujocoContact", "impratio": "MujocoContact"}.get(name)
    remedy = f"Give it in {given}." if given else "Change one of the files."
    for other in options[1:]:
        if getattr(other, name) != getattr(first, name):
            raise GenesisValueError(
                f"{name} must be the same in all files of a scene, got {getattr(first, name)} of {first.source!r} and "
                f"{getattr(other, name)} of {other.source!r}. {remedy}"
            )
    return getattr(first, name)


def join(parts: Iterable[tuple[MujocoNumbers, int, int, str]], pairs: Iterable[tuple[int, int]]) -> MujocoNumbers:
    """The records of several models as one, in order.

    Args:
        parts: per model its record, the indices of its first link and ground in all, and the prefix of its names.
        pairs: further pairs of links, counted in all, that never touch.
    """
    listed = list(parts)
    counts = {"body": 0, "joint": 0, "act": 0, "tendon": 0, "geom": 0}
    columns: dict[str, dict[str, list[np.ndarray]]] = {
        table: {each.name: [] for each in fields(kind)} for table, kind in TABLES.items()
    }
    geom_body, excluded = [], []
    for numbers, link, ground, _ in listed:
        offsets = counts | {"link": link, "ground": ground}

        def shifted(array: np.ndarray, index: str, offsets: dict[str, int] = offsets) -> np.ndarray:
            return np.where(array >= 0, array + offsets[index], -1) if index else array

        for table in TABLES:
            rows = getattr(numbers, table)
            for each in fields(rows):
                columns[table][each.name].append(shifted(getattr(rows, each.name), each.metadata["index"]))
        geom_body.append(shifted(numbers.geom_body, "body"))
        excluded.append(shifted(numbers.excluded, "body"))
        counts["body"] += len(numbers.bodies)
        counts["joint"] += len(numbers.joints)
        counts["act"] += numbers.n_activations
        counts["tendon"] += len(numbers.tendons)
        counts["geom"] += len(numbers.geom_body)
    tables: dict[str, Any] = {
        table: TABLES[table](**{name: np.concatenate(arrays) for name, arrays in columns[table].items()})
        for table in TABLES
    }
    whole = MujocoNumbers(
        **tables,
        actuator_names=tuple(prefix + name for numbers, _, _, prefix in listed for name in numbers.actuator_names),
        qpos_spring=np.concatenate([numbers.qpos_spring for numbers, *_ in listed]),
        geom_body=np.concatenate(geom_body),
        excluded=np.concatenate(excluded),
        options=tuple(option for numbers, *_ in listed for option in numbers.options),
        unsupported=tuple(
            (kind, prefix + name) for numbers, _, _, prefix in listed for kind, name in numbers.unsupported
        ),
    )
    return exclude_links(whole, pairs)


def exclude_links(numbers: MujocoNumbers, pairs: Iterable[tuple[int, int]]) -> MujocoNumbers:
    """With all bodies of pairs of links excluded from touching."""
    link = numbers.bodies.link
    more = [(a, b) for i, j in pairs for a in np.flatnonzero(link == i) for b in np.flatnonzero(link == j)]
    if not more:
        return numbers
    return replace(numbers, excluded=np.concatenate([numbers.excluded, np.array(more, dtype=np.int64)]))
