"""What a substep does with a grid node, and its adjoint: gravity, what is attached, colliders, walls.

Indices and `a` as in `genesis.solvers.mpm.physics`; `at` is the node's cell index, c its row among moved nodes. `clamp`
is what the attached particles alone have given to the node (`genesis.solvers.mpm.hold`).
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.solvers.mpm.arrays import CELLS, CLAMPED, DT, DX, INV_DX, ORIGIN
from genesis.solvers.mpm.hold import holding

WALL = 3
"""Cells at each side of the domain in which nodes may not move outward. Source: the usual MLS-MPM padding."""


@per_runtime
def nodes(contact: Functions) -> Functions:
    lay, held = layout(), holding()
    real, vec3, vec4, get4, put4 = lay.real, lay.vec3, lay.vec4, lay.get4, lay.put4

    @ti.func
    def origin(a: ti.template()):
        return vec3(a.num[ORIGIN], a.num[ORIGIN + 1], a.num[ORIGIN + 2])

    @ti.func
    def blocked(v, at, d, a: ti.template()):
        return (at[d] < WALL and v[d] < 0.0) or (at[d] > a.size[CELLS + d] - WALL and v[d] > 0.0)

    @ti.func
    def wall(v, at, m, a: ti.template()):
        for d in ti.static(range(3)):
            if blocked(v, at, d, a):
                v[d] = 0.0
        return vec4(v[0], v[1], v[2], m)

    @ti.func
    def falling(grid_node, b, a: ti.template()):
        """Velocity of a node of environment b under gravity."""
        return vec3(grid_node[0], grid_node[1], grid_node[2]) / grid_node[3] + a.num[DT] * get4(a.gravity, b)[:3]

    @ti.func
    def place(at, a: ti.template()):
        """Position of the node of cell `at`, m."""
        return origin(a) + vec3(ti.cast(at[0], real), ti.cast(at[1], real), ti.cast(at[2], real)) * a.num[DX]

    @ti.func
    def cell_of(x, a: ti.template()):
        """Of the node at x."""
        g = (x - origin(a)) * a.num[INV_DX] + 0.5
        return ti.Vector([ti.cast(ti.floor(g[d]), ti.i32) for d in ti.static(range(3))])

    @ti.func
    def through_walls(at, moved_node, gnode, a: ti.template()):
        """Cotangent of a node's velocity before walls, from that of (velocity, mass) behind them."""
        g = vec3(gnode[0], gnode[1], gnode[2])
        for d in ti.static(range(3)):
            if moved_node[d] == 0.0 and (at[d] < WALL or at[d] > a.size[CELLS + d] - WALL):
                g[d] = 0.0
        return g

    @ti.func
    def arriving(grid_node, clamp, b, a: ti.template()):
        """Velocity with which a node meets colliders: after gravity and what is attached."""
        return held.follow(falling(grid_node, b, a), clamp, grid_node[3])

    @ti.func
    def arriving_adjoint(grid_node, clamp, g, gm, b, a: ti.template()):
        """Cotangents of `arriving` and of the mass -> of (momentum, mass), of `clamp`, and gravity's."""
        m = grid_node[3]
        gv, gclamp, gshare = held.follow_adjoint(falling(grid_node, b, a), clamp, m, g)
        gmv, ggravity = gv / m, a.num[DT] * gv
        gmass = gm + gshare - gmv.dot(grid_node[:3]) / m
        return vec4(gmv[0], gmv[1], gmv[2], gmass), gclamp, vec4(ggravity[0], ggravity[1], ggravity[2], 0.0)

    @ti.func
    def node(grid_node, clamp, at, light, s, b, chunk, c, a: ti.template()):
        """(momentum, mass), that of all and of what is attached -> (velocity, mass): gravity, what is attached,
        colliders, walls. Where colliders yield, nodes near any are listed, and come to these later."""
        out = vec4(0.0)
        m = grid_node[3]
        if m > light:
            v = arriving(grid_node, clamp, b, a)
            if ti.static(contact.yielding):
                contact.offer(v, place(at, a), m, s, b, chunk, c, a)
            else:
                v = contact.resolve(v, place(at, a), m, s, b, chunk, a)
            out = wall(v, at, m, a)
        return out

    @ti.func
    def offered_nodes(s, b, chunk, a: ti.template()):
        """Colliders and walls of the nodes that are listed, in place of what `node` made of them."""
        if ti.static(contact.yielding):
            for index in range(contact.count_offers(b, chunk, a)):
                v, x4, c = contact.resolve_offered(index, s, b, chunk, a)
                put4(a.moved, c, wall(v, cell_of(x4[:3], a), x4[3], a))

    @ti.func
    def offered_nodes_adjoint(b, chunk, a: ti.template()):
        """Notes of the nodes that are listed the cotangents of their velocities behind colliders."""
        if ti.static(contact.yielding):
            for index in range(contact.count_offers(b, chunk, a)):
                x4, c = contact.offered_point(index, b, chunk, a)
                g = through_walls(cell_of(x4[:3], a), get4(a.moved, c), get4(a.gmoved, c), a)
                contact.note_cotangent(index, b, chunk, g, a)

    @ti.func
    def trace_node(grid_node, clamp, at, light, s, b, chunk, c, a: ti.template()):
        """As `node`, for the adjoint: notes in row c of `contact_cache` what `release_node` needs of the colliders."""
        out = vec4(0.0)
        m = grid_node[3]
        if m > light:
            v = arriving(grid_node, clamp, b, a)
            out = wall(contact.trace(v, place(at, a), m, s, b, chunk, c, a), at, m, a)
        return out

    @ti.func
    def release_node(grid_node, clamp, at, light, s, b, chunk, c, a: ti.template()):
        """Cotangent of (velocity, mass) -> of (momentum, mass), in gmoved[c] and gclamp[c], and gravity's."""
        out, gclamp, ggravity = vec4(0.0), vec4(0.0), vec4(0.0)
        m = grid_node[3]
        if m > light:
            v = arriving(grid_node, clamp, b, a)
            gv = through_walls(at, get4(a.moved, c), get4(a.gmoved, c), a)
            garriving, gm = contact.resolve_adjoint(v, place(at, a), m, gv, s, b, chunk, c, a)
            out, gclamp, ggravity = arriving_adjoint(grid_node, clamp, garriving, gm, b, a)
        put4(a.gmoved, c, out)
        if a.size[CLAMPED] != 0:
            put4(a.gclamp, c, gclamp)
        return ggravity

    return Functions(
        origin=origin, node=node, offered_nodes=offered_nodes, offered_nodes_adjoint=offered_nodes_adjoint,
        trace_node=trace_node, release_node=release_node,
    )  # fmt: skip
