"""URDF files: what MuJoCo's reader is given of them, and what it would lose."""

import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from genesis.errors import GenesisValueError
from genesis.loaders.lazy_import import mujoco
from genesis.loaders.mesh_places import existing_mesh, mesh_places
from genesis.loaders.mesh_points import is_text_stl, points, text_stl
from genesis.loaders.reading import Reading, listed
from genesis.loaders.translate import WORLD
from genesis.loaders.urdf_looks import read_looks
from genesis.loaders.urdf_repair import repair_urdf

XACRO = "http://www.ros.org/wiki/xacro"
KNOWN = (".stl", ".obj", ".msh")
"""Meshes that MuJoCo reads."""
DENSITY = 1000.0
"""kg/m^3 of collision shapes of links without <inertial>: MuJoCo's default."""


def read_urdf(file: Path, fixed: bool, repair: bool) -> Reading:
    """MuJoCo's specification of a URDF file. Raises GenesisValueError."""
    source = repr(str(file))
    root = _parse(file)
    repairs: list[str] = []
    _take_floating(root)
    if repair:
        repairs += _repair_mimics(root)
    mimics = [joint for joint in root.iterfind("joint") if joint.find("mimic") is not None]
    followed = [_take_mimic(joint, file) for joint in mimics]
    children = {child.get("link") for child in root.iterfind("joint/child")}
    bases = [link.get("name") for link in root.iterfind("link") if link.get("name") not in children]
    guessed = [
        str(link.get("name"))
        for link in root.iterfind("link")
        if link.find("inertial") is None and link.find("collision") is not None
    ]
    untouchable = _untouchable(root, source)
    places, converted = _take_meshes(root, file, repairs if repair else None)
    if repair:
        repairs += repair_urdf(root, fixed)
    settings = _compiler_settings(root)
    looks, unread = read_looks(root, file, settings.get("meshdir", ""))
    losses = [*_take_limits(root, source), *untouchable, *unread]
    for link in root.iterfind("link"):
        for visual in link.findall("visual"):  # often in formats that MuJoCo does not read
            link.remove(visual)
    settings.attrib.pop("meshdir", None)
    settings.set("strippath", "false")
    spec = mujoco().MjSpec.from_string(ElementTree.tostring(root, encoding="unicode"))
    for mesh in spec.meshes:
        place = places[mesh.file]
        mesh.file = str(place)
        if place in converted:
            mesh.file, mesh.uservert = "", converted[place].ravel().astype(np.float32)
        elif is_text_stl(place):
            triangles = text_stl(place)
            mesh.file, mesh.uservert, mesh.userface = "", triangles.ravel(), np.arange(len(triangles), dtype=np.int32)
    if not fixed and bases != [WORLD]:
        for body in spec.worldbody.bodies:
            if not body.joints:
                body.add_freejoint()
    for joint, (other, offset, multiplier) in zip(mimics, followed, strict=True):
        kinds = {"type": mujoco().mjtEq.mjEQ_JOINT, "objtype": mujoco().mjtObj.mjOBJ_JOINT}
        equality = spec.add_equality(name=joint.get("name"), name1=joint.get("name"), name2=other, **kinds)
        equality.data[:5] = offset, multiplier, 0.0, 0.0, 0.0
    lost = {"mimic": [str(joint.get("name")) for joint in mimics]} if mimics else {}
    return Reading(spec, lost, losses, repairs, lambda model: _made_up(model, guessed, source), looks)


def urdf_files(file: Path) -> list[tuple[str, Path]]:
    """(name in the text, file) of a URDF file and those of its meshes that exist."""
    found = [(file.name, file)]
    root = _parse(file)
    folder = _compiler_settings(root).get("meshdir", "")
    for kind in ("collision", "visual"):
        for mesh in root.iterfind(f"link/{kind}/geometry/mesh"):
            name = mesh.get("filename") or ""
            place = existing_mesh(name, file, folder)
            found += [] if place is None else [(name, place)]
    return list(dict.fromkeys(found))


def _made_up(model: Any, names: list[str], source: str) -> list[str]:
    """Whose masses come from collision shapes."""
    masses = {name: float(model.body(name).mass[0]) for name in names}
    heavy = [f"{name!r}: {mass:.3g} kg" for name, mass in masses.items() if mass > 0]
    if not heavy:
        return []
    more = f" and {len(heavy) - 5} more" if len(heavy) > 5 else ""
    return [
        f"links of {source} must have an <inertial> for their mass to be right, got none: {DENSITY:g} kg/m^3 of their "
        f"collision shapes are taken ({', '.join(heavy[:5])}{more}). Give them one."
    ]


