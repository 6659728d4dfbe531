"""Contact between bodies: sample points of one body against the shape of another. Explicit, unlike the ground's.

A sample is a sphere on body a (radius 0 for a box's), at x; the shape of body b says how deep x is and along which
normal n. Normal force and friction follow the ground's law, all at the old velocity: N(u) = k psi(depth) g(1 - d u),
with the two stiffnesses in series. Of two boxes, b's face is the one with the largest separation, the same for all
samples; a sample fades out just beyond the rim of that face. Kinks: where the nearest face, the clamping of a capsule's
segment, or the touching of a sample changes; jumps: where the nearest face does.

    pair   I1  per pair `PAIR_INTS`
    shape  A4  rows addressed by `pair`. Law: (factor on k, d, smoothing, friction velocity). Shape: (centre, kind),
               quaternion, (size, bound). Samples: (centre in the link, radius)
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.solvers.rigid.adjoint import BNL, BNW, BVL, BVW, NL, NW, WF, WT, adjoint
from genesis.solvers.rigid.ground import grounds
from genesis.solvers.rigid.joints import joints
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
from genesis.solvers.rigid.spatial import spatial

PAIR_INTS = 7
LINK_A, LINK_B, LAW, SHAPE_A, SHAPE_B, SAMPLE0, N_SAMPLES = range(PAIR_INTS)
ROUND, BOX = range(2)
"""Kinds of shapes: a capsule (size: radius, half length), of which a sphere is one; a box (size: half edges)."""


@per_runtime
def pairs(features: Features) -> Functions:
    lay, at, sp, gr, jo = layout(), indices(), spatial(), grounds(features), joints()
    ad = adjoint(features)
    real, vec3 = lay.real, lay.vec3
    get3, get4, get33, put3 = lay.get3, lay.get4, lay.get33, lay.put3

    @ti.func
    def shape_pose(s, e, l, first, size: ti.template(), tree: ti.template(), shape: ti.template(),
                   trace: ti.template(), rot: ti.template()):  # fmt: skip
        """Link's position and rotation, shape's centre and rotation, all about the tree's origin, and that origin."""
        o = get3(trace, at.trace_at(s, e, tree[at.link_int(l, ROOT)], ORIGIN, size))
        p = get3(trace, at.trace_at(s, e, l, POS, size))
        R = get33(rot, at.item(s, e, l, size[LINKS], size))
        return p, R, p + R @ get4(shape, first)[:3], R @ sp.quaternion_matrix(get4(shape, first + 1)), o

    @ti.func
    def face(between, Qa, ha, Qb, hb):
        """The face of box b that is farthest from box a: its outward normal. `between`: from b's centre to a's."""
        local, turned = Qb.transpose() @ between, ti.abs(Qa.transpose() @ Qb)
        seen = turned.transpose() @ ha
        gap = ti.abs(local) - hb - seen
        n = vec3(0.0)
        for k in ti.static(range(3)):
            if n.norm_sqr() == 0.0 and gap[k] == gap.max():
                n[k] = 1.0
                if local[k] < 0.0:
                    n[k] = -1.0
        return n

    @ti.func
    def probe(y, kind, h, radius, normal, rim):
        """Depth of a sphere at y in the shape's frame, normal, whether each coordinate bends the normal, 1 / (distance
        to what it bends about), weight and the weight's gradient. `normal`: of the face to use, else zero."""
        depth, n, bends, curvature = ti.cast(0.0, real), normal, vec3(0.0), ti.cast(0.0, real)
        weight, slope = ti.cast(1.0, real), vec3(0.0)
        if kind == ROUND:
            t = ti.min(ti.max(y[2], -h[1]), h[1])
            v = vec3(y[0], y[1], y[2] - t)
            distance = ti.max(v.norm(), 1e-9)
            n = v / distance
            depth = radius + h[0] - distance
            curvature = 1.0 / distance
            bends = vec3(1.0, 1.0, 0.0)
            if ti.abs(y[2]) > h[1]:
                bends[2] = 1.0
        else:
            q = ti.abs(y) - h
            if normal.norm_sqr() > 0.0:
                depth = h.dot(ti.abs(n)) - n.dot(y)
                for k in ti.static(range(3)):
                    if n[k] == 0.0:
                        inside, dinside, _dd = sp.ramp(2.0 * rim - q[k], rim)
                        outside, doutside, _do = sp.ramp(rim - q[k], rim)
                        slope *= (inside - outside) / rim
                        slope[k] = -ti.math.sign(y[k]) * weight * (dinside - doutside) / rim
                        weight *= (inside - outside) / rim
            elif q.max() > 0.0:
                out = ti.max(q, 0.0)
                distance = out.norm()
                n = ti.math.sign(y) * out / distance
                depth = radius - distance
                curvature = 1.0 / distance
                bends = ti.math.sign(out)
            else:
                depth = radius - q.max()
                for k in ti.static(range(3)):
                    if n.norm_sqr() == 0.0 and q[k] == q.max():
                        n[k] = 1.0
                        if y[k] < 0.0:
                            n[k] = -1.0
        return depth, n, bends, curvature, weight, slope

    @ti.func
    def constants(e, first, a, b, size: ti.template(), model: ti.template(), shape: ti.template(), pair: ti.template()):
        """Stiffness, friction and the other numbers of a pair's law."""
        numbers = get4(shape, pair[first + LAW])
        ka, kb = model[at.parameter(e, 8 * size[LINKS] + a, size)], model[at.parameter(e, 8 * size[LINKS] + b, size)]
        mu = gr.pair_friction(model[at.parameter(e, 7 * size[LINKS] + a, size)],
                              model[at.parameter(e, 7 * size[LINKS] + b, size)])  # fmt: skip
        return numbers[0] * ka * kb / (ka + kb), mu, numbers

    @ti.func
    def push(s, e, size: ti.template(), tree: ti.template(), pair: ti.template(), shape: ti.template(),
             model: ti.template(), trace: ti.template(), rot: ti.template(), work: ti.template()):  # fmt: skip
        """Takes the pairs' forces off the forces that links need, in `work`."""
        for i in range(size[PAIRS]):
            first = PAIR_INTS * i
            a, b, sa, sb = pair[first + LINK_A], pair[first + LINK_B], pair[first + SHAPE_A], pair[first + SHAPE_B]
            pa, Ra, xa, Qa, oa = shape_pose(s, e, a, sa, size, tree, shape, trace, rot)
            pb, Rb, xb, Qb, ob = shape_pose(s, e, b, sb, size, tree, shape, trace, rot)
            ha, hb, apart = get4(shape, sa + 2), get4(shape, sb + 2), oa - ob
            if (xa + apart - xb).norm() < ha[3] + hb[3]:
                k, mu, numbers = constants(e, first, a, b, size, model, shape, pair)
                kind, normal = ti.cast(get4(shape, sb)[3], ti.i32), vec3(0.0)
                if kind == BOX and get4(shape, sa)[3] > 0.5:
                    normal = face(xa + apart - xb, Qa, ha[:3], Qb, hb[:3])
                vwa, vla = get3(trace, at.trace_at(s, e, a, VW, size)), get3(trace, at.trace_at(s, e, a, VL, size))
                vwb, vlb = get3(trace, at.trace_at(s, e, b, VW, size)), get3(trace, at.trace_at(s, e, b, VL, size))
                f, ta, tb = vec3(0.0), vec3(0.0), vec3(0.0)
                for c in range(pair[first + SAMPLE0], pair[first + SAMPLE0] + pair[first + N_SAMPLES]):
                    sample = get4(shape, c)
                    x = pa + Ra @ sample[:3]
                    depth, local, _bends, _curvature, weight, _slope = probe(
                        Qb.transpose() @ (x + apart - xb), kind, hb[:3], sample[3], normal, 4.0 * numbers[2])
                    if depth > -numbers[2] and weight > 0.0:
                        n = Qb @ local
                        ra = x - sample[3] * n
                        rb = ra + apart
                        V = vla + vwa.cross(ra) - vlb - vwb.cross(rb)
                        N, damping, friction = gr.coefficients(
                            depth, V, n, weight * k, numbers[1], numbers[2], mu, numbers[3], 0.0, 1.0)
                        F = gr.force(N, damping, friction, n, V, V)
                        f += F
                        ta += ra.cross(F)
                        tb += rb.cross(F)
                for l, sign, t in ti.static(((a, 1.0, ta), (b, -1.0, tb))):
                    it, il = (at.item(0, e, WORK * l + FT, WORK * size[LINKS], size),
                              at.item(0, e, WORK * l + FL, WORK * size[LINKS], size))  # fmt: skip
                    put3(work, it, get3(work, it) - sign * t)
                    put3(work, il, get3(work, il) - sign * f)

    @ti.func
    def push_adjoint(s, e, size: ti.template(), tree: ti.template(), pair: ti.template(), shape: ti.template(),
                     model: ti.template(), trace: ti.template(), rot: ti.template(), back: ti.template(),
                     gmodel: ti.template()):  # fmt: skip
        """Adds the pairs' part of the virtual power's derivatives to both links' sums."""
        for i in range(size[PAIRS]):
            first = PAIR_INTS * i
            a, b, sa, sb = pair[first + LINK_A], pair[first + LINK_B], pair[first + SHAPE_A], pair[first + SHAPE_B]
            pa, Ra, xa, Qa, oa = shape_pose(s, e, a, sa, size, tree, shape, trace, rot)
            pb, Rb, xb, Qb, ob = shape_pose(s, e, b, sb, size, tree, shape, trace, rot)
            ha, hb, apart = get4(shape, sa + 2), get4(shape, sb + 2), oa - ob
            if (xa + apart - xb).norm() < ha[3] + hb[3]:
                k, mu, numbers = constants(e, first, a, b, size, model, shape, pair)
                kind, normal = ti.cast(get4(shape, sb)[3], ti.i32), vec3(0.0)
                if kind == BOX and get4(shape, sa)[3] > 0.5:
                    normal = face(xa + apart - xb, Qa, ha[:3], Qb, hb[:3])
                vwa, vla = get3(trace, at.trace_at(s, e, a, VW, size)), get3(trace, at.trace_at(s, e, a, VL, size))
                vwb, vlb = get3(trace, at.trace_at(s, e, b, VW, size)), get3(trace, at.trace_at(s, e, b, VL, size))
                nwa, nla = get3(back, ad.back_at(e, a, NW, size)), get3(back, ad.back_at(e, a, NL, size))
                nwb, nlb = get3(back, ad.back_at(e, b, NW, size)), get3(back, ad.back_at(e, b, NL, size))
                f, ta, tb, gv, gva, gvb = vec3(0.0), vec3(0.0), vec3(0.0), vec3(0.0), vec3(0.0), vec3(0.0)
                wa, wta, wb, wtb = vec3(0.0), vec3(0.0), vec3(0.0), vec3(0.0)
                gk_sum, gmu_sum = ti.cast(0.0, real), ti.cast(0.0, real)
                for c in range(pair[first + SAMPLE0], pair[first + SAMPLE0] + pair[first + N_SAMPLES]):
                    sample = get4(shape, c)
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
                            depth, N, V, V, n, weight * k, numbers[1], numbers[2], mu, numbers[3], 0.0, 1.0)
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
                for l, sign, t, g, w, wt in ti.static(((a, 1.0, ta, gva, wa, wta), (b, -1.0, tb, gvb, wb, wtb))):
                    ad.accumulate(back, ad.back_at(e, l, BNW, size), sign * t)
                    ad.accumulate(back, ad.back_at(e, l, BNL, size), sign * f)
                    ad.accumulate(back, ad.back_at(e, l, BVW, size), sign * g)
                    ad.accumulate(back, ad.back_at(e, l, BVL, size), sign * gv)
                    ad.accumulate(back, ad.back_at(e, l, WT, size), sign * wt)
                    ad.accumulate(back, ad.back_at(e, l, WF, size), sign * w)
                ia, ib = at.parameter(e, 8 * size[LINKS] + a, size), at.parameter(e, 8 * size[LINKS] + b, size)
                ka, kb = model[ia], model[ib]
                jo.add(gmodel, ia, -gk_sum * kb / (ka * (ka + kb)))
                jo.add(gmodel, ib, -gk_sum * ka / (kb * (ka + kb)))
                la, lb = at.parameter(e, 7 * size[LINKS] + a, size), at.parameter(e, 7 * size[LINKS] + b, size)
                own = gr.share(model[la], model[lb])
                jo.add(gmodel, la, -own * gmu_sum)
                jo.add(gmodel, lb, (own - 1.0) * gmu_sum)

    return Functions(push=push, push_adjoint=push_adjoint)
