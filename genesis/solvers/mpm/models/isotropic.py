"""The adjoint of isotropic maps, and what their models share. Mathematics: docs/mpm.md, "Isotropic maps".

    F' = U diag(h) V^T,   tau = U diag(t) U^T,   h and t functions of the singular values s of F = U diag(s) V^T

U and V are never differentiated. What a pair i, j of axes adds to the adjoint are three divided differences
    a = (h_i - h_j) / (s_i - s_j),   b = (h_i + h_j) / (s_i + s_j),   c = (t_i - t_j) / (s_i^2 - s_j^2)
with their limits where singular values meet, and these each model writes down so that nothing cancels.
"""

from collections.abc import Sequence
from typing import Any

from genesis.compiler import traced, value
from genesis.math.lanes import Mat, Vec
from genesis.math.spectral import PAIRS, Axes, from_axes


@traced
def volume_strain_of(s1: Vec) -> Any:
    """Product of (1 + s1) less 1, without cancellation."""
    a, b, c = s1.parts
    return value(a + b + c + (a * b + a * c + b * c) + a * b * c)


@traced
def pulled_back(
    at: Axes, Z: Mat | None, S: Mat, ab: Sequence[tuple[Any, Any]] | None, c: Sequence[Any], gs: Sequence[Any]
) -> Mat:
    """Cotangent of F.

    Args:
        Z: U^T gF' V, or None where F' is F (whose cotangent then is to be added).
        S: U^T gtau U, symmetric.
        ab: a and b of each of PAIRS; None where Z is.
        c: c of each of PAIRS.
        gs: Cotangents of the singular values by the diagonals of Z and S.
    """
    G: list[list[Any]] = [[None] * 3 for _ in range(3)]
    for k in range(3):
        G[k][k] = gs[k]
    for pair, (i, j) in enumerate(PAIRS):
        twice = value(2.0 * c[pair] * S[i][j])
        G[i][j], G[j][i] = twice * at.s[j], twice * at.s[i]
        if Z is not None and ab is not None:
            even = value(0.5 * ab[pair][0] * (Z[i][j] + Z[j][i]))
            odd = value(0.5 * ab[pair][1] * (Z[i][j] - Z[j][i]))
            G[i][j], G[j][i] = G[i][j] + even + odd, G[j][i] + even - odd
    return from_axes(at.left, Mat(*(Vec(*row) for row in G)), at.right)
