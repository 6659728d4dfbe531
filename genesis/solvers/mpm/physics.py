"""One substep, per particle and per grid node (`genesis.solvers.mpm.nodes`), and its adjoint. Drivers (fused, chunked,
parallel) only loop over them.

Forward                                        Adjoint, in reverse
    stage             stress, momentum             release           of p2g and stage
    p2g_particle      particles to grid            release_node      of node
    node              momentum -> velocity         project_particle  of g2p and advance
    g2p_particle      grid to particles
    advance_particle  v, C, x

Stress is computed on lanes, particles of one body side by side (`genesis.solvers.mpm.rows`), the rest for one particle
or node after the other. So these are kernels on lanes: no unary minus, `ti.abs` or `-=` of vectors.
Element indices: `i` counts (environment, particle), `q` and `q1` the same in the frames before and after the substep.
A `box` of nodes says where a grid lies in its array: (index of its first node, that node's cell (3), rows (ny, nz)).
`a` has the arrays of `genesis.solvers.mpm.arrays` and of `genesis.contact.colliders`, and `num` in registers.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.matrices import plus
from genesis.solvers.mpm.added import added_stress
from genesis.solvers.mpm.arrays import (
    CELLS,
    CLAMPED,
    DT,
    DX,
    INV_DX,
    N_BODIES,
    N_MEMORY,
    N_NUMBERS,
    NUM_LENGTH,
    ZERO,
)  # fmt: skip
from genesis.solvers.mpm.hold import holding
from genesis.solvers.mpm.models import Model
from genesis.solvers.mpm.nodes import nodes
from genesis.solvers.mpm.rows import rows
from genesis.solvers.mpm.stress import constitutive
from genesis.solvers.mpm.transfer import transfer

OFF_GRID = 1e30
"""m: beyond any grid."""
LIGHTEST = {ti.f32: 1e-8, ti.f64: 1e-16}
"""Nodes lighter than this fraction of a particle's mass are skipped, forward and adjoint: so much momentum is lost."""


