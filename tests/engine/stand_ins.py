"""Stand-ins for the particle and tool solvers, in a few lines of torch: their values, no kernels, nothing to compile.

`advance` is one substep. The frames keep every state, and the adjoint pulls a cotangent back substep by substep with
torch's own vector-Jacobian products, so the same `advance`, called with grad mode on, is an independent reference.
"""

import torch

from genesis import runtime
from genesis.solvers.base import Field, Frames, Solver

WIDE = 50.0
"""An environment with a particle farther out than this fails."""


def advance(values, h):
    """One substep: dict of values to (state' and wrench)."""
    material, gravity = values["mpm.material"], values["scene.gravity"]
    E, nu, rho = (material[:, i::3].mean(1)[:, None, None] for i in range(3))
    pos, vel, C, F = (values[f"mpm.{name}"] for name in ("pos", "vel", "C", "F"))
    tool, quat, v, w = (values[f"tool.{name}"] for name in ("pos", "quat", "vel", "ang"))
    friction = values["tool.friction"]
    apart = tool[:, None] - pos[:, :, None]  # (B, N, T, 3)
    near = 1 / (1 + 40 * (apart**2).sum(-1, keepdim=True))
    pull = near * (apart * (1 + quat[:, None, :, :1]) + friction[:, None, :, None] * (v[:, None] - vel[:, :, None]))
    force = pull.sum(2) - 1e-3 * E * pos - nu * vel
    vel = vel + h * (gravity[:, None] + force / rho * 500)
    C = 0.99 * C + h * vel[..., None] * pos[..., None, :]
    F = F + h * (C[..., None] * F[..., None, :, :]).sum(-2)
    vel = vel + h * F[..., 0]
    pos = pos + h * vel
    spin = torch.cat([torch.zeros_like(w[..., :1]), w], -1)
    out = {
        "mpm.pos": pos, "mpm.vel": vel, "mpm.C": C, "mpm.F": F,
        "tool.pos": tool + h * v, "tool.quat": quat + 0.5 * h * spin * quat.flip(-1),
    }  # fmt: skip
    wrench = torch.cat([-pull.sum(1), pull.sum(1) * quat[..., 1:]], -1)
    return out, wrench


def reference_step(values, dt, substeps):
    """A whole control step with torch's graph through every operation: dict to dict with a wrench."""
    values, wrench = dict(values), 0.0
    for _ in range(substeps):
        changed, part = advance(values, dt / substeps)
        values.update(changed)
        wrench = wrench + part / substeps
    return values, wrench


class StandIn(Solver):
    """Keeps values; the coupling does the physics. Only particles fail."""

    def __init__(self, name, state, controls, parameters, outputs, initial):
        self.name = name
        self.state, self.controls = tuple(Field(*f) for f in state), tuple(Field(*f) for f in controls)
        self.parameters, self.outputs = tuple(Field(*f) for f in parameters), tuple(Field(*f) for f in outputs)
        self._initial = initial

    def plastic_volume(self, memory):
        return memory.new_ones(memory.shape[:2])

    def initial_values(self, n_envs):
        return [
            torch.as_tensor(v, dtype=runtime.current().real).expand(n_envs, *v.shape).clone() for v in self._initial
        ]

    def frame_bytes(self, n_envs, n_frames):
        return 8 * n_envs * n_frames * sum(torch.Size(f.shape).numel() for f in self.state)

    def allocate(self, frames):
        frames.of[self.name] = {}

    def load(self, frames, values):
        assert all(not v.requires_grad and type(v) is torch.Tensor for v in values)
        mine = frames.of[self.name]
        mine["loaded"] = [v.clone() for v in values]

    def substep(self, frames, begin, end):
        raise NotImplementedError

    def store(self, frames):
        return [v.clone() for v in frames.of[self.name]["results"]]

    def failures(self, frames):
        return frames.of["status"] if self.name == "mpm" else None

    def load_adjoint(self, frames, cotangents):
        frames.of[self.name]["cotangents"] = [c.clone() for c in cotangents]

    def substep_adjoint(self, frames, begin, end):
        raise NotImplementedError

    def store_adjoint(self, frames, needed):
        return [g.clone() for g in frames.of[self.name]["gradients"]]


