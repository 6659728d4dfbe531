"""The adjoint of a substep, by the implicit function theorem.

A substep solves r(qdd; q, qd, inputs) = 0 for the accelerations. With x the cotangent of qdd and A = dr/dqdd,
which is symmetric,

    A mu = x,        cotangent of anything else y  =  - d(mu . r)/dy.

mu . r is a virtual power: the sum over links of nu . (force that the link needs), nu being the links' velocities if
dofs moved at mu. One sweep outwards makes nu, the accelerations with qdd and the new velocities; one inwards adds up
for each link's subtree the derivatives by the spatial velocity nu, the old velocity v, the new velocity u and the
acceleration a (rows BN … BU), and by a rigid displacement of the subtree (row W), which is all that a dof's position
does.
Moving an inertia alone is the opposite of moving everything it is multiplied with: -(nu x* N + a x* A + v x* V).
Outputs are part of it: a wrench output with cotangent g is virtual power at velocity -g of its subtree.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.solvers.rigid.ground import grounds
from genesis.solvers.rigid.joints import joints
from genesis.solvers.rigid.layout import (
    AL,
    AW,
    BALL,
    DOF0,
    DOFS,
    DT,
    FRICTION_VELOCITY,
    GROUNDS,
    JD,
    JO,
    KIND,
    LINKS,
    MOMENT,
    N_DOFS,
    N_POINTS,
    ORIGIN,
    PARENT,
    POINT0,
    POINTS,
    POS,
    ROOT,
    VL,
    VW,
    Features,
    indices,
)  # fmt: skip
from genesis.solvers.rigid.spatial import spatial

BACK = 14
NW, NL, DW, DL, BNW, BNL, BVW, BVL, BAW, BAL, BUW, BUL, WT, WF = range(BACK)
"""Rows of a link: nu, the acceleration due to qdd, and the sums described above (angular, linear)."""


@per_runtime
def adjoint(features: Features) -> Functions:
    lay, at, sp, gr, jo = layout(), indices(), spatial(), grounds(features), joints()
    vec3 = lay.vec3
    get3, get4, get33, put3 = lay.get3, lay.get4, lay.get33, lay.put3

    @ti.func
    def back_at(e, l, row, size: ti.template()):
        return at.item(0, e, BACK * l + row, BACK * size[LINKS], size)

    @ti.func
    def accumulate(a: ti.template(), i, v):
        put3(a, i, get3(a, i) + v)

    @ti.func
    def sweep_out(s, e, size: ti.template(), tree: ti.template(), trace: ti.template(), qdd: ti.template(),
                  x: ti.template(), gwrench: ti.template(), back: ti.template()):  # fmt: skip
        """nu and the acceleration due to qdd of every link; clears its sums."""
        step = back_at(0, 0, 1, size) - back_at(0, 0, 0, size)
        for l in range(size[LINKS]):
            nw, nl, dw, dl = vec3(0.0), vec3(0.0), vec3(0.0), vec3(0.0)
            parent = tree[at.link_int(l, PARENT)]
            if parent >= 0:
                up = back_at(e, parent, 0, size)
                nw, nl = get3(back, up + NW * step), get3(back, up + NL * step)
                dw, dl = get3(back, up + DW * step), get3(back, up + DL * step)
            first = tree[at.link_int(l, DOF0)]
            for j in range(first, first + tree[at.link_int(l, N_DOFS)]):
                sw, sl = get3(trace, at.axis_at(s, e, j, 0, size)), get3(trace, at.axis_at(s, e, j, 1, size))
                mu, a = x[at.item(0, e, j, size[DOFS], size)], qdd[at.item(s, e, j, size[DOFS], size)]
                nw += mu * sw
                nl += mu * sl
                dw += a * sw
                dl += a * sl
            if ti.static(features.outputs):
                gw, gl = gamma(s, e, l, size, trace, gwrench)
                nw -= gw
                nl -= gl
            here = back_at(e, l, 0, size)
            put3(back, here + NW * step, nw)
            put3(back, here + NL * step, nl)
            put3(back, here + DW * step, dw)
            put3(back, here + DL * step, dl)
            for row in range(BNW, BACK):
                put3(back, here + row * step, vec3(0.0))

    @ti.func
    def gamma(s, e, l, size: ti.template(), trace: ti.template(), gwrench: ti.template()):
        """The velocity whose power with the subtree's force is the pull on the link's wrench output."""
        gf = get3(gwrench, at.item(0, e, 2 * l, 2 * size[LINKS], size))
        gt = get3(gwrench, at.item(0, e, 2 * l + 1, 2 * size[LINKS], size))
        return gt, gf + get3(trace, at.trace_at(s, e, l, POS, size)).cross(gt)

    @ti.func
    def touch(s, e, l, m, p, R, vw, vl, uw, ul, nw, nl, size: ti.template(), num: ti.template(), tree: ti.template(),
              law: ti.template(), point: ti.template(), ground: ti.template(), heights: ti.template(),
              model: ti.template(), trace: ti.template(), released: ti.template(), gcontacts: ti.template(),
              back: ti.template(), gmodel: ti.template()):  # fmt: skip
        """Contacts of link l with the ground: adds to its sums."""
        world = get3(trace, at.trace_at(s, e, tree[at.link_int(l, ROOT)], ORIGIN, size))
        contact = get4(law, 2 * size[DOFS] + l)
        here = back_at(e, l, 0, size)
        step = back_at(e, l, 1, size) - here
        for g in range(size[GROUNDS]):
            if gr.near(g, world + p, contact[2], ground):
                ik, il = at.parameter(e, 8 * size[LINKS] + l, size), at.parameter(e, 7 * size[LINKS] + l, size)
                ig = at.parameter(e, 9 * size[LINKS] + 5 * size[DOFS] + g, size)
                k, mu = model[ik], gr.pair_friction(model[il], model[ig])
                first = tree[at.link_int(l, POINT0)]
                for i in range(first, first + tree[at.link_int(l, N_POINTS)]):
                    centre = p + R @ get4(point, 3 * i)[:3]
                    distance, n = gr.surface(g, world + centre, ground, heights)
                    s_ = gr.support(i, R, n, point)
                    x = s_.dot(n) - distance
                    if x > -contact[1]:
                        r = centre - s_
                        V, U, N = vl + vw.cross(r), ul + uw.cross(r), nl + nw.cross(r)
                        key = at.item(s, e, g * size[POINTS] + i, size[GROUNDS] * size[POINTS], size)
                        M = N
                        if ti.static(features.outputs):
                            M += get3(gcontacts, at.item(0, e, 2 * i, 2 * size[POINTS], size))
                        F, gx, gV, gU, gn, gmu, gk = gr.power_adjoint(
                            x, M, V, U, n, k, contact[0], contact[1], mu, num[FRICTION_VELOCITY], num[DT],
                            1 - released[key])
                        gr_ = -F.cross(nw)
                        if ti.static(features.outputs):
                            gr_ -= get3(gcontacts, at.item(0, e, 2 * i + 1, 2 * size[POINTS], size))
                        gr_ += gV.cross(vw) + gU.cross(uw)
                        # r = centre - s(R, n), x = s.n - distance(centre)
                        gturn, gn_s = gr.support_adjoint(i, R, n, s_, gx * n - gr_, point)
                        gc = gr_ + gr.surface_adjoint(g, world + centre, -gx, gn + gn_s + gx * s_, ground, heights)
                        accumulate(back, here + BNW * step, -r.cross(F))
                        accumulate(back, here + BNL * step, -F)
                        accumulate(back, here + BVW * step, r.cross(gV))
                        accumulate(back, here + BVL * step, gV)
                        accumulate(back, here + BUW * step, r.cross(gU))
                        accumulate(back, here + BUL * step, gU)
                        accumulate(back, here + WT * step, centre.cross(gc) + gturn)
                        accumulate(back, here + WF * step, gc)
                        jo.add(gmodel, ik, -gk / k)
                        own = gr.share(model[il], model[ig])
                        jo.add(gmodel, il, -own * gmu)
                        jo.add(gmodel, ig, (own - 1.0) * gmu)

    @ti.func
    def sweep_in(s, e, size: ti.template(), num: ti.template(), tree: ti.template(), fixed: ti.template(),
                 law: ti.template(), point: ti.template(), ground: ti.template(), heights: ti.template(),
                 model: ti.template(), dofs: ti.template(), wrench: ti.template(), q: ti.template(), qd: ti.template(),
                 qdd: ti.template(), trace: ti.template(), rot: ti.template(), released: ti.template(),
                 x: ti.template(), back: ti.template(), gq: ti.template(), gqd: ti.template(), gdofs: ti.template(),
                 gwrench_in: ti.template(),
                 gmodel: ti.template(), ggravity: ti.template(), gcontacts: ti.template(),
                 gwrench: ti.template()):  # fmt: skip
        """From mu in x and the outward sweep: subtracts d(mu . r) from all cotangents."""
        dt = num[DT]
        for behind in range(size[LINKS]):
            l = size[LINKS] - 1 - behind
            t = at.trace_at(s, e, l, 0, size)
            tstep = at.trace_at(s, e, l, 1, size) - t
            here = back_at(e, l, 0, size)
            step = back_at(e, l, 1, size) - here
            p, R = get3(trace, t + POS * tstep), get33(rot, at.item(s, e, l, size[LINKS], size))
            vw, vl = get3(trace, t + VW * tstep), get3(trace, t + VL * tstep)
            h, jd, jo_ = get3(trace, t + MOMENT * tstep), get3(trace, t + JD * tstep), get3(trace, t + JO * tstep)
            nw, nl = get3(back, here + NW * step), get3(back, here + NL * step)
            dw, dl = get3(back, here + DW * step), get3(back, here + DL * step)
            uw, ul = vw + dt * dw, vl + dt * dl
            aw, al = get3(trace, t + AW * tstep) + dw, get3(trace, t + AL * tstep) + dl
            m = model[at.parameter(e, l, size)]
            touch(s, e, l, m, p, R, vw, vl, uw, ul, nw, nl, size, num, tree, law, point, ground, heights, model, trace,
                  released, gcontacts, back, gmodel)  # fmt: skip
            # Inertia: nu . (I a + v x* I v)
            mw, ml = sp.momentum(m, h, jd, jo_, vw, vl)
            iaw, ial = sp.momentum(m, h, jd, jo_, aw, al)
            bw, bl = sp.cross_force(vw, vl, mw, ml)
            Nw, Nl = iaw + bw, ial + bl
            Aw, Al = sp.momentum(m, h, jd, jo_, nw, nl)
            xw, xl = sp.cross_motion(vw, vl, nw, nl)
            e1w, e1l = sp.cross_force(nw, nl, mw, ml)
            e2w, e2l = sp.momentum(m, h, jd, jo_, xw, xl)
            Vw, Vl = -e1w - e2w, -e1l - e2l
            w1, f1 = sp.cross_force(nw, nl, Nw, Nl)
            w2, f2 = sp.cross_force(aw, al, Aw, Al)
            w3, f3 = sp.cross_force(vw, vl, Vw, Vl)
            gW, gF = get3(back, here + WT * step) - w1 - w2 - w3, get3(back, here + WF * step) - f1 - f2 - f3
            # External wrench at the centre of mass
            com = p + R @ get3(fixed, 2 * l + 1)
            iw = at.item(0, e, 2 * l, 2 * size[LINKS], size)
            it = at.item(0, e, 2 * l + 1, 2 * size[LINKS], size)
            force = get3(wrench, iw)
            moved = nl + nw.cross(com)
            put3(gwrench_in, iw, get3(gwrench_in, iw) + moved)
            put3(gwrench_in, it, get3(gwrench_in, it) + nw)
            Nw -= get3(wrench, it) + com.cross(force)
            Nl -= force
            gcom = nw.cross(force)
            gW += com.cross(gcom)
            gF += gcom
            inertia_adjoint(e, l, com, R, vw, vl, nw, nl, aw, al, xw, xl, size, gmodel)
            BNw, BNl = get3(back, here + BNW * step) + Nw, get3(back, here + BNL * step) + Nl
            BVw, BVl = get3(back, here + BVW * step) + Vw, get3(back, here + BVL * step) + Vl
            BAw, BAl = get3(back, here + BAW * step) + Aw, get3(back, here + BAL * step) + Al
            BUw, BUl = get3(back, here + BUW * step), get3(back, here + BUL * step)
            if ti.static(features.outputs):
                # the link's wrench output is about p
                gt = get3(gwrench, at.item(0, e, 2 * l + 1, 2 * size[LINKS], size))
                lever = -gt.cross(BNl)
                gW += p.cross(lever)
                gF += lever
            first = tree[at.link_int(l, DOF0)]
            j = first + tree[at.link_int(l, N_DOFS)] - 1
            while j >= first:
                n = 1
                if tree[at.dof_int(j, KIND, size)] == BALL:
                    n = 3
                # the joint's own velocity; that of the link before it; what their product does to the acceleration
                ww, wl = vec3(0.0), vec3(0.0)
                for c in range(n):
                    v = qd[at.item(s, e, j - c, size[DOFS], size)]
                    ww += v * get3(trace, at.axis_at(s, e, j - c, 0, size))
                    wl += v * get3(trace, at.axis_at(s, e, j - c, 1, size))
                vw -= ww
                vl -= wl
                yw, yl = sp.cross_force(vw, vl, BAw, BAl)
                turned_t, turned_f = vec3(0.0), vec3(0.0)
                for c in range(n):
                    sw = get3(trace, at.axis_at(s, e, j - c, 0, size))
                    sl = get3(trace, at.axis_at(s, e, j - c, 1, size))
                    i, gi = at.item(s, e, j - c, size[DOFS], size), at.item(0, e, j - c, size[DOFS], size)
                    v, a, mu = qd[i], qdd[i], x[gi]
                    u = v + dt * a
                    tw, tl = sp.cross_force(sw, sl, mu * BNw + v * (BVw - yw) + u * BUw + a * BAw,
                                            mu * BNl + v * (BVl - yl) + u * BUl + a * BAl)  # fmt: skip
                    turned_t += tw
                    turned_f += tl
                    y = jo.coordinate(s, e, j - c, size, tree, q)
                    gy, gv = jo.load_adjoint(s, e, j - c, y, mu, size, num, law, model, dofs, qd, qdd, gdofs, gmodel)
                    gqd[gi] = gqd[gi] - (sw.dot(BVw + BUw - yw) + sl.dot(BVl + BUl - yl) + gv)
                    x[gi] = gy
                if n == 3:  # a ball turns all its axes, a single dof only those before it
                    gW += turned_t
                    gF += turned_f
                    jo.elastic_adjoint(s, e, j - 2, size, tree, q, x)
                for c in range(n):
                    sw = get3(trace, at.axis_at(s, e, j - c, 0, size))
                    sl = get3(trace, at.axis_at(s, e, j - c, 1, size))
                    gi = at.item(0, e, j - c, size[DOFS], size)
                    gq[gi] = gq[gi] - (sw.dot(gW) + sl.dot(gF) + x[gi])
                if n == 1:
                    gW += turned_t
                    gF += turned_f
                tw, tl = sp.cross_force(ww, wl, BAw, BAl)
                BVw += tw
                BVl += tl
                j -= n
            parent = tree[at.link_int(l, PARENT)]
            if parent >= 0:
                up = back_at(e, parent, 0, size)
                accumulate(back, up + BNW * step, BNw)
                accumulate(back, up + BNL * step, BNl)
                accumulate(back, up + BVW * step, BVw)
                accumulate(back, up + BVL * step, BVl)
                accumulate(back, up + BAW * step, BAw)
                accumulate(back, up + BAL * step, BAl)
                accumulate(back, up + BUW * step, BUw)
                accumulate(back, up + BUL * step, BUl)
                accumulate(back, up + WT * step, gW)
                accumulate(back, up + WF * step, gF)
            else:
                accumulate(ggravity, e, BAl)  # a root accelerates by -g

    @ti.func
    def inertia_adjoint(e, l, com, R, vw, vl, nw, nl, aw, al, xw, xl, size: ti.template(), gmodel: ti.template()):
        """Subtracts the derivatives of nu . I a - (v x nu) . I v by mass and inertia."""
        na, aa, va, xa = nl + nw.cross(com), al + aw.cross(com), vl + vw.cross(com), xl + xw.cross(com)
        jo.add(gmodel, at.parameter(e, l, size), -(na.dot(aa) - xa.dot(va)))
        back = R.transpose()
        n, a, v, x = back @ nw, back @ aw, back @ vw, back @ xw
        for c in ti.static(range(3)):
            jo.add(gmodel, at.parameter(e, size[LINKS] + 6 * l + c, size), -(n[c] * a[c] - x[c] * v[c]))
        for c, i, k in ti.static(((3, 0, 1), (4, 0, 2), (5, 1, 2))):
            jo.add(gmodel, at.parameter(e, size[LINKS] + 6 * l + c, size),
                   -(n[i] * a[k] + n[k] * a[i] - x[i] * v[k] - x[k] * v[i]))  # fmt: skip

    return Functions(sweep_out=sweep_out, sweep_in=sweep_in, gamma=gamma, back_at=back_at, accumulate=accumulate)
