"""A kind of matter in one file, which nothing in the package knows: rows of masses on springs, in torch.

Each mass hangs on a spring to its anchor, its place at build time, and colliders push it. Per mass, with d = x - a:

    m v' = m v + h (f + m g - k (1 + d.d) d - c v + sum_c p_c),   x' = x + h v'
    p_c = s exp(-r.r / w^2) (r + u_c - v),   r = x - x_c

The adjoint is torch's own vector-Jacobian product of one substep, from the last one back.
"""

import math
from dataclasses import dataclass

import torch

from genesis import runtime
from genesis.checks import assign, integer, number, parameter, record
from genesis.contact.colliders import ANGULAR, FORCE, MOMENT, POSITION, VELOCITY
from genesis.engine.entities.base import Entity
from genesis.engine.kinds.base import Kind, Part, of_kind
from genesis.engine.parameters import Constraint, material_parameter
from genesis.engine.state import Saved
from genesis.errors import GenesisRuntimeError, GenesisTypeError, GenesisValueError
from genesis.grad.tensor import Tensor
from genesis.morphs import Morph
from genesis.solvers.base import Field, Origin, Solver
from genesis.visible import Points

STIFFNESS_RANGE = (0.0, math.inf)
FARTHEST = 10.0
"""m from its anchor: a mass beyond has failed."""
TINT = (0.9, 0.2, 0.1)


# What users write.


@record
class Row(Morph):
    """Masses in a row along x, the first at `pos`."""

    n: int = 3
    spacing: float = 0.1
    """m."""

    def __post_init__(self):
        super().__post_init__()
        assign(self, "n", integer("Row.n", self.n, 1))
        assign(self, "spacing", number("Row.spacing", self.spacing, 0.0))


@record
class Springs:
    """Masses on springs."""

    stiffness: float | torch.Tensor = 20.0
    """N/m, for small displacements."""
    mass: float = 0.1
    """kg, of each."""

    def __post_init__(self):
        assign(self, "stiffness", parameter("Springs.stiffness", self.stiffness, *STIFFNESS_RANGE))
        assign(self, "mass", number("Springs.mass", self.mass, 0.0))


@record
class ToyOptions:
    """Options of all of them."""

    damping: float = 0.1
    """c, N s/m."""
    push: float = 2.0
    """s, N s/m, of colliders."""
    reach: float = 0.3
    """w, m, of colliders."""

    def __post_init__(self):
        for name, closed in (("damping", True), ("push", True), ("reach", False)):
            assign(self, name, number(f"ToyOptions.{name}", getattr(self, name), 0.0, closed=closed))


@dataclass(frozen=True, eq=False)
class ToyState(Saved):
    """All masses (N) of a scene."""

    pos: Tensor
    """(B, N, 3) m."""
    vel: Tensor
    """(B, N, 3) m/s."""
    force: Tensor
    """(B, N, 3) N; held until set again."""
    centre: Tensor
    """(B, 3) their mean position, m."""


class ToyEntity(Entity):
    """A row of masses."""

    kind = "toy"
    PLACED = ("_begin", "_column")

    def _place(self, begin, column):
        self._begin, self._column = begin, column

    @property
    def anchors(self):
        """(n, 3) m, float64."""
        places = torch.arange(self.morph.n, dtype=torch.float64) * self.morph.spacing
        return torch.tensor(self.morph.pos, dtype=torch.float64) + torch.stack([places, 0 * places, 0 * places], 1)

    def _set(self, name, value, envs_idx):
        envs = self._chosen(envs_idx)
        n = self.morph.n
        rows = self._rows(name, value, ((3,), (n, 3)), envs)
        rows = rows[:, None].expand(-1, n, 3) if rows.dim() == 2 else rows
        self._values.write("toy", name, rows, envs, self._begin, self._begin + n)

    def _get(self, name):
        return self._values.read("toy", name)[:, self._begin : self._begin + self.morph.n]

    def set_position(self, pos, envs_idx=None):
        self._set("pos", pos, envs_idx)

    def set_velocity(self, vel, envs_idx=None):
        self._set("vel", vel, envs_idx)

    def set_force(self, force, envs_idx=None):
        self._set("force", force, envs_idx)

    def set_stiffness(self, stiffness, envs_idx=None):
        self._set_parameters(("toy", "stiffness"), {self._column: stiffness}, self._chosen(envs_idx))

    def get_position(self):
        return self._get("pos")

    def get_velocity(self):
        return self._get("vel")

    def get_tension(self):
        """(B, n, 3) N, that of the springs, a mean over the last step."""
        if not self._values.has("toy", "tension"):
            raise GenesisRuntimeError(
                'a scene must be built with outputs=("tension",) for get_tension(), got one without.'
            )
        return self._get("tension")

    def get_energy(self):
        """(B,) J, of motion, springs and weight; zero at rest at the anchors."""
        return self._values.readouts("toy")[0][:, self._column]

    def visible(self):
        return (Points(self.morph.n, 1e-3, self.surface.rgb or TINT, self.get_position),)

    def followed(self, link=None):
        self._refuse_link(link)
        return lambda: self.get_position().mean(1)


