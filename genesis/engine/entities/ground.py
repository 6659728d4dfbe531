"""The ground that rigid bodies stand on."""

from collections.abc import Mapping
from typing import Any

import torch

from genesis.engine.entities.base import Entity
from genesis.engine.inputs import Environments, numeric
from genesis.engine.parameters import check_solimp_rows, place_of
from genesis.errors import GenesisTypeError
from genesis.grad.tensor import Tensor
from genesis.loaders.model import GroundGeom
from genesis.morphs import Morph
from genesis.surfaces import Default
from genesis.visible import Ground, Visible, fixed_ground, floor_tints

MODEL = ("rigid", "model")


class GroundEntity(Entity):
    """A plane or a height field, fixed to the world. It has no state."""

    kind = "ground"
    PLACED = ("_firsts", "_numbers")

    def __init__(self, idx: int, name: str, morph: Morph, material: Any, surface: Default, geom: GroundGeom) -> None:
        super().__init__(idx, name, morph, material, surface)
        self.geom = geom

    def _place(self, firsts: Mapping[str, int], numbers: Mapping[str, int]) -> None:
        """By name of a parameter, where it begins in the packed ones, and the index of its `Parameter`."""
        self._firsts, self._numbers = firsts, numbers

    def set_friction(self, friction: Any, envs_idx: Environments = None) -> None:
        """Set the Coulomb coefficient: a number >= 0, or a tensor () or (B,), which may require a gradient.

        The larger one of two surfaces that touch counts.
        """
        self._set("friction", friction, envs_idx)

    def get_friction(self, envs_idx: Environments = None) -> Tensor:
        """(B,) Coulomb coefficient."""
        packed: torch.Tensor = self._values.read("rigid", "model")
        return self._pick(packed[:, self._firsts["friction"]], envs_idx)

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

    def _set(self, parameter_name: str, value: Any, envs_idx: Environments) -> None:
        number = place_of(self._numbers, parameter_name, self.name)
        if value is None:
            raise GenesisTypeError(f"{self.name}.{parameter_name} must be a number or a tensor, got None. Give one.")
        if parameter_name == "solimp":
            check_solimp_rows(f"{self.name}.solimp", numeric(parameter_name, value, self._values.scene))
        self._set_parameters(MODEL, {number: value}, self._chosen(envs_idx))

    def visible(self) -> tuple[Visible, ...]:
        """Itself."""
        geom = self.geom
        heights = geom.heights if geom.kind == "heightfield" else None
        tints = floor_tints(self.surface.rgb)
        return (Ground(fixed_ground(geom.normal, geom.pos), tints, heights, geom.spacing),)
