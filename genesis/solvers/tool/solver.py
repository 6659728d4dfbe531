"""Tool solver: poses moved by a velocity that is constant over a control step.

Per frame, environment and tool one block of four vec4, which is also what the coupling reads as a collider:
(position, friction), quaternion wxyz, (velocity, -), (angular velocity, -). All frames of a step are always kept: they
are small.
"""

from dataclasses import dataclass
from typing import Sequence

import numpy as np
import torch

from genesis.compiler import Functions, Launch, bind, layout, per_runtime, ti
from genesis.math.kernels import rotations
from genesis.solvers.base import Field, Frames, Solver
from genesis.solvers.tool.shapes import FADE, SHAPES, Shape

ENVS, TOOLS, BEGIN, END, CHUNKS = range(5)


@dataclass(frozen=True)
class ToolBody:
    """One tool: shape and size as in `Shape`, pose (m; wxyz), friction coefficient, softness (m)."""

    name: str
    shape: str
    size: tuple[float, float, float]
    pos: np.ndarray
    quat: np.ndarray
    friction: float | torch.Tensor
    softness: float


@dataclass
class ToolFrames:
    """poses (S+1, n_envs, T) blocks; impulse (n_chunks, n_envs, T) of force and moment sums; and their cotangents.

    gposes (S, n_chunks, n_envs, T), gimpulse (n_envs, T); result (n_envs, T) is pulled back from frame to frame.
    """

    poses: torch.Tensor
    impulse: torch.Tensor
    gposes: torch.Tensor
    gimpulse: torch.Tensor
    result: torch.Tensor
    launch: Launch
    active: int = 0
    launch_adjoint: Launch | None = None


@per_runtime
def kernels() -> Functions:
    lay, turn = layout(), rotations()
    A1, A4, I1, vec4 = lay.A1, lay.A4, lay.I1, lay.vec4
    get4, put4 = lay.get4, lay.put4

    @ti.kernel
    def advance(size: I1, num: A1, poses: A4):
        """Frame s + 1 from frame s: x + dt v, exp(dt omega) q."""
        for item in range(size[ENVS] * size[TOOLS]):
            for s in range(size[BEGIN], size[END]):
                now = 4 * (s * size[ENVS] * size[TOOLS] + item)
                then = now + 4 * size[ENVS] * size[TOOLS]
                v, omega = get4(poses, now + 2), get4(poses, now + 3)
                put4(poses, then, get4(poses, now) + num[0] * vec4(v[0], v[1], v[2], 0.0))
                put4(poses, then + 1, turn.multiply(turn.turn(omega[:3], num[0]), get4(poses, now + 1)))
                put4(poses, then + 2, v)
                put4(poses, then + 3, omega)

    @ti.kernel
    def advance_adjoint(size: I1, num: A1, poses: A4, gposes: A4, result: A4):
        """`result` holds the cotangent of frame `end` and becomes that of frame `begin`; gposes adds the contacts'."""
        for item in range(size[ENVS] * size[TOOLS]):
            r = 4 * item
            for back in range(size[END] - size[BEGIN]):
                s = size[END] - 1 - back
                now = 4 * (s * size[ENVS] * size[TOOLS] + item)
                gpos, gquat = get4(result, r), get4(result, r + 1)
                gvel, gspin = get4(result, r + 2), get4(result, r + 3)
                omega = get4(poses, now + 3)
                step = turn.turn(omega[:3], num[0])
                gstep = turn.multiply(gquat, turn.conjugate(get4(poses, now + 1)))
                gomega = turn.turn_adjoint(omega[:3], num[0], gstep)
                gvel += num[0] * vec4(gpos[0], gpos[1], gpos[2], 0.0)
                gspin += vec4(gomega[0], gomega[1], gomega[2], 0.0)
                gquat = turn.multiply(turn.conjugate(step), gquat)
                for c in range(size[CHUNKS]):
                    at = 4 * ((s * size[CHUNKS] + c) * size[ENVS] * size[TOOLS] + item)
                    gpos += get4(gposes, at)
                    gquat += get4(gposes, at + 1)
                    gvel += get4(gposes, at + 2)
                    gspin += get4(gposes, at + 3)
                put4(result, r, gpos)
                put4(result, r + 1, gquat)
                put4(result, r + 2, gvel)
                put4(result, r + 3, gspin)

    return Functions(advance=advance, advance_adjoint=advance_adjoint)


