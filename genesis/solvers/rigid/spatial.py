"""Spatial algebra inside kernels: motions (w, v), forces (t, f), symmetric matrices as (diagonal, off-diagonal).

Off-diagonal means (xy, xz, yz). Source: Featherstone, Rigid Body Dynamics Algorithms (2008), chapter 2.
"""

from genesis.compiler import Functions, layout, per_runtime, ti


@per_runtime
def spatial() -> Functions:
    lay = layout()
    real, vec3, mat3 = lay.real, lay.vec3, lay.mat3

    @ti.func
    def cross_motion(aw, av, bw, bv):
        """a x b of two motions."""
        return aw.cross(bw), aw.cross(bv) + av.cross(bw)

    @ti.func
    def cross_force(aw, av, t, f):
        """a x* b of a motion and a force."""
        return aw.cross(t) + av.cross(f), aw.cross(f)

    @ti.func
    def times(d, o, v):
        """Symmetric matrix times vector."""
        return vec3(
            d[0] * v[0] + o[0] * v[1] + o[1] * v[2],
            o[0] * v[0] + d[1] * v[1] + o[2] * v[2],
            o[1] * v[0] + o[2] * v[1] + d[2] * v[2],
        )

    @ti.func
    def outer_off(a, b):
        """Off-diagonal of the symmetric part of a b^T, times one: (a_x b_y, a_x b_z, a_y b_z)."""
        return vec3(a[0] * b[1], a[0] * b[2], a[1] * b[2])

    @ti.func
    def turned(R, d, o):
        """R M R^T."""
        c0, c1, c2 = column(R, 0), column(R, 1), column(R, 2)
        t0 = d[0] * c0 + o[0] * c1 + o[1] * c2
        t1 = o[0] * c0 + d[1] * c1 + o[2] * c2
        t2 = o[1] * c0 + o[2] * c1 + d[2] * c2
        return t0 * c0 + t1 * c1 + t2 * c2, outer_off(t0, c0) + outer_off(t1, c1) + outer_off(t2, c2)

    @ti.func
    def column(R, c: ti.template()):
        return vec3(R[0, c], R[1, c], R[2, c])

    @ti.func
    def about_origin(c, m):
        """m (c.c 1 - c c^T): the inertia of a point mass at c."""
        s = c * c
        return m * vec3(s[1] + s[2], s[0] + s[2], s[0] + s[1]), -m * outer_off(c, c)

    @ti.func
    def momentum(m, h, d, o, w, v):
        """Inertia times motion: angular and linear momentum."""
        return times(d, o, w) + h.cross(v), m * v - h.cross(w)

    @ti.func
    def axis_rotation(a, angle):
        """Rotation matrix about the unit vector a. Source: Rodrigues' formula."""
        s, c = ti.sin(angle), ti.cos(angle)
        d = 1.0 - c
        x, y, z = a[0], a[1], a[2]
        return mat3([[c + x * x * d, x * y * d - z * s, x * z * d + y * s],
                     [x * y * d + z * s, c + y * y * d, y * z * d - x * s],
                     [x * z * d - y * s, y * z * d + x * s, c + z * z * d]])  # fmt: skip

    @ti.func
    def quaternion_matrix(q):
        """Rotation matrix of q / |q|."""
        n = 2.0 / q.dot(q)
        w, x, y, z = q[0], q[1], q[2], q[3]
        return mat3([[1.0 - n * (y * y + z * z), n * (x * y - w * z), n * (x * z + w * y)],
                     [n * (x * y + w * z), 1.0 - n * (x * x + z * z), n * (y * z - w * x)],
                     [n * (x * z - w * y), n * (y * z + w * x), 1.0 - n * (x * x + y * y)]])  # fmt: skip

    @ti.func
    def ramp(x, w):
        """max(x, 0) rounded over -w … w: value, slope, curvature. Curvature jumps at -w and w."""
        value, slope, curvature = ti.cast(0.0, real), ti.cast(0.0, real), ti.cast(0.0, real)
        if x > w:
            value, slope = x, ti.cast(1.0, real)
        elif x > -w:
            value, slope, curvature = (x + w) * (x + w) / (4.0 * w), (x + w) / (2.0 * w), 1.0 / (2.0 * w)
        return value, slope, curvature

    return Functions(cross_motion=cross_motion, cross_force=cross_force, times=times, outer_off=outer_off,
                     turned=turned, about_origin=about_origin, momentum=momentum, axis_rotation=axis_rotation,
                     quaternion_matrix=quaternion_matrix, ramp=ramp, column=column)  # fmt: skip
