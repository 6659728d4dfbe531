"""What the kernels of MuJoCo's contact model work on, beside what they share with the compliant one.

An *evaluation* maps positions, velocities and controls to accelerations; a frame holds one. A substep takes one
(Euler, implicitfast) or four (RK4), and the next substep begins in the frame after its last.

A *touch* is a pair of a geom and a ground, or of two geoms, that may be in contact, in some of its points. A *contact*
is a point that is within the margin in some environment of a block. Contacts stand in a list, each with its rows: the
normal, two tangents, and three rotations about these, of which `DIM` act. Rows of single degrees of freedom (limits,
friction loss) stand apart. Equality constraints come first in the list, whatever the state. Touches of two geoms come
first, then those with grounds, by link.
"""

from collections.abc import Mapping
from typing import NamedTuple

from genesis.arrays import Array, Table
from genesis.contact.narrow_phase.finders import CONVEX
from genesis.solvers.rigid import layout as rigid
from genesis.solvers.rigid.layout import MOCAP_TABLE, places

N_SOLVER_NUMBERS = 5
S_IMPRATIO, S_TOLERANCE, S_REFSAFE, S_ITERATIONS, S_EULERDAMP = range(N_SOLVER_NUMBERS)
"""1 / impratio; tolerance; 1: refsafe; cap of iterations; 1: Euler's integrator takes damping implicitly."""
EULER, IMPLICITFAST, RK4 = "Euler", "implicitfast", "RK4"
EVALUATIONS = {EULER: 1, IMPLICITFAST: 1, RK4: 4}
"""Evaluations in a substep."""


class Features(NamedTuple):
    """What kernels are compiled with or without."""

    outputs: bool = False
    """Whether means over a step are asked for: forces of contacts, wrenches of joints."""
    last: bool = False
    """Whether the last evaluation of a step is asked for: its state, forces of contacts and wrenches of joints."""
    terrain: bool = False
    integrator: str = EULER
    elliptic: bool = False
    rotations: bool = False
    """Whether rows of rotation act: some contact has dimension 4 or 6."""
    fluid: bool = False
    curved: bool = False
    """Whether ellipsoids or cylinders may touch grounds."""
    hulls: bool = False
    """Whether convex meshes may touch grounds."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Kinds of geoms that may touch each other."""
    equalities: bool = False
    """Whether there are equality constraints."""
    actuators: bool = False
    """Whether there are actuators with a law of their own: `actuators`."""
    explicit: bool = False
    """Whether there are explicit contact pairs, which have a law of their own."""
    mocaps: bool = False
    """Whether there are mocap bodies."""
    free_bodies: bool = False
    """Whether gyroscopic forces of free bodies that carry nothing are taken implicitly: `free_bodies`."""
    tendons: bool = False
    """Whether tendons act by themselves: `tendons`."""
    paths: bool = False
    """Whether there are moment arms that change with the configuration: `paths`."""
    gravcomp: bool = False
    """Whether bodies are held against gravity: `gravcomp`."""

    @property
    def transmissions(self) -> bool:
        """Whether anything pulls by moment arms."""
        return self.actuators or self.tendons

    @property
    def searches(self) -> bool:
        """Whether contacts of some of these are searched for."""
        return any(pair in CONVEX for pair in self.pairs)

    @property
    def measured(self) -> bool:
        """Whether forces are measured."""
        return self.outputs or self.last

    @property
    def spreads(self) -> bool:
        """Whether the Hessian may have entries outside of the chains of dofs."""
        return bool(self.pairs) or self.equalities or self.tendons


TOUCH_INTS = 16
(T_LINK, T_GEOM, T_DOF, T_DEPTH, T_DIM, T_KIND, T_MOST,
 T_GROUND, T_POINT0, T_N_POINTS, T_LINK_B, T_GEOM_B, T_DOF_B, T_DEPTH_B, T_CORNERS,
 T_PAIR) = range(TOUCH_INTS)  # fmt: skip
