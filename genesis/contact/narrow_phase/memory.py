"""The fixed memory in which one pair of polytopes is worked on: reals `a.work` from `a.w` on, integers `a.whole` from
`a.z` on. A point of the difference A - B has nine reals, itself and the points of A and B, and their two indices.
"""

from genesis.compiler import Composite, Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.hulls import CORNERS, COUNT, FIRST

ITERATIONS = 60
"""Most iterations of the search for the distance, and of that for the depth."""
POINTS = ITERATIONS + 4
"""Points of the growing polytope."""
SIMPLEX = POINTS
"""The four points of the search for the distance."""
FACES = 2 * POINTS
EDGES = 96
"""Most edges around the faces that one point sees."""
FACE_REALS = 9 * (POINTS + 4)
WORK = max(FACE_REALS + 4 * FACES, 6 * 4 * CORNERS)
"""Reals that a pair needs."""
FACE_WHOLE = 2 * (POINTS + 4)
EDGE_WHOLE = FACE_WHOLE + 3 * FACES
TROUBLE = EDGE_WHOLE + 2 * EDGES
"""Where searches that reached a bound are counted; the caller clears it."""
LABELS = TROUBLE + 1
WHOLE = LABELS + 12 * CORNERS
"""Integers that a pair needs."""


class Shape(Composite):
    """A polytope with a radius around it: where its hull's header stands, factors of its vertices (3), radius, centre
    (3), rotation (3, 3)."""

    def __init__(self, hull, scale, radius, place, turn):
        self.hull, self.scale, self.radius, self.place, self.turn = hull, scale, radius, place, turn


class Desk(Composite):
    """What a search reads and writes: hulls (`hulls.pack`), and scratch memory from `w` and `z` on."""

    def __init__(self, vertex, mesh, work, w, whole, z):
        self.vertex, self.mesh, self.work, self.w, self.whole, self.z = vertex, mesh, work, w, whole, z


@per_runtime
def memory() -> Functions:
    vec3 = layout().vec3

    @ti.func
    def get(a: ti.template(), i):
        return vec3(a.work[a.w + i], a.work[a.w + i + 1], a.work[a.w + i + 2])

    @ti.func
    def put(a: ti.template(), i, v):
        for c in ti.static(range(3)):
            a.work[a.w + i + c] = v[c]

    @ti.func
    def corner(a: ti.template(), s: ti.template(), index):
        """A vertex of a shape in the world."""
        at = 3 * (a.mesh[s.hull + FIRST] + index)
        return s.place + s.turn @ (s.scale * vec3(a.vertex[at], a.vertex[at + 1], a.vertex[at + 2]))

    @ti.func
    def farthest(a: ti.template(), s: ti.template(), d):
        """Index of the vertex that is farthest along d."""
        at, index, local = 3 * a.mesh[s.hull + FIRST], 0, s.scale * (s.turn.transpose() @ d)
        most = a.vertex[at] * local[0] + a.vertex[at + 1] * local[1] + a.vertex[at + 2] * local[2]
        for i in range(1, a.mesh[s.hull + COUNT]):
            j = at + 3 * i
            along = a.vertex[j] * local[0] + a.vertex[j + 1] * local[1] + a.vertex[j + 2] * local[2]
            if along > most:
                most = along
                index = i
        return index

    @ti.func
    def find(a: ti.template(), one: ti.template(), two: ti.template(), slot, d):
        """Write the point of the difference that is farthest along d."""
        i, j = farthest(a, one, d), farthest(a, two, -d)
        x, y = corner(a, one, i), corner(a, two, j)
        put(a, 9 * slot, x - y)
        put(a, 9 * slot + 3, x)
        put(a, 9 * slot + 6, y)
        a.whole[a.z + 2 * slot] = i
        a.whole[a.z + 2 * slot + 1] = j
        return x - y

    @ti.func
    def point(a: ti.template(), slot):
        """A point of the difference A - B."""
        return get(a, 9 * slot)

    @ti.func
    def copy(a: ti.template(), to, slot):
        for c in range(9):
            a.work[a.w + 9 * to + c] = a.work[a.w + 9 * slot + c]
        for c in ti.static(range(2)):
            a.whole[a.z + 2 * to + c] = a.whole[a.z + 2 * slot + c]

    return Functions(get=get, put=put, corner=corner, find=find, point=point, copy=copy)
