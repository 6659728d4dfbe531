"""Where geoms touch each other: their contacts, and what place and frame of these do to the poses of both.

Which shapes touch, and with which features, differs from environment to environment: lanes are taken one by one
(`genesis.contact.narrow_phase`). Places are about the centre of the first geom, in world axes.
"""

from genesis.compiler import Composite, Functions, element, layout, per_runtime, ti, traced, value
from genesis.contact.narrow_phase import layout as slot
from genesis.contact.narrow_phase.finders import narrow_phase
from genesis.contact.narrow_phase.memory import Desk, needed
from genesis.math.lanes import Mat, Vec, lane, lanes3, of_lane, set_lane, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.layout import ORIGIN, PAIRS, POS, ROOT
from genesis.solvers.rigid.mujoco import indices as my
from genesis.solvers.rigid.mujoco.layout import (
    G_POS,
    G_X,
    G_Y,
    G_Z,
    NEITHER,
    OVAL,
    T_GEOM,
    T_GEOM_B,
    T_KIND,
    T_LINK,
    T_LINK_B,
    T_MARGIN,
    T_POINT0,
    T_REACH,
    Features,
)


class Posed(Composite):
    """Both geoms of a touch: centres from the origins of their trees; from the first centre to the second;
    rotations to the world."""

    def __init__(self, touch, ca, cb, p, Ra, Rb):
        self.touch, self.ca, self.cb, self.p, self.Ra, self.Rb = touch, ca, cb, p, Ra, Rb


class Met(Composite):
    """A contact of two geoms: their poses, its number; in which environments it is there; place, normal from the first
    to the second, distance less the margin."""

    def __init__(self, posed, k, on, place, n, y):
        self.posed, self.k, self.on, self.place, self.n, self.y = posed, k, on, place, n, y


