"""The points of meshes that MuJoCo does not read, Collada and binary glTF: all that a convex hull needs of them."""

import json
import struct
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from genesis.errors import GenesisValueError
from genesis.loaders import rotations
from genesis.loaders.collada import collada_parts

FLOAT = 5126
"""glTF's code of float32."""


def points(path: Path) -> np.ndarray:
    """(n, 3) corners of all that the file's scene shows, in its axes, m. Its up axis turns nothing.

    Raises:
        GenesisValueError: The file is of another kind, cannot be read, or has no points.
    """
    readers = {".dae": _of_collada, ".glb": _of_gltf}
    kind = path.suffix.lower()
    if kind not in readers:
        raise GenesisValueError(f"mesh {str(path)!r} must be one of {', '.join(readers)}, got {kind}. Convert it.")
    try:
        whole = readers[kind](path)
    except (ElementTree.ParseError, LookupError, TypeError, ValueError, OSError, struct.error) as error:
        raise GenesisValueError(f"mesh {str(path)!r} must be a whole {kind} file, got: {error}. Convert it.") from None
    if len(whole) == 0 or not np.isfinite(whole).all():
        raise GenesisValueError(f"mesh {str(path)!r} must have finite points, got {len(whole)}. Convert it.")
    return np.unique(whole, axis=0)


def _of_gltf(path: Path) -> np.ndarray:
    data = path.read_bytes()
    chunks, at = [], 12
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        chunks.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    told, found = json.loads(chunks[0]), []

    def corners(accessor: int) -> np.ndarray:
        about = told["accessors"][accessor]
        view = told["bufferViews"][about["bufferView"]]
        if about["componentType"] != FLOAT or view.get("buffer", 0) != 0:
            raise ValueError("points that are not float32 in the file itself")
        stride = view.get("byteStride", 12)
        start = view.get("byteOffset", 0) + about.get("byteOffset", 0)
        rows = [np.frombuffer(chunks[1], "<f4", 3, start + stride * row) for row in range(about["count"])]
        return np.array(rows, dtype=np.float64).reshape(-1, 3)

    def walk(index: int, above: np.ndarray) -> None:
        node = told["nodes"][index]
        here = above @ _of_node(node)
        for part in told["meshes"][node["mesh"]]["primitives"] if "mesh" in node else ():
            found.append(corners(part["attributes"]["POSITION"]) @ here[:3, :3].T + here[:3, 3])
        for child in node.get("children", ()):
            walk(child, here)

    for root in told["scenes"][told.get("scene", 0)]["nodes"]:
        walk(root, np.eye(4))
    return np.concatenate(found or [np.zeros((0, 3))])


def _of_node(node: dict[str, Any]) -> np.ndarray:
    """(4, 4) of a node of glTF: its matrix, by columns, or translation, rotation (x, y, z, w) and scale."""
    if "matrix" in node:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    whole = np.eye(4)
    x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
    whole[:3, :3] = rotations.matrix(np.array([w, x, y, z])) @ np.diag(node.get("scale", (1.0, 1.0, 1.0)))
    whole[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return whole


def _of_collada(path: Path) -> np.ndarray:
    return np.concatenate([np.zeros((0, 3)), *(part.corners for part in collada_parts(path))])


def is_text_stl(path: Path) -> bool:
    """Whether it is an STL file in words, which MuJoCo does not read."""
    if path.suffix.lower() != ".stl":
        return False
    with path.open("rb") as stream:
        head = stream.read(84)
    if len(head) < 84:
        return head.lstrip().startswith(b"solid")
    (count,) = struct.unpack_from("<I", head, 80)
    return head.lstrip().startswith(b"solid") and path.stat().st_size != 84 + 50 * count


def text_stl(path: Path) -> np.ndarray:
    """(3 n, 3) corners of its triangles, m. Raises GenesisValueError."""
    words = path.read_text(encoding="utf-8", errors="replace").split()
    try:
        rows = [[float(x) for x in words[i + 1 : i + 4]] for i, word in enumerate(words) if word == "vertex"]
        corners = np.array(rows, dtype=np.float32).reshape(-1, 3)
    except ValueError as error:
        raise GenesisValueError(f"mesh {str(path)!r} must be a whole STL file, got: {error}. Convert it.") from None
    if len(corners) < 3 or len(corners) % 3:
        raise GenesisValueError(
            f"mesh {str(path)!r} must have whole triangles, got {len(corners)} corners. Convert it."
        )
    return corners
