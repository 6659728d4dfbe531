"""Equality constraints: rows of the cost without a sign, 1/2 D x^2, x = J a - a_ref, which act whatever the state.

With the frames of both sides at p_a, p_b, turned by R_a, R_b, and (E0, E) the quaternion of R_b^T R_a:

    connect   y = p_a - p_b                         J v = the velocity of a seen from b
    weld      the same, and y = scale E             J v = scale / 2 (E0 w + w x E), w in b's frame
    joint     y = q_1 - rest - f(q_2 - rest)        J = (1, -f')
    tendon    y = l_1 - rest - f(l_2 - rest)        J = J_1 - f' J_2, l and J of `transmissions`

Of a connect and a weld a_ref = - b J v - k d y - J' v: x takes the whole acceleration y'', velocity products included.
Of E that is scale / 2 (E0 w' + w' x E) - scale / 4 |w|^2 E. The impedance is that of the length of all y of a
constraint. The sign of the quaternion is that of rows, and of no matter. They stand first in the list of contacts, with
the stiffnesses of all rows but the first in the place of friction. Source: MuJoCo's documentation, Computation.
"""

from genesis.compiler import Composite, Functions, per_runtime, ti
from genesis.math.lanes import lane, lanes3, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.layout import (
    BA,
    BN,
    BV,
    BW,
    DT,
    EQUALITIES,
    NU,
    Q_INDEX,
    QDD,
)
from genesis.solvers.rigid.mujoco import indices as my
from genesis.solvers.rigid.mujoco.envelope import envelope
from genesis.solvers.rigid.mujoco.impedance import LEAST_R, RowLaw, impedance
from genesis.solvers.rigid.mujoco.layout import (
    ALONG,
    C_DEPTH,
    C_DIM,
    CROSS,
    E_COUPLES,
    E_DEPTH,
    E_DIM,
    E_DOF0,
    E_IMP,
    E_KIND,
    E_LINK_A,
    E_LINK_B,
    E_POLYNOMIAL,
    E_REF,
    E_REST,
    E_WEIGHT,
    JOINT,
    MU,
    SIDE_A,
    SIDE_B,
    TR_ARM0,
    TR_N_ARMS,
    WJ,
    WN,
    WNN,
    D,
    F,
    Features,
    X,
)
from genesis.solvers.rigid.mujoco.ties import lanes_of, ties
from genesis.solvers.rigid.mujoco.transmissions import integer, of_arm, of_transmission, transmissions
from genesis.solvers.rigid.spatial import Spatial


class Rows(Composite):
    """Of the rows of a constraint: impedance and its slope in |y|, k, b, stiffnesses of the first rows and of those of
    rotation, and 1 where these depend on the impedance, else 0."""

    def __init__(self, d, dy, k, b, stiff, stiff_turn, free, free_turn):
        self.d, self.dy, self.k, self.b = d, dy, k, b
        self.stiff, self.stiff_turn, self.free, self.free_turn = stiff, stiff_turn, free, free_turn


