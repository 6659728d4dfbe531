"""The list of an evaluation's contacts with their rows, and the adjoint of their virtual power."""

from genesis.compiler import Composite, Functions, layout, per_runtime, ti
from genesis.math.lanes import Vec, lane, lanes3, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.layout import (
    BN,
    BU,
    BV,
    BW,
    DT,
    ENTRY0,
    NU,
    ORIGIN,
    POS,
    QDD,
    ROOT,
    VELOCITY,
)
from genesis.solvers.rigid.mujoco import indices as my
from genesis.solvers.rigid.mujoco.bodies import bodies
from genesis.solvers.rigid.mujoco.cones import cones
from genesis.solvers.rigid.mujoco.envelope import envelope
from genesis.solvers.rigid.mujoco.impedance import LEAST_R, impedance
from genesis.solvers.rigid.mujoco.layout import (
    ALONG,
    C_DEPTH,
    C_DIM,
    CROSS,
    MU,
    T_DEPTH,
    T_DEPTH_B,
    T_DIM,
    T_DOF,
    T_DOF_B,
    T_GEOM,
    T_GEOM_B,
    T_LINK,
    T_LINK_B,
    T_MARGIN,
    WJ,
    WN,
    WNN,
    D,
    F,
    Features,
    X,
)  # fmt: skip
from genesis.solvers.rigid.mujoco.mixing import (
    STIFFEST,
    coefficient,
    invweight_adjoint,
    invweight_of,
    law_adjoint,
    law_of,
)
from genesis.solvers.rigid.mujoco.touches import Slopes, touches
from genesis.solvers.rigid.spatial import Spatial, spatial


class Contact(Composite):
    """A contact: its touch, in which environments it is there, the distance less the margin, normal and tangents."""

    def __init__(self, touch, on, y, n, t1, t2):
        self.touch, self.on, self.y, self.n, self.t1, self.t2 = touch, on, y, n, t1, t2


