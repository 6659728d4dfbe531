"""Compiled robots kept in the user's cache folder, under a hash of everything that they come from."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from genesis.errors import GenesisException
from genesis.folders import cache_folder
from genesis.loaders import archive
from genesis.loaders.model import RigidModel

LOADER_VERSION = 6
"""Of what loading means; raise it when the same file gives another robot."""


def folder() -> Path:
    """Where compiled robots are kept."""
    return cache_folder("models")


def entry(path: Path, files: Iterable[tuple[str, Path]], settings: Iterable[object]) -> Path:
    """The file of the cache for a model file, the (name, file) that it comes from, and what it is loaded with.

    Its name holds a hash of the settings, of versions, and of the names and contents of the files.
    """
    digest = hashlib.sha256()
    for item in (LOADER_VERSION, archive.VERSION, *settings):
        _add(digest, repr(item).encode())
    for name, file in files:
        _add(digest, name.encode())
        _add(digest, file.read_bytes())
    return folder() / f"{path.stem}-{digest.hexdigest()[:32]}.npz"


def fetch(file: Path) -> RigidModel | None:
    """The robot in a file of the cache; None if there is none or it cannot be read."""
    try:
        return RigidModel.load(file) if file.is_file() else None
    except (GenesisException, OSError):
        return None


def keep(file: Path, robot: RigidModel) -> None:
    """Stores the robot; a folder that cannot be written is no error, as the file can be compiled again."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        robot.save(file)
    except OSError:
        return


def referred_files(path: Path) -> list[tuple[str, Path]] | None:
    """(name in the text, file) of an MJCF file, and of every file that it names and that exists; None if not XML.

    Compilers look for files in several folders; all places that could be meant are taken.
    """
    texts: list[tuple[str, Path]] = [(path.name, path)]
    folders = {path.parent}
    names: list[str] = []
    for _, text in texts:  # grows while it is walked
        try:
            root = ElementTree.parse(text).getroot()
        except (ElementTree.ParseError, UnicodeDecodeError):
            return None
        for element in root.iter():
            if element.tag == "compiler":
                given = [value for key, value in element.attrib.items() if key.endswith("dir")]
                folders |= {path.parent / value for value in given} | {text.parent / value for value in given}
            for key, value in element.attrib.items():
                if not key.startswith("file"):
                    continue
                names.append(value)
                for place in {path.parent / value, text.parent / value}:
                    if place.suffix.lower() in (".xml", ".mjcf", ".urdf") and place.is_file():
                        if place not in [known for _, known in texts]:
                            texts.append((value, place))
                            folders.add(place.parent)
    found = {}
    for name in dict.fromkeys(names):
        for place in sorted(folders):
            for candidate in (place / name, place / Path(name).name):
                if candidate.is_file():
                    found[candidate] = name
    known = {text for _, text in texts}
    return texts + [(name, file) for file, name in found.items() if file not in known]


def _add(digest: "hashlib._Hash", data: bytes) -> None:
    digest.update(len(data).to_bytes(8, "little"))
    digest.update(data)