"""Link and geom; the last dof of its chain, and how many dofs of it move the geom against the other; rows of a contact;
kind; contacts that it has at most. With a ground: its index, the geom's points that are tried, and how many corners a
mesh chooses these from. With another geom: T_GROUND is -1, T_POINT0 its first record in `found`, T_KIND the place in
`Features.pairs`; the normal points away from the first geom. Last, the explicit pair that it is, or -1."""
SPHERE, BOX, ELLIPSOID, CYLINDER, HULL = range(5)
"""Kinds of a touch with a ground. A capsule is two spheres with a hint for the tangent."""
CLUSTER, HULL_HEAD = 32, 4
"""Vertices of a hull that stand together; rows before the first of them. Rows of a hull, see `hull_points.py`."""
TOUCH_NUMBERS = 4
T_MIX, T_RULE, T_MARGIN, T_REACH = range(TOUCH_NUMBERS)
"""Weight of the geom's solref and solimp; friction: -1 the larger, 1 the geom's, 0 the other's; margin, m; greatest
distance, m, of the geom's centre from the ground or the other's centre at which they may touch, less what follows from
sizes."""
*_rows, PAIR_NUMBERS = places(2, 2, 5, 5)
P_REF, P_FRICTION_REF, P_IMP, P_FRICTION = _rows
"""Of an explicit pair: solref, that of rows of friction of elliptic cones, solimp, friction by row."""
GEOM_ROWS = 4
G_POS, G_X, G_Y, G_Z = range(GEOM_ROWS)
"""Rows of a geom in its link's frame: (centre, greatest distance of a vertex of a hull), (x axis, 1: a radius about a
point or a segment), (y axis, 1: a half length along z), (z axis, 1: a hint for the tangent)."""

*_rows, FLUID_ROWS = places(1, 3, 1, 1, 1)
FLUID_CENTRE, FLUID_FRAME, FLUID_DRAG, FLUID_SPIN_DRAG, FLUID_WIND = _rows
"""Rows of a body in a medium, in its link's frame: (centre, -), its principal axes as columns of three rows, factors
of |V| V and of V, of |W| W and of W, (wind in the world, -)."""

*_rows, CONTACT_NUMBERS = places(6, 6, 6, 6, 6, 1, 1, 1, 5, 1)
X, ALONG, F, WN, WJ, WNN, CROSS, D, MU, ZONE = _rows
"""Of a listed contact, by its rows: residual J a - aref, its slope along the search direction, force; and of the
Hessian of its cost: normal with tangent j, tangent j with itself (both by row, 0 unused), normal with itself, and the
factor of WN WN^T among tangents. Stiffness of the normal (0: the contact is not there), coefficients of friction of
rows 1 …, and which piece of the cost the residual is in."""
CONTACT_INTS = 2
C_DEPTH, C_DIM = range(CONTACT_INTS)
"""Number of dofs that move it, number of rows."""

EQUALITY_INTS = 7
E_KIND, E_LINK_A, E_LINK_B, E_DOF0, E_DEPTH, E_DIM, E_COUPLES = range(EQUALITY_INTS)
"""Kind; links (-1: the world) or tendons (-1: none); first of its `equality_dofs`, and how many; rows; 1: it couples
dofs of two chains."""
CONNECT, WELD, JOINT, TENDON = range(4)
*_rows, EQUALITY_NUMBERS = places(3, 3, 9, 9, 2, 1, 2, 5, 5, 2)
E_POS_A, E_POS_B, E_TURN_A, E_TURN_B, E_WEIGHT, E_SCALE, E_REF, E_IMP, E_POLYNOMIAL, E_REST = _rows
"""Frames of both sides, in their links; inverse weights of translation (or of the joints) and rotation; torquescale;
solref; solimp; polynomial; rest positions of both joints."""
SIDE_A, SIDE_B = 1, 2
"""Bits: which sides a dof moves. Behind the dofs of two tendons, the first one's first, are those of the second: for
each of its arms the place in the list."""

