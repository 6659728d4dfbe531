"""Compiles the robots that come with the package to the .npz files in genesis/loaders/robots. Needs MuJoCo.

Standard robots are made from the .xml beside them, those of Gymnasium's tasks from Gymnasium's assets.

python -m scripts.compile_robots            writes the files
python -m scripts.compile_robots --check    only tells which are out of date; exit status 1 if any is
"""

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import gymnasium
import numpy as np
import tyro

from genesis.loaders import ROBOTS, RigidModel, load_mjcf
from genesis.loaders.library import FOLDER, GYMNASIUM
from scripts.common import run


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to do."""

    check: bool = False
    """Write nothing, compare only."""


ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
"""Gymnasium's model files."""


def compiled(name: str) -> RigidModel:
    """A robot from its text. What is told of it names the file, not where that lies."""
    if name in GYMNASIUM:
        robot = load_mjcf(ASSETS / GYMNASIUM[name], cache=False, contact="mujoco")
    else:
        robot = load_mjcf(FOLDER / f"{name}.xml", cache=False)
    return replace(robot, losses=tuple(re.sub(r"'[^']*[/\\]([^'/\\]+\.xml)'", r"'\1'", told) for told in robot.losses))


def outdated(name: str, folder: Path) -> bool:
    """Compiles a robot into `folder`; whether the shipped arrays differ from it."""
    shipped, made = FOLDER / f"{name}.npz", folder / f"{name}.npz"
    made.parent.mkdir(exist_ok=True)
    compiled(name).save(made)
    if not shipped.is_file():
        return True
    with np.load(shipped) as old, np.load(made) as new:
        return old.files != new.files or any(not _same(old[key], new[key]) for key in new.files)


def _same(old: np.ndarray, new: np.ndarray) -> bool:
    """Equal, or numbers equal to rounding: compilers of other platforms round otherwise. NaN, no colour, equals NaN."""
    if old.shape != new.shape or old.dtype.kind != new.dtype.kind:
        return False
    if old.dtype.kind == "f":
        return bool(np.allclose(old, new, rtol=1e-12, atol=1e-14, equal_nan=True))
    return bool((old == new).all())


def compile_all(options: Options) -> int:
    """Exit status."""
    with TemporaryDirectory() as scratch:
        names = (*ROBOTS, *GYMNASIUM)
        stale = [name for name in names if outdated(name, Path(scratch))]
        for name in stale:
            if not options.check:
                (FOLDER / f"{name}.npz").write_bytes((Path(scratch) / f"{name}.npz").read_bytes())
            print(f"{name}: {'out of date' if options.check else 'written'}")
    print(f"{len(names) - len(stale)} of {len(names)} were up to date")
    return int(options.check and bool(stale))


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    sys.exit(run(lambda: compile_all(options)))


if __name__ == "__main__":
    main()
