"""First gradient of MuJoCo's contact model in a fresh process: this module, run with the robot's name, prints JSON."""

import json
import sys
import time

import genesis as gs
from scripts.benchmarks.mujoco_model import Engine, Scene


def first_gradient(robot: str) -> dict[str, float]:
    """Times since 1970 of: imports done, a scene of 64 built, the gradient of one control step there."""
    times = {"imported": time.time()}
    gs.init(backend=gs.cpu, precision="32", seed=0, logging_level="error")
    engine = Engine(robot, 2)
    scene = Scene(engine, engine.settled(64), requires_grad=True)
    times["built"] = time.time()
    scene.window(1, 0)
    times["first_gradient"] = time.time()
    return times


if __name__ == "__main__":
    print(json.dumps(first_gradient(sys.argv[1])))
