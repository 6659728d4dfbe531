"""The gradient of a closed loop against central differences, here and in another engine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.benchmarks import report

PROGRAM = report.ROOT / "scripts" / "peers" / "closed_loop.py"


@dataclass
class ClosedLoop:
    """Relative error of a closed loop's gradient against central differences, in float64."""

    steps: int = 4
    """Scene steps of the episode; the policy acts in each."""
    envs: int = 2
    """Environments in the batch."""
    width: float = 1e-4
    """Half the distance of the central differences, in units of the policy's weights."""
    peer_python: Path | None = None
    """Python of an environment that has genesis-world; without it only this engine runs."""
    json: Path | None = None
    """Where to write the report."""

    def run(self) -> dict[str, Any]:
        """Measure, print a table, return the report."""
        about = report.machine()
        arguments = [str(PROGRAM), f"--steps={self.steps}", f"--envs={self.envs}", f"--width={self.width}"]
        engines = [report.own_json(arguments)]
        if self.peer_python is not None:
            engines.append(report.run_json(self.peer_python, arguments))
        report.print_table(
            f"closed loop, {self.steps} steps, float64: error of the gradient relative to central differences",
            ["engine", "relative error", "dL/dW[0][0]", "central difference"],
            [[e["engine"], e["relative_error"], e["gradient"][0][0], e["central_differences"][0][0]] for e in engines],
        )
        result = {"benchmark": "closed-loop", "machine": about, "engines": engines}
        report.finish(result, self.json)
        return result
