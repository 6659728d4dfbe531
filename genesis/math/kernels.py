"""Rotations inside kernels. Quaternions are w, x, y, z; those that turn vectors are normalised where they are used."""

from genesis.compiler import Functions, layout, per_runtime, ti


@per_runtime
def rotations() -> Functions:
    lay = layout()
    vec3, vec4 = lay.vec3, lay.vec4

    @ti.func
    def multiply(a, b):
        """Quaternion product a b."""
        u, w = a[1:], b[1:]
        v = a[0] * w + b[0] * u + u.cross(w)
        return vec4(a[0] * b[0] - u.dot(w), v[0], v[1], v[2])

    @ti.func
    def conjugate(q):
        return vec4(q[0], -q[1], -q[2], -q[3])

    @ti.func
    def rotate(q, v):
        """R(q / |q|) v."""
        u = q[1:] / q.norm()
        w = q[0] / q.norm()
        c = 2.0 * u.cross(v)
        return v + w * c + u.cross(c)

    @ti.func
    def unrotate(q, v):
        return rotate(conjugate(q), v)

    @ti.func
    def tangent_to_quaternion(q, g):
        """Cotangent of a world-frame rotation vector at R(q / |q|) -> cotangent of q (no radial part)."""
        return multiply(vec4(0.0, g[0], g[1], g[2]), q) * (2.0 / q.dot(q))

    @ti.func
    def sinc(h):
        out = 1.0 - h * h / 6.0
        if h > 1e-3:
            out = ti.sin(h) / h
        return out

    @ti.func
    def turn(omega, dt):
        """Quaternion of the rotation vector omega dt (world frame)."""
        h = 0.5 * dt * omega.norm()
        v = (0.5 * dt * sinc(h)) * omega
        return vec4(ti.cos(h), v[0], v[1], v[2])

    @ti.func
    def turn_adjoint(omega, dt, g):
        """Cotangent of omega from that of `turn`."""
        half = 0.5 * dt
        h = half * omega.norm()
        slope = -1.0 / 3.0 + h * h / 30.0  # sinc'(h) / h
        if h > 1e-3:
            slope = (ti.cos(h) - sinc(h)) / (h * h)
        gv = vec3(g[1], g[2], g[3])
        return half * sinc(h) * gv + (half * half * (half * slope * omega.dot(gv) - sinc(h) * g[0])) * omega

    return Functions(multiply=multiply, conjugate=conjugate, rotate=rotate, unrotate=unrotate,
                     tangent_to_quaternion=tangent_to_quaternion, turn=turn, turn_adjoint=turn_adjoint)  # fmt: skip
