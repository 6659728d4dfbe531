"""What the rigid peers share: their arguments, model, clock and JSON line. Imported as a sibling, by any Python."""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterable


def parser(description: str | None, substeps: int, steps: int) -> argparse.ArgumentParser:
    """Arguments that every rigid peer takes; `substeps` and `steps` are this peer's defaults."""
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--xml", required=True, help="MJCF file of the robot")
    arguments.add_argument("--qpos", type=float, nargs="*", default=[], help="start in MuJoCo's order; default: qpos0")
    arguments.add_argument("--n-envs", type=int, default=64)
    arguments.add_argument("--dt", type=float, default=1.0 / 60.0, help="control step, s")
    arguments.add_argument("--substeps", type=int, default=substeps)
    arguments.add_argument("--steps", type=int, default=steps, help="control steps in one window")
    arguments.add_argument("--settle", type=int, default=30, help="control steps of random torques before any clock")
    arguments.add_argument("--repetitions", type=int, default=5)
    return arguments


def mujoco_model(args: argparse.Namespace):
    """MuJoCo's model of the robot over a frictionless plane (so that the robot's friction counts), and its start.

    The robot's own parts do not touch each other; Euler integrator.
    """
    import mujoco

    spec = mujoco.MjSpec.from_file(args.xml)
    for geom in spec.geoms:
        geom.contype, geom.conaffinity = 1, 0
    plane = mujoco.mjtGeom.mjGEOM_PLANE
    spec.worldbody.add_geom(type=plane, size=[40.0, 40.0, 1.0], contype=0, conaffinity=1, friction=[0.0, 0.0, 0.0])
    model = spec.compile()
    model.opt.integrator = mujoco.mjtIntegrator.mjINT_EULER
    model.opt.timestep = args.dt / args.substeps
    data = mujoco.MjData(model)
    if args.qpos:
        data.qpos[:] = args.qpos
    mujoco.mj_forward(model, data)
    return model, data


def timed(name: str, run: Callable[[int], float], work: int, repetitions: int) -> dict:
    """One row: `run(seed)` once to warm up, then often, each time doing `work` env-steps and returning its seconds."""
    start = time.perf_counter()
    run(0)
    first = time.perf_counter() - start
    seconds = [run(1 + k) for k in range(repetitions)]
    return {
        "row": name,
        "env_steps_per_second": work / statistics.median(seconds),
        "slowest": work / max(seconds),
        "fastest": work / min(seconds),
        "first_seconds": first,
    }


def finish(engine: str, args: argparse.Namespace, rows: Iterable[dict], more: dict) -> None:
    """Print the report as one line of JSON, the last of the output."""
    report = {"engine": engine, "python": platform.python_version(), "settings": vars(args), "rows": list(rows), **more}
    print(json.dumps(report), flush=True)
