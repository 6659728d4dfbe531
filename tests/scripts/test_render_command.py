"""`scripts.render` and `scripts.gallery`: videos and strips, of checkpoints and without, and what they refuse."""

import sys

import numpy as np
import pytest
import torch

import genesis as gs
from agents import AGENTS
from agents.core import checkpoint
from scripts import common, gallery, render, shrink
from scripts.before_after import strip_pictures
from tests.render.gltf_file import File, turn_of

ENV, BLOCK = "genesis/Pendulum-v0", "genesis/BlockPush-v0"

pillow = pytest.importorskip("PIL.Image")
ffmpeg = pytest.importorskip("imageio_ffmpeg")


def command(monkeypatch, *options):
    small = ["--num-envs", "2", "--size", "48", "40", "--seconds", "0.5"]
    monkeypatch.setattr(sys, "argv", ["render", *small, *map(str, options)])
    return render.main()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint of an agent that has learned nothing yet."""
    env = common.evaluation_env(ENV, 2)
    hyper = AGENTS["bptt"].config()
    agent = AGENTS["bptt"].agent(hyper, env, 0, 100)
    path = tmp_path_factory.mktemp("run") / "step-0.pt"
    payload = {
        "env": ENV, "agent": "bptt", "contact": None, "seed": 0, "total_steps": 100, "hyper": vars(hyper),
        "contact_model": common.contact_record(ENV, None),
        "precision": "64" if gs.tc_float == torch.float64 else "32", "genesis_version": gs.__version__,
        "observation_size": env.single_observation_space.shape[0], "action_size": env.single_action_space.shape[0],
        "agent_state": agent.state_dict(),
    }  # fmt: skip
    checkpoint.save(path, payload)
    return path


def test_videos_of_a_checkpoint(monkeypatch, tmp_path, trained, capsys):
    for ending, fps in (("mp4", 10), ("gif", 20)):
        path = tmp_path / f"film.{ending}"
        assert command(monkeypatch, "--checkpoint", trained, "--output", path, "--fps", fps) == 0
        assert f"written: {path} ({ENV}, {fps // 2} frames at {fps} a second)" in capsys.readouterr().out
    assert ffmpeg.count_frames_and_secs(str(tmp_path / "film.mp4")) == (5, pytest.approx(0.5, abs=0.11))
    with pillow.open(tmp_path / "film.gif") as video:
        assert video.n_frames == 10 and video.size == (98, 40) and video.info["duration"] == 50


def test_gifs_are_small_unless_asked_otherwise(tmp_path):
    config = render.RenderConfig(output=tmp_path / "film.gif", env=ENV, seconds=0.4)
    assert render.run(config)["fps"] <= 15
    with pillow.open(tmp_path / "film.gif") as video:
        assert video.size == (2 * 160 + 2, 2 * 160 + 2)


def test_the_same_command_writes_the_same_file(monkeypatch, tmp_path):
    for name in ("a.gif", "b.gif"):
        assert command(monkeypatch, "--env", ENV, "--actions", "random", "--output", tmp_path / name) == 0
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_film_strips(monkeypatch, tmp_path):
    assert command(monkeypatch, "--env", ENV, "--output", tmp_path / "strip.png", "--moments", 3) == 0
    with pillow.open(tmp_path / "strip.png") as strip:
        assert strip.size == (3 * 48 + 4, 2 * 40 + 2)
        picture = np.asarray(strip.convert("RGB"))
    assert not np.array_equal(picture[:40, :48], picture[:40, 50:98])


def test_geometry_of_a_moment(monkeypatch, tmp_path, trained, capsys):
    turns = []
    for seconds in (0, 0.5, 1.0):
        path = tmp_path / f"pose{seconds}.glb"
        assert command(monkeypatch, "--checkpoint", trained, "--output", path, "--seconds", seconds) == 0
        assert f"written: {path} ({ENV}, geometry at {seconds:g} s)" in capsys.readouterr().out
        turns.append(File(path).poses["pendulum/rod"])
    env = common.render_env(ENV, 2)
    act, (observation, _) = common.restored_agent(checkpoint.load(trained), env).act, env.reset(seed=1)
    for step in range(round(1.0 * env.metadata["render_fps"]) + 1):
        if step in (0, round(0.5 * env.metadata["render_fps"])):
            quat = env.scene.entities[0].get_links_quat()[0, -1].tolist()
            np.testing.assert_allclose(turns[bool(step)][:3, :3], turn_of(quat), atol=1e-5)
        observation, *_ = env.step(act(observation))
    assert np.abs(turns[2] - turns[1]).max() > 1e-3


def test_smooth_bodies_as_geometry_need_the_extra_before_the_simulation(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "pyvista", None)
    monkeypatch.setattr("scripts.video_recorder.Progress", lambda *arguments, **options: pytest.fail("it simulates"))
    for env, ending in ((ENV, "vtm"), ("genesis/SoftPush-v0", "glb")):
        assert command(monkeypatch, "--env", env, "--output", tmp_path / f"a.{ending}") == 1
        assert 'pip install -e ".[pyvista]"' in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options, what",
    [
        (["--env", ENV, "--output", "a.avi"], "output must end in .mp4, .gif, .png, .glb, .gltf, .vtm or .vtp"),
        (["--env", ENV, "--output", "nowhere/a.gif"], "existing folder"),
        (["--output", "a.gif"], "checkpoint or env"),
        (["--env", "genesis/Aunt-v0", "--output", "a.gif"], "genesis/Ant-v0"),
        (["--checkpoint", "nothing.pt", "--output", "a.gif"], "checkpoint must exist"),
        (["--env", ENV, "--output", "a.gif", "--seconds", "-1"], "seconds"),
        (["--env", ENV, "--output", "a.gif", "--size", "0", "10"], "render_size"),
        (["--env", ENV, "--output", "a.gif", "--backend", "tpu"], "backend"),
        (["--env", BLOCK, "--output", "a.gif", "--contact", "soft"], "contact must be one of ['mujoco', 'smoothed']"),
        (["--env", "genesis/SoftPush-v0", "--output", "a.gif", "--contact", "mujoco"], "contact must be left out"),
    ],
)
def test_refusals(monkeypatch, tmp_path, capsys, options, what):
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, *options) == 1
    assert what in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending, library", [("png", "PIL"), ("gif", "PIL"), ("mp4", "imageio_ffmpeg")])
def test_a_missing_extra_is_missed_before_the_simulation(monkeypatch, tmp_path, capsys, ending, library):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr(render, "pictures", lambda *arguments: pytest.fail("it simulates"))
    assert command(monkeypatch, "--env", ENV, "--output", tmp_path / f"a.{ending}") == 1
    assert 'pip install -e ".[video]"' in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_checkpoint_of_another_environment_is_refused(monkeypatch, tmp_path, trained, capsys):
    options = ("--checkpoint", trained, "--env", "genesis/Ant-v0", "--output", tmp_path / "a.gif")
    assert command(monkeypatch, *options) == 1 and "Ant-v0" in capsys.readouterr().err


def test_the_pictures_of_the_environments_are_those_that_the_gallery_makes(tmp_path):
    """Seen at 120 x 90 and by colours that differ much. There float64 in the place of float32 changes no pixel, so
    rounding does not count; another contact model, whose hopper leaned a little more, changed 75 (0.7 %)."""
    written = gallery.run(gallery.GalleryConfig(folder=tmp_path, training=False, meshes=False))
    assert {path.name for path in written} == {path.name for path in gallery.FOLDER.glob("*.png")}
    for path in written:
        shipped = gallery.FOLDER / path.name
        assert shipped.stat().st_size < 150_000
        with pillow.open(path) as new, pillow.open(shipped) as old:
            seen = [np.asarray(one.convert("RGB").reduce(4), dtype=float) for one in (new, old)]
        changed = (np.abs(seen[0] - seen[1]).max(-1) > 40).mean()
        assert changed < 0.002, f"{path.name} is stale: run python -m scripts.gallery, and look at what it makes"


@pytest.mark.precision("32")
def test_the_gallery_shows_what_training_changed(tmp_path):
    written = gallery.run(
        gallery.GalleryConfig(folder=tmp_path, moment_size=(48, 40), environments=False, meshes=False)
    )
    shipped = gallery.FOLDER / "training"
    assert {path.name for path in written} == {path.name for path in shipped.iterdir()}
    for path in written:
        with pillow.open(path) as small, pillow.open(shipped / path.name) as big:
            assert getattr(small, "n_frames", 1) == getattr(big, "n_frames", 1) and small.width < big.width


@pytest.mark.precision("32")
def test_the_shipped_policies_do_what_their_page_says():
    first, last = (
        strip_pictures(gallery.STRIPS["hopper"], trained, (0.0, 2.0), (24, 20), seed=3) for trained in (False, True)
    )
    assert first[1].caption == "untrained, episode over"
    distance = float(last[1].caption.split()[-2])
    assert last[1].caption.startswith("trained, 2.0 s") and distance > 2.0


def test_a_shrunk_checkpoint_acts_alike(tmp_path, trained):
    env = common.evaluation_env(ENV, 2)
    saved = checkpoint.load(trained)
    checkpoint.save(tmp_path / "whole.pt", {**saved, "processes": [{"environment": torch.zeros(10_000)}]})
    shrink.run(shrink.ShrinkConfig(tmp_path / "whole.pt", tmp_path / "small.pt"))
    assert (tmp_path / "small.pt").stat().st_size < (tmp_path / "whole.pt").stat().st_size - 10_000
    observation = env.reset(seed=0)[0]
    acts = [
        common.restored_agent(checkpoint.load(tmp_path / f"{n}.pt"), env).act(observation) for n in ("whole", "small")
    ]
    assert torch.equal(*acts)
    for output in (tmp_path / "small.bin", tmp_path / "nowhere" / "small.pt"):
        with pytest.raises(gs.GenesisException, match="output must"):
            shrink.run(shrink.ShrinkConfig(trained, output))


def test_a_shrunken_checkpoint_of_an_off_policy_agent_has_no_memory(trained, tmp_path):
    env = common.evaluation_env(ENV, 2)
    hyper = AGENTS["sac"].config(hidden=(4,))
    agent = AGENTS["sac"].agent(hyper, env, 0, 100)
    one = torch.zeros(5_000, 1)
    agent.replay.add(
        one.expand(-1, agent.observation_size), one, one[:, 0], one.expand(-1, agent.observation_size), one[:, 0] > 0
    )
    whole = {**checkpoint.load(trained), "agent": "sac", "hyper": vars(hyper), "agent_state": agent.state_dict()}
    checkpoint.save(tmp_path / "whole.pt", whole)
    shrink.run(shrink.ShrinkConfig(tmp_path / "whole.pt", tmp_path / "small.pt"))
    assert (tmp_path / "small.pt").stat().st_size < 30_000 < (tmp_path / "whole.pt").stat().st_size
    small = common.restored_agent(checkpoint.load(tmp_path / "small.pt"), env)
    observation = env.reset(seed=0)[0]
    assert len(small.replay) == 0 and torch.equal(small.act(observation), agent.act(observation))
    assert not any(p.any() for q in (small.q, small.target_q) for p in q.parameters())


def test_shipped_checkpoints_are_small():
    files = list((gallery.DOCS / "checkpoints").glob("*.pt"))
    assert {path.name for path in files} == {strip.checkpoint.name for strip in gallery.STRIPS.values()}
    assert all(path.stat().st_size < 400_000 for path in files)
