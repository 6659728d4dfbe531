"""Articulated robots: env-steps per second forward and with gradients, first gradient, memory, beside other engines."""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import genesis as gs
from scripts.benchmarks import report, rigid_peers
from scripts.benchmarks.rigid_cases import CASES, Rig, RigidCase

ROBOTS = ("ant", "hopper", "half_cheetah", "humanoid")
Part = Literal["speed", "fresh", "peers"]
FIRST_COLD, FIRST_WARM = 40.0, 6.0
"""Bars on the first gradient, s from the start of the process."""
MEMORY_BAR = 200.0
"""Bar on what a window adds, MB."""


@dataclass
class Rigid:
    """Robots on a plane, control step 1/60 s, random torques in contact: speed, first gradient, memory, peers.

    A bar is what is asked of this engine, on two cores.
    """

    case: tuple[Literal["ant", "hopper", "half_cheetah", "humanoid"], ...] = ROBOTS
    """Robots to run."""
    parts: tuple[Part, ...] = ("speed", "fresh", "peers")
    """speed: env-steps/s; fresh: first gradient, other scenes and memory, in fresh processes; peers: other engines."""
    n_envs: int = 64
    """Environments in the batch."""
    backend: Literal["cpu", "cuda"] = "cpu"
    """Where this engine runs."""
    steps: int = 32
    """Control steps in a window."""
    repetitions: int = 9
    """Windows of each kind; the median is reported, and the slowest and the fastest."""
    peer_python: Path | None = None
    """Python of an environment with mujoco, mujoco-mjx and jax, newton and warp-lang; which are missing are skipped."""
    peers: tuple[Literal["mujoco", "mjx", "newton"], ...] = ("mujoco", "mjx", "newton")
    """Other engines to run."""
    json: Path | None = None
    """Where to write the report."""

    def run(self) -> dict[str, Any]:
        """Measure, print tables, return the report."""
        about = report.machine()
        result: dict[str, Any] = {"benchmark": "rigid", "machine": about, "settings": {**asdict(self)}}
        result["settings"] = {key: str(v) if isinstance(v, Path) else v for key, v in result["settings"].items()}
        if "speed" in self.parts or self._with_peers:
            result["cases"] = self._speed(about["cores"])
        if "fresh" in self.parts:
            result["fresh"] = self._fresh()
        if self._with_peers:
            result["peers"] = self._peers(result["cases"])
        report.finish(result, self.json)
        return result

    @property
    def _with_peers(self) -> bool:
        return "peers" in self.parts and self.peer_python is not None

    def _speed(self, cores: int) -> list[dict[str, Any]]:
        gs.init(backend=getattr(gs, self.backend), precision="32", seed=0, logging_level="error")
        results = [measure(CASES[name], self.n_envs, self.steps, self.repetitions, cores) for name in self.case]
        gs.destroy()
        lines = []
        for result in results:
            for name, row in result["rows"].items():
                busy = row["cores_busy"]
                spread = f"{row['slowest'] / 1e3:.1f}-{row['fastest'] / 1e3:.1f}"
                speed, micros = row["env_steps_per_second"], row["us_per_substep_per_core"]
                bar = None if row["bar"] is None else row["bar"] / 1e3
                lines.append([result["robot"], result["substeps"], name, speed / 1e3, spread, busy, micros, bar])
        report.print_table(
            f"{self.n_envs} environments, windows of {self.steps}, thousand env-steps/s, median of {self.repetitions}",
            ["robot", "substeps", "row", "speed", "slowest-fastest", "cores busy", "us per substep and core", "bar"],
            lines,
        )
        return results

    def _fresh(self) -> dict[str, Any]:
        module, fresh = "scripts.benchmarks.rigid_fresh", {}
        with tempfile.TemporaryDirectory() as cache:
            environment = {"TI_OFFLINE_CACHE_FILE_PATH": cache}

            def part(*arguments: str) -> dict[str, Any]:
                values = report.own_json(["-m", module, *arguments], environment)
                return {**values, "kernels": len(list(Path(cache).rglob("*.tic")))}

            for name in ("cold", "warm"):
                started = time.time()
                times = part("first-gradient")
                moments = ("imported", "built", "first_gradient")
                fresh[name] = {key: v - started if key in moments else v for key, v in times.items()}
            fresh["others"] = part("other-scenes")
            fresh["memory"] = part("memory", str(self.steps))
        print_fresh(fresh)
        return fresh

    def _peers(self, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
        assert self.peer_python is not None
        results, lines = [], []
        for case in cases:
            for peer in self.peers:
                if case["robot"] in rigid_peers.PEERS[peer]:
                    print(f"{case['robot']}: running {peer} (up to minutes, most of them compilation)", flush=True)
                    results.append(rigid_peers.run(peer, self.peer_python, CASES[case["robot"]], self.n_envs))
                    if "skipped" in results[-1]:
                        print(f"{case['robot']}: {peer} skipped: {results[-1]['skipped']}", flush=True)
                    else:
                        lines += rigid_peers.ratios(case, results[-1])
        report.print_table(
            "peers, same robots and start, thousand env-steps/s, and how many times faster this engine is",
            ["robot", "engine", "row", "substeps", "speed", "by steps", "by substeps", "bar by substeps"],
            lines,
        )
        return results


def measure(case: RigidCase, n_envs: int, steps: int, repetitions: int, cores: int) -> dict[str, Any]:
    """Speeds of one robot. The rows take turns, so that a slow moment of the machine hits all of them."""
    print(f"{case.robot}: building and compiling", flush=True)
    windows: dict[str, Callable[[int], float]] = {}
    for name, requires_grad, budget in (
        ("forward", False, None),
        ("forward+backward", True, None),
        ("forward+backward, replay", True, 0.0),
    ):
        rig = Rig(case.robot, n_envs, case.substeps, requires_grad, budget)
        rig.settle()
        rig.window(steps)
        windows[name] = lambda seed, rig=rig: rig.window(steps, seed)
    seconds: dict[str, list[float]] = {name: [] for name in windows}
    busy: dict[str, list[float]] = {name: [] for name in windows}
    for seed in range(1, 1 + repetitions):
        for name, window in windows.items():
            before = time.process_time()
            seconds[name].append(window(seed))
            busy[name].append((time.process_time() - before) / seconds[name][-1])
    bars = {"forward": case.forward_bar, "forward+backward": case.gradient_bar}
    work = n_envs * steps
    rows = {
        name: {
            "env_steps_per_second": work / statistics.median(times),
            "slowest": work / max(times),
            "fastest": work / min(times),
            "us_per_substep_per_core": 1e6 * cores * statistics.median(times) / (work * case.substeps),
            "cores_busy": statistics.median(busy[name]),
            "bar": bars.get(name),
        }
        for name, times in seconds.items()
    }
    return {"robot": case.robot, "substeps": case.substeps, "rows": rows}


def print_fresh(fresh: dict[str, Any]) -> None:
    """Tables of what the fresh processes measured."""
    cold, warm = fresh["cold"], fresh["warm"]
    report.print_table(
        "64 ants, 16 substeps: seconds from the start of the process to the first gradient, and kernels in the cache",
        ["what", "imported", "scene built", "first gradient", "bar", "kernels"],
        [
            [what, times["imported"], times["built"], times["first_gradient"], bar, times["kernels"]]
            for what, times, bar in (("empty cache", cold, FIRST_COLD), ("warm cache", warm, FIRST_WARM))
        ],
    )
    others = fresh["others"]
    report.print_table(
        f"second scenes in one process, s; compiled anew: {others['kernels'] - warm['kernels']} kernels",
        ["what changed", "build and first step with gradient", "second step with gradient"],
        [[row["what"], row["first_seconds"], row["second_seconds"]] for row in others["rows"]],
    )
    memory = fresh["memory"]
    report.print_table(
        f"64 ants, window of {memory['steps']:.0f} steps with gradient: resident memory, MB",
        ["after build", "after a step with gradient", "peak of the window", "added", "bar"],
        [[memory["built_mb"], memory["before_mb"], memory["peak_mb"], memory["added_mb"], MEMORY_BAR]],
    )
