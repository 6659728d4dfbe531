"""What MuJoCo's reader refuses of a URDF file and other programs take, mended in its text."""

import math
from xml.etree import ElementTree

import numpy as np

from genesis.loaders.repair import LEAST_MASS, LEAST_RADIUS, MINIMUM, repair_tensor

ONCE = {"link": ("inertial",), "joint": ("origin", "axis", "limit", "dynamics", "mimic", "parent", "child")}
"""Elements of which the first counts."""
SIZES = {"box": ("size",), "sphere": ("radius",), "cylinder": ("radius", "length"), "capsule": ("radius", "length")}


def repair_urdf(root: ElementTree.Element, fixed: bool) -> list[str]:
    """Mends elements and inertias, and gives those links a mass that move and have none; the base moves unless `fixed`.
    Meshes: `urdf.py`. Returns what was done."""
    return [*_repair_elements(root), *_repair_shapes(root), *_repair_masses(root, fixed)]


def _repair_elements(root: ElementTree.Element) -> list[str]:
    repairs = []
    for kind, tags in ONCE.items():
        for part in root.iterfind(kind):
            for tag in tags:
                for more in part.findall(tag)[1:]:
                    part.remove(more)
                    repairs.append(f"element: of <{tag}> of {kind} {part.get('name')!r} the first is taken")
    for joint in root.iterfind("joint"):
        limit = joint.find("limit")
        if limit is not None and _number(limit.get("lower", "0")) > _number(limit.get("upper", "0")):
            limit.attrib.pop("lower", None)
            limit.attrib.pop("upper", None)
            repairs.append(f"range: that of joint {joint.get('name')!r} is the wrong way round and is taken for none")
    for link in root.iterfind("link"):
        inertial = link.find("inertial")
        if inertial is None:
            continue
        for tag in ("mass", "inertia"):
            if inertial.find(tag) is None:
                repairs.append(f"element: link {link.get('name')!r} has no <{tag}>, which is taken as zero")
        if inertial.find("mass") is None:
            ElementTree.SubElement(inertial, "mass").set("value", "0")
        if inertial.find("inertia") is None:
            _write_tensor(ElementTree.SubElement(inertial, "inertia"), np.zeros((3, 3)))
    return repairs


def _repair_shapes(root: ElementTree.Element) -> list[str]:
    repairs = []
    for link in root.iterfind("link"):
        for collision in link.findall("collision"):
            what = f"of link {link.get('name')!r}"
            mesh = collision.find("geometry/mesh")
            scale = [] if mesh is None else (mesh.get("scale") or "").split()
            if mesh is not None and len(scale) > 3:
                mesh.set("scale", " ".join(scale[:3]))
                repairs.append(f"shape: of the scale of a mesh {what} the first three numbers are taken")
            elif mesh is None and not _is_solid(collision):
                link.remove(collision)
                repairs.append(f"shape: one {what} has no size and is left out")
    return repairs


def _is_solid(collision: ElementTree.Element) -> bool:
    for kind, names in SIZES.items():
        shape = collision.find(f"geometry/{kind}")
        if shape is not None:
            words = [word for name in names for word in (shape.get(name) or "0").split()]
            return all(_number(word) > 0 for word in words)
    return False


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _repair_masses(root: ElementTree.Element, fixed: bool) -> list[str]:
    repairs = []
    links = {str(link.get("name")): link for link in root.iterfind("link")}
    for name, link in links.items():
        inertia = link.find("inertial/inertia")
        if inertia is None:
            continue
        tensor = _tensor(inertia)
        better = None if tensor is None else repair_tensor(tensor)
        if better is not None:
            _write_tensor(inertia, better)
            repairs.append(f"inertia: that of link {name!r} is now the nearest that a body can have")
    welded: dict[str, list[str]] = {name: [] for name in links}
    moved: list[str] = []
    for joint in root.iterfind("joint"):
        parent, child = joint.find("parent"), joint.find("child")
        if parent is None or child is None:
            continue
        if joint.get("type") == "fixed":
            welded.setdefault(str(parent.get("link")), []).append(str(child.get("link")))
        else:
            moved.append(str(child.get("link")))

    def has_mass(name: str) -> bool:
        link = links.get(name)
        whole = link is not None and _has_mass(link)
        return whole or any(has_mass(other) for other in welded.get(name, ()))

    children = {str(child.get("link")) for child in root.iterfind("joint/child")}
    roots = [name for name in links if name not in children and name != "world" and not fixed]
    for name in (*roots, *moved):
        if name in links and not has_mass(name):
            repairs.append(f"mass: link {name!r} has {_give_mass(links[name])}")
    return repairs


def _tensor(element: ElementTree.Element) -> np.ndarray | None:
    try:
        xx, yy, zz, xy, xz, yz = (float(element.get(f"i{pair}", "0")) for pair in ("xx", "yy", "zz", "xy", "xz", "yz"))
    except ValueError:
        return None
    tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return tensor if np.isfinite(tensor).all() else None


def _write_tensor(element: ElementTree.Element, tensor: np.ndarray) -> None:
    for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)):
        element.set(f"i{'xyz'[i]}{'xyz'[j]}", repr(float(tensor[i, j])))


def _mass(link: ElementTree.Element) -> float:
    mass = link.find("inertial/mass")
    try:
        return 0.0 if mass is None else float(mass.get("value", "0"))
    except ValueError:
        return 0.0


def _has_mass(link: ElementTree.Element) -> bool:
    """Whether MuJoCo takes it for a body with mass and inertia; without <inertial> it has those of its shapes."""
    if link.find("inertial") is None:
        return link.find("collision") is not None
    inertia = link.find("inertial/inertia")
    tensor = None if inertia is None else _tensor(inertia)
    return _mass(link) > MINIMUM and tensor is not None and bool(np.linalg.eigvalsh(tensor).max() > MINIMUM)


def _give_mass(link: ElementTree.Element) -> str:
    """A mass, if it has none, and a round inertia. Returns what it has now."""
    inertial = link.find("inertial")
    if inertial is None:
        inertial = ElementTree.SubElement(link, "inertial")
    weight = max(_mass(link), LEAST_MASS)
    for tag in ("mass", "inertia"):
        old = inertial.find(tag)
        if old is not None:
            inertial.remove(old)
    ElementTree.SubElement(inertial, "mass").set("value", repr(weight))
    moment = weight * LEAST_RADIUS**2
    _write_tensor(ElementTree.SubElement(inertial, "inertia"), moment * np.eye(3))
    return f"{weight:g} kg and {moment:.1e} kg m^2 now"