class StandInCoupling:
    """The interface of `genesis.engine.coupling.Coupling`."""

    def __init__(self, solvers, h):
        self.solvers, self.h = solvers, h
        self.placement, self.n_forward, self.n_allocated = {}, 0, 0

    def frame_bytes(self, n_envs, n_frames):
        return sum(s.frame_bytes(n_envs, n_frames) for s in self.solvers)

    def allocate(self, n_envs, n_frames):
        frames = Frames(n_envs, n_frames, {}, self.frame_bytes(n_envs, n_frames))
        for solver in self.solvers:
            solver.allocate(frames)
        self.n_allocated += 1
        return frames

    def substep(self, frames, begin, end):
        self.n_forward += 1
        values = {}
        for s in self.solvers:
            for f, v in zip((*s.state, *s.controls, *s.parameters), frames.of[s.name]["loaded"], strict=True):
                values["scene.gravity" if f.name == "gravity" else f"{s.name}.{f.name}"] = v
        status = torch.zeros(len(values["mpm.pos"]), dtype=torch.int32)
        kept, total = [], 0.0
        for s in range(begin, end):
            kept.append(dict(values))
            changed, wrench = advance(values, self.h)
            values.update(changed)
            total = total + wrench / (end - begin)
            bad = ~(values["mpm.pos"].abs() < WIDE).flatten(1).all(1)
            status = torch.where((status == 0) & bad, torch.tensor(s + 1, dtype=torch.int32), status)
        frames.of["kept"], frames.of["status"] = kept if frames.n_frames > 2 else None, status
        for s in self.solvers:
            results = [values[f"{s.name}.{f.name}"] for f in s.state]
            frames.of[s.name]["results"] = results + [total] * len(s.outputs)

    def failures(self, frames):
        return frames.of["status"]

    def origin(self, frames, env, code):
        return None

    def watch(self, frames, step, first, placed):
        pass

    def substep_adjoint(self, frames, begin, end):
        kept, healthy = frames.of["kept"], frames.of["status"] == 0
        cotangents, gwrench = {}, None
        for s in self.solvers:
            given = frames.of[s.name]["cotangents"]
            cotangents.update({f"{s.name}.{f.name}": c for f, c in zip(s.state, given, strict=False)})
            if s.outputs:
                gwrench = given[-1]
        held = {name: torch.zeros_like(v) for name, v in kept[0].items() if name not in cotangents}
        for values in reversed(kept[begin:end]):
            leaves = {
                name: torch.where(healthy.view(-1, *[1] * (v.dim() - 1)), v, 0.5).requires_grad_()
                for name, v in values.items()
            }
            with torch.enable_grad():
                changed, wrench = advance(leaves, self.h)
                results = [changed[name] for name in cotangents]
                pulls = list(cotangents.values())
                if gwrench is not None:
                    results.append(wrench)
                    pulls.append(gwrench / (end - begin))
            grads = torch.autograd.grad(results, list(leaves.values()), pulls, allow_unused=True)
            for (name, leaf), grad in zip(leaves.items(), grads, strict=True):
                grad = torch.zeros_like(leaf) if grad is None else grad
                if name in cotangents:
                    cotangents[name] = grad
                else:
                    held[name] += grad
        grads = {**cotangents, **held}
        for grad in grads.values():
            grad[~healthy] = 0.0
        for s in self.solvers:
            frames.of[s.name]["gradients"] = [
                grads["scene.gravity"] if f.name == "gravity" else grads[f"{s.name}.{f.name}"]
                for f in (*s.state, *s.controls, *s.parameters)
            ]


def couple(parts, sim):
    """In place of `genesis.engine.assembly.couple`; the scene must have particles and tools."""
    tools, bodies = (part.entities for part in parts)
    outputs = parts[0].build.outputs
    pos = torch.cat([torch.from_numpy(e.initial_positions) for e in bodies])
    N, T, M = len(pos), len(tools), len(bodies)
    initial = [pos, torch.zeros(N, 3), torch.zeros(N, 3, 3), torch.eye(3).expand(N, 3, 3), torch.zeros(N, 4)]
    particles = StandIn(
        "mpm",
        [("pos", (N, 3)), ("vel", (N, 3)), ("C", (N, 3, 3)), ("F", (N, 3, 3))],
        [("hold", (N, 4))],
        [("material", (3 * M,)), ("gravity", (3,))],
        [],
        initial,
    )
    pose = [
        torch.tensor([e.morph.pos for e in tools], dtype=torch.float64),
        torch.tensor([e.morph.orientation for e in tools], dtype=torch.float64),
    ]
    tool = StandIn(
        "tool",
        [("pos", (T, 3)), ("quat", (T, 4))],
        [("vel", (T, 3)), ("ang", (T, 3))],
        [("friction", (T,))],
        [("wrench", (T, 6))] if "wrench" in outputs else [],
        [*pose, torch.zeros(T, 3), torch.zeros(T, 3)],
    )
    return StandInCoupling([tool, particles], sim.dt / sim.substeps)


def features(state):
    """(B, 6): means of positions and velocities, plain."""
    return torch.cat([state.pos.mean(1), state.vel.mean(1)], -1).as_subclass(torch.Tensor)
