"""The kernels: all substeps of a control step in one launch, a block of environments per thread; and its adjoint."""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.launch import kernel
from genesis.math.lanes import absolute, any_lane, lane, of_lane
from genesis.solvers.base import SPEED_LIMIT, SPIN_LIMIT
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.border import border
from genesis.solvers.rigid.layout import (
    ACTIVE,
    BALL,
    BEGIN,
    DOFS,
    END,
    KIND,
    LINKS,
    N_CONTROLS,
    N_FRAMES,
    N_NUMBERS,
    N_SIZES,
    PARAMETERS,
    Q_INDEX,
    QS,
    SLIDE,
    SUBSTEPS,
    WRENCH_ROWS,
)
from genesis.solvers.rigid.mujoco.layout import EVALUATIONS, PARAMETER_TABLE, TABLE, Features
from genesis.solvers.rigid.mujoco.substep import substeps
from genesis.solvers.rigid.tangent import tangent


@per_runtime
def driver(features: Features) -> Functions:
    lay, bo, su, ta = layout(), border(), substeps(features), tangent()
    n_evaluations = EVALUATIONS[features.integrator]

    @ti.func
    def condition(a: ti.template(), s, b):
        """The sum of positions and velocities in frame s, to be finite, and the largest velocity as a part of its
        limit."""
        total, fastest, j = lane(), lane(), 0
        while j < a.size[DOFS]:
            q, i = at.q_at(a, s, b, at.dof(a, j, Q_INDEX)), at.dof_at(a, s, b, j)
            if at.dof(a, j, KIND) == BALL:
                w = at.get3(a, a.qd, i)
                total += at.get4(a, a.q, q).sum() + w.sum()
                fastest = ti.max(fastest, (1.0 / SPIN_LIMIT) * absolute(w).max())
                j += 3
            else:
                total += a.q[q] + a.qd[i]
                limit = 1.0 / SPIN_LIMIT
                if at.dof(a, j, KIND) == SLIDE:
                    limit = 1.0 / SPEED_LIMIT
                fastest = ti.max(fastest, ti.cast(limit, lay.real) * absolute(a.qd[i]))
                j += 1
        return total, fastest

    @ti.func
    def count_open(unconverged: ti.template(), b, open_):
        for j in ti.static(range(lay.width)):
            unconverged[lay.width * b + j] += ti.cast(of_lane(open_, j) + 0.5, ti.i32)

    @kernel(TABLE, "constant", "frames", "scratch", "step")
    def advance(arrays: ti.template()):
        ti.loop_config(block_dim=lay.block_dim)
        for item in range(arrays.size[ACTIVE] * lay.stride):
            b = item // lay.stride
            if item % lay.stride == 0:
                a = arrays.having(size=at.local(arrays.size, N_SIZES), num=at.local(arrays.num, N_NUMBERS),
                                  solver_numbers=at.local(arrays.solver_numbers, 4), parameters=PARAMETER_TABLE)
                if a.size[BEGIN] == 0:
                    for j in ti.static(range(lay.width)):
                        a.status[lay.width * b + j] = 0
                        a.unconverged[lay.width * b + j] = 0
                    bo.load_rows(a, a.q_in, a.q, b, a.size[QS])
                    bo.load_rows(a, a.qd_in, a.qd, b, a.size[DOFS])
                    if ti.static(lay.real == ti.f32):
                        bo.load_rows(a, a.low_in, a.low, b, a.size[QS])
                    bo.load_rows(a, a.dofs_in, a.dofs, b, N_CONTROLS * a.size[DOFS])
                for step in range(a.size[BEGIN], a.size[END]):
                    s, then = (n_evaluations * step) % a.size[N_FRAMES], (n_evaluations * (step + 1)) % a.size[N_FRAMES]
                    count_open(a.unconverged, b, su.step(a, s, then, b, step > 0))
                    total, fastest = condition(a, then, b)
                    bo.note(a.status, b, total, fastest, step)
                if a.size[END] == a.size[SUBSTEPS]:
                    last = (n_evaluations * a.size[SUBSTEPS]) % a.size[N_FRAMES]
                    bo.store_rows(a, last, a.q, a.q_out, b, a.size[QS])
                    bo.store_rows(a, last, a.qd, a.qd_out, b, a.size[DOFS])
                    if ti.static(lay.real == ti.f32):
                        bo.store_rows(a, 0, a.low, a.low_out, b, a.size[QS])

    @kernel(TABLE, "constant", "frames", "scratch", "adjoint", "step_adjoint")
    def advance_adjoint(arrays: ti.template()):
        ti.loop_config(block_dim=lay.block_dim)
        for item in range(arrays.size[ACTIVE] * lay.stride):
            b = item // lay.stride
            if item % lay.stride == 0:
                a = arrays.having(size=at.local(arrays.size, N_SIZES), num=at.local(arrays.num, N_NUMBERS),
                                  solver_numbers=at.local(arrays.solver_numbers, 4), parameters=PARAMETER_TABLE)
                n_controls, n_pushes = N_CONTROLS * a.size[DOFS], 3 * WRENCH_ROWS * a.size[LINKS]
                if a.size[END] == a.size[SUBSTEPS]:
                    bo.load_rows(a, a.gq_in, a.gqpos, b, a.size[QS])
                    bo.load_rows(a, a.gqd_in, a.gqd, b, a.size[DOFS])
                    bo.clear(a, a.gdofs, b, n_controls)
                    bo.clear(a, a.gwrench, b, n_pushes)
                    bo.clear(a, a.gmodel, b, a.size[PARAMETERS])
                    bo.clear(a, a.ggravity, b, 3)
                    ta.to_tangent(a, (n_evaluations * a.size[SUBSTEPS]) % a.size[N_FRAMES], b)
                force = bo.magnitude(a, a.gq, b, a.size[DOFS]) + bo.magnitude(a, a.gqd, b, a.size[DOFS])
                good = bo.healthy(a.status, b)
                if any_lane(good & (force > 0.0)):
                    for behind in range(a.size[END] - a.size[BEGIN]):
                        step = a.size[END] - 1 - behind
                        s = (n_evaluations * step) % a.size[N_FRAMES]
                        su.step_adjoint(a, s, (n_evaluations * (step + 1)) % a.size[N_FRAMES], b)
                bo.keep(a, good, a.gq, b, a.size[DOFS])
                bo.keep(a, good, a.gqd, b, a.size[DOFS])
                bo.keep(a, good, a.gdofs, b, n_controls)
                bo.keep(a, good, a.gwrench, b, n_pushes)
                bo.keep(a, good, a.gmodel, b, a.size[PARAMETERS])
                bo.keep(a, good, a.ggravity, b, 3)
                if a.size[BEGIN] == 0:
                    ta.from_tangent(a, 0, b)
                    bo.keep(a, good, a.gqpos, b, a.size[QS])
                    bo.store_rows(a, 0, a.gqpos, a.gq_out, b, a.size[QS])
                    bo.store_rows(a, 0, a.gqd, a.gqd_out, b, a.size[DOFS])
                    bo.store_rows(a, 0, a.gdofs, a.gdofs_out, b, n_controls)

    return Functions(advance=advance, advance_adjoint=advance_adjoint)
