"""Where rays enter a shape, and the shape's normal there, in the shape's own frame.

A packet of rays (`genesis.math.lanes`) meets one shape. Rays come as `p`, their points nearest to the shape's centre,
and unit directions `d`, so that p.d = 0 and small shapes far away are exact in single precision. Results are lengths
from p along d, or FAR. Sizes: see `loaders.parts.Geom`.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.lanes import Vec, absolute, copy, lane, where
from genesis.render.kernels.arrays import OFFSET

SPHERE, CAPSULE, BOX, CYLINDER, ELLIPSOID, HULL, MESH = range(7)  # the order of visible.KINDS
FAR = 1e30
"""m. Farther than anything: no hit."""
TINY = 1e-12


@per_runtime
def shapes() -> Functions:
    lay = layout()

    @ti.func
    def sign(x):
        return where(x > 0.0, lane(1.0), lane(-1.0))

    @ti.func
    def ball(b, c):
        """Where s^2 + 2 b s + c is not positive: first s; FAR if nowhere."""
        disc = b * b - c
        return where(disc >= 0.0, 0.0 - b - ti.sqrt(ti.max(disc, 0.0)), lane(FAR))

    @ti.func
    def quadric(a, b, c):
        """Where a s^2 + 2 b s + c is not positive: first and last s; an empty span if nowhere."""
        disc, flat = b * b - a * c, a <= TINY
        root, inverse = ti.sqrt(ti.max(disc, 0.0)), 1.0 / ti.max(a, TINY)
        first = where(disc >= 0.0, (0.0 - b - root) * inverse, lane(FAR))
        last = where(disc >= 0.0, (root - b) * inverse, lane(-FAR))
        first = where(flat, where(c <= 0.0, lane(-FAR), lane(FAR)), first)
        last = where(flat, where(c <= 0.0, lane(FAR), lane(-FAR)), last)
        return first, last

    @ti.func
    def slab(o, d, h):
        """Where |o + s d| <= h."""
        inverse = 1.0 / where(absolute(d) > TINY, d, lane(TINY))
        near, far = (0.0 - h - o) * inverse, (h - o) * inverse
        return ti.min(near, far), ti.max(near, far)

    @ti.func
    def enter(a: ti.template(), kind, size, begin, count, p: ti.template(), d: ti.template()):
        """Length from p to where each ray enters; `begin`, `count`: faces of a hull."""
        first, last = lane(-FAR), lane(FAR)
        if kind == SPHERE:
            first = ball(lane(), p.dot(p) - size[0] * size[0])
        elif kind == ELLIPSOID:
            q = Vec(p[0] / size[0], p[1] / size[1], p[2] / size[2])
            e = Vec(d[0] / size[0], d[1] / size[1], d[2] / size[2])
            first, last = quadric(e.dot(e), q.dot(e), q.dot(q) - 1.0)
        elif kind == BOX:
            for i in ti.static(range(3)):
                near, far = slab(p[i], d[i], size[i])
                first, last = ti.max(first, near), ti.min(last, far)
        elif kind == HULL:
            for f in range(begin, begin + count):
                face = lay.get4(a.faces, f)
                n = Vec(face[0], face[1], face[2])
                along, over = n.dot(d), n.dot(p) - face[OFFSET]
                there = (0.0 - over) / where(absolute(along) > TINY, along, lane(1.0))
                first = where(along < -TINY, ti.max(first, there), first)
                last = where(along > TINY, ti.min(last, there), last)
                last = where((absolute(along) <= TINY) & (over > 0.0), lane(-FAR), last)
        else:  # along z
            r, h = size[0], size[1]
            first, last = quadric(
                d[0] * d[0] + d[1] * d[1], p[0] * d[0] + p[1] * d[1], p[0] * p[0] + p[1] * p[1] - r * r
            )
            if kind == CYLINDER:
                near, far = slab(p[2], d[2], h)
                first, last = ti.max(first, near), ti.min(last, far)
            else:
                along_axis = first == -FAR
                z = where(along_axis, 0.0 - h * sign(d[2]), p[2] + first * d[2])
                end = sign(z) * h
                q = Vec(p[0], p[1], p[2] - end)
                past = (first < FAR) & (along_axis | (absolute(z) > h))  # in the tube beyond its ends: the ball there
                first = where(past, ball(q.dot(d), q.dot(q) - r * r), first)
                last = where(past, lane(FAR), last)
        return where(first > last, lane(FAR), first)

    @ti.func
    def normal(a: ti.template(), kind, size, begin, count, q: ti.template()):
        """Outward unit normal at the points q of the surface."""
        n = copy(q)
        if kind == ELLIPSOID:
            for i in ti.static(range(3)):
                n[i] = q[i] / (size[i] * size[i])
        elif kind == CAPSULE:
            n[2] = q[2] - ti.min(ti.max(q[2], 0.0 - size[1]), size[1])
        elif kind == CYLINDER:
            across = ti.sqrt(q[0] * q[0] + q[1] * q[1])
            on_end = size[1] - absolute(q[2]) < size[0] - across
            n = where(on_end, Vec(lane(), lane(), q[2]), Vec(q[0], q[1], lane()))
        elif kind == BOX:
            over = Vec(absolute(q[0]) - size[0], absolute(q[1]) - size[1], absolute(q[2]) - size[2])
            on_z = over[2] > ti.max(over[0], over[1])
            on_y = over[1] > over[0]
            n[0] = where(on_z | on_y, lane(), sign(q[0]))
            n[1] = where(on_z, lane(), where(on_y, sign(q[1]), lane()))
            n[2] = where(on_z, sign(q[2]), lane())
        elif kind == HULL:
            best = lane(-FAR)
            for f in range(begin, begin + count):
                face = lay.get4(a.faces, f)
                m = Vec(face[0], face[1], face[2])
                over = m.dot(q) - face[OFFSET]
                n = where(over > best, m, n)
                best = ti.max(best, over)
        return n * (1.0 / ti.max(n.norm(), TINY))

    return Functions(enter=enter, normal=normal)
