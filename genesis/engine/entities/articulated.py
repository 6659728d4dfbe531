"""What the parts of a rigid entity share: its sizes, links and joints, and its part of the solver's values."""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch

from genesis.engine.entities.base import Entity
from genesis.engine.entities.coordinates import Coordinates
from genesis.engine.entities.fixed_frame import FixedFrame
from genesis.engine.inputs import Array, Environments, indices, is_run, real, rows
from genesis.errors import GenesisKeyError, GenesisTypeError, GenesisValueError
from genesis.grad.tensor import Tensor, plain_of
from genesis.loaders.model import FREE, JOINT_SIZES, Actuator, Geom, RigidModel
from genesis.morphs import Morph
from genesis.surfaces import Default

Units = Sequence[int] | torch.Tensor | int | slice | None
"""Indices of links, geoms or degrees of freedom of one entity; None for all."""


@dataclass(frozen=True)
class RigidJoint:
    """A joint of an entity. Indices count within the entity."""

    name: str
    kind: str
    """"free", "ball", "hinge" or "slide"."""
    idx_local: int
    link_idx_local: int
    """The link that it moves."""
    dofs_idx_local: tuple[int, ...]
    """Its degrees of freedom."""
    qs_idx_local: tuple[int, ...]
    """Its numbers in qpos."""
    limits: tuple[tuple[float, float], ...]
    """Range of each degree of freedom, m or rad; infinite where there is none."""
    _entity: "weakref.ref[Any]" = field(repr=False)

    @property
    def entity(self) -> Any:
        """Whose it is."""
        return self._entity()

    @property
    def dof_start(self) -> int:
        """Its first degree of freedom among those of all entities, once the scene is built; setters and getters of an
        entity take `dofs_idx_local`."""
        return self.entity._offsets.dof + self.dofs_idx_local[0]

    @property
    def q_start(self) -> int:
        """Its first number of qpos among those of all entities, once the scene is built."""
        return self.entity._offsets.q + self.qs_idx_local[0]


@dataclass(frozen=True)
class RigidLink:
    """A link of an entity. Indices count within the entity."""

    name: str
    idx_local: int
    parent_idx_local: int
    """-1: the world."""
    joints: tuple[RigidJoint, ...]
    """Those that move it against its parent."""
    _entity: "weakref.ref[Any]" = field(repr=False)

    @property
    def entity(self) -> Any:
        """Whose it is."""
        return self._entity()

    def get_pos(self, envs_idx: Environments = None) -> Tensor:
        """(B, 3) of its frame, m."""
        return self._row(self.entity.get_links_pos(self.idx_local, envs_idx))

    def get_quat(self, envs_idx: Environments = None) -> Tensor:
        """(B, 4) from its frame to the world's, wxyz."""
        return self._row(self.entity.get_links_quat(self.idx_local, envs_idx))

    def get_vel(self, envs_idx: Environments = None) -> Tensor:
        """(B, 3) of the origin of its frame, m/s."""
        return self._row(self.entity.get_links_vel(self.idx_local, envs_idx))

    def get_ang(self, envs_idx: Environments = None) -> Tensor:
        """(B, 3) angular velocity in the world frame, rad/s."""
        return self._row(self.entity.get_links_ang(self.idx_local, envs_idx))

    def get_mass(self, envs_idx: Environments = None) -> Tensor:
        """(B,) kg."""
        return self._row(self.entity.get_links_mass(self.idx_local, envs_idx))

    def set_mass(self, mass: Any, envs_idx: Environments = None) -> None:
        """Set its mass, kg: a number, or a tensor () or (B,)."""
        if isinstance(mass, torch.Tensor) and mass.dim() == 1:
            mass = mass[:, None]
        self.entity.set_mass(mass, self.idx_local, envs_idx)

    @staticmethod
    def _row(values: Tensor) -> Tensor:
        return cast(Tensor, values[:, 0])


@dataclass(frozen=True)
class ActuatorOffsets:
    """Where the numbers of an entity's actuators with a law of their own are in those of the solver."""

    ctrl: int
    activation: int
    substep_dt: float
    """s."""


