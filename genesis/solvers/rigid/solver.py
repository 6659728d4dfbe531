"""The rigid solver: arrays, launches, and what crosses the border to torch."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from genesis.arrays import allocate, count_bytes, named, select
from genesis.compiler import layout
from genesis.launch import Launch, bind
from genesis.loaders.model import RigidModel
from genesis.loaders.parts import GroundGeom
from genesis.solvers.base import SPEED_LIMIT, SPIN_LIMIT, CutOff, Field, Frames, Origin
from genesis.solvers.rigid import blocks, prepare
from genesis.solvers.rigid import layout as slot
from genesis.solvers.rigid.exchange import Exchanging
from genesis.solvers.rigid.frames import RigidFrames
from genesis.solvers.rigid.publish import LinkCollider, Publisher
from genesis.solvers.rigid.reaction import Reaction
from genesis.solvers.rigid.readout import Readout
from genesis.solvers.rigid.rows import ARRAYS, links_of
from genesis.solvers.rigid.setups import initial_parameters, parameter_layout, setup

LAST = {"last_qpos": "q", "last_dofs_vel": "qd", "last_contacts": "contacts", "last_joints": "joint"}
"""Fields of the last evaluation, and what their arrays are called."""
OUTPUTS = {name: (name,) for name in ("contacts", "link_wrench", "link_acceleration")} | {"last_evaluation": (*LAST,)}
"""Fields of each output that can be asked for."""

OWN_COPIES = ("wrench", "model", "gravity", "mocap")
"""Fields that kernels read from arrays of their own, and not from the step's tensors."""