@per_runtime
def bodies(features: Features) -> Functions:
    lay, na = layout(), narrow_phase(features.pairs)
    EDGE = 1e-9 if lay.real == ti.f64 else 1e-4  # part of a size within which a place is at the shape's edge

    @traced
    def desk(a, b):
        """What the narrow phase works on."""
        if not features.searches:
            return a
        reals, integers = needed(element(a.hull_ints, 0), ti.max)
        w, z = value(b * reals), value(b * integers)
        return Desk(a.hull_numbers, a.hull_ints, a.search, w, a.search_ints, z, a.found)

    @ti.func
    def one3(v: ti.template(), j):
        """Lane j of a vector."""
        return lay.vec3(of_lane(v[0], j), of_lane(v[1], j), of_lane(v[2], j))

    @ti.func
    def one33(m: ti.template(), j):
        """Lane j of a rotation."""
        x, y, z = one3(m.rows[0], j), one3(m.rows[1], j), one3(m.rows[2], j)
        return ti.Matrix.rows([x, y, z])

    @ti.func
    def found_at(a: ti.template(), b, j, t, k):
        """Of the first number of contact k of touch t in lane j."""
        records = my.touch(a, a.size[PAIRS] - 1, T_POINT0) + slot.MOST
        return ((b * lay.width + j) * records + my.touch(a, t, T_POINT0) + k) * slot.NUMBERS

    @ti.func
    def n_found_at(a: ti.template(), b, j, t):
        """Of the number of contacts of touch t in lane j."""
        return (b * lay.width + j) * a.size[PAIRS] + t

    @ti.func
    def frame(a: ti.template(), s, b, l, g):
        """Centre and rotation of a geom."""
        R = at.turned(a, s, b, l)
        own = Mat(my.geom(a, g, G_X)[:3], my.geom(a, g, G_Y)[:3], my.geom(a, g, G_Z)[:3]).transpose()
        return at.traced_at(a, s, b, l, POS) + R @ my.geom(a, g, G_POS)[:3], R @ own

    @ti.func
    def pose(a: ti.template(), s, b, t):
        l, m = my.touch(a, t, T_LINK), my.touch(a, t, T_LINK_B)
        ca, Ra = frame(a, s, b, l, my.touch(a, t, T_GEOM))
        cb, Rb = frame(a, s, b, m, my.touch(a, t, T_GEOM_B))
        apart = (at.traced_at(a, s, b, at.link(a, m, ROOT), ORIGIN)
                 - at.traced_at(a, s, b, at.link(a, l, ROOT), ORIGIN))  # fmt: skip
        return Posed(t, ca, cb, apart + cb - ca, Ra, Rb)

    @ti.func
    def reach_of(a: ti.template(), b, t):
        """Square of the distance of both centres at which the geoms of touch t may touch, with room for rounding."""
        radii = my.radius(a, b, my.touch(a, t, T_GEOM)) + my.radius(a, b, my.touch(a, t, T_GEOM_B))
        reach = 1.0001 * (radii + my.touch_number(a, t, T_REACH))
        return reach * reach

    @ti.func
    def find(a: ti.template(), s, b):
        """Contacts of all touches into `found`."""
        for t in range(a.size[PAIRS]):
            of, one, two = pose(a, s, b, t), my.touch(a, t, T_GEOM), my.touch(a, t, T_GEOM_B)
            near = of.p.dot(of.p) - reach_of(a, b, t)
            sizes_a, sizes_b = my.size(a, b, one), my.size(a, b, two)
            for j in range(lay.width):
                count = 0
                if of_lane(near, j) < 0.0:
                    size_a, size_b = one3(sizes_a, j), one3(sizes_b, j)
                    if ti.static(features.searches):
                        if a.hull_of[one] >= 0:
                            size_a[0] = ti.cast(a.hull_of[one], lay.real)
                        if a.hull_of[two] >= 0:
                            size_b[0] = ti.cast(a.hull_of[two], lay.real)
                    count = na.meet(desk(a, b), my.touch(a, t, T_KIND), found_at(a, b, j, t, 0), size_a, size_b,
                                    one3(of.p, j), one33(of.Ra, j), one33(of.Rb, j),
                                    my.touch_number(a, t, T_MARGIN))  # fmt: skip
                a.n_found[n_found_at(a, b, j, t)] = count

    @ti.func
    def counted(a: ti.template(), b, t):
        """How many contacts a touch has, by lanes and at most."""
        counts, most = lane(), 0
        for j in range(lay.width):
            count = a.n_found[n_found_at(a, b, j, t)]
            set_lane(counts, j, ti.cast(count, lay.real))
            most = ti.max(most, count)
        return counts, most

    @ti.func
    def take(a: ti.template(), b, t, k, counts):
        """In which environments contact k is there; its place, normal and distance."""
        none = lane()
        on = counts > ti.cast(k, lay.real) + 0.5
        place, n, distance = lanes3(), Vec(none, none, none + 1.0), lane(1.0)
        for j in range(lay.width):
            if of_lane(counts, j) > ti.cast(k, lay.real) + 0.5:
                i = found_at(a, b, j, t, k)
                for c in ti.static(range(3)):
                    set_lane(place[c], j, a.found[i + slot.PLACE + c])
                    set_lane(n[c], j, a.found[i + slot.NORMAL + c])
                set_lane(distance, j, a.found[i + slot.DISTANCE])
        return on, place, n, distance

    @ti.func
    def slopes(a: ti.template(), b, of: ti.template(), gplace: ti.template(), gdistance, gn: ti.template()):
        """Derivatives by rigid displacements of both geoms: shift and turn about its centre, of the first and of the
        second; and by the slide of the first's point. Moved together, they take the contact along."""
        po = of.posed
        shift, turn, there, slide = lanes3(), lanes3(), where(of.on, lane(1.0), lane()), lane()
        for j in range(lay.width):
            if of_lane(there, j) > 0.5:
                moved, turned, slid = na.slopes(a.found, found_at(a, b, j, po.touch, of.k), one3(po.p, j),
                                                one3(gplace, j), of_lane(gdistance, j), one3(gn, j))  # fmt: skip
                set_lane(slide, j, slid)
                for c in ti.static(range(3)):
                    set_lane(shift[c], j, moved[c])
                    set_lane(turn[c], j, turned[c])
        total = of.place.cross(gplace) + of.n.cross(gn)
        return gplace - shift, total - turn - po.p.cross(shift), shift, turn, slide

    @ti.func
    def side(x, half):
        """1 or -1 where x is at the end of -half … half, else 0."""
        none = lane()
        return where(x > half * (1.0 - EDGE), none + 1.0, where(x < half * (EDGE - 1.0), none - 1.0, none))

    @ti.func
    def size_adjoint(a: ti.template(), b, g, R: ti.template(), x: ti.template(), out: ti.template(),
                     shift: ti.template()):  # fmt: skip
        """Subtracts cotangents of a geom's sizes, from that of its shift: a size moves the features of the shape that
        it belongs to like a rigid body. They are found from where the surface touches, at x from the centre in world
        axes, with its normal `out`."""
        sizes, about, along = my.size(a, b, g), my.geom(a, g, G_X)[3], my.geom(a, g, G_Y)[3]
        own, asked = R.transpose() @ (x - (about * sizes[0]) * out), R.transpose() @ shift
        none, form = lane(), NEITHER
        if ti.static(features.searches):
            form = a.hull_of[g]
        if form == OVAL:  # the point that has a normal moves, and the surface with it
            nu = R.transpose() @ out
            y = Vec(sizes[0] * nu[0], sizes[1] * nu[1], sizes[2] * nu[2])
            h2 = y.dot(y)
            total = (sizes[0] * y[0] * asked[0] + sizes[1] * y[1] * asked[1] + sizes[2] * y[2] * asked[2]) / h2
            for c in ti.static(range(3)):
                by = (2.0 * y[c] * asked[c] - y[c] * nu[c] * total) / ti.sqrt(h2)
                at.increase(a.gmodel, at.block(a, b, "size", g, c), 0.0 - by)
        elif form == NEITHER and about + along < 0.5:
            for c in ti.static(range(3)):
                at.increase(a.gmodel, at.block(a, b, "size", g, c), 0.0 - side(own[c], sizes[c]) * asked[c])
        elif form == NEITHER:
            by_radius = (0.0 - about) * out.dot(shift)
            if about < 0.5:
                away = ti.sqrt(own[0] * own[0] + own[1] * own[1])
                on = away > sizes[0] * (1.0 - EDGE)
                across = (own[0] * asked[0] + own[1] * asked[1]) / where(on, away, none + 1.0)
                by_radius = by_radius - where(on, across, none)
            at.increase(a.gmodel, at.block(a, b, "size", g, 0), by_radius)
            at.increase(a.gmodel, at.block(a, b, "size", g, 1), (0.0 - along) * side(own[2], sizes[1]) * asked[2])

    def walk(visit):
        """A function that calls `visit(a, s, b, met)` for every contact of two geoms that some environment of a block
        has, from what `find` has found."""

        @ti.func
        def walked(a: ti.template(), s, b):
            for t in range(a.size[PAIRS]):
                counts, most = counted(a, b, t)
                if most > 0:
                    posed = pose(a, s, b, t)
                    for k in range(most):
                        on, place, n, distance = take(a, b, t, k, counts)
                        visit(a, s, b, Met(posed, k, on, place, n, distance - my.touch_number(a, t, T_MARGIN)))

        return walked

    @ti.func
    def sizes_adjoint(a: ti.template(), b, of: ti.template(), distance, shift_a: ti.template(), shift_b: ti.template(),
                      slide):  # fmt: skip
        """The same of both geoms of a contact, at a distance of their surfaces. What sizes do to the point of A that
        slides is in the records."""
        po, half = of.posed, 0.5 * distance
        t = po.touch
        one, two = my.touch(a, t, T_GEOM), my.touch(a, t, T_GEOM_B)
        slid, by_size, by_half = lanes3(), lanes3(), lane()
        if ti.static(("capsule", "box") in features.pairs):
            for j in range(lay.width):
                g = of_lane(slide, j)
                if g != 0.0:
                    i = found_at(a, b, j, t, of.k)
                    for c in ti.static(range(3)):
                        set_lane(slid[c], j, g * a.found[i + slot.SLIDE + c])
                        set_lane(by_size[c], j, g * a.found[i + slot.SIZES + c])
                    set_lane(by_half, j, g * a.found[i + slot.SIZES + 3])
            for c in ti.static(range(3)):
                at.increase(a.gmodel, at.block(a, b, "size", two, c), 0.0 - by_size[c])
            at.increase(a.gmodel, at.block(a, b, "size", one, 1), 0.0 - by_half)
        size_adjoint(a, b, one, po.Ra, of.place - half * of.n, of.n, shift_a + slid)
        size_adjoint(a, b, two, po.Rb, of.place + half * of.n - po.p, -of.n, shift_b - slid)

    return Functions(find=find, walk=walk, slopes=slopes, sizes_adjoint=sizes_adjoint)
