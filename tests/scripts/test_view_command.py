"""`scripts.view`: what it serves, what it writes, what it refuses."""

import socket
import sys

import numpy as np
import pytest

from scripts import common, view
from scripts.viewer import server as web
from scripts.viewer.page import Page
from scripts.viewer.recording import Recording
from tests.scripts import saved_agents

ENV = "genesis/Pendulum-v0"


def command(monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", ["view", *map(str, options)])
    return view.main()


@pytest.fixture
def viser():
    return pytest.importorskip("viser", reason='needs the extra "view"')


@pytest.fixture
def server(viser):
    running = web.start("127.0.0.1", 0, "test")
    yield running
    web.stop(running)


def test_the_page_plays_scrubs_and_draws(server):
    env = common.render_env("genesis/SoftPush-v0", 2, differentiable=True)
    recording = Recording(env, common.untrained(env, "random", 0), 1, 8, 3)
    page = Page(server, recording, "random actions", "genesis/SoftPush-v0")

    def node(name):
        return server.scene.get_handle_by_name(f"/world/{name}")

    page.tick(0.0)
    page.tick(5 / page.playhead.rate)  # live: it waits for what is not computed within a tick
    for _ in range(10):
        page.tick(1 / page.playhead.rate)
    page.playhead.scrub(5, len(recording.frames))
    page.tick(0.0)
    frame = recording.frames[5]
    np.testing.assert_allclose(node("solid_0").position, frame.pos[0, 0], atol=1e-6)
    np.testing.assert_allclose(node("particles_0").batched_positions, frame.points[0], atol=1e-6)
    np.testing.assert_allclose(node("mark_0").position, frame.marks[0][0].pos, atol=1e-6)
    assert page._slider.value == 5 and page._button.label == "Play" and "step 5" in page._numbers.content

    while not recording.complete:
        recording.advance()
    page._env.value, page._on.value = "1", True
    page.tick(0.0)
    np.testing.assert_allclose(node("solid_0").position, frame.pos[1, 0], atol=1e-6)
    start, end = np.moveaxis(node("arrows_1").points, 1, 0)
    np.testing.assert_allclose(start, frame.anchors[1, 1:], atol=1e-6)
    longest = np.linalg.norm(end - start, axis=1).max()
    assert longest == pytest.approx(page._length.value * recording.visible.distance, rel=1e-4)
    assert "Particles: longest arrow" in page._strength.content
    page._on.value = False
    page.tick(0.0)
    assert not node("arrows_0").visible and page._strength.content == ""


def test_the_floor_follows_in_whole_squares(server):
    env = common.render_env("genesis/Hopper-v0", 1, differentiable=True)
    recording = Recording(env, common.untrained(env, "zero", 0), 1, 2, 3)
    page = Page(server, recording, "", "genesis/Hopper-v0")
    far = recording.frames[0]
    object.__setattr__(far, "lookat", far.lookat + np.float32([12.3, 0.0, 0.0]))
    page._canvas.show(far, 0)
    world, floor = (server.scene.get_handle_by_name(name).position for name in ("/world", "/world/ground_0"))
    np.testing.assert_allclose(world, -far.lookat[0], rtol=1e-6)
    step = 2 * page._canvas._edge
    assert floor[0] / step == pytest.approx(round(floor[0] / step)) and abs(floor[0] - far.lookat[0, 0]) <= step / 2


@pytest.mark.parametrize("live", [False, True])
def test_tasks_are_changed_and_ctrl_c_ends_it(monkeypatch, capsys, viser, live):
    shown = []

    def look_and_go_on(page):
        page.tick(0.1)
        shown.append((page.task, len(page._recording.frames)))
        if len(shown) == 2:
            raise KeyboardInterrupt
        page.task = "genesis/CartPoleSwingUp-v0"

    monkeypatch.setattr(Page, "run", look_and_go_on)
    options = ("--env", ENV, "--num-envs", 1, "--seconds", 1, "--port", 0, *(["--live"] if live else []))
    assert command(monkeypatch, *options) == 0
    assert [task for task, _ in shown] == [ENV, "genesis/CartPoleSwingUp-v0"]
    assert all(frames < 20 if live else frames >= 20 for _, frames in shown)
    assert "http://127.0.0.1:" in (said := capsys.readouterr().out) and "ended" in said


@pytest.mark.parametrize("ending", ["html", "viser"])
def test_a_checkpoint_as_a_file_that_plays_alone(monkeypatch, tmp_path, capsys, viser, ending):
    import msgspec
    import zstandard

    training = common.training_env(ENV, 2)
    run, _ = saved_agents.save(tmp_path / "run", ENV, training, "bptt")
    path = tmp_path / f"film.{ending}"
    options = ("--checkpoint", run, "--num-envs", 1, "--seconds", 0.5, "--arrows", "--window", 4, "--record", path)
    assert command(monkeypatch, *options) == 0
    assert f"written: {path} ({ENV}, 10 steps" in capsys.readouterr().out
    if ending == "html":
        assert "__VISER_EMBED_DATA__" in path.read_text()
        return
    inner = zstandard.ZstdDecompressor().decompress(path.read_bytes()[8:])
    length = int.from_bytes(inner[:8], "little")
    video = msgspec.msgpack.decode(inner[8 : 8 + length])
    assert video["durationSeconds"] == pytest.approx(0.5)
    names = {message["name"] for _, message in video["messages"] if "name" in message}
    assert {"/world", "/world/solid_0", "/world/arrows_0"} <= names
    assert len({time for time, _ in video["messages"]}) >= 9


@pytest.mark.parametrize(
    "options, what",
    [
        ([], "checkpoint or env"),
        (["--env", "genesis/Aunt-v0"], "genesis/Ant-v0"),
        (["--checkpoint", "nothing.pt"], "checkpoint must exist"),
        (["--env", ENV, "--seconds", "-1"], "seconds"),
        (["--env", ENV, "--window", "0"], "window"),
        (["--env", ENV, "--backend", "tpu"], "backend"),
        (["--env", ENV, "--port", "70000"], "port must be"),
        (["--env", ENV, "--host", "no such host"], "host and port"),
        (["--env", ENV, "--record", "film.mp4"], "record must end in .html or .viser"),
        (["--env", ENV, "--record", "nowhere/film.html"], "existing folder"),
        (["--env", ENV, "--arrows"], "arrows must come with record"),
        (["--env", "genesis/SoftPush-v0", "--contact", "mujoco"], "contact must be left out"),
    ],
)
def test_refusals(monkeypatch, tmp_path, capsys, viser, options, what):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(common, "render_env", None)
    assert command(monkeypatch, *options) == 1
    assert what in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_the_contact_is_given_where_a_task_has_several_models():
    config = view.ViewConfig(env="genesis/BlockPush-v0", num_envs=1, contact="smoothed")
    for task, contact in ((config.env, "smoothed"), ("genesis/SoftPush-v0", None)):  # as the page changes them
        recording = view._start(config, None, task)
        assert getattr(recording.env, "contact", None) == contact
        recording.env.close()


def test_a_port_in_use_is_refused_before_anything_is_computed(monkeypatch, capsys, viser):
    monkeypatch.setattr(common, "render_env", None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert command(monkeypatch, "--env", ENV, "--port", port) == 1
    assert f"got 127.0.0.1:{port}" in capsys.readouterr().err


def test_a_checkpoint_of_another_environment_is_refused(monkeypatch, tmp_path, capsys, viser):
    run, _ = saved_agents.save(tmp_path / "run", ENV, common.training_env(ENV, 2), "bptt")
    assert command(monkeypatch, "--checkpoint", run, "--env", "genesis/Ant-v0") == 1
    assert "Ant-v0" in capsys.readouterr().err


def test_a_missing_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "viser", None)
    assert command(monkeypatch, "--env", ENV) == 1
    assert '".[view]"' in capsys.readouterr().err


def test_a_file_that_cannot_be_written_leaves_nothing(monkeypatch, tmp_path, capsys, viser):
    (tmp_path / "film.viser").mkdir()
    options = ("--env", ENV, "--num-envs", 1, "--seconds", 0.1, "--record", tmp_path / "film.viser")
    assert command(monkeypatch, *options) == 1
    assert "must be writable" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["film.viser"]
