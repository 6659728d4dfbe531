"""Actuators with a law, a control and perhaps an activation of their own, which pull by `transmissions`; with adjoints.

    length l, velocity v: gear times those of the transmission      force = (g0 + g1 l + g2 v) x + b0 + b1 l + b2 v
    x: the control u or, with an activation, that or that after the step      act' = (u - leak act) / time
    force on a dof = sum of gear arm force

u, force, the activation after a step, and the sum on a dof are cut off at their ranges, with derivative zero beyond.
"""

from genesis.compiler import Functions, element, per_runtime, ti, traced, value
from genesis.math.lanes import absolute, lane, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.border import border
from genesis.solvers.rigid.layout import ACTIVATIONS, ACTUATORS, BEGIN, DOFS, N_FRAMES
from genesis.solvers.rigid.mujoco.layout import (
    A_ACT_HIGH,
    A_ACT_LOW,
    A_ACTIVATION,
    A_CTRL_HIGH,
    A_CTRL_LOW,
    A_EARLY,
    A_FORCE_HIGH,
    A_FORCE_LOW,
    A_GEAR,
    A_LEAK,
    A_ON_JOINT,
    A_PERIOD,
    A_STEP,
    A_TIME,
    A_TRANSMISSION,
    ACTUATOR_INTS,
    ACTUATOR_NUMBERS,
    Features,
)
from genesis.solvers.rigid.mujoco.transmissions import of_transmission, transmissions

STAGES = ((0, 1.0), (1, 2.0), (2, 2.0), (3, 1.0))
"""Of RK4, with their weights."""


@traced
def integer(a, k, what):
    return value(element(a.actuator, ACTUATOR_INTS * k + what))


@traced
def number(a, k, what):
    return value(element(a.actuator_numbers, ACTUATOR_NUMBERS * k + what))


@traced
def ctrl_at(a, b, k):
    return at.item(a, 0, b, k, a.size[ACTUATORS])


@traced
def act_at(a, s, b, m):
    return at.item(a, s, b, m, a.size[ACTIVATIONS])


