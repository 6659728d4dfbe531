"""What the kernels work on: sizes, rows, and the table of all arrays. No mathematics; `indices` follows from it.

Environments are worked on in blocks of `layout().width`, side by side in lanes (`genesis.math.lanes`). Arrays of kind
AL hold lane values of every block; constants, A1, are the same for all environments. A vector is three numbers in a
row, a rotation nine, row by row.

Spatial vectors are pairs (angular, linear) in world axes about the origin of their tree, which is a point fixed in
space during a substep. They take two rows, and are named by the first.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

from genesis.arrays import Array, Table

N_SIZES = 27
(N_BLOCKS, ACTIVE, N_FRAMES, BEGIN, END, SUBSTEPS, LINKS, QS, DOFS, ENTRIES, PARAMETERS,
 POINTS, GROUNDS, PAIRS, ENVS, GEOMS, CONTACTS, ROWS, DEEPEST, EQUALITIES, ACTUATORS,
 ACTIVATIONS, MOCAPS, TRANSMISSIONS, ARMS, TENDONS, LOSSES) = range(N_SIZES)  # fmt: skip
"""Of `size`: blocks of environments that the arrays hold, and blocks to work on; frames; first and last substep; …"""


SIZES = {
    "links": LINKS, "qs": QS, "dofs": DOFS, "entries": ENTRIES, "parameters": PARAMETERS, "points": POINTS,
    "grounds": GROUNDS, "pairs": PAIRS, "geoms": GEOMS, "contacts": CONTACTS, "rows": ROWS, "depth": DEEPEST,
    "equalities": EQUALITIES, "actuators": ACTUATORS, "activations": ACTIVATIONS, "mocaps": MOCAPS,
    "transmissions": TRANSMISSIONS, "arms": ARMS, "tendons": TENDONS, "losses": LOSSES,
}  # fmt: skip
"""Where kernels find the sizes of `TABLE`."""


class Features(NamedTuple):
    """What kernels are compiled with or without, because it is large and most scenes do without."""

    outputs: bool = False
    terrain: bool = False


def places(*widths: int) -> tuple[int, ...]:
    """Where fields of these widths begin, one behind the other, and their sum."""
    return tuple(accumulate(widths, initial=0))


N_NUMBERS = 2
DT, FRICTION_VELOCITY = range(N_NUMBERS)
"""Of `num`."""

LINK_INTS = 7
PARENT, ROOT, DOF0, N_DOFS, POINT0, N_POINTS, MOCAP = range(LINK_INTS)
"""MOCAP: its place among mocap bodies, or -1."""
DOF_INTS = 5
KIND, Q_INDEX, ENTRY0, DEPTH, COMPONENT = range(DOF_INTS)
SLIDE, HINGE, BALL = range(3)
"""Kinds of degrees of freedom. A ball has three, with COMPONENT 0, 1, 2. A free joint is three slides along the world's
axes and a ball whose COMPONENT is -1."""

LINK_VECTORS, DOF_VECTORS, LAW_ROWS = 2, 2, 3
OFFSET, COM = range(LINK_VECTORS)
"""Of a link, in its parent's frame: its place, and in its own: its centre of mass."""
AXIS, ANCHOR = range(DOF_VECTORS)
"""Of a dof, in its link's frame at rest."""
LIMIT, REST, LIMIT_WIDTH = range(LAW_ROWS)
"""Rows of a dof's law: (limit low, high, stiffness, damping), (spring rest, -, -, rest position), (half the
width of the limit's rounding, -, -, -)."""
POINT_ROWS, GROUND_ROWS = 4, 2
POINT_CENTRE, POINT_DIAGONAL, POINT_OFF, POINT_EXTRA = range(POINT_ROWS)
"""Rows of a contact point: (centre, radius), …, …, (-, -, geom, -), in the link's frame. Of an ellipsoid its squared
semi-axes as a symmetric matrix, (diagonal, 1), (off-diagonal, -). Of a place on a rim, at an angle from its lowest:
(axis, 2), (centre less the place while the axis is upright, -), (radius times cosine, times sine, geom, -)."""
GROUND_HEAD, GROUND_INFO = range(GROUND_ROWS)
"""Rows of a ground: (normal, offset), (0, …) or (corner, spacing), (1, samples along x, along y, first sample)."""
N_CONTROLS = 5
FORCE, TARGET, TARGET_VELOCITY, GATE, GATE_VELOCITY = range(N_CONTROLS)
"""Of `dofs`: the controls of a dof. The gates multiply kp and kv."""
WRENCH_ROWS = 2
PUSH, TWIST = range(WRENCH_ROWS)
"""Rows of a wrench: force, torque."""

