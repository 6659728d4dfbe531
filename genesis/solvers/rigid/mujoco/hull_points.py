"""What of a convex mesh touches a ground, as MuJoCo 4 has it: the deepest corner, and those of that face around it
which faces the ground most. Of a face with more than four corners those count that span the most area with the deepest.

Rows of four numbers, counted from the first: `HULL_HEAD` empty ones; the corners (x, y, z, row of its first face), many
of them so ordered that each `CLUSTER` lie together; the clusters as spheres (mean, greatest distance from it); and of
each corner its faces, two rows each: (normal, 1 if it is the last), (rows of up to three other corners, 0: none; -).
"""

import numpy as np

from genesis.contact.narrow_phase.hulls import normals_of
from genesis.loaders.lazy_import import mujoco
from genesis.solvers.rigid.mujoco.layout import CLUSTER, HULL_HEAD


def hull_rows(corners: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, int]:
    """(rows, 4) of the corners (n, 3) of a hull, in any frame, and how many of them count; `faces` as of `Geom`."""
    if len(faces) == 0:
        kept, faces = faces_of(corners)
        corners = corners[kept]
    if len(corners) > 2 * CLUSTER:
        order = neighbours_together(corners)
        corners, faces = corners[order], np.stack([faces[:, 0], np.argsort(order)[faces[:, 1]]], axis=1)
    starts = np.flatnonzero(np.diff(faces[:, 0], prepend=-1))
    polygons = [tuple(own.tolist()) for own in np.split(faces[:, 1], starts[1:])]
    around: list[list[int]] = [[] for _ in corners]
    for face, polygon in enumerate(polygons):
        for i in polygon:
            around[i].append(face)
    normals = normals_of(corners, polygons)
    flat = [_flattened(corners[list(p)], n) if len(p) > 4 else p for p, n in zip(polygons, normals, strict=True)]
    vertices, rows = np.zeros((len(corners), 4)), []
    clusters = clusters_of(corners)
    begin = HULL_HEAD + len(corners) + len(clusters)
    for i, own in enumerate(around):
        vertices[i] = (*corners[i], begin + len(rows))
        for face in own:
            polygon = polygons[face]
            others = [HULL_HEAD + polygon[k] for k in _others(flat[face], polygon.index(i))]
            rows.append((*normals[face], float(face == own[-1])))
            rows.append((*others, *[0] * (4 - len(others))))
    return np.concatenate([np.zeros((HULL_HEAD, 4)), vertices, clusters, np.array(rows, float)]), len(corners)


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


def faces_of(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of corners (n, 3) MuJoCo's compiler finds at their hull, for rounding may put some into a face, and `faces`
    of these, as of `Geom`: triangles in one plane are one face."""
    kept = np.arange(len(corners))
    library = mujoco("to find the faces of a convex mesh", "choose a CompliantContact")
    while True:
        spec = library.MjSpec()
        shell = library.mjtMeshInertia.mjMESH_INERTIA_SHELL
        spec.add_mesh(name="hull", uservert=np.asarray(corners[kept], np.float32).ravel(), inertia=shell)
        spec.worldbody.add_geom(type=library.mjtGeom.mjGEOM_MESH, meshname="hull")
        model = spec.compile()
        graph, lengths = model.mesh_graph, model.mesh_polyvertnum
        if graph[0] == len(kept):
            return kept, np.stack([np.repeat(np.arange(len(lengths)), lengths), model.mesh_polyvert], axis=1)
        kept = kept[np.sort(graph[2 + graph[0] : 2 + 2 * graph[0]])]


def _others(flat: list[tuple[float, float]], first: int) -> list[int]:
    """Which other corners of a face, given by places in its plane, touch if the `first` is deepest: at most three. They
    advance from its neighbours as long as the quadrilateral grows, which is MuJoCo's way to a great one."""
    n = len(flat)
    if n <= 4:
        return [(first + k) % n for k in range(1, n)]
    x0, y0 = flat[first]

    def area(b: int, c: int, d: int) -> float:
        (xb, yb), (xc, yc), (xd, yd) = flat[(first + b) % n], flat[(first + c) % n], flat[(first + d) % n]
        return abs((xc - x0) * (yd - yb) - (yc - y0) * (xd - xb))

    b, c, d = 1, 2, 3
    most = area(b, c, d)
    while (larger := area(b, c, (d + 1) % n)) > most:
        most, d = larger, (d + 1) % n
        while (larger := area(b, (c + 1) % n, d)) > most:
            most, c = larger, (c + 1) % n
        while (larger := area((b + 1) % n, c, d)) > most:
            most, b = larger, (b + 1) % n
    return [(first + k) % n for k in (b, c, d)]


def _flattened(ring: np.ndarray, normal: np.ndarray) -> list[tuple[float, float]]:
    """Coordinates (n, 2) in its plane of a flat polygon (n, 3)."""
    side = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
    side /= np.linalg.norm(side)
    return [(x, y) for x, y in np.stack([ring @ side, ring @ np.cross(normal, side)], 1).tolist()]