@per_runtime
def physics(models: tuple[Model, ...], added: tuple[str, ...], contact: Functions) -> Functions:
    """Of a scene of these models, whose bodies have these numbers beside (`genesis.solvers.mpm.added.ADDED`)."""
    lay, t, row, material, more = layout(), transfer(), rows(), constitutive(models), added_stress(added)
    of_node, held, get_columns, put_columns = nodes(contact), holding(), t.get_columns, t.put_columns
    real, vec3, vec4, W = lay.real, lay.vec3, lay.vec4, lay.width
    get3, get4, put3, put4, add4, entry = lay.get3, lay.get4, lay.put3, lay.put4, lay.add4, lay.entry
    origin = of_node.origin

    @ti.func
    def numbers(a: ti.template()):
        """The numbers in registers: in an array they would be read again after every store."""
        return ti.Vector([a.num[i] for i in ti.static(range(NUM_LENGTH))], dt=real)

    @ti.func
    def derive(b, a: ti.template()):
        """(E, nu, rho) of environment b's bodies -> (mu, lam, particle mass, particle volume)."""
        for e in range(a.size[N_BODIES]):
            c = b * a.size[N_BODIES] + e
            at = b * a.size[N_NUMBERS] + a.first[e]
            E, nu = a.material[at], a.material[at + 1]
            mu = E / (2.0 * (1.0 + nu))
            lam = E * nu / ((1.0 + nu) * (1.0 - 2.0 * nu))
            put4(a.derived, c, vec4(mu, lam, a.material[at + 2] * a.volume[e], a.volume[e]))

    @ti.func
    def derive_adjoint(c, gc, e, a: ti.template()):
        """Cotangent of (mu, lam, mass) -> of (E, nu, rho)."""
        at, to = material.first_number(c, e, a), material.first_number(gc, e, a)
        E, nu, g = a.material[at], a.material[at + 1], get4(a.gderived, gc)
        p, d = 1.0 + nu, 1.0 - 2.0 * nu
        gE = g[0] / (2.0 * p) + g[1] * nu / (p * d)
        gnu = -g[0] * E / (2.0 * p * p) + g[1] * E * (1.0 + 2.0 * nu * nu) / (p * p * d * d)
        a.gmaterial[to] = gE
        a.gmaterial[to + 1] = gnu
        a.gmaterial[to + 2] = g[2] * a.volume[e]

    @ti.func
    def lightest(b, a: ti.template()):
        """Mass below which a node of environment b counts as empty."""
        m = get4(a.derived, b * a.size[N_BODIES])[2]
        for e in range(1, a.size[N_BODIES]):
            m = ti.min(m, get4(a.derived, b * a.size[N_BODIES] + e)[2])
        return ti.cast(LIGHTEST[real], real) * m

    @ti.func
    def locate(q, i, box, a: ti.template()):
        """Notes the lowest node of the particle's stencil, counted from the grid's first one, and the particle's offset
        from it. In a loop of its own: what reads them does not wait for them."""
        if held.mode(i, a) >= 0.0:
            low, fx = t.corner(get3(a.x, q), origin(a), a.num[INV_DX])
            node = t.whole(low[0]) - box[1], t.whole(low[1]) - box[2], t.whole(low[2]) - box[3]
            a.lowest[i] = (node[0] * box[4] + node[1]) * box[5] + node[2]
            put4(a.offset, i, vec4(fx[0], fx[1], fx[2], a.num[ZERO]))

    @ti.func
    def located(i, box, a: ti.template()):
        """Index of that node in a grid, and the offset."""
        return box[0] + a.lowest[i], get4(a.offset, i)[:3]

    @ti.func
    def finite(x):
        return lay.finite(x[0]) and lay.finite(x[1]) and lay.finite(x[2])

    @ti.func
    def inside(x, a: ti.template()):
        """Whether the particle's stencil lies in the grid. False for NaN."""
        good = finite(x)
        if good:
            g = (x - origin(a)) * a.num[INV_DX]
            for d in ti.static(range(3)):
                if g[d] <= 0.5 or g[d] >= ti.cast(a.size[CELLS + d], real) - 0.5:
                    good = False
        return good

    @ti.func
    def bounds(q, i, count, a: ti.template()):
        """Whether the active ones of `count` particles from q, i on are inside, and the box of nodes around them
        [low, high) (empty if they are not, or none is active)."""
        low, high, total, found = vec3(OFF_GRID), vec3(-OFF_GRID), vec3(0.0), False
        for j in range(count):
            if held.mode(i + j, a) >= 0.0:
                xp = get3(a.x, q + j)
                low, high = ti.min(low, xp), ti.max(high, xp)
                total += xp  # is not finite where one is not: NaN is no minimum and no maximum
                found = True
        good = not found or (finite(total) and inside(low, a) and inside(high, a))
        first, last = ti.Vector([0, 0, 0]), ti.Vector([0, 0, 0])
        if good and found:
            first = t.cell(low, origin(a), a.num[INV_DX])
            last = t.cell(high, origin(a), a.num[INV_DX]) + 3
        return good, first, last

    @ti.func
    def grid_box(first, low, shape):
        """Of a grid that covers `shape` nodes from the cell `low` on."""
        return ti.Vector([first, low[0], low[1], low[2], shape[1], shape[2]])

    @ti.func
    def domain_box(first, a: ti.template()):
        """Of a grid that covers the whole domain."""
        return ti.Vector([first, 0, 0, 0, a.size[CELLS + 1] + 1, a.size[CELLS + 2] + 1])

    @ti.func
    def blocks(begin, end, e, a: ti.template()):
        """Of particles [begin, end) of an environment those of body e: the first, the end, and how many lanes full."""
        first, last = ti.max(begin, a.starts[e]), ti.min(end, a.starts[e + 1])
        return first, last, (ti.max(last - first, 0) + W - 1) // W

    @ti.func
    def stage(q, q1, i, count, c, e, s, a: ti.template()):
        """Stress and momentum of `count` particles of body e, whose numbers are at c, in substep s. docs/mpm.md,
        "stage"."""
        m = get4(a.derived, c)
        dt, dx = a.num[DT], a.num[DX]
        Cp = row.load33(a.C, q, count)
        F = plus(Cp * dt, 1.0) @ row.load33(a.F, q, count)
        Fn, tau, _kept = material.stress(True, q, q1, count, c, e, F, a)
        if ti.static(len(added) > 0):
            tau = tau + more.stress(i, count, c, e, F, Cp, a)
        row.store33(a.F, q1, count, Fn)
        row.store_columns(a.stage, i, count, tau * (-4.0 * dt * a.num[INV_DX] * m[3]) + Cp * (m[2] * dx), a.num[ZERO])
        for j in range(count):
            if held.mode(i + j, a) > 0.0:
                held.steer(q + j, i + j, s, a)
            mv = m[2] * get3(a.v, q + j)
            put4(a.stage, 4 * (i + j), vec4(mv[0], mv[1], mv[2], m[2]))

    @ti.func
    def stage_all(begin, end, q0, q1, i0, c0, s, a: ti.template()):
        """`stage` of particles [begin, end) of the environment whose first ones are q0, q1, i0 and whose first body
        is c0."""
        for e in range(a.size[N_BODIES]):
            first, last, n = blocks(begin, end, e, a)
            for block in range(n):
                p = first + block * W
                stage(q0 + p, q1 + p, i0 + p, ti.min(last - p, W), c0 + e, e, s, a)

    @ti.func
    def p2g_particle(grid: ti.template(), q, i, box, a: ti.template()):
        if held.mode(i, a) >= 0.0:
            first, fx = located(i, box, a)
            t.p2g(grid, first, box[4], box[5], fx, get4(a.stage, 4 * i), get4(a.stage, 4 * i + 1),
                  get4(a.stage, 4 * i + 2), get4(a.stage, 4 * i + 3))  # fmt: skip

    @ti.func
    def p2g_clamp(clamp: ti.template(), q, i, box, a: ti.template()):
        """Of an attached particle: its momentum without its stress, and its mass."""
        if held.mode(i, a) > 0.0:
            first, fx = located(i, box, a)
            q4 = get4(a.stage, 4 * i)
            a0, a1, a2 = get_columns(a.C, q, q4[3] * a.num[DX], a.num[ZERO])
            t.p2g(clamp, first, box[4], box[5], fx, q4, a0, a1, a2)

    @ti.func
    def g2p_particle(q, q1, i, box, a: ti.template()):
        """State after the substep but F and memory, from the moved nodes."""
        mode = held.mode(i, a)
        if mode < 0.0:
            held.keep(q, q1, a)
        else:
            xp = get3(a.x, q)
            first, fx = located(i, box, a)
            nv, b0, b1, b2 = t.g2p(a.moved, first, box[4], box[5], fx)
            vp = nv[:3]
            if mode > 0.0:
                vp = get3(a.v, q)
            step = a.num[DT] * vp
            far = ti.abs(step[0]) > a.num[DX] or ti.abs(step[1]) > a.num[DX] or ti.abs(step[2]) > a.num[DX]
            if far:  # no particle crosses a cell in a substep: `inside` finds it far away
                step += vec3(OFF_GRID)
            put3(a.v, q1, vp)
            put3(a.x, q1, xp + step)
            k = 4.0 * a.num[INV_DX]
            put_columns(a.C, q1, b0 * k, b1 * k, b2 * k)

    @ti.func
    def project_particle(grid: ti.template(), q, i, box, gfirst, a: ti.template()):
        """Adjoint of g2p and advance: cotangents of (x', v', C') to those of the moved nodes, and to x, in place.

        The nodes' go to `grid`, which begins at `gfirst` and otherwise lies as `box` says.
        """
        mode = held.mode(i, a)
        if mode >= 0.0:
            first, fx = located(i, box, a)
            g = get3(a.gx, i)
            w = get3(a.gv, i) + a.num[DT] * g
            if mode > 0.0:  # v' and x' follow from the velocity that `steer` gave it, not from the grid's
                put3(a.gv, i, w)
                w = w * a.num[ZERO]
            g0, g1, g2 = get_columns(a.gC, i, 4.0 * a.num[INV_DX], a.num[ZERO])
            w4 = vec4(w[0], w[1], w[2], a.num[ZERO])
            at = ti.Vector([first, gfirst - box[0] + first, box[4], box[5]])
            slope = t.g2p_adjoint(a.moved, grid, at, fx, a.num[INV_DX], w4, g0, g1, g2)
            put3(a.gx, i, g + slope)

    @ti.func
    def release_clamp(q, i, m, s, box, a: ti.template()):
        """Adjoint of what an attached particle of mass m gives to `clamp`; returns the mass's cotangent."""
        first, fx = located(i, box, a)
        v, k = get3(a.v, q), m * a.num[DX]
        a0, a1, a2 = get_columns(a.C, q, k, a.num[ZERO])
        gq, b0, b1, b2, slope = t.p2g_adjoint(
            a.gclamp, first, box[4], box[5], fx, a.num[INV_DX], vec4(m * v[0], m * v[1], m * v[2], m), a0, a1, a2
        )  # fmt: skip
        put3(a.gx, i, get3(a.gx, i) + slope)
        held.steer_adjoint(i, s, m * gq[:3], a)
        c0, c1, c2 = get_columns(a.gC, i, 1.0, a.num[ZERO])
        put_columns(a.gC, i, c0 + b0 * k, c1 + b1 * k, c2 + b2 * k)
        return v.dot(gq[:3]) + gq[3] + (a0.dot(b0) + a1.dot(b1) + a2.dot(b2)) / m

    @ti.func
    def release(q, i, count, c, gc, e, s, box, a: ti.template()):
        """Adjoint of p2g and stage: cotangents of the grid, F' and memory to those of the state and of numbers."""
        m = get4(a.derived, c)
        dt, dx = a.num[DT], a.num[DX]
        k = -4.0 * dt * a.num[INV_DX] * m[3]
        Cp, Fp = row.load33(a.C, q, count), row.load33(a.F, q, count)
        L = plus(Cp * dt, 1.0)
        F = L @ Fp
        _Fn, tau, kept = material.stress(False, q, q, count, c, e, F, a)
        if ti.static(len(added) > 0):
            tau = tau + more.stress(i, count, c, e, F, Cp, a)
        row.store_columns(a.stage, i, count, tau * k + Cp * (m[2] * dx), a.num[ZERO])
        gmass = ti.cast(0.0, real)
        for j in range(count):
            mode, at = held.mode(i + j, a), 4 * (i + j)
            b0, b1, b2 = vec4(0.0), vec4(0.0), vec4(0.0)
            if mode >= 0.0:
                first, fx = located(i + j, box, a)
                vp = get3(a.v, q + j)
                q4 = vec4(m[2] * vp[0], m[2] * vp[1], m[2] * vp[2], m[2])
                gq, h0, h1, h2, slope = t.p2g_adjoint(
                    a.gmoved, first, box[4], box[5], fx, a.num[INV_DX],
                    q4, get4(a.stage, at + 1), get4(a.stage, at + 2), get4(a.stage, at + 3)
                )  # fmt: skip
                b0, b1, b2 = h0, h1, h2
                put3(a.gx, i + j, get3(a.gx, i + j) + slope)
                gv = m[2] * gq[:3]
                if mode > 0.0:
                    held.steer_adjoint(i + j, s, get3(a.gv, i + j) + gv, a)
                else:
                    put3(a.gv, i + j, gv)
                gmass += vp[0] * gq[0] + vp[1] * gq[1] + vp[2] * gq[2] + gq[3]
            put4(a.stage, at + 1, b0)
            put4(a.stage, at + 2, b1)
            put4(a.stage, at + 3, b2)
        gA = row.load_columns(a.stage, i, count)
        gF, gmu, glam = material.stress_adjoint(q, i, count, c, gc, e, F, kept, gA * k, a)
        gC = gA * (m[2] * dx)
        if ti.static(len(added) > 0):
            gFa, gCa = more.stress_adjoint(i, count, c, gc, e, F, Cp, gA * k, a)
            gF = gF + gFa
            gC = gC + gCa
        row.store33(a.gF, i, count, L.transpose() @ gF)
        row.store33(a.gC, i, count, gC + (gF @ Fp.transpose()) * dt)
        if a.size[CLAMPED] != 0:
            for j in range(count):
                if held.mode(i + j, a) > 0.0:
                    gmass += release_clamp(q + j, i + j, m[2], s, box, a)
        add4(a.gderived, gc, vec4(gmu, glam, gmass + dx * row.total(gA.dot(Cp), count), 0.0))

    @ti.func
    def release_all(begin, end, q0, i0, c0, gc0, s, box, a: ti.template()):
        """`release` of particles [begin, end) of an environment, as in `stage_all`."""
        for e in range(a.size[N_BODIES]):
            first, last, n = blocks(begin, end, e, a)
            for block in range(n):
                p = first + block * W
                release(q0 + p, i0 + p, ti.min(last - p, W), c0 + e, gc0 + e, e, s, box, a)

    @ti.func
    def largest(v):
        """Largest absolute entry of a vector of three."""
        return ti.max(ti.abs(v[0]), ti.abs(v[1]), ti.abs(v[2]))

    @ti.func
    def has_cotangent(i, a: ti.template()):
        """Whether any cotangent of element i differs from zero."""
        found = largest(get3(a.gx, i)) > 0.0 or largest(get3(a.gv, i)) > 0.0
        at = lay.place(i, 9)
        for k in range(9):
            found = found or ti.abs(entry(a.gC, at, k)) > 0.0 or ti.abs(entry(a.gF, at, k)) > 0.0
        for j in range(a.size[N_MEMORY]):
            found = found or ti.abs(a.gmemory[i * a.size[N_MEMORY] + j]) > 0.0
        return found

    return Functions(
        numbers=numbers, mode=held.mode, clamped=held.clamped, grid_box=grid_box, domain_box=domain_box, inside=inside,
        bounds=bounds, locate=locate, lightest=lightest, derive=derive, derive_adjoint=derive_adjoint,
        stage=stage, stage_all=stage_all, p2g_particle=p2g_particle, p2g_clamp=p2g_clamp, node=of_node.node,
        yielding=contact.yielding, clear_offers=contact.clear_offers, offered_nodes=of_node.offered_nodes,
        offered_nodes_adjoint=of_node.offered_nodes_adjoint, trace_node=of_node.trace_node,
        release_node=of_node.release_node, g2p_particle=g2p_particle, project_particle=project_particle,
        release=release, release_all=release_all, has_cotangent=has_cotangent,
    )  # fmt: skip
