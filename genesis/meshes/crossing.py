"""Whether a surface crosses itself: some edge runs through a triangle."""

from collections.abc import Iterator

import numpy as np

from genesis.meshes.surface import Surface, ranges

DEPTH = 1e-12
"""Least volume of the tetrahedra that tell a crossing from a touch, in cubes of the surface's extent."""


def first_crossing(surface: Surface, edges: np.ndarray) -> np.ndarray | None:
    """Middle (3,) of the first of `edges` (e, 2) that runs through a triangle of which it has no corner; None: none.

    Triangles that lie in each other's plane are not found.
    """
    extent = float((surface.upper - surface.lower).max())
    places = (surface.vertices - surface.lower) / extent
    axis = int(np.ptp(places, axis=0).argmax())
    ends, corners = places[edges], places[surface.faces]
    low_e, high_e, low_f, high_f = ends.min(1), ends.max(1), corners.min(1), corners.max(1)
    for edge, face in _overlaps(low_e[:, axis], high_e[:, axis], low_f[:, axis], high_f[:, axis]):
        near = ((low_e[edge] <= high_f[face]) & (low_f[face] <= high_e[edge])).all(1)
        edge, face = edge[near], face[near]
        apart = (edges[edge][:, :, None] != surface.faces[face][:, None]).all((1, 2))
        edge, face = edge[apart], face[apart]
        (p, q), (a, b, c) = (np.moveaxis(x, 1, 0) for x in (ends[edge], corners[face]))
        above, below = _volume(a, b, c, p), _volume(a, b, c, q)
        around = [_volume(p, q, *side) for side in ((a, b), (b, c), (c, a))]
        through = (above * below < 0) & (np.minimum(abs(above), abs(below)) > DEPTH)
        through &= np.all([side > DEPTH for side in around], 0) | np.all([side < -DEPTH for side in around], 0)
        if through.any():
            return surface.vertices[edges[edge[through][0]]].mean(0)
    return None


def _overlaps(
    low_a: np.ndarray, high_a: np.ndarray, low_b: np.ndarray, high_b: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All (i, j) for which the intervals a_i and b_j meet, in pieces."""
    order_a, order_b = np.argsort(low_a), np.argsort(low_b)
    begin, end = np.searchsorted(low_b[order_b], low_a, "left"), np.searchsorted(low_b[order_b], high_a, "right")
    for i, j in ranges(begin, end):
        yield i, order_b[j]
    begin, end = np.searchsorted(low_a[order_a], low_b, "right"), np.searchsorted(low_a[order_a], high_b, "right")
    for j, i in ranges(begin, end):
        yield order_a[i], j


def _volume(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    return (np.cross(b - a, c - a) * (d - a)).sum(1)
