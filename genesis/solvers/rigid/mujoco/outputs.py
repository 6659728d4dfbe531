"""Step outputs: forces and places of contacts by geom, and the wrench that each link's joints transmit.

`measure` runs after the accelerations of an evaluation are known, and adds its share. `measure_adjoint` is the first
half of its adjoint: what the outputs' cotangents ask of the accelerations. The other half is the virtual power of
`adjoint`, in which a contact's cotangent is a motion of its sides (`contacts.virtual`).
"""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import lane, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.adjoint import adjoint
from genesis.solvers.rigid.layout import (
    ACCELERATION,
    BN,
    COM,
    CONTACT_FORCE,
    CONTACT_PLACE,
    CONTACT_TOUCHES,
    DOF0,
    DUE,
    JD,
    JO,
    LINKS,
    MOMENT,
    N_DOFS,
    NEEDED,
    NU,
    ORIGIN,
    PARENT,
    POS,
    PUSH,
    QDD,
    ROOT,
    TWIST,
    VELOCITY,
)
from genesis.solvers.rigid.mujoco import indices as my
from genesis.solvers.rigid.mujoco.bodies import bodies
from genesis.solvers.rigid.mujoco.contacts import contacts
from genesis.solvers.rigid.mujoco.equality_outputs import equality_outputs
from genesis.solvers.rigid.mujoco.fluid import fluids
from genesis.solvers.rigid.mujoco.layout import T_DIM, T_GEOM, T_GEOM_B, T_LINK, T_LINK_B, F, Features
from genesis.solvers.rigid.mujoco.touches import touches
from genesis.solvers.rigid.spatial import Spatial, momentum, spatial


