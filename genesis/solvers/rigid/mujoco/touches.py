"""Where geoms touch grounds: MuJoCo's contact points, and what their place and frame do to the geom's pose.

A contact has a distance between the surfaces, a normal n out of the ground, a place r half way between the surfaces,
and two tangents. With c a centre that is fixed to the link, D(c) its distance from the ground, and s the vector from
the geom's lowest point to c:

    distance = D(c) - s.n      r = c - s - n distance / 2      t1 = hint, made orthogonal to n      t2 = n x t1

The hint is the axis of a capsule, unless that stands on its end; else an axis of the world.
"""

from genesis.compiler import Composite, Functions, layout, per_runtime, ti
from genesis.math.lanes import Mat, Vec, absolute, any_lane, by_parts, copy, lane, lanes3, of_lane, set_lane, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.ground import grounds
from genesis.solvers.rigid.layout import N_POINTS, ORIGIN, POINT0, POS, ROOT
from genesis.solvers.rigid.mujoco import indices as my
from genesis.solvers.rigid.mujoco.layout import (
    BOX,
    CLUSTER,
    CYLINDER,
    ELLIPSOID,
    G_POS,
    G_X,
    G_Y,
    G_Z,
    HULL,
    HULL_HEAD,
    SPHERE,
    T_CORNERS,
    T_GEOM,
    T_GROUND,
    T_KIND,
    T_MARGIN,
    T_MOST,
    T_N_POINTS,
    T_POINT0,
    T_REACH,
    Features,
)

ALONG_NORMAL = 1e-6
"""Sine of the angle between hint and normal below which rounding would choose the tangents."""
PARALLEL = 1e-15
"""A cylinder stands flat where its axis is closer to the normal."""
FAR = 1e30
"""m."""


class Touching(Composite):
    """A contact of a link: touch and number of its point; in which environments it is there; c, s, n and distance as
    above; the distance less the margin."""

    def __init__(self, touch, point, on, c, s, n, distance, y):
        self.touch, self.point, self.on, self.c, self.s, self.n = touch, point, on, c, s, n
        self.distance, self.y = distance, y


class Slopes(Composite):
    """Derivatives by a contact's place, distance, normal and tangents."""

    def __init__(self, place, distance, n, t1, t2):
        self.place, self.distance, self.n, self.t1, self.t2 = place, distance, n, t1, t2


