"""What every benchmark shares: a description of the machine, tables, JSON, programs in processes of their own."""

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scripts.machine import cores, git_revision, processor

ROOT = Path(__file__).resolve().parents[2]


def machine() -> dict[str, Any]:
    """What a figure depends on besides the code. `load` is the system's load average (1 min) before the run."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cpu": processor(),
        "cores": len(cores()),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "taichi": version("taichi"),
        "revision": git_revision(),
    }


def finish(report: dict[str, Any], path: Path | None) -> None:
    """Print the machine and, if asked for, write the report as JSON."""
    print("machine: " + ", ".join(f"{key} {value}" for key, value in report["machine"].items()))
    if path is not None:
        path.write_text(json.dumps(report, indent=2) + "\n")
        print(f"written: {path}")


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a Markdown table: text left, numbers right. Floats keep three significant digits."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(header), *cells]) for i in range(len(header))]
    numeric = [all(isinstance(row[i], (int, float, type(None))) for row in rows) for i in range(len(header))]

    def line(values: Sequence[str]) -> str:
        aligned = (v.rjust(w) if right else v.ljust(w) for v, w, right in zip(values, widths, numeric, strict=True))
        return "| " + " | ".join(aligned) + " |"

    rule = (("-" * (w - 1) + ":") if right else "-" * w for w, right in zip(widths, numeric, strict=True))
    print(f"\n{title}\n")
    print(line(list(header)))
    print("| " + " | ".join(rule) + " |")
    for row in cells:
        print(line(row))
    print(flush=True)


def run_json(python: str | Path, arguments: Sequence[str], env: dict[str, str] | None = None) -> dict[str, Any]:
    """Run a Python program whose last line of output is JSON, and return that.

    It runs in the interpreter's own folder, so that another engine's `import genesis` never finds this repository.

    Raises:
        RuntimeError: the program failed; its last lines of output are in the message.
    """
    command = [str(Path(python).absolute()), *arguments]
    done = subprocess.run(command, cwd=Path(python).parent, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise RuntimeError(f"{shlex.join(command)} must succeed, got exit code {done.returncode}:\n{tail}")
    return json.loads(done.stdout.splitlines()[-1])


def own_json(arguments: Sequence[str], extra_env: dict[str, str] | None = None) -> dict[str, Any]:
    """`run_json` in a fresh process of this interpreter, on this checkout."""
    return run_json(sys.executable, arguments, {**os.environ, "PYTHONPATH": str(ROOT), **(extra_env or {})})


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
