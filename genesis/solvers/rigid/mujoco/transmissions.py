"""What actuators and tendons pull by: a length, and a moment arm for each degree of freedom; with adjoints.

    velocity = sum of arm q'      force of a dof = sum of arm force      length: of constant arms the sum of arm q

Constant arms are those of joints and fixed tendons; `paths` adds those that change with the configuration. Of a force
that falls with the velocity by the drag D, the integrator implicitfast takes J' D J implicitly, where two dofs are of
one chain, as MuJoCo does.

Who pulls adds what it wants of moment arms, lengths and drags to `gmoment`, `gspan` and `gdrag`; that is given to
positions at the end of an evaluation's adjoint.
"""

from genesis.compiler import Functions, element, per_runtime, ti, traced, value
from genesis.math.lanes import lane
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.layout import ARMS, DT, Q_INDEX, TENDONS, TRANSMISSIONS
from genesis.solvers.rigid.mujoco.layout import (
    D_DAMPING,
    TENDON_NUMBERS,
    TR_ARM0,
    TR_N_ARMS,
    TR_N_PAIRS,
    TR_PAIR0,
    TR_STRAIGHT,
    TRANSMISSION_INTS,
    Features,
)
from genesis.solvers.rigid.mujoco.paths import paths


@traced
def integer(a, t, what):
    return value(element(a.transmission, TRANSMISSION_INTS * t + what))


@traced
def of_transmission(a, b, t):
    return at.item(a, 0, b, t, a.size[TRANSMISSIONS])


@traced
def of_arm(a, b, c):
    return at.item(a, 0, b, c, a.size[ARMS])