@per_runtime
def actuators(features: Features) -> Functions:
    bo, tr = border(), transmissions(features)

    @ti.func
    def cut_off(x, low, high):
        """x within a range, and 1 where it is there already."""
        inside = where((x < low) | (x > high), lane(), lane(1.0))
        return ti.min(ti.max(x, lane(low)), lane(high)), inside

    @ti.func
    def control(a: ti.template(), b, k):
        return cut_off(a.ctrl[ctrl_at(a, b, k)], number(a, k, A_CTRL_LOW), number(a, k, A_CTRL_HIGH))

    @ti.func
    def rate(a: ti.template(), s, b, k):
        """Of the activation, at that of frame s."""
        u, _inside = control(a, b, k)
        return (u - number(a, k, A_LEAK) * a.act[act_at(a, s, b, integer(a, k, A_ACTIVATION))]) / number(a, k, A_TIME)

    @ti.func
    def rate_adjoint(a: ti.template(), b, k, g):
        """Gives to the control, and returns the cotangent of the activation."""
        _u, inside = control(a, b, k)
        i = ctrl_at(a, b, k)
        a.gctrl[i] = a.gctrl[i] + inside * g / number(a, k, A_TIME)
        return 0.0 - number(a, k, A_LEAK) / number(a, k, A_TIME) * g

    @ti.func
    def after(a: ti.template(), s, b, k, mean):
        """The activation that a step leads to from frame s at a mean rate, and 1 where it is within its range."""
        x = a.act[act_at(a, s, b, integer(a, k, A_ACTIVATION))] + number(a, k, A_STEP) * mean
        return cut_off(x, number(a, k, A_ACT_LOW), number(a, k, A_ACT_HIGH))

    @ti.func
    def input_of(a: ti.template(), s, b, k):
        """What the gain multiplies."""
        x, _inside = control(a, b, k)
        m = integer(a, k, A_ACTIVATION)
        if m >= 0:
            x = a.act[act_at(a, s, b, m)] + 0.0
            if integer(a, k, A_EARLY) == 1:
                early, _within = after(a, s, b, k, rate(a, s, b, k))
                x = early + 0.0
        return x

    @ti.func
    def nearest(a: ti.template(), b, k, l, x):
        """Of a servo that turns something, the input that is the same angle, and nearest to the length."""
        period, out = number(a, k, A_PERIOD), x + 0.0
        if period > 0.0:
            off = a.model[at.block(a, b, "actuator_gain", k, 0)] + a.model[at.block(a, b, "actuator_bias", k, 1)]
            out = where(absolute(off) > 0.0, x, x - period * ti.floor((x - l) / period + 0.5))
        return out

    @ti.func
    def input_adjoint(a: ti.template(), s, b, k, g):
        m = integer(a, k, A_ACTIVATION)
        if m >= 0:
            through = g + 0.0
            if integer(a, k, A_EARLY) == 1:
                _early, within = after(a, s, b, k, rate(a, s, b, k))
                through = within * (g + rate_adjoint(a, b, k, within * number(a, k, A_STEP) * g))
            i = act_at(a, 0, b, m)
            a.gact[i] = a.gact[i] + through
        else:
            _u, inside = control(a, b, k)
            i = ctrl_at(a, b, k)
            a.gctrl[i] = a.gctrl[i] + inside * g

    @ti.func
    def length(a: ti.template(), s, b, k):
        """Length and velocity."""
        t, gear = integer(a, k, A_TRANSMISSION), number(a, k, A_GEAR)
        return gear * a.span[of_transmission(a, b, t)], gear * tr.along(a, b, t, a.qd, s)

    @ti.func
    def affine(a: ti.template(), b, name: ti.template(), k, l, v):
        return (a.model[at.block(a, b, name, k, 0)] + a.model[at.block(a, b, name, k, 1)] * l
                + a.model[at.block(a, b, name, k, 2)] * v)  # fmt: skip

    @ti.func
    def damping_of(a: ti.template(), b, k, x):
        """By how much the force falls with the actuator's velocity."""
        slope = a.model[at.block(a, b, "actuator_bias", k, 2)] + a.model[at.block(a, b, "actuator_gain", k, 2)] * x
        return 0.0 - slope

    @ti.func
    def pull(a: ti.template(), s, b):
        """Of all actuators on each dof, before it is cut off; and drags, of those on joints after that."""
        for j in range(a.size[DOFS]):
            a.pull[at.dof_at(a, 0, b, j)] = lane()
        for k in range(a.size[ACTUATORS]):
            l, v = length(a, s, b, k)
            x = nearest(a, b, k, l, input_of(a, s, b, k))
            asked = affine(a, b, "actuator_gain", k, l, v) * x + affine(a, b, "actuator_bias", k, l, v)
            force, inside = cut_off(asked, number(a, k, A_FORCE_LOW), number(a, k, A_FORCE_HIGH))
            tr.spread(a, b, integer(a, k, A_TRANSMISSION), number(a, k, A_GEAR) * force, a.pull)
            a.falls[ctrl_at(a, b, k)] = inside * damping_of(a, b, k, x)
        for k in range(a.size[ACTUATORS]):
            i, gear = of_transmission(a, b, integer(a, k, A_TRANSMISSION)), number(a, k, A_GEAR)
            a.drag[i] = a.drag[i] + gear * gear * felt(a, b, k) * a.falls[ctrl_at(a, b, k)]

    @ti.func
    def felt(a: ti.template(), b, k):
        """Whether the drag of actuator k is: not where the sum on its joint is cut off."""
        out, j = lane(1.0), integer(a, k, A_ON_JOINT)
        if j >= 0:
            _force, inside = on_joint(a, b, j)
            out = inside + 0.0
        return out

    @ti.func
    def on_joint(a: ti.template(), b, j):
        """The sum on dof j, cut off."""
        return cut_off(a.pull[at.dof_at(a, 0, b, j)], a.drive_range[2 * j], a.drive_range[2 * j + 1])

    @ti.func
    def add_forces(a: ti.template(), s, b):
        """To x."""
        pull(a, s, b)
        for j in range(a.size[DOFS]):
            i = at.dof_at(a, 0, b, j)
            force, _inside = on_joint(a, b, j)
            a.x[i] = a.x[i] + force

    @ti.func
    def law_adjoint(a: ti.template(), s, b, k, g, damped):
        """From the cotangents of the force and of the damping by the actuator's own velocity. Returns the force."""
        l, v = length(a, s, b, k)
        x = nearest(a, b, k, l, input_of(a, s, b, k))
        gain = affine(a, b, "actuator_gain", k, l, v)
        asked = gain * x + affine(a, b, "actuator_bias", k, l, v)
        force, inside = cut_off(asked, number(a, k, A_FORCE_LOW), number(a, k, A_FORCE_HIGH))
        g, damped = inside * g, inside * damped
        for c, factor in ti.static(((0, 1.0), (1, l), (2, v))):
            at.increase(a.gmodel, at.block(a, b, "actuator_gain", k, c), g * x * factor)
            at.increase(a.gmodel, at.block(a, b, "actuator_bias", k, c), g * factor)
        at.increase(a.gmodel, at.block(a, b, "actuator_gain", k, 2), 0.0 - damped * x)
        at.increase(a.gmodel, at.block(a, b, "actuator_bias", k, 2), 0.0 - damped)
        by_length = g * (a.model[at.block(a, b, "actuator_gain", k, 1)] * x
                         + a.model[at.block(a, b, "actuator_bias", k, 1)])  # fmt: skip
        by_velocity = 0.0 - g * damping_of(a, b, k, x)
        t, gear = integer(a, k, A_TRANSMISSION), number(a, k, A_GEAR)
        at.increase(a.gspan, of_transmission(a, b, t), gear * by_length)
        tr.spread(a, b, t, gear * by_velocity, a.gqd)
        tr.along_adjoint(a, b, t, gear * by_velocity, a.qd, s)
        input_adjoint(a, s, b, k, g * gain - damped * a.model[at.block(a, b, "actuator_gain", k, 2)])
        return force

    @ti.func
    def adjoint(a: ti.template(), s, b):
        """Of the power of all forces at the virtual motion in x: adds its derivatives to the cotangents."""
        pull(a, s, b)
        for j in range(a.size[DOFS]):
            i = at.dof_at(a, 0, b, j)
            _force, inside = on_joint(a, b, j)
            a.pull[i] = inside * a.x[i]
        for k in range(a.size[ACTUATORS]):
            t, gear = integer(a, k, A_TRANSMISSION), number(a, k, A_GEAR)
            force = law_adjoint(a, s, b, k, gear * tr.along(a, b, t, a.pull, 0), lane())
            tr.along_adjoint(a, b, t, gear * force, a.pull, 0)

    @ti.func
    def damping_adjoint(a: ti.template(), s, b):
        """From the cotangents of drags; after `step_adjoint`, which has found `pull`."""
        for k in range(a.size[ACTUATORS]):
            gear, g = number(a, k, A_GEAR), a.gdrag[of_transmission(a, b, integer(a, k, A_TRANSMISSION))]
            law_adjoint(a, s, b, k, lane(), gear * gear * felt(a, b, k) * g)

    # Activations over a substep of Euler's and implicitfast.

    @ti.func
    def step(a: ti.template(), s, then, b):
        for k in range(a.size[ACTUATORS]):
            m = integer(a, k, A_ACTIVATION)
            if m >= 0:
                x, _within = after(a, s, b, k, rate(a, s, b, k))
                a.act[act_at(a, then, b, m)] = x

    @ti.func
    def step_adjoint(a: ti.template(), s, b):
        """gact becomes that of the start; and `pull` and its damping at the start are found again."""
        pull(a, s, b)
        for k in range(a.size[ACTUATORS]):
            m = integer(a, k, A_ACTIVATION)
            if m >= 0:
                _x, within = after(a, s, b, k, rate(a, s, b, k))
                i = act_at(a, 0, b, m)
                g = within * a.gact[i]
                a.gact[i] = g + rate_adjoint(a, b, k, number(a, k, A_STEP) * g)

    # Over a substep of RK4, see `substep`.

    @ti.func
    def move(a: ti.template(), first, before, s, b, part):
        """Activations of stage frame s = those of frame `first` + part * rate of frame `before`."""
        for k in range(a.size[ACTUATORS]):
            m = integer(a, k, A_ACTIVATION)
            if m >= 0:
                a.act[act_at(a, s, b, m)] = a.act[act_at(a, first, b, m)] + part * rate(a, before, b, k)

    @ti.func
    def mean_rate(a: ti.template(), first, b, k, n):
        total = lane()
        for stage, weight in ti.static(STAGES):
            total += weight / 6.0 * rate(a, (first + stage) % n, b, k)
        return total

    @ti.func
    def step_rk4(a: ti.template(), first, then, b):
        for k in range(a.size[ACTUATORS]):
            m = integer(a, k, A_ACTIVATION)
            if m >= 0:
                x, _within = after(a, first, b, k, mean_rate(a, first, b, k, a.size[N_FRAMES]))
                a.act[act_at(a, then, b, m)] = x

    @ti.func
    def begin_rk4_adjoint(a: ti.template(), first, b):
        """From gact of the end: of the start, of the weighted sum of rates, and of the last stage's rate."""
        for k in range(a.size[ACTUATORS]):
            m = integer(a, k, A_ACTIVATION)
            if m >= 0:
                _x, within = after(a, first, b, k, mean_rate(a, first, b, k, a.size[N_FRAMES]))
                i = act_at(a, 0, b, m)
                g = within * a.gact[i]
                a.gbase_act[i] = g
                a.gend_act[i] = number(a, k, A_STEP) / 6.0 * g
                a.grate_act[i] = a.gend_act[i]
                a.gact[i] = lane()

    @ti.func
    def move_adjoint(a: ti.template(), s, b, part, weight):
        """From gact of what the evaluation of stage frame s did with it, and grate_act of its rate: grate_act becomes
        that of the stage before, of `weight` in the sum."""
        for k in range(a.size[ACTUATORS]):
            m = integer(a, k, A_ACTIVATION)
            if m >= 0:
                i = act_at(a, 0, b, m)
                g = a.gact[i] + rate_adjoint(a, b, k, a.grate_act[i])
                a.gbase_act[i] = a.gbase_act[i] + g
                a.grate_act[i] = part * g + weight * a.gend_act[i]
                a.gact[i] = lane()

    @ti.func
    def finish_rk4_adjoint(a: ti.template(), s, b):
        """gact becomes that of the start."""
        for k in range(a.size[ACTUATORS]):
            m = integer(a, k, A_ACTIVATION)
            if m >= 0:
                i = act_at(a, 0, b, m)
                a.gact[i] = a.gact[i] + a.gbase_act[i] + rate_adjoint(a, b, k, a.grate_act[i])

    # Where a control step begins and ends, see `border`.

    @ti.func
    def condition(a: ti.template(), s, b):
        """Sum of the activations, to be finite."""
        total = lane()
        for m in range(a.size[ACTIVATIONS]):
            total += a.act[act_at(a, s, b, m)]
        return total

    @ti.func
    def begin(a: ti.template(), b):
        bo.load_rows(a, a.ctrl_in, a.ctrl, b, a.size[ACTUATORS])
        bo.load_rows(a, a.act_in, a.act, b, a.size[ACTIVATIONS])

    @ti.func
    def finish(a: ti.template(), last, b):
        bo.store_rows(a, last, a.act, a.act_out, b, a.size[ACTIVATIONS])

    @ti.func
    def begin_adjoint(a: ti.template(), b):
        bo.load_rows(a, a.gact_in, a.gact, b, a.size[ACTIVATIONS])
        bo.clear(a, a.gctrl, b, a.size[ACTUATORS])

    @ti.func
    def magnitude(a: ti.template(), b):
        return bo.magnitude(a, a.gact, b, a.size[ACTIVATIONS])

    @ti.func
    def finish_adjoint(a: ti.template(), good, b):
        bo.keep(a, good, a.gact, b, a.size[ACTIVATIONS])
        bo.keep(a, good, a.gctrl, b, a.size[ACTUATORS])
        if a.size[BEGIN] == 0:
            bo.store_rows(a, 0, a.gact, a.gact_out, b, a.size[ACTIVATIONS])
            bo.store_rows(a, 0, a.gctrl, a.gctrl_out, b, a.size[ACTUATORS])

    return Functions(add_forces=add_forces, adjoint=adjoint, damping_adjoint=damping_adjoint, step=step,
                     step_adjoint=step_adjoint, move=move, step_rk4=step_rk4, begin_rk4_adjoint=begin_rk4_adjoint,
                     move_adjoint=move_adjoint, finish_rk4_adjoint=finish_rk4_adjoint, condition=condition,
                     begin=begin, finish=finish, begin_adjoint=begin_adjoint, magnitude=magnitude,
                     finish_adjoint=finish_adjoint)  # fmt: skip
