"""Seconds from the start of a process to the first policy update on SoftPush, with nothing compiled and again.

Each run is a process of its own (this module, run with the word `child`). "Cold": Taichi's cache folder is empty.
"""

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.benchmarks import report


@dataclass
class Startup:
    """Seconds from process start to the first policy update, cold and warm."""

    env: str = "genesis/SoftPush-v0"
    """Environment to train on."""
    num_envs: int = 16
    """Parallel environments."""
    json: Path | None = None
    """Where to write the report."""

    def run(self) -> dict[str, Any]:
        """Measure, print a table, return the report."""
        about = report.machine()
        rows = []
        with tempfile.TemporaryDirectory() as cache:
            for what in ("cold", "warm"):
                environment = {"TI_OFFLINE_CACHE_FILE_PATH": cache}
                started = time.time()
                arguments = ["-m", "scripts.benchmarks.startup", "child", self.env, str(self.num_envs)]
                times = report.own_json(arguments, environment)
                cached = len(list(Path(cache).rglob("*.tic")))
                rows.append({"what": what, **{k: t - started for k, t in times.items()}, "cached_kernels": cached})
        report.print_table(
            f"{self.env}, {self.num_envs} environments: seconds since the process started",
            ["what", "imported", "environment built", "first policy update", "second policy update"],
            [[r["what"], r["imported"], r["built"], r["first_update"], r["second_update"]] for r in rows],
        )
        result = {"benchmark": "startup", "machine": about, "env": self.env, "num_envs": self.num_envs, "rows": rows}
        report.finish(result, self.json)
        return result


def _child(env_id: str, num_envs: int) -> dict[str, float]:
    import genesis as gs
    from agents.bptt import BPTT, BPTTConfig
    from scripts import common

    times = {"imported": time.time()}
    gs.init(backend=gs.cpu, precision="32", seed=0, logging_level="error")
    env = common.training_env(env_id, num_envs)
    times["built"] = time.time()
    agent = BPTT(BPTTConfig(), env, seed=0, total_steps=100_000)
    agent.update(env)
    times["first_update"] = time.time()
    agent.update(env)
    times["second_update"] = time.time()
    return times


if __name__ == "__main__":
    print(json.dumps(_child(sys.argv[2], int(sys.argv[3]))))
