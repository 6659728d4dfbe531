"""What acts along single dofs (springs, damping, limits, actuators) and the integration of positions; with adjoints.

With y a dof's elastic coordinate (its position; of a ball, a component of its rotation vector), u its new velocity:

    force = actuator(y, u) - stiffness (y - rest) - damping u + limits(y, u)

Everything is taken at the new position y + dt u and velocity u, to first order: dt D + dt^2 K comes on the diagonal
of the mass matrix: stable at any stiffness. Limits are linearised where the old velocity leads, y + dt v, so that they
act before a fast joint has passed them, and their rounding widens with the speed towards them (`ground`). An actuator
beyond its strength gives its limit, and no derivative but that by the limit.
"""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import Vec, arctangent, lane, sine_cosine, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.ground import WIDEN
from genesis.solvers.rigid.layout import (
    BALL,
    COMPONENT,
    DT,
    FORCE,
    GATE,
    GATE_VELOCITY,
    KIND,
    LIMIT,
    LIMIT_WIDTH,
    Q_INDEX,
    REST,
    TARGET,
    TARGET_VELOCITY,
)  # fmt: skip
from genesis.solvers.rigid.spatial import quaternion_product, ramp, ramp_by_width


@per_runtime
def joints() -> Functions:
    @ti.func
    def rotation_vector(quat: ti.template()):
        """Of a quaternion of any length, at most half a turn."""
        sign = where(quat[0] < 0.0, lane(-1.0), lane(1.0))
        v, w = sign * quat[1:], sign * quat[0]
        sine = v.norm()
        small = sine < 1e-5 * w
        angle = 2.0 * arctangent(sine, w)
        return where(small, 2.0 / where(small, w, lane(1.0)), angle / where(small, lane(1.0), sine)) * v

    @ti.func
    def vector_slope(phi: ti.template(), g: ti.template()):
        """Cotangent of a rotation in its own frame from the cotangent g of its rotation vector phi."""
        t2 = phi.dot(phi)
        large = where(t2 > 0.04, t2, lane(0.04))
        t = ti.sqrt(large)
        sine, cosine = sine_cosine(0.5 * t)  # of half the angle, which have a quotient at half a turn too
        c = where(t2 > 0.04, 1.0 / large - cosine / (2.0 * t * sine),
                  1.0 / 12.0 + t2 / 720.0 + t2 * t2 / 30240.0)  # fmt: skip
        x = g.cross(phi)  # transposed: -[phi] g
        return g + 0.5 * x + c * x.cross(phi)

    @ti.func
    def coordinate(a: ti.template(), s, b, j):
        """Elastic coordinate of dof j; 0 for the rotation of a free joint, on which nothing elastic acts."""
        i = at.q_at(a, s, b, at.dof(a, j, Q_INDEX))
        y = lane()
        if at.dof(a, j, KIND) != BALL:
            y = a.q[i]
        else:
            component = at.dof(a, j, COMPONENT)
            if component >= 0:
                phi = rotation_vector(at.get4(a, a.q, i))
                y = phi[0]
                if component == 1:
                    y = phi[1]
                elif component == 2:
                    y = phi[2]
        return y

    @ti.func
    def elastic_adjoint(a: ti.template(), s, b, j):
        """The three of a ball in x: from cotangents of its rotation vector to those of its rotation."""
        if at.dof(a, j, COMPONENT) >= 0:
            i, k = at.q_at(a, s, b, at.dof(a, j, Q_INDEX)), at.dof_at(a, 0, b, j)
            at.put(a, a.x, k, vector_slope(rotation_vector(at.get4(a, a.q, i)), at.get3(a, a.x, k)))

    @ti.func
    def limit(y, v, row: ti.template(), narrow, wide):
        """Force, stiffness, damping of a limit, the slopes of the latter two, and of all three by v."""
        # Only towards a limit does its rounding widen: on the way back it would push for longer than it braked.
        falling, rising = wide * ti.min(v, 0.0 * v), wide * ti.max(v, 0.0 * v)
        low, high = ti.sqrt(narrow * narrow + falling * falling), ti.sqrt(narrow * narrow + rising * rising)
        below, dbelow, ddbelow = ramp(row[0] - y, low)
        above, dabove, ddabove = ramp(y - row[1], high)
        wbelow, dwbelow = ramp_by_width(row[0] - y, low)
        wabove, dwabove = ramp_by_width(y - row[1], high)
        faster, slower = wide * rising / high, wide * falling / low  # slopes of both widths in v
        return (row[2] * (below - above), row[2] * (dbelow + dabove), row[3] * (dbelow + dabove),
                row[2] * (ddabove - ddbelow), row[3] * (ddabove - ddbelow),
                row[2] * (slower * wbelow - faster * wabove), row[2] * (slower * dwbelow + faster * dwabove),
                row[3] * (slower * dwbelow + faster * dwabove))  # fmt: skip

    @ti.func
    def strength(a: ti.template(), b, j, asked):
        """Range of the force of an actuator, and where what it is asked for is below or above it (1, else 0)."""
        low, high = a.model[at.block(a, b, "force_low", j)], a.model[at.block(a, b, "force_high", j)]
        above = where(asked > high, lane(1.0), lane())
        return low, high, where(asked < low, lane(1.0), lane()), above

    @ti.func
    def terms(a: ti.template(), s, b, j, y):
        """Force at the old position less velocity terms, D, K, where the actuator is within its strength, below and
        above it (1, else 0), of the limits alone K and the slopes of K and D in y, and by v alone the slopes of their
        force, K and D."""
        v, dt = a.qd[at.dof_at(a, s, b, j)], a.num[DT]
        row, rest = at.law(a, j, LIMIT), at.law(a, j, REST)
        kp = a.dofs[at.control_at(a, b, j, GATE)] * a.model[at.block(a, b, "kp", j)]
        kv = a.dofs[at.control_at(a, b, j, GATE_VELOCITY)] * a.model[at.block(a, b, "kv", j)]
        asked = (a.dofs[at.control_at(a, b, j, FORCE)] + kp * (a.dofs[at.control_at(a, b, j, TARGET)] - y)
                 + kv * a.dofs[at.control_at(a, b, j, TARGET_VELOCITY)])  # fmt: skip
        given = asked - kv * v
        low, high, below, above = strength(a, b, j, given)
        strong = 1.0 - below - above
        spring = a.model[at.block(a, b, "stiffness", j)]
        f, k, d, dK, dD, fv, kslope, dv = limit(y + dt * v, v, row, at.law(a, j, LIMIT_WIDTH)[0], WIDEN * dt)
        force = where(given > high, high, where(given < low, low, asked))
        force += f + dt * k * v - spring * (y - rest[0])
        D = a.model[at.block(a, b, "damping", j)] + strong * kv + d
        K = spring + strong * kp + k
        return force, D, K, strong, below, above, k, dK, dD, fv, kslope, dv

    @ti.func
    def load(a: ti.template(), s, b, j):
        """What dof j adds to the diagonal of the mass matrix, and its force at zero acceleration."""
        y, dt = coordinate(a, s, b, j), a.num[DT]
        force, D, K, _strong, _below, _above, _k, _dK, _dD, _fv, _kv, _dv = terms(a, s, b, j, y)
        implicit = dt * (D + dt * K)
        armature = a.model[at.block(a, b, "armature", j)]
        return armature + implicit, force - (D + dt * K) * a.qd[at.dof_at(a, s, b, j)]

    @ti.func
    def load_adjoint(a: ti.template(), s, b, j, y, mu):
        """Derivatives of mu . (what the dof resists) by y and by the old velocity; subtracts the other inputs' ones."""
        dt, i = a.num[DT], at.dof_at(a, s, b, j)
        v, acceleration = a.qd[i], a.qdd[i]
        u = v + dt * acceleration
        _force, D, K, strong, below, above, k, dK, dD, fv, kslope, dv = terms(a, s, b, j, y)
        stretched = y + dt * u
        at.increase(a.gmodel, at.block(a, b, "damping", j), 0.0 - mu * u)
        at.increase(a.gmodel, at.block(a, b, "armature", j), 0.0 - mu * acceleration)
        at.increase(a.gmodel, at.block(a, b, "stiffness", j), mu * (at.law(a, j, REST)[0] - stretched))
        p, w = at.block(a, b, "kp", j), at.block(a, b, "kv", j)
        gate, gate_velocity = at.control_at(a, b, j, GATE), at.control_at(a, b, j, GATE_VELOCITY)
        target, target_velocity = at.control_at(a, b, j, TARGET), at.control_at(a, b, j, TARGET_VELOCITY)
        at.increase(a.gmodel, at.block(a, b, "force_low", j), mu * below)
        at.increase(a.gmodel, at.block(a, b, "force_high", j), mu * above)
        felt = mu * strong  # beyond its strength an actuator's inputs do not matter
        short, slow = a.dofs[target] - stretched, a.dofs[target_velocity] - u
        at.increase(a.gdofs, at.control_at(a, b, j, FORCE), felt)
        at.increase(a.gdofs, target, felt * a.dofs[gate] * a.model[p])
        at.increase(a.gdofs, target_velocity, felt * a.dofs[gate_velocity] * a.model[w])
        at.increase(a.gdofs, gate, felt * a.model[p] * short)
        at.increase(a.gdofs, gate_velocity, felt * a.model[w] * slow)
        at.increase(a.gmodel, p, felt * a.dofs[gate] * short)
        at.increase(a.gmodel, w, felt * a.dofs[gate_velocity] * slow)
        moved = k + dt * dK * (u - v) + dD * u  # of the limits, by the place where they are linearised
        widened = dv * u + dt * kslope * (u - v) - fv
        return mu * (K - k + moved), mu * (D + dt * (K - k + moved) + widened)

    @ti.func
    def turn_by(quat: ti.template(), phi: ti.template()):
        """quat / |quat| followed by the rotation vector phi in the turned frame; unit length."""
        half = 0.5 * phi
        h2 = half.dot(half)
        large = where(h2 > 1e-4, h2, lane(1e-4))
        h = ti.sqrt(large)
        sine, cosine = sine_cosine(h)
        c = where(h2 > 1e-4, cosine, 1.0 - 0.5 * h2 + h2 * h2 / 24.0)
        w = where(h2 > 1e-4, sine / h, 1.0 - h2 / 6.0 + h2 * h2 / 120.0) * half
        out = quaternion_product(quat, Vec(c, w[0], w[1], w[2]))
        return out / out.norm()

    @ti.func
    def turn_by_adjoint(phi: ti.template(), g: ti.template()):
        """From the cotangent g of the turned frame (in that frame): cotangents of phi and of the frame before."""
        t2 = phi.dot(phi)
        large = where(t2 > 0.04, t2, lane(0.04))
        t = ti.sqrt(large)
        sine, cosine = sine_cosine(t)
        c1 = where(t2 > 0.04, (1.0 - cosine) / large, 0.5 - t2 * (1.0 / 24.0 - t2 * (1.0 / 720.0 - t2 / 40320.0)))
        c2 = where(t2 > 0.04, (t - sine) / (large * t),
                   1.0 / 6.0 - t2 * (1.0 / 120.0 - t2 * (1.0 / 5040.0 - t2 / 362880.0)))  # fmt: skip
        x = phi.cross(g)
        xx = phi.cross(x)
        return g + c1 * x + c2 * xx, g + (1.0 - t2 * c2) * x + c1 * xx

    return Functions(coordinate=coordinate, rotation_vector=rotation_vector, vector_slope=vector_slope,
                     strength=strength, elastic_adjoint=elastic_adjoint, load=load, load_adjoint=load_adjoint,
                     turn_by=turn_by, turn_by_adjoint=turn_by_adjoint)  # fmt: skip