ROW_KINDS = 3
LOWER, UPPER, LOSS = range(ROW_KINDS)
ROW_NUMBERS = 6
R_D, R_X, R_ALONG, R_F, R_W, R_BOUND = range(ROW_NUMBERS)
"""Of a row of a dof: stiffness (0: not there), residual, its slope, force along the dof, curvature, most force."""

*_rows, DAMPED_BACK = places(2, 2, 2, 2, 2)
DAMPED_NU, DAMPED_DUE, DAMPED_BN, DAMPED_BA, DAMPED_BW = _rows
"""Of a link, in the adjoint of implicit damping: motions of the virtual and of the remaining acceleration, and the sums
of the power's derivatives by them and by a rigid displacement."""

TRANSMISSION_INTS = 7
(TR_ARM0, TR_N_ARMS, TR_PAIR0, TR_N_PAIRS, TR_PIECE0, TR_N_PIECES, TR_STRAIGHT) = range(TRANSMISSION_INTS)
"""First moment arm, and how many; the same of pairs of arms whose dofs are of one chain; and of pieces whose arms
change; 1: the constant arms times positions are a part of its length. Those of tendons come first."""
PIECE_INTS = 6
P_KIND, P_LINK_A, P_LINK_B, P_ENTRY0, P_N_A, P_N_B = range(PIECE_INTS)
"""Kind; links (-1: the world); first of its `piece_arms`, how many move the first side alone, and the other alone."""
SITE, SITES, STRETCH = range(3)
"""A wrench on a site; one between a site and a reference site; a tendon's straight part."""
*_rows, PIECE_NUMBERS = places(3, 3, 9, 9, 6)
P_POS_A, P_POS_B, P_TURN_A, P_TURN_B, P_GEAR = _rows
"""Frames of both sides, in their links; force and torque in the site's axes or the reference's, or (factor, …)."""
*_rows, TENDON_NUMBERS = places(1, 2, 1, 1, 2, 1, 1, 2, 5, 1, 2, 5)
(D_STIFFNESS, D_SPRING, D_DAMPING, D_ARMATURE, D_RANGE, D_MARGIN, D_WEIGHT, D_REF, D_IMP,
 D_LOSS, D_LOSS_REF, D_LOSS_IMP) = _rows  # fmt: skip
"""Stiffness, the lengths between which the spring rests, damping, armature; limits, their margin; inverse weight,
solref and solimp of limits; dry friction, its solref and solimp."""

ACTUATOR_INTS = 4
A_TRANSMISSION, A_ON_JOINT, A_ACTIVATION, A_EARLY = range(ACTUATOR_INTS)
"""Transmission; dof of its joint, -1: it is not on a joint; index of the activation, -1: none; 1: the force comes from
the activation after the step."""
ACTUATOR_NUMBERS = 11
(A_CTRL_LOW, A_CTRL_HIGH, A_FORCE_LOW, A_FORCE_HIGH, A_ACT_LOW, A_ACT_HIGH,
 A_LEAK, A_TIME, A_STEP, A_GEAR, A_PERIOD) = range(ACTUATOR_NUMBERS)  # fmt: skip
"""Ranges; act' = (control - leak * act) / time, and what a step of the integrator multiplies it with, s; its length by
that of the transmission; period of the length where a servo turns the shorter way, else 0."""

PARAMETER_TABLE: Mapping[str, tuple[str | int, ...]] = {
    "mass": ("links",),
    "inertia": ("links", 6),
    "invweight": ("geoms",),
    "damping": ("dofs",),
    "armature": ("dofs",),
    "stiffness": ("dofs",),
    "kp": ("dofs",),
    "kv": ("dofs",),
    "frictionloss": ("dofs",),
    "dof_invweight": ("dofs",),
    "limit_solref": ("dofs", 2),
    "limit_solimp": ("dofs", 5),
    "loss_solref": ("dofs", 2),
    "loss_solimp": ("dofs", 5),
    "friction": ("geoms",),
    "rotational_friction": ("geoms", 2),
    "solref": ("geoms", 2),
    "solimp": ("geoms", 5),
    "size": ("geoms", 3),
    "actuator_gain": ("actuators", 3),
    "actuator_bias": ("actuators", 3),
    "force_low": ("dofs",),
    "force_high": ("dofs",),
    "coup_friction": ("geoms",),
    "ground_friction": ("grounds",),
    "ground_rotational_friction": ("grounds", 2),
    "ground_solref": ("grounds", 2),
    "ground_solimp": ("grounds", 5),
    "ground_coup_friction": ("grounds",),
}
"""The parameters in `model`, in their order, with their shapes: those of grounds last. Rotational friction: torsional,
rolling. Sizes as in `Geom.size`."""

