"""What a URDF file shows of its links: the elements <visual>, their meshes and their colours."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from genesis.errors import GenesisException, GenesisValueError
from genesis.loaders import rotations
from genesis.loaders.collada import collada_parts
from genesis.loaders.links import four, three
from genesis.loaders.mesh_places import existing_mesh
from genesis.loaders.parts import IDENTITY, ORIGIN, Vector, Visual
from genesis.loaders.visuals import Look
from genesis.math import quaternion
from genesis.meshes.reading import Part, read_parts
from genesis.meshes.triangles import TriangleMesh, centred

SIZES = {"box": ("size",), "sphere": ("radius",), "cylinder": ("radius", "length"), "capsule": ("radius", "length")}


def read_looks(root: ElementTree.Element, file: Path, folder: str) -> tuple[list[Look], list[str]]:
    """What is seen of the links of a file, and what of it cannot be.

    Args:
        folder: Of meshes, as the file says.
    """
    looks: list[Look] = []
    unread: dict[str, str] = {}
    colors = _named_colors(root)
    shapes: dict[tuple[Path, Vector], list[tuple[Vector, TriangleMesh, Vector | None]]] = {}
    for link in root.iterfind("link"):
        for visual in link.findall("visual"):
            name, mesh = str(link.get("name")), visual.find("geometry/mesh")
            tint, label = _color(visual.find("material"), colors), visual.get("name") or ""
            try:
                pos, quat = _pose(visual.find("origin"))
                if mesh is None:
                    kind, size = _solid(visual)
                    looks.append((name, Visual(label, kind, 0, three(pos), four(quat), size, tint)))
                    continue
                scale = three(np.broadcast_to(_numbers(mesh.get("scale") or "1")[:3], 3))
                place = existing_mesh(mesh.get("filename") or "", file, folder)
                if place is None:
                    raise GenesisValueError("there is no such file")
                if (place, scale) not in shapes:
                    shapes[place, scale] = [_centred(part, scale) for part in _parts(place) if len(part.faces)]
                for middle, triangles, own in shapes[place, scale]:
                    at = three(pos + rotations.rotate(quat, np.array(middle)))
                    look = Visual(label, "mesh", 0, at, four(quat), ORIGIN, own or tint, triangles)
                    looks.append((name, look))
            except GenesisException as error:
                unread[f"{mesh.get('filename')!r}" if mesh is not None else f"one of link {name!r}"] = str(error)
    return looks, _told(unread, repr(str(file)))


def _told(unread: dict[str, str], source: str) -> list[str]:
    if not unread:
        return []
    reasons: dict[str, list[str]] = {}
    for name, reason in unread.items():
        reasons.setdefault(reason.replace(name, "it"), []).append(name)
    listing = "; ".join(
        f"{', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''} ({reason})"
        for reason, names in reasons.items()
    )
    return [
        f"visual shapes of {source} must be readable to be drawn, got {listing}. They are left out of pictures, and "
        "links without another one look as they touch."
    ]


def _parts(place: Path) -> list[Part]:
    if place.suffix.lower() != ".dae":
        return read_parts(f"mesh {place.name!r}", place)
    try:
        return collada_parts(place)
    except (ElementTree.ParseError, LookupError, TypeError, ValueError, OSError) as error:
        raise GenesisValueError(f"{type(error).__name__}: {error}") from None


def _centred(part: Part, scale: Sequence[float]) -> tuple[Vector, TriangleMesh, Vector | None]:
    faces = part.faces[:, ::-1] if np.prod(scale) < 0 else part.faces
    corners = part.corners * np.array(scale)
    if not np.isfinite(corners[faces]).all():
        raise GenesisValueError("its corners are not finite")
    used, faces = np.unique(faces, return_inverse=True)
    middle, mesh = centred(corners[used].astype(np.float32), faces.reshape(-1, 3))
    return three(middle), mesh, part.rgb


def _pose(origin: ElementTree.Element | None) -> tuple[np.ndarray, np.ndarray]:
    if origin is None:
        return np.zeros(3), np.array(IDENTITY)
    roll, pitch, yaw = np.degrees(_numbers(origin.get("rpy") or "0 0 0", 3))
    return _numbers(origin.get("xyz") or "0 0 0", 3), np.array(quaternion.from_euler((roll, pitch, yaw)))


def _solid(visual: ElementTree.Element) -> tuple[str, Vector]:
    """Kind and size, as of `Geom`."""
    for kind, names in SIZES.items():
        shape = visual.find(f"geometry/{kind}")
        if shape is not None:
            numbers = _numbers(" ".join(shape.get(name) or "0" for name in names), 3 if kind == "box" else len(names))
            if not (numbers > 0).all():
                raise GenesisValueError(f"its {kind} has no size")
            halved = numbers / 2 if kind == "box" else numbers / np.array((1.0, 2.0))[: len(numbers)]
            return kind, three(np.array([*halved, 0.0, 0.0])[:3])
    raise GenesisValueError("it has no shape")


def _named_colors(root: ElementTree.Element) -> dict[str, Vector]:
    """Of the materials that have a name and a colour, wherever they are."""
    found = {}
    for material in root.iter("material"):
        color = _color(material, {})
        if color is not None and material.get("name"):
            found[str(material.get("name"))] = color
    return found


def _color(material: ElementTree.Element | None, named: dict[str, Vector]) -> Vector | None:
    color = None if material is None else material.find("color")
    if color is None:
        return None if material is None else named.get(str(material.get("name")))
    try:
        return three(np.clip(_numbers(color.get("rgba") or ""), 0.0, 1.0)[:3])
    except (GenesisValueError, ValueError):
        return None


def _numbers(text: str, count: int | None = None) -> np.ndarray:
    try:
        numbers = np.array(text.split(), dtype=np.float64)
    except ValueError:
        raise GenesisValueError(f"{text!r} are no numbers") from None
    if not np.isfinite(numbers).all() or (count is not None and len(numbers) != count) or len(numbers) == 0:
        raise GenesisValueError(f"{text!r} are not {count or 'some'} finite numbers")
    return numbers
