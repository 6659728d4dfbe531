"""Contact between bodies: sample points of one body against the shape of another. Explicit, unlike the ground's.

A sample is a sphere on body a (radius 0 for a box's), at x; the shape of body b says how deep x is and along which
normal n. Normal force and friction follow the ground's law, all at the old velocity: N(u) = k psi(depth) g(1 - d u),
with the two stiffnesses in series. Of two boxes, b's face is the one with the largest separation, the same for all
samples; a sample fades out just beyond the rim of that face. Kinks: where the nearest face, the clamping of a capsule's
segment, or the touching of a sample changes.

    pair   I1  per pair `PAIR_INTS`
    shape  A4  rows addressed by `pair`. Law: (factor on k, d, smoothing, friction velocity). Shape: (centre, kind),
               quaternion, (size, bound). Samples: (centre in the link, radius)
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.kernels import rotations
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
    ad, turn = adjoint(features), rotations()
    real, vec3 = lay.real, lay.vec3
    get3, get4, get33, put3 = lay.get3, lay.get4, lay.get33, lay.put3

    @ti.func
    def pose(s, e, l, size: ti.template(), tree: ti.template(), trace: ti.template(), rot: ti.template()):
        """World position and rotation of link l, and its tree's origin."""
        o = get3(trace, at.trace_at(s, e, tree[at.link_int(l, ROOT)], ORIGIN, size))
        return get3(trace, at.trace_at(s, e, l, POS, size)), get33(rot, at.item(s, e, l, size[LINKS], size)), o

    @ti.func
    def face(between, Ra, qa, ha, Rb, qb, hb):
        """The face of box b that is farthest from box a: its axis and side. `between`: from b's centre to a's."""
        local = turn.unrotate(qb, Rb.transpose() @ between)
        best, axis, side = ti.cast(-1e30, real), 0, ti.cast(1.0, real)
        for k in ti.static(range(3)):
            unit = vec3(0.0)
            unit[k] = 1.0
            seen = ti.abs(turn.unrotate(qa, Ra.transpose() @ (Rb @ turn.rotate(qb, unit))))
            gap = ti.abs(local[k]) - hb[k] - seen.dot(ha)
            if gap > best:
                best, axis = gap, k
                side = 1.0
                if local[k] < 0.0:
                    side = -1.0
        return axis, side

    @ti.func
    def probe(y, kind, h, radius, flat, axis, side, rim):
        """Depth of a sphere at y in the shape's frame, normal, whether each coordinate bends the normal, 1 / (distance
        to what it bends about), weight and the weight's gradient."""
        depth, n, bends, curvature = ti.cast(-1e30, real), vec3(0.0), vec3(0.0), ti.cast(0.0, real)
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
        elif flat:
            for k in ti.static(range(3)):
                if k == axis:
                    n[k] = side
                    depth = h[k] - side * y[k]
            for k in ti.static(range(3)):
                if k != axis:
                    inside, dinside, _dd = sp.ramp(h[k] - ti.abs(y[k]) + 2.0 * rim, rim)
                    outside, doutside, _do = sp.ramp(h[k] - ti.abs(y[k]) + rim, rim)
                    w, dw = (inside - outside) / rim, (dinside - doutside) / rim
                    slope *= w
                    slope[k] = -weight * dw
                    if y[k] < 0.0:
                        slope[k] = weight * dw
                    weight *= w
        else:
            q = ti.abs(y) - h
            out = ti.max(q, 0.0)
            distance = out.norm()
            sign = vec3(1.0)
            for k in ti.static(range(3)):
                if y[k] < 0.0:
                    sign[k] = -1.0
            if distance > 0.0:
                n = sign * out / distance
                depth = radius - distance
                curvature = 1.0 / distance
                for k in ti.static(range(3)):
                    if q[k] > 0.0:
                        bends[k] = 1.0
            else:
                nearest = q.max()
                depth = radius - nearest
                done = False
                for k in ti.static(range(3)):
                    if q[k] == nearest and not done:
                        n[k] = sign[k]
                        done = True
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
    def push(s, e, size: ti.template(), tree: ti.template(), pair: ti.template(),
             shape: ti.template(), model: ti.template(), trace: ti.template(), rot: ti.template(),
             work: ti.template()):  # fmt: skip
        """Takes the pairs' forces off the forces that links need, in `work`."""
        for i in range(size[PAIRS]):
            first = PAIR_INTS * i
            a, b = pair[first + LINK_A], pair[first + LINK_B]
            pa, Ra, oa = pose(s, e, a, size, tree, trace, rot)
            pb, Rb, ob = pose(s, e, b, size, tree, trace, rot)
            sa, sb = pair[first + SHAPE_A], pair[first + SHAPE_B]
            heada, headb, sizea, sizeb = get4(shape, sa), get4(shape, sb), get4(shape, sa + 2), get4(shape, sb + 2)
            qa, qb = get4(shape, sa + 1), get4(shape, sb + 1)
            apart = oa - ob
            middle = pb + Rb @ headb[:3]
            between = pa + Ra @ heada[:3] + apart - middle
            if between.norm() < sizea[3] + sizeb[3]:
                k, mu, numbers = constants(e, first, a, b, size, model, shape, pair)
                flat = heada[3] > 0.5 and headb[3] > 0.5
                axis, side = face(between, Ra, qa, sizea[:3], Rb, qb, sizeb[:3])
                vwa, vla = get3(trace, at.trace_at(s, e, a, VW, size)), get3(trace, at.trace_at(s, e, a, VL, size))
                vwb, vlb = get3(trace, at.trace_at(s, e, b, VW, size)), get3(trace, at.trace_at(s, e, b, VL, size))
                fa, ta, fb, tb = vec3(0.0), vec3(0.0), vec3(0.0), vec3(0.0)
                for c in range(pair[first + SAMPLE0], pair[first + SAMPLE0] + pair[first + N_SAMPLES]):
                    sample = get4(shape, c)
                    x = pa + Ra @ sample[:3]
                    y = turn.unrotate(qb, Rb.transpose() @ (x + apart - middle))
                    depth, local, _bends, _curvature, weight, _slope = probe(
                        y, ti.cast(headb[3], ti.i32), sizeb[:3], sample[3], flat, axis, side, 4.0 * numbers[2])
                    if depth > -numbers[2] and weight > 0.0:
                        n = Rb @ turn.rotate(qb, local)
                        ra = x - sample[3] * n
                        rb = ra + apart
                        V = vla + vwa.cross(ra) - vlb - vwb.cross(rb)
                        normal, damping, friction = gr.coefficients(
                            depth, V, n, weight * k, numbers[1], numbers[2], mu, numbers[3], 0.0, 1.0)
                        F = gr.force(normal, damping, friction, n, V, V)
                        fa += F
                        ta += ra.cross(F)
                        fb -= F
                        tb -= rb.cross(F)
                for l, t, f in ti.static(((a, ta, fa), (b, tb, fb))):
                    it, il = (at.item(0, e, WORK * l + FT, WORK * size[LINKS], size),
                              at.item(0, e, WORK * l + FL, WORK * size[LINKS], size))  # fmt: skip
                    put3(work, it, get3(work, it) - t)
                    put3(work, il, get3(work, il) - f)

    @ti.func
    def push_adjoint(s, e, size: ti.template(), tree: ti.template(), pair: ti.template(),
                     shape: ti.template(), model: ti.template(), trace: ti.template(), rot: ti.template(),
                     back: ti.template(), gmodel: ti.template()):  # fmt: skip
        """Adds the pairs' part of the virtual power's derivatives to both links' sums."""
        for i in range(size[PAIRS]):
            first = PAIR_INTS * i
            a, b = pair[first + LINK_A], pair[first + LINK_B]
            pa, Ra, oa = pose(s, e, a, size, tree, trace, rot)
            pb, Rb, ob = pose(s, e, b, size, tree, trace, rot)
            sa, sb = pair[first + SHAPE_A], pair[first + SHAPE_B]
            heada, headb, sizea, sizeb = get4(shape, sa), get4(shape, sb), get4(shape, sa + 2), get4(shape, sb + 2)
            qa, qb = get4(shape, sa + 1), get4(shape, sb + 1)
            apart = oa - ob
            middle = pb + Rb @ headb[:3]
            between = pa + Ra @ heada[:3] + apart - middle
            if between.norm() < sizea[3] + sizeb[3]:
                k, mu, numbers = constants(e, first, a, b, size, model, shape, pair)
                flat = heada[3] > 0.5 and headb[3] > 0.5
                axis, side = face(between, Ra, qa, sizea[:3], Rb, qb, sizeb[:3])
                vwa, vla = get3(trace, at.trace_at(s, e, a, VW, size)), get3(trace, at.trace_at(s, e, a, VL, size))
                vwb, vlb = get3(trace, at.trace_at(s, e, b, VW, size)), get3(trace, at.trace_at(s, e, b, VL, size))
                nwa, nla = get3(back, ad.back_at(e, a, NW, size)), get3(back, ad.back_at(e, a, NL, size))
                nwb, nlb = get3(back, ad.back_at(e, b, NW, size)), get3(back, ad.back_at(e, b, NL, size))
                for c in range(pair[first + SAMPLE0], pair[first + SAMPLE0] + pair[first + N_SAMPLES]):
                    sample = get4(shape, c)
                    x = pa + Ra @ sample[:3]
                    y = turn.unrotate(qb, Rb.transpose() @ (x + apart - middle))
                    depth, local, bends, curvature, weight, slope = probe(
                        y, ti.cast(headb[3], ti.i32), sizeb[:3], sample[3], flat, axis, side, 4.0 * numbers[2])
                    if depth > -numbers[2] and weight > 0.0:
                        n = Rb @ turn.rotate(qb, local)
                        ra = x - sample[3] * n
                        rb = ra + apart
                        V = vla + vwa.cross(ra) - vlb - vwb.cross(rb)
                        N = nla + nwa.cross(ra) - nlb - nwb.cross(rb)
                        F, gdepth, gV, gU, gn, gmu, gk = gr.power_adjoint(
                            depth, N, V, V, n, weight * k, numbers[1], numbers[2], mu, numbers[3], 0.0, 1.0)
                        gV += gU
                        gr_ = gV.cross(vwa - vwb) - F.cross(nwa - nwb)
                        gn -= sample[3] * gr_
                        # the normal turns with b, and bends with y
                        bent = turn.unrotate(qb, Rb.transpose() @ gn)
                        gy = (curvature * bends * (bent - local.dot(bent) * local) - gdepth * local
                              + (gk / weight) * slope)  # fmt: skip
                        moved = Rb @ turn.rotate(qb, gy)
                        gx = gr_ + moved
                        xb = x + apart
                        for l, sign, r in ti.static(((a, 1.0, ra), (b, -1.0, rb))):
                            ad.accumulate(back, ad.back_at(e, l, BNW, size), -sign * r.cross(F))
                            ad.accumulate(back, ad.back_at(e, l, BNL, size), -sign * F)
                            ad.accumulate(back, ad.back_at(e, l, BVW, size), sign * r.cross(gV))
                            ad.accumulate(back, ad.back_at(e, l, BVL, size), sign * gV)
                        ad.accumulate(back, ad.back_at(e, a, WT, size), x.cross(gx))
                        ad.accumulate(back, ad.back_at(e, a, WF, size), gx)
                        ad.accumulate(back, ad.back_at(e, b, WT, size), n.cross(gn) - xb.cross(moved))
                        ad.accumulate(back, ad.back_at(e, b, WF, size), -moved)
                        ia, ib = at.parameter(e, 8 * size[LINKS] + a, size), at.parameter(e, 8 * size[LINKS] + b, size)
                        ka, kb = model[ia], model[ib]
                        jo.add(gmodel, ia, -gk * kb / (ka * (ka + kb)))
                        jo.add(gmodel, ib, -gk * ka / (kb * (ka + kb)))
                        la, lb = at.parameter(e, 7 * size[LINKS] + a, size), at.parameter(e, 7 * size[LINKS] + b, size)
                        own = gr.share(model[la], model[lb])
                        jo.add(gmodel, la, -own * gmu)
                        jo.add(gmodel, lb, (own - 1.0) * gmu)

    return Functions(push=push, push_adjoint=push_adjoint)
