"""Meshes of MJCF files that are only there to be seen, and are not there: left out before MuJoCo's compiler asks for
them."""

from pathlib import Path
from typing import Any

import numpy as np

from genesis.loaders.lazy_import import mujoco
from genesis.loaders.reading import listed


def leave_out_unseen(spec: Any, file: Path) -> list[str]:
    """Takes geoms of missing meshes out of MuJoCo's specification where nothing else than the picture needs them: they
    touch nothing, and their bodies have a mass and inertia of their own. Returns what is to be said."""
    folder = file.parent / str(getattr(spec, "meshdir", "") or getattr(spec.compiler, "meshdir", "") or "")
    gone = {
        mesh.name: str(mesh.file)
        for mesh in spec.meshes
        if mesh.file and not any((place / mesh.file).is_file() for place in (folder, file.parent))
    }
    if not gone:
        return []
    users: dict[str, list[Any]] = {name: [] for name in gone}
    for geom in spec.geoms:
        if geom.meshname in gone:
            users[geom.meshname].append(geom)
    paired = {name for pair in spec.pairs for name in (pair.geomname1, pair.geomname2)}
    left = {name for name, geoms in users.items() if geoms and all(_only_seen(geom, paired) for geom in geoms)}
    for mesh in [mesh for mesh in spec.meshes if mesh.name in left]:
        for geom in users[mesh.name]:
            spec.delete(geom)
        spec.delete(mesh)
    if not left:
        return []
    return [
        f"meshes that are only seen of {str(file)!r} must exist to be drawn, got no file of "
        f"{listed([gone[name] for name in gone if name in left])}, which are left out. Put them into {str(folder)!r}."
    ]


def _only_seen(geom: Any, paired: set[str]) -> bool:
    if geom.contype or geom.conaffinity or (geom.name and geom.name in paired):
        return False
    weightless = geom.mass == 0 or (not np.isfinite(geom.mass) and geom.density == 0)
    body = geom.parent
    inferred = int(body.explicitinertial) == 0
    return geom.type == mujoco().mjtGeom.mjGEOM_MESH and (weightless or not inferred or body.name == "world")
