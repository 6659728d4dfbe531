"""What matter feels of articulated bodies: the poses of shapes on links and of grounds, and their adjoint.

A shape sits on its link at c, turned by r. With the link's pose (p, q), velocities v of its origin and w:

    position  x = p + R(q) c      quaternion  q r      velocity  u = v + w x R(q) c      angular velocity  w

Between two frames of its own a body goes on as it moved at the earlier one: after a time t the shape is at x + t u,
turned by exp(t w). Its velocities are those of the frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from genesis.compiler import layout
from genesis.contact.colliders import Collider, Exchange, mesh_collider
from genesis.contact.shapes import SHAPES, Shape
from genesis.loaders.model import RigidModel
from genesis.loaders.parts import Geom, GroundGeom
from genesis.math import quaternion
from genesis.meshes.closed import ellipsoid, ground_under
from genesis.meshes.hull import triangles
from genesis.meshes.surface import Surface

MESH_CELLS, HULL_CELLS = 64, 32
"""Cells of grids of distances along the longest edge: of whole meshes, and of the hulls of robots' files, which are
many and have no hollows, and ellipsoids."""
FIELD_CELLS = 128
"""The most along height fields; two between neighbouring heights where these are few."""
WORLD = -1
"""Link of what is fixed to the world: grounds."""


@dataclass(frozen=True)
class LinkCollider:
    """A shape on a link, or a ground (link `WORLD`, its pose in the world)."""

    collider: Collider
    link: int
    pos: tuple[float, float, float]
    quat: tuple[float, float, float, float]
    friction: tuple[str, int]
    """Of its friction coefficient the parameter, and the place in that."""


def link_colliders(
    model: RigidModel, grounds: Sequence[GroundGeom], softness: Sequence[float], own: Sequence[bool] = ()
) -> list[LinkCollider]:
    """Shapes that matter feels: of ellipsoids, meshes and height fields by grids of distances.

    Args:
        softness: m, of every link and then of every ground.
        own: Which of these have a friction of their own against matter; default none.
    """
    own = own or [False] * len(softness)
    found = []
    for i, geom in enumerate(model.geoms):
        if not (geom.group or geom.mask):
            continue  # it is only seen
        if geom.surface is not None and not len(geom.surface.faces):
            continue  # a further hull of a mesh that is felt as it is
        friction = "coup_friction" if own[geom.link] else "friction", i
        collider = _of_geom(geom, softness[geom.link])
        found.append(LinkCollider(collider, geom.link, geom.pos, geom.quat, friction))
    for g, ground in enumerate(grounds):
        if not (ground.group or ground.mask):
            continue  # it is for explicit pairs
        friction = "ground_coup_friction" if own[model.n_links + g] else "ground_friction", g
        collider = _of_ground(ground, softness[model.n_links + g])
        turn = quaternion.from_z_axis(ground.normal)
        found.append(LinkCollider(collider, WORLD, ground.pos, turn, friction))
    return found


def _of_geom(geom: Geom, softness: float) -> Collider:
    if geom.kind in SHAPES:
        return Collider(Shape(geom.kind, geom.size), softness)
    if geom.kind == "ellipsoid":
        return mesh_collider(geom.name, ellipsoid(geom.size), HULL_CELLS, softness)
    whole = geom.surface or Surface(*triangles(geom.vertices))
    return mesh_collider(geom.name, whole, MESH_CELLS if geom.surface else HULL_CELLS, softness)


def _of_ground(ground: GroundGeom, softness: float) -> Collider:
    if ground.kind == "plane":
        return Collider(Shape("plane", (0.0, 0.0, 0.0)), softness)
    cells = max(MESH_CELLS // 4, min(2 * (max(ground.heights.shape) - 1), FIELD_CELLS))
    return mesh_collider(ground.name, ground_under(ground.heights, ground.spacing), cells, softness)


class Publisher:
    """Poses of colliders from the state of links, in torch.

    Args:
        colliders: K of them.
        parameter_layout: Of the solver; the frictions of geoms and of grounds are among its numbers.
        first: Index of the first of them among the scene's colliders.
        every: Substeps of the scene in one of the solver's.
        substep_dt: Of the scene, s.
    """

    def __init__(
        self,
        colliders: Sequence[LinkCollider],
        parameter_layout: Mapping[str, tuple[int, tuple[int, ...]]],
        first: int,
        every: int,
        substep_dt: float,
    ) -> None:
        lay = layout()
        opts = {"dtype": lay.dtype, "device": lay.device}
        n_links = parameter_layout["mass"][1][0]
        columns = [parameter_layout[name][0] + index for name, index in (c.friction for c in colliders)]
        self._columns = torch.tensor(columns, device=lay.device, dtype=torch.int64)
        self._first, self._every = first, every
        self._times = substep_dt * torch.arange(every, **opts)
        # The world is one more link, behind the others.
        links = [c.link if c.link != WORLD else n_links for c in colliders]
        self._link = torch.tensor(links, device=lay.device, dtype=torch.int64)
        self._pos = torch.as_tensor(np.array([c.pos for c in colliders]).reshape(-1, 3), **opts)
        self._quat = torch.as_tensor(np.array([c.quat for c in colliders]).reshape(-1, 4), **opts)

    def frames(self, begin: int, end: int) -> list[int]:
        """The solver's frames at which the scene's substeps `begin` … `end` - 1 have it say where it is."""
        return [s // self._every for s in range(begin, end) if s % self._every == 0]

    def write(self, exchange: Exchange, frame: int, links: Sequence[torch.Tensor], model: torch.Tensor) -> None:
        """Poses at a frame and at the scene's substeps until the next; `model` (B, P) are the solver's parameters."""
        self._own(exchange, "poses", frame, len(model)).copy_(self.poses(links, model[:, self._columns]))

    def adjoint(
        self, exchange: Exchange, frame: int, links: Sequence[torch.Tensor], model: torch.Tensor, healthy: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Cotangents of `links` and `model`, zero in environments that are not `healthy` (B,)."""
        cotangents = self._own(exchange, "gposes", frame, len(model)).sum(1)  # of all chunks
        cotangents = torch.where(healthy[:, None, None, None], cotangents, 0.0)
        with torch.enable_grad():
            inputs = [value.detach().requires_grad_() for value in (*links, model[:, self._columns])]
            grads = torch.autograd.grad(self.poses(inputs[:4], inputs[4]), inputs, cotangents)
        gmodel = torch.zeros_like(model)
        gmodel.index_add_(1, self._columns, grads[4])
        return [torch.where(healthy[:, None, None], grad, 0.0) for grad in grads[:4]], gmodel

    def _own(self, exchange: Exchange, name: str, frame: int, active: int) -> torch.Tensor:
        """Its part of an array (substeps, …, envs, colliders, rows, 4) from a frame to the next."""
        part = exchange.rows(name)[frame * self._every : (frame + 1) * self._every, ..., :active, :, :, :]
        return part[..., self._first : self._first + len(self._columns), :, :]

    def poses(self, links: Sequence[torch.Tensor], friction: torch.Tensor) -> torch.Tensor:
        """(every, B, K, 4, 4) rows as in `genesis.contact.colliders`.

        Args:
            links: pos (B, L, 3), quat (B, L, 4), vel (B, L, 3), ang (B, L, 3), as `RigidSolver.readout` gives them.
            friction: (B, K).
        """
        times = self._times
        pos, quat, vel, ang = (self._on_links(value, k == 1) for k, value in enumerate(links))
        arm = quaternion.rotate(quat, self._pos.expand(*pos.shape))
        speed = vel + torch.linalg.cross(ang, arm)
        turn = quaternion.multiply(quat, self._quat.expand_as(quat))
        place, turned = (pos + arm)[None], turn[None]
        if self._every > 1:
            t = times[:, None, None, None]
            place = place + t * speed
            turned = quaternion.multiply(quaternion.from_rotation_vector(t * ang), turn.expand(len(times), *turn.shape))
        mu = friction[..., None]
        none = torch.zeros_like(mu)
        rows = (
            torch.cat([place, mu.expand(len(times), *mu.shape)], 3),
            turned,
            torch.cat([speed, none], 2).expand(len(times), *speed.shape[:2], 4),
            torch.cat([ang, none], 2).expand(len(times), *ang.shape[:2], 4),
        )
        return torch.stack(rows, 3)

    def _on_links(self, value: torch.Tensor, is_quaternion: bool) -> torch.Tensor:
        """(B, K, n): a link's value for each collider; of the world the identity or zero."""
        world = value.new_zeros(len(value), 1, value.shape[2])
        if is_quaternion:
            world[..., 0] = 1.0
        return torch.cat([value, world], 1)[:, self._link]
