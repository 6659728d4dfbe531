"""The list of an evaluation's contacts with their rows, and the adjoint of their virtual power."""

from genesis.compiler import Functions, layout, per_runtime, ti, traced, value
from genesis.math.lanes import Vec, lane, lanes3, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.layout import (
    BN,
    BU,
    BV,
    BW,
    DEPTH,
    DOF0,
    DT,
    ENTRY0,
    N_DOFS,
    NU,
    ORIGIN,
    QDD,
    ROOT,
    VELOCITY,
)
from genesis.solvers.rigid.mujoco import indices as my
from genesis.solvers.rigid.mujoco.cones import cones
from genesis.solvers.rigid.mujoco.impedance import LEAST_R, impedance
from genesis.solvers.rigid.mujoco.layout import (
    ALONG,
    C_DIM,
    C_DOF,
    CROSS,
    MU,
    T_DIM,
    T_GEOM,
    WJ,
    WN,
    WNN,
    D,
    F,
    Features,
    X,
)  # fmt: skip
from genesis.solvers.rigid.mujoco.mixing import law_adjoint, law_of
from genesis.solvers.rigid.mujoco.touches import Slopes, touches
from genesis.solvers.rigid.spatial import Spatial


@traced
def coefficient(mu, j):
    """Of friction, of row j = 1 … 5."""
    row = value(0.0 * mu[0] + ti.cast(j, layout().real))
    return where(row < 2.5, mu[0], where(row < 3.5, mu[1], mu[2]))


