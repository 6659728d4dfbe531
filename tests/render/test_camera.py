"""Cameras: following, marks, videos, and what they refuse."""

import builtins

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.render.video import VideoWriter, tile, write_png
from tests.render.render_scenes import scene_of, tool

PIXELS = (64, 48)


@pytest.fixture(scope="module")
def ball():
    return scene_of(tool(gs.morphs.Sphere(pos=(0, 0, 1), radius=0.3), "red"), n_envs=2)


@pytest.fixture
def camera(ball):
    scene, entity = ball
    scene.reset()
    scene.clear_debug_objects()
    return scene.add_camera(res=PIXELS, pos=(0, -3, 1), lookat=(0, 0, 1))


def ball_columns(camera, **options):
    return [np.nonzero(seen.any(0))[0].mean() for seen in camera.render(rgb=False, segmentation=True, **options)[2]]


def test_pictures_come_from_the_present_state(ball, camera):
    _, entity = ball
    entity.set_position(torch.tensor([[0.2, 0.0, 1.0], [-0.2, 0.0, 1.0]]))
    right, left = ball_columns(camera)
    assert right > 35 and left < 28 and right + left == pytest.approx(63, abs=0.5)


def test_a_camera_can_follow(ball, camera):
    _, entity = ball
    camera.follow_entity(entity, fixed_axis=(None, None, 0.0))
    camera.set_pose(pos=(0, -3, 1), lookat=(0, 0, 1))
    entity.set_position(torch.tensor([[5.0, 2.0, 1.0], [-7.0, 0.0, 1.0]]))
    assert ball_columns(camera) == pytest.approx([31.5, 31.5], abs=0.1)
    camera.unfollow_entity()
    assert not camera.render(rgb=False, segmentation=True)[2].any()


def test_matrices_say_where_a_point_is_seen(ball, camera):
    _, entity = ball
    entity.set_position(torch.tensor([[0.3, 0.1, 1.2], [-0.2, 0.4, 0.8]]))
    camera.set_pose(pos=(1.0, -3.0, 1.5), lookat=(0.0, 0.2, 1.0))
    masks = camera.render(rgb=False, segmentation=True)[2] > 0
    for mask, place, to_camera in zip(masks, entity.get_pos().numpy(), camera.extrinsics, strict=True):
        x, y, depth = camera.intrinsics @ (to_camera @ np.append(place, 1.0))[:3]
        rows, columns = np.nonzero(mask)
        assert (x / depth - 0.5, y / depth - 0.5) == pytest.approx((columns.mean(), rows.mean()), abs=0.3)
    np.testing.assert_allclose(camera.get_transform()[0, :3, 3], camera.get_pos()[0])
    assert camera.get_lookat(envs_idx=[1]).tolist() == [[0.0, 0.2, 1.0]] and camera.get_up().shape == (2, 3)


def test_poses_may_differ_between_environments(camera):
    camera.set_pose(lookat=(0.2, 0, 1), envs_idx=[1])
    straight, aside = ball_columns(camera)
    assert straight == pytest.approx(31.5, abs=0.1) and aside < 28
    assert ball_columns(camera, envs_idx=[1]) == [aside]


def test_links_of_robots_can_be_followed():
    scene, robot = scene_of((gs.morphs.Robot(name="pendulum"), gs.materials.Rigid(), None))
    camera = scene.add_camera(res=PIXELS, pos=(0, -3, 0), lookat=(0, 0, -0.4))
    camera.follow_entity(robot, link="rod")
    assert camera.render(segmentation=True)[2].any()
    with pytest.raises(gs.GenesisException, match="rod"):
        camera.follow_entity(robot, link="tail")


def test_marks_are_seen_and_belong_to_nobody(ball, camera):
    scene, _ = ball
    before = camera.render()[0]
    mark = scene.draw_debug_sphere(torch.tensor([[0.5, 0.0, 1.0], [-0.5, 0.0, 1.0]]), 0.1, (0.0, 1.0, 0.0))
    line = scene.draw_debug_line((-1, 0, 0.5), (1, 0, 0.5), 0.02, "blue")
    rgb, depth, seen, _ = camera.render(depth=True, segmentation=True)
    row, column = 23, round(31.5 + 0.5 / 2.9 / np.tan(np.radians(15)) * 24)
    assert rgb[0, row, column].argmax() == 1 and seen[0, row, column] == 0 and depth[0, row, column] < 3
    assert np.array_equal(seen > 0, camera.render(segmentation=True)[2] > 0)
    scene.clear_debug_object(mark)
    with pytest.raises(gs.GenesisException, match="debug object"):
        scene.clear_debug_object(mark)
    scene.clear_debug_object(line)
    np.testing.assert_array_equal(camera.render()[0], before)


def test_many_marks_find_room(ball, camera):
    scene, _ = ball
    for i in range(80):
        scene.draw_debug_sphere((0.01 * i - 0.4, 0, 0.6), 0.05)
    crowded = camera.render()[0]
    scene.clear_debug_objects()
    assert not np.array_equal(camera.render()[0], crowded)


