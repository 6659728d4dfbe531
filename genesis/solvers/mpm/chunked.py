"""Driver: few large environments on several cores. One launch per substep.

Particles are cut into `n_chunks` contiguous ranges, each with a grid of its own (no atomics); grid planes into as many
interleaved slabs. Both numbers are fixed by the scene, so results do not depend on the number of threads. Grids are
indexed by the whole domain; only nodes in the boxes around the chunks are touched.
"""

from genesis.compiler import STRIDE, Functions, layout, per_runtime, ti
from genesis.solvers.mpm.physics import (
    ACTIVE,
    BEGIN,
    CAPACITY,
    CELLS,
    END,
    N_BODIES,
    N_CHUNKS,
    N_COLLIDERS,
    N_ENVS,
    N_FRAMES,
    N_GRIDS,
    N_PARTICLES,
    SUBSTEPS,
    physics,
)  # fmt: skip


@per_runtime
def chunked(models: tuple[str, ...], contact: Functions) -> Functions:
    lay, ph = layout(), physics(models, contact)
    A1, A3, A4, A33, I1, vec4 = lay.A1, lay.A3, lay.A4, lay.A33, lay.I1, lay.vec4
    get4, put4 = lay.get4, lay.put4

    @ti.func
    def share(chunk, size: ti.template()):
        """First particle of a chunk."""
        return (size[N_PARTICLES] * chunk) // size[N_CHUNKS]

    @ti.func
    def plane_box(box: ti.template(), slot, i, size: ti.template()):
        """y and z range [low, high) of the nodes that any chunk touches in plane i; empty if none does."""
        low, high = ti.Vector([size[CELLS + 1], size[CELLS + 2]]), ti.Vector([0, 0])
        for chunk in range(size[N_CHUNKS]):
            at = (slot * size[N_CHUNKS] + chunk) * 6
            if box[at] <= i and i < box[at + 3]:
                for d in ti.static(range(2)):
                    low[d] = ti.min(low[d], box[at + 1 + d])
                    high[d] = ti.max(high[d], box[at + 4 + d])
        return low, high

    @ti.func
    def reduce_plane(parts: ti.template(), whole: ti.template(), box: ti.template(), slot, b, i, to, low, high,
                     size: ti.template()):  # fmt: skip
        """whole[plane i] = sum over chunks, in their order."""
        ny, nz = size[CELLS + 1] + 1, size[CELLS + 2] + 1
        for j in range(low[0], high[0]):
            for k in range(low[1], high[1]):
                put4(whole, to + (i * ny + j) * nz + k, vec4(0.0))
        for chunk in range(size[N_CHUNKS]):
            at = (slot * size[N_CHUNKS] + chunk) * 6
            start = (b * size[N_CHUNKS] + chunk) * size[CAPACITY]
            if box[at] <= i and i < box[at + 3]:
                for j in range(box[at + 1], box[at + 4]):
                    for k in range(box[at + 2], box[at + 5]):
                        c = (i * ny + j) * nz + k
                        put4(whole, to + c, get4(whole, to + c) + get4(parts, start + c))

    @ti.func
    def clear_box(parts: ti.template(), box: ti.template(), at, start, size: ti.template()):
        ny, nz = size[CELLS + 1] + 1, size[CELLS + 2] + 1
        for i in range(box[at], box[at + 3]):
            for j in range(box[at + 1], box[at + 4]):
                for k in range(box[at + 2], box[at + 5]):
                    put4(parts, start + (i * ny + j) * nz + k, vec4(0.0))

    @ti.kernel
    def advance(
        size: I1, nums: A1, body: I1, model: I1, volume: A1, material: A4, gravity: A4, derived: A4, status: I1,
        x: A3, v: A3, C: A33, F: A33, grid: A4, box: I1, stage: A4, moved: A4, parts: A4,
        colliders: A4, shapes: A4, impulse: A4,
    ):  # fmt: skip
        for b in range(size[ACTIVE]):
            if size[BEGIN] == 0:
                status[b] = 0
                ph.derive(material, volume, derived, b, size)
        ti.loop_config(block_dim=1)
        for item in range(size[ACTIVE] * size[N_CHUNKS] * STRIDE):
            b, chunk = item // STRIDE // size[N_CHUNKS], item // STRIDE % size[N_CHUNKS]
            num = ph.numbers(nums)
            if item % STRIDE == 0 and status[b] == 0:
                s, n = size[BEGIN], size[N_PARTICLES]
                q0 = ((s % size[N_FRAMES]) * size[N_ENVS] + b) * n
                q1 = (((s + 1) % size[N_FRAMES]) * size[N_ENVS] + b) * n
                at = (((s % size[N_GRIDS]) * size[N_ENVS] + b) * size[N_CHUNKS] + chunk) * 6
                start = (b * size[N_CHUNKS] + chunk) * size[CAPACITY]
                good, low, high = ph.bounds(x, q0 + share(chunk, size), q0 + share(chunk + 1, size), num, size)
                for d in ti.static(range(3)):
                    box[at + d] = low[d]
                    box[at + 3 + d] = high[d]
                if good:
                    clear_box(parts, box, at, start, size)
                    for p in range(share(chunk, size), share(chunk + 1, size)):
                        e = body[p]
                        ph.stage_particle(v, C, F, stage, derived, model, num, q0 + p, q1 + p, b * n + p,
                                          b * size[N_BODIES] + e, e)  # fmt: skip
                    for p in range(share(chunk, size), share(chunk + 1, size)):
                        ph.scatter_particle(x, stage, parts, num, q0 + p, b * n + p, start, ti.Vector([0, 0, 0]),
                                            size[CELLS + 1] + 1, size[CELLS + 2] + 1)  # fmt: skip
                else:
                    status[b] = ti.max(s, 1)  # the substep before made it
        ti.loop_config(block_dim=1)
        for item in range(size[ACTIVE] * size[N_CHUNKS] * STRIDE):
            b, slab = item // STRIDE // size[N_CHUNKS], item // STRIDE % size[N_CHUNKS]
            num = ph.numbers(nums)
            if item % STRIDE == 0 and status[b] == 0:
                s, g, light = size[BEGIN], get4(gravity, b)[:3], ph.lightest(derived, b, size)
                slot = (s % size[N_GRIDS]) * size[N_ENVS] + b
                at, to = slot * size[CAPACITY], b * size[CAPACITY]
                pose = (s * size[N_ENVS] + b) * size[N_COLLIDERS]
                sums = (slab * size[N_ENVS] + b) * size[N_COLLIDERS]
                for row in range((size[CELLS] + size[N_CHUNKS]) // size[N_CHUNKS]):
                    i = row * size[N_CHUNKS] + slab
                    low, high = plane_box(box, slot, i, size)
                    reduce_plane(parts, grid, box, slot, b, i, at, low, high, size)
                    for j in range(low[0], high[0]):
                        for k in range(low[1], high[1]):
                            c = (i * (size[CELLS + 1] + 1) + j) * (size[CELLS + 2] + 1) + k
                            put4(moved, to + c, ph.node(get4(grid, at + c), ti.Vector([i, j, k]), g, light,
                                 num, size, colliders, shapes, impulse, pose, sums))  # fmt: skip
        ti.loop_config(block_dim=1)
        for item in range(size[ACTIVE] * size[N_CHUNKS] * STRIDE):
            b, chunk = item // STRIDE // size[N_CHUNKS], item // STRIDE % size[N_CHUNKS]
            num = ph.numbers(nums)
            if item % STRIDE == 0 and status[b] == 0:
                s, n = size[BEGIN], size[N_PARTICLES]
                q0 = ((s % size[N_FRAMES]) * size[N_ENVS] + b) * n
                q1 = (((s + 1) % size[N_FRAMES]) * size[N_ENVS] + b) * n
                for p in range(share(chunk, size), share(chunk + 1, size)):
                    ph.gather_particle(x, stage, moved, num, q0 + p, b * n + p, b * size[CAPACITY],
                                       ti.Vector([0, 0, 0]), size[CELLS + 1] + 1, size[CELLS + 2] + 1)  # fmt: skip
                for p in range(share(chunk, size), share(chunk + 1, size)):
                    ph.advance_particle(x, v, C, stage, num, q0 + p, q1 + p, b * n + p)
        ti.loop_config(block_dim=1)
        for item in range(size[ACTIVE] * size[N_CHUNKS] * STRIDE):
            b, chunk = item // STRIDE // size[N_CHUNKS], item // STRIDE % size[N_CHUNKS]
            num = ph.numbers(nums)
            if item % STRIDE == 0 and status[b] == 0 and size[BEGIN] + 1 == size[SUBSTEPS]:
                q1 = ((size[SUBSTEPS] % size[N_FRAMES]) * size[N_ENVS] + b) * size[N_PARTICLES]
                good, low, high = ph.bounds(x, q1 + share(chunk, size), q1 + share(chunk + 1, size), num, size)
                if not good:
                    status[b] = size[SUBSTEPS]

    @ti.kernel
    def advance_adjoint(
        size: I1, nums: A1, body: I1, model: I1, volume: A1, material: A4, gravity: A4, derived: A4, pulled: I1,
        x: A3, v: A3, C: A33, F: A33, grid: A4, box: I1, moved: A4, gmoved: A4, parts: A4,
        gx: A3, gv: A3, gC: A33, gF: A33, gmaterial: A4, ggravity: A4,
        colliders: A4, shapes: A4, memo: A4, gimpulse: A4, gcolliders: A4,
    ):  # fmt: skip
        """Substep `size[END] - 1`."""
        ti.loop_config(block_dim=1)
        for item in range(size[ACTIVE] * size[N_CHUNKS] * STRIDE):
            b, slab = item // STRIDE // size[N_CHUNKS], item // STRIDE % size[N_CHUNKS]
            num = ph.numbers(nums)
            if item % STRIDE == 0 and pulled[b] != 0:
                s, g, light = size[END] - 1, get4(gravity, b)[:3], ph.lightest(derived, b, size)
                slot = (s % size[N_GRIDS]) * size[N_ENVS] + b
                at, to = slot * size[CAPACITY], b * size[CAPACITY]
                pose = (s * size[N_ENVS] + b) * size[N_COLLIDERS]
                for row in range((size[CELLS] + size[N_CHUNKS]) // size[N_CHUNKS]):
                    i = row * size[N_CHUNKS] + slab
                    low, high = plane_box(box, slot, i, size)
                    for j in range(low[0], high[0]):
                        for k in range(low[1], high[1]):
                            c = (i * (size[CELLS + 1] + 1) + j) * (size[CELLS + 2] + 1) + k
                            put4(moved, to + c, ph.trace_node(get4(grid, at + c), ti.Vector([i, j, k]), g, light,
                                 num, size, colliders, shapes, memo, pose, (to + c) * size[N_COLLIDERS]))  # fmt: skip
        ti.loop_config(block_dim=1)
        for item in range(size[ACTIVE] * size[N_CHUNKS] * STRIDE):
            b, chunk = item // STRIDE // size[N_CHUNKS], item // STRIDE % size[N_CHUNKS]
            num = ph.numbers(nums)
            if item % STRIDE == 0 and pulled[b] != 0:
                s, n = size[END] - 1, size[N_PARTICLES]
                q0 = ((s % size[N_FRAMES]) * size[N_ENVS] + b) * n
                at = (((s % size[N_GRIDS]) * size[N_ENVS] + b) * size[N_CHUNKS] + chunk) * 6
                start = (b * size[N_CHUNKS] + chunk) * size[CAPACITY]
                clear_box(parts, box, at, start, size)
                for p in range(share(chunk, size), share(chunk + 1, size)):
                    ph.project_particle(x, moved, parts, gx, gv, gC, num, q0 + p, b * n + p, b * size[CAPACITY], start,
                                        ti.Vector([0, 0, 0]), size[CELLS + 1] + 1, size[CELLS + 2] + 1)  # fmt: skip
        ti.loop_config(block_dim=1)
        for item in range(size[ACTIVE] * size[N_CHUNKS] * STRIDE):
            b, slab = item // STRIDE // size[N_CHUNKS], item // STRIDE % size[N_CHUNKS]
            num = ph.numbers(nums)
            if item % STRIDE == 0 and pulled[b] != 0:
                s, g, light = size[END] - 1, get4(gravity, b)[:3], ph.lightest(derived, b, size)
                slot = (s % size[N_GRIDS]) * size[N_ENVS] + b
                at, to = slot * size[CAPACITY], b * size[CAPACITY]
                pose = (s * size[N_ENVS] + b) * size[N_COLLIDERS]
                gpose = ((s * size[N_CHUNKS] + slab) * size[N_ENVS] + b) * size[N_COLLIDERS]
                sums = slab * size[N_ENVS] + b
                ggravity_sum = get4(ggravity, sums)
                for row in range((size[CELLS] + size[N_CHUNKS]) // size[N_CHUNKS]):
                    i = row * size[N_CHUNKS] + slab
                    low, high = plane_box(box, slot, i, size)
                    reduce_plane(parts, gmoved, box, slot, b, i, to, low, high, size)
                    for j in range(low[0], high[0]):
                        for k in range(low[1], high[1]):
                            c = (i * (size[CELLS + 1] + 1) + j) * (size[CELLS + 2] + 1) + k
                            gnode, gg = ph.release_node(
                                get4(grid, at + c), get4(moved, to + c), get4(gmoved, to + c), ti.Vector([i, j, k]), g,
                                light, num, size, colliders, shapes, memo, gimpulse, gcolliders, pose, gpose,
                                b * size[N_COLLIDERS], (to + c) * size[N_COLLIDERS])  # fmt: skip
                            put4(gmoved, to + c, gnode)
                            ggravity_sum += vec4(gg[0], gg[1], gg[2], 0.0)
                put4(ggravity, sums, ggravity_sum)
        ti.loop_config(block_dim=1)
        for item in range(size[ACTIVE] * size[N_CHUNKS] * STRIDE):
            b, chunk = item // STRIDE // size[N_CHUNKS], item // STRIDE % size[N_CHUNKS]
            num = ph.numbers(nums)
            if item % STRIDE == 0 and pulled[b] != 0:
                s, n = size[END] - 1, size[N_PARTICLES]
                q0 = ((s % size[N_FRAMES]) * size[N_ENVS] + b) * n
                first = (chunk * size[N_ENVS] + b) * size[N_BODIES]
                for p in range(share(chunk, size), share(chunk + 1, size)):
                    e = body[p]
                    ph.release_particle(x, v, C, F, gmoved, gx, gv, gC, gF, derived, gmaterial, model, num,
                                        q0 + p, b * n + p, b * size[N_BODIES] + e, first + e, e, b * size[CAPACITY],
                                        ti.Vector([0, 0, 0]), size[CELLS + 1] + 1, size[CELLS + 2] + 1)  # fmt: skip
                if s == 0:
                    for e in range(size[N_BODIES]):
                        ph.derive_adjoint(material, volume, gmaterial, b * size[N_BODIES] + e, first + e, e)

    return Functions(advance=advance, advance_adjoint=advance_adjoint)
