"""What only can be seen of a robot, as plain arrays; a mesh that several shapes have is stored once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from genesis.loaders.parts import Visual
from genesis.meshes.triangles import TriangleMesh

COLUMNS = ("name", "kind", "link", "pos", "quat", "size")


def arrays(visuals: Sequence[Visual]) -> dict[str, np.ndarray]:
    """Arrays over the shapes, and those of all meshes one after the other; none of no shapes."""
    if not visuals:
        return {}
    found: dict[str, Any] = {f"visuals.{name}": np.array([getattr(each, name) for each in visuals]) for name in COLUMNS}
    found["visuals.tint"] = np.array([each.tint or (np.nan,) * 3 for each in visuals])
    meshes: dict[int, TriangleMesh] = {id(each.mesh): each.mesh for each in visuals if each.mesh is not None}
    places = {key: place for place, key in enumerate(meshes)}
    found["visuals.mesh"] = np.array([places.get(id(each.mesh), -1) for each in visuals])
    if meshes:
        found["meshes.counts"] = np.array([(len(mesh.vertices), len(mesh.faces)) for mesh in meshes.values()])
        found["meshes.vertices"] = np.concatenate([mesh.vertices for mesh in meshes.values()])
        found["meshes.faces"] = np.concatenate([mesh.faces for mesh in meshes.values()]).astype(np.int32)
    return found


def visuals(stored: dict[str, np.ndarray]) -> tuple[Visual, ...]:
    """What `arrays` was made of."""
    if "visuals.name" not in stored:
        return ()
    meshes: list[TriangleMesh | None] = []
    vertex, face = 0, 0
    for n_vertices, n_faces in stored.get("meshes.counts", np.zeros((0, 2), int)).tolist():
        own = stored["meshes.vertices"][vertex : vertex + n_vertices]
        meshes.append(TriangleMesh(own, stored["meshes.faces"][face : face + n_faces].astype(np.int64)))
        vertex, face = vertex + n_vertices, face + n_faces
    columns = [stored[f"visuals.{name}"].tolist() for name in (*COLUMNS, "tint", "mesh")]
    return tuple(
        Visual(
            name, kind, link, tuple(pos), tuple(quat), tuple(size),
            None if np.isnan(tint[0]) else tuple(tint),
            (*meshes, None)[mesh],
        )
        for name, kind, link, pos, quat, size, tint, mesh in zip(*columns, strict=True)
    )  # fmt: skip
