"""Commands that scripts print or start: whatever is in a path, a shell and the program read it as that path."""

import shlex
import shutil
import sys
from pathlib import Path


def shell(*words: str | Path) -> str:
    """Words as they are typed; what is a `Path` is never taken for an option."""
    return shlex.join(of_path(word) if isinstance(word, Path) else word for word in words)


def of_path(path: Path) -> str:
    """A path as an argument: `./-a` for `-a`."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def script(name: str, *words: str | Path, processes: int = 1) -> str:
    """How a script is started from the shell that started this process.

    Args:
        name: Of the script: "train".
        words: Its arguments.
        processes: In how many processes.
    """
    start = [beside("torchrun"), f"--nproc-per-node={processes}"] if processes > 1 else [interpreter()]
    return shell(*start, "-m", f"scripts.{name}", *words)


def interpreter() -> Path:
    """How to call this Python from the shell that started it: "python", or its path where that is another one."""
    found, own = shutil.which("python"), Path(sys.executable)
    if found is not None and Path(found) == own:
        return Path("python")
    nearest = own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own
    return nearest.with_name(nearest.name.removesuffix(".exe"))


def beside(program: str) -> Path:
    """How to call a program that is installed with this Python."""
    return interpreter().with_name(program)
