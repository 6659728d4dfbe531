"""One substep, per particle and per grid node, and its adjoint. Drivers (fused, chunked, parallel) only loop over them.

Forward                                        Adjoint, in reverse
    stage_particle    stress, momentum             release_particle  of scatter and stage
    scatter_particle  to the grid                  release_node      of node
    node              momentum -> velocity         project_particle  of gather and advance
    gather_particle   from the grid
    advance_particle  v, C, x

Element indices: `i` counts (environment, particle), `q` and `q1` the same in the frames before and after the substep,
`first` is the particle's lowest node in a grid of rows ny x nz that begins at node `low`.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.solvers.mpm.stress import constitutive
from genesis.solvers.mpm.transfer import transfer

# Slots of the integer array `size` and of the real array `num` that every kernel gets.
# N_ENVS is what the arrays hold, ACTIVE how many of them are in use; CELLS and its two successors count cells per axis.
N_ENVS, ACTIVE, N_PARTICLES, N_BODIES, N_FRAMES, N_GRIDS, CAPACITY, BEGIN, END = range(9)
SUBSTEPS, N_COLLIDERS, N_CHUNKS = range(9, 12)
CELLS = 12
N_SIZES = CELLS + 3
DT, DX, INV_DX, ZERO, ORIGIN = range(5)
N_NUMBERS = ORIGIN + 3

WALL = 3
"""Cells at each side of the domain in which nodes may not move outward. Source: the usual MLS-MPM padding."""
OFF_GRID = 1e30
"""m: beyond any grid."""
LIGHTEST = 1e-8
"""Nodes lighter than this fraction of a particle's mass are skipped, forward and adjoint."""