def test_states_that_are_not_finite_are_drawn_as_nothing():
    options = gs.options.MPMOptions(grid_density=20, lower_bound=(-1, -1, -1), upper_bound=(1, 1, 1))
    body = gs.morphs.Box(size=(0.3, 0.3, 0.3)), gs.materials.MPM.Elastic(E=100.0), None
    scene, entity = scene_of(body, n_envs=2, mpm_options=options)
    camera = scene.add_camera(res=PIXELS, pos=(0, -3, 0), lookat=(0, 0, 0))
    state = scene.get_state()
    assert all(seen.any() for seen in camera.render(segmentation=True)[2])
    entity.get_particles_pos = lambda: torch.where(torch.tensor([True, False])[:, None, None], torch.nan, state.pos)
    failed, well = camera.render(segmentation=True)[2]
    assert not failed.any() and well.any()


@pytest.mark.parametrize("axis", range(3))
def test_what_has_run_away_can_be_followed(ball, axis):
    """Where the camera and what it looks at would be one point, for rounding."""
    scene, entity = ball
    offset = np.roll([-3.0, 0.0, 0.0], axis)
    camera = scene.add_camera(res=PIXELS, pos=offset, lookat=(0, 0, 0), up=np.roll([0.0, 1.0, 0.0], axis))
    camera.follow_entity(entity)
    for distance in (1e11, 1e18, 1e30):
        place = torch.zeros(2, 3)
        place[:, axis] = distance
        entity.set_position(place)
        assert camera.render()[0].shape == (2, 48, 64, 3)
    scene.reset()


def test_looking_changes_nothing():
    def rollout(look):
        options = gs.options.SimOptions(requires_grad=True)
        scene, stick = scene_of(tool(gs.morphs.Sphere(pos=(0, 0, 1), radius=0.3)), sim_options=options)
        camera = scene.add_camera(res=PIXELS, pos=(0, -3, 1), lookat=(0, 0, 1))
        speed = torch.ones(1, 3, dtype=gs.tc_float, requires_grad=True)
        stick.set_velocity(vel=speed)
        for _ in range(3):
            if look:
                camera.render()
            scene.step()
        (gradient,) = torch.autograd.grad(stick.get_pos().square().sum(), speed)
        return stick.get_pos().detach().as_subclass(torch.Tensor), gradient.as_subclass(torch.Tensor)

    for a, b in zip(rollout(False), rollout(True), strict=True):
        assert torch.equal(a, b)


# Videos.


def test_recordings(camera, tmp_path):
    pillow, ffmpeg = pytest.importorskip("PIL.Image"), pytest.importorskip("imageio_ffmpeg")
    for ending, frames in (("gif", 3), ("mp4", 5)):
        camera.start_recording()
        for i in range(frames):
            camera.set_pose(pos=(0.1 * i, -3, 1))
            camera.render(rgb=i > 0)
        camera.pause_recording()
        camera.render()
        camera.start_recording()
        path = tmp_path / f"film.{ending}"
        camera.stop_recording(path, fps=10)
        if ending == "gif":
            with pillow.open(path) as video:
                assert video.n_frames == frames and video.size == (2 * 64 + 2, 48)
        else:
            assert ffmpeg.count_frames_and_secs(str(path))[0] == frames
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.gif", "film.mp4"]


