"""Compiles the standard robots: each .xml in genesis/loaders/robots to the .npz beside it. Needs MuJoCo.

python -m scripts.compile_robots            writes the files
python -m scripts.compile_robots --check    only tells which are out of date; exit status 1 if any is
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tyro

from genesis.loaders import ROBOTS, load_mjcf
from genesis.loaders.library import FOLDER
from scripts.common import run


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to do."""

    check: bool = False
    """Write nothing, compare only."""


def outdated(name: str, folder: Path) -> bool:
    """Compiles a robot into `folder`; whether the shipped arrays differ from it."""
    load_mjcf(FOLDER / f"{name}.xml", cache=False).save(folder / f"{name}.npz")
    shipped = FOLDER / f"{name}.npz"
    if not shipped.is_file():
        return True
    with np.load(shipped) as old, np.load(folder / f"{name}.npz") as new:
        return old.files != new.files or any(not _same(old[key], new[key]) for key in new.files)


def _same(old: np.ndarray, new: np.ndarray) -> bool:
    """Equal, or numbers equal to rounding: compilers of other platforms round otherwise."""
    if old.shape != new.shape or old.dtype.kind != new.dtype.kind:
        return False
    return bool(np.allclose(old, new, rtol=1e-12, atol=1e-14) if old.dtype.kind == "f" else (old == new).all())


def compile_all(options: Options) -> int:
    """Exit status."""
    with TemporaryDirectory() as scratch:
        stale = [name for name in ROBOTS if outdated(name, Path(scratch))]
        for name in stale:
            if not options.check:
                (FOLDER / f"{name}.npz").write_bytes((Path(scratch) / f"{name}.npz").read_bytes())
            print(f"{name}: {'out of date' if options.check else 'written'}")
    print(f"{len(ROBOTS) - len(stale)} of {len(ROBOTS)} were up to date")
    return int(options.check and bool(stale))


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    sys.exit(run(lambda: compile_all(options)))


if __name__ == "__main__":
    main()
