"""Base to tip: poses, axes, velocities, velocity-product accelerations, and every link's own inertia, bias and contact.

`work` holds, for each link of an environment, what `inertia` then adds up from the tips to the base:
the inertia (angular block AA, mixed block AL, linear block LL) including the contacts' apparent inertia, and the force
that the link needs, less what pushes it, at zero joint acceleration.

A contact that some environment of a block feels is computed for all of the block: for the others it comes out as zero.
"""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import Mat, Vec, any_lane, copy, lane, lanes3, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.ground import WIDEN, grounds
from genesis.solvers.rigid.layout import (
    AAD,
    AAO,
    ACCELERATION,
    AL0,
    AL1,
    AL2,
    ANCHOR,
    AXIS,
    BALL,
    COM,
    DOF0,
    DT,
    DUE,
    GROUNDS,
    HINGE,
    JD,
    JO,
    KIND,
    LINKS,
    LISTED_KEY,
    LISTED_LINK,
    LISTED_NORMAL,
    LISTED_PLACE,
    LISTED_POINT,
    LLD,
    LLO,
    MOCAP,
    MOMENT,
    N_DOFS,
    N_POINTS,
    NEEDED,
    OFFSET,
    ORIGIN,
    PARENT,
    POINT0,
    POINT_CENTRE,
    POS,
    PUSH,
    Q_INDEX,
    REST,
    ROOT,
    SLIDE,
    TWIST,
    VELOCITY,
    Features,
)  # fmt: skip
from genesis.solvers.rigid.mocap import mocaps
from genesis.solvers.rigid.spatial import (
    Spatial,
    about_origin,
    axis_rotation,
    momentum,
    mujoco_matrix,
    outer_off,
    quaternion_matrix,
    spatial,
    turned,
)  # fmt: skip