class ToolSolver(Solver):
    """Final. State pos (T, 3), quat (T, 4); controls vel, ang (T, 3); parameter friction (T,); output wrench (T, 6)."""

    name = "tool"

    def __init__(self, bodies: Sequence[ToolBody], dt: float, substeps: int, n_envs: int, wrench: bool):
        """`dt` is the control step, s. `n_envs` only sizes parameters that are given per environment."""
        self.bodies = list(bodies)
        self.substeps, self.dt = substeps, dt
        T = len(self.bodies)
        self.state = (Field("pos", (T, 3)), Field("quat", (T, 4)))
        self.controls = (Field("vel", (T, 3)), Field("ang", (T, 3)))
        self.parameters = (Field("friction", (T,)),)
        self.outputs = (Field("wrench", (T, 6)),) if wrench else ()
        self.n_chunks = 1
        """Partial sums of impulses and contact cotangents; the coupling sets what the particles' driver needs."""
        lay = layout()
        self._num = torch.tensor([dt / substeps], dtype=lay.dtype, device=lay.device)
        self._size = lay.new_int(5)
        self.shape_rows = lay.new(2 * T, 4)
        rows = lay.rows(self.shape_rows)
        for k, body in enumerate(self.bodies):
            shape = Shape(body.shape, body.size)
            reach = (shape.reach + FADE * body.softness) ** 2
            rows[2 * k] = torch.tensor([SHAPES.index(body.shape), *body.size], dtype=lay.dtype)
            rows[2 * k + 1] = torch.tensor([body.softness, min(reach, 1e30), 0.0, 0.0], dtype=lay.dtype)

    def initial_values(self, n_envs: int) -> list[torch.Tensor]:
        lay = layout()

        def stack(rows):
            return torch.stack([torch.as_tensor(row, dtype=lay.dtype, device=lay.device) for row in rows])

        T = len(self.bodies)
        zero = torch.zeros(n_envs, T, 3, dtype=lay.dtype, device=lay.device)
        friction = [torch.as_tensor(b.friction, dtype=lay.dtype, device=lay.device).expand(n_envs) for b in self.bodies]
        return [
            stack([b.pos for b in self.bodies]).expand(n_envs, T, 3).clone(),
            stack([b.quat for b in self.bodies]).expand(n_envs, T, 4).clone(),
            zero,
            zero.clone(),
            torch.stack(friction, dim=1),
        ]

    def frame_bytes(self, n_envs: int, n_frames: int) -> int:
        item = layout().dtype.itemsize
        return item * n_envs * len(self.bodies) * (16 * (self.substeps + 1) + 8 * self.n_chunks)

    def allocate(self, frames: Frames) -> None:
        lay, items = layout(), frames.n_envs * len(self.bodies)
        poses = lay.new(4 * (self.substeps + 1) * items, 4)
        impulse = lay.new(2 * self.n_chunks * items, 4)
        gposes, gimpulse = lay.new(4 * self.substeps * self.n_chunks * items, 4), lay.new(2 * items, 4)
        launch = bind(kernels().advance, self._size, self._num, poses)
        frames.of[self.name] = ToolFrames(poses, impulse, gposes, gimpulse, lay.new(4 * items, 4), launch)

    def _blocks(self, array: torch.Tensor, *shape: int) -> torch.Tensor:
        return layout().rows(array).unflatten(0, shape)

    def _set_range(self, frames: Frames, begin: int, end: int) -> None:
        self._size.copy_(torch.tensor([frames.n_envs, len(self.bodies), begin, end, self.n_chunks], dtype=torch.int32))

    def load(self, frames: Frames, values: Sequence[torch.Tensor]) -> None:
        mine: ToolFrames = frames.of[self.name]
        pos, quat, vel, ang, friction = values
        first = self._blocks(mine.poses, self.substeps + 1, frames.n_envs, len(self.bodies), 4)[0, : pos.shape[0]]
        first[:, :, 0, :3].copy_(pos)
        first[:, :, 0, 3].copy_(friction)
        first[:, :, 1].copy_(quat)
        first[:, :, 2, :3].copy_(vel)
        first[:, :, 3, :3].copy_(ang)
        mine.impulse.zero_()
        mine.active = pos.shape[0]

    def substep(self, frames: Frames, begin: int, end: int) -> None:
        self._set_range(frames, begin, end)
        frames.of[self.name].launch()

    def store(self, frames: Frames) -> list[torch.Tensor]:
        mine: ToolFrames = frames.of[self.name]
        last = self._blocks(mine.poses, self.substeps + 1, frames.n_envs, len(self.bodies), 4)[-1, : mine.active]
        out = [last[:, :, 0, :3].clone(), last[:, :, 1].clone()]
        if self.outputs:
            sums = self._blocks(mine.impulse, self.n_chunks, frames.n_envs, len(self.bodies), 2).sum(0)[: mine.active]
            out.append(sums[..., :3].flatten(2) / self.dt)
        return out

    def failures(self, frames: Frames) -> None:
        return None

    def load_adjoint(self, frames: Frames, cotangents: Sequence[torch.Tensor]) -> None:
        mine: ToolFrames = frames.of[self.name]
        T = len(self.bodies)
        if mine.launch_adjoint is None:
            arrays = (self._size, self._num, mine.poses, mine.gposes, mine.result)
            mine.launch_adjoint = bind(kernels().advance_adjoint, *arrays)
        mine.gposes.zero_()
        mine.gimpulse.zero_()
        mine.result.zero_()
        n = cotangents[0].shape[0]
        result = self._blocks(mine.result, frames.n_envs, T, 4)[:n]
        result[:, :, 0, :3].copy_(cotangents[0])
        result[:, :, 1].copy_(cotangents[1])
        if self.outputs:
            wrench = cotangents[2].unflatten(2, (2, 3)) / self.dt
            self._blocks(mine.gimpulse, frames.n_envs, T, 2)[:n, :, :, :3].copy_(wrench)

    def substep_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        self._set_range(frames, begin, end)
        frames.of[self.name].launch_adjoint()

    def store_adjoint(self, frames: Frames, needed: Sequence[bool]) -> list[torch.Tensor | None]:
        mine: ToolFrames = frames.of[self.name]
        g = self._blocks(mine.result, frames.n_envs, len(self.bodies), 4)[: mine.active]
        pos, quat, vel, ang = g.unbind(2)
        return [pos[..., :3].clone(), quat.clone(), vel[..., :3].clone(), ang[..., :3].clone(), pos[..., 3].clone()]
