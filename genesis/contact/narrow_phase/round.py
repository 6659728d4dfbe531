"""Spheres and capsules with one another: the nearest points of their cores, points or segments, and the radii."""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.cases import cases
from genesis.contact.narrow_phase.layout import FLAT, NUMBERS, ROLLING

TINY = 1e-15
"""Length, m, below which MuJoCo takes no direction from a vector."""
PARALLEL = 1e-8
"""Square of the sine of the angle below which MuJoCo takes capsules as parallel."""


@per_runtime
def round_pairs() -> Functions:
    lay, record = layout(), cases()
    vec3 = lay.vec3

    @ti.func
    def unit(v):
        """v's direction, or x where it has none."""
        length = v.norm()
        n = vec3(1.0, 0.0, 0.0)
        if length >= TINY:
            n = v / length
        return n

    @ti.func
    def touch(found: ti.template(), at, a, between, ra, rb, Ra, Rb, reach):
        """Spheres of radii ra at a and rb farther by `between`: writes a record if they touch, with the radii of
        curvature of spheres. Returns whether they do (1 or 0), and whether the normal is the direction of `between`."""
        length = between.norm()
        distance = length - ra - rb
        touches, defined = 0, length >= TINY
        if distance < reach:
            touches = 1
            n = unit(between)
            if not defined:
                n = unit(Ra[:, 2].cross(Rb[:, 2]))
            e = record.across(n)
            record.write(found, at, a + (ra + 0.5 * distance) * n, n, distance, ROLLING)
            if defined:
                record.describe(found, at, e, e, ra, ra, rb, rb)
            else:  # the normal is at rest
                record.describe(found, at, e, e, FLAT, FLAT, 0.0, 0.0)
        return touches, defined

    @ti.func
    def sphere_sphere(found: ti.template(), first, size_a, size_b, p, Ra, Rb, reach):
        """`meet` of two spheres."""
        count, _defined = touch(found, first, vec3(0.0), p, size_a[0], size_b[0], Ra, Rb, reach)
        return count

    @ti.func
    def sphere_capsule(found: ti.template(), first, size_a, size_b, p, Ra, Rb, reach):
        """`meet` of a sphere and a capsule: the sphere at the nearest point of the capsule's segment."""
        axis, half = Rb[:, 2], size_b[1]
        s = -axis.dot(p)
        nearest = p + ti.min(ti.max(s, -half), half) * axis
        count, defined = touch(found, first, vec3(0.0), nearest, size_a[0], size_b[0], Ra, Rb, reach)
        if count > 0 and defined and ti.abs(s) < half:
            record.describe(found, first, axis, axis, size_a[0], size_a[0], FLAT, size_b[0])
        return count

    @ti.func
    def capsule_capsule(found: ti.template(), first, size_a, size_b, p, Ra, Rb, reach):
        """`meet` of two capsules: the nearest points s a and p + t b of their segments. Of parallel ones two pairs of
        points, from both ends of A's segment: an end and what is nearest to it, or else an end of B and what is nearest
        to that; the same pair twice where the segments do not lie beside each other. Between the insides of both the
        normal is across the axes: of axes that nearly cross that is exact, unlike the direction of a tiny vector."""
        a, b, half_a, half_b = Ra[:, 2], Rb[:, 2], size_a[1], size_b[1]
        both, pa, pb, cosine = a.cross(b), a.dot(p), b.dot(p), a.dot(b)
        sine2 = both.dot(both)
        tries, count = 1, 0
        if sine2 < PARALLEL:
            tries = 2
        for k in range(tries):
            s = p.cross(b).dot(both) / ti.max(sine2, PARALLEL)
            if tries == 2:
                s = half_a * (2.0 * k - 1.0)
            free_a = ti.abs(s) < half_a
            s = ti.min(ti.max(s, -half_a), half_a)
            t = cosine * s - pb
            free_b = ti.abs(t) < half_b
            if not free_b:
                t = ti.min(ti.max(t, -half_b), half_b)
                s = pa + cosine * t
                free_a = ti.abs(s) < half_a
                s = ti.min(ti.max(s, -half_a), half_a)
            at, ra, rb = first + count * NUMBERS, size_a[0], size_b[0]
            between, lines = p + t * b - s * a, free_a and free_b
            if lines:
                between = (both.dot(between) / sine2) * both
            touches, defined = touch(found, at, s * a, between, ra, rb, Ra, Rb, reach)
            if touches > 0 and (lines or defined and (free_a or free_b)):
                u, v, along_a, along_b = b, a, ra, rb
                if free_a:
                    u, along_a = a, FLAT
                if free_b:
                    v, along_b = b, FLAT
                record.describe(found, at, u, v, along_a, ra, along_b, rb)
            count += touches
        return count

    return Functions(
        sphere_sphere=sphere_sphere, sphere_capsule=sphere_capsule, capsule_capsule=capsule_capsule, unit=unit,
        touch=touch,
    )  # fmt: skip
