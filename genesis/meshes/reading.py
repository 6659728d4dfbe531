"""Files of triangles as closed surfaces, read by trimesh, which is asked for only when a file is read."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genesis.errors import GenesisValueError, optional_import
from genesis.meshes.crossing import first_crossing
from genesis.meshes.surface import Surface
from genesis.runtime import logger

FORMATS = (".glb", ".gltf", ".obj", ".off", ".ply", ".stl")
SAME = 1e-7
"""Corners that are closer than this part of the mesh's extent are one."""
FLAT = 1e-9
"""Least volume, in cubes of the extent."""
LOOKED_THROUGH = 100_000
"""Triangles up to which a mesh is searched for those that cross others."""


def trimesh() -> Any:
    """trimesh's module, untyped."""
    with optional_import("trimesh", "mesh", "to read meshes"):
        import trimesh as module
    return module


def read_surface(file: Path, scale: tuple[float, float, float]) -> Surface:
    """The surface in a file, its parts together, in the file's axes, whose units are `scale` m each.

    Corners in one place become one. A surface that is inside out as a whole is turned, with a warning.

    Raises:
        GenesisImportError: trimesh is not installed.
        GenesisValueError: The file is of another format, cannot be read, or does not hold a closed surface that
            encloses a volume once.
    """
    what = f"mesh {str(file)!r}"
    if file.suffix.lower() not in FORMATS:
        raise GenesisValueError(
            f"{what} must be one of {', '.join(FORMATS)}, got {file.suffix or 'no ending'}. Convert it."
        )
    surface = _joined(what, *_triangles(what, file), np.array(scale))
    edges, uses, turns = _edges(surface.faces)
    if (lone := uses != 2).any():
        at = surface.vertices[edges[lone][0]].mean(0)
        raise GenesisValueError(
            f"{what} must be closed, got {int(lone.sum())} edges that do not have two triangles, the first at "
            f"{_place(at)} m. Close it, unite pieces that touch, or take its convex hull, in a mesh editor."
        )
    if (same := turns != 0).any():
        raise GenesisValueError(
            f"{what} must have the corners of all triangles in one sense, got {int(same.sum())} edges along which two "
            f"disagree, the first at {_place(surface.vertices[edges[same][0]].mean(0))} m. "
            "Let a mesh editor make the normals consistent."
        )
    extent = float((surface.upper - surface.lower).max())
    if abs(surface.volume) < FLAT * extent**3:
        raise GenesisValueError(
            f"{what} must enclose a volume, got {abs(surface.volume):.3g} m^3 in an extent of {extent:.3g} m. "
            "Give it a thickness."
        )
    if surface.volume < 0.0:
        logger.warning(f"{what} must have normals outwards, got a surface inside out, which is turned.")
        surface = Surface(surface.vertices, np.ascontiguousarray(surface.faces[:, ::-1]))
    if len(surface.faces) <= LOOKED_THROUGH and (at := first_crossing(surface, edges)) is not None:
        raise GenesisValueError(
            f"{what} must not cross itself, got triangles that do, the first at {_place(at)} m. "
            "Unite its parts in a mesh editor."
        )
    _check_parts(what, surface)
    return surface


