"""Convex meshes as the narrow phase reads them: all hulls of a scene in one array of reals and one of integers.

A hull is known by the position of its header in the integers:

    FIRST     its first vertex; vertex i is numbers 3 i, 3 i + 1, 3 i + 2 of the reals, in the frame of its geom
    COUNT     how many vertices
    NORMALS   its first polygon's normal, counted like vertices; the others follow
    POLYGONS  where its list of (position of the corners, how many) begins, one pair for each polygon; how many polygons
    AROUND    where its list of (position of the polygons, how many) begins, one pair for each vertex
    BESIDE    where its list of (position of the neighbours, how many) begins, one pair for each vertex

Corners, polygons and neighbours are numbered from the hull's first. Corners go counter-clockwise, seen from outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FIRST, COUNT, NORMALS, POLYGONS, N_POLYGONS, AROUND, BESIDE, HEADER = range(8)

CORNERS = 64
"""Most corners of a polygon from which contacts of faces are made; pairs with larger ones touch in one point."""


POINT, SEGMENT, CUBE = range(3)
"""What spheres, capsules and boxes are, scaled: in front of all hulls of a scene."""


@dataclass(frozen=True)
class Hull:
    """A convex mesh: `vertices` (n, 3); its polygons' corners, normals (m, 3); polygons and neighbours of vertices."""

    vertices: np.ndarray
    polygons: Sequence[Sequence[int]]
    normals: np.ndarray
    around: Sequence[Sequence[int]]
    beside: Sequence[Sequence[int]]


def of_model(model: Any, mesh: int) -> Hull:
    """The hull that MuJoCo's compiler made of a mesh; vertices inside of it are dropped."""
    first, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
    start, many = int(model.mesh_polyadr[mesh]), int(model.mesh_polynum[mesh])
    polygons = [
        model.mesh_polyvert[model.mesh_polyvertadr[i] : model.mesh_polyvertadr[i] + model.mesh_polyvertnum[i]]
        for i in range(start, start + many)
    ]
    around = [
        model.mesh_polymap[model.mesh_polymapadr[i] : model.mesh_polymapadr[i] + model.mesh_polymapnum[i]]
        for i in range(first, first + count)
    ]
    beside: list[list[int]] = [[] for _ in range(count)]
    graph = int(model.mesh_graphadr[mesh])
    if graph >= 0:
        corners = int(model.mesh_graph[graph])
        at = model.mesh_graph[graph + 2 : graph + 2 + corners]
        name = model.mesh_graph[graph + 2 + corners : graph + 2 + 2 * corners]
        edges = model.mesh_graph[graph + 2 + 2 * corners :]
        for local in range(corners):
            i = int(at[local])
            while edges[i] >= 0:
                beside[int(name[local])].append(int(name[edges[i]]))
                i += 1
        kept = sorted(int(i) for i in name)
    else:
        kept = list(range(count))
    number = {old: new for new, old in enumerate(kept)}
    return Hull(
        model.mesh_vert[first : first + count][kept].astype(np.float64),
        [[number[int(i)] for i in polygon if int(i) in number] for polygon in polygons],
        model.mesh_polynormal[start : start + many].astype(np.float64),
        [[int(i) for i in around[old]] for old in kept],
        [[number[i] for i in beside[old]] for old in kept],
    )


def _forms() -> tuple[Hull, Hull, Hull]:
    """The point, the segment, and the cube: bit c of a vertex says whether coordinate c is positive."""
    none = np.zeros((0, 3))
    point = Hull(np.zeros((1, 3)), [], none, [[]], [[]])
    segment = Hull(np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]]), [], none, [[], []], [[1], [0]])
    corners = range(8)
    vertices = np.array([[2.0 * (i >> c & 1) - 1.0 for c in range(3)] for i in corners])
    clockwise = ((7, 3, 1, 5), (2, 6, 4, 0), (2, 3, 7, 6), (4, 5, 1, 0), (6, 7, 5, 4), (3, 2, 0, 1))
    normals = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], float)
    around = [[face for face in range(6) if i in clockwise[face]] for i in corners]
    beside = [[i ^ 1, i ^ 2, i ^ 4] for i in corners]
    return point, segment, Hull(vertices, [face[::-1] for face in clockwise], normals, around, beside)


def pack(hulls: Sequence[Hull]) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """The reals, the integers (int32), and where in these the header of each form and of each hull stands."""
    reals: list[np.ndarray] = []
    whole: list[int] = []
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

    for hull in (*_forms(), *hulls):
        polygons, around, beside = listed(hull.polygons), listed(hull.around), listed(hull.beside)
        headers.append(len(whole))
        count = len(hull.vertices)
        whole.extend((points, count, points + count, polygons, len(hull.polygons), around, beside))
        reals.extend((hull.vertices, hull.normals))
        points += count + len(hull.normals)
    numbers = np.concatenate([each.reshape(-1) for each in reals])
    return numbers, np.array(whole, np.int32), headers