*_rows, TRACE = places(1, 1, 2, 2, 1, 1, 1)
ORIGIN, POS, VELOCITY, ACCELERATION, MOMENT, JD, JO = _rows
"""World position of the tree's origin (roots only); position of the link; velocity; acceleration without qdd, with
gravity; mass times centre of mass; diagonal and off-diagonal (xy, xz, yz) of the inertia about the origin."""
*_rows, WORK = places(1, 1, 1, 1, 1, 1, 1, 2)
AAD, AAO, AL0, AL1, AL2, LLD, LLO, NEEDED = _rows
"""Inertia (angular block AA, mixed block AL, linear block LL) and the force that a link needs."""
DUE = AAD
"""Once the inertia is used: a link's acceleration due to qdd."""
*_rows, CONTACT_NUMBERS = places(3, 1, 3, 1, 1, 1, 2)
LISTED_NORMAL, LISTED_FORCE, LISTED_PLACE, LISTED_SLOPE, LISTED_FRICTION, LISTED_TOUCHES, _spare = _rows
"""Of a listed contact: normal, normal force at rest; place, the force's slope; friction, whether it touches."""
CONTACT_INTS = 3
LISTED_LINK, LISTED_KEY, LISTED_POINT = range(CONTACT_INTS)
*_rows, BACK = places(2, 2, 2, 2, 2, 2, 2)
NU, QDD, BN, BV, BA, BU, BW = _rows
"""nu, the acceleration due to qdd, and the sums that `adjoint` describes."""
*_rows, CONTACT = places(3, 3, 1)
CONTACT_FORCE, CONTACT_PLACE, CONTACT_TOUCHES = _rows
"""Of a contact point's outputs: force on the link, touching point, touching substeps."""

PARAMETER_TABLE: Mapping[str, tuple[str | int, ...]] = {
    "mass": ("links",),
    "inertia": ("links", 6),
    "friction": ("geoms",),
    "contact_stiffness": ("links",),
    "damping": ("dofs",),
    "armature": ("dofs",),
    "stiffness": ("dofs",),
    "kp": ("dofs",),
    "kv": ("dofs",),
    "force_low": ("dofs",),
    "force_high": ("dofs",),
    "coup_friction": ("geoms",),
    "ground_friction": ("grounds",),
    "ground_coup_friction": ("grounds",),
}
"""The parameters in `model`, in their order, with their shapes. Particles slide with `coup_friction` of those bodies
whose material says so, which kernels do not read."""
SIZE_OF = {"links": LINKS, "geoms": GEOMS, "dofs": DOFS, "actuators": ACTUATORS, "grounds": GROUNDS}
"""Where kernels find the sizes of BLOCKS."""

