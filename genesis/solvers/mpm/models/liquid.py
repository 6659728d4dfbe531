"""Weakly compressible liquid: tau = lambda J (J - 1) 1; a particle keeps its volume ratio J and forgets its shape."""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import Vec, lane
from genesis.math.matrices import cofactor, diagonal, volume_strain
from genesis.math.spectral import spectral
from genesis.solvers.mpm.models.model import FIRST_NUMBERS, Model, fluid_speed, isochoric


@per_runtime
def functions() -> Functions:
    sp = spectral()

    @ti.func
    def stress(F, m, h):
        J1 = volume_strain(F)
        edge = 1.0 + sp.expm1(sp.log(1.0 + J1, J1) * (1.0 / 3.0))
        pressure = m[1] * J1 * (1.0 + J1)
        return diagonal(edge, edge, edge), diagonal(pressure, pressure, pressure), h, Vec(J1, edge)

    @ti.func
    def stress_adjoint(F, m, h, kept, gFn, gtau, gh):
        J1, trace = kept[0], gtau.trace()
        gJ = gFn.trace() * kept[1] / (3.0 * (1.0 + J1)) + trace * m[1] * (1.0 + 2.0 * J1)
        return cofactor(F) * gJ, Vec(lane(), trace * J1 * (1.0 + J1)), gh

    return Functions(stress=stress, stress_adjoint=stress_adjoint)


MODEL = Model("liquid", FIRST_NUMBERS, (), fluid_speed, functions, plastic_volume=isochoric)
