"""Where the numbers of `mujoco.layout.TABLE` lie; see `genesis.solvers.rigid.indices`."""

from genesis.compiler import element, traced, value
from genesis.math.lanes import Vec
from genesis.solvers.rigid import layout as shared
from genesis.solvers.rigid.indices import block, item, small, step
from genesis.solvers.rigid.mujoco import layout as slot


@traced
def number_at(a, b, c, what):
    """Of listed contact c."""
    return item(a, 0, b, slot.CONTACT_NUMBERS * c, slot.CONTACT_NUMBERS * a.size[shared.CONTACTS], what)


@traced
def number(a, b, c, what):
    """Of listed contact c, to read."""
    return value(element(a.contact_list, number_at(a, b, c, what)))


@traced
def index_at(a, b, c, what):
    return item(a, 0, b, slot.CONTACT_INTS * c, slot.CONTACT_INTS * a.size[shared.CONTACTS], what)


@traced
def jacobian_at(a, b, c, row, k):
    """Of a row of listed contact c, by the k-th dof of its chain."""
    rows, depth = a.size[shared.ROWS], a.size[shared.DEEPEST]
    return item(a, 0, b, (depth * c + k) * rows, a.size[shared.CONTACTS] * rows * depth, row)


@traced
def moved_dof_at(a, b, c, k):
    """Of the k-th dof that moves listed contact c."""
    return item(a, 0, b, c * a.size[shared.DEEPEST] + k, a.size[shared.CONTACTS] * a.size[shared.DEEPEST])


@traced
def hessian_at(a, s, b, i, j):
    """Of the entry of dofs i >= j."""
    n = a.size[shared.DOFS]
    return item(a, s, b, (i * (i + 1)) // 2 + j, (n * (n + 1)) // 2)


@traced
def row_at(a, b, j, kind, what):
    """Of a row of dof j alone."""
    width = slot.ROW_KINDS * slot.ROW_NUMBERS
    return item(a, 0, b, width * j + slot.ROW_NUMBERS * kind, width * a.size[shared.DOFS], what)


@traced
def touch(a, t, what):
    return value(element(a.touch, small(slot.TOUCH_INTS * t) + what))


@traced
def touch_number(a, t, what):
    return value(element(a.touch_law, small(slot.TOUCH_NUMBERS * t) + what))


@traced
def pair_number(a, p, what):
    """Of an explicit pair."""
    return value(element(a.pair_law, slot.PAIR_NUMBERS * p + what))


@traced
def equality(a, e, what):
    return value(element(a.equality, slot.EQUALITY_INTS * e + what))


@traced
def equality_numbers(a, e, first, count):
    """Of an equality constraint, from one on."""
    return Vec(*[element(a.equality_numbers, slot.EQUALITY_NUMBERS * e + first + c) for c in range(count)])


@traced
def equality_dof(a, i, what):
    return value(element(a.equality_dofs, 2 * i + what))


@traced
def geom(a, i, which):
    """A row of a geom."""
    first = small(4 * slot.GEOM_ROWS * i)
    return Vec(*[element(a.geom, first + 4 * which + c) for c in range(4)])


@traced
def point(a, i):
    """A point of a geom."""
    first = small(4 * i)
    return Vec(*[element(a.point, first + c) for c in range(4)])


@traced
def size(a, b, i):
    """Of a geom."""
    first = block(a, b, "size", i)
    return Vec(*[element(a.model, first + c * step(a)) for c in range(3)])


@traced
def radius(a, b, i):
    """About its centre, of a geom that is no hull: none of it is farther away."""
    numbers, about = size(a, b, i), geom(a, i, slot.G_X)[3]
    return value(about * (numbers[0] + numbers[1]) + (1.0 - about) * numbers.norm())
