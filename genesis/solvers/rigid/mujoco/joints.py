"""What acts along single dofs: actuators, springs, damping at the present state, and rows of limits and friction loss.

    force = actuator(y, v) - stiffness (y - rest) - damping v           all explicit; y: see `rigid.joints`
    limit    y = q - low - margin, and high - q - margin: one-sided rows J = +1, -1
    ball     y = high - angle - margin, J = - axis of the rotation: a contact of one row
    loss     y = 0: |force| <= frictionloss
"""

from genesis.compiler import Functions, element, per_runtime, ti, traced
from genesis.math.lanes import Vec, absolute, any_lane, lane, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.joints import joints as shared_joints
from genesis.solvers.rigid.layout import (
    BALL,
    COMPONENT,
    DEPTH,
    DOFS,
    DT,
    ENTRY0,
    FORCE,
    GATE,
    GATE_VELOCITY,
    KIND,
    LIMIT,
    Q_INDEX,
    REST,
    TARGET,
    TARGET_VELOCITY,
)
from genesis.solvers.rigid.mujoco import indices as my
from genesis.solvers.rigid.mujoco.impedance import LEAST_R, RowLaw, impedance
from genesis.solvers.rigid.mujoco.layout import (
    ALONG,
    C_DIM,
    C_DOF,
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

LIMITED = 1e29
"""A limit beyond this is none."""


@traced
def _places(a, b, name, j):
    return ([at.block(a, b, f"{name}_solref", j, k) for k in range(2)],
            [at.block(a, b, f"{name}_solimp", j, k) for k in range(5)])  # fmt: skip


@traced
def row_law(a, b, name, j):
    """Of dof j's rows of limits or friction loss ("limit", "loss")."""
    return RowLaw(*[Vec(*[element(a.model, i) for i in places]) for places in _places(a, b, name, j)])


@traced
def row_law_adjoint(a, b, name, j, *cotangents):
    """Adds the cotangents of solref and solimp to those of the parameters."""
    for places, cotangent in zip(_places(a, b, name, j), cotangents, strict=True):
        for i, part in zip(places, cotangent.parts, strict=True):
            at.increase(a.gmodel, i, part)


@per_runtime
def joints() -> Functions:
    im, sh = impedance(), shared_joints()

    @ti.func
    def terms(a: ti.template(), s, b, j):
        """Force; where the actuator is within its strength; its gains in use."""
        y, v = sh.coordinate(a, s, b, j), a.qd[at.dof_at(a, s, b, j)]
        rest = at.law(a, j, REST)
        kp = a.dofs[at.control_at(a, b, j, GATE)] * a.model[at.block(a, b, "kp", j)]
        kv = a.dofs[at.control_at(a, b, j, GATE_VELOCITY)] * a.model[at.block(a, b, "kv", j)]
        asked = (a.dofs[at.control_at(a, b, j, FORCE)] + kp * (a.dofs[at.control_at(a, b, j, TARGET)] - y)
                 + kv * (a.dofs[at.control_at(a, b, j, TARGET_VELOCITY)] - v))  # fmt: skip
        strong = where(asked > rest[2], lane(), where(asked < rest[1], lane(), lane(1.0)))
        force = where(asked > rest[2], lane(rest[2]), where(asked < rest[1], lane(rest[1]), asked))
        force = force - a.model[at.block(a, b, "stiffness", j)] * (y - rest[0])
        force = force - a.model[at.block(a, b, "damping", j)] * v
        return force, strong, kp, kv, y

    @ti.func
    def load(a: ti.template(), s, b, j):
        """What dof j adds to the diagonal of the mass matrix, and its force."""
        force, _strong, _kp, _kv, _y = terms(a, s, b, j)
        return a.model[at.block(a, b, "armature", j)], force

    @ti.func
    def implicit_damping(a: ti.template(), s, b, j, with_servos):
        """By how much the force falls with the velocity, as far as the integrator takes it implicitly."""
        _force, strong, _kp, kv, _y = terms(a, s, b, j)
        return a.model[at.block(a, b, "damping", j)] + with_servos * strong * kv

    @ti.func
    def implicit_damping_adjoint(a: ti.template(), s, b, j, with_servos, g):
        _force, strong, _kp, _kv, _y = terms(a, s, b, j)
        at.increase(a.gmodel, at.block(a, b, "damping", j), g)
        w, gate = at.block(a, b, "kv", j), at.control_at(a, b, j, GATE_VELOCITY)
        felt = with_servos * strong * g
        at.increase(a.gmodel, w, felt * a.dofs[gate])
        at.increase(a.gdofs, gate, felt * a.model[w])

    @ti.func
    def regularised(a: ti.template(), b, j, law: ti.template(), y):
        """Of a row of dof j: impedance, stiffness 1 / R, and k and b of its reference acceleration."""
        d, _dy, _g0, _g1, _gw, _gm = im.impedance_of(y, law.imp)
        R = ti.max((1.0 - d) / d * a.model[at.block(a, b, "dof_invweight", j)], LEAST_R)
        k, damping = im.stiffness(law.ref, law.imp, a.num[DT], a.solver_numbers[2])
        return d, 1.0 / R, k, damping

    @ti.func
    def put_row(a: ti.template(), b, j, kind, on: ti.template(), law: ti.template(), y, reference, bound):
        """Row of dof j: `reference` is b v, its sign that of J."""
        none = lane()
        d, stiff, k, damping = regularised(a, b, j, law, y)
        if kind == LOSS:
            k = lane()
        a.dof_rows[my.row_at(a, b, j, kind, R_D)] = where(on, stiff, none)
        a.dof_rows[my.row_at(a, b, j, kind, R_X)] = damping * reference + k * d * y
        a.dof_rows[my.row_at(a, b, j, kind, R_ALONG)] = none
        a.dof_rows[my.row_at(a, b, j, kind, R_BOUND)] = none + bound

    @ti.func
    def list_rows(a: ti.template(), s, b):
        """Rows of limits and friction loss. Whether there are any."""
        found = False
        for j in range(a.size[DOFS]):
            bits, none = 0, lane()
            limit, v = at.law(a, j, LIMIT), a.qd[at.dof_at(a, s, b, j)]
            if at.dof(a, j, KIND) != BALL:
                q = a.q[at.q_at(a, s, b, at.dof(a, j, Q_INDEX))]
                below, above = q - limit[0] - limit[2], limit[1] - q - limit[2]
                sign, y = 1.0, below
                for kind in range(LOSS):
                    if kind == UPPER:
                        sign, y = -1.0, above
                    if any_lane(y < 0.0):
                        bits += kind + 1
                        put_row(a, b, j, kind, y < 0.0, row_law(a, b, "limit", j), y, sign * v, 0.0)
            elif at.dof(a, j, COMPONENT) == 0 and limit[1] < LIMITED:
                list_ball(a, s, b, j)
            floss = a.model[at.block(a, b, "frictionloss", j)]
            if any_lane(floss > 0.0):
                bits += 4
                put_row(a, b, j, LOSS, floss > 0.0, row_law(a, b, "loss", j), none, v, floss)
            a.dof_rows_on[at.item(a, 0, b, j, a.size[DOFS])] = bits
            found = found or bits > 0
        return found

    @ti.func
    def ball(a: ti.template(), s, b, j):
        """Rotation vector of the ball whose first dof is j, angle, axis (which is zero at rest), y."""
        phi = sh.rotation_vector(at.get4(a, a.q, at.q_at(a, s, b, at.dof(a, j, Q_INDEX))))
        angle, none = phi.norm(), lane()
        axis = phi / where(angle > 0.0, angle, none + 1.0)
        limit = at.law(a, j, LIMIT)
        return phi, angle, axis, limit[1] - angle - limit[2]

    @ti.func
    def list_ball(a: ti.template(), s, b, j):
        _phi, _angle, axis, y = ball(a, s, b, j)
        none, count = lane(), a.n_contacts[b]
        if any_lane(y < 0.0):
            a.n_contacts[b] = count + 1
            d, stiff, k, damping = regularised(a, b, j, row_law(a, b, "limit", j), y)
            a.contact_index[my.index_at(a, b, count, C_DOF)] = j + 2
            a.contact_index[my.index_at(a, b, count, C_DIM)] = 1
            a.contact_list[my.number_at(a, b, count, D)] = where(y < 0.0, stiff, none)
            speed = axis.dot(at.get3(a, a.qd, at.dof_at(a, s, b, j)))
            a.contact_list[my.number_at(a, b, count, X)] = k * d * y - damping * speed
            a.contact_list[my.number_at(a, b, count, ALONG)] = none
            for i in range(at.dof(a, j + 2, DEPTH)):
                a.contact_jacobian[my.jacobian_at(a, b, count, 0, i)] = none
            for c in ti.static(range(3)):
                a.contact_jacobian[my.jacobian_at(a, b, count, 0, 2 - c)] = 0.0 - axis[c]

    @ti.func
    def evaluate_rows(a: ti.template(), b, part):
        """Forces and curvatures of the rows of single dofs at x + part * along. Returns as `cones.evaluate`."""
        slope, curvature, moved, none = lane(), lane(), lane(), lane()
        for j in range(a.size[DOFS]):
            bits = a.dof_rows_on[at.item(a, 0, b, j, a.size[DOFS])]
            if bits > 0:
                for kind in range(ROW_KINDS):
                    if (bits >> kind) % 2 == 1:
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
                    if (bits >> kind) % 2 == 1:
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
                    if (bits >> kind) % 2 == 1:
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
                    if (bits >> kind) % 2 == 1:
                        i, step = my.row_at(a, b, j, kind, 0), at.step(a)
                        a.dof_rows[i + R_X * step] = a.dof_rows[i + R_X * step] + part * a.dof_rows[i + R_ALONG * step]

    @ti.func
    def row_adjoint(a: ti.template(), b, j, kind, name: ti.template(), y, acceleration, speed, mu):
        """Of one row, in its own direction: derivatives of mu . r by y and by the speed; subtracts the others."""
        none, law = lane(), row_law(a, b, name, j)
        there = y
        if kind == LOSS:
            there = 0.0 - a.model[at.block(a, b, "frictionloss", j)]
        d, dy, gd0, gd1, gwidth, gmid = im.impedance_of(y, law.imp)
        weight = a.model[at.block(a, b, "dof_invweight", j)]
        raw = (1.0 - d) / d * weight
        R = ti.max(raw, LEAST_R)
        k, damping = im.stiffness(law.ref, law.imp, a.num[DT], a.solver_numbers[2])
        if kind == LOSS:
            k = lane()
        x = acceleration + damping * speed + k * d * y
        stiff = where(there < 0.0, 1.0 / R, none)
        f = where(x < 0.0, 0.0 - stiff * x, none)
        w = where(x < 0.0, stiff, none)
        by_stiffness = 0.0 - mu * f  # slope of the power in log D
        if kind == LOSS:
            bound = a.model[at.block(a, b, "frictionloss", j)]
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
        gk = d * y * gx
        if kind == LOSS:
            gk = lane()
        gref0, gref1, gdmax = im.stiffness_adjoint(law.ref, law.imp, a.num[DT], a.solver_numbers[2], gk, speed * gx)
        gwidth = where(law.imp[2] > 0.0, gd * gwidth, none)
        gimp = Vec(gd * gd0, gd * gd1 + gdmax, gwidth, gd * gmid, gd * im.by_power(y, law.imp))
        row_law_adjoint(a, b, name, j, -Vec(gref0, gref1), -gimp)
        return gd * dy + k * d * gx, damping * gx

    @ti.func
    def load_adjoint(a: ti.template(), s, b, j, y, mu):
        """Derivatives of mu . (what the dof resists) by its elastic coordinate and by the velocity; subtracts those by
        the other inputs."""
        i = at.dof_at(a, s, b, j)
        v, acceleration = a.qd[i], a.qdd[i]
        _force, strong, kp, kv, _y = terms(a, s, b, j)
        spring, damping = a.model[at.block(a, b, "stiffness", j)], a.model[at.block(a, b, "damping", j)]
        felt = mu * strong
        target, target_velocity = at.control_at(a, b, j, TARGET), at.control_at(a, b, j, TARGET_VELOCITY)
        gate, gate_velocity = at.control_at(a, b, j, GATE), at.control_at(a, b, j, GATE_VELOCITY)
        p, w = at.block(a, b, "kp", j), at.block(a, b, "kv", j)
        short, slow = a.dofs[target] - y, a.dofs[target_velocity] - v
        at.increase(a.gmodel, at.block(a, b, "damping", j), 0.0 - mu * v)
        at.increase(a.gmodel, at.block(a, b, "armature", j), 0.0 - mu * acceleration)
        at.increase(a.gmodel, at.block(a, b, "stiffness", j), mu * (at.law(a, j, REST)[0] - y))
        at.increase(a.gdofs, at.control_at(a, b, j, FORCE), felt)
        at.increase(a.gdofs, target, felt * kp)
        at.increase(a.gdofs, target_velocity, felt * kv)
        at.increase(a.gdofs, gate, felt * a.model[p] * short)
        at.increase(a.gdofs, gate_velocity, felt * a.model[w] * slow)
        at.increase(a.gmodel, p, felt * a.dofs[gate] * short)
        at.increase(a.gmodel, w, felt * a.dofs[gate_velocity] * slow)
        gq, gv, limit = lane(), mu * (damping + strong * kv), at.law(a, j, LIMIT)
        if at.dof(a, j, KIND) != BALL:
            q = a.q[at.q_at(a, s, b, at.dof(a, j, Q_INDEX))]
            below, above = q - limit[0] - limit[2], limit[1] - q - limit[2]
            sign, y_ = 1.0, below
            for kind in range(LOSS):
                if kind == UPPER:
                    sign, y_ = -1.0, above
                if any_lane(y_ < 0.0):
                    gy, gspeed = row_adjoint(a, b, j, kind, "limit", y_, sign * acceleration, sign * v, sign * mu)
                    gq += sign * gy
                    gv += sign * gspeed
        floss = a.model[at.block(a, b, "frictionloss", j)]
        if any_lane(floss > 0.0):
            _gy, gspeed = row_adjoint(a, b, j, LOSS, "loss", lane(), acceleration, v, mu)
            gv += gspeed
        return mu * (spring + strong * kp) + gq, gv

    @ti.func
    def ball_adjoint(a: ti.template(), s, b, j):
        """Of the limit of the ball whose first dof is j, with the virtual motion in x: subtracts its derivatives."""
        phi, angle, axis, y = ball(a, s, b, j)
        none = lane()
        if any_lane(y < 0.0):
            i, k = at.dof_at(a, s, b, j), at.dof_at(a, 0, b, j)
            v, acceleration, mu = at.get3(a, a.qd, i), at.get3(a, a.qdd, i), at.get3(a, a.x, k)
            gy, gspeed = row_adjoint(a, b, j, LOWER, "limit", y,
                                     0.0 - axis.dot(acceleration), 0.0 - axis.dot(v), 0.0 - axis.dot(mu))  # fmt: skip
            # slopes by the axis: of mu, which the force multiplies, and of acceleration and velocity in the residual
            d, stiff, stiffness, damping = regularised(a, b, j, row_law(a, b, "limit", j), y)
            x = stiffness * d * y - axis.dot(acceleration) - damping * axis.dot(v)
            on = (y < 0.0) & (x < 0.0)
            h = 0.0 - axis.dot(mu)
            gaxis = -(where(on, stiff * h, none) * (acceleration + damping * v) + where(on, stiff * x, none) * mu)
            safe = where(angle > 0.0, angle, none + 1.0)
            gphi = (gaxis - axis.dot(gaxis) * axis) / safe - gy * axis
            # `gspeed` is by J v, J = - axis
            at.add(a, a.gq, k, -sh.vector_slope(phi, gphi))
            at.add(a, a.gqd, k, gspeed * axis)

    return Functions(load=load, load_adjoint=load_adjoint, implicit_damping=implicit_damping,
                     implicit_damping_adjoint=implicit_damping_adjoint, list_rows=list_rows,
                     evaluate_rows=evaluate_rows, gather_rows=gather_rows, project_rows=project_rows,
                     advance_rows=advance_rows, ball_adjoint=ball_adjoint, coordinate=sh.coordinate,
                     elastic_adjoint=sh.elastic_adjoint, turn_by=sh.turn_by,
                     turn_by_adjoint=sh.turn_by_adjoint)  # fmt: skip
