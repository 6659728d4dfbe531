"""States as users see them: frozen, all tensors (n_envs, …) `gs.Tensor`s that remember the scene and its graph.

They share memory with the scene, which notices in-place edits and raises: change a `.clone()`.

States are values: `copy.copy` shares their tensors, `copy.deepcopy`, `pickle` and `torch.save` keep numbers without a
graph. What is loaded has plain tensors and no scene; `scene.reset(state)` takes a state of any scene built alike.
"""

import copy
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from genesis.errors import GenesisRuntimeError
from genesis.grad.tensor import Tensor, plain_of


class Saved:
    """A dataclass that is saved and copied as plain numbers. `torch.load` takes every subclass for safe."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        torch.serialization.add_safe_globals([cls])

    def __getstate__(self) -> dict[str, Any]:
        return {name: _saved(value) for name, value in vars(self).items()}

    def __copy__(self) -> Any:
        return replace(self)  # type: ignore[type-var]

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return replace(self, **{name: _copied(value, memo) for name, value in vars(self).items()})  # type: ignore[type-var]


def _saved(value: Any) -> Any:
    """Tensors plain and alone in their memory, without a graph; no scene."""
    if isinstance(value, torch.Tensor):
        return plain_of(value.detach()).clone()
    return None if isinstance(value, weakref.ref) else value


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    """Tensors without a graph that remember their scene."""
    if isinstance(value, Tensor):
        return value.detach(sceneless=False).clone()
    return value.detach().clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value, memo)


@dataclass(frozen=True, eq=False)
class MPMState(Saved):
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
    """(B, N) by how much plastic flow has changed the volume, a ratio; 1 of materials that do not flow or keep their
    volume, NaN of those that do not remember it (ElastoPlastic with bounded stretches)."""
    active: torch.Tensor
    """(B, N): bool in the solver's state, int32 in an entity's; follows from `hold`."""
    memory: Tensor | None = None
    """(B, N, H) what materials keep beside F, each in its model's order; None where no material of the scene does."""
    actu: Tensor | None = None
    """(B, N) activation, -1 … 1, held until set again; 0 of what is no muscle, None where nothing in the scene is."""
    hold: Tensor | None = None
    """(B, N, 4) target (m) if attached, and 0 (free) or 1 (attached), less 2 of an inactive one; None counts as 0."""


@dataclass(frozen=True, eq=False)
class ToolState(Saved):
    """All tools of the tool solver (axis T after B), or one entity (without T). World frame."""

    pos: Tensor
    """(B, T, 3) m."""
    quat: Tensor
    """(B, T, 4) wxyz."""
    vel: Tensor
    """(B, T, 3) m/s; held until set again."""
    ang: Tensor
    """(B, T, 3) rad/s; held until set again."""
    pos_low: Tensor | None = None
    """(B, T, 3) m: what float32 rounds away of `pos`, so that the sum goes on. None, or of another `pos`: zero."""


@dataclass(frozen=True, eq=False)
class RigidState(Saved):
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
    qpos_low: Tensor | None = None
    """(B, Q) what float32 rounds away of `qpos`, so that the sum goes on. None, or of another `qpos`: zero."""
    activation: Tensor | None = None
    """(B, n) of the actuators that have one, in their order; None where none of the scene has."""
    ctrl: Tensor | None = None
    """(B, A) controls, held likewise, of the actuators that `dofs` does not describe, see `control_actuators`; None
    where the scene has none."""
    free_change: Tensor | None = None
    """(B, L, 6) how the velocity of each link's centre of mass (m/s) and its angular velocity (rad/s, world frame)
    changed in the last substep by all but particles, zero of bodies that are placed anew; None where no link yields to
    particles within a substep."""
    mocap: Tensor | None = None
    """(B, M, 7) position (m) and quaternion (wxyz) of the mocap bodies, held likewise; None where there are none."""


@dataclass(frozen=True, eq=False)
class RigidEntityState(Saved):
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
class Contacts(Saved):
    """How an articulated body was touched during the last step, per contact point or geom (C). World frame."""

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
        """(B, C) bool, plain, without a graph: which of them touched something."""
        return self.force.detach().as_subclass(torch.Tensor).abs().sum(dim=2) > 0


@dataclass(frozen=True, eq=False)
class LastEvaluation(Saved):
    """One articulated body in the last evaluation of the last step: what MuJoCo's quantities that follow from the state
    are of after a step. With Euler that is the start of the last substep, with RK4 its fourth stage. World frame."""

    qpos: Tensor
    """(B, Q)."""
    dofs_vel: Tensor
    """(B, D), m/s and rad/s."""
    contacts: Tensor
    """(B, G, 6) per geom force of all contacts on it (N), and its torque about the frame of the geom's link (N m)."""
    joints: Tensor
    """(B, L, 6) force (N), and torque about the link's frame (N m), that its parent exerts on it by the joints."""


@dataclass(frozen=True, eq=False)
class SceneState(Saved, Mapping[str, Any]):
    """State of all solvers by name: `state["mpm"]`, or `state.mpm`, which is None where there are no particles.

    Give it to `scene.reset(state)`, of this scene or one built alike, to go on from here, connected to its graph.
    `pos`, `vel`, `C`, `F` and `Jp` are those of the particles.
    """

    parts: dict[str, Any]
    """The states of the solvers that the scene has, in the order of the kinds."""
    t: int
    """Steps since the scene was built or reset."""
    _kinds: dict[str, tuple[str, ...]]
    """Every kind, and the fields of its state that are read from here."""
    _scene: "weakref.ref[Any] | None"

    @property
    def scene(self) -> Any:
        """The scene that this is a state of; None once it is gone, and of what was loaded."""
        return None if self._scene is None else self._scene()

    @property
    def solvers_state(self) -> list[Any]:
        """States of the solvers that the scene has."""
        return list(self.parts.values())

    def having(self, name: str, part: Any) -> "SceneState":
        """The same, with another state of one solver."""
        return replace(self, parts={**self.parts, name: part})

    def __getitem__(self, name: str) -> Any:
        return self.parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __getattr__(self, name: str) -> Any:
        """Called for what is no field: the state of a kind, or a field of it."""
        kinds = self.__dict__.get("_kinds", {})
        if name in kinds:
            return self.parts.get(name)
        for kind, fields in kinds.items():
            if name in fields:
                if kind not in self.parts:
                    raise GenesisRuntimeError(
                        f"state.{name} must come from a scene with state.{kind}, got one with "
                        f"{', '.join(f'state.{part}' for part in self.parts)} alone. Read these."
                    )
                return getattr(self.parts[kind], name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
