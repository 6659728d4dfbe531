"""Axes and singular values of 3x3 matrices on lanes, without loops or branches, and functions of singular values that
do not cancel where they meet. Mathematics: docs/mpm.md, "Isotropic maps".

    F = U diag(s) V^T,  U and V rotations;  s > 0 but for the smallest, which has the sign of det F
    D = F F^T - 1 = U diag(d) U^T,  s = sqrt(1 + d):  d is exact to its own last digits, so small strains are, too

Axes are not differentiated: isotropic maps need divided differences of their principal values only.
"""

from collections.abc import Callable, Sequence
from typing import Any

from genesis.compiler import Composite, Functions, layout, per_runtime, ti, traced, value
from genesis.math.lanes import Mat, Vec, absolute, any_lane, lane, of_lane, where
from genesis.math.matrices import stretch_strain

PAIRS = ((0, 1), (0, 2), (1, 2))


class Axes(Composite):
    """F = left^T diag(s) right."""

    def __init__(self, left: Mat, right: Mat, s: Vec, s1: Vec) -> None:
        self.left, self.right = left, right
        """Axes as rows, of rotations."""
        self.s, self.s1 = s, s1
        """Singular values, and these less 1, exact to their own last digits."""

    LENGTH = 24

    @traced
    def parts(self) -> list[Any]:
        """LENGTH lane values, from which `axes_of` makes the same."""
        rows = (*self.left.rows, *self.right.rows, self.s, self.s1)
        return [part for row in rows for part in row.parts]


@traced
def axes_of(kept: Vec) -> Axes:
    rows = [kept[3 * k : 3 * k + 3] for k in range(8)]
    return Axes(Mat(*rows[:3]), Mat(*rows[3:6]), rows[6], rows[7])


# Matrices in axes.


@traced
def in_axes(left: Mat, M: Mat, right: Mat) -> Mat:
    """left M right^T: M as it is seen along the axes."""
    return left @ M @ right.transpose()


@traced
def scaled_rows(M: Mat, t: Vec) -> Mat:
    return Mat(*(row * x for row, x in zip(M.rows, t.parts, strict=True)))


@traced
def from_axes(left: Mat, M: Mat, right: Mat) -> Mat:
    """left^T M right: the inverse of `in_axes`."""
    return left.transpose() @ (M @ right)


@traced
def diagonal_from_axes(left: Mat, t: Vec, right: Mat) -> Mat:
    """left^T diag(t) right."""
    return left.transpose() @ scaled_rows(right, t)


@traced
def symmetric_from_axes(left: Mat, t: Vec) -> Mat:
    """left^T diag(t) left."""
    scaled = scaled_rows(left, t)
    out: list[list[Any]] = [[None] * 3 for _ in range(3)]
    for i in range(3):
        for j in range(i, 3):
            out[i][j] = out[j][i] = scaled.column(i).dot(left.column(j))
    return Mat(*(Vec(*row) for row in out))


# Eigenvectors.


@traced
def smallest_square() -> float:
    """A number that changes no sum of squares, whose root can be divided by."""
    return 1e-300 if layout().real == ti.f64 else 1e-36


@traced
def sign(x: Any) -> Any:
    """1 or -1; 1 of 0."""
    return where(x < 0.0, lane(-1.0), lane(1.0))


@traced
def far_eigenvalue(half: Any) -> Any:
    """Of a traceless matrix of squared norm 6 with determinant 2 half: the eigenvalue farthest from the others.

    It is +-2x with 4 x^3 - 3 x = |half|, and x in [sqrt(3)/2, 1] is an analytic function of |half| in [0, 1]: Newton's
    iteration from a parabola doubles its digits without fail.
    """
    r = value(ti.min(absolute(half), 1.0))
    x = value(0.8660254 + r * (1.0 / 6.0 - 0.0326921 * r))
    for _ in range(3 if layout().real == ti.f64 else 2):
        square = value(x * x)
        x = value((8.0 * square * x + r) / (12.0 * square - 3.0))
    return value(2.0 * x * sign(half))


@traced
def normal_plane(q: Vec) -> tuple[Vec, Vec]:
    """Two vectors that make a right-handed basis with the unit vector q. Source: Duff et al. 2017, "Building an
    Orthonormal Basis, Revisited"."""
    side = sign(q[2])
    a = value(-1.0 / (side + q[2]))
    b = value(q[0] * q[1] * a)
    return (
        Vec(1.0 + side * q[0] * q[0] * a, side * b, 0.0 - side * q[0]),
        Vec(b, side + q[1] * q[1] * a, 0.0 - q[1]),
    )


