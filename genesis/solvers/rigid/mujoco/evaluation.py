"""One evaluation: from positions, velocities and controls in a frame to its accelerations; and its adjoint."""

from genesis.compiler import Functions, per_runtime, ti, traced
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.adjoint import adjoint
from genesis.solvers.rigid.inertia import inertia
from genesis.solvers.rigid.kinematics import kinematics
from genesis.solvers.rigid.layout import (
    AAD,
    AAO,
    AL0,
    AL1,
    AL2,
    BALL,
    COM,
    DOF0,
    DOFS,
    DT,
    ENTRIES,
    JD,
    JO,
    KIND,
    LINKS,
    LLD,
    LLO,
    MOMENT,
    N_DOFS,
    NEEDED,
    PARENT,
    POS,
    VELOCITY,
)
from genesis.solvers.rigid.mujoco.actuators import actuators
from genesis.solvers.rigid.mujoco.bodies import bodies
from genesis.solvers.rigid.mujoco.contacts import contacts
from genesis.solvers.rigid.mujoco.dof_rows import dof_rows
from genesis.solvers.rigid.mujoco.envelope import envelope
from genesis.solvers.rigid.mujoco.equality import equalities
from genesis.solvers.rigid.mujoco.fluid import fluids
from genesis.solvers.rigid.mujoco.free_bodies import free_bodies
from genesis.solvers.rigid.mujoco.gravcomp import gravcomp
from genesis.solvers.rigid.mujoco.joints import implicit_damping, joints
from genesis.solvers.rigid.mujoco.layout import (
    DAMPED_BA,
    DAMPED_BACK,
    DAMPED_BN,
    DAMPED_BW,
    DAMPED_DUE,
    DAMPED_NU,
    IMPLICITFAST,
    RK4,
    S_ITERATIONS,
    Features,
)
from genesis.solvers.rigid.mujoco.newton import newton
from genesis.solvers.rigid.mujoco.outputs import outputs
from genesis.solvers.rigid.mujoco.tendons import tendons
from genesis.solvers.rigid.mujoco.transmissions import transmissions
from genesis.solvers.rigid.spatial import momentum, spatial
from genesis.solvers.rigid.tangent import tangent


