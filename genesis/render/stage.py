"""What of a scene can be seen, and where it is: entities become solids, particles and grounds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from genesis import morphs
from genesis.engine.entities.articulated import ArticulatedBody
from genesis.engine.entities.base import Entity
from genesis.engine.entities.ground import GroundEntity
from genesis.engine.entities.particle import ParticleEntity
from genesis.engine.entities.tool import ToolEntity
from genesis.grad.tensor import plain_of
from genesis.loaders.parts import GEOM_KINDS
from genesis.math import quaternion
from genesis.render import colors
from genesis.render.hull import half_spaces

HULL = GEOM_KINDS.index("hull")
SPHERE_OF_A_CUBE = 0.62
"""Radius of a ball as large as a cube of edge 1: particles are drawn with it, times the edge of their volume."""
SMOOTH_RADIUS = 2.0
"""How much larger particles are drawn that are to become a smooth surface."""


@dataclass
class Solids:
    """Shapes that one pose each moves. K of them; sizes as of `loaders.parts.Geom`."""

    kind: list[int] = field(default_factory=list)
    size: list[tuple[float, ...]] = field(default_factory=list)
    span: list[tuple[int, int]] = field(default_factory=list)
    """First face and number of faces, of hulls."""
    reach: list[float] = field(default_factory=list)
    """Radius of a ball about the origin that holds the shape, m."""
    owner: list[int] = field(default_factory=list)
    """Index of the entity; -1: nobody."""
    tint: list[colors.Rgb] = field(default_factory=list)
    faces: list[np.ndarray] = field(default_factory=list)
    corners: list[np.ndarray] = field(default_factory=list)
    """Points (n, 3) that a hull is spanned by; (0, 3) of other shapes."""

    def add(
        self, kind: str, size: Sequence[float], owner: int, tint: colors.Rgb, vertices: np.ndarray | None = None
    ) -> None:
        begin = sum(len(faces) for faces in self.faces)
        faces = np.zeros((0, 4))
        if kind == "hull":
            assert vertices is not None
            faces = half_spaces(vertices)
            reach = float(np.linalg.norm(vertices, axis=1).max())
        else:
            reach = _reach(kind, size)
        self.kind.append(GEOM_KINDS.index(kind))
        self.size.append((*size, 0.0, 0.0)[:3])
        self.span.append((begin, len(faces)))
        self.reach.append(1.0001 * reach)
        self.owner.append(owner)
        self.tint.append(tint)
        self.faces.append(faces)
        self.corners.append(np.zeros((0, 3)) if vertices is None else vertices)


def _reach(kind: str, size: Sequence[float]) -> float:
    a, b, c = (*size, 0.0, 0.0)[:3]
    return {
        "sphere": a,
        "capsule": a + b,
        "box": float(np.linalg.norm((a, b, c))),
        "cylinder": float(np.hypot(a, b)),
        "ellipsoid": max(a, b, c),
    }[kind]


@dataclass
class Ground:
    """A plane or a height field: see `loaders.parts.GroundGeom`."""

    owner: int
    tints: tuple[colors.Rgb, colors.Rgb]
    normal: np.ndarray
    pos: np.ndarray
    heights: np.ndarray | None = None
    spacing: float = 0.0


class Stage:
    """The visible things of a built scene in a fixed order: solids, particles, particles of smooth bodies."""

    def __init__(self, entities: Sequence[Entity], n_envs: int, floor_height: float | None) -> None:
        self.n_envs = n_envs
        self.solids = Solids()
        self.grounds: list[Ground] = []
        self.posed: list[tuple[Any, torch.Tensor, torch.Tensor, torch.Tensor]] = []
        """The robots whose shapes are the first solids: of each shape its link, place and turn there."""
        self.tools: list[ToolEntity] = []
        """Those whose shapes are the other solids."""
        self._moving_grounds: list[tuple[int, ToolEntity]] = []
        bodies = [entity for entity in entities if isinstance(entity, ParticleEntity)]
        self.smooth = [body for body in bodies if body.surface.vis_mode == "recon"]
        self.particles = [body for body in bodies if body not in self.smooth] + self.smooth
        for entity in entities:
            if isinstance(entity, ArticulatedBody):
                self._add_articulated(entity)
        for entity in entities:
            if isinstance(entity, ToolEntity):
                self._add_tool(entity)
            elif isinstance(entity, GroundEntity):
                geom = entity.geom
                field = geom.kind == "heightfield"
                self.grounds.append(
                    Ground(
                        entity.idx,
                        colors.of_ground(entity.surface),
                        np.array(geom.normal),
                        np.array(geom.pos),
                        geom.heights if field else None,
                        geom.spacing,
                    )
                )
        if not self.grounds and floor_height is not None:
            self.grounds.append(Ground(-1, colors.FLOOR, np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, floor_height])))
        self.radii = [
            body.particle_volume ** (1 / 3) * SPHERE_OF_A_CUBE * (SMOOTH_RADIUS if body in self.smooth else 1.0)
            for body in self.particles
        ]

    def _add_articulated(self, entity: ArticulatedBody) -> None:
        geoms = entity.model.geoms
        for geom in geoms:
            self.solids.add(geom.kind, geom.size, entity.idx, colors.of_geom(entity, geom), geom.vertices)
        link = torch.tensor([geom.link for geom in geoms], dtype=torch.int64)
        pos = torch.tensor([geom.pos for geom in geoms], dtype=torch.float64).reshape(-1, 3)
        quat = torch.tensor([geom.quat for geom in geoms], dtype=torch.float64).reshape(-1, 4)
        self.posed.append((entity, link, pos, quat))

    def _add_tool(self, entity: ToolEntity) -> None:
        morph = entity.morph
        match morph:
            case morphs.Plane():
                self._moving_grounds.append((len(self.grounds), entity))
                self.grounds.append(
                    Ground(entity.idx, colors.of_ground(entity.surface), np.array(morph.normal), np.array(morph.pos))
                )
                return
            case morphs.Sphere():
                kind, size = "sphere", (morph.radius,)
            case morphs.Box():
                kind, size = "box", morph.half_extent
            case morphs.Cylinder():
                kind, size = "cylinder", (morph.radius, morph.height / 2)
            case morphs.Capsule():
                kind, size = "capsule", (morph.radius, morph.height / 2)
            case _:
                return
        self.solids.add(kind, size, entity.idx, colors.of_tool(entity.surface))
        self.tools.append(entity)

    @property
    def n_particles(self) -> int:
        return sum(body.n_particles for body in self.particles)

    @property
    def n_smooth(self) -> int:
        return sum(body.n_particles for body in self.smooth)

    @torch.no_grad()
    def poses(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Centres (B, K, 3) and quaternions (B, K, 4) of the solids, and particles (B, N, 3). World frame, float64."""
        pos, quat, points = [], [], []
        for entity, link, at, along in self.posed:
            if len(link):
                links_pos, links_quat = (
                    _double(entity.get_links_pos())[:, link],
                    _double(entity.get_links_quat())[:, link],
                )
                pos.append(links_pos + quaternion.rotate(links_quat, at))
                quat.append(quaternion.multiply(links_quat, along.expand_as(links_quat)))
        for tool in self.tools:
            pos.append(_double(tool.get_pos())[:, None])
            quat.append(_double(tool.get_quat())[:, None])
        for body in self.particles:
            points.append(_double(body.get_particles_pos()))
        return self._joined(pos, 3), self._joined(quat, 4), self._joined(points, 3)

    def _joined(self, parts: list[torch.Tensor], columns: int) -> torch.Tensor:
        return torch.cat([torch.zeros(self.n_envs, 0, columns, dtype=torch.float64), *parts], 1)

    @torch.no_grad()
    def ground_poses(self, env: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Normal and a point of each ground in an environment."""
        found = [(ground.normal, ground.pos) for ground in self.grounds]
        for place, tool in self._moving_grounds:
            pos, quat = _double(tool.get_pos())[env], _double(tool.get_quat())[env]
            up = quaternion.rotate(quat, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
            found[place] = (up.numpy(), pos.numpy())
        return found


def _double(value: torch.Tensor) -> torch.Tensor:
    return plain_of(value.detach()).to("cpu", torch.float64)
