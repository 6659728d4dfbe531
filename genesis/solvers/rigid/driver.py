"""The kernels: all substeps of a control step in one launch, a block of environments per thread; and its adjoint."""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.launch import kernel
from genesis.math.lanes import add, any_lane, lane
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.adjoint import adjoint
from genesis.solvers.rigid.border import border
from genesis.solvers.rigid.inertia import inertia
from genesis.solvers.rigid.joints import joints
from genesis.solvers.rigid.kinematics import kinematics
from genesis.solvers.rigid.layout import (
    ACTIVE,
    BALL,
    BEGIN,
    DOFS,
    DT,
    END,
    KIND,
    LINKS,
    N_FRAMES,
    N_NUMBERS,
    N_SIZES,
    PARAMETER_TABLE,
    POINTS,
    Q_INDEX,
    SUBSTEPS,
    TABLE,
    WRENCH_ROWS,
    Features,
)  # fmt: skip
from genesis.solvers.rigid.outputs import outputs

ATTEMPTS = 4
"""At solving a substep, while contacts are found that would pull."""


@per_runtime
def driver(features: Features) -> Functions:
    lay = layout()
    ki, ine, jo, ad = kinematics(features), inertia(), joints(), adjoint(features)
    out, bo = outputs(features), border()

    @ti.func
    def integrate(a: ti.template(), s, then, b):
        """Frame `then` from frame s and the accelerations in x: semi-implicit Euler. The sum of all, to be finite,
        and the largest velocity as a part of its limit."""
        total, fastest, dt = lane(), lane(), a.num[DT]
        for j in range(a.size[DOFS]):
            i, acceleration = at.dof_at(a, s, b, j), a.x[at.dof_at(a, 0, b, j)]
            a.qdd[i] = acceleration
            a.qd[at.dof_at(a, then, b, j)] = a.qd[i] + dt * acceleration
        j = 0
        while j < a.size[DOFS]:
            first = at.dof(a, j, Q_INDEX)
            old, new, i = at.q_at(a, s, b, first), at.q_at(a, then, b, first), at.dof_at(a, then, b, j)
            if at.dof(a, j, KIND) == BALL:
                w = at.get3(a, a.qd, i)
                turned = jo.turn_by(at.get4(a, a.q, old), dt * w)
                at.put(a, a.q, new, turned)
                total += turned.sum() + w.sum()
                fastest = ti.max(fastest, bo.part_of_limit(a, then, b, j))
                j += 3
            else:
                there = lane()
                if ti.static(lay.real == ti.f32):
                    k = at.q_at(a, 0, b, first)
                    there, a.low[k] = add(a.q[old], a.low[k], dt * a.qd[i])
                else:
                    there = a.q[old] + dt * a.qd[i]
                a.q[new] = there
                total += there + a.qd[i]
                fastest = ti.max(fastest, bo.part_of_limit(a, then, b, j))
                j += 1
        return total, fastest

    @ti.func
    def integrate_adjoint(a: ti.template(), then, b):
        """Of positions (gq in each dof's own direction) and velocities; x becomes the accelerations' cotangent."""
        j, dt = 0, a.num[DT]
        while j < a.size[DOFS]:
            i = at.dof_at(a, 0, b, j)
            if at.dof(a, j, KIND) == BALL:
                phi = dt * at.get3(a, a.qd, at.dof_at(a, then, b, j))
                gphi, before = jo.turn_by_adjoint(phi, at.get3(a, a.gq, i))
                at.add(a, a.gqd, i, dt * gphi)
                at.put(a, a.gq, i, before)
                at.put(a, a.x, i, dt * at.get3(a, a.gqd, i))
                j += 3
            else:
                a.gqd[i] = a.gqd[i] + dt * a.gq[i]
                a.x[i] = dt * a.gqd[i]
                j += 1

    @kernel(TABLE, "constant", "frames", "scratch", "step")
    def advance(arrays: ti.template()):
        ti.loop_config(block_dim=lay.block_dim)
        for item in range(arrays.size[ACTIVE] * lay.stride):
            b = item // lay.stride
            if item % lay.stride == 0:
                sized = arrays.having(size=at.counts(arrays.size, N_SIZES), num=at.local(arrays.num, N_NUMBERS))
                a = sized.having(blocks=at.blocks(sized, PARAMETER_TABLE))
                if a.size[BEGIN] == 0:
                    bo.begin(a, b)
                for step in range(a.size[BEGIN], a.size[END]):
                    s, then = step % a.size[N_FRAMES], (step + 1) % a.size[N_FRAMES]
                    for l in range(a.size[LINKS]):
                        ki.link_kinematics(a, s, b, l)
                    attempt = 0
                    while attempt < ATTEMPTS:
                        a.n_contacts[b] = 0
                        for l in range(a.size[LINKS]):
                            ki.bias_forces(a, s, b, l, attempt)
                        ine.mass_matrix(a, s, b)
                        ine.factor(a, s, b)
                        ine.solve(a, s, b)
                        attempt += 1
                        if not ki.release(a, s, b, attempt == ATTEMPTS):
                            attempt = ATTEMPTS
                    if ti.static(features.outputs):
                        out.measure(a, s, b)
                    total, fastest = integrate(a, s, then, b)
                    bo.note(a.status, b, total, fastest, step)
                if a.size[END] == a.size[SUBSTEPS]:
                    bo.finish(a, a.size[SUBSTEPS] % a.size[N_FRAMES], b)

    @kernel(TABLE, "constant", "frames", "scratch", "adjoint", "step_adjoint")
    def advance_adjoint(arrays: ti.template()):
        ti.loop_config(block_dim=lay.block_dim)
        for item in range(arrays.size[ACTIVE] * lay.stride):
            b = item // lay.stride
            if item % lay.stride == 0:
                sized = arrays.having(size=at.counts(arrays.size, N_SIZES), num=at.local(arrays.num, N_NUMBERS))
                a = sized.having(blocks=at.blocks(sized, PARAMETER_TABLE))
                if a.size[END] == a.size[SUBSTEPS]:
                    bo.begin_adjoint(a, a.size[SUBSTEPS] % a.size[N_FRAMES], b)
                force = bo.magnitude(a, a.gq, b, a.size[DOFS]) + bo.magnitude(a, a.gqd, b, a.size[DOFS])
                if ti.static(features.outputs):
                    force += bo.magnitude(a, a.gcontacts, b, 6 * a.size[POINTS])
                    force += bo.magnitude(a, a.gjoint, b, 3 * WRENCH_ROWS * a.size[LINKS])
                good = bo.healthy(a.status, b)
                if any_lane(good & (force > 0.0)):
                    for behind in range(a.size[END] - a.size[BEGIN]):
                        step = a.size[END] - 1 - behind
                        s, then = step % a.size[N_FRAMES], (step + 1) % a.size[N_FRAMES]
                        integrate_adjoint(a, then, b)
                        if ti.static(features.outputs):
                            out.measure_adjoint(a, s, b)
                        ine.solve(a, s, b)
                        ad.sweep_out(a, s, b)
                        ad.sweep_in(a, s, b)
                bo.finish_adjoint(a, good, b)

    return Functions(advance=advance, advance_adjoint=advance_adjoint)
