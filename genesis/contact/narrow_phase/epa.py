"""Depth of two overlapping polytopes: the face of their difference nearest to the origin (van den Bergen 2001).

A polytope inside the difference, at first a tetrahedron, grows where the distance of a face's plane from the origin,
negative where the origin is outside of it, is least, until that face lies on the surface. A face has its outward normal
and that distance (reals) and its corners (integers); faces without area are at NEVER.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.memory import EDGE_WHOLE, EDGES, FACE_REALS, FACE_WHOLE, FACES, ITERATIONS, memory

NEVER = 1e30


@per_runtime
def depths() -> Functions:
    lay, mem = layout(), memory()
    real, vec3 = lay.real, lay.vec3
    slack = 2e-6 if real == ti.f32 else 1e-12  # of heights, relative to the size of the difference

    @ti.func
    def attach(a: ti.template(), face, i, j, k, middle):
        """Write the face with these corners."""
        p = mem.point(a, i)
        n = (mem.point(a, j) - p).cross(mem.point(a, k) - p)
        edge = ti.max((mem.point(a, j) - p).dot(mem.point(a, j) - p), (mem.point(a, k) - p).dot(mem.point(a, k) - p))
        length, d = n.norm(), ti.cast(NEVER, real)
        if length > slack * edge:
            n /= length
            if n.dot(p - middle) < 0.0:
                n = -n
            d = n.dot(p)
        mem.put(a, FACE_REALS + 4 * face, n)
        a.work[a.w + FACE_REALS + 4 * face + 3] = d
        at = a.z + FACE_WHOLE + 3 * face
        a.whole[at] = i
        a.whole[at + 1] = j
        a.whole[at + 2] = k

    @ti.func
    def tetrahedron(a: ti.template(), one: ti.template(), two: ti.template()):
        """Four points of the difference that span a volume, at 0 to 3, and the size of the difference."""
        d, size = vec3(1.0, 0.0, 0.0), ti.cast(0.0, real)
        for step in range(6):  # twice along x, across the first two, and along the normal of the first three
            k = (step + 1) // 2
            if step == 2:
                e = mem.point(a, 1) - mem.point(a, 0)
                size = e.norm()
                d = vec3(-e[1], e[0], 0.0)
                if ti.abs(e[0]) + ti.abs(e[1]) < ti.abs(e[2]):
                    d = vec3(0.0, -e[2], e[1])
            elif step == 4:
                d = (mem.point(a, 1) - mem.point(a, 0)).cross(mem.point(a, 2) - mem.point(a, 0))
            elif step != 0:
                d = -d
            slot = 4
            if step == 0:
                slot = 0
            elif step == 1:
                slot = 1
            elif step == 2:
                slot = 2
            elif step == 4:
                slot = 3
            x = mem.find(a, one, two, slot, d.normalized())
            if slot == 4:  # the same direction the other way: the farther of both is taken
                height = ti.abs((x - mem.point(a, 0)).dot(d))
                if height > ti.abs((mem.point(a, k) - mem.point(a, 0)).dot(d)):
                    mem.copy(a, k, 4)
        return size

    @ti.func
    def depth(a: ti.template(), one: ti.template(), two: ti.template()):
        """The corners of the nearest face, its outward normal and distance, and whether it was found."""
        size = tetrahedron(a, one, two)
        tolerance = slack * size
        middle = 0.25 * (mem.point(a, 0) + mem.point(a, 1) + mem.point(a, 2) + mem.point(a, 3))
        points, faces, k, good, ended = 4, 4, 0, True, False
        for f in range(4):
            attach(a, f, (f + 1) % 4, (f + 2) % 4, (f + 3) % 4, middle)
        chosen = 0
        while not ended:
            lowest = ti.cast(NEVER, real)
            for f in range(faces):
                d = a.work[a.w + FACE_REALS + 4 * f + 3]
                if d < lowest:
                    chosen, lowest = f, d
            n = mem.get(a, FACE_REALS + 4 * chosen)
            x = mem.find(a, one, two, points, n)
            if n.dot(x) - lowest <= tolerance:
                ended = True
            elif k >= ITERATIONS - 1:
                ended, good = True, False
            else:
                edges, f = 0, 0
                while f < faces:  # take off all faces that see the point; edges of one of them alone are around them
                    at = FACE_REALS + 4 * f
                    d = a.work[a.w + at + 3]
                    if d < NEVER and mem.get(a, at).dot(x) - d > tolerance:
                        for c in range(3):
                            i = a.whole[a.z + FACE_WHOLE + 3 * f + c]
                            j = a.whole[a.z + FACE_WHOLE + 3 * f + (c + 1) % 3]
                            same = -1
                            for e in range(edges):
                                p, q = a.whole[a.z + EDGE_WHOLE + 2 * e], a.whole[a.z + EDGE_WHOLE + 2 * e + 1]
                                if (p == i and q == j) or (p == j and q == i):
                                    same = e
                            if same >= 0:
                                edges -= 1
                                for o in ti.static(range(2)):
                                    a.whole[a.z + EDGE_WHOLE + 2 * same + o] = a.whole[a.z + EDGE_WHOLE + 2 * edges + o]
                            elif edges < EDGES:
                                a.whole[a.z + EDGE_WHOLE + 2 * edges] = i
                                a.whole[a.z + EDGE_WHOLE + 2 * edges + 1] = j
                                edges += 1
                            else:
                                good = False
                        faces -= 1
                        for o in ti.static(range(4)):
                            a.work[a.w + at + o] = a.work[a.w + FACE_REALS + 4 * faces + o]
                        for o in ti.static(range(3)):
                            a.whole[a.z + FACE_WHOLE + 3 * f + o] = a.whole[a.z + FACE_WHOLE + 3 * faces + o]
                    else:
                        f += 1
                if faces + edges > FACES or not good:
                    ended, good = True, False
                else:
                    for e in range(edges):
                        at = a.z + EDGE_WHOLE + 2 * e
                        attach(a, faces + e, a.whole[at], a.whole[at + 1], points, middle)
                    faces += edges
                    points += 1
                k += 1
        at = a.z + FACE_WHOLE + 3 * chosen
        corners = ti.Vector([a.whole[at], a.whole[at + 1], a.whole[at + 2]], ti.i32)
        return corners, mem.get(a, FACE_REALS + 4 * chosen), a.work[a.w + FACE_REALS + 4 * chosen + 3], good

    return Functions(depth=depth)
