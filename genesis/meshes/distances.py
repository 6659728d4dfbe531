"""Signed distances to a surface on a grid, computed once and kept in the user's cache folder by their content.

Near the surface they are exact. From there each point hands its nearest place on the surface to its neighbours, plane
by plane along each axis, and measures anew to the triangle of the nearest one (Danielsson 1980; Zhao 2005).
"""

import hashlib
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from genesis.folders import cache_folder, whole_file
from genesis.meshes.surface import Surface

VERSION = 1
"""Of what the numbers mean; raise it when the same surface gives others."""
PIECE = 1 << 18
"""Points that are measured in one go."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Signed distances, negative inside."""

    values: np.ndarray
    """(nx, ny, nz) m."""
    lower: np.ndarray
    """(3,) place of the first value, m."""
    spacing: float
    """m."""
    surface: Surface
    """Whose distances they are."""

    def volume(self) -> float:
        """m^3 that the grid's quadratic spline encloses, about."""
        smooth = self.values
        for axis in range(3):
            along = np.moveaxis(smooth, axis, 0)
            inner = (along[:-2] + 6 * along[1:-1] + along[2:]) / 8
            smooth = np.moveaxis(inner, 0, axis)
        return float(np.clip(0.5 - smooth / self.spacing, 0.0, 1.0).sum() * self.spacing**3)


def grid_of(surface: Surface, resolution: int, reach: float) -> Grid:
    """Distances around a surface as far as `reach` m from its bounding box.

    Args:
        resolution: Cells along the longest edge of the bounding box; fewer, as far as there would be more than twice as
            many along the whole grid.
    """
    size = surface.upper - surface.lower
    longest = float(size.max())
    spacing = max(longest, (longest + 2 * reach) / 2) / resolution
    lower = surface.lower - reach - spacing
    counts = np.ceil((size + 2 * reach) / spacing).astype(int) + 3
    digest = hashlib.sha256(repr((VERSION, spacing, lower.tolist(), counts.tolist())).encode())
    for array in (surface.vertices, surface.faces):
        digest.update(np.ascontiguousarray(array).tobytes())
    file = cache_folder("distances") / f"{digest.hexdigest()[:32]}.npy"
    values = _fetch(file, tuple(counts.tolist()))
    if values is None:
        values = signed_distances(surface, lower, spacing, counts)
        _keep(file, values)
    return Grid(values, lower, spacing, surface)


def signed_distances(surface: Surface, lower: np.ndarray, spacing: float, counts: np.ndarray) -> np.ndarray:
    """(nx, ny, nz) at lower + spacing (i, j, k), m."""
    corners = (surface.vertices[surface.faces] - lower) / spacing
    face = _nearest_faces(corners, counts)
    points = np.stack(np.unravel_index(np.arange(face.size), tuple(counts)), 1).astype(float)
    apart = np.empty(face.size)
    for begin in range(0, face.size, PIECE):
        own = slice(begin, begin + PIECE)
        near = nearest_points(points[own], corners[face.ravel()[own]])
        apart[own] = np.linalg.norm(points[own] - near, axis=1)
    columns = np.stack(np.meshgrid(np.arange(counts[0]), np.arange(counts[1]), indexing="ij"), -1).reshape(-1, 2)
    column, height, sign = surface.crossings(lower[:2] + spacing * columns)
    steps = np.zeros((len(columns), counts[2] + 1), np.int64)
    above = np.clip(np.floor((height - lower[2]) / spacing).astype(int) + 1, 0, counts[2])
    np.add.at(steps, (column, above), sign)
    inside = np.cumsum(steps, axis=1)[:, :-1] < 0
    return spacing * np.where(inside.reshape(tuple(counts)), -1.0, 1.0) * apart.reshape(tuple(counts))


