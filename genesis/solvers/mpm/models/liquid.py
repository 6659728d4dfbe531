"""Weakly compressible liquid: tau = lambda K (K - 1) 1; a particle keeps its volume ratio J and forgets its shape.

    J = max(det F, 1/10),    K = max(J, 1/2)

lambda J (J - 1) has its minimum at J = 1/2: below, what is pressed further would resist less, and collapse. There the
stress stays; and where more than nine tenths of a particle's volume would vanish (within a substep det F can even be
negative) the rest of the compression is forgotten. Kink: det F = 1/10.
"""

from genesis.compiler import Functions, per_runtime, ti, traced, value
from genesis.math.lanes import Vec, lane, where
from genesis.math.matrices import cofactor, diagonal, volume_strain
from genesis.math.spectral import spectral
from genesis.solvers.mpm.models.model import FIRST_NUMBERS, Model, fluid_speed, isochoric

SMALLEST = 0.1
"""J of a particle."""
SOFTEST = 0.5
"""J at which lambda J (J - 1) has its minimum."""


@traced
def at_least(J1, smallest):
    """J - 1 of a volume ratio that is not below `smallest`."""
    return value(ti.max(J1, smallest - 1.0))


@traced
def where_free(J1, x):
    """x where the volume ratio may become smaller yet, else zero."""
    return where(J1 > SMALLEST - 1.0, x, lane())


@per_runtime
def functions() -> Functions:
    sp = spectral()

    @ti.func
    def stress(F, m, h):
        whole = volume_strain(F)
        J1, K1 = at_least(whole, SMALLEST), at_least(whole, SOFTEST)
        edge = 1.0 + sp.expm1(sp.log(1.0 + J1, J1) * (1.0 / 3.0))
        pressure = m[1] * K1 * (1.0 + K1)
        return diagonal(edge, edge, edge), diagonal(pressure, pressure, pressure), h, Vec(whole, edge)

    @ti.func
    def stress_adjoint(F, m, h, kept, gFn, gtau, gh):
        whole, edge = kept[0], kept[1]
        J1, K1, trace = at_least(whole, SMALLEST), at_least(whole, SOFTEST), gtau.trace()
        gJ = where_free(whole, gFn.trace() * edge / (3.0 * (1.0 + J1)) + trace * m[1] * (1.0 + 2.0 * K1))
        return cofactor(F) * gJ, Vec(lane(), trace * K1 * (1.0 + K1)), gh

    return Functions(stress=stress, stress_adjoint=stress_adjoint)


MODEL = Model("liquid", FIRST_NUMBERS, (), fluid_speed, functions, plastic_volume=isochoric)
