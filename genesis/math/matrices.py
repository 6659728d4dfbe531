"""3x3 matrices inside kernels."""

from genesis.compiler import Functions, layout, per_runtime, ti


@per_runtime
def matrices() -> Functions:
    lay = layout()
    vec3, mat3 = lay.vec3, lay.mat3
    tolerance = 1e-4 if lay.real == ti.f32 else 1e-8  # Newton's error squares at each step: the next is below rounding

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

    return Functions(identity=identity, cofactor=cofactor, polar=polar)