@per_runtime
def outputs(features: Features) -> Functions:
    co, fl, ad, to = contacts(features), fluids(), adjoint(features), touches(features)
    paired = bool(features.pairs)
    bo, eq = bodies(features) if paired else None, equality_outputs(features) if features.equalities else None

    @ti.func
    def push(a: ti.template(), s, b, l, g, of: ti.template(), r: ti.template(), force: ti.template()):
        """A force (torque about its place) on link l and geom g, at r."""
        world = at.traced_at(a, s, b, at.link(a, l, ROOT), ORIGIN)
        at.add(a, a.work, at.work_at(a, b, l, NEEDED), Spatial(-force.w - r.cross(force.v), -force.v))
        if ti.static(features.outputs):
            at.add(a, a.contacts, at.contact_at(a, b, g, CONTACT_FORCE), a.part * force.v)
            touching = where(of.on, lane(1.0), lane())
            at.add(a, a.contacts, at.contact_at(a, b, g, CONTACT_PLACE), touching * (world + r))
            at.increase(a.contacts, at.contact_at(a, b, g, CONTACT_TOUCHES), touching)
        if ti.static(features.last):
            arm = r - at.traced_at(a, s, b, l, POS)
            at.add(a, a.last_contacts, at.gcontact_at(a, b, g, 0), a.last * force.v)
            at.add(a, a.last_contacts, at.gcontact_at(a, b, g, 1), a.last * (force.w + arm.cross(force.v)))

    @ti.func
    def next_force(a: ti.template(), b, of: ti.template()):
        """Of the contact that was listed next: at its place, on the side that the normal points to."""
        c = a.measured[b]
        a.measured[b] = c + 1
        linear, angular = co.rows_of(a, b, c, F, my.touch(a, of.touch, T_DIM))
        return co.along_axes(of, linear, angular)

    @ti.func
    def measure_on_ground(a: ti.template(), s, b, l, of: ti.template()):
        contact, r = co.on_ground(a, s, b, l, of)
        push(a, s, b, l, my.touch(a, of.touch, T_GEOM), contact, r, next_force(a, b, contact))

    @ti.func
    def measure_between(a: ti.template(), s, b, of: ti.template()):
        contact, ra, rb = co.between(a, s, b, of)
        force, t = next_force(a, b, contact), contact.touch
        push(a, s, b, my.touch(a, t, T_LINK), my.touch(a, t, T_GEOM), contact, ra, -force)
        push(a, s, b, my.touch(a, t, T_LINK_B), my.touch(a, t, T_GEOM_B), contact, rb, force)

    grounded = to.walk(measure_on_ground)
    met = bo.walk(measure_between) if paired else None

    @ti.func
    def measure(a: ti.template(), s, b):
        """Adds `part` of an evaluation to `contacts` and `joint`, and `last` (1 of the last one of a step, else 0)
        of it to `last_contacts` and `last_joint`. Overwrites `work`."""
        for l in range(a.size[LINKS]):
            due = spatial()
            parent = at.link(a, l, PARENT)
            if parent >= 0:
                due += at.worked6(a, b, parent, DUE)
            first = at.link(a, l, DOF0)
            for j in range(first, first + at.link(a, l, N_DOFS)):
                due += a.qdd[at.dof_at(a, s, b, j)] * at.axis(a, s, b, j)
            at.put(a, a.work, at.work_at(a, b, l, DUE), due)
            p, R = at.traced_at(a, s, b, l, POS), at.turned(a, s, b, l)
            vel = at.motion(a, s, b, l, VELOCITY)
            h, jd, jo = at.traced_at(a, s, b, l, MOMENT), at.traced_at(a, s, b, l, JD), at.traced_at(a, s, b, l, JO)
            m = a.model[at.block(a, b, "mass", l)]
            needed = vel.cross_force(momentum(m, h, jd, jo, vel))
            needed += momentum(m, h, jd, jo, at.motion(a, s, b, l, ACCELERATION) + due)
            outer = at.get3(a, a.wrench, at.wrench_at(a, b, l, PUSH))
            com = p + R @ at.link_vector(a, l, COM)
            needed.w -= at.get3(a, a.wrench, at.wrench_at(a, b, l, TWIST)) + com.cross(outer)
            needed.v -= outer
            at.put(a, a.work, at.work_at(a, b, l, NEEDED), needed)
            if ti.static(features.fluid):
                fl.push(a, b, l, p, R, vel)
        a.measured[b] = a.first_contact[b]
        for l in range(a.size[LINKS]):
            grounded(a, s, b, l)
        if ti.static(paired):
            met(a, s, b)
        if ti.static(features.equalities):
            eq.measure(a, s, b)
        for back in range(a.size[LINKS]):
            l = a.size[LINKS] - 1 - back
            needed = at.worked6(a, b, l, NEEDED)
            push_, twist = at.wrench_at(a, b, l, PUSH), at.wrench_at(a, b, l, TWIST)
            torque = needed.w - at.traced_at(a, s, b, l, POS).cross(needed.v)
            if ti.static(features.outputs):
                at.add(a, a.joint, push_, a.part * needed.v)
                at.add(a, a.joint, twist, a.part * torque)
            if ti.static(features.last):
                at.add(a, a.last_joint, push_, a.last * needed.v)
                at.add(a, a.last_joint, twist, a.last * torque)
            parent = at.link(a, l, PARENT)
            if parent >= 0:
                at.add(a, a.work, at.work_at(a, b, parent, NEEDED), needed)

    @ti.func
    def ask(a: ti.template(), b, l, r: ti.template(), sign, force: ti.template()):
        at.add(a, a.back, at.back_at(a, b, l, BN), Spatial(sign * (force.w + r.cross(force.v)), sign * force.v))

    @ti.func
    def ask_on_ground(a: ti.template(), s, b, l, of: ti.template()):
        contact, r = co.on_ground(a, s, b, l, of)
        vel, due = co.seen(at.motion(a, s, b, l, VELOCITY), r), co.seen(at.summed(a, b, l, QDD), r)
        asked = co.seen(at.summed(a, b, l, NU), r)
        asked -= co.asked_motion(a, s, b, l, my.touch(a, of.touch, T_GEOM), r)
        ask(a, b, l, r, 1.0, co.hessian_times(a, b, contact, vel, due, asked))

    @ti.func
    def ask_between(a: ti.template(), s, b, of: ti.template()):
        contact, ra, rb = co.between(a, s, b, of)
        t = contact.touch
        l, m = my.touch(a, t, T_LINK), my.touch(a, t, T_LINK_B)
        vel = co.relative(at.motion(a, s, b, l, VELOCITY), at.motion(a, s, b, m, VELOCITY), ra, rb)
        due = co.relative(at.summed(a, b, l, QDD), at.summed(a, b, m, QDD), ra, rb)
        asked = co.relative(at.summed(a, b, l, NU), at.summed(a, b, m, NU), ra, rb)
        asked += co.asked_motion(a, s, b, l, my.touch(a, t, T_GEOM), ra)
        asked -= co.asked_motion(a, s, b, m, my.touch(a, t, T_GEOM_B), rb)
        force = co.hessian_times(a, b, contact, vel, due, asked)
        ask(a, b, l, ra, -1.0, force)
        ask(a, b, m, rb, 1.0, force)

    asked_grounded = to.walk(ask_on_ground)
    asked_met = bo.walk(ask_between) if paired else None

    @ti.func
    def measure_adjoint(a: ti.template(), s, b):
        """Adds to x the cotangent of the accelerations that comes from the outputs' cotangents. Overwrites `back`."""
        for l in range(a.size[LINKS]):
            asked, due = ad.gamma(a, s, b, l), spatial()
            parent = at.link(a, l, PARENT)
            if parent >= 0:
                asked += at.summed(a, b, parent, NU)
                due += at.summed(a, b, parent, QDD)
            first = at.link(a, l, DOF0)
            for j in range(first, first + at.link(a, l, N_DOFS)):
                due += a.qdd[at.dof_at(a, s, b, j)] * at.axis(a, s, b, j)
            h, jd, jo = at.traced_at(a, s, b, l, MOMENT), at.traced_at(a, s, b, l, JD), at.traced_at(a, s, b, l, JO)
            force = momentum(a.model[at.block(a, b, "mass", l)], h, jd, jo, asked)
            for row, v in ti.static(((NU, asked), (QDD, due), (BN, force))):
                at.put(a, a.back, at.back_at(a, b, l, row), v)
        for l in range(a.size[LINKS]):
            asked_grounded(a, s, b, l)
        if ti.static(paired):
            asked_met(a, s, b)
        if ti.static(features.equalities):
            eq.asked(a, s, b)
        for behind in range(a.size[LINKS]):
            l = a.size[LINKS] - 1 - behind
            force = at.summed(a, b, l, BN)
            first = at.link(a, l, DOF0)
            for j in range(first, first + at.link(a, l, N_DOFS)):
                i = at.dof_at(a, 0, b, j)
                a.x[i] = a.x[i] + at.axis(a, s, b, j).dot(force)
            parent = at.link(a, l, PARENT)
            if parent >= 0:
                at.add(a, a.back, at.back_at(a, b, parent, BN), force)

    return Functions(measure=measure, measure_adjoint=measure_adjoint)
