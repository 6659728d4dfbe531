"""The adjoint of a substep, by the implicit function theorem.

A substep solves r(qdd; q, qd, inputs) = 0 for the accelerations. With x the cotangent of qdd and A = dr/dqdd,
which is symmetric,

    A mu = x,        cotangent of anything else y  =  - d(mu . r)/dy.

mu . r is a virtual power: the sum over links of nu . (force that the link needs), nu being the links' velocities if
dofs moved at mu. One sweep outwards makes nu, the accelerations with qdd and the new velocities; one inwards adds up
for each link's subtree the derivatives by the spatial velocity nu, the old velocity v, the new velocity u and the
acceleration a (rows BN … BU), and by a rigid displacement of the subtree (row BW), which is all that a dof's position
does.
Moving an inertia alone is the opposite of moving everything it is multiplied with: -(nu x* N + a x* A + v x* V).
Outputs are part of it: a wrench output with cotangent g is virtual power at velocity -g of its subtree.
"""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import any_lane, copy, lanes3, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.ground import WIDEN, grounds, share
from genesis.solvers.rigid.joints import joints
from genesis.solvers.rigid.layout import (
    ACCELERATION,
    BA,
    BACK,
    BALL,
    BN,
    BU,
    BV,
    BW,
    COM,
    DOF0,
    DT,
    GROUNDS,
    JD,
    JO,
    KIND,
    LINKS,
    MOMENT,
    N_DOFS,
    N_POINTS,
    NU,
    ORIGIN,
    PARENT,
    POINT0,
    POINT_CENTRE,
    POS,
    PUSH,
    QDD,
    ROOT,
    TWIST,
    VELOCITY,
    Features,
)  # fmt: skip
from genesis.solvers.rigid.mocap import mocaps
from genesis.solvers.rigid.mujoco.contacts import contacts as mujoco_contacts
from genesis.solvers.rigid.mujoco.fluid import fluids
from genesis.solvers.rigid.mujoco.gravcomp import gravcomp
from genesis.solvers.rigid.mujoco.joints import joints as mujoco_joints
from genesis.solvers.rigid.mujoco.layout import Features as MujocoFeatures
from genesis.solvers.rigid.spatial import Spatial, momentum, spatial


