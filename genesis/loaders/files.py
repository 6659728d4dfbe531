"""Robots from MJCF and URDF files, compiled by MuJoCo itself, which is asked for only when a file is loaded."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from genesis.checks import boolean, choice
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.loaders import cache as compiled
from genesis.loaders.lazy_import import mujoco, mujoco_version, warn_of_other_version
from genesis.loaders.model import RigidModel
from genesis.loaders.refusals import check_allowed
from genesis.loaders.translate import WORLD, translate
from genesis.runtime import logger

UNNAMED = "MuJoCo Model"
"""MuJoCo's name of a model whose file gives none."""

CONTACT_MODELS = ("compliant", "mujoco")

PathLike = str | os.PathLike[str]


def load_mjcf(
    path: PathLike, fixed: bool = False, allow: Iterable[str] = (), cache: bool = True, contact: str = "compliant"
) -> RigidModel:
    """A robot from an MJCF file. Bodies welded to a moving body become part of it; see `RigidModel.aliases`.

    For the compliant contact model gravity, the timestep and the settings of MuJoCo's numerical method are not taken
    over; the list of what is left out without a word stands in `genesis/loaders/refusals.py`. What MuJoCo's own contact
    model needs stands in `RigidModel.mujoco` in any case.

    Args:
        fixed: take the free joints away, so that bodies which would fly stand where the file puts them.
        allow: unsupported elements to load without, with a warning: names as the error lists them.
        cache: keep the compiled robot in the user's cache folder, and take it from there while no file has changed.
        contact: "compliant" | "mujoco": the contact model whose unsupported elements are refused.

    Raises:
        GenesisImportError: MuJoCo is not installed.
        GenesisValueError: the file is missing, malformed, not physical, or holds unsupported elements.
    """
    return _load(path, _MJCF, fixed, allow, cache, contact)


def load_urdf(
    path: PathLike, fixed: bool = False, allow: Iterable[str] = (), cache: bool = True, contact: str = "compliant"
) -> RigidModel:
    """A robot from a URDF file. Its base gets a free joint unless `fixed`, or unless the base's name is "world".

    `effort` limits the actuators' force, `velocity` limits and transmissions are left out. Meshes are looked for where
    the file says, relative to it, and for "package://" also relative to the folders above it.

    Args:
        fixed, allow, cache, contact: as for `load_mjcf`; `fixed` welds the base to the world.

    Raises:
        GenesisImportError, GenesisValueError: as for `load_mjcf`.
    """
    return _load(path, _URDF, fixed, allow, cache, contact)


@dataclass(frozen=True)
class _Format:
    """A kind of model file: the root element, the function to call, what a file refers to, how it is read."""

    root: str
    loader: str
    files: Callable[[Path], list[tuple[str, Path]] | None]
    read: Callable[[Path, bool], tuple[Any, dict[str, list[str]]]]
    """(file, fixed) -> MuJoCo's specification, and what it does not hold but the file does: category -> names."""


def _load(path: PathLike, kind: _Format, fixed: bool, allow: Iterable[str], cache: bool, contact: str) -> RigidModel:
    boolean("fixed", fixed)
    boolean("cache", cache)
    choice("contact", contact, CONTACT_MODELS)
    allowed = check_allowed(allow)
    if not isinstance(path, str | os.PathLike):
        raise GenesisTypeError(f"path must be a path of a model file, got {type(path).__name__}. Pass a str or a Path.")
    file = Path(path)
    if not file.is_file():
        raise GenesisValueError(f"path must name a file, got {str(file)!r}. Correct it.")
    version = mujoco_version()
    if contact == "mujoco":
        warn_of_other_version()
    file = file.absolute()
    _check_root(file, kind)
    files = kind.files(file) if cache else None
    stored = compiled.entry(file, files, (kind.root, version, fixed, sorted(allowed), contact)) if files else None
    robot = compiled.fetch(stored) if stored else None
    if robot is not None:
        return robot
    robot, losses = _compile(file, kind, fixed, allowed, contact)
    for loss in losses:
        logger.warning(loss)
    if stored and not losses:  # a robot with warnings is compiled each time, so that they are heard each time
        compiled.keep(stored, robot)
    return robot


def _check_root(file: Path, kind: _Format) -> None:
    """Raises GenesisValueError if the file is XML of the other kind. What is no XML is told by who reads it."""
    other = _URDF if kind is _MJCF else _MJCF
    try:
        with file.open("rb") as stream:
            tag = next(ElementTree.iterparse(stream, ("start",)))[1].tag
    except (ElementTree.ParseError, StopIteration):
        return
    if tag == other.root:
        raise GenesisValueError(
            f"{str(file)!r} must begin with <{kind.root}>, got <{tag}>. Use {other.loader} for such files."
        )


def _compile(
    file: Path, kind: _Format, fixed: bool, allowed: frozenset[str], contact: str
) -> tuple[RigidModel, list[str]]:
    source = repr(str(file))
    try:
        with _compiler_warnings(source):
            _forget_assets()
            spec, lost = kind.read(file, fixed)
            spec.compiler.fusestatic = False  # the names of welded bodies are kept; merging is done here
            model = spec.compile()
    except (ValueError, mujoco().FatalError) as error:
        if isinstance(error, GenesisValueError):
            raise
        reason = " ".join(str(error).split())
        raise GenesisValueError(f"{source} must be a model that MuJoCo compiles, got: {reason}. Correct it.") from None
    name = file.stem if spec.modelname in ("", UNNAMED) else spec.modelname
    return translate(model, name, source, allowed, lost, contact)


def _forget_assets() -> None:
    """MuJoCo keeps meshes by path and time of change in whole seconds: one changed twice in a second would be stale."""
    if hasattr(mujoco(), "mj_clearCache"):
        mujoco().mj_clearCache(mujoco().mj_getCache())