def _untouchable(root: ElementTree.Element, source: str) -> list[str]:
    """Links that can be seen and not be touched."""
    names = [
        str(link.get("name"))
        for link in root.iterfind("link")
        if link.find("visual") is not None and link.find("collision") is None
    ]
    if not names:
        return []
    return [
        f"links of {source} must have a <collision> to touch anything, got only <visual> of {listed(names)}, which "
        "pass through everything. Give them one if they should not."
    ]


def _take_limits(root: ElementTree.Element, source: str) -> list[str]:
    """Writes the end that a range leaves out, which is 0. Returns what of limits is left out."""
    endless, fast = [], []
    for joint in root.iterfind("joint"):
        limit = joint.find("limit")
        if joint.get("type") in ("revolute", "prismatic"):
            low, high = ("0", "0") if limit is None else (limit.get("lower", "0"), limit.get("upper", "0"))
            if limit is not None:
                limit.set("lower", low)
                limit.set("upper", high)
            if _number(low) == _number(high):
                endless.append(str(joint.get("name")))
        if limit is not None and 0 < _number(limit.get("velocity", "0")) < math.inf:
            fast.append(str(joint.get("name")))
    losses = []
    if endless:
        losses.append(
            f"joints of {source} must have a range, got lower = upper of {listed(endless)}, which move without limits. "
            "Give them one, or make them fixed or continuous."
        )
    if fast:
        losses.append(
            f"{source}: limits of velocity ({listed(fast)}) are left out: nothing keeps these joints below them."
        )
    return losses


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _take_floating(root: ElementTree.Element) -> None:
    """Takes out an empty base with a floating joint at its origin, for the link on that gets a free joint anyway."""
    joints = root.findall("joint")
    for link in root.findall("link"):
        name = link.get("name")
        own = [joint for joint in joints for parent in joint.iterfind("parent") if parent.get("link") == name]
        based = any(child.get("link") == name for joint in joints for child in joint.iterfind("child"))
        empty = link.find("inertial") is None and link.find("collision") is None
        if not based and empty and len(own) == 1 and own[0].get("type") == "floating" and _at_origin(own[0]):
            for child in root.findall("link"):
                if own[0].find(f"child[@link='{child.get('name')}']") is not None:
                    child.extend(link.findall("visual"))
            root.remove(link)
            root.remove(own[0])


def _at_origin(joint: ElementTree.Element) -> bool:
    origin = joint.find("origin")
    words = [] if origin is None else f"{origin.get('xyz', '')} {origin.get('rpy', '')}".split()
    return all(_number(word) == 0 for word in words)


def _take_mimic(joint: ElementTree.Element, file: Path) -> tuple[str, float, float]:
    """(joint that it follows, offset, multiplier); takes the element out, of which some versions of MuJoCo make
    constraints and others nothing."""
    mimic = joint.find("mimic")
    assert mimic is not None
    joint.remove(mimic)
    other = mimic.get("joint", "")
    moving = {each.get("name") for each in _parse(file).iterfind("joint") if each.get("type") != "fixed"}
    if other not in moving or joint.get("type") == "fixed":
        raise GenesisValueError(
            f"mimic of joint {joint.get('name')!r} of {str(file)!r} must be of a joint that moves, by another, got "
            f"{other!r}. Correct it."
        )
    numbers = []
    for name, default in (("offset", "0"), ("multiplier", "1")):
        try:
            numbers.append(float(mimic.get(name, default)))
        except ValueError:
            raise GenesisValueError(
                f"{name} of the mimic of joint {joint.get('name')!r} of {str(file)!r} must be a number, got "
                f"{mimic.get(name)!r}. Correct it."
            ) from None
    return other, numbers[0], numbers[1]


def _repair_mimics(root: ElementTree.Element) -> list[str]:
    """Takes out those of joints that do not move, or are not there."""
    moving = {joint.get("name") for joint in root.iterfind("joint") if joint.get("type") != "fixed"}
    repairs = []
    for joint in root.iterfind("joint"):
        mimic = joint.find("mimic")
        if mimic is not None and not (joint.get("name") in moving and mimic.get("joint") in moving):
            joint.remove(mimic)
            repairs.append(f"mimic: joint {joint.get('name')!r} mimics one that does not move, and moves on its own")
    return repairs


