"""First gradient of MuJoCo's contact model in a fresh process, with an empty cache of kernels and with a warm one.

The process is this module, run with the robot's name, which prints JSON.
"""

import json
import sys
import tempfile
import time
from typing import Any

from scripts.benchmarks import report

COLD_BAR, WARM_BAR = 45.0, 8.0
"""s from the start of the process."""


def measure(robot: str) -> dict[str, dict[str, float]]:
    """Seconds from the start of a process until imports are done, the scene is built, and there is a gradient."""
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        for name in ("cold", "warm"):
            started = time.time()
            times = report.own_json(["-m", __name__, robot], {"TI_OFFLINE_CACHE_FILE_PATH": cache})
            found[name] = {key: moment - started for key, moment in times.items()}
    return found


def first_gradient(robot: str) -> dict[str, float]:
    """Times since 1970 of: imports done, a scene of 64 built, the gradient of one control step there."""
    import genesis as gs
    from scripts.benchmarks.mujoco_model import Engine, Scene

    times = {"imported": time.time()}
    gs.init(backend=gs.cpu, precision="32", seed=0, logging_level="error")
    engine: Any = Engine(robot, 2)
    scene = Scene(engine, engine.settled(64), requires_grad=True)
    times["built"] = time.time()
    scene.window(1, 0)
    times["first_gradient"] = time.time()
    return times


if __name__ == "__main__":
    print(json.dumps(first_gradient(sys.argv[1])))
