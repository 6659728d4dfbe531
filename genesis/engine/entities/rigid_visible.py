"""What can be seen of a robot: the shapes of its links, with colours that tell the links apart."""

from collections.abc import Callable
from typing import Any

import torch

from genesis.engine.entities.rigid_sensors import RigidSensors
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
        """What its links look like: the visuals of its model, and of links without any, or of all with
        `vis_mode="collision"`, what touches."""
        visuals = () if self.surface.vis_mode == "collision" else self.model.visuals
        apart = {seen.link for seen in visuals}
        world = self.model.n_links  # a frame that does not move, behind those of links
        shapes = [
            Shape(
                seen.kind, seen.size, self.surface.rgb or seen.tint or self._tint(seen.link, seen.kind), seen.name,
                seen.link if seen.link >= 0 else world, seen.pos, seen.quat, mesh=seen.mesh,
            )
            for seen in visuals
        ]  # fmt: skip
        shapes += [
            Shape(geom.kind, geom.size, self._tint(geom.link, geom.kind), geom.name, geom.link, geom.pos, geom.quat,
                  geom.vertices)
            for geom in self.model.geoms
            if geom.link not in apart
        ]  # fmt: skip
        names = (*self.model.link_names, "world") if -1 in apart else self.model.link_names
        return (Solids(tuple(shapes), self._with_world if -1 in apart else self._frames, names),)

    def _frames(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.get_links_pos(), self.get_links_quat()

    def _with_world(self) -> tuple[torch.Tensor, torch.Tensor]:
        pos, quat = self._frames()
        still = pos.new_zeros(len(pos), 1, 3), quat.new_tensor([1.0, 0.0, 0.0, 0.0]).expand(len(quat), 1, 4)
        return torch.cat([pos, still[0]], 1), torch.cat([quat, still[1]], 1)

    def followed(self, link: Any = None) -> Callable[[], torch.Tensor]:
        """To the place (B, 3) of a link, its name or index; None: of its base."""
        place = self.base_link.idx_local if link is None else self._link(link)
        return lambda: self.get_links_pos()[:, place]

    def _tint(self, link: int, kind: str) -> Rgb:
        """Of a shape on a link. Shapes of the base that are of another kind than the first one look like limbs."""
        if self.surface.rgb is not None:
            return self.surface.rgb
        parent, depth, side, at = self.model.parent.tolist(), 0, 0, link
        root = self.base_link.idx_local
        while at >= 0 and at != root:
            siblings = [i for i, other in enumerate(parent) if other == parent[at] and i != root]
            at, depth, side = parent[at], depth + 1, side + siblings.index(at)
        if depth:
            return LONE_LIMB if len(parent) == 2 else LIMBS[side % 2][(depth - 1) % 2]
        kinds = list(dict.fromkeys(geom.kind for geom in self.model.geoms if geom.link == link))
        place = kinds.index(kind) if kind in kinds else 0
        return BASE if place == 0 else LIMBS[0][(place - 1) % 2]
