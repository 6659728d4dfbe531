"""Fixed corotated solid: tau = 2 mu (F - R) F^T + lambda J (J - 1) 1, with F = R S and J = det F.

Source: Stomakhin et al. 2012, "Energetically Consistent Invertible Elasticity", section 3.4.
"""

from genesis.compiler import Functions, per_runtime, ti, traced
from genesis.math.lanes import Vec
from genesis.math.matrices import symmetric
from genesis.math.spectral import PAIRS, axes_of, in_axes, spectral, symmetric_from_axes
from genesis.solvers.mpm.models.isotropic import pulled_back, volume_strain_of
from genesis.solvers.mpm.models.model import BOLD, FIRST_NUMBERS, Model, isochoric, solid_speed


@per_runtime
def functions() -> Functions:
    axes = spectral().axes

    @traced
    def principal(at, m):
        J1 = volume_strain_of(at.s1)
        pressure = m[1] * J1 * (1.0 + J1)
        return Vec(*(2.0 * m[0] * x1 * x + pressure for x, x1 in zip(at.s.parts, at.s1.parts, strict=True)))

    @ti.func
    def stress(F, m, h):
        at = axes(F)
        return F, symmetric_from_axes(at.left, principal(at, m)), h, Vec(*at.parts())

    @traced
    def stress_adjoint(F, m, h, kept, gFn, gtau, gh):
        at = axes_of(kept)
        s, s1, J1 = at.s, at.s1, volume_strain_of(at.s1)
        S = in_axes(at.left, symmetric(gtau), at.left)
        gJ = m[1] * (1.0 + 2.0 * J1) * S.trace()
        gs = [2.0 * m[0] * (s[i] + s1[i]) * S[i][i] + gJ * s[(i + 1) % 3] * s[(i + 2) % 3] for i in range(3)]
        c = [2.0 * m[0] * (1.0 - 1.0 / (s[i] + s[j])) for i, j in PAIRS]
        gmu = 2.0 * (S[0][0] * s1[0] * s[0] + S[1][1] * s1[1] * s[1] + S[2][2] * s1[2] * s[2])
        return gFn + pulled_back(at, None, S, None, c, gs), Vec(gmu, J1 * (1.0 + J1) * S.trace()), gh

    return Functions(stress=stress, stress_adjoint=stress_adjoint)


MODEL = Model("corotated", FIRST_NUMBERS, (), solid_speed, functions, BOLD, isochoric)
