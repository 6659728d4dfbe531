"""Base to tip: poses, axes, velocities, velocity-product accelerations, and every link's own inertia, bias and contact.

`work` holds, for each link of an environment, what `inertia` then adds up from the tips to the base:
the inertia (angular block AA, mixed block AL, linear block LL) including the contacts' apparent inertia, and the force
that the link needs, less what pushes it, at zero joint acceleration.

A contact that some environment of a block feels is computed for all of the block: for the others it comes out as zero.
"""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import Mat, Vec, any_lane, copy, lane, lanes3, where
from genesis.solvers.rigid.ground import grounds
from genesis.solvers.rigid.layout import (
    AL,
    AW,
    BALL,
    DOF0,
    DOFS,
    DT,
    FRICTION_VELOCITY,
    GROUNDS,
    HINGE,
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
    Q_INDEX,
    QS,
    ROOT,
    SLIDE,
    VL,
    VW,
    Features,
    indices,
)  # fmt: skip
from genesis.solvers.rigid.spatial import (
    about_origin,
    axis_rotation,
    cross_force,
    cross_motion,
    momentum,
    outer_off,
    quaternion_matrix,
    turned,
)  # fmt: skip

WORK = 9
AAD, AAO, AL0, AL1, AL2, LLD, LLO, FT, FL = range(WORK)
HELD = 12
"""Numbers of a listed contact: normal, normal force at rest; place, its slope; friction, whether it touches, -, -."""


