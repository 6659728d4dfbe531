"""All registered tasks, as parameters of tests."""

import pytest

from envs import ENV_IDS

ALWAYS = ("genesis-mujoco/Ant-v5",)
"""Of Gymnasium's tasks those that are not slow tests; the others differ in numbers and kernels from these."""


def of_gymnasium(env_id: str) -> bool:
    return env_id.startswith("genesis-mujoco/")


EVERY_TASK = [
    pytest.param(env_id, marks=pytest.mark.slow if of_gymnasium(env_id) and env_id not in ALWAYS else ())
    for env_id in ENV_IDS
]
