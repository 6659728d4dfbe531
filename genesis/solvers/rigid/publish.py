"""What matter feels of articulated bodies: the poses of shapes on links and of grounds, and their adjoint.

A shape sits on its link at c, turned by r. With the link's pose (p, q), velocities v of its origin and w:

    position  x = p + R(q) c      quaternion  q r      velocity  u = v + w x R(q) c      angular velocity  w

Between two frames of its own a body goes on as it moved at the earlier one: after a time t the shape is at x + t u,
turned by exp(t w). Its velocities are those of the frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from genesis.compiler import layout
from genesis.contact.colliders import Collider
from genesis.contact.shapes import SHAPES, Shape
from genesis.loaders.model import RigidModel
from genesis.loaders.parts import GroundGeom
from genesis.math import quaternion

WORLD = -1
"""Link of what is fixed to the world: grounds."""


@dataclass(frozen=True)
class LinkCollider:
    """A shape on a link, or a ground (link `WORLD`, its pose in the world)."""

    collider: Collider
    link: int
    pos: tuple[float, float, float]
    quat: tuple[float, float, float, float]
    friction: int
    """Place of its friction coefficient among the numbers of a link, or of a ground."""


def link_colliders(
    model: RigidModel, grounds: Sequence[GroundGeom], softness: Sequence[float]
) -> tuple[list[LinkCollider], list[str]]:
    """Shapes that matter can feel, and the names of those that it cannot: hulls, ellipsoids, height fields.

    Args:
        softness: m, of every link and then of every ground.
    """
    found, unfelt = [], []
    for geom in model.geoms:
        if not (geom.group or geom.mask):
            continue  # it is only seen
        if geom.kind in SHAPES:
            collider = Collider(Shape(geom.kind, geom.size), softness[geom.link])
            found.append(LinkCollider(collider, geom.link, geom.pos, geom.quat, geom.link))
        else:
            unfelt.append(f"{geom.kind} {geom.name!r}")
    for g, ground in enumerate(grounds):
        if ground.kind == "plane":
            collider = Collider(Shape("plane", (0.0, 0.0, 0.0)), softness[model.n_links + g])
            turn = quaternion.from_z_axis(ground.normal)
            found.append(LinkCollider(collider, WORLD, ground.pos, turn, model.n_links + g))
        else:
            unfelt.append(f"{ground.kind} {ground.name!r}")
    return found, unfelt


class Publisher:
    """Poses of colliders from the state of links, in torch.

    Args:
        colliders: K of them.
        n_links: L. Frictions are those of links, then of grounds.
    """

    def __init__(self, colliders: Sequence[LinkCollider], n_links: int) -> None:
        lay = layout()
        opts = {"dtype": lay.dtype, "device": lay.device}
        self.n_links = n_links
        # The world is one more link, behind the others.
        links = [c.link if c.link != WORLD else n_links for c in colliders]
        self._link = torch.tensor(links, device=lay.device, dtype=torch.int64)
        self._friction = torch.tensor([c.friction for c in colliders], device=lay.device, dtype=torch.int64)
        self._pos = torch.as_tensor(np.array([c.pos for c in colliders]).reshape(-1, 3), **opts)
        self._quat = torch.as_tensor(np.array([c.quat for c in colliders]).reshape(-1, 4), **opts)

    def poses(self, links: Sequence[torch.Tensor], friction: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """(T, B, K, 4, 4) rows as in `genesis.contact.colliders`, at `times` (T,) s after the links' state.

        Args:
            links: pos (B, L, 3), quat (B, L, 4), vel (B, L, 3), ang (B, L, 3), as `RigidSolver.readout` gives them.
            friction: (B, L + G), of links and grounds.
        """
        pos, quat, vel, ang = (self._on_links(value, k == 1) for k, value in enumerate(links))
        arm = quaternion.rotate(quat, self._pos.expand(*pos.shape))
        speed = vel + torch.linalg.cross(ang, arm)
        turn = quaternion.multiply(quat, self._quat.expand_as(quat))
        t = times[:, None, None, None]
        place = pos + arm + t * speed
        turned = quaternion.multiply(quaternion.from_rotation_vector(t * ang), turn.expand(len(times), *turn.shape))
        mu = friction[:, self._friction, None]
        none = torch.zeros_like(mu)
        rows = (
            torch.cat([place, mu.expand(len(times), *mu.shape)], 3),
            turned,
            torch.cat([speed, none], 2).expand(len(times), *speed.shape[:2], 4),
            torch.cat([ang, none], 2).expand(len(times), *ang.shape[:2], 4),
        )
        return torch.stack(rows, 3)

    def poses_adjoint(
        self, links: Sequence[torch.Tensor], friction: torch.Tensor, times: torch.Tensor, cotangents: torch.Tensor
    ) -> list[torch.Tensor]:
        """Cotangents of `links` and `friction` from those of `poses`."""
        with torch.enable_grad():
            inputs = [value.detach().requires_grad_() for value in (*links, friction)]
            made = self.poses(inputs[:4], inputs[4], times)
            return list(torch.autograd.grad(made, inputs, cotangents))

    def _on_links(self, value: torch.Tensor, is_quaternion: bool) -> torch.Tensor:
        """(B, K, n): a link's value for each collider; of the world the identity or zero."""
        world = value.new_zeros(len(value), 1, value.shape[2])
        if is_quaternion:
            world[..., 0] = 1.0
        return torch.cat([value, world], 1)[:, self._link]