NOT_SHARED = ("link_law", "point", "released", "contact_list", "contact_index")
OUTPUTS, TERRAIN = ("contacts", "joint", "gcontacts", "gjoint"), ("heights",)
TABLE: Table = (
    *(array for array in rigid.TABLE if array.name not in (*NOT_SHARED, *OUTPUTS, *TERRAIN)),
    Array("point", "A1", ("geom_points", 4), "constant"),  # in sizes, or of a hull in its link's frame; 1: a radius
    Array("touch", "I1", ("touches", TOUCH_INTS), "constant"),
    Array("touch_law", "A1", ("touches", TOUCH_NUMBERS), "constant"),
    Array("geom", "A1", ("geoms", GEOM_ROWS, 4), "constant"),
    Array("solver_numbers", "A1", (N_SOLVER_NUMBERS,), "constant"),
    # Of every frame.
    Array("moved", "AL", ("frames", "blocks", "dofs"), "frames"),  # (M + h B)^-1 M a
    Array("unconverged", "I1", ("blocks", "lanes"), "frames"),  # evaluations in which the cap was reached
    # Within an evaluation.
    Array("inertia_rows", "AL", ("blocks", "entries"), "scratch"),  # M, along the chains
    Array("force", "AL", ("blocks", "dofs"), "scratch"),  # without constraints
    Array("left", "AL", ("blocks", "dofs"), "scratch"),  # M a - force
    Array("left_along", "AL", ("blocks", "dofs"), "scratch"),  # its slope along the search direction
    Array("contact_list", "AL", ("blocks", "contacts", CONTACT_NUMBERS), "scratch"),
    Array("contact_jacobian", "AL", ("blocks", "contacts", "depth", "rows"), "scratch"),
    Array("contact_dofs", "I1", ("blocks", "contacts", "depth"), "scratch"),  # those that move it
    Array("contact_index", "I1", ("blocks", "contacts", CONTACT_INTS), "scratch"),
    Array("first_contact", "I1", ("blocks",), "scratch"),  # the first in the list that is not of a joint
    Array("dof_rows", "AL", ("blocks", "dofs", ROW_KINDS, ROW_NUMBERS), "scratch"),
    Array("dof_rows_on", "I1", ("blocks", "dofs"), "scratch"),  # bits: which rows are there in some environment
    # Within an adjoint.
    Array("gqdd", "AL", ("blocks", "dofs"), "adjoint"),
)
"""What all kernels have. Each array more makes launches longer, and compiled kernels larger."""