@per_runtime
def evaluation(features: Features) -> Functions:
    ki, ine, da, ro, co, ne, ad, fl = (
        kinematics(features, features.mocaps), inertia(joints), implicit_damping(features), dof_rows(),
        contacts(features), newton(features), adjoint(features), fluids(),
    )  # fmt: skip
    ac = actuators(features) if features.actuators else None
    tr = transmissions(features) if features.transmissions else None
    te = tendons(features) if features.tendons else None
    gc = gravcomp() if features.gravcomp else None
    en, out, paired = envelope(), outputs(features) if features.measured else None, bool(features.pairs)
    eq = equalities(features) if features.equalities else None
    bo = bodies(features) if paired else None
    ta = tangent()
    fr = free_bodies(features) if features.free_bodies else None

    @ti.func
    def own_forces(a: ti.template(), s, b, l):
        """The link's own part of `work`: inertia, bias force and external wrench."""
        d, o, a0, a1, a2, ld, lo, needed = ki.own_forces(a, s, b, l)
        for row, v in ti.static(((AAD, d), (AAO, o), (AL0, a0), (AL1, a1), (AL2, a2), (LLD, ld), (LLO, lo),
                                 (NEEDED, needed))):  # fmt: skip
            at.put(a, a.work, at.work_at(a, b, l, row), v)
        if ti.static(features.fluid):
            p, R = at.traced_at(a, s, b, l, POS), at.turned(a, s, b, l)
            fl.push(a, b, l, p, R, at.motion(a, s, b, l, VELOCITY))
        if ti.static(features.gravcomp):
            gc.push(a, b, l, at.traced_at(a, s, b, l, POS), at.turned(a, s, b, l))

    @ti.func
    def accelerate(a: ti.template(), s, b, before, warm):
        """qdd of frame s. Starts from that of frame `before` if `warm`. Returns 1 where it has not converged."""
        for l in range(a.size[LINKS]):
            ki.link_kinematics(a, s, b, l)
        for l in range(a.size[LINKS]):
            own_forces(a, s, b, l)
        ine.mass_matrix(a, s, b)
        if ti.static(features.transmissions):
            tr.measure(a, s, b)
        if ti.static(features.tendons):
            te.add_forces(a, s, b)
        if ti.static(features.actuators):
            ac.add_forces(a, s, b)
        for e in range(a.size[ENTRIES]):
            a.inertia_rows[at.entry_at(a, 0, b, e)] = a.mass[at.entry_at(a, s, b, e)]
        for j in range(a.size[DOFS]):
            i = at.dof_at(a, 0, b, j)
            a.force[i] = a.x[i]
        a.n_contacts[b] = 0
        if ti.static(features.spreads):
            en.begin(a, s, b)
        if ti.static(features.equalities):
            eq.listed(a, s, b)
        if ti.static(features.tendons):
            te.listed(a, s, b)
        ro.list_rows(a, s, b)
        a.first_contact[b] = a.n_contacts[b]
        for l in range(a.size[LINKS]):
            co.listed(a, s, b, l)
        if ti.static(paired):
            bo.find(a, s, b)
            co.listed_between(a, s, b)
        open_ = ne.minimise(a, s, b, before, warm, ti.cast(a.solver_numbers[S_ITERATIONS], ti.i32))
        if ti.static(features.outputs):
            out.measure(a, s, b)
        elif ti.static(features.last):
            if a.last > 0.5:
                out.measure(a, s, b)
        return open_

    @ti.func
    def accelerate_adjoint(a: ti.template(), s, b):
        """From the cotangent of qdd in gqdd: adds to those of q (in each dof's own direction), qd and the inputs."""
        if ti.static(features.last):
            if a.last > 0.5:
                ta.to_tangent(a.having(gqpos=a.glast_q, gq=a.glast), s, b)
                for j in range(a.size[DOFS]):
                    i = at.dof_at(a, 0, b, j)
                    a.gq[i] = a.gq[i] + a.glast[i]
                    a.gqd[i] = a.gqd[i] + a.glast_qd[i]
        for j in range(a.size[DOFS]):
            i = at.dof_at(a, 0, b, j)
            a.x[i] = a.gqdd[i]
        if ti.static(paired):
            bo.find(a, s, b)
        if ti.static(features.outputs):
            out.measure_adjoint(a, s, b)
        elif ti.static(features.last):
            if a.last > 0.5:
                out.measure_adjoint(a, s, b)
        ne.solve(a, s, b)
        if ti.static(features.transmissions and features.integrator == RK4):
            tr.begin_adjoint(a, s, b)
        if ti.static(features.actuators):
            ac.adjoint(a, s, b)
        if ti.static(features.tendons):
            te.adjoint(a, s, b)
        ro.adjoint(a, s, b)
        ad.sweep_out(a, s, b)
        if ti.static(features.equalities):
            eq.adjoint(a, s, b)
        if ti.static(features.transmissions):
            tr.finish_adjoint(a, s, b)
        if ti.static(paired):
            co.adjoint_between(a, s, b)
        ad.sweep_in(a, s, b)

    @ti.func
    def damped_adjoint(a: ti.template(), s, b):
        """Of moved = (M + h B)^-1 M qdd, whose cotangent is in gqdd: that becomes the one of qdd; the rest is added."""
        h = a.num[DT]
        for j in range(a.size[DOFS]):
            i = at.dof_at(a, 0, b, j)
            a.x[i] = a.gqdd[i]
        if ti.static(features.free_bodies):
            fr.leave_out(a, b)
        damped = a.having(mass=a.damped)
        ine.solve(damped, s, b)
        # virtual power of M (moved - qdd) + h B moved
        for l in range(a.size[LINKS]):
            nu, due = spatial(), spatial()
            parent = at.link(a, l, PARENT)
            if parent >= 0:
                nu += damped_sum(a, b, parent, DAMPED_NU)
                due += damped_sum(a, b, parent, DAMPED_DUE)
            first = at.link(a, l, DOF0)
            for j in range(first, first + at.link(a, l, N_DOFS)):
                axis, i = at.axis(a, s, b, j), at.dof_at(a, s, b, j)
                nu += a.x[at.dof_at(a, 0, b, j)] * axis
                due += (a.moved[i] - a.qdd[i]) * axis
            none = spatial()
            for row, v in ti.static(((DAMPED_NU, nu), (DAMPED_DUE, due), (DAMPED_BN, none), (DAMPED_BA, none),
                                     (DAMPED_BW, none))):  # fmt: skip
                at.put(a, a.back_damped, damped_at(a, b, l, row), v)
        for behind in range(a.size[LINKS]):
            l = a.size[LINKS] - 1 - behind
            p, R = at.traced_at(a, s, b, l, POS), at.turned(a, s, b, l)
            h_, jd, jo_ = at.traced_at(a, s, b, l, MOMENT), at.traced_at(a, s, b, l, JD), at.traced_at(a, s, b, l, JO)
            nu, due = damped_sum(a, b, l, DAMPED_NU), damped_sum(a, b, l, DAMPED_DUE)
            m = a.model[at.block(a, b, "mass", l)]
            N, A = momentum(m, h_, jd, jo_, due), momentum(m, h_, jd, jo_, nu)
            W = damped_sum(a, b, l, DAMPED_BW) - (nu.cross_force(N) + due.cross_force(A))
            still = spatial()
            ad.inertia_adjoint(a, b, l, p + R @ at.link_vector(a, l, COM), R, still, nu, due, still)
            N, A = damped_sum(a, b, l, DAMPED_BN) + N, damped_sum(a, b, l, DAMPED_BA) + A
            first = at.link(a, l, DOF0)
            j = first + at.link(a, l, N_DOFS) - 1
            while j >= first:
                n = 1
                if at.dof(a, j, KIND) == BALL:
                    n = 3
                twisted = spatial()
                for c in range(n):
                    i, k = at.dof_at(a, 0, b, j - c), at.dof_at(a, s, b, j - c)
                    twisted += at.axis(a, s, b, j - c).cross_force(a.x[i] * N + (a.moved[k] - a.qdd[k]) * A)
                if n == 3:
                    W += twisted
                for c in range(n):
                    i = at.dof_at(a, 0, b, j - c)
                    a.gq[i] = a.gq[i] - at.axis(a, s, b, j - c).dot(W)
                if n == 1:
                    W += twisted
                j -= n
            parent = at.link(a, l, PARENT)
            if parent >= 0:
                for row, v in ti.static(((DAMPED_BN, N), (DAMPED_BA, A), (DAMPED_BW, W))):
                    at.add(a, a.back_damped, damped_at(a, b, parent, row), v)
        for j in range(a.size[DOFS]):
            i, k = at.dof_at(a, 0, b, j), at.dof_at(a, s, b, j)
            mu, damping = a.x[i], da.of_dof(a, s, b, j)
            at.increase(a.gmodel, at.block(a, b, "armature", j), 0.0 - mu * (a.moved[k] - a.qdd[k]))
            da.adjoint(a, s, b, j, 0.0 - h * mu * a.moved[k])
            a.gqdd[i] = a.gqdd[i] - h * damping * mu
        if ti.static(features.transmissions and features.integrator == IMPLICITFAST):
            tr.damping_adjoint(a, s, b)
        if ti.static(features.actuators and features.integrator == IMPLICITFAST):
            ac.damping_adjoint(a, s, b)

    return Functions(accelerate=accelerate, accelerate_adjoint=accelerate_adjoint, damped_adjoint=damped_adjoint)


@traced
def damped_at(a, b, l, row):
    return at.vector_at(a, 0, b, l, row, DAMPED_BACK, a.size[LINKS])


@traced
def damped_sum(a, b, l, row):
    return at.get6(a, a.back_damped, damped_at(a, b, l, row))
