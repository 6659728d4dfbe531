"""Depth of two overlapping convex shapes: the face of their difference nearest to the origin (van den Bergen 2001).

A polytope inside the difference grows where its nearest face is, until that face lies on the surface. A face has its
nearest point (3) and that one's square (reals); corners (3), the faces behind its edges (3), and a state (integers):
its number in the map of faces that may be the nearest, NOWHERE, or GONE. Order and ends are MuJoCo's.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.memory import (
    EDGES,
    FACE_REALS,
    FACE_WHOLE,
    FACES,
    HORIZON,
    ITERATIONS,
    MAP,
    SIMPLEX,
    STACK,
    memory,
)

NOWHERE, GONE = -1, -2


@per_runtime
def depths() -> Functions:
    lay, mem = layout(), memory()
    real, vec3 = lay.real, lay.vec3
    single = real == ti.f32
    tiny = 1e-15
    closest = 1e-14 if single else 1e-30  # square of a distance below which the origin lies on a face
    same = 1e-9 if single else 1e-15

    @ti.func
    def nearest(a: ti.template(), face):
        return mem.get(a, FACE_REALS + 4 * face)

    @ti.func
    def square(a: ti.template(), face):
        return a.work[a.w + FACE_REALS + 4 * face + 3]

    @ti.func
    def field(face, k):
        return FACE_WHOLE + 7 * face + k

    @ti.func
    def plane(p, q, r):
        """The point of a triangle's plane nearest to the origin, and whether there is a plane."""
        n = (r - q).cross(q - p)
        length = n.dot(n)
        x = vec3(0.0)
        if length > 0.0:
            x = n * (n.dot(q) / length)
        return x, length > 0.0

    @ti.func
    def attach(a: ti.template(), face, corners, beyond, middle):
        """Write a face; returns the square of its distance from the origin, 0 if it has no plane."""
        x, good = plane(mem.point(a, corners[2]), mem.point(a, corners[1]), mem.point(a, corners[0]))
        if x.dot(mem.point(a, corners[0]) - middle) < 0.0:
            x = -x
        far = x.dot(x)
        mem.put(a, FACE_REALS + 4 * face, x)
        a.work[a.w + FACE_REALS + 4 * face + 3] = far
        for c in ti.static(range(3)):
            a.whole[a.z + field(face, c)] = corners[c]
            a.whole[a.z + field(face, 3 + c)] = beyond[c]
        a.whole[a.z + field(face, 6)] = NOWHERE
        if not good:
            far = 0.0
        return far

    @ti.func
    def list_face(a: ti.template(), face, listed):
        a.whole[a.z + MAP + listed] = face
        a.whole[a.z + field(face, 6)] = listed

    @ti.func
    def remove(a: ti.template(), face, listed):
        """Take a face off the polytope; returns how many the map has then."""
        left = listed
        state = a.whole[a.z + field(face, 6)]
        if state >= 0:
            left -= 1
            last = a.whole[a.z + MAP + left]
            a.whole[a.z + MAP + state] = last
            a.whole[a.z + field(last, 6)] = state
        a.whole[a.z + field(face, 6)] = GONE
        return left

    @ti.func
    def edge_at(a: ti.template(), face, corner):
        edge = 2
        if a.whole[a.z + field(face, 0)] == corner:
            edge = 0
        elif a.whole[a.z + field(face, 1)] == corner:
            edge = 1
        return edge

    @ti.func
    def same_side(p, q, r, s):
        """Whether the origin and s are on the same side of a plane."""
        n = (q - p).cross(r - p)
        return n.dot(s - p) * n.dot(-p) > 0.0

    @ti.func
    def inside(p, q, r, s):
        return same_side(p, q, r, s) and same_side(q, r, s, p) and same_side(r, s, p, q) and same_side(s, p, q, r)

    @ti.func
    def from_segment(a: ti.template(), one: ti.template(), two: ti.template()):
        """Points 0, 1: the segment. Points 2, 3, 4: the farthest in three directions around it."""
        e = mem.point(a, SIMPLEX + 1) - mem.point(a, SIMPLEX)
        mem.copy(a, 0, SIMPLEX)
        mem.copy(a, 1, SIMPLEX + 1)
        axis = e.normalized()
        d = vec3(0.0, -e[2], e[1])
        least = ti.min(ti.abs(e[0]), ti.abs(e[1]), ti.abs(e[2]))
        if ti.abs(e[0]) != least:
            d = vec3(e[2], 0.0, -e[0])
            if ti.abs(e[1]) != least:
                d = vec3(-e[1], e[0], 0.0)
        d = d.normalized()
        for c in range(3):
            mem.find(a, one, two, 2 + c, d)
            d = -0.5 * d + 0.8660254037844386 * axis.cross(d)

    @ti.func
    def start(a: ti.template(), one: ti.template(), two: ti.template(), size, apart):
        """The first polytope from a simplex of 2, 3 or 4 points: how many points and faces, the middle, and whether
        that went well. What has the origin on a face begins anew from this face."""
        n, good, points, faces = size, size > 1, 0, 0
        middle = vec3(0.0)
        for _ in range(3):
            if faces == 0 and good:
                if n == 4:
                    for c in range(4):
                        mem.copy(a, c, SIMPLEX + c)
                    points, faces = 4, 4
                elif n == 3:
                    normal = (mem.point(a, SIMPLEX + 1) - mem.point(a, SIMPLEX)).cross(
                        mem.point(a, SIMPLEX + 2) - mem.point(a, SIMPLEX)
                    )
                    length = normal.norm()
                    good = length >= tiny
                    normal /= ti.max(length, 1e-30)
                    for c in range(3):
                        mem.copy(a, c, SIMPLEX + c)
                    for c in range(2):  # first the one beyond, then the one before
                        mem.find(a, one, two, 4 - c, normal * (2.0 * c - 1.0))
                    points, faces = 5, 6
                else:
                    from_segment(a, one, two)
                    points, faces = 5, 6
                middle = vec3(0.0)
                for c in range(n):
                    middle += mem.point(a, c) / n
                if n == 3 and good:
                    v = mem.point(a, 0)
                    normal = (mem.point(a, 1) - v).cross(mem.point(a, 2) - v).normalized()
                    # nothing beyond or before the triangle: the difference is flat there
                    for c in range(2):
                        if ti.abs(normal.dot(mem.point(a, 3 + c) - v)) < same:
                            good = False
                    p, q, r = mem.point(a, 0), mem.point(a, 1), mem.point(a, 2)
                    if apart > 10.0 * same and not inside(p, q, r, mem.point(a, 3)):
                        if not inside(p, q, r, mem.point(a, 4)):
                            good = False
                face = 0
                while face < faces and good and points > 0:
                    corners, beyond = ti.Vector([0, 0, 0], ti.i32), ti.Vector([0, 0, 0], ti.i32)
                    if n == 4:
                        corners, beyond = ti.Vector([0, 1, 2], ti.i32), ti.Vector([1, 3, 2], ti.i32)
                        if face == 1:
                            corners, beyond = ti.Vector([0, 3, 1], ti.i32), ti.Vector([2, 3, 0], ti.i32)
                        elif face == 2:
                            corners, beyond = ti.Vector([0, 2, 3], ti.i32), ti.Vector([0, 3, 1], ti.i32)
                        elif face == 3:
                            corners, beyond = ti.Vector([3, 2, 1], ti.i32), ti.Vector([2, 0, 1], ti.i32)
                    else:
                        # two caps of three faces each over one ring of three points: tips 0, 1 over 2, 3, 4 where a
                        # segment was, tips 3, 4 over 0, 1, 2 where a triangle was
                        top, bottom, ring = 0, 1, ti.Vector([2, 3, 4], ti.i32)
                        if n == 3:
                            top, bottom, ring = 3, 4, ti.Vector([0, 1, 2], ti.i32)
                        i, j, k = ring[0], ring[1], ring[2]
                        if face == 0:
                            corners, beyond = ti.Vector([top, i, j], ti.i32), ti.Vector([1, 3, 2], ti.i32)
                        elif face == 1:
                            corners, beyond = ti.Vector([top, k, i], ti.i32), ti.Vector([2, 4, 0], ti.i32)
                        elif face == 2:
                            corners, beyond = ti.Vector([top, j, k], ti.i32), ti.Vector([0, 5, 1], ti.i32)
                        elif face == 3:
                            corners, beyond = ti.Vector([bottom, j, i], ti.i32), ti.Vector([5, 0, 4], ti.i32)
                        elif face == 4:
                            corners, beyond = ti.Vector([bottom, i, k], ti.i32), ti.Vector([3, 1, 5], ti.i32)
                        else:
                            corners, beyond = ti.Vector([bottom, k, j], ti.i32), ti.Vector([4, 2, 3], ti.i32)
                    if attach(a, face, corners, beyond, middle) < closest:
                        if n == 3:
                            good = False
                        else:
                            for c in range(3):
                                mem.copy(a, SIMPLEX + c, corners[c])
                            n, points = 3, 0
                    face += 1
                if points == 0:
                    faces = 0
        if good and n == 4:
            good = inside(mem.point(a, 0), mem.point(a, 1), mem.point(a, 2), mem.point(a, 3))
        if good and n == 2:
            x, e = mem.point(a, 0), mem.point(a, 1) - mem.point(a, 0)
            p, q, r = mem.point(a, 2) - x, mem.point(a, 3) - x, mem.point(a, 4) - x
            u, v, w = p.cross(q).dot(e), q.cross(r).dot(e), r.cross(p).dot(e)
            good = (u >= 0.0 and v >= 0.0 and w >= 0.0) or (u <= 0.0 and v <= 0.0 and w <= 0.0)
        for face in range(faces):
            list_face(a, face, face)
        return points, faces, middle, good and faces > 0

    @ti.func
    def horizon(a: ti.template(), face, x, listed):
        """Take off all faces that can be seen from x, beginning with one; leaves the edges around them in a ring.
        Returns their number and how many faces the map has then."""
        left = remove(a, face, listed)
        edges, high = 0, 0
        for c in ti.static(range(3)):
            beyond = a.whole[a.z + field(face, 5 - c)]
            a.whole[a.z + STACK + 2 * high] = beyond
            a.whole[a.z + STACK + 2 * high + 1] = edge_at(a, beyond, a.whole[a.z + field(face, (3 - c) % 3)])
            high += 1
        while high > 0:
            high -= 1
            each, edge = a.whole[a.z + STACK + 2 * high], a.whole[a.z + STACK + 2 * high + 1]
            if a.whole[a.z + field(each, 6)] != GONE:
                if nearest(a, each).dot(x) - square(a, each) > tiny:
                    left = remove(a, each, left)
                    for c in range(2):
                        i = (edge + 2 - c) % 3
                        beyond = a.whole[a.z + field(each, 3 + i)]
                        if high < HORIZON:
                            a.whole[a.z + STACK + 2 * high] = beyond
                            corner = a.whole[a.z + field(each, (i + 1) % 3)]
                            a.whole[a.z + STACK + 2 * high + 1] = edge_at(a, beyond, corner)
                            high += 1
                elif edges < HORIZON:
                    a.whole[a.z + EDGES + 2 * edges] = each
                    a.whole[a.z + EDGES + 2 * edges + 1] = edge
                    edges += 1
        return edges, left

    @ti.func
    def depth(a: ti.template(), one: ti.template(), two: ti.template(), size, apart, exact):
        """The face of the difference nearest to the origin, -1 if none is found.

        size: of the simplex at which the search for the distance ended, at the distance `apart`, about zero.
        """
        tolerance = ti.cast(1e-6, real)
        if exact:
            tolerance = ti.cast(same, real)
        points, faces, middle, good = start(a, one, two, size, apart)
        listed, chosen, k = faces, -1, 0
        highest, highest2 = ti.cast(1e19, real), ti.cast(1e38, real)
        ended = not good
        while not ended and k < ITERATIONS:
            before, lowest = chosen, ti.cast(1e38, real)
            for i in range(listed):
                each = a.whole[a.z + MAP + i]
                if square(a, each) < lowest:
                    chosen, lowest = each, square(a, each)
            if lowest > highest2 or chosen < 0:
                chosen, ended = before, True
            elif lowest <= 0.0:
                ended = True
            else:
                low = ti.sqrt(lowest)
                slot = points
                points += 1
                mem.find(a, one, two, slot, nearest(a, chosen) / low)
                x = mem.point(a, slot)
                high = nearest(a, chosen).dot(x) / low
                if high < highest:
                    highest = high
                    highest2 = high * high
                if highest - low < tolerance:
                    ended = True
                    if k == 0 and highest < low - 1e-10 - 100.0 * same:
                        chosen = -1
                elif exact:
                    i, j = a.whole[a.z + 2 * slot], a.whole[a.z + 2 * slot + 1]
                    for c in range(slot):
                        if a.whole[a.z + 2 * c] == i and a.whole[a.z + 2 * c + 1] == j:
                            ended = True
                if not ended:
                    edges, left = horizon(a, chosen, x, listed)
                    listed = left
                    if edges < 3 or edges > FACES - faces:
                        chosen, ended = -1, True
                    else:
                        for i in range(edges):
                            outer, edge = a.whole[a.z + EDGES + 2 * i], a.whole[a.z + EDGES + 2 * i + 1]
                            first = a.whole[a.z + field(outer, edge)]
                            second = a.whole[a.z + field(outer, (edge + 1) % 3)]
                            a.whole[a.z + field(outer, 3 + edge)] = faces + i
                            corners = ti.Vector([slot, second, first], ti.i32)
                            beyond = ti.Vector(
                                [faces + (i + edges - 1) % edges, outer, faces + (i + 1) % edges], ti.i32
                            )
                            far = attach(a, faces + i, corners, beyond, middle)
                            if far == 0.0:
                                chosen, ended = -1, True
                            elif far >= lowest and far <= highest2:
                                list_face(a, faces + i, listed)
                                listed += 1
                        faces += edges
                        if listed == 0:
                            ended = True
                    k += 1
        return chosen

    return Functions(depth=depth, nearest=nearest, field=field)
