"""Step outputs: forces and places of contacts, and the wrench that each link's joint transmits; sums over the substeps.

`measure` runs after the accelerations are known. `measure_adjoint` is the first half of its adjoint: what the outputs'
cotangents ask of the accelerations. The other half is the virtual power of `adjoint`.
"""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import any_lane
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.adjoint import adjoint
from genesis.solvers.rigid.ground import WIDEN, grounds
from genesis.solvers.rigid.layout import (
    ACCELERATION,
    BN,
    COM,
    CONTACT_FORCE,
    CONTACT_PLACE,
    CONTACT_TOUCHES,
    DOF0,
    DT,
    DUE,
    GROUNDS,
    JD,
    JO,
    LINKS,
    LISTED_FRICTION,
    LISTED_LINK,
    LISTED_NORMAL,
    LISTED_PLACE,
    LISTED_POINT,
    LISTED_TOUCHES,
    MOMENT,
    N_DOFS,
    N_POINTS,
    NEEDED,
    NU,
    ORIGIN,
    PARENT,
    POINT0,
    POINT_CENTRE,
    POS,
    PUSH,
    ROOT,
    TWIST,
    VELOCITY,
    Features,
)  # fmt: skip
from genesis.solvers.rigid.spatial import Spatial, momentum


@per_runtime
def outputs(features: Features) -> Functions:
    gr, ad = grounds(features), adjoint(features)

    @ti.func
    def measure(a: ti.template(), s, b):
        """Adds this substep's to `contacts` and `joint`. Runs after `kinematics.release`; overwrites `work`."""
        dt = a.num[DT]
        for l in range(a.size[LINKS]):
            p, R = at.traced_at(a, s, b, l, POS), at.turned(a, s, b, l)
            vel = at.motion(a, s, b, l, VELOCITY)
            h, jd, jo = at.traced_at(a, s, b, l, MOMENT), at.traced_at(a, s, b, l, JD), at.traced_at(a, s, b, l, JO)
            m = a.model[at.block(a, b, "mass", l)]
            bias = vel.cross_force(momentum(m, h, jd, jo, vel))
            inertial = momentum(m, h, jd, jo, at.motion(a, s, b, l, ACCELERATION) + at.worked6(a, b, l, DUE))
            push = at.get3(a, a.wrench, at.wrench_at(a, b, l, PUSH))
            com = p + R @ at.link_vector(a, l, COM)
            bias.w += inertial.w - at.get3(a, a.wrench, at.wrench_at(a, b, l, TWIST)) - com.cross(push)
            at.put(a, a.work, at.work_at(a, b, l, NEEDED), Spatial(bias.w, bias.v + inertial.v - push))
        for c in range(a.n_contacts[b]):
            l = a.contact_index[at.contact_index_at(a, b, c, LISTED_LINK)]
            i = a.contact_index[at.contact_index_at(a, b, c, LISTED_POINT)]
            head = at.get4(a, a.contact_list, at.contact_list_at(a, b, c, LISTED_NORMAL))
            place = at.get4(a, a.contact_list, at.contact_list_at(a, b, c, LISTED_PLACE))
            friction = a.contact_list[at.contact_list_at(a, b, c, LISTED_FRICTION)]
            touches = a.contact_list[at.contact_list_at(a, b, c, LISTED_TOUCHES)]
            n, r = head[:3], place[:3]
            U = (at.motion(a, s, b, l, VELOCITY) + dt * at.worked6(a, b, l, DUE)).at(r)
            F = (head[3] - (place[3] - friction) * n.dot(U)) * n - friction * U
            world = at.traced_at(a, s, b, at.link(a, l, ROOT), ORIGIN)
            at.add(a, a.work, at.work_at(a, b, l, NEEDED), Spatial(F.cross(r), -F))
            at.add(a, a.contacts, at.contact_at(a, b, i, CONTACT_FORCE), F)
            at.add(a, a.contacts, at.contact_at(a, b, i, CONTACT_PLACE), touches * (world + r))
            at.increase(a.contacts, at.contact_at(a, b, i, CONTACT_TOUCHES), touches)
        for back in range(a.size[LINKS]):
            l = a.size[LINKS] - 1 - back
            needed = at.worked6(a, b, l, NEEDED)
            at.add(a, a.joint, at.wrench_at(a, b, l, PUSH), needed.v)
            at.add(a, a.joint, at.wrench_at(a, b, l, TWIST),
                   needed.w - at.traced_at(a, s, b, l, POS).cross(needed.v))  # fmt: skip
            parent = at.link(a, l, PARENT)
            if parent >= 0:
                at.add(a, a.work, at.work_at(a, b, parent, NEEDED), needed)

    @ti.func
    def measure_adjoint(a: ti.template(), s, b):
        """Adds to x the cotangent of the accelerations that comes from the outputs' cotangents. Overwrites `back`."""
        dt = a.num[DT]
        for l in range(a.size[LINKS]):
            p, R = at.traced_at(a, s, b, l, POS), at.turned(a, s, b, l)
            vel = at.motion(a, s, b, l, VELOCITY)
            asked = ad.gamma(a, s, b, l)
            parent = at.link(a, l, PARENT)
            if parent >= 0:
                asked += at.summed(a, b, parent, NU)
            force = momentum(
                a.model[at.block(a, b, "mass", l)],
                at.traced_at(a, s, b, l, MOMENT),
                at.traced_at(a, s, b, l, JD),
                at.traced_at(a, s, b, l, JO),
                asked,
            )
            world = at.traced_at(a, s, b, at.link(a, l, ROOT), ORIGIN)
            contact = at.row(a.link_law, l)
            for g in range(a.size[GROUNDS]):
                if any_lane(gr.near(a, g, world + p, vel.at(p), vel.w, contact[2])):
                    start = at.link(a, l, POINT0)
                    for i in range(start, start + at.link(a, l, N_POINTS)):
                        centre = p + R @ at.point(a, i, POINT_CENTRE)[:3]
                        distance, n = gr.surface(a, g, world + centre)
                        s_ = gr.support(a, i, R, n)
                        depth = s_.dot(n) - distance
                        r = centre - s_
                        V = vel.at(r)
                        if any_lane(gr.touches(depth, V.dot(n), contact[1], WIDEN * dt)):
                            law = gr.law_of(a, b, l, g, i, contact)
                            _normal, damping, friction = gr.coefficients(
                                depth, V, n, law, 1.0 - a.released[at.key_at(a, s, b, g, i)]
                            )
                            c = asked.at(r) - at.get3(a, a.gcontacts, at.gcontact_at(a, b, i, 0))
                            F = dt * (friction * c + ((damping - friction) * n.dot(c)) * n)
                            force += Spatial(r.cross(F), F)
            for row, v in ti.static(((NU, asked), (BN, force))):
                at.put(a, a.back, at.back_at(a, b, l, row), v)
        for behind in range(a.size[LINKS]):
            l = a.size[LINKS] - 1 - behind
            force = at.summed(a, b, l, BN)
            first = at.link(a, l, DOF0)
            for j in range(first, first + at.link(a, l, N_DOFS)):
                i, axis = at.dof_at(a, 0, b, j), at.axis(a, s, b, j)
                a.x[i] = a.x[i] + axis.w.dot(force.w) + axis.v.dot(force.v)
            parent = at.link(a, l, PARENT)
            if parent >= 0:
                at.add(a, a.back, at.back_at(a, b, parent, BN), force)

    return Functions(measure=measure, measure_adjoint=measure_adjoint)
