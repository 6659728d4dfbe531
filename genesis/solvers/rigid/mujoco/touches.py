"""Where geoms touch grounds: MuJoCo's contact points, and what their place and frame do to the geom's pose.

A contact has a distance between the surfaces, a normal n out of the ground, a place r half way between the surfaces,
and two tangents. With c a centre that is fixed to the link, D(c) its distance from the ground, and s the vector from
the geom's lowest point to c:

    distance = D(c) - s.n      r = c - s - n distance / 2      t1 = hint, made orthogonal to n      t2 = n x t1

The hint is the axis of a capsule, unless that stands on its end; else an axis of the world.
"""

from genesis.compiler import Composite, Functions, layout, per_runtime, ti
from genesis.math.lanes import Vec, absolute, any_lane, lane, lanes3, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.ground import grounds
from genesis.solvers.rigid.layout import N_POINTS, ORIGIN, POINT0, POS, ROOT
from genesis.solvers.rigid.mujoco import indices as my
from genesis.solvers.rigid.mujoco.layout import (
    BOX,
    CYLINDER,
    ELLIPSOID,
    G_DIAGONAL,
    G_OFF,
    G_POS,
    G_X,
    G_Z,
    HULL,
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
from genesis.solvers.rigid.spatial import times

APART = 0.3
"""Distance of a hull's other contacts from its deepest vertex, in times its radius, at least."""
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
    def cylinder_frame(a: ti.template(), g, R: ti.template(), n: ti.template()):
        """Its axis towards the ground, the vector to its lowest rim, that vector's unscaled length, and 1 if flat."""
        axis = R @ my.geom(a, g, G_Z)[:3]
        none = lane()
        u = where(axis.dot(n) > 0.0, none - 1.0, none + 1.0) * axis
        w = u.dot(n) * u - n
        length = w.norm()
        flat = length < PARALLEL
        radius = my.geom(a, g, G_POS)[3]
        rim = where(flat, R @ my.geom(a, g, G_X)[:3], w / where(flat, none + 1.0, length))
        return u, radius * rim, length, flat

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
    def support(a: ti.template(), t, k, R: ti.template(), n: ti.template()):
        """s of the k-th point of touch t."""
        s = my.point(a, my.touch(a, t, T_POINT0) + k)[3] * n
        if ti.static(features.curved):
            kind, g = my.touch(a, t, T_KIND), my.touch(a, t, T_GEOM)
            if kind == ELLIPSOID:
                local = R.transpose() @ n
                m = times(my.geom(a, g, G_DIAGONAL)[:3], my.geom(a, g, G_OFF)[:3], local)
                s += (R @ m) / ti.sqrt(local.dot(m))
            elif kind == CYLINDER:
                u, rim, _length, _flat = cylinder_frame(a, g, R, n)
                along, out, aside = cylinder_point(k)
                side = rim.cross(u)
                half = my.geom(a, g, G_X)[3]
                s -= (along * half) * u + out * rim + (aside * 0.8660254037844386) * side
        return s

    @ti.func
    def support_adjoint(a: ti.template(), t, k, R: ti.template(), n: ti.template(), s: ti.template(),
                        gs: ti.template()):  # fmt: skip
        """Cotangents of the link's rotation vector and of n from that of s."""
        gturn, gn = lanes3(), my.point(a, my.touch(a, t, T_POINT0) + k)[3] * gs
        if ti.static(features.curved):
            kind, g = my.touch(a, t, T_KIND), my.touch(a, t, T_GEOM)
            if kind == ELLIPSOID:
                length = s.dot(n)
                Eg = R @ times(my.geom(a, g, G_DIAGONAL)[:3], my.geom(a, g, G_OFF)[:3], R.transpose() @ gs)
                gn += (Eg - s.dot(gs) * s) / length
                gturn += s.cross(gs) - n.cross(Eg) / length - (s.dot(gs) / length) * s.cross(n)
            elif kind == CYLINDER:
                u, rim, length, flat = cylinder_frame(a, g, R, n)
                along, out, aside = cylinder_point(k)
                half, radius = my.geom(a, g, G_X)[3], my.geom(a, g, G_POS)[3]
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
        return gturn, gn

    @ti.func
    def centre_of(a: ti.template(), t, k, p: ti.template(), R: ti.template()):
        return p + R @ my.point(a, my.touch(a, t, T_POINT0) + k)[:3]

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
    def place_adjoint(a: ti.template(), R: ti.template(), world: ti.template(), of: ti.template(), hint: ti.template(),
                      g: ti.template()):  # fmt: skip
        """Cotangents of a rigid displacement of the link, about the tree's origin, from `Slopes`: turn and shift."""
        n, gr_ = of.n, g.place
        gn_all, ghint = frame_adjoint(n, hint, g)
        gturn = lanes3()
        if my.geom(a, my.touch(a, of.touch, T_GEOM), G_Z)[3] > 0.5:
            gturn += hint.cross(ghint)
        gd = g.distance - 0.5 * n.dot(gr_)
        gs = -gr_ - gd * n
        gn_all -= (0.5 * of.distance) * gr_ + gd * of.s
        turned, gn_s = support_adjoint(a, of.touch, of.point, R, n, of.s, gs)
        gc = gr_ + gr.surface_adjoint(a, my.touch(a, of.touch, T_GROUND), world + of.c, gd, gn_all + gn_s)
        gturn += turned + of.c.cross(gc)
        return gturn, gc

    @ti.func
    def vertex_of(a: ti.template(), t, k, p: ti.template(), R: ti.template(), n: ti.template(), low, margin):
        """Of a hull over a ground with normal n, whose centre is `low` above it: where its deepest vertex is, or, in
        their order, the k-th of the other vertices within the margin and away from that; and whether there is one."""
        first, count, none = my.touch(a, t, T_POINT0), my.touch(a, t, T_CORNERS), lane()
        deepest, best = lanes3(), lane(FAR)
        for i in range(first, first + count):
            v = R @ my.point(a, i)[:3]
            height = v.dot(n)
            best_yet = height < best
            deepest = where(best_yet, v, deepest)
            best = where(best_yet, height, best)
        chosen, found = lanes3(), lane()
        if k == 0:
            chosen += deepest
            found += 1.0
        else:
            radius, seen = my.geom(a, my.touch(a, t, T_GEOM), G_DIAGONAL)[0], lane()
            for i in range(first, first + count):
                v = R @ my.point(a, i)[:3]
                off = v - deepest
                fits = (v.dot(n) + low < margin) & (off.dot(off) > (APART * radius) * (APART * radius))
                seen = where(fits, seen + 1.0, seen)
                now = fits & (found < 0.5) & (seen > ti.cast(k, lay.real) - 0.5)
                chosen = where(now, v, chosen)
                found = where(now, none + 1.0, found)
        return p + chosen, found

    def walk(visit):
        """A function that calls `visit(a, s, b, l, touching)` for every contact of link l that some environment of a
        block has."""

        @ti.func
        def walked(a: ti.template(), s, b, l):
            p, R = at.traced_at(a, s, b, l, POS), at.turned(a, s, b, l)
            world = at.traced_at(a, s, b, at.link(a, l, ROOT), ORIGIN)
            first = at.link(a, l, POINT0)
            for t in range(first, first + at.link(a, l, N_POINTS)):
                ground, margin = my.touch(a, t, T_GROUND), my.touch_number(a, t, T_MARGIN)
                middle = p + R @ my.geom(a, my.touch(a, t, T_GEOM), G_POS)[:3]
                if any_lane(gr.height(a, ground, world + middle) < my.touch_number(a, t, T_REACH)):
                    kind, most = my.touch(a, t, T_KIND), my.touch(a, t, T_MOST)
                    taken = lane()
                    for k in range(my.touch(a, t, T_N_POINTS)):
                        c, exists = centre_of(a, t, k, p, R), lane(1.0)
                        if ti.static(features.hulls):
                            if kind == HULL:
                                low, up = gr.surface(a, ground, world + p)
                                c, exists = vertex_of(a, t, k, p, R, up, low, margin)
                        D, n = gr.surface(a, ground, world + c)
                        s_ = support(a, t, k, R, n)
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
