"""What a training shows in TensorBoard, read back from its events, and that nothing of it can end a training."""

import io
import json
import re
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams import metadata
from torch.utils.tensorboard import SummaryWriter

import envs
import genesis as gs
from agents import AGENTS
from agents.core import checkpoint
from agents.core.rollout import roll_out
from scripts import heat_map, train
from scripts.action_gradients import ActionGradients
from scripts.dashboard import LAYOUT
from scripts.run_folder import RunFolder
from scripts.video_recorder import VideoRecorder
from tests.envs.point_mass import make
from tests.scripts.saved_agents import LIGHT

ENV, CARTPOLE = "genesis/TestDashboard-v0", "genesis/CartPoleSwingUp-v0"
PAGE = Path(__file__).parents[2] / "docs" / "tensorboard.md"
LACKING = {"videos/policy", "charts/contact_stiffness", "charts/survival", "gradients/bounded_share"}
"""Of a task without camera, contact and bounds, and of agents without a limit."""

pillow = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module", autouse=True)
def task():
    envs.register_task(ENV, "tests.envs.point_mass", "PointMass", max_episode_steps=10)
    yield
    envs.ENV_IDS.remove(ENV)


def trained(folder, env=ENV, agent="bptt", **options):
    """The folder of a small run."""
    entry = AGENTS[agent]
    light = {**LIGHT, "horizon": 10}
    hyper = entry.config(**{name: x for name, x in light.items() if name in entry.config.__dataclass_fields__})
    precision = "64" if gs.tc_float == torch.float64 else "32"
    small = {"total_steps": 200, "num_envs": 4, "eval_episodes": 4, "histograms_every": 20, "run_dir": folder}
    config = train.TrainConfig(env=env, agent=agent, precision=precision, **{**small, **options})
    return Path(train.train(config, hyper)["run"])


def events(run):
    return EventAccumulator(str(run), size_guidance={"images": 0}).Reload()


def documented():
    """Tag, as a pattern, to its kind and the agents that log it."""
    found = {}
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `"):
            tag, kind, meaning, _, names = (cell.strip() for cell in line.strip("|").split("|"))
            assert meaning and tag not in found
            named = {name.strip() for name in names.removeprefix("all but").split(",")} - {"all", ""}
            assert named <= set(AGENTS), line
            found[tag.strip("`")] = kind, set(AGENTS) - named if names.startswith("all") else named
    return found


def pattern(tag):
    return re.escape(tag).replace(r"\*", ".+")


def test_every_tag_of_every_agent_is_documented(tmp_path, caplog):
    table = documented()
    for agent in AGENTS:
        tags = events(trained(tmp_path, agent=agent, total_steps=80, eval_every=40)).Tags()
        logged = {(tag, "scalar") for tag in tags["scalars"]} | {(tag, "histogram") for tag in tags["histograms"]}
        logged |= {(tag, "image") for tag in tags["images"]}
        logged |= {
            (tag.removesuffix("/text_summary"), "text") for tag in tags["tensors"] if "custom_scalars" not in tag
        }
        expected = {tag: kind for tag, (kind, agents) in table.items() if agent in agents}
        for tag, kind in logged:
            assert any(re.fullmatch(pattern(t), tag) and kind == k for t, k in expected.items()), (agent, tag)
        for tag in set(expected) - LACKING:
            assert any(re.fullmatch(pattern(tag), name) for name, _ in logged), (agent, tag)
    assert "video: KeyError" in caplog.text  # the task has no camera, and all trainings came to their end


def test_the_layout_has_documented_tags():
    table = documented()
    assert all(tag in table for charts in LAYOUT.values() for _, tags in charts.values() for tag in tags)


