"""Spatial algebra inside kernels: motions (w, v), forces (t, f), symmetric matrices as (diagonal, off-diagonal).

Plain functions of `genesis.math.lanes`, run while a kernel is compiled. Off-diagonal means (xy, xz, yz). Source:
Featherstone, Rigid Body Dynamics Algorithms (2008), chapter 2.
"""

from genesis.compiler import ti, traced, value
from genesis.math.lanes import Mat, Vec, sine_cosine, where


@traced
def cross_motion(aw, av, bw, bv):
    """a x b of two motions."""
    return aw.cross(bw), aw.cross(bv) + av.cross(bw)


@traced
def cross_force(aw, av, t, f):
    """a x* b of a motion and a force."""
    return aw.cross(t) + av.cross(f), aw.cross(f)


@traced
def times(d, o, v):
    """Symmetric matrix times vector."""
    return Vec(
        d[0] * v[0] + o[0] * v[1] + o[1] * v[2],
        o[0] * v[0] + d[1] * v[1] + o[2] * v[2],
        o[1] * v[0] + o[2] * v[1] + d[2] * v[2],
    )


@traced
def outer_off(a, b):
    """(a_x b_y, a_x b_z, a_y b_z): the off-diagonal of a b^T where that is symmetric."""
    return Vec(a[0] * b[1], a[0] * b[2], a[1] * b[2])


@traced
def turned(R, d, o):
    """R M R^T."""
    c0, c1, c2 = R.column(0), R.column(1), R.column(2)
    t0 = d[0] * c0 + o[0] * c1 + o[1] * c2
    t1 = o[0] * c0 + d[1] * c1 + o[2] * c2
    t2 = o[1] * c0 + o[2] * c1 + d[2] * c2
    return t0 * c0 + t1 * c1 + t2 * c2, outer_off(t0, c0) + outer_off(t1, c1) + outer_off(t2, c2)


@traced
def about_origin(c, m):
    """m (c.c 1 - c c^T): the inertia of a point mass at c."""
    s = c * c
    return m * Vec(s[1] + s[2], s[0] + s[2], s[0] + s[1]), (0.0 - m) * outer_off(c, c)


@traced
def momentum(m, h, d, o, w, v):
    """Inertia times motion: angular and linear momentum."""
    return times(d, o, w) + h.cross(v), m * v - h.cross(w)


@traced
def axis_rotation(a, angle):
    """Rotation matrix about the unit vector a. Source: Rodrigues' formula."""
    s, c = sine_cosine(angle)
    d = value(1.0 - c)
    x, y, z = a[0], a[1], a[2]
    return Mat(Vec(c + x * x * d, x * y * d - z * s, x * z * d + y * s),
               Vec(x * y * d + z * s, c + y * y * d, y * z * d - x * s),
               Vec(x * z * d - y * s, y * z * d + x * s, c + z * z * d))  # fmt: skip


@traced
def quaternion_matrix(q):
    """Rotation matrix of q / |q|."""
    n = value(2.0 / q.dot(q))
    w, x, y, z = q[0], q[1], q[2], q[3]
    return Mat(Vec(1.0 - n * (y * y + z * z), n * (x * y - w * z), n * (x * z + w * y)),
               Vec(n * (x * y + w * z), 1.0 - n * (x * x + z * z), n * (y * z - w * x)),
               Vec(n * (x * z - w * y), n * (y * z + w * x), 1.0 - n * (x * x + y * y)))  # fmt: skip


@traced
def quaternion_product(a, b):
    u, w = a[1:], b[1:]
    v = a[0] * w + b[0] * u + u.cross(w)
    return Vec(a[0] * b[0] - u.dot(w), v[0], v[1], v[2])


@traced
def rotate(q, v):
    """v turned by the unit quaternion q."""
    u = q[1:]
    c = 2.0 * u.cross(v)
    return v + q[0] * c + u.cross(c)


@traced
def ramp(x, w):
    """max(x, 0) rounded over -w … w: value, slope, curvature. Curvature jumps at -w and w."""
    x = value(x)
    inside = value(ti.min(ti.max(x, 0.0 - w), w) + w)
    none = value(0.0 * x)
    curvature = where(x > 0.0 - w, where(x > w, none, none + 1.0 / (2.0 * w)), none)
    return (value(inside * inside / (4.0 * w) + ti.max(x - w, 0.0)), value(inside / (2.0 * w)), curvature)