@per_runtime
def contacts(features: Features) -> Functions:
    im, to, cone = impedance(), touches(features), cones(features)

    @ti.func
    def resistance(a: ti.template(), b, g, dim, d, mu: ti.template()):
        """R of the normal, or of each edge of a pyramid."""
        R = (1.0 - d) / d * a.model[at.block(a, b, "invweight", g)]
        if ti.static(not features.elliptic):
            if dim > 1:
                m = mu[0] * mu[0]
                R = R * (2.0 * a.solver_numbers[0]) * m * (1.0 + m)
        return ti.max(R, LEAST_R)

    @ti.func
    def place_in(a: ti.template(), b, c, row, n: ti.template(), t1: ti.template(), t2: ti.template(),
                 linear: ti.template(), angular: ti.template()):  # fmt: skip
        """Numbers of a listed contact's rows, of a motion at its place."""
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
    def list_contact(a: ti.template(), s, b, l, of: ti.template()):
        t, y, n = of.touch, of.y, of.n
        law, dim, geom = law_of(a, b, t), my.touch(a, t, T_DIM), my.touch(a, t, T_GEOM)
        count, none = a.n_contacts[b], lane()
        a.n_contacts[b] = count + 1
        d, _dy, _g0, _g1, _gw, _gm = im.impedance_of(y, law.row.imp)
        k, damping = im.stiffness(law.row.ref, law.row.imp, a.num[DT], a.solver_numbers[2])
        a.contact_list[my.number_at(a, b, count, D)] = where(of.on, 1.0 / resistance(a, b, geom, dim, d, law.mu), none)
        r = of.c - of.s - (0.5 * of.distance) * n
        t1, t2, _length = to.tangents(n, to.hint_of(a, t, at.turned(a, s, b, l), n))
        last = at.link(a, l, DOF0) + at.link(a, l, N_DOFS) - 1
        a.contact_index[my.index_at(a, b, count, C_DOF)] = last
        a.contact_index[my.index_at(a, b, count, C_DIM)] = dim
        row = at.dof(a, last, ENTRY0)
        for i in range(at.dof(a, last, DEPTH)):
            axis = at.axis(a, s, b, a.chain[row + i])
            v = axis.at(r)
            a.contact_jacobian[my.jacobian_at(a, b, count, 0, i)] = n.dot(v)
            if dim > 1:
                a.contact_jacobian[my.jacobian_at(a, b, count, 1, i)] = t1.dot(v)
                a.contact_jacobian[my.jacobian_at(a, b, count, 2, i)] = t2.dot(v)
            if ti.static(features.rotations):
                if dim > 3:
                    a.contact_jacobian[my.jacobian_at(a, b, count, 3, i)] = n.dot(axis.w)
                if dim > 4:
                    a.contact_jacobian[my.jacobian_at(a, b, count, 4, i)] = t1.dot(axis.w)
                    a.contact_jacobian[my.jacobian_at(a, b, count, 5, i)] = t2.dot(axis.w)
        vel = at.motion(a, s, b, l, VELOCITY)
        place_in(a, b, count, X, n, t1, t2, damping * vel.at(r), damping * vel.w)
        at.increase(a.contact_list, my.number_at(a, b, count, X), k * d * y)
        for j in range(dim):
            a.contact_list[my.number_at(a, b, count, ALONG + j)] = none
            if j > 0:
                a.contact_list[my.number_at(a, b, count, MU + j - 1)] = coefficient(law.mu, j)

    listed = to.walk(list_contact)

    @ti.func
    def rows_of(a: ti.template(), b, row, dim):
        """Six numbers by row of the first listed contact, as two vectors. Those that do not act are zero."""
        linear, angular = lanes3(), lanes3()
        linear[0] += my.number(a, b, 0, row)
        if dim > 1:
            linear[1] += my.number(a, b, 0, row + 1)
            linear[2] += my.number(a, b, 0, row + 2)
        if ti.static(features.rotations):
            if dim > 3:
                angular[0] += my.number(a, b, 0, row + 3)
            if dim > 4:
                angular[1] += my.number(a, b, 0, row + 4)
                angular[2] += my.number(a, b, 0, row + 5)
        return linear, angular

    @ti.func
    def power_adjoint(a: ti.template(), s, b, l, of: ti.template()):
        """Of one contact: adds to the link's sums, and to the parameters' cotangents."""
        t, y, n = of.touch, of.y, of.n
        law, dim, none, geom = law_of(a, b, t), my.touch(a, t, T_DIM), lane(), my.touch(a, t, T_GEOM)
        R = at.turned(a, s, b, l)
        d, dy, gd0, gd1, gwidth, gmid = im.impedance_of(y, law.row.imp)
        k, damping = im.stiffness(law.row.ref, law.row.imp, a.num[DT], a.solver_numbers[2])
        resisted = resistance(a, b, geom, dim, d, law.mu)
        stiff = where(of.on, 1.0 / resisted, none)
        hint = to.hint_of(a, t, R, n)
        t1, t2, _length = to.tangents(n, hint)
        r = of.c - of.s - (0.5 * of.distance) * n
        vel, due, nu = at.motion(a, s, b, l, VELOCITY), at.summed(a, b, l, QDD), at.summed(a, b, l, NU)
        v, moved, virtual = vel.at(r), due.at(r), nu.at(r)
        asked, turning = moved + damping * v, due.w + damping * vel.w
        a.contact_index[my.index_at(a, b, 0, C_DIM)] = dim
        place_in(a, b, 0, X, n, t1, t2, asked, turning)
        place_in(a, b, 0, ALONG, n, t1, t2, virtual, nu.w)
        at.increase(a.contact_list, my.number_at(a, b, 0, X), k * d * y)
        a.contact_list[my.number_at(a, b, 0, D)] = stiff
        for j in range(1, dim):
            a.contact_list[my.number_at(a, b, 0, MU + j - 1)] = coefficient(law.mu, j)
        power, _curvature, _moved = cone.evaluate(a, b, 0, 0.0)
        # Slopes by the rows' residuals: Hessian times virtual motion.
        h0, projected = my.number(a, b, 0, ALONG), lane()
        g0 = my.number(a, b, 0, WNN) * h0
        for j in range(1, dim):
            projected += my.number(a, b, 0, WN + j) * my.number(a, b, 0, ALONG + j)
        crossed = lane()
        if dim > 1:
            crossed += my.number(a, b, 0, CROSS) * projected + h0
        f_linear, f_angular = rows_of(a, b, F, dim)
        gmu = lanes3()
        friction_adjoint(a, b, dim, power, gmu)
        for j in range(1, dim):
            wn, hj = my.number(a, b, 0, WN + j), my.number(a, b, 0, ALONG + j)
            a.contact_list[my.number_at(a, b, 0, F + j)] = wn * crossed + my.number(a, b, 0, WJ + j) * hj
        a.contact_list[my.number_at(a, b, 0, F)] = g0 + projected
        g, gw = rows_of(a, b, F, dim)
        gA = Spatial(gw[0] * n + gw[1] * t1 + gw[2] * t2, g[0] * n + g[1] * t1 + g[2] * t2)
        gN = Spatial(f_angular[0] * n + f_angular[1] * t1 + f_angular[2] * t2,
                     f_linear[0] * n + f_linear[1] * t1 + f_linear[2] * t2)  # fmt: skip
        gn = g[0] * asked - f_linear[0] * virtual + gw[0] * turning - f_angular[0] * nu.w
        gt1 = g[1] * asked - f_linear[1] * virtual + gw[1] * turning - f_angular[1] * nu.w
        gt2 = g[2] * asked - f_linear[2] * virtual + gw[2] * turning - f_angular[2] * nu.w
        # D and the normal's reference depend on the distance
        gd = where(resisted > LEAST_R, power / (d * (1.0 - d)), none) + k * y * g[0]
        gy = gd * dy + k * d * g[0]
        gr_ = gA.v.cross(due.w) + damping * gA.v.cross(vel.w) - gN.v.cross(nu.w)
        world = at.traced_at(a, s, b, at.link(a, l, ROOT), ORIGIN)
        gturn, gc = to.place_adjoint(a, R, world, of, hint, Slopes(gr_, gy, gn, gt1, gt2))
        at_origin = Spatial(gA.w + r.cross(gA.v), gA.v)
        for row, w, v_ in ti.static(((BN, -gN.w - r.cross(gN.v), -gN.v), (BU, at_origin.w, at_origin.v),
                                     (BV, damping * at_origin.w, damping * at_origin.v), (BW, gturn, gc))):  # fmt: skip
            at.add(a, a.back, at.back_at(a, b, l, row), Spatial(w, v_))
        gb = gA.v.dot(v) + gA.w.dot(vel.w)
        gref0, gref1, gdmax = im.stiffness_adjoint(law.row.ref, law.row.imp, a.num[DT], a.solver_numbers[2],
                                                   d * y * g[0], gb)  # fmt: skip
        gimp = Vec(gd * gd0, gd * gd1 + gdmax, where(law.row.imp[2] > 0.0, gd * gwidth, none), gd * gmid,
                   gd * im.by_power(y, law.row.imp))  # fmt: skip
        law_adjoint(a, b, t, -Vec(gref0, gref1), -gimp, -gmu)
        at.increase(a.gmodel, at.block(a, b, "invweight", geom),
                    where(resisted > LEAST_R, power / a.model[at.block(a, b, "invweight", geom)], none))  # fmt: skip

    @ti.func
    def friction_adjoint(a: ti.template(), b, dim, power, gmu: ti.template()):
        """Adds the slopes of the power of the first listed contact by sliding, spinning and rolling friction."""
        none = lane()
        stiff = my.number(a, b, 0, D)
        x, h = my.number(a, b, 0, X), my.number(a, b, 0, ALONG)
        mu1 = my.number(a, b, 0, MU)
        if dim > 1:
            if ti.static(not features.elliptic):
                gmu[0] = gmu[0] - power * (2.0 / mu1 + 2.0 * mu1 / (1.0 + mu1 * mu1))
                for j in range(1, dim):
                    mu = my.number(a, b, 0, MU + j - 1)
                    xj, hj = my.number(a, b, 0, X + j), my.number(a, b, 0, ALONG + j)
                    up, down, hu, hd = x + mu * xj, x - mu * xj, h + mu * hj, h - mu * hj
                    part = (where(up < 0.0, stiff * (xj * hu + up * hj), none)
                            - where(down < 0.0, stiff * (xj * hd + down * hj), none))  # fmt: skip
                    add_to(gmu, j, part)
            else:
                inverse = a.solver_numbers[0]
                mu = mu1 * ti.sqrt(inverse)
                T2, S = lane(), lane()
                for j in range(1, dim):
                    m = my.number(a, b, 0, MU + j - 1)
                    xj, hj = my.number(a, b, 0, X + j), my.number(a, b, 0, ALONG + j)
                    T2 += m * m * xj * xj
                    S += m * m * xj * hj
                T = ti.sqrt(T2)
                safe = where(T > 0.0, T, none + 1.0)
                S = S / safe
                out = (x >= T) | (stiff <= 0.0)
                low = mu * mu * x + T <= 0.0
                scale = stiff / (1.0 + mu * mu)
                gmu[0] = gmu[0] - where(out | low, none, 2.0 * mu / (1.0 + mu * mu) * ti.sqrt(inverse) * power)
                for j in range(1, dim):
                    m = my.number(a, b, 0, MU + j - 1)
                    xj, hj = my.number(a, b, 0, X + j), my.number(a, b, 0, ALONG + j)
                    dT = m * xj * xj / safe
                    dS = 2.0 * m * xj * hj / safe - S * m * xj * xj / (safe * safe)
                    middle = scale * (0.0 - dT * (h - S) - (x - T) * dS)
                    below = stiff * m * xj * hj / (inverse * mu1 * mu1)  # of D_j x_j h_j / mu_j
                    add_to(gmu, j, where(out, none, where(low, 2.0 * below, middle)))
                    gmu[0] = gmu[0] - where(low & (stiff > 0.0), 2.0 * m * below / mu1, none)

    @ti.func
    def add_to(v: ti.template(), j, part):
        if j < 3:
            v[0] = v[0] + part
        elif j == 3:
            v[1] = v[1] + part
        else:
            v[2] = v[2] + part

    return Functions(listed=listed, adjoint=to.walk(power_adjoint))