@pytest.fixture(scope="module")
def shown(task, tmp_path_factory):
    """A small run, filmed at its first evaluation and at its last."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scripts.video_recorder.FIRST_VIDEO", 0.0)
        return trained(tmp_path_factory.mktemp("runs"), CARTPOLE, "shac", total_steps=100, eval_every=60)


def test_curves_text_and_hyper_parameters(shown):
    run = events(shown)
    assert len(run.Scalars("losses/policy_loss")) == 5 and run.Scalars("evaluation/return_mean")[-1].step == 100
    layout = Layout.FromString(run.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    charts = {chart.title: list(chart.multiline.tag) for category in layout.category for chart in category.chart}
    assert charts["Return"] == ["charts/episodic_return", "evaluation/return_mean"] and len(charts) == 8

    def text(tag):
        return run.Tensors(f"{tag}/text_summary")[0].tensor_proto.string_val[0].decode()

    config = json.loads(text("run/config").strip("`"))
    assert (
        config["env"] == CARTPOLE
        and config["hyper.window"] == 5
        and "| hyper.gamma | `0.99` |" in text("hyperparameters")
    )
    assert text("run/git") == json.loads((shown / "config.json").read_text())["git"] != ""

    def plugin(tag):
        return run.SummaryMetadata(tag).plugin_data.content

    started = metadata.parse_session_start_info_plugin_data(plugin(metadata.SESSION_START_INFO_TAG))
    assert started.hparams["agent"].string_value == "shac" and started.hparams["hyper.window"].number_value == 5
    experiment = metadata.parse_experiment_plugin_data(plugin(metadata.EXPERIMENT_TAG))
    assert "evaluation/return_mean" in {metric.name.tag for metric in experiment.metric_infos}
    assert metadata.parse_session_end_info_plugin_data(plugin(metadata.SESSION_END_INFO_TAG)).status == 1  # success
    assert len(list(shown.rglob("events.out.*"))) == 1  # all of it is in the run's own folder


def test_videos_and_pictures_decode(shown):
    run = events(shown)
    videos = run.Images("videos/policy")
    assert [video.step for video in videos] == [60, 100]
    for video in videos:
        with pillow.open(io.BytesIO(video.encoded_image_string)) as image:
            assert image.format == "GIF" and image.is_animated and image.n_frames == 40
            assert image.size == (video.width, video.height) == (258, 258) and image.info["duration"] == 100
            seen = []
            for frame in (0, 20):
                image.seek(frame)
                seen.append(np.asarray(image.convert("RGB")))
            assert not np.array_equal(*seen)
    assert (shown / "videos" / "step-000000000100.gif").read_bytes() == videos[-1].encoded_image_string
    with pillow.open(io.BytesIO(run.Images("gradients/by_step")[-1].encoded_image_string)) as image:
        assert image.format == "PNG" and len(image.getcolors(2**16)) > 20
    histogram = run.Histograms("gradients/policy/mean.linears.0.weight")[-1]
    assert histogram.step == 100 and histogram.histogram_value.num == 8 * 5 and histogram.histogram_value.max > 0


def test_looking_changes_nothing(shown, tmp_path):
    unseen = trained(tmp_path, CARTPOLE, "shac", total_steps=100, eval_every=60, film_budget=0.0, histograms_every=0)
    first, second = (checkpoint.load(run)["agent_state"]["policy"] for run in (shown, unseen))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not events(unseen).Tags()["images"] and not events(unseen).Tags()["histograms"]


def test_a_resumed_run_describes_itself_once(tmp_path):
    run = trained(tmp_path, max_minutes=1e-9, save_every_s=0.0)
    config, hyper = train.parse(["--resume", str(run)])
    assert train.train(config, hyper)["steps"] == 200
    first, second = (events(file) for file in sorted(run.glob("events.*")))
    assert "run/git/text_summary" in first.Tags()["tensors"] and not second.Tags()["tensors"]
    assert second.Tags()["images"] == ["gradients/by_step"]
    assert first.Scalars("evaluation/return_mean")[0].step == 0  # the untrained policy, which is evaluated once
    assert second.Scalars("evaluation/return_mean")[0].step > 0


def test_curves_of_a_run_that_was_killed_never_run_back(monkeypatch, tmp_path):
    """Each session begins at a checkpoint that is older than the last events, evaluations and video."""
    monkeypatch.setattr("scripts.video_recorder.FIRST_VIDEO", 0.0)
    monkeypatch.setattr("scripts.video_recorder.VIDEO_SIZE", (16, 16))
    frequent = {
        "total_steps": 100,
        "eval_every": 40,
        "save_every_s": 0.0,
        "keep": 99,
        "film_budget": 1.0,
        "histograms_every": 20,
    }
    run = trained(tmp_path, CARTPOLE, "shac", **frequent)
    whole = events(run)
    for step in (60, 20):
        for path in checkpoint.of_run(run):
            if path.stem > checkpoint.path_of(run, step).stem:
                path.unlink()
        with max(run.glob("events.*")).open("ab") as file:
            file.write(b"\x12half an event")
        (run / "videos" / "step-000000000999.gif").write_bytes(b"of a policy that is lost")
        config, hyper = train.parse(["--resume", str(run)])
        assert train.train(config, hyper)["steps"] == 100
        resumed = events(run)
        for tag in whole.Tags()["scalars"]:
            assert [e.step for e in resumed.Scalars(tag)] == [e.step for e in whole.Scalars(tag)], tag
        for tag in whole.Tags()["histograms"]:
            assert [e.step for e in resumed.Histograms(tag)] == [e.step for e in whole.Histograms(tag)], tag
        shots = [image.step for image in resumed.Images("videos/policy")]
        assert shots == sorted(set(shots)) and shots[-1] == 100
        assert sorted(int(path.stem[5:]) for path in (run / "videos").iterdir()) == shots
        files = [file for file in map(events, run.glob("events.*")) if "losses/policy_loss" in file.Tags()["scalars"]]
        seen = [e.step for file in files for e in file.Scalars("losses/policy_loss")]
        assert sorted(seen) == [e.step for e in whole.Scalars("losses/policy_loss")]  # by readers of single files, too


def test_what_is_measured_again_at_a_checkpoint_takes_the_place_of_what_was(monkeypatch, tmp_path):
    """A finished run that is resumed evaluates and videos the same policy again."""
    monkeypatch.setattr("scripts.video_recorder.VIDEO_SIZE", (16, 16))
    run = trained(tmp_path, CARTPOLE, "shac", total_steps=40, eval_every=1000)
    before = events(run)
    config, hyper = train.parse(["--resume", str(run), "--eval-episodes", "2"])
    train.train(config, hyper)
    after = events(run)
    assert [e.step for e in after.Scalars("evaluation/episodes")] == [0, 40]
    assert [e.value for e in after.Scalars("evaluation/episodes")] == [4.0, 2.0]
    assert [image.step for image in after.Images("videos/policy")] == [40]
    assert len(after.Scalars("losses/policy_loss")) == len(before.Scalars("losses/policy_loss"))


def test_events_are_on_the_disk_before_the_checkpoint_that_they_led_to(monkeypatch, tmp_path):
    """Or a run that is killed would go on with a gap: by itself the writer keeps events for two minutes."""
    found, save = [], RunFolder.save

    def looking(self, payload, step):
        found.append(events(self.path).Scalars("losses/policy_loss")[-1].step == step)
        return save(self, payload, step)

    monkeypatch.setattr(RunFolder, "save", looking)
    trained(tmp_path, save_every_s=0.0, total_steps=80)
    assert len(found) >= 2 and all(found)


def test_events_that_cannot_be_removed_end_nothing(monkeypatch, tmp_path, caplog):
    run = trained(tmp_path, total_steps=40)
    monkeypatch.setattr("scripts.event_files.RecordWriter", lambda file: 1 / 0)
    config, hyper = train.parse(["--resume", str(run), "--total-steps", "80"])
    assert train.train(config, hyper)["steps"] == 80 and "ZeroDivisionError" in caplog.text
    assert [e.step for e in events(run).Scalars("losses/policy_loss")] == [20, 40, 60, 80]
    assert not list(run.glob(".events*"))


# ---- gradients by step ----


def test_watched_gradients_are_autograds():
    """dJ/da_t, of the second of two windows, against torch's own answer for the actions of the window."""
    env = ActionGradients(make(3, 20, differentiable=True, autoreset_mode="SameStep"))
    observation, _ = env.reset(seed=0)
    weight = torch.linspace(-0.5, 0.5, 12).reshape(6, 2).to(observation).as_subclass(torch.Tensor).requires_grad_()
    for _ in range(2):
        window = roll_out(env, observation.as_subclass(torch.Tensor), 6, lambda t, o: torch.tanh(o @ weight))
        objective = window.reward.square().mean()
        objective.backward(retain_graph=True)
        observation = window.last_observation
    wanted = torch.stack(torch.autograd.grad(objective, window.action))
    torch.testing.assert_close(env.take(), torch.linalg.vector_norm(wanted, dim=2).mean(dim=1))
    assert len(env.take()) == 0  # taken
    with torch.no_grad():
        env.step(torch.zeros(3, 2).to(observation))
    assert len(env.take()) == 0 and env.num_envs == 3


