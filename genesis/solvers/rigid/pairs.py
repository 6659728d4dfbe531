"""Contact between bodies: sample points of one body against the shape of another. Explicit, unlike the ground's.

A sample is a sphere on body a (radius 0 for a box's), at x; the shape of body b says how deep x is and along which
normal n. Normal force and friction follow the ground's law, all at the old velocity: N(u) = k psi(depth) g(1 - d u),
with the two stiffnesses in series; what cannot move does not give way. Of two boxes, b's face is the one with the
largest separation, the same for all samples; a sample fades out just beyond the rim of that face. Kinks: where the
nearest face, the clamping of a capsule's segment, or the touching of a sample changes; jumps: where the nearest face
does.

Which face is nearest and which sample touches differ from environment to environment, so lanes are taken one by one.

    pair   I1  per pair `PAIR_INTS`
    shape  A1  rows of four, addressed by `pair`. Law: (factor on k, d, smoothing, friction velocity). Shape: (centre,
               kind), quaternion, (size, bound). Samples: (centre in the link, radius)
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.lanes import Mat, Vec, absolute, of_lane
from genesis.solvers.rigid.adjoint import BNL, BNW, BVL, BVW, NL, NW, WF, WT, adjoint
from genesis.solvers.rigid.ground import grounds
from genesis.solvers.rigid.kinematics import FL, FT, WORK
from genesis.solvers.rigid.layout import (
    LINKS,
    ORIGIN,
    PAIRS,
    POS,
    ROOT,
    VL,
    VW,
    Features,
    indices,
)  # fmt: skip
from genesis.solvers.rigid.spatial import quaternion_matrix, ramp

PAIR_INTS = 9
LINK_A, LINK_B, LAW, SHAPE_A, SHAPE_B, SAMPLE0, N_SAMPLES, GIVES_A, GIVES_B = range(PAIR_INTS)
"""GIVES_A, GIVES_B: the links whose stiffnesses are in series. Where one body cannot move both are the other's, and the
factor on k is twice as large: k is that of the mover alone, and so is its gradient."""
ROUND, BOX = range(2)
"""Kinds of shapes: a capsule (size: radius, half length), of which a sphere is one; a box (size: half edges)."""


@per_runtime
def pairs(features: Features) -> Functions:
    lay, at, gr = layout(), indices(), grounds(features)
    ad = adjoint(features)

    # Numbers, vectors and rotations of one lane.

    @ti.func
    def number(a: ti.template(), i, lane):
        return of_lane(a[i], lane)

    @ti.func
    def add(a: ti.template(), i, lane, by):
        if ti.static(lay.width == 1):
            a[i] = a[i] + by
        else:
            a[i][lane] = a[i][lane] + by

    @ti.func
    def vector(a: ti.template(), i, lane, size: ti.template()):
        step = at.step(size)
        return Vec(number(a, i, lane), number(a, i + step, lane), number(a, i + 2 * step, lane))

    @ti.func
    def add3(a: ti.template(), i, lane, v: ti.template(), size: ti.template()):
        for c in ti.static(range(3)):
            add(a, i + c * at.step(size), lane, v[c])

    @ti.func
    def zeros():
        return Vec(ti.cast(0.0, lay.real), ti.cast(0.0, lay.real), ti.cast(0.0, lay.real))

    @ti.func
    def sign(x):
        return ti.cast(x > 0.0, lay.real) - ti.cast(x < 0.0, lay.real)

    @ti.func
    def shape_pose(s, b, lane, l, first, size: ti.template(), tree: ti.template(), shape: ti.template(),
                   trace: ti.template(), rot: ti.template()):  # fmt: skip
        """Link's position and rotation, shape's centre and rotation, all about the tree's origin, and that origin."""
        o = vector(trace, at.trace_at(s, b, tree[at.link_int(l, ROOT)], ORIGIN, size), lane, size)
        p = vector(trace, at.trace_at(s, b, l, POS, size), lane, size)
        i, step = at.item(s, b, 9 * l, 9 * size[LINKS], size), at.step(size)
        R = Mat(*[vector(rot, i + 3 * r * step, lane, size) for r in range(3)])
        return p, R, p + R @ at.row(shape, first)[:3], R @ quaternion_matrix(at.row(shape, first + 1)), o

    @ti.func
    def velocity(trace: ti.template(), s, b, l, lane, size: ti.template()):
        return (vector(trace, at.trace_at(s, b, l, VW, size), lane, size),
                vector(trace, at.trace_at(s, b, l, VL, size), lane, size))  # fmt: skip

    @ti.func
    def virtual(back: ti.template(), b, l, lane, size: ti.template()):
        return (vector(back, ad.back_at(b, l, NW, size), lane, size),
                vector(back, ad.back_at(b, l, NL, size), lane, size))  # fmt: skip

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
    def constants(b, lane, first, la, lb, size: ti.template(), model: ti.template(), shape: ti.template(),
                  pair: ti.template()):  # fmt: skip
        """Stiffness, friction and the other numbers of a pair's law."""
        numbers = at.row(shape, pair[first + LAW])
        ka = number(model, at.parameter(b, 8 * size[LINKS] + pair[first + GIVES_A], size), lane)
        kb = number(model, at.parameter(b, 8 * size[LINKS] + pair[first + GIVES_B], size), lane)
        mu = gr.pair_friction(number(model, at.parameter(b, 7 * size[LINKS] + la, size), lane),
                              number(model, at.parameter(b, 7 * size[LINKS] + lb, size), lane))  # fmt: skip
        return numbers[0] * ka * kb / (ka + kb), mu, numbers

    @ti.func
    def push_one(s, b, i, lane, size: ti.template(), tree: ti.template(), pair: ti.template(), shape: ti.template(),
                 model: ti.template(), trace: ti.template(), rot: ti.template(), work: ti.template()):  # fmt: skip
        """Takes the pairs' forces off the forces that links need, in `work`."""
        first = PAIR_INTS * i
        la, lb, sa, sb = pair[first + LINK_A], pair[first + LINK_B], pair[first + SHAPE_A], pair[first + SHAPE_B]
        pa, Ra, xa, Qa, oa = shape_pose(s, b, lane, la, sa, size, tree, shape, trace, rot)
        pb, Rb, xb, Qb, ob = shape_pose(s, b, lane, lb, sb, size, tree, shape, trace, rot)
        ha, hb, apart = at.row(shape, sa + 2), at.row(shape, sb + 2), oa - ob
        if (xa + apart - xb).norm() < ha[3] + hb[3]:
            k, mu, numbers = constants(b, lane, first, la, lb, size, model, shape, pair)
            kind, normal = ti.cast(at.row(shape, sb)[3], ti.i32), zeros()
            if kind == BOX and at.row(shape, sa)[3] > 0.5:
                normal = face(xa + apart - xb, Qa, ha[:3], Qb, hb[:3])
            vwa, vla = velocity(trace, s, b, la, lane, size)
            vwb, vlb = velocity(trace, s, b, lb, lane, size)
            f, ta, tb = zeros(), zeros(), zeros()
            for c in range(pair[first + SAMPLE0], pair[first + SAMPLE0] + pair[first + N_SAMPLES]):
                sample = at.row(shape, c)
                x = pa + Ra @ sample[:3]
                depth, local, _bends, _curvature, weight, _slope = probe(
                    Qb.transpose() @ (x + apart - xb), kind, hb[:3], sample[3], normal, 4.0 * numbers[2])
                if depth > -numbers[2] and weight > 0.0:
                    n = Qb @ local
                    ra = x - sample[3] * n
                    rb = ra + apart
                    V = vla + vwa.cross(ra) - vlb - vwb.cross(rb)
                    N, damping, friction = gr.coefficients(
                        depth, V, n, weight * k, numbers[1], numbers[2], mu, numbers[3], 0.0, 0.0, 1.0)
                    F = gr.force(N, damping, friction, n, V, V)
                    f += F
                    ta += ra.cross(F)
                    tb += rb.cross(F)
            for l, way, t in ti.static(((la, -1.0, ta), (lb, 1.0, tb))):
                add3(work, at.item(0, b, 3 * (WORK * l + FT), 3 * WORK * size[LINKS], size), lane, way * t, size)
                add3(work, at.item(0, b, 3 * (WORK * l + FL), 3 * WORK * size[LINKS], size), lane, way * f, size)

    @ti.func
    def push_one_adjoint(s, b, i, lane, size: ti.template(), tree: ti.template(), pair: ti.template(),
                         shape: ti.template(), model: ti.template(), trace: ti.template(), rot: ti.template(),
                         back: ti.template(), gmodel: ti.template()):  # fmt: skip
        """Adds the pairs' part of the virtual power's derivatives to both links' sums."""
        first = PAIR_INTS * i
        la, lb, sa, sb = pair[first + LINK_A], pair[first + LINK_B], pair[first + SHAPE_A], pair[first + SHAPE_B]
        pa, Ra, xa, Qa, oa = shape_pose(s, b, lane, la, sa, size, tree, shape, trace, rot)
        pb, Rb, xb, Qb, ob = shape_pose(s, b, lane, lb, sb, size, tree, shape, trace, rot)
        ha, hb, apart = at.row(shape, sa + 2), at.row(shape, sb + 2), oa - ob
        if (xa + apart - xb).norm() < ha[3] + hb[3]:
            k, mu, numbers = constants(b, lane, first, la, lb, size, model, shape, pair)
            kind, normal = ti.cast(at.row(shape, sb)[3], ti.i32), zeros()
            if kind == BOX and at.row(shape, sa)[3] > 0.5:
                normal = face(xa + apart - xb, Qa, ha[:3], Qb, hb[:3])
            vwa, vla = velocity(trace, s, b, la, lane, size)
            vwb, vlb = velocity(trace, s, b, lb, lane, size)
            nwa, nla = virtual(back, b, la, lane, size)
            nwb, nlb = virtual(back, b, lb, lane, size)
            f, ta, tb, gv, gva, gvb = zeros(), zeros(), zeros(), zeros(), zeros(), zeros()
            wa, wta, wb, wtb = zeros(), zeros(), zeros(), zeros()
            gk_sum, gmu_sum = ti.cast(0.0, lay.real), ti.cast(0.0, lay.real)
            for c in range(pair[first + SAMPLE0], pair[first + SAMPLE0] + pair[first + N_SAMPLES]):
                sample = at.row(shape, c)
                x = pa + Ra @ sample[:3]
                depth, local, bends, curvature, weight, slope = probe(
                    Qb.transpose() @ (x + apart - xb), kind, hb[:3], sample[3], normal, 4.0 * numbers[2])
                if depth > -numbers[2] and weight > 0.0:
                    n = Qb @ local
                    ra = x - sample[3] * n
                    rb = ra + apart
                    V = vla + vwa.cross(ra) - vlb - vwb.cross(rb)
                    N = nla + nwa.cross(ra) - nlb - nwb.cross(rb)
                    F, gdepth, gV, gU, gn, gmu, gk = gr.power_adjoint(
                        depth, N, V, V, n, weight * k, numbers[1], numbers[2], mu, numbers[3], 0.0, 0.0, 1.0)
                    gV += gU
                    gr_ = gV.cross(vwa - vwb) - F.cross(nwa - nwb)
                    gn -= sample[3] * gr_
                    # the normal turns with b, and bends with the sample's place in b
                    bent = Qb.transpose() @ gn
                    moved = Qb @ (curvature * bends * (bent - local.dot(bent) * local) - gdepth * local
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
                add3(back, ad.back_at(b, l, BNW, size), lane, way * t, size)
                add3(back, ad.back_at(b, l, BNL, size), lane, way * f, size)
                add3(back, ad.back_at(b, l, BVW, size), lane, way * g, size)
                add3(back, ad.back_at(b, l, BVL, size), lane, way * gv, size)
                add3(back, ad.back_at(b, l, WT, size), lane, way * wt, size)
                add3(back, ad.back_at(b, l, WF, size), lane, way * w, size)
            ia = at.parameter(b, 8 * size[LINKS] + pair[first + GIVES_A], size)
            ib = at.parameter(b, 8 * size[LINKS] + pair[first + GIVES_B], size)
            ka, kb = number(model, ia, lane), number(model, ib, lane)
            add(gmodel, ia, lane, -gk_sum * kb / (ka * (ka + kb)))
            add(gmodel, ib, lane, -gk_sum * ka / (kb * (ka + kb)))
            fa, fb = at.parameter(b, 7 * size[LINKS] + la, size), at.parameter(b, 7 * size[LINKS] + lb, size)
            own = gr.share(number(model, fa, lane), number(model, fb, lane))
            add(gmodel, fa, lane, -own * gmu_sum)
            add(gmodel, fb, lane, (own - 1.0) * gmu_sum)

    @ti.func
    def push(s, b, size: ti.template(), tree: ti.template(), pair: ti.template(), shape: ti.template(),
             model: ti.template(), trace: ti.template(), rot: ti.template(), work: ti.template()):  # fmt: skip
        """Takes the pairs' forces off the forces that links need, in `work`."""
        for i, lane in ti.ndrange(size[PAIRS], lay.width):
            push_one(s, b, i, lane, size, tree, pair, shape, model, trace, rot, work)

    @ti.func
    def push_adjoint(s, b, size: ti.template(), tree: ti.template(), pair: ti.template(), shape: ti.template(),
                     model: ti.template(), trace: ti.template(), rot: ti.template(), back: ti.template(),
                     gmodel: ti.template()):  # fmt: skip
        """Adds the pairs' part of the virtual power's derivatives to both links' sums."""
        for i, lane in ti.ndrange(size[PAIRS], lay.width):
            push_one_adjoint(s, b, i, lane, size, tree, pair, shape, model, trace, rot, back, gmodel)

    return Functions(push=push, push_adjoint=push_adjoint)
