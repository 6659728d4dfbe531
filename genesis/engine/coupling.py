"""The one place that knows two solvers: how tools push particles, and in which order solvers advance.

A collider is a posed body with a velocity. Per frame and environment it is four vec4 (`POSE`): position and friction,
quaternion wxyz, velocity, angular velocity; its shape is two vec4, the same for all: kind and size, softness and reach.
"""

import math
from typing import Sequence

import torch

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.kernels import rotations
from genesis.solvers.base import Frames, Solver
from genesis.solvers.mpm.solver import Colliders
from genesis.solvers.tool.shapes import FADE, PLANE, shapes


@per_runtime
def contact() -> Functions:
    """Velocity of a grid node next to colliders: the relative velocity into a body is removed, with Coulomb friction.

    With a the influence, r = v - (velocity of the body there), n the normal, r_n = min(r.n, 0):
        v' = v + a (max(0, 1 + mu r_n / |r_t|) r_t - r)      where r.n < 0,      v' = v elsewhere.
    Kinks (the derivative jumps, the value does not): r.n = 0, the edge of sticking, distance 0.
    Source: the contact rule of PlasticineLab (Huang et al. 2021, section 3), with a continuous cut-off.
    """
    lay, shape, turn = layout(), shapes(), rotations()
    real, vec3, vec4 = lay.real, lay.vec3, lay.vec4
    get4, put4, add4 = lay.get4, lay.put4, lay.add4
    floor = math.exp(-FADE)

    @ti.func
    def near(x, colliders: ti.template(), shape_rows: ti.template(), at, k):
        """Influence, its slope with distance, normal, local position. Influence 0 where the body is too far."""
        a, slope, n, y = ti.cast(0.0, real), ti.cast(0.0, real), vec3(0.0), vec3(0.0)
        r = x - get4(colliders, 4 * at)[:3]
        row, extra = get4(shape_rows, 2 * k), get4(shape_rows, 2 * k + 1)
        kind = ti.cast(row[0], ti.i32)
        if kind == PLANE or r.dot(r) < extra[1]:
            quat = get4(colliders, 4 * at + 1)
            y = turn.unrotate(quat, r)
            d, local = shape.distance(kind, row[1:], y)
            if d < FADE * extra[0] or d <= 0.0:
                n = turn.rotate(quat, local)
                a = 1.0
                if d > 0.0:
                    e = ti.exp(-d / extra[0])
                    a = (e - floor) / (1.0 - floor)
                    slope = -e / (extra[0] * (1.0 - floor))
        return a, slope, n, y

    @ti.func
    def body_velocity(colliders: ti.template(), at, r):
        return get4(colliders, 4 * at + 2)[:3] + get4(colliders, 4 * at + 3)[:3].cross(r)

    @ti.func
    def slide(rel, n, mu):
        """Relative velocity after full contact, and the factor on its tangential part. rel.n < 0."""
        nc = rel.dot(n)
        tangent = rel - nc * n
        length = tangent.norm()
        keep = ti.cast(0.0, real)
        if mu == 0.0:
            keep = 1.0
        elif length > -mu * nc:
            keep = 1.0 + mu * nc / length
        return keep * tangent, tangent, length, keep, nc

    @ti.func
    def respond(v, n, a, r, colliders: ti.template(), at):
        """The rule: v' of a node where the collider has influence a and normal n."""
        out = v
        if a > 0.0:
            rel = v - body_velocity(colliders, at, r)
            if rel.dot(n) < 0.0:
                slid, _tangent, _length, _keep, _nc = slide(rel, n, get4(colliders, 4 * at)[3])
                out = v + a * (slid - rel)
        return out

    @ti.func
    def push(v, x, m, colliders: ti.template(), shape_rows: ti.template(), impulse: ti.template(), pose, slot, count):
        """Velocity of a node of mass m at x after all colliders, which get the impulse (N s) and its moment in turn.

        `pose` is the index of the first collider's block, `slot` that of its sums in `impulse`.
        """
        out = v
        for k in range(count):
            a, _slope, n, _y = near(x, colliders, shape_rows, pose + k, k)
            r = x - get4(colliders, 4 * (pose + k))[:3]
            pushed = respond(out, n, a, r, colliders, pose + k)
            J = m * (out - pushed)
            if J.dot(J) > 0.0:
                moment = r.cross(J)
                add4(impulse, 2 * (slot + k), vec4(J[0], J[1], J[2], 0.0))
                add4(impulse, 2 * (slot + k) + 1, vec4(moment[0], moment[1], moment[2], 0.0))
            out = pushed
        return out

    @ti.func
    def trace(v, x, colliders: ti.template(), shape_rows: ti.template(), memo: ti.template(), pose, row, count):
        """As `push`, for the adjoint: notes each collider's (normal, influence) and (local position, slope)."""
        out = v
        for k in range(count):
            a, slope, n, y = near(x, colliders, shape_rows, pose + k, k)
            put4(memo, 2 * (row + k), vec4(n[0], n[1], n[2], a))
            put4(memo, 2 * (row + k) + 1, vec4(y[0], y[1], y[2], slope))
            r = x - get4(colliders, 4 * (pose + k))[:3]
            out = respond(out, n, a, r, colliders, pose + k)
        return out

    @ti.func
    def push_adjoint(v, x, m, g, colliders: ti.template(), shape_rows: ti.template(), memo: ti.template(),
                     gimpulse: ti.template(), gcolliders: ti.template(), pose, gpose, gslot, row, count):  # fmt: skip
        """Cotangents of the velocity before all colliders and of the mass; adds the colliders' own to gcolliders."""
        gv, gm = g, ti.cast(0.0, real)
        for back in range(count):
            k = count - 1 - back
            n4, y4 = get4(memo, 2 * (row + k)), get4(memo, 2 * (row + k) + 1)
            a, n, at = n4[3], n4[:3], pose + k
            if a > 0.0:
                w = v
                for j in range(k):
                    other = get4(memo, 2 * (row + j))
                    w = respond(w, other[:3], other[3], x - get4(colliders, 4 * (pose + j))[:3], colliders, pose + j)
                r = x - get4(colliders, 4 * at)[:3]
                spin = get4(colliders, 4 * at + 3)[:3]
                rel = w - body_velocity(colliders, at, r)
                if rel.dot(n) < 0.0:
                    mu = get4(colliders, 4 * at)[3]
                    slid, tangent, length, keep, nc = slide(rel, n, mu)
                    # impulse J = m (w - w') = -m step, and its moment r x J
                    gmoment = get4(gimpulse, 2 * (gslot + k) + 1)[:3]
                    gJ = get4(gimpulse, 2 * (gslot + k))[:3] + gmoment.cross(r)
                    step = a * (slid - rel)
                    gm -= gJ.dot(step)
                    gposition = -gmoment.cross(m * step)
                    gout = gv - m * gJ
                    # w' = w + a (keep tangent - rel)
                    ga = gout.dot(slid - rel)
                    gslid = a * gout
                    gtangent = keep * gslid
                    gnc, gmu = ti.cast(0.0, real), ti.cast(0.0, real)
                    if keep > 0.0 and length > 0.0:
                        gkeep = gslid.dot(tangent)
                        gmu = gkeep * nc / length
                        gnc = gkeep * mu / length
                        gtangent += (-gkeep * mu * nc / (length * length * length)) * tangent
                    gnc -= gtangent.dot(n)
                    gn = gnc * rel - nc * gtangent
                    grel = gtangent - gslid + gnc * n
                    gv += grel
                    # velocity of the body at r
                    gposition -= spin.cross(grel)
                    gspin = -r.cross(grel)
                    # normal and influence are functions of the pose
                    quat, shape_row = get4(colliders, 4 * at + 1), get4(shape_rows, 2 * k)
                    bent = turn.rotate(
                        quat, shape.bend(ti.cast(shape_row[0], ti.i32), shape_row[1:], y4[:3], turn.unrotate(quat, gn))
                    )
                    gd = ga * y4[3]
                    gposition -= bent + gd * n
                    gturn = turn.tangent_to_quaternion(quat, n.cross(gn) - r.cross(bent + gd * n))
                    add4(gcolliders, 4 * (gpose + k), vec4(gposition[0], gposition[1], gposition[2], gmu))
                    add4(gcolliders, 4 * (gpose + k) + 1, gturn)
                    add4(gcolliders, 4 * (gpose + k) + 2, vec4(-grel[0], -grel[1], -grel[2], 0.0))
                    add4(gcolliders, 4 * (gpose + k) + 3, vec4(gspin[0], gspin[1], gspin[2], 0.0))
        return gv, gm

    return Functions(push=push, trace=trace, push_adjoint=push_adjoint)


