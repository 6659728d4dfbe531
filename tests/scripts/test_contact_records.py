"""Checkpoints say which contact model they are of, and another is refused; thresholds of Gymnasium's tasks."""

import sys

import gymnasium as gym
import pytest

import envs
import genesis as gs
from agents import AGENTS, presets
from agents.core import checkpoint
from scripts import common, evaluate, run_record, train
from tests.scripts import saved_agents

BLOCK, PENDULUM = "genesis/BlockPush-v0", "genesis/Pendulum-v0"


def test_the_contact_of_a_policy_is_its_trainings_unless_given():
    trained = {"env": BLOCK, "contact": "smoothed", "contact_model": common.contact_record(BLOCK, "smoothed")}
    assert common.contact_of(BLOCK, trained, None) == "smoothed" and common.contact_of(BLOCK, None, None) == "mujoco"
    assert common.contact_of(BLOCK, trained, "mujoco") == "mujoco"
    assert common.contact_of("genesis/SoftPush-v0", trained, None) is None  # a page may change tasks
    named = {"env": BLOCK, "contact": "smoothed", "genesis_version": "0"}  # by an earlier version
    assert common.contact_of(BLOCK, named, None) == "smoothed"


def test_a_checkpoint_of_another_contact_model_is_refused(monkeypatch, tmp_path, capsys):
    """Evaluated as well as resumed: never silently another physics, and what differs is named."""
    env = common.training_env(PENDULUM, 2)
    run, _ = saved_agents.save(tmp_path, PENDULUM, env, "bptt")
    record = common.contact_record(PENDULUM, None)
    assert record["model"] == "CompliantContact" and record["contact"]["limit_stiffness"] is None
    stiffer = {**record, "contact": {**record["contact"], "limit_stiffness": 5e3, "later": None}}
    for change, what in (
        ({"contact_model": record}, None),
        ({"contact_model": stiffer}, "limit_stiffness 5000.0 instead of None. Use the version"),
        ({"contact_model": {**record, "model": "Other"}}, "model 'Other' instead of 'CompliantContact'"),
        ({"contact_model": None, "contact": "strict"}, "got no record of one (contact 'strict')"),
    ):
        path = tmp_path / "edited.pt"
        checkpoint.save(path, checkpoint.load(run) | change)
        monkeypatch.setattr(sys, "argv", ["evaluate", "--checkpoint", str(path), "--episodes", "2"])
        assert evaluate.main() == (0 if what is None else 1)
        error = capsys.readouterr().err
        if what is not None:
            assert "must be of the contact model that genesis/Pendulum-v0 has" in error
            assert what in error and "or train anew" in error
            with pytest.raises(gs.GenesisException, match="must be of the contact model"):
                train._saved(train.TrainConfig(env=PENDULUM, agent="bptt"), path)


def test_a_training_records_its_contact_model():
    hyper = AGENTS["bptt"].config()
    env = common.evaluation_env(PENDULUM, 1)
    for task, contact, named in ((BLOCK, None, "mujoco"), (BLOCK, "smoothed", "smoothed"), (PENDULUM, None, None)):
        config = train.TrainConfig(env=task, agent="bptt", contact=contact)
        payload = train._payload(config, hyper, env, [{"agent_state": None}])
        assert payload["contact"] == named and payload["contact_model"] == common.contact_record(task, contact)
    smoothed = common.contact_record(BLOCK, "smoothed")
    assert (smoothed["model"], smoothed["contact"]["smoothing"]) == ("MujocoContact", 0.01)


def test_there_are_thresholds_for_all_of_gymnasiums_tasks():
    theirs = {env for env in envs.ENV_IDS if env.startswith("genesis-mujoco/")}
    assert theirs <= run_record.THRESHOLDS.keys() and all(presets.contact(env, "ivw") == "mujoco" for env in theirs)
    for env in theirs:  # Gymnasium's own threshold, where it has one that the bars do not replace
        asked = gym.spec(env.removeprefix("genesis-mujoco/")).reward_threshold
        named = env.split("/")[1].split("-")[0]
        if named in ("InvertedPendulum", "InvertedDoublePendulum", "Reacher", "Swimmer"):
            assert run_record.THRESHOLDS[env] == {f"{asked:,.10g}": asked}
