"""What of a scene can be seen, and where it is, in the order in which pictures have it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import torch

from genesis.engine.entities.base import Entity
from genesis.grad.tensor import plain_of
from genesis.math import quaternion
from genesis.meshes.hull import half_spaces
from genesis.meshes.triangles import TriangleMesh
from genesis.render.meshes import Mesh, apart, of_mesh, of_shape
from genesis.visible import KINDS, Ground, Points, Rgb, Shape, Solids, fixed_ground

Record = TypeVar("Record")

SPHERE_OF_A_CUBE = 0.62
"""Radius of a ball as large as a cube of edge 1: particles are drawn with it, times the edge of their volume."""
SMOOTH_RADIUS = 2.0
"""How much larger particles are drawn that are to become a smooth surface."""


@dataclass
class Shapes:
    """Shapes that one pose each moves, packed. K of them; sizes as of `loaders.parts.Geom`."""

    kind: list[int] = field(default_factory=list)
    size: list[tuple[float, ...]] = field(default_factory=list)
    span: list[tuple[int, int]] = field(default_factory=list)
    """First face and number of faces, of hulls; of meshes the place of their first node, and 0."""
    reach: list[float] = field(default_factory=list)
    """Radius of a ball about the origin that holds the shape, m."""
    owner: list[int] = field(default_factory=list)
    """Index of the entity; -1: nobody."""
    tint: list[Rgb] = field(default_factory=list)
    faces: list[np.ndarray] = field(default_factory=list)
    corners: list[np.ndarray] = field(default_factory=list)
    """Points (n, 3) that a hull is spanned by; (0, 3) of other shapes."""
    mesh: list[TriangleMesh | None] = field(default_factory=list)
    meshes: list[TriangleMesh] = field(default_factory=list)
    """Each of them once."""

    def add(self, shape: Shape, owner: int) -> None:
        kind, size, begin = shape.kind, shape.size, sum(len(faces) for faces in self.faces)
        faces, reach = np.zeros((0, 4)), 0.0
        if kind == "hull":
            faces = half_spaces(shape.vertices)
            reach = float(np.linalg.norm(shape.vertices, axis=1).max())
        elif kind == "mesh":
            assert shape.mesh is not None
            begin = self._begin_of(shape.mesh)
            reach = float(np.linalg.norm(shape.mesh.corners, axis=2).max())
        else:
            reach = _reach(kind, size)
        self.kind.append(KINDS.index(kind))
        self.size.append((*size, 0.0, 0.0)[:3])
        self.span.append((begin, len(faces)))
        self.reach.append(1.0001 * reach)
        self.owner.append(owner)
        self.tint.append(shape.tint)
        self.faces.append(faces)
        self.corners.append(shape.vertices)
        self.mesh.append(shape.mesh)

    def _begin_of(self, mesh: TriangleMesh) -> int:
        """Where its nodes begin among those of all meshes, which it is from now on one of."""
        begin = 0
        for other in self.meshes:
            if other is mesh:
                return begin
            begin += len(other.tree.lower)
        self.meshes.append(mesh)
        return begin

    def surface(self, i: int, segments: int = 32) -> Mesh:
        """The i-th shape as triangles, the corners of circles being so many; see `apart`."""
        kind, mesh = KINDS[self.kind[i]], self.mesh[i]
        if mesh is not None:
            return of_mesh(mesh)
        return of_shape(kind, apart(kind, self.size[i], i), self.corners[i], segments)


def _reach(kind: str, size: Sequence[float]) -> float:
    a, b, c = (*size, 0.0, 0.0)[:3]
    return {
        "sphere": a,
        "capsule": a + b,
        "box": float(np.linalg.norm((a, b, c))),
        "cylinder": float(np.hypot(a, b)),
        "ellipsoid": max(a, b, c),
    }[kind]


@dataclass(frozen=True, eq=False)
class Seen(Generic[Record]):
    """A record, and whose it is."""

    record: Record
    owner: int
    """Index of the entity; -1: nobody."""
    name: str


class Stage:
    """The visible things of a built scene in a fixed order: solids, particles, particles of smooth bodies."""

    def __init__(self, entities: Sequence[Entity], n_envs: int, floor_height: float | None) -> None:
        self.n_envs = n_envs
        self.shapes = Shapes()
        """Of all solids."""
        self.solids: list[Seen[Solids]] = []
        self.grounds: list[Seen[Ground]] = []
        bodies: list[Seen[Points]] = []
        for entity in entities:
            for record in entity.visible():
                match record:
                    case Solids():
                        self.solids.append(Seen(record, entity.idx, entity.name))
                    case Points():
                        bodies.append(Seen(record, entity.idx, entity.name))
                    case Ground():
                        self.grounds.append(Seen(record, entity.idx, entity.name))
        for seen in self.solids:
            for shape in seen.record.shapes:
                self.shapes.add(shape, seen.owner)
        self.smooth = [body for body in bodies if body.record.smooth]
        self.particles = [body for body in bodies if not body.record.smooth] + self.smooth
        if not self.grounds and floor_height is not None:
            floor = Ground(fixed_ground((0.0, 0.0, 1.0), (0.0, 0.0, floor_height)))
            self.grounds.append(Seen(floor, -1, "floor"))
        self.radii = [
            body.record.volume ** (1 / 3) * SPHERE_OF_A_CUBE * (SMOOTH_RADIUS if body.record.smooth else 1.0)
            for body in self.particles
        ]
        self._on = [_on_frames(seen.record) for seen in self.solids]

    @property
    def n_particles(self) -> int:
        return sum(body.record.n for body in self.particles)

    @property
    def n_smooth(self) -> int:
        return sum(body.record.n for body in self.smooth)

    @torch.no_grad()
    def frames(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Positions (B, F, 3) and quaternions (B, F, 4) of the frames of each of `solids`. World frame, float64."""
        return [(_double(pos), _double(quat)) for pos, quat in (seen.record.poses() for seen in self.solids)]

    @torch.no_grad()
    def poses(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Centres (B, K, 3) and quaternions (B, K, 4) of the shapes, and particles (B, N, 3). World frame, float64."""
        pos, quat = [], []
        for (frame, at, along), (frames_pos, frames_quat) in zip(self._on, self.frames(), strict=True):
            frames_pos, frames_quat = frames_pos[:, frame], frames_quat[:, frame]
            pos.append(frames_pos + quaternion.rotate(frames_quat, at))
            quat.append(quaternion.multiply(frames_quat, along.expand_as(frames_quat)))
        points = [_double(body.record.positions()) for body in self.particles]
        return self._joined(pos, 3), self._joined(quat, 4), self._joined(points, 3)

    def _joined(self, parts: list[torch.Tensor], columns: int) -> torch.Tensor:
        return torch.cat([torch.zeros(self.n_envs, 0, columns, dtype=torch.float64), *parts], 1)

    @torch.no_grad()
    def ground_poses(self, env: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Normal and a point of each ground in an environment."""
        places = [[_double(rows) for rows in ground.record.places()] for ground in self.grounds]
        return [tuple(rows[min(env, len(rows) - 1)].numpy() for rows in place) for place in places]  # type: ignore


def _on_frames(solids: Solids) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of each shape its frame (k,), place (k, 3) and turn (k, 4) there."""
    frame = torch.tensor([shape.frame for shape in solids.shapes], dtype=torch.int64)
    pos = torch.tensor([shape.pos for shape in solids.shapes], dtype=torch.float64).reshape(-1, 3)
    quat = torch.tensor([shape.quat for shape in solids.shapes], dtype=torch.float64).reshape(-1, 4)
    return frame, pos, quat


def _double(value: torch.Tensor) -> torch.Tensor:
    return plain_of(value.detach()).to("cpu", torch.float64)
