"""Triangles as pictures need them: normals at their corners, and a tree of boxes that rays go down."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

FOLD = 0.766
"""Cosine of the angle between neighbouring triangles from which their common edge is sharp: 40 degrees."""
SAME = 1e-6
"""Corners that are closer than this part of the extent share their normals."""
MOST = 256
"""Triangles around a corner up to which it is smooth."""
LEAF = 4
"""Triangles in a leaf of the tree, at most."""


@dataclass(frozen=True, eq=False)
class Tree:
    """A complete binary tree of boxes around n triangles. Its root is node 1, the children of node i are 2 i and 2 i +
    1, and its last L nodes, L a power of two, are leaves. Node 0 is none."""

    lower: np.ndarray
    """(2 L, 3) corners of the boxes, m."""
    upper: np.ndarray
    """(2 L, 3)."""
    axis: np.ndarray
    """(L,) along which the children of a node lie beside each other."""
    order: np.ndarray
    """(n,) triangles, those of a leaf together."""
    first: np.ndarray
    """(L + 1,) where in `order` each leaf begins, and n."""


@dataclass(frozen=True, eq=False)
class TriangleMesh:
    """Triangles that are seen from both sides; they need not be closed."""

    vertices: np.ndarray
    """(n, 3) m."""
    faces: np.ndarray
    """(f, 3) indices, counter-clockwise seen from outside; f > 0."""

    @cached_property
    def corners(self) -> np.ndarray:
        """(f, 3, 3) m."""
        return np.asarray(self.vertices, np.float64)[self.faces]

    @cached_property
    def normals(self) -> np.ndarray:
        """(f, 3, 3) unit normals at the corners of each triangle: means over the triangles there that meet it at less
        than `FOLD`, weighted by their angles there. Zero of a triangle without area."""
        flat = _unit(np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0]))
        after, before = (_unit(np.roll(self.corners, k, 1) - self.corners) for k in (-1, 1))
        angle = np.arccos(np.clip((after * before).sum(2), -1.0, 1.0)).ravel()
        place = np.unique(self._rounded(), axis=0, return_inverse=True)[1].ravel()
        order = np.argsort(place, kind="stable")
        begin = np.flatnonzero(np.diff(place[order], prepend=-1))
        count = np.diff(begin, append=len(order))
        begin, count = np.repeat(begin, count), np.repeat(count, count)  # of the place of each corner in `order`
        total = flat[order // 3]
        rows, k = np.flatnonzero((count > 1) & (count <= MOST)), 0
        total[rows] = 0.0
        while len(rows):
            mine, theirs = order[rows], order[begin[rows] + k]
            near = (flat[mine // 3] * flat[theirs // 3]).sum(1) > FOLD
            total[rows[near]] += angle[theirs[near], None] * flat[theirs[near] // 3]
            k += 1
            rows = rows[count[rows] > k]
        normals = np.empty_like(total)
        normals[order] = _unit(total)
        return normals.reshape(-1, 3, 3)

    def _rounded(self) -> np.ndarray:
        """(3 f, 3) places of all corners, equal where they are one."""
        places = self.corners.reshape(-1, 3)
        extent = float(np.ptp(places, axis=0).max()) or 1.0
        return np.round(places / (SAME * extent))

    @cached_property
    def split(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vertices (v, 3), normals there (v, 3), and faces (f, 3) that share a vertex where they share its normal."""
        vertices, normals = self.corners.reshape(-1, 3), self.normals.reshape(-1, 3)
        rounded = np.concatenate([self._rounded(), np.round(1e4 * normals)], 1)
        _, first, of = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
        return vertices[first], normals[first], of.reshape(-1, 3)

    @cached_property
    def tree(self) -> Tree:
        """Of halves: the triangles of each node are divided at the median of their middles, along the axis on which
        these reach farthest."""
        low, high, n = self.corners.min(1), self.corners.max(1), len(self.faces)
        middles, order, leaves = (low + high) / 2, np.arange(n), 1
        axes = [np.zeros(1, np.int64)]
        while leaves * LEAF < n:
            first = n * np.arange(leaves + 1) // leaves
            inside = middles[order]
            reach = np.maximum.reduceat(inside, first[:-1]) - np.minimum.reduceat(inside, first[:-1])
            axes.append(reach.argmax(1))
            node = np.repeat(np.arange(leaves), np.diff(first))
            order = order[np.lexsort((inside[np.arange(n), axes[-1][node]], node))]
            leaves *= 2
        first = n * np.arange(leaves + 1) // leaves
        lower, upper = np.zeros((2 * leaves, 3)), np.zeros((2 * leaves, 3))
        lower[leaves:] = np.minimum.reduceat(low[order], first[:-1])
        upper[leaves:] = np.maximum.reduceat(high[order], first[:-1])
        level = leaves
        while level > 1:
            level //= 2
            lower[level : 2 * level] = lower[2 * level : 4 * level].reshape(level, 2, 3).min(1)
            upper[level : 2 * level] = upper[2 * level : 4 * level].reshape(level, 2, 3).max(1)
        return Tree(lower, upper, np.concatenate(axes), order, first)


def centred(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, TriangleMesh]:
    """The middle (3,) of the bounding box of triangles, m, and the triangles seen from there."""
    used = vertices[np.unique(faces)]
    middle = (used.min(0) + used.max(0)) / 2
    return middle, TriangleMesh(vertices - middle, faces)


def _unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.where(length > 0, length, 1.0)
