"""Contact between bodies: sample points of one body against the shape of another. Explicit, unlike the ground's.

A sample is a sphere on body a (radius 0 for a box's), at x; the shape of body b says how deep x is and along which
normal n. Normal force and friction follow the ground's law, all at the old velocity: N(u) = k psi(depth) g(1 - d u),
with the two stiffnesses in series; what cannot move does not give way. Of two boxes, b's face is the one with the
largest separation, the same for all samples; a sample fades out just beyond the rim of that face. Kinks: where the
nearest face, the clamping of a capsule's segment, or the touching of a sample changes; jumps: where the nearest face
does.

Which face is nearest and which sample touches differ from environment to environment, so lanes are taken one by one.

Rows of `shape`, which `pair` points to. Law: (factor on k, d, smoothing, friction velocity). Shape: (centre, kind),
quaternion, (size, bound). Samples: (centre in the link, radius).
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.lanes import Mat, Vec, absolute, of_lane
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.ground import ContactLaw, grounds, larger, share
from genesis.solvers.rigid.layout import (
    BN,
    BV,
    BW,
    GEOM_A,
    GEOM_B,
    GIVES_A,
    GIVES_B,
    LAW,
    LINK_A,
    LINK_B,
    N_SAMPLES,
    NEEDED,
    NU,
    ORIGIN,
    PAIRS,
    POS,
    ROOT,
    SAMPLE0,
    SHAPE_A,
    SHAPE_B,
    VELOCITY,
    Features,
)  # fmt: skip
from genesis.solvers.rigid.spatial import Spatial, quaternion_matrix, ramp

ROUND, BOX = range(2)
"""Kinds of shapes: a capsule (size: radius, half length), of which a sphere is one; a box (size: half edges)."""


@per_runtime
def pairs(features: Features) -> Functions:
    lay, gr = layout(), grounds(features)

    # Numbers, vectors and rotations of one lane.

    @ti.func
    def number(array: ti.template(), i, lane):
        return of_lane(array[i], lane)

    @ti.func
    def add(array: ti.template(), i, lane, by):
        if ti.static(lay.width == 1):
            array[i] = array[i] + by
        else:
            array[i][lane] = array[i][lane] + by

    @ti.func
    def vector(a: ti.template(), array: ti.template(), i, lane):
        step = at.step(a)
        return Vec(number(array, i, lane), number(array, i + step, lane), number(array, i + 2 * step, lane))

    @ti.func
    def motion(a: ti.template(), array: ti.template(), i, lane):
        return Spatial(vector(a, array, i, lane), vector(a, array, i + 3 * at.step(a), lane))

    @ti.func
    def add6(a: ti.template(), array: ti.template(), i, lane, v: ti.template()):
        step = at.step(a)
        for c in ti.static(range(3)):
            add(array, i + c * step, lane, v.w[c])
        for c in ti.static(range(3)):
            add(array, i + (3 + c) * step, lane, v.v[c])

    @ti.func
    def zeros():
        return Vec(ti.cast(0.0, lay.real), ti.cast(0.0, lay.real), ti.cast(0.0, lay.real))

    @ti.func
    def sign(x):
        return ti.cast(x > 0.0, lay.real) - ti.cast(x < 0.0, lay.real)

    @ti.func
    def shape_pose(a: ti.template(), s, b, lane, l, first):
        """Link's position and rotation, shape's centre and rotation, all about the tree's origin, and that origin."""
        o = vector(a, a.trace, at.trace_at(a, s, b, at.link(a, l, ROOT), ORIGIN), lane)
        p = vector(a, a.trace, at.trace_at(a, s, b, l, POS), lane)
        i, step = at.rot_at(a, s, b, l), at.step(a)
        R = Mat(*[vector(a, a.rot, i + 3 * r * step, lane) for r in range(3)])
        return p, R, p + R @ at.row(a.shape, first)[:3], R @ quaternion_matrix(at.row(a.shape, first + 1)), o

    @ti.func
    def velocity(a: ti.template(), s, b, l, lane):
        return motion(a, a.trace, at.trace_at(a, s, b, l, VELOCITY), lane)

    @ti.func
    def virtual(a: ti.template(), b, l, lane):
        return motion(a, a.back, at.back_at(a, b, l, NU), lane)

    @ti.func
    def face(between: ti.template(), Qa: ti.template(), ha: ti.template(), Qb: ti.template(), hb: ti.template()):
        """The face of box b that is farthest from box a: its outward normal. `between`: from b's centre to a's."""
        local, turned = Qb.transpose() @ between, Qb.transpose() @ Qa
        seen = Vec(absolute(turned.rows[0]).dot(ha), absolute(turned.rows[1]).dot(ha), absolute(turned.rows[2]).dot(ha))
        gap = absolute(local) - hb - seen
        n, widest = zeros(), gap.max()
        for k in ti.static(range(3)):
            if n.dot(n) == 0.0 and gap[k] == widest:
                n[k] = 1.0
                if local[k] < 0.0:
                    n[k] = -1.0
        return n

    @ti.func
    def probe(y: ti.template(), kind, h: ti.template(), radius, normal: ti.template(), rim):
        """Depth of a sphere at y in the shape's frame, normal, whether each coordinate bends the normal, 1 / (distance
        to what it bends about), weight and the weight's gradient. `normal`: of the face to use, else zero."""
        depth, curvature, weight = ti.cast(0.0, lay.real), ti.cast(0.0, lay.real), ti.cast(1.0, lay.real)
        n, bends, slope = zeros(), zeros(), zeros()
        n += normal
        if kind == ROUND:
            t = ti.min(ti.max(y[2], -h[1]), h[1])
            v = Vec(y[0], y[1], y[2] - t)
            distance = ti.max(v.norm(), 1e-9)
            n = v / distance
            depth = radius + h[0] - distance
            curvature = 1.0 / distance
            bends[0], bends[1] = 1.0, 1.0
            if ti.abs(y[2]) > h[1]:
                bends[2] = 1.0
        else:
            q = absolute(y) - h
            highest = q.max()
            if normal.dot(normal) > 0.0:
                depth = h.dot(absolute(n)) - n.dot(y)
                for k in ti.static(range(3)):
                    if n[k] == 0.0:
                        inside, dinside, _dd = ramp(2.0 * rim - q[k], rim)
                        outside, doutside, _do = ramp(rim - q[k], rim)
                        slope *= (inside - outside) / rim
                        slope[k] = -sign(y[k]) * weight * (dinside - doutside) / rim
                        weight *= (inside - outside) / rim
            elif highest > 0.0:
                out = Vec(ti.max(q[0], 0.0), ti.max(q[1], 0.0), ti.max(q[2], 0.0))
                distance = out.norm()
                n = Vec(sign(y[0]), sign(y[1]), sign(y[2])) * out / distance
                depth = radius - distance
                curvature = 1.0 / distance
                bends = Vec(sign(out[0]), sign(out[1]), sign(out[2]))
            else:
                depth = radius - highest
                for k in ti.static(range(3)):
                    if n.dot(n) == 0.0 and q[k] == highest:
                        n[k] = 1.0
                        if y[k] < 0.0:
                            n[k] = -1.0
        return depth, n, bends, curvature, weight, slope

    @ti.func
    def constants(a: ti.template(), b, lane, i):
        """Stiffness, friction and the other numbers of pair i's law."""
        numbers = at.row(a.shape, at.paired(a, i, LAW))
        ka = number(a.model, at.block(a, b, "contact_stiffness", at.paired(a, i, GIVES_A)), lane)
        kb = number(a.model, at.block(a, b, "contact_stiffness", at.paired(a, i, GIVES_B)), lane)
        mu = larger(number(a.model, at.block(a, b, "friction", at.paired(a, i, GEOM_A)), lane),
                    number(a.model, at.block(a, b, "friction", at.paired(a, i, GEOM_B)), lane))  # fmt: skip
        return numbers[0] * ka * kb / (ka + kb), mu, numbers

    @ti.func
    def contact_force(a: ti.template(), s, b, i, lane):
        """Takes the pairs' forces off the forces that links need, in `work`."""
        la, sa = at.paired(a, i, LINK_A), at.paired(a, i, SHAPE_A)
        lb, sb = at.paired(a, i, LINK_B), at.paired(a, i, SHAPE_B)
        pa, Ra, xa, Qa, oa = shape_pose(a, s, b, lane, la, sa)
        pb, Rb, xb, Qb, ob = shape_pose(a, s, b, lane, lb, sb)
        ha, hb, apart = at.row(a.shape, sa + 2), at.row(a.shape, sb + 2), oa - ob
        if (xa + apart - xb).norm() < ha[3] + hb[3]:
            va, vb = velocity(a, s, b, la, lane), velocity(a, s, b, lb, lane)
            k, mu, numbers = constants(a, b, lane, i)
            kind, normal = ti.cast(at.row(a.shape, sb)[3], ti.i32), zeros()
            if kind == BOX and at.row(a.shape, sa)[3] > 0.5:
                normal = face(xa + apart - xb, Qa, ha[:3], Qb, hb[:3])
            f, ta, tb = zeros(), zeros(), zeros()
            start = at.paired(a, i, SAMPLE0)
            for c in range(start, start + at.paired(a, i, N_SAMPLES)):
                sample = at.row(a.shape, c)
                x = pa + Ra @ sample[:3]
                depth, local, _bends, _curvature, weight, _slope = probe(
                    Qb.transpose() @ (x + apart - xb), kind, hb[:3], sample[3], normal, 4.0 * numbers[2]
                )
                if depth > -numbers[2] and weight > 0.0:
                    n = Qb @ local
                    ra = x - sample[3] * n
                    rb = ra + apart
                    V = va.v + va.w.cross(ra) - vb.v - vb.w.cross(rb)
                    law = ContactLaw(weight * k, numbers[1], numbers[2], mu, numbers[3], 0.0, 0.0, 0.0)
                    N, damping, friction = gr.coefficients(depth, V, n, law, 1.0)
                    F = gr.force(N, damping, friction, n, V, V)
                    f += F
                    ta += ra.cross(F)
                    tb += rb.cross(F)
            for l, way, t in ti.static(((la, -1.0, ta), (lb, 1.0, tb))):
                add6(a, a.work, at.work_at(a, b, l, NEEDED), lane, Spatial(way * t, way * f))

    @ti.func
    def contact_force_adjoint(a: ti.template(), s, b, i, lane):
        """Adds the pairs' part of the virtual power's derivatives to both links' sums."""
        la, sa = at.paired(a, i, LINK_A), at.paired(a, i, SHAPE_A)
        lb, sb = at.paired(a, i, LINK_B), at.paired(a, i, SHAPE_B)
        pa, Ra, xa, Qa, oa = shape_pose(a, s, b, lane, la, sa)
        pb, Rb, xb, Qb, ob = shape_pose(a, s, b, lane, lb, sb)
        ha, hb, apart = at.row(a.shape, sa + 2), at.row(a.shape, sb + 2), oa - ob
        if (xa + apart - xb).norm() < ha[3] + hb[3]:
            va, vb = velocity(a, s, b, la, lane), velocity(a, s, b, lb, lane)
            k, mu, numbers = constants(a, b, lane, i)
            kind, normal = ti.cast(at.row(a.shape, sb)[3], ti.i32), zeros()
            if kind == BOX and at.row(a.shape, sa)[3] > 0.5:
                normal = face(xa + apart - xb, Qa, ha[:3], Qb, hb[:3])
            na, nb = virtual(a, b, la, lane), virtual(a, b, lb, lane)
            f, ta, tb, gv, gva, gvb = zeros(), zeros(), zeros(), zeros(), zeros(), zeros()
            wa, wta, wb, wtb = zeros(), zeros(), zeros(), zeros()
            gk_sum, gmu_sum = ti.cast(0.0, lay.real), ti.cast(0.0, lay.real)
            start = at.paired(a, i, SAMPLE0)
            for c in range(start, start + at.paired(a, i, N_SAMPLES)):
                sample = at.row(a.shape, c)
                x = pa + Ra @ sample[:3]
                depth, local, bends, curvature, weight, slope = probe(
                    Qb.transpose() @ (x + apart - xb), kind, hb[:3], sample[3], normal, 4.0 * numbers[2]
                )
                if depth > -numbers[2] and weight > 0.0:
                    n = Qb @ local
                    ra = x - sample[3] * n
                    rb = ra + apart
                    V = va.v + va.w.cross(ra) - vb.v - vb.w.cross(rb)
                    N = na.v + na.w.cross(ra) - nb.v - nb.w.cross(rb)
                    law = ContactLaw(weight * k, numbers[1], numbers[2], mu, numbers[3], 0.0, 0.0, 0.0)
                    F, gdepth, gV, gU, gn, gmu, gk = gr.power_adjoint(depth, N, V, V, n, law, 1.0)
                    gV += gU
                    gr_ = gV.cross(va.w - vb.w) - F.cross(na.w - nb.w)
                    gn -= sample[3] * gr_
                    # the normal turns with b, and bends with the sample's place in b
                    gn_local = Qb.transpose() @ gn
                    moved = Qb @ (curvature * bends * (gn_local - local.dot(gn_local) * local) - gdepth * local
                                  + (gk / weight) * slope)  # fmt: skip
                    f -= F
                    ta -= ra.cross(F)
                    tb -= rb.cross(F)
                    gv += gV
                    gva += ra.cross(gV)
                    gvb += rb.cross(gV)
                    wa += gr_ + moved
                    wta += x.cross(gr_ + moved)
                    wb += moved
                    wtb += (x + apart).cross(moved) - n.cross(gn)
                    gk_sum += gk
                    gmu_sum += gmu
            for l, way, t, g, w, wt in ti.static(((la, 1.0, ta, gva, wa, wta), (lb, -1.0, tb, gvb, wb, wtb))):
                add6(a, a.back, at.back_at(a, b, l, BN), lane, Spatial(way * t, way * f))
                add6(a, a.back, at.back_at(a, b, l, BV), lane, Spatial(way * g, way * gv))
                add6(a, a.back, at.back_at(a, b, l, BW), lane, Spatial(way * wt, way * w))
            ia = at.block(a, b, "contact_stiffness", at.paired(a, i, GIVES_A))
            ib = at.block(a, b, "contact_stiffness", at.paired(a, i, GIVES_B))
            ka, kb = number(a.model, ia, lane), number(a.model, ib, lane)
            add(a.gmodel, ia, lane, -gk_sum * kb / (ka * (ka + kb)))
            add(a.gmodel, ib, lane, -gk_sum * ka / (kb * (ka + kb)))
            fa, fb = (
                at.block(a, b, "friction", at.paired(a, i, GEOM_A)),
                at.block(a, b, "friction", at.paired(a, i, GEOM_B)),
            )
            own = share(number(a.model, fa, lane), number(a.model, fb, lane))
            add(a.gmodel, fa, lane, -own * gmu_sum)
            add(a.gmodel, fb, lane, (own - 1.0) * gmu_sum)

    @ti.func
    def contact_forces(a: ti.template(), s, b):
        """Takes the pairs' forces off the forces that links need, in `work`."""
        for i, lane in ti.ndrange(a.size[PAIRS], lay.width):
            contact_force(a, s, b, i, lane)

    @ti.func
    def contact_forces_adjoint(a: ti.template(), s, b):
        """Adds the pairs' part of the virtual power's derivatives to both links' sums."""
        for i, lane in ti.ndrange(a.size[PAIRS], lay.width):
            contact_force_adjoint(a, s, b, i, lane)

    return Functions(contact_forces=contact_forces, contact_forces_adjoint=contact_forces_adjoint)