@per_runtime
def kinematics(features: Features, mocap: bool = False) -> Functions:
    """`mocap`: there are mocap bodies."""
    gr, mo = grounds(features), mocaps() if mocap else None
    matrix_of = quaternion_matrix if isinstance(features, Features) else mujoco_matrix  # of MuJoCo's model

    @ti.func
    def origin(a: ti.template(), s, b, l, R: ti.template()):
        """Where the slides at the root take it: any point near the tree would do."""
        o = lanes3()
        o += at.link_vector(a, l, OFFSET)
        j = at.link(a, l, DOF0)
        last = j + at.link(a, l, N_DOFS)
        while j < last:
            if at.dof(a, j, KIND) == SLIDE:
                there = a.q[at.q_at(a, s, b, at.dof(a, j, Q_INDEX))] - at.law(a, j, REST)[3]
                o += there * (R @ at.dof_vector(a, j, AXIS))
            else:
                j = last
            j += 1
        return o

    @ti.func
    def link_kinematics(a: ti.template(), s, b, l):
        """Pose, velocity and bias acceleration of link l in frame s from its parent's, and its dofs' axes."""
        p, R = lanes3(), Mat(lanes3(), lanes3(), lanes3())
        vel, acc = spatial(), spatial()
        own = at.rest_turn(a, l)
        parent = at.link(a, l, PARENT)
        if parent < 0:
            for r in ti.static(range(3)):
                R.rows[r] += own.rows[r]
            o = origin(a, s, b, l, own)
            p += at.link_vector(a, l, OFFSET)
            if ti.static(mocap):
                m = at.link(a, l, MOCAP)
                if m >= 0:
                    p = mo.pos(a, b, m)
                    R = matrix_of(mo.quat(a, b, m))
                    o = copy(p)
            at.put(a, a.trace, at.trace_at(a, s, b, l, ORIGIN), o)
            p -= o
            acc.v -= at.get3(a, a.gravity, at.item(a, 0, b, 0, 3))
        else:
            above = at.turned(a, s, b, parent)
            p += at.traced_at(a, s, b, parent, POS) + above @ at.link_vector(a, l, OFFSET)
            R = above @ own
            vel += at.motion(a, s, b, parent, VELOCITY)
            acc += at.motion(a, s, b, parent, ACCELERATION)
        j = at.link(a, l, DOF0)
        last = j + at.link(a, l, N_DOFS)
        while j < last:
            kind, first = at.dof(a, j, KIND), at.dof(a, j, Q_INDEX)
            anchor = at.dof_vector(a, j, ANCHOR)
            if kind == BALL:
                pivot = p + R @ anchor
                R = R @ matrix_of(at.get4(a, a.q, at.q_at(a, s, b, first)))
                p = pivot - R @ anchor
                turn = spatial()
                for c in ti.static(range(3)):
                    speed = a.qd[at.dof_at(a, s, b, j + c)]
                    axis = Spatial(R.column(c), pivot.cross(R.column(c)))
                    at.put(a, a.axes, at.axis_at(a, s, b, j + c), axis)
                    turn += speed * axis
                acc += vel.cross(turn)
                vel += turn
                j += 3
            else:
                speed = a.qd[at.dof_at(a, s, b, j)]
                there = a.q[at.q_at(a, s, b, first)] - at.law(a, j, REST)[3]
                local = at.dof_vector(a, j, AXIS)
                along = R @ local
                axis = Spatial(lanes3(), copy(along))
                if kind == HINGE:
                    pivot = p + R @ anchor
                    axis.w += along
                    axis.v = pivot.cross(along)
                    R = R @ axis_rotation(local, there)
                    p = pivot - R @ anchor
                else:
                    p += there * along
                at.put(a, a.axes, at.axis_at(a, s, b, j), axis)
                acc += speed * vel.cross(axis)
                vel += speed * axis
                j += 1
        at.put(a, a.rot, at.rot_at(a, s, b, l), R)
        for row, v in ti.static(((POS, p), (VELOCITY, vel), (ACCELERATION, acc))):
            at.put(a, a.trace, at.trace_at(a, s, b, l, row), v)

    @ti.func
    def world_inertia(a: ti.template(), b, l, p: ti.template(), R: ti.template()):
        """Mass, mass times centre of mass, inertia about the origin (diagonal, off-diagonal), centre of mass."""
        m = a.model[at.block(a, b, "mass", l)]
        c = p + R @ at.link_vector(a, l, COM)
        d, o = turned(R, at.get3(a, a.model, at.block(a, b, "inertia", l)),
                      at.get3(a, a.model, at.block(a, b, "inertia", l, 3)))  # fmt: skip
        dc, oc = about_origin(c, m)
        return m, m * c, d + dc, o + oc, c

    @ti.func
    def own_forces(a: ti.template(), s, b, l):
        """The link's part of `work` without contact: inertia (blocks AA, AL, LL), and the force that it needs for its
        bias and the external wrench. Puts the inertia about the origin into its trace."""
        p, R = at.traced_at(a, s, b, l, POS), at.turned(a, s, b, l)
        vel = at.motion(a, s, b, l, VELOCITY)
        m, h, d, o, com = world_inertia(a, b, l, p, R)
        for row, v in ti.static(((MOMENT, h), (JD, d), (JO, o))):
            at.put(a, a.trace, at.trace_at(a, s, b, l, row), v)
        needed = momentum(m, h, d, o, at.motion(a, s, b, l, ACCELERATION))
        bias = vel.cross_force(momentum(m, h, d, o, vel))
        push = at.get3(a, a.wrench, at.wrench_at(a, b, l, PUSH))
        needed.w += bias.w - at.get3(a, a.wrench, at.wrench_at(a, b, l, TWIST)) - com.cross(push)
        needed.v += bias.v - push
        none = lane()
        a0, a1, a2 = Vec(none, 0.0 - h[2], h[1]), Vec(h[2], none, 0.0 - h[0]), Vec(0.0 - h[1], h[0], none)
        return d, o, a0, a1, a2, Vec(m, m, m), lanes3(), needed

    @ti.func
    def bias_forces(a: ti.template(), s, b, l, attempt):
        """The link's own part of `work`: inertia, bias force, external wrench and contact with the ground.

        Lists the contacts in `contact_list` and `contact_index`, and counts them in `n_contacts`.
        """
        p, R = at.traced_at(a, s, b, l, POS), at.turned(a, s, b, l)
        vel = at.motion(a, s, b, l, VELOCITY)
        d, o, a0, a1, a2, ld, lo, needed = own_forces(a, s, b, l)
        none = lane()
        world = at.traced_at(a, s, b, at.link(a, l, ROOT), ORIGIN)
        contact = at.row(a.link_law, l)
        dt, wide = a.num[DT], WIDEN * a.num[DT]
        for g in range(a.size[GROUNDS]):
            if any_lane(gr.near(a, g, world + p, vel.at(p), vel.w, contact[2])):
                first = at.link(a, l, POINT0)
                for i in range(first, first + at.link(a, l, N_POINTS)):
                    centre = p + R @ at.point(a, i, POINT_CENTRE)[:3]
                    distance, n = gr.surface(a, g, world + centre)
                    s_ = gr.support(a, i, R, n)
                    x = s_.dot(n) - distance
                    r = centre - s_
                    V = vel.at(r)
                    touches = gr.touches(x, V.dot(n), contact[1], wide)
                    if any_lane(touches):
                        law = gr.law_of(a, b, l, g, i, contact)
                        key = at.key_at(a, s, b, g, i)
                        if attempt == 0:
                            a.released[key] = none
                        normal, damping, friction = gr.coefficients(x, V, n, law, 1.0 - a.released[key])
                        F = gr.force(normal, damping, friction, n, V, V)
                        count = a.n_contacts[b]
                        a.n_contacts[b] = count + 1
                        a.contact_index[at.contact_index_at(a, b, count, LISTED_LINK)] = l
                        a.contact_index[at.contact_index_at(a, b, count, LISTED_KEY)] = key
                        a.contact_index[at.contact_index_at(a, b, count, LISTED_POINT)] = i
                        at.put(a, a.contact_list, at.contact_list_at(a, b, count, LISTED_NORMAL),
                               Vec(n[0], n[1], n[2], normal + damping * n.dot(V), r[0], r[1], r[2], damping, friction,
                                   where(touches, none + 1.0, none)))  # fmt: skip
                        needed.v -= F
                        needed.w -= r.cross(F)
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
        for row, v in ti.static(((AAD, d), (AAO, o), (AL0, a0), (AL1, a1), (AL2, a2), (LLD, ld), (LLO, lo),
                                 (NEEDED, needed))):  # fmt: skip
            at.put(a, a.work, at.work_at(a, b, l, row), v)

    @ti.func
    def release(a: ti.template(), s, b, last):
        """Marks the contacts that would pull at the accelerations in x; whether there are any. The last time, none.

        Overwrites `work` with the links' accelerations due to x, if anybody is to read them.
        """
        count = a.n_contacts[b]
        found = False
        if ti.static(features.outputs) or count > 0:
            for l in range(a.size[LINKS]):
                due = spatial()
                parent = at.link(a, l, PARENT)
                if parent >= 0:
                    due += at.worked6(a, b, parent, DUE)
                first = at.link(a, l, DOF0)
                for j in range(first, first + at.link(a, l, N_DOFS)):
                    acceleration = a.x[at.dof_at(a, 0, b, j)]
                    due += acceleration * at.axis(a, s, b, j)
                at.put(a, a.work, at.work_at(a, b, l, DUE), due)
            for c in range(count):
                l = a.contact_index[at.contact_index_at(a, b, c, LISTED_LINK)]
                head = at.get4(a, a.contact_list, at.contact_list_at(a, b, c, LISTED_NORMAL))
                place = at.get4(a, a.contact_list, at.contact_list_at(a, b, c, LISTED_PLACE))
                vel = at.motion(a, s, b, l, VELOCITY) + a.num[DT] * at.worked6(a, b, l, DUE)
                force = head[3] - place[3] * head[:3].dot(vel.at(place[:3]))
                pulls = (place[3] > 0.0) & (force < 0.0)
                if not last and any_lane(pulls):
                    key = a.contact_index[at.contact_index_at(a, b, c, LISTED_KEY)]
                    a.released[key] = where(pulls, lane(1.0), a.released[key])
                    found = True
        return found

    return Functions(link_kinematics=link_kinematics, own_forces=own_forces, bias_forces=bias_forces,
                     release=release, origin=origin)  # fmt: skip
