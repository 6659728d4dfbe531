"""A rigid solver below autograd and scenes: one control step, all of its inputs, and their gradients one by one."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from genesis.loaders.model import RigidModel
from genesis.options import CompliantContact, RigidOptions
from genesis.solvers.base import Frames
from genesis.solvers.rigid.prepare import UNLIMITED
from genesis.solvers.rigid.setups import parameter_layout
from genesis.solvers.rigid.solver import RigidSolver
from tests.rigid.rigid_differences import SMOOTH_STEPS, Comparison, compared, ridders

F64 = torch.float64
G = 9.81
GROUP = 256
"""Environments in one launch."""


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def bare(model: RigidModel) -> RigidModel:
    """Without damping, springs, and limits of joints."""
    zeros, none = np.zeros(model.n_dofs), np.full(model.n_dofs, np.inf)
    return replace(model, damping=zeros, stiffness=zeros, limit_low=-none, limit_high=none)


def times(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Product of quaternions (w, x, y, z)."""
    a, b = torch.broadcast_tensors(a, b)
    w = a[..., :1] * b[..., :1] - (a[..., 1:] * b[..., 1:]).sum(-1, keepdim=True)
    v = a[..., :1] * b[..., 1:] + b[..., :1] * a[..., 1:] + torch.linalg.cross(a[..., 1:], b[..., 1:])
    return torch.cat([w, v], -1)


