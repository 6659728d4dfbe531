"""How a contact moves with geom B: the derivative of each case of `layout.CASES`, written once for all pairs of kinds.

Glossary: t, w displace B and turn it about its own centre; v = t + w x arm is the velocity of B's material at its
point, q = w x n that of a normal fixed in B; g… is the cotangent of …; x, d, n are place, distance, normal.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.layout import (
    CASE,
    CLIPPED_A,
    CLIPPED_B,
    DISTANCE,
    EDGES,
    FACES,
    FLAT,
    NORMAL,
    NUMBERS,
    PLACE,
    ROUNDS,
    SLIDE,
    SLIDING,
    U,
    V,
)


@per_runtime
def cases() -> Functions:
    lay = layout()
    real, vec3 = lay.real, lay.vec3

    @ti.func
    def vector(found: ti.template(), i):
        return vec3(found[i], found[i + 1], found[i + 2])

    @ti.func
    def put(found: ti.template(), i, v):
        for c in ti.static(range(3)):
            found[i + c] = v[c]

    @ti.func
    def write(found: ti.template(), at, place, normal, distance, case):
        """The outputs of a record, and its case."""
        put(found, at + PLACE, place)
        put(found, at + NORMAL, normal)
        found[at + DISTANCE] = distance
        found[at + CASE] = ti.cast(case, real)

    @ti.func
    def describe(found: ti.template(), at, u, v, a1, a2, b1, b2):
        """The vectors and numbers of a record's case."""
        put(found, at + U, u)
        put(found, at + V, v)
        found[at + ROUNDS] = a1
        found[at + ROUNDS + 1] = a2
        found[at + ROUNDS + 2] = b1
        found[at + ROUNDS + 3] = b2

    @ti.func
    def axis(j):
        """Unit vector along coordinate j."""
        e = vec3(0.0)
        for k in ti.static(range(3)):
            if j == k:
                e[k] = 1.0
        return e

    @ti.func
    def across(n):
        """A unit vector at right angles to a unit vector."""
        e = vec3(0.0, -n[2], n[1])
        if ti.abs(n[0]) > 0.6:
            e = vec3(n[2], 0.0, -n[0])
        return e.normalized()

    @ti.func
    def curve(radius):
        """A radius of curvature as a fraction (n, d): a slide of n s along the surface turns its normal by d s."""
        n, d = radius, ti.cast(1.0, real)
        if radius == FLAT:
            n, d = ti.cast(1.0, real), ti.cast(0.0, real)
        return n, d

    @ti.func
    def rolling(arm, n, d, ea, eb, radii, gx, gd, gn):
        """The point on A moves by Na s and the normal by Da s; the point on B, seen from B, by Nb r and the normal by
        -Db r. One normal: Da s + Db r = q. One line: Nb r = (Na + d Da) s - v, across n. So (Nb Da + Db (Na + d Da)) s
        = Nb q + Db v, and the place moves by (Na + d/2 Da) s + n (n . v) / 2. Coordinates of the tangent plane: along
        ea and n x ea. `arm`: from B's centre to B's point. Source: Montana (1988), kinematics of contact."""
        fa = n.cross(ea)
        c, s = ea.dot(eb), fa.dot(eb)
        na1, da1 = curve(radii[0])
        na2, da2 = curve(radii[1])
        nb1, db1 = curve(radii[2])
        nb2, db2 = curve(radii[3])
        n11, n12, n22 = nb1 * c * c + nb2 * s * s, (nb1 - nb2) * c * s, nb1 * s * s + nb2 * c * c
        d11, d12, d22 = db1 * c * c + db2 * s * s, (db1 - db2) * c * s, db1 * s * s + db2 * c * c
        m11, m12 = n11 * da1 + d11 * (na1 + d * da1), n12 * da2 + d12 * (na2 + d * da2)
        m21, m22 = n12 * da1 + d12 * (na1 + d * da1), n22 * da2 + d22 * (na2 + d * da2)
        det = m11 * m22 - m12 * m21
        y1, y2 = ti.cast(0.0, real), ti.cast(0.0, real)
        if ti.abs(det) > 1e-30:
            g1 = da1 * ea.dot(gn) + (na1 + 0.5 * d * da1) * ea.dot(gx)
            g2 = da2 * fa.dot(gn) + (na2 + 0.5 * d * da2) * fa.dot(gx)
            y1, y2 = (m22 * g1 - m21 * g2) / det, (m11 * g2 - m12 * g1) / det
        gq = (n11 * y1 + n12 * y2) * ea + (n12 * y1 + n22 * y2) * fa
        gv = (d11 * y1 + d12 * y2) * ea + (d12 * y1 + d22 * y2) * fa + (gd + 0.5 * n.dot(gx)) * n
        return gv, arm.cross(gv) + n.cross(gq)

    @ti.func
    def clipped(side, arm, n, d, keep, u, v, gx, gd, gn):
        """The face of A (side 1) or B (side -1) stands still and the other body's point y moves against it; then all
        moves with the face. `arm`: from B's centre to the place."""
        gy = gx + (side * gd - 0.5 * n.dot(gx)) * n
        g = keep * gy + u.dot(gy) * v
        shift, turn = side * g, side * (arm + 0.5 * side * d * n).cross(g)
        if side < 0.0:
            shift += gx
            turn += arm.cross(gx) + n.cross(gn)
        return shift, turn

    @ti.func
    def lowest(way, axis, radius, projected, g):
        """Derivative of g . point, of a point on the line of a round side that lies farthest along a unit vector `way`,
        by that vector: a point of the rim or, `projected`, of the rim's shadow of a sphere."""
        out = way - way.dot(axis) * axis
        by = radius * (g - g.dot(axis) * axis)
        if projected < 0.5:
            by = (by - by.dot(out) / out.dot(out) * out) / out.norm()
        return by

    @ti.func
    def faces(arm, n, d, keep, u, v, m, gx, gd, gn):
        """A's face, with normal m, stands still, and so does its plane, in which the foot of B's corner y moves. Normal
        n and distance, along it, turn with B. `arm`: from B's centre to the place."""
        gd_, height = gd + 0.5 * n.dot(gx), d / n.dot(m)
        gy = gx + (n.dot(m) * gd_ - m.dot(gx)) * m
        g = keep * gy + u.dot(gy) * v
        arm_y = arm - 0.5 * d * n + height * m
        return g, arm_y.cross(g) + n.cross(gn + 0.5 * d * gx + height * gd_ * m)

    @ti.func
    def edges(arm, n, gap, ea, eb, slides, gx, gd, gn):
        """The normal stays across both edges: it moves by (n x ea) (q . eb) / ((n x ea) . eb). A sliding point stays
        the one nearest to the other. `arm`: from B's centre to B's point."""
        fa = n.cross(ea)
        gq = eb * (fa.dot(gn + gd * gap) / fa.dot(eb))
        gv = gd * n + 0.5 * (gx + slides[0] * ea.dot(gx) * ea - slides[1] * eb.dot(gx) * eb)
        return gv, arm.cross(gv) + n.cross(gq) - 0.5 * slides[1] * eb.dot(gx) * eb.cross(gap)

    @ti.func
    def slopes(found: ti.template(), at, p, gx, gd, gn):
        """Derivative of gx . PLACE + gd DISTANCE + gn . NORMAL of the record at `at` by a displacement of B.

        gx, gn: (3), gd: real; p (3): B's centre. Returns the derivatives by a translation of B (3) and by a rotation
        vector of B about its own centre (3), world axes; and by the slide of A's point, in multiples of U. Which
        features touch is held fixed.
        """
        shift, turn, slide = vec3(0.0), vec3(0.0), ti.cast(0.0, real)
        gn_, again = gn, True
        of, gx_, gd_ = at, gx, gd
        while again:
            again = False
            arm, n, d = vector(found, of + PLACE) - p, vector(found, of + NORMAL), found[of + DISTANCE]
            u, v = vector(found, of + U), vector(found, of + V)
            r = ti.Vector([found[of + ROUNDS + c] for c in range(4)], real)
            case = ti.cast(found[of + CASE], ti.i32)
            by_shift, by_turn = vec3(0.0), vec3(0.0)
            if case == CLIPPED_A or case == CLIPPED_B:
                side = ti.cast(1.0, real)
                if case == CLIPPED_B:
                    side = ti.cast(-1.0, real)
                by_shift, by_turn = clipped(side, arm, n, d - r[3], r[0], u, v, gx_, gd_, gn_)
                if r[1] > 0.0:  # and then the contact whose normal says which line of the round side is the lowest
                    gy = gx_ + (side * gd_ - 0.5 * n.dot(gx_)) * n
                    single = of + ti.cast(found[of + SLIDE + 3], ti.i32) * NUMBERS
                    way = (0.0 - side) * vector(found, single + NORMAL)
                    gway = lowest(way, vector(found, of + SLIDE), r[1], r[2], r[0] * gy + u.dot(gy) * v)
                    if side > 0.0:
                        by_turn += gway.cross(way)
                    of, gx_, gd_, gn_, again = single, vec3(0.0), ti.cast(0.0, real), (0.0 - side) * gway, True
            elif case == FACES:
                by_shift, by_turn = faces(arm, n, d, r[0], u, v, vector(found, of + SLIDE), gx_, gd_, gn_)
            elif case == EDGES:
                gap = vector(found, of + SLIDE)
                by_shift, by_turn = edges(arm + 0.5 * gap, n, gap, u, v, r, gx_, gd_, gn_)
            else:
                tangent = u
                if case == SLIDING:
                    tangent = across(n)
                by_shift, by_turn = rolling(arm + 0.5 * d * n, n, d, tangent, v, r, gx_, gd_, gn_)
                if case == SLIDING:
                    slide = u.dot(gx_ - by_shift)
                    by_shift += slide * vector(found, of + SLIDE)
                    by_turn += slide * vector(found, of + SLIDE + 3)
            shift += by_shift
            turn += by_turn
        return shift, turn, slide

    return Functions(slopes=slopes, write=write, describe=describe, across=across, axis=axis, vector=vector, put=put,
                     curve=curve)  # fmt: skip
