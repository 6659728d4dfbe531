"""Sweeps: statistics by hand, records from logs, what is there is not run again, failures and interruptions."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

import genesis as gs
from agents.core import checkpoint
from scripts import results, run_record, sweep
from scripts.sweep import SweepConfig

CARTPOLE = "genesis/CartPoleSwingUp-v0"


def test_interquartile_mean_by_hand():
    assert results.interquartile_mean(np.array([9.0, 1.0, 2.0, 3.0, -50.0, 4.0, 5.0, 1000.0])) == (2 + 3 + 4 + 5) / 4
    assert results.interquartile_mean(np.array([100.0, 1.0, 2.0, 3.0, -7.0])) == 2.0  # one of five is cut off each end
    assert results.interquartile_mean(np.array([1.0, 5.0])) == 3.0
    assert results.interquartile_mean(np.array([[1.0, 5.0], [0.0, 4.0]])).tolist() == [3.0, 2.0]


def test_bootstrap_interval():
    """Of the mean of many normal numbers it is the classical one; of a constant it has no width."""
    values = np.random.default_rng(0).normal(size=400)
    middle = np.sort(values)[100:300].mean()
    low, high = results.bootstrap_interval(values)
    assert low < middle < high
    width = 2 * 1.96 * 1.0 / np.sqrt(400)  # of the mean; the interquartile mean of a normal has 1.19 times its variance
    assert high - low == pytest.approx(width * np.sqrt(1.19), rel=0.1)
    assert results.bootstrap_interval(np.full(5, 3.0)) == (3.0, 3.0)
    assert results.bootstrap_interval(values) == (low, high)  # the same each time


def test_summary():
    assert results.summary([]) == results.summary([None, float("nan")]) == results.NONE
    assert results.summary([1234.4]) == "1,234"
    assert results.summary([3.0] * 5) == "3.0 [3.0, 3.0]"


def test_return_at_a_place():
    curve = {"steps": [10, 20, 30], "seconds": [1.0, 2.0, 3.0], "return": [5.0, 6.0, 7.0]}
    record = {"curve": curve, "steps": 30, "training_seconds": 3.0}
    assert results.return_at(record, "steps", 5) is None  # no episode had ended
    assert results.return_at(record, "steps", 29) == 6.0 and results.return_at(record, "seconds", 3.1) == 7.0
    assert results.return_at(record, "seconds", 4.0) is None  # it was over by then


def test_time_to():
    curve = [(step, float(step) / 10, float(step)) for step in range(10, 210, 10)]
    # the mean of 10, ..., 100 is 55, of 20, ..., 110 it is 65
    assert run_record.time_to(curve, [], 60.0) == {"steps": 110, "seconds": 11.0}
    assert run_record.time_to(curve, [(50, 5.0, 61.0)], 60.0) == {"steps": 50, "seconds": 5.0}
    assert run_record.time_to(curve, [], 1e4) is None and run_record.time_to([], [], 0.0) is None


def write_run(folder, seconds, returns, first_step=1, interrupted=False, trained=-500.0):
    """What scripts.train leaves behind, after updates of one step and some seconds each."""
    folder.mkdir(parents=True, exist_ok=True)
    before = sum(seconds[: first_step - 1])
    with SummaryWriter(str(folder), filename_suffix=f".{first_step}") as writer:
        for step, (duration, value) in enumerate(zip(seconds, returns, strict=True), 1):
            if step >= first_step:
                before += duration
                writer.add_scalar("time/training_minutes", before / 60.0, step)
                writer.add_scalar("time/processor_minutes", 1.5 * before / 60.0, step)
                writer.add_scalar("charts/episodic_return", value, step)
    (folder / "config.json").write_text(json.dumps({"config": {"train": {"env": CARTPOLE}}}))
    final = None if interrupted else {"return_mean": trained, "return_std": 1.0}
    result = {"interrupted": interrupted, "curve": [[len(seconds), before, trained]], "trained": final}
    (folder / "result.json").write_text(json.dumps(result))


def test_a_record_leaves_compilation_out(tmp_path):
    write_run(tmp_path, [9.0, 1.0, 1.0, 1.0], [-900.0, -800.0, -400.0, -300.0])
    record = run_record.read(tmp_path)
    assert (record["steps"], record["updates"]) == (4, 4)
    assert record["training_seconds"] == pytest.approx(4.0, abs=0.01)
    assert record["processor_seconds"] == pytest.approx(6.0, abs=0.01)
    assert record["compile_seconds"] == pytest.approx(8.0, abs=0.01)
    assert record["curve"]["return"] == [-900.0, -800.0, -400.0, -300.0]
    assert record["curve"]["seconds"] == pytest.approx([1.0, 2.0, 3.0, 4.0], abs=0.01)
    assert record["final"]["return_mean"] == -500.0
    assert record["time_to"] == {"SHAC's plateau": {"steps": 4, "seconds": pytest.approx(4.0, abs=0.01)}}


def test_a_resumed_run_counts_once_what_it_did_twice(tmp_path):
    write_run(tmp_path, [9.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0], interrupted=True)
    with pytest.raises(gs.GenesisException, match="must have finished"):
        run_record.read(tmp_path)
    write_run(tmp_path, [9.0, 1.0, 6.0, 1.0, 1.0], [1.0, 2.0, 30.0, 40.0, 50.0], first_step=3)
    record = run_record.read(tmp_path)
    assert record["curve"]["return"] == [1.0, 2.0, 30.0, 40.0, 50.0]
    assert record["training_seconds"] == pytest.approx(5.0, abs=0.01)
    assert record["compile_seconds"] == pytest.approx(8.0 + 5.0, abs=0.01)


def test_a_record_needs_a_finished_run(tmp_path):
    with pytest.raises(gs.GenesisException, match="result.json"):
        run_record.read(tmp_path)
    write_run(tmp_path, [], [])
    with pytest.raises(gs.GenesisException, match="must have logged"):
        run_record.read(tmp_path)


class FakeTraining:
    """In place of the processes: notes their arguments, and writes what scripts.train would."""

    def __init__(self, monkeypatch):
        self.calls = []
        self.minutes = []
        self.status = {}
        self.rechecks = []
        """What re-checks print, and their statuses, one after the other."""
        self.saves = True
        monkeypatch.setattr(sweep, "execute", self)

    def __call__(self, command, log, environment):
        if "scripts.recheck" in command:
            said, status = self.rechecks.pop(0)
            with log.open("a") as file:
                file.write(said)
            return status
        words = [part for word in command[3:] for part in word.split("=", 1)]
        arguments = dict(zip(words[::2], words[1::2], strict=True))
        seed = int(arguments["--seed"])
        self.calls.append((arguments["--agent"], seed, "--resume" in arguments))
        self.minutes.append(arguments.get("--max-minutes"))
        status = self.status.get(seed, 0)
        folder = Path(arguments.get("--resume", Path(arguments["--run-dir"]) / "run"))
        if status in (0, 130):
            first = 4 if "--resume" in arguments else 1
            count = 3 if status else 5
            write_run(
                folder, [2.0] + [1.0] * (count - 1), list(range(count)), first, status == 130, trained=-480.0 - seed
            )
            if self.saves:
                checkpoint.path_of(folder, count).parent.mkdir(exist_ok=True)
                checkpoint.path_of(folder, count).touch()
        return status


@pytest.fixture
def training(monkeypatch):
    return FakeTraining(monkeypatch)


@pytest.fixture
def config(tmp_path):
    return SweepConfig(
        envs=(CARTPOLE,),
        agents=("ppo", "shac"),
        seeds=(0, 1),
        results=tmp_path,
        run_dir=tmp_path / "runs",
    )


def test_a_sweep_and_the_same_again(training, config):
    outcomes = sweep.run(config)
    assert [outcome.state for outcome in outcomes] == ["done"] * 4 and len(training.calls) == 4
    record = json.loads((config.records / "CartPoleSwingUp-v0__ppo__1.json").read_text())
    assert (record["env"], record["agent"], record["seed"], record["contact"]) == (CARTPOLE, "ppo", 1, None)
    assert record["command"].startswith("python -m scripts.train --env genesis/CartPoleSwingUp-v0 --agent ppo --seed 1")
    assert record["commit"] and record["steps"] == 5 and record["parallel"] == 1
    table = config.table.read_text()
    assert "## genesis/CartPoleSwingUp-v0\n" in table
    assert "| **final** | -480 [-481, -480] | -480 [-481, -480] |" in table
    assert "| missing seeds | 2, 3, 4 | 2, 3, 4 |" in table and "| seeds | 0, 1 | 0, 1 |" in table
    assert "(2/2)" in table and record["commit"][:10] in table
    assert [outcome.state for outcome in sweep.run(config)] == ["there"] * 4 and len(training.calls) == 4
    config.table.unlink()
    assert sweep.run(SweepConfig(results=config.results)) == []
    assert config.table.read_text() == table


def test_results_go_to_the_folder_of_the_runs_unless_told_otherwise(training, config):
    own = replace(config, results=None, seeds=(0,), agents=("ppo",))
    sweep.run(own)
    assert own.table == config.run_dir / "results.md" and own.table.is_file() and not config.table.exists()
    assert [path.name for path in (config.run_dir / "results").iterdir()] == ["CartPoleSwingUp-v0__ppo__0.json"]


def test_a_failure_stops_nobody_else(training, config, capsys):
    training.status = {0: 1}
    states = {(outcome.job.agent, outcome.job.seed): outcome.state for outcome in sweep.run(config)}
    assert states == {("ppo", 0): "failed", ("ppo", 1): "done", ("shac", 0): "failed", ("shac", 1): "done"}
    assert "log.txt" in capsys.readouterr().out
    training.status = {}
    assert sorted(outcome.state for outcome in sweep.run(config)) == ["done", "done", "there", "there"]


def test_an_interrupted_run_is_resumed(training, config):
    training.status = {0: 130}
    outcomes = sweep.run(replace(config, agents=("ppo",)))
    assert [outcome.state for outcome in outcomes] == ["interrupted", "interrupted"] and len(training.calls) == 1
    assert not config.records.exists()
    training.status = {}
    assert [outcome.state for outcome in sweep.run(replace(config, agents=("ppo",)))] == ["done", "done"]
    assert training.calls == [("ppo", 0, False), ("ppo", 0, True), ("ppo", 1, False)]


@pytest.mark.parametrize("given", ["--max-minutes 2", "--max-minutes=2", "--max-minutes 1 --max_minutes 2"])
@pytest.mark.parametrize("seconds, left", [(45.0, "1.250000"), (120.0, "0.000000"), (121.0, "0.000000")])
def test_a_resumed_run_gets_what_is_left_of_its_minutes(monkeypatch, training, config, given, seconds, left):
    """Of those of its updates until its newest checkpoint: an interruption gives no time."""
    monkeypatch.setattr(checkpoint, "load", lambda run: {"seconds": seconds})
    training.status = {0: 130}
    one = replace(config, agents=("ppo",), seeds=(0,), train_args="--keep 2")
    sweep.run(one)
    limited = replace(one, train_args=given)
    sweep.run(limited)
    training.status = {}
    assert [outcome.state for outcome in sweep.run(limited)] == ["done"]
    assert training.minutes[0] is None and training.minutes[1:] == [left, left]
    command = json.loads(next(config.records.glob("*.json")).read_text())["command"]
    assert command.endswith(given)  # as an uninterrupted run would be


def test_a_resumed_run_without_a_limit_gets_none(training, config):
    training.status = {0: 130}
    one = replace(config, agents=("ppo",), seeds=(0,))
    sweep.run(one)
    training.status = {}
    sweep.run(one)
    assert training.minutes == [None, None]


def test_a_run_whose_checkpoints_are_broken_has_failed(training, config):
    training.status = {0: 130}
    one = replace(config, agents=("ppo",), seeds=(0,), train_args="--max-minutes 2")
    sweep.run(one)  # leaves an empty file
    (outcome,) = sweep.run(one)
    assert outcome.state == "failed" and "must be readable" in outcome.detail and len(training.calls) == 1


def test_records_of_other_arguments_are_named(training, config, capsys):
    one = replace(config, agents=("ppo",), seeds=(0,))
    sweep.run(replace(one, train_args="--max-minutes=25 --film-budget 0"))
    sweep.run(replace(one, train_args="--film-budget 0 --max-minutes 25", run_dir=config.run_dir / "elsewhere"))
    assert "other arguments" not in capsys.readouterr().out
    for arguments, words in (("--max-minutes 2", "--max-minutes 2"), ("", "none")):
        assert [outcome.state for outcome in sweep.run(replace(one, train_args=arguments))] == ["there"]
        assert (
            "CartPoleSwingUp-v0__ppo__0: its record was made with other arguments of scripts.train, "
            f"--film-budget 0 --max-minutes 25 instead of {words}, and stays."
        ) in capsys.readouterr().out
    assert len(training.calls) == 1
    sweep.run(replace(one, train_args="--max-minutes 2", variant="short"))
    assert "|  | ppo | ppo-short |" in config.table.read_text() and len(training.calls) == 2


def test_the_record_of_a_run_has_the_arguments_that_it_was_made_with(training, config):
    """Though it is written later, by a sweep with others."""
    one = replace(config, agents=("ppo",), seeds=(0,))
    sweep.run(one)
    (path,) = config.records.glob("*.json")
    path.unlink()
    (about,) = config.run_dir.glob("*/*/config.json")
    about.write_text(json.dumps(json.loads(about.read_text()) | {"command": ["scripts/train.py", "--keep", "2"]}))
    sweep.run(replace(one, train_args="--max-minutes 2"))
    assert json.loads(path.read_text())["command"] == "python -m scripts.train --keep 2" and len(training.calls) == 1


def test_a_finished_run_without_a_record_is_not_run_again(training, config):
    sweep.run(config)
    (config.records / "CartPoleSwingUp-v0__ppo__1.json").unlink()
    assert sorted(outcome.state for outcome in sweep.run(config)) == ["done", "there", "there", "there"]
    assert len(training.calls) == 4 and len(list(config.records.glob("*.json"))) == 4


CONTROL = {"deviation": 0.1, "bar": 0.2, "passed": True}


def test_policies_of_walking_robots_are_rechecked(monkeypatch, training, config):
    """Once each; a re-check that fails is made up for later, without another training."""
    monkeypatch.setattr(sweep.common, "walks", lambda env: True)
    rechecks, status = [], 1
    rows = [{"world": world, "change": change} for world, change in (("1x", 0.0), ("2x", -0.012), ("MuJoCo", 0.5))]
    rows[0] |= {"limit_excess": 0.25, "penetration_share": None, "pulling_share": 0.0}

    def execute(command, log, environment):
        if "scripts.recheck" not in command:
            return training(command, log, environment)
        rechecks.append(command)
        log.write_text("some warning\n" + json.dumps({"rows": rows, "control": CONTROL, "more": 1}) + "\n")
        return status

    monkeypatch.setattr(sweep, "execute", execute)
    config = replace(config, agents=("ppo",))
    assert [outcome.state for outcome in sweep.run(config)] == ["failed", "failed"]
    status = 0
    assert [outcome.state for outcome in sweep.run(config)] == ["done", "done"]
    assert [outcome.state for outcome in sweep.run(config)] == ["there", "there"]
    assert len(training.calls) == 2 and len(rechecks) == 4
    table = config.table.read_text()
    for line in (
        "| re-checked seeds | 0, 1 |",
        "| change at 2x substeps | -1.2 %, -1.2 % |",
        "| change at 4x substeps | –, – |",
        "| change in MuJoCo | +50.0 %, +50.0 % |",
        "| MuJoCo's control | 10.0 %, 10.0 % |",
        "| limits, rad | 0.250, 0.250 |",
        "| penetration, of the body's size | –, – |",
    ):
        assert line in table
    first = min(config.records.glob("*.json"))
    first.write_text(json.dumps({name: x for name, x in json.loads(first.read_text()).items() if name != "recheck"}))
    sweep.write_table(config)
    table = config.table.read_text()
    assert "| seeds | 0, 1 |" in table and "| re-checked seeds | 1 |\n| change at 2x substeps | -1.2 % |" in table


ROW = {"world": "1x", "change": 0.0, "limit_excess": 0.012, "penetration_share": None, "pulling_share": None}
RECHECK = json.dumps({"env": "genesis/Hopper-v0", "rows": [ROW], "control": None})


def test_a_walking_policy_is_rechecked(training, config):
    """Once; with warnings around what it prints, without MuJoCo, without a ground."""
    config = replace(config, envs=("genesis/Hopper-v0",), agents=("ppo",), seeds=(0,))
    training.rechecks = [(f"a warning\n{RECHECK}\nleaked semaphores\n[1]\n", 0)]
    assert [outcome.state for outcome in sweep.run(config)] == ["done"]
    record = json.loads((config.records / "Hopper-v0__ppo__0.json").read_text())
    assert record["recheck"] == {"rows": [ROW], "control": None} and record["steps"] == 5
    table = config.table.read_text()
    assert "| limits, rad | 0.012 |" in table and "| MuJoCo's control | – |" in table and "| pulling | – |" in table
    assert [outcome.state for outcome in sweep.run(config)] == ["there"]


def test_a_recheck_that_did_not_end_well_is_done_again(training, config):
    config = replace(config, envs=("genesis/Hopper-v0",), agents=("ppo",), seeds=(0,))
    training.rechecks = [("no checkpoint", 1), (RECHECK, 130), ("", -2), ("", 0), ("Nonsense", 0), ("{}", 0)]
    states = ["failed", "interrupted", "interrupted", "failed", "failed", "failed"]
    for state in states:  # what an earlier one printed is not taken for the next one's
        assert [outcome.state for outcome in sweep.run(config)] == [state]
    record = json.loads((config.records / "Hopper-v0__ppo__0.json").read_text())
    assert "recheck" not in record and len(training.calls) == 1
    assert "limits, rad" not in config.table.read_text()
    training.rechecks = [(RECHECK, 0)]
    assert [outcome.state for outcome in sweep.run(config)] == ["done"] and len(training.calls) == 1


def test_without_its_run_a_record_is_complete(training, config):
    config = replace(config, envs=("genesis/Hopper-v0",), agents=("ppo",), seeds=(0,))
    training.rechecks = [("", 1)]
    sweep.run(config)
    result = next(config.run_dir.glob("*/*/result.json"))
    for content in ("null", "{}", ""):
        result.write_text(content)
        assert [outcome.state for outcome in sweep.run(config)] == ["there"]


@pytest.mark.parametrize("content", ["", "<<<<<<< HEAD", "[]", '{"env": "genesis/Ant-v0"}'])
def test_a_broken_record_is_named(training, config, content):
    config.records.mkdir()
    path = config.records / "Ant-v0__strict__ppo__0.json"
    path.write_text(content)
    with pytest.raises(gs.GenesisException, match=path.name):
        sweep.run(config)
    assert not training.calls


def test_a_run_that_saved_nothing_begins_anew(training, config):
    training.status, training.saves = {0: 130}, False
    one = replace(config, agents=("ppo",), seeds=(0,))
    assert [outcome.state for outcome in sweep.run(one)] == ["interrupted"]
    training.status = {}
    assert [outcome.state for outcome in sweep.run(one)] == ["done"]
    assert training.calls == [("ppo", 0, False), ("ppo", 0, False)]


def test_parallel_runs_are_marked(training, config):
    sweep.run(replace(config, parallel=2))
    assert len(training.calls) == 4 and "|  | ppo* | shac* |" in config.table.read_text()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"envs": ("genesis/Nothing-v0",)}, "env must be one of .*'genesis/Nothing-v0'.$"),
        ({"envs": ("Ant-v5",)}, r"Perhaps genesis-mujoco/Ant-v5 is meant.$"),
        ({"envs": ("Hopper",)}, r"Perhaps genesis/Hopper-v0 or genesis-mujoco/Hopper-v5 is meant.$"),
        ({"agents": ("nobody",)}, "agent must be one of .*'nobody'.$"),
        ({"agents": ("shacc",)}, r"Perhaps shac is meant.$"),
        ({"agents": ()}, "together"),
        ({"agents": (), "envs": ()}, "given where there are no records"),
        ({"parallel": 0}, "parallel"),
        ({"variant": "a/b"}, "variant"),
        ({"seeds": (1, 1)}, "seeds must differ"),
        ({"seeds": (-1,)}, "at least 0"),
    ],
)
def test_bad_options(training, config, change, message):
    with pytest.raises(gs.GenesisException, match=message):
        sweep.run(replace(config, **change))
    assert not training.calls


@pytest.mark.slow
def test_a_real_run(config):
    arguments = "--num-envs 4 --total-steps 400 --eval-episodes 2 --hyper.window 25 --hyper.hidden 8"
    outcomes = sweep.run(replace(config, agents=("ppo",), seeds=(0,), train_args=arguments))
    assert [outcome.state for outcome in outcomes] == ["done"], outcomes
    record = json.loads(next(config.records.glob("*.json")).read_text())
    assert record["steps"] == 400 and record["training_seconds"] > 0 and record["final"]["episodes"] == 2


def test_a_policy_of_gymnasiums_tasks_has_been_scored_by_its_training(training, config):
    """Its record lies beside the others, and nothing is re-checked."""
    config = replace(config, envs=("genesis-mujoco/Ant-v5",), agents=("shac",), seeds=(0,))
    assert [outcome.state for outcome in sweep.run(config)] == ["done"]
    record = json.loads((config.records / "genesis-mujoco-Ant-v5__smoothed__shac__0.json").read_text())
    assert record["in_gymnasium"] is None and record["contact"] == "smoothed"  # this run had no MuJoCo
    table = config.table.read_text()
    assert "## genesis-mujoco/Ant-v5, contact `smoothed`" in table and "| in Gymnasium | – |" in table
    assert [outcome.state for outcome in sweep.run(config)] == ["there"]