def turned(quat: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """quat times the rotation of the vector `by` (..., 3), rad."""
    half = by / 2
    angle = half.norm(dim=-1, keepdim=True)
    return times(quat, torch.cat([torch.cos(angle), torch.sinc(angle / torch.pi) * half], -1))


def retract(model: RigidModel, qpos: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """Configurations (rows, Q) reached from one (Q,) by motions (rows, D) of the degrees of freedom."""
    parts = []
    for joint in model.joints:
        q, d = joint.q, joint.dof
        if joint.kind == "free":
            parts += [qpos[q : q + 3] + by[:, d : d + 3], turned(qpos[q + 3 : q + 7], by[:, d + 3 : d + 6])]
        elif joint.kind == "ball":
            parts.append(turned(qpos[q : q + 4], by[:, d : d + 3]))
        else:
            parts.append(qpos[q : q + 1] + by[:, d : d + 1])
    return torch.cat(parts, -1)


@dataclass
class Field:
    """One input to compare: which value, which part of it, and the size that steps are relative to."""

    value: str
    begin: int = 0
    shape: tuple[int, ...] = ()
    scale: float | None = None

    @property
    def end(self) -> int:
        return self.begin + int(np.prod(self.shape))


class Bench:
    """Final. Values are dicts of tensors (B, ...): state, controls and parameters by name, and "gravity"."""

    def __init__(
        self,
        model: RigidModel,
        grounds: Any = (),
        options: RigidOptions | None = None,
        dt: float = 8e-3,
        substeps: int = 8,
        outputs: tuple[str, ...] = (),
    ) -> None:
        self.model, self.grounds, self.dt, self.substeps, self.outputs = model, grounds, dt, substeps, outputs
        self.options = options or RigidOptions(contact=CompliantContact())
        self.solver = RigidSolver(model, grounds, self.options, dt, substeps, GROUP, outputs)
        solver = self.solver
        self.inputs = [f.name for f in (*solver.state, *solver.controls, *solver.parameters)]
        self.results = [f.name for f in (*solver.state, *solver.outputs)]
        self.parameter_layout = parameter_layout(self.options, model, grounds)
        self._frames: dict[tuple[int, int], Frames] = {}

    def initial(self, n_envs: int = 1, gravity: tuple[float, float, float] = (0.0, 0.0, -G)) -> dict[str, torch.Tensor]:
        values = self.solver.initial_values(n_envs)
        values.append(torch.tensor(gravity, dtype=values[0].dtype).expand(n_envs, 3).clone())
        return dict(zip(self.inputs, values, strict=True))

    def block(self, values: dict[str, torch.Tensor], name: str) -> torch.Tensor:
        """(B, *shape) view of one block of the parameter `model`."""
        begin, shape = self.parameter_layout[name]
        return values["model"][:, begin : begin + int(np.prod(shape))].unflatten(1, shape)

    def forward(self, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """State after the step, and outputs."""
        n, parts = len(values["qpos"]), []
        size = min(n, GROUP)
        frames = self._at(size, 2)
        for begin in range(0, n, size):
            self.solver.load(frames, [values[k][begin : begin + size].contiguous() for k in self.inputs])
            self.solver.substep(frames, 0, self.substeps)
            rows = min(size, n - begin)
            parts.append([r[:rows].clone() for r in self.solver.store(frames)])
        return dict(zip(self.results, (torch.cat(rows) for rows in zip(*parts, strict=True)), strict=True))

    def backward(self, values: dict[str, torch.Tensor], cotangents: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        frames = self._at(len(values["qpos"]), self.substeps + 1)
        self.solver.load(frames, [values[k].contiguous() for k in self.inputs])
        self.solver.substep(frames, 0, self.substeps)
        self.solver.store(frames)
        self.solver.load_adjoint(frames, [cotangents[k].contiguous() for k in self.results])
        self.solver.substep_adjoint(frames, 0, self.substeps)
        return dict(zip(self.inputs, self.solver.store_adjoint(frames, [True] * len(self.inputs)), strict=True))

    def _at(self, n_envs: int, n_frames: int) -> Frames:
        if (n_envs, n_frames) not in self._frames:
            frames = Frames(n_envs, n_frames, {})
            self.solver.allocate(frames)
            self._frames[n_envs, n_frames] = frames
        return self._frames[n_envs, n_frames]

    # Gradients.

    def fields(self) -> dict[str, Field]:
        """Everything that has a gradient: state, controls column by column, every block of parameters, gravity."""
        found = {"qpos": Field("qpos"), "dofs_vel": Field("dofs_vel", 0, (self.model.n_dofs,), 1.0)}
        found["dofs"] = Field("dofs", 0, (self.model.n_dofs, 5), 1.0)
        found["wrench"] = Field("wrench", 0, (self.model.n_links, 6), 1.0)
        for name, (begin, shape) in self.parameter_layout.items():
            found[name] = Field("model", begin, shape)
        found["gravity"] = Field("gravity", 0, (3,), G)
        return {name: field for name, field in found.items() if field.value == "qpos" or np.prod(field.shape) > 0}

    def moved(self, values: dict[str, torch.Tensor], field: Field, columns: torch.Tensor) -> dict[str, torch.Tensor]:
        """Values (1, ...) with rows of `columns` (rows, K) added to the K numbers of a field, or turned into qpos."""
        n = len(columns)
        rows = {name: value.expand(n, *value.shape[1:]) for name, value in values.items()}
        if field.value == "qpos":
            rows["qpos"] = self.retract(values["qpos"][0], columns)
        else:
            flat = rows[field.value].flatten(1).clone()
            flat[:, field.begin : field.end] += columns
            rows[field.value] = flat.unflatten(1, values[field.value].shape[1:])
        return rows

    def retract(self, qpos: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        return retract(self.model, qpos, by)

    def tangent(self, qpos: torch.Tensor, gqpos: torch.Tensor) -> torch.Tensor:
        """Gradient by motions of the degrees of freedom (D,) from that by qpos (Q,)."""
        x = torch.zeros(1, self.model.n_dofs, dtype=F64, requires_grad=True)
        (grad,) = torch.autograd.grad((self.retract(qpos, x)[0] * gqpos).sum(), x)
        return grad[0]

    def check(
        self,
        values: dict[str, torch.Tensor],
        bar: float,
        fields: tuple[str, ...] | None = None,
        steps: tuple[float, ...] = SMOOTH_STEPS,
        needed: tuple[str, ...] = (),
        weights: dict[str, float] | None = None,
        seed: int = 3,
    ) -> dict[str, Comparison]:
        """Compare the gradient of a random linear loss by every field with differences, for one environment.

        Args:
            needed: Fields which the loss must depend on.
            weights: Of results in the loss (default 1 for each); each result is divided by its size first.
        """
        base = self.forward(values)
        cotangents = {}
        for k, (name, value) in enumerate(base.items()):
            weight = (weights or {}).get(name, 1.0) / max(1.0, float(value.abs().max()))
            cotangents[name] = weight * noise(*value.shape, seed=seed + k)
        grads = self.backward(values, cotangents)
        found, chosen = {}, self.fields()
        for name in fields or chosen:
            found[name] = self._compare(values, chosen[name], grads, cotangents, steps)
        text = "; ".join(f"{name}: {c}" for name, c in found.items())
        print("worst", max(((c.error, name) for name, c in found.items() if c.size > 1e-6), default=None))
        for name, comparison in found.items():
            comparison.check(bar, name)
        for name in needed:
            assert found[name].size > 1e-6, f"{name} must matter here: {text}"
        return found

    def _compare(
        self,
        values: dict[str, torch.Tensor],
        field: Field,
        grads: dict[str, torch.Tensor],
        cotangents: dict[str, torch.Tensor],
        steps: tuple[float, ...],
    ) -> Comparison:
        if field.value == "qpos":
            computed = self.tangent(values["qpos"][0], grads["qpos"][0])
            scales = torch.ones(self.model.n_dofs, dtype=F64)
        else:
            pick = slice(field.begin, field.end)
            computed = grads[field.value].flatten(1)[0, pick]
            size = values[field.value].flatten(1)[0, pick].abs()
            scale = field.scale or float(torch.where(size < UNLIMITED, size, 0.0).max()) or 1.0
            scales = torch.full((field.end - field.begin,), scale, dtype=F64)
        h = torch.tensor(steps, dtype=F64)[:, None] * scales
        ways = torch.stack([h, -h], 0)  # (2, levels, K)
        columns = torch.diag_embed(ways).flatten(0, 2)
        results = self.forward(self.moved(values, field, columns))
        base = self.forward(values)
        losses = sum(((results[k] - base[k]) * cotangents[k]).flatten(1).sum(1) for k in results)
        up, down = losses.unflatten(0, (2, len(steps), len(scales)))
        return compared(computed, ridders(up, down, h), scales)
