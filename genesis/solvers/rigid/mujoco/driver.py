"""The kernels: all substeps of a control step in one launch, a block of environments per thread; and its adjoint."""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.launch import kernel
from genesis.math.lanes import any_lane, lane, of_lane
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
    N_FRAMES,
    N_NUMBERS,
    N_SIZES,
    POINTS,
    Q_INDEX,
    QS,
    SUBSTEPS,
    WRENCH_ROWS,
)
from genesis.solvers.rigid.mocap import mocaps
from genesis.solvers.rigid.mujoco.actuators import actuators
from genesis.solvers.rigid.mujoco.layout import EVALUATIONS, N_SOLVER_NUMBERS, PARAMETER_TABLE, Features, table_of
from genesis.solvers.rigid.mujoco.substep import substeps


@per_runtime
def driver(features: Features) -> Functions:
    lay, bo, su, table = layout(), border(), substeps(features), table_of(features)
    ac = actuators(features) if features.actuators else None
    mo = mocaps() if features.mocaps else None
    n_evaluations = EVALUATIONS[features.integrator]

    @ti.func
    def condition(a: ti.template(), s, b):
        """The sum of positions and velocities in frame s, to be finite, and the largest velocity as a part of its
        limit."""
        total, fastest, j = lane(), lane(), 0
        while j < a.size[DOFS]:
            q, i = at.q_at(a, s, b, at.dof(a, j, Q_INDEX)), at.dof_at(a, s, b, j)
            fastest = ti.max(fastest, bo.part_of_limit(a, s, b, j))
            if at.dof(a, j, KIND) == BALL:
                total += at.get4(a, a.q, q).sum() + at.get3(a, a.qd, i).sum()
                j += 3
            else:
                total += a.q[q] + a.qd[i]
                j += 1
        if ti.static(features.actuators):
            total += ac.condition(a, s, b)
        return total, fastest

    @ti.func
    def count_open(unconverged: ti.template(), b, open_):
        for j in ti.static(range(lay.width)):
            unconverged[lay.width * b + j] += ti.cast(of_lane(open_, j) + 0.5, ti.i32)

    @kernel(table, "constant", "frames", "scratch", "step")
    def advance(arrays: ti.template()):
        ti.loop_config(block_dim=lay.block_dim)
        for item in range(arrays.size[ACTIVE] * lay.stride):
            b = item // lay.stride
            if item % lay.stride == 0:
                sized = arrays.having(size=at.counts(arrays.size, N_SIZES), num=at.local(arrays.num, N_NUMBERS),
                                      solver_numbers=at.local(arrays.solver_numbers, N_SOLVER_NUMBERS))  # fmt: skip
                a = sized.having(blocks=at.blocks(sized, PARAMETER_TABLE))
                if a.size[BEGIN] == 0:
                    for j in ti.static(range(lay.width)):
                        a.unconverged[lay.width * b + j] = 0
                    bo.begin(a, b)
                    if ti.static(features.actuators):
                        ac.begin(a, b)
                for step in range(a.size[BEGIN], a.size[END]):
                    s, then = (n_evaluations * step) % a.size[N_FRAMES], (n_evaluations * (step + 1)) % a.size[N_FRAMES]
                    last = 0.0
                    if step == a.size[SUBSTEPS] - 1:
                        last = 1.0
                    count_open(a.unconverged, b, su.step(a.having(last=last), s, then, b, step > 0))
                    total, fastest = condition(a, then, b)
                    bo.note(a.status, b, total, fastest, step)
                if a.size[END] == a.size[SUBSTEPS]:
                    bo.finish(a, (n_evaluations * a.size[SUBSTEPS]) % a.size[N_FRAMES], b)
                    if ti.static(features.actuators):
                        ac.finish(a, (n_evaluations * a.size[SUBSTEPS]) % a.size[N_FRAMES], b)

    @kernel(table, "constant", "frames", "scratch", "adjoint", "step_adjoint")
    def advance_adjoint(arrays: ti.template()):
        ti.loop_config(block_dim=lay.block_dim)
        for item in range(arrays.size[ACTIVE] * lay.stride):
            b = item // lay.stride
            if item % lay.stride == 0:
                sized = arrays.having(size=at.counts(arrays.size, N_SIZES), num=at.local(arrays.num, N_NUMBERS),
                                      solver_numbers=at.local(arrays.solver_numbers, N_SOLVER_NUMBERS))  # fmt: skip
                a = sized.having(blocks=at.blocks(sized, PARAMETER_TABLE))
                if a.size[END] == a.size[SUBSTEPS]:
                    bo.begin_adjoint(a, (n_evaluations * a.size[SUBSTEPS]) % a.size[N_FRAMES], b)
                    if ti.static(features.mocaps):
                        mo.begin_adjoint(a, b)
                    if ti.static(features.actuators):
                        ac.begin_adjoint(a, b)
                force = bo.magnitude(a, a.gq, b, a.size[DOFS]) + bo.magnitude(a, a.gqd, b, a.size[DOFS])
                if ti.static(features.outputs):
                    force += bo.magnitude(a, a.gcontacts, b, 6 * a.size[POINTS])
                    force += bo.magnitude(a, a.gjoint, b, 3 * WRENCH_ROWS * a.size[LINKS])
                if ti.static(features.last):
                    force += bo.magnitude(a, a.glast_q, b, a.size[QS]) + bo.magnitude(a, a.glast_qd, b, a.size[DOFS])
                    force += bo.magnitude(a, a.glast_contacts, b, 6 * a.size[POINTS])
                    force += bo.magnitude(a, a.glast_joint, b, 3 * WRENCH_ROWS * a.size[LINKS])
                if ti.static(features.actuators):
                    force += ac.magnitude(a, b)
                good = bo.healthy(a.status, b)
                if any_lane(good & (force > 0.0)):
                    for behind in range(a.size[END] - a.size[BEGIN]):
                        step = a.size[END] - 1 - behind
                        s, last = (n_evaluations * step) % a.size[N_FRAMES], 0.0
                        if step == a.size[SUBSTEPS] - 1:
                            last = 1.0
                        then = (n_evaluations * (step + 1)) % a.size[N_FRAMES]
                        su.step_adjoint(a.having(last=last), s, then, b)
                bo.finish_adjoint(a, good, b)
                if ti.static(features.mocaps):
                    mo.finish_adjoint(a, good, b)
                if ti.static(features.actuators):
                    ac.finish_adjoint(a, good, b)

    return Functions(advance=advance, advance_adjoint=advance_adjoint)
