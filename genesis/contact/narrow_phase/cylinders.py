"""Spheres with cylinders: the sphere against the nearest of side, cap and rim, as MuJoCo finds it."""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.cases import cases
from genesis.contact.narrow_phase.layout import FLAT, NORMAL, ROLLING
from genesis.contact.narrow_phase.round import round_pairs


@per_runtime
def cylinder_pairs() -> Functions:
    lay, record, round_ = layout(), cases(), round_pairs()
    real, vec3 = lay.real, lay.vec3

    @ti.func
    def sphere_cylinder(found: ti.template(), first, size_a, size_b, p, Ra, Rb, reach):
        """`meet` of a sphere and a cylinder. A centre inside of the cylinder leaves through what is nearer."""
        axis, radius, half, r = Rb[:, 2], size_b[0], size_b[1], size_a[0]
        height = -axis.dot(p)
        out = -p - height * axis
        away = out.norm()
        side, cap = ti.abs(height) < half, away < radius
        if side and cap:
            cap = half - ti.abs(height) < radius - away
            side = not cap
        up = ti.cast(-1.0, real)
        if height > 0.0:
            up = ti.cast(1.0, real)
        count = 0
        if cap:
            n = -up * axis
            distance = ti.abs(height) - half - r
            if distance < reach:
                count = 1
                e = record.across(n)
                record.write(found, first, (r + 0.5 * distance) * n, n, distance, ROLLING)
                record.describe(found, first, e, e, r, r, FLAT, FLAT)
        else:
            nearest, thick = p + height * axis, radius
            if not side:
                nearest, thick = p + up * half * axis + (radius / away) * out, ti.cast(0.0, real)
            touches, defined = round_.touch(found, first, vec3(0.0), nearest, r, thick, Ra, Rb, reach)
            count = touches
            if touches > 0 and defined:
                if side:
                    record.describe(found, first, axis, axis, r, r, FLAT, radius)
                else:  # the rim, a circle: its curvature seen along the normal
                    outward = out / away
                    lean = ti.max(ti.abs(outward.dot(record.vector(found, first + NORMAL))), 1e-9)
                    t = axis.cross(outward)
                    record.describe(found, first, t, t, r, r, radius / lean, 0.0)
        return count

    return Functions(sphere_cylinder=sphere_cylinder)