TABLE: Table = (
    # Constants. `size` has one array for each range of substeps.
    Array("size", "I1", (N_SIZES,), "constant"),
    Array("num", "A1", (N_NUMBERS,), "constant"),
    Array("link_tree", "I1", ("links", LINK_INTS), "constant"),
    Array("dof_tree", "I1", ("dofs", DOF_INTS), "constant"),
    Array("chain", "I1", ("entries",), "constant"),  # of each dof: itself, its parent dof, … the base's first
    Array("link_fixed", "A1", ("links", LINK_VECTORS, 3), "constant"),
    Array("dof_fixed", "A1", ("dofs", DOF_VECTORS, 3), "constant"),
    Array("turn", "A1", ("links", 9), "constant"),  # rotation from the parent at rest
    Array("dof_law", "A1", ("dofs", LAW_ROWS, 4), "constant"),
    Array("link_law", "A1", ("links", 4), "constant"),  # dissipation, contact smoothing, reach of points, grip / dt
    Array("point", "A1", ("points", POINT_ROWS, 4), "constant"),
    Array("ground", "A1", ("grounds", GROUND_ROWS, 4), "constant"),
    Array("heights", "A1", ("samples",), "constant"),
    # Of a step: what is loaded, how it went, outputs.
    Array("model", "AL", ("blocks", "parameters"), "frames"),  # in the order of BLOCKS
    Array("gravity", "AL", ("blocks", 3), "frames"),
    Array("dofs", "AL", ("blocks", "dofs", N_CONTROLS), "frames"),
    Array("wrench", "AL", ("blocks", "links", WRENCH_ROWS, 3), "frames"),  # at the centre of mass, world axes
    Array("status", "I1", ("blocks", "lanes"), "frames"),  # 1 + the substep that went wrong, else 0
    Array("low", "AL", ("blocks", "lows"), "frames"),  # what is rounded away of q
    Array("contacts", "AL", ("blocks", "output_points", CONTACT), "frames"),  # world axes, sums over the substeps
    Array("joint", "AL", ("blocks", "output_links", WRENCH_ROWS, 3), "frames"),  # from the parent, about the link
    # Of every frame.
    Array("q", "AL", ("frames", "blocks", "qs"), "frames"),
    Array("qd", "AL", ("frames", "blocks", "dofs"), "frames"),
    Array("qdd", "AL", ("frames", "blocks", "dofs"), "frames"),
    Array("trace", "AL", ("frames", "blocks", "links", TRACE, 3), "frames"),
    Array("axes", "AL", ("frames", "blocks", "dofs", 2, 3), "frames"),  # of each dof, a spatial vector
    Array("rot", "AL", ("frames", "blocks", "links", 9), "frames"),  # rotation to the world
    Array("mass", "AL", ("frames", "blocks", "entries"), "frames"),  # factor of the mass matrix, along the chains
    Array("released", "AL", ("frames", "blocks", "grounds", "points"), "frames"),  # 1: let go, for it would pull
    # Within a substep.
    Array("work", "AL", ("blocks", "links", WORK, 3), "scratch"),
    Array("x", "AL", ("blocks", "dofs"), "scratch"),  # right-hand side and solution; in the adjoint, mu
    Array("contact_list", "AL", ("blocks", "grounds", "points", CONTACT_NUMBERS), "scratch"),  # contacts in a list
    Array("contact_index", "I1", ("blocks", "grounds", "points", CONTACT_INTS), "scratch"),
    Array("n_contacts", "I1", ("blocks",), "scratch"),
    # Within an adjoint.
    Array("back", "AL", ("blocks", "links", BACK, 3), "adjoint"),
    Array("gqpos", "AL", ("blocks", "qs"), "adjoint"),
    Array("gq", "AL", ("blocks", "dofs"), "adjoint"),  # in each dof's own direction
    Array("gqd", "AL", ("blocks", "dofs"), "adjoint"),
    Array("gdofs", "AL", ("blocks", "dofs", N_CONTROLS), "adjoint"),
    Array("gwrench", "AL", ("blocks", "links", WRENCH_ROWS, 3), "adjoint"),
    Array("gmodel", "AL", ("blocks", "parameters"), "adjoint"),
    Array("ggravity", "AL", ("blocks", 3), "adjoint"),
    Array("gcontacts", "AL", ("blocks", "output_points", 2, 3), "adjoint"),  # of force, of place
    Array("gjoint", "AL", ("blocks", "output_links", WRENCH_ROWS, 3), "adjoint"),
    # Tensors of the step: one row for each environment.
    Array("q_in", "A1", ("envs", "qs"), "step"),
    Array("qd_in", "A1", ("envs", "dofs"), "step"),
    Array("dofs_in", "A1", ("envs", "dofs", N_CONTROLS), "step"),
    Array("q_out", "A1", ("envs", "qs"), "step"),
    Array("qd_out", "A1", ("envs", "dofs"), "step"),
    Array("low_in", "A1", ("envs", "lows"), "step"),  # in float32 alone
    Array("low_out", "A1", ("envs", "lows"), "step"),
    Array("gq_in", "A1", ("envs", "qs"), "step_adjoint"),
    Array("gqd_in", "A1", ("envs", "dofs"), "step_adjoint"),
    Array("gq_out", "A1", ("envs", "qs"), "step_adjoint"),
    Array("gqd_out", "A1", ("envs", "dofs"), "step_adjoint"),
    Array("gdofs_out", "A1", ("envs", "dofs", N_CONTROLS), "step_adjoint"),
)

MOCAP_NUMBERS = 7
MOCAP_TABLE: Table = (
    Array("mocap", "AL", ("blocks", "mocaps", MOCAP_NUMBERS), "frames"),  # position, quaternion
    Array("gmocap", "AL", ("blocks", "mocaps", MOCAP_NUMBERS), "adjoint"),
)
"""Beside `TABLE`, where there are mocap bodies."""


def parameter_layout(
    n_links: int, n_geoms: int, n_dofs: int, n_grounds: int,
    table: Mapping[str, tuple[str | int, ...]] | None = None, n_actuators: int = 0,
) -> dict[str, tuple[int, tuple[int, ...]]]:  # fmt: skip
    """Name -> (first index, shape) of each parameter's numbers; of another contact model, with its table."""
    sizes = {"links": n_links, "geoms": n_geoms, "dofs": n_dofs, "actuators": n_actuators, "grounds": n_grounds}
    places, begin = {}, 0
    for name, shape in (PARAMETER_TABLE if table is None else table).items():
        extent = tuple(sizes[size] if isinstance(size, str) else size for size in shape)
        places[name] = (begin, extent)
        begin += math.prod(extent)
    return places


def chain_entries(parent_dof: list[int]) -> Iterator[list[int]]:
    """For each dof: itself, its parent dof, … the base's first."""
    for dof in range(len(parent_dof)):
        chain = []
        while dof >= 0:
            chain.append(dof)
            dof = parent_dof[dof]
        yield chain
