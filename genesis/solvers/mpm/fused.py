"""Driver: one environment per thread, all substeps in one launch. For many environments on a CPU."""

from genesis.compiler import STRIDE, Functions, layout, per_runtime, ti
from genesis.solvers.mpm.physics import (
    ACTIVE,
    BEGIN,
    CAPACITY,
    END,
    N_BODIES,
    N_COLLIDERS,
    N_ENVS,
    N_FRAMES,
    N_GRIDS,
    N_PARTICLES,
    SUBSTEPS,
    physics,
)  # fmt: skip


@per_runtime
def fused(models: tuple[str, ...], contact: Functions) -> Functions:
    lay, ph = layout(), physics(models, contact)
    A1, A3, A4, A33, I1, vec4 = lay.A1, lay.A3, lay.A4, lay.A33, lay.I1, lay.vec4
    get4, put4 = lay.get4, lay.put4

    @ti.kernel
    def advance(
        size: I1, nums: A1, body: I1, model: I1, volume: A1, material: A4, gravity: A4, derived: A4, status: I1,
        x: A3, v: A3, C: A33, F: A33, grid: A4, box: I1, stage: A4, moved: A4,
        colliders: A4, shapes: A4, impulse: A4,
    ):  # fmt: skip
        ti.loop_config(block_dim=1)
        for item in range(size[ACTIVE] * STRIDE):
            b = item // STRIDE
            if item % STRIDE == 0:
                n, num = size[N_PARTICLES], ph.numbers(nums)
                g = get4(gravity, b)[:3]
                if size[BEGIN] == 0:
                    status[b] = 0
                    ph.derive(material, volume, derived, b, size)
                light = ph.lightest(derived, b, size)
                for s in range(size[BEGIN], size[END]):
                    q0 = ((s % size[N_FRAMES]) * size[N_ENVS] + b) * n
                    q1 = (((s + 1) % size[N_FRAMES]) * size[N_ENVS] + b) * n
                    slot = (s % size[N_GRIDS]) * size[N_ENVS] + b
                    at, to = slot * size[CAPACITY], b * size[CAPACITY]
                    good, low, high = ph.bounds(x, q0, q0 + n, num, size)
                    if status[b] == 0 and not good:
                        status[b] = ti.max(s, 1)  # the substep before made it
                    if status[b] != 0:
                        break
                    shape = high - low
                    for d in ti.static(range(3)):
                        box[slot * 6 + d] = low[d]
                        box[slot * 6 + 3 + d] = high[d]
                    for c in range(shape[0] * shape[1] * shape[2]):
                        put4(grid, at + c, vec4(0.0))
                    for p in range(n):
                        e = body[p]
                        ph.stage_particle(v, C, F, stage, derived, model, num, q0 + p, q1 + p, b * n + p,
                                          b * size[N_BODIES] + e, e)  # fmt: skip
                    for p in range(n):
                        ph.scatter_particle(x, stage, grid, num, q0 + p, b * n + p, at, low, shape[1], shape[2])
                    pose = (s * size[N_ENVS] + b) * size[N_COLLIDERS]
                    for i in range(shape[0]):
                        for j in range(shape[1]):
                            for k in range(shape[2]):
                                c = (i * shape[1] + j) * shape[2] + k
                                put4(moved, to + c, ph.node(get4(grid, at + c), low + ti.Vector([i, j, k]), g, light,
                                     num, size, colliders, shapes, impulse, pose, b * size[N_COLLIDERS]))  # fmt: skip
                    for p in range(n):
                        ph.gather_particle(x, stage, moved, num, q0 + p, b * n + p, to, low, shape[1], shape[2])
                    for p in range(n):
                        ph.advance_particle(x, v, C, stage, num, q0 + p, q1 + p, b * n + p)
                if status[b] == 0 and size[END] == size[SUBSTEPS]:
                    last = ((size[END] % size[N_FRAMES]) * size[N_ENVS] + b) * n
                    good, low, high = ph.bounds(x, last, last + n, num, size)
                    if not good:
                        status[b] = size[END]

    @ti.kernel
    def advance_adjoint(
        size: I1, nums: A1, body: I1, model: I1, volume: A1, material: A4, gravity: A4, derived: A4, status: I1,
        x: A3, v: A3, C: A33, F: A33, grid: A4, box: I1, moved: A4, gmoved: A4,
        gx: A3, gv: A3, gC: A33, gF: A33, gmaterial: A4, ggravity: A4,
        colliders: A4, shapes: A4, memo: A4, gimpulse: A4, gcolliders: A4,
    ):  # fmt: skip
        ti.loop_config(block_dim=1)
        for item in range(size[ACTIVE] * STRIDE):
            b = item // STRIDE
            if item % STRIDE == 0:
                n, num = size[N_PARTICLES], ph.numbers(nums)
                g = get4(gravity, b)[:3]
                if size[BEGIN] == 0:
                    ph.derive(material, volume, derived, b, size)
                light = ph.lightest(derived, b, size)
                skip = True
                if status[b] == 0:
                    for p in range(n):
                        if ph.pulled(gx, gv, gC, gF, b * n + p):
                            skip = False
                    for k in range(2 * size[N_COLLIDERS]):
                        if ti.abs(get4(gimpulse, 2 * b * size[N_COLLIDERS] + k)).max() > 0.0:
                            skip = False
                for back in range(size[END] - size[BEGIN]):
                    if skip:
                        break
                    s = size[END] - 1 - back
                    q0 = ((s % size[N_FRAMES]) * size[N_ENVS] + b) * n
                    slot = (s % size[N_GRIDS]) * size[N_ENVS] + b
                    at, to = slot * size[CAPACITY], b * size[CAPACITY]
                    low = ti.Vector([box[slot * 6], box[slot * 6 + 1], box[slot * 6 + 2]])
                    shape = ti.Vector([box[slot * 6 + 3], box[slot * 6 + 4], box[slot * 6 + 5]]) - low
                    pose = (s * size[N_ENVS] + b) * size[N_COLLIDERS]
                    for i in range(shape[0]):
                        for j in range(shape[1]):
                            for k in range(shape[2]):
                                c = (i * shape[1] + j) * shape[2] + k
                                put4(moved, to + c, ph.trace_node(
                                    get4(grid, at + c), low + ti.Vector([i, j, k]), g, light, num, size,
                                    colliders, shapes, memo, pose, (to + c) * size[N_COLLIDERS]))  # fmt: skip
                                put4(gmoved, to + c, vec4(0.0))
                    for p in range(n):
                        ph.project_particle(x, moved, gmoved, gx, gv, gC, num, q0 + p, b * n + p, to, to,
                                            low, shape[1], shape[2])  # fmt: skip
                    ggravity_sum = get4(ggravity, b)
                    for i in range(shape[0]):
                        for j in range(shape[1]):
                            for k in range(shape[2]):
                                c = (i * shape[1] + j) * shape[2] + k
                                gnode, gg = ph.release_node(
                                    get4(grid, at + c), get4(moved, to + c), get4(gmoved, to + c),
                                    low + ti.Vector([i, j, k]), g, light, num, size, colliders, shapes, memo,
                                    gimpulse, gcolliders, pose, pose, b * size[N_COLLIDERS],
                                    (to + c) * size[N_COLLIDERS])  # fmt: skip
                                put4(gmoved, to + c, gnode)
                                ggravity_sum += vec4(gg[0], gg[1], gg[2], 0.0)
                    put4(ggravity, b, ggravity_sum)
                    for p in range(n):
                        e = body[p]
                        ph.release_particle(x, v, C, F, gmoved, gx, gv, gC, gF, derived, gmaterial, model, num,
                                            q0 + p, b * n + p, b * size[N_BODIES] + e, b * size[N_BODIES] + e, e,
                                            to, low, shape[1], shape[2])  # fmt: skip
                if not skip and size[BEGIN] == 0:
                    for e in range(size[N_BODIES]):
                        c = b * size[N_BODIES] + e
                        ph.derive_adjoint(material, volume, gmaterial, c, c, e)

    return Functions(advance=advance, advance_adjoint=advance_adjoint)
