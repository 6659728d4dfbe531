"""Convex parts of a surface that is not convex, by CoACD, which is asked for only when a mesh is to be cut.

Source: Wei, Liu, Ling, Su, Approximate Convex Decomposition for 3D Meshes with Collision-Aware Concavity and Tree
Search (2022).
"""
# pyright: reportMissingImports=false

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from genesis.errors import GenesisValueError, optional_import
from genesis.folders import cache_folder, whole_file
from genesis.meshes.surface import Surface

VERSION = 1
"""Of what the parts mean; raise it when the same surface gives others."""
SETTINGS: dict[str, Any] = {"threshold": 0.05, "decimate": True, "max_ch_vertex": 64, "seed": 0}
"""Of CoACD: the concavity that a part may have, in parts of the extent, and the corners that its hull may have."""


def coacd() -> Any:
    """CoACD's module, untyped."""
    with optional_import("coacd", "convex", "to cut meshes into convex parts", "leave decompose out: one hull touches"):
        import coacd as module
    return module


def convex_parts(surface: Surface) -> list[np.ndarray]:
    """Of each part the corners (n, 3) that its hull is spanned by, m. Computed once and kept in the user's cache folder
    by the surface's content.

    Raises:
        GenesisImportError: CoACD is not installed.
        GenesisValueError: It finds no parts.
    """
    digest = hashlib.sha256(repr((VERSION, sorted(SETTINGS.items()))).encode())
    for array in (surface.vertices, surface.faces):
        digest.update(np.ascontiguousarray(array).tobytes())
    file = cache_folder("convex_parts") / f"{digest.hexdigest()[:32]}.npz"
    parts = _fetch(file)
    if parts is None:
        module = coacd()
        module.set_log_level("error")
        found = module.run_coacd(module.Mesh(surface.vertices, surface.faces), **SETTINGS)
        parts = [np.array(vertices, np.float64) for vertices, _ in found if len(vertices) > 3]
        if not parts:
            raise GenesisValueError(
                f"a mesh must have convex parts, got none of {len(surface.faces)} triangles. Leave decompose out."
            )
        _keep(file, parts)
    return parts


def _fetch(file: Path) -> list[np.ndarray] | None:
    """What a file of the cache holds; None if there is none, or no such arrays."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            parts = np.split(stored["corners"], np.cumsum(stored["counts"])[:-1])
    except (OSError, ValueError, EOFError, KeyError):
        return None
    return parts if all(len(part) > 3 and np.isfinite(part).all() for part in parts) else None


def _keep(file: Path, parts: list[np.ndarray]) -> None:
    """Store them so that a reader sees all or nothing; a folder that cannot be written is no error."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as stream:
            np.savez(stream, corners=np.concatenate(parts), counts=np.array([len(part) for part in parts]))
    except OSError:
        return