def nearest_points(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(k, 3) of each triangle (k, 3, 3) the point that is nearest to the one of `points` (k, 3)."""
    a = corners[:, 0]
    best, least = np.empty_like(points), np.full(len(points), np.inf)
    for i in range(3):  # edges
        begin, along = corners[:, i], corners[:, (i + 1) % 3] - corners[:, i]
        part = ((points - begin) * along).sum(1) / np.maximum((along * along).sum(1), 1e-300)
        place = begin + np.clip(part, 0.0, 1.0)[:, None] * along
        apart = ((points - place) ** 2).sum(1)
        nearer = apart < least
        best[nearer], least[nearer] = place[nearer], apart[nearer]
    u, v, r = corners[:, 1] - a, corners[:, 2] - a, points - a
    normal = np.cross(u, v)
    square = np.maximum((normal * normal).sum(1), 1e-300)
    s, t = (np.cross(r, v) * normal).sum(1) / square, (np.cross(u, r) * normal).sum(1) / square
    within = (s >= 0) & (t >= 0) & (s + t <= 1) & (square > 1e-300)
    best[within] = (a + s[:, None] * u + t[:, None] * v)[within]
    return best


def _nearest_faces(corners: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(nx, ny, nz) index of the triangle (f, 3, 3), in cells, that is nearest to each point, but for neighbours."""
    shape = tuple(counts.tolist())
    cell, face = _near_surface(corners, counts)
    points = np.stack(np.unravel_index(cell, shape), 1).astype(float)
    near = np.concatenate(
        [nearest_points(points[i : i + PIECE], corners[face[i : i + PIECE]]) for i in range(0, len(cell), PIECE)]
    )
    apart = ((points - near) ** 2).sum(1)
    order = np.lexsort((apart, cell))
    chosen = order[np.flatnonzero(np.diff(cell[order], prepend=-1))]
    place, owner = np.full((*shape, 3), 1e15), np.zeros(shape, np.int64)
    place.reshape(-1, 3)[cell[chosen]], owner.ravel()[cell[chosen]] = near[chosen], face[chosen]
    for axis, ahead in product(range(3), (True, False)):
        _sweep(place, owner, axis, ahead)
    return owner


def _sweep(place: np.ndarray, owner: np.ndarray, axis: int, ahead: bool) -> None:
    """Every plane across an axis takes the nearest places of the nine neighbours in the plane before, if nearer."""
    places, owners = np.moveaxis(place, axis, 0), np.moveaxis(owner, axis, 0)
    n, rows, columns = owners.shape
    others = [k for k in range(3) if k != axis]
    here = np.zeros((rows, columns, 3))
    here[..., others[0]], here[..., others[1]] = np.arange(rows)[:, None], np.arange(columns)
    order = range(1, n) if ahead else range(n - 2, -1, -1)
    for i in order:
        before = i - 1 if ahead else i + 1
        here[..., axis] = i
        least = ((places[i] - here) ** 2).sum(-1)
        for di, dj in product((0, -1, 1), repeat=2):
            to = tuple(slice(max(0, d), m + min(0, d)) for d, m in ((di, rows), (dj, columns)))
            of = tuple(slice(max(0, -d), m + min(0, -d)) for d, m in ((di, rows), (dj, columns)))
            apart = ((places[before][of] - here[to]) ** 2).sum(-1)
            nearer = apart < least[to]
            if nearer.any():
                least[to][nearer] = apart[nearer]
                places[i][to][nearer] = places[before][of][nearer]
                owners[i][to][nearer] = owners[before][of][nearer]


def _near_surface(corners: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (point, triangle) of points of the grid, by their numbers, that are at most about a cell from one."""
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1)
    parts = np.maximum(np.ceil(2 * sides), 1).astype(int)
    around = np.array(list(product((-1, 0, 1), repeat=3)))
    strides = np.array([counts[1] * counts[2], counts[2], 1])
    keys = []
    for n in np.unique(parts):
        faces = np.flatnonzero(parts == n)
        i, j = (x.ravel() for x in np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij"))
        weights = np.stack([i, j, n - i - j], 1)[i + j <= n] / n
        for own in np.array_split(faces, max(1, len(faces) * len(weights) * len(around) // (8 * PIECE))):
            cells = np.rint(np.einsum("wk,fkc->fwc", weights, corners[own])).astype(int)
            all_ = np.clip(cells[:, :, None] + around, 0, counts - 1) @ strides
            keys.append(np.unique(all_.reshape(len(own), -1) + own[:, None] * counts.prod()))
    found = np.concatenate(keys)
    return found % counts.prod(), found // counts.prod()


def _fetch(file: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """What a file of the cache holds; None if there is none, or no such array."""
    try:
        values = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return values if values.shape == shape and values.dtype == np.float64 and np.isfinite(values).all() else None


def _keep(file: Path, values: np.ndarray) -> None:
    """Store them so that a reader sees all or nothing; a folder that cannot be written is no error."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as stream:
            np.save(stream, values)
    except OSError:
        return