# What the scene asks for.


class ToyPart(Part):
    def __init__(self, entities, build):
        self.entities, self.build = entities, build

    def parameters(self):
        constraint = Constraint(*STIFFNESS_RANGE)
        scene, n_envs = self.build.scene, self.build.n_envs
        return {
            ("toy", "stiffness"): [
                material_parameter(entity, "stiffness", "set_stiffness", constraint, n_envs, scene)
                for entity in self.entities
            ]
        }

    def stability_check(self):
        bodies, h = [(entity.name, entity.material.mass) for entity in self.entities], self.build.sim.substep_dt

        def check(fields):
            for (name, mass), stiffness in zip(bodies, fields["toy", "stiffness"], strict=True):
                most = 4 * mass / h**2
                got = float(stiffness.pack(torch.float64, torch.device("cpu")).detach().max())
                if got >= most:
                    raise GenesisValueError(
                        f"{name}.stiffness must be below {most:.4g} N/m for the scene's substep, got {got:.4g}. "
                        "Raise substeps."
                    )

        return check

    def solver(self, colliders, first):
        return ToySolver(self.entities, self.build)


class ToyKind(Kind):
    name, noun = "toy", "masses on springs"
    options_name, options = "toy_options", ToyOptions
    materials = (Springs,)
    entity_types = (ToyEntity,)
    outputs = ("tension",)
    is_matter = True
    state = ToyState
    direct = ("centre",)

    def default_material(self, morph):
        return Springs() if isinstance(morph, Row) else None

    def entities(self, idx, name, morph, material, surface, options):
        if not isinstance(morph, Row):
            raise GenesisTypeError(f"masses on springs must be a Row, got a {type(morph).__name__}. Choose it.")
        return [ToyEntity(idx, name, morph, material, surface)]

    def assemble(self, entities, build):
        mine, begin = of_kind(self, entities), 0
        for column, entity in enumerate(mine):
            entity._place(begin, column)
            begin += entity.morph.n
        return ToyPart(mine, build) if mine else None

    def other_state(self, values, solver):
        return {"centre": values["pos"].mean(1)}

    def check_state(self, entities, field, rows):
        if field == "pos":
            anchors = torch.cat([entity.anchors for entity in of_kind(self, entities)]).to(rows)
            farthest = float((rows - anchors).norm(dim=-1).max()) if len(rows) else 0.0
            if farthest > FARTHEST:
                raise GenesisValueError(
                    f"state toy.pos must be within {FARTHEST:g} m of the anchors, got {farthest:.4g} m. Move it nearer."
                )


# What computes.


