"""What a scene step costs besides the kernels' own work: Python, torch's graph, launches.

A tiny scene is stepped with one clock on the whole and one on each kernel launch. What the launch of an empty kernel
costs counts as border, not as work:

    border = step - (time in launches - number of launches x empty launch)
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import genesis as gs
from genesis.arrays import allocate
from genesis.launch import Launch, bind
from scripts.benchmarks import report
from scripts.benchmarks.cases import CASES, build
from scripts.benchmarks.empty_kernel import TABLE, empty_kernel


@dataclass
class Border:
    """Microseconds of a scene step beyond the kernels' own work."""

    rounds: int = 20
    """The one with the least time outside launches is reported."""
    steps: int = 100
    """Scene steps in one round."""
    json: Path | None = None
    """Where to write the report."""

    def run(self) -> dict[str, Any]:
        """Measure, print a table, return the report."""
        about = report.machine()
        gs.init(backend=gs.cpu, precision="32", seed=0, logging_level="error")
        rows = [self._measure("step", requires_grad=False), self._measure("step+backward", requires_grad=True)]
        gs.destroy()
        keys = ("step_us", "launches", "in_launches_us", "empty_launch_us", "border_us")
        report.print_table(
            "one step of a scene of 8 particles and 1 substep, microseconds",
            ["what", "whole", "launches", "in launches", "empty launch", "border"],
            [[row["what"], *(row[key] for key in keys)] for row in rows],
        )
        result = {"benchmark": "border", "machine": about, "rows": rows}
        report.finish(result, self.json)
        return result

    def _measure(self, name: str, requires_grad: bool) -> dict[str, Any]:
        scene, block = build(CASES["tiny"], requires_grad, frame_budget_mb=256.0)
        run = _chain(scene, block, self.steps, requires_grad)
        run()
        empty = _empty_launch(self.steps, self.rounds)
        rounds = []
        with _LaunchClock() as clock:
            for _ in range(self.rounds):
                clock.restart()
                rounds.append((_seconds(run), clock.seconds))
        launches = clock.launches / self.steps
        whole, inside = (seconds / self.steps for seconds in min(rounds, key=lambda pair: pair[0] - pair[1]))
        return {
            "what": name,
            "step_us": whole * 1e6,
            "launches": launches,
            "in_launches_us": inside * 1e6,
            "empty_launch_us": empty * 1e6,
            "border_us": (whole - inside + launches * empty) * 1e6,
        }


def _chain(scene: Any, block: Any, steps: int, requires_grad: bool) -> Callable[[], None]:
    """A function that takes `steps` steps in a row and, if asked to, the gradient through all of them."""
    velocity = torch.zeros(1, 3, requires_grad=requires_grad)

    def run() -> None:
        scene.reset()
        block.set_velocity(velocity)
        for _ in range(steps):
            scene.step()
        if requires_grad:
            block.get_state().pos.sum().backward()

    return run


def _seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _empty_launch(steps: int, rounds: int) -> float:
    """Seconds of one launch of a kernel that does next to nothing."""
    launch = bind(empty_kernel(), allocate(TABLE, {}, "scratch"))

    def run() -> None:
        for _ in range(steps):
            launch()

    return min(_seconds(run) for _ in range(rounds)) / steps


class _LaunchClock:
    """Counts launches and their time while entered, by standing in for `Launch.__call__`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.launches = 0

    def restart(self) -> None:
        self.seconds, self.launches = 0.0, 0

    def __enter__(self) -> "_LaunchClock":
        self._original = original = Launch.__call__

        def timed(launch: Launch) -> None:
            start = time.perf_counter()
            original(launch)
            self.seconds += time.perf_counter() - start
            self.launches += 1

        Launch.__call__ = timed  # pyright: ignore[reportAttributeAccessIssue]
        return self

    def __exit__(self, *exc: object) -> None:
        Launch.__call__ = self._original
