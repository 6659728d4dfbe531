"""Step outputs: forces and places of contacts, and the wrench that each link's joint transmits; sums over the substeps.

`measure` runs after the accelerations are known. `pull` is the first half of its adjoint: what the outputs' cotangents
ask of the accelerations. The other half is the virtual power of `adjoint`.

    contacts  A3  per contact point, world frame: force on the link, touching point, (touching substeps, -, -)
    joint     A3  per link: force and torque about the link's frame, world axes, from its parent
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.solvers.rigid.adjoint import BNL, BNW, NL, NW, adjoint
from genesis.solvers.rigid.ground import grounds
from genesis.solvers.rigid.kinematics import FL, FT, WORK
from genesis.solvers.rigid.layout import (
    AL,
    AW,
    DOF0,
    DOFS,
    DT,
    FRICTION_VELOCITY,
    GROUNDS,
    JD,
    JO,
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
from genesis.solvers.rigid.pairs import pairs
from genesis.solvers.rigid.spatial import spatial


@per_runtime
def outputs(features: Features) -> Functions:
    lay, at, sp, gr, ad, pr = layout(), indices(), spatial(), grounds(features), adjoint(features), pairs(features)
    vec3 = lay.vec3
    get3, get4, get33, put3 = lay.get3, lay.get4, lay.get33, lay.put3

    @ti.func
    def work_at(e, l, row, size: ti.template()):
        return at.item(0, e, WORK * l + row, WORK * size[LINKS], size)

    @ti.func
    def measure(s, e, size: ti.template(), num: ti.template(), tree: ti.template(), fixed: ti.template(),
                pair: ti.template(), shape: ti.template(), model: ti.template(), wrench: ti.template(),
                trace: ti.template(), rot: ti.template(), work: ti.template(), held: ti.template(),
                held_by: ti.template(), contacts: ti.template(), joint: ti.template()):  # fmt: skip
        """Adds this substep's to `contacts` and `joint`. Runs after `kinematics.release`; overwrites `work`."""
        dt = num[DT]
        for l in range(size[LINKS]):
            t = at.trace_at(s, e, l, 0, size)
            step = at.trace_at(s, e, l, 1, size) - t
            p, R = get3(trace, t + POS * step), get33(rot, at.item(s, e, l, size[LINKS], size))
            vw, vl = get3(trace, t + VW * step), get3(trace, t + VL * step)
            h, jd, jo = get3(trace, t + MOMENT * step), get3(trace, t + JD * step), get3(trace, t + JO * step)
            dw, dl = get3(work, work_at(e, l, 0, size)), get3(work, work_at(e, l, 1, size))
            m = model[at.parameter(e, l, size)]
            mw, ml = sp.momentum(m, h, jd, jo, vw, vl)
            tq, f = sp.cross_force(vw, vl, mw, ml)
            iw, il = sp.momentum(m, h, jd, jo, get3(trace, t + AW * step) + dw, get3(trace, t + AL * step) + dl)
            pushed = get3(wrench, at.item(0, e, 2 * l, 2 * size[LINKS], size))
            com = p + R @ get3(fixed, 2 * l + 1)
            tq += iw - get3(wrench, at.item(0, e, 2 * l + 1, 2 * size[LINKS], size)) - com.cross(pushed)
            put3(work, work_at(e, l, FT, size), tq)
            put3(work, work_at(e, l, FL, size), f + il - pushed)
        rows = 3 * size[GROUNDS] * size[POINTS]
        for c in range(held_by[at.item(0, e, 0, 1 + rows, size)]):
            l, i = held_by[at.item(0, e, 3 * c + 1, 1 + rows, size)], held_by[at.item(0, e, 3 * c + 3, 1 + rows, size)]
            head, place = get4(held, at.item(0, e, 3 * c, rows, size)), get4(held, at.item(0, e, 3 * c + 1, rows, size))
            n, r = head[:3], place[:3]
            t = at.trace_at(s, e, l, 0, size)
            step = at.trace_at(s, e, l, 1, size) - t
            uw = get3(trace, t + VW * step) + dt * get3(work, work_at(e, l, 0, size))
            U = get3(trace, t + VL * step) + dt * get3(work, work_at(e, l, 1, size)) + uw.cross(r)
            friction = get4(held, at.item(0, e, 3 * c + 2, rows, size))[0]
            F = (head[3] - (place[3] - friction) * n.dot(U)) * n - friction * U
            world = get3(trace, at.trace_at(s, e, tree[at.link_int(l, ROOT)], ORIGIN, size))
            put3(work, work_at(e, l, FT, size), get3(work, work_at(e, l, FT, size)) - r.cross(F))
            put3(work, work_at(e, l, FL, size), get3(work, work_at(e, l, FL, size)) - F)
            for row, v in ti.static(((0, F), (1, world + r), (2, vec3(1.0, 0.0, 0.0)))):
                k = at.item(0, e, 3 * i + row, 3 * size[POINTS], size)
                put3(contacts, k, get3(contacts, k) + v)
        if ti.static(features.pairs):
            pr.push(s, e, size, tree, pair, shape, model, trace, rot, work)
        for back in range(size[LINKS]):
            l = size[LINKS] - 1 - back
            tq, f = get3(work, work_at(e, l, FT, size)), get3(work, work_at(e, l, FL, size))
            i, k = at.item(0, e, 2 * l, 2 * size[LINKS], size), at.item(0, e, 2 * l + 1, 2 * size[LINKS], size)
            put3(joint, i, get3(joint, i) + f)
            put3(joint, k, get3(joint, k) + tq - get3(trace, at.trace_at(s, e, l, POS, size)).cross(f))
            parent = tree[at.link_int(l, PARENT)]
            if parent >= 0:
                a, b = work_at(e, parent, FT, size), work_at(e, parent, FL, size)
                put3(work, a, get3(work, a) + tq)
                put3(work, b, get3(work, b) + f)

    @ti.func
    def pull(s, e, size: ti.template(), num: ti.template(), tree: ti.template(), law: ti.template(),
             point: ti.template(), ground: ti.template(), heights: ti.template(), model: ti.template(),
             trace: ti.template(), rot: ti.template(), x: ti.template(), back: ti.template(), released: ti.template(),
             gcontacts: ti.template(), gwrench: ti.template()):  # fmt: skip
        """Adds to x the cotangent of the accelerations that comes from the outputs' cotangents. Overwrites `back`."""
        dt = num[DT]
        for l in range(size[LINKS]):
            t = at.trace_at(s, e, l, 0, size)
            step = at.trace_at(s, e, l, 1, size) - t
            p, R = get3(trace, t + POS * step), get33(rot, at.item(s, e, l, size[LINKS], size))
            vw, vl = get3(trace, t + VW * step), get3(trace, t + VL * step)
            cw, cl = ad.gamma(s, e, l, size, trace, gwrench)
            parent = tree[at.link_int(l, PARENT)]
            if parent >= 0:
                cw += get3(back, ad.back_at(e, parent, NW, size))
                cl += get3(back, ad.back_at(e, parent, NL, size))
            tq, f = sp.momentum(
                model[at.parameter(e, l, size)], get3(trace, t + MOMENT * step), get3(trace, t + JD * step),
                get3(trace, t + JO * step), cw, cl)
            world = get3(trace, at.trace_at(s, e, tree[at.link_int(l, ROOT)], ORIGIN, size))
            contact = get4(law, 2 * size[DOFS] + l)
            k = model[at.parameter(e, 8 * size[LINKS] + l, size)]
            for g in range(size[GROUNDS]):
                mu = gr.pair_friction(model[at.parameter(e, 7 * size[LINKS] + l, size)],
                                      model[at.parameter(e, 9 * size[LINKS] + 5 * size[DOFS] + g, size)])  # fmt: skip
                if gr.near(g, world + p, contact[2], ground):
                    start = tree[at.link_int(l, POINT0)]
                    for i in range(start, start + tree[at.link_int(l, N_POINTS)]):
                        centre = p + R @ get4(point, 3 * i)[:3]
                        distance, n = gr.surface(g, world + centre, ground, heights)
                        s_ = gr.support(i, R, n, point)
                        depth = s_.dot(n) - distance
                        if depth > -contact[1]:
                            r = centre - s_
                            key = at.item(s, e, g * size[POINTS] + i, size[GROUNDS] * size[POINTS], size)
                            _normal, damping, friction = gr.coefficients(
                                depth, vl + vw.cross(r), n, k, contact[0], contact[1], mu, num[FRICTION_VELOCITY], dt,
                                1 - released[key])
                            c = cl + cw.cross(r) - get3(gcontacts, at.item(0, e, 2 * i, 2 * size[POINTS], size))
                            F = dt * (friction * c + (damping - friction) * n.dot(c) * n)
                            tq += r.cross(F)
                            f += F
            put3(back, ad.back_at(e, l, NW, size), cw)
            put3(back, ad.back_at(e, l, NL, size), cl)
            put3(back, ad.back_at(e, l, BNW, size), tq)
            put3(back, ad.back_at(e, l, BNL, size), f)
        for behind in range(size[LINKS]):
            l = size[LINKS] - 1 - behind
            tq, f = get3(back, ad.back_at(e, l, BNW, size)), get3(back, ad.back_at(e, l, BNL, size))
            first = tree[at.link_int(l, DOF0)]
            for j in range(first, first + tree[at.link_int(l, N_DOFS)]):
                i = at.item(0, e, j, size[DOFS], size)
                x[i] = (x[i] + get3(trace, at.axis_at(s, e, j, 0, size)).dot(tq)
                        + get3(trace, at.axis_at(s, e, j, 1, size)).dot(f))  # fmt: skip
            parent = tree[at.link_int(l, PARENT)]
            if parent >= 0:
                ad.accumulate(back, ad.back_at(e, parent, BNW, size), tq)
                ad.accumulate(back, ad.back_at(e, parent, BNL, size), f)

    return Functions(measure=measure, pull=pull)
