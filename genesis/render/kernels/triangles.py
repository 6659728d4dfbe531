"""Where rays meet the triangles of a mesh, and the normal there, in the mesh's own frame.

A packet of rays (`genesis.math.lanes`) goes down the tree of a mesh together, at every node first to the child that
its first ray comes to first. There is no stack: where a node has been dealt with, its number tells which one is next,
for node i has the children 2 i and 2 i + 1. Rays come as in `shapes.py`: their points nearest to the mesh's middle, and
unit directions. Triangles: Moeller and Trumbore (1997), with the length along a ray from the triangle's plane, which no
sliver spoils.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.lanes import Vec, absolute, any_lane, lane, lanes3, of_lane, set_lane, where, whole
from genesis.render.kernels.arrays import (
    CORNER_ROWS,
    DOUBLE_AREA,
    FACE,
    FIRST_SIDE,
    N_BRANCH,
    NODE_ROWS,
    OFFSET,
    SECOND_SIDE,
    SLACK,
    START,
    TRIANGLE_ROWS,
)

TINY = 1e-12
GRAZING = 1e-4
"""Cosine between a ray and a triangle's normal below which they do not meet."""


@per_runtime
def triangles() -> Functions:
    lay = layout()
    vec3 = lay.vec3

    @ti.func
    def inverse_of(x):
        return 1.0 / where(absolute(x) > TINY, x, lane(TINY))

    @ti.func
    def meet(a: ti.template(), root, p: ti.template(), d: ti.template(), least, most):
        """Length from p to where each ray first meets a triangle between `least` and `most`, else `most`; and which
        triangle, else -1. `root`: row of the mesh's node 0."""
        best, found = most + 0.0, whole(-1)
        inverse = Vec(inverse_of(d[0]), inverse_of(d[1]), inverse_of(d[2]))
        backwards = 0  # bit by axis: the first ray comes to the upper child first
        for i in ti.static(range(3)):
            if of_lane(d[i], 0) < 0.0:
                backwards += 2**i
        node = 1
        while node > 0:
            row, place = NODE_ROWS * (root + node), N_BRANCH * (root + node)
            low, high = lay.get4(a.nodes, row), lay.get4(a.nodes, row + 1)
            first, last = least + 0.0, best + 0.0
            for i in ti.static(range(3)):
                one, two = (low[i] - p[i]) * inverse[i], (high[i] - p[i]) * inverse[i]
                first, last = ti.max(first, ti.min(one, two)), ti.min(last, ti.max(one, two))
            begin, count = a.branches[place], a.branches[place + 1]  # of triangles; without any, the axis
            descends = 0
            if any_lane(first <= last):
                if count == 0:
                    descends = 1
                for k in range(begin, begin + count):
                    plane = lay.get4(a.triangles, TRIANGLE_ROWS * k + FACE)
                    n = Vec(plane[0], plane[1], plane[2])
                    along = n.dot(d)
                    steep = absolute(along) > GRAZING
                    s = (plane[OFFSET] - n.dot(p)) / where(steep, along, lane(1.0))
                    nearer = steep & (s > least) & (s < best)
                    if any_lane(nearer):
                        corner = lay.get4(a.triangles, TRIANGLE_ROWS * k + START)
                        e1 = lay.get4(a.triangles, TRIANGLE_ROWS * k + FIRST_SIDE)
                        e2 = lay.get4(a.triangles, TRIANGLE_ROWS * k + SECOND_SIDE)
                        t = p - Vec(corner[0], corner[1], corner[2])
                        # Volumes that a ray spans with each side: of one sign within, up to rounding.
                        u = t.dot(d.cross(Vec(e2[0], e2[1], e2[2])))
                        v = d.dot(t.cross(Vec(e1[0], e1[1], e1[2])))
                        w = 0.0 - e1[DOUBLE_AREA] * along - u - v
                        side = where(along < 0.0, lane(1.0), lane(-1.0))
                        inside = ti.min(u * side, ti.min(v * side, w * side))
                        nearer = nearer & (inside >= 0.0 - corner[SLACK])
                        best, found = where(nearer, s, best), where(nearer, whole(k), found)
            if descends == 1:
                node = 2 * node + ((backwards >> begin) & 1)
            else:
                going = 1
                while going == 1 and node > 1:
                    axis = a.branches[N_BRANCH * (root + node // 2)]
                    if node % 2 == ((backwards >> axis) & 1):  # its sibling comes next
                        node = node + 1 - 2 * (node % 2)
                        going = 0
                    else:
                        node = node // 2
                if going == 1:
                    node = 0
        return best, found

    @ti.func
    def normal(a: ti.template(), found, d: ti.template(), q: ti.template()):
        """Unit normal at the points q of the triangles `found`, on the side that each ray comes from; zero without
        one."""
        n = lanes3()
        for j in range(lay.width):
            k = of_lane(found, j)
            if k >= 0:
                plane = lay.get4(a.triangles, TRIANGLE_ROWS * k + FACE)
                corner = lay.get4(a.triangles, TRIANGLE_ROWS * k + START)
                first = lay.get4(a.triangles, TRIANGLE_ROWS * k + FIRST_SIDE)
                second = lay.get4(a.triangles, TRIANGLE_ROWS * k + SECOND_SIDE)
                flat, e1 = vec3(plane[0], plane[1], plane[2]), vec3(first[0], first[1], first[2])
                e2 = vec3(second[0], second[1], second[2])
                r = vec3(of_lane(q[0], j) - corner[0], of_lane(q[1], j) - corner[1], of_lane(q[2], j) - corner[2])
                u = ti.min(ti.max(flat.dot(r.cross(e2)) / first[DOUBLE_AREA], 0.0), 1.0)
                v = ti.min(ti.max(flat.dot(e1.cross(r)) / first[DOUBLE_AREA], 0.0), 1.0)
                na = lay.get4(a.corners, CORNER_ROWS * k)
                nb, nc = lay.get4(a.corners, CORNER_ROWS * k + 1), lay.get4(a.corners, CORNER_ROWS * k + 2)
                m = na + u * (nb - na) + v * (nc - na)
                towards = flat[0] * of_lane(d[0], j) + flat[1] * of_lane(d[1], j) + flat[2] * of_lane(d[2], j)
                for i in ti.static(range(3)):
                    set_lane(n[i], j, ti.select(towards > 0.0, 0.0 - m[i], m[i]))
        return n * (1.0 / ti.max(n.norm(), TINY))

    return Functions(meet=meet, normal=normal)
