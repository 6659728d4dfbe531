"""Tool solver: poses moved by a velocity that is constant over a control step.

Per frame, environment and tool one pose, laid out as a collider's: (position, friction), quaternion wxyz,
(velocity, -), (angular velocity, -). All frames of a step are always kept: they are small.
"""

import math
from dataclasses import dataclass, field
from typing import Sequence

import numpy as np
import torch

from genesis.arrays import Array, allocate, count_bytes, view
from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact import colliders as exchange
from genesis.contact.colliders import Collider, Colliders
from genesis.launch import Launch, bind, kernel
from genesis.math.kernels import rotations
from genesis.math.lanes import add_reals
from genesis.solvers.base import SPEED_LIMIT, SPIN_LIMIT, Bodies, Field, Frames, Origin

ENVS, TOOLS, BEGIN, END, CHUNKS, SUBSTEPS, COLLIDERS, FIRST = range(8)
"""Slots of `size`."""
TABLE = (
    Array("size", "I1", (8,), "step"),
    Array("num", "A1", (1,), "constant"),  # dt of a substep
    Array("tools", "A4", ("poses", "envs", "tools", 4), "frames"),
    Array("low", "A4", ("envs", "tools"), "frames"),  # what is rounded away of positions, in float32 alone
    Array("gtools", "A4", ("envs", "tools", 4), "adjoint"),  # cotangents of one frame at a time
)


@dataclass(frozen=True)
class ToolBody:
    """One tool: what matter feels of it, pose (m; wxyz) and friction coefficient."""

    name: str
    collider: Collider
    pos: np.ndarray
    quat: np.ndarray
    friction: float | torch.Tensor


@dataclass
class ToolFrames:
    """Arrays of a set of frames and the kernels bound to them. `active` environments are in use."""

    arrays: dict[str, torch.Tensor]
    sizes: dict[str, int]
    launch: Launch
    launch_publish: Launch
    active: int = 0
    status: torch.Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int32))
    launch_adjoint: Launch | None = None


@per_runtime
def kernels() -> Functions:
    lay, turn = layout(), rotations()
    get4, put4, vec4 = lay.get4, lay.put4, lay.vec4

    @kernel(TABLE, "constant", "frames", "step")
    def advance(a: ti.template()):
        """Frame s + 1 from frame s: x + dt v, exp(dt omega) q."""
        for item in range(a.size[ENVS] * a.size[TOOLS]):
            for s in range(a.size[BEGIN], a.size[END]):
                now = 4 * (s * a.size[ENVS] * a.size[TOOLS] + item)
                then = now + 4 * a.size[ENVS] * a.size[TOOLS]
                v, omega = get4(a.tools, now + 2), get4(a.tools, now + 3)
                moved = a.num[0] * vec4(v[0], v[1], v[2], 0.0)
                if ti.static(lay.real == ti.f32):
                    pos, low = get4(a.tools, now), get4(a.low, item)
                    for c in ti.static(range(3)):
                        pos[c], low[c] = add_reals(pos[c], low[c], moved[c])
                    put4(a.tools, then, pos)
                    put4(a.low, item, low)
                else:
                    put4(a.tools, then, get4(a.tools, now) + moved)
                put4(a.tools, then + 1, turn.multiply(turn.turn(omega[:3], a.num[0]), get4(a.tools, now + 1)))
                put4(a.tools, then + 2, v)
                put4(a.tools, then + 3, omega)

    @kernel(TABLE + exchange.TABLE, "constant", "frames", "step")
    def publish(a: ti.template()):
        """Poses of colliders at the beginning of substeps."""
        for item in range(a.size[ENVS] * a.size[TOOLS]):
            b, t = item // a.size[TOOLS], item % a.size[TOOLS]
            for s in range(a.size[BEGIN], a.size[END]):
                mine = 4 * (s * a.size[ENVS] * a.size[TOOLS] + item)
                to = 4 * ((s * a.size[ENVS] + b) * a.size[COLLIDERS] + a.size[FIRST] + t)
                for row in ti.static(range(4)):
                    put4(a.poses, to + row, get4(a.tools, mine + row))

    @kernel(TABLE + exchange.TABLE, "constant", "frames", "step", "adjoint")
    def advance_adjoint(a: ti.template()):
        """`gtools`: from the cotangent of frame `end`, but for that of its published poses, to that of `begin`."""
        for item in range(a.size[ENVS] * a.size[TOOLS]):
            b, t = item // a.size[TOOLS], item % a.size[TOOLS]
            r = 4 * item
            for back in range(a.size[END] - a.size[BEGIN]):
                s = a.size[END] - 1 - back
                now = 4 * (s * a.size[ENVS] * a.size[TOOLS] + item)
                gpos, gquat = get4(a.gtools, r), get4(a.gtools, r + 1)
                gvel, gspin = get4(a.gtools, r + 2), get4(a.gtools, r + 3)
                if s + 1 < a.size[SUBSTEPS]:
                    for c in range(a.size[CHUNKS]):
                        row = ((s + 1) * a.size[CHUNKS] + c) * a.size[ENVS] + b
                        at = 4 * (row * a.size[COLLIDERS] + a.size[FIRST] + t)
                        gpos += get4(a.gposes, at)
                        gquat += get4(a.gposes, at + 1)
                        gvel += get4(a.gposes, at + 2)
                        gspin += get4(a.gposes, at + 3)
                omega = get4(a.tools, now + 3)
                step = turn.turn(omega[:3], a.num[0])
                gstep = turn.multiply(gquat, turn.conjugate(get4(a.tools, now + 1)))
                gomega = turn.turn_adjoint(omega[:3], a.num[0], gstep)
                gvel += a.num[0] * vec4(gpos[0], gpos[1], gpos[2], 0.0)
                gspin += vec4(gomega[0], gomega[1], gomega[2], 0.0)
                gquat = turn.multiply(turn.conjugate(step), gquat)
                put4(a.gtools, r, gpos)
                put4(a.gtools, r + 1, gquat)
                put4(a.gtools, r + 2, gvel)
                put4(a.gtools, r + 3, gspin)

    return Functions(advance=advance, publish=publish, advance_adjoint=advance_adjoint)


