"""Which model files of a folder load, and why the others do not; and whether those that load move as in MuJoCo.

Files that MuJoCo refuses, or in which nothing moves, are left out; so are copies. A file counts once for every feature
for which it is refused. Where pinocchio is installed (package `pin`), URDF files are tried in it, too. The work is
done by `files_child.py`, in a process of its own.
"""

import hashlib
import json
import queue
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.benchmarks import report

SUFFIXES = (".xml", ".mjcf", ".urdf")
PATIENCE = 300.0
"""s for one file."""
BARS = {"mass": 1e-9, "weighed": 1e-9, "moved": 1e-6}
"""Mass matrix beside MuJoCo's and pinocchio's, and the state after some steps; relative."""


@dataclass
class Files:
    """Which model files of a folder load, and why the others do not."""

    folder: Path
    """Walked with all folders in it."""
    repair: bool = False
    """Mend what MuJoCo's compiler refuses."""
    steps: int = 0
    """Steps from rest in which what loads is compared with MuJoCo; 0: none."""
    every: int = 1
    """Take each n-th of the files, in the order of their paths."""
    words: str = ""
    """Only files whose path has this in it."""
    json: Path | None = None
    """Where to write the report."""

    def run(self) -> dict[str, Any]:
        """Load, print tables, return the report."""
        about = report.machine()
        paths = [path for path in distinct(self.folder) if self.words in str(path)][:: self.every]
        found = []
        for row in results(paths, ["--repair"] * self.repair + [f"--steps={self.steps}"] * (self.steps > 0)):
            found.append(row)
            differs = ", ".join(f"{key} {row[key]:.1e}" for key in BARS if key in row)
            told = row.get("skipped") or ", ".join(row["reasons"]) or f"loads {differs}"
            print(f"{len(found)}/{len(paths)} {Path(row['path']).relative_to(self.folder)}: {told}", file=sys.stderr)
        for kind in ("MJCF", "URDF"):
            self._tell(kind, [row for row in found if row["kind"] == kind])
        self._tell_folders(found)
        result = {"benchmark": "files", "machine": about, "files": found}
        report.finish(result, self.json)
        return result

    def _tell(self, kind: str, rows: list[dict[str, Any]]) -> None:
        tried = [row for row in rows if "skipped" not in row]
        loaded = [row for row in tried if not row["reasons"]]
        if not rows:
            return
        print(f"\n{kind}: {len(loaded)} of {len(tried)} load; left out: {len(rows) - len(tried)}")
        known = [row for row in tried if row.get("pinocchio")]
        if known:
            lost = [row for row in known if row["reasons"]]
            print(f"of {len(known)} that pinocchio loads {len(known) - len(lost)} load")
            for row in lost:
                print(f"  {', '.join(row['reasons'])}  {Path(row['path']).relative_to(self.folder)}")
        reasons = Counter(reason for row in tried for reason in row["reasons"])
        sole = Counter(row["reasons"][0] for row in tried if len(row["reasons"]) == 1)
        lines = [[reason, count, sole[reason]] for reason, count in reasons.most_common()]
        if lines:
            report.print_table("refused for", ["what", "files", "for nothing else"], lines)
        repairs = Counter(what for row in loaded for what in row.get("repairs", ()))
        if repairs:
            report.print_table("repaired", ["what", "files"], [list(pair) for pair in repairs.most_common()])
        self._tell_differences(loaded)

    def _tell_folders(self, rows: list[dict[str, Any]]) -> None:
        """How many of each kind load, by the first folder below."""
        tried: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if "skipped" not in row:
                above = Path(row["path"]).relative_to(self.folder).parent.parts
                tried.setdefault(above[0] if above else ".", []).append(row)
        lines = []
        for name, own in tried.items():
            urdf = [row for row in own if row["kind"] == "URDF"]
            kinds = [row for row in own if row["kind"] == "MJCF"], urdf, [row for row in urdf if row.get("pinocchio")]
            counts = [f"{sum(not row['reasons'] for row in kind)} of {len(kind)}" if kind else "" for kind in kinds]
            lines.append([name, *counts])
        if len(lines) > 1:
            report.print_table("load", ["folder", "MJCF", "URDF", "of those that pinocchio loads"], lines)

    def _tell_differences(self, loaded: list[dict[str, Any]]) -> None:
        names = {
            "mass": "mass matrix",
            "weighed": "mass matrix, beside pinocchio's",
            "moved": f"state after {self.steps} steps",
        }
        for key, bar in BARS.items():
            compared = [row for row in loaded if key in row]
            if not compared:
                continue
            worse = sorted((row for row in compared if not row[key] <= bar), key=lambda row: -row[key])
            print(f"{names[key]}: {len(compared) - len(worse)} of {len(compared)} within {bar:g}")
            for row in worse:
                own = f", MuJoCo's own from speeds 1e-12 off {row['chaos']:.1e}" if key == "moved" else ""
                print(f"  {row[key]:.1e}{own}  {Path(row['path']).relative_to(self.folder)}")


def distinct(folder: Path) -> list[Path]:
    """Model files below a folder, one of each set of equal ones in folders of one name."""
    seen: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            seen.setdefault((digest, path.parent.name), path)
    return list(seen.values())


def results(paths: list[Path], options: list[str]) -> Iterator[dict[str, Any]]:
    """What the child process says of each file; it is started again where it dies or takes too long."""
    left = list(paths)
    while left:
        command = [sys.executable, "-m", "scripts.benchmarks.files_child", *options]
        pipe = subprocess.PIPE
        child = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, cwd=report.ROOT
        )
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_listen, args=(child, lines), daemon=True).start()
        assert child.stdin is not None
        try:
            while left:
                child.stdin.write(f"{left[0]}\n")
                child.stdin.flush()
                line = lines.get(timeout=PATIENCE)
                if not line:
                    raise BrokenPipeError
                yield json.loads(line)
                left.pop(0)
        except (queue.Empty, BrokenPipeError) as error:
            child.kill()
            reason = "takes too long" if isinstance(error, queue.Empty) else "ends the process"
            kind = "URDF" if left[0].suffix == ".urdf" else "MJCF"
            yield {"path": str(left.pop(0)), "kind": kind, "reasons": [reason]}
        child.stdin.close()
        child.wait()


def _listen(child: subprocess.Popen[str], lines: "queue.Queue[str]") -> None:
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("{"):
            lines.put(line)
    lines.put("")