@dataclass(frozen=True)
class EntityOffsets:
    """Where an entity's numbers are in those of the solver."""

    q: int
    dof: int
    link: int
    dt: float
    """Length of a step, s."""
    first_parameter: dict[str, int]
    """Name of a parameter -> first of the entity's numbers in the packed parameters."""
    numbers: dict[str, int]
    """The same -> index of its `Parameter`."""
    points: tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]
    """Contact points: index among the solver's, link within the entity, name of the shape."""
    actuators: ActuatorOffsets | None
    """None with a contact model that has drives of single degrees of freedom alone."""
    mocap: int | None
    """First of its mocap bodies; None with a contact model in which they are fixed to the world."""


class ArticulatedBody(Entity):
    """Abstract: a body of the rigid solver. World frame. L links, Q numbers of q, D degrees of freedom."""

    kind = "rigid"
    PLACED = ("_offsets",)
    _offsets: EntityOffsets

    def __init__(self, idx: int, name: str, morph: Morph, material: Any, surface: Default, model: RigidModel) -> None:
        super().__init__(idx, name, morph, material, surface)
        self.model = model
        """Everything that is known of it at build time; its pose is that of the morph."""
        self._coordinates = Coordinates(model)
        self._free = next((joint for joint in model.joints if joint.kind == FREE), None)
        self._root = 0 if self._free is None else self._free.link
        self.joints = tuple(
            RigidJoint(
                joint.name,
                joint.kind,
                i,
                joint.link,
                tuple(dofs := range(joint.dof, joint.dof + JOINT_SIZES[joint.kind][1])),
                tuple(range(joint.q, joint.q + JOINT_SIZES[joint.kind][0])),
                tuple((float(model.limit_low[dof]), float(model.limit_high[dof])) for dof in dofs),
                weakref.ref(self),
            )
            for i, joint in enumerate(model.joints)
        )
        self.links = tuple(
            RigidLink(
                link,
                i,
                int(model.parent[i]),
                tuple(joint for joint in self.joints if joint.link_idx_local == i),
                weakref.ref(self),
            )
            for i, link in enumerate(model.link_names)
        )

    def _place(self, offsets: EntityOffsets) -> None:
        self._offsets = offsets

    # What it is.

    @property
    def repairs(self) -> tuple[str, ...]:
        """What was mended to load its file, as "kind: what was done"; see `repair` of `gs.morphs.URDF` and `MJCF`."""
        return self.model.repairs

    @property
    def n_links(self) -> int:
        """L."""
        return self.model.n_links

    @property
    def n_joints(self) -> int:
        return len(self.joints)

    @property
    def n_geoms(self) -> int:
        """G."""
        return len(self.model.geoms)

    @property
    def geoms(self) -> tuple[Geom, ...]:
        """Shapes that touch, with their links."""
        return self.model.geoms

    @property
    def n_qs(self) -> int:
        """Q."""
        return self.model.n_qs

    @property
    def n_dofs(self) -> int:
        """D."""
        return self.model.n_dofs

    @property
    def actuators(self) -> tuple[Actuator, ...]:
        """Motors and servos of the robot's file that are on single degrees of freedom, with their gears and ranges.

        `control_dofs_…` drives them; `control_actuators` all that `actuator_names` lists.
        """
        return self.model.actuators

    @property
    def base_link(self) -> RigidLink:
        """The link of the first free joint, else the first link: whose pose is that of the entity."""
        return self.links[self._root]

    def get_link(self, name: str) -> RigidLink | FixedFrame:
        """The link of that name; of a body of the file that no joint moves, or a site, its frame on a link.

        Raises:
            GenesisKeyError: There is none.
        """
        for link in self.links:
            if isinstance(name, str) and link.name == name:
                return link
        at = self.model.aliases.get(name) if isinstance(name, str) else None
        if at is not None:
            return FixedFrame(name, None if at[0] < 0 else self.links[at[0]], at[1], at[2], weakref.ref(self))
        raise GenesisKeyError(
            f"link must be one of {', '.join(link.name for link in self.links)}, got {name!r}. Choose one of these."
        )

    def get_joint(self, name: str) -> RigidJoint:
        """The joint of that name.

        Raises:
            GenesisKeyError: There is none.
        """
        for joint in self.joints:
            if isinstance(name, str) and joint.name == name:
                return joint
        raise GenesisKeyError(
            f"joint must be one of {', '.join(joint.name for joint in self.joints)}, got {name!r}. Choose one of these."
        )

    @property
    def dof_start(self) -> int:
        """Its first degree of freedom among those of all entities, once the scene is built."""
        return self._offsets.dof

    @property
    def q_start(self) -> int:
        """Its first number of qpos among those of all entities, once the scene is built."""
        return self._offsets.q

    @property
    def link_start(self) -> int:
        """Its first link among those of all entities, once the scene is built."""
        return self._offsets.link

    # Within: indices, and this entity's part of the solver's values.

    def _links_idx(self, chosen: Units) -> Sequence[int]:
        return indices(f"{self.name}.links_idx_local", chosen, self.n_links, "links")

    def _geoms_idx(self, chosen: Units) -> Sequence[int]:
        return indices(f"{self.name}.geoms_idx_local", chosen, self.n_geoms, "geoms")

    def _dofs_idx(self, chosen: Units) -> Sequence[int]:
        return indices(f"{self.name}.dofs_idx_local", chosen, self.n_dofs, "degrees of freedom")

    def _link(self, link: RigidLink | FixedFrame | str | int) -> int:
        link = self.get_link(link) if isinstance(link, str) else link
        if isinstance(link, FixedFrame):
            owner = "the world" if link.link is None else f"link {link.link.name!r}"
            raise GenesisKeyError(
                f"link must be one that joints move, got {link.name!r}, which is fixed to {owner} at {link.pos} m. "
                "Take that link."
            )
        if isinstance(link, RigidLink):
            if link not in self.links:
                raise GenesisValueError(f"link must be of {self.name!r}, got {link.name!r} of another. Pass its name.")
            return link.idx_local
        if isinstance(link, int | np.integer) and not isinstance(link, bool):
            return self._links_idx(link)[0]
        raise GenesisTypeError(f"link must be a link, its name or its index, got {type(link).__name__}. Pass one.")

    def _unit_rows(
        self, what: str, value: Array, n: int, envs: torch.Tensor | None, item: tuple[int, ...] = ()
    ) -> torch.Tensor:
        """A checked value (K, n, *item), from one item for all units, (n, *item) or (K, n, *item)."""
        what = f"{self.name}.{what}"
        tensor = real(what, value, self._values.scene)
        if tuple(tensor.shape) == item:
            tensor = tensor.expand(n, *item)
        return rows(what, tensor, ((n, *item),), envs, self._values.n_envs)

    def _read(self, name: str, begin: int, n: int) -> Tensor:
        """This entity's columns of a value of the solver."""
        value = self._values.read("rigid", name)
        return value if self._values.width("rigid", name) == n else cast(Tensor, value[:, begin : begin + n])

    def _pick(self, value: torch.Tensor, envs_idx: Environments) -> Tensor:
        """A copy where there are no gradients: scripts of the public engine write into what getters return."""
        picked = super()._pick(value, envs_idx)
        if envs_idx is None and not self._values.requires_grad:
            return self._values.own(plain_of(picked).clone())
        return picked

    def _columns(self, value: torch.Tensor, chosen: Sequence[int], envs_idx: Environments) -> Tensor:
        """Some of the units on axis 1, for some environments."""
        if len(chosen) != value.shape[1] or not is_run(chosen):
            value = value[:, chosen[0] : chosen[-1] + 1] if is_run(chosen) else value[:, list(chosen)]
        return self._pick(value, envs_idx)

    def _write_units(
        self, name: str, rows: torch.Tensor, chosen: Sequence[int], begin: int, n: int, envs: torch.Tensor | None
    ) -> None:
        """Overwrite some of this entity's n units, which begin at `begin` in the solver, by rows (K, n chosen, …)."""
        if is_run(chosen):
            first = begin + chosen[0]
            self._values.write("rigid", name, rows, envs, first, first + len(chosen))
        elif chosen:
            old = plain_of(self._values.read("rigid", name))[:, begin : begin + n]
            old = old if envs is None else old.index_select(0, envs)
            at = torch.tensor(list(chosen), device=old.device)
            self._values.write("rigid", name, old.index_copy(1, at, rows), envs, begin, begin + n)
