"""Evaluations play episodes that no training sees."""

import pytest
import torch

import envs
from agents.core.evaluation import FRESH_ENV_INDEX
from agents.presets import PRESETS
from scripts import common

ENV = "genesis/TestFreshPointMass-v0"


@pytest.fixture(scope="module", autouse=True)
def task():
    envs.register_task(ENV, "tests.envs.point_mass", "PointMass", max_episode_steps=4)
    yield
    envs.ENV_IDS.remove(ENV)


def starts(env):
    """The first observation of the first two episodes of each environment, one row each."""
    first = env.reset(seed=0)[0]
    for _ in range(4):
        second = env.step(torch.zeros(env.num_envs, 2).to(first))[0]
    return torch.cat([first, second]).as_subclass(torch.Tensor)


@pytest.mark.parametrize("fresh", [common.evaluation_env, common.render_env])
def test_no_episode_of_an_evaluation_is_one_of_training(fresh):
    """With the same seed and the same task."""
    seen, unseen = starts(common.training_env(ENV, 8)), starts(fresh(ENV, 8))
    assert torch.equal(seen, starts(common.training_env(ENV, 8)))
    assert not bool((seen[:, None] == unseen[None]).all(dim=2).any())


def test_training_never_reaches_the_indices_of_evaluations():
    assert FRESH_ENV_INDEX > 100 * max(preset.num_envs for presets in PRESETS.values() for preset in presets.values())