RK4_TABLE: Table = (
    Array("rate", "AL", ("frames", "blocks", "dofs"), "frames"),  # velocity of a stage in the tangent of its start
    Array("gbase_q", "AL", ("blocks", "dofs"), "adjoint"),  # of the start of the substep
    Array("gbase_qd", "AL", ("blocks", "dofs"), "adjoint"),
    Array("gend", "AL", ("blocks", "dofs"), "adjoint"),  # of the mean rate
    Array("gend_qd", "AL", ("blocks", "dofs"), "adjoint"),
    Array("grate", "AL", ("blocks", "dofs"), "adjoint"),
)
DAMPED_TABLE: Table = (
    Array("damped", "AL", ("frames", "blocks", "damped_entries"), "frames"),  # factor of M + h B
    Array("back_damped", "AL", ("blocks", "links", DAMPED_BACK, 3), "adjoint"),
)
SPREAD_TABLE: Table = (
    Array("dof_last", "I1", ("dofs",), "constant"),  # the last dof of those that a dof moves
    Array("hessian", "AL", ("frames", "blocks", "triangle"), "frames"),  # its factor, where bodies touch: `envelope`
    Array("envelope", "I1", ("frames", "blocks", "spread_dofs"), "frames"),
    Array("spread", "I1", ("frames", "blocks"), "frames"),  # 1 where the Hessian has entries outside of the chains
    Array("columns", "I1", ("blocks", "spread_dofs"), "scratch"),  # of a row of the Hessian, those before its own
)
FOUND_TABLE: Table = (
    Array("found", "A1", ("blocks", "lanes", "found_numbers"), "scratch"),  # contacts of two geoms
    Array("n_found", "I1", ("blocks", "lanes", "pairs"), "scratch"),  # how many of each pair
)
EQUALITY_TABLE: Table = (
    Array("equality", "I1", ("equalities", EQUALITY_INTS), "constant"),
    Array("equality_numbers", "A1", ("equalities", EQUALITY_NUMBERS), "constant"),
    Array("equality_dofs", "I1", ("equality_entries", 2), "constant"),  # a dof, and which sides it moves
)
FLUID_TABLE: Table = (
    Array("fluid", "A1", ("fluids", FLUID_ROWS, 4), "constant"),
    Array("fluid_range", "I1", ("links", 2), "constant"),  # first body in the medium, and how many
)
GRAVCOMP_TABLE: Table = (
    Array("gravcomp", "A1", ("held_links", 4), "constant"),  # parts of the mass: times its place, in all
)
FREE_TABLE: Table = (
    Array("carries_nothing", "I1", ("links",), "constant"),  # 1: `free_bodies` has the link
)
MEASURED_TABLE: Table = (
    Array("measured", "I1", ("blocks",), "scratch"),  # the next in the list to be measured
)

NEITHER, OVAL = -1, -2
"""In `hull_of`: no hull; an ellipsoid."""
CONVEX_TABLE: Table = (
    Array("hull_numbers", "A1", ("hull_numbers",), "constant"),  # `genesis.contact.narrow_phase.hulls`
    Array("hull_ints", "I1", ("hull_ints",), "constant"),
    Array("hull_of", "I1", ("geoms",), "constant"),  # header of a geom's hull; NEITHER, OVAL: it is none
    Array("search", "A1", ("blocks", "search_numbers"), "scratch"),
    Array("search_ints", "I1", ("blocks", "search_ints"), "scratch"),
)

TRANSMISSION_TABLE: Table = (
    Array("transmission", "I1", ("transmissions", TRANSMISSION_INTS), "constant"),
    Array("arm_dof", "I1", ("arms",), "constant"),
    Array("arm", "A1", ("arms",), "constant"),  # the constant part
    Array("arm_pair", "I1", ("arm_pairs", 3), "constant"),  # entry of the mass matrix, arms of its row and its column
    Array("piece", "I1", ("pieces", PIECE_INTS), "constant"),
    Array("piece_numbers", "A1", ("pieces", PIECE_NUMBERS), "constant"),
    Array("piece_arm", "I1", ("piece_arms", 2), "constant"),  # an arm, from the base on; 1: the first dof of its joint
    Array("tendon", "A1", ("tendons", TENDON_NUMBERS), "constant"),
    Array("tendon_loss", "I1", ("losses",), "constant"),  # tendons with dry friction
    Array("moment", "AL", ("blocks", "arms"), "scratch"),
    Array("span", "AL", ("blocks", "transmissions"), "scratch"),  # lengths
    Array("drag", "AL", ("blocks", "transmissions"), "scratch"),  # by how much the force falls with the velocity
    Array("gmoment", "AL", ("blocks", "arms"), "adjoint"),
    Array("gspan", "AL", ("blocks", "transmissions"), "adjoint"),
    Array("gdrag", "AL", ("blocks", "transmissions"), "adjoint"),
)