@per_runtime
def kinematics(features: Features) -> Functions:
    at, gr = indices(), grounds(features)

    @ti.func
    def quaternion(s, b, first, size: ti.template(), q: ti.template()):
        return at.get4(q, at.item(s, b, first, size[QS], size), size)

    @ti.func
    def origin(s, b, l, R: ti.template(), size: ti.template(), tree: ti.template(), fixed: ti.template(),
               law: ti.template(), q: ti.template()):  # fmt: skip
        """Where the slides at the root take it: any point near the tree would do."""
        o = lanes3()
        o += at.vector(fixed, 2 * l)
        j = tree[at.link_int(l, DOF0)]
        last = j + tree[at.link_int(l, N_DOFS)]
        while j < last:
            if tree[at.dof_int(j, KIND, size)] == SLIDE:
                there = q[at.item(s, b, tree[at.dof_int(j, Q_INDEX, size)], size[QS], size)] - law[8 * j + 7]
                o += there * (R @ at.vector(fixed, 2 * size[LINKS] + 2 * j))
            else:
                j = last
            j += 1
        return o

    @ti.func
    def move(s, b, l, size: ti.template(), num: ti.template(), tree: ti.template(), fixed: ti.template(),
             turn: ti.template(), law: ti.template(), gravity: ti.template(), q: ti.template(), qd: ti.template(),
             trace: ti.template(), rot: ti.template()):  # fmt: skip
        """Pose, velocity and bias acceleration of link l in frame s from its parent's, and its dofs' axes."""
        p, R = lanes3(), Mat(lanes3(), lanes3(), lanes3())
        vw, vl, aw, al = lanes3(), lanes3(), lanes3(), lanes3()
        own = at.rotation(turn, l)
        parent = tree[at.link_int(l, PARENT)]
        if parent < 0:
            for r in ti.static(range(3)):
                R.rows[r] += own.rows[r]
            o = origin(s, b, l, own, size, tree, fixed, law, q)
            at.put(trace, at.trace_at(s, b, l, ORIGIN, size), o, size)
            p -= o
            p += at.vector(fixed, 2 * l)
            al -= at.get3(gravity, at.item(0, b, 0, 3, size), size)
        else:
            above = at.turned(rot, s, b, parent, size)
            p += at.traced(trace, s, b, parent, POS, size) + above @ at.vector(fixed, 2 * l)
            R = above @ own
            vw += at.traced(trace, s, b, parent, VW, size)
            vl += at.traced(trace, s, b, parent, VL, size)
            aw += at.traced(trace, s, b, parent, AW, size)
            al += at.traced(trace, s, b, parent, AL, size)
        j = tree[at.link_int(l, DOF0)]
        last = j + tree[at.link_int(l, N_DOFS)]
        while j < last:
            kind, first = tree[at.dof_int(j, KIND, size)], tree[at.dof_int(j, Q_INDEX, size)]
            anchor = at.vector(fixed, 2 * size[LINKS] + 2 * j + 1)
            if kind == BALL:
                pivot = p + R @ anchor
                R = R @ quaternion_matrix(quaternion(s, b, first, size, q))
                p = pivot - R @ anchor
                ww, wl = lanes3(), lanes3()
                for c in ti.static(range(3)):
                    v = qd[at.item(s, b, j + c, size[DOFS], size)]
                    axis = R.column(c)
                    lever = pivot.cross(axis)
                    at.put(trace, at.axis_at(s, b, j + c, 0, size), axis, size)
                    at.put(trace, at.axis_at(s, b, j + c, 1, size), lever, size)
                    ww += v * axis
                    wl += v * lever
                bw, bl = cross_motion(vw, vl, ww, wl)
                aw += bw
                al += bl
                vw += ww
                vl += wl
                j += 3
            else:
                v = qd[at.item(s, b, j, size[DOFS], size)]
                there = q[at.item(s, b, first, size[QS], size)] - law[8 * j + 7]
                local = at.vector(fixed, 2 * size[LINKS] + 2 * j)
                axis = R @ local
                sw, sl = lanes3(), copy(axis)
                if kind == HINGE:
                    pivot = p + R @ anchor
                    sw += axis
                    sl = pivot.cross(axis)
                    R = R @ axis_rotation(local, there)
                    p = pivot - R @ anchor
                else:
                    p += there * axis
                at.put(trace, at.axis_at(s, b, j, 0, size), sw, size)
                at.put(trace, at.axis_at(s, b, j, 1, size), sl, size)
                bw, bl = cross_motion(vw, vl, sw, sl)
                aw += v * bw
                al += v * bl
                vw += v * sw
                vl += v * sl
                j += 1
        at.put33(rot, at.item(s, b, 9 * l, 9 * size[LINKS], size), R, size)
        for row, v in ti.static(((POS, p), (VW, vw), (VL, vl), (AW, aw), (AL, al))):
            at.put(trace, at.trace_at(s, b, l, row, size), v, size)

    @ti.func
    def world_inertia(b, l, p: ti.template(), R: ti.template(), size: ti.template(), fixed: ti.template(),
                      model: ti.template()):  # fmt: skip
        """Mass, mass times centre of mass, inertia about the origin (diagonal, off-diagonal), centre of mass."""
        m = model[at.parameter(b, l, size)]
        i = at.parameter(b, size[LINKS] + 6 * l, size)
        c = p + R @ at.vector(fixed, 2 * l + 1)
        d, o = turned(R, at.get3(model, i, size), at.get3(model, i + 3 * at.step(size), size))
        dc, oc = about_origin(c, m)
        return m, m * c, d + dc, o + oc, c

    @ti.func
    def rest(s, b, l, attempt, size: ti.template(), num: ti.template(), tree: ti.template(),
             fixed: ti.template(), law: ti.template(), point: ti.template(), ground: ti.template(),
             heights: ti.template(), model: ti.template(), wrench: ti.template(), trace: ti.template(),
             rot: ti.template(), work: ti.template(), released: ti.template(), held: ti.template(),
             held_by: ti.template()):  # fmt: skip
        """The link's own part of `work`: inertia, bias force, external wrench and contact with the ground.

        Lists the contacts in `held` and `held_by` (their number; of each, link, key, point).
        """
        p, R = at.traced(trace, s, b, l, POS, size), at.turned(rot, s, b, l, size)
        vw, vl = at.traced(trace, s, b, l, VW, size), at.traced(trace, s, b, l, VL, size)
        m, h, d, o, com = world_inertia(b, l, p, R, size, fixed, model)
        for row, v in ti.static(((MOMENT, h), (JD, d), (JO, o))):
            at.put(trace, at.trace_at(s, b, l, row, size), v, size)
        mw, ml = momentum(m, h, d, o, vw, vl)
        t, f = momentum(m, h, d, o, at.traced(trace, s, b, l, AW, size), at.traced(trace, s, b, l, AL, size))
        tb, fb = cross_force(vw, vl, mw, ml)
        pushed = at.get3(wrench, at.item(0, b, 6 * l, 6 * size[LINKS], size), size)
        t += tb - at.get3(wrench, at.item(0, b, 6 * l + 3, 6 * size[LINKS], size), size) - com.cross(pushed)
        f += fb - pushed
        none = lane()
        a0, a1, a2 = Vec(none, 0.0 - h[2], h[1]), Vec(h[2], none, 0.0 - h[0]), Vec(0.0 - h[1], h[0], none)
        ld, lo = Vec(m, m, m), lanes3()
        world = at.traced(trace, s, b, tree[at.link_int(l, ROOT)], ORIGIN, size)
        contact = at.row(law, 2 * size[DOFS] + l)
        dt = num[DT]
        for g in range(size[GROUNDS]):
            if any_lane(gr.near(g, world + p, contact[2], ground)):
                k = model[at.parameter(b, 8 * size[LINKS] + l, size)]
                mu = gr.pair_friction(model[at.parameter(b, 7 * size[LINKS] + l, size)],
                                      model[at.parameter(b, 9 * size[LINKS] + 5 * size[DOFS] + g, size)])  # fmt: skip
                first = tree[at.link_int(l, POINT0)]
                for i in range(first, first + tree[at.link_int(l, N_POINTS)]):
                    centre = p + R @ at.row(point, 3 * i)[:3]
                    distance, n = gr.surface(g, world + centre, ground, heights)
                    s_ = gr.support(i, R, n, point)
                    x = s_.dot(n) - distance
                    if any_lane(x > 0.0 - contact[1]):
                        r = centre - s_
                        V = vl + vw.cross(r)
                        key = at.item(s, b, g * size[POINTS] + i, size[GROUNDS] * size[POINTS], size)
                        if attempt == 0:
                            released[key] = none
                        normal, damping, friction = gr.coefficients(
                            x, V, n, k, contact[0], contact[1], mu, num[FRICTION_VELOCITY], dt * contact[3],
                            dt, 1.0 - released[key])
                        F = gr.force(normal, damping, friction, n, V, V)
                        rows = size[GROUNDS] * size[POINTS]
                        head = at.item(0, b, 0, 1 + 3 * rows, size)
                        count = held_by[head]
                        held_by[head] = count + 1
                        held_by[at.item(0, b, 3 * count + 1, 1 + 3 * rows, size)] = l
                        held_by[at.item(0, b, 3 * count + 2, 1 + 3 * rows, size)] = key
                        held_by[at.item(0, b, 3 * count + 3, 1 + 3 * rows, size)] = i
                        at.put(held, at.item(0, b, HELD * count, HELD * rows, size),
                               Vec(n[0], n[1], n[2], normal + damping * n.dot(V), r[0], r[1], r[2], damping, friction,
                                   where(x > 0.0 - contact[1], none + 1.0, none)), size)  # fmt: skip
                        f -= F
                        t -= r.cross(F)
                        # apparent inertia: B = dt (friction 1 + (damping - friction) n n^T) at r
                        by, bn = dt * friction, dt * (damping - friction)
                        rn = r.cross(n)
                        dd, do = about_origin(r, by)
                        d += dd + bn * rn * rn
                        o += do + bn * outer_off(rn, rn)
                        a0 += Vec(none, 0.0 - by * r[2], by * r[1]) + (bn * rn[0]) * n
                        a1 += Vec(by * r[2], none, 0.0 - by * r[0]) + (bn * rn[1]) * n
                        a2 += Vec(0.0 - by * r[1], by * r[0], none) + (bn * rn[2]) * n
                        ld += bn * n * n + by
                        lo += bn * outer_off(n, n)
        for row, v in ti.static(((AAD, d), (AAO, o), (AL0, a0), (AL1, a1), (AL2, a2), (LLD, ld), (LLO, lo), (FT, t),
                                 (FL, f))):  # fmt: skip
            at.put(work, at.item(0, b, 3 * (WORK * l + row), 3 * WORK * size[LINKS], size), v, size)

    @ti.func
    def worked(work: ti.template(), b, l, row, size: ti.template()):
        """A vector of `work`."""
        return at.get3(work, at.item(0, b, 3 * (WORK * l + row), 3 * WORK * size[LINKS], size), size)

    @ti.func
    def release(s, b, last, size: ti.template(), num: ti.template(), tree: ti.template(), trace: ti.template(),
                x: ti.template(), work: ti.template(), released: ti.template(), held: ti.template(),
                held_by: ti.template()):  # fmt: skip
        """Marks the contacts that would pull at the accelerations in x; whether there are any. The last time, none.

        Overwrites `work`: its first two rows hold the links' accelerations due to x, if anybody is to read them.
        """
        rows = size[GROUNDS] * size[POINTS]
        count = held_by[at.item(0, b, 0, 1 + 3 * rows, size)]
        found = False
        if ti.static(features.outputs) or count > 0:
            for l in range(size[LINKS]):
                dw, dl = lanes3(), lanes3()
                parent = tree[at.link_int(l, PARENT)]
                if parent >= 0:
                    dw += worked(work, b, parent, 0, size)
                    dl += worked(work, b, parent, 1, size)
                first = tree[at.link_int(l, DOF0)]
                for j in range(first, first + tree[at.link_int(l, N_DOFS)]):
                    a = x[at.item(0, b, j, size[DOFS], size)]
                    sw, sl = at.axis(trace, s, b, j, size)
                    dw += a * sw
                    dl += a * sl
                for row, v in ti.static(((0, dw), (1, dl))):
                    at.put(work, at.item(0, b, 3 * (WORK * l + row), 3 * WORK * size[LINKS], size), v, size)
            for c in range(count):
                l = held_by[at.item(0, b, 3 * c + 1, 1 + 3 * rows, size)]
                at_c, by = at.item(0, b, HELD * c, HELD * rows, size), at.step(size)
                head, place = at.get4(held, at_c, size), at.get4(held, at_c + 4 * by, size)
                w = at.traced(trace, s, b, l, VW, size) + num[DT] * worked(work, b, l, 0, size)
                v = at.traced(trace, s, b, l, VL, size) + num[DT] * worked(work, b, l, 1, size)
                force = head[3] - place[3] * head[:3].dot(v + w.cross(place[:3]))
                pulls = (place[3] > 0.0) & (force < 0.0)
                if not last and any_lane(pulls):
                    key = held_by[at.item(0, b, 3 * c + 2, 1 + 3 * rows, size)]
                    released[key] = where(pulls, lane(1.0), released[key])
                    found = True
        return found

    return Functions(move=move, rest=rest, release=release, origin=origin, quaternion=quaternion, worked=worked)
