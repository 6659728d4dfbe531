"""Several contacts of two convex shapes: the part of one's face, or edge, that lies over the other's face.

Which faces and edges may meet is read off the vertices that the search has found; they meet where they are parallel up
to MuJoCo's tolerances. A cylinder has two faces of sixteen corners and the lowest line of its side as an edge; a
capsule has such an edge alone.

A polygon is a list of corners, each with two integers: the edge to the next corner (of the clipped face, or BEYOND +
the side plane along which it was cut) and what the corner is, with edge and plane of a cut. The order is MuJoCo's.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.cases import cases
from genesis.contact.narrow_phase.hulls import AROUND, FIRST, NORMALS, POLYGONS
from genesis.contact.narrow_phase.layout import CLIPPED_A, FACES, NUMBERS, SLIDE
from genesis.contact.narrow_phase.memory import BOX, CAPSULE, CYLINDER, FREE, FREE_WHOLE, memory
from genesis.contact.narrow_phase.touch import UPRIGHT

ALIGNED = 0.996
"""Cosine of the angle between faces that are taken as parallel (MuJoCo's)."""
BESIDE = 0.0888
"""Cosine of the angle between an edge and a face's normal up to which the edge lies on the face (MuJoCo's)."""
MOST_FACES = 4
"""Most contacts of two faces: of more, the four that span most."""
BEYOND = 4096
KEPT = 2
"""The record in which that of the nearest points is kept where an edge and a face, which have two, take its place."""
N_ORIGINAL, N_REFERENCE = 6, 7
"""The integers that say how many corners the polygon has before it is cut, and the face that cuts it."""
SPOT, CUT, ABOVE = range(3)
"""A corner of the clipped polygon: one of its own, where an edge meets a side plane, where two side planes meet it."""


@per_runtime
def clipping() -> Functions:
    lay, mem, cas = layout(), memory(), cases()
    real, vec3 = lay.real, lay.vec3
    slack = 1e-7 if real == ti.f32 else 1e-15
    alike = 1e-5 if real == ti.f32 else 1e-10
    facing = 1e-6 if real == ti.f32 else 1e-12

    @ti.func
    def normal_of(a: ti.template(), hull, turn, face):
        return turn @ mem.corner(a, hull, a.mesh[hull + NORMALS] - a.mesh[hull + FIRST] + face)

    @ti.func
    def corners_of(a: ti.template(), hull, face):
        return a.mesh[a.mesh[hull + POLYGONS] + 2 * face + 1]

    @ti.func
    def corner_of(a: ti.template(), hull, face, i):
        """Index of the i-th corner of a face: clockwise, seen from outside."""
        row = a.mesh[hull + POLYGONS] + 2 * face
        return a.mesh[a.mesh[row] + a.mesh[row + 1] - 1 - i]

    @ti.func
    def world(a: ti.template(), pair: ti.template(), side, index):
        kind, hull, size, place, turn = mem.shape(pair, side)
        return place + turn @ (mem.scale_of(kind, size) * mem.corner(a, hull, index))

    @ti.func
    def distinct(a: ti.template(), side, n):
        """How many different vertices of a side the search has found, and these."""
        i = ti.Vector([a.whole[a.z + 2 * c + side] for c in range(3)], ti.i32)
        k, two, three = 1, i[0], i[0]
        if n > 1 and i[1] != i[0]:
            k, two = 2, i[1]
        if n > 2 and i[2] != i[0] and i[2] != two:
            if k == 1:
                two = i[2]
            else:
                three = i[2]
            k += 1
        return k, i[0], two, three

    @ti.func
    def around(a: ti.template(), kind, hull, index):
        """How many faces meet at a vertex."""
        count = 0
        if kind == CYLINDER:
            count = 1
        elif kind >= BOX:
            count = a.mesh[a.mesh[hull + AROUND] + 2 * index + 1]
        return count

    @ti.func
    def face_at(a: ti.template(), kind, hull, index, t):
        """The t-th of these."""
        face = index
        if kind != CYLINDER:
            face = a.mesh[a.mesh[a.mesh[hull + AROUND] + 2 * index] + t]
        return face

    @ti.func
    def holds(a: ti.template(), kind, hull, face, k, two, three):
        """Whether a face has all k vertices, of which the first is one of its."""
        held = k == 1
        if kind >= BOX and k > 1:
            count = 1
            for i in range(corners_of(a, hull, face)):
                index = corner_of(a, hull, face, i)
                if index == two or (k > 2 and index == three):
                    count += 1
            held = count == k
        return held

    @ti.func
    def candidate(a: ti.template(), pair: ti.template(), side, n, t, normal):
        """The t-th face that may touch, -1: it does not, and its normal. The last: of a box, whichever is opposite to
        the contact's normal, if all of them are not. And how many are to be tried."""
        kind, hull, _size, _place, turn = mem.shape(pair, side)
        k, one, two, three = distinct(a, side, n)
        count, face = around(a, kind, hull, one), -1
        if t < count:
            f = face_at(a, kind, hull, one, t)
            if holds(a, kind, hull, f, k, two, three):
                face = f
        elif kind == BOX and k > 1:
            for f in range(6):
                if (1.0 - 2.0 * side) * normal.dot(normal_of(a, hull, turn, f)) > ALIGNED:
                    face = f
        m = vec3(0.0)
        if face >= 0:
            m = normal_of(a, hull, turn, face)
        if kind == BOX:
            count += 1
        return face, m, count

    @ti.func
    def edge(a: ti.template(), pair: ti.template(), side, n, t, normal):
        """Both ends of the t-th edge of a side that may touch, and how many there are."""
        kind, hull, size, place, turn = mem.shape(pair, side)
        k, one, two, _three = distinct(a, side, n)
        axis, count = turn[:, 2], 1
        p, q = vec3(0.0), vec3(0.0)
        if kind == CAPSULE:
            way = (1.0 - 2.0 * side) * normal
            p = place + (size[0] + 0.5 * pair.reach) * (way - axis.dot(way) * axis)
            q = (2.0 * one - 1.0) * size[1] * axis
            p, q = p + q, p - q
        elif kind == CYLINDER:
            m = (1.0 - 2.0 * side) * normal
            out, way = m - axis.dot(m) * axis, (2.0 * one - 1.0) * axis
            length = out.norm()
            if length < UPRIGHT:  # it stands, and no line of its side is the lowest
                count = 0
            p = place + (size[0] / ti.max(length, UPRIGHT)) * out - size[1] * way
            q = p + 2.0 * size[1] * way
        else:
            p = world(a, pair, side, one)
            end = two
            if k == 1:
                count = around(a, kind, hull, one)
                face = face_at(a, kind, hull, one, t)
                corners = corners_of(a, hull, face)
                for i in range(corners):  # the one before it, counter-clockwise
                    if corner_of(a, hull, face, i) == one:
                        end = corner_of(a, hull, face, (i + 1) % corners)
            q = world(a, pair, side, end)
        return p, q, count

    @ti.func
    def label(a: ti.template(), base, i, k):
        """Integer k of corner i of the polygon that is number `base` (0, 1)."""
        return a.whole[a.z + FREE_WHOLE + 4 * a.mesh[0] * base + 2 * i + k]

    @ti.func
    def set_label(a: ti.template(), base, i, line, what):
        at = a.z + FREE_WHOLE + 4 * a.mesh[0] * base + 2 * i
        a.whole[at] = line
        a.whole[at + 1] = what

    @ti.func
    def reference(i):
        """Where corner i of the face that cuts is."""
        return FREE + 3 * i

    @ti.func
    def original(a: ti.template(), i):
        """Where corner i of the polygon is before it is cut."""
        return FREE + 3 * (a.mesh[0] + i)

    @ti.func
    def polygon(a: ti.template(), base, i):
        """Where it is after it."""
        return FREE + 3 * (2 * a.mesh[0] + 2 * a.mesh[0] * base + i)

    @ti.func
    def side_plane(a: ti.template(), n_reference, e, m):
        """Normal, into the reference, of the plane through its e-th edge along its normal."""
        v = mem.get(a, reference(e))
        return (mem.get(a, reference((e + 1) % n_reference)) - v).cross(m).normalized()

    @ti.func
    def clip(a: ti.template(), n_reference, n, m):
        """Cuts the polygon of n corners by all side planes of the reference. Which number it has then, how many."""
        base, count = 0, n
        for e in range(n_reference):
            v, inward = mem.get(a, reference(e)), side_plane(a, n_reference, e, m)
            kept = 0
            for i in range(count):
                j = (i + 1) % count
                x, y = mem.get(a, polygon(a, base, i)), mem.get(a, polygon(a, base, j))
                hx, hy = inward.dot(x - v), inward.dot(y - v)
                in_x, in_y = hx > -slack, hy > -slack
                line = label(a, base, i, 0)
                if in_x != in_y and kept < 2 * a.mesh[0]:
                    t = hx / (hx - hy)
                    if t >= 0.0 and t <= 1.0:
                        mem.put(a, polygon(a, 1 - base, kept), x + t * (y - x))
                        what, following = CUT, line
                        if line >= BEYOND:
                            what = ABOVE
                        if in_x:
                            following = BEYOND + e
                        # a cut remembers edge and plane, in one number
                        set_label(a, 1 - base, kept, following, what + 4 * (line + 2 * BEYOND * e))
                        kept += 1
                if in_y and kept < 2 * a.mesh[0]:
                    mem.put(a, polygon(a, 1 - base, kept), y)
                    set_label(a, 1 - base, kept, label(a, base, j, 0), label(a, base, j, 1))
                    kept += 1
            base, count = 1 - base, kept
        return base, count

    @ti.func
    def area(p, q, r, s):
        return (p - r).cross(q - s).norm()

    @ti.func
    def widest(a: ti.template(), base, n):
        """Four corners of a convex polygon that span most, by turning them around it. What spans as much up to
        rounding, of round caps, does not count as more: the choice stays the same from step to step."""
        i, j, k, o = 0, 1, 2, 3
        best, most, which, first = ti.Vector([0, 1, 2, 3], ti.i32), ti.cast(-1.0, real), 0, True
        while i < n:  # which: the last, the third or the second goes on to the next corner, as long as that spans more
            j2, k2, o2 = j, k, o
            if not first:
                if which == 0:
                    o2 = (o + 1) % n
                elif which == 1:
                    k2 = (k + 1) % n
                else:
                    j2 = (j + 1) % n
            wide = area(mem.get(a, polygon(a, base, i)), mem.get(a, polygon(a, base, j2)),
                        mem.get(a, polygon(a, base, k2)), mem.get(a, polygon(a, base, o2)))  # fmt: skip
            if first or wide > most * (1.0 + alike):
                most, j, k, o = wide, j2, k2, o2
                best = ti.Vector([i, j, k, o], ti.i32)
                if not first and which == 0:
                    which = 1
                first = False
            elif which > 0:
                which = (which + 1) % 3
            else:
                if j == i:
                    j = (j + 1) % n
                    if k == j:
                        k = (k + 1) % n
                        if o == k:
                            o = (o + 1) % n
                i += 1
        return best

    @ti.func
    def farthest(a: ti.template(), base, n):
        """The two corners that are farthest from each other."""
        best, far = ti.Vector([0, 1, 0, 0], ti.i32), ti.cast(-1.0, real)
        for i in range(n):
            for j in range(i + 1, n):
                d = (mem.get(a, polygon(a, base, i)) - mem.get(a, polygon(a, base, j))).norm()
                if d > far:
                    far = d
                    best = ti.Vector([i, j, 0, 0], ti.i32)
        return best

    @ti.func
    def meeting(a: ti.template(), pair: ti.template(), n, normal):
        """Which faces or edges meet: A's face (-1: none), B's face, and both ends of the edge. Of faces the best
        aligned, of edges the first. `n`: points that the search has found."""
        f, p, q, done = ti.Vector([-1, -1], ti.i32), vec3(0.0), vec3(0.0), False
        most = ti.cast(-ALIGNED, real)
        ka, _a1, _a2, _a3 = distinct(a, 0, n)
        kb, _b1, _b2, _b3 = distinct(a, 1, n)
        for search in range(3):  # two faces; an edge of the side that has fewer vertices, and a face; of the other side
            first = 0
            if search > 0 and (ka <= kb) == (search == 1):
                first = 1
            s, faces, edges = 0, 1, kb
            if first == 1:
                edges = ka
            while s < faces and not done and (search == 0 or edges < 3):
                face, m, tries = candidate(a, pair, first, n, s, normal)
                way = (1.0 - 2.0 * first) * normal.dot(m)
                faces, t, others = tries, 0, 1
                while t < others and not done and face >= 0:
                    if search == 0:
                        face_b, o, count = candidate(a, pair, 1, n, t, normal)
                        others = count
                        if face_b >= 0 and m.dot(o) < most:
                            most = m.dot(o)
                            f[0], f[1] = face, face_b
                    else:
                        p, q, others = edge(a, pair, 1 - first, n, t, normal)
                        if others > 0 and way > facing and ti.abs((q - p).normalized().dot(m)) < BESIDE:
                            done = True
                            f[first] = face
                    t += 1
                s += 1
            done = done or f[0] >= 0
        return f[0], f[1], p, q

    @ti.func
    def write(a: ti.template(), pair: ti.template(), first, k, base, i, m, o, side, both):
        """The record of one corner of the clipped polygon. m: normal of the reference, o: of the clipped face, both out
        of their shapes; side: 0 where the reference is A's, 1 where B's; both: whether two faces touch."""
        at = first + k * NUMBERS
        y, code = mem.get(a, polygon(a, base, i)), label(a, base, i, 1)
        what, line, e = code & 3, (code >> 2) % (2 * BEYOND), (code >> 2) // (2 * BEYOND)
        distance, n = m.dot(y - mem.get(a, reference(0))), (1.0 - 2.0 * side) * m
        keep, u, v = ti.cast(1.0, real), vec3(0.0), vec3(0.0)
        radius, projected, more = ti.cast(0.0, real), ti.cast(0.0, real), ti.cast(0.0, real)
        if what == CUT:
            d = mem.get(a, original(a, (line + 1) % a.whole[a.z + N_ORIGINAL])) - mem.get(a, original(a, line))
            v = side_plane(a, a.whole[a.z + N_REFERENCE], e, m)
            u = d * (-1.0 / v.dot(d))
        elif what == ABOVE:
            keep, v, u = ti.cast(0.0, real), o, m / o.dot(m)
        if both:  # from the corner's foot on the reference, along the clipped face's normal
            along = 0.0 - distance * m.dot(o)
            cas.write(a.found, at, y - distance * m - 0.5 * along * o, 0.0 - o, along, FACES)
            cas.put(a.found, at + SLIDE, m)
        else:
            kind, _hull, size, _place, turn = mem.shape(pair, 1 - side)
            if kind == CAPSULE:  # with half the reach around it, and so has the face
                more = pair.reach
            cas.write(a.found, at, y - 0.5 * (distance - 0.5 * more) * m, n, distance + 0.5 * more, CLIPPED_A + side)
            cas.put(a.found, at + SLIDE, turn[:, 2])
            a.found[at + SLIDE + 3] = ti.cast(KEPT - k, real)
            if kind == CYLINDER or kind == CAPSULE:
                radius = size[0] + 0.5 * more
            projected = ti.cast(kind == CAPSULE, real)
        cas.describe(a.found, at, u, v, keep, radius, projected, more)

    @ti.func
    def clipped(a: ti.template(), pair: ti.template(), first, n, normal):
        """Records of the contacts of two faces, or of an edge and a face, in place of the one at `first`. How many."""
        fa, fb, p, q = meeting(a, pair, n, normal)
        count = 1
        if fa >= 0 or fb >= 0:
            side, both, n_polygon, n_reference = 0, fa >= 0 and fb >= 0, 2, 0
            if fa < 0:
                side = 1
            m, o = vec3(0.0), vec3(0.0)
            for which in range(2):  # corners of the reference, then of the polygon
                who, face = side, ti.max(fa, fb)
                if both:
                    face = fa
                if which == 1:
                    who, face = 1 - side, fb
                if which == 0 or both:
                    _kind, hull, _size, _place, turn = mem.shape(pair, who)
                    corners = corners_of(a, hull, face)
                    for i in range(corners):
                        mem.put(a, reference(which * a.mesh[0] + i), world(a, pair, who, corner_of(a, hull, face, i)))
                    if which == 0:
                        n_reference, m = corners, normal_of(a, hull, turn, face)
                    else:
                        n_polygon, o = corners, normal_of(a, hull, turn, face)
            if not both:
                mem.put(a, original(a, 0), p)
                mem.put(a, original(a, 1), q)
            a.whole[a.z + N_ORIGINAL] = n_polygon
            a.whole[a.z + N_REFERENCE] = n_reference
            for i in range(n_polygon):
                mem.put(a, polygon(a, 0, i), mem.get(a, original(a, i)))
                set_label(a, 0, i, i, SPOT)
            base, many = clip(a, n_reference, n_polygon, m)
            kept, v, most = 0, mem.get(a, reference(0)), pair.reach
            if not both and (pair.kind_a == CAPSULE or pair.kind_b == CAPSULE):
                most = 0.5 * pair.reach
            for i in range(many):
                if m.dot(mem.get(a, polygon(a, base, i)) - v) <= most:
                    mem.put(a, polygon(a, base, kept), mem.get(a, polygon(a, base, i)))
                    set_label(a, base, kept, label(a, base, i, 0), label(a, base, i, 1))
                    kept += 1
            if kept > 0:
                if not both:
                    for c in range(NUMBERS):
                        a.found[first + KEPT * NUMBERS + c] = a.found[first + c]
                order = ti.Vector([0, 1, 2, 3], ti.i32)
                count = ti.min(kept, MOST_FACES)
                if kept > MOST_FACES:
                    order = widest(a, base, kept)
                elif n_polygon == 2 and kept > 2:
                    count, order = 2, farthest(a, base, kept)
                for k in range(count):
                    write(a, pair, first, k, base, order[k], m, o, side, both)
        return count

    return Functions(clipped=clipped)
