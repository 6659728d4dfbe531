"""Milliseconds of one picture: a block of particles as balls or as a smooth surface, robots, and a mesh.

The wall clock of whole `camera.render()` calls on the present state, and the processor time of all threads in them. On
a machine that others use, processor time divided by cores is nearer to what a quiet one needs than the wall clock.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import genesis as gs
from scripts.benchmarks import report

PARTICLES = 17**3
MERIDIANS = 160
TRIANGLES = 2 * MERIDIANS * (MERIDIANS // 2 - 1)
BAR = 20.0
"""ms, for balls on two cores at 512 x 512."""


@dataclass
class Render:
    """Milliseconds of a picture, for several scenes."""

    size: int = 512
    """Width and height, pixels."""
    rounds: int = 60
    """Pictures of each scene."""
    json: Path | None = None
    """Where to write the report."""

    def run(self) -> dict[str, Any]:
        """Measure, print a table, return the report."""
        torch.set_num_threads(1)
        about = report.machine()
        gs.init(backend=gs.cpu, precision="32", seed=0, logging_level="error")
        rows = [self._measure(*case) for case in self._cases()]
        gs.destroy()
        report.print_table(
            f"one picture of {self.size} x {self.size}, ms; the bar of the first row is {BAR:g} on two cores",
            ["what", "median", "least", "processor time", "processor time / cores"],
            [[row[key] for key in ("what", "median_ms", "least_ms", "cpu_ms", "cpu_per_core_ms")] for row in rows],
        )
        result = {"benchmark": "render", "machine": about, "rows": rows}
        report.finish(result, self.json)
        return result

    def _cases(self) -> list[tuple[str, Any]]:
        where = {"pos": (-0.3, -0.8, 0.5), "lookat": (0.0, 0.0, 0.06), "fov": 35.0}
        cases = [(f"{PARTICLES} balls, 4 tools", _block("particle"), where)]
        cases.append((f"{PARTICLES} as a surface, 4 tools", _block("recon"), where))
        for robot in ("ant", "humanoid"):
            view = {"pos": (0.5, -3.6, 1.6), "lookat": (0.0, 0.0, 0.6), "fov": 30.0}
            cases.append((robot, _robot(robot), view))
        cases.append((f"a mesh of {TRIANGLES} triangles", _mesh(), where))
        size = (self.size, self.size)
        return [(name, scene.add_camera(res=size, **view)) for name, scene, view in cases]

    def _measure(self, name: str, camera: gs.Camera) -> dict[str, Any]:
        for _ in range(3):
            camera.render()
        wall, processor = [], []
        for _ in range(self.rounds):
            start, busy = time.perf_counter(), time.process_time()
            camera.render()
            wall.append(1e3 * (time.perf_counter() - start))
            processor.append(1e3 * (time.process_time() - busy))
        cores = report.machine()["cores"] or 1
        return {
            "what": name,
            "median_ms": median(wall),
            "least_ms": min(wall),
            "cpu_ms": median(processor),
            "cpu_per_core_ms": median(processor) / cores,
        }


def _block(vis_mode: str) -> gs.Scene:
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=1e-3),
        mpm_options=gs.options.MPMOptions(grid_density=50, lower_bound=(-0.6, -0.6, -0.1), upper_bound=(0.6, 0.6, 0.6)),
    )
    tool = gs.materials.Tool()
    scene.add_entity(gs.morphs.Plane(), material=tool)
    block = gs.morphs.Box(pos=(0, 0, 0.1), size=(0.17, 0.17, 0.17))
    scene.add_entity(block, material=gs.materials.MPM.Elastic(E=1e4), vis_mode=vis_mode)
    scene.add_entity(gs.morphs.Capsule(pos=(-0.2, 0.05, 0.1), height=0.1, radius=0.04), material=tool)
    scene.add_entity(gs.morphs.Cylinder(pos=(0.2, 0.05, 0.05), height=0.1, radius=0.04), material=tool)
    scene.add_entity(gs.morphs.Box(pos=(0.1, -0.2, 0.05), size=(0.1, 0.06, 0.1), euler=(0, 0, 30)), material=tool)
    scene.add_entity(gs.morphs.Sphere(pos=(-0.1, -0.2, 0.05), radius=0.05), material=tool)
    scene.build()
    return scene


def _mesh() -> gs.Scene:
    """A dented ball as a tool, above a plane."""
    height = np.linspace(0.0, np.pi, MERIDIANS // 2 + 1)
    around = 2 * np.pi * np.arange(MERIDIANS) / MERIDIANS
    radius = 0.12 + 0.012 * np.sin(6 * height)[:, None] * np.sin(8 * around)
    rounds = np.stack([np.cos(around), np.sin(around)], 1)
    across = (radius * np.sin(height)[:, None])[..., None] * rounds
    points = np.concatenate([across, (-radius * np.cos(height)[:, None])[..., None]], 2).reshape(-1, 3)
    i, k = np.meshgrid(np.arange(MERIDIANS // 2), np.arange(MERIDIANS), indexing="ij")
    a, b = i * MERIDIANS + k, i * MERIDIANS + (k + 1) % MERIDIANS
    faces = np.concatenate([np.stack([a, b, b + MERIDIANS], -1), np.stack([a, b + MERIDIANS, a + MERIDIANS], -1)])
    size = float(np.ptp(points, axis=0).max())
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in (points / size).round(12).tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (faces.reshape(-1, 3) + 1).tolist()]
    scene = gs.Scene()
    scene.add_entity(gs.morphs.Plane(), material=gs.materials.Tool())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ball.obj"
        file.write_text("\n".join(lines))
        dented = gs.morphs.Mesh(file=file, scale=size, pos=(0, 0, 0.14))
        scene.add_entity(dented, material=gs.materials.Tool(sdf_res=8))
    scene.build()
    return scene


def _robot(name: str) -> gs.Scene:
    scene = gs.Scene()
    scene.add_entity(gs.morphs.Plane(), material=gs.materials.Rigid())
    scene.add_entity(gs.morphs.Robot(name=name))
    scene.build()
    return scene
