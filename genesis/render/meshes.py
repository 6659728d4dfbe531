"""Shapes as triangles, in the frame and with the sizes of `genesis.loaders.parts.Geom`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genesis.meshes.hull import triangles
from genesis.meshes.triangles import TriangleMesh


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles; their corners are counter-clockwise from outside."""

    vertices: np.ndarray
    """(n, 3), m."""
    faces: np.ndarray
    """(f, 3) indices."""
    flat: bool
    """Whether the faces are meant as such; else they stand for a round surface."""
    normals: np.ndarray | None = None
    """(n, 3) outward unit normals at the vertices, if they are not those of `flat`."""

    def with_normals(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vertices (n, 3), outward unit normals there (n, 3) and faces (f, 3): flat faces share no vertex."""
        vertices, faces = self.vertices, self.faces
        if self.normals is not None:
            return vertices, self.normals, faces
        if self.flat:
            vertices, faces = vertices[faces].reshape(-1, 3), np.arange(3 * len(faces)).reshape(-1, 3)
        a, b, c = (vertices[faces[:, k]] for k in range(3))
        across = np.cross(b - a, c - a)
        normals = np.stack([np.bincount(faces.ravel(), np.repeat(across[:, k], 3), len(vertices)) for k in range(3)], 1)
        return vertices, normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30), faces


def of_shape(kind: str, size: Sequence[float], corners: np.ndarray, segments: int = 32) -> Mesh:
    """The surface of a shape.

    Args:
        kind: One of `loaders.parts.GEOM_KINDS`.
        size: Three numbers, m.
        corners: (n, 3) of a hull.
        segments: Corners of a circle; even.
    """
    a, b, c = size
    angle = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    circle[[0, -1], 0] = 0.0
    match kind:
        case "sphere":
            return _turned(a * circle, segments)
        case "ellipsoid":
            ball = _turned(circle, segments)
            return Mesh(ball.vertices * (a, b, c), ball.faces, False)
        case "capsule":
            lower, upper = circle[: segments // 4 + 1], circle[segments // 4 :]
            return _turned(np.concatenate([a * lower - (0.0, b), a * upper + (0.0, b)]), segments)
        case "cylinder":
            rim, middle = np.array([[a, -b], [a, b]]), np.array([[0.0, -b], [0.0, b]])
            parts = [_turned(x, segments) for x in (np.stack([middle[0], rim[0]]), rim, np.stack([rim[1], middle[1]]))]
            first = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
            faces = [part.faces + begin for part, begin in zip(parts, first, strict=True)]
            return Mesh(np.concatenate([part.vertices for part in parts]), np.concatenate(faces), False)
        case "box":
            corners = np.array([[x, y, z] for x in (-a, a) for y in (-b, b) for z in (-c, c)])
    return Mesh(*triangles(corners), True)


def of_mesh(mesh: TriangleMesh) -> Mesh:
    """The triangles of a mesh, which share a vertex where the surface is smooth."""
    vertices, normals, faces = mesh.split
    return Mesh(vertices, faces, False, normals)


def apart(kind: str, size: Sequence[float], i: int) -> tuple[float, ...]:
    """The i-th shape's size: every other round one is a hundredth thinner. Else colours flicker where limbs end in one
    and the same ball."""
    return (0.99 * size[0], *size[1:]) if kind in ("sphere", "capsule") and i % 2 else tuple(size)


def _turned(profile: np.ndarray, segments: int) -> Mesh:
    """The surface that (radius, z) points (n, 2), from below to above, draw around the z axis."""
    turn = np.arange(segments) * 2 * np.pi / segments
    radius, height = profile[:, :1], np.broadcast_to(profile[:, 1:], (len(profile), segments))
    vertices = np.stack([radius * np.cos(turn), radius * np.sin(turn), height], 2).reshape(-1, 3)
    ring, place = np.meshgrid(np.arange(len(profile) - 1), np.arange(segments), indexing="ij")
    after = (place + 1) % segments
    a, b, c, d = (r * segments + p for r, p in ((ring, place), (ring, after), (ring + 1, after), (ring + 1, place)))
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    sides = vertices[faces]
    area = np.linalg.norm(np.cross(sides[:, 1] - sides[:, 0], sides[:, 2] - sides[:, 0]), axis=1)
    return Mesh(vertices, faces[area > 1e-12 * area.max()], False)


def checker(edge: float, tiles: int, odd: bool) -> Mesh:
    """Every other square of a floor around the origin, in the plane z = 0: the even ones, or the odd ones.

    Args:
        edge: Of a square, m.
        tiles: Squares along each side; even.
        odd: Which.
    """
    x, y = np.meshgrid(np.arange(tiles) - tiles // 2, np.arange(tiles) - tiles // 2, indexing="ij")
    chosen = (x + y) % 2 == int(odd)
    corner = np.stack([x[chosen], y[chosen], np.zeros(int(chosen.sum()))], 1)
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    vertices = edge * (corner[:, None] + square).reshape(-1, 3)
    faces = 4 * np.arange(len(corner))[:, None, None] + np.array([[0, 1, 2], [0, 2, 3]])
    return Mesh(vertices, faces.reshape(-1, 3), True)


def terrain(heights: np.ndarray, spacing: float) -> Mesh:
    """A height field (nx, ny), m, whose first point lies above the origin."""
    nx, ny = heights.shape
    x, y = np.meshgrid(np.arange(nx), np.arange(ny), indexing="ij")
    vertices = np.stack([spacing * x, spacing * y, heights], -1).reshape(-1, 3)
    first = (x[:-1, :-1] * ny + y[:-1, :-1]).reshape(-1)
    a, b, c, d = first, first + ny, first + ny + 1, first + 1
    return Mesh(vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]), False)
