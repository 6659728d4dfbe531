"""Files and folders: where files are looked for, how they are written, and where is kept what can be made again."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from genesis.errors import GenesisTypeError, GenesisValueError

ASSETS = "GENESIS_ASSETS"
"""Environment variable: folders, separated as in PATH, in which files are looked for that do not exist as they are
given: `assets` of the public engine, whose scripts say "xml/franka_emika_panda/panda.xml"."""


def cache_folder(name: str) -> Path:
    """A folder of this package in the cache folder of the user and platform; it may not exist yet."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path.home() / ".cache"
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else base) / "genesis-policy" / name


def existing_file(what: str, file: Any, noun: str) -> str | os.PathLike[str]:
    """`file` if there is one, else the first of that name in the folders of `ASSETS`.

    Raises:
        GenesisTypeError: It is no path.
        GenesisValueError: There is none.
    """
    if not isinstance(file, str | os.PathLike) or not os.fspath(file):
        raise GenesisTypeError(f"{what} must be a path, got {file!r}. Pass the path of a {noun} file.")
    folders = [Path(folder) for folder in os.environ.get(ASSETS, "").split(os.pathsep) if folder]
    found = next((place for place in (Path(file), *(folder / file for folder in folders)) if place.is_file()), None)
    if found is None:
        looked = f" nor in {', '.join(map(str, folders))}" if folders else ""
        raise GenesisValueError(
            f"{what} must be an existing file, got {str(file)!r}, which is not there{looked}. Mend the path, or name "
            f"the folder that it is in by the environment variable {ASSETS}."
        )
    return file if found == Path(file) else found


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A stream to a temporary file in the same folder, which takes the place of `path` once the block is left in peace,
    and is removed otherwise."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
