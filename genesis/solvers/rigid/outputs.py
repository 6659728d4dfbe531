"""Step outputs: forces and places of contacts, and the wrench that each link's joint transmits; sums over the substeps.

`measure` runs after the accelerations are known. `pull` is the first half of its adjoint: what the outputs' cotangents
ask of the accelerations. The other half is the virtual power of `adjoint`.

    contacts  AL  per contact point, world frame: force on the link, touching point, touching substeps
    joint     AL  per link: force and torque about the link's frame, world axes, from its parent
"""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import any_lane
from genesis.solvers.rigid.adjoint import BNL, BNW, NL, NW, adjoint
from genesis.solvers.rigid.ground import grounds
from genesis.solvers.rigid.kinematics import FL, FT, HELD, WORK, kinematics
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
from genesis.solvers.rigid.spatial import cross_force, momentum

CONTACT = 7
"""Numbers of a contact point's outputs."""


@per_runtime
def outputs(features: Features) -> Functions:
    at, ki, gr, ad, pr = indices(), kinematics(features), grounds(features), adjoint(features), pairs(features)

    @ti.func
    def work_at(b, l, row, size: ti.template()):
        return at.item(0, b, 3 * (WORK * l + row), 3 * WORK * size[LINKS], size)

    @ti.func
    def measure(s, b, size: ti.template(), num: ti.template(), tree: ti.template(), fixed: ti.template(),
                pair: ti.template(), shape: ti.template(), model: ti.template(), wrench: ti.template(),
                trace: ti.template(), rot: ti.template(), work: ti.template(), held: ti.template(),
                held_by: ti.template(), contacts: ti.template(), joint: ti.template()):  # fmt: skip
        """Adds this substep's to `contacts` and `joint`. Runs after `kinematics.release`; overwrites `work`."""
        dt = num[DT]
        for l in range(size[LINKS]):
            p, R = at.traced(trace, s, b, l, POS, size), at.turned(rot, s, b, l, size)
            vw, vl = at.traced(trace, s, b, l, VW, size), at.traced(trace, s, b, l, VL, size)
            h, jd = at.traced(trace, s, b, l, MOMENT, size), at.traced(trace, s, b, l, JD, size)
            jo = at.traced(trace, s, b, l, JO, size)
            dw, dl = ki.worked(work, b, l, 0, size), ki.worked(work, b, l, 1, size)
            m = model[at.parameter(b, l, size)]
            mw, ml = momentum(m, h, jd, jo, vw, vl)
            tq, f = cross_force(vw, vl, mw, ml)
            iw, il = momentum(m, h, jd, jo, at.traced(trace, s, b, l, AW, size) + dw,
                              at.traced(trace, s, b, l, AL, size) + dl)  # fmt: skip
            pushed = at.get3(wrench, at.item(0, b, 6 * l, 6 * size[LINKS], size), size)
            com = p + R @ at.vector(fixed, 2 * l + 1)
            tq += iw - at.get3(wrench, at.item(0, b, 6 * l + 3, 6 * size[LINKS], size), size) - com.cross(pushed)
            at.put(work, work_at(b, l, FT, size), tq, size)
            at.put(work, work_at(b, l, FL, size), f + il - pushed, size)
        rows = size[GROUNDS] * size[POINTS]
        for c in range(held_by[at.item(0, b, 0, 1 + 3 * rows, size)]):
            l = held_by[at.item(0, b, 3 * c + 1, 1 + 3 * rows, size)]
            i = held_by[at.item(0, b, 3 * c + 3, 1 + 3 * rows, size)]
            at_c, by = at.item(0, b, HELD * c, HELD * rows, size), at.step(size)
            head, place = at.get4(held, at_c, size), at.get4(held, at_c + 4 * by, size)
            n, r, friction, touches = head[:3], place[:3], held[at_c + 8 * by], held[at_c + 9 * by]
            uw = at.traced(trace, s, b, l, VW, size) + dt * ki.worked(work, b, l, 0, size)
            U = at.traced(trace, s, b, l, VL, size) + dt * ki.worked(work, b, l, 1, size) + uw.cross(r)
            F = (head[3] - (place[3] - friction) * n.dot(U)) * n - friction * U
            world = at.traced(trace, s, b, tree[at.link_int(l, ROOT)], ORIGIN, size)
            at.add3(work, work_at(b, l, FT, size), F.cross(r), size)
            at.add3(work, work_at(b, l, FL, size), -F, size)
            k = at.item(0, b, CONTACT * i, CONTACT * size[POINTS], size)
            at.add3(contacts, k, F, size)
            at.add3(contacts, k + 3 * by, touches * (world + r), size)
            contacts[k + 6 * by] = contacts[k + 6 * by] + touches
        if ti.static(features.pairs):
            pr.push(s, b, size, tree, pair, shape, model, trace, rot, work)
        for back in range(size[LINKS]):
            l = size[LINKS] - 1 - back
            tq, f = ki.worked(work, b, l, FT, size), ki.worked(work, b, l, FL, size)
            at.add3(joint, at.item(0, b, 6 * l, 6 * size[LINKS], size), f, size)
            at.add3(joint, at.item(0, b, 6 * l + 3, 6 * size[LINKS], size),
                    tq - at.traced(trace, s, b, l, POS, size).cross(f), size)  # fmt: skip
            parent = tree[at.link_int(l, PARENT)]
            if parent >= 0:
                at.add3(work, work_at(b, parent, FT, size), tq, size)
                at.add3(work, work_at(b, parent, FL, size), f, size)

    @ti.func
    def pull(s, b, size: ti.template(), num: ti.template(), tree: ti.template(), law: ti.template(),
             point: ti.template(), ground: ti.template(), heights: ti.template(), model: ti.template(),
             trace: ti.template(), rot: ti.template(), x: ti.template(), back: ti.template(), released: ti.template(),
             gcontacts: ti.template(), gwrench: ti.template()):  # fmt: skip
        """Adds to x the cotangent of the accelerations that comes from the outputs' cotangents. Overwrites `back`."""
        dt = num[DT]
        for l in range(size[LINKS]):
            p, R = at.traced(trace, s, b, l, POS, size), at.turned(rot, s, b, l, size)
            vw, vl = at.traced(trace, s, b, l, VW, size), at.traced(trace, s, b, l, VL, size)
            cw, cl = ad.gamma(s, b, l, size, trace, gwrench)
            parent = tree[at.link_int(l, PARENT)]
            if parent >= 0:
                cw += ad.summed(back, b, parent, NW, size)
                cl += ad.summed(back, b, parent, NL, size)
            tq, f = momentum(
                model[at.parameter(b, l, size)], at.traced(trace, s, b, l, MOMENT, size),
                at.traced(trace, s, b, l, JD, size), at.traced(trace, s, b, l, JO, size), cw, cl)
            world = at.traced(trace, s, b, tree[at.link_int(l, ROOT)], ORIGIN, size)
            contact = at.row(law, 2 * size[DOFS] + l)
            k = model[at.parameter(b, 8 * size[LINKS] + l, size)]
            for g in range(size[GROUNDS]):
                mu = gr.pair_friction(model[at.parameter(b, 7 * size[LINKS] + l, size)],
                                      model[at.parameter(b, 9 * size[LINKS] + 5 * size[DOFS] + g, size)])  # fmt: skip
                if any_lane(gr.near(g, world + p, contact[2], ground)):
                    start = tree[at.link_int(l, POINT0)]
                    for i in range(start, start + tree[at.link_int(l, N_POINTS)]):
                        centre = p + R @ at.row(point, 3 * i)[:3]
                        distance, n = gr.surface(g, world + centre, ground, heights)
                        s_ = gr.support(i, R, n, point)
                        depth = s_.dot(n) - distance
                        if any_lane(depth > 0.0 - contact[1]):
                            r = centre - s_
                            key = at.item(s, b, g * size[POINTS] + i, size[GROUNDS] * size[POINTS], size)
                            _normal, damping, friction = gr.coefficients(
                                depth, vl + vw.cross(r), n, k, contact[0], contact[1], mu, num[FRICTION_VELOCITY],
                                dt * contact[3], dt, 1.0 - released[key])
                            wanted = at.get3(gcontacts, at.item(0, b, 6 * i, 6 * size[POINTS], size), size)
                            c = cl + cw.cross(r) - wanted
                            F = dt * (friction * c + ((damping - friction) * n.dot(c)) * n)
                            tq += r.cross(F)
                            f += F
            for row, v in ti.static(((NW, cw), (NL, cl), (BNW, tq), (BNL, f))):
                at.put(back, ad.back_at(b, l, row, size), v, size)
        for behind in range(size[LINKS]):
            l = size[LINKS] - 1 - behind
            tq, f = ad.summed(back, b, l, BNW, size), ad.summed(back, b, l, BNL, size)
            first = tree[at.link_int(l, DOF0)]
            for j in range(first, first + tree[at.link_int(l, N_DOFS)]):
                i = at.item(0, b, j, size[DOFS], size)
                sw, sl = at.axis(trace, s, b, j, size)
                x[i] = x[i] + sw.dot(tq) + sl.dot(f)
            parent = tree[at.link_int(l, PARENT)]
            if parent >= 0:
                at.add3(back, ad.back_at(b, parent, BNW, size), tq, size)
                at.add3(back, ad.back_at(b, parent, BNL, size), f, size)

    return Functions(measure=measure, pull=pull)
