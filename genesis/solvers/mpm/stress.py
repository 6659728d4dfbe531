"""Constitutive models: Kirchhoff stress of a trial deformation gradient, and its adjoint.

A model is a pair of functions
    stress(F, mu, lam)                         -> F_new, tau, aux
    stress_adjoint(F, mu, lam, aux, gFn, gtau) -> gF, gmu, glam
F is the trial gradient (1 + dt C) F_old, F_new what the particle keeps, aux what the adjoint reuses (a rotation).
To add a model: write the pair, enter it in MODELS, name it in genesis.materials.
"""

from types import SimpleNamespace

from genesis.compiler import layout, per_runtime, ti

MODELS = ("neohookean", "corotated", "liquid")


@per_runtime
def constitutive(names: tuple[str, ...]) -> SimpleNamespace:
    """`stress(model, …)` and `stress_adjoint(model, …)` for the models `names`; `model` is an index into them."""
    lay = layout()
    real, vec3, mat3 = lay.real, lay.vec3, lay.mat3
    tolerance = 1e-4 if real == ti.f32 else 1e-8  # Newton's error squares at each step: the next one is below rounding

    @ti.func
    def identity():
        return mat3([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])

    @ti.func
    def cofactor(F):
        """d det(F) / dF = det(F) F^-T."""
        a = vec3(F[0, 0], F[1, 0], F[2, 0])
        b = vec3(F[0, 1], F[1, 1], F[2, 1])
        c = vec3(F[0, 2], F[1, 2], F[2, 2])
        return ti.Matrix.cols([b.cross(c), c.cross(a), a.cross(b)])

    @ti.func
    def polar(F):
        """Rotation of F = R S by Newton's iteration R <- (R + R^-T) / 2 (Higham 1986)."""
        R = F
        for _ in range(20):
            Rn = 0.5 * (R + cofactor(R) / R.determinant())
            change = ti.abs(Rn - R).max()
            R = Rn
            if change < tolerance:
                break
        return R

    @ti.func
    def neohookean(F, mu, lam):
        tau = mu * (F @ F.transpose() - identity()) + (lam * ti.log(F.determinant())) * identity()
        return F, tau, identity()

    @ti.func
    def neohookean_adjoint(F, mu, lam, aux, gFn, gtau):
        J = F.determinant()
        gF = gFn + mu * ((gtau + gtau.transpose()) @ F) + (lam * gtau.trace() / J) * cofactor(F)
        gmu = (gtau * (F @ F.transpose())).sum() - gtau.trace()
        return gF, gmu, gtau.trace() * ti.log(J)

    @ti.func
    def corotated(F, mu, lam):
        R = polar(F)
        J = F.determinant()
        tau = (2.0 * mu) * ((F - R) @ F.transpose()) + (lam * J * (J - 1.0)) * identity()
        return F, tau, R

    @ti.func
    def corotated_adjoint(F, mu, lam, aux, gFn, gtau):
        """dR = R [y]x with (tr(S) 1 - S) y = axial(R^T dF): its transpose is applied to gR."""
        R = aux
        J = F.determinant()
        gF = gFn + (2.0 * mu) * (gtau @ F + gtau.transpose() @ (F - R))
        gF += (lam * gtau.trace() * (2.0 * J - 1.0)) * cofactor(F)
        S = R.transpose() @ F
        M = R.transpose() @ ((-2.0 * mu) * (gtau @ F))
        axial = vec3(M[2, 1] - M[1, 2], M[0, 2] - M[2, 0], M[1, 0] - M[0, 1])
        K = S.trace() * identity() - S
        y = (cofactor(K) @ axial) / K.determinant()
        gF += R @ mat3([[0.0, -y[2], y[1]], [y[2], 0.0, -y[0]], [-y[1], y[0], 0.0]])
        gmu = 2.0 * (gtau * ((F - R) @ F.transpose())).sum()
        return gF, gmu, gtau.trace() * J * (J - 1.0)

    @ti.func
    def liquid(F, mu, lam):
        """Pressure only; the particle keeps its volume ratio and forgets its shape."""
        J = F.determinant()
        return ti.pow(J, 1.0 / 3.0) * identity(), (lam * J * (J - 1.0)) * identity(), identity()

    @ti.func
    def liquid_adjoint(F, mu, lam, aux, gFn, gtau):
        J = F.determinant()
        gJ = gFn.trace() / 3.0 * ti.pow(J, -2.0 / 3.0) + gtau.trace() * lam * (2.0 * J - 1.0)
        return gJ * cofactor(F), ti.cast(0.0, real), gtau.trace() * J * (J - 1.0)

    pairs = {
        "neohookean": (neohookean, neohookean_adjoint),
        "corotated": (corotated, corotated_adjoint),
        "liquid": (liquid, liquid_adjoint),
    }
    chosen = [pairs[name] for name in names]

    @ti.func
    def stress(model, F, mu, lam):
        Fn, tau, aux = F, F, F
        for m in ti.static(range(len(chosen))):
            if ti.static(len(chosen) == 1) or model == m:
                Fn, tau, aux = ti.static(chosen[m][0])(F, mu, lam)
        return Fn, tau, aux

    @ti.func
    def stress_adjoint(model, F, mu, lam, aux, gFn, gtau):
        gF = F
        gmu, glam = ti.cast(0.0, real), ti.cast(0.0, real)
        for m in ti.static(range(len(chosen))):
            if ti.static(len(chosen) == 1) or model == m:
                gF, gmu, glam = ti.static(chosen[m][1])(F, mu, lam, aux, gFn, gtau)
        return gF, gmu, glam

    return SimpleNamespace(stress=stress, stress_adjoint=stress_adjoint, identity=identity)
