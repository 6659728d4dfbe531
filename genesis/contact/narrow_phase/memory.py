"""The fixed memory in which one pair of convex shapes is worked on: reals `a.work` from `a.w` on, integers `a.whole`
from `a.z` on.

A point of the difference of the shapes is nine reals, the difference and the points of A and B that make it, and two
integers, their indices in the shapes' polytopes.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.hulls import CORNERS
from genesis.contact.narrow_phase.support import supports

ITERATIONS = 35
"""Most iterations of the search for the distance, and of that for the depth (MuJoCo's default)."""

POINTS = ITERATIONS + 5
"""Points of the growing polytope."""
SIMPLEX = POINTS
"""The four points of the search for the distance; four more behind them to try with."""
FACES = 6 * ITERATIONS
HORIZON = 64

FACE_REALS = 9 * (POINTS + 8)
WORK = max(FACE_REALS + 4 * FACES, 20 * 3 * CORNERS)
"""Reals that a pair needs."""

FACE_WHOLE = 2 * (POINTS + 8)
MAP = FACE_WHOLE + 7 * FACES
STACK = MAP + FACES
EDGES = STACK + 2 * HORIZON
TROUBLE = EDGES + 2 * HORIZON
"""Where pairs whose search did not end well are counted; the caller clears it."""
WHOLE = TROUBLE + 1 + 12 * CORNERS
"""Integers that a pair needs."""
LABELS = TROUBLE + 1


@per_runtime
def memory() -> Functions:
    lay, sup = layout(), supports()
    vec3 = lay.vec3

    @ti.func
    def get(a: ti.template(), i):
        return vec3(a.work[a.w + i], a.work[a.w + i + 1], a.work[a.w + i + 2])

    @ti.func
    def put(a: ti.template(), i, v):
        for c in ti.static(range(3)):
            a.work[a.w + i + c] = v[c]

    @ti.func
    def point(a: ti.template(), slot):
        """A point of the difference A - B."""
        return get(a, 9 * slot)

    @ti.func
    def find(a: ti.template(), one: ti.template(), two: ti.template(), slot, d):
        """Write the point of the difference that is farthest along the unit vector d."""
        x, i = sup.support(a, one, d)
        y, j = sup.support(a, two, -d)
        put(a, 9 * slot, x - y)
        put(a, 9 * slot + 3, x)
        put(a, 9 * slot + 6, y)
        a.whole[a.z + 2 * slot] = i
        a.whole[a.z + 2 * slot + 1] = j

    @ti.func
    def copy(a: ti.template(), to, slot):
        for c in range(9):
            a.work[a.w + 9 * to + c] = a.work[a.w + 9 * slot + c]
        for c in ti.static(range(2)):
            a.whole[a.z + 2 * to + c] = a.whole[a.z + 2 * slot + c]

    return Functions(get=get, put=put, point=point, find=find, copy=copy)