@per_runtime
def no_contact() -> Functions:
    """Of a scene without colliders: the same functions, doing nothing."""
    real = layout().real

    @ti.func
    def push(v, x, m, colliders: ti.template(), shape_rows: ti.template(), impulse: ti.template(), pose, slot, count):
        return v

    @ti.func
    def trace(v, x, colliders: ti.template(), shape_rows: ti.template(), memo: ti.template(), pose, row, count):
        return v

    @ti.func
    def push_adjoint(v, x, m, g, colliders: ti.template(), shape_rows: ti.template(), memo: ti.template(),
                     gimpulse: ti.template(), gcolliders: ti.template(), pose, gpose, gslot, row, count):  # fmt: skip
        return g, ti.cast(0.0, real)

    return Functions(push=push, trace=trace, push_adjoint=push_adjoint)


class Coupling:
    """The solvers of a scene, in the order in which they advance, and what one hands to the next."""

    def __init__(self, solvers: Sequence[Solver]):
        order = {"tool": 0, "rigid": 1, "mpm": 2}
        self.solvers = sorted(solvers, key=lambda solver: order[solver.name])
        by_name = {solver.name: solver for solver in self.solvers}
        self._tool, self._mpm = by_name.get("tool"), by_name.get("mpm")
        if self._mpm is not None:
            self._mpm.contact = contact() if self._tool else no_contact()
        if self._tool is not None and self._mpm is not None:
            self._mpm.n_colliders = len(self._tool.bodies)
            self._mpm.collider_shapes = self._tool.shape_rows
            self._tool.n_chunks = self._mpm.n_chunks

    def frame_bytes(self, n_envs: int, n_frames: int) -> int:
        return sum(solver.frame_bytes(n_envs, n_frames) for solver in self.solvers)

    def allocate(self, n_envs: int, n_frames: int) -> Frames:
        """Frames of all solvers; n_frames is 2 (forward only) or substeps + 1."""
        frames = Frames(n_envs, n_frames, {}, self.frame_bytes(n_envs, n_frames))
        for solver in self.solvers:
            solver.allocate(frames)
            if solver is self._tool:
                mine = frames.of["tool"]
                frames.of["colliders"] = Colliders(mine.poses, mine.impulse, mine.gposes, mine.gimpulse)
        return frames

    def substep(self, frames: Frames, begin: int, end: int) -> None:
        for solver in self.solvers:
            solver.substep(frames, begin, end)

    def substep_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        for solver in reversed(self.solvers):
            solver.substep_adjoint(frames, begin, end)

    def failures(self, frames: Frames) -> torch.Tensor | None:
        """(n_envs,) int32: 0 where healthy, else 1 + the substep that went wrong. None if no solver can fail."""
        codes = [code for code in (solver.failures(frames) for solver in self.solvers) if code is not None]
        if len(codes) < 2:
            return codes[0] if codes else None
        first = torch.stack([torch.where(code == 0, torch.iinfo(code.dtype).max, code) for code in codes]).amin(0)
        return torch.where(first == torch.iinfo(first.dtype).max, 0, first)
