"""States as users see them: frozen, all tensors (n_envs, …) `gs.Tensor`s that remember the scene and its graph.

They share memory with the scene, which notices in-place edits and raises: change a `.clone()`.
"""

import weakref
from dataclasses import dataclass
from typing import Any

import torch

from genesis.errors import GenesisRuntimeError
from genesis.grad.tensor import Tensor


@dataclass(frozen=True, eq=False)
class MPMState:
    """All particles of the particle solver (N), or of one entity."""

    pos: Tensor
    """(B, N, 3) m, world frame."""
    vel: Tensor
    """(B, N, 3) m/s."""
    C: Tensor
    """(B, N, 3, 3) affine velocity, 1/s."""
    F: Tensor
    """(B, N, 3, 3) deformation gradient (of a liquid: its volume ratio on the diagonal)."""
    Jp: Tensor
    """(B, N) plastic volume ratio; ones, for no material here is plastic."""
    active: torch.Tensor
    """(B, N): bool in the solver's state, int32 in an entity's; all on."""
    memory: Tensor | None = None
    """(B, N, H) what materials keep beside F, each in its model's order; None where no material of the scene does."""


@dataclass(frozen=True, eq=False)
class ToolState:
    """All tools of the tool solver (axis T after B), or one entity (without T). World frame."""

    pos: Tensor
    """(B, T, 3) m."""
    quat: Tensor
    """(B, T, 4) wxyz."""
    vel: Tensor
    """(B, T, 3) m/s; held until set again."""
    ang: Tensor
    """(B, T, 3) rad/s; held until set again."""


@dataclass(frozen=True, eq=False)
class RigidState:
    """All articulated bodies of the rigid solver, in the order in which their entities were added."""

    qpos: Tensor
    """(B, Q) joint positions: m, rad, quaternions wxyz."""
    dofs_vel: Tensor
    """(B, D) joint velocities, m/s and rad/s."""
    dofs: Tensor
    """(B, D, 5) controls, held until set again: force (N, N m), target position, target velocity, and whether each of
    the two targets is followed (1) or not (0)."""
    wrench: Tensor
    """(B, L, 6) external force (N) and torque (N m) on each link at its centre of mass, world frame; held likewise."""


@dataclass(frozen=True, eq=False)
class RigidEntityState:
    """One articulated body. World frame."""

    pos: Tensor
    """(B, 3) of the root link, m."""
    quat: Tensor
    """(B, 4) of the root link, wxyz."""
    qpos: Tensor
    """(B, n_qs)."""
    dofs_vel: Tensor
    """(B, n_dofs), m/s and rad/s."""
    links_pos: Tensor
    """(B, n_links, 3) m."""
    links_quat: Tensor
    """(B, n_links, 4) wxyz."""


@dataclass(frozen=True, eq=False)
class Contacts:
    """How the ground touched an articulated body during the last step, per contact point (C). World frame."""

    force: Tensor
    """(B, C, 3) mean force on the body's link, N; zero where nothing touched."""
    position: Tensor
    """(B, C, 3) mean position, m."""
    impulse: Tensor
    """(B, C, 3) the force times the length of the step, N s."""
    link_idx: torch.Tensor
    """(C,) int64: the link of each point, an index among those of the entity."""
    geom_names: tuple[str, ...]
    """The shape that each point is on."""

    @property
    def touching(self) -> torch.Tensor:
        """(B, C) bool, plain, without a graph: which points touched the ground."""
        return self.force.detach().as_subclass(torch.Tensor).abs().sum(dim=2) > 0


@dataclass(frozen=True, eq=False)
class SceneState:
    """State of all solvers. Give it back to `scene.reset(state)` to go on from here, connected to its graph."""

    mpm: MPMState | None
    tool: ToolState | None
    rigid: RigidState | None
    t: int
    """Steps since the scene was built or reset."""
    _scene: "weakref.ref[Any]"

    @property
    def scene(self) -> Any:
        """The scene that this is a state of; None once it is gone."""
        return self._scene()

    @property
    def solvers_state(self) -> list[MPMState | ToolState | RigidState]:
        """States of the solvers that the scene has."""
        return [state for state in (self.tool, self.mpm, self.rigid) if state is not None]

    @property
    def pos(self) -> Tensor:
        """(B, N, 3) particle positions, m."""
        return self._particles("pos").pos

    @property
    def vel(self) -> Tensor:
        """(B, N, 3) particle velocities, m/s."""
        return self._particles("vel").vel

    @property
    def C(self) -> Tensor:
        """(B, N, 3, 3) particle affine velocities, 1/s."""
        return self._particles("C").C

    @property
    def F(self) -> Tensor:
        """(B, N, 3, 3) particle deformation gradients."""
        return self._particles("F").F

    @property
    def Jp(self) -> Tensor:
        """(B, N) particle plastic volume ratios."""
        return self._particles("Jp").Jp

    def _particles(self, name: str) -> MPMState:
        if self.mpm is None:
            raise GenesisRuntimeError(
                f"state.{name} must come from a scene with particles, got one without. Read state.tool or state.rigid."
            )
        return self.mpm
