"""Environments in processes of their own: spawned ones work, forked ones say what to do instead of hanging."""

import multiprocessing
import sys

import pytest

from tests import processes
from tests.envs.every_task import one_of_each_class

LIMIT_S = 240  # for what takes some 10 s on an idle machine: a hang must fail, not wait

PROGRAM = """
import sys
import gymnasium as gym
import numpy as np

if __name__ == "__main__":
    env_id, context = sys.argv[1:]
    workers = {"context": context}
    env = gym.make_vec(
        f"envs:{env_id}", num_envs=2, vectorization_mode="async", vector_kwargs=workers, max_episode_steps=2
    )
    first, _ = env.reset(seed=[3, 4])
    for _ in range(2):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    assert observation in env.observation_space and reward.dtype == np.float64 and truncated.all()
    env.step(env.action_space.sample())  # the step that resets
    alone = gym.make_vec(env_id, num_envs=1)
    np.testing.assert_array_equal(first[1], alone.reset(seed=4)[0][0])
    env.close()
    print("workers agreed")
"""


def run(env_id, context, tmp_path):
    return processes.program(PROGRAM, env_id, context, file=tmp_path / "program.py", timeout=LIMIT_S)


def cases():
    """That single environment and batch agree, and specs can be pickled, is tested of every task without processes."""
    first, *others = one_of_each_class()
    yield first, "spawn"
    for case in ((first, "forkserver"), *((env_id, "spawn") for env_id in others)):
        yield pytest.param(*case, marks=pytest.mark.slow)


@pytest.mark.precision("32")
@pytest.mark.parametrize("env_id, context", list(cases()))
def test_workers(env_id, context, tmp_path):
    if context not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot start processes by {context}")
    done = run(env_id, context, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "workers agreed" in done.stdout


@pytest.mark.precision("32")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_forked_workers_are_refused_in_the_parent(tmp_path):
    done = run("genesis/Pendulum-v0", "fork", tmp_path)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("genesis.errors.GenesisForkError:") and 'context="spawn"' in last