class ToySolver(Solver):
    name = "toy"
    reads = ("pos", "vel", "stiffness", "gravity")

    def __init__(self, entities, build):
        self.bodies = [(entity.name, entity.morph.n) for entity in entities]
        self.h, self.substeps, self.options = build.sim.substep_dt, build.sim.substeps, build.options
        self.place = {"dtype": runtime.current().real, "device": runtime.current().device}
        self.anchors = torch.cat([entity.anchors for entity in entities]).to(**self.place)
        self.body = torch.repeat_interleave(torch.tensor([n for _, n in self.bodies]))
        self.mass = torch.tensor([entity.material.mass for entity in entities], **self.place)[self.body, None]
        n = len(self.anchors)
        self.state = (Field("pos", (n, 3)), Field("vel", (n, 3)))
        self.controls = (Field("force", (n, 3)),)
        self.parameters = (Field("stiffness", (len(entities),)), Field("gravity", (3,)))
        self.outputs = (Field("tension", (n, 3)),) if "tension" in build.outputs else ()
        self.readouts = (Field("energy", (len(entities),)),)
        self.stiffness = [entity.material.stiffness for entity in entities]

    def initial_values(self, n_envs):
        pos = self.anchors.expand(n_envs, -1, -1)
        stiffness = [torch.as_tensor(k).detach().to(**self.place).expand(n_envs) for k in self.stiffness]
        return [pos.clone(), torch.zeros_like(pos), torch.zeros_like(pos), torch.stack(stiffness, 1)]

    def advance(self, pos, vel, force, stiffness, gravity, poses):
        """One substep from values and poses of colliders (B, C, 4, 4): pos', vel', tension, impulses (B, C, 2, 3)."""
        k = stiffness[:, self.body, None]
        d = pos - self.anchors
        tension = -k * (1 + (d**2).sum(-1, keepdim=True)) * d
        r = pos[:, :, None] - poses[:, None, :, POSITION, :3]
        u = poses[:, None, :, VELOCITY, :3] + torch.linalg.cross(poses[:, None, :, ANGULAR, :3].expand_as(r), r)
        near = torch.exp(-(r**2).sum(-1, keepdim=True) / self.options.reach**2)
        push = self.options.push * near * (r + u - vel[:, :, None])
        total = force + self.mass * gravity[:, None] + tension - self.options.damping * vel + push.sum(2)
        vel = vel + self.h / self.mass * total
        impulse = -self.h * torch.stack([push, torch.linalg.cross(r, push)], 3).sum(1)
        return pos + self.h * vel, vel, tension, impulse

    # Forward.

    def frame_bytes(self, n_envs, n_frames):
        return 8 * n_envs * n_frames * 6 * len(self.anchors)

    def allocate(self, frames):
        frames.of["toy"] = {}

    def load(self, frames, values):
        pos, vel, force, stiffness, gravity = (value.clone() for value in values)
        mine = frames.of["toy"]
        mine["frames"], mine["held"] = {0: (pos, vel)}, (force, stiffness, gravity)
        mine["tension"], mine["status"] = torch.zeros_like(pos), torch.zeros(len(pos), dtype=torch.int32)

    def substep(self, frames, begin, end):
        mine = frames.of["toy"]
        B = len(mine["tension"])
        for s in range(begin, end):
            poses = frames.exchange.rows("poses")[s, :B]
            pos, vel, tension, impulse = self.advance(*mine["frames"][s], *mine["held"], poses)
            mine["frames"][s + 1] = pos, vel
            if frames.n_frames == 2:
                del mine["frames"][s]
            mine["tension"] += tension / self.substeps
            given = frames.exchange.rows("impulse")[s, 0, :B]
            given[:, :, FORCE, :3] += impulse[:, :, FORCE]
            given[:, :, MOMENT, :3] += impulse[:, :, MOMENT]
            failed = ~((pos - self.anchors).norm(dim=-1) < FARTHEST).all(1) & (mine["status"] == 0)
            mine["status"][failed] = s + 1

    def store(self, frames):
        mine = frames.of["toy"]
        results = [value.clone() for value in mine["frames"][self.substeps]]
        return results + ([mine["tension"].clone()] if self.outputs else [])

    def points(self, frames):
        return frames.of["toy"]["frames"][self.substeps][0]

    def failures(self, frames):
        return frames.of["toy"]["status"]

    def origin(self, frames, env, code):
        pos, _ = frames.of["toy"]["frames"].get(code) or frames.of["toy"]["frames"][self.substeps]
        away = (pos[env] - self.anchors).norm(dim=-1)
        row = int((~(away < FARTHEST)).nonzero()[0])
        return Origin("pos", self.body_of("pos", row), f"be within {FARTHEST:g} m of its anchor", float(away[row]))

    def body_of(self, field, row):
        return self.bodies[row if field == "stiffness" else int(self.body[row])][0]

    # Backward.

    def load_adjoint(self, frames, cotangents):
        mine = frames.of["toy"]
        mine["g"] = [cotangent.clone() for cotangent in cotangents[:2]]
        mine["gtension"] = cotangents[2] / self.substeps if self.outputs else torch.zeros_like(mine["tension"])
        mine["gheld"] = [torch.zeros_like(value) for value in mine["held"]]

    def substep_adjoint(self, frames, begin, end):
        mine = frames.of["toy"]
        B = len(mine["tension"])
        healthy = mine["status"] == 0
        for s in reversed(range(begin, end)):
            poses = frames.exchange.rows("poses")[s, :B]
            leaves = [v.clone().requires_grad_() for v in (*mine["frames"][s], *mine["held"], poses)]
            with torch.enable_grad():
                results = self.advance(*leaves)
            gimpulse = frames.exchange.rows("gimpulse")[s, :B, :, :, :3]
            grads = torch.autograd.grad(results, leaves, [*mine["g"], mine["gtension"], gimpulse])
            grads = [torch.where(healthy.view(-1, *[1] * (g.dim() - 1)), g, 0.0) for g in grads]
            mine["g"] = grads[:2]
            mine["gheld"] = [held + g for held, g in zip(mine["gheld"], grads[2:5], strict=True)]
            frames.exchange.rows("gposes")[s, 0, :B] += grads[5]

    def store_adjoint(self, frames, needed):
        mine = frames.of["toy"]
        return [*mine["g"], *mine["gheld"]]

    # Read-outs.

    def _energy(self, pos, vel, stiffness, gravity):
        d = pos - self.anchors
        d2 = (d**2).sum(-1)
        each = stiffness[:, self.body] * (0.5 * d2 + 0.25 * d2**2)
        each = each + self.mass[:, 0] * (0.5 * (vel**2).sum(-1) - (gravity[:, None] * d).sum(-1))
        return pos.new_zeros(len(pos), len(self.bodies)).index_add(1, self.body, each)

    def readout(self, *values):
        return [self._energy(*values)]

    def readout_adjoint(self, *tensors):
        *values, cotangent = tensors
        leaves = [value.clone().requires_grad_() for value in values]
        with torch.enable_grad():
            energy = self._energy(*leaves)
        return list(torch.autograd.grad(energy, leaves, cotangent))