def test_a_history_is_thinned_evenly():
    history = heat_map.History()
    for update in range(1000):
        history.add(update, np.ones(3))
    steps = [step for step, _ in history.columns]
    assert heat_map.COLUMNS // 2 <= len(steps) <= heat_map.COLUMNS and set(np.diff(steps)) == {8}


def test_colours_of_the_heat_map():
    history = heat_map.History()
    for step, norms in enumerate(([1.0, 1e-3], [np.nan, np.inf, 1e-20], [0.0])):
        history.add(step, np.array(norms))
    picture, low, high = heat_map.colours(history.values())
    assert picture.shape == (3, 3, 3) and (low, high) == (-8.0, 0.0)
    assert tuple(picture[0, 0]) == tuple(heat_map.SCALE[-1]) and tuple(picture[2, 1]) == tuple(heat_map.SCALE[0])
    assert tuple(picture[0, 1]) == tuple(picture[1, 1]) == heat_map.LOST
    assert tuple(picture[2, 0]) == tuple(picture[1, 2]) == heat_map.ABSENT
    assert tuple(picture[0, 2]) == tuple(heat_map.SCALE[0])  # nothing arrived
    data, size = heat_map.draw(history)
    with pillow.open(io.BytesIO(data)) as image:
        assert image.size == size


