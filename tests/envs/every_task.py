"""All registered tasks, as parameters of tests."""

import pytest

from envs import ENV_IDS

ALWAYS = ("genesis-mujoco/Ant-v5",)
"""Of Gymnasium's tasks those that are not slow tests; the others differ in numbers and kernels from these."""


def of_gymnasium(env_id: str) -> bool:
    return env_id.startswith("genesis-mujoco/")


def slow(env_id: str) -> bool:
    """Whether a task's tests are slow ones: most of Gymnasium's, those that have a small version, and one whose kernels
    take half a minute and have a test of their own (`test_block_push.py`)."""
    has_mini = env_id.replace("-v0", "-mini-v0") in ENV_IDS
    return has_mini or env_id == "genesis/BlockPush-v0" or (of_gymnasium(env_id) and env_id not in ALWAYS)


EVERY_TASK = [pytest.param(env_id, marks=pytest.mark.slow if slow(env_id) else ()) for env_id in ENV_IDS]