def _triangles(what: str, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Corners (n, 3), in the file's units, and triangles (f, 3) of all that the file's scene shows."""
    corners, faces, n = [np.zeros((0, 3))], [np.zeros((0, 3), np.int64)], 0
    for part in read_parts(what, file):
        corners.append(part.corners)
        faces.append(n + part.faces)
        n += len(part.corners)
    return np.concatenate(corners), np.concatenate(faces)


class Part(NamedTuple):
    """A part of what a file shows."""

    corners: np.ndarray
    """(n, 3) in the file's axes and units."""
    faces: np.ndarray
    """(f, 3)."""
    rgb: tuple[float, float, float] | None = None
    """Its mean colour, as displays take it, 0 … 1; None: the file does not say."""


def can_read() -> bool:
    """Whether trimesh is installed."""
    return find_spec("trimesh") is not None


def read_parts(what: str, file: Path) -> list[Part]:
    """All parts that a file's scene shows, closed or not.

    Raises:
        GenesisImportError: trimesh is not installed.
        GenesisValueError: It cannot be read.
    """
    module, parts = trimesh(), []
    try:
        scene = module.load_scene(str(file), process=False)
        for node in scene.graph.nodes_geometry:
            turn, name = scene.graph[node]
            part = scene.geometry[name]
            if hasattr(part, "faces"):
                corners = np.asarray(part.vertices, float) @ turn[:3, :3].T + turn[:3, 3]
                own = np.asarray(part.faces, np.int64)
                parts.append(Part(corners, own[:, ::-1] if np.linalg.det(turn[:3, :3]) < 0 else own, _color(part)))
    except Exception as error:  # each format has errors of its own
        raise GenesisValueError(
            f"{what} must be a whole {file.suffix.lower()} file, got: {type(error).__name__}: {error}. Write it again."
        ) from None
    return parts


def _color(part: Any) -> tuple[float, float, float] | None:
    """Mean colour of a part of trimesh's, of its vertices, its material or the texture; None if its file gives none, or
    one that cannot be read, for what it looks like is no part of a surface."""
    look = part.visual
    if not look.defined:
        return None
    try:
        if look.kind == "texture":
            images = (getattr(look.material, name, None) for name in ("image", "baseColorTexture"))
            plain = all(image is None for image in images)
            rows = np.asarray(look.material.main_color)[None] if plain else np.asarray(look.to_color().vertex_colors)
        else:
            rows = np.asarray(look.vertex_colors)
        red, green, blue = np.clip(rows[:, :3].mean(0) / 255, 0.0, 1.0).tolist()
    except Exception:  # each kind has errors of its own
        return None
    return red, green, blue


def _joined(what: str, corners: np.ndarray, faces: np.ndarray, scale: np.ndarray) -> Surface:
    """The surface, with one vertex where several corners are, and without triangles that have no area for this."""
    if len(faces) == 0:
        raise GenesisValueError(f"{what} must have triangles, got none. Export faces, not points or curves alone.")
    if not np.isfinite(corners[faces]).all():
        raise GenesisValueError(f"{what} must have finite corners, got NaN or inf. Write it again.")
    corners, faces = corners[faces].reshape(-1, 3) * scale, np.arange(3 * len(faces)).reshape(-1, 3)
    extent = float(np.ptp(corners, axis=0).max()) or 1.0
    _, first, of = np.unique(np.round(corners / (SAME * extent)), axis=0, return_index=True, return_inverse=True)
    faces = of.ravel()[faces]
    own = (faces != np.roll(faces, 1, axis=1)).all(1)
    if not own.any():
        raise GenesisValueError(f"{what} must have triangles with an area, got none. Scale or mend it.")
    used, faces = np.unique(faces[own], return_inverse=True)
    return Surface(corners[first][used], faces.reshape(-1, 3))


def _edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges (e, 2), lower index first, how many triangles have each, and how many more have it upwards than down."""
    along = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges, of = np.unique(np.sort(along, axis=1), axis=0, return_inverse=True)
    upwards = np.where(along[:, 0] < along[:, 1], 1, -1)
    turns = np.bincount(of.ravel(), upwards, len(edges))
    return edges, np.bincount(of.ravel(), minlength=len(edges)), turns.astype(np.int64)


def _check_parts(what: str, surface: Surface) -> None:
    """Raise unless of several pieces each is outside of all others, or a hollow in one."""
    part = _parts(surface)
    n = int(part.max()) + 1
    if n == 1:
        return
    for k in range(n):
        own, others = (Surface(surface.vertices, surface.faces[chosen]) for chosen in (part == k, part != k))
        at = surface.vertices[own.faces[0, :1]]
        around, hollow = int(others.winding(at)[0]), own.volume < 0
        if around != int(hollow):
            got = "inside out" if hollow else "inside another"
            raise GenesisValueError(
                f"{what} must have pieces beside each other, got {n}, of which one at {_place(at[0])} m is {got}. "
                "Unite them in a mesh editor, with their normals outwards."
            )


def _parts(surface: Surface) -> np.ndarray:
    """(f,) number of the connected piece that each triangle belongs to."""
    label = np.arange(len(surface.vertices))
    while True:
        least = label[surface.faces].min(1)
        new = label.copy()
        for k in range(3):
            np.minimum.at(new, surface.faces[:, k], least)
        new = new[new]
        if (new == label).all():
            return np.unique(label[surface.faces[:, 0]], return_inverse=True)[1].ravel()
        label = new


def _place(point: np.ndarray) -> str:
    return f"({', '.join(f'{x:.4g}' for x in point)})"
