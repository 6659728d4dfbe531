"""Base to tip: poses, axes, velocities, velocity-product accelerations, and every link's own inertia, bias and contact.

`work` holds, for each link of an environment, what `inertia` then adds up from the tips to the base:
the inertia (angular block AA, mixed block AL, linear block LL) including the contacts' apparent inertia, and the force
that the link needs, less what pushes it, at zero joint acceleration.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
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
from genesis.solvers.rigid.spatial import spatial

WORK = 9
AAD, AAO, AL0, AL1, AL2, LLD, LLO, FT, FL = range(WORK)


@per_runtime
def kinematics(features: Features) -> Functions:
    lay, at, sp, gr = layout(), indices(), spatial(), grounds(features)
    vec3, vec4, mat3 = lay.vec3, lay.vec4, lay.mat3
    get3, get4, get33, put3, put4, put33 = lay.get3, lay.get4, lay.get33, lay.put3, lay.put4, lay.put33

    @ti.func
    def quaternion(s, e, first, size: ti.template(), q: ti.template()):
        i = at.item(s, e, first, size[QS], size)
        step = at.item(s, e, first + 1, size[QS], size) - i
        return vec4(q[i], q[i + step], q[i + 2 * step], q[i + 3 * step])

    @ti.func
    def origin(s, e, l, R, size: ti.template(), tree: ti.template(), fixed: ti.template(), law: ti.template(),
               q: ti.template()):  # fmt: skip
        """Where the slides at the root take it: any point near the tree would do."""
        o = get3(fixed, 2 * l)
        j = tree[at.link_int(l, DOF0)]
        last = j + tree[at.link_int(l, N_DOFS)]
        while j < last:
            if tree[at.dof_int(j, KIND, size)] == SLIDE:
                there = q[at.item(s, e, tree[at.dof_int(j, Q_INDEX, size)], size[QS], size)] - get4(law, 2 * j + 1)[3]
                o += there * (R @ get3(fixed, 2 * size[LINKS] + 2 * j))
            else:
                j = last
            j += 1
        return o

    @ti.func
    def move(s, e, l, size: ti.template(), num: ti.template(), tree: ti.template(), fixed: ti.template(),
             turn: ti.template(), law: ti.template(), gravity: ti.template(), q: ti.template(), qd: ti.template(),
             trace: ti.template(), rot: ti.template()):  # fmt: skip
        """Pose, velocity and bias acceleration of link l in frame s from its parent's, and its dofs' axes."""
        p, R = vec3(0.0), mat3(0.0)
        vw, vl, aw, al = vec3(0.0), vec3(0.0), vec3(0.0), vec3(0.0)
        parent = tree[at.link_int(l, PARENT)]
        if parent < 0:
            R = get33(turn, l)
            o = origin(s, e, l, R, size, tree, fixed, law, q)
            put3(trace, at.trace_at(s, e, l, ORIGIN, size), o)
            p = get3(fixed, 2 * l) - o
            al = -get3(gravity, e)
        else:
            up = at.trace_at(s, e, parent, 0, size)
            step = at.trace_at(s, e, parent, 1, size) - up
            R = get33(rot, at.item(s, e, parent, size[LINKS], size))
            p = get3(trace, up + POS * step) + R @ get3(fixed, 2 * l)
            R = R @ get33(turn, l)
            vw, vl = get3(trace, up + VW * step), get3(trace, up + VL * step)
            aw, al = get3(trace, up + AW * step), get3(trace, up + AL * step)
        j = tree[at.link_int(l, DOF0)]
        last = j + tree[at.link_int(l, N_DOFS)]
        while j < last:
            kind, first = tree[at.dof_int(j, KIND, size)], tree[at.dof_int(j, Q_INDEX, size)]
            anchor = get3(fixed, 2 * size[LINKS] + 2 * j + 1)
            if kind == BALL:
                pivot = p + R @ anchor
                R = R @ sp.quaternion_matrix(quaternion(s, e, first, size, q))
                p = pivot - R @ anchor
                ww, wl = vec3(0.0), vec3(0.0)
                for c in ti.static(range(3)):
                    v = qd[at.item(s, e, j + c, size[DOFS], size)]
                    axis = sp.column(R, c)
                    lever = pivot.cross(axis)
                    put3(trace, at.axis_at(s, e, j + c, 0, size), axis)
                    put3(trace, at.axis_at(s, e, j + c, 1, size), lever)
                    ww += v * axis
                    wl += v * lever
                bw, bl = sp.cross_motion(vw, vl, ww, wl)
                aw += bw
                al += bl
                vw += ww
                vl += wl
                j += 3
            else:
                v = qd[at.item(s, e, j, size[DOFS], size)]
                there = q[at.item(s, e, first, size[QS], size)] - get4(law, 2 * j + 1)[3]
                local = get3(fixed, 2 * size[LINKS] + 2 * j)
                axis = R @ local
                sw, sl = vec3(0.0), axis
                if kind == HINGE:
                    pivot = p + R @ anchor
                    sw, sl = axis, pivot.cross(axis)
                    R = R @ sp.axis_rotation(local, there)
                    p = pivot - R @ anchor
                else:
                    p += there * axis
                put3(trace, at.axis_at(s, e, j, 0, size), sw)
                put3(trace, at.axis_at(s, e, j, 1, size), sl)
                bw, bl = sp.cross_motion(vw, vl, sw, sl)
                aw += v * bw
                al += v * bl
                vw += v * sw
                vl += v * sl
                j += 1
        here = at.trace_at(s, e, l, 0, size)
        step = at.trace_at(s, e, l, 1, size) - here
        put33(rot, at.item(s, e, l, size[LINKS], size), R)
        put3(trace, here + POS * step, p)
        put3(trace, here + VW * step, vw)
        put3(trace, here + VL * step, vl)
        put3(trace, here + AW * step, aw)
        put3(trace, here + AL * step, al)

    @ti.func
    def world_inertia(e, l, p, R, size: ti.template(), fixed: ti.template(), model: ti.template()):
        """Mass, mass times centre of mass, inertia about the origin (diagonal, off-diagonal), centre of mass."""
        m = model[at.parameter(e, l, size)]
        i = at.parameter(e, size[LINKS] + 6 * l, size)
        step = at.parameter(e, size[LINKS] + 6 * l + 1, size) - i
        c = p + R @ get3(fixed, 2 * l + 1)
        d, o = sp.turned(R, vec3(model[i], model[i + step], model[i + 2 * step]),
                         vec3(model[i + 3 * step], model[i + 4 * step], model[i + 5 * step]))  # fmt: skip
        dc, oc = sp.about_origin(c, m)
        return m, m * c, d + dc, o + oc, c

    @ti.func
    def rest(s, e, l, attempt, size: ti.template(), num: ti.template(), tree: ti.template(),
             fixed: ti.template(), law: ti.template(), point: ti.template(), ground: ti.template(),
             heights: ti.template(), model: ti.template(), wrench: ti.template(), trace: ti.template(),
             rot: ti.template(), work: ti.template(), released: ti.template(), held: ti.template(),
             held_by: ti.template()):  # fmt: skip
        """The link's own part of `work`: inertia, bias force, external wrench and contact with the ground.

        Lists the contacts in `held` (normal, normal force at rest; place, its slope; place's ground force is then known
        at any new velocity with the friction in the third row) and `held_by` (their number; of each, link, key, point).
        """
        here = at.trace_at(s, e, l, 0, size)
        step = at.trace_at(s, e, l, 1, size) - here
        p, R = get3(trace, here + POS * step), get33(rot, at.item(s, e, l, size[LINKS], size))
        vw, vl = get3(trace, here + VW * step), get3(trace, here + VL * step)
        aw, al = get3(trace, here + AW * step), get3(trace, here + AL * step)
        m, h, d, o, com = world_inertia(e, l, p, R, size, fixed, model)
        put3(trace, here + MOMENT * step, h)
        put3(trace, here + JD * step, d)
        put3(trace, here + JO * step, o)
        mw, ml = sp.momentum(m, h, d, o, vw, vl)
        t, f = sp.momentum(m, h, d, o, aw, al)
        tb, fb = sp.cross_force(vw, vl, mw, ml)
        pushed = get3(wrench, at.item(0, e, 2 * l, 2 * size[LINKS], size))
        t += tb - get3(wrench, at.item(0, e, 2 * l + 1, 2 * size[LINKS], size)) - com.cross(pushed)
        f += fb - pushed
        a0, a1, a2 = vec3(0.0, -h[2], h[1]), vec3(h[2], 0.0, -h[0]), vec3(-h[1], h[0], 0.0)
        ld, lo = vec3(m), vec3(0.0)
        world = get3(trace, at.trace_at(s, e, tree[at.link_int(l, ROOT)], ORIGIN, size))
        contact = get4(law, 2 * size[DOFS] + l)
        dt = num[DT]
        for g in range(size[GROUNDS]):
            if gr.near(g, world + p, contact[2], ground):
                k = model[at.parameter(e, 8 * size[LINKS] + l, size)]
                mu = gr.pair_friction(model[at.parameter(e, 7 * size[LINKS] + l, size)],
                                      model[at.parameter(e, 9 * size[LINKS] + 5 * size[DOFS] + g, size)])  # fmt: skip
                first = tree[at.link_int(l, POINT0)]
                for i in range(first, first + tree[at.link_int(l, N_POINTS)]):
                    centre = p + R @ get4(point, 3 * i)[:3]
                    distance, n = gr.surface(g, world + centre, ground, heights)
                    s_ = gr.support(i, R, n, point)
                    x = s_.dot(n) - distance
                    if x > -contact[1]:
                        r = centre - s_
                        V = vl + vw.cross(r)
                        key = at.item(s, e, g * size[POINTS] + i, size[GROUNDS] * size[POINTS], size)
                        if attempt == 0:
                            released[key] = 0
                        normal, damping, friction = gr.coefficients(
                            x, V, n, k, contact[0], contact[1], mu, num[FRICTION_VELOCITY], dt, 1 - released[key])
                        F = gr.force(normal, damping, friction, n, V, V)
                        rows = 3 * size[GROUNDS] * size[POINTS]
                        count = held_by[at.item(0, e, 0, 1 + rows, size)]
                        held_by[at.item(0, e, 0, 1 + rows, size)] = count + 1
                        held_by[at.item(0, e, 3 * count + 1, 1 + rows, size)] = l
                        held_by[at.item(0, e, 3 * count + 2, 1 + rows, size)] = key
                        held_by[at.item(0, e, 3 * count + 3, 1 + rows, size)] = i
                        put4(held, at.item(0, e, 3 * count, rows, size),
                             vec4(n[0], n[1], n[2], normal + damping * n.dot(V)))
                        put4(held, at.item(0, e, 3 * count + 1, rows, size), vec4(r[0], r[1], r[2], damping))
                        put4(held, at.item(0, e, 3 * count + 2, rows, size), vec4(friction, 0.0, 0.0, 0.0))
                        f -= F
                        t -= r.cross(F)
                        # apparent inertia: B = dt (friction 1 + (damping - friction) n n^T) at r
                        b, bn = dt * friction, dt * (damping - friction)
                        rn = r.cross(n)
                        dd, do = sp.about_origin(r, b)
                        d += dd + bn * rn * rn
                        o += do + bn * sp.outer_off(rn, rn)
                        a0 += vec3(0.0, -b * r[2], b * r[1]) + (bn * rn[0]) * n
                        a1 += vec3(b * r[2], 0.0, -b * r[0]) + (bn * rn[1]) * n
                        a2 += vec3(-b * r[1], b * r[0], 0.0) + (bn * rn[2]) * n
                        ld += b + bn * n * n
                        lo += bn * sp.outer_off(n, n)
        w = at.item(0, e, WORK * l, WORK * size[LINKS], size)
        step = at.item(0, e, WORK * l + 1, WORK * size[LINKS], size) - w
        put3(work, w + AAD * step, d)
        put3(work, w + AAO * step, o)
        put3(work, w + AL0 * step, a0)
        put3(work, w + AL1 * step, a1)
        put3(work, w + AL2 * step, a2)
        put3(work, w + LLD * step, ld)
        put3(work, w + LLO * step, lo)
        put3(work, w + FT * step, t)
        put3(work, w + FL * step, f)

    @ti.func
    def release(s, e, last, size: ti.template(), num: ti.template(), tree: ti.template(), trace: ti.template(),
                x: ti.template(), work: ti.template(), released: ti.template(), held: ti.template(),
                held_by: ti.template()):  # fmt: skip
        """Marks the contacts that would pull at the accelerations in x; whether there are any. The last time, none.

        Overwrites `work`: its first two rows hold the links' accelerations due to x, if anybody is to read them.
        """
        rows = 3 * size[GROUNDS] * size[POINTS]
        count = held_by[at.item(0, e, 0, 1 + rows, size)]
        found = False
        if ti.static(features.outputs) or count > 0:
            for l in range(size[LINKS]):
                dw, dl = vec3(0.0), vec3(0.0)
                parent = tree[at.link_int(l, PARENT)]
                if parent >= 0:
                    dw = get3(work, at.item(0, e, WORK * parent, WORK * size[LINKS], size))
                    dl = get3(work, at.item(0, e, WORK * parent + 1, WORK * size[LINKS], size))
                first = tree[at.link_int(l, DOF0)]
                for j in range(first, first + tree[at.link_int(l, N_DOFS)]):
                    a = x[at.item(0, e, j, size[DOFS], size)]
                    dw += a * get3(trace, at.axis_at(s, e, j, 0, size))
                    dl += a * get3(trace, at.axis_at(s, e, j, 1, size))
                put3(work, at.item(0, e, WORK * l, WORK * size[LINKS], size), dw)
                put3(work, at.item(0, e, WORK * l + 1, WORK * size[LINKS], size), dl)
            for c in range(count):
                l = held_by[at.item(0, e, 3 * c + 1, 1 + rows, size)]
                head = get4(held, at.item(0, e, 3 * c, rows, size))
                place = get4(held, at.item(0, e, 3 * c + 1, rows, size))
                w = get3(trace, at.trace_at(s, e, l, VW, size)) + num[DT] * get3(
                    work, at.item(0, e, WORK * l, WORK * size[LINKS], size))
                v = get3(trace, at.trace_at(s, e, l, VL, size)) + num[DT] * get3(
                    work, at.item(0, e, WORK * l + 1, WORK * size[LINKS], size))
                if not last and place[3] > 0.0 and head[3] - place[3] * head[:3].dot(v + w.cross(place[:3])) < 0.0:
                    released[held_by[at.item(0, e, 3 * c + 2, 1 + rows, size)]] = 1
                    found = True
        return found

    return Functions(move=move, rest=rest, release=release, origin=origin, quaternion=quaternion)