def _parse(file: Path) -> ElementTree.Element:
    try:
        data = file.read_bytes()
        encoding = re.match(rb"\s*<\?xml[^>]*encoding=[\"']([\w.-]+)", data)
        text = data.decode(encoding[1].decode() if encoding else "utf-8-sig")
        root = ElementTree.fromstring(_with_prefixes(text.removeprefix("\ufeff")))
    except (ElementTree.ParseError, UnicodeDecodeError, LookupError) as error:
        raise GenesisValueError(f"{str(file)!r} must be well-formed XML, got: {error}. Correct it.") from None
    if root.tag != "robot":
        raise GenesisValueError(f"{str(file)!r} must begin with <robot>, got <{root.tag}>. Pass a URDF file.")
    for element in root.iter():
        if element.tag.startswith(f"{{{XACRO}}}") or any("${" in value for value in element.attrib.values()):
            name = element.tag.replace(f"{{{XACRO}}}", "xacro:")
            raise GenesisValueError(
                f"{str(file)!r} must be a URDF file, got one for xacro, with <{name}>. Run it through xacro first: "
                f"xacro {file.name} > {file.name.split('.')[0]}.urdf."
            )
    return root


def _with_prefixes(text: str) -> str:
    """XML whose prefixes without a declaration, which other readers ignore, have one."""
    text = re.sub(r"^\s*<\?xml.*?\?>", "", text, flags=re.DOTALL)
    used = set(re.findall(r"<([A-Za-z_][\w.-]*):", text)) | set(re.findall(r"\s([A-Za-z_][\w.-]*):[\w.-]+\s*=", text))
    unknown = used - set(re.findall(r"xmlns:([\w.-]+)\s*=", text)) - {"xmlns", "xml"}
    if not unknown:
        return text
    more = "".join(f' xmlns:{prefix}="{XACRO if prefix == "xacro" else prefix}"' for prefix in sorted(unknown))
    return re.sub(r"<robot\b", f"<robot{more}", text, count=1)


def _compiler_settings(root: ElementTree.Element) -> ElementTree.Element:
    """The element of MuJoCo's own settings in a URDF, added where there is none."""
    extension = root.find("mujoco")
    if extension is None:
        extension = ElementTree.SubElement(root, "mujoco")
    settings = extension.find("compiler")
    return ElementTree.SubElement(extension, "compiler") if settings is None else settings


def _take_meshes(
    root: ElementTree.Element, file: Path, repairs: list[str] | None
) -> tuple[dict[str, Path], dict[Path, np.ndarray]]:
    """Gives each mesh that touches a name of its own, for MuJoCo's reader takes equal names of several folders for one.

    Returns:
        The file of each name, and with `repairs` the points (n, 3) of those that MuJoCo does not read; what cannot be
        read or does not exist is then taken out.
    """
    folder = _compiler_settings(root).get("meshdir", "")
    names: dict[Path, str] = {}
    converted: dict[Path, np.ndarray] = {}
    for link in root.iterfind("link"):
        for collision in link.findall("collision"):
            mesh = collision.find("geometry/mesh")
            if mesh is None:
                continue
            name = mesh.get("filename") or ""
            place = existing_mesh(name, file, folder)
            if place is None and repairs is not None:
                link.remove(collision)
                repairs.append(f"mesh: {name!r} of link {link.get('name')!r} does not exist and is left out")
            elif place is None:
                told = ", ".join(str(place) for place in dict.fromkeys(mesh_places(name, file, folder)[:6]))
                raise GenesisValueError(
                    f"mesh {name!r} of {str(file)!r} must exist, got no file. Put it where it is looked for: {told}; "
                    "or load with repair=True, which leaves it out."
                )
            elif repairs is not None and place.suffix.lower() not in KNOWN and place not in converted:
                try:
                    converted[place] = points(place)
                    repairs.append(f"mesh: of {place.name!r} the convex hull of its points is taken")
                except GenesisValueError as error:
                    link.remove(collision)
                    repairs.append(f"mesh: {place.name!r} of link {link.get('name')!r} is left out: {error}")
                    continue
            if place is not None:
                mesh.set("filename", names.setdefault(place, f"{place.stem}_{len(names)}{place.suffix}"))
    return {name: place for place, name in names.items()}, converted
