"""Exported policies say what the agent says; what cannot be exported is refused before anything is written."""

import json
import sys
from pathlib import Path

import onnx
import pytest
import torch

import envs
import genesis as gs
from agents import AGENTS
from scripts import export, shrink
from scripts.export import ExportConfig
from tests.envs import point_cloud
from tests.envs.point_mass import make
from tests.scripts import saved_agents

ENV, CLOUD_ENV = "genesis/TestExport-v0", "genesis/TestExportCloud-v0"
SEQUENCES = ("trajopt-adam", "trajopt-cem")


@pytest.fixture(scope="module", autouse=True)
def task():
    envs.register_task(ENV, "tests.envs.point_mass", "PointMass", max_episode_steps=10)
    envs.register_task(CLOUD_ENV, "tests.envs.point_cloud", "PointCloud", max_episode_steps=10)
    yield
    for env_id in (ENV, CLOUD_ENV):
        envs.ENV_IDS.remove(env_id)


def saved(tmp_path, name="ppo"):
    env = make(4, 6, differentiable=AGENTS[name].agent.differentiable, autoreset_mode="SameStep")
    return saved_agents.save(tmp_path / "run", ENV, env, name, updates=2)


@pytest.mark.parametrize("name", [name for name in AGENTS if name not in SEQUENCES])
def test_both_files_agree_with_every_agent(name, tmp_path):
    run, agent = saved(tmp_path, name)
    result = export.run(ExportConfig(run))
    assert (result["env"], result["agent"], result["observation_size"], result["action_size"]) == (ENV, name, 6, 2)
    assert set(result["files"]) == {str(run / "export" / file) for file in ("policy.pt", "policy.onnx")}
    assert max(result["files"].values()) < 1e-5
    observation = torch.randn(7, 6)
    module = export.read_torchscript(run / "export" / "policy.pt")
    torch.testing.assert_close(module(observation), agent.act(observation.to(agent.low)).float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [name for name in AGENTS if name not in SEQUENCES])
def test_policies_that_see_points_are_exported(name, tmp_path):
    """From the full and the shrunk checkpoint alike; they say what the parts are, and know no order of points."""
    env = point_cloud.make(4, 6, differentiable=AGENTS[name].agent.differentiable, autoreset_mode="SameStep")
    run, agent = saved_agents.save(tmp_path / "run", CLOUD_ENV, env, name, updates=2)
    small = tmp_path / "small.pt"
    shrink.run(shrink.ShrinkConfig(run, small))
    for checkpoint, output in ((run, tmp_path / "a"), (small, tmp_path / "b")):
        result = export.run(ExportConfig(checkpoint, output=output))
        assert max(result["files"].values()) < 1e-5
        assert result["observation_parts"] == {"state": [4], "cloud": [5, 2], "cloud_present": [5]}
        module = export.read_torchscript(output / "policy.pt")
        observation = env.reset(seed=3)[0].as_subclass(torch.Tensor)
        cloud, present = observation[:, 4:14].reshape(-1, 5, 2).flip(1), observation[:, 14:].flip(1)
        swapped = torch.cat([observation[:, :4], cloud.flatten(1), present], dim=1)
        wanted = agent.act(observation).float()
        torch.testing.assert_close(module(observation.float()), wanted, atol=1e-5, rtol=0)
        torch.testing.assert_close(module(swapped.float()), wanted, atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore:.*torch.jit.load:DeprecationWarning")
def test_the_files_say_what_they_are(tmp_path):
    run, _ = saved(tmp_path)
    export.run(ExportConfig(run, output=tmp_path / "out"))
    extra = {"about.json": ""}
    torch.jit.load(str(tmp_path / "out" / "policy.pt"), _extra_files=extra)
    assert json.loads(extra["about.json"])["env"] == ENV
    model = onnx.load(str(tmp_path / "out" / "policy.onnx"))
    assert {prop.key: prop.value for prop in model.metadata_props}["agent"] == "ppo"
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["observation", "action"]


def test_the_command(tmp_path, monkeypatch, capsys):
    run, _ = saved(tmp_path)
    checkpoint = next((run / "checkpoints").glob("*.pt"))
    (run / "config.json").write_text("{}")  # a run's folder has one
    monkeypatch.setattr(sys, "argv", ["export", "--checkpoint", str(checkpoint), "--no-onnx"])
    assert export.main() == 0
    printed = capsys.readouterr().out
    assert "6 numbers in, 2 out" in printed and "policy.onnx" not in printed
    assert [path.name for path in (run / "export").iterdir()] == ["policy.pt"]


def test_a_checkpoint_outside_of_a_run_is_exported_to_the_working_directory(tmp_path, monkeypatch):
    run, _ = saved(tmp_path)
    shipped = tmp_path / "checkpoints" / "ant.pt"
    shipped.parent.mkdir()
    next((run / "checkpoints").glob("*.pt")).rename(shipped)
    monkeypatch.chdir(tmp_path)
    result = export.run(ExportConfig(shipped, onnx=False))
    assert list(result["files"]) == [str(Path("export/ant/policy.pt"))]
    assert (tmp_path / "export" / "ant" / "policy.pt").is_file() and not list(shipped.parent.glob("export"))


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_sequence_is_no_policy(name, tmp_path):
    run, _ = saved(tmp_path, name)
    with pytest.raises(gs.GenesisException, match="must have a policy, got trajopt"):
        export.run(ExportConfig(run))


def test_a_missing_package_is_named_before_anything_is_written(tmp_path, monkeypatch):
    run, _ = saved(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(gs.GenesisException, match=r"\.\[onnx\].*--no-onnx"):
        export.run(ExportConfig(run))
    assert not (run / "export").exists()
    assert export.run(ExportConfig(run, onnx=False))["files"]


def test_a_file_that_disagrees_is_reported(tmp_path, monkeypatch):
    run, _ = saved(tmp_path)
    forward = export.FoldedPolicy.forward
    monkeypatch.setattr(export.FoldedPolicy, "forward", lambda self, observation: forward(self, observation) + 1e-3)
    with pytest.raises(gs.GenesisException, match="must agree with the agent"):
        export.run(ExportConfig(run))


@pytest.mark.parametrize(
    "options, message",
    [({"torchscript": False, "onnx": False}, "got neither"), ({"samples": 0}, "samples")],
)
def test_bad_options(tmp_path, options, message):
    with pytest.raises(gs.GenesisException, match=message):
        export.run(ExportConfig(tmp_path, **options))
    with pytest.raises(gs.GenesisException, match="checkpoint"):
        export.run(ExportConfig(tmp_path / "nothing"))
