"""The ground that rigid bodies stand on."""

from collections.abc import Mapping
from typing import Any

import torch

from genesis.engine.entities.base import Entity
from genesis.engine.inputs import Environments
from genesis.engine.parameters import place_of
from genesis.errors import GenesisTypeError
from genesis.grad.tensor import Tensor
from genesis.loaders.model import GroundGeom
from genesis.morphs import Morph
from genesis.surfaces import Default
from genesis.visible import Ground, Visible, fixed_ground, floor_tints

MODEL = ("rigid", "model")


def must_have_coup_friction(entity: Entity) -> None:
    """Raise unless the material of a rigid body or a ground says how particles slide."""
    if entity.material.coup_friction is None:
        raise GenesisTypeError(
            f"the material of {entity.name!r} must have a coup_friction to set it, got None: particles slide with its "
            "friction. Make it of materials.Rigid(coup_friction=...), or call set_friction."
        )


class GroundEntity(Entity):
    """A plane or a height field, fixed to the world. It has no state."""

    kind = "ground"
    PLACED = ("_parameters",)

    def __init__(self, idx: int, name: str, morph: Morph, material: Any, surface: Default, geom: GroundGeom) -> None:
        super().__init__(idx, name, morph, material, surface)
        self.geom = geom

    def _place(self, parameters: Mapping[str, tuple[int, int]]) -> None:
        """Of each of its parameters, by name: its place when packed, and that of its `Parameter`."""
        self._parameters = dict(parameters)

    def set_friction(self, friction: Any, envs_idx: Environments = None) -> None:
        """Set the Coulomb coefficient: a number >= 0, or a tensor () or (B,), which may require a gradient.

        The larger one of two surfaces that touch counts.
        """
        self._set("friction", friction, envs_idx)

    def set_coup_friction(self, friction: Any, envs_idx: Environments = None) -> None:
        """Set the Coulomb coefficient against particles, likewise.

        Raises:
            GenesisTypeError: The material has no `coup_friction`: particles slide with the friction.
        """
        must_have_coup_friction(self)
        self._set("coup_friction", friction, envs_idx)

    def get_friction(self, envs_idx: Environments = None) -> Tensor:
        """(B,) Coulomb coefficient."""
        return self._get("friction", envs_idx)

    def get_coup_friction(self, envs_idx: Environments = None) -> Tensor:
        """(B,) Coulomb coefficient against particles."""
        return self._get("friction" if self.material.coup_friction is None else "coup_friction", envs_idx)

    # With `MujocoContact`.

    def set_solref(self, solref: Any, envs_idx: Environments = None) -> None:
        """Set (time constant s, damping ratio) of its contact, or (-stiffness, -damping): (2,) or (B, 2).

        Differentiable. `MujocoContact` only, as with all that follow. Two surfaces that touch have the mean of theirs,
        unless their file gives them priorities or other weights.
        """
        self._set("solref", solref, envs_idx)

    def set_solimp(self, solimp: Any, envs_idx: Environments = None) -> None:
        """Set (d_min, d_max, width m, midpoint, power) of its contact: (5,) or (B, 5); differentiable."""
        self._set("solimp", solimp, envs_idx)

    def set_rotational_friction(self, friction: Any, envs_idx: Environments = None) -> None:
        """Set (torsional, rolling) friction, m: (2,) or (B, 2); differentiable. Acts with condim 4 and 6."""
        self._set("rotational_friction", friction, envs_idx)

    # Within.

    def _set(self, name: str, value: Any, envs_idx: Environments) -> None:
        _, number = place_of(self._parameters, name, self.name)
        self._set_parameters(MODEL, {number: value}, self._chosen(envs_idx))

    def _get(self, name: str, envs_idx: Environments) -> Tensor:
        packed: torch.Tensor = self._values.read("rigid", "model")
        return self._pick(packed[:, self._parameters[name][0]], envs_idx)

    def visible(self) -> tuple[Visible, ...]:
        """Itself."""
        geom = self.geom
        heights = geom.heights if geom.kind == "heightfield" else None
        tints = floor_tints(self.surface.rgb)
        return (Ground(fixed_ground(geom.normal, geom.pos), tints, heights, geom.spacing),)
