"""Contacts of polytopes with a radius around them: spheres, capsules, boxes and convex meshes ("hulls").

Nearest points (`gjk.py`) or, of overlapping polytopes, deepest ones (`epa.py`); of two polytopes with faces beside each
other, the points of the clipped face (`clip.py`). All are exact: MuJoCo's agree up to the tolerance of its own search.

No solver uses these yet: a mesh that could touch another body is refused. What is open stands in docs/decisions.md, 41.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.cases import cases
from genesis.contact.narrow_phase.clip import clipping
from genesis.contact.narrow_phase.epa import depths
from genesis.contact.narrow_phase.gjk import distances
from genesis.contact.narrow_phase.layout import FLAT, ROLLING
from genesis.contact.narrow_phase.memory import SIMPLEX, TROUBLE, Shape, memory

SPHERE, CAPSULE, BOX, HULL = range(4)
"""Kinds of polytopes with a radius."""


@per_runtime
def convex() -> Functions:
    lay, mem, cas = layout(), memory(), cases()
    gjk, epa, cli = distances(), depths(), clipping()
    real, vec3, vec4 = lay.real, lay.vec3, lay.vec4
    near = 1e-5 if real == ti.f32 else 1e-9

    @ti.func
    def shape(kind, size, hull, place, turn):
        """A geom of one of these kinds as a `Shape`."""
        scale, radius = vec3(1.0), ti.cast(0.0, real)
        if kind == BOX:
            scale = size
        elif kind != HULL:
            radius = size[0]
            scale = vec3(0.0, 0.0, size[1])
        return Shape(hull, scale, radius, place, turn)

    @ti.func
    def deepest(a: ti.template(), one: ti.template(), two: ti.template(), cutoff):
        """The points of the polytopes' difference around the one nearest to the origin, in the simplex: how many (0:
        the polytopes are farther apart than the cutoff), their weights, the normal, and the distance."""
        apart, length, x, n, weights, ended = gjk.distance(a, one, two, cutoff)
        normal, distance = vec3(0.0), length
        if not ended:
            a.whole[a.z + TROUBLE] += 1
        if apart:
            n = 0
        elif length > near * (one.place - two.place).norm():
            normal = -x / length
            if n == 3:  # the triangle's own normal does not suffer from a small distance
                p = mem.point(a, SIMPLEX)
                m = (mem.point(a, SIMPLEX + 1) - p).cross(mem.point(a, SIMPLEX + 2) - p).normalized()
                if m.dot(normal) < 0.0:
                    m = -m
                if m.dot(normal) > 0.999999:
                    normal = m
                    distance = -m.dot(p)
        else:
            corners, m, d, good = epa.depth(a, one, two)
            n = 3
            normal, distance = m, -d
            if not good:
                a.whole[a.z + TROUBLE] += 1
            for c in range(3):
                mem.copy(a, SIMPLEX + c, corners[c])
            p, q = mem.point(a, SIMPLEX) - d * m, mem.point(a, SIMPLEX + 1) - d * m
            r = mem.point(a, SIMPLEX + 2) - d * m
            w = vec3(q.cross(r).dot(m), r.cross(p).dot(m), p.cross(q).dot(m))
            weights = vec4(w[0], w[1], w[2], 0.0) / (w[0] + w[1] + w[2])
        return n, weights, normal, distance

    @ti.func
    def features(a: ti.template(), s: ti.template(), side, n, weights):
        """How many distinct vertices of one shape touch, and their indices."""
        k, indices = 0, ti.Vector([0, 0, 0], ti.i32)
        for c in range(n):
            if ti.abs(weights[c]) > 1e-9:  # of a face that lies in one plane with others, any may be the nearest
                index, new = a.whole[a.z + 2 * (SIMPLEX + c) + side], True
                for o in range(k):
                    if indices[o] == index:
                        new = False
                if new:
                    indices[k] = index
                    k += 1
        return k, indices

    @ti.func
    def curvature(a: ti.template(), s: ti.template(), n, k, indices):
        """A tangent where a shape touches, and the radii of curvature along and across it."""
        u, along, beside = cas.across(n), s.radius, s.radius
        if k == 3:
            along, beside = ti.cast(FLAT, real), ti.cast(FLAT, real)
        elif k == 2:
            e = mem.corner(a, s, indices[1]) - mem.corner(a, s, indices[0])
            u = (e - n * n.dot(e)).normalized()
            along = ti.cast(FLAT, real)
        return u, along, beside

    @ti.func
    def meet(a: ti.template(), found: ti.template(), first, kind_a, kind_b, hull_a, hull_b, size_a, size_b, p, Ra, Rb,
             reach):  # fmt: skip
        """`meet` of two of these kinds; a: a `Desk`; hull_a, hull_b: positions of the headers of their hulls."""
        one, two = shape(kind_a, size_a, hull_a, vec3(0.0), Ra), shape(kind_b, size_b, hull_b, p, Rb)
        ra, rb = one.radius, two.radius
        n, weights, normal, distance = deepest(a, one, two, ra + rb + reach)
        distance -= ra + rb
        count = 0
        if n > 0 and distance < reach:
            ka, ia = features(a, one, 0, n, weights)
            kb, ib = features(a, two, 1, n, weights)
            x = vec3(0.0)
            for c in range(n):
                x += weights[c] * mem.get(a, 9 * (SIMPLEX + c) + 3)
            count = 1
            cas.write(found, first, x + (ra + 0.5 * distance) * normal, normal, distance, ROLLING)
            u, a1, a2 = curvature(a, one, normal, ka, ia)
            v, b1, b2 = curvature(a, two, normal, kb, ib)
            if ka == 3:  # not both may be flat along one direction: the point stays one of the other
                b1, b2 = rb, rb
            elif kb == 3:
                a1, a2 = ra, ra
            elif ka == 2 and kb == 2 and u.cross(v).norm() < 1e-6:
                b1 = rb
            cas.describe(found, first, u, v, a1, a2, b1, b2)
            if kind_a >= BOX and kind_b >= BOX:
                count = cli.faces(a, found, first, one, two, normal, ka, kb, ia, ib, reach)
        return count

    return Functions(meet=meet)