@per_runtime
def adjoint(features: Features | MujocoFeatures) -> Functions:
    mujoco = isinstance(features, MujocoFeatures)
    measured = features.measured if isinstance(features, MujocoFeatures) else features.outputs
    last = isinstance(features, MujocoFeatures) and features.last
    mocap = mujoco and features.mocaps
    mo = mocaps() if mocap else None
    gr, jo, co, fl, gc = grounds(features), joints(), None, None, None
    if mujoco:
        jo, co, fl, gc = mujoco_joints(), mujoco_contacts(features), fluids(), gravcomp()

    @ti.func
    def sweep_out(a: ti.template(), s, b):
        """nu and the acceleration due to qdd of every link; clears its sums."""
        for l in range(a.size[LINKS]):
            nu, due = spatial(), spatial()
            parent = at.link(a, l, PARENT)
            if parent >= 0:
                nu += at.summed(a, b, parent, NU)
                due += at.summed(a, b, parent, QDD)
            first = at.link(a, l, DOF0)
            for j in range(first, first + at.link(a, l, N_DOFS)):
                axis, mu, acceleration = at.axis(a, s, b, j), a.x[at.dof_at(a, 0, b, j)], a.qdd[at.dof_at(a, s, b, j)]
                nu += mu * axis
                due += acceleration * axis
            if ti.static(measured):
                nu -= gamma(a, s, b, l)
            for row, v in ti.static(((NU, nu), (QDD, due))):
                at.put(a, a.back, at.back_at(a, b, l, row), v)
            none = lanes3()
            for row in range(BN, BACK):
                at.put(a, a.back, at.back_at(a, b, l, row), none)

    @ti.func
    def gamma(a: ti.template(), s, b, l):
        """The velocity whose power with the subtree's force is the cotangent of the link's wrench output."""
        gforce, gtorque = wrench_cotangent(a, b, l, PUSH), wrench_cotangent(a, b, l, TWIST)
        return Spatial(gtorque, gforce + at.traced_at(a, s, b, l, POS).cross(gtorque))

    @ti.func
    def wrench_cotangent(a: ti.template(), b, l, row):
        """Of the wrench that link l's joints transmit now."""
        g = lanes3()
        if ti.static(features.outputs):
            g += at.get3(a, a.gjoint, at.wrench_at(a, b, l, row))
            if ti.static(mujoco):
                g = a.part * g
        if ti.static(last):
            g += a.last * at.get3(a, a.glast_joint, at.wrench_at(a, b, l, row))
        return g

    @ti.func
    def contact_adjoint(a: ti.template(), s, b, l, p: ti.template(), R: ti.template(), vel: ti.template(),
                        new: ti.template(), nu: ti.template()):  # fmt: skip
        """Contacts of link l with the ground, at the old velocity and the new one: adds to its sums."""
        world = at.traced_at(a, s, b, at.link(a, l, ROOT), ORIGIN)
        contact = at.row(a.link_law, l)
        for g in range(a.size[GROUNDS]):
            if any_lane(gr.near(a, g, world + p, vel.at(p), vel.w, contact[2])):
                ik, ig = at.block(a, b, "contact_stiffness", l), at.block(a, b, "ground_friction", g)
                first = at.link(a, l, POINT0)
                for i in range(first, first + at.link(a, l, N_POINTS)):
                    centre = p + R @ at.point(a, i, POINT_CENTRE)[:3]
                    distance, n = gr.surface(a, g, world + centre)
                    s_ = gr.support(a, i, R, n)
                    x = s_.dot(n) - distance
                    r = centre - s_
                    V = vel.at(r)
                    touches = gr.touches(x, V.dot(n), contact[1], WIDEN * a.num[DT])
                    if any_lane(touches):
                        law = gr.law_of(a, b, l, g, i, contact)
                        il = at.block(a, b, "friction", gr.geom_of(a, i))
                        U, N = new.at(r), nu.at(r)
                        M = copy(N)
                        if ti.static(features.outputs):
                            M += at.get3(a, a.gcontacts, at.gcontact_at(a, b, i, 0))
                        F, gx, gV, gU, gn, gmu, gk = gr.power_adjoint(
                            x, M, V, U, n, law, 1.0 - a.released[at.key_at(a, s, b, g, i)]
                        )
                        gr_ = nu.w.cross(F)
                        if ti.static(features.outputs):  # its place is an output where it touches
                            place = at.get3(a, a.gcontacts, at.gcontact_at(a, b, i, 1))
                            gr_ -= where(touches, place, lanes3())
                        gr_ += gV.cross(vel.w) + gU.cross(new.w)
                        # r = centre - s(R, n), x = s.n - distance(centre)
                        gturn, gn_s = gr.support_adjoint(a, i, R, n, s_, gx * n - gr_)
                        gc = gr_ + gr.surface_adjoint(a, g, world + centre, 0.0 - gx, gn + gn_s + gx * s_)
                        for row, w, v in ti.static(((BN, F.cross(r), -F), (BV, r.cross(gV), gV), (BU, r.cross(gU), gU),
                                                    (BW, centre.cross(gc) + gturn, gc))):  # fmt: skip
                            at.add(a, a.back, at.back_at(a, b, l, row), Spatial(w, v))
                        at.increase(a.gmodel, ik, 0.0 - gk / law.k)
                        own = share(a.model[il], a.model[ig])
                        at.increase(a.gmodel, il, 0.0 - own * gmu)
                        at.increase(a.gmodel, ig, (own - 1.0) * gmu)

    @ti.func
    def sweep_in(a: ti.template(), s, b):
        """From mu in x and the outward sweep: subtracts d(mu . r) from all cotangents."""
        dt = a.num[DT]
        for behind in range(a.size[LINKS]):
            l = a.size[LINKS] - 1 - behind
            p, R = at.traced_at(a, s, b, l, POS), at.turned(a, s, b, l)
            vel = at.motion(a, s, b, l, VELOCITY)
            h, jd, jo_ = at.traced_at(a, s, b, l, MOMENT), at.traced_at(a, s, b, l, JD), at.traced_at(a, s, b, l, JO)
            nu, due = at.summed(a, b, l, NU), at.summed(a, b, l, QDD)
            new, acc = vel + dt * due, at.motion(a, s, b, l, ACCELERATION) + due
            m = a.model[at.block(a, b, "mass", l)]
            if ti.static(mujoco):
                co.adjoint(a, s, b, l)
                if ti.static(features.fluid):
                    fl.push_adjoint(a, b, l, p, R, vel, nu)
                if ti.static(features.gravcomp):
                    gc.push_adjoint(a, b, l, p, R, nu)
            else:
                contact_adjoint(a, s, b, l, p, R, vel, new, nu)
            # Inertia: nu . (I a + v x* I v)
            moving = momentum(m, h, jd, jo_, vel)
            N = momentum(m, h, jd, jo_, acc) + vel.cross_force(moving)
            A = momentum(m, h, jd, jo_, nu)
            vxn = vel.cross(nu)
            V = -(nu.cross_force(moving) + momentum(m, h, jd, jo_, vxn))
            W = at.summed(a, b, l, BW) - (nu.cross_force(N) + acc.cross_force(A) + vel.cross_force(V))
            # External wrench at the centre of mass
            com = p + R @ at.link_vector(a, l, COM)
            force = at.get3(a, a.wrench, at.wrench_at(a, b, l, PUSH))
            at.add(a, a.gwrench, at.wrench_at(a, b, l, PUSH), nu.at(com))
            at.add(a, a.gwrench, at.wrench_at(a, b, l, TWIST), nu.w)
            N.w -= at.get3(a, a.wrench, at.wrench_at(a, b, l, TWIST)) + com.cross(force)
            N.v -= force
            gcom = nu.w.cross(force)
            W.w += com.cross(gcom)
            W.v += gcom
            inertia_adjoint(a, b, l, com, R, vel, nu, acc, vxn)
            N, V, A = at.summed(a, b, l, BN) + N, at.summed(a, b, l, BV) + V, at.summed(a, b, l, BA) + A
            U = at.summed(a, b, l, BU)
            if ti.static(measured):
                # the link's wrench output is about p
                lever = N.v.cross(wrench_cotangent(a, b, l, TWIST))
                W.w += p.cross(lever)
                W.v += lever
            first = at.link(a, l, DOF0)
            j = first + at.link(a, l, N_DOFS) - 1
            while j >= first:
                n = 1
                if at.dof(a, j, KIND) == BALL:
                    n = 3
                # the joint's own velocity; that of the link before it; what their product does to the acceleration
                own = spatial()
                for c in range(n):
                    own += a.qd[at.dof_at(a, s, b, j - c)] * at.axis(a, s, b, j - c)
                vel -= own
                y = vel.cross_force(A)
                twisted = spatial()
                for c in range(n):
                    axis, i, gi = at.axis(a, s, b, j - c), at.dof_at(a, s, b, j - c), at.dof_at(a, 0, b, j - c)
                    speed, acceleration, mu = a.qd[i], a.qdd[i], a.x[gi]
                    after = acceleration + 0.0  # what the contacts' rows BU are about: this, or the new velocity
                    if ti.static(not mujoco):
                        after = speed + dt * acceleration
                    twisted += axis.cross_force(mu * N + speed * (V - y) + after * U + acceleration * A)
                    gy, gv = jo.load_adjoint(a, s, b, j - c, jo.coordinate(a, s, b, j - c), mu)
                    if ti.static(mujoco):
                        a.gqd[gi] = a.gqd[gi] - (axis.dot(V - y) + gv)
                    else:
                        a.gqd[gi] = a.gqd[gi] - (axis.dot(V + U - y) + gv)
                    a.x[gi] = gy
                if n == 3:  # a ball turns all its axes, a single dof only those before it
                    W += twisted
                    jo.elastic_adjoint(a, s, b, j - 2)
                for c in range(n):
                    gi = at.dof_at(a, 0, b, j - c)
                    a.gq[gi] = a.gq[gi] - (at.axis(a, s, b, j - c).dot(W) + a.x[gi])
                if n == 1:
                    W += twisted
                V += own.cross_force(A)
                j -= n
            parent = at.link(a, l, PARENT)
            if parent >= 0:
                for row, v in ti.static(((BN, N), (BV, V), (BA, A), (BU, U), (BW, W))):
                    at.add(a, a.back, at.back_at(a, b, parent, row), v)
            else:
                at.add(a, a.ggravity, at.item(a, 0, b, 0, 3), A.v)  # a root accelerates by -g
                if ti.static(mocap):
                    mo.moved(a, b, l, -W)

    @ti.func
    def inertia_adjoint(a: ti.template(), b, l, com: ti.template(), R: ti.template(), vel: ti.template(),
                        nu: ti.template(), acc: ti.template(), vxn: ti.template()):  # fmt: skip
        """Subtracts the derivatives of nu . I a - (v x nu) . I v by mass and inertia."""
        at.increase(a.gmodel, at.block(a, b, "mass", l), vxn.at(com).dot(vel.at(com)) - nu.at(com).dot(acc.at(com)))
        back = R.transpose()
        n, w, v, x = back @ nu.w, back @ acc.w, back @ vel.w, back @ vxn.w
        for c in ti.static(range(3)):
            at.increase(a.gmodel, at.block(a, b, "inertia", l, c), x[c] * v[c] - n[c] * w[c])
        for c, i, k in ti.static(((3, 0, 1), (4, 0, 2), (5, 1, 2))):
            at.increase(a.gmodel, at.block(a, b, "inertia", l, c),
                        x[i] * v[k] + x[k] * v[i] - n[i] * w[k] - n[k] * w[i])  # fmt: skip

    return Functions(sweep_out=sweep_out, sweep_in=sweep_in, gamma=gamma, inertia_adjoint=inertia_adjoint)
