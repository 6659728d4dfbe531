"""Where the numbers of `layout.TABLE` lie, inside kernels: indices, and reading and writing what lies there.

Plain functions, run while a kernel is compiled. The first argument of all is the object with the arrays, whose `size`
holds values (`local`). An index is that of a number in an array with so many numbers for each frame and block; `step`
is the distance between a number and the next. `s` is a frame, `b` a block of environments, `l` a link, `j` a dof.
"""

import math

from genesis.compiler import element, layout, traced, value
from genesis.math.lanes import Mat, Vec
from genesis.solvers.rigid import layout as slot
from genesis.solvers.rigid.spatial import Spatial


@traced
def local(array, n):
    """The first n entries as values: from an array they would be read again after every store."""
    return Vec(*[element(array, i) for i in range(n)])


# Indices.

LARGEST = 2**28 - 1
"""An array of lanes has fewer elements."""


@traced
def small(i):
    """The same index or count, of which the compiler then knows that sums of some do not overflow: constants become
    part of the machine's addresses, and loops count addresses, without an addition and a conversion for each number."""
    return i if isinstance(i, int) else value(i & LARGEST)


@traced
def counts(array, n):
    """The first n entries of an array of counts as values."""
    return Vec(*[small(element(array, i)) for i in range(n)])


@traced
def item(a, s, b, k, n, more=None):
    """Of number k of n; of k + more if that is given, a constant."""
    if layout().soa:  # neighbouring threads, which are environments, read neighbouring numbers
        return value((s * n + k + (0 if more is None else more)) * a.size[slot.N_BLOCKS] + b)
    first = small((b if isinstance(s, int) and s == 0 else s * a.size[slot.N_BLOCKS] + b) * n)
    return value(first + k if more is None else first + small(k) + more)


@traced
def step(a):
    return a.size[slot.N_BLOCKS] if layout().soa else 1


@traced
def q_at(a, s, b, k):
    return item(a, s, b, k, a.size[slot.QS])


@traced
def dof_at(a, s, b, j):
    return item(a, s, b, j, a.size[slot.DOFS])


@traced
def entry_at(a, s, b, entry):
    """Of the mass matrix."""
    return item(a, s, b, entry, a.size[slot.ENTRIES])


@traced
def control_at(a, b, j, what):
    return item(a, 0, b, slot.N_CONTROLS * j, slot.N_CONTROLS * a.size[slot.DOFS], what)


@traced
def blocks(a, table):
    """Where the numbers of each parameter of a contact model's table begin, and how many one thing has: once for a
    kernel, as `a.blocks`."""
    found, first = {}, 0
    for name, (size, *inner) in table.items():
        width = math.prod(inner)
        found[name] = first, width
        first = value(width * a.size[slot.SIZE_OF[size]] + first)
    return found


@traced
def block(a, b, name, i, component=0):
    """Of a parameter, by the name of its block."""
    first, width = a.blocks[name]
    return item(a, 0, b, first + width * i, a.size[slot.PARAMETERS], component)


@traced
def key_at(a, s, b, g, i):
    """Of contact point i with ground g."""
    return item(a, s, b, g * a.size[slot.POINTS] + i, a.size[slot.GROUNDS] * a.size[slot.POINTS])


@traced
def contact_list_at(a, b, c, what):
    """Of listed contact c."""
    rows = a.size[slot.GROUNDS] * a.size[slot.POINTS]
    return item(a, 0, b, slot.CONTACT_NUMBERS * c, slot.CONTACT_NUMBERS * rows, what)


@traced
def contact_index_at(a, b, c, what):
    rows = a.size[slot.GROUNDS] * a.size[slot.POINTS]
    return item(a, 0, b, slot.CONTACT_INTS * c, slot.CONTACT_INTS * rows, what)


@traced
def contact_at(a, b, i, what):
    """Of the outputs of contact point i."""
    return item(a, 0, b, slot.CONTACT * i, slot.CONTACT * a.size[slot.POINTS], what)


@traced
def vector_at(a, s, b, i, row, rows, n):
    """Of vector `row`, of the `rows` vectors of each of n things."""
    return item(a, s, b, 3 * rows * i, 3 * rows * n, 3 * row)


@traced
def trace_at(a, s, b, l, row):
    return vector_at(a, s, b, l, row, slot.TRACE, a.size[slot.LINKS])


@traced
def axis_at(a, s, b, j):
    return vector_at(a, s, b, j, 0, 2, a.size[slot.DOFS])


@traced
def rot_at(a, s, b, l):
    return item(a, s, b, 9 * l, 9 * a.size[slot.LINKS])