@per_runtime
def equalities(features: Features) -> Functions:
    im, en, to = impedance(), envelope(), ties()
    tr = transmissions(features) if features.tendons else None

    @ti.func
    def rows_of(a: ti.template(), e, y):
        """At a residual, or the length of several."""
        ref, imp, weight = lanes_of(a, e, E_REF, 2), lanes_of(a, e, E_IMP, 5), lanes_of(a, e, E_WEIGHT, 2)
        d, dy, _g0, _g1, _gw, _gm = im.impedance_of(y, imp)
        law = RowLaw(ref, imp)
        k, damping = im.stiffness(law.ref, law.imp, a.num[DT], a.solver_numbers[2])
        soft, soft_turn, none = (1.0 - d) / d * weight[0], (1.0 - d) / d * weight[1], lane()
        return Rows(d, dy, k, damping, 1.0 / ti.max(soft, LEAST_R), 1.0 / ti.max(soft_turn, LEAST_R),
                    where(soft > LEAST_R, none + 1.0, none), where(soft_turn > LEAST_R, none + 1.0, none))  # fmt: skip

    @ti.func
    def polynomial(a: ti.template(), e, x):
        """f, f' and f''."""
        c = my.equality_numbers(a, e, E_POLYNOMIAL, 5)
        return (c[0] + x * (c[1] + x * (c[2] + x * (c[3] + x * c[4]))),
                c[1] + x * (2.0 * c[2] + x * (3.0 * c[3] + x * (4.0 * c[4]))),
                2.0 * c[2] + x * (6.0 * c[3] + x * (12.0 * c[4])))  # fmt: skip

    @ti.func
    def displacement(a: ti.template(), s, b, e, side):
        """Of a joint from its rest."""
        j = my.equality_dof(a, my.equality(a, e, E_DOF0) + side, 0)
        return a.q[at.q_at(a, s, b, at.dof(a, j, Q_INDEX))] - my.equality_numbers(a, e, E_REST + side, 1)[0]

    @ti.func
    def coupled_joints(a: ti.template(), s, b, e):
        """y, f' and f''."""
        x = lane()
        if my.equality(a, e, E_DEPTH) > 1:
            x += displacement(a, s, b, e, 1)
        f, df, ddf = polynomial(a, e, x)
        return displacement(a, s, b, e, 0) - f, df, ddf

    @ti.func
    def along(a: ti.template(), e, df, array: ti.template(), s, b):
        """J times the dofs' array, of joints."""
        first = my.equality(a, e, E_DOF0)
        out = lane()
        out += array[at.dof_at(a, s, b, my.equality_dof(a, first, 0))]
        if my.equality(a, e, E_DEPTH) > 1:
            out = out - df * array[at.dof_at(a, s, b, my.equality_dof(a, first + 1, 0))]
        return out

    @ti.func
    def list_joints(a: ti.template(), s, b, e):
        y, df, _ddf = coupled_joints(a, s, b, e)
        rows, none = rows_of(a, e, y), lane()
        a.contact_list[my.number_at(a, b, e, D)] = rows.stiff
        a.contact_list[my.number_at(a, b, e, X)] = rows.b * along(a, e, df, a.qd, s, b) + rows.k * rows.d * y
        a.contact_jacobian[my.jacobian_at(a, b, e, 0, 0)] = none + 1.0
        if my.equality(a, e, E_DEPTH) > 1:
            a.contact_jacobian[my.jacobian_at(a, b, e, 0, 1)] = none - df

    @ti.func
    def coupled_tendons(a: ti.template(), b, e):
        """y, f', f''."""
        t, other, x = my.equality(a, e, E_LINK_A), my.equality(a, e, E_LINK_B), lane()
        if other >= 0:
            x += a.span[of_transmission(a, b, other)] - my.equality_numbers(a, e, E_REST + 1, 1)[0]
        f, df, ddf = polynomial(a, e, x)
        return a.span[of_transmission(a, b, t)] - my.equality_numbers(a, e, E_REST, 1)[0] - f, df, ddf

    @ti.func
    def along_tendons(a: ti.template(), b, e, df, array: ti.template(), s):
        """J times the dofs' array, and that of the second tendon alone."""
        out, second, other = tr.along(a, b, my.equality(a, e, E_LINK_A), array, s), lane(), my.equality(a, e, E_LINK_B)
        if other >= 0:
            second += tr.along(a, b, other, array, s)
        return out - df * second, second

    @ti.func
    def list_tendons(a: ti.template(), s, b, e):
        y, df, _ddf = coupled_tendons(a, b, e)
        rows, t, other = rows_of(a, e, y), my.equality(a, e, E_LINK_A), my.equality(a, e, E_LINK_B)
        speed, _second = along_tendons(a, b, e, df, a.qd, s)
        a.contact_list[my.number_at(a, b, e, D)] = rows.stiff
        a.contact_list[my.number_at(a, b, e, X)] = rows.b * speed + rows.k * rows.d * y
        depth, first = my.equality(a, e, E_DEPTH), integer(a, t, TR_ARM0)
        for k in range(depth):
            a.contact_jacobian[my.jacobian_at(a, b, e, 0, k)] = lane()
        for k in range(integer(a, t, TR_N_ARMS)):  # its dofs come first
            a.contact_jacobian[my.jacobian_at(a, b, e, 0, k)] = a.moment[of_arm(a, b, first + k)] + 0.0
        if other >= 0:
            begin, last = integer(a, other, TR_ARM0), my.equality(a, e, E_DOF0) + depth
            for k in range(integer(a, other, TR_N_ARMS)):
                i = my.jacobian_at(a, b, e, 0, my.equality_dof(a, last + k, 0))
                a.contact_jacobian[i] = a.contact_jacobian[i] - df * a.moment[of_arm(a, b, begin + k)]

    @ti.func
    def tendons_adjoint(a: ti.template(), s, b, e):
        y, df, ddf = coupled_tendons(a, b, e)
        rows, t, other = rows_of(a, e, y), my.equality(a, e, E_LINK_A), my.equality(a, e, E_LINK_B)
        h, h2 = along_tendons(a, b, e, df, a.x, 0)
        speed, speed2 = along_tendons(a, b, e, df, a.qd, s)
        due, due2 = along_tendons(a, b, e, df, a.qdd, s)
        x = due + rows.b * speed + rows.k * rows.d * y
        gx, force = rows.stiff * h, rows.stiff * x
        gd = rows.free * x * gx / (rows.d * (1.0 - rows.d)) + rows.k * y * gx
        gy = gd * rows.dy + rows.k * rows.d * gx
        one = lane(1.0)
        tendon_adjoint(a, s, b, t, one, rows.b * gx, gx, force)
        at.increase(a.gspan, of_transmission(a, b, t), 0.0 - gy)
        if other >= 0:
            tendon_adjoint(a, s, b, other, 0.0 - df, rows.b * gx, gx, force)
            by_slope = gx * (due2 + rows.b * speed2) + force * h2
            at.increase(a.gspan, of_transmission(a, b, other), df * gy + ddf * by_slope)

    @ti.func
    def tendon_adjoint(a: ti.template(), s, b, t, share, gspeed, gdue, force):
        """Of share times its J in a row: subtracts the derivatives."""
        tr.spread(a, b, t, 0.0 - share * gspeed, a.gqd)
        tr.along_adjoint(a, b, t, 0.0 - share * gspeed, a.qd, s)
        tr.along_adjoint(a, b, t, 0.0 - share * gdue, a.qdd, s)
        tr.along_adjoint(a, b, t, 0.0 - share * force, a.x, 0)

    @ti.func
    def list_bodies(a: ti.template(), s, b, e):
        of = to.tie(a, s, b, e)
        rows = rows_of(a, e, to.length(of))
        va = to.moving(a, s, b, my.equality(a, e, E_LINK_A))
        vb = to.moving(a, s, b, my.equality(a, e, E_LINK_B))
        aa = to.accelerating(a, s, b, my.equality(a, e, E_LINK_A))
        ab = to.accelerating(a, s, b, my.equality(a, e, E_LINK_B))
        w = va.w - vb.w
        x = (to.along_path(of.ra, aa, va) - to.along_path(of.rb, ab, vb)
             + rows.b * (va.at(of.ra) - vb.at(of.rb)) + (rows.k * rows.d) * of.y)  # fmt: skip
        turned = (to.turning(of, to.turning_rate(va, vb, aa, ab) + rows.b * w)
                  + (of.scale * (rows.k * rows.d - 0.25 * w.dot(w))) * of.E)  # fmt: skip
        dim, first = my.equality(a, e, E_DIM), my.equality(a, e, E_DOF0)
        for c in ti.static(range(3)):
            a.contact_list[my.number_at(a, b, e, X + c)] = x[c]
            if ti.static(c == 0):
                a.contact_list[my.number_at(a, b, e, D)] = rows.stiff
            else:
                a.contact_list[my.number_at(a, b, e, MU + c - 1)] = rows.stiff
            if dim > 3:
                a.contact_list[my.number_at(a, b, e, X + 3 + c)] = turned[c]
                a.contact_list[my.number_at(a, b, e, MU + 2 + c)] = rows.stiff_turn
        for k in range(my.equality(a, e, E_DEPTH)):
            sides, axis = my.equality_dof(a, first + k, 1), at.axis(a, s, b, my.equality_dof(a, first + k, 0))
            v, turned_by = lanes3(), lanes3()
            if sides % 2 == SIDE_A:
                v += axis.at(of.ra)
                turned_by += axis.w
            if sides >= SIDE_B:
                v -= axis.at(of.rb)
                turned_by -= axis.w
            rotation = to.turning(of, turned_by)
            for c in ti.static(range(3)):
                a.contact_jacobian[my.jacobian_at(a, b, e, c, k)] = v[c]
                if dim > 3:
                    a.contact_jacobian[my.jacobian_at(a, b, e, 3 + c, k)] = rotation[c]

    @ti.func
    def listed(a: ti.template(), s, b):
        """All of them, as the first of the list."""
        for e in range(a.size[EQUALITIES]):
            depth, dim = my.equality(a, e, E_DEPTH), my.equality(a, e, E_DIM)
            a.contact_index[my.index_at(a, b, e, C_DEPTH)] = depth
            a.contact_index[my.index_at(a, b, e, C_DIM)] = dim
            for k in range(dim):
                a.contact_list[my.number_at(a, b, e, ALONG + k)] = lane()
            for k in range(depth):
                a.contact_dofs[my.moved_dof_at(a, b, e, k)] = my.equality_dof(a, my.equality(a, e, E_DOF0) + k, 0)
            if my.equality(a, e, E_KIND) == JOINT:
                list_joints(a, s, b, e)
            elif my.equality(a, e, E_KIND) < JOINT:
                list_bodies(a, s, b, e)
            elif ti.static(features.tendons):
                list_tendons(a, s, b, e)
            if my.equality(a, e, E_COUPLES) == 1:
                en.couple(a, s, b, e, depth)
        a.n_contacts[b] = a.size[EQUALITIES]

    @ti.func
    def evaluate(a: ti.template(), b, e, part):
        """Forces and Hessian of a constraint's rows at x + part * along. Returns the slope and curvature of its cost by
        `part`."""
        slope, curvature = lane(), lane()
        for k in range(my.equality(a, e, E_DIM)):
            stiff, along_ = lane(), my.number(a, b, e, ALONG + k)
            if k == 0:
                stiff += my.number(a, b, e, D)
                a.contact_list[my.number_at(a, b, e, WNN)] = stiff
                a.contact_list[my.number_at(a, b, e, CROSS)] = lane()
            else:
                stiff += my.number(a, b, e, MU + k - 1)
                a.contact_list[my.number_at(a, b, e, WJ + k)] = stiff
                a.contact_list[my.number_at(a, b, e, WN + k)] = lane()
            force = 0.0 - stiff * (my.number(a, b, e, X + k) + part * along_)
            a.contact_list[my.number_at(a, b, e, F + k)] = force
            slope = slope - force * along_
            curvature += stiff * along_ * along_
        return slope, curvature

    @ti.func
    def joints_adjoint(a: ti.template(), s, b, e):
        y, df, ddf = coupled_joints(a, s, b, e)
        rows, first = rows_of(a, e, y), my.equality(a, e, E_DOF0)
        h = along(a, e, df, a.x, 0, b)
        x = (along(a, e, df, a.qdd, s, b) + rows.b * along(a, e, df, a.qd, s, b)) + rows.k * rows.d * y
        gx, force = rows.stiff * h, rows.stiff * x
        gd = rows.free * x * gx / (rows.d * (1.0 - rows.d)) + rows.k * y * gx
        gy = gd * rows.dy + rows.k * rows.d * gx
        i = at.dof_at(a, 0, b, my.equality_dof(a, first, 0))
        a.gq[i] = a.gq[i] - gy
        a.gqd[i] = a.gqd[i] - rows.b * gx
        if my.equality(a, e, E_DEPTH) > 1:
            j = my.equality_dof(a, first + 1, 0)
            i, k = at.dof_at(a, 0, b, j), at.dof_at(a, s, b, j)
            by_slope = gx * (a.qdd[k] + rows.b * a.qd[k]) + force * a.x[i]
            a.gq[i] = a.gq[i] + df * gy + ddf * by_slope
            a.gqd[i] = a.gqd[i] + df * (rows.b * gx)

    @ti.func
    def add_power(a: ti.template(), b, l, r: ti.template(), gA: ti.template(), gN: ti.template(), gV: ti.template(),
                  gplace: ti.template(), gturn: ti.template()):  # fmt: skip
        """Adds to link l's sums the derivatives by the acceleration, the virtual motion, the velocity, place and
        rotation of a side, at r. Gravity is the world's acceleration."""
        if l >= 0:
            for row, g in ti.static(((BN, gN), (BA, gA), (BV, gV))):
                at.add(a, a.back, at.back_at(a, b, l, row), Spatial(g.w + r.cross(g.v), g.v))
            at.add(a, a.back, at.back_at(a, b, l, BW), Spatial(gturn + r.cross(gplace), gplace))
        else:
            at.add(a, a.ggravity, at.item(a, 0, b, 0, 3), gA.v)

    @ti.func
    def by_velocity(r: ti.template(), damping, gA: ti.template(), vel: ti.template()):
        """Derivative of the power by the velocity of a side, as motion at r, but for what turns rows of rotation."""
        return Spatial(damping * gA.w + vel.at(r).cross(gA.v), damping * gA.v + gA.v.cross(vel.w))

    @ti.func
    def by_place(gA: ti.template(), gN: ti.template(), gV: ti.template(), acc: ti.template(), vel: ti.template(),
                 nu: ti.template()):  # fmt: skip
        """Derivative of the power by the place at which one side's motions are seen."""
        return gA.v.cross(acc.w) + gV.v.cross(vel.w) + gN.v.cross(nu.w)

    @ti.func
    def bodies_adjoint(a: ti.template(), s, b, e):
        of, l, m = to.tie(a, s, b, e), my.equality(a, e, E_LINK_A), my.equality(a, e, E_LINK_B)
        y = to.length(of)
        rows = rows_of(a, e, y)
        kd = rows.k * rows.d
        va, vb = to.moving(a, s, b, l), to.moving(a, s, b, m)
        aa = to.accelerating(a, s, b, l) + to.swept(a, b, l, QDD)
        ab = to.accelerating(a, s, b, m) + to.swept(a, b, m, QDD)
        na, nb = to.swept(a, b, l, NU), to.swept(a, b, m, NU)
        w, nu = va.w - vb.w, na.w - nb.w
        spun = to.turning_rate(va, vb, aa, ab) + rows.b * w
        pull, residual = kd - 0.25 * w.dot(w), of.scale * of.E
        x = (to.along_path(of.ra, aa, va) - to.along_path(of.rb, ab, vb)
             + rows.b * (va.at(of.ra) - vb.at(of.rb)) + kd * of.y)  # fmt: skip
        xt = to.turning(of, spun) + pull * residual
        g, gt = rows.stiff * (na.at(of.ra) - nb.at(of.rb)), rows.stiff_turn * to.turning(of, nu)
        f, ft = rows.stiff * x, rows.stiff_turn * xt
        gd = ((rows.free * x.dot(g) + rows.free_turn * xt.dot(gt)) / (rows.d * (1.0 - rows.d))
              + rows.k * (of.y.dot(g) + residual.dot(gt)))  # fmt: skip
        by_length = gd * rows.dy / where(y > 0.0, y, lane(1.0))
        gy = kd * g + by_length * of.y
        # (E0, E): of the residual, and of J in y'' and in the virtual motion
        own, own_nu, half = of.R.transpose() @ spun, of.R.transpose() @ nu, 0.5 * of.scale
        gE0 = half * (own.dot(gt) + own_nu.dot(ft))
        gE = half * (gt.cross(own) + ft.cross(own_nu)) + of.scale * (pull * gt + by_length * residual)
        turn = of.R @ (0.5 * (of.E0 * gE + of.E.cross(gE) - gE0 * of.E))
        gA, gN = Spatial(to.turning_transposed(of, gt), g), Spatial(to.turning_transposed(of, ft), f)
        turn_b = -turn - spun.cross(gA.w) - nu.cross(gN.w)  # the rows are in b's frame
        gVa, gVb = by_velocity(of.ra, rows.b, gA, va), -by_velocity(of.rb, rows.b, gA, vb)
        gw = (0.5 * residual.dot(gt)) * w
        gVa.w += vb.w.cross(gA.w) - gw
        gVb.w += gA.w.cross(va.w) + gw
        place_a = by_place(gA, gN, gVa, aa, va, na) + gy
        place_b = by_place(-gA, -gN, gVb, ab, vb, nb) - gy
        add_power(a, b, l, of.ra, gA, gN, gVa, place_a, turn)
        add_power(a, b, m, of.rb, -gA, -gN, gVb, place_b, turn_b)

    @ti.func
    def adjoint(a: ti.template(), s, b):
        """Of the power of all rows at the virtual motion in x and in the links' sums: its derivatives."""
        for e in range(a.size[EQUALITIES]):
            if my.equality(a, e, E_KIND) == JOINT:
                joints_adjoint(a, s, b, e)
            elif my.equality(a, e, E_KIND) < JOINT:
                bodies_adjoint(a, s, b, e)
            elif ti.static(features.tendons):
                tendons_adjoint(a, s, b, e)

    return Functions(listed=listed, evaluate=evaluate, adjoint=adjoint, rows_of=rows_of)
