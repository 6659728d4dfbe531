"""Processes that tests start find the kernels that the tests' own process has compiled."""

import os
import signal
import subprocess
import sys
import time
from typing import Any

from genesis.compiler import impl

LIMIT_S = 60.0


def write_kernels() -> None:
    """Write this process's compiled kernels to the cache on the disk, as the compiler itself does when it stops.

    So it is stopped, in a forked copy of the process that ends with that. Without fork, or if the copy fails, a process
    started later compiles for itself: slower, and to the same kernels.
    """
    program: Any = impl.get_runtime().prog
    if sys.platform != "linux" or program is None:
        return
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