@traced
def rotation_tangent(gap: Any, off: Any) -> Any:
    """Tangent of the angle, at most 45 degrees, that makes (alpha, off; off, alpha + gap) diagonal."""
    t = 2.0 * off * sign(gap) / (absolute(gap) + ti.sqrt(gap * gap + 4.0 * off * off) + smallest_square())
    return value(ti.max(ti.min(t, 1.0), -1.0))  # squares may have vanished


@traced
def eigen(D: Mat) -> tuple[Vec, Mat]:
    """Eigenvalues of a symmetric matrix, and its eigenvectors as the rows of a rotation.

    First the vector of the eigenvalue that is farthest from the others: the largest column of the adjugate, which is
    well conditioned whatever the matrix. Then one Jacobi rotation in the plane normal to it. Where eigenvalues are
    equal any vectors are right, and some are found.
    """
    mean = value(D.trace() * (1.0 / 3.0))
    a, b, c = (value(D[i][i] - mean) for i in range(3))
    f, g, h = D[1][2], D[0][2], D[0][1]
    squares = a * a + b * b + c * c + 2.0 * (f * f + g * g + h * h)
    size = value(ti.sqrt(squares * (1.0 / 6.0) + smallest_square()))
    a, b, c, f, g, h = (value(x / size) for x in (a, b, c, f, g, h))
    far = far_eigenvalue(value(0.5 * (a * (b * c - f * f) - h * (h * c - f * g) + g * (h * f - b * g))))
    # the adjugate of A - far
    x, y, z = value(a - far), value(b - far), value(c - far)
    xx, yy, zz = value(y * z - f * f), value(x * z - g * g), value(x * y - h * h)
    xy, xz, yz = value(g * f - h * z), value(h * f - g * y), value(g * h - f * x)
    q = where(xx > yy, Vec(xx, xy, xz), Vec(xy, yy, yz))
    q = where(zz > ti.max(xx, yy), Vec(xz, yz, zz), q)
    q = q * value(1.0 / q.norm())
    u, w = normal_plane(q)
    A = Mat(Vec(a, h, g), Vec(h, b, f), Vec(g, f, c))
    Au, Aw = A @ u, A @ w
    alpha, beta, off = u.dot(Au), w.dot(Aw), u.dot(Aw)
    t = rotation_tangent(value(beta - alpha), off)
    alpha, beta = value(alpha - t * off), value(beta + t * off)
    cosine = value(1.0 / ti.sqrt(1.0 + t * t))
    sine = value(t * cosine)
    return (
        Vec(mean + size * alpha, mean + size * beta, mean - size * (alpha + beta)),
        Mat(u * cosine - w * sine, u * sine + w * cosine, q),
    )


@traced
def regular_axes(F: Mat) -> tuple[Axes, Mat, Any]:
    """Axes of F where it is neither nearly flat nor inverted; the rows of U^T F; and where it is either."""
    d, left = eigen(stretch_strain(F))
    s = Vec(*(ti.sqrt(ti.max(1.0 + x, 1e-30)) for x in d.parts))
    s1 = Vec(*(x / (1.0 + y) for x, y in zip(d.parts, s.parts, strict=True)))
    stretched = left @ F
    right = Mat(*(row / x for row, x in zip(stretched.rows, s.parts, strict=True)))
    flat = where(ti.min(d[0], ti.min(d[1], d[2])) < -0.99, lane(-1.0), lane(1.0))
    return Axes(left, right, s, s1), stretched, value(ti.min(flat, right[0].cross(right[1]).dot(right[2])) < 0.0)


@traced
def sign_smallest(mask: Any, at: Axes, stretched: Mat) -> None:
    """Where the mask is set, take the right axis of the smallest singular value from the other two, and its sign."""
    length = Vec(*(row.norm() for row in stretched.rows))
    least = value(ti.min(length[0], ti.min(length[1], length[2])))
    unit = [row / ti.max(x, 1e-30) for row, x in zip(stretched.rows, length.parts, strict=True)]
    left_over = lane(1.0)
    for k in range(3):
        mine = where(length[k] <= least, left_over, lane(0.0))  # one of them, also where two are as small
        left_over = value(left_over - mine)
        v = where(mine > 0.5, unit[(k + 1) % 3].cross(unit[(k + 2) % 3]), unit[k])
        s = stretched[k].dot(v)
        at.right[k]._assign(where(mask, v, at.right[k]))
        at.s[k]._assign(where(mask, s, at.s[k]))
        at.s1[k]._assign(where(mask, s - 1.0, at.s1[k]))


