"""Rows of the cost that a single joint makes: its limits and its friction loss; and their adjoint.

    limit    y = q - low - margin, and high - q - margin: one-sided rows J = +1, -1
    ball     y = high - angle - margin, J = - axis of the rotation: a contact of one row
    loss     y = 0: |force| <= frictionloss
"""

from genesis.compiler import Functions, element, per_runtime, ti, traced, value
from genesis.math.lanes import Vec, absolute, any_lane, lane, lanes3, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.joints import joints as shared_joints
from genesis.solvers.rigid.layout import BALL, COMPONENT, DOFS, DT, ENTRY0, KIND, LIMIT, PARAMETERS, Q_INDEX
from genesis.solvers.rigid.mujoco import indices as my
from genesis.solvers.rigid.mujoco.impedance import LEAST_R, RowLaw, impedance
from genesis.solvers.rigid.mujoco.layout import (
    ALONG,
    C_DEPTH,
    C_DIM,
    LOSS,
    LOWER,
    R_ALONG,
    R_BOUND,
    R_D,
    R_F,
    R_W,
    R_X,
    ROW_KINDS,
    UPPER,
    D,
    X,
)


@traced
def _places(a, b, j, kind):
    """Of solref and solimp of a row of dof j: those of its limits, or of friction loss."""
    out = []
    for name, width in (("solref", 2), ("solimp", 5)):
        limit, loss = (value(a.blocks[f"{whose}_{name}"][0] + width * j) for whose in ("limit", "loss"))
        first = value(ti.select(kind == LOSS, loss, limit))
        out.append([at.item(a, 0, b, first, a.size[PARAMETERS], k) for k in range(width)])
    return out


@traced
def law_of(a, b, j, kind):
    return RowLaw(*[Vec(*[element(a.model, i) for i in places]) for places in _places(a, b, j, kind)])


@traced
def law_adjoint(a, b, j, kind, *cotangents):
    """Adds the cotangents of solref and solimp to those of the parameters."""
    for places, cotangent in zip(_places(a, b, j, kind), cotangents, strict=True):
        for i, part in zip(places, cotangent.parts, strict=True):
            at.increase(a.gmodel, i, part)


