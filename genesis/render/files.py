"""Files that appear under their name whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from genesis.errors import GenesisRuntimeError, GenesisValueError

LITTLE = 65536
"""Bytes left of a disk that is as good as full."""


def check_target(what: str, path: str | os.PathLike[str], endings: tuple[str, ...]) -> Path:
    """`path`, if it ends in one of `endings`, in any case, and its folder exists and may be written to.

    Raises:
        GenesisValueError: It does not.
    """
    target = Path(path)
    if target.suffix.lower() not in endings:
        *others, last = endings
        valid = f"{', '.join(others)} or {last}" if others else last
        raise GenesisValueError(f"{what} must end in {valid}, got {str(path)!r}. Rename it.")
    if not target.resolve().parent.is_dir():
        raise GenesisValueError(f"{what} must go into an existing folder, got {str(path)!r}. Make the folder.")
    if not os.access(target.resolve().parent, os.W_OK):
        raise GenesisValueError(
            f"{what} must go into a folder that can be written to, got {str(path)!r}. Take another."
        )
    return target


def discard(path: Path) -> None:
    """Removes a file if it is there; where the system refuses, what went wrong before is what counts."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


@contextmanager
def disk(path: Path) -> Iterator[None]:
    """What the system or an encoder says about a file becomes one sentence."""
    try:
        yield
    except OSError as error:
        reason = " ".join(str(error).partition("FFMPEG COMMAND")[0].split())[:300]
        if shutil.disk_usage(path.resolve().parent).free < LITTLE:  # an encoder that found none just hangs up
            reason = "no space left on the device"
        raise GenesisRuntimeError(
            f"{path} must be writable to its end, got: {reason}. Make room on the disk or choose another place; "
            "no half-written file was left."
        ) from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Gives another name, with the same ending, to write to; the file gets its own once the block is left in peace."""
    partial = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with disk(path):
            yield partial
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
    finally:
        discard(partial)