@per_runtime
def touches(features: Features) -> Functions:
    gr, lay = grounds(features), layout()

    @ti.func
    def cylinder_frame(a: ti.template(), b, g, R: ti.template(), n: ti.template()):
        """Its axis towards the ground, the vector to its lowest rim, that vector's unscaled length, and 1 if flat."""
        axis = R @ my.geom(a, g, G_Z)[:3]
        none = lane()
        u = where(axis.dot(n) > 0.0, none - 1.0, none + 1.0) * axis
        w = u.dot(n) * u - n
        length = w.norm()
        flat = length < PARALLEL
        rim = where(flat, R @ my.geom(a, g, G_X)[:3], w / where(flat, none + 1.0, length))
        return u, my.size(a, b, g)[0] * rim, length, flat

    @ti.func
    def cylinder_point(k):
        """Factors of axis, rim and side in the k-th point."""
        axis, rim, side = 1.0, 1.0, 0.0
        if k == 1:
            axis = -1.0
        elif k >= 2:
            rim, side = -0.5, 1.0
            if k == 3:
                side = -1.0
        return axis, rim, side

    @ti.func
    def axes_of(a: ti.template(), g, R: ti.template()):
        """Rotation of a geom to the world."""
        own = Mat(my.geom(a, g, G_X)[:3], my.geom(a, g, G_Y)[:3], my.geom(a, g, G_Z)[:3])
        return R @ own.transpose()

    @ti.func
    def support(a: ti.template(), b, t, k, R: ti.template(), n: ti.template()):
        """s of the k-th point of touch t."""
        g = my.touch(a, t, T_GEOM)
        sizes = my.size(a, b, g)
        s = (my.point(a, my.touch(a, t, T_POINT0) + k)[3] * sizes[0]) * n
        if ti.static(features.curved):
            kind = my.touch(a, t, T_KIND)
            if kind == ELLIPSOID:
                A = axes_of(a, g, R)
                local = A.transpose() @ n
                m = by_parts(sizes, by_parts(sizes, local))
                s += (A @ m) / ti.sqrt(local.dot(m))
            elif kind == CYLINDER:
                u, rim, _length, _flat = cylinder_frame(a, b, g, R, n)
                along, out, aside = cylinder_point(k)
                side = rim.cross(u)
                s -= (along * sizes[1]) * u + out * rim + (aside * 0.8660254037844386) * side
        return s

    @ti.func
    def support_adjoint(a: ti.template(), b, t, k, R: ti.template(), n: ti.template(), s: ti.template(),
                        gs: ti.template()):  # fmt: skip
        """Cotangents of the link's rotation vector, of n and of the sizes from that of s."""
        g, has_radius = my.touch(a, t, T_GEOM), my.point(a, my.touch(a, t, T_POINT0) + k)[3]
        sizes, gsizes = my.size(a, b, g), lanes3()
        gturn, gn = lanes3(), (has_radius * sizes[0]) * gs
        gsizes[0] += has_radius * n.dot(gs)
        if ti.static(features.curved):
            kind = my.touch(a, t, T_KIND)
            if kind == ELLIPSOID:
                A, length = axes_of(a, g, R), s.dot(n)
                local, asked = A.transpose() @ n, A.transpose() @ gs
                Eg = A @ by_parts(sizes, by_parts(sizes, asked))
                gn += (Eg - s.dot(gs) * s) / length
                gturn += s.cross(gs) - n.cross(Eg) / length - (s.dot(gs) / length) * s.cross(n)
                scale = by_parts(sizes, local) / length
                gsizes += by_parts(scale, 2.0 * asked - (s.dot(gs) / length) * local)
            elif kind == CYLINDER:
                u, rim, length, flat = cylinder_frame(a, b, g, R, n)
                along, out, aside = cylinder_point(k)
                half, radius = sizes[1], sizes[0]
                gsizes[1] += (0.0 - along) * u.dot(gs)
                around = out * rim + (aside * 0.8660254037844386) * rim.cross(u)
                gsizes[0] += (0.0 - around.dot(gs)) / radius
                none = lane()
                gq = (0.0 - aside * 0.8660254037844386) * gs
                gu = (0.0 - along * half) * gs + gq.cross(rim)
                grim = (0.0 - out) * gs + u.cross(gq)
                turned = rim.cross(grim)
                gw = (radius * grim - (rim.dot(grim) / radius) * rim) / where(flat, none + 1.0, length)
                gw = where(flat, lanes3(), gw)
                gu += u.dot(n) * gw + u.dot(gw) * n
                gn += u.dot(gw) * u - gw
                gturn += u.cross(gu) + where(flat, turned, lanes3())
        return gturn, gn, gsizes

    @ti.func
    def half_lengths(a: ti.template(), b, t):
        """Of the geom of touch t, which its points are given in."""
        sizes, kind, half = my.size(a, b, my.touch(a, t, T_GEOM)), my.touch(a, t, T_KIND), lanes3()
        if kind == BOX:
            half += sizes
        elif kind == SPHERE:
            half[2] += sizes[1]
        return half

    @ti.func
    def world_hint(n: ti.template()):
        none = lane()
        return where(absolute(n[1]) < 0.5, Vec(none, none + 1.0, none), Vec(none, none, none + 1.0))

    @ti.func
    def hint_of(a: ti.template(), t, R: ti.template(), n: ti.template()):
        hint = world_hint(n)
        axis = my.geom(a, my.touch(a, t, T_GEOM), G_Z)
        if axis[3] > 0.5:
            hint = R @ axis[:3]
        return hint

    @ti.func
    def settled(n: ti.template(), hint: ti.template()):
        """The hint, or an axis of the world where n is along it, as under a capsule that stands; and 1 where it is."""
        none = lane()
        stands = (hint - n.dot(hint) * n).norm() < ALONG_NORMAL
        spare = where(absolute(n[0]) < 0.5, Vec(none + 1.0, none, none), world_hint(n))
        return where(stands, spare, hint), where(stands, none + 1.0, none)

    @ti.func
    def tangents(n: ti.template(), hint: ti.template()):
        """t1, t2, and the length of the hint's part that is orthogonal to n."""
        used, _stands = settled(n, hint)
        w = used - n.dot(used) * n
        length = w.norm()
        t1 = w / length
        return t1, n.cross(t1), length

    @ti.func
    def frame_adjoint(n: ti.template(), hint: ti.template(), g: ti.template()):
        """Cotangents of the normal, through the tangents too, and of the hint, from `Slopes`."""
        used, stands = settled(n, hint)
        t1, _t2, length = tangents(n, hint)
        g1 = g.t1 + g.t2.cross(n)
        gw = (g1 - t1.dot(g1) * t1) / length
        ghint = where(stands > 0.5, lanes3(), gw - n.dot(gw) * n)
        return g.n + t1.cross(g.t2) - n.dot(used) * gw - n.dot(gw) * used, ghint

    @ti.func
    def place_adjoint(a: ti.template(), b, R: ti.template(), world: ti.template(), of: ti.template(),
                      hint: ti.template(), g: ti.template()):  # fmt: skip
        """Cotangents of a rigid displacement of the link, about the tree's origin, from `Slopes`: turn and shift.
        Subtracts those of the geom's sizes."""
        n, gr_ = of.n, g.place
        gn_all, ghint = frame_adjoint(n, hint, g)
        gturn = lanes3()
        if my.geom(a, my.touch(a, of.touch, T_GEOM), G_Z)[3] > 0.5:
            gturn += hint.cross(ghint)
        gd = g.distance - 0.5 * n.dot(gr_)
        gs = -gr_ - gd * n
        gn_all -= (0.5 * of.distance) * gr_ + gd * of.s
        turned, gn_s, gsizes = support_adjoint(a, b, of.touch, of.point, R, n, of.s, gs)
        gc = gr_ + gr.surface_adjoint(a, my.touch(a, of.touch, T_GROUND), world + of.c, gd, gn_all + gn_s)
        gturn += turned + of.c.cross(gc)
        geom, kind = my.touch(a, of.touch, T_GEOM), my.touch(a, of.touch, T_KIND)
        if kind == BOX or kind == SPHERE:
            q = my.point(a, my.touch(a, of.touch, T_POINT0) + of.point)
            moved = by_parts(q[:3], axes_of(a, geom, R).transpose() @ gc)
            if kind == BOX:
                gsizes += moved
            else:
                gsizes[1] += moved[2]
        for c in ti.static(range(3)):
            at.increase(a.gmodel, at.block(a, b, "size", geom, c), 0.0 - gsizes[c])
        return gturn, gc

    @ti.func
    def deepest_of(a: ti.template(), t, local: ti.template()):
        """The vertex of a hull that is lowest along `local`, in the link's frame, and its row. Clusters that cannot
        hold it are left out whole."""
        first, count = my.touch(a, t, T_POINT0) + HULL_HEAD, my.touch(a, t, T_CORNERS)
        n_clusters, radius = (count + CLUSTER - 1) // CLUSTER, my.geom(a, my.touch(a, t, T_GEOM), G_POS)[3]
        deepest, row, height = lanes3(), lane(), lane(FAR)
        for c in range(n_clusters):  # some vertex is no higher than their mean
            mean = my.point(a, first + count + c)[:3]
            height = ti.min(height, mean.dot(local) + 1e-5 * (radius + mean.norm()))
        for c in range(n_clusters):
            cluster = my.point(a, first + count + c)
            if any_lane(cluster[:3].dot(local) - cluster[3] < height):
                for i in range(c * CLUSTER, ti.min((c + 1) * CLUSTER, count)):
                    v = my.point(a, first + i)[:3]
                    up = v.dot(local)
                    lower = up < height
                    deepest = where(lower, v, deepest)
                    row = where(lower, lane(HULL_HEAD + i), row)
                    height = where(lower, up, height)
        return deepest, row

    @ti.func
    def face_of(a: ti.template(), t, local: ti.template(), row):
        """The row of the face around a vertex whose normal is lowest along `local`."""
        first, out = my.touch(a, t, T_POINT0), lane()
        for j in range(lay.width):
            x, y, z = of_lane(local[0], j), of_lane(local[1], j), of_lane(local[2], j)
            at = ti.cast(my.point(a, first + ti.cast(of_lane(row, j), ti.i32))[3], ti.i32)
            best, lowest, last = FAR, at, 0
            while last == 0:
                face = my.point(a, first + at)
                up = face[0] * x + face[1] * y + face[2] * z
                if up < best:
                    best, lowest = up, at
                last = ti.cast(face[3], ti.i32)
                at += 2
            set_lane(out, j, ti.cast(lowest, lay.real))
        return out

    @ti.func
    def corner_of(a: ti.template(), t, face, k):
        """The k-th of the other corners that a face gives, and whether there is one."""
        first, corner, exists = my.touch(a, t, T_POINT0), lanes3(), lane()
        for j in range(lay.width):
            others = my.point(a, first + ti.cast(of_lane(face, j), ti.i32) + 1)
            i = ti.cast(others[0], ti.i32)
            if k == 2:
                i = ti.cast(others[1], ti.i32)
            elif k == 3:
                i = ti.cast(others[2], ti.i32)
            if i > 0:
                v = my.point(a, first + i)
                for c in ti.static(range(3)):
                    set_lane(corner[c], j, v[c])
                set_lane(exists, j, 1.0)
        return corner, exists

    def walk(visit):
        """A function that calls `visit(a, s, b, l, touching)` for every contact of link l that some environment of a
        block has."""

        @ti.func
        def walked(a: ti.template(), s, b, l):
            p, R = at.traced_at(a, s, b, l, POS), at.turned(a, s, b, l)
            world = at.traced_at(a, s, b, at.link(a, l, ROOT), ORIGIN)
            first = at.link(a, l, POINT0)
            for t in range(first, first + at.link(a, l, N_POINTS)):
                ground, margin, g = my.touch(a, t, T_GROUND), my.touch_number(a, t, T_MARGIN), my.touch(a, t, T_GEOM)
                middle = p + R @ my.geom(a, g, G_POS)[:3]
                reach = my.touch_number(a, t, T_REACH) + my.radius(a, b, g)
                if any_lane(gr.height(a, ground, world + middle) < reach):
                    kind, most = my.touch(a, t, T_KIND), my.touch(a, t, T_MOST)
                    A, half, taken = axes_of(a, g, R), half_lengths(a, b, t), lane()
                    local, deepest, row, face = lanes3(), lanes3(), lane(), lane()  # of a hull
                    if ti.static(features.hulls):
                        if kind == HULL:
                            _low, up = gr.surface(a, ground, world + p)
                            local += R.transpose() @ up
                            v, found = deepest_of(a, t, local)
                            deepest += v
                            row += found
                    for k in range(my.touch(a, t, T_N_POINTS)):
                        q, exists = my.point(a, my.touch(a, t, T_POINT0) + k), lane(1.0)
                        c = middle + A @ by_parts(q[:3], half)
                        if ti.static(features.hulls):
                            if kind == HULL:
                                v = copy(deepest)
                                if k > 0:
                                    exists = lane()
                                    if any_lane(taken > 0.5):
                                        if k == 1:
                                            face = face_of(a, t, local, row)
                                        v, exists = corner_of(a, t, face, k)
                                c = p + R @ v
                        D, n = gr.surface(a, ground, world + c)
                        s_ = support(a, b, t, k, R, n)
                        distance = D - s_.dot(n)
                        y = distance - margin
                        reached = y
                        if kind == BOX:  # corners beyond the middle do not count
                            reached = where(n.dot(c - middle) > 0.0, lane(1.0), y)
                        elif kind == CYLINDER and k > 0:  # others only with the lowest
                            reached = where(taken > 0.5, y, lane(1.0))
                        elif kind == HULL:
                            reached = where(exists > 0.5, y, lane(1.0))
                        on = (reached < 0.0) & (taken < most - 0.5)
                        if any_lane(on):
                            taken = where(on, taken + 1.0, taken)
                            visit(a, s, b, l, Touching(t, k, on, c, s_, n, distance, y))

        return walked

    return Functions(walk=walk, hint_of=hint_of, world_hint=world_hint, tangents=tangents, frame_adjoint=frame_adjoint,
                     place_adjoint=place_adjoint)  # fmt: skip
