"""Fixed corotated solid: tau = 2 mu (F - R) F^T + lambda J (J - 1) 1, with F = R S and J = det F.

Source: Stomakhin et al. 2012, "Energetically Consistent Invertible Elasticity", section 3.4.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.matrices import matrices
from genesis.solvers.mpm.models.model import FIRST_NUMBERS, Model, solid_speed


@per_runtime
def functions() -> Functions:
    lay, math = layout(), matrices()
    vec3, mat3 = lay.vec3, lay.mat3
    identity, cofactor, polar = math.identity, math.cofactor, math.polar

    @ti.func
    def stress(F, m, h):
        R = polar(F)
        J = F.determinant()
        tau = (2.0 * m[0]) * ((F - R) @ F.transpose()) + (m[1] * J * (J - 1.0)) * identity()
        return F, tau, h, R

    @ti.func
    def stress_adjoint(F, m, h, aux, gFn, gtau, gh):
        """dR = R [y]x with (tr(S) 1 - S) y = axial(R^T dF): its transpose is applied to gR."""
        R = aux
        J = F.determinant()
        gF = gFn + (2.0 * m[0]) * (gtau @ F + gtau.transpose() @ (F - R))
        gF += (m[1] * gtau.trace() * (2.0 * J - 1.0)) * cofactor(F)
        S = R.transpose() @ F
        M = R.transpose() @ ((-2.0 * m[0]) * (gtau @ F))
        axial = vec3(M[2, 1] - M[1, 2], M[0, 2] - M[2, 0], M[1, 0] - M[0, 1])
        K = S.trace() * identity() - S
        y = (cofactor(K) @ axial) / K.determinant()
        gF += R @ mat3([[0.0, -y[2], y[1]], [y[2], 0.0, -y[0]], [-y[1], y[0], 0.0]])
        gmu = 2.0 * (gtau * ((F - R) @ F.transpose())).sum()
        return gF, ti.Vector([gmu, gtau.trace() * J * (J - 1.0)]), gh

    return Functions(stress=stress, stress_adjoint=stress_adjoint)


MODEL = Model("corotated", FIRST_NUMBERS, (), solid_speed, functions)
