"""Seconds from the start of a process to the first policy update on SoftPush, or to the first gradient of a scene with
a robot and three materials, with nothing compiled and again.

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
    """Seconds from process start to the first policy update or gradient, cold and warm."""

    scene: bool = False
    """Whether to take, in place of a policy's update, a step of a scene and its gradient: an ant, a plane, an elastic
    block, sand and a liquid, which push each other."""
    env: str = "genesis/SoftPush-v0"
    """Environment to train on."""
    num_envs: int = 16
    """Parallel environments."""
    json: Path | None = None
    """Where to write the report."""

    def run(self) -> dict[str, Any]:
        """Measure, print a table, return the report."""
        about, what = report.machine(), "gradient" if self.scene else "policy update"
        name = "scene" if self.scene else self.env
        rows = []
        with tempfile.TemporaryDirectory() as cache:
            for cache_is in ("cold", "warm"):
                environment = {"TI_OFFLINE_CACHE_FILE_PATH": cache}
                started = time.time()
                arguments = ["-m", "scripts.benchmarks.startup", "child", name, str(self.num_envs)]
                times = report.own_json(arguments, environment)
                cached = len(list(Path(cache).rglob("*.tic")))
                rows.append({"what": cache_is, **{k: t - started for k, t in times.items()}, "cached_kernels": cached})
        report.print_table(
            f"{name}, {self.num_envs} environments: seconds since the process started",
            ["what", "imported", "built", f"first {what}", f"second {what}"],
            [[r["what"], r["imported"], r["built"], r["first_update"], r["second_update"]] for r in rows],
        )
        result = {"benchmark": "startup", "machine": about, "env": name, "num_envs": self.num_envs, "rows": rows}
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


def _child_of_scene(n_envs: int) -> dict[str, float]:
    import genesis as gs

    times = {"imported": time.time()}
    gs.init(backend=gs.cpu, precision="32", seed=0, logging_level="error")
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=5e-3, substeps=10, requires_grad=True),
        mpm_options=gs.options.MPMOptions(grid_density=20, lower_bound=(-1, -1, -0.2), upper_bound=(1, 1, 1)),
    )
    ant = scene.add_entity(gs.morphs.Robot(name="ant"))
    mpm = gs.materials.MPM
    blocks = [
        scene.add_entity(gs.morphs.Box(pos=(x, 0.6, 0.1), size=(0.2, 0.2, 0.2)), material)
        for x, material in ((-0.5, mpm.Elastic(E=1e5)), (0.0, mpm.Sand(E=1e5)), (0.5, mpm.Liquid(E=1e5)))
    ]
    scene.build(n_envs=n_envs)
    times["built"] = time.time()
    force = gs.zeros((n_envs, ant.n_dofs - 6), requires_grad=True)
    for which in ("first_update", "second_update"):
        scene.reset()
        ant.control_dofs_force(force, dofs_idx_local=range(6, ant.n_dofs))
        scene.step()
        particles = sum(block.get_particles_pos().square().mean() for block in blocks)
        (ant.get_pos().square().mean() + particles).backward()
        times[which] = time.time()
    return times


if __name__ == "__main__":
    given = sys.argv[2], int(sys.argv[3])
    print(json.dumps(_child_of_scene(given[1]) if given[0] == "scene" else _child(*given)))
