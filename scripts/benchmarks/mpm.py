"""Particle-substeps per second of the MPM solver, forward and with gradients, beside another engine if there is one."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

import genesis as gs
from scripts.benchmarks import report
from scripts.benchmarks.cases import CASES, MpmCase, build

PEER_PROGRAM = report.ROOT / "scripts" / "peers" / "genesis_world_mpm.py"
KEPT_MB = 8192.0
"""A frame budget that every case's frames fit into."""


@dataclass
class Mpm:
    """MPM throughput in million particle-substeps per second: forward, and forward with backward."""

    cases: tuple[Literal["16x2000", "1x50000"], ...] = ("16x2000", "1x50000")
    """Environments x particles to run."""
    model: Literal["neohooken", "corotation"] = "neohooken"
    """Material of the particles, in this engine and in the other one."""
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
        measured = measure(case, self.model, self.steps, self.repetitions)
        result: dict[str, Any] = {"case": name, "settings": asdict(case), "rows": measured, "peer": None}
        if self.peer_python is not None:
            print(f"{name}: running {self.peer_python} (minutes, most of them compilation)", flush=True)
            result["peer"] = report.run_json(self.peer_python, self._peer_arguments(name, case))
        return result

    def _peer_arguments(self, name: str, case: MpmCase) -> list[str]:
        values = {
            "name": name,
            "envs": case.envs,
            "grid": case.grid,
            "substeps": case.substeps,
            "substep-dt": case.substep_dt,
            "youngs": case.youngs,
            "poisson": case.poisson,
            "density": case.density,
            "model": self.model,
            "steps": self.steps,
            "repetitions": self.peer_repetitions,
        }
        arguments = [text for key, value in values.items() for text in (f"--{key}", str(value))]
        return [str(PEER_PROGRAM), *arguments, "--block", *map(str, case.block)]

    def _print(self, results: list[dict[str, Any]]) -> None:
        engine = next((r["peer"]["engine"] for r in results if r["peer"]), "peer")
        lines = []
        for result in results:
            peer = {row["row"]: row["particle_substeps_per_second"] for row in (result["peer"] or {"rows": []})["rows"]}
            for row in result["rows"]:
                other = peer.get(row["row"].split(",")[0])
                speed = row["particle_substeps_per_second"]
                ratio = speed / other if other else None
                lines.append([result["case"], row["row"], speed / 1e6, other / 1e6 if other else None, ratio])
        header = ["case", "row", "this engine", engine, "ratio"]
        print_title = f"{self.model}, {self.backend}, million particle-substeps per second, best of {self.repetitions}"
        report.print_table(print_title, header, lines)


def measure(case: MpmCase, model: str, steps: int, repetitions: int) -> list[dict[str, Any]]:
    """One row per way to run the case. The ways take turns, so that a slow moment of the machine hits all of them."""
    ways: dict[str, Callable[[], float]] = {}
    for name, requires_grad, budget in (
        ("forward", False, 0.0),
        ("forward+backward, replay", True, 0.0),
        ("forward+backward, frames kept", True, KEPT_MB),
    ):
        scene, block = build(case, requires_grad, budget, model)
        ways[name] = _timer(scene, block, case.envs, steps, requires_grad)
    first = {name: run() for name, run in ways.items()}
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(repetitions):
        for name, run in ways.items():
            best[name] = min(best[name], run())
    return [
        {
            "row": name,
            "seconds": best[name],
            "first_seconds": first[name],
            "particle_substeps_per_second": case.work * steps / best[name],
        }
        for name in ways
    ]


def _timer(scene: Any, block: Any, envs: int, steps: int, requires_grad: bool) -> Callable[[], float]:
    """A function that runs one repetition from the initial state and returns its seconds."""

    def run() -> float:
        scene.reset()
        velocity = torch.zeros(envs, 3, device=gs.device, requires_grad=requires_grad)
        block.set_velocity(velocity)
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
