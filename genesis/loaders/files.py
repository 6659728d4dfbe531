"""Robots from MJCF and URDF files, compiled by MuJoCo itself, which is asked for only when a file is loaded."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

from genesis.checks import boolean, choice
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.loaders import cache as compiled
from genesis.loaders.lazy_import import mujoco, mujoco_version, warn_of_other_version
from genesis.loaders.model import RigidModel
from genesis.loaders.reading import Reading
from genesis.loaders.refusals import check_allowed
from genesis.loaders.repair import compiled as compiled_spec
from genesis.loaders.repair import remedy, repair_spec
from genesis.loaders.translate import translate
from genesis.loaders.unseen import leave_out_unseen
from genesis.loaders.urdf import read_urdf, urdf_files
from genesis.meshes.reading import can_read
from genesis.runtime import logger

UNNAMED = "MuJoCo Model"
"""MuJoCo's name of a model whose file gives none."""

CONTACT_MODELS = ("compliant", "mujoco")

PathLike = str | os.PathLike[str]


def load_mjcf(
    path: PathLike,
    fixed: bool = False,
    allow: Iterable[str] = (),
    cache: bool = True,
    contact: str = "compliant",
    repair: bool = False,
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
        repair: mend what MuJoCo's compiler refuses: bodies that move and have no mass, or an inertia that no body has.
            What was mended is told, and stands in `RigidModel.repairs`.

    Raises:
        GenesisImportError: MuJoCo is not installed.
        GenesisValueError: the file is missing, malformed, not physical, or holds unsupported elements.
    """
    return _load(path, _MJCF, fixed, allow, cache, contact, repair)


def load_urdf(
    path: PathLike,
    fixed: bool = False,
    allow: Iterable[str] = (),
    cache: bool = True,
    contact: str = "compliant",
    repair: bool = False,
) -> RigidModel:
    """A robot from a URDF file. Its base gets a free joint unless `fixed`, or unless the base's name is "world".

    `effort` limits the actuators' force; transmissions are left out. Told are `velocity` limits, which are left out,
    joints without a range, links that touch nothing, and masses that the file does not give. Meshes are looked for
    where the file says, relative to it, and for "package://" also relative to the folders above it.

    Args:
        fixed, allow, cache, contact: as for `load_mjcf`; `fixed` welds the base to the world.
        repair: as for `load_mjcf`; also takes the points of Collada meshes, and leaves out meshes that do not exist.

    Raises:
        GenesisImportError, GenesisValueError: as for `load_mjcf`.
    """
    return _load(path, _URDF, fixed, allow, cache, contact, repair)


@dataclass(frozen=True)
class _Format:
    """A kind of model file: the root element, the function to call, what a file refers to, how it is read."""

    root: str
    loader: str
    files: Callable[[Path], list[tuple[str, Path]] | None]
    read: Callable[[Path, bool, bool], Reading]
    """Of (file, fixed, repair)."""


def _load(
    path: PathLike, kind: _Format, fixed: bool, allow: Iterable[str], cache: bool, contact: str, repair: bool
) -> RigidModel:
    boolean("fixed", fixed)
    boolean("repair", repair)
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
    stored = (
        compiled.entry(file, files, (kind.root, version, fixed, sorted(allowed), contact, repair, can_read()))
        if files
        else None
    )
    robot = compiled.fetch(stored) if stored else None
    if robot is None:
        robot = _compile(file, kind, fixed, allowed, contact, repair)
        if stored:
            compiled.keep(stored, robot)
    for loss in robot.losses:
        logger.warning(loss)
    if robot.repairs:
        logger.warning(f"{str(file)!r} was repaired: {'; '.join(robot.repairs)}.")
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


def _compile(file: Path, kind: _Format, fixed: bool, allowed: frozenset[str], contact: str, repair: bool) -> RigidModel:
    source = repr(str(file))
    told: list[str] = []
    try:
        with mujoco_warnings(lambda text: told.append(f"{source}: MuJoCo warns: {text}")):
            _forget_assets()
            reading = kind.read(file, fixed, repair)
            reading.spec.compiler.fusestatic = False  # the names of welded bodies are kept; merging is done here
            model = compiled_spec(reading.spec, reading.repairs if repair else None)
    except (ValueError, mujoco().FatalError) as error:
        if isinstance(error, GenesisValueError):
            raise
        reason = " ".join(str(error).split())
        raise GenesisValueError(
            f"{source} must be a model that MuJoCo compiles, got: {reason}. {remedy(reason)}"
        ) from None
    spec = reading.spec
    name = file.stem if spec.modelname in ("", UNNAMED) else spec.modelname
    robot, losses = translate(model, name, source, allowed, reading, contact)
    losses = [*told, *losses, *reading.losses, *reading.told(model)]
    return replace(robot, losses=tuple(losses), repairs=tuple(reading.repairs))


def _forget_assets() -> None:
    """MuJoCo keeps meshes by path and time of change in whole seconds: one changed twice in a second would be stale."""
    if hasattr(mujoco(), "mj_clearCache"):
        mujoco().mj_clearCache(mujoco().mj_getCache())


@contextmanager
def mujoco_warnings(report: Callable[[str], object]) -> Iterator[None]:
    """Within it MuJoCo's warnings go to `report`, not to a file in the working directory."""

    def tell(text: object) -> None:
        report(" ".join(str(text).split()))

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


def _read_mjcf(file: Path, fixed: bool, repair: bool) -> Reading:
    spec = mujoco().MjSpec.from_file(str(file))
    if fixed:
        free = [joint for joint in spec.joints if joint.type == mujoco().mjtJoint.mjJNT_FREE]
        for part in (*free, *(spec.keys if free else ())):  # keyframes hold numbers for the joints that go
            if hasattr(spec, "delete"):
                spec.delete(part)
            else:  # earlier versions of MuJoCo
                part.delete()
    losses = leave_out_unseen(spec, file)
    return Reading(spec, losses=losses, repairs=repair_spec(spec) if repair else [])


_MJCF = _Format("mujoco", "load_mjcf", compiled.referred_files, _read_mjcf)
_URDF = _Format("robot", "load_urdf", urdf_files, read_urdf)
