"""MPM solver: arrays, launches and the choice of driver."""

import math
from dataclasses import dataclass
from typing import Sequence

import numpy as np
import torch

from genesis.arrays import Table, allocate, count_bytes, extent, select, view
from genesis.compiler import Functions, layout
from genesis.contact import colliders as exchange
from genesis.contact import grids
from genesis.contact.colliders import Colliders
from genesis.contact.law import contact, no_contact
from genesis.launch import Launch, bind
from genesis.solvers.base import Field, Frames, Origin, Solver
from genesis.solvers.mpm import arrays as slot
from genesis.solvers.mpm.added import ADDED, STIFFNESS, VISCOSITY
from genesis.solvers.mpm.arrays import TABLE
from genesis.solvers.mpm.chunked import chunked
from genesis.solvers.mpm.fused import fused
from genesis.solvers.mpm.grid import GridOptions, cells_of
from genesis.solvers.mpm.hold import ATTACHED
from genesis.solvers.mpm.models import MODELS, Model, compiled_models, plastic_volume
from genesis.solvers.mpm.parallel import parallel
from genesis.solvers.mpm.prepare import prepare


@dataclass(frozen=True)
class MPMBody:
    """One body: particles' positions (n, 3) in metres, volume of a particle (m^3), constitutive model (a name in
    `models.MODELS`) and that model's numbers, () or (n_envs,) each."""

    name: str
    positions: np.ndarray
    volume: float
    model: str
    numbers: Sequence[float | torch.Tensor]
    added: tuple[str, ...] = ()
    """Names of those of `added.ADDED` that follow in `numbers`."""


