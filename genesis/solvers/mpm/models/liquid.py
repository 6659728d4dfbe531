"""Weakly compressible liquid: tau = lambda J (J - 1) 1; a particle keeps its volume ratio J and forgets its shape."""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.matrices import matrices
from genesis.solvers.mpm.models.model import FIRST_NUMBERS, Model, fluid_speed


@per_runtime
def functions() -> Functions:
    real = layout().real
    identity, cofactor = matrices().identity, matrices().cofactor

    @ti.func
    def stress(F, m, h):
        J = F.determinant()
        return ti.pow(J, 1.0 / 3.0) * identity(), (m[1] * J * (J - 1.0)) * identity(), h, identity()

    @ti.func
    def stress_adjoint(F, m, h, aux, gFn, gtau, gh):
        J = F.determinant()
        gJ = gFn.trace() / 3.0 * ti.pow(J, -2.0 / 3.0) + gtau.trace() * m[1] * (2.0 * J - 1.0)
        return gJ * cofactor(F), ti.Vector([ti.cast(0.0, real), gtau.trace() * J * (J - 1.0)]), gh

    return Functions(stress=stress, stress_adjoint=stress_adjoint)


MODEL = Model("liquid", FIRST_NUMBERS, (), fluid_speed, functions)