# ---- what fails ----


def test_videos_keep_to_their_budget(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("scripts.video_recorder.time.perf_counter", lambda: now[0])
    recorder = VideoRecorder(CARTPOLE, None, 0, 0.02)
    for now[0], wanted in ((0.0, False), (599.0, False), (601.0, True)):  # 6 s, and 6 s after training
        assert recorder.wanted(last=False) is wanted and recorder.wanted(last=True)
    recorder._spent = recorder._last = 4.0
    for now[0], wanted in ((599.0, False), (601.0, True)):
        assert recorder.wanted(last=False) is wanted and recorder.wanted(last=True)
    assert not VideoRecorder(CARTPOLE, None, 0, 0.0).wanted(last=True)


def test_without_the_extra_there_is_a_line_in_the_log(monkeypatch, tmp_path, caplog):
    monkeypatch.setitem(sys.modules, "PIL", None)
    run = trained(tmp_path, CARTPOLE, "bptt", total_steps=40)
    assert caplog.text.count("video: pillow must be installed to write GIF videos") == 1 and '".[video]"' in caplog.text
    assert caplog.text.count("by_step: pillow must be installed to draw pictures of gradients") == 1
    assert not events(run).Tags()["images"] and events(run).Tags()["histograms"] and not list(run.rglob("*.gif"))


def full(*arguments, **options):
    raise OSError(28, "No space left on device")


def test_events_that_cannot_be_written_end_nothing(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(SummaryWriter, "add_scalar", full)
    assert checkpoint.load(trained(tmp_path))["agent_state"]["steps"] == 200
    assert caplog.text.count("No space left on device") == 1


def test_checkpoints_that_cannot_be_written(monkeypatch, tmp_path, caplog):
    """Underway they are a line in the log; after training, an error."""
    real, calls = checkpoint.save, []

    def sometimes(path, payload):
        calls.append(path)
        if len(calls) < limit:
            full()
        real(path, payload)

    monkeypatch.setattr(checkpoint, "save", sometimes)
    limit = 5
    assert checkpoint.load(trained(tmp_path, save_every_s=0.0))["agent_state"]["steps"] == 200
    assert "A checkpoint was not written, and training goes on." in caplog.text
    limit = 10**9
    with pytest.raises(gs.GenesisException, match=r"must be writable, got: .*No space left.* Make room"):
        trained(tmp_path, save_every_s=0.0)


@pytest.mark.parametrize("case", ["a file", "unwritable", "full"])
def test_a_place_that_takes_no_files_is_refused_before_training(monkeypatch, tmp_path, case):
    folder = tmp_path / "runs"
    if case == "a file":
        folder.write_text("")
    elif case == "unwritable":
        folder = Path("/proc/runs")
        if not folder.parent.is_dir():
            pytest.skip("there is no /proc")
    else:
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10**6))
    monkeypatch.setattr(train, "compile_kernels", lambda *arguments: pytest.fail("training has started"))
    constraint = "at least 200 MB free, got 1 MB" if case == "full" else "a folder that can be written to, got"
    with pytest.raises(gs.GenesisException, match=f"run_dir must be .*{constraint}"):
        trained(folder)
    assert case != "full" or not folder.exists()
