"""Convex meshes as the narrow phase reads them: all hulls of a scene in one array of reals and one of integers.

A hull is known by the position of its header in the integers:

    FIRST     its first vertex; vertex i is numbers 3 i, 3 i + 1, 3 i + 2 of the reals, in the frame of its geom
    COUNT     how many vertices
    NORMALS   its first polygon's normal, counted like vertices; the others follow
    POLYGONS  where its list of (position of the corners, how many) begins, one pair for each polygon; how many polygons
    AROUND    where its list of (position of the polygons, how many) begins, one pair for each vertex
    BESIDE    where its list of (position of the neighbours, how many) begins, one pair for each vertex
    START     a vertex that has neighbours

Corners and polygons are numbered from the hull's first. Corners go counter-clockwise, seen from outside. The integers
begin with the most corners of a polygon and where the headers of FORMS stand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FIRST, COUNT, NORMALS, POLYGONS, N_POLYGONS, AROUND, BESIDE, START, HEADER = range(9)

FORMS = POINT, SEGMENT, CUBE, PRISM = range(4)
"""What spheres, capsules, boxes and (where faces meet) cylinders are, scaled: in front of all hulls of a scene."""
SIDES = 16
"""Corners of a cylinder's cap, as MuJoCo counts them."""


@dataclass(frozen=True)
class Hull:
    """A convex mesh: `vertices` (n, 3); its polygons' corners, normals (m, 3); polygons of each vertex."""

    vertices: np.ndarray
    polygons: Sequence[Sequence[int]]
    normals: np.ndarray
    around: Sequence[Sequence[int]]

    def beside(self) -> list[list[int]]:
        """Vertices that share an edge with each vertex."""
        found: list[set[int]] = [set() for _ in self.vertices]
        for corners in self.polygons:
            for one, two in zip(corners, [*corners[1:], corners[0]], strict=True):
                found[one].add(two)
                found[two].add(one)
        return [sorted(own) for own in found]


def hull_of(vertices: np.ndarray, polygons: Sequence[Sequence[int]]) -> Hull:
    """The hull with these corners (n, 3), m, and these faces, by the indices of their corners."""
    around: list[list[int]] = [[] for _ in vertices]
    for face, corners in enumerate(polygons):
        for i in corners:
            around[i].append(face)
    return Hull(np.asarray(vertices, float), polygons, normals_of(vertices, polygons), around)


def normals_of(vertices: np.ndarray, polygons: Sequence[Sequence[int]]) -> np.ndarray:
    """(m, 3) unit normals of flat polygons of vertices (n, 3), counter-clockwise seen from their tips."""
    lengths = np.array([len(corners) for corners in polygons], int)
    ends = np.cumsum(lengths)
    ring = np.array([i for corners in polygons for i in corners], int)
    following = np.arange(1, len(ring) + 1)
    following[ends - 1] = ends - lengths
    across = np.cross(vertices[ring], vertices[ring[following]])
    totals = [across[end - length : end].sum(0) for end, length in zip(ends, lengths, strict=True)]
    return np.array([total / np.linalg.norm(total) for total in totals]).reshape(-1, 3)


def forms() -> tuple[Hull, Hull, Hull, Hull]:
    """The point, the segment, the cube (bit c of a vertex says whether coordinate c is positive), and the prism with
    the caps of a cylinder, upper one first."""
    none = np.zeros((0, 3))
    point = Hull(np.zeros((1, 3)), [], none, [[]])
    segment = Hull(np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]]), [], none, [[], []])
    corners = range(8)
    vertices = np.array([[2.0 * (i >> c & 1) - 1.0 for c in range(3)] for i in corners])
    clockwise = ((7, 3, 1, 5), (2, 6, 4, 0), (2, 3, 7, 6), (4, 5, 1, 0), (6, 7, 5, 4), (3, 2, 0, 1))
    normals = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], float)
    around = [[face for face in range(6) if i in clockwise[face]] for i in corners]
    cube = Hull(vertices, [face[::-1] for face in clockwise], normals, around)
    angles = 2.0 * np.pi / SIDES * np.arange(SIDES)
    ends = [np.stack([np.cos(angles), -up * np.sin(angles), np.full(SIDES, up)], 1) for up in (1.0, -1.0)]
    caps = [range(SIDES)[::-1], range(SIDES, 2 * SIDES)[::-1]]
    prism = Hull(np.concatenate(ends), caps, np.array([[0, 0, 1.0], [0, 0, -1.0]]), [[0]] * SIDES + [[1]] * SIDES)
    return point, segment, cube, prism


def pack(hulls: Sequence[Hull]) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The reals, the integers (int32), and where in these the header of each form and of each hull stands."""
    both = (*forms(), *hulls)
    reals: list[np.ndarray] = []
    whole: list[int] = [max(len(polygon) for hull in both for polygon in hull.polygons), *FORMS]
    headers = []
    points = 0

    def listed(lists: Sequence[Sequence[int]]) -> int:
        places = []
        for each in lists:
            places.append((len(whole), len(each)))
            whole.extend(int(i) for i in each)
        start = len(whole)
        for place in places:
            whole.extend(place)
        return start

    for hull in both:
        polygons, around, neighbours = listed(hull.polygons), listed(hull.around), hull.beside()
        beside = listed(neighbours)
        start = next((i for i, own in enumerate(neighbours) if own), 0)
        headers.append(len(whole))
        count = len(hull.vertices)
        whole.extend((points, count, points + count, polygons, len(hull.polygons), around, beside, start))
        reals.extend((hull.vertices, hull.normals))
        points += count + len(hull.normals)
    whole[1 : 1 + len(FORMS)] = headers[: len(FORMS)]
    return np.concatenate([each.reshape(-1) for each in reals]), np.array(whole, np.int32), headers