ACTUATOR_TABLE: Table = (
    Array("actuator", "I1", ("actuators", ACTUATOR_INTS), "constant"),
    Array("actuator_numbers", "A1", ("actuators", ACTUATOR_NUMBERS), "constant"),
    Array("drive_range", "A1", ("dofs", 2), "constant"),  # of the force of all actuators on a dof's joint
    Array("ctrl", "AL", ("blocks", "actuators"), "frames"),
    Array("act", "AL", ("frames", "blocks", "activations"), "frames"),
    Array("pull", "AL", ("blocks", "dofs"), "scratch"),  # of all actuators on a dof; in the adjoint, its cotangent
    Array("falls", "AL", ("blocks", "actuators"), "scratch"),  # by how much an actuator's force falls with its velocity
    Array("gctrl", "AL", ("blocks", "actuators"), "adjoint"),
    Array("gact", "AL", ("blocks", "activations"), "adjoint"),
    Array("gbase_act", "AL", ("blocks", "activations"), "adjoint"),  # RK4: of the start of the substep
    Array("gend_act", "AL", ("blocks", "activations"), "adjoint"),  # RK4: of the sum of rates
    Array("grate_act", "AL", ("blocks", "activations"), "adjoint"),  # RK4: of the rate of a stage
    Array("ctrl_in", "A1", ("envs", "actuators"), "step"),
    Array("act_in", "A1", ("envs", "activations"), "step"),
    Array("act_out", "A1", ("envs", "activations"), "step"),
    Array("gact_in", "A1", ("envs", "activations"), "step_adjoint"),
    Array("gact_out", "A1", ("envs", "activations"), "step_adjoint"),
    Array("gctrl_out", "A1", ("envs", "actuators"), "step_adjoint"),
)
PAIR_TABLE: Table = (Array("pair_law", "A1", ("explicit_pairs", PAIR_NUMBERS), "constant"),)


LAST_TABLE: Table = (
    # Of the last evaluation of a step: by geom force and torque about its link's frame; by link the joints' wrench.
    Array("last_contacts", "AL", ("blocks", "points", 2, 3), "frames"),
    Array("last_joint", "AL", ("blocks", "links", rigid.WRENCH_ROWS, 3), "frames"),
    Array("glast_q", "AL", ("blocks", "qs"), "adjoint"),
    Array("glast_qd", "AL", ("blocks", "dofs"), "adjoint"),
    Array("glast", "AL", ("blocks", "dofs"), "adjoint"),  # glast_q in each dof's own direction
    Array("glast_contacts", "AL", ("blocks", "points", 2, 3), "adjoint"),
    Array("glast_joint", "AL", ("blocks", "links", rigid.WRENCH_ROWS, 3), "adjoint"),
)


def table_of(features: Features) -> Table:
    """The arrays of kernels with these features."""
    outputs, terrain = (tuple(a for a in rigid.TABLE if a.name in names) for names in (OUTPUTS, TERRAIN))
    rk4 = features.integrator == RK4
    parts = (
        (TRANSMISSION_TABLE, features.transmissions), (ACTUATOR_TABLE, features.actuators),
        (PAIR_TABLE, features.explicit), (MOCAP_TABLE, features.mocaps), (CONVEX_TABLE, features.searches),
        (LAST_TABLE, features.last), (RK4_TABLE, rk4), (DAMPED_TABLE, not rk4), (SPREAD_TABLE, features.spreads),
        (FOUND_TABLE, bool(features.pairs)), (EQUALITY_TABLE, features.equalities), (FLUID_TABLE, features.fluid),
        (GRAVCOMP_TABLE, features.gravcomp), (FREE_TABLE, features.free_bodies), (MEASURED_TABLE, features.measured),
        (outputs, features.outputs), (terrain, features.terrain),
    )  # fmt: skip
    return (*TABLE, *(array for part, wanted in parts if wanted for array in part))