# Functions of lane values.


@traced
def horner(x: Any, coefficients: Sequence[float]) -> Any:
    """A polynomial, its coefficients from the lowest power up."""
    out: Any = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        out = out * x + c
    return value(out)


@traced
def where_far(function: Callable[[Any], Any], mask: Any, x: Any, out: Any) -> None:
    """Overwrite `out` with function(x), one lane after the other, where the mask is set."""
    chosen = where(mask, lane(1.0), lane(0.0))  # a mask's lanes cannot be taken one by one
    for j in range(layout().width):
        kept = of_lane(out, j)
        kept._assign(ti.select(of_lane(chosen, j) > 0.5, function(of_lane(x, j)), kept))


@traced
def difference(fa: Any, fb: Any, a: Any, b: Any, slope: Any) -> Any:
    """(fa - fb) / (a - b) of a piecewise linear function, `slope` where a = b."""
    equal = value(a - b == 0.0)
    return where(equal, slope, (fa - fb) / where(equal, lane(1.0), a - b))


@per_runtime
def spectral() -> Functions:
    """axes(F), log(x, x - 1), expm1(x), log_difference, exp_difference."""
    double = layout().real == ti.f64
    atanh_terms = [1.0 / (2 * n + 1) for n in range(13 if double else 7)]  # of atanh(z) / z by z^2
    expm1_terms = [1.0]  # of (exp(x) - 1) / x
    for n in range(2, 16 if double else 9):
        expm1_terms.append(expm1_terms[-1] / n)
    sinh_terms = [1.0]  # of sinh(y) / y by y^2
    for n in range(1, 9 if double else 5):
        sinh_terms.append(sinh_terms[-1] / (2 * n * (2 * n + 1)))

    @traced
    def log_near(x, x1):
        """4 atanh((sqrt x - 1) / (sqrt x + 1)), and where x is beyond 0.38 ... 2.7."""
        root = 1.0 + ti.sqrt(x)
        z = value(x1 / (root * root))
        return value(4.0 * z * horner(z * z, atanh_terms)), value(absolute(z) > 0.24)

    @traced
    def expm1_near(x):
        return value(x * horner(x, expm1_terms)), value(absolute(x) > 0.5)

    @traced
    def expm1_far(x):
        return ti.exp(x) - 1.0

    @ti.func
    def log(x, x1):
        """log x of x > 0, exact to its own last digits; x1 is x - 1."""
        out, far = log_near(x, x1)
        if any_lane(far):
            where_far(ti.log, far, x, out)
        return out

    @ti.func
    def expm1(x):
        """exp(x) - 1, exact to its own last digits."""
        out, far = expm1_near(x)
        if any_lane(far):
            where_far(expm1_far, far, x, out)
        return out

    @traced
    def log_difference(a, b, log_a, log_b):
        """(log a - log b) / (a - b), 1 / a where they are equal."""
        total = value(a + b)
        z = value((a - b) / total)
        near = value(absolute(z) < 0.15)
        series = 2.0 * horner(z * z, atanh_terms[: 11 if double else 5]) / total
        return where(near, series, (log_a - log_b) / where(near, lane(1.0), a - b))

    @traced
    def exp_difference(exp_a, exp_b, gap):
        """(exp a - exp b) / gap with gap = a - b, exp a where they are equal."""
        y = value(0.5 * gap)
        near = value(absolute(y) < 0.5)
        series = ti.sqrt(exp_a * exp_b) * horner(y * y, sinh_terms)
        return where(near, series, (exp_a - exp_b) / where(near, lane(1.0), gap))

    @ti.func
    def axes(F):
        """`Axes` of F."""
        at, stretched, bad = regular_axes(F)
        if any_lane(bad):
            sign_smallest(bad, at, stretched)
        return at

    return Functions(
        axes=axes, log=log, expm1=expm1, log_difference=log_difference, exp_difference=exp_difference
    )