@per_runtime
def dof_rows() -> Functions:
    im, sh = impedance(), shared_joints()

    @ti.func
    def row(a: ti.template(), s, b, j, kind):
        """A row of dof j. Its y; a number that is negative where the row is there; its J, a number, or of a ball, whose
        first dof has its row, an axis; rotation vector and angle of the ball."""
        y, there, J = lane(), lane(), 1.0
        phi, axis, angle = lanes3(), lanes3(), lane()
        limit = at.law(a, j, LIMIT)
        if kind == LOSS:
            there = there - a.model[at.block(a, b, "frictionloss", j)]
        elif at.dof(a, j, KIND) != BALL:
            q = a.q[at.q_at(a, s, b, at.dof(a, j, Q_INDEX))]
            if kind == LOWER:
                y += q - limit[0] - limit[2]
            else:
                J = -1.0
                y += limit[1] - q - limit[2]
            there += y
        elif kind == LOWER and at.dof(a, j, COMPONENT) == 0:
            phi += sh.rotation_vector(at.get4(a, a.q, at.q_at(a, s, b, at.dof(a, j, Q_INDEX))))
            angle += phi.norm()
            axis -= phi / where(angle > 0.0, angle, lane(1.0))
            y += limit[1] - angle - limit[2]
            there += y
        return y, there, J, axis, phi, angle

    @ti.func
    def of_ball(a: ti.template(), j, kind):
        return kind == LOWER and at.dof(a, j, KIND) == BALL

    @ti.func
    def along(a: ti.template(), ball, J, axis: ti.template(), array: ti.template(), i):
        """J times the dofs' array."""
        out = lane()
        if ball:
            out += axis.dot(at.get3(a, array, i))
        else:
            out += J * array[i]
        return out

    @ti.func
    def list_rows(a: ti.template(), s, b):
        """Rows of limits and friction loss; those of balls are contacts."""
        for j in range(a.size[DOFS]):
            bits = 0
            for kind in range(ROW_KINDS):
                y, there, J, axis, _phi, _angle = row(a, s, b, j, kind)
                if any_lane(there < 0.0):
                    ball, law = of_ball(a, j, kind), law_of(a, b, j, kind)
                    d, _dy, _g0, _g1, _gw, _gm = im.impedance_of(y, law.imp)
                    R = ti.max((1.0 - d) / d * a.model[at.block(a, b, "dof_invweight", j)], LEAST_R)
                    k, damping = im.stiffness(law.ref, law.imp, a.num[DT], a.solver_numbers[2])
                    x = damping * along(a, ball, J, axis, a.qd, at.dof_at(a, s, b, j)) + k * d * y
                    stiff = where(there < 0.0, 1.0 / R, lane())
                    if ball:
                        list_ball(a, b, j, axis, stiff, x)
                    else:
                        bits += 1 << kind
                        i, step = my.row_at(a, b, j, kind, 0), at.step(a)
                        a.dof_rows[i + R_D * step] = stiff
                        a.dof_rows[i + R_X * step] = x
                        a.dof_rows[i + R_ALONG * step] = lane()
                        a.dof_rows[i + R_BOUND * step] = 0.0 - there  # of friction loss, what it may be at most
            a.dof_rows_on[at.item(a, 0, b, j, a.size[DOFS])] = bits

    @ti.func
    def list_ball(a: ti.template(), b, j, axis: ti.template(), stiff, x):
        count = a.n_contacts[b]
        a.n_contacts[b] = count + 1
        a.contact_index[my.index_at(a, b, count, C_DEPTH)] = 3
        a.contact_index[my.index_at(a, b, count, C_DIM)] = 1
        a.contact_list[my.number_at(a, b, count, D)] = stiff
        a.contact_list[my.number_at(a, b, count, X)] = x
        a.contact_list[my.number_at(a, b, count, ALONG)] = lane()
        for c in ti.static(range(3)):  # along the chain: the last dof first
            a.contact_dofs[my.moved_dof_at(a, b, count, 2 - c)] = j + c
            a.contact_jacobian[my.jacobian_at(a, b, count, 0, 2 - c)] = axis[c]

    @ti.func
    def stiffness_of_rows(a: ti.template(), b):
        """The sum over the rows of single dofs: zero in environments that have none."""
        total = lane()
        for j in range(a.size[DOFS]):
            bits = a.dof_rows_on[at.item(a, 0, b, j, a.size[DOFS])]
            for kind in range(ROW_KINDS):
                if (bits >> kind) & 1:
                    total += a.dof_rows[my.row_at(a, b, j, kind, 0) + R_D * at.step(a)]
        return total

    @ti.func
    def evaluate_rows(a: ti.template(), b, part):
        """Forces and curvatures of the rows of single dofs at x + part * along. Returns as `cones.evaluate`."""
        slope, curvature, moved, none = lane(), lane(), lane(), lane()
        for j in range(a.size[DOFS]):
            bits = a.dof_rows_on[at.item(a, 0, b, j, a.size[DOFS])]
            if bits > 0:
                for kind in range(ROW_KINDS):
                    if (bits >> kind) & 1:
                        i, step = my.row_at(a, b, j, kind, 0), at.step(a)
                        stiff, along = a.dof_rows[i + R_D * step], a.dof_rows[i + R_ALONG * step]
                        x = a.dof_rows[i + R_X * step] + part * along
                        bound = a.dof_rows[i + R_BOUND * step]
                        f = 0.0 - stiff * x
                        w = where(x < 0.0, stiff, none)
                        if kind == LOSS:
                            inside = (f < bound) & (f > 0.0 - bound)
                            w = where(inside, stiff, none)
                            f = ti.min(ti.max(f, 0.0 - bound), bound)
                        else:
                            f = where(x < 0.0, f, none)
                        before = a.dof_rows[i + R_W * step]
                        before_f = a.dof_rows[i + R_F * step]
                        other = (absolute(w - before) > 0.0) | ((w <= 0.0) & (absolute(f - before_f) > 0.0))
                        moved += where(other & (stiff > 0.0), none + 1.0, none)
                        a.dof_rows[i + R_F * step] = f
                        a.dof_rows[i + R_W * step] = w
                        slope = slope - f * along
                        curvature += w * along * along
        return slope, curvature, moved

    @ti.func
    def gather_rows(a: ti.template(), s, b):
        """Adds the rows' forces to x and their curvatures to the diagonal of the mass matrix."""
        for j in range(a.size[DOFS]):
            bits = a.dof_rows_on[at.item(a, 0, b, j, a.size[DOFS])]
            if bits > 0:
                k, m = at.dof_at(a, 0, b, j), at.entry_at(a, s, b, at.dof(a, j, ENTRY0))
                for kind in range(ROW_KINDS):
                    if (bits >> kind) & 1:
                        i, step = my.row_at(a, b, j, kind, 0), at.step(a)
                        f = a.dof_rows[i + R_F * step]
                        if kind == UPPER:
                            f = 0.0 - f
                        a.x[k] = a.x[k] + f
                        a.mass[m] = a.mass[m] + a.dof_rows[i + R_W * step]

    @ti.func
    def project_rows(a: ti.template(), b, to: ti.template(), array: ti.template(), s, add):
        """Number `to` of every row becomes J times the dofs' `array`, or that is added to it."""
        for j in range(a.size[DOFS]):
            bits = a.dof_rows_on[at.item(a, 0, b, j, a.size[DOFS])]
            if bits > 0:
                value_ = array[at.dof_at(a, s, b, j)]
                for kind in range(ROW_KINDS):
                    if (bits >> kind) & 1:
                        i = my.row_at(a, b, j, kind, to)
                        v = value_ + 0.0
                        if kind == UPPER:
                            v = 0.0 - value_
                        if add:
                            v += a.dof_rows[i]
                        a.dof_rows[i] = v

    @ti.func
    def advance_rows(a: ti.template(), b, part):
        for j in range(a.size[DOFS]):
            bits = a.dof_rows_on[at.item(a, 0, b, j, a.size[DOFS])]
            if bits > 0:
                for kind in range(ROW_KINDS):
                    if (bits >> kind) & 1:
                        i, step = my.row_at(a, b, j, kind, 0), at.step(a)
                        a.dof_rows[i + R_X * step] = a.dof_rows[i + R_X * step] + part * a.dof_rows[i + R_ALONG * step]

    @ti.func
    def row_adjoint(a: ti.template(), b, j, kind, y, there, acceleration, speed, mu):
        """Of one row, in its own direction: derivatives of mu . r by y and by the speed, the force, its slope in the
        acceleration times mu, and the damping; subtracts the derivatives by the others."""
        none, law = lane(), law_of(a, b, j, kind)
        d, dy, gd0, gd1, gwidth, gmid = im.impedance_of(y, law.imp)
        weight = a.model[at.block(a, b, "dof_invweight", j)]
        raw = (1.0 - d) / d * weight
        R = ti.max(raw, LEAST_R)
        k, damping = im.stiffness(law.ref, law.imp, a.num[DT], a.solver_numbers[2])
        x = acceleration + damping * speed + k * d * y
        stiff = where(there < 0.0, 1.0 / R, none)
        f = where(x < 0.0, 0.0 - stiff * x, none)
        w = where(x < 0.0, stiff, none)
        by_stiffness = 0.0 - mu * f  # slope of the power in log D
        if kind == LOSS:
            bound = 0.0 - there
            f = 0.0 - stiff * x
            inside = (f < bound) & (f > 0.0 - bound)
            w = where(inside, stiff, none)
            by_stiffness = where(inside, 0.0 - mu * f, none)
            held = where(inside | (stiff <= 0.0), none, where(f > 0.0, none + 1.0, none - 1.0))
            at.increase(a.gmodel, at.block(a, b, "frictionloss", j), mu * held)
        gx = w * mu
        gln = where(raw > LEAST_R, by_stiffness, none)
        gd = gln / (d * (1.0 - d)) + k * y * gx
        at.increase(a.gmodel, at.block(a, b, "dof_invweight", j), gln / weight)
        gref0, gref1, gdmax = im.stiffness_adjoint(law.ref, law.imp, a.num[DT], a.solver_numbers[2],
                                                   d * y * gx, speed * gx)  # fmt: skip
        gwidth = where(law.imp[2] > 0.0, gd * gwidth, none)
        gimp = Vec(gd * gd0, gd * gd1 + gdmax, gwidth, gd * gmid, gd * im.by_power(y, law.imp))
        law_adjoint(a, b, j, kind, -Vec(gref0, gref1), -gimp)
        gy = gd * dy + k * d * gx
        if kind == LOSS:  # its y is zero wherever the joint is
            gy = lane()
        return gy, damping * gx, f, gx, damping

    @ti.func
    def adjoint(a: ti.template(), s, b):
        """Of the power of all rows at the virtual motion in x: subtracts its derivatives."""
        for j in range(a.size[DOFS]):
            for kind in range(ROW_KINDS):
                y, there, J, axis, phi, angle = row(a, s, b, j, kind)
                if any_lane(there < 0.0):
                    ball, i, g = of_ball(a, j, kind), at.dof_at(a, s, b, j), at.dof_at(a, 0, b, j)
                    acceleration, speed = along(a, ball, J, axis, a.qdd, i), along(a, ball, J, axis, a.qd, i)
                    mu = along(a, ball, J, axis, a.x, g)
                    gy, gspeed, f, gx, damping = row_adjoint(a, b, j, kind, y, there, acceleration, speed, mu)
                    if ball:  # the axis turns, too: of what the force multiplies, and in the residual
                        v, due, virtual = at.get3(a, a.qd, i), at.get3(a, a.qdd, i), at.get3(a, a.x, g)
                        gaxis = gx * (due + damping * v) - f * virtual
                        safe = where(angle > 0.0, angle, lane(1.0))
                        gphi = (axis.dot(gaxis) * axis - gaxis) / safe + gy * axis
                        at.add(a, a.gq, g, -sh.vector_slope(phi, gphi))
                        at.add(a, a.gqd, g, -(gspeed * axis))
                    else:
                        a.gq[g] = a.gq[g] - J * gy
                        a.gqd[g] = a.gqd[g] - J * gspeed

    return Functions(list_rows=list_rows, evaluate_rows=evaluate_rows, gather_rows=gather_rows,
                     stiffness_of_rows=stiffness_of_rows, project_rows=project_rows, advance_rows=advance_rows,
                     adjoint=adjoint)  # fmt: skip
