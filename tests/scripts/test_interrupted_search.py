"""A search of trajectories ends at Ctrl-C, and not when all of its sequences have been tried."""

import signal
from pathlib import Path

import pytest

from agents.core import checkpoint
from agents.trajopt import CEMTrajopt, CEMTrajoptConfig
from scripts import train
from tests.scripts import trainings
from tests.scripts.trainings import ENV, precision


@pytest.fixture(scope="module", autouse=True)
def task():
    with trainings.registered():
        yield


def test_a_search_does_not_try_the_rest_of_its_sequences_after_ctrl_c(monkeypatch, tmp_path):
    """Three roll-outs an update; the second one of the second update is the last."""
    tried, try_out = [], CEMTrajopt.try_out

    def interrupted(self, env, knots):
        tried.append(self.updates)
        if len(tried) == 5:
            signal.raise_signal(signal.SIGINT)
        return try_out(self, env, knots)

    monkeypatch.setattr(CEMTrajopt, "try_out", interrupted)
    config = train.TrainConfig(ENV, "trajopt-cem", total_steps=10**6, num_envs=4, precision=precision(),
                               run_dir=tmp_path, eval_episodes=0, film_budget=0.0)  # fmt: skip
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = train.train(config, CEMTrajoptConfig(horizon=5, population=12, elites=3))
    finally:
        signal.signal(signal.SIGINT, before)
    assert result["interrupted"] and tried == [0, 0, 0, 1, 1]
    assert result["steps"] == checkpoint.load(Path(result["run"]))["agent_state"]["steps"] == 3 * 5 * 4
