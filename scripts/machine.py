"""What figures are measured with: the processor, and the sources."""

import os
import platform
import subprocess
from pathlib import Path

import torch


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


def cores() -> list[int]:
    """Those that this process may use, by number."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def torch_threads() -> int:
    """How many threads torch may have here: as many as it has, which OMP_NUM_THREADS bounds, and no more than cores."""
    return min(torch.get_num_threads(), len(cores()))


def git_revision() -> str:
    """Commit of the sources, with "+changes" where they differ from it; "unknown" outside a repository."""

    def git(*arguments: str) -> str:
        root = Path(__file__).resolve().parent
        return subprocess.run(
            ["git", *arguments], cwd=root, check=True, capture_output=True, text=True, timeout=10
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
