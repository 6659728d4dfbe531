"""Processes that tests start. They find the kernels that the tests' own process has compiled, and programs also find
the libraries imported: a process that has done nothing else forks for each of them."""

import atexit
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genesis.compiler import impl

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 60.0
_written: list[int] = []
"""The compiler whose kernels were last written, and how many there were."""


def write_kernels() -> None:
    """Write this process's compiled kernels to the cache on the disk, as the compiler itself does when it stops.

    So it is stopped, in a forked copy of the process that ends with that. Without fork, or if the copy fails, a process
    started later compiles for itself: slower, and to the same kernels.
    """
    program: Any = impl.get_runtime().prog
    if sys.platform != "linux" or program is None:
        return
    known = [id(program), impl.get_runtime().get_num_compiled_functions()]
    if _written == known:
        return
    _written[:] = known
    copy = os.fork()
    if copy == 0:
        try:
            program.finalize()
        finally:
            os._exit(0)
    end = time.monotonic() + LIMIT_S
    while os.waitpid(copy, os.WNOHANG) == (0, 0):
        if time.monotonic() > end:
            os.kill(copy, signal.SIGKILL)
            os.waitpid(copy, 0)
            return
        time.sleep(0.01)


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[Any]:
    """`subprocess.run`, of a program that needs kernels."""
    write_kernels()
    return subprocess.run(command, **options)


def program(
    code: str,
    *arguments: str,
    file: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 240.0,
) -> subprocess.CompletedProcess[str]:
    """Run Python text as the main program of a process of its own, in the repository's root, with captured output.

    What tests the import of a library needs an interpreter of its own: `run`.

    Args:
        arguments: The program's own, behind its name in `sys.argv`.
        file: Where the text is kept, for programs whose own processes read it again.
        env: Environment variables beside this process's.
    """
    write_kernels()
    with tempfile.TemporaryDirectory() as folder:
        path = file or Path(folder) / "program.py"
        path.write_text(code, encoding="utf-8")
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **(env or {})}
        if sys.platform != "linux":
            command = [sys.executable, "-W", "ignore", str(path), *arguments]
            return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout)
        outputs = [Path(folder) / name for name in ("out", "err")]
        task = {"path": str(path), "arguments": arguments, "env": env, "outputs": [str(output) for output in outputs]}
        code_of_exit = _server().run(task, timeout)
        texts = [output.read_text(encoding="utf-8") for output in outputs]
    return subprocess.CompletedProcess([str(path), *arguments], code_of_exit, *texts)


class _Server:
    """The process that forks."""

    def __init__(self) -> None:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-W", "ignore", "-m", "tests.processes"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=pipe, stdout=pipe, text=True, start_new_session=True
        )
        atexit.register(self.stop)

    def stop(self) -> None:
        """Waited for, it counts in what the tests are measured to take."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def run(self, task: Mapping[str, Any], timeout: float) -> int:
        """The program's exit code."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(task), file=self.process.stdin, flush=True)
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.stop()
            raise subprocess.TimeoutExpired(task["path"], timeout)
        return int(self.process.stdout.readline())


_servers: list[_Server] = []


def _server() -> _Server:
    if not _servers or _servers[-1].process.poll() is not None:
        _servers[:] = [_Server()]
    return _servers[-1]


def _serve() -> dict[str, Any] | None:
    """Fork for each line of the standard input; returns its task in the forked process, None at the end."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            return json.loads(line)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return None


def _become(path: str, arguments: list[str], env: dict[str, str], outputs: list[str]) -> None:
    """Be the process of a program, as far as it can tell."""
    for standard, name in enumerate((os.devnull, *outputs)):
        new = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(new, standard)
        os.close(new)
    os.environ.clear()
    os.environ.update(env)
    sys.argv[:] = [path, *arguments]
    sys.path.insert(0, str(Path(path).parent))
    main = types.ModuleType("__main__")
    main.__file__ = path
    sys.modules["__main__"] = main
    exec(compile(Path(path).read_text(encoding="utf-8"), path, "exec"), main.__dict__)


if __name__ == "__main__":
    importlib.import_module("gymnasium")
    if _task := _serve():
        _become(**_task)
