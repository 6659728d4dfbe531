"""Between rows of torch, one per environment, and lanes of frames; and what happens to an environment that failed.

Of every contact model: what a control step begins and ends with, and its adjoint.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.lanes import absolute, lane, of_lane, where
from genesis.solvers.base import SPEED_LIMIT, SPIN_LIMIT
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.layout import (
    BALL,
    BEGIN,
    DOFS,
    ENVS,
    KIND,
    LINKS,
    N_CONTROLS,
    PARAMETERS,
    QS,
    SLIDE,
    WRENCH_ROWS,
)
from genesis.solvers.rigid.tangent import tangent


@per_runtime
def border() -> Functions:
    lay, ta = layout(), tangent()

    @ti.func
    def note(status: ti.template(), b, total, fastest, step):
        """The first substep, counted from one, after which an environment was not finite any more, or too fast."""
        for j in ti.static(range(lay.width)):
            if (not lay.finite(of_lane(total, j)) or of_lane(fastest, j) > 1.0) and status[lay.width * b + j] == 0:
                status[lay.width * b + j] = step + 1

    @ti.func
    def healthy(status: ti.template(), b):
        """Mask of the environments that stayed finite."""
        codes = lane()
        for j in ti.static(range(lay.width)):
            if ti.static(lay.width == 1):
                codes = ti.cast(status[b], lay.real)
            else:
                codes[j] = ti.cast(status[lay.width * b + j], lay.real)
        return codes < 0.5

    @ti.func
    def magnitude(a: ti.template(), array: ti.template(), b, n):
        """Sum of the absolute values of n numbers of each environment."""
        total = lane()
        for k in range(n):
            v = array[at.item(a, 0, b, k, n)]
            total += ti.max(v, 0.0 - v)
        return total

    @ti.func
    def keep(a: ti.template(), good, array: ti.template(), b, n):
        """Zero in environments that are out."""
        for k in range(n):
            i = at.item(a, 0, b, k, n)
            array[i] = where(good, array[i], lane())

    @ti.func
    def load_rows(a: ti.template(), rows: ti.template(), array: ti.template(), b, n):
        """Into frame 0, from rows of n numbers for each environment. Idle lanes repeat the first environment."""
        for k in range(n):
            v = lane()
            for j in ti.static(range(lay.width)):
                env = lay.width * b + j
                if env >= a.size[ENVS]:
                    env = 0
                if ti.static(lay.width == 1):
                    v = rows[env * n + k]
                else:
                    v[j] = rows[env * n + k]
            array[at.item(a, 0, b, k, n)] = v

    @ti.func
    def store_rows(a: ti.template(), frame, array: ti.template(), rows: ti.template(), b, n):
        """The reverse, from a frame."""
        for k in range(n):
            v = array[at.item(a, frame, b, k, n)]
            for j in ti.static(range(lay.width)):
                env = lay.width * b + j
                if env < a.size[ENVS]:
                    rows[env * n + k] = of_lane(v, j)

    @ti.func
    def clear(a: ti.template(), array: ti.template(), b, n):
        none = lane()
        for k in range(n):
            array[at.item(a, 0, b, k, n)] = none

    @ti.func
    def part_of_limit(a: ti.template(), s, b, j):
        """Speed of dof j, of a ball with its first the largest of three, as a part of its limit."""
        i, part = at.dof_at(a, s, b, j), lane()
        if at.dof(a, j, KIND) == BALL:
            part += (1.0 / SPIN_LIMIT) * absolute(at.get3(a, a.qd, i)).max()
        else:
            limit = 1.0 / SPIN_LIMIT
            if at.dof(a, j, KIND) == SLIDE:
                limit = 1.0 / SPEED_LIMIT
            part += ti.cast(limit, lay.real) * absolute(a.qd[i])
        return part

    @ti.func
    def begin(a: ti.template(), b):
        """Loads the step's tensors, of which frame 0 has the state."""
        for j in ti.static(range(lay.width)):
            a.status[lay.width * b + j] = 0
        load_rows(a, a.q_in, a.q, b, a.size[QS])
        load_rows(a, a.qd_in, a.qd, b, a.size[DOFS])
        if ti.static(lay.real == ti.f32):
            load_rows(a, a.low_in, a.low, b, a.size[QS])
        load_rows(a, a.dofs_in, a.dofs, b, N_CONTROLS * a.size[DOFS])

    @ti.func
    def finish(a: ti.template(), last, b):
        """Stores the state of the last frame."""
        store_rows(a, last, a.q, a.q_out, b, a.size[QS])
        store_rows(a, last, a.qd, a.qd_out, b, a.size[DOFS])
        if ti.static(lay.real == ti.f32):
            store_rows(a, 0, a.low, a.low_out, b, a.size[QS])

    @ti.func
    def begin_adjoint(a: ti.template(), last, b):
        """Loads the cotangents of the state in the last frame, and clears those of the inputs."""
        load_rows(a, a.gq_in, a.gqpos, b, a.size[QS])
        load_rows(a, a.gqd_in, a.gqd, b, a.size[DOFS])
        clear(a, a.gdofs, b, N_CONTROLS * a.size[DOFS])
        clear(a, a.gwrench, b, 3 * WRENCH_ROWS * a.size[LINKS])
        clear(a, a.gmodel, b, a.size[PARAMETERS])
        clear(a, a.ggravity, b, 3)
        ta.to_tangent(a, last, b)

    @ti.func
    def finish_adjoint(a: ti.template(), good, b):
        """Zero cotangents in environments that are out; stores them if these are the step's first substeps."""
        keep(a, good, a.gq, b, a.size[DOFS])
        keep(a, good, a.gqd, b, a.size[DOFS])
        keep(a, good, a.gdofs, b, N_CONTROLS * a.size[DOFS])
        keep(a, good, a.gwrench, b, 3 * WRENCH_ROWS * a.size[LINKS])
        keep(a, good, a.gmodel, b, a.size[PARAMETERS])
        keep(a, good, a.ggravity, b, 3)
        if a.size[BEGIN] == 0:
            ta.from_tangent(a, 0, b)
            keep(a, good, a.gqpos, b, a.size[QS])
            store_rows(a, 0, a.gqpos, a.gq_out, b, a.size[QS])
            store_rows(a, 0, a.gqd, a.gqd_out, b, a.size[DOFS])
            store_rows(a, 0, a.gdofs, a.gdofs_out, b, N_CONTROLS * a.size[DOFS])

    return Functions(note=note, healthy=healthy, magnitude=magnitude, part_of_limit=part_of_limit, begin=begin,
                     finish=finish, begin_adjoint=begin_adjoint, finish_adjoint=finish_adjoint, load_rows=load_rows,
                     store_rows=store_rows, clear=clear, keep=keep)  # fmt: skip