class RigidSolver(Exchanging):
    """Final. State qpos (Q,), dofs_vel (D,), of some actuators activation; controls dofs (D, 5) of (force, target
    position, target velocity, position gate, velocity gate), wrench (L, 6) of force and torque at the centre of mass,
    world frame, and ctrl (A,) of actuators with a law of their own, if there are any; parameters model (P,) in the
    order of `parameter_layout`, and gravity (3,); outputs as asked for. Of mocap bodies, if there are any, a control
    mocap (M, 7): position and quaternion in the world. Where links yield to what they push, a state free_change (L, 6):
    what all else did to their velocities in the last substep, see `Reaction`.

    Args:
        model: All robots of the scene (`loaders.model.fuse`).
        grounds: Planes and height fields.
        dt: Control step, s.
        substeps: Of its own, in a control step.
        outputs: Some of `OUTPUTS`.
        gravity: m/s^2; decides the default contact stiffness.
        labels: What messages call each link; default its name.
        colliders: What matter feels of it; nothing where there is no matter.
        first: Index of its first collider among those of the scene.
        every: Substeps of the scene in one of its own.
        feels: Whether links feel what matter does to their colliders.
        mobility: (L, 2) of each link where they yield to that, see `Reaction`; as many substeps as the scene's.
    """

    name, moved_by, placement = "rigid", "dofs_vel", ("qpos", "mocap")
    whole_steps = False

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
        colliders: Sequence[LinkCollider] = (),
        first: int = 0,
        every: int = 1,
        feels: bool = False,
        mobility: torch.Tensor | None = None,
    ) -> None:
        self.labels = model.link_names if labels is None else tuple(labels)
        self.model, self.substeps, self.dt = model, substeps, dt
        self.first, self.n_colliders, self.every = first, len(colliders), every
        L, Q, D = model.n_links, model.n_qs, model.n_dofs
        wanted = [name for name in OUTPUTS if name in outputs]
        self.setup = setup(model, grounds, options, dt / substeps, gravity, wanted, self.labels)
        self.places, self.parameter_layout = self.setup.places, parameter_layout(options, model, grounds)
        self._initial_model = torch.as_tensor(initial_parameters(options, model, grounds, gravity))
        self._sizes = {**self.setup.sizes, "parameters": len(self._initial_model)}
        self._publisher = Publisher(colliders, self.parameter_layout, first, every, dt / (substeps * every))
        self._reaction = Reaction(colliders, model, first, every, dt / substeps, mobility) if feels else None
        self.yielding = mobility is not None
        self.state = (Field("qpos", (Q,)), Field("dofs_vel", (D,)))
        if layout().dtype == torch.float32:
            self.state, self.remainders = (*self.state, Field("qpos_low", (Q,))), {"qpos": "qpos_low"}
        self._sizes["lows"] = Q * len(self.remainders)
        self.controls = (Field("dofs", (D, 5)), Field("wrench", (L, 6)))
        if n_activations := self._sizes.get("activations", 0):
            self.state = (*self.state, Field("activation", (n_activations,)))
        if n_actuators := self._sizes.get("actuators", 0):
            self.controls = (*self.controls, Field("ctrl", (n_actuators,)))
        if self.yielding:
            self.state = (*self.state, Field("free_change", (L, 6)))
        self.reads = ("qpos", "dofs_vel")
        if n_mocaps := self._sizes.get("mocaps", 0):
            self.controls = (*self.controls, Field("mocap", (n_mocaps, slot.MOCAP_NUMBERS)))
            self.reads = (*self.reads, "mocap")
        self.parameters = (Field("model", tuple(self._initial_model.shape)), Field("gravity", (3,)))
        shapes = {"contacts": (len(self.places), 6), "last_contacts": (len(self.places), 6), "last_qpos": (Q,)}
        shapes |= {"last_dofs_vel": (D,)} | dict.fromkeys(("link_wrench", "link_acceleration", "last_joints"), (L, 6))
        self.outputs = tuple(Field(field, shapes[field]) for name in wanted for field in OUTPUTS[name])
        self.readouts = tuple(Field(name, (L, n)) for name, n in (("pos", 3), ("quat", 4), ("vel", 3), ("ang", 3)))
        self._wanted = set(wanted)
        self._constants = self._packed(self.setup.constants)
        self._links_of = links_of(model)
        self._slides = prepare.slides(model)
        self._shared: dict[tuple[str, int], dict[str, torch.Tensor]] = {}
        self._readout = Readout(self._constants, torch.as_tensor(prepare.rest_quaternions(model)), self._sizes)

    def _packed(self, constants: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Constants of the table in the memory of kernels; none is empty."""
        lay, kinds = layout(), {array.name: array.kind for array in select(self.setup.table, "constant")}
        packed = {}
        for name, values in constants.items():
            dtype = torch.int32 if kinds[name] == "I1" else lay.dtype
            flat = np.append(np.ravel(values), 0)
            packed[name] = named(name, torch.as_tensor(flat, dtype=dtype, device=lay.device))
        return packed

    # Values.

    def initial_values(self, n_envs: int) -> list[torch.Tensor]:
        lay = layout()
        opts = {"dtype": lay.dtype, "device": lay.device}
        fields = (*self.state, *self.controls)
        first = {of.name: torch.zeros(of.shape, **opts) for of in fields}
        first["qpos"] = torch.as_tensor(self.model.qpos0.copy(), **opts)
        if "mocap" in first:
            first["mocap"] = torch.as_tensor(prepare.rest_poses(self.model), **opts)
        values = [*first.values(), self._initial_model.to(**opts)]
        return [value.repeat(n_envs, *[1] * value.dim()) for value in values]

    # Frames.

    def _sizes_of(self, n_envs: int, n_frames: int = 1) -> dict[str, int]:
        return {**self._sizes, **blocks.sizes(n_envs), "frames": (n_frames - 1) * self.setup.evaluations + 1}

    def frame_bytes(self, n_envs: int, n_frames: int) -> int:
        felt = 0 if self._reaction is None else self._reaction.frame_bytes(n_envs, self.substeps * self.every)
        return felt + count_bytes(self.setup.table, self._sizes_of(n_envs, n_frames), "frames")

    def allocate(self, frames: Frames) -> None:
        sizes = self._sizes_of(frames.n_envs, frames.n_frames)
        arrays = allocate(self.setup.table, sizes, "frames")
        size = {"size": self._range(sizes, 0, 0, frames.n_envs)}
        shared = self._of("scratch", frames.n_envs)
        launch = bind(
            self.setup.driver().advance,
            {**self._constants, **size, **arrays, **shared, **self._unset("step")},
            lanes=True,
        )
        mine = frames.of[self.name] = RigidFrames(arrays, sizes, launch)
        if self._reaction is not None:
            mine.reaction = self._reaction.allocate(frames.exchange, arrays["wrench"])

    def _of(self, life: str, n_envs: int) -> dict[str, torch.Tensor]:
        """Arrays that live only within a launch or a backward, shared by all frames of this size."""
        if (life, n_envs) not in self._shared:
            self._shared[life, n_envs] = allocate(self.setup.table, self._sizes_of(n_envs), life)
        return self._shared[life, n_envs]

    def _unset(self, life: str) -> dict[str, torch.Tensor]:
        """Stands for tensors of the step until they are known."""
        return {array.name: layout().new(1, 1) for array in select(self.setup.table, life)}

    def _rows(self, frames: Frames, name: str, index: int = 0) -> torch.Tensor:
        return self._view(frames, name, index * self.setup.evaluations)

    def _view(self, frames: Frames, name: str, evaluation: int) -> torch.Tensor:
        """(blocks, lanes, numbers) view of an array, of an evaluation if it has frames."""
        mine: RigidFrames = frames.of[self.name]
        key = (name, evaluation % mine.sizes["frames"])
        if key not in mine.views:
            arrays = mine.arrays if name in mine.arrays else self._of("adjoint", frames.n_envs)
            mine.views[key] = blocks.view(self.setup.table, arrays, name, mine.sizes, evaluation)
        return mine.views[key]

    # Forward.

    def load(self, frames: Frames, values: Sequence[torch.Tensor]) -> None:
        mine: RigidFrames = frames.of[self.name]
        given = dict(zip((f.name for f in (*self.state, *self.controls, *self.parameters)), values, strict=True))
        qpos, qd = values[:2]
        mine.links = {}
        if mine.active != qpos.shape[0]:
            mine.active, mine.inputs, mine.ranges = qpos.shape[0], {}, {}
        state = values[: len(self.state)]
        mine.results = [torch.empty_like(value, memory_format=torch.contiguous_format) for value in state]
        for name in ARRAYS.keys() & given.keys():
            mine.launch.point(f"{ARRAYS[name]}_in", given[name].contiguous())
        for of, value in zip(self.state, mine.results, strict=True):
            if of.name in ARRAYS:
                mine.launch.point(f"{ARRAYS[of.name]}_out", value)
        if self._reaction is not None and self.yielding:
            self._reaction.begin(mine.reaction, given["free_change"])
        # Most of these change rarely. What was loaded is kept, so that its memory cannot become another tensor's.
        for name in (name for name in OWN_COPIES if name in given):
            value = given[name]
            before = mine.inputs.get(name)
            same = before is not None and before[0].data_ptr() == value.data_ptr() and before[1] == value._version
            if not (same and before[0].stride() == value.stride()):  # type: ignore[index]
                blocks.write(self._rows(frames, name), value.flatten(1))
                mine.inputs[name] = (value, value._version)
                if name == "wrench" and self._reaction is not None:  # to which what matter does is added
                    mine.asked = value.clone(memory_format=torch.contiguous_format)
        for name in {"contacts", "joint", "last_contacts", "last_joint"} & mine.arrays.keys():
            mine.arrays[name].zero_()
        if "link_acceleration" in self._wanted:  # frame 0 is overwritten where there are but two
            mine.began = self.readout(*(given[name] for name in self.reads))

    def _advance(self, frames: Frames, begin: int, end: int) -> None:
        mine: RigidFrames = frames.of[self.name]
        self._launch(mine, mine.launch, begin, end)

    def _launch(self, mine: RigidFrames, launch: Launch, begin: int, end: int) -> None:
        """Launch for a range of substeps: its sizes lie in an array of their own, which is made once."""
        if (begin, end) not in mine.ranges:
            mine.ranges[begin, end] = self._range(mine.sizes, begin, end, mine.active)
        size = mine.ranges[begin, end]
        if launch.arrays["size"] is not size:
            launch.point("size", size)
        launch()

    def _range(self, sizes: Mapping[str, int], begin: int, end: int, active: int) -> torch.Tensor:
        """The array `size`."""
        numbers = [0] * slot.N_SIZES
        for place, number in (
            (slot.N_BLOCKS, sizes["blocks"]), (slot.ACTIVE, blocks.count(active)), (slot.ENVS, active),
            (slot.N_FRAMES, sizes["frames"]), (slot.BEGIN, begin), (slot.END, end), (slot.SUBSTEPS, self.substeps),
            *((place, sizes[name]) for name, place in slot.SIZES.items() if name in sizes),
        ):  # fmt: skip
            numbers[place] = number
        return named("size", torch.tensor(numbers, dtype=torch.int32, device=layout().device))

    def store(self, frames: Frames) -> list[torch.Tensor]:
        out = frames.of[self.name].results
        q, qd = out[:2]
        if self._reaction is not None and self.yielding:
            place, (_, links) = [of.name for of in self.state].index("free_change"), self._links(frames, self.substeps)
            out[place] = self._reaction.conclude(frames.of[self.name].reaction, links)
        if "contacts" in self._wanted:
            rows = self._read(frames, "contacts").unflatten(1, (-1, slot.CONTACT))
            out.append(torch.cat([rows[:, :, :3] / self.substeps, rows[:, :, 3:6] / self._touches(rows)], 2))
        if "link_wrench" in self._wanted:
            out.append(self._read(frames, "joint").unflatten(1, (-1, 6)) / self.substeps)
        if "link_acceleration" in self._wanted:
            after = self.readout(q, qd, *self._poses(frames))
            out.append((torch.cat(after[2:], 2) - torch.cat(frames.of[self.name].began[2:], 2)) / self.dt)
        if "last_evaluation" in self._wanted:
            active, last = frames.of[self.name].active, self.substeps * self.setup.evaluations - 1
            out += [blocks.read(self._view(frames, name, last), active) for name in ("q", "qd")]
            out += [self._read(frames, name).unflatten(1, (-1, 6)) for name in ("last_contacts", "last_joint")]
        return out

    @staticmethod
    def _touches(rows: torch.Tensor) -> torch.Tensor:
        return rows[:, :, 6:].clamp_min(1.0)

    def unconverged(self, frames: Frames) -> list[CutOff]:
        mine: RigidFrames = frames.of[self.name]
        found = []
        if "unconverged" in mine.arrays:
            law = "contact must be solved within RigidOptions.iterations"
            remedy = "its accelerations are approximate. Raise iterations"
            found.append(CutOff(law, remedy, mine.arrays["unconverged"][: mine.active]))
        if self._reaction is not None and self.yielding:
            law = "velocities with which links yield to particles must be found"
            remedy = "they are approximate. Lower friction, or take more substeps"
            found.append(CutOff(law, remedy, self._reaction.cut_off(mine.reaction, mine.active)))
        return found

    def failures(self, frames: Frames) -> torch.Tensor:
        mine: RigidFrames = frames.of[self.name]
        return mine.arrays["status"][: mine.active]

    def origin(self, frames: Frames, env: int, code: int) -> Origin | None:
        mine: RigidFrames = frames.of[self.name]
        if frames.n_frames == 2 and code < self.substeps:  # later substeps have overwritten what is looked for
            status = mine.arrays["status"].clone()
            self.substep(frames, 0, code)
            mine.arrays["status"].copy_(status)
        qd = self._read(frames, "qd", code)[env]
        limit = torch.as_tensor(np.where(self._slides, SPEED_LIMIT, SPIN_LIMIT), dtype=qd.dtype, device=qd.device)
        parts = qd.abs() / limit  # a velocity that is too large says more than one that is no number
        parts = parts.where(parts.isfinite() & (parts > 1), torch.where(parts.isfinite(), 0.0, 1.0))
        if len(parts) and parts.max() > 0:
            row = int(parts.argmax())
            law = f"stay below {limit[row]:g} {'m/s' if self._slides[row] else 'rad/s'}"
            return Origin("dofs_vel", self.body_of("dofs_vel", row), law, float(qd[row].abs()))
        for name in ("qpos", "activation"):
            if ARRAYS[name] in mine.arrays:
                bad = ~torch.isfinite(self._read(frames, ARRAYS[name], code)[env])
                if bad.any():
                    return Origin(name, self.body_of(name, int(bad.nonzero()[0])), "be finite", math.nan)
        return None

    def body_of(self, field: str, row: int) -> str | None:
        return self.labels[self._links_of[field][row]] if field in self._links_of else None

    # Backward.

    def load_adjoint(self, frames: Frames, cotangents: Sequence[torch.Tensor]) -> None:
        mine: RigidFrames = frames.of[self.name]
        shared = self._of("adjoint", frames.n_envs)
        if mine.launch_adjoint is None:
            size, scratch = {"size": mine.launch.arrays["size"]}, self._of("scratch", frames.n_envs)
            step = self._unset("step_adjoint")
            mine.launch_adjoint = bind(
                self.setup.driver().advance_adjoint,
                {**self._constants, **size, **mine.arrays, **scratch, **shared, **step},
                lanes=True,
            )
        given = dict(zip((f.name for f in (*self.state, *self.outputs)), cotangents, strict=True))
        gq, gqd = given["qpos"], given["dofs_vel"]
        if "link_acceleration" in given:
            healthy = (self.failures(frames) == 0)[:, None, None]
            mine.gacceleration = torch.where(healthy, given["link_acceleration"] / self.dt, 0.0)
            after = self._read(frames, "q", self.substeps), self._read(frames, "qd", self.substeps)
            more = self._acceleration_adjoint(frames, *after)
            gq, gqd = gq + more[0], gqd + more[1]
            mine.gposes = more[2:]
        mine.healthy = (self.failures(frames) == 0).int()
        if self._reaction is not None and self.yielding:
            state, links = self._links(frames, self.substeps)
            self._reaction.conclude_adjoint(mine.reaction, links, given["free_change"], mine.healthy)
            of_links = self._reaction.cotangents(mine.reaction, mine.active)
            of_state = self._readout.adjoint(state, of_links).values
            of_state = [torch.where(_beside(mine.healthy != 0, part), part, 0.0) for part in of_state]
            gq, gqd, mine.gends = gq + of_state[0], gqd + of_state[1], tuple(of_state[2:])
        for name, value in {**given, "qpos": gq, "dofs_vel": gqd}.items():
            if f"g{ARRAYS.get(name)}_in" in mine.launch_adjoint.places:
                mine.launch_adjoint.point(f"g{ARRAYS[name]}_in", value.contiguous())
        fields = [of for of in (*self.state, *self.controls) if of.name in ARRAYS]
        mine.cotangents = {of.name: gq.new_empty(mine.active, *of.shape) for of in fields if of.name != "qpos_low"}
        for name, value in mine.cotangents.items():
            mine.launch_adjoint.point(f"g{ARRAYS[name]}_out", value)
        if self.n_colliders:  # until its substeps' adjoints say more
            frames.exchange.rows("gimpulse")[..., self.first : self.first + self.n_colliders, :, :].zero_()
        for name in {"gcontacts", "gjoint"} & shared.keys():
            shared[name].zero_()
        if "contacts" in given:
            rows = self._read(frames, "contacts").unflatten(1, (-1, slot.CONTACT))
            force, place = given["contacts"].split(3, 2)
            both = torch.cat([force / self.substeps, place / self._touches(rows)], 2)
            blocks.write(self._rows(frames, "gcontacts"), both.flatten(1))
        if "link_wrench" in given:
            blocks.write(self._rows(frames, "gjoint"), (given["link_wrench"] / self.substeps).flatten(1))
        if "last_evaluation" in self._wanted:
            for name, array in LAST.items():
                blocks.write(self._rows(frames, f"glast_{array}"), given[name].flatten(1))

    def _advance_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        mine: RigidFrames = frames.of[self.name]
        assert mine.launch_adjoint is not None
        self._launch(mine, mine.launch_adjoint, begin, end)

    def store_adjoint(self, frames: Frames, needed: Sequence[bool]) -> list[torch.Tensor | None]:
        mine: RigidFrames = frames.of[self.name]
        found: dict[str, torch.Tensor | None] = dict(mine.cotangents)
        of_poses: list[torch.Tensor] = []
        if "link_acceleration" in self._wanted:
            before = self._read(frames, "q", 0), self._read(frames, "qd", 0)
            less = self._acceleration_adjoint(frames, *before)
            for name, part in zip(("qpos", "dofs_vel"), less, strict=False):
                found[name] = mine.cotangents[name] - part
            of_poses = [after - before for after, before in zip(mine.gposes, less[2:], strict=True)]
            mine.gacceleration, mine.gposes = None, ()
        of_poses += mine.gends
        fields = (*self.state, *self.controls, *self.parameters)
        for of, wanted in zip(fields, needed, strict=True):
            if of.name in OWN_COPIES and wanted:
                found[of.name] = self._read(frames, f"g{of.name}").unflatten(1, of.shape)
        for part in of_poses:
            if found.get("mocap") is not None:
                found["mocap"] = found["mocap"] + part
        return [found.get(of.name) for of in fields]

    def _acceleration_adjoint(self, frames: Frames, qpos: torch.Tensor, qd: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = frames.of[self.name].gacceleration
        zeros = given.new_zeros(*given.shape[:2], 3), given.new_zeros(*given.shape[:2], 4)
        return self.readout_adjoint(qpos, qd, *self._poses(frames), *zeros, given[..., :3], given[..., 3:])

    # Reading out.

    def _poses(self, frames: Frames) -> list[torch.Tensor]:
        if not self._sizes.get("mocaps", 0):
            return []
        return [self._read(frames, "mocap").unflatten(1, (-1, slot.MOCAP_NUMBERS))]

    def readout(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Links' pos (B, L, 3), quat (B, L, 4), velocity of their origins (B, L, 3) and angular velocity (B, L, 3), of
        the values of `reads`."""
        return self._readout.forward(*values)

    def readout_adjoint(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Cotangents of `reads` from their values, and the cotangents of `readout`."""
        n = len(self.reads)
        return self._readout.adjoint(tensors[:n], tensors[n:]).values


def _beside(mask: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """A mask (B,) with the axes of values (B, ...)."""
    return mask.view(-1, *[1] * (values.dim() - 1))
