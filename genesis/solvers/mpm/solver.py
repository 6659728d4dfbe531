"""MPM solver: arrays, launches and the choice of driver."""

from dataclasses import dataclass
from typing import Protocol, Sequence

import numpy as np
import torch

from genesis.compiler import Functions, Launch, bind, layout
from genesis.solvers.base import Field, Frames, Origin, Solver
from genesis.solvers.mpm import physics as slot
from genesis.solvers.mpm.chunked import chunked
from genesis.solvers.mpm.fused import fused
from genesis.solvers.mpm.parallel import parallel
from genesis.solvers.mpm.prepare import prepare
from genesis.solvers.mpm.stress import MODELS


@dataclass(frozen=True)
class MPMBody:
    """One body: particles' positions (n, 3) in metres, volume of a particle (m^3), constitutive model (one of
    `stress.MODELS`), Young's modulus E (Pa), Poisson ratio nu, density rho (kg/m^3); the last three () or (n_envs,)."""

    name: str
    positions: np.ndarray
    volume: float
    model: str
    E: float | torch.Tensor
    nu: float | torch.Tensor
    rho: float | torch.Tensor


class GridOptions(Protocol):
    """What this solver reads of `genesis.options.MPMOptions`."""

    @property
    def grid_density(self) -> float: ...
    @property
    def lower_bound(self) -> Sequence[float]: ...
    @property
    def upper_bound(self) -> Sequence[float]: ...


