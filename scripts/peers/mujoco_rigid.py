"""A robot on a plane in MuJoCo's C engine: forward steps on all cores, and what finite-difference Jacobians cost.

    PEER/bin/python scripts/peers/mujoco_rigid.py --xml genesis/loaders/robots/ant.xml

A control step is `--substeps` steps of `mj_step` with the Euler integrator (semi-implicit, joint damping implicit). The
gradient row is what a differentiable use would need at least: `mjd_transitionFD` in every step, one-sided differences.
Needs `mujoco`. The last line of the output is JSON.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import mujoco
import numpy as np
import rigid_common
from mujoco.rollout import Rollout

STATE = mujoco.mjtState.mjSTATE_FULLPHYSICS


class Batch:
    """Environments that roll out together on a pool of threads (0: on the calling thread)."""

    def __init__(self, model: mujoco.MjModel, args, threads: int):
        self.model, self.args = model, args
        self.data = [mujoco.MjData(model) for _ in range(max(1, threads))]
        self.pool = Rollout(nthread=threads)

    def roll(self, start: np.ndarray, steps: int, seed: int) -> tuple[np.ndarray, float]:
        """The last states after `steps` control steps of random torques, and the seconds they took."""
        shape = (len(start), steps, self.model.nu)
        actions = np.random.default_rng(seed).uniform(-1.0, 1.0, shape).repeat(self.args.substeps, axis=1)
        begin = time.perf_counter()
        states, _ = self.pool.rollout(self.model, self.data, start, actions)
        return states[:, -1], time.perf_counter() - begin


def contacts(model: mujoco.MjModel, states: np.ndarray) -> float:
    """Mean number of contact points of an environment."""
    data, total = mujoco.MjData(model), 0
    for state in states:
        mujoco.mj_setState(model, data, state, STATE)
        mujoco.mj_forward(model, data)
        total += data.ncon
    return total / len(states)


def jacobians(model: mujoco.MjModel, states: np.ndarray, args, threads: int, seed: int) -> float:
    """Seconds of one control step with the Jacobian of each of its substeps, for all environments."""
    size, chunks = 2 * model.nv + model.na, np.array_split(states, threads)
    actions = np.random.default_rng(seed).uniform(-1.0, 1.0, (len(states), model.nu))

    def work(chunk: np.ndarray, controls: np.ndarray) -> None:
        data, a, b = mujoco.MjData(model), np.zeros((size, size)), np.zeros((size, model.nu))
        for state, control in zip(chunk, controls, strict=True):
            mujoco.mj_setState(model, data, state, STATE)
            data.ctrl[:] = control
            for _ in range(args.substeps):
                mujoco.mjd_transitionFD(model, data, 1e-6, False, a, b, None, None)
                mujoco.mj_step(model, data)

    begin = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, chunks, np.array_split(actions, threads)))
    return time.perf_counter() - begin


def main() -> None:
    """Run and print JSON."""
    arguments = rigid_common.parser(__doc__, substeps=4, steps=32)
    # Counted here: a peer's environment does not find this repository, and so not scripts.machine.
    arguments.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = arguments.parse_args()
    model, data = rigid_common.mujoco_model(args)
    start = np.zeros(mujoco.mj_stateSize(model, STATE))
    mujoco.mj_getState(model, data, start, STATE)
    parallel, serial = Batch(model, args, args.threads), Batch(model, args, 0)
    settled, _ = parallel.roll(np.tile(start, (args.n_envs, 1)), args.settle, seed=1000)
    work = args.n_envs * args.steps
    forward = rigid_common.timed(
        "forward", lambda seed: parallel.roll(settled, args.steps, seed)[1], work, args.repetitions
    )
    one_core = rigid_common.timed(
        "forward, one core", lambda seed: serial.roll(settled, args.steps, seed)[1], work, args.repetitions
    )
    differences = rigid_common.timed(
        "forward+backward (finite differences)",
        lambda seed: jacobians(model, settled, args, args.threads, seed),
        args.n_envs,
        args.repetitions,
    )
    rigid_common.finish(
        f"mujoco {mujoco.__version__}",
        args,
        [forward, one_core, differences],
        {
            "us_per_substep_per_core": 1e6 / (one_core["env_steps_per_second"] * args.substeps),
            "contacts": contacts(model, settled),
            "finite": bool(np.isfinite(settled).all()),
        },
    )


if __name__ == "__main__":
    main()
