"""The ground that rigid bodies stand on."""

from typing import Any

import torch

from genesis.engine.entities.base import Entity
from genesis.engine.inputs import Environments
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
    PLACED = ("_column", "_number")

    def __init__(self, idx: int, name: str, morph: Morph, material: Any, surface: Default, geom: GroundGeom) -> None:
        super().__init__(idx, name, morph, material, surface)
        self.geom = geom

    def _place(self, column: int, number: int) -> None:
        """`column` is its friction's place in the packed parameters, `number` that of its `Parameter`."""
        self._column, self._number = column, number

    def set_friction(self, friction: Any, envs_idx: Environments = None) -> None:
        """Set the Coulomb coefficient: a number >= 0, or a tensor () or (B,), which may require a gradient.

        The larger one of two surfaces that touch counts.
        """
        if friction is None:
            raise GenesisTypeError(f"{self.name}.friction must be a number or a tensor, got None. Give one.")
        self._set_parameters(MODEL, {self._number: friction}, self._chosen(envs_idx))

    def get_friction(self, envs_idx: Environments = None) -> Tensor:
        """(B,) Coulomb coefficient."""
        packed: torch.Tensor = self._values.read("rigid", "model")
        return self._pick(packed[:, self._column], envs_idx)

    def visible(self) -> tuple[Visible, ...]:
        """Itself."""
        geom = self.geom
        heights = geom.heights if geom.kind == "heightfield" else None
        tints = floor_tints(self.surface.rgb)
        return (Ground(fixed_ground(geom.normal, geom.pos), tints, heights, geom.spacing),)
