"""The arrays of the particle solver."""

from genesis.arrays import Array

# Slots of the arrays `size` and `num`.
# N_ENVS is what the arrays hold, ACTIVE how many of them are in use; N_NUMBERS counts the numbers of all bodies'
# materials, N_MEMORY what a particle keeps,
# HELD is 0 where every particle is active and free, CLAMPED where none is attached; PART says which part of a substep
# is meant; CELLS and its two successors count cells per axis.
N_ENVS, ACTIVE, N_PARTICLES, N_BODIES, N_FRAMES, N_GRIDS, CAPACITY, BEGIN, END = range(9)
SUBSTEPS, N_CHUNKS, N_NUMBERS, N_MEMORY, HELD, CLAMPED, PART = range(9, 16)
CELLS = 16
N_SIZES = CELLS + 3
WHOLE, BEFORE, AFTER = range(3)
"""Parts of a substep: all of it; as far as the sums on the grid, and what follows."""
DT, DX, INV_DX, ZERO, ORIGIN = range(5)
NUM_LENGTH = ORIGIN + 3

TABLE = (
    Array("size", "I1", (N_SIZES,), "step"),
    Array("num", "A1", (NUM_LENGTH,), "constant"),
    Array("body", "I1", ("particles",), "constant"),  # body of each particle
    Array("starts", "I1", ("borders",), "constant"),  # first particle of each body, and the number of all particles
    Array("model", "I1", ("bodies",), "constant"),  # constitutive model of each body, an index among those compiled
    Array("first", "I1", ("bodies",), "constant"),  # which of an environment's numbers is each body's first
    Array("muscular", "I1", ("bodies",), "constant"),  # which of an environment's numbers is each body's stiffness
    Array("viscous", "I1", ("bodies",), "constant"),  # and its viscosity; -1 if it has none
    Array("volume", "A1", ("bodies",), "constant"),  # of one of its particles
    # The state of every frame; the grid before its operation of every substep, and the nodes that it covers of each
    # chunk, [low, high); the step's parameters.
    Array("x", "A3", ("frames", "envs", "particles"), "frames"),
    Array("v", "A3", ("frames", "envs", "particles"), "frames"),
    Array("C", "A33", ("frames", "envs", "particles"), "frames"),
    Array("F", "A33", ("frames", "envs", "particles"), "frames"),
    Array("grid", "A4", ("grids", "envs", "nodes"), "frames"),
    Array("clamp", "A4", ("grids", "envs", "clamped"), "frames"),  # momentum and mass of what is attached, of `grid`
    Array("box", "I1", ("grids", "envs", "chunks", 6), "frames"),
    Array("memory", "A1", ("frames", "envs", "particles", "memory"), "frames"),
    Array("material", "A1", ("envs", "numbers"), "frames"),  # of each body E, nu, rho, its model's own and added ones
    Array("actu", "A1", ("envs", "muscles"), "frames"),  # activation and fibre of every particle, if any has a muscle
    Array("fibre", "A1", ("envs", "muscles", 3), "frames"),
    Array("hold", "A4", ("envs", "particles"), "frames"),  # target and mode, see `genesis.solvers.mpm.hold`
    Array("gravity", "A4", ("envs",), "frames"),
    Array("derived", "A4", ("envs", "bodies"), "frames"),  # (mu, lam, particle mass, particle volume)
    Array("status", "I1", ("envs",), "frames"),  # 0, or 1 + the substep that went wrong
    Array("stage", "A4", ("envs", "particles", 4), "scratch"),
    Array("lowest", "I1", ("envs", "particles"), "scratch"),  # the stencil's lowest node, and the offset from it, cells
    Array("offset", "A4", ("envs", "particles"), "scratch"),
    Array("moved", "A4", ("envs", "nodes"), "scratch"),  # the grid after its operation
    Array("parts", "A4", ("parts", "envs", "nodes"), "scratch"),  # a grid of each chunk, where there are several
    Array("clamp_parts", "A4", ("parts", "envs", "clamped"), "scratch"),
    Array("live", "I1", ("envs",), "adjoint"),  # 1 where an environment is healthy and has a cotangent
    Array("gmoved", "A4", ("envs", "nodes"), "adjoint"),
    Array("gclamp", "A4", ("envs", "clamped"), "adjoint"),
    Array("contact_cache", "A4", ("envs", "nodes", "colliders", 2), "adjoint"),  # what contact notes
    Array("gx", "A3", ("envs", "particles"), "adjoint"),
    Array("gv", "A3", ("envs", "particles"), "adjoint"),
    Array("gC", "A33", ("envs", "particles"), "adjoint"),
    Array("gF", "A33", ("envs", "particles"), "adjoint"),
    Array("gmemory", "A1", ("envs", "particles", "memory"), "adjoint"),
    Array("gderived", "A4", ("chunks", "envs", "bodies"), "adjoint"),
    Array("gmaterial", "A1", ("chunks", "envs", "numbers"), "adjoint"),
    Array("gactu", "A1", ("envs", "muscles"), "adjoint"),
    Array("gfibre", "A1", ("envs", "muscles", 3), "adjoint"),
    Array("ghold", "A4", ("envs", "particles"), "adjoint"),
    Array("ggravity", "A4", ("chunks", "envs"), "adjoint"),
)
FORWARD = ("constant", "frames", "scratch", "step")
"""Lives of the arrays that a substep works on."""
BACKWARD = (*FORWARD, "adjoint")
"""And of its adjoint."""
