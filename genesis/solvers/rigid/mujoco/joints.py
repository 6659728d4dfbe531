"""What acts along single dofs, explicitly: their drives, springs, and damping at the present state.

    force = actuator(y, v) - stiffness (y - rest) - damping v           y: see `rigid.joints`
"""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.joints import joints as shared_joints
from genesis.solvers.rigid.layout import FORCE, GATE, GATE_VELOCITY, REST, TARGET, TARGET_VELOCITY
from genesis.solvers.rigid.mujoco.layout import IMPLICITFAST, Features


@per_runtime
def joints() -> Functions:
    sh = shared_joints()

    @ti.func
    def terms(a: ti.template(), s, b, j):
        """Force; where the actuator is within its strength, below and above it (1, else 0); its gains in use."""
        y, v = sh.coordinate(a, s, b, j), a.qd[at.dof_at(a, s, b, j)]
        rest = at.law(a, j, REST)
        kp = a.dofs[at.control_at(a, b, j, GATE)] * a.model[at.block(a, b, "kp", j)]
        kv = a.dofs[at.control_at(a, b, j, GATE_VELOCITY)] * a.model[at.block(a, b, "kv", j)]
        asked = (a.dofs[at.control_at(a, b, j, FORCE)] + kp * (a.dofs[at.control_at(a, b, j, TARGET)] - y)
                 + kv * (a.dofs[at.control_at(a, b, j, TARGET_VELOCITY)] - v))  # fmt: skip
        low, high, below, above = sh.strength(a, b, j, asked)
        force = where(asked > high, high, where(asked < low, low, asked))
        force = force - a.model[at.block(a, b, "stiffness", j)] * (y - rest[0])
        force = force - a.model[at.block(a, b, "damping", j)] * v
        return force, 1.0 - below - above, below, above, kp, kv, y

    @ti.func
    def load(a: ti.template(), s, b, j):
        """What dof j adds to the diagonal of the mass matrix, and its force."""
        force, _strong, _below, _above, _kp, _kv, _y = terms(a, s, b, j)
        return a.model[at.block(a, b, "armature", j)], force

    @ti.func
    def load_adjoint(a: ti.template(), s, b, j, y, mu):
        """Derivatives of mu . (what the dof resists) by its elastic coordinate and by the velocity; subtracts those by
        the other inputs."""
        i = at.dof_at(a, s, b, j)
        v, acceleration = a.qd[i], a.qdd[i]
        _force, strong, below, above, kp, kv, _y = terms(a, s, b, j)
        spring, damping = a.model[at.block(a, b, "stiffness", j)], a.model[at.block(a, b, "damping", j)]
        felt = mu * strong
        target, target_velocity = at.control_at(a, b, j, TARGET), at.control_at(a, b, j, TARGET_VELOCITY)
        gate, gate_velocity = at.control_at(a, b, j, GATE), at.control_at(a, b, j, GATE_VELOCITY)
        p, w = at.block(a, b, "kp", j), at.block(a, b, "kv", j)
        short, slow = a.dofs[target] - y, a.dofs[target_velocity] - v
        at.increase(a.gmodel, at.block(a, b, "damping", j), 0.0 - mu * v)
        at.increase(a.gmodel, at.block(a, b, "armature", j), 0.0 - mu * acceleration)
        at.increase(a.gmodel, at.block(a, b, "stiffness", j), mu * (at.law(a, j, REST)[0] - y))
        at.increase(a.gmodel, at.block(a, b, "force_low", j), mu * below)
        at.increase(a.gmodel, at.block(a, b, "force_high", j), mu * above)
        at.increase(a.gdofs, at.control_at(a, b, j, FORCE), felt)
        at.increase(a.gdofs, target, felt * kp)
        at.increase(a.gdofs, target_velocity, felt * kv)
        at.increase(a.gdofs, gate, felt * a.model[p] * short)
        at.increase(a.gdofs, gate_velocity, felt * a.model[w] * slow)
        at.increase(a.gmodel, p, felt * a.dofs[gate] * short)
        at.increase(a.gmodel, w, felt * a.dofs[gate_velocity] * slow)
        return mu * (spring + strong * kp), mu * (damping + strong * kv)

    return Functions(load=load, load_adjoint=load_adjoint, terms=terms, coordinate=sh.coordinate,
                     elastic_adjoint=sh.elastic_adjoint, turn_by=sh.turn_by,
                     turn_by_adjoint=sh.turn_by_adjoint)  # fmt: skip


@per_runtime
def implicit_damping(features: Features) -> Functions:
    """By how much the force falls with the velocity, as far as the integrator takes it implicitly: with the gains of
    velocity servos, or without. What pulls by `transmissions` has drags."""
    jo, servos = joints(), features.integrator == IMPLICITFAST

    @ti.func
    def of_dof(a: ti.template(), s, b, j):
        total = a.model[at.block(a, b, "damping", j)]
        if ti.static(servos):
            _force, strong, _below, _above, _kp, kv, _y = jo.terms(a, s, b, j)
            total += strong * kv
        return total

    @ti.func
    def adjoint(a: ti.template(), s, b, j, g):
        at.increase(a.gmodel, at.block(a, b, "damping", j), g)
        if ti.static(servos):
            _force, strong, _below, _above, _kp, _kv, _y = jo.terms(a, s, b, j)
            w, gate = at.block(a, b, "kv", j), at.control_at(a, b, j, GATE_VELOCITY)
            at.increase(a.gmodel, w, strong * g * a.dofs[gate])
            at.increase(a.gdofs, gate, strong * g * a.model[w])

    return Functions(of_dof=of_dof, adjoint=adjoint)
