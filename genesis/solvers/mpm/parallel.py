"""Driver: every particle and node of every environment in parallel, adding with atomics. For GPUs.

One launch per substep.
Grids are indexed by the whole domain and cleared whole. Sums differ from run to run by rounding.
"""

from genesis.arrays import Table
from genesis.compiler import Functions, layout, per_runtime, ti
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
def parallel(models: tuple[Model, ...], added: tuple[str, ...], contact: Functions, table: Table) -> Functions:
    lay, ph = layout(), physics(models, added, contact)
    get3, get4, put4, add4, vec4 = lay.get3, lay.get4, lay.put4, lay.add4, lay.vec4

    @ti.func
    def frame(s, b, a: ti.template()):
        """Index of an environment's first particle in the frame before substep s."""
        return ((s % a.size[N_FRAMES]) * a.size[N_ENVS] + b) * a.size[N_PARTICLES]

    @ti.func
    def grid_at(a: ti.template()):
        """Index of the first node of the first environment's grid in this substep."""
        return (a.size[BEGIN] % a.size[N_GRIDS]) * a.size[N_ENVS] * a.size[CAPACITY]

    @ti.func
    def coordinates(c, a: ti.template()):
        ny, nz = a.size[CELLS + 1] + 1, a.size[CELLS + 2] + 1
        return ti.Vector([c // (ny * nz), c // nz % ny, c % nz])

    @kernel(table, *FORWARD)
    def advance(a: ti.template()):
        """Substep `size[BEGIN]`."""
        for b in range(a.size[ACTIVE]):
            if a.size[BEGIN] == 0 and a.size[PART] != AFTER:
                a.status[b] = 0
                ph.derive(b, a)
            if a.size[PART] != AFTER:
                ph.clear_offers(b, 0, a)
        for c in range(a.size[ACTIVE] * a.size[CAPACITY]):
            if a.size[PART] != AFTER:
                put4(a.grid, grid_at(a) + c, vec4(0.0))
                if a.size[CLAMPED] != 0:
                    put4(a.clamp, grid_at(a) + c, vec4(0.0))
        for i in range(a.size[ACTIVE] * a.size[N_PARTICLES]):
            b, p = i // a.size[N_PARTICLES], i % a.size[N_PARTICLES]
            q = frame(a.size[BEGIN], b, a) + p
            if a.size[PART] != AFTER:
                if a.status[b] == 0 and ph.mode(i, a) >= 0.0 and not ph.inside(get3(a.x, q), a):
                    a.status[b] = ti.max(a.size[BEGIN], 1)  # the substep before made it
                e = a.body[p]
                ph.locate(q, i, ph.domain_box(0, a), a)
                ph.stage(q, frame(a.size[BEGIN] + 1, b, a) + p, i, 1, b * a.size[N_BODIES] + e, e, a.size[BEGIN], a)
        for i in range(a.size[ACTIVE] * a.size[N_PARTICLES]):
            b, p = i // a.size[N_PARTICLES], i % a.size[N_PARTICLES]
            if a.status[b] == 0 and a.size[PART] != AFTER:
                at = grid_at(a) + b * a.size[CAPACITY]
                ph.p2g_particle(a.grid, frame(a.size[BEGIN], b, a) + p, i, ph.domain_box(at, a), a)
                ph.p2g_clamp(a.clamp, frame(a.size[BEGIN], b, a) + p, i, ph.domain_box(at, a), a)
        for c in range(a.size[ACTIVE] * a.size[CAPACITY]):
            b, at = c // a.size[CAPACITY], coordinates(c % a.size[CAPACITY], a)
            if a.status[b] == 0 and a.size[PART] != AFTER:
                grid, clamp = get4(a.grid, grid_at(a) + c), ph.clamped(grid_at(a) + c, a)
                put4(a.moved, c, ph.node(grid, clamp, at, ph.lightest(b, a), a.size[BEGIN], b, 0, c, a))
        for b in range(a.size[ACTIVE]):
            if a.size[PART] != BEFORE:
                ph.offered_nodes(a.size[BEGIN], b, 0, a)
        for i in range(a.size[ACTIVE] * a.size[N_PARTICLES]):
            b, p = i // a.size[N_PARTICLES], i % a.size[N_PARTICLES]
            if a.status[b] == 0 and a.size[PART] != BEFORE:
                q, q1 = frame(a.size[BEGIN], b, a) + p, frame(a.size[BEGIN] + 1, b, a) + p
                ph.g2p_particle(q, q1, i, ph.domain_box(b * a.size[CAPACITY], a), a)
                if a.size[BEGIN] + 1 == a.size[SUBSTEPS] and ph.mode(i, a) >= 0.0 and not ph.inside(get3(a.x, q1), a):
                    a.status[b] = a.size[SUBSTEPS]

    @kernel(table, *BACKWARD)
    def advance_adjoint(a: ti.template()):
        """Substep `size[BEGIN]`."""
        for b in range(a.size[ACTIVE]):
            if a.size[PART] != BEFORE:
                ph.clear_offers(b, 0, a)
        for c in range(a.size[ACTIVE] * a.size[CAPACITY]):
            b = c // a.size[CAPACITY]
            if a.size[PART] != BEFORE:
                put4(a.gmoved, c, vec4(0.0))
                if a.size[CLAMPED] != 0:
                    put4(a.gclamp, c, vec4(0.0))
                grid, clamp = get4(a.grid, grid_at(a) + c), ph.clamped(grid_at(a) + c, a)
                put4(a.moved, c, ph.trace_node(grid, clamp, coordinates(c % a.size[CAPACITY], a), ph.lightest(b, a),
                                               a.size[BEGIN], b, 0, c, a))  # fmt: skip
        for i in range(a.size[ACTIVE] * a.size[N_PARTICLES]):
            b, p = i // a.size[N_PARTICLES], i % a.size[N_PARTICLES]
            if a.live[b] != 0 and a.size[PART] != BEFORE:
                at, q = b * a.size[CAPACITY], frame(a.size[BEGIN], b, a) + p
                ph.locate(q, i, ph.domain_box(0, a), a)
                ph.project_particle(a.gmoved, q, i, ph.domain_box(at, a), at, a)
        for b in range(a.size[ACTIVE]):
            if a.live[b] != 0 and a.size[PART] != BEFORE:
                ph.offered_nodes_adjoint(b, 0, a)
        for c in range(a.size[ACTIVE] * a.size[CAPACITY]):
            b = c // a.size[CAPACITY]
            at = grid_at(a) + c
            if a.live[b] != 0 and a.size[PART] != AFTER and get4(a.grid, at)[3] > 0.0:
                grid, clamp = get4(a.grid, at), ph.clamped(at, a)
                add4(a.ggravity, b, ph.release_node(grid, clamp, coordinates(c % a.size[CAPACITY], a),
                                                    ph.lightest(b, a), a.size[BEGIN], b, 0, c, a))  # fmt: skip
        for i in range(a.size[ACTIVE] * a.size[N_PARTICLES]):
            b, p = i // a.size[N_PARTICLES], i % a.size[N_PARTICLES]
            if a.live[b] != 0 and a.size[PART] != AFTER:
                e = a.body[p]
                c = b * a.size[N_BODIES] + e
                at = b * a.size[CAPACITY]
                ph.release(frame(a.size[BEGIN], b, a) + p, i, 1, c, c, e, a.size[BEGIN],
                           ph.domain_box(at, a), a)  # fmt: skip
        for c in range(a.size[ACTIVE] * a.size[N_BODIES]):
            if a.size[BEGIN] == 0 and a.size[PART] != AFTER and a.live[c // a.size[N_BODIES]] != 0:
                ph.derive_adjoint(c, c, c % a.size[N_BODIES], a)

    return Functions(advance=advance, advance_adjoint=advance_adjoint)
