"""What a run keeps of its evaluations: the best policy, and all of them over resumptions."""

import json

import pytest
import torch

from agents.core import checkpoint
from scripts import train
from tests.scripts import trainings

UPDATE = 20
"""Steps of one update, after each of which there is an evaluation."""
STATISTICS = {"return_std": 0.0, "episodes": 4.0}


@pytest.fixture(scope="module", autouse=True)
def task():
    with trainings.registered():
        yield


@pytest.fixture
def session(monkeypatch, tmp_path):
    """Trains, or goes on with a run, for as many updates as there are returns, which its evaluations find."""

    def one(returns, run=None, untrained=-9.0):
        found = iter(returns if run else [untrained, *returns])
        steps = UPDATE * len(returns) + (checkpoint.load(run)["agent_state"]["steps"] if run else 0)
        options = ["--total-steps", str(steps), "--eval-every", str(UPDATE), "--save-every-s", "0", "--keep", "99"]
        monkeypatch.setattr(train, "evaluated", lambda agent, config: STATISTICS | {"return_mean": next(found)})
        if run is None:
            code, run = trainings.run_train(monkeypatch, tmp_path, *options)
        else:
            monkeypatch.setattr("sys.argv", ["train", "--resume", str(run), *options])
            code = train.main()
        assert code == 0 and next(found, None) is None
        return run

    return one


def best(run):
    """Return and steps of the best checkpoint, after a look at its weights."""
    saved = checkpoint.load(run / "checkpoints" / "best.pt")
    steps = saved["agent_state"]["steps"]
    weights = {path: trainings.policy(path) for path in checkpoint.of_run(run)}
    same = [path for path, other in weights.items() if equal(other, saved["agent_state"]["policy"])]
    assert same == [checkpoint.path_of(run, steps)]  # of its own step, and of no other
    return saved["best"], steps


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def result(run):
    return json.loads((run / "result.json").read_text())


def test_the_policy_of_the_best_evaluation_is_kept(session):
    run = session([-8.0, -3.0, -6.0, -4.0, -5.0])
    assert best(run) == (-3.0, 2 * UPDATE)


def test_a_resumed_run_knows_its_evaluations(session):
    run = session([-8.0, -3.0, -6.0])
    first = result(run)
    assert [point[::2] for point in first["curve"]] == [[20, -8.0], [40, -3.0], [60, -6.0]]
    session([-4.0, -7.0], run)
    second = result(run)
    assert best(run) == (-3.0, 40)
    assert second["untrained"]["return_mean"] == -9.0
    assert second["curve"][:3] == first["curve"]
    assert [point[::2] for point in second["curve"][3:]] == [[80, -4.0], [100, -7.0]]
    clock = [point[1] for point in second["curve"]]
    saved = [checkpoint.load(path)["seconds"] for path in checkpoint.of_run(run)]
    assert clock == sorted(clock) and clock == [round(seconds, 2) for seconds in saved]
    assert saved == sorted(set(saved)) and second["seconds"] == round(saved[-1], 1)
    session([-2.0], run)
    assert best(run) == (-2.0, 120)


def test_the_evaluation_at_the_end_can_be_the_best(session):
    """A run that goes on from there must not take less for better."""
    run = session([-8.0, -3.0])
    session([-6.0, -5.0], run)
    assert best(run) == (-3.0, 40)
    assert [point[::2] for point in result(run)["curve"]] == [[20, -8.0], [40, -3.0], [60, -6.0], [80, -5.0]]


def test_an_evaluation_again_takes_the_place_of_the_one_before(monkeypatch, session):
    run = session([-8.0, -3.0])
    monkeypatch.setattr(train, "evaluated", lambda agent, config: STATISTICS | {"return_mean": -4.0})
    monkeypatch.setattr("sys.argv", ["train", "--resume", str(run)])
    assert train.main() == 0
    assert [point[::2] for point in result(run)["curve"]] == [[20, -8.0], [40, -4.0]] and best(run) == (-3.0, 40)


def test_no_minutes_more_are_just_the_evaluation(monkeypatch, tmp_path, session, capsys):
    run = session([-8.0, -3.0])
    before = checkpoint.load(run)
    monkeypatch.setattr(train, "evaluated", lambda agent, config: STATISTICS | {"return_mean": -4.0})
    monkeypatch.setattr("sys.argv", ["train", "--resume", str(run), "--total-steps", "1000", "--max-minutes", "0"])
    assert train.main() == 0
    after = checkpoint.load(run)
    assert after["agent_state"]["steps"] == 40 and after["seconds"] == before["seconds"]
    assert equal(after["agent_state"]["policy"], before["agent_state"]["policy"])
    printed = capsys.readouterr().out
    assert "trained:    return" in printed and "to train on, to the 1,000 steps:" in printed
    assert trainings.run_train(monkeypatch, tmp_path / "fresh", "--total-steps", "20", "--max-minutes", "0") == (
        1,
        None,
    )
    assert "max_minutes must be positive, or 0 with --resume, got 0.0." in capsys.readouterr().err
