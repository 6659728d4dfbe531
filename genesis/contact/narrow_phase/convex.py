"""Contacts of convex shapes by one search for all of them: MuJoCo's where it has no closed form.

The search finds what is nearest or deepest (`search.py`), Newton's method makes it exact on curved surfaces
(`touch.py`), and where faces lie beside each other more contacts follow (`clip.py`).
"""

from genesis.compiler import Functions, per_runtime, ti
from genesis.contact.narrow_phase.cases import cases
from genesis.contact.narrow_phase.clip import clipping
from genesis.contact.narrow_phase.hulls import CUBE, POINT, PRISM, SEGMENT
from genesis.contact.narrow_phase.layout import ROLLING
from genesis.contact.narrow_phase.memory import BOX, CAPSULE, CYLINDER, ELLIPSOID, HULL, SPHERE, Pair, memory
from genesis.contact.narrow_phase.search import searches
from genesis.contact.narrow_phase.touch import M, X, touching

KINDS = {"sphere": SPHERE, "capsule": CAPSULE, "ellipsoid": ELLIPSOID, "cylinder": CYLINDER, "box": BOX, "hull": HULL}


@per_runtime
def convex() -> Functions:
    mem, cas, sea, tou, cli = memory(), cases(), searches(), touching(), clipping()

    @ti.func
    def header(a: ti.template(), kind, size):
        """Where the header of a shape's form or hull stands."""
        at = ti.cast(size[0], ti.i32)
        if kind != HULL:
            form = POINT
            if kind == CAPSULE:
                form = SEGMENT
            elif kind == CYLINDER:
                form = PRISM
            elif kind == BOX:
                form = CUBE
            at = a.mesh[1 + form]
        return at

    @ti.func
    def meet(a: ti.template(), first, kind_a, kind_b, size_a, size_b, p, Ra, Rb, reach):
        """`meet` of two of KINDS; a: a `Desk`. The first size of a hull is where its header stands."""
        hulls = header(a, kind_a, size_a), header(a, kind_b, size_b)
        pair = Pair(kind_a, kind_b, hulls[0], hulls[1], size_a, size_b, p, Ra, Rb, reach)
        ra, rb, count = mem.radius_of(kind_a, size_a), mem.radius_of(kind_b, size_b), 0
        n, weights, normal, distance = sea.search(a, pair, ra + rb + reach)
        if n > 0 and distance < ra + rb + reach:
            tou.settle(a, pair, n, weights, normal)
            x, m = tou.vector(a, 0, X), tou.vector(a, 0, M)
            d = (tou.vector(a, 1, X) - x).dot(m) - ra - rb
            if d < reach:
                count = 1
                a1, a2, b1, b2 = tou.one_flat(a, m)
                cas.write(a.found, first, x + (ra + 0.5 * d) * m, m, d, ROLLING)
                u, v = tou.tangent(a, 0, m), tou.tangent(a, 1, m)
                cas.describe(a.found, first, u, v, with_core(a1, ra), with_core(a2, ra), with_core(b1, rb),
                             with_core(b2, rb))  # fmt: skip
                if kind_a != SPHERE and kind_a != ELLIPSOID and kind_b != ELLIPSOID:
                    count = cli.clipped(a, pair, first, n, m)
        return count

    @ti.func
    def with_core(radius, around):
        """Radius of curvature of a core with something around it."""
        total = radius
        if radius >= 0.0:
            total += around
        return total

    return Functions(meet=meet)
