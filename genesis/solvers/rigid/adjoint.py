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

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import any_lane, copy, lanes3, where
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
from genesis.solvers.rigid.spatial import cross_force, cross_motion, momentum

BACK = 14
NW, NL, DW, DL, BNW, BNL, BVW, BVL, BAW, BAL, BUW, BUL, WT, WF = range(BACK)
"""Rows of a link: nu, the acceleration due to qdd, and the sums described above (angular, linear)."""


@per_runtime
def adjoint(features: Features) -> Functions:
    at, gr, jo = indices(), grounds(features), joints()

    @ti.func
    def back_at(b, l, row, size: ti.template()):
        return at.item(0, b, 3 * (BACK * l + row), 3 * BACK * size[LINKS], size)

    @ti.func
    def summed(back: ti.template(), b, l, row, size: ti.template()):
        """A vector of `back`."""
        return at.get3(back, back_at(b, l, row, size), size)

    @ti.func
    def sweep_out(s, b, size: ti.template(), tree: ti.template(), trace: ti.template(), qdd: ti.template(),
                  x: ti.template(), gwrench: ti.template(), back: ti.template()):  # fmt: skip
        """nu and the acceleration due to qdd of every link; clears its sums."""
        for l in range(size[LINKS]):
            nw, nl, dw, dl = lanes3(), lanes3(), lanes3(), lanes3()
            parent = tree[at.link_int(l, PARENT)]
            if parent >= 0:
                nw += summed(back, b, parent, NW, size)
                nl += summed(back, b, parent, NL, size)
                dw += summed(back, b, parent, DW, size)
                dl += summed(back, b, parent, DL, size)
            first = tree[at.link_int(l, DOF0)]
            for j in range(first, first + tree[at.link_int(l, N_DOFS)]):
                sw, sl = at.axis(trace, s, b, j, size)
                mu, a = x[at.item(0, b, j, size[DOFS], size)], qdd[at.item(s, b, j, size[DOFS], size)]
                nw += mu * sw
                nl += mu * sl
                dw += a * sw
                dl += a * sl
            if ti.static(features.outputs):
                gw, gl = gamma(s, b, l, size, trace, gwrench)
                nw -= gw
                nl -= gl
            for row, v in ti.static(((NW, nw), (NL, nl), (DW, dw), (DL, dl))):
                at.put(back, back_at(b, l, row, size), v, size)
            none = lanes3()
            for row in range(BNW, BACK):
                at.put(back, back_at(b, l, row, size), none, size)

    @ti.func
    def gamma(s, b, l, size: ti.template(), trace: ti.template(), gwrench: ti.template()):
        """The velocity whose power with the subtree's force is the pull on the link's wrench output."""
        gf = at.get3(gwrench, at.item(0, b, 6 * l, 6 * size[LINKS], size), size)
        gt = at.get3(gwrench, at.item(0, b, 6 * l + 3, 6 * size[LINKS], size), size)
        return gt, gf + at.traced(trace, s, b, l, POS, size).cross(gt)

    @ti.func
    def touch(s, b, l, p: ti.template(), R: ti.template(), vw: ti.template(), vl: ti.template(), uw: ti.template(),
              ul: ti.template(), nw: ti.template(), nl: ti.template(), size: ti.template(), num: ti.template(),
              tree: ti.template(), law: ti.template(), point: ti.template(), ground: ti.template(),
              heights: ti.template(), model: ti.template(), trace: ti.template(), released: ti.template(),
              gcontacts: ti.template(), back: ti.template(), gmodel: ti.template()):  # fmt: skip
        """Contacts of link l with the ground: adds to its sums."""
        world = at.traced(trace, s, b, tree[at.link_int(l, ROOT)], ORIGIN, size)
        contact = at.row(law, 2 * size[DOFS] + l)
        for g in range(size[GROUNDS]):
            if any_lane(gr.near(g, world + p, contact[2], ground)):
                ik, il = at.parameter(b, 8 * size[LINKS] + l, size), at.parameter(b, 7 * size[LINKS] + l, size)
                ig = at.parameter(b, 9 * size[LINKS] + 5 * size[DOFS] + g, size)
                k, mu = model[ik], gr.pair_friction(model[il], model[ig])
                first = tree[at.link_int(l, POINT0)]
                for i in range(first, first + tree[at.link_int(l, N_POINTS)]):
                    centre = p + R @ at.row(point, 3 * i)[:3]
                    distance, n = gr.surface(g, world + centre, ground, heights)
                    s_ = gr.support(i, R, n, point)
                    x = s_.dot(n) - distance
                    if any_lane(x > 0.0 - contact[1]):
                        r = centre - s_
                        V, U, N = vl + vw.cross(r), ul + uw.cross(r), nl + nw.cross(r)
                        key = at.item(s, b, g * size[POINTS] + i, size[GROUNDS] * size[POINTS], size)
                        M = copy(N)
                        if ti.static(features.outputs):
                            M += at.get3(gcontacts, at.item(0, b, 6 * i, 6 * size[POINTS], size), size)
                        F, gx, gV, gU, gn, gmu, gk = gr.power_adjoint(
                            x, M, V, U, n, k, contact[0], contact[1], mu, num[FRICTION_VELOCITY],
                            num[DT] * contact[3], num[DT], 1.0 - released[key])
                        gr_ = nw.cross(F)
                        if ti.static(features.outputs):  # its place is an output where it touches
                            place = at.get3(gcontacts, at.item(0, b, 6 * i + 3, 6 * size[POINTS], size), size)
                            gr_ -= where(x > 0.0 - contact[1], place, lanes3())
                        gr_ += gV.cross(vw) + gU.cross(uw)
                        # r = centre - s(R, n), x = s.n - distance(centre)
                        gturn, gn_s = gr.support_adjoint(i, R, n, s_, gx * n - gr_, point)
                        gc = gr_ + gr.surface_adjoint(g, world + centre, 0.0 - gx, gn + gn_s + gx * s_, ground, heights)
                        for row, v in ti.static(((BNW, F.cross(r)), (BNL, -F), (BVW, r.cross(gV)), (BVL, gV),
                                                 (BUW, r.cross(gU)), (BUL, gU), (WT, centre.cross(gc) + gturn),
                                                 (WF, gc))):  # fmt: skip
                            at.add3(back, back_at(b, l, row, size), v, size)
                        jo.add(gmodel, ik, 0.0 - gk / k)
                        own = gr.share(model[il], model[ig])
                        jo.add(gmodel, il, 0.0 - own * gmu)
                        jo.add(gmodel, ig, (own - 1.0) * gmu)

    @ti.func
    def sweep_in(s, b, size: ti.template(), num: ti.template(), tree: ti.template(), fixed: ti.template(),
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
            p, R = at.traced(trace, s, b, l, POS, size), at.turned(rot, s, b, l, size)
            vw, vl = at.traced(trace, s, b, l, VW, size), at.traced(trace, s, b, l, VL, size)
            h, jd = at.traced(trace, s, b, l, MOMENT, size), at.traced(trace, s, b, l, JD, size)
            jo_ = at.traced(trace, s, b, l, JO, size)
            nw, nl = summed(back, b, l, NW, size), summed(back, b, l, NL, size)
            dw, dl = summed(back, b, l, DW, size), summed(back, b, l, DL, size)
            uw, ul = vw + dt * dw, vl + dt * dl
            aw, al = at.traced(trace, s, b, l, AW, size) + dw, at.traced(trace, s, b, l, AL, size) + dl
            m = model[at.parameter(b, l, size)]
            touch(s, b, l, p, R, vw, vl, uw, ul, nw, nl, size, num, tree, law, point, ground, heights, model, trace,
                  released, gcontacts, back, gmodel)  # fmt: skip
            # Inertia: nu . (I a + v x* I v)
            mw, ml = momentum(m, h, jd, jo_, vw, vl)
            iaw, ial = momentum(m, h, jd, jo_, aw, al)
            bw, bl = cross_force(vw, vl, mw, ml)
            Nw, Nl = iaw + bw, ial + bl
            Aw, Al = momentum(m, h, jd, jo_, nw, nl)
            xw, xl = cross_motion(vw, vl, nw, nl)
            e1w, e1l = cross_force(nw, nl, mw, ml)
            e2w, e2l = momentum(m, h, jd, jo_, xw, xl)
            Vw, Vl = -(e1w + e2w), -(e1l + e2l)
            w1, f1 = cross_force(nw, nl, Nw, Nl)
            w2, f2 = cross_force(aw, al, Aw, Al)
            w3, f3 = cross_force(vw, vl, Vw, Vl)
            gW, gF = summed(back, b, l, WT, size) - (w1 + w2 + w3), summed(back, b, l, WF, size) - (f1 + f2 + f3)
            # External wrench at the centre of mass
            com = p + R @ at.vector(fixed, 2 * l + 1)
            iw = at.item(0, b, 6 * l, 6 * size[LINKS], size)
            it = iw + 3 * at.step(size)
            force = at.get3(wrench, iw, size)
            at.add3(gwrench_in, iw, nl + nw.cross(com), size)
            at.add3(gwrench_in, it, nw, size)
            Nw -= at.get3(wrench, it, size) + com.cross(force)
            Nl -= force
            gcom = nw.cross(force)
            gW += com.cross(gcom)
            gF += gcom
            inertia_adjoint(b, l, com, R, vw, vl, nw, nl, aw, al, xw, xl, size, gmodel)
            BNw, BNl = summed(back, b, l, BNW, size) + Nw, summed(back, b, l, BNL, size) + Nl
            BVw, BVl = summed(back, b, l, BVW, size) + Vw, summed(back, b, l, BVL, size) + Vl
            BAw, BAl = summed(back, b, l, BAW, size) + Aw, summed(back, b, l, BAL, size) + Al
            BUw, BUl = summed(back, b, l, BUW, size), summed(back, b, l, BUL, size)
            if ti.static(features.outputs):
                # the link's wrench output is about p
                gt = at.get3(gwrench, at.item(0, b, 6 * l + 3, 6 * size[LINKS], size), size)
                lever = BNl.cross(gt)
                gW += p.cross(lever)
                gF += lever
            first = tree[at.link_int(l, DOF0)]
            j = first + tree[at.link_int(l, N_DOFS)] - 1
            while j >= first:
                n = 1
                if tree[at.dof_int(j, KIND, size)] == BALL:
                    n = 3
                # the joint's own velocity; that of the link before it; what their product does to the acceleration
                ww, wl = lanes3(), lanes3()
                for c in range(n):
                    v = qd[at.item(s, b, j - c, size[DOFS], size)]
                    sw, sl = at.axis(trace, s, b, j - c, size)
                    ww += v * sw
                    wl += v * sl
                vw -= ww
                vl -= wl
                yw, yl = cross_force(vw, vl, BAw, BAl)
                turned_t, turned_f = lanes3(), lanes3()
                for c in range(n):
                    sw, sl = at.axis(trace, s, b, j - c, size)
                    i, gi = at.item(s, b, j - c, size[DOFS], size), at.item(0, b, j - c, size[DOFS], size)
                    v, a, mu = qd[i], qdd[i], x[gi]
                    u = v + dt * a
                    tw, tl = cross_force(sw, sl, mu * BNw + v * (BVw - yw) + u * BUw + a * BAw,
                                         mu * BNl + v * (BVl - yl) + u * BUl + a * BAl)  # fmt: skip
                    turned_t += tw
                    turned_f += tl
                    y = jo.coordinate(s, b, j - c, size, tree, q)
                    gy, gv = jo.load_adjoint(s, b, j - c, y, mu, size, num, law, model, dofs, qd, qdd, gdofs, gmodel)
                    gqd[gi] = gqd[gi] - (sw.dot(BVw + BUw - yw) + sl.dot(BVl + BUl - yl) + gv)
                    x[gi] = gy
                if n == 3:  # a ball turns all its axes, a single dof only those before it
                    gW += turned_t
                    gF += turned_f
                    jo.elastic_adjoint(s, b, j - 2, size, tree, q, x)
                for c in range(n):
                    sw, sl = at.axis(trace, s, b, j - c, size)
                    gi = at.item(0, b, j - c, size[DOFS], size)
                    gq[gi] = gq[gi] - (sw.dot(gW) + sl.dot(gF) + x[gi])
                if n == 1:
                    gW += turned_t
                    gF += turned_f
                tw, tl = cross_force(ww, wl, BAw, BAl)
                BVw += tw
                BVl += tl
                j -= n
            parent = tree[at.link_int(l, PARENT)]
            if parent >= 0:
                for row, v in ti.static(((BNW, BNw), (BNL, BNl), (BVW, BVw), (BVL, BVl), (BAW, BAw), (BAL, BAl),
                                         (BUW, BUw), (BUL, BUl), (WT, gW), (WF, gF))):  # fmt: skip
                    at.add3(back, back_at(b, parent, row, size), v, size)
            else:
                at.add3(ggravity, at.item(0, b, 0, 3, size), BAl, size)  # a root accelerates by -g

    @ti.func
    def inertia_adjoint(b, l, com: ti.template(), R: ti.template(), vw: ti.template(), vl: ti.template(),
                        nw: ti.template(), nl: ti.template(), aw: ti.template(), al: ti.template(),
                        xw: ti.template(), xl: ti.template(), size: ti.template(), gmodel: ti.template()):  # fmt: skip
        """Subtracts the derivatives of nu . I a - (v x nu) . I v by mass and inertia."""
        na, aa, va, xa = nl + nw.cross(com), al + aw.cross(com), vl + vw.cross(com), xl + xw.cross(com)
        jo.add(gmodel, at.parameter(b, l, size), xa.dot(va) - na.dot(aa))
        back = R.transpose()
        n, a, v, x = back @ nw, back @ aw, back @ vw, back @ xw
        for c in ti.static(range(3)):
            jo.add(gmodel, at.parameter(b, size[LINKS] + 6 * l + c, size), x[c] * v[c] - n[c] * a[c])
        for c, i, k in ti.static(((3, 0, 1), (4, 0, 2), (5, 1, 2))):
            jo.add(gmodel, at.parameter(b, size[LINKS] + 6 * l + c, size),
                   x[i] * v[k] + x[k] * v[i] - n[i] * a[k] - n[k] * a[i])  # fmt: skip

    return Functions(sweep_out=sweep_out, sweep_in=sweep_in, gamma=gamma, back_at=back_at, summed=summed)
