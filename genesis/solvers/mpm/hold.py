"""Activity of particles, and their attachment to targets: what a substep does with a particle that is not free.

The control `hold` has of each particle (target (3) m, mode). A mode below zero is that of an inactive particle: it
keeps its state, and neither acts nor is felt. An attached one is at its target at the end of the control step, and gets
there at a constant velocity; in terms of the position x at the beginning of substep s of S,

    u = (target - x) / ((S - s) dt),      v = u before the substep,      v' = u,      x' = x + dt u

in place of what the grid gives. C and F go on as of every particle. So that free particles do not slip away from them,
nodes move as the attached particles near them say: beside the grid, `clamp` has momentum and mass of these alone, the
velocity of which a node takes on, the more the larger their share of its mass. docs/mpm.md, "Particles that are held".
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.solvers.mpm.arrays import CLAMPED, DT, HELD, N_MEMORY, SUBSTEPS

FREE, ATTACHED = 0.0, 1.0
INACTIVE = 2.0
"""Modes: subtracted from that of an inactive particle, which so remembers whether it is attached."""

CLAMPING = 0.01
"""Share of a node's mass from which on attached particles alone say how it moves."""


@per_runtime
def holding() -> Functions:
    lay = layout()
    real, vec4, get3, get4, put3, put4, entry, put_entry = (
        lay.real, lay.vec4, lay.get3, lay.get4, lay.put3, lay.put4, lay.entry, lay.put_entry
    )  # fmt: skip

    @ti.func
    def mode(i, a: ti.template()):
        """Of element i: negative of an inactive particle, positive of one that is active and attached, else 0."""
        out = ti.cast(0.0, real)
        if a.size[HELD] != 0:
            out = get4(a.hold, i)[3]
        return out

    @ti.func
    def remaining(s, a: ti.template()):
        """Time from the beginning of substep s to the end of the control step, s."""
        return ti.cast(a.size[SUBSTEPS] - s, real) * a.num[DT]

    @ti.func
    def steer(q, i, s, a: ti.template()):
        """Velocity of an attached particle in place of its own."""
        put3(a.v, q, (get4(a.hold, i)[:3] - get3(a.x, q)) / remaining(s, a))

    @ti.func
    def steer_adjoint(i, s, gu, a: ti.template()):
        """Cotangent of the velocity -> of target and position; what the velocity was before has none."""
        g = gu / remaining(s, a)
        put4(a.ghold, i, get4(a.ghold, i) + vec4(g[0], g[1], g[2], 0.0))
        put3(a.gx, i, get3(a.gx, i) - g)
        put3(a.gv, i, 0.0 * gu)

    @ti.func
    def clamped(c, a: ti.template()):
        """(momentum, mass) of the attached particles at node c of `clamp`; zero where there are none."""
        out = vec4(0.0)
        if a.size[CLAMPED] != 0:
            out = get4(a.clamp, c)
        return out

    @ti.func
    def hardness(clamp, m):
        """How far a node of mass m takes on the velocity of what is attached, and the slope by the share of mass."""
        t = ti.min(clamp[3] / (CLAMPING * m), ti.cast(1.0, real))
        return t * t * (3.0 - 2.0 * t), 6.0 * t * (1.0 - t) / CLAMPING

    @ti.func
    def follow(v, clamp, m):
        """Velocity of a node of mass m that would be v without what is attached."""
        out = v
        if clamp[3] > 0.0:
            hard, _slope = hardness(clamp, m)
            out = v + hard * (clamp[:3] / clamp[3] - v)
        return out

    @ti.func
    def follow_adjoint(v, clamp, m, g):
        """Cotangents of v, of `clamp` and of m."""
        gv, gclamp, gm = g, vec4(0.0), ti.cast(0.0, real)
        if clamp[3] > 0.0:
            hard, slope = hardness(clamp, m)
            u = clamp[:3] / clamp[3]
            gshare = slope * g.dot(u - v) / m
            gu = g * (hard / clamp[3])
            gv = g - hard * g
            gclamp = vec4(gu[0], gu[1], gu[2], gshare - gu.dot(u))
            gm -= gshare * clamp[3] / m
        return gv, gclamp, gm

    @ti.func
    def keep(q, q1, a: ti.template()):
        """State of an inactive particle after a substep. Its adjoint is the identity (`MPMSolver.store_adjoint`)."""
        put3(a.x, q1, get3(a.x, q))
        put3(a.v, q1, get3(a.v, q))
        at, to = lay.place(q, 9), lay.place(q1, 9)
        for k in range(9):
            put_entry(a.C, to, k, entry(a.C, at, k))
            put_entry(a.F, to, k, entry(a.F, at, k))
        for j in range(a.size[N_MEMORY]):
            a.memory[q1 * a.size[N_MEMORY] + j] = a.memory[q * a.size[N_MEMORY] + j]

    return Functions(
        mode=mode, steer=steer, steer_adjoint=steer_adjoint, clamped=clamped, follow=follow,
        follow_adjoint=follow_adjoint, keep=keep,
    )  # fmt: skip
