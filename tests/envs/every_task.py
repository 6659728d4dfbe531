"""All registered tasks, as parameters of tests."""

import gymnasium as gym
import pytest
from gymnasium.envs.registration import load_env_creator

from envs import ENV_IDS

ALWAYS = ("genesis-mujoco/Ant-v5",)
"""Of Gymnasium's tasks those that are not slow tests; the others differ in numbers and kernels from these."""


def one_of_each_class() -> tuple[str, ...]:
    """A cheap task of each class that single environments derive from, for what else is the same of all."""
    first: dict[type, str] = {}
    for env_id in sorted(ENV_IDS, key=lambda env_id: ("Pendulum" not in env_id, "-mini" not in env_id)):
        single = load_env_creator(gym.spec(env_id).entry_point)
        first.setdefault(single.__base__, env_id)
    return tuple(first.values())


def of_gymnasium(env_id: str) -> bool:
    return env_id.startswith("genesis-mujoco/")


def slow(env_id: str) -> bool:
    """Whether a task's tests are slow ones: most of Gymnasium's, those that have a small version, and one whose kernels
    take half a minute and have a test of their own (`test_block_push.py`)."""
    has_mini = env_id.replace("-v0", "-mini-v0") in ENV_IDS
    return has_mini or env_id == "genesis/BlockPush-v0" or (of_gymnasium(env_id) and env_id not in ALWAYS)


EVERY_TASK = [pytest.param(env_id, marks=pytest.mark.slow if slow(env_id) else ()) for env_id in ENV_IDS]