@traced
def work_at(a, b, l, row):
    return vector_at(a, 0, b, l, row, slot.WORK, a.size[slot.LINKS])


@traced
def back_at(a, b, l, row):
    return vector_at(a, 0, b, l, row, slot.BACK, a.size[slot.LINKS])


@traced
def wrench_at(a, b, l, row):
    return vector_at(a, 0, b, l, row, slot.WRENCH_ROWS, a.size[slot.LINKS])


@traced
def mocap_at(a, b, m):
    """Of the pose of mocap body m."""
    return item(a, 0, b, slot.MOCAP_NUMBERS * m, slot.MOCAP_NUMBERS * a.size[slot.MOCAPS])


@traced
def gcontact_at(a, b, i, row):
    """`row`: 0 of the force, 1 of the place."""
    return vector_at(a, 0, b, i, row, 2, a.size[slot.POINTS])


# Lane values: vectors, spatial vectors and rotations at an index.


@traced
def get(a, array, i, count):
    return Vec(*[element(array, i + c * step(a)) for c in range(count)])


@traced
def get3(a, array, i):
    return get(a, array, i, 3)


@traced
def get4(a, array, i):
    return get(a, array, i, 4)


@traced
def get6(a, array, i):
    return Spatial(get3(a, array, i), get3(a, array, i + 3 * step(a)))


@traced
def get33(a, array, i):
    return Mat(*[get3(a, array, i + 3 * r * step(a)) for r in range(3)])


@traced
def put(a, array, i, v):
    """Overwrite with the numbers of a vector, spatial vector or rotation."""
    for c, part in enumerate(_numbers(v)):
        element(array, i + c * step(a))._assign(part)


@traced
def add(a, array, i, v):
    """Add the numbers of a vector, spatial vector or rotation."""
    for c, part in enumerate(_numbers(v)):
        place = value(i + c * step(a))
        element(array, place)._assign(element(array, place) + part)


@traced
def increase(array, i, number):
    """Add one number."""
    element(array, i)._assign(element(array, i) + number)


def _numbers(v):
    if isinstance(v, Vec):
        return v.parts
    return [part for row in (v.rows if isinstance(v, Mat) else (v.w, v.v)) for part in row.parts]


@traced
def traced_at(a, s, b, l, row):
    """A vector of a link's trace."""
    return get3(a, a.trace, trace_at(a, s, b, l, row))


@traced
def motion(a, s, b, l, row):
    """A spatial vector of a link's trace."""
    return get6(a, a.trace, trace_at(a, s, b, l, row))


@traced
def axis(a, s, b, j):
    """The motion that dof j makes at unit velocity."""
    return get6(a, a.axes, axis_at(a, s, b, j))


@traced
def turned(a, s, b, l):
    """A link's rotation to the world."""
    return get33(a, a.rot, rot_at(a, s, b, l))


@traced
def worked(a, b, l, row):
    """A vector of `work`."""
    return get3(a, a.work, work_at(a, b, l, row))


@traced
def worked6(a, b, l, row):
    """A spatial vector of `work`."""
    return get6(a, a.work, work_at(a, b, l, row))


@traced
def summed(a, b, l, row):
    """A spatial vector of `back`."""
    return get6(a, a.back, back_at(a, b, l, row))


# Constants.


@traced
def row(array, k):
    """Row k of four."""
    first = small(4 * k)
    return Vec(*[element(array, first + c) for c in range(4)])


@traced
def link(a, l, what):
    return value(element(a.link_tree, small(slot.LINK_INTS * l) + what))


@traced
def dof(a, j, what):
    number = element(a.dof_tree, small(slot.DOF_INTS * j) + what)
    return small(number) if what in (slot.ENTRY0, slot.DEPTH) else value(number)


@traced
def link_vector(a, l, which):
    return _vector(a.link_fixed, slot.LINK_VECTORS * l + which)


@traced
def dof_vector(a, j, which):
    return _vector(a.dof_fixed, slot.DOF_VECTORS * j + which)


@traced
def rest_turn(a, l):
    """A link's rotation from its parent at rest."""
    return Mat(*[_vector(a.turn, 3 * l + r) for r in range(3)])


@traced
def law(a, j, which):
    """A row of a dof's law."""
    return row(a.dof_law, slot.LAW_ROWS * j + which)


@traced
def point(a, i, which):
    """A row of a contact point."""
    return row(a.point, slot.POINT_ROWS * i + which)


@traced
def ground(a, g, which):
    """A row of a ground."""
    return row(a.ground, slot.GROUND_ROWS * g + which)


def _vector(array, k):
    first = small(3 * k)
    return Vec(*[element(array, first + c) for c in range(3)])
