"""Where a ray enters a shape, and the shape's normal there, in the shape's own frame.

Rays come as `p`, their point nearest to the shape's centre, and a unit direction `d`, so that p.d = 0 and small shapes
far away are exact in single precision. Results are lengths from p along d, or FAR. Sizes: see `loaders.parts.Geom`.
"""

from genesis.compiler import Functions, layout, per_runtime, ti

SPHERE, CAPSULE, BOX, CYLINDER, ELLIPSOID, HULL = range(6)  # the order of loaders.parts.GEOM_KINDS
FAR = 1e30
"""m. Farther than anything: no hit."""


@per_runtime
def shapes() -> Functions:
    lay = layout()
    real, vec3 = lay.real, lay.vec3
    tiny = 1e-12

    @ti.func
    def quadric(a, b, c):
        """Where a s^2 + 2 b s + c is not positive: first and last s; an empty span if nowhere."""
        first, last = ti.cast(FAR, real), ti.cast(-FAR, real)
        if a > tiny:
            disc = b * b - a * c
            if disc >= 0.0:
                root = ti.sqrt(disc)
                first, last = (-b - root) / a, (-b + root) / a
        elif c <= 0.0:
            first, last = -FAR, FAR
        return first, last

    @ti.func
    def slab(o, d, h):
        """Where |o + s d| <= h."""
        first, last = ti.cast(-FAR, real), ti.cast(FAR, real)
        if ti.abs(d) > tiny:
            near, far = (-h - o) / d, (h - o) / d
            first, last = ti.min(near, far), ti.max(near, far)
        elif ti.abs(o) > h:
            first, last = FAR, -FAR
        return first, last

    @ti.func
    def enter(kind, size, begin, count, p, d, faces: ti.template()):
        """Length from p to where the ray enters; `begin`, `count`: faces of a hull."""
        first, last = ti.cast(-FAR, real), ti.cast(FAR, real)
        if kind == SPHERE:
            first, last = quadric(1.0, 0.0, p.dot(p) - size[0] * size[0])
        elif kind == ELLIPSOID:
            q, e = p / size, d / size
            first, last = quadric(e.dot(e), q.dot(e), q.dot(q) - 1.0)
        elif kind == BOX:
            for i in ti.static(range(3)):
                a, b = slab(p[i], d[i], size[i])
                first, last = ti.max(first, a), ti.min(last, b)
        elif kind == HULL:
            for f in range(begin, begin + count):
                face = lay.get4(faces, f)
                n = vec3(face[0], face[1], face[2])
                along, over = n.dot(d), n.dot(p) - face[3]
                if along < -tiny:
                    first = ti.max(first, -over / along)
                elif along > tiny:
                    last = ti.min(last, -over / along)
                elif over > 0.0:
                    last = -FAR
        else:  # along z
            r, h = size[0], size[1]
            first, last = quadric(
                d[0] * d[0] + d[1] * d[1], p[0] * d[0] + p[1] * d[1], p[0] * p[0] + p[1] * p[1] - r * r
            )
            if kind == CYLINDER:
                a, b = slab(p[2], d[2], h)
                first, last = ti.max(first, a), ti.min(last, b)
            elif first < FAR:
                z = p[2] + first * d[2]
                if first == -FAR:  # the ray is parallel to the axis
                    z = -h * d[2] / ti.abs(d[2])
                if first == -FAR or ti.abs(z) > h:  # in the tube beyond its ends: the ball there
                    q = p - vec3(0.0, 0.0, ti.math.sign(z) * h)
                    first, last = quadric(1.0, q.dot(d), q.dot(q) - r * r)
        if first > last:
            first = FAR
        return first

    @ti.func
    def normal(kind, size, begin, count, q, faces: ti.template()):
        """Outward unit normal at the point q of the surface."""
        n = q
        if kind == ELLIPSOID:
            n = q / (size * size)
        elif kind == CAPSULE:
            n[2] = q[2] - ti.min(ti.max(q[2], -size[1]), size[1])
        elif kind == CYLINDER:
            n = vec3(q[0], q[1], 0.0)
            if size[1] - ti.abs(q[2]) < size[0] - n.norm():
                n = vec3(0.0, 0.0, q[2])
        elif kind == BOX:
            over = ti.abs(q) - size
            axis = 0
            if over[1] > over[0]:
                axis = 1
            if over[2] > ti.max(over[0], over[1]):
                axis = 2
            for i in ti.static(range(3)):
                n[i] = ti.math.sign(q[i]) if i == axis else 0.0
        elif kind == HULL:
            best = ti.cast(-FAR, real)
            for f in range(begin, begin + count):
                face = lay.get4(faces, f)
                m = vec3(face[0], face[1], face[2])
                over = m.dot(q) - face[3]
                if over > best:
                    best, n = over, m
        return n / ti.max(n.norm(), tiny)

    return Functions(enter=enter, normal=normal)
