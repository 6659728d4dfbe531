"""Contacts of two polytopes with faces beside each other: the part of one's face, or edge, that lies above the other's.

A polygon is a list of corners, each with two numbers: the edge to the next corner (of the clipped face, or BEYOND + the
side plane along which it was cut) and what the corner is, as a case of `layout.CLIPPED_A`. Order is MuJoCo's.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.cases import cases
from genesis.contact.narrow_phase.hulls import (
    AROUND,
    CORNERS,
    N_POLYGONS,
    NORMALS,
    POLYGONS,
)
from genesis.contact.narrow_phase.layout import CLIPPED_A, CLIPPED_B, FACES, NUMBERS, SLIDE
from genesis.contact.narrow_phase.memory import LABELS, memory

ALIGNED = 0.996
"""Cosine of the angle between faces that are taken as parallel (MuJoCo's)."""
BESIDE = 0.0888
"""Cosine of the angle between an edge and a face's normal up to which the edge lies on the face (MuJoCo's)."""
MOST_FACES = 4
"""Most contacts of two faces: of more, the four that span most."""
BEYOND = 4096
SPOT, CUT, ABOVE = range(3)
"""A corner of the clipped polygon: one of its own, where an edge meets a side plane, where two side planes meet it."""


@per_runtime
def clipping() -> Functions:
    lay, mem, cas = layout(), memory(), cases()
    real, vec3 = lay.real, lay.vec3
    slack = 1e-7 if real == ti.f32 else 1e-15
    # Reals: corners of the reference face, the polygon, the polygon when clipped; each at most 2 * CORNERS.
    REFERENCE, POLYGON = 0, 3 * 2 * CORNERS

    @ti.func
    def faces_of(a: ti.template(), s: ti.template()):
        return a.mesh[s.hull + N_POLYGONS]

    @ti.func
    def corners_of(a: ti.template(), s: ti.template(), face):
        return a.mesh[a.mesh[s.hull + POLYGONS] + 2 * face + 1]

    @ti.func
    def corner_of(a: ti.template(), s: ti.template(), face, i):
        """Index of the i-th corner of a face: clockwise, seen from outside."""
        row = a.mesh[s.hull + POLYGONS] + 2 * face
        return a.mesh[a.mesh[row] + a.mesh[row + 1] - 1 - i]

    @ti.func
    def normal_of(a: ti.template(), s: ti.template(), face):
        at = 3 * (a.mesh[s.hull + NORMALS] + face)
        return s.turn @ vec3(a.vertex[at], a.vertex[at + 1], a.vertex[at + 2])

    @ti.func
    def touching(a: ti.template(), s: ti.template(), face, k, indices, n):
        """Whether a face has all k corners that touch; a diagonal may touch, then it is the face across n."""
        held = 0
        for i in range(corners_of(a, s, face)):
            index = corner_of(a, s, face, i)
            for c in range(k):
                if indices[c] == index:
                    held += 1
        return held == k or (k > 1 and normal_of(a, s, face).dot(n) > ALIGNED)

    @ti.func
    def face_of(a: ti.template(), s: ti.template(), face, to):
        """Write the corners of a face in the world."""
        n = corners_of(a, s, face)
        for i in range(n):
            mem.put(a, to + 3 * i, mem.corner(a, s, corner_of(a, s, face, i)))
        return n

    @ti.func
    def edges_at(a: ti.template(), s: ti.template(), k, indices):
        """How many edges end where the shape touches."""
        n = 1
        if k == 1:
            n = a.mesh[a.mesh[s.hull + AROUND] + 2 * indices[0] + 1]
        return n

    @ti.func
    def edge_end(a: ti.template(), s: ti.template(), k, indices, which):
        """The other end of one of these edges: index."""
        end = indices[1]
        if k == 1:
            face = a.mesh[a.mesh[a.mesh[s.hull + AROUND] + 2 * indices[0]] + which]
            n = corners_of(a, s, face)
            for i in range(n):  # the one before it, counter-clockwise
                if corner_of(a, s, face, i) == indices[0]:
                    end = corner_of(a, s, face, (i + 1) % n)
        return end

    @ti.func
    def label(a: ti.template(), base, i, k):
        return a.whole[a.z + LABELS + 2 * (base // 3 + i) + k]

    @ti.func
    def set_label(a: ti.template(), base, i, line, what):
        at = a.z + LABELS + 2 * (base // 3 + i)
        a.whole[at] = line
        a.whole[at + 1] = what

    @ti.func
    def side_plane(a: ti.template(), n_reference, e, m):
        """Normal, into the reference, of the plane through its e-th edge along its normal."""
        v = mem.get(a, REFERENCE + 3 * e)
        return (mem.get(a, REFERENCE + 3 * ((e + 1) % n_reference)) - v).cross(m).normalized()

    @ti.func
    def clip(a: ti.template(), n_reference, n, m):
        """Clip the polygon of n corners by all side planes of the reference face. Where it lies then, how many."""
        base, count = POLYGON, n
        for e in range(n_reference):
            v, inward = mem.get(a, REFERENCE + 3 * e), side_plane(a, n_reference, e, m)
            to = 3 * POLYGON - base
            kept = 0
            for i in range(count):
                j = (i + 1) % count
                x, y = mem.get(a, base + 3 * i), mem.get(a, base + 3 * j)
                hx, hy = inward.dot(x - v), inward.dot(y - v)
                in_x, in_y = hx > -slack, hy > -slack
                line = label(a, base, i, 0)
                if in_x != in_y and kept < 2 * CORNERS:
                    t = hx / (hx - hy)
                    if t >= 0.0 and t <= 1.0:
                        mem.put(a, to + 3 * kept, x + t * (y - x))
                        what, following = CUT, line
                        if line >= BEYOND:
                            what = ABOVE
                        if in_x:
                            following = BEYOND + e
                        # a cut remembers edge and plane, in one number
                        set_label(a, to, kept, following, what + 4 * (line + 2 * BEYOND * e))
                        kept += 1
                if in_y and kept < 2 * CORNERS:
                    mem.put(a, to + 3 * kept, y)
                    set_label(a, to, kept, label(a, base, j, 0), label(a, base, j, 1))
                    kept += 1
            base, count = to, kept
        return base, count

    @ti.func
    def area(p, q, r, s):
        return ((s - p).cross(q - s) + (r - q).cross(p - r)).norm()

    @ti.func
    def widest(a: ti.template(), base, n):
        """Four corners of a convex polygon that span most, by turning them around it."""
        i, j, k, o = 0, 1, 2, 3
        best = ti.Vector([0, 1, 2, 3], ti.i32)
        most = area(mem.get(a, base), mem.get(a, base + 3), mem.get(a, base + 6), mem.get(a, base + 9))
        while i < n:
            more = True
            while more:
                p = mem.get(a, base + 3 * i)
                after = area(p, mem.get(a, base + 3 * j), mem.get(a, base + 3 * k),
                             mem.get(a, base + 3 * ((o + 1) % n)))  # fmt: skip
                if after <= most:
                    more = False
                else:
                    most = after
                    o = (o + 1) % n
                    best = ti.Vector([i, j, k, o], ti.i32)
                    for which in range(2):
                        again = True
                        while again:
                            j2, k2 = j, (k + 1) % n
                            if which == 1:
                                j2, k2 = (j + 1) % n, k
                            wide = area(p, mem.get(a, base + 3 * j2), mem.get(a, base + 3 * k2),
                                        mem.get(a, base + 3 * o))  # fmt: skip
                            if wide <= most:
                                again = False
                            else:
                                most = wide
                                j, k = j2, k2
                                best = ti.Vector([i, j, k, o], ti.i32)
            if j == i:
                j = (j + 1) % n
                if k == j:
                    k = (k + 1) % n
                    if o == k:
                        o = (o + 1) % n
            i += 1
        return best

    @ti.func
    def write(a: ti.template(), found: ti.template(), at, base, i, n_reference, m, o, side, both, before):
        """The record of one corner of the clipped polygon. m: normal of the reference, o: of the clipped face, both out
        of their shapes; side: 1 where the reference is A's, -1 where B's; both: whether two faces touch."""
        y, code = mem.get(a, base + 3 * i), label(a, base, i, 1)
        what, line, e = code & 3, (code >> 2) % (2 * BEYOND), (code >> 2) // (2 * BEYOND)
        distance = m.dot(y - mem.get(a, REFERENCE))
        n = side * m
        if both:
            n = -o
        keep, u, v = ti.cast(1.0, real), vec3(0.0), vec3(0.0)
        if what == CUT:
            d = mem.get(a, before + 6 * line + 3) - mem.get(a, before + 6 * line)
            v = side_plane(a, n_reference, e, m)
            u = -d / v.dot(d)
        elif what == ABOVE:
            keep = ti.cast(0.0, real)
            v = o
            u = m / o.dot(m)
        if both:  # from the corner's foot on the reference, along the clipped face's normal
            along = distance * n.dot(m)
            cas.write(found, at, y - distance * m + 0.5 * along * n, n, along, FACES)
            cas.put(found, at + SLIDE, m)
        elif side > 0.0:
            cas.write(found, at, y - 0.5 * distance * n, n, distance, CLIPPED_A)
        else:
            cas.write(found, at, y + 0.5 * distance * n, n, distance, CLIPPED_B)
        cas.describe(found, at, u, v, keep, 0.0, 0.0, 0.0)

    @ti.func
    def faces(a: ti.template(), found: ti.template(), first, one: ti.template(), two: ti.template(), n, ka, kb, ia, ib,
              reach):  # fmt: skip
        """Write the contacts of faces of two polytopes that touch along n, with ka corners ia and kb corners ib. Leaves
        the one that is written where no faces lie beside each other. Returns how many."""
        fa, fb, edge_a, edge_b = -1, -1, -1, -1
        for i in range(faces_of(a, one)):
            if fa < 0 and touching(a, one, i, ka, ia, n):
                m = normal_of(a, one, i)
                for j in range(faces_of(a, two)):
                    if fa < 0 and touching(a, two, j, kb, ib, -n) and m.dot(normal_of(a, two, j)) < -ALIGNED:
                        fa, fb = i, j
        if fa < 0:  # an edge of one on a face of the other
            v = mem.corner(a, one, ia[0])
            if ka < 3:
                for j in range(faces_of(a, two)):
                    if fb < 0 and touching(a, two, j, kb, ib, -n):
                        m = normal_of(a, two, j)
                        for i in range(edges_at(a, one, ka, ia)):
                            end = edge_end(a, one, ka, ia, i)
                            if fb < 0 and ti.abs((mem.corner(a, one, end) - v).normalized().dot(m)) < BESIDE:
                                fb, edge_a = j, end
            if kb < 3 and fb < 0:
                v = mem.corner(a, two, ib[0])
                for j in range(faces_of(a, one)):
                    if fa < 0 and touching(a, one, j, ka, ia, n):
                        m = normal_of(a, one, j)
                        for i in range(edges_at(a, two, kb, ib)):
                            end = edge_end(a, two, kb, ib, i)
                            if fa < 0 and ti.abs((mem.corner(a, two, end) - v).normalized().dot(m)) < BESIDE:
                                fa, edge_b = j, end
        both = fa >= 0 and fb >= 0
        large = False
        if fa >= 0:
            large = corners_of(a, one, fa) > CORNERS
        if fb >= 0:
            large = large or corners_of(a, two, fb) > CORNERS
        count = 1
        if (fa >= 0 or fb >= 0) and not large:
            n_reference, n_polygon, m, o, side = 0, 2, vec3(0.0), vec3(0.0), ti.cast(1.0, real)
            if fa >= 0:
                n_reference, m = face_of(a, one, fa, REFERENCE), normal_of(a, one, fa)
            else:
                side = ti.cast(-1.0, real)
                n_reference, m = face_of(a, two, fb, REFERENCE), normal_of(a, two, fb)
            if both:
                n_polygon, o = face_of(a, two, fb, POLYGON), normal_of(a, two, fb)
            elif edge_b >= 0:
                mem.put(a, POLYGON, mem.corner(a, two, ib[0]))
                mem.put(a, POLYGON + 3, mem.corner(a, two, edge_b))
            else:
                mem.put(a, POLYGON, mem.corner(a, one, ia[0]))
                mem.put(a, POLYGON + 3, mem.corner(a, one, edge_a))
            before = 3 * POLYGON
            for i in range(n_polygon):
                set_label(a, POLYGON, i, i, SPOT)
                mem.put(a, before + 6 * i, mem.get(a, POLYGON + 3 * i))
                mem.put(a, before + 6 * i + 3, mem.get(a, POLYGON + 3 * ((i + 1) % n_polygon)))
            base, many = clip(a, n_reference, n_polygon, m)
            kept, v = 0, mem.get(a, REFERENCE)
            for i in range(many):
                if m.dot(mem.get(a, base + 3 * i) - v) <= reach:
                    mem.put(a, base + 3 * kept, mem.get(a, base + 3 * i))
                    set_label(a, base, kept, label(a, base, i, 0), label(a, base, i, 1))
                    kept += 1
            if kept > 0:
                order = ti.Vector([0, 1, 2, 3], ti.i32)
                count = ti.min(kept, MOST_FACES)
                if kept > MOST_FACES:
                    order = widest(a, base, kept)
                elif n_polygon == 2 and kept > 2:  # an edge: its two ends
                    count = 2
                    far = ti.cast(-1.0, real)
                    for i in range(kept):
                        for j in range(i + 1, kept):
                            d = (mem.get(a, base + 3 * i) - mem.get(a, base + 3 * j)).norm()
                            if d > far:
                                far = d
                                order[0], order[1] = i, j
                for k in range(count):
                    write(a, found, first + k * NUMBERS, base, order[k], n_reference, m, o, side, both, before)
        return count

    return Functions(faces=faces)