@per_runtime
def transmissions(features: Features) -> Functions:
    pa = paths() if features.paths else None

    @ti.func
    def measure(a: ti.template(), s, b):
        """Lengths and moment arms in frame s; drags are those of tendons."""
        for t in range(a.size[TRANSMISSIONS]):
            length, drag = lane(), lane()
            first = integer(a, t, TR_ARM0)
            for c in range(first, first + integer(a, t, TR_N_ARMS)):
                a.moment[of_arm(a, b, c)] = lane(a.arm[c])
                if integer(a, t, TR_STRAIGHT) == 1:
                    length += a.arm[c] * a.q[at.q_at(a, s, b, at.dof(a, a.arm_dof[c], Q_INDEX))]
            if ti.static(features.tendons):
                if t < a.size[TENDONS]:
                    drag += a.tendon[TENDON_NUMBERS * t + D_DAMPING]
            a.span[of_transmission(a, b, t)] = length
            a.drag[of_transmission(a, b, t)] = drag
        if ti.static(features.paths):
            pa.measure(a, s, b)

    @ti.func
    def along(a: ti.template(), b, t, array: ti.template(), s):
        """J times the dofs' array."""
        total = lane()
        first = integer(a, t, TR_ARM0)
        for c in range(first, first + integer(a, t, TR_N_ARMS)):
            total += a.moment[of_arm(a, b, c)] * array[at.dof_at(a, s, b, a.arm_dof[c])]
        return total

    @ti.func
    def spread(a: ti.template(), b, t, number, array: ti.template()):
        """Adds J' number to the dofs' array."""
        first = integer(a, t, TR_ARM0)
        for c in range(first, first + integer(a, t, TR_N_ARMS)):
            i = at.dof_at(a, 0, b, a.arm_dof[c])
            array[i] = array[i] + a.moment[of_arm(a, b, c)] * number

    @ti.func
    def add_pairs(a: ti.template(), s, b, t, number, array: ti.template()):
        """Adds number J' J to the entries along the chains."""
        first = integer(a, t, TR_PAIR0)
        for p in range(first, first + integer(a, t, TR_N_PAIRS)):
            i, j = of_arm(a, b, a.arm_pair[3 * p + 1]), of_arm(a, b, a.arm_pair[3 * p + 2])
            at.increase(array, at.entry_at(a, s, b, a.arm_pair[3 * p]), number * a.moment[i] * a.moment[j])

    @ti.func
    def add_damping(a: ti.template(), s, b):
        for t in range(a.size[TRANSMISSIONS]):
            add_pairs(a, s, b, t, a.num[DT] * a.drag[of_transmission(a, b, t)], a.damped)

    # Adjoints.

    @ti.func
    def begin_adjoint(a: ti.template(), s, b):
        """Of an evaluation in frame s."""
        measure(a, s, b)
        for t in range(a.size[TRANSMISSIONS]):
            a.gspan[of_transmission(a, b, t)] = lane()
            a.gdrag[of_transmission(a, b, t)] = lane()
        for c in range(a.size[ARMS]):
            a.gmoment[of_arm(a, b, c)] = lane()

    @ti.func
    def along_adjoint(a: ti.template(), b, t, number, array: ti.template(), s):
        """Of number times what `along` returns: adds the derivatives by moment arms, where any change."""
        if ti.static(features.paths):
            first = integer(a, t, TR_ARM0)
            for c in range(first, first + integer(a, t, TR_N_ARMS)):
                i = of_arm(a, b, c)
                a.gmoment[i] = a.gmoment[i] + number * array[at.dof_at(a, s, b, a.arm_dof[c])]

    @ti.func
    def damping_adjoint(a: ti.template(), s, b):
        """Of the virtual power h B moved at the virtual motion in x: subtracts its derivatives."""
        for t in range(a.size[TRANSMISSIONS]):
            k, power = of_transmission(a, b, t), lane()
            first = integer(a, t, TR_PAIR0)
            for p in range(first, first + integer(a, t, TR_N_PAIRS)):
                c, d = a.arm_pair[3 * p + 1], a.arm_pair[3 * p + 2]
                i, j = of_arm(a, b, c), of_arm(a, b, d)
                u, v = at.dof_at(a, 0, b, a.arm_dof[c]), at.dof_at(a, 0, b, a.arm_dof[d])
                share = a.num[DT]  # a pair stands for both orders
                if c == d:
                    share = 0.5 * share
                crossed = share * (a.x[u] * a.moved[at.dof_at(a, s, b, a.arm_dof[d])]
                                   + a.x[v] * a.moved[at.dof_at(a, s, b, a.arm_dof[c])])  # fmt: skip
                mi, mj = a.moment[i], a.moment[j]
                power += mi * mj * crossed
                at.increase(a.gmoment, i, 0.0 - a.drag[k] * mj * crossed)
                at.increase(a.gmoment, j, 0.0 - a.drag[k] * mi * crossed)
                at.increase(a.gqdd, u, 0.0 - share * a.drag[k] * mi * mj * a.x[v])
                at.increase(a.gqdd, v, 0.0 - share * a.drag[k] * mi * mj * a.x[u])
            a.gdrag[k] = a.gdrag[k] - power

    @ti.func
    def finish_adjoint(a: ti.template(), s, b):
        """Gives the cotangents of lengths and moment arms to positions."""
        for t in range(a.size[TRANSMISSIONS]):
            if integer(a, t, TR_STRAIGHT) == 1:
                first = integer(a, t, TR_ARM0)
                for c in range(first, first + integer(a, t, TR_N_ARMS)):
                    i = at.dof_at(a, 0, b, a.arm_dof[c])
                    a.gq[i] = a.gq[i] + a.arm[c] * a.gspan[of_transmission(a, b, t)]
        if ti.static(features.paths):
            pa.adjoint(a, s, b)

    return Functions(measure=measure, along=along, spread=spread, add_pairs=add_pairs, add_damping=add_damping,
                     begin_adjoint=begin_adjoint, along_adjoint=along_adjoint, damping_adjoint=damping_adjoint,
                     finish_adjoint=finish_adjoint)  # fmt: skip
