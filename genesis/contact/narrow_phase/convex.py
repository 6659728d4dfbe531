"""Contacts of two convex shapes, whose kinds are known at run time only: one function for all pairs that take part.

The nearest or deepest points of the polytopes (`gjk.py`, `epa.py`), made exact for curved shapes (`refine.py`); of two
polytopes with faces beside each other, the points of the clipped face (`clip.py`). Radii of spheres and capsules are
put around at the end.
"""

from genesis.compiler import Composite, Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.cases import cases
from genesis.contact.narrow_phase.clip import clipping
from genesis.contact.narrow_phase.epa import depths
from genesis.contact.narrow_phase.gjk import distances
from genesis.contact.narrow_phase.layout import FLAT, ROLLING
from genesis.contact.narrow_phase.memory import SIMPLEX, TROUBLE, memory
from genesis.contact.narrow_phase.refine import EXACT, refinement
from genesis.contact.narrow_phase.support import BOX, CYLINDER, ELLIPSOID, HULL, supports


class Shape(Composite):
    """A convex shape: kind of `support.KINDS`, size (3), position of its hull's header, centre (3), rotation (3, 3)."""

    def __init__(self, kind, size, hull, place, turn):
        self.kind, self.size, self.hull, self.place, self.turn = kind, size, hull, place, turn


class Desk(Composite):
    """What a search reads and writes: hulls (`hulls.pack`), and scratch memory from `w` and `z` on (`memory.py`)."""

    def __init__(self, vertex, mesh, work, w, whole, z):
        self.vertex, self.mesh, self.work, self.w, self.whole, self.z = vertex, mesh, work, w, whole, z


