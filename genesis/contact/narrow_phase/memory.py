"""The fixed memory in which one pair of convex shapes is worked on, and where shapes are farthest along a direction.

Reals `a.work` from `a.w` on, integers `a.whole` from `a.z` on. A point of the difference A - B has nine reals, itself
and the points of A and B, and two integers, which vertex of A and of B it is; of a cylinder, which cap (0: the upper).
"""

from collections.abc import Callable
from typing import Any

from genesis.compiler import Composite, Functions, layout, per_runtime, ti, traced
from genesis.contact.narrow_phase.hulls import BESIDE, COUNT, FIRST, START

SPHERE, CAPSULE, ELLIPSOID, CYLINDER, BOX, HULL = range(6)
"""Kinds of convex shapes. A sphere is a point with a radius around it, a capsule a segment with one."""
FEW = 32
"""Vertices of which all are tried."""
ITERATIONS = 60
"""Most iterations of the search for the distance, and of that for the depth."""
POINTS = ITERATIONS + 4
"""Points of the growing polytope."""
FACES = 2 * POINTS
EDGES = 96
"""Most edges around the faces that one point sees."""
SIMPLEX = 0
"""The first of four points: those of the difference around what is nearest to the origin."""
TOUCH = 36
"""Reals of both sides where they touch (`touch.py`)."""
TOUCH_NUMBERS = 12
FREE = TOUCH + 2 * TOUCH_NUMBERS
"""The first real that the search and, after it, the clipping of faces write over."""
FACE_REALS = FREE + 9 * (POINTS + 1)
FREE_WHOLE = 8
FACE_WHOLE = FREE_WHOLE + 2 * (POINTS + 1)
EDGE_WHOLE = FACE_WHOLE + 3 * FACES
CLIP_REALS, CLIP_WHOLE = 3 * 7, 2 * 4
"""Numbers that the clipping of faces needs for each corner that a face may have."""


@traced
def needed(corners: Any, most: Callable[..., Any] = max) -> tuple[Any, Any]:
    """Reals and integers that a pair needs, where faces have at most so many corners (in kernels: `most` = ti.max)."""
    return (
        most(FACE_REALS + 4 * FACES, FREE + CLIP_REALS * corners),
        most(EDGE_WHOLE + 2 * EDGES, FREE_WHOLE + CLIP_WHOLE * corners),
    )


class Pair(Composite):
    """Two shapes: kinds; where the headers of their hulls or forms stand; sizes (3); B's centre from A's (3);
    rotations (3, 3); greatest distance."""

    def __init__(self, kind_a, kind_b, hull_a, hull_b, size_a, size_b, p, Ra, Rb, reach):
        self.kind_a, self.kind_b, self.hull_a, self.hull_b = kind_a, kind_b, hull_a, hull_b
        self.size_a, self.size_b, self.p, self.Ra, self.Rb, self.reach = size_a, size_b, p, Ra, Rb, reach


class Desk(Composite):
    """What a search reads and writes: hulls (`hulls.pack`), scratch memory from `w` and `z` on, and records."""

    def __init__(self, vertex, mesh, work, w, whole, z, found):
        self.vertex, self.mesh, self.found = vertex, mesh, found
        self.work, self.w, self.whole, self.z = work, w, whole, z


@per_runtime
def memory() -> Functions:
    lay = layout()
    real, vec3 = lay.real, lay.vec3
    tiny = 1e-15 if real == ti.f64 else 1e-12

    @ti.func
    def get(a: ti.template(), i):
        return vec3(a.work[a.w + i], a.work[a.w + i + 1], a.work[a.w + i + 2])

    @ti.func
    def put(a: ti.template(), i, v):
        for c in ti.static(range(3)):
            a.work[a.w + i + c] = v[c]

    @ti.func
    def shape(pair: ti.template(), side):
        """Kind, hull, size, place and rotation of A (side 0) or B (1)."""
        kind, hull, size, place, turn = pair.kind_a, pair.hull_a, pair.size_a, vec3(0.0), pair.Ra
        if side == 1:
            kind, hull, size, place, turn = pair.kind_b, pair.hull_b, pair.size_b, pair.p, pair.Rb
        return kind, hull, size, place, turn

    @ti.func
    def scale_of(kind, size):
        """Factors of the vertices of a form or hull."""
        scale = vec3(1.0)
        if kind == SPHERE:
            scale = vec3(0.0)
        elif kind == CAPSULE:
            scale = vec3(0.0, 0.0, size[1])
        elif kind == CYLINDER:
            scale = vec3(size[0], size[0], size[1])
        elif kind == BOX:
            scale = size
        return scale

    @ti.func
    def radius_of(kind, size):
        """What is around the core."""
        radius = ti.cast(0.0, real)
        if kind == SPHERE or kind == CAPSULE:
            radius = size[0]
        return radius

    @ti.func
    def corner(a: ti.template(), hull, index):
        """A vertex, unscaled, in the hull's frame; or, after these, the normal of a polygon."""
        at = 3 * (a.mesh[hull + FIRST] + index)
        return vec3(a.vertex[at], a.vertex[at + 1], a.vertex[at + 2])

    @ti.func
    def support(a: ti.template(), kind, hull, size, d):
        """The point of a core that is farthest along the unit vector d, in its frame, and which vertex it is."""
        x, index = vec3(0.0), 0
        if kind == ELLIPSOID:
            y = size * d
            x = size * (y / ti.max(y.norm(), tiny))
        elif kind == CYLINDER:
            out = ti.sqrt(d[0] * d[0] + d[1] * d[1])
            x = vec3(d[0], d[1], 0.0) * (size[0] / ti.max(out, tiny))
            x[2] = size[1]
            if d[2] < 0.0:
                x[2] = -size[1]
                index = 1
        else:
            scale = scale_of(kind, size)
            local, most, climbing = scale * d, ti.cast(-1e30, real), a.mesh[hull + COUNT] > FEW
            if climbing:
                index = a.mesh[hull + START]
                most = corner(a, hull, index).dot(local)
            better = True
            while better:  # of few vertices all, else the neighbours of the best, until none is better
                better = False
                row, count = a.mesh[hull + BESIDE] + 2 * index, a.mesh[hull + COUNT]
                if climbing:
                    count = a.mesh[row + 1]
                for t in range(count):
                    i = t
                    if climbing:
                        i = a.mesh[a.mesh[row] + t]
                    along = corner(a, hull, i).dot(local)
                    if along > most:
                        most, index, better = along, i, climbing
            x = scale * corner(a, hull, index)
        return x, index

    @ti.func
    def find(a: ti.template(), pair: ti.template(), at, label, d):
        """Write the point of the difference that is farthest along d: reals from `at`, integers from `label` on."""
        for side in range(2):
            kind, hull, size, place, turn = shape(pair, side)
            x, index = support(a, kind, hull, size, turn.transpose() @ ((1.0 - 2.0 * side) * d))
            put(a, at + 3 + 3 * side, place + turn @ x)
            a.whole[a.z + label + side] = index
        s = get(a, at + 3) - get(a, at + 6)
        put(a, at, s)
        return s

    @ti.func
    def copy(a: ti.template(), to, to_label, at, label):
        for c in range(9):
            a.work[a.w + to + c] = a.work[a.w + at + c]
        for c in ti.static(range(2)):
            a.whole[a.z + to_label + c] = a.whole[a.z + label + c]

    return Functions(get=get, put=put, shape=shape, scale_of=scale_of, radius_of=radius_of, corner=corner, find=find,
                     copy=copy)  # fmt: skip
