"""Memory: the peak of a long differentiated rollout, and whether rollouts without gradients keep any.

Linux only: peaks come from /proc. Each part runs in a process of its own (this module, run with a part's name).
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.benchmarks import report


@dataclass
class Memory:
    """Peak memory of a differentiated rollout with replay, and growth over rollouts without gradients."""

    case: str = "1x50000"
    """Environments x particles of the differentiated rollout."""
    steps: int = 100
    """Scene steps of the differentiated rollout."""
    growth_case: str = "16x2000"
    """Environments x particles of the rollout without gradients."""
    growth_steps: int = 1000
    """Scene steps of the rollout without gradients."""
    json: Path | None = None
    """Where to write the report."""

    def run(self) -> dict[str, Any]:
        """Measure, print tables, return the report."""
        about = report.machine()
        module = "scripts.benchmarks.memory"
        peak = report.own_json(["-m", module, "peak", self.case, str(self.steps)])
        growth = report.own_json(["-m", module, "growth", self.growth_case, str(self.growth_steps)])
        report.print_table(
            "resident memory, MB",
            ["what", "case", "steps", "MB"],
            [
                ["after imports and gs.init", self.case, 0, peak["started_mb"]],
                ["after build", self.case, 0, peak["built_mb"]],
                ["peak, forward+backward with replay", self.case, self.steps, peak["peak_mb"]],
                ["growth under no_grad", self.growth_case, self.growth_steps, growth["growth_mb"]],
            ],
        )
        result = {"benchmark": "memory", "machine": about, "peak": peak, "growth": growth}
        report.finish(result, self.json)
        return result


def resident_mb(field: str = "VmRSS") -> float:
    """Resident memory of this process in MB (10^6 bytes): now (`VmRSS`) or at its highest (`VmHWM`)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"/proc/self/status must name {field}, got no such line. This benchmark needs Linux.")


def _peak(case: str, steps: int) -> dict[str, float]:
    import torch

    import genesis as gs
    from scripts.benchmarks.cases import CASES, build

    gs.init(backend=gs.cpu, precision="32", seed=0, logging_level="error")
    started = resident_mb()
    scene, block = build(CASES[case], requires_grad=True, frame_budget_mb=0.0)
    built = resident_mb()
    velocity = torch.zeros(CASES[case].envs, 3, requires_grad=True)
    block.set_velocity(velocity)
    for _ in range(steps):
        scene.step()
    block.get_state().pos.square().sum().backward()
    if velocity.grad is None or not bool(velocity.grad.abs().sum() > 0):
        raise RuntimeError("the gradient must reach the initial velocity, got none.")
    return {"started_mb": started, "built_mb": built, "peak_mb": resident_mb("VmHWM"), "steps": steps}


def _growth(case: str, steps: int) -> dict[str, Any]:
    import torch

    import genesis as gs
    from scripts.benchmarks.cases import CASES, build

    gs.init(backend=gs.cpu, precision="32", seed=0, logging_level="error")
    scene, block = build(CASES[case], requires_grad=True)
    velocity = torch.zeros(CASES[case].envs, 3, requires_grad=True)
    block.set_velocity(velocity)
    settle = max(1, steps // 20)
    samples = []
    with torch.no_grad():
        for step in range(settle + steps):
            scene.step()
            if step + 1 >= settle and (step + 1 - settle) % settle == 0:
                samples.append(resident_mb())
    return {"growth_mb": samples[-1] - samples[0], "samples_mb": samples, "steps": steps}


if __name__ == "__main__":
    part = {"peak": _peak, "growth": _growth}[sys.argv[1]]
    print(json.dumps(part(sys.argv[2], int(sys.argv[3]))))
