"""3x3 matrices on lanes."""

from typing import Any

from genesis.compiler import traced, value
from genesis.math.lanes import Mat, Vec, lane


@traced
def diagonal(a: Any, b: Any, c: Any) -> Mat:
    """The matrix with these lane values on its diagonal."""
    return Mat(Vec(a, lane(), lane()), Vec(lane(), b, lane()), Vec(lane(), lane(), c))


@traced
def plus(M: Mat, number: Any) -> Mat:
    """M + number 1."""
    return Mat(*(Vec(*(M[i][j] + number if i == j else M[i][j] for j in range(3))) for i in range(3)))


@traced
def symmetric(M: Mat) -> Mat:
    """(M + M^T) / 2."""
    return Mat(*(Vec(*(M[i][i] if i == j else 0.5 * (M[i][j] + M[j][i]) for j in range(3))) for i in range(3)))


@traced
def cofactor(F: Mat) -> Mat:
    """d det(F) / dF = det(F) F^-T."""
    a, b, c = F.rows
    return Mat(b.cross(c), c.cross(a), a.cross(b))


@traced
def determinant(F: Mat) -> Any:
    return F[0].dot(F[1].cross(F[2]))


@traced
def volume_strain(F: Mat) -> Any:
    """det(F) - 1, without cancellation near one."""
    H = plus(F, -1.0)
    K = cofactor(H)
    return value(H.trace() + K.trace() + H[0].dot(K[0]))


@traced
def stretch_strain(F: Mat) -> Mat:
    """F F^T - 1, symmetric, without cancellation near one."""
    H = plus(F, -1.0)
    D: list[list[Any]] = [[None] * 3 for _ in range(3)]
    for i in range(3):
        for j in range(i, 3):
            D[i][j] = D[j][i] = value(H[i].dot(H[j]) + (H[i][j] + H[j][i]))
    return Mat(*(Vec(*row) for row in D))
