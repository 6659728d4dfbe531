"""Spatial algebra inside kernels: motions (w, v), forces (t, f), symmetric matrices as (diagonal, off-diagonal).

Plain functions of `genesis.math.lanes`, run while a kernel is compiled. Off-diagonal means (xy, xz, yz). Source:
Featherstone, Rigid Body Dynamics Algorithms (2008), chapter 2.
"""

from genesis.compiler import Composite, ti, traced, value
from genesis.math.lanes import Mat, Vec, absolute, lanes3, sine_cosine, where


class Spatial(Composite):
    """A motion (angular w, linear v) or a force (torque w, force v). Names and assignment are as with `Vec`."""

    def __init__(self, w, v):
        self.w, self.v = w, v

    def __add__(self, other):
        return Spatial(self.w + other.w, self.v + other.v)

    def __sub__(self, other):
        return Spatial(self.w - other.w, self.v - other.v)

    def __rmul__(self, number):
        return Spatial(number * self.w, number * self.v)

    def __neg__(self):
        return Spatial(-self.w, -self.v)

    def _assign(self, other):
        self.w._assign(other.w)
        self.v._assign(other.v)

    def _augassign(self, other, op):
        self.w._augassign(other.w, op)
        self.v._augassign(other.v, op)

    @traced
    def dot(self, other):
        """Power of a motion and a force."""
        return value(self.w.dot(other.w) + self.v.dot(other.v))

    @traced
    def cross(self, motion):
        """This motion x another."""
        return Spatial(self.w.cross(motion.w), self.w.cross(motion.v) + self.v.cross(motion.w))

    @traced
    def cross_force(self, force):
        """This motion x* a force."""
        return Spatial(self.w.cross(force.w) + self.v.cross(force.v), self.w.cross(force.v))

    @traced
    def at(self, r):
        """Velocity, by this motion, of the point that is now at r."""
        return self.v + self.w.cross(r)


@traced
def spatial():
    """A zero spatial vector of lane values, to add to."""
    return Spatial(lanes3(), lanes3())


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
def momentum(m, h, d, o, motion):
    """Inertia times motion: angular and linear momentum."""
    return Spatial(times(d, o, motion.w) + h.cross(motion.v), m * motion.v - h.cross(motion.w))


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
    """Rotation matrix of q / |q|. Zeros are exact, whatever the compiler fuses, and that of a unit quaternion is
    MuJoCo's to the last bit: of bodies that stand straight on each other rounding decides which features touch."""
    squared = value(q.dot(q))
    n = where(absolute(squared - 1.0) < 2e-15, 0.0 * squared + 1.0, 1.0 / squared)
    w, x, y, z = q[0], q[1], q[2], q[3]
    ww, xx, yy, zz, m = n * w * w, n * x * x, n * y * y, n * z * z, 2.0 * n
    rows = (ww + xx - yy - zz, m * (x * y - w * z), m * (x * z + w * y),
            m * (x * y + w * z), ww - xx + yy - zz, m * (y * z - w * x),
            m * (x * z - w * y), m * (y * z + w * x), ww - xx - yy + zz)  # fmt: skip
    r = [where(absolute(e) < 1e-15, 0.0 * squared, e) for e in map(value, rows)]
    return Mat(Vec(*r[:3]), Vec(*r[3:6]), Vec(*r[6:]))


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
def ramp_by_width(x, w):
    """Of `ramp`: the slopes in w of its value and of its slope."""
    x = value(x)
    none = value(0.0 * x)
    inside = value(ti.min(ti.max(x, 0.0 - w), w))
    half = value((w - inside) * (w + inside) / (4.0 * w * w))
    return half, where(x > 0.0 - w, where(x > w, none, (0.0 - x) / (2.0 * w * w)), none)


@traced
def ramp(x, w):
    """max(x, 0) rounded over -w … w: value, slope, curvature. Curvature jumps at -w and w."""
    x = value(x)
    inside = value(ti.min(ti.max(x, 0.0 - w), w) + w)
    none = value(0.0 * x)
    curvature = where(x > 0.0 - w, where(x > w, none, none + 1.0 / (2.0 * w)), none)
    return (value(inside * inside / (4.0 * w) + ti.max(x - w, 0.0)), value(inside / (2.0 * w)), curvature)
