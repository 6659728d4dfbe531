"""Driver: one environment per thread, all substeps in one launch. For many environments on a CPU."""

from genesis.arrays import Table
from genesis.compiler import STRIDE, Functions, layout, per_runtime, ti
from genesis.launch import kernel
from genesis.solvers.mpm.arrays import (
    ACTIVE,
    AFTER,
    BACKWARD,
    BEFORE,
    BEGIN,
    CAPACITY,
    CLAMPED,
    END,
    FORWARD,
    N_BODIES,
    N_ENVS,
    N_FRAMES,
    N_GRIDS,
    N_PARTICLES,
    PART,
    SUBSTEPS,
)  # fmt: skip
from genesis.solvers.mpm.models import Model
from genesis.solvers.mpm.physics import physics


@per_runtime
def fused(models: tuple[Model, ...], added: tuple[str, ...], contact: Functions, table: Table) -> Functions:
    lay, ph = layout(), physics(models, added, contact)
    get4, put4, vec4 = lay.get4, lay.put4, lay.vec4

    @ti.func
    def covered(slot, a: ti.template()):
        """Lowest node and shape of the box of nodes of a grid."""
        low = ti.Vector([a.box[slot * 6], a.box[slot * 6 + 1], a.box[slot * 6 + 2]])
        return low, ti.Vector([a.box[slot * 6 + 3], a.box[slot * 6 + 4], a.box[slot * 6 + 5]]) - low

    @kernel(table, *FORWARD)
    def advance(arrays: ti.template()):
        ti.loop_config(block_dim=1)
        for item in range(arrays.size[ACTIVE] * STRIDE):
            b = item // STRIDE
            if item % STRIDE == 0:
                num = ph.numbers(arrays)
                a = arrays.having(num=num)
                n = a.size[N_PARTICLES]
                if a.size[BEGIN] == 0:
                    a.status[b] = 0
                    ph.derive(b, a)
                light = ph.lightest(b, a)
                for s in range(a.size[BEGIN], a.size[END]):
                    q0 = ((s % a.size[N_FRAMES]) * a.size[N_ENVS] + b) * n
                    q1 = (((s + 1) % a.size[N_FRAMES]) * a.size[N_ENVS] + b) * n
                    slot = (s % a.size[N_GRIDS]) * a.size[N_ENVS] + b
                    at, to = slot * a.size[CAPACITY], b * a.size[CAPACITY]
                    if a.size[PART] != AFTER:
                        ph.clear_offers(b, 0, a)
                        good, low, high = ph.bounds(q0, b * n, n, a)
                        if a.status[b] == 0 and not good:
                            a.status[b] = ti.max(s, 1)  # the substep before made it
                        for d in ti.static(range(3)):
                            a.box[slot * 6 + d] = low[d]
                            a.box[slot * 6 + 3 + d] = high[d]
                    if a.status[b] != 0:
                        break
                    low, shape = covered(slot, a)
                    if a.size[PART] != AFTER:
                        for c in range(shape[0] * shape[1] * shape[2]):
                            put4(a.grid, at + c, vec4(0.0))
                            if a.size[CLAMPED] != 0:
                                put4(a.clamp, at + c, vec4(0.0))
                        for p in range(n):
                            ph.locate(q0 + p, b * n + p, ph.grid_box(0, low, shape), a)
                        ph.stage_all(0, n, q0, q1, b * n, b * a.size[N_BODIES], s, a)
                        for p in range(n):
                            ph.p2g_particle(a.grid, q0 + p, b * n + p, ph.grid_box(at, low, shape), a)
                        if a.size[CLAMPED] != 0:
                            for p in range(n):
                                ph.p2g_clamp(a.clamp, q0 + p, b * n + p, ph.grid_box(at, low, shape), a)
                        for i in range(shape[0]):
                            for j in range(shape[1]):
                                for k in range(shape[2]):
                                    c = (i * shape[1] + j) * shape[2] + k
                                    grid, clamp = get4(a.grid, at + c), ph.clamped(at + c, a)
                                    put4(a.moved, to + c, ph.node(grid, clamp, low + ti.Vector([i, j, k]), light, s, b,
                                                                  0, to + c, a))  # fmt: skip
                    if a.size[PART] != BEFORE:
                        ph.offered_nodes(s, b, 0, a)
                        for p in range(n):
                            ph.g2p_particle(q0 + p, q1 + p, b * n + p, ph.grid_box(to, low, shape), a)
                if a.status[b] == 0 and a.size[END] == a.size[SUBSTEPS] and a.size[PART] != BEFORE:
                    last = ((a.size[END] % a.size[N_FRAMES]) * a.size[N_ENVS] + b) * n
                    good, low, high = ph.bounds(last, b * n, n, a)
                    if not good:
                        a.status[b] = a.size[END]

    @kernel(table, *BACKWARD)
    def advance_adjoint(arrays: ti.template()):
        ti.loop_config(block_dim=1)
        for item in range(arrays.size[ACTIVE] * STRIDE):
            b = item // STRIDE
            if item % STRIDE == 0 and arrays.size[PART] != BEFORE:
                ph.clear_offers(b, 0, arrays)
            if item % STRIDE == 0 and arrays.live[b] != 0:
                num = ph.numbers(arrays)
                a = arrays.having(num=num)
                n = a.size[N_PARTICLES]
                light = ph.lightest(b, a)
                for back in range(a.size[END] - a.size[BEGIN]):
                    s = a.size[END] - 1 - back
                    q0 = ((s % a.size[N_FRAMES]) * a.size[N_ENVS] + b) * n
                    slot = (s % a.size[N_GRIDS]) * a.size[N_ENVS] + b
                    at, to = slot * a.size[CAPACITY], b * a.size[CAPACITY]
                    low, shape = covered(slot, a)
                    if a.size[PART] != BEFORE:
                        for p in range(n):
                            ph.locate(q0 + p, b * n + p, ph.grid_box(0, low, shape), a)
                        for i in range(shape[0]):
                            for j in range(shape[1]):
                                for k in range(shape[2]):
                                    c = (i * shape[1] + j) * shape[2] + k
                                    grid, clamp = get4(a.grid, at + c), ph.clamped(at + c, a)
                                    put4(a.moved, to + c, ph.trace_node(grid, clamp, low + ti.Vector([i, j, k]), light,
                                                                        s, b, 0, to + c, a))  # fmt: skip
                                    put4(a.gmoved, to + c, vec4(0.0))
                        for p in range(n):
                            ph.project_particle(a.gmoved, q0 + p, b * n + p, ph.grid_box(to, low, shape), to, a)
                        ph.offered_nodes_adjoint(b, 0, a)
                    if a.size[PART] != AFTER:
                        ggravity_sum = get4(a.ggravity, b)
                        for i in range(shape[0]):
                            for j in range(shape[1]):
                                for k in range(shape[2]):
                                    c = (i * shape[1] + j) * shape[2] + k
                                    grid, clamp = get4(a.grid, at + c), ph.clamped(at + c, a)
                                    ggravity_sum += ph.release_node(grid, clamp, low + ti.Vector([i, j, k]), light, s,
                                                                    b, 0, to + c, a)  # fmt: skip
                        put4(a.ggravity, b, ggravity_sum)
                        c = b * a.size[N_BODIES]
                        ph.release_all(0, n, q0, b * n, c, c, s, ph.grid_box(to, low, shape), a)
                if a.size[BEGIN] == 0 and a.size[PART] != AFTER:
                    for e in range(a.size[N_BODIES]):
                        c = b * a.size[N_BODIES] + e
                        ph.derive_adjoint(c, c, e, a)

    return Functions(advance=advance, advance_adjoint=advance_adjoint)