def count_chunks(n_envs: int, n_particles: int) -> int:
    """Pieces that the chunked driver cuts an environment into; 1 means environment per thread.

    A function of the scene, never of the machine: sums are taken in the same order everywhere.
    """
    if layout().atomic:
        return 1
    return 1 if n_envs >= 8 else max(1, min(8, n_particles // 1000))


@dataclass
class MPMFrames:
    """Arrays of a set of frames and the kernels bound to them. `active` environments are in use."""

    arrays: dict[str, torch.Tensor]
    sizes: dict[str, int]
    launch: Launch
    active: int = 0
    held: int = 0
    """Whether a particle is inactive or attached; on GPUs always 1, for to know would be to wait."""
    attached: bool = False
    """Whether a particle is attached."""
    looked: torch.Tensor | None = None
    """The control `hold` that `attached` was found in: on GPUs it is looked for in another one only."""
    inactive: torch.Tensor | None = None
    """(active, N), where any may be."""
    passed: Sequence[torch.Tensor] = ()
    """Cotangents of the state while the adjoint runs; those of inactive particles are its result."""
    launch_adjoint: Launch | None = None
    launch_prepare: Launch | None = None


CLAMPS = tuple(array for array in TABLE if "clamped" in array.shape)
"""Arrays that only scenes need in which a particle is attached."""
STATE = {"pos": "x", "vel": "v", "C": "C", "F": "F", "memory": "memory"}
"""Values of the state, and the arrays that hold them in every frame; their cotangents' arrays have a g before."""


class MPMSolver(Solver):
    """Final. State pos (N, 3), vel (N, 3), C (N, 3, 3), F (N, 3, 3), and memory (N, H) if a model keeps any, H the
    most that one does; control hold (N, 4), see `genesis.solvers.mpm.hold`;
    parameters material (K,), the numbers of one body after the other, and gravity (3,). If a body is a muscle: before
    hold the control actu (N,), and before gravity the parameter fibre (N, 3), of all particles."""

    name, placement = "mpm", ("pos", "hold")
    outputs = ()

    def __init__(
        self,
        bodies: Sequence[MPMBody],
        options: GridOptions,
        dt: float,
        substeps: int,
        n_envs: int,
        colliders: Colliders | None = None,
    ) -> None:
        """`dt` is the control step, s; `colliders` what pushes the particles."""
        self.bodies, self.substeps, self.dt, self.colliders = list(bodies), substeps, dt, colliders
        self.n_particles = sum(len(b.positions) for b in self.bodies)
        N = self.n_particles
        self.state = (Field("pos", (N, 3)), Field("vel", (N, 3)), Field("C", (N, 3, 3)), Field("F", (N, 3, 3)))
        chosen = [MODELS[body.model] for body in self.bodies]
        self.memory = max(model.width for model in chosen)
        if self.memory:
            self.state += (Field("memory", (N, self.memory)),)
        self._first = np.cumsum([0, *(len(body.numbers) for body in self.bodies)])
        self.added = tuple(name for name in ADDED if any(name in body.added for body in self.bodies))
        self.muscular = STIFFNESS in self.added
        self.controls = (*((Field("actu", (N,)),) if self.muscular else ()), Field("hold", (N, 4)))
        fibre = (Field("fibre", (N, 3)),) if self.muscular else ()
        self.parameters = (Field("material", (int(self._first[-1]),)), *fibre, Field("gravity", (3,)))
        lay = layout()
        self.n_chunks = count_chunks(n_envs, N)
        self.per_substep = lay.atomic or self.n_chunks > 1
        """Whether the driver is launched once per substep (chunked, parallel) or once per step (fused)."""
        self._clamped = 0
        """Nodes of the arrays of what is attached: none until something is, since most scenes hold nothing."""
        self.dx = 1.0 / options.grid_density
        self._cells = cells_of(options)
        self.capacity = int(np.prod(self._cells + 1))
        self.models: tuple[Model, ...] = compiled_models([body.model for body in self.bodies])
        meshes = colliders.grids if colliders else {}
        self._touch = contact(bool(meshes), colliders.yielding) if colliders else no_contact()
        self._table: Table = TABLE + (exchange.TABLE if colliders else ()) + (grids.TABLE if meshes else ())
        self._constants = {**allocate(TABLE, self._sizes(n_envs, 2), "constant"), **meshes}
        bodies_of = np.concatenate([np.full(len(b.positions), e) for e, b in enumerate(self.bodies)])
        for name, values in (
            ("body", bodies_of),
            ("starts", np.cumsum([0, *(len(b.positions) for b in self.bodies)])),
            ("model", [self.models.index(model) for model in chosen]),
            ("first", self._first[:-1]),
            ("volume", [b.volume for b in self.bodies]),
            ("muscular", self._places(STIFFNESS)),
            ("viscous", self._places(VISCOSITY)),
            ("num", [dt / substeps, self.dx, 1.0 / self.dx, 0.0, *options.lower_bound]),
        ):
            self._constants[name].copy_(torch.as_tensor(np.asarray(values)))
        self._size: dict[tuple[int, ...], torch.Tensor] = {}
        self._shared: dict[int, dict[str, torch.Tensor]] = {}

    def _places(self, name: str) -> list[int]:
        """Where each body's added number of a name is among all numbers; -1 for none."""
        return [
            int(end) - len(body.added) + body.added.index(name) if name in body.added else -1
            for body, end in zip(self.bodies, self._first[1:], strict=True)
        ]

    def initial_values(self, n_envs: int) -> list[torch.Tensor]:
        lay = layout()
        N, opts = self.n_particles, {"dtype": lay.dtype, "device": lay.device}
        pos = torch.as_tensor(np.concatenate([b.positions for b in self.bodies]), **opts)
        numbers = [torch.as_tensor(value, **opts).expand(n_envs) for body in self.bodies for value in body.numbers]
        state = [
            pos.expand(n_envs, N, 3).clone(),
            torch.zeros(n_envs, N, 3, **opts),
            torch.zeros(n_envs, N, 3, 3, **opts),
            torch.eye(3, **opts).expand(n_envs, N, 3, 3).clone(),
        ]
        if self.memory:
            memory = torch.zeros(N, self.memory, **opts)
            for e, body in enumerate(self.bodies):
                model = MODELS[body.model]
                memory[self._constants["body"] == e, : model.width] = torch.tensor(model.initial_memory, **opts)
            state.append(memory.expand(n_envs, N, self.memory).clone())
        parameters = [torch.stack(numbers, dim=1)]
        if self.muscular:
            state.append(torch.zeros(n_envs, N, **opts))
            parameters.append(torch.tensor([0.0, 0.0, 1.0], **opts).expand(n_envs, N, 3).clone())
        return [*state, torch.zeros(n_envs, N, 4, **opts), *parameters]

    def plastic_volume(self, memory: torch.Tensor) -> torch.Tensor:
        """(B, N) of all particles, from their memory (B, N, H), without entries where no model has any."""
        sizes = [len(body.positions) for body in self.bodies]
        parts = zip(self.bodies, memory.split(sizes, 1), strict=True)
        return torch.cat([plastic_volume(MODELS[body.model], part) for body, part in parts], 1)

    # Frames.

    def _sizes(self, n_envs: int, n_frames: int) -> dict[str, int]:
        return {
            "envs": n_envs, "particles": self.n_particles, "bodies": len(self.bodies), "nodes": self.capacity,
            "frames": n_frames, "grids": self.substeps if n_frames > 2 else 1, "chunks": self.n_chunks,
            "parts": self.n_chunks if self.n_chunks > 1 else 0, "colliders": len(self.colliders or ()),
            "numbers": int(self._first[-1]), "memory": self.memory, "borders": len(self.bodies) + 1,
            "muscles": self.n_particles if self.muscular else 0, "clamped": self._clamped,
        }  # fmt: skip

    def frame_bytes(self, n_envs: int, n_frames: int) -> int:
        """Grid frames are counted by the nodes around the particles' first positions: other pages are never touched.
        Those of what is attached count once something is."""
        span = np.ptp(np.concatenate([b.positions for b in self.bodies]), axis=0) / self.dx + 6
        nodes = min(self.capacity, int(np.prod(span)))
        clamped = nodes if self._clamped else 0
        return count_bytes(TABLE, {**self._sizes(n_envs, n_frames), "nodes": nodes, "clamped": clamped}, "frames")

    def _scratch(self, n_envs: int, *lives: str) -> dict[str, torch.Tensor]:
        """Arrays which all sets of frames of this size share."""
        shared = self._shared.setdefault(n_envs, {})
        if "stage" not in shared:
            shared.update(allocate(TABLE, self._sizes(n_envs, 2), "scratch"))
        if "adjoint" in lives and "gx" not in shared:
            shared.update(allocate(TABLE, self._sizes(n_envs, 2), "adjoint"))
        sizes = self._sizes(n_envs, 2)
        for array in CLAMPS:
            if array.name in shared and shared[array.name].nelement() < math.prod(extent(array, sizes)):
                shared.update(allocate((array,), sizes, array.life))
        return shared

    def allocate(self, frames: Frames) -> None:
        sizes = self._sizes(frames.n_envs, frames.n_frames)
        arrays = {**self._constants, **allocate(TABLE, sizes, "frames")}
        arrays.update(allocate(TABLE, sizes, "step"))
        shared = self._scratch(frames.n_envs)
        scratch = {array.name: shared[array.name] for array in select(TABLE, "scratch")}
        touched = {**frames.exchange.arrays, **frames.exchange.scratch} if self.colliders else {}
        launch = bind(self._kernels().advance, {**arrays, **scratch, **touched}, lanes=True)
        frames.of[self.name] = MPMFrames(arrays, sizes, launch)

    def _make_clamps(self, frames: Frames) -> None:
        """Arrays of what is attached, where a set of frames has none yet."""
        mine: MPMFrames = frames.of[self.name]
        if mine.sizes["clamped"]:
            return
        self._clamped = self.capacity
        mine.sizes = self._sizes(frames.n_envs, frames.n_frames)
        mine.arrays.update(allocate(CLAMPS, mine.sizes, "frames"))
        made = {**self._scratch(frames.n_envs), **mine.arrays}
        for launch in (mine.launch, mine.launch_adjoint):
            for array in CLAMPS if launch else ():
                if array.name in launch.places:
                    launch.point(array.name, made[array.name])

    def _kernels(self) -> Functions:
        driver = parallel if layout().atomic else chunked if self.n_chunks > 1 else fused
        return driver(self.models, self.added, self._touch, self._table)

    def _launch(self, launch: Launch, frames: Frames, begin: int, end: int, part: int = slot.WHOLE) -> None:
        """Run a kernel on substeps [begin, end), or a part of one. Its sizes are made once."""
        mine: MPMFrames = frames.of[self.name]
        key = (frames.n_envs, frames.n_frames, mine.active, mine.held, mine.attached, begin, end, part)
        if key not in self._size:
            values = [0] * slot.N_SIZES
            values[slot.N_ENVS], values[slot.ACTIVE] = frames.n_envs, mine.active
            values[slot.N_PARTICLES], values[slot.N_BODIES] = self.n_particles, len(self.bodies)
            values[slot.N_FRAMES], values[slot.N_GRIDS] = frames.n_frames, mine.sizes["grids"]
            values[slot.CAPACITY], values[slot.BEGIN], values[slot.END] = self.capacity, begin, end
            values[slot.SUBSTEPS], values[slot.N_CHUNKS] = self.substeps, self.n_chunks
            values[slot.N_NUMBERS], values[slot.N_MEMORY] = mine.sizes["numbers"], self.memory
            values[slot.HELD], values[slot.CLAMPED], values[slot.PART] = mine.held, mine.attached, part
            values[slot.CELLS :] = self._cells.tolist()
            self._size[key] = torch.tensor(values, dtype=torch.int32, device=layout().device)
        launch.point("size", self._size[key])
        launch()

    def _frame(self, frames: Frames, name: str, index: int) -> torch.Tensor:
        mine: MPMFrames = frames.of[self.name]
        return view(TABLE, mine.arrays, name, mine.sizes)[index % frames.n_frames, : mine.active]

    # Forward.

    def load(self, frames: Frames, values: Sequence[torch.Tensor]) -> None:
        mine: MPMFrames = frames.of[self.name]
        state, (material, *_, gravity) = values[: len(self.state)], values[len(self.state) + len(self.controls) :]
        n = mine.active = len(gravity)
        self._load_hold(mine, values[len(self.state) + len(self.controls) - 1])
        if mine.attached:
            self._make_clamps(frames)
        if self.muscular:
            for name, value in (("actu", values[len(self.state)]), ("fibre", values[-2])):
                array = view(TABLE, mine.arrays, name, mine.sizes)[:n]
                array.copy_(value.reshape(array.shape))
        for field, value in zip(self.state, state, strict=True):
            array = self._frame(frames, STATE[field.name], 0)
            array.copy_(value.reshape(array.shape))
        view(TABLE, mine.arrays, "material", mine.sizes)[:n, :, 0].copy_(material)
        view(TABLE, mine.arrays, "gravity", mine.sizes)[:n, :3].copy_(gravity)

    def _load_hold(self, mine: MPMFrames, hold: torch.Tensor) -> None:
        mine.held = int(layout().atomic or bool(hold[..., 3].any()))
        mine.inactive = hold[..., 3] < 0 if mine.held else None
        if mine.held:
            array = view(TABLE, mine.arrays, "hold", mine.sizes)[: mine.active]
            array.copy_(hold.view(array.shape))
        if not mine.held:
            mine.attached = False
        elif hold is not mine.looked:
            mine.attached = bool((hold[..., 3].abs() == ATTACHED).any())
        mine.looked = hold if layout().atomic else None

    def substep(self, frames: Frames, begin: int, end: int) -> None:
        for first, last in self._intervals(begin, end):
            self._launch(frames.of[self.name].launch, frames, first, last)

    def offer(self, frames: Frames, substep: int) -> None:
        self._launch(frames.of[self.name].launch, frames, substep, substep + 1, slot.BEFORE)

    def finish(self, frames: Frames, substep: int) -> None:
        self._launch(frames.of[self.name].launch, frames, substep, substep + 1, slot.AFTER)

    def _intervals(self, begin: int, end: int) -> list[tuple[int, int]]:
        return [(s, s + 1) for s in range(begin, end)] if self.per_substep else [(begin, end)]

    def store(self, frames: Frames) -> list[torch.Tensor]:
        return [
            self._frame(frames, STATE[field.name], self.substeps).clone().view(-1, *field.shape) for field in self.state
        ]

    def points(self, frames: Frames) -> torch.Tensor:
        mine: MPMFrames = frames.of[self.name]
        x = self._frame(frames, "x", self.substeps).view(mine.active, -1, 3)
        held = view(TABLE, mine.arrays, "hold", mine.sizes)[: mine.active, ..., 3] != 0 if mine.held else None
        return x if held is None else x.masked_fill(held.view(*x.shape[:2], 1), math.nan)

    def failures(self, frames: Frames) -> torch.Tensor:
        return frames.of[self.name].arrays["status"][: frames.of[self.name].active]

    def origin(self, frames: Frames, env: int, code: int) -> Origin:
        x, v = self._frame(frames, "x", code)[env], self._frame(frames, "v", code)[env]
        fastest = self.dx * self.substeps / self.dt
        speed = v.abs().amax(1)
        fast = ~(speed <= (1 - 1e-6) * fastest)
        if fast.any():
            row = int(fast.nonzero()[0])
            law = "be finite" if torch.isnan(speed[row]) else f"stay below a cell per substep, {fastest:.4g} m/s"
            return Origin("vel", self.body_of("vel", row), law, float(speed[row]))
        g = (x - self._constants["num"][slot.ORIGIN :]) / self.dx
        out = ~((g > 0.5) & (g < torch.as_tensor(self._cells, device=g.device) - 0.5))
        row, axis = divmod(int(out.int().flatten().argmax()), 3)
        return Origin("pos", self.body_of("pos", row), "stay inside the grid", float(x[row, axis]))

    def body_of(self, field: str, row: int) -> str:
        return self.bodies[int(self._constants["body"][row])].name

    # Backward.

    def load_adjoint(self, frames: Frames, cotangents: Sequence[torch.Tensor]) -> None:
        mine: MPMFrames = frames.of[self.name]
        shared = self._scratch(frames.n_envs, "adjoint")
        if mine.launch_adjoint is None:
            arrays = {**mine.arrays, **shared}
            if self.colliders:
                arrays |= {**frames.exchange.arrays, **frames.exchange.scratch, **frames.exchange.adjoint}
            kernels = prepare(self.models, self.added, self._touch, self._table)
            mine.launch_prepare = bind(kernels.prepare_adjoint, arrays, lanes=True)
            mine.launch_adjoint = bind(self._kernels().advance_adjoint, arrays, lanes=True)
        for field, cotangent in zip(self.state, cotangents, strict=True):
            array = self._cotangent(frames, f"g{STATE[field.name]}")
            array.copy_(cotangent.reshape(array.shape))
            if mine.inactive is not None:
                array.masked_fill_(_beside(array, mine.inactive), 0.0)
        mine.passed = () if mine.inactive is None else cotangents
        for name in ("gderived", "gmaterial", "gactu", "gfibre", "ghold", "ggravity"):
            shared[name].zero_()
        self._launch(mine.launch_prepare, frames, 0, self.substeps)
        if self.colliders and self.colliders.feedback:  # cotangents may come from bodies, later in this pass
            shared["live"][: mine.active] = self.failures(frames) == 0

    def _cotangent(self, frames: Frames, name: str) -> torch.Tensor:
        mine: MPMFrames = frames.of[self.name]
        return view(TABLE, self._scratch(frames.n_envs), name, mine.sizes)[: mine.active]

    def substep_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        for first, last in reversed(self._intervals(begin, end)):
            self._launch(frames.of[self.name].launch_adjoint, frames, first, last)

    def finish_adjoint(self, frames: Frames, substep: int) -> None:
        self._launch(frames.of[self.name].launch_adjoint, frames, substep, substep + 1, slot.AFTER)

    def offer_adjoint(self, frames: Frames, substep: int) -> None:
        self._launch(frames.of[self.name].launch_adjoint, frames, substep, substep + 1, slot.BEFORE)

    def store_adjoint(self, frames: Frames, needed: Sequence[bool]) -> list[torch.Tensor | None]:
        mine: MPMFrames = frames.of[self.name]
        shared, n = self._scratch(frames.n_envs), mine.active
        state = [
            self._cotangent(frames, f"g{STATE[field.name]}").clone().view(-1, *field.shape) for field in self.state
        ]
        if mine.inactive is not None:  # what an inactive particle had it has: the cotangent of its state goes through
            state = [
                torch.where(_beside(grad, mine.inactive), whole, grad)
                for grad, whole in zip(state, mine.passed, strict=True)
            ]
            mine.passed = ()
        gmaterial = view(TABLE, shared, "gmaterial", mine.sizes).sum(0)[:n, :, 0]
        ggravity = view(TABLE, shared, "ggravity", mine.sizes).sum(0)[:n, :3]
        ghold = self._cotangent(frames, "ghold").clone().view(n, self.n_particles, 4)
        if not self.muscular:
            return [*state, ghold, gmaterial, ggravity]
        gactu, gfibre = (self._cotangent(frames, name).clone() for name in ("gactu", "gfibre"))
        return [*state, gactu.squeeze(-1), ghold, gmaterial, gfibre.squeeze(-1), ggravity]


def _beside(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """A mask (active, N) with the axes of values (active, N, ...)."""
    return mask.view(*mask.shape, *[1] * (values.dim() - 2))
