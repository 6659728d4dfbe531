"""Between rows of torch, one per environment, and lanes of frames; and what happens to an environment that failed."""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.lanes import lane, of_lane, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.layout import ENVS


@per_runtime
def border() -> Functions:
    lay = layout()

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

    return Functions(note=note, healthy=healthy, magnitude=magnitude, keep=keep, load_rows=load_rows,
                     store_rows=store_rows, clear=clear)  # fmt: skip