@contextmanager
def _compiler_warnings(source: str) -> Iterator[None]:
    """MuJoCo's warnings go to the logger, not to a file in the working directory."""

    def tell(text: object) -> None:
        logger.warning(f"{source}: MuJoCo warns: {' '.join(str(text).split())}")

    before = mujoco().get_mju_user_warning()
    mujoco().set_mju_user_warning(tell)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for each in caught:
            tell(each.message)
    finally:
        mujoco().set_mju_user_warning(before)


def _mjcf_spec(file: Path, fixed: bool) -> tuple[Any, dict[str, list[str]]]:
    spec = mujoco().MjSpec.from_file(str(file))
    if fixed:
        free = [joint for joint in spec.joints if joint.type == mujoco().mjtJoint.mjJNT_FREE]
        for part in (*free, *(spec.keys if free else ())):  # keyframes hold numbers for the joints that go
            if hasattr(spec, "delete"):
                spec.delete(part)
            else:  # earlier versions of MuJoCo
                part.delete()
    return spec, {}


def _urdf_spec(file: Path, fixed: bool) -> tuple[Any, dict[str, list[str]]]:
    root = _parse_urdf(file)
    mimics = [joint for joint in root.iterfind("joint") if joint.find("mimic") is not None]
    followed = [_take_mimic(joint, file) for joint in mimics]
    children = {child.get("link") for child in root.iterfind("joint/child")}
    bases = [link.get("name") for link in root.iterfind("link") if link.get("name") not in children]
    for mesh, _, place in _urdf_meshes(root, file):
        mesh.set("filename", str(place))
    for link in root.iterfind("link"):
        for visual in link.findall("visual"):  # there to be looked at, often in formats that MuJoCo does not read
            link.remove(visual)
    settings = _compiler_settings(root)
    settings.attrib.pop("meshdir", None)
    settings.set("strippath", "false")
    spec = mujoco().MjSpec.from_string(ElementTree.tostring(root, encoding="unicode"))
    if not fixed and bases != [WORLD]:
        for body in spec.worldbody.bodies:
            if not body.joints:
                body.add_freejoint()
    for joint, (other, offset, multiplier) in zip(mimics, followed, strict=True):
        kinds = {"type": mujoco().mjtEq.mjEQ_JOINT, "objtype": mujoco().mjtObj.mjOBJ_JOINT}
        equality = spec.add_equality(name=joint.get("name"), name1=joint.get("name"), name2=other, **kinds)
        equality.data[:5] = offset, multiplier, 0.0, 0.0, 0.0
    return spec, {"mimic": [str(joint.get("name")) for joint in mimics]} if mimics else {}


def _take_mimic(joint: ElementTree.Element, file: Path) -> tuple[str, float, float]:
    """(joint that it follows, offset, multiplier); takes the element out, of which some versions of MuJoCo make
    constraints and others nothing."""
    mimic = joint.find("mimic")
    assert mimic is not None
    joint.remove(mimic)
    other = mimic.get("joint", "")
    moving = {each.get("name") for each in _parse_urdf(file).iterfind("joint") if each.get("type") != "fixed"}
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


def _parse_urdf(file: Path) -> ElementTree.Element:
    try:
        root = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise GenesisValueError(f"{str(file)!r} must be well-formed XML, got: {error}. Correct it.") from None
    if root.tag != "robot":
        raise GenesisValueError(f"{str(file)!r} must begin with <robot>, got <{root.tag}>. Pass a URDF file.")
    return root


def _compiler_settings(root: ElementTree.Element) -> ElementTree.Element:
    """The element of MuJoCo's own settings in a URDF, added where there is none."""
    extension = root.find("mujoco")
    if extension is None:
        extension = ElementTree.SubElement(root, "mujoco")
    settings = extension.find("compiler")
    return ElementTree.SubElement(extension, "compiler") if settings is None else settings


def _urdf_files(file: Path) -> list[tuple[str, Path]]:
    """(name in the text, file) of a URDF file and its meshes."""
    return [(file.name, file)] + [(name, place) for _, name, place in _urdf_meshes(_parse_urdf(file), file)]


def _urdf_meshes(root: ElementTree.Element, file: Path) -> list[tuple[ElementTree.Element, str, Path]]:
    """The meshes that touch: element, name in the text, file."""
    folder = _compiler_settings(root).get("meshdir", "")
    meshes = root.iterfind("link/collision/geometry/mesh")
    named = [(mesh, mesh.get("filename") or "") for mesh in meshes]
    return [(mesh, name, _find_mesh(name, file, folder)) for mesh, name in named]


def _find_mesh(name: str, file: Path, folder: str) -> Path:
    """The absolute path of a mesh. Raises GenesisValueError that lists where it was looked for."""
    relative = name.removeprefix("file://")
    places = [file.parent / folder / relative, file.parent / relative, file.parent / folder / Path(relative).name]
    if name.startswith("package://"):
        inside = Path(name.removeprefix("package://"))
        without_package = Path(*inside.parts[1:])
        places = [above / part for above in file.parents for part in (inside, without_package)] + places[-1:]
    for place in places:
        if place.is_file():
            return place.absolute()
    looked = ", ".join(str(place) for place in dict.fromkeys(places[:6]))
    raise GenesisValueError(
        f"mesh {name!r} of {str(file)!r} must exist, got no file. Put it where it is looked for: {looked}."
    )


_MJCF = _Format("mujoco", "load_mjcf", compiled.referred_files, _mjcf_spec)
_URDF = _Format("robot", "load_urdf", _urdf_files, _urdf_spec)
