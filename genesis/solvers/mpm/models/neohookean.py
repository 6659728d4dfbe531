"""Compressible neo-Hookean solid: tau = mu (F F^T - 1) + lambda log(J) 1, with J = det F.

Source: Bonet and Wood 2008, "Nonlinear Continuum Mechanics for Finite Element Analysis", section 6.4.3.
"""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.matrices import matrices
from genesis.solvers.mpm.models.model import FIRST_NUMBERS, Model, solid_speed


@per_runtime
def functions() -> Functions:
    identity, cofactor = matrices().identity, matrices().cofactor

    @ti.func
    def stress(F, m, h):
        tau = m[0] * (F @ F.transpose() - identity()) + (m[1] * ti.log(F.determinant())) * identity()
        return F, tau, h, identity()

    @ti.func
    def stress_adjoint(F, m, h, aux, gFn, gtau, gh):
        J = F.determinant()
        gF = gFn + m[0] * ((gtau + gtau.transpose()) @ F) + (m[1] * gtau.trace() / J) * cofactor(F)
        gmu = (gtau * (F @ F.transpose())).sum() - gtau.trace()
        return gF, ti.Vector([gmu, gtau.trace() * ti.log(J)]), gh

    return Functions(stress=stress, stress_adjoint=stress_adjoint)


MODEL = Model("neohookean", FIRST_NUMBERS, (), solid_speed, functions)
