"""The arrays of what links and matter do to each other: of `wrenches`, `implicit` and `implicit_adjoint`."""

from genesis.arrays import Array, Table
from genesis.contact import colliders as exchange
from genesis.solvers.rigid.readout import LINK_STATE

ACTIVE, LINKS, FRAME, EVERY, BLOCKS, N_SIZES = range(6)
"""Slots of `extent`: environments, links, the substep of links that is meant, substeps of the scene in one of these,
blocks of environments in `wrench`; how many there are."""
CENTRE, V, D, X, STEP, TRIAL, BEST, U, J = 0, 1, 3, 5, 7, 9, 11, 13, 15
N = 17
N_ROWS = N + 12
"""Rows of a link in `implicit`: pairs (linear, angular) but for its centre of mass, and behind `J` the 6 rows of N in
halves. Beside J, (force, size), (torque, size): sums without signs, whose rounding is that of J."""
GIVEN, PULLED, LAMBDA = X, STEP, BEST
"""In the adjoint: the cotangent of X, what J adds to it, and lambda."""
DIRECT, THROUGH, K_ROWS = 0, 2, 4
"""Rows of a collider in the adjoint, pairs: cotangents of its velocities, and what J adds to them."""

OWN: Table = (
    Array("extent", "I1", (N_SIZES,), "step"),
    Array("dt", "A1", (1,), "constant"),  # of a substep of links
    Array("link_of", "I1", ("colliders",), "constant"),  # link of each of the scene's colliders, -1 of others
    Array("yielding_link", "I1", ("colliders",), "constant"),  # the same of links that yield alone
    Array("mobility", "A1", ("links", 2), "constant"),  # zero of links that keep their velocity in an exchange
    Array("com", "A1", ("links", 3), "constant"),
    # Links' state at a frame, wrenches that were asked for, and these with what is felt, in the solver's own memory.
    Array("link_state", "A1", ("envs", "links", LINK_STATE), "step"),
    Array("asked", "A1", ("envs", "links", 6), "step"),
    Array("total", "A1", ("blocks", "links", 6), "step"),
    Array("felt", "A1", ("envs", "links", 6), "frames"),
    # Of links that yield: V of the last exchange, D of the next one, X of each, and substeps in which it was cut off.
    Array("twist", "A1", ("envs", "links", 6), "frames"),
    Array("free", "A1", ("envs", "links", 6), "frames"),
    Array("change", "A1", ("substeps", "envs", "links", 6), "frames"),
    Array("cut_off", "I1", ("envs",), "frames"),
    Array("link_rows", "A4", ("envs", "links", N_ROWS), "scratch"),
    Array("system", "A1", ("envs", "links", 48), "scratch"),  # six rows of a link's equations, of seven and one unused
    Array("healthy", "I1", ("envs",), "step_adjoint"),
    Array("gwrench", "A1", ("envs", "links", 6), "step_adjoint"),
    Array("gpos", "A1", ("envs", "links", 3), "adjoint"),
    Array("gquat", "A1", ("envs", "links", 4), "adjoint"),
    Array("gvel", "A1", ("envs", "links", 3), "adjoint"),
    Array("gang", "A1", ("envs", "links", 3), "adjoint"),
    Array("gfree", "A1", ("envs", "links", 6), "adjoint"),
    Array("collider_rows", "A4", ("envs", "colliders", K_ROWS), "adjoint"),
)
TABLE: Table = OWN + exchange.TABLE
FORWARD = ("constant", "frames", "scratch", "step")
BACKWARD = (*FORWARD, "adjoint", "step_adjoint")