@per_runtime
def contacts(features: Features) -> Functions:
    im, to, cone, en, paired = impedance(), touches(features), cones(features), envelope(), bool(features.pairs)
    bo = bodies(features) if paired else None
    stiffest = STIFFEST[layout().real == ti.f64]

    @ti.func
    def resistance(a: ti.template(), b, invweight, dim, d, mu: ti.template()):
        """R of the normal, or of each edge of a pyramid."""
        R = (1.0 - d) / d * invweight
        if ti.static(not features.elliptic):
            if dim > 1:
                m = ti.max(mu[0], stiffest) * ti.max(mu[0], stiffest)
                R = R * (2.0 * a.solver_numbers[0]) * m * (1.0 + m)
        return ti.max(R, LEAST_R)

    @ti.func
    def place_in(a: ti.template(), b, c, row, of: ti.template(), linear: ti.template(), angular: ti.template()):
        """Numbers of a listed contact's rows, of a motion at its place."""
        n, t1, t2 = of.n, of.t1, of.t2
        dim = a.contact_index[my.index_at(a, b, c, C_DIM)]
        a.contact_list[my.number_at(a, b, c, row)] = n.dot(linear)
        if dim > 1:
            a.contact_list[my.number_at(a, b, c, row + 1)] = t1.dot(linear)
            a.contact_list[my.number_at(a, b, c, row + 2)] = t2.dot(linear)
        if ti.static(features.rotations):
            if dim > 3:
                a.contact_list[my.number_at(a, b, c, row + 3)] = n.dot(angular)
            if dim > 4:
                a.contact_list[my.number_at(a, b, c, row + 4)] = t1.dot(angular)
                a.contact_list[my.number_at(a, b, c, row + 5)] = t2.dot(angular)

    @ti.func
    def seen(motion: ti.template(), r: ti.template()):
        """A motion at a place."""
        return Spatial(motion.w, motion.at(r))

    @ti.func
    def sliding(a: ti.template(), law: ti.template(), damping):
        """The damping of the rows of friction, `damping` being that of the normal."""
        out = damping + 0.0
        if ti.static(features.explicit and features.elliptic):
            _k, out = im.stiffness(law.ref, law.row.imp, a.num[DT], a.solver_numbers[2])
        return out

    @ti.func
    def damped(a: ti.template(), of: ti.template(), law: ti.template(), damping, v: ti.template()):
        """A motion times the damping of each row."""
        slides = sliding(a, law, damping)
        along = slides * v.v
        if ti.static(features.explicit and features.elliptic):
            along += ((damping - slides) * of.n.dot(v.v)) * of.n
        return Spatial(slides * v.w, along)

    @ti.func
    def list_contact(a: ti.template(), b, of: ti.template(), vel: ti.template()):
        """Lists a contact whose sides move at `vel` against each other, without its Jacobian. Its number."""
        t, y = of.touch, of.y
        law, dim = law_of(a, b, t, features), my.touch(a, t, T_DIM)
        c, none = a.n_contacts[b], lane()
        a.n_contacts[b] = c + 1
        d, _dy, _g0, _g1, _gw, _gm = im.impedance_of(y, law.row.imp)
        k, damping = im.stiffness(law.row.ref, law.row.imp, a.num[DT], a.solver_numbers[2])
        resisted = resistance(a, b, invweight_of(a, b, t, paired), dim, d, law.mu)
        a.contact_list[my.number_at(a, b, c, D)] = where(of.on, 1.0 / resisted, none)
        a.contact_index[my.index_at(a, b, c, C_DEPTH)] = 0
        a.contact_index[my.index_at(a, b, c, C_DIM)] = dim
        resisted_motion = damped(a, of, law, damping, vel)
        place_in(a, b, c, X, of, resisted_motion.v, resisted_motion.w)
        at.increase(a.contact_list, my.number_at(a, b, c, X), k * d * y)
        for j in range(dim):
            a.contact_list[my.number_at(a, b, c, ALONG + j)] = none
            if j > 0:
                a.contact_list[my.number_at(a, b, c, MU + j - 1)] = coefficient(a, t, law.mu, j, features)
        return c

    @ti.func
    def list_dofs(a: ti.template(), s, b, c, of: ti.template(), last, depth, r: ti.template(), sign):
        """Adds to the Jacobian of listed contact c the dofs of a chain, which move the place r of one side."""
        first, dim = a.contact_index[my.index_at(a, b, c, C_DEPTH)], a.contact_index[my.index_at(a, b, c, C_DIM)]
        a.contact_index[my.index_at(a, b, c, C_DEPTH)] = first + depth
        for i in range(depth):
            j, k = a.chain[at.dof(a, last, ENTRY0) + i], first + i
            axis = sign * at.axis(a, s, b, j)
            v = axis.at(r)
            a.contact_dofs[my.moved_dof_at(a, b, c, k)] = j
            a.contact_jacobian[my.jacobian_at(a, b, c, 0, k)] = of.n.dot(v)
            if dim > 1:
                a.contact_jacobian[my.jacobian_at(a, b, c, 1, k)] = of.t1.dot(v)
                a.contact_jacobian[my.jacobian_at(a, b, c, 2, k)] = of.t2.dot(v)
            if ti.static(features.rotations):
                if dim > 3:
                    a.contact_jacobian[my.jacobian_at(a, b, c, 3, k)] = of.n.dot(axis.w)
                if dim > 4:
                    a.contact_jacobian[my.jacobian_at(a, b, c, 4, k)] = of.t1.dot(axis.w)
                    a.contact_jacobian[my.jacobian_at(a, b, c, 5, k)] = of.t2.dot(axis.w)

    @ti.func
    def on_ground(a: ti.template(), s, b, l, of: ti.template()):
        """The contact of link l, and its place."""
        t1, t2, _length = to.tangents(of.n, to.hint_of(a, of.touch, at.turned(a, s, b, l), of.n))
        return Contact(of.touch, of.on, of.y, of.n, t1, t2), of.c - of.s - (0.5 * of.distance) * of.n

    @ti.func
    def list_on_ground(a: ti.template(), s, b, l, of: ti.template()):
        contact, r = on_ground(a, s, b, l, of)
        c = list_contact(a, b, contact, seen(at.motion(a, s, b, l, VELOCITY), r))
        list_dofs(a, s, b, c, contact, my.touch(a, of.touch, T_DOF), my.touch(a, of.touch, T_DEPTH), r, 1.0)

    listed = to.walk(list_on_ground)

    @ti.func
    def rows_of(a: ti.template(), b, c, row, dim):
        """Six numbers by row of listed contact c, as two vectors. Those that do not act are zero."""
        linear, angular = lanes3(), lanes3()
        linear[0] += my.number(a, b, c, row)
        if dim > 1:
            linear[1] += my.number(a, b, c, row + 1)
            linear[2] += my.number(a, b, c, row + 2)
        if ti.static(features.rotations):
            if dim > 3:
                angular[0] += my.number(a, b, c, row + 3)
            if dim > 4:
                angular[1] += my.number(a, b, c, row + 4)
                angular[2] += my.number(a, b, c, row + 5)
        return linear, angular

    @ti.func
    def judge(a: ti.template(), b, of: ti.template(), vel: ti.template(), due: ti.template(), nu: ti.template()):
        """Evaluates one contact as the first of the list, along its virtual velocity: law, stiffness and reference of
        its normal, and the virtual power. The motions of its sides against each other are seen at its place."""
        t, y = of.touch, of.y
        law, dim = law_of(a, b, t, features), my.touch(a, t, T_DIM)
        d, _dy, _g0, _g1, _gw, _gm = im.impedance_of(y, law.row.imp)
        k, damping = im.stiffness(law.row.ref, law.row.imp, a.num[DT], a.solver_numbers[2])
        resisted = resistance(a, b, invweight_of(a, b, t, paired), dim, d, law.mu)
        a.contact_index[my.index_at(a, b, 0, C_DIM)] = dim
        resisted_motion = damped(a, of, law, damping, vel)
        place_in(a, b, 0, X, of, due.v + resisted_motion.v, due.w + resisted_motion.w)
        place_in(a, b, 0, ALONG, of, nu.v, nu.w)
        at.increase(a.contact_list, my.number_at(a, b, 0, X), k * d * y)
        a.contact_list[my.number_at(a, b, 0, D)] = where(of.on, 1.0 / resisted, lane())
        for j in range(1, dim):
            a.contact_list[my.number_at(a, b, 0, MU + j - 1)] = coefficient(a, t, law.mu, j, features)
        power, _curvature, _moved = cone.evaluate(a, b, 0, 0.0)
        return law, d, k, damping, resisted, power

    @ti.func
    def curve(a: ti.template(), b, dim):
        """Forces of the first listed contact become slopes by its residuals: Hessian times virtual motion."""
        h0, projected, crossed = my.number(a, b, 0, ALONG), lane(), lane()
        for j in range(1, dim):
            projected += my.number(a, b, 0, WN + j) * my.number(a, b, 0, ALONG + j)
        if dim > 1:
            crossed += my.number(a, b, 0, CROSS) * projected + h0
        for j in range(1, dim):
            wn, hj = my.number(a, b, 0, WN + j), my.number(a, b, 0, ALONG + j)
            a.contact_list[my.number_at(a, b, 0, F + j)] = wn * crossed + my.number(a, b, 0, WJ + j) * hj
        a.contact_list[my.number_at(a, b, 0, F)] = my.number(a, b, 0, WNN) * h0 + projected

    @ti.func
    def along_axes(of: ti.template(), linear: ti.template(), angular: ti.template()):
        """In world axes what is along normal and tangents."""
        return Spatial(angular[0] * of.n + angular[1] * of.t1 + angular[2] * of.t2,
                       linear[0] * of.n + linear[1] * of.t1 + linear[2] * of.t2)  # fmt: skip

    @ti.func
    def hessian_times(a: ti.template(), b, of: ti.template(), vel: ti.template(), due: ti.template(),
                      nu: ti.template()):  # fmt: skip
        """By how much the force at its place falls with the acceleration, times a motion nu."""
        dim = my.touch(a, of.touch, T_DIM)
        judge(a, b, of, vel, due, nu)
        curve(a, b, dim)
        g, gw = rows_of(a, b, 0, F, dim)
        return along_axes(of, g, gw)

    @ti.func
    def power_adjoint(a: ti.template(), b, of: ti.template(), vel: ti.template(), due: ti.template(),
                      nu: ti.template()):  # fmt: skip
        """Of the virtual power of one contact: derivatives by the acceleration, by the virtual velocity and by the
        velocity of its sides against each other at its place, by place, distance, normal and tangents. The motions are
        seen at its place. Subtracts the derivatives by parameters."""
        t, y, dim, none = of.touch, of.y, my.touch(a, of.touch, T_DIM), lane()
        law, d, k, damping, resisted, power = judge(a, b, of, vel, due, nu)
        _d, dy, gd0, gd1, gwidth, gmid = im.impedance_of(y, law.row.imp)
        f_linear, f_angular = rows_of(a, b, 0, F, dim)
        gmu = lanes3()
        cone.friction_adjoint(a, b, dim, power, gmu)
        curve(a, b, dim)
        g, gw = rows_of(a, b, 0, F, dim)
        gA, gN = along_axes(of, g, gw), along_axes(of, f_linear, f_angular)
        gV, slides = damped(a, of, law, damping, gA), sliding(a, law, damping)
        asked, turning = due.v + slides * vel.v, due.w + slides * vel.w
        gn = g[0] * (due.v + damping * vel.v) - f_linear[0] * nu.v + gw[0] * turning - f_angular[0] * nu.w
        gt1 = g[1] * asked - f_linear[1] * nu.v + gw[1] * turning - f_angular[1] * nu.w
        gt2 = g[2] * asked - f_linear[2] * nu.v + gw[2] * turning - f_angular[2] * nu.w
        # D and the normal's reference depend on the distance
        gd = where(resisted > LEAST_R, power / (d * (1.0 - d)), none) + k * y * g[0]
        gy = gd * dy + k * d * g[0]
        gplace = gA.v.cross(due.w) + gV.v.cross(vel.w) - gN.v.cross(nu.w)
        gb = gA.v.dot(vel.v) + gA.w.dot(vel.w)
        gref0, gref1, gdmax = im.stiffness_adjoint(law.row.ref, law.row.imp, a.num[DT], a.solver_numbers[2],
                                                   d * y * g[0], gb)  # fmt: skip
        gimp = Vec(gd * gd0, gd * gd1 + gdmax, where(law.row.imp[2] > 0.0, gd * gwidth, none), gd * gmid,
                   gd * im.by_power(y, law.row.imp))  # fmt: skip
        law_adjoint(a, b, t, features, -Vec(gref0, gref1), -gimp, -gmu)
        invweight = invweight_of(a, b, t, paired)
        invweight_adjoint(a, b, t, paired, where(resisted > LEAST_R, power / invweight, none))
        return gA, gN, gV, Slopes(gplace, gy, gn, gt1, gt2)

    @ti.func
    def add_power(a: ti.template(), b, l, r: ti.template(), sign, gA: ti.template(), gN: ti.template(),
                  gV: ti.template()):  # fmt: skip
        """Adds to link l's sums what `power_adjoint` returns, of a contact that it moves at r, as that side."""
        by_acceleration = Spatial(sign * (gA.w + r.cross(gA.v)), sign * gA.v)
        by_virtual = Spatial(sign * (-gN.w - r.cross(gN.v)), sign * (-gN.v))
        by_velocity = Spatial(sign * (gV.w + r.cross(gV.v)), sign * gV.v)
        for row, g in ti.static(((BN, by_virtual), (BU, by_acceleration), (BV, by_velocity))):
            at.add(a, a.back, at.back_at(a, b, l, row), g)

    @ti.func
    def asked_motion(a: ti.template(), s, b, l, g, r: ti.template()):
        """The motion at place r whose power with the force there on geom g of link l is the outputs' cotangent."""
        asked = spatial()
        if ti.static(features.outputs):
            asked.v += a.part * at.get3(a, a.gcontacts, at.gcontact_at(a, b, g, 0))
        if ti.static(features.last):
            turn = a.last * at.get3(a, a.glast_contacts, at.gcontact_at(a, b, g, 1))
            asked.w += turn
            asked.v += a.last * at.get3(a, a.glast_contacts, at.gcontact_at(a, b, g, 0))
            asked.v += turn.cross(r - at.traced_at(a, s, b, l, POS))
        return asked

    @ti.func
    def asked_place(a: ti.template(), b, g):
        """Cotangent of its place."""
        return at.get3(a, a.gcontacts, at.gcontact_at(a, b, g, 1))

    @ti.func
    def add_lever(a: ti.template(), s, b, l, g, force: ti.template()):
        """Adds what the torque of `last_contacts`, of a force on geom g, depends on the place of link l's frame."""
        lever = a.last * force.cross(at.get3(a, a.glast_contacts, at.gcontact_at(a, b, g, 1)))
        at.add(a, a.back, at.back_at(a, b, l, BW), Spatial(at.traced_at(a, s, b, l, POS).cross(lever), lever))

    @ti.func
    def adjoint_on_ground(a: ti.template(), s, b, l, of: ti.template()):
        contact, r = on_ground(a, s, b, l, of)
        vel, due, nu = at.motion(a, s, b, l, VELOCITY), at.summed(a, b, l, QDD), at.summed(a, b, l, NU)
        virtual, g = seen(nu, r), my.touch(a, of.touch, T_GEOM)
        if ti.static(features.measured):
            virtual += asked_motion(a, s, b, l, g, r)
        gA, gN, gV, slopes = power_adjoint(a, b, contact, seen(vel, r), seen(due, r), virtual)
        if ti.static(features.outputs):
            slopes.place -= where(of.on, asked_place(a, b, g), lanes3())
        if ti.static(features.last):
            add_lever(a, s, b, l, g, gN.v)
        add_power(a, b, l, r, 1.0, gA, gN, gV)
        R, world = at.turned(a, s, b, l), at.traced_at(a, s, b, at.link(a, l, ROOT), ORIGIN)
        gturn, gc = to.place_adjoint(a, b, R, world, of, to.hint_of(a, of.touch, R, of.n), slopes)
        at.add(a, a.back, at.back_at(a, b, l, BW), Spatial(gturn, gc))

    @ti.func
    def between(a: ti.template(), s, b, of: ti.template()):
        """The contact of two geoms, and its place from the origin of each one's tree."""
        n = of.n
        t1, t2, _length = to.tangents(n, to.world_hint(n))
        ra = of.posed.ca + of.place
        rb = of.posed.cb + of.place - of.posed.p
        return Contact(of.posed.touch, of.on, of.y, n, t1, t2), ra, rb

    @ti.func
    def relative(one: ti.template(), two: ti.template(), ra: ti.template(), rb: ti.template()):
        """The motion of the second side seen from the first, at a place."""
        return seen(two, rb) - seen(one, ra)

    @ti.func
    def list_between(a: ti.template(), s, b, of: ti.template()):
        contact, ra, rb = between(a, s, b, of)
        t = contact.touch
        l, m = my.touch(a, t, T_LINK), my.touch(a, t, T_LINK_B)
        vel = relative(at.motion(a, s, b, l, VELOCITY), at.motion(a, s, b, m, VELOCITY), ra, rb)
        c = list_contact(a, b, contact, vel)
        depth, depth_b = my.touch(a, t, T_DEPTH), my.touch(a, t, T_DEPTH_B)
        for side in range(2):
            if side == 0:
                list_dofs(a, s, b, c, contact, my.touch(a, t, T_DOF), depth, ra, -1.0)
            else:
                list_dofs(a, s, b, c, contact, my.touch(a, t, T_DOF_B), depth_b, rb, 1.0)
        if depth > 0 and depth_b > 0:
            en.couple(a, s, b, c, depth + depth_b)

    @ti.func
    def adjoint_between(a: ti.template(), s, b, of: ti.template()):
        contact, ra, rb = between(a, s, b, of)
        l, m = my.touch(a, contact.touch, T_LINK), my.touch(a, contact.touch, T_LINK_B)
        vel = relative(at.motion(a, s, b, l, VELOCITY), at.motion(a, s, b, m, VELOCITY), ra, rb)
        due = relative(at.summed(a, b, l, QDD), at.summed(a, b, m, QDD), ra, rb)
        nu = relative(at.summed(a, b, l, NU), at.summed(a, b, m, NU), ra, rb)
        one, two = my.touch(a, contact.touch, T_GEOM), my.touch(a, contact.touch, T_GEOM_B)
        if ti.static(features.measured):
            nu += asked_motion(a, s, b, m, two, rb) - asked_motion(a, s, b, l, one, ra)
        gA, gN, gV, g = power_adjoint(a, b, contact, vel, due, nu)
        if ti.static(features.outputs):
            g.place -= where(of.on, asked_place(a, b, one) + asked_place(a, b, two), lanes3())
        if ti.static(features.last):
            add_lever(a, s, b, l, one, -gN.v)
            add_lever(a, s, b, m, two, gN.v)
        add_power(a, b, l, ra, -1.0, gA, gN, gV)
        add_power(a, b, m, rb, 1.0, gA, gN, gV)
        gn, _ghint = to.frame_adjoint(of.n, to.world_hint(of.n), g)
        shift_a, turn_a, shift_b, turn_b, slide = bo.slopes(a, b, of, g.place, g.distance, gn)
        distance = of.y + my.touch_number(a, contact.touch, T_MARGIN)
        bo.sizes_adjoint(a, b, of, distance, shift_a, shift_b, slide)
        at.add(a, a.back, at.back_at(a, b, l, BW), Spatial(turn_a + of.posed.ca.cross(shift_a), shift_a))
        at.add(a, a.back, at.back_at(a, b, m, BW), Spatial(turn_b + of.posed.cb.cross(shift_b), shift_b))

    more = dict(on_ground=on_ground, between=between, relative=relative, seen=seen, rows_of=rows_of,
                along_axes=along_axes, hessian_times=hessian_times, asked_motion=asked_motion)  # fmt: skip
    if paired:
        more.update(listed_between=bo.walk(list_between), adjoint_between=bo.walk(adjoint_between))
    return Functions(**more, listed=listed, adjoint=to.walk(adjoint_on_ground))