@per_runtime
def convex() -> Functions:
    lay, mem, sup, cas = layout(), memory(), supports(), cases()
    gjk, epa, ref, cli = distances(), depths(), refinement(), clipping()
    real, vec3, vec4 = lay.real, lay.vec3, lay.vec4
    single = real == ti.f32
    near = 1e-6 if single else 1e-10
    tiny = 1e-9 if single else 1e-15

    @ti.func
    def polytope(s: ti.template()):
        return s.kind == BOX or s.kind == HULL

    @ti.func
    def deepest(a: ti.template(), one: ti.template(), two: ti.template(), cutoff, exact):
        """The points of the shapes' difference around the one nearest to the origin, in the simplex: how many (0: the
        shapes are farther apart than the cutoff or nothing was found), their weights, the normal, and the distance."""
        apart, length, x, n, weights = gjk.distance(a, one, two, cutoff, exact)
        normal, distance, within = vec3(0.0), length, False
        scale = sup.bounding(one) + sup.bounding(two)
        if apart:
            n = 0
        elif n > 0 and n < 4 and length > near * scale:
            normal = -x / length
        else:
            within = True
            face = epa.depth(a, one, two, n, length, exact)
            n = 0
            if face >= 0:
                v = epa.nearest(a, face)
                distance = -v.norm()
                if distance < 0.0:
                    n = 3
                    normal = -v / distance
                    corners = ti.Vector([0, 0, 0], ti.i32)
                    for c in ti.static(range(3)):
                        corners[c] = a.whole[a.z + epa.field(face, c)]
                    for c in range(3):
                        mem.copy(a, SIMPLEX + c, corners[c])
                    three = gjk.on_triangle(mem.point(a, SIMPLEX), mem.point(a, SIMPLEX + 1), mem.point(a, SIMPLEX + 2))
                    weights = vec4(three[0], three[1], three[2], 0.0)
            else:
                a.whole[a.z + TROUBLE] += 1
        if n == 3 and exact:  # the triangle's own normal, which does not suffer from a small distance
            p = mem.point(a, SIMPLEX)
            m = (mem.point(a, SIMPLEX + 1) - p).cross(mem.point(a, SIMPLEX + 2) - p)
            if m.norm() > 1e-9 * scale * scale:
                m = m.normalized()
                if m.dot(normal) < 0.0:
                    m = -m
                if within or m.dot(normal) > 0.999999:
                    normal = m
                    distance = -m.dot(p)
        return n, weights, normal, distance

    @ti.func
    def curvature(a: ti.template(), s: ti.template(), n, k, indices, cap):
        """How a shape is curved where its normal is n: a tangent, and the radii of curvature along and across it."""
        u, r = cas.across(n), sup.radius(s)
        along, beside = r, r
        v = sup.core(a, s, indices[0])
        if s.kind == ELLIPSOID:
            H, w = ref.bend(s, n, 0), n.cross(u)
            h11, h12, h22 = u.dot(H @ u), u.dot(H @ w), w.dot(H @ w)
            angle = 0.5 * ti.atan2(2.0 * h12, h11 - h22)
            c, e = ti.cos(angle), ti.sin(angle)
            u = c * u + e * w
            along = c * c * h11 + 2.0 * c * e * h12 + e * e * h22
            beside = e * e * h11 - 2.0 * c * e * h12 + c * c * h22
        elif k == 3 or cap == 1:
            along, beside = ti.cast(FLAT, real), ti.cast(FLAT, real)
        elif k == 2:
            e = sup.core(a, s, indices[1]) - v
            u = (e - n * n.dot(e)).normalized()
            along = ti.cast(FLAT, real)
            if s.kind == CYLINDER:
                beside = s.size[0]
        elif s.kind == CYLINDER:
            t = ref.column(s, 2).cross(n)
            length = ti.max(t.norm(), 1e-9)
            u = t / length
            along, beside = s.size[0] / length, ti.cast(0.0, real)
        return u, along, beside

    @ti.func
    def touch(a: ti.template(), found: ti.template(), at, one: ti.template(), two: ti.template(), reach):
        """Write the contact of two shapes, if they touch. Returns whether they do (1 or 0), its normal, and how many
        points of each polytope touch, with their indices."""
        ra, rb = sup.radius(one), sup.radius(two)
        bent = sup.curved(one) or sup.curved(two)
        n, weights, normal, distance = deepest(a, one, two, ra + rb + reach, not bent)
        slots, count = ti.Vector([SIMPLEX, SIMPLEX + 1, SIMPLEX + 2, SIMPLEX + 3], ti.i32), 0
        ks, caps = ti.Vector([0, 0], ti.i32), ti.Vector([0, 0], ti.i32)
        ia, ib = ti.Vector([0, 0, 0], ti.i32), ti.Vector([0, 0, 0], ti.i32)
        if n > 0:
            ka, indices_a = ref.gather(a, 0, slots, n, weights)
            kb, indices_b = ref.gather(a, 1, slots, n, weights)
            ks[0], ks[1] = ka, kb
            ia, ib = indices_a, indices_b
            x, y = vec3(0.0), vec3(0.0)
            for c in range(n):
                x += weights[c] * mem.get(a, 9 * slots[c] + 3)
                y += weights[c] * mem.get(a, 9 * slots[c] + 6)
            settled = True
            if bent:
                if ref.wide(one, 0, a, slots, n, weights):
                    caps[0] = 1
                    ks[0] = 1
                if ref.wide(two, 1, a, slots, n, weights):
                    caps[1] = 1
                    ks[1] = 1
                state, m, xe, ye, ke, ja, jb, ce = ref.refine(a, one, two, normal, ks, ia, ib, caps)
                settled = state == EXACT
                if settled:
                    normal, x, y, ks, ia, ib, caps = m, xe, ye, ke, ja, jb, ce
                    distance = normal.dot(y - x)
            distance -= ra + rb
            if distance < reach:
                count = 1
                cas.write(found, at, 0.5 * (x + y + (ra - rb) * normal), normal, distance, ROLLING)
                u, a1, a2 = curvature(a, one, normal, ks[0], ia, caps[0])
                v, b1, b2 = curvature(a, two, -normal, ks[1], ib, caps[1])
                flat_a, flat_b = a1 == FLAT, b1 == FLAT
                if not settled or (flat_a and a2 == FLAT and flat_b):  # the point stays one of B
                    a1, a2, b1, b2 = ti.cast(FLAT, real), ti.cast(FLAT, real), rb, rb
                elif flat_b and b2 == FLAT and flat_a:
                    a1, a2 = ra, ra
                elif flat_a and flat_b and u.cross(v).norm() < 1e-5:
                    b1 = b2
                cas.describe(found, at, u, v, a1, a2, b1, b2)
        return count, normal, ks, ia, ib

    @ti.func
    def meet(a: ti.template(), found: ti.template(), first, kind_a, kind_b, hull_a, hull_b, size_a, size_b, p, Ra, Rb,
             reach):  # fmt: skip
        """`meet` of two convex shapes of these kinds; `a`: a `Desk`."""
        one, two = Shape(kind_a, size_a, hull_a, vec3(0.0), Ra), Shape(kind_b, size_b, hull_b, p, Rb)
        count, normal, ks, ia, ib = touch(a, found, first, one, two, reach)
        if count > 0 and polytope(one) and polytope(two):
            count = cli.faces(a, found, first, one, two, normal, ks, ia, ib, reach)
        return count

    return Functions(meet=meet)
