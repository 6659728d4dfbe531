"""What of a convex mesh touches a ground, as MuJoCo 4 has it: the deepest corner, and those of that face around it
which faces the ground most. Of a face with more than four corners those count that span the most area with the deepest.

Rows of four numbers, counted from the first: `HULL_HEAD` empty ones; the corners (x, y, z, row of its first face), many
of them so ordered that each `CLUSTER` lie together; the clusters as spheres (mean, greatest distance from it); and of
each corner its faces, two rows each: (normal, 1 if it is the last), (rows of up to three other corners, 0: none; -).
"""

import numpy as np

from genesis.loaders.lazy_import import mujoco
from genesis.solvers.rigid.mujoco.layout import CLUSTER, HULL_HEAD


def hull_rows(corners: np.ndarray) -> tuple[np.ndarray, int]:
    """(rows, 4) of the corners (n, 3) of a hull, and how many of them count."""
    if len(corners) > 2 * CLUSTER:
        corners = corners[neighbours_together(corners)]
    kept, polygons, around = faces_of(corners)
    corners = corners[kept]
    normals = [_normal(corners[list(polygon)]) for polygon in polygons]
    vertices, faces = np.zeros((len(corners), 4)), []
    clusters = clusters_of(corners)
    begin = HULL_HEAD + len(corners) + len(clusters)
    for i, own in enumerate(around):
        vertices[i] = (*corners[i], begin + len(faces))
        for face in own:
            others = [HULL_HEAD + k for k in _others(corners, polygons[face], i)]
            faces.append((*normals[face], float(face == own[-1])))
            faces.append((*others, *[0] * (4 - len(others))))
    return np.concatenate([np.zeros((HULL_HEAD, 4)), vertices, clusters, np.array(faces, float)]), len(corners)


def clusters_of(corners: np.ndarray) -> np.ndarray:
    """(m, 4) spheres about each `CLUSTER` of corners (n, 3)."""
    rows = []
    for begin in range(0, len(corners), CLUSTER):
        own = corners[begin : begin + CLUSTER]
        middle = own.mean(axis=0)
        rows.append((*middle, (1.0 + 1e-6) * np.linalg.norm(own - middle, axis=1).max()))
    return np.array(rows)


def neighbours_together(places: np.ndarray) -> np.ndarray:
    """An order of places (n, 3) in which each `CLUSTER` lie together: halved along their longest side."""
    pieces, whole = [np.arange(len(places))], []
    while pieces:
        piece = pieces.pop()
        if len(piece) <= CLUSTER:
            whole.append(np.sort(piece))
            continue
        axis = np.ptp(places[piece], axis=0).argmax()
        ordered = piece[np.argsort(places[piece, axis], kind="stable")]
        half = CLUSTER * -(-len(piece) // (2 * CLUSTER))
        pieces += [ordered[half:], ordered[:half]]
    return np.concatenate(whole)


def faces_of(corners: np.ndarray) -> tuple[np.ndarray, list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Of the hull of corners (n, 3), by MuJoCo's compiler, for which triangles in one plane are one face.

    Returns:
        Which are its corners: in another frame rounding may put some into a face. Of these the corners of each face,
        counter-clockwise seen from outside, and the faces around each.
    """
    kept, graph, model = np.arange(len(corners)), np.zeros(1), None
    while model is None or graph[0] != len(kept):
        if model is not None:
            kept = kept[np.sort(graph[2 + graph[0] : 2 + 2 * graph[0]])]
        spec = mujoco().MjSpec()
        shell = mujoco().mjtMeshInertia.mjMESH_INERTIA_SHELL
        spec.add_mesh(name="hull", uservert=np.asarray(corners[kept], np.float32).ravel(), inertia=shell)
        spec.worldbody.add_geom(type=mujoco().mjtGeom.mjGEOM_MESH, meshname="hull")
        model = spec.compile()
        graph = model.mesh_graph

    def lists(values: np.ndarray, starts: np.ndarray, counts: np.ndarray) -> list[tuple[int, ...]]:
        return [tuple(values[s : s + n].tolist()) for s, n in zip(starts.tolist(), counts.tolist(), strict=True)]

    polygons = lists(model.mesh_polyvert, model.mesh_polyvertadr, model.mesh_polyvertnum)
    return kept, polygons, lists(model.mesh_polymap, model.mesh_polymapadr, model.mesh_polymapnum)


def _others(corners: np.ndarray, polygon: tuple[int, ...], first: int) -> list[int]:
    """The other corners that touch if `first` of a face is deepest: at most three. They advance from its neighbours as
    long as the quadrilateral grows, which is MuJoCo's way to a great one."""
    at, n = polygon.index(first), len(polygon)
    ring = [*polygon[at:], *polygon[:at]]
    if n <= 4:
        return ring[1:]

    def area(b: int, c: int, d: int) -> float:
        one, two = corners[ring[c]] - corners[ring[0]], corners[ring[d]] - corners[ring[b]]
        return float(np.linalg.norm(np.cross(one, two)))

    b, c, d = 1, 2, 3
    most = area(b, c, d)
    while (larger := area(b, c, (d + 1) % n)) > most:
        most, d = larger, (d + 1) % n
        while (larger := area(b, (c + 1) % n, d)) > most:
            most, c = larger, (c + 1) % n
        while (larger := area((b + 1) % n, c, d)) > most:
            most, b = larger, (b + 1) % n
    return [ring[b], ring[c], ring[d]]


def _normal(ring: np.ndarray) -> np.ndarray:
    total = np.cross(ring, np.roll(ring, -1, 0)).sum(0)
    return total / np.linalg.norm(total)