@per_runtime
def physics(models: tuple[str, ...], contact: Functions) -> Functions:
    lay, t, material = layout(), transfer(), constitutive(models)
    real, vec3, vec4 = lay.real, lay.vec3, lay.vec4
    get3, get4, get33, put3, put4, put33, add4 = (
        lay.get3, lay.get4, lay.get33, lay.put3, lay.put4, lay.put33, lay.add4
    )  # fmt: skip

    @ti.func
    def numbers(num: ti.template()):
        """The numbers in registers: in an array they would be read again after every store."""
        return ti.Vector([num[i] for i in ti.static(range(N_NUMBERS))], dt=real)

    @ti.func
    def origin(num: ti.template()):
        return vec3(num[ORIGIN], num[ORIGIN + 1], num[ORIGIN + 2])

    @ti.func
    def derive(material_in: ti.template(), volume: ti.template(), derived: ti.template(), b, size: ti.template()):
        """(E, nu, rho) of environment b's bodies -> (mu, lam, particle mass, particle volume)."""
        for e in range(size[N_BODIES]):
            c = b * size[N_BODIES] + e
            m = get4(material_in, c)
            mu = m[0] / (2.0 * (1.0 + m[1]))
            lam = m[0] * m[1] / ((1.0 + m[1]) * (1.0 - 2.0 * m[1]))
            put4(derived, c, vec4(mu, lam, m[2] * volume[e], volume[e]))

    @ti.func
    def derive_adjoint(material_in: ti.template(), volume: ti.template(), gmaterial: ti.template(), c, gc, e):
        """In place: cotangent of (mu, lam, mass) -> of (E, nu, rho)."""
        m, g = get4(material_in, c), get4(gmaterial, gc)
        E, nu = m[0], m[1]
        a, d = 1.0 + nu, 1.0 - 2.0 * nu
        gE = g[0] / (2.0 * a) + g[1] * nu / (a * d)
        gnu = -g[0] * E / (2.0 * a * a) + g[1] * E * (1.0 + 2.0 * nu * nu) / (a * a * d * d)
        put4(gmaterial, gc, vec4(gE, gnu, g[2] * volume[e], 0.0))

    @ti.func
    def lightest(derived: ti.template(), b, size: ti.template()):
        """Mass below which a node of environment b counts as empty."""
        m = get4(derived, b * size[N_BODIES])[2]
        for e in range(1, size[N_BODIES]):
            m = ti.min(m, get4(derived, b * size[N_BODIES] + e)[2])
        return LIGHTEST * m

    @ti.func
    def first_node(x, num: ti.template(), low, ny, nz):
        base = t.cell(x, origin(num), num[INV_DX])
        at = base - low
        return (at[0] * ny + at[1]) * nz + at[2], t.offset(x, origin(num), num[INV_DX], base)

    @ti.func
    def inside(x, num: ti.template(), size: ti.template()):
        """Whether the particle's stencil lies in the grid. False for NaN."""
        good = lay.finite(x[0]) and lay.finite(x[1]) and lay.finite(x[2])
        if good:
            g = (x - origin(num)) * num[INV_DX]
            for d in ti.static(range(3)):
                if g[d] <= 0.5 or g[d] >= ti.cast(size[CELLS + d], real) - 0.5:
                    good = False
        return good

    @ti.func
    def bounds(x: ti.template(), begin, end, num: ti.template(), size: ti.template()):
        """Whether particles [begin, end) are inside, and the box of nodes around them [low, high) (empty if not)."""
        low, high = get3(x, begin), get3(x, begin)
        good = True
        for q in range(begin, end):
            xp = get3(x, q)
            good = good and inside(xp, num, size)
            low, high = ti.min(low, xp), ti.max(high, xp)
        first, last = ti.Vector([0, 0, 0]), ti.Vector([0, 0, 0])
        if good:
            first = t.cell(low, origin(num), num[INV_DX])
            last = t.cell(high, origin(num), num[INV_DX]) + 3
        return good, first, last

    @ti.func
    def stage_particle(
        v: ti.template(), C: ti.template(), F: ti.template(), stage: ti.template(), derived: ti.template(),
        model: ti.template(), num: ti.template(), q, q1, i, c, e,
    ):  # fmt: skip
        m = get4(derived, c)
        dt, dx = num[DT], num[DX]
        Cp = get33(C, q)
        Fn, tau, _aux = material.stress(model[e], (material.identity() + dt * Cp) @ get33(F, q), m[0], m[1])
        put33(F, q1, Fn)
        A = (-4.0 * dt * num[INV_DX] * m[3]) * tau + (m[2] * dx) * Cp
        mv = m[2] * get3(v, q)
        a0, a1, a2 = t.columns(A, num[ZERO])
        put4(stage, 4 * i, vec4(mv[0], mv[1], mv[2], m[2]))
        put4(stage, 4 * i + 1, a0)
        put4(stage, 4 * i + 2, a1)
        put4(stage, 4 * i + 3, a2)

    @ti.func
    def scatter_particle(x: ti.template(), stage: ti.template(), grid: ti.template(), num: ti.template(),
                         q, i, offset, low, ny, nz):  # fmt: skip
        first, fx = first_node(get3(x, q), num, low, ny, nz)
        t.scatter(grid, offset + first, ny, nz, fx, get4(stage, 4 * i), get4(stage, 4 * i + 1),
                  get4(stage, 4 * i + 2), get4(stage, 4 * i + 3))  # fmt: skip

    @ti.func
    def blocked(v, at, size: ti.template(), d):
        return (at[d] < WALL and v[d] < 0.0) or (at[d] > size[CELLS + d] - WALL and v[d] > 0.0)

    @ti.func
    def wall(v, at, m, size: ti.template()):
        for d in ti.static(range(3)):
            if blocked(v, at, size, d):
                v[d] = 0.0
        return vec4(v[0], v[1], v[2], m)

    @ti.func
    def node(grid_node, at, gravity, light, num: ti.template(), size: ti.template(),
             colliders: ti.template(), shapes: ti.template(), impulse: ti.template(), pose, slot):  # fmt: skip
        """(momentum, mass) -> (velocity, mass): gravity, tools, walls. `at` is the node's cell index."""
        out = vec4(0.0)
        m = grid_node[3]
        if m > light:
            v = vec3(grid_node[0], grid_node[1], grid_node[2]) / m + num[DT] * gravity
            x = origin(num) + at.cast(real) * num[DX]
            v = contact.push(v, x, m, colliders, shapes, impulse, pose, slot, size[N_COLLIDERS])
            out = wall(v, at, m, size)
        return out

    @ti.func
    def trace_node(grid_node, at, gravity, light, num: ti.template(), size: ti.template(),
                   colliders: ti.template(), shapes: ti.template(), memo: ti.template(), pose, row):  # fmt: skip
        """As `node`, for the adjoint: notes in `memo` what `release_node` needs of the tools."""
        out = vec4(0.0)
        m = grid_node[3]
        if m > light:
            v = vec3(grid_node[0], grid_node[1], grid_node[2]) / m + num[DT] * gravity
            x = origin(num) + at.cast(real) * num[DX]
            out = wall(contact.trace(v, x, colliders, shapes, memo, pose, row, size[N_COLLIDERS]), at, m, size)
        return out

    @ti.func
    def release_node(grid_node, moved_node, gnode, at, gravity, light, num: ti.template(), size: ti.template(),
                     colliders: ti.template(), shapes: ti.template(), memo: ti.template(), gimpulse: ti.template(),
                     gcolliders: ti.template(), pose, gpose, slot, row):  # fmt: skip
        """Cotangent of (velocity, mass) -> of (momentum, mass), and gravity's."""
        out, ggravity = vec4(0.0), vec3(0.0)
        m = grid_node[3]
        if m > light:
            mv = vec3(grid_node[0], grid_node[1], grid_node[2])
            v = mv / m + num[DT] * gravity
            x = origin(num) + at.cast(real) * num[DX]
            gv = vec3(gnode[0], gnode[1], gnode[2])
            for d in ti.static(range(3)):
                if moved_node[d] == 0.0 and (at[d] < WALL or at[d] > size[CELLS + d] - WALL):
                    gv[d] = 0.0
            gv, gm = contact.push_adjoint(v, x, m, gv, colliders, shapes, memo, gimpulse, gcolliders,
                                          pose, gpose, slot, row, size[N_COLLIDERS])  # fmt: skip
            ggravity = num[DT] * gv
            gmv = gv / m
            out = vec4(gmv[0], gmv[1], gmv[2], gm - gmv.dot(mv) / m)
        return out, ggravity

    @ti.func
    def gather_particle(x: ti.template(), stage: ti.template(), moved: ti.template(), num: ti.template(),
                        q, i, offset, low, ny, nz):  # fmt: skip
        first, fx = first_node(get3(x, q), num, low, ny, nz)
        nv, b0, b1, b2 = t.gather(moved, offset + first, ny, nz, fx)
        k = 4.0 * num[INV_DX]
        put4(stage, 4 * i, nv)
        put4(stage, 4 * i + 1, b0 * k)
        put4(stage, 4 * i + 2, b1 * k)
        put4(stage, 4 * i + 3, b2 * k)

    @ti.func
    def advance_particle(x: ti.template(), v: ti.template(), C: ti.template(), stage: ti.template(),
                         num: ti.template(), q, q1, i):  # fmt: skip
        nv, c0, c1, c2 = get4(stage, 4 * i), get4(stage, 4 * i + 1), get4(stage, 4 * i + 2), get4(stage, 4 * i + 3)
        put33(C, q1, ti.Matrix.cols([c0[:3], c1[:3], c2[:3]]))
        moved = num[DT] * nv[:3]
        if ti.abs(moved).max() > num[DX]:  # no particle crosses a cell in a substep: `inside` finds it far away
            moved += vec3(OFF_GRID)
        put3(v, q1, nv[:3])
        put3(x, q1, get3(x, q) + moved)

    @ti.func
    def project_particle(x: ti.template(), moved: ti.template(), gmoved: ti.template(), gx: ti.template(),
                         gv: ti.template(), gC: ti.template(), num: ti.template(),
                         q, i, offset, goffset, low, ny, nz):  # fmt: skip
        """Adjoint of gather and advance: cotangents of (x', v', C') to the moved nodes' and to x, in place."""
        first, fx = first_node(get3(x, q), num, low, ny, nz)
        g = get3(gx, i)
        w = get3(gv, i) + num[DT] * g
        g0, g1, g2 = t.columns(get33(gC, i) * (4.0 * num[INV_DX]), num[ZERO])
        w4 = vec4(w[0], w[1], w[2], num[ZERO])
        slope = t.gather_adjoint(
            moved, gmoved, offset + first, goffset + first, ny, nz, fx, num[INV_DX], w4, g0, g1, g2
        )
        put3(gx, i, g + slope)

    @ti.func
    def release_particle(x: ti.template(), v: ti.template(), C: ti.template(), F: ti.template(), ggrid: ti.template(),
                         gx: ti.template(), gv: ti.template(), gC: ti.template(), gF: ti.template(),
                         derived: ti.template(), gmaterial: ti.template(), model: ti.template(), num: ti.template(),
                         q, i, c, gc, e, offset, low, ny, nz):  # fmt: skip
        """Adjoint of scatter and stage: cotangents of the grid and of F' to those of x, v, C, F and (mu, lam, mass)."""
        m = get4(derived, c)
        dt, dx = num[DT], num[DX]
        first, fx = first_node(get3(x, q), num, low, ny, nz)
        Cp, Fp, vp = get33(C, q), get33(F, q), get3(v, q)
        L = material.identity() + dt * Cp
        Ft = L @ Fp
        _Fn, tau, aux = material.stress(model[e], Ft, m[0], m[1])
        k = -4.0 * dt * num[INV_DX] * m[3]
        A = k * tau + (m[2] * dx) * Cp
        a0, a1, a2 = t.columns(A, num[ZERO])
        q4 = vec4(m[2] * vp[0], m[2] * vp[1], m[2] * vp[2], m[2])
        gq, b0, b1, b2, slope = t.scatter_adjoint(ggrid, offset + first, ny, nz, fx, num[INV_DX], q4, a0, a1, a2)
        gA = ti.Matrix.cols([b0[:3], b1[:3], b2[:3]])
        gFt, gmu, glam = material.stress_adjoint(model[e], Ft, m[0], m[1], aux, get33(gF, i), k * gA)
        gmass = vp.dot(gq[:3]) + gq[3] + dx * (gA * Cp).sum()
        put3(gx, i, get3(gx, i) + slope)
        put3(gv, i, m[2] * gq[:3])
        put33(gF, i, L.transpose() @ gFt)
        put33(gC, i, (m[2] * dx) * gA + dt * (gFt @ Fp.transpose()))
        add4(gmaterial, gc, vec4(gmu, glam, gmass, 0.0))

    @ti.func
    def pulled(gx: ti.template(), gv: ti.template(), gC: ti.template(), gF: ti.template(), i):
        """Whether any cotangent of element i differs from zero."""
        return (
            ti.abs(get3(gx, i)).max() > 0.0 or ti.abs(get3(gv, i)).max() > 0.0
            or ti.abs(get33(gC, i)).max() > 0.0 or ti.abs(get33(gF, i)).max() > 0.0
        )  # fmt: skip

    return Functions(
        numbers=numbers, inside=inside, bounds=bounds, lightest=lightest, derive=derive, derive_adjoint=derive_adjoint,
        stage_particle=stage_particle, scatter_particle=scatter_particle, node=node, trace_node=trace_node,
        gather_particle=gather_particle,
        advance_particle=advance_particle, project_particle=project_particle, release_node=release_node,
        release_particle=release_particle, pulled=pulled,
    )  # fmt: skip