def count_chunks(n_envs: int, n_particles: int) -> int:
    """Pieces that the chunked driver cuts an environment into; 1 means environment per thread.

    A function of the scene, never of the machine: sums are taken in the same order everywhere.
    """
    return 1 if n_envs >= 8 else max(1, min(8, n_particles // 1000))


@dataclass
class Colliders:
    """What may push the particles: functions on grid nodes, and arrays (see `genesis.engine.coupling`).

    poses of all substeps, impulses (with one slot per chunk), and their cotangents.
    """

    poses: torch.Tensor
    impulse: torch.Tensor
    gposes: torch.Tensor
    gimpulse: torch.Tensor


@dataclass
class MPMFrames:
    """State of every frame, the grid before its operation of every substep with the box of nodes it covers, and the
    parameters of the step: all that its adjoint reads. `active` environments are in use."""

    material: torch.Tensor
    gravity: torch.Tensor
    derived: torch.Tensor
    x: torch.Tensor
    v: torch.Tensor
    C: torch.Tensor
    F: torch.Tensor
    grid: torch.Tensor
    box: torch.Tensor
    status: torch.Tensor
    colliders: Colliders
    launch: Launch
    active: int = 0
    launch_adjoint: Launch | None = None
    launch_prepare: Launch | None = None


class MPMSolver(Solver):
    """Final. State pos (N, 3), vel (N, 3), C (N, 3, 3), F (N, 3, 3); parameters material (n_bodies, 3) of (E, nu, rho)
    and gravity (3,)."""

    name = "mpm"
    controls = ()
    outputs = ()

    def __init__(self, bodies: Sequence[MPMBody], options: GridOptions, dt: float, substeps: int, n_envs: int):
        """`dt` is the control step, s."""
        self.bodies, self.substeps, self.dt = list(bodies), substeps, dt
        self.n_particles = sum(len(b.positions) for b in self.bodies)
        N = self.n_particles
        self.state = (Field("pos", (N, 3)), Field("vel", (N, 3)), Field("C", (N, 3, 3)), Field("F", (N, 3, 3)))
        self.parameters = (Field("material", (len(self.bodies), 3)), Field("gravity", (3,)))
        lay = layout()
        self.n_chunks = 1 if lay.atomic else count_chunks(n_envs, N)
        self.per_substep = lay.atomic or self.n_chunks > 1
        """Whether the driver is launched once per substep (chunked, parallel) or once per step (fused)."""
        lower, upper = np.asarray(options.lower_bound, float), np.asarray(options.upper_bound, float)
        self.dx = 1.0 / options.grid_density
        cells = np.ceil((upper - lower) / self.dx - 1e-9).astype(int)
        self.capacity = int(np.prod(cells + 1))
        models = tuple(m for m in MODELS if any(b.model == m for b in self.bodies))
        self.models = models

        def ints(values):
            return torch.as_tensor(np.asarray(values), dtype=torch.int32, device=lay.device).contiguous()

        self._body = ints(np.concatenate([np.full(len(b.positions), e) for e, b in enumerate(self.bodies)]))
        self._model = ints([models.index(b.model) for b in self.bodies])
        self._volume = torch.tensor([b.volume for b in self.bodies], dtype=lay.dtype, device=lay.device)
        numbers = [dt / substeps, self.dx, 1.0 / self.dx, 0.0, *lower]
        self._num = torch.tensor(numbers, dtype=lay.dtype, device=lay.device)
        self._size = lay.new_int(slot.N_SIZES)
        self._sizes = torch.zeros(slot.N_SIZES, dtype=torch.int32)
        self._sizes[slot.CELLS :] = torch.as_tensor(cells, dtype=torch.int32)
        self._shared: dict[int, dict[str, torch.Tensor]] = {}
        self.contact: Functions | None = None
        """Set by the coupling before the first `allocate`."""
        self.collider_shapes = lay.new(2, 4)
        self.n_colliders = 0

    def initial_values(self, n_envs: int) -> list[torch.Tensor]:
        lay = layout()
        N, opts = self.n_particles, {"dtype": lay.dtype, "device": lay.device}
        pos = torch.as_tensor(np.concatenate([b.positions for b in self.bodies]), **opts)
        rows = [
            torch.stack([torch.as_tensor(value, **opts).expand(n_envs) for value in (b.E, b.nu, b.rho)], dim=1)
            for b in self.bodies
        ]
        return [
            pos.expand(n_envs, N, 3).clone(),
            torch.zeros(n_envs, N, 3, **opts),
            torch.zeros(n_envs, N, 3, 3, **opts),
            torch.eye(3, **opts).expand(n_envs, N, 3, 3).clone(),
            torch.stack(rows, dim=1),
        ]

    def _grids(self, n_frames: int) -> int:
        return self.substeps if n_frames > 2 else 1

    def frame_bytes(self, n_envs: int, n_frames: int) -> int:
        """Grid frames are counted by the nodes around the particles' first positions: other pages are never touched."""
        span = np.ptp(np.concatenate([b.positions for b in self.bodies]), axis=0) / self.dx + 6
        nodes = min(self.capacity, int(np.prod(span)))
        return layout().dtype.itemsize * n_envs * (24 * self.n_particles * n_frames + 4 * nodes * self._grids(n_frames))

    def _scratch(self, n_envs: int) -> dict[str, torch.Tensor]:
        """Arrays which every frame set of this size shares: they live only within a launch or a backward."""
        if n_envs not in self._shared:
            lay, items = layout(), n_envs * self.n_particles
            self._shared[n_envs] = {
                "stage": lay.new(4 * items, 4),
                "moved": lay.new(n_envs * self.capacity, 4),
                "parts": lay.new(self.n_chunks * n_envs * self.capacity if self.n_chunks > 1 else 1, 4),
                "pulled": lay.new_int(n_envs),
            }
        return self._shared[n_envs]

    def _adjoint_scratch(self, n_envs: int) -> dict[str, torch.Tensor]:
        shared = self._scratch(n_envs)
        if "gx" not in shared:
            lay, items = layout(), n_envs * self.n_particles
            shared.update(
                gmoved=lay.new(n_envs * self.capacity, 4),
                memo=lay.new(max(1, 2 * n_envs * self.capacity * self.n_colliders), 4),
                gx=lay.new(items, 3), gv=lay.new(items, 3), gC=lay.new(items, 9), gF=lay.new(items, 9),
                gmaterial=lay.new(self.n_chunks * n_envs * len(self.bodies), 4),
                ggravity=lay.new(self.n_chunks * n_envs, 4),
            )  # fmt: skip
        return shared

    def allocate(self, frames: Frames) -> None:
        lay, B, N = layout(), frames.n_envs, self.n_particles
        items, grids = frames.n_frames * B * N, self._grids(frames.n_frames)
        colliders = frames.of.get("colliders") or Colliders(*(lay.new(4, 4) for _ in range(4)))
        s = self._scratch(B)
        material, gravity, derived = lay.new(B * len(self.bodies), 4), lay.new(B, 4), lay.new(B * len(self.bodies), 4)
        x, v, C, F = lay.new(items, 3), lay.new(items, 3), lay.new(items, 9), lay.new(items, 9)
        grid, status = lay.new(grids * B * self.capacity, 4), lay.new_int(B)
        box = lay.new_int(grids * B * self.n_chunks * 6)
        parts = (s["parts"],) if self.per_substep else ()
        launch = bind(
            self._kernels().advance,
            self._size, self._num, self._body, self._model, self._volume, material, gravity, derived, status,
            x, v, C, F, grid, box, s["stage"], s["moved"], *parts,
            colliders.poses, self.collider_shapes, colliders.impulse,
        )  # fmt: skip
        frames.of[self.name] = MPMFrames(
            material, gravity, derived, x, v, C, F, grid, box, status, colliders, launch
        )

    def _kernels(self) -> Functions:
        driver = parallel if layout().atomic else chunked if self.n_chunks > 1 else fused
        return driver(self.models, self.contact)

    def _set_sizes(self, frames: Frames, begin: int, end: int) -> None:
        s = self._sizes
        values = [0] * slot.CELLS
        values[slot.N_ENVS], values[slot.ACTIVE] = frames.n_envs, frames.of[self.name].active
        values[slot.N_PARTICLES], values[slot.N_BODIES] = self.n_particles, len(self.bodies)
        values[slot.N_FRAMES], values[slot.N_GRIDS] = frames.n_frames, self._grids(frames.n_frames)
        values[slot.CAPACITY], values[slot.BEGIN], values[slot.END] = self.capacity, begin, end
        values[slot.SUBSTEPS], values[slot.N_COLLIDERS] = self.substeps, self.n_colliders
        values[slot.N_CHUNKS] = self.n_chunks
        s[: slot.CELLS] = torch.tensor(values, dtype=torch.int32)
        self._size.copy_(s)

    def _frame(self, frames: Frames, array: torch.Tensor, index: int) -> torch.Tensor:
        rows = layout().rows(array).unflatten(0, (frames.n_frames, frames.n_envs, self.n_particles))
        return rows[index % frames.n_frames, : frames.of[self.name].active]

    def load(self, frames: Frames, values: Sequence[torch.Tensor]) -> None:
        mine: MPMFrames = frames.of[self.name]
        pos, vel, C, F, material, gravity = values
        n = mine.active = pos.shape[0]
        self._frame(frames, mine.x, 0).copy_(pos)
        self._frame(frames, mine.v, 0).copy_(vel)
        self._frame(frames, mine.C, 0).copy_(C.flatten(2))
        self._frame(frames, mine.F, 0).copy_(F.flatten(2))
        rows = layout().rows
        rows(mine.material).unflatten(0, (frames.n_envs, len(self.bodies)))[:n, :, :3].copy_(material)
        rows(mine.gravity)[:n, :3].copy_(gravity)

    def substep(self, frames: Frames, begin: int, end: int) -> None:
        mine: MPMFrames = frames.of[self.name]
        self._set_sizes(frames, begin, end)
        if not self.per_substep:
            mine.launch()
            return
        for s in range(begin, end):
            self._size[slot.BEGIN] = s
            mine.launch()

    def store(self, frames: Frames) -> list[torch.Tensor]:
        mine: MPMFrames = frames.of[self.name]
        S = self.substeps
        return [
            self._frame(frames, mine.x, S).clone(),
            self._frame(frames, mine.v, S).clone(),
            self._frame(frames, mine.C, S).unflatten(2, (3, 3)).clone(),
            self._frame(frames, mine.F, S).unflatten(2, (3, 3)).clone(),
        ]

    def failures(self, frames: Frames) -> torch.Tensor:
        mine: MPMFrames = frames.of[self.name]
        return mine.status[: mine.active]

    def origin(self, frames: Frames, env: int, code: int) -> Origin:
        mine: MPMFrames = frames.of[self.name]
        x, v = self._frame(frames, mine.x, code)[env], self._frame(frames, mine.v, code)[env]
        fastest = self.dx * self.substeps / self.dt
        speed = v.abs().amax(1)
        fast = ~(speed <= (1 - 1e-6) * fastest)
        if fast.any():
            row = int(fast.nonzero()[0])
            law = "be finite" if torch.isnan(speed[row]) else f"stay below a cell per substep, {fastest:.4g} m/s"
            return Origin("vel", self.body_of("vel", row), law, float(speed[row]))
        g = (x - self._num[slot.ORIGIN :]) / self.dx
        out = ~((g > 0.5) & (g < self._size[slot.CELLS :] - 0.5))
        row, axis = out.int().flatten().argmax().item() // 3, out.int().flatten().argmax().item() % 3
        return Origin("pos", self.body_of("pos", row), "stay inside the grid", float(x[row, axis]))

    def body_of(self, field: str, row: int) -> str:
        return self.bodies[row if field == "material" else int(self._body[row])].name

    def load_adjoint(self, frames: Frames, cotangents: Sequence[torch.Tensor]) -> None:
        mine: MPMFrames = frames.of[self.name]
        s = self._adjoint_scratch(frames.n_envs)
        if mine.launch_adjoint is None:
            c = mine.colliders
            if self.per_substep:
                mine.launch_prepare = bind(
                    prepare(self.models, self.contact).prepare_adjoint,
                    self._size, self._volume, mine.material, mine.derived, mine.status, s["pulled"],
                    s["gx"], s["gv"], s["gC"], s["gF"], c.gimpulse,
                )  # fmt: skip
            parts = (s["parts"],) if self.per_substep else ()
            mine.launch_adjoint = bind(
                self._kernels().advance_adjoint,
                self._size, self._num, self._body, self._model, self._volume, mine.material, mine.gravity, mine.derived,
                s["pulled"] if self.per_substep else mine.status,
                mine.x, mine.v, mine.C, mine.F, mine.grid, mine.box, s["moved"], s["gmoved"], *parts,
                s["gx"], s["gv"], s["gC"], s["gF"], s["gmaterial"], s["ggravity"],
                c.poses, self.collider_shapes, s["memo"], c.gimpulse, c.gposes,
            )  # fmt: skip
        for name, cotangent in zip(("gx", "gv", "gC", "gF"), cotangents, strict=True):
            self._cotangent(frames, s[name]).copy_(cotangent.flatten(2))
        s["gmaterial"].zero_()
        s["ggravity"].zero_()

    def _cotangent(self, frames: Frames, array: torch.Tensor) -> torch.Tensor:
        return layout().rows(array).unflatten(0, (frames.n_envs, self.n_particles))[: frames.of[self.name].active]

    def substep_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        mine: MPMFrames = frames.of[self.name]
        self._set_sizes(frames, begin, end)
        if not self.per_substep:
            mine.launch_adjoint()
            return
        mine.launch_prepare()
        for s in range(end - 1, begin - 1, -1):
            self._size[slot.END] = s + 1
            mine.launch_adjoint()

    def store_adjoint(self, frames: Frames, needed: Sequence[bool]) -> list[torch.Tensor | None]:
        s, rows, n = self._scratch(frames.n_envs), layout().rows, frames.of[self.name].active
        material = rows(s["gmaterial"]).unflatten(0, (self.n_chunks, frames.n_envs, len(self.bodies)))
        gravity = rows(s["ggravity"]).unflatten(0, (self.n_chunks, frames.n_envs))
        return [
            self._cotangent(frames, s["gx"]).clone(),
            self._cotangent(frames, s["gv"]).clone(),
            self._cotangent(frames, s["gC"]).unflatten(2, (3, 3)).clone(),
            self._cotangent(frames, s["gF"]).unflatten(2, (3, 3)).clone(),
            material.sum(0)[:n, :, :3],
            gravity.sum(0)[:n, :3],
        ]
