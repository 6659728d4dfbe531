"""The points of Collada files: all that a convex hull needs of them."""

import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from genesis.errors import GenesisValueError


def points(path: Path) -> np.ndarray:
    """(n, 3) corners of all geometries in the file's scene, in its axes, m. The scene's up axis turns nothing.

    Raises:
        GenesisValueError: The file is no Collada file, or has no points.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, UnicodeDecodeError, OSError) as error:
        raise GenesisValueError(f"mesh {str(path)!r} must be a Collada file, got: {error}. Convert it.") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    unit = root.find("asset/unit")
    scale = 1.0 if unit is None else float(unit.get("meter", "1"))
    geometries = {str(each.get("id")): _corners(each) for each in root.iterfind("library_geometries/geometry")}
    shared = {str(node.get("id")): node for node in root.iter("node")}
    found: list[np.ndarray] = []

    def walk(node: ElementTree.Element, above: np.ndarray) -> None:
        here = above @ _transform(node)
        for instance in node.iterfind("instance_geometry"):
            corners = geometries.get(str(instance.get("url")).lstrip("#"), np.zeros((0, 3)))
            found.append(corners @ here[:3, :3].T + here[:3, 3])
        for child in node.iterfind("node"):
            walk(child, here)
        for instance in node.iterfind("instance_node"):
            other = shared.get(str(instance.get("url")).lstrip("#"))
            if other is not None:
                walk(other, here)

    scenes = root.findall("library_visual_scenes/visual_scene")
    chosen = root.find("scene/instance_visual_scene")
    named = None if chosen is None else str(chosen.get("url")).lstrip("#")
    for scene in [scene for scene in scenes if scene.get("id") == named] or scenes:
        for node in scene.iterfind("node"):
            walk(node, np.eye(4))
    whole = scale * np.concatenate(found or list(geometries.values()) or [np.zeros((0, 3))])
    if len(whole) == 0 or not np.isfinite(whole).all():
        raise GenesisValueError(f"mesh {str(path)!r} must have finite points, got {len(whole)}. Convert it.")
    return np.unique(whole, axis=0)


def _corners(geometry: ElementTree.Element) -> np.ndarray:
    sources = {
        str(source.get("id")): np.array((array.text or "").split(), dtype=np.float64)
        if array is not None
        else np.zeros(0)
        for source in geometry.iterfind("mesh/source")
        for array in [source.find("float_array")]
    }
    blocks = [
        sources.get(str(entry.get("source")).lstrip("#"), np.zeros(0)).reshape(-1, 3)
        for entry in geometry.iterfind("mesh/vertices/input")
        if entry.get("semantic") == "POSITION"
    ]
    return np.concatenate(blocks or [np.zeros((0, 3))])


def _transform(node: ElementTree.Element) -> np.ndarray:
    """(4, 4) of a node: its elements act from the last to the first."""
    whole = np.eye(4)
    for element in node:
        if element.tag not in ("matrix", "translate", "rotate", "scale"):
            continue
        numbers = [float(word) for word in (element.text or "").split()]
        step = np.eye(4)
        if element.tag == "matrix":
            step = np.array(numbers).reshape(4, 4)
        elif element.tag == "translate":
            step[:3, 3] = numbers
        elif element.tag == "scale":
            step[:3, :3] = np.diag(numbers)
        else:
            axis, angle = np.array(numbers[:3]), math.radians(numbers[3])
            x, y, z = axis / np.linalg.norm(axis)
            cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
            step[:3, :3] += math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
        whole = whole @ step
    return whole
