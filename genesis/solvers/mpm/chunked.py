"""Driver: few large environments on several cores. One launch per substep.

Particles are cut into `n_chunks` contiguous ranges, each with a grid of its own (no atomics); grid planes into as many
interleaved slabs. Both numbers are fixed by the scene, so results do not depend on the number of threads. Grids are
indexed by the whole domain; only nodes in the boxes around the chunks are touched.
"""

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
    CELLS,
    CLAMPED,
    FORWARD,
    N_BODIES,
    N_CHUNKS,
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
def chunked(models: tuple[Model, ...], added: tuple[str, ...], contact: Functions, table: Table) -> Functions:
    lay, ph = layout(), physics(models, added, contact)
    get4, put4, vec4 = lay.get4, lay.put4, lay.vec4

    @ti.func
    def share(chunk, a: ti.template()):
        """First particle of a chunk."""
        return (a.size[N_PARTICLES] * chunk) // a.size[N_CHUNKS]

    @ti.func
    def frame(s, b, a: ti.template()):
        """Index of an environment's first particle in the frame before substep s."""
        return ((s % a.size[N_FRAMES]) * a.size[N_ENVS] + b) * a.size[N_PARTICLES]

    @ti.func
    def slot_of(s, b, a: ti.template()):
        """Which grid of the frames is that of substep s."""
        return (s % a.size[N_GRIDS]) * a.size[N_ENVS] + b

    @ti.func
    def node_at(i, j, k, a: ti.template()):
        return (i * (a.size[CELLS + 1] + 1) + j) * (a.size[CELLS + 2] + 1) + k

    @ti.func
    def plane_box(slot, i, a: ti.template()):
        """y and z range [low, high) of the nodes that any chunk touches in plane i; empty if none does."""
        low, high = ti.Vector([a.size[CELLS + 1], a.size[CELLS + 2]]), ti.Vector([0, 0])
        for chunk in range(a.size[N_CHUNKS]):
            at = (slot * a.size[N_CHUNKS] + chunk) * 6
            if a.box[at] <= i and i < a.box[at + 3]:
                for d in ti.static(range(2)):
                    low[d] = ti.min(low[d], a.box[at + 1 + d])
                    high[d] = ti.max(high[d], a.box[at + 4 + d])
        return low, high

    @ti.func
    def reduce_plane(whole: ti.template(), parts: ti.template(), slot, b, i, to, low, high, a: ti.template()):
        """whole[plane i] = sum of the chunks' parts, in their order."""
        for j in range(low[0], high[0]):
            for k in range(low[1], high[1]):
                put4(whole, to + node_at(i, j, k, a), vec4(0.0))
        for chunk in range(a.size[N_CHUNKS]):
            at = (slot * a.size[N_CHUNKS] + chunk) * 6
            start = (b * a.size[N_CHUNKS] + chunk) * a.size[CAPACITY]
            if a.box[at] <= i and i < a.box[at + 3]:
                for j in range(a.box[at + 1], a.box[at + 4]):
                    for k in range(a.box[at + 2], a.box[at + 5]):
                        c = node_at(i, j, k, a)
                        put4(whole, to + c, get4(whole, to + c) + get4(parts, start + c))

    @ti.func
    def reduce_sums(slot, b, i, to, low, high, a: ti.template()):
        """Plane i of `grid` and, where a particle is attached, of `clamp`."""
        reduce_plane(a.grid, a.parts, slot, b, i, to, low, high, a)
        if a.size[CLAMPED] != 0:
            reduce_plane(a.clamp, a.clamp_parts, slot, b, i, to, low, high, a)

    @ti.func
    def clear_box(at, start, a: ti.template()):
        for i in range(a.box[at], a.box[at + 3]):
            for j in range(a.box[at + 1], a.box[at + 4]):
                for k in range(a.box[at + 2], a.box[at + 5]):
                    put4(a.parts, start + node_at(i, j, k, a), vec4(0.0))
                    if a.size[CLAMPED] != 0:
                        put4(a.clamp_parts, start + node_at(i, j, k, a), vec4(0.0))

    @kernel(table, *FORWARD)
    def advance(arrays: ti.template()):
        """Substep `size[BEGIN]`."""
        for b in range(arrays.size[ACTIVE]):
            if arrays.size[BEGIN] == 0 and arrays.size[PART] != AFTER:
                arrays.status[b] = 0
                ph.derive(b, arrays)
        ti.loop_config(block_dim=1)
        for item in range(arrays.size[ACTIVE] * arrays.size[N_CHUNKS] * STRIDE):
            b, chunk = item // STRIDE // arrays.size[N_CHUNKS], item // STRIDE % arrays.size[N_CHUNKS]
            num = ph.numbers(arrays)
            a = arrays.having(num=num)
            if item % STRIDE == 0 and a.size[PART] != AFTER:
                ph.clear_offers(b, chunk, a)
            if item % STRIDE == 0 and a.status[b] == 0 and a.size[PART] != AFTER:
                s, n = a.size[BEGIN], a.size[N_PARTICLES]
                q0, q1 = frame(s, b, a), frame(s + 1, b, a)
                at = (slot_of(s, b, a) * a.size[N_CHUNKS] + chunk) * 6
                start = (b * a.size[N_CHUNKS] + chunk) * a.size[CAPACITY]
                first = share(chunk, a)
                good, low, high = ph.bounds(q0 + first, b * n + first, share(chunk + 1, a) - first, a)
                for d in ti.static(range(3)):
                    a.box[at + d] = low[d]
                    a.box[at + 3 + d] = high[d]
                if good:
                    clear_box(at, start, a)
                    for p in range(share(chunk, a), share(chunk + 1, a)):
                        ph.locate(q0 + p, b * n + p, ph.domain_box(0, a), a)
                    ph.stage_all(share(chunk, a), share(chunk + 1, a), q0, q1, b * n, b * a.size[N_BODIES], s, a)
                    for p in range(share(chunk, a), share(chunk + 1, a)):
                        ph.p2g_particle(a.parts, q0 + p, b * n + p, ph.domain_box(start, a), a)
                    if a.size[CLAMPED] != 0:
                        for p in range(share(chunk, a), share(chunk + 1, a)):
                            ph.p2g_clamp(a.clamp_parts, q0 + p, b * n + p, ph.domain_box(start, a), a)
                else:
                    a.status[b] = ti.max(s, 1)  # the substep before made it
        ti.loop_config(block_dim=1)
        for item in range(arrays.size[ACTIVE] * arrays.size[N_CHUNKS] * STRIDE):
            b, slab = item // STRIDE // arrays.size[N_CHUNKS], item // STRIDE % arrays.size[N_CHUNKS]
            num = ph.numbers(arrays)
            a = arrays.having(num=num)
            if item % STRIDE == 0 and a.status[b] == 0:
                s, light = a.size[BEGIN], ph.lightest(b, a)
                slot = slot_of(s, b, a)
                at, to = slot * a.size[CAPACITY], b * a.size[CAPACITY]
                for row in range((a.size[CELLS] + a.size[N_CHUNKS]) // a.size[N_CHUNKS]):
                    i = row * a.size[N_CHUNKS] + slab
                    low, high = plane_box(slot, i, a)
                    if a.size[PART] != AFTER:
                        reduce_sums(slot, b, i, at, low, high, a)
                        for j in range(low[0], high[0]):
                            for k in range(low[1], high[1]):
                                c, place = node_at(i, j, k, a), ti.Vector([i, j, k])
                                grid, clamp = get4(a.grid, at + c), ph.clamped(at + c, a)
                                put4(a.moved, to + c, ph.node(grid, clamp, place, light, s, b, slab, to + c, a))
                if a.size[PART] != BEFORE:
                    ph.offered_nodes(s, b, slab, a)
        ti.loop_config(block_dim=1)
        for item in range(arrays.size[ACTIVE] * arrays.size[N_CHUNKS] * STRIDE):
            b, chunk = item // STRIDE // arrays.size[N_CHUNKS], item // STRIDE % arrays.size[N_CHUNKS]
            num = ph.numbers(arrays)
            a = arrays.having(num=num)
            if item % STRIDE == 0 and a.status[b] == 0 and a.size[PART] != BEFORE:
                s, n = a.size[BEGIN], a.size[N_PARTICLES]
                q0, q1 = frame(s, b, a), frame(s + 1, b, a)
                for p in range(share(chunk, a), share(chunk + 1, a)):
                    ph.g2p_particle(q0 + p, q1 + p, b * n + p, ph.domain_box(b * a.size[CAPACITY], a), a)
        ti.loop_config(block_dim=1)
        for item in range(arrays.size[ACTIVE] * arrays.size[N_CHUNKS] * STRIDE):
            b, chunk = item // STRIDE // arrays.size[N_CHUNKS], item // STRIDE % arrays.size[N_CHUNKS]
            num = ph.numbers(arrays)
            a = arrays.having(num=num)
            last = a.size[BEGIN] + 1 == a.size[SUBSTEPS] and a.size[PART] != BEFORE
            if item % STRIDE == 0 and a.status[b] == 0 and last:
                q1, first = frame(a.size[SUBSTEPS], b, a), share(chunk, a)
                good, low, high = ph.bounds(q1 + first, b * a.size[N_PARTICLES] + first, share(chunk + 1, a) - first, a)
                if not good:
                    a.status[b] = a.size[SUBSTEPS]

    @kernel(table, *BACKWARD)
    def advance_adjoint(arrays: ti.template()):
        """Substep `size[BEGIN]`."""
        ti.loop_config(block_dim=1)
        for item in range(arrays.size[ACTIVE] * arrays.size[N_CHUNKS] * STRIDE):
            b, slab = item // STRIDE // arrays.size[N_CHUNKS], item // STRIDE % arrays.size[N_CHUNKS]
            num = ph.numbers(arrays)
            a = arrays.having(num=num)
            if item % STRIDE == 0 and a.size[PART] != BEFORE:
                ph.clear_offers(b, slab, a)
            if item % STRIDE == 0 and a.live[b] != 0 and a.size[PART] != BEFORE:
                s, light = a.size[BEGIN], ph.lightest(b, a)
                slot = slot_of(s, b, a)
                at, to = slot * a.size[CAPACITY], b * a.size[CAPACITY]
                for row in range((a.size[CELLS] + a.size[N_CHUNKS]) // a.size[N_CHUNKS]):
                    i = row * a.size[N_CHUNKS] + slab
                    low, high = plane_box(slot, i, a)
                    for j in range(low[0], high[0]):
                        for k in range(low[1], high[1]):
                            c = node_at(i, j, k, a)
                            grid, clamp = get4(a.grid, at + c), ph.clamped(at + c, a)
                            put4(a.moved, to + c, ph.trace_node(grid, clamp, ti.Vector([i, j, k]), light, s, b, slab,
                                                                to + c, a))  # fmt: skip
        ti.loop_config(block_dim=1)
        for item in range(arrays.size[ACTIVE] * arrays.size[N_CHUNKS] * STRIDE):
            b, chunk = item // STRIDE // arrays.size[N_CHUNKS], item // STRIDE % arrays.size[N_CHUNKS]
            num = ph.numbers(arrays)
            a = arrays.having(num=num)
            if item % STRIDE == 0 and a.live[b] != 0 and a.size[PART] != BEFORE:
                s, n = a.size[BEGIN], a.size[N_PARTICLES]
                start = (b * a.size[N_CHUNKS] + chunk) * a.size[CAPACITY]
                clear_box((slot_of(s, b, a) * a.size[N_CHUNKS] + chunk) * 6, start, a)
                for p in range(share(chunk, a), share(chunk + 1, a)):
                    ph.locate(frame(s, b, a) + p, b * n + p, ph.domain_box(0, a), a)
                for p in range(share(chunk, a), share(chunk + 1, a)):
                    ph.project_particle(a.parts, frame(s, b, a) + p, b * n + p,
                                        ph.domain_box(b * a.size[CAPACITY], a), start, a)  # fmt: skip
        ti.loop_config(block_dim=1)
        for item in range(arrays.size[ACTIVE] * arrays.size[N_CHUNKS] * STRIDE):
            b, slab = item // STRIDE // arrays.size[N_CHUNKS], item // STRIDE % arrays.size[N_CHUNKS]
            num = ph.numbers(arrays)
            a = arrays.having(num=num)
            if item % STRIDE == 0 and a.live[b] != 0:
                s, light = a.size[BEGIN], ph.lightest(b, a)
                slot = slot_of(s, b, a)
                at, to = slot * a.size[CAPACITY], b * a.size[CAPACITY]
                sums = slab * a.size[N_ENVS] + b
                ggravity_sum = get4(a.ggravity, sums)
                for row in range((a.size[CELLS] + a.size[N_CHUNKS]) // a.size[N_CHUNKS]):
                    i = row * a.size[N_CHUNKS] + slab
                    low, high = plane_box(slot, i, a)
                    if a.size[PART] != BEFORE:
                        reduce_plane(a.gmoved, a.parts, slot, b, i, to, low, high, a)
                    if a.size[PART] != AFTER:
                        for j in range(low[0], high[0]):
                            for k in range(low[1], high[1]):
                                c = node_at(i, j, k, a)
                                grid, clamp = get4(a.grid, at + c), ph.clamped(at + c, a)
                                ggravity_sum += ph.release_node(grid, clamp, ti.Vector([i, j, k]), light, s, b, slab,
                                                                to + c, a)  # fmt: skip
                put4(a.ggravity, sums, ggravity_sum)
                if a.size[PART] != BEFORE:
                    ph.offered_nodes_adjoint(b, slab, a)
        ti.loop_config(block_dim=1)
        for item in range(arrays.size[ACTIVE] * arrays.size[N_CHUNKS] * STRIDE):
            b, chunk = item // STRIDE // arrays.size[N_CHUNKS], item // STRIDE % arrays.size[N_CHUNKS]
            num = ph.numbers(arrays)
            a = arrays.having(num=num)
            if item % STRIDE == 0 and a.live[b] != 0 and a.size[PART] != AFTER:
                s, n = a.size[BEGIN], a.size[N_PARTICLES]
                first = (chunk * a.size[N_ENVS] + b) * a.size[N_BODIES]
                ph.release_all(share(chunk, a), share(chunk + 1, a), frame(s, b, a), b * n, b * a.size[N_BODIES], first,
                               s, ph.domain_box(b * a.size[CAPACITY], a), a)  # fmt: skip
                if s == 0:
                    for e in range(a.size[N_BODIES]):
                        ph.derive_adjoint(b * a.size[N_BODIES] + e, first + e, e, a)

    return Functions(advance=advance, advance_adjoint=advance_adjoint)
