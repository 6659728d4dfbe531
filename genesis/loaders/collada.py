"""Collada files (.dae), which neither MuJoCo nor trimesh alone reads: corners, triangles and colours.

Source: Khronos Group, COLLADA 1.4.1 specification. Their up axis turns nothing, as for other readers of URDF files.
"""

import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from genesis.meshes.reading import Part

Rgb = tuple[float, float, float]


def collada_parts(path: Path) -> list[Part]:
    """What the scene of a file shows, m; where it has no scene, all that the file holds. Of each geometry a part for
    each of its materials; one without triangles still has its corners.

    Raises:
        ElementTree.ParseError, LookupError, TypeError, ValueError, OSError: It is no whole Collada file.
    """
    root = ElementTree.parse(path).getroot()
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    unit = root.find("asset/unit")
    scale = 1.0 if unit is None else float(unit.get("meter", "1"))
    geometries = {str(each.get("id")): _geometry(each) for each in root.iterfind("library_geometries/geometry")}
    shared = {str(node.get("id")): node for node in root.iter("node")}
    colors = _colors(root)
    found: list[Part] = []

    def walk(node: ElementTree.Element, above: np.ndarray) -> None:
        here = above @ _transform(node)
        for instance in node.iterfind("instance_geometry"):
            bound = {
                each.get("symbol"): colors.get(_reference(each.get("target")))
                for each in instance.iterfind("bind_material/technique_common/instance_material")
            }
            for part, symbol in geometries.get(_reference(instance.get("url")), []):
                faces = part.faces[:, ::-1] if np.linalg.det(here[:3, :3]) < 0 else part.faces
                corners = part.corners @ here[:3, :3].T + here[:3, 3]
                found.append(Part(scale * corners, faces, bound.get(symbol)))
        for child in node.iterfind("node"):
            walk(child, here)
        for instance in node.iterfind("instance_node"):
            other = shared.get(_reference(instance.get("url")))
            if other is not None:
                walk(other, here)

    scenes = root.findall("library_visual_scenes/visual_scene")
    chosen = root.find("scene/instance_visual_scene")
    named = None if chosen is None else _reference(chosen.get("url"))
    for scene in [scene for scene in scenes if scene.get("id") == named] or scenes:
        for node in scene.iterfind("node"):
            walk(node, np.eye(4))
    return found or [Part(scale * part.corners, part.faces) for parts in geometries.values() for part, _ in parts]


def _reference(url: str | None) -> str:
    return str(url).lstrip("#")


def _geometry(geometry: ElementTree.Element) -> list[tuple[Part, str | None]]:
    """Parts in the geometry's own frame and units, and the symbols of their materials."""
    sources = {
        str(source.get("id")): np.array((array.text or "").split(), dtype=np.float64)
        if array is not None
        else np.zeros(0)
        for source in geometry.iterfind("mesh/source")
        for array in [source.find("float_array")]
    }
    blocks = [
        sources.get(_reference(entry.get("source")), np.zeros(0)).reshape(-1, 3)
        for entry in geometry.iterfind("mesh/vertices/input")
        if entry.get("semantic") == "POSITION"
    ]
    corners = np.concatenate(blocks or [np.zeros((0, 3))])
    groups = [each for each in geometry.iterfind("mesh/*") if each.tag in ("triangles", "polylist", "polygons")]
    parts = [(Part(corners, _faces(group)), group.get("material")) for group in groups]
    return parts or [(Part(corners, np.zeros((0, 3), np.int64)), None)]


def _faces(group: ElementTree.Element) -> np.ndarray:
    """(f, 3); polygons are fans about their first corner."""
    inputs = [(entry.get("semantic"), int(entry.get("offset", "0"))) for entry in group.iterfind("input")]
    step, place = 1 + max(offset for _, offset in inputs), dict(inputs)["VERTEX"]
    lists = [np.array((each.text or "").split(), dtype=np.int64) for each in group.iter("p")]
    counts = group.find("vcount")
    if group.tag == "polygons":
        lengths = np.array([len(each) // step for each in lists], dtype=np.int64)
    elif counts is not None:
        lengths = np.array((counts.text or "").split(), dtype=np.int64)
    else:
        lengths = np.full(sum(map(len, lists)) // (3 * step), 3)
    corner = np.concatenate([np.zeros(0, np.int64), *lists]).reshape(-1, step)[:, place]
    first = np.cumsum(lengths) - lengths
    count = np.maximum(lengths - 2, 0)
    begin, k = np.repeat(first, count), np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.stack([corner[begin], corner[begin + 1 + k], corner[begin + 2 + k]], 1)


def _colors(root: ElementTree.Element) -> dict[str, Rgb]:
    """The matt colour of each material that has one and no texture."""
    effects: dict[str, Rgb] = {}
    for effect in root.iterfind("library_effects/effect"):
        color = next((each for each in effect.iter("diffuse")), None)
        text = None if color is None else color.findtext("color")
        numbers = [min(max(float(word), 0.0), 1.0) for word in (text or "").split()]
        if len(numbers) >= 3:
            effects[str(effect.get("id"))] = (numbers[0], numbers[1], numbers[2])
    found = {}
    for material in root.iterfind("library_materials/material"):
        instance = material.find("instance_effect")
        name = None if instance is None else _reference(instance.get("url"))
        if name in effects:
            found[str(material.get("id"))] = effects[name]
    return found


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