class ToolSolver(Bodies):
    """Final. State pos (T, 3), quat (T, 4); controls vel, ang (T, 3); parameter friction (T,); output wrench (T, 6)."""

    name, moved_by, placement = "tool", "vel", ("pos", "quat")
    state: tuple[Field, ...]
    whole_steps = True
    every = 1

    def __init__(
        self, bodies: Sequence[ToolBody], dt: float, substeps: int, wrench: bool, colliders: Colliders, first: int = 0
    ) -> None:
        """`dt` is the control step, s; `first` the index of its first collider."""
        self.bodies, self.colliders, self.first = list(bodies), colliders, first
        self.substeps, self.dt = substeps, dt
        T = self.n_colliders = len(self.bodies)
        self.state = (Field("pos", (T, 3)), Field("quat", (T, 4)))
        if layout().dtype == torch.float32:
            self.state, self.remainders = (*self.state, Field("pos_low", (T, 3))), {"pos": "pos_low"}
        self.controls = (Field("vel", (T, 3)), Field("ang", (T, 3)))
        self.parameters = (Field("friction", (T,)),)
        self.outputs = (Field("wrench", (T, 6)),) if wrench else ()
        self._constants = allocate(TABLE, self._sizes(1), "constant")
        self._constants["num"][0] = dt / substeps
        self._size: dict[tuple[int, ...], torch.Tensor] = {}
        self._shared: dict[int, dict[str, torch.Tensor]] = {}

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
            *(zero.clone() for _ in self.remainders),
            zero,
            zero.clone(),
            torch.stack(friction, dim=1),
        ]

    # Frames.

    def _sizes(self, n_envs: int) -> dict[str, int]:
        return {"envs": n_envs, "tools": len(self.bodies), "poses": self.substeps + 1}

    def frame_bytes(self, n_envs: int, n_frames: int) -> int:
        return count_bytes(TABLE, self._sizes(n_envs), "frames")

    def allocate(self, frames: Frames) -> None:
        sizes = self._sizes(frames.n_envs)
        arrays = {**self._constants, **allocate(TABLE, sizes, "frames", "step")}
        frames.of[self.name] = ToolFrames(
            arrays,
            sizes,
            bind(kernels().advance, arrays),
            bind(kernels().publish, {**arrays, **frames.exchange.arrays}),
        )

    def _launch(self, launch: Launch, frames: Frames, begin: int, end: int) -> None:
        """Run a kernel on substeps [begin, end). Its sizes are made once."""
        key = (frames.n_envs, begin, end)
        if key not in self._size:
            chunks, colliders = self.colliders.sizes["chunks"], len(self.colliders)
            values = [frames.n_envs, len(self.bodies), begin, end, chunks, self.substeps, colliders, self.first]
            self._size[key] = torch.tensor(values, dtype=torch.int32, device=layout().device)
        launch.point("size", self._size[key])
        launch()

    def _poses(self, frames: Frames, index: int) -> torch.Tensor:
        """(active, T, 4, 4) of a frame: a view."""
        mine: ToolFrames = frames.of[self.name]
        return view(TABLE, mine.arrays, "tools", mine.sizes)[index, : mine.active]

    def _low(self, frames: Frames) -> torch.Tensor:
        """(active, T, 4): a view."""
        mine: ToolFrames = frames.of[self.name]
        return view(TABLE, mine.arrays, "low", mine.sizes)[: mine.active]

    def _cotangents(self, frames: Frames) -> torch.Tensor:
        """(envs, T, 4, 4): a view."""
        if frames.n_envs not in self._shared:
            self._shared[frames.n_envs] = allocate(TABLE, self._sizes(frames.n_envs), "adjoint")
        return view(TABLE, self._shared[frames.n_envs], "gtools", self._sizes(frames.n_envs))

    def _mine(self, rows: torch.Tensor) -> torch.Tensor:
        """The part of an array of the exchange, (…, envs, colliders, rows, 4), that is of its own colliders."""
        return rows[..., self.first : self.first + self.n_colliders, :, :]

    # Forward.

    def load(self, frames: Frames, values: Sequence[torch.Tensor]) -> None:
        pos, quat, *low, vel, ang, friction = values
        mine: ToolFrames = frames.of[self.name]
        mine.active = len(pos)
        # Velocities hold for the whole step. Zero times a pose is NaN if the pose is not finite.
        parts = (vel / SPEED_LIMIT, ang / SPIN_LIMIT, 0.0 * pos, 0.0 * quat)
        mine.status = (~(torch.cat(parts, 2).abs().amax((1, 2)) <= 1.0)).int()
        start = self._poses(frames, 0)
        start[:, :, 0, :3].copy_(pos)
        start[:, :, 0, 3].copy_(friction)
        start[:, :, 1].copy_(quat)
        start[:, :, 2, :3].copy_(vel)
        start[:, :, 3, :3].copy_(ang)
        for value in low:
            rest = self._low(frames)
            rest[..., :3].copy_(value)
            rest[..., 3].zero_()

    def substep(self, frames: Frames, begin: int, end: int) -> None:
        self._launch(frames.of[self.name].launch, frames, begin, end)

    def publish(self, frames: Frames, begin: int, end: int) -> None:
        self._launch(frames.of[self.name].launch_publish, frames, begin, end)

    def store(self, frames: Frames) -> list[torch.Tensor]:
        mine: ToolFrames = frames.of[self.name]
        last = self._poses(frames, -1)
        out = [last[:, :, 0, :3].clone(), last[:, :, 1].clone()]
        out += [self._low(frames)[..., :3].clone() for _ in self.remainders]
        if self.outputs:
            sums = self._mine(frames.exchange.rows("impulse")).sum((0, 1))[: mine.active]
            out.append(sums[..., :3].flatten(2) / self.dt)
        return out

    def failures(self, frames: Frames) -> torch.Tensor:
        return frames.of[self.name].status

    def origin(self, frames: Frames, env: int, code: int) -> Origin:
        first = self._poses(frames, 0)[env]
        for name, place, limit, unit in (("vel", 2, SPEED_LIMIT, "m/s"), ("ang", 3, SPIN_LIMIT, "rad/s")):
            speed = first[:, place, :3].abs().amax(1)
            fast = ~(speed <= limit)
            if fast.any():
                row = int(fast.nonzero()[0])
                return Origin(name, self.body_of(name, row), f"stay below {limit:g} {unit}", float(speed[row]))
        row = int((~torch.isfinite(first.flatten(1)).all(1)).nonzero()[0])
        return Origin("pos", self.body_of("pos", row), "be finite", math.nan)

    def body_of(self, field: str, row: int) -> str:
        return self.bodies[row].name

    # Backward.

    def load_adjoint(self, frames: Frames, cotangents: Sequence[torch.Tensor]) -> None:
        mine: ToolFrames = frames.of[self.name]
        result = self._cotangents(frames)
        if mine.launch_adjoint is None:
            arrays = {**mine.arrays, **frames.exchange.arrays, **frames.exchange.adjoint}
            mine.launch_adjoint = bind(kernels().advance_adjoint, {**arrays, **self._shared[frames.n_envs]})
        result.zero_()
        n = mine.active
        result[:n, :, 0, :3].copy_(cotangents[0])
        result[:n, :, 1].copy_(cotangents[1])
        answers = self._mine(frames.exchange.rows("gimpulse"))
        answers.zero_()
        if self.outputs:
            answers[:, :n, :, :, :3].copy_(cotangents[-1].unflatten(2, (2, 3)) / self.dt)

    def publish_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        """Nothing: the exchange keeps them, and `advance_adjoint` adds those of a frame before it leaves it."""

    def substep_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        self._launch(frames.of[self.name].launch_adjoint, frames, begin, end)

    def store_adjoint(self, frames: Frames, needed: Sequence[bool]) -> list[torch.Tensor | None]:
        g = self._cotangents(frames)
        for part in self._mine(frames.exchange.rows("gposes"))[0]:  # those of frame 0, sums in the kernels' order
            g += part
        g = g[: frames.of[self.name].active]
        pos, quat, vel, ang = g.unbind(2)
        state = [pos[..., :3].clone(), quat.clone(), *([None] * len(self.remainders))]
        return [*state, vel[..., :3].clone(), ang[..., :3].clone(), pos[..., 3].clone()]
