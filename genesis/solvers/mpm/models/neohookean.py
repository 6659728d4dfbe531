"""Compressible neo-Hookean solid: tau = mu (F F^T - 1) + lambda log(J) 1, with J = det F.

Source: Bonet and Wood 2008, "Nonlinear Continuum Mechanics for Finite Element Analysis", section 6.4.3.
"""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import Vec
from genesis.math.matrices import cofactor, plus, stretch_strain, symmetric, volume_strain
from genesis.math.spectral import spectral
from genesis.solvers.mpm.models.model import BOLD, FIRST_NUMBERS, Model, isochoric, solid_speed


@per_runtime
def functions() -> Functions:
    log = spectral().log

    @ti.func
    def stress(F, m, h):
        J1 = volume_strain(F)
        log_J = log(1.0 + J1, J1)
        return F, plus(stretch_strain(F) * m[0], m[1] * log_J), h, Vec(J1, log_J)

    @ti.func
    def stress_adjoint(F, m, h, kept, gFn, gtau, gh):
        S, trace = symmetric(gtau), gtau.trace()
        gF = gFn + (S @ F) * (2.0 * m[0]) + cofactor(F) * (m[1] * trace / (1.0 + kept[0]))
        return gF, Vec(S.dot(stretch_strain(F)), trace * kept[1]), gh

    return Functions(stress=stress, stress_adjoint=stress_adjoint)


MODEL = Model("neohookean", FIRST_NUMBERS, (), solid_speed, functions, BOLD, isochoric)
