"""A substep of each integrator, from evaluations, and its adjoint. q (+) u: a rotation is turned by u in its own frame.

    Euler         v' = v + h (M + h B)^-1 M a        q' = q (+) h v'        B: damping
    implicitfast  the same, B with the gains of velocity servos; free bodies that carry nothing: `free_bodies`
    RK4           stages q_i = q (+) h c K_(i-1), v_i = v + h c A_(i-1), c = 1/2, 1/2, 1; K_0 = v, A_i = a(q_i, v_i)
                  K_i = v_i, of a rotation its rate in the tangent of the start: the inverse of the exponential's
                  derivative at h c K_(i-1) (Munthe-Kaas)
                  v' = v + h/6 sum w A, q' = q (+) h/6 sum w K, w = 1, 2, 2, 1
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.lanes import absolute, add, any_lane, lane, sine_cosine, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.inertia import inertia
from genesis.solvers.rigid.layout import (
    BALL,
    DOFS,
    DT,
    ENTRIES,
    ENTRY0,
    KIND,
    N_FRAMES,
    Q_INDEX,
    TRANSMISSIONS,
)
from genesis.solvers.rigid.mujoco.actuators import actuators
from genesis.solvers.rigid.mujoco.evaluation import evaluation
from genesis.solvers.rigid.mujoco.free_bodies import free_bodies
from genesis.solvers.rigid.mujoco.joints import implicit_damping, joints
from genesis.solvers.rigid.mujoco.layout import EULER, IMPLICITFAST, RK4, S_EULERDAMP, Features
from genesis.solvers.rigid.mujoco.transmissions import of_transmission, transmissions

STAGES = 4


@per_runtime
def substeps(features: Features) -> Functions:
    lay = layout()
    ev, jo, ine = evaluation(features), joints(), inertia(joints)
    da = implicit_damping(features)
    ac = actuators(features) if features.actuators else None
    tr = transmissions(features) if features.transmissions else None
    drags = features.transmissions and features.integrator == IMPLICITFAST
    fr = free_bodies(features) if features.free_bodies else None

    @ti.func
    def move(a: ti.template(), s, then, b, array: ti.template(), frame, part, ends: ti.template()):
        """q of frame `then` = q of frame s (+) part * array of `frame`. `ends`: this ends a substep."""
        j = 0
        while j < a.size[DOFS]:
            first = at.dof(a, j, Q_INDEX)
            old, new, i = at.q_at(a, s, b, first), at.q_at(a, then, b, first), at.dof_at(a, frame, b, j)
            if at.dof(a, j, KIND) == BALL:
                at.put(a, a.q, new, jo.turn_by(at.get4(a, a.q, old), part * at.get3(a, array, i)))
                j += 3
            else:
                if ti.static(ends and lay.real == ti.f32):  # what is rounded away goes on
                    k = at.q_at(a, 0, b, first)
                    a.q[new], a.low[k] = add(a.q[old], a.low[k], part * array[i])
                else:
                    a.q[new] = a.q[old] + part * array[i]
                j += 1

    @ti.func
    def move_adjoint(a: ti.template(), b, array: ti.template(), frame, part, given: ti.template(),
                     before: ti.template(), gmoved: ti.template(), weight, in_place: ti.template()):  # fmt: skip
        """From the cotangent `given` of q after `move`: adds that of q before to `before`, and `weight` times that of
        part * array to `gmoved`. `in_place`: both are one array, and overwritten."""
        j = 0
        while j < a.size[DOFS]:
            i, k = at.dof_at(a, 0, b, j), at.dof_at(a, frame, b, j)
            if at.dof(a, j, KIND) == BALL:
                g = at.get3(a, given, i)
                gphi, gold = jo.turn_by_adjoint(part * at.get3(a, array, k), g)
                if ti.static(in_place):
                    at.put(a, before, i, gold)
                else:
                    at.add(a, before, i, gold)
                at.add(a, gmoved, i, weight * gphi)
                j += 3
            else:
                g = given[i]
                gmoved[i] = gmoved[i] + weight * g
                if ti.static(not in_place):
                    before[i] = before[i] + g
                j += 1

    @ti.func
    def rate(u: ti.template(), w: ti.template()):
        """Rate of a rotation vector, now u, of a body that turns at w in its own frame."""
        t2 = u.dot(u)
        c, _dc = cotangent_series(t2)
        uw = u.cross(w)
        return w + 0.5 * uw + c * u.cross(uw)

    @ti.func
    def cotangent_series(t2):
        """C(t) = (1 - t/2 cot(t/2)) / t^2, and its slope in t^2."""
        none = lane()
        large = where(t2 > 0.04, t2, none + 0.04)
        t = ti.sqrt(large)
        sine, cosine = sine_cosine(0.5 * t)
        cot = cosine / sine
        near = t2 * (1.0 / 720.0 + t2 * (1.0 / 30240.0 + t2 * (1.0 / 1209600.0 + t2 / 47900160.0)))
        C = where(t2 > 0.04, (1.0 - 0.5 * t * cot) / large, 1.0 / 12.0 + near)
        # d/dt2 of 1/t2 - cot(t/2)/(2 t)
        dC = where(t2 > 0.04, 0.0 - 1.0 / (large * large) + cot / (4.0 * large * t) + 1.0 / (8.0 * large * sine * sine),
                   1.0 / 720.0 + t2 * (1.0 / 15120.0 + t2 * (1.0 / 403200.0 + t2 / 11975040.0)))  # fmt: skip
        return C, dC

    @ti.func
    def rate_adjoint(u: ti.template(), w: ti.template(), g: ti.template()):
        """Cotangents of u and w."""
        c, dc = cotangent_series(u.dot(u))
        uw = u.cross(w)
        gw = g + 0.5 * g.cross(u) + c * u.cross(u.cross(g))
        triple = u.cross(uw)
        # u x (u x w) = u (u.w) - w (u.u)
        gu = 0.5 * w.cross(g) + c * (u.dot(w) * g + u.dot(g) * w - 2.0 * w.dot(g) * u) + (2.0 * dc * triple.dot(g)) * u
        return gu, gw

    @ti.func
    def rates(a: ti.template(), s, b, before, part):
        """K of stage frame s, reached by part * K of frame `before`."""
        j = 0
        while j < a.size[DOFS]:
            i = at.dof_at(a, s, b, j)
            if at.dof(a, j, KIND) == BALL:
                u = part * at.get3(a, a.rate, at.dof_at(a, before, b, j))
                at.put(a, a.rate, i, rate(u, at.get3(a, a.qd, i)))
                j += 3
            else:
                a.rate[i] = a.qd[i]
                j += 1

    @ti.func
    def step_rk4(a: ti.template(), first, then, b, warm):
        h, n = a.num[DT], a.size[N_FRAMES]
        open_ = lane()
        for j in range(a.size[DOFS]):
            i = at.dof_at(a, first, b, j)
            a.rate[i] = a.qd[i]
        for stage in range(STAGES):
            s = (first + stage) % n
            before, last = (s + n - 1) % n, 0.0
            if stage > 0:
                part = 0.5 * h
                if stage == 3:
                    part, last = h, a.last
                move(a, first, s, b, a.rate, before, part, False)
                for j in range(a.size[DOFS]):
                    a.qd[at.dof_at(a, s, b, j)] = (
                        a.qd[at.dof_at(a, first, b, j)] + part * a.qdd[at.dof_at(a, before, b, j)])  # fmt: skip
                rates(a, s, b, before, part)
                if ti.static(features.actuators):
                    ac.move(a, first, before, s, b, part)
            weight = 1.0 / 6.0
            if stage == 1 or stage == 2:
                weight = 1.0 / 3.0
            open_ += ev.accelerate(a.having(part=weight, last=last), s, b, before, warm or stage > 0)
        for j in range(a.size[DOFS]):
            total, turned = lane(), lane()
            for stage, weight in ti.static(((0, 1.0), (1, 2.0), (2, 2.0), (3, 1.0))):
                i = at.dof_at(a, (first + stage) % n, b, j)
                total += weight * a.qdd[i]
                turned += weight * a.rate[i]
            a.qd[at.dof_at(a, then, b, j)] = a.qd[at.dof_at(a, first, b, j)] + (h / 6.0) * total
            a.moved[at.dof_at(a, first, b, j)] = turned  # for the move below and its adjoint
        move(a, first, then, b, a.moved, first, h / 6.0, True)
        if ti.static(features.actuators):
            ac.step_rk4(a, first, then, b)
        return open_

    @ti.func
    def step_rk4_adjoint(a: ti.template(), first, b):
        """From the cotangents of the next substep's start in gq and gqd to those of this one's."""
        h, n = a.num[DT], a.size[N_FRAMES]
        for j in range(a.size[DOFS]):
            i = at.dof_at(a, 0, b, j)
            a.gend[i] = lane()
            a.gbase_q[i] = lane()
            a.gend_qd[i] = a.gqd[i]
            a.gbase_qd[i] = a.gqd[i]
        move_adjoint(a, b, a.moved, first, h / 6.0, a.gq, a.gbase_q, a.gend, h / 6.0, False)
        if ti.static(features.actuators):
            ac.begin_rk4_adjoint(a, first, b)
        for j in range(a.size[DOFS]):
            i = at.dof_at(a, 0, b, j)
            a.gqdd[i] = (h / 6.0) * a.gend_qd[i]
            a.grate[i] = a.gend[i]
        for back in range(STAGES):
            stage = STAGES - 1 - back
            s = (first + stage) % n
            before = (s + n - 1) % n
            for j in range(a.size[DOFS]):
                i = at.dof_at(a, 0, b, j)
                a.gq[i] = lane()
                a.gqd[i] = lane()
            share, last = 1.0 / 6.0, 0.0
            if stage == 1 or stage == 2:
                share = 1.0 / 3.0
            if stage == 3:
                last = a.last
            ev.accelerate_adjoint(a.having(part=share, last=last), s, b)
            if stage > 0:
                part, weight = 0.5 * h, 2.0
                if stage == 3:
                    part = h
                if stage == 1:
                    weight = 1.0
                # a.grate: of K of this stage; becomes that of the stage before
                rates_adjoint(a, s, b, before, part)
                move_adjoint(a, b, a.rate, before, part, a.gq, a.gbase_q, a.grate, part, False)
                for j in range(a.size[DOFS]):
                    i = at.dof_at(a, 0, b, j)
                    a.gbase_qd[i] = a.gbase_qd[i] + a.gqd[i]
                    a.gqdd[i] = part * a.gqd[i] + (weight * h / 6.0) * a.gend_qd[i]
                    a.grate[i] = a.grate[i] + weight * a.gend[i]
                if ti.static(features.actuators):
                    ac.move_adjoint(a, s, b, part, weight)
            else:
                if ti.static(features.actuators):
                    ac.finish_rk4_adjoint(a, s, b)
                for j in range(a.size[DOFS]):
                    i = at.dof_at(a, 0, b, j)
                    a.gqd[i] = a.gqd[i] + a.gbase_qd[i] + a.grate[i]
                    a.gq[i] = a.gq[i] + a.gbase_q[i]

    @ti.func
    def rates_adjoint(a: ti.template(), s, b, before, part):
        """From grate, of K of frame s: adds to gqd; grate becomes that of K of frame `before`."""
        j = 0
        while j < a.size[DOFS]:
            i = at.dof_at(a, 0, b, j)
            if at.dof(a, j, KIND) == BALL:
                u = part * at.get3(a, a.rate, at.dof_at(a, before, b, j))
                gu, gw = rate_adjoint(u, at.get3(a, a.qd, at.dof_at(a, s, b, j)), at.get3(a, a.grate, i))
                at.add(a, a.gqd, i, gw)
                at.put(a, a.grate, i, part * gu)
                j += 3
            else:
                a.gqd[i] = a.gqd[i] + a.grate[i]
                a.grate[i] = lane()
                j += 1

    @ti.func
    def step_euler(a: ti.template(), s, then, b, warm):
        h = a.num[DT]
        n = a.size[N_FRAMES]
        open_ = ev.accelerate(a.having(part=1.0), s, b, (s + n - 1) % n, warm)
        for j in range(a.size[DOFS]):
            i = at.dof_at(a, s, b, j)
            a.moved[i] = a.qdd[i]
        if ti.static(features.actuators):
            ac.step(a, s, then, b)
        if damped(a, s, b):
            damp(a, s, b)
        if ti.static(features.free_bodies):
            fr.solve(a, s, b)
        for j in range(a.size[DOFS]):
            i = at.dof_at(a, s, b, j)
            a.qd[at.dof_at(a, then, b, j)] = a.qd[i] + h * a.moved[i]
        move(a, s, then, b, a.qd, then, h, True)
        return open_

    @ti.func
    def damped(a: ti.template(), s, b):
        """Whether anything is damped, in some environment."""
        total = lane()
        for j in range(a.size[DOFS]):
            total += absolute(da.of_dof(a, s, b, j))
        if ti.static(features.integrator == EULER):
            total = a.solver_numbers[S_EULERDAMP] * total
        if ti.static(drags):
            for t in range(a.size[TRANSMISSIONS]):
                total += absolute(a.drag[of_transmission(a, b, t)])
        return any_lane(total > 0.0)

    @ti.func
    def damp(a: ti.template(), s, b):
        """(M + h B)^-1 M a, and the factor for the adjoint."""
        h = a.num[DT]
        for j in range(a.size[DOFS]):
            i = at.dof_at(a, 0, b, j)
            a.x[i] = a.left[i] + a.force[i]
        for e in range(a.size[ENTRIES]):
            a.damped[at.entry_at(a, s, b, e)] = a.inertia_rows[at.entry_at(a, 0, b, e)]
        for j in range(a.size[DOFS]):
            m = at.entry_at(a, s, b, at.dof(a, j, ENTRY0))
            a.damped[m] = a.damped[m] + h * da.of_dof(a, s, b, j)
        if ti.static(drags):
            tr.add_damping(a, s, b)
        other = a.having(mass=a.damped)
        ine.factor(other, s, b)
        ine.solve(other, s, b)
        for j in range(a.size[DOFS]):
            a.moved[at.dof_at(a, s, b, j)] = a.x[at.dof_at(a, 0, b, j)]

    @ti.func
    def step_euler_adjoint(a: ti.template(), s, then, b):
        h = a.num[DT]
        move_adjoint(a, b, a.qd, then, h, a.gq, a.gq, a.gqd, h, True)
        for j in range(a.size[DOFS]):
            i = at.dof_at(a, 0, b, j)
            a.gqdd[i] = h * a.gqd[i]
        if ti.static(features.transmissions):
            tr.begin_adjoint(a, s, b)
        if ti.static(features.actuators):
            ac.step_adjoint(a, s, b)
        if ti.static(features.free_bodies):
            fr.adjoint(a, s, b)
        if damped(a, s, b):
            ev.damped_adjoint(a, s, b)
        ev.accelerate_adjoint(a.having(part=1.0), s, b)

    @ti.func
    def step(a: ti.template(), s, then, b, warm):
        """From the evaluation in frame s to the start of the next substep. 1 where an evaluation has not converged.
        `a.last` is 1 in the step's last substep, else 0; so in the adjoint."""
        open_ = lane()
        if ti.static(features.integrator == RK4):
            open_ += step_rk4(a, s, then, b, warm)
        else:
            open_ += step_euler(a, s, then, b, warm)
        return open_

    @ti.func
    def step_adjoint(a: ti.template(), s, then, b):
        if ti.static(features.integrator == RK4):
            step_rk4_adjoint(a, s, b)
        else:
            step_euler_adjoint(a, s, then, b)

    return Functions(step=step, step_adjoint=step_adjoint)
