"""Kinematic bodies that push particles."""

from collections.abc import Callable
from typing import Any

import torch

from genesis import morphs
from genesis.engine.entities.base import Entity
from genesis.engine.inputs import Array, Environments
from genesis.engine.state import ToolState
from genesis.errors import GenesisRuntimeError, GenesisTypeError, GenesisValueError
from genesis.grad.tensor import Tensor
from genesis.math import quaternion
from genesis.visible import Ground, Rgb, Shape, Solids, Visible, floor_tints

TINT: Rgb = (0.25, 0.28, 0.34)
"""Of a tool whose surface says nothing."""


class ToolEntity(Entity):
    """A body that moves as its velocities say. World frame; setters and getters are differentiable.

    Setters take a row for each environment, or with `envs_idx` for each chosen one, or one value for all.
    """

    kind = "tool"
    PLACED = ("_column",)

    def _place(self, column: int) -> None:
        """`column` is its place among the tools."""
        self._column = column

    def set_position(self, pos: Array, envs_idx: Environments = None) -> None:
        """Move it to `pos` (3,) or (B, 3), m."""
        envs = self._chosen(envs_idx)
        self._write("pos", self._rows("pos", pos, ((3,),), envs), envs)

    def set_quaternion(self, quat: Array, envs_idx: Environments = None) -> None:
        """Turn it to `quat` (4,) or (B, 4), wxyz, of any length but zero."""
        envs = self._chosen(envs_idx)
        rows = self._rows("quat", quat, ((4,),), envs)
        shortest = float(rows.detach().norm(dim=-1).min()) if len(rows) else 1.0
        if shortest < 1e-6:
            raise GenesisValueError(
                f"{self.name}.quat must not be zero, got length {shortest:.3g}. The identity is (1, 0, 0, 0)."
            )
        self._write("quat", quaternion.normalise(rows), envs)

    def set_velocity(self, vel: Array | None = None, ang: Array | None = None, envs_idx: Environments = None) -> None:
        """Set linear (m/s) and angular (rad/s) velocity, (3,) or (B, 3) each; held until set again."""
        if vel is None and ang is None:
            raise GenesisTypeError("set_velocity must get vel, ang or both, got neither. Pass one.")
        envs = self._chosen(envs_idx)
        given = {"vel": vel, "ang": ang}
        checked = {k: self._rows(k, v, ((3,),), envs) for k, v in given.items() if v is not None}
        for name, rows in checked.items():
            self._write(name, rows, envs)

    def set_friction(self, friction: Any, envs_idx: Environments = None) -> None:
        """Set the Coulomb coefficient: a number >= 0, or a tensor () or (B,), which may require a gradient."""
        self._set_parameters(("tool", "friction"), {self._column: friction}, self._chosen(envs_idx))

    def get_state(self) -> ToolState:
        """pos (B, 3), quat (B, 4), vel (B, 3), ang (B, 3)."""
        return ToolState(self.get_pos(), self.get_quat(), self.get_vel(), self.get_ang())

    def get_pos(self, envs_idx: Environments = None) -> Tensor:
        """(B, 3) m; with `envs_idx` only the chosen environments."""
        return self._read("pos", envs_idx)

    def get_quat(self, envs_idx: Environments = None) -> Tensor:
        """(B, 4) wxyz."""
        return self._read("quat", envs_idx)

    def get_vel(self, envs_idx: Environments = None) -> Tensor:
        """(B, 3) m/s."""
        return self._read("vel", envs_idx)

    def get_ang(self, envs_idx: Environments = None) -> Tensor:
        """(B, 3) rad/s."""
        return self._read("ang", envs_idx)

    def get_wrench(self, envs_idx: Environments = None) -> Tensor:
        """(B, 6): force (N) and torque about the tool's position (N m) on the tool, averaged over the last step.

        Zero after a reset.

        Raises:
            GenesisRuntimeError: Not asked for at build.
        """
        if not self._values.has("tool", "wrench"):
            raise GenesisRuntimeError(
                'get_wrench must be asked for at build, got a scene without it. Call scene.build(outputs=("wrench",)).'
            )
        return self._read("wrench", envs_idx)

    def visible(self) -> tuple[Visible, ...]:
        """Its shape, or a ground that moves."""
        match self.morph:
            case morphs.Plane():
                return (Ground(self._plane, floor_tints(self.surface.rgb)),)
            case morphs.Mesh():
                middle, mesh = self.morph.surface.seen
                x, y, z = middle.tolist()
                look = Shape("mesh", (0.0, 0.0, 0.0), self.surface.rgb or TINT, pos=(x, y, z), mesh=mesh)
                return (Solids((look,), lambda: (self.get_pos()[:, None], self.get_quat()[:, None])),)
            case morphs.Sphere(radius=radius):
                kind, size = "sphere", (radius,)
            case morphs.Box(half_extent=half_extent):
                kind, size = "box", half_extent
            case morphs.Cylinder(radius=radius, height=height):
                kind, size = "cylinder", (radius, height / 2)
            case morphs.Capsule(radius=radius, height=height):
                kind, size = "capsule", (radius, height / 2)
            case _:
                return ()
        shape = Shape(kind, size, self.surface.rgb or TINT)
        return (Solids((shape,), lambda: (self.get_pos()[:, None], self.get_quat()[:, None])),)

    def followed(self, link: Any = None) -> Callable[[], torch.Tensor]:
        """To its position."""
        self._refuse_link(link)
        return lambda: self.get_pos()

    def _plane(self) -> tuple[torch.Tensor, torch.Tensor]:
        quat = self.get_quat().double()
        return quaternion.rotate(quat, quat.new_tensor([0.0, 0.0, 1.0])), self.get_pos()

    def _read(self, name: str, envs_idx: Environments) -> Tensor:
        return self._pick(self._values.read("tool", name)[:, self._column], envs_idx)

    def _write(self, name: str, rows: torch.Tensor, envs: torch.Tensor | None) -> None:
        self._values.write("tool", name, rows[:, None], envs, self._column, self._column + 1)