def test_gifs_play_in_real_time_with_a_palette_that_fits(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    ramp = np.broadcast_to(np.linspace(0, 250, 40, dtype=np.uint8)[:, None, None], (40, 40, 3))
    frames = [np.roll(ramp, i, 0) for i in range(30)]
    for channel in range(3):  # colours that no picture before has shown
        frames.append(ramp * (np.arange(3) == channel).astype(np.uint8))
    with VideoWriter(tmp_path / "film.gif", 15) as video:
        for frame in frames:
            video.add(frame)
    with pillow.open(tmp_path / "film.gif") as video:
        shown = []
        for i, frame in enumerate(frames):
            video.seek(i)
            shown.append(video.info["duration"])
            assert np.abs(np.asarray(video.convert("RGB")).astype(int) - frame).mean() < 5.0
    assert set(shown) == {60, 70} and sum(shown) == 10 * round(100 * len(frames) / 15)


@pytest.mark.parametrize("ending", ["mp4", "gif", "png"])
def test_a_full_disk_is_told_and_leaves_no_file(tmp_path, ending):
    pytest.importorskip("imageio_ffmpeg")
    resource = pytest.importorskip("resource", reason="limits of file sizes are a feature of Unix")
    noise = np.random.default_rng(0).integers(0, 255, (40, 128, 128, 3), dtype=np.uint8)
    old = tmp_path / f"film.{ending}"
    old.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(gs.GenesisException, match=r"film\.\w+ must be writable.*disk"):
            if ending == "png":
                write_png(old, noise[0])
            else:
                with VideoWriter(old, 30) as video:
                    for frame in noise:
                        video.add(frame)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == [old.name] and old.read_bytes() == b"old"


def test_an_error_while_filming_leaves_no_file(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    with pytest.raises(ZeroDivisionError), VideoWriter(tmp_path / "film.mp4", 30) as video:
        video.add(np.zeros((32, 32, 3), np.uint8))
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending, library", [("mp4", "imageio_ffmpeg"), ("gif", "PIL")])
def test_a_missing_extra_is_named(monkeypatch, tmp_path, ending, library):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.split(".")[0] == library:
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"\[video\]"):
        VideoWriter(tmp_path / f"film.{ending}", 30)


def test_pictures_side_by_side():
    frames = [np.full((4, 6, 3), i, np.uint8) for i in range(5)]
    whole = tile(frames)
    assert whole.shape == (2 * 4 + 2, 3 * 6 + 4, 3) and whole[7, 9].tolist() == [4, 4, 4]


# What is refused.


@pytest.mark.parametrize(
    "options, what",
    [
        ({"res": (0, 10)}, "res"),
        ({"res": (10,)}, "res"),
        ({"res": (10, 1e6)}, "res"),
        ({"res": (10, 100000)}, "res"),
        ({"fov": 0.0}, "fov"),
        ({"fov": 170.0}, "fov must .*170"),
        ({"fov": float("nan")}, "fov"),
        ({"model": "thinlens"}, "model must be 'pinhole' or left out, got 'thinlens'"),
        ({"env_idx": 0}, "env_idx must be None or left out, got 0. Call camera.render"),
        ({"pos": (0, 0, 1), "lookat": (0, 0, 1)}, "lookat"),
        ({"pos": (0, 0, 1), "lookat": (0, 0, 0)}, "up"),
        ({"pos": (0, 0)}, "pos"),
        ({"pos": (1e200, 0, 1), "lookat": (0, 0, 0)}, "pos must lie within"),
        ({"pos": (0, 0, 1), "lookat": (-1e308, 0, 0)}, "lookat must lie within"),
    ],
)
def test_cameras_that_cannot_be(ball, options, what):
    scene, _ = ball
    count = len(scene.cameras)
    with pytest.raises(gs.GenesisException, match=what):
        scene.add_camera(**options)
    assert len(scene.cameras) == count


def test_arguments_of_the_public_engine_change_nothing(ball, camera):
    scene, _ = ball
    again = scene.add_camera(PIXELS, (0, -3, 1), (0, 0, 1), model="pinhole", GUI=True, spp=1, near=0.2)
    np.testing.assert_array_equal(again.render()[0], camera.render()[0])


def test_calls_that_are_refused(ball, camera, tmp_path):
    scene, entity = ball
    _, stranger = scene_of(tool(gs.morphs.Sphere()))
    for call, what in (
        (lambda: camera.follow_entity(stranger), "entity"),
        (lambda: camera.follow_entity(entity, link="arm"), "link"),
        (lambda: camera.follow_entity(entity, fixed_axis=(1,)), "fixed_axis"),
        (lambda: camera.set_pose(pos=(0, 0, 1), lookat=(0, 0, 1)), "lookat"),
        (lambda: camera.set_pose(pos=torch.zeros(3, 3)), "pos"),
        (lambda: camera.render(rgb="yes"), "rgb"),
        (lambda: camera.render(envs_idx=2), "envs_idx"),
        (lambda: camera.pause_recording(), "start_recording"),
        (lambda: camera.stop_recording(tmp_path / "a.mp4"), "start_recording"),
        (lambda: VideoWriter(tmp_path / "a.avi", 30), "mp4"),
        (lambda: VideoWriter(tmp_path / "none" / "a.gif", 30), "folder"),
        (lambda: VideoWriter(tmp_path / "a.gif", 0), "fps"),
        (lambda: write_png(tmp_path / "a.jpg", np.zeros((2, 2, 3), np.uint8)), "png"),
        (lambda: scene.draw_debug_sphere((0, 0)), "pos"),
        (lambda: scene.draw_debug_sphere((0, 0, 0), radius=-1), "radius"),
        (lambda: scene.draw_debug_sphere((0, 0, 0), color="mauve"), "black, blue"),
    ):
        with pytest.raises(gs.GenesisException, match=what):
            call()
    assert not list(tmp_path.iterdir())


def test_a_scene_that_is_not_built_has_no_picture():
    scene = gs.Scene()
    scene.add_entity(*tool(gs.morphs.Sphere())[:2])
    camera = scene.add_camera(res=PIXELS)
    with pytest.raises(gs.GenesisException, match="built"):
        camera.render()
    scene.build()
    assert camera.render()[0].shape == (48, 64, 3)


@pytest.mark.parametrize(
    "options, what",
    [
        ({"color": "mauve"}, "black, blue"),
        ({"color": (1, 2, 3)}, "color"),
        ({"color": (1, 0, 0, 0.5)}, "opaque"),
        ({"color": (1, 0)}, "color"),
        ({"vis_mode": "wire"}, "particle, recon"),
    ],
)
def test_surfaces_that_cannot_be(options, what):
    with pytest.raises(gs.GenesisException, match=what):
        gs.surfaces.Default(**options)
