"""Where everything lies: sizes, packed constants, rows of the trace. No mathematics.

Arrays of the kernels (`item` gives the index of element k of n, of environment e, in a frame):

    size   I1   run-time sizes, below
    tree   I1   per link `LINK_INTS`, per dof `DOF_INTS`, then the chain of each dof: itself, its parent dof, … the base
    num    A1   dt of a substep, friction velocity, limit smoothing
    fixed  A3   per link: offset from the parent, centre of mass; per dof: axis, anchor
    turn   A33  per link: rotation from the parent at rest
    law    A4   per dof: (limit low, high, stiffness, damping), (spring rest, force low, high, rest position);
                per link: (dissipation, contact smoothing, reach of its contact points, -)
    model  A1   parameters of every environment, in the order of `BLOCKS`
    q, qd, qdd  A1  of every frame
    trace  A3   per link and frame `TRACE` rows, then per dof the angular and linear part of its axis S
    rot    A33  per link and frame: rotation to the world
    released  I1  per frame, ground and contact point: whether it let go, for it would have pulled
    mass   A1   per frame: rows of the factor of the mass matrix, along the chains

Spatial vectors are pairs (angular, linear) in world axes about the origin of their tree, which is a point fixed in
space during a substep.
"""

from collections.abc import Iterator
from typing import NamedTuple

from genesis.compiler import Functions, layout, per_runtime, ti

(N_ENVS, ACTIVE, N_FRAMES, BEGIN, END, SUBSTEPS, LINKS, QS, DOFS, ENTRIES, NUMBERS,
 POINTS, GROUNDS, PAIRS) = range(14)  # fmt: skip
N_SIZES = 14


class Features(NamedTuple):
    """What kernels are compiled with or without, because it is large and most scenes do without."""

    outputs: bool = False
    pairs: bool = False
    terrain: bool = False


DT, FRICTION_VELOCITY, LIMIT_SMOOTHING = range(3)
N_NUMBERS = 3

LINK_INTS = 6
PARENT, ROOT, DOF0, N_DOFS, POINT0, N_POINTS = range(LINK_INTS)
DOF_INTS = 5
KIND, Q_INDEX, ENTRY0, DEPTH, COMPONENT = range(DOF_INTS)
SLIDE, HINGE, BALL = range(3)
"""Kinds of degrees of freedom. A ball has three, with COMPONENT 0, 1, 2. A free joint is three slides along the world's
axes and a ball whose COMPONENT is -1."""

TRACE = 9
ORIGIN, POS, VW, VL, AW, AL, MOMENT, JD, JO = range(TRACE)
"""World position of the tree's origin (roots only); position of the link; velocity; acceleration without qdd, with
gravity; mass times centre of mass; diagonal and off-diagonal (xy, xz, yz) of the inertia about the origin."""

BLOCKS = ("mass", "inertia", "friction", "contact_stiffness", "damping", "armature", "stiffness", "kp", "kv",
          "ground_friction")  # fmt: skip
"""Order of the parameters in `model`."""


def parameter_blocks(n_links: int, n_dofs: int, n_grounds: int) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Name -> (first index, shape) of each block of parameters."""
    shapes = {name: (n_dofs,) for name in BLOCKS}
    shapes.update(mass=(n_links,), inertia=(n_links, 6), friction=(n_links,), contact_stiffness=(n_links,),
                  ground_friction=(n_grounds,))  # fmt: skip
    blocks, begin = {}, 0
    for name in BLOCKS:
        blocks[name] = (begin, shapes[name])
        begin += shapes[name][0] * (6 if name == "inertia" else 1)
    return blocks


def chain_entries(parent_dof: list[int]) -> Iterator[list[int]]:
    """For each dof: itself, its parent dof, … the base's first."""
    for dof in range(len(parent_dof)):
        chain = []
        while dof >= 0:
            chain.append(dof)
            dof = parent_dof[dof]
        yield chain


@per_runtime
def indices() -> Functions:
    """Index of element k of n in an array with n elements for each frame and environment, and what follows from it."""
    soa = layout().soa

    @ti.func
    def local(array: ti.template(), n: ti.template()):
        """The first n entries as values: from an array they would be read again after every store."""
        return ti.Vector([array[i] for i in range(n)])

    @ti.func
    def item(frame, e, k, n, size: ti.template()):
        index = (frame * size[N_ENVS] + e) * n + k
        if ti.static(soa):  # neighbouring threads, which are environments, read neighbouring elements
            index = (frame * n + k) * size[N_ENVS] + e
        return index

    @ti.func
    def trace_at(frame, e, l, row, size: ti.template()):
        return item(frame, e, TRACE * l + row, TRACE * size[LINKS] + 2 * size[DOFS], size)

    @ti.func
    def axis_at(frame, e, j, row, size: ti.template()):
        return item(frame, e, TRACE * size[LINKS] + 2 * j + row, TRACE * size[LINKS] + 2 * size[DOFS], size)

    @ti.func
    def parameter(e, k, size: ti.template()):
        return item(0, e, k, size[NUMBERS], size)

    @ti.func
    def link_int(l, what):
        return LINK_INTS * l + what

    @ti.func
    def dof_int(j, what, size: ti.template()):
        return LINK_INTS * size[LINKS] + DOF_INTS * j + what

    @ti.func
    def chain_at(entry, size: ti.template()):
        return LINK_INTS * size[LINKS] + DOF_INTS * size[DOFS] + entry

    return Functions(local=local, item=item, trace_at=trace_at, axis_at=axis_at, parameter=parameter, link_int=link_int,
                     dof_int=dof_int, chain_at=chain_at)  # fmt: skip
