"""The rigid solver: arrays, launches, and what crosses the border to torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from genesis.compiler import Launch, bind, layout
from genesis.loaders.model import RigidModel
from genesis.loaders.parts import JOINT_SIZES, GroundGeom
from genesis.solvers.base import SPEED_LIMIT, SPIN_LIMIT, Field, Frames, Origin, Solver
from genesis.solvers.rigid import blocks, pair_list, prepare
from genesis.solvers.rigid import layout as slot
from genesis.solvers.rigid.adjoint import BACK
from genesis.solvers.rigid.driver import driver
from genesis.solvers.rigid.kinematics import HELD, WORK
from genesis.solvers.rigid.outputs import CONTACT
from genesis.solvers.rigid.readout import Readout

OUTPUTS = ("contacts", "link_wrench", "link_acceleration")


@dataclass
class RigidFrames:
    """Frames of a step: all that its adjoint reads. `inputs` are the tensors that were loaded last, by place."""

    arrays: dict[str, torch.Tensor]
    launch: Launch
    active: int = 0
    launch_adjoint: Launch | None = None
    inputs: dict[str, tuple[torch.Tensor, int]] = field(default_factory=dict)
    views: dict[tuple[str, int], torch.Tensor] = field(default_factory=dict)
    began: tuple[torch.Tensor, ...] = ()
    results: list[torch.Tensor] = field(default_factory=list)
    cotangents: list[torch.Tensor] = field(default_factory=list)
    gacceleration: torch.Tensor | None = None


class RigidSolver(Solver):
    """Final. State qpos (Q,), dofs_vel (D,); controls dofs (D, 5) of (force, target position, target velocity, position
    gate, velocity gate) and wrench (L, 6) of force and torque at the centre of mass, world frame; parameters model (P,)
    in the order of `layout.BLOCKS`, and gravity (3,); outputs as asked for.

    Args:
        model: All robots of the scene (`loaders.model.fuse`).
        grounds: Planes and height fields.
        dt: Control step, s.
        outputs: Some of `OUTPUTS`.
        gravity: m/s^2; decides the default contact stiffness.
        labels: What messages call each link; default its name.
    """

    name = "rigid"

    def __init__(
        self,
        model: RigidModel,
        grounds: Sequence[GroundGeom],
        options: prepare.Options,
        dt: float,
        substeps: int,
        n_envs: int,
        outputs: Sequence[str] = (),
        gravity: Sequence[float] = (0.0, 0.0, -9.81),
        labels: Sequence[str] | None = None,
    ) -> None:
        lay = layout()
        self.labels = model.link_names if labels is None else tuple(labels)
        self.model, self.substeps, self.dt = model, substeps, dt
        L, Q, D = model.n_links, model.n_qs, model.n_dofs
        self.points, self._n_grounds = prepare.contact_points(model), len(grounds)
        self.blocks = slot.parameter_blocks(L, D, len(grounds))
        first, shape = self.blocks["ground_friction"]
        self.n_parameters = first + shape[0]
        self._initial_model = self._initial_parameters(grounds, options, gravity)
        self.state = (Field("qpos", (Q,)), Field("dofs_vel", (D,)))
        self.controls = (Field("dofs", (D, 5)), Field("wrench", (L, 6)))
        self.parameters = (Field("model", (self.n_parameters,)), Field("gravity", (3,)))
        shapes = {"contacts": (len(self.points), 6), "link_wrench": (L, 6), "link_acceleration": (L, 6)}
        self.outputs = tuple(Field(name, shapes[name]) for name in OUTPUTS if name in outputs)
        self.reads = ("qpos", "dofs_vel")
        self.readouts = tuple(Field(name, (L, n)) for name, n in (("pos", 3), ("quat", 4), ("vel", 3), ("ang", 3)))
        self._wanted = {f.name for f in self.outputs}
        pairs, blind = pair_list.touching(model, options.self_collision)
        self.features = slot.Features(
            outputs=bool(self._wanted & {"contacts", "link_wrench"}),
            pairs=bool(pairs),
            terrain=any(ground.kind != "plane" for ground in grounds),
        )

        def reals(values: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(np.append(np.ravel(values), 0.0), dtype=lay.dtype, device=lay.device)

        def integers(values: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(values, dtype=torch.int32, device=lay.device).contiguous()

        tree, self._entries = prepare.pack_tree(model, self.points)
        fixed, turn = prepare.pack_frames(model)
        contact = prepare.contact_laws(model, options, self.points, self.features.terrain)
        ground, heights = prepare.pack_grounds(grounds)
        stiffness = prepare.contact_stiffness(model, options, gravity)
        factor = pair_list.factors(model, pairs, options, stiffness, dt / substeps)
        pair_list.warn(model, pairs, blind, factor, dt / substeps, self.labels)
        pair, shape = pair_list.pack(model, pairs, factor, options, contact, dt / substeps)
        self._constants = {
            "num": reals(np.array([dt / substeps, prepare.slip(options, dt / substeps), options.limit_smoothing])),
            "tree": integers(tree),
            "fixed": reals(fixed),
            "turn": reals(turn),
            "law": reals(prepare.pack_laws(model, options, contact)),
            "point": reals(prepare.pack_points(self.points)),
            "ground": reals(ground),
            "heights": reals(heights),
            "pair": integers(pair),
            "shape": reals(shape),
        }
        self._links_of_qs, self._links_of_dofs = (
            [joint.link for joint in model.joints for _ in range(JOINT_SIZES[joint.kind][k])] for k in range(2)
        )
        self._slides = prepare.slides(model)
        self._count_elements()
        self._size = lay.new_int(slot.N_SIZES)
        self._sizes = torch.zeros(slot.N_SIZES, dtype=torch.int32)
        self._given: list[int] = []
        fixed_sizes = {
            slot.SUBSTEPS: substeps, slot.LINKS: L, slot.QS: Q, slot.DOFS: D, slot.ENTRIES: self._entries,
            slot.NUMBERS: self.n_parameters, slot.POINTS: len(self.points), slot.GROUNDS: len(grounds),
            slot.PAIRS: len(pairs),
        }  # fmt: skip
        for place, value in fixed_sizes.items():
            self._sizes[place] = value
        self._shared: dict[int, dict[str, torch.Tensor]] = {}
        self._readout = Readout(self._constants, torch.as_tensor(prepare.rest_quaternions(model)), L, Q, D)

    def _initial_parameters(
        self, grounds: Sequence[GroundGeom], options: prepare.Options, gravity: Sequence[float]
    ) -> torch.Tensor:
        values = {
            "contact_stiffness": prepare.contact_stiffness(self.model, options, gravity),
            "ground_friction": np.array([ground.friction for ground in grounds]),
        }
        blocks = [values[name] if name in values else prepare.initial_block(self.model, name) for name in slot.BLOCKS]
        return torch.as_tensor(np.concatenate([np.ravel(block) for block in blocks]))

    # Values.

    def initial_values(self, n_envs: int) -> list[torch.Tensor]:
        lay = layout()
        opts = {"dtype": lay.dtype, "device": lay.device}
        L, D = self.model.n_links, self.model.n_dofs
        return [
            torch.as_tensor(self.model.qpos0.copy(), **opts).repeat(n_envs, 1),
            torch.zeros(n_envs, D, **opts),
            torch.zeros(n_envs, D, 5, **opts),
            torch.zeros(n_envs, L, 6, **opts),
            self._initial_model.to(**opts).repeat(n_envs, 1),
        ]

    # Frames.

    def _count_elements(self) -> None:
        """Array -> numbers for an environment: of every frame, of a step, of scratch."""
        L, Q, D, outputs = self.model.n_links, self.model.n_qs, self.model.n_dofs, int(self.features.outputs)
        points = len(self.points)
        self._of_frames = {
            "q": Q, "qd": D, "qdd": D, "trace": 3 * (slot.TRACE * L + 2 * D), "rot": 9 * L, "mass": self._entries,
            "released": points * self._n_grounds,
        }  # fmt: skip
        self._of_steps = {
            "model": self.n_parameters, "gravity": 3, "dofs": 5 * D, "wrench": 6 * L,
            "contacts": CONTACT * points * outputs, "joint": 6 * L * outputs,
        }  # fmt: skip
        self._of_scratch = {
            "work": 3 * WORK * L, "x": D, "back": 3 * BACK * L, "gqpos": Q, "gq": D, "gqd": D, "gdofs": 5 * D,
            "gwrench": 6 * L, "gmodel": self.n_parameters, "ggravity": 3, "gcontacts": 6 * points, "gjoint": 6 * L,
            "held": HELD * points * self._n_grounds,
        }  # fmt: skip
        self._numbers = {**self._of_scratch, **self._of_steps, **self._of_frames}

    def frame_bytes(self, n_envs: int, n_frames: int) -> int:
        numbers = sum(self._of_frames.values()) * n_frames + sum(self._of_steps.values())
        return blocks.count(n_envs) * layout().width * layout().dtype.itemsize * numbers

    def allocate(self, frames: Frames) -> None:
        lay, n_blocks = layout(), blocks.count(frames.n_envs)
        arrays = {"status": lay.new_int(n_blocks * lay.width)}
        for name, numbers in self._of_frames.items():
            arrays[name] = lay.new_lanes(max(1, numbers * n_blocks * frames.n_frames))
        for name, numbers in self._of_steps.items():
            arrays[name] = lay.new_lanes(max(1, numbers * n_blocks))
        s = self._scratch(frames.n_envs)
        c = self._constants
        launch = bind(
            driver(self.features).advance,
            self._size, c["num"], c["tree"], c["fixed"], c["turn"], c["law"], c["point"], c["ground"], c["heights"],
            c["pair"], c["shape"], *(arrays[k] for k in ("model", "gravity", "dofs", "wrench", "status", "q", "qd",
            "qdd", "trace", "rot", "mass", "released")), s["work"], s["x"], s["held"], s["held_by"],
            arrays["contacts"], arrays["joint"], *[lay.new(1, 1)] * 5, lanes=True,
        )  # fmt: skip
        frames.of[self.name] = RigidFrames(arrays, launch)

    def _scratch(self, n_envs: int) -> dict[str, torch.Tensor]:
        """Arrays that live only within a launch or a backward, shared by all frames of this size."""
        if n_envs not in self._shared:
            lay, n_blocks = layout(), blocks.count(n_envs)
            shared = self._shared[n_envs] = {
                name: lay.new_lanes(max(1, numbers * n_blocks)) for name, numbers in self._of_scratch.items()
            }
            shared["held_by"] = lay.new_int(n_blocks * (1 + 3 * len(self.points) * self._n_grounds))
        return self._shared[n_envs]

    def _rows(self, frames: Frames, name: str, index: int = 0) -> torch.Tensor:
        """(blocks, lanes, numbers) view of an array, of frame `index` if it has frames."""
        mine: RigidFrames = frames.of[self.name]
        n_frames = frames.n_frames if name in self._of_frames else 1
        key = (name, index % n_frames)
        if key not in mine.views:
            array = mine.arrays[name] if name in mine.arrays else self._scratch(frames.n_envs)[name]
            mine.views[key] = blocks.view(array, frames.n_envs, self._numbers[name], n_frames, key[1])
        return mine.views[key]

    def _read(self, frames: Frames, name: str, index: int = 0) -> torch.Tensor:
        """A copy (active, numbers)."""
        return blocks.read(self._rows(frames, name, index), frames.of[self.name].active)

    # Forward.

    def load(self, frames: Frames, values: Sequence[torch.Tensor]) -> None:
        mine: RigidFrames = frames.of[self.name]
        qpos, qd, dofs, wrench, model, gravity = values
        if mine.active != qpos.shape[0]:
            mine.active, mine.inputs = qpos.shape[0], {}
        mine.results = [torch.empty_like(value, memory_format=torch.contiguous_format) for value in (qpos, qd)]
        for place, value in enumerate((qpos.contiguous(), qd.contiguous(), dofs.contiguous(), *mine.results)):
            mine.launch.point(place - 5, value)
        # These change rarely. What was loaded is held, so that its memory cannot become another tensor's.
        for name, value in (("wrench", wrench), ("model", model), ("gravity", gravity)):
            before = mine.inputs.get(name)
            same = before is not None and before[0].data_ptr() == value.data_ptr() and before[1] == value._version
            if not (same and before[0].stride() == value.stride()):  # type: ignore[index]
                blocks.write(self._rows(frames, name), value.flatten(1))
                mine.inputs[name] = (value, value._version)
        if self.features.outputs:
            mine.arrays["contacts"].zero_()
            mine.arrays["joint"].zero_()
        if "link_acceleration" in self._wanted:  # frame 0 is overwritten where there are but two
            mine.began = self.readout(qpos, qd)

    def substep(self, frames: Frames, begin: int, end: int) -> None:
        self._set_sizes(frames, begin, end)
        frames.of[self.name].launch()

    def _set_sizes(self, frames: Frames, begin: int, end: int) -> None:
        held, active = blocks.count(frames.n_envs), blocks.count(frames.of[self.name].active)
        given = [held, active, frames.n_frames, begin, end, frames.of[self.name].active]
        if given != self._given:
            self._given = given
            self._sizes[: slot.SUBSTEPS] = torch.tensor(given[:-1], dtype=torch.int32)
            self._sizes[slot.ENVS] = given[-1]
            self._size.copy_(self._sizes)

    def store(self, frames: Frames) -> list[torch.Tensor]:
        out = q, qd = frames.of[self.name].results
        if "contacts" in self._wanted:
            rows = self._read(frames, "contacts").unflatten(1, (-1, CONTACT))
            out.append(torch.cat([rows[:, :, :3] / self.substeps, rows[:, :, 3:6] / self._touches(rows)], 2))
        if "link_wrench" in self._wanted:
            out.append(self._read(frames, "joint").unflatten(1, (-1, 6)) / self.substeps)
        if "link_acceleration" in self._wanted:
            after = self.readout(q, qd)
            out.append((torch.cat(after[2:], 2) - torch.cat(frames.of[self.name].began[2:], 2)) / self.dt)
        return out

    @staticmethod
    def _touches(rows: torch.Tensor) -> torch.Tensor:
        return rows[:, :, 6:].clamp_min(1.0)

    def failures(self, frames: Frames) -> torch.Tensor:
        mine: RigidFrames = frames.of[self.name]
        return mine.arrays["status"][: mine.active]

    def origin(self, frames: Frames, env: int, code: int) -> Origin | None:
        mine: RigidFrames = frames.of[self.name]
        if frames.n_frames == 2 and code < self.substeps:  # later substeps have overwritten what is looked for
            status = mine.arrays["status"].clone()
            self.substep(frames, 0, code)
            mine.arrays["status"].copy_(status)
        q, qd = self._read(frames, "q", code)[env], self._read(frames, "qd", code)[env]
        limit = torch.as_tensor(np.where(self._slides, SPEED_LIMIT, SPIN_LIMIT), dtype=qd.dtype, device=qd.device)
        parts = qd.abs() / limit  # a velocity that is too large says more than one that is no number
        parts = parts.where(parts.isfinite() & (parts > 1), torch.where(parts.isfinite(), 0.0, 1.0))
        if len(parts) and parts.max() > 0:
            row = int(parts.argmax())
            law = f"stay below {limit[row]:g} {'m/s' if self._slides[row] else 'rad/s'}"
            return Origin("dofs_vel", self.body_of("dofs_vel", row), law, float(qd[row].abs()))
        bad = ~torch.isfinite(q)
        return Origin("qpos", self.body_of("qpos", int(bad.nonzero()[0])), "be finite", math.nan) if bad.any() else None

    def body_of(self, field: str, row: int) -> str | None:
        rows = {"qpos": self._links_of_qs, "dofs_vel": self._links_of_dofs, "dofs": self._links_of_dofs}
        link = row if field in ("wrench", "link_wrench", "link_acceleration") else None
        if field in rows:
            link = rows[field][row]
        return None if link is None else self.labels[link]

    # Backward.

    def load_adjoint(self, frames: Frames, cotangents: Sequence[torch.Tensor]) -> None:
        mine: RigidFrames = frames.of[self.name]
        s = self._scratch(frames.n_envs)
        if mine.launch_adjoint is None:
            c, a = self._constants, mine.arrays
            mine.launch_adjoint = bind(
                driver(self.features).advance_adjoint,
                self._size, c["num"], c["tree"], c["fixed"], c["law"], c["point"], c["ground"], c["heights"], c["pair"],
                c["shape"], *(a[k] for k in ("model", "dofs", "wrench", "status", "q", "qd", "qdd", "trace", "rot",
                "mass", "released")), *(s[k] for k in ("x", "back", "gqpos", "gq", "gqd", "gdofs", "gwrench", "gmodel",
                "ggravity", "gcontacts", "gjoint")), *[layout().new(1, 1)] * 5, lanes=True,
            )  # fmt: skip
        given = dict(zip((f.name for f in (*self.state, *self.outputs)), cotangents, strict=True))
        gq, gqd = given["qpos"], given["dofs_vel"]
        if "link_acceleration" in given:
            healthy = (self.failures(frames) == 0)[:, None, None]
            mine.gacceleration = torch.where(healthy, given["link_acceleration"] / self.dt, 0.0)
            after = self._read(frames, "q", self.substeps), self._read(frames, "qd", self.substeps)
            more = self._acceleration_adjoint(frames, *after)
            gq, gqd = gq + more[0], gqd + more[1]
        B, D = mine.active, self.model.n_dofs
        mine.cotangents = [gq.new_empty(B, self.model.n_qs), gq.new_empty(B, D), gq.new_empty(B, D, 5)]
        for place, value in enumerate((gq.contiguous(), gqd.contiguous(), *mine.cotangents)):
            mine.launch_adjoint.point(place - 5, value)
        if self.features.outputs:
            s["gcontacts"].zero_()
            s["gjoint"].zero_()
        if "contacts" in given:
            rows = self._read(frames, "contacts").unflatten(1, (-1, CONTACT))
            force, place = given["contacts"].split(3, 2)
            both = torch.cat([force / self.substeps, place / self._touches(rows)], 2)
            blocks.write(self._rows(frames, "gcontacts"), both.flatten(1))
        if "link_wrench" in given:
            blocks.write(self._rows(frames, "gjoint"), (given["link_wrench"] / self.substeps).flatten(1))

    def substep_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        self._set_sizes(frames, begin, end)
        frames.of[self.name].launch_adjoint()

    def store_adjoint(self, frames: Frames, needed: Sequence[bool]) -> list[torch.Tensor | None]:
        mine: RigidFrames = frames.of[self.name]
        gq, gqd, gdofs = mine.cotangents
        if "link_acceleration" in self._wanted:
            before = self._read(frames, "q", 0), self._read(frames, "qd", 0)
            less = self._acceleration_adjoint(frames, *before)
            gq, gqd = gq - less[0], gqd - less[1]
            mine.gacceleration = None
        gwrench, gmodel, ggravity = (
            self._read(frames, name) if wanted else None
            for name, wanted in zip(("gwrench", "gmodel", "ggravity"), needed[3:], strict=True)
        )
        return [gq, gqd, gdofs, None if gwrench is None else gwrench.unflatten(1, (-1, 6)), gmodel, ggravity]

    def _acceleration_adjoint(
        self, frames: Frames, qpos: torch.Tensor, qd: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        given = frames.of[self.name].gacceleration
        zeros = given.new_zeros(*given.shape[:2], 3), given.new_zeros(*given.shape[:2], 4)
        return self.readout_adjoint(qpos, qd, *zeros, given[..., :3], given[..., 3:])

    # Reading out.

    def readout(self, qpos: torch.Tensor, dofs_vel: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Links' pos (B, L, 3), quat (B, L, 4), velocity of their origins (B, L, 3) and angular velocity (B, L, 3)."""
        return self._readout.forward(qpos, dofs_vel)

    def readout_adjoint(
        self, qpos: torch.Tensor, dofs_vel: torch.Tensor, gpos: torch.Tensor, gquat: torch.Tensor, gvel: torch.Tensor,
        gang: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        """Cotangents of qpos and dofs_vel from those of `readout`."""
        return self._readout.adjoint(qpos, dofs_vel, (gpos, gquat, gvel, gang))
