"""Meshes and textures of MJCF files that would only be seen, and are not there: left out before MuJoCo's compiler asks
for them."""

from pathlib import Path
from typing import Any

import numpy as np

from genesis.loaders.lazy_import import mujoco
from genesis.loaders.reading import listed


def leave_out_unseen(spec: Any, file: Path) -> list[str]:
    """Takes out of MuJoCo's specification what pictures alone need and no file has: textures, which become gray, and
    meshes of geoms that touch nothing, on bodies with a mass and inertia of their own. Returns what is to be said."""
    gone = [*_meshes(spec, file), *_textures(spec, file)]
    if not gone:
        return []
    folders = " or ".join(dict.fromkeys(repr(str(_folder(spec, file, name))) for name in ("meshdir", "texturedir")))
    return [
        f"what is only seen of {str(file)!r} must exist to be drawn, got no file of {listed(gone)}, which pictures are "
        f"without. Put it into {folders}."
    ]


def _folder(spec: Any, file: Path, name: str) -> Path:
    return file.parent / str(getattr(spec.compiler, name))


def _exists(name: str, *folders: Path) -> bool:
    return any((folder / name).is_file() for folder in folders)


def _meshes(spec: Any, file: Path) -> list[str]:
    """Takes meshes out. Returns their files."""
    folder = _folder(spec, file, "meshdir")
    gone = [mesh for mesh in spec.meshes if mesh.file and not _exists(mesh.file, folder, file.parent)]
    paired = {name for pair in spec.pairs for name in (pair.geomname1, pair.geomname2)}
    left = []
    for mesh in gone:
        users = [geom for geom in spec.geoms if geom.meshname == mesh.name]
        if users and all(_only_seen(spec, geom, paired) for geom in users):
            left.append(str(mesh.file))
            for geom in users:
                spec.delete(geom)
            spec.delete(mesh)
    return left


def _only_seen(spec: Any, geom: Any, paired: set[str]) -> bool:
    if geom.contype or geom.conaffinity or (geom.name and geom.name in paired):
        return False
    low, high = spec.compiler.inertiagrouprange
    weightless = geom.mass == 0 or (not np.isfinite(geom.mass) and geom.density == 0) or not low <= geom.group <= high
    always = int(spec.compiler.inertiafromgeom) == int(mujoco().mjtInertiaFromGeom.mjINERTIAFROMGEOM_TRUE)
    own = bool(geom.parent.explicitinertial) and not always
    return geom.type == mujoco().mjtGeom.mjGEOM_MESH and bool(weightless or own or geom.parent.name == "world")


def _textures(spec: Any, file: Path) -> list[str]:
    """Makes textures gray. Returns their files."""
    folder, left = _folder(spec, file, "texturedir"), []
    for texture in spec.textures:
        names = [name for name in (texture.file, *texture.cubefiles) if name]
        missing = [name for name in names if not _exists(name, folder, file.parent)]
        if missing:
            left += missing[:1]
            texture.file, texture.cubefiles, texture.gridsize = "", [""] * 6, [1, 1]
            texture.builtin, texture.rgb1 = mujoco().mjtBuiltin.mjBUILTIN_FLAT, [0.5, 0.5, 0.5]
            texture.width, texture.height = 1, 1 if texture.type == mujoco().mjtTexture.mjTEXTURE_2D else 6
    return left
