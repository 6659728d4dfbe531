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
        inward = p + height * axis  # from the sphere to the axis
        away = inward.norm()
        side, cap = 0, 0
        if ti.abs(height) < half:
            side = 1
        if away < radius:
            if side == 0 or half - ti.abs(height) < radius - away:
                side, cap = 0, 1
        up = ti.cast(-1.0, real)
        if height > 0.0:
            up = ti.cast(1.0, real)
        count = 0
        if cap == 1:
            n = -up * axis
            distance = ti.abs(height) - half - r
            if distance < reach:
                count = 1
                e = record.across(n)
                record.write(found, first, (r + 0.5 * distance) * n, n, distance, ROLLING)
                record.describe(found, first, e, e, r, r, FLAT, FLAT)
        else:
            thick = ti.cast(0.0, real)
            nearest = inward
            if side == 1:
                thick = radius
            else:
                nearest = p + (up * half) * axis - (radius / away) * inward
            touches, defined = round_.touch(found, first, vec3(0.0), nearest, r, thick, Ra, Rb, reach)
            count = touches
            if touches > 0 and defined:
                if side == 1:
                    record.describe(found, first, axis, axis, r, r, FLAT, radius)
                else:  # the rim, a circle: its curvature seen along the normal
                    lean = ti.max(inward.dot(record.vector(found, first + NORMAL)) / away, 1e-9)
                    t = inward.cross(axis) / away
                    record.describe(found, first, t, t, r, r, radius / lean, 0.0)
        return count

    return Functions(sphere_cylinder=sphere_cylinder)
