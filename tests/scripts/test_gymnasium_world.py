"""Scores in Gymnasium's own environment: of a scripted policy by hand, and of a checkpoint by the command."""

import json
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch

import envs  # noqa: F401  (registers)
import genesis as gs
from scripts import evaluate, gymnasium_world
from tests.scripts import saved_agents

ANT = "genesis-mujoco/Ant-v5"


def by_hand(options, episodes, seed):
    """Mean return of the policy a = a quarter of the joints' velocities, at most 0.5, in Gymnasium."""
    returns = []
    for k in range(episodes):
        env = gym.make("Ant-v5", **options)
        observation, total, done = env.reset(seed=seed + k)[0], 0.0, False
        while not done:
            observation, reward, terminated, truncated, _ = env.step(np.clip(0.25 * observation[19:27], -0.5, 0.5))
            total, done = total + reward, terminated or truncated
        returns.append(total)
    return np.array(returns)


@pytest.mark.precision("64")
def test_scores_are_gymnasiums_returns():
    env = gym.make_vec(ANT, num_envs=3, output="torch").unwrapped
    found = gymnasium_world.scores(lambda o: torch.clamp(0.25 * o[:, 19:27], -0.5, 0.5), env, episodes=3, seed=5)
    free = {"include_cfrc_ext_in_observation": False, "contact_cost_weight": 0.0}
    for name, options in ((gymnasium_world.OWN, free), (gymnasium_world.DEFAULT, {})):
        returns = by_hand(options, 3, 5)
        assert found[name]["return_mean"] == pytest.approx(returns.mean())
        assert found[name]["return_min"] == pytest.approx(returns.min())
        assert found[name]["return_std"] == pytest.approx(returns.std())
    assert found[gymnasium_world.DEFAULT]["return_mean"] < found[gymnasium_world.OWN]["return_mean"]


def test_the_command(tmp_path, monkeypatch, capsys):
    options = {"output": "torch", "differentiable": True, "autoreset_mode": "SameStep"}
    env = gym.make_vec(ANT, num_envs=2, **options).unwrapped
    path, _ = saved_agents.save(tmp_path, ANT, env, "shac", contact="mujoco")
    line = ["evaluate", "--checkpoint", str(path), "--engine", "gymnasium", "--episodes", "2", "--json"]
    monkeypatch.setattr(sys, "argv", line)
    assert evaluate.main() == 0
    result = json.loads(capsys.readouterr().out)
    here, there = result["deterministic"], result["gymnasium"]
    assert there["episodes"] == 2 and result["kept"] == pytest.approx(there["return_mean"] / here["return_mean"])


def test_other_tasks_are_refused():
    env = gym.make_vec("genesis/Pendulum-v0", num_envs=1, output="torch").unwrapped
    with pytest.raises(gs.GenesisException, match="must be of a task of Gymnasium's"):
        gymnasium_world.check_task(env, "genesis/Pendulum-v0")
