"""A closed surface of triangles: what is inside of it, its volume, centre of mass and inertia."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from genesis.meshes.triangles import TriangleMesh, centred

PAIRS = 1 << 21
"""Triangles with columns that are looked at in one go."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles that enclose a volume; their corners are counter-clockwise seen from outside."""

    vertices: np.ndarray
    """(n, 3) m."""
    faces: np.ndarray
    """(f, 3) indices."""

    @cached_property
    def lower(self) -> np.ndarray:
        """(3,) lower corner of the bounding box, m."""
        return self.vertices.min(0)

    @cached_property
    def upper(self) -> np.ndarray:
        """(3,) upper corner of the bounding box, m."""
        return self.vertices.max(0)

    @cached_property
    def moments(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Volume (m^3), centroid (3,) m, and the integral (3, 3) of x x^T about it, m^5: sums over the tetrahedra that
        the triangles make with a point."""
        middle = (self.lower + self.upper) / 2
        a, b, c = (self.vertices[self.faces[:, k]] - middle for k in range(3))
        total = a + b + c
        volumes = (a * np.cross(b, c)).sum(1) / 6
        volume = float(volumes.sum())
        if volume == 0.0:
            return 0.0, middle, np.zeros((3, 3))
        centroid = volumes @ total / (4 * volume)
        second = sum((volumes / 20 * each.T) @ each for each in (a, b, c, total))
        return volume, middle + centroid, second - volume * np.outer(centroid, centroid)

    @cached_property
    def seen(self) -> tuple[np.ndarray, TriangleMesh]:
        """The middle (3,) of the bounding box, m, and the triangles from there, as pictures have them."""
        return centred(self.vertices, self.faces)

    @property
    def volume(self) -> float:
        """m^3; negative if the corners are clockwise seen from outside."""
        return self.moments[0]

    def inertia(self, mass: float) -> tuple[float, float, float, float, float, float]:
        """kg m^2 about the centroid of this mass, evenly spread: xx, yy, zz, xy, xz, yz."""
        volume, _, second = self.moments
        whole = mass / volume * (np.trace(second) * np.eye(3) - second)
        xx, yy, zz, xy, xz, yz = (float(whole[i, j]) for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)))
        return xx, yy, zz, xy, xz, yz

    def winding(self, points: np.ndarray) -> np.ndarray:
        """(k,) how many times the surface encloses each of `points` (k, 3): 1 inside, 0 outside."""
        columns, of = np.unique(points[:, :2], axis=0, return_inverse=True)
        column, height, sign = self.crossings(columns)
        order = np.lexsort((np.concatenate([height, points[:, 2]]), np.concatenate([column, of.ravel()])))
        # Along a column the signs add up to zero, so a sum over all columns counts within each one.
        below = np.cumsum(np.concatenate([sign, np.zeros(len(points), np.int64)])[order])
        found = np.empty(len(order), np.int64)
        found[order] = below
        return -found[len(sign) :]

    def crossings(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where lines along z through `columns` (m, 2) meet the surface.

        Two triangles decide in the same arithmetic on which side of their common edge a line is, so that it never slips
        through between them, nor meets both.

        Returns:
            Of each meeting: the index of the column, z (m), and +1 where the line leaves upwards, -1 where it enters.
        """
        order = np.argsort(columns[:, 0], kind="stable")
        x, y = columns[order].T
        corners = self.vertices[self.faces]
        low, high = corners.min(1), corners.max(1)
        begin, end = np.searchsorted(x, low[:, 0], "left"), np.searchsorted(x, high[:, 0], "right")
        found = []
        for faces, places in ranges(begin, end):
            near = (low[faces, 1] <= y[places]) & (y[places] <= high[faces, 1])
            faces, places = faces[near], places[near]
            sign = np.zeros(len(faces), np.int64)
            for one, two in ((0, 1), (1, 2), (2, 0)):
                i, j = self.faces[faces, one], self.faces[faces, two]
                (x0, y0), (x1, y1) = (self.vertices[k][:, :2].T for k in (np.minimum(i, j), np.maximum(i, j)))
                across = (y0 > y[places]) != (y1 > y[places])
                slope = (x1 - x0) / np.where(across, y1 - y0, 1.0)
                across &= x[places] < x0 + (y[places] - y0) * slope
                upwards = (y1 > y0) == (i < j)
                sign += np.where(across, np.where(upwards, 1, -1), 0)
            met = sign != 0
            faces, places, sign = faces[met], places[met], sign[met]
            height = self._height(corners[faces], x[places], y[places])
            found.append((order[places], np.clip(height, low[faces, 2], high[faces, 2]), sign))
        columns_, heights, signs = zip(*found, strict=True) if found else ((), (), ())
        none = [np.zeros(0)]
        return (
            np.concatenate(columns_ or none).astype(np.int64),
            np.concatenate(heights or none),
            np.concatenate(signs or none).astype(np.int64),
        )

    @staticmethod
    def _height(corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """z of the planes of triangles (k, 3, 3) above places; any number of those that stand upright."""
        along, beside = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        normal = np.cross(along, beside)
        up = np.where(normal[:, 2] == 0.0, 1e-300, normal[:, 2])
        aside = normal[:, 0] * (x - corners[:, 0, 0]) + normal[:, 1] * (y - corners[:, 0, 1])
        with np.errstate(over="ignore", invalid="ignore"):
            return np.nan_to_num(corners[:, 0, 2] - aside / up)


def ranges(begin: np.ndarray, end: np.ndarray):
    """All (i, j) with begin[i] <= j < end[i], in pieces of about `PAIRS`: two arrays each."""
    counts = np.maximum(end - begin, 0)
    cuts = np.searchsorted(np.cumsum(counts), np.arange(PAIRS, counts.sum(), PAIRS)) + 1
    for own in np.split(np.arange(len(counts)), np.unique(cuts)):
        if (total := counts[own].sum()) > 0:
            i = np.repeat(own, counts[own])
            starts = np.repeat(np.cumsum(counts[own]) - counts[own], counts[own])
            yield i, begin[i] + np.arange(total) - starts
