"""Driver: every particle and node of every environment in parallel, adding with atomics. For GPUs.

One launch per substep.
Grids are indexed by the whole domain and cleared whole. Sums differ from run to run by rounding.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.solvers.mpm.physics import (
    ACTIVE,
    BEGIN,
    CAPACITY,
    CELLS,
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
def parallel(models: tuple[str, ...], contact: Functions) -> Functions:
    lay, ph = layout(), physics(models, contact)
    A1, A3, A4, A33, I1, vec4 = lay.A1, lay.A3, lay.A4, lay.A33, lay.I1, lay.vec4
    get3, get4, put4, add4 = lay.get3, lay.get4, lay.put4, lay.add4

    @ti.func
    def frame(s, b, size: ti.template()):
        return ((s % size[N_FRAMES]) * size[N_ENVS] + b) * size[N_PARTICLES]

    @ti.func
    def coordinates(c, size: ti.template()):
        ny, nz = size[CELLS + 1] + 1, size[CELLS + 2] + 1
        return ti.Vector([c // (ny * nz), c // nz % ny, c % nz])

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
        for c in range(size[ACTIVE] * size[CAPACITY]):
            put4(grid, (size[BEGIN] % size[N_GRIDS]) * size[N_ENVS] * size[CAPACITY] + c, vec4(0.0))
        for i in range(size[ACTIVE] * size[N_PARTICLES]):
            b, p = i // size[N_PARTICLES], i % size[N_PARTICLES]
            q = frame(size[BEGIN], b, size) + p
            if status[b] == 0 and not ph.inside(get3(x, q), nums, size):
                status[b] = ti.max(size[BEGIN], 1)  # the substep before made it
            e = body[p]
            ph.stage_particle(v, C, F, stage, derived, model, nums, q, frame(size[BEGIN] + 1, b, size) + p, i,
                              b * size[N_BODIES] + e, e)  # fmt: skip
        for i in range(size[ACTIVE] * size[N_PARTICLES]):
            b, p = i // size[N_PARTICLES], i % size[N_PARTICLES]
            if status[b] == 0:
                at = ((size[BEGIN] % size[N_GRIDS]) * size[N_ENVS] + b) * size[CAPACITY]
                ph.scatter_particle(x, stage, grid, nums, frame(size[BEGIN], b, size) + p, i, at, ti.Vector([0, 0, 0]),
                                    size[CELLS + 1] + 1, size[CELLS + 2] + 1)  # fmt: skip
        for c in range(size[ACTIVE] * size[CAPACITY]):
            b = c // size[CAPACITY]
            at = (size[BEGIN] % size[N_GRIDS]) * size[N_ENVS] * size[CAPACITY] + c
            pose = (size[BEGIN] * size[N_ENVS] + b) * size[N_COLLIDERS]
            put4(moved, c, ph.node(get4(grid, at), coordinates(c % size[CAPACITY], size), get4(gravity, b)[:3],
                 ph.lightest(derived, b, size), nums, size, colliders, shapes, impulse, pose,
                 b * size[N_COLLIDERS]))  # fmt: skip
        for i in range(size[ACTIVE] * size[N_PARTICLES]):
            b, p = i // size[N_PARTICLES], i % size[N_PARTICLES]
            if status[b] == 0:
                q, q1 = frame(size[BEGIN], b, size) + p, frame(size[BEGIN] + 1, b, size) + p
                ph.gather_particle(x, stage, moved, nums, q, i, b * size[CAPACITY], ti.Vector([0, 0, 0]),
                                   size[CELLS + 1] + 1, size[CELLS + 2] + 1)  # fmt: skip
                ph.advance_particle(x, v, C, stage, nums, q, q1, i)
                if size[BEGIN] + 1 == size[SUBSTEPS] and not ph.inside(get3(x, q1), nums, size):
                    status[b] = size[SUBSTEPS]

    @ti.kernel
    def advance_adjoint(
        size: I1, nums: A1, body: I1, model: I1, volume: A1, material: A4, gravity: A4, derived: A4, pulled: I1,
        x: A3, v: A3, C: A33, F: A33, grid: A4, box: I1, moved: A4, gmoved: A4, parts: A4,
        gx: A3, gv: A3, gC: A33, gF: A33, gmaterial: A4, ggravity: A4,
        colliders: A4, shapes: A4, memo: A4, gimpulse: A4, gcolliders: A4,
    ):  # fmt: skip
        """Substep `size[END] - 1`."""
        for c in range(size[ACTIVE] * size[CAPACITY]):
            b = c // size[CAPACITY]
            s = size[END] - 1
            at = (s % size[N_GRIDS]) * size[N_ENVS] * size[CAPACITY] + c
            pose = (s * size[N_ENVS] + b) * size[N_COLLIDERS]
            put4(gmoved, c, vec4(0.0))
            put4(moved, c, ph.trace_node(get4(grid, at), coordinates(c % size[CAPACITY], size), get4(gravity, b)[:3],
                 ph.lightest(derived, b, size), nums, size, colliders, shapes, memo, pose,
                 c * size[N_COLLIDERS]))  # fmt: skip
        for i in range(size[ACTIVE] * size[N_PARTICLES]):
            b, p = i // size[N_PARTICLES], i % size[N_PARTICLES]
            if pulled[b] != 0:
                at = b * size[CAPACITY]
                ph.project_particle(x, moved, gmoved, gx, gv, gC, nums, frame(size[END] - 1, b, size) + p, i, at, at,
                                    ti.Vector([0, 0, 0]), size[CELLS + 1] + 1, size[CELLS + 2] + 1)  # fmt: skip
        for c in range(size[ACTIVE] * size[CAPACITY]):
            b = c // size[CAPACITY]
            s = size[END] - 1
            at = (s % size[N_GRIDS]) * size[N_ENVS] * size[CAPACITY] + c
            pose = (s * size[N_ENVS] + b) * size[N_COLLIDERS]
            if pulled[b] != 0 and get4(grid, at)[3] > 0.0:
                gnode, gg = ph.release_node(
                    get4(grid, at), get4(moved, c), get4(gmoved, c), coordinates(c % size[CAPACITY], size),
                    get4(gravity, b)[:3], ph.lightest(derived, b, size), nums, size, colliders, shapes, memo, gimpulse,
                    gcolliders, pose, pose, b * size[N_COLLIDERS], c * size[N_COLLIDERS])  # fmt: skip
                put4(gmoved, c, gnode)
                add4(ggravity, b, vec4(gg[0], gg[1], gg[2], 0.0))
        for i in range(size[ACTIVE] * size[N_PARTICLES]):
            b, p = i // size[N_PARTICLES], i % size[N_PARTICLES]
            if pulled[b] != 0:
                e = body[p]
                c = b * size[N_BODIES] + e
                ph.release_particle(x, v, C, F, gmoved, gx, gv, gC, gF, derived, gmaterial, model, nums,
                                    frame(size[END] - 1, b, size) + p, i, c, c, e, b * size[CAPACITY],
                                    ti.Vector([0, 0, 0]), size[CELLS + 1] + 1, size[CELLS + 2] + 1)  # fmt: skip
        for c in range(size[ACTIVE] * size[N_BODIES]):
            if size[END] == 1 and pulled[c // size[N_BODIES]] != 0:
                ph.derive_adjoint(material, volume, gmaterial, c, c, c % size[N_BODIES])

    return Functions(advance=advance, advance_adjoint=advance_adjoint)
