"""Particle-substeps per second of the MPM solver, forward and with gradients, beside another engine if there is one."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

import genesis as gs
from scripts.benchmarks import report
from scripts.benchmarks.cases import CASES, ModelName, MpmCase, build

PEER_PROGRAM = report.ROOT / "scripts" / "peers" / "genesis_world_mpm.py"
KEPT_MB = 8192.0
"""A frame budget that every case's frames fit into."""


STRAIN = ((-0.6, 0.7, 0.0), (0.0, 0.1, 0.5), (0.2, 0.0, -0.5))
"""Velocity gradient of a block that is strained by 1/s: it is sheared, and loses volume."""


@dataclass
class Mpm:
    """MPM throughput in million particle-substeps per second: forward, and forward with backward."""

    cases: tuple[Literal["16x2000", "1x50000"], ...] = ("16x2000", "1x50000")
    """Environments x particles to run."""
    models: tuple[ModelName, ...] = ("neohooken",)
    """Materials of the particles, in this engine and in the other one; all take turns, and ratios are to the first."""
    strain_rate: float = 0.0
    """Of the block at the start, 1/s: 10 strains it by 8 % in four steps, so that what can yield does."""
    backend: Literal["cpu", "cuda"] = "cpu"
    """Where this engine runs."""
    steps: int = 4
    """Scene steps in one repetition."""
    repetitions: int = 7
    """The best of so many is reported."""
    peer_python: Path | None = None
    """Python of an environment that has genesis-world; the other engine; without it its columns stay empty."""
    peer_repetitions: int = 3
    """Repetitions of the other engine, which is slower."""
    json: Path | None = field(default=None)
    """Where to write the report."""

    def run(self) -> dict[str, Any]:
        """Measure, print a table, return the report."""
        about = report.machine()
        gs.init(backend=getattr(gs, self.backend), precision="32", seed=0, logging_level="error")
        results = [self._case(name) for name in self.cases]
        gs.destroy()
        settings = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}
        result = {"benchmark": "mpm", "machine": about, "settings": settings, "cases": results}
        self._print(results)
        report.finish(result, self.json)
        return result

    def _case(self, name: str) -> dict[str, Any]:
        case = CASES[name]
        print(f"{name}: building and compiling", flush=True)
        measured = measure(case, self.models, self.strain_rate, self.steps, self.repetitions)
        result: dict[str, Any] = {"case": name, "settings": asdict(case), "rows": measured, "peers": {}}
        if self.peer_python is not None:
            for model in self.models:
                print(f"{name}, {model}: running {self.peer_python} (minutes, most of them compilation)", flush=True)
                result["peers"][model] = self._peer(self.peer_python, self._peer_arguments(name, case, model))
        return result

    @staticmethod
    def _peer(python: Path, arguments: list[str]) -> dict[str, Any]:
        """The other engine at its fastest, row by row: it runs on one thread unless told otherwise."""
        runs: list[dict[str, Any]] = [
            report.run_json(python, arguments, {**os.environ, "QD_NUM_THREADS": str(threads)}) | {"threads": threads}
            for threads in sorted({1, os.cpu_count() or 1})
        ]
        rows = [{**row, "threads": run["threads"]} for run in runs for row in run["rows"]]
        best = {row["row"]: row for row in sorted(rows, key=lambda row: row["particle_substeps_per_second"])}
        return runs[0] | {"rows": list(best.values()), "threads": [run["threads"] for run in runs]}

    def _peer_arguments(self, name: str, case: MpmCase, model: str) -> list[str]:
        values = {
            "name": name,
            "envs": case.envs,
            "grid": case.grid,
            "substeps": case.substeps,
            "substep-dt": case.substep_dt,
            "youngs": case.youngs,
            "poisson": case.poisson,
            "density": case.density,
            "model": model,
            "strain-rate": self.strain_rate,
            "steps": self.steps,
            "repetitions": self.peer_repetitions,
        }
        arguments = [text for key, value in values.items() for text in (f"--{key}", str(value))]
        return [str(PEER_PROGRAM), *arguments, "--block", *map(str, case.block)]

    def _print(self, results: list[dict[str, Any]]) -> None:
        engine = next((peer["engine"] for r in results for peer in r["peers"].values()), "peer")
        lines = []
        for result in results:
            first = {row["row"]: row["particle_substeps_per_second"] for row in reversed(result["rows"])}
            for row in result["rows"]:
                rows = result["peers"].get(row["model"], {"rows": []})["rows"]
                peer = {other["row"]: other["particle_substeps_per_second"] for other in rows}
                other = peer.get(row["row"].split(",")[0])
                speed = row["particle_substeps_per_second"]
                lines.append([
                    result["case"], row["model"], row["row"], speed / 1e6, speed / first[row["row"]],
                    other / 1e6 if other else None, speed / other if other else None,
                ])  # fmt: skip
        header = ["case", "model", "row", "this engine", f"of {self.models[0]}", engine, "ratio"]
        print_title = f"{self.backend}, million particle-substeps per second, best of {self.repetitions}"
        report.print_table(print_title, header, lines)


def measure(
    case: MpmCase, models: Sequence[str], strain_rate: float, steps: int, repetitions: int
) -> list[dict[str, Any]]:
    """One row per way to run the case. The ways take turns, so that a slow moment of the machine hits all of them."""
    ways: dict[tuple[str, str], Callable[[], float]] = {}
    for model in models:
        for name, requires_grad, budget in (
            ("forward", False, 0.0),
            ("forward+backward, replay", True, 0.0),
            ("forward+backward, frames kept", True, KEPT_MB),
        ):
            scene, block = build(case, requires_grad, budget, model)
            ways[model, name] = _timer(scene, block, case.envs, strain_rate, steps, requires_grad)
    first = {way: run() for way, run in ways.items()}
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(repetitions):
        for way, run in ways.items():
            best[way] = min(best[way], run())
    return [
        {
            "model": way[0],
            "row": way[1],
            "seconds": best[way],
            "first_seconds": first[way],
            "particle_substeps_per_second": case.work * steps / best[way],
        }
        for way in ways
    ]


def _timer(
    scene: Any, block: Any, envs: int, strain_rate: float, steps: int, requires_grad: bool
) -> Callable[[], float]:
    """A function that runs one repetition from the initial state and returns its seconds."""
    places = block.get_particles_pos().detach() - 0.5
    strained = strain_rate * (places @ torch.tensor(STRAIN, dtype=places.dtype, device=places.device).T)

    def run() -> float:
        scene.reset()
        velocity = torch.zeros(envs, 3, device=gs.device, requires_grad=requires_grad)
        block.set_velocity(strained + velocity[:, None, :])
        start = time.perf_counter()
        for _ in range(steps):
            scene.step()
        loss = block.get_state().pos.square().sum()
        if requires_grad:
            loss.backward()
            if velocity.grad is None or not bool(velocity.grad.abs().sum() > 0):
                raise RuntimeError("the gradient must reach the initial velocity, got none.")
        else:
            loss.item()
        return time.perf_counter() - start

    return run
