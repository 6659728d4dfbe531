"""What can be seen of a robot: the shapes of its links, with colours that tell the links apart."""

from collections.abc import Callable
from typing import Any

import torch

from genesis.engine.entities.rigid_sensors import RigidSensors
from genesis.loaders.parts import Geom
from genesis.morphs import Mesh
from genesis.visible import Rgb, Shape, Solids, Visible

BASE: Rgb = (0.93, 0.46, 0.18)
"""The base link of a robot."""
LIMBS: tuple[tuple[Rgb, Rgb], tuple[Rgb, Rgb]] = (
    ((0.90, 0.89, 0.86), (0.30, 0.34, 0.40)),
    ((0.62, 0.70, 0.76), (0.16, 0.27, 0.38)),
)
"""Its other links: every other limb has the second pair, and along a limb the two colours alternate."""
LONE_LIMB: Rgb = LIMBS[1][1]
"""The only link beside the base: dark, because one thin light limb is lost before floor and sky."""


class RigidVisible(RigidSensors):
    """Abstract: the part of a rigid entity that cameras ask."""

    def visible(self) -> tuple[Visible, ...]:
        """The shapes of its links."""
        if isinstance(self.morph, Mesh):
            own, tint = self.morph.surface, self._tint(self.model.geoms[0])
            mesh = Shape("hull", (0.0, 0.0, 0.0), tint, "mesh", vertices=own.vertices, triangles=own.faces)
            return (Solids((mesh,), lambda: (self.get_links_pos(), self.get_links_quat()), self.model.link_names),)
        shapes = tuple(
            Shape(geom.kind, geom.size, self._tint(geom), geom.name, geom.link, geom.pos, geom.quat, geom.vertices)
            for geom in self.model.geoms
        )
        return (Solids(shapes, lambda: (self.get_links_pos(), self.get_links_quat()), self.model.link_names),)

    def followed(self, link: Any = None) -> Callable[[], torch.Tensor]:
        """To the place (B, 3) of a link, its name or index; None: of its base."""
        place = self.base_link.idx_local if link is None else self._link(link)
        return lambda: self.get_links_pos()[:, place]

    def _tint(self, geom: Geom) -> Rgb:
        """Of a shape. Shapes of the base that are of another kind than the first one look like limbs."""
        if self.surface.rgb is not None:
            return self.surface.rgb
        parent, depth, side, link = self.model.parent.tolist(), 0, 0, geom.link
        root = self.base_link.idx_local
        while link >= 0 and link != root:
            siblings = [i for i, other in enumerate(parent) if other == parent[link] and i != root]
            link, depth, side = parent[link], depth + 1, side + siblings.index(link)
        if depth:
            return LONE_LIMB if len(parent) == 2 else LIMBS[side % 2][(depth - 1) % 2]
        kinds = list(dict.fromkeys(other.kind for other in self.model.geoms if other.link == geom.link))
        place = kinds.index(geom.kind)
        return BASE if place == 0 else LIMBS[0][(place - 1) % 2]
