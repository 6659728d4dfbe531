"""Scores in Gymnasium's own environment: of a scripted policy by hand, and of a checkpoint by the commands."""

import json
import math
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch

import envs
import genesis as gs
from genesis.warning import forget_warnings
from scripts import evaluate, gymnasium_world, recheck, train
from tests.envs.every_task import of_gymnasium
from tests.scripts import saved_agents, trainings

ANT = "genesis-mujoco/Ant-v5"
TASKS = [
    pytest.param(env_id, marks=() if env_id == ANT else pytest.mark.slow)
    for env_id in envs.ENV_IDS
    if of_gymnasium(env_id)
]


def by_hand(episodes, seed):
    """Returns of the policy a = a quarter of the joints' velocities, at most 0.5, in Gymnasium."""
    returns = []
    for k in range(episodes):
        env = gym.make("Ant-v5")
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
    returns = by_hand(3, 5)
    assert found["return_mean"] == pytest.approx(returns.mean())
    assert found["return_min"] == pytest.approx(returns.min()) and found["return_std"] == pytest.approx(returns.std())
    assert found["return_interval"] == pytest.approx(1.96 * returns.std(ddof=1) / math.sqrt(3))


def test_what_mujoco_says_of_gymnasiums_model_is_said_once(caplog, capfd):
    """HalfCheetah-v5's model has an attribute that MuJoCo will drop: one warning, not one for each episode."""
    env = gym.make_vec("genesis-mujoco/HalfCheetah-v5", num_envs=1, output="torch", max_episode_steps=2).unwrapped
    forget_warnings()
    with caplog.at_level("WARNING", logger="genesis"):
        gymnasium_world.scores(lambda o: torch.zeros(len(o), 6), env, episodes=3, seed=0)
    assert len([record for record in caplog.records if "settotalmass" in record.message]) == 1
    assert "settotalmass" not in capfd.readouterr().err


def test_the_part_kept_has_an_interval():
    here, there = ({"return_mean": mean, "return_interval": half} for mean, half in ((200.0, 10.0), (100.0, 5.0)))
    found = gymnasium_world.kept(here, there)
    assert found["kept"] == 0.5 and found["kept_interval"] == pytest.approx(0.5 * math.sqrt(2) * 0.05)
    assert math.isnan(gymnasium_world.kept(dict(here, return_mean=0.0), there)["kept"])


@pytest.mark.parametrize("env_id", TASKS)
def test_the_commands(env_id, tmp_path, monkeypatch, capsys):
    """`evaluate` and `recheck` say the same, by one function."""
    options = {"output": "torch", "differentiable": True, "autoreset_mode": "SameStep"}
    env = gym.make_vec(env_id, num_envs=2, **options).unwrapped
    path, agent = saved_agents.save(tmp_path, env_id, env, "shac", contact="mujoco")
    line = ["--checkpoint", str(path), "--episodes", "2", "--json"]
    results = []
    for command, more in ((evaluate, ["--engine", "gymnasium"]), (recheck, [])):
        monkeypatch.setattr(sys, "argv", [command.__name__, *line, *more])
        assert command.main() == 0
        results.append(json.loads(capsys.readouterr().out))
    here, there = results[0]["deterministic"], results[0]["gymnasium"]
    assert there["episodes"] == 2 and results[0]["kept"] == pytest.approx(there["return_mean"] / here["return_mean"])
    assert here["return_interval"] >= 0 and there["return_interval"] >= 0
    assert {name: results[1][name] for name in results[1]} == {name: results[0][name] for name in results[1]}
    assert "kept:" in recheck.table(results[1])
    config = train.TrainConfig(env=env_id, eval_episodes=2, seed=1)
    assert train.in_gymnasium(agent.act, env, config, here) == {**there, **gymnasium_world.kept(here, there)}


def test_a_training_ends_with_the_score_or_how_to_get_it(monkeypatch):
    trained = {"return_mean": 200.0, "return_std": 3.0, "episodes": 10.0}
    there = trained | {"return_mean": 190.0, "kept": 0.95, "kept_interval": 0.01}
    result = trainings.INTERRUPTED | {"interrupted": False, "env": ANT, "trained": trained}
    told = train.report(result | {"in_gymnasium": there})
    wanted = "return 190.00 +- 1.96 (95 %) over 10 fresh episodes, 95.0 % +- 1.0 % of it (95 %)\n"
    assert f"in Gymnasium's own Ant-v5: {wanted}" in told and "--engine" not in told
    told = train.report(result | {"contact": "smoothed"})
    assert 'which needs MuJoCo, the extra "mjcf":\n' in told
    assert "-m scripts.evaluate --checkpoint runs/a --engine gymnasium --contact mujoco\n" in told
    assert "--engine gymnasium\n" in train.report(result | {"contact": "mujoco"})
    assert "--engine" not in train.report(result | {"env": "genesis/Ant-v0"})
    monkeypatch.setattr(train, "find_spec", lambda name: None)
    assert train.in_gymnasium(None, None, train.TrainConfig(env=ANT), trained) is None


def test_other_tasks_are_refused():
    env = gym.make_vec("genesis/Pendulum-v0", num_envs=1, output="torch").unwrapped
    with pytest.raises(gs.GenesisException, match="must be of a task of Gymnasium's"):
        gymnasium_world.check_task(env, "genesis/Pendulum-v0")
