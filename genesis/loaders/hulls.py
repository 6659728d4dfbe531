"""Convex hulls of meshes: their corners, less those that make no difference to what the hull touches."""

from typing import Any

import numpy as np

from genesis.loaders.lazy_import import mujoco

FEW = 64
"""A hull of no more corners keeps them all."""
TOLERANCE = 1e-3
"""Greatest distance of a corner that is left out from the hull of those that are kept, in half diagonals of its box."""


def corner_indices(graph: np.ndarray) -> np.ndarray:
    """Sorted indices, among the points of a mesh, of its hull's corners, from MuJoCo's graph of the hull."""
    # The graph begins with the numbers of vertices and faces; then come the edge offsets and the vertices' indices.
    n_corners = int(graph[0])
    return np.sort(graph[2 + n_corners : 2 + 2 * n_corners])


def simplified(corners: np.ndarray) -> np.ndarray:
    """Of the corners (n, 3) of a hull, in their order, those that span a hull within `TOLERANCE` of it: as few as
    MuJoCo's compiler, which takes the farthest one next, and doubling their number find."""
    most = TOLERANCE * float(np.linalg.norm(np.ptp(corners, axis=0))) / 2
    limit = FEW
    while limit < len(corners):
        kept, faces = _coarse(corners, limit)
        if farthest(corners, corners[faces]) <= most:
            return corners[kept]
        limit *= 2
    return corners


def farthest(points: np.ndarray, faces: np.ndarray) -> float:
    """An upper bound, which is the distance itself if that is to a face, of the distance of `points` (n, 3) from the
    hull with triangles (m, 3, 3): m of the same unit."""
    a, b, c = faces[:, 0], faces[:, 1], faces[:, 2]
    normals = np.cross(b - a, c - a)
    length = np.linalg.norm(normals, axis=1)
    flat = length < 1e-12 * length.max()
    normals[~flat] /= length[~flat, None]
    outward = np.sign(np.einsum("fk,fk->f", normals, a - points.mean(axis=0)))
    normals *= outward[:, None]
    heights = points @ normals.T - np.einsum("fk,fk->f", normals, a)
    heights[:, flat] = -np.inf
    nearest = heights.argmax(axis=1)
    outside = heights[np.arange(len(points)), nearest] > 0
    if not outside.any():
        return 0.0
    return float(_from_triangles(points[outside], faces[nearest[outside]]).max())


def _from_triangles(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(n,) distances of points from one triangle each."""
    found = np.full(len(points), np.inf)
    corners = [faces[:, k] for k in range(3)]
    for k in range(3):
        start, along = corners[k], corners[(k + 1) % 3] - corners[k]
        part = np.einsum("ni,ni->n", points - start, along) / np.maximum(np.einsum("ni,ni->n", along, along), 1e-300)
        nearest = start + np.clip(part, 0.0, 1.0)[:, None] * along
        found = np.minimum(found, np.linalg.norm(points - nearest, axis=1))
    one, two, away = corners[1] - corners[0], corners[2] - corners[0], points - corners[0]
    normal = np.cross(one, two)
    size = np.maximum(np.einsum("ni,ni->n", normal, normal), 1e-300)
    v = np.einsum("ni,ni->n", np.cross(away, two), normal) / size
    w = np.einsum("ni,ni->n", np.cross(one, away), normal) / size
    inside = (v >= 0) & (w >= 0) & (v + w <= 1)
    height = np.abs(np.einsum("ni,ni->n", away, normal)) / np.sqrt(size)
    return np.where(inside, np.minimum(found, height), found)


def _coarse(corners: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of at most so many of the corners, and the faces (m, 3) of their hull, as indices of corners."""
    spec: Any = mujoco().MjSpec()
    shell = mujoco().mjtMeshInertia.mjMESH_INERTIA_CONVEX
    spec.add_mesh(name="mesh", uservert=corners.astype(np.float32).ravel(), maxhullvert=most, inertia=shell)
    spec.worldbody.add_geom(type=mujoco().mjtGeom.mjGEOM_MESH, meshname="mesh")
    model = spec.compile()
    n_corners, n_faces = (int(number) for number in model.mesh_graph[:2])
    end = 2 + 3 * n_corners + 3 * n_faces
    return corner_indices(model.mesh_graph), model.mesh_graph[end : end + 3 * n_faces].reshape(-1, 3)
