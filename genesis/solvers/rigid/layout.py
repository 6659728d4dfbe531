"""Where everything lies: sizes, packed constants, rows of the trace. No mathematics.

Environments are worked on in blocks of `layout().width`, side by side in lanes (`genesis.math.lanes`). Arrays of kind
AL hold lane values; `item` gives the index of number k of n, of a block, in a frame. Constants, A1, are the same for
all environments. A vector is three numbers in a row, a rotation nine, row by row.

    size   I1  run-time sizes, below
    tree   I1  per link `LINK_INTS`, per dof `DOF_INTS`, then the chain of each dof: itself, its parent dof, … the base
    num    A1  dt of a substep, slip (of friction), limit smoothing
    fixed  A1  vectors: per link its offset from the parent and centre of mass; per dof its axis and anchor
    turn   A1  per link: rotation from the parent at rest
    law    A1  rows of 4: per dof (limit low, high, stiffness, damping), (spring rest, force low, high, rest position);
               per link (dissipation, contact smoothing, reach of its contact points, grip / dt)
    model  AL  parameters of every environment, in the order of `BLOCKS`
    q, qd, qdd AL  of every frame
    trace  AL  vectors, per frame: of each link `TRACE` rows, then of each dof the angular and linear part of its axis S
    rot    AL  per link and frame: rotation to the world
    released   AL  per frame, ground and contact point: 1 if it let go, for it would have pulled, else 0
    mass   AL  per frame: rows of the factor of the mass matrix, along the chains

Spatial vectors are pairs (angular, linear) in world axes about the origin of their tree, which is a point fixed in
space during a substep.
"""

from collections.abc import Iterator
from typing import NamedTuple

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.lanes import Mat, Vec

(BLOCKS_HELD, ACTIVE, N_FRAMES, BEGIN, END, SUBSTEPS, LINKS, QS, DOFS, ENTRIES, NUMBERS,
 POINTS, GROUNDS, PAIRS, ENVS) = range(15)  # fmt: skip
N_SIZES = 15
"""Blocks of environments that the arrays hold, and blocks to work on; frames; first and last substep; …"""


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
    """Index of number k of n in an array with n numbers for each frame and block, and what follows from it."""
    soa = layout().soa

    @ti.func
    def local(array: ti.template(), n: ti.template()):
        """The first n entries as values: from an array they would be read again after every store."""
        return Vec(*[array[i] for i in range(n)])

    @ti.func
    def item(frame, b, k, n, size: ti.template()):
        index = (frame * size[BLOCKS_HELD] + b) * n + k
        if ti.static(soa):  # neighbouring threads, which are environments, read neighbouring numbers
            index = (frame * n + k) * size[BLOCKS_HELD] + b
        return index

    @ti.func
    def step(size: ti.template()):
        """Distance between a number and the next."""
        out = 1
        if ti.static(soa):
            out = size[BLOCKS_HELD]
        return out

    @ti.func
    def get3(a: ti.template(), i, size: ti.template()):
        by = step(size)
        return Vec(a[i], a[i + by], a[i + 2 * by])

    @ti.func
    def get4(a: ti.template(), i, size: ti.template()):
        by = step(size)
        return Vec(a[i], a[i + by], a[i + 2 * by], a[i + 3 * by])

    @ti.func
    def get33(a: ti.template(), i, size: ti.template()):
        by = step(size)
        return Mat(get3(a, i, size), get3(a, i + 3 * by, size), get3(a, i + 6 * by, size))

    @ti.func
    def put(a: ti.template(), i, v: ti.template(), size: ti.template()):
        """Components of a vector in a row."""
        by = step(size)
        for c in ti.static(range(len(v.parts))):
            a[i + c * by] = v[c]

    @ti.func
    def put33(a: ti.template(), i, m: ti.template(), size: ti.template()):
        for r in ti.static(range(3)):
            put(a, i + 3 * r * step(size), m.rows[r], size)

    @ti.func
    def add3(a: ti.template(), i, v: ti.template(), size: ti.template()):
        by = step(size)
        for c in ti.static(range(3)):
            a[i + c * by] = a[i + c * by] + v[c]

    @ti.func
    def vector(a: ti.template(), k):
        """Vector k of constants."""
        return Vec(a[3 * k], a[3 * k + 1], a[3 * k + 2])

    @ti.func
    def row(a: ti.template(), k):
        """Row k of four constants."""
        return Vec(a[4 * k], a[4 * k + 1], a[4 * k + 2], a[4 * k + 3])

    @ti.func
    def rotation(a: ti.template(), k):
        """Rotation k of constants."""
        return Mat(vector(a, 3 * k), vector(a, 3 * k + 1), vector(a, 3 * k + 2))

    @ti.func
    def trace_at(frame, b, l, row, size: ti.template()):
        return item(frame, b, 3 * (TRACE * l + row), 3 * (TRACE * size[LINKS] + 2 * size[DOFS]), size)

    @ti.func
    def axis_at(frame, b, j, row, size: ti.template()):
        return item(frame, b, 3 * (TRACE * size[LINKS] + 2 * j + row),
                    3 * (TRACE * size[LINKS] + 2 * size[DOFS]), size)  # fmt: skip

    @ti.func
    def traced(trace: ti.template(), frame, b, l, row, size: ti.template()):
        """A vector of a link's trace."""
        return get3(trace, trace_at(frame, b, l, row, size), size)

    @ti.func
    def axis(trace: ti.template(), frame, b, j, size: ti.template()):
        """Angular and linear part of a dof's axis."""
        return (get3(trace, axis_at(frame, b, j, 0, size), size), get3(trace, axis_at(frame, b, j, 1, size), size))

    @ti.func
    def turned(rot: ti.template(), frame, b, l, size: ti.template()):
        """A link's rotation to the world."""
        return get33(rot, item(frame, b, 9 * l, 9 * size[LINKS], size), size)

    @ti.func
    def parameter(b, k, size: ti.template()):
        return item(0, b, k, size[NUMBERS], size)

    @ti.func
    def link_int(l, what):
        return LINK_INTS * l + what

    @ti.func
    def dof_int(j, what, size: ti.template()):
        return LINK_INTS * size[LINKS] + DOF_INTS * j + what

    @ti.func
    def chain_at(entry, size: ti.template()):
        return LINK_INTS * size[LINKS] + DOF_INTS * size[DOFS] + entry

    return Functions(local=local, item=item, step=step, get3=get3, get4=get4, get33=get33, put=put, put33=put33,
                     add3=add3, vector=vector, row=row, rotation=rotation, trace_at=trace_at, axis_at=axis_at,
                     traced=traced, axis=axis, turned=turned, parameter=parameter, link_int=link_int, dof_int=dof_int,
                     chain_at=chain_at)  # fmt: skip
