"""Every environment can be looked at: Gymnasium's contract of `render`."""

import functools
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch

import genesis as gs
from envs import interface
from tests.envs.every_task import EVERY_TASK

everywhere = pytest.mark.parametrize("env_id", EVERY_TASK)
one_of_each_kind = pytest.mark.parametrize("env_id", ["genesis/SoftPush-v0", "genesis/Quadrotor-v0"])
SIZE = (80, 60)


@everywhere
def test_vector_env(env_id):
    env = gym.make_vec(env_id, num_envs=2, render_mode="rgb_array", render_size=SIZE)
    assert env.render_mode == "rgb_array" and env.metadata["render_modes"] == ["rgb_array"]
    assert env.metadata["render_fps"] == round(1 / env.unwrapped.scene.dt)
    env.reset(seed=0)
    first = env.render()
    assert isinstance(first, tuple) and len(first) == 2
    for frame in first:
        assert frame.shape == (60, 80, 3) and frame.dtype == np.uint8 and frame.std() > 5
    assert not np.array_equal(*first)
    assert all(np.array_equal(a, b) for a, b in zip(first, env.render(), strict=True))
    for _ in range(3):
        env.step(env.action_space.sample())
    assert not np.array_equal(env.render()[0], first[0])
    env.close()
    with pytest.raises(gs.GenesisException, match="open"):
        env.unwrapped.render()


@everywhere
def test_single_env(env_id):
    env = gym.make(env_id, render_mode="rgb_array", render_size=SIZE)
    assert env.metadata["render_fps"] == round(1 / env.unwrapped.core.scene.dt)
    env.reset(seed=0)
    assert env.render().shape == (60, 80, 3)
    assert "autoreset_mode" not in env.metadata
    env.close()


@one_of_each_kind
@pytest.mark.parametrize("make", [gym.make, functools.partial(gym.make_vec, num_envs=1)])
def test_the_size_of_pictures_is_chosen_when_the_environment_is_made(env_id, make):
    env = make(env_id, render_mode="rgb_array", render_size=SIZE)
    text = env.spec.to_json()
    for made in (env, make(env.spec), make(type(env.spec).from_json(text))):  # JSON makes a list of it
        made.reset(seed=0)
        assert made.unwrapped.render_size == SIZE and np.squeeze(made.render()).shape == (60, 80, 3)
        with pytest.raises(AttributeError, match="render_size"):
            made.unwrapped.render_size = (40, 30)  # it would come too late
    assert make(env_id).unwrapped.render_size == (480, 480)


@pytest.mark.parametrize("size", [320, (320,), (320, 0), (320.0, 200), "80", (4097, 10), None])
def test_bad_sizes(size):
    with pytest.raises(gs.GenesisException, match=r"render_size must .*got .*\. \S.*\.$"):
        gym.make_vec("genesis/Pendulum-v0", num_envs=1, render_size=size)
    with pytest.raises(gs.GenesisException, match="render_size"):
        gym.make("genesis/Pendulum-v0", render_size=size)


def test_environments_and_cameras_agree_on_the_largest_size():
    gym.make("genesis/Pendulum-v0", render_size=(interface.LARGEST_SIZE, 1))
    gs.Scene().add_camera(res=(interface.LARGEST_SIZE, 1))
    with pytest.raises(gs.GenesisException, match="at most"):
        gs.Scene().add_camera(res=(interface.LARGEST_SIZE + 1, 1))


@everywhere
def test_without_a_render_mode(env_id):
    env = gym.make_vec(env_id, num_envs=1)
    env.reset(seed=0)
    with pytest.raises(gs.GenesisException, match='render_mode="rgb_array"'):
        env.unwrapped.render()


@one_of_each_kind
def test_looking_does_not_change_what_is_learned(env_id):
    def rollout(look):
        options = {"output": "torch", "differentiable": True, "render_mode": "rgb_array", "render_size": SIZE}
        env = gym.make_vec(env_id, num_envs=2, **options)
        observation, _ = env.reset(seed=0)
        action = torch.zeros(env.action_space.shape, dtype=gs.tc_float, requires_grad=True)
        for _ in range(2):
            if look:
                env.render()
            observation, reward, *_ = env.step(action)
        (gradient,) = torch.autograd.grad(reward.sum(), action)
        return observation.detach().as_subclass(torch.Tensor), gradient.as_subclass(torch.Tensor)

    for a, b in zip(rollout(False), rollout(True), strict=True):
        assert torch.equal(a, b)


@one_of_each_kind
def test_record_video(env_id, tmp_path):
    pytest.importorskip("moviepy", reason="RecordVideo needs moviepy")
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    env = gym.make_vec(env_id, num_envs=2, render_mode="rgb_array", render_size=SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recorded = gym.wrappers.vector.RecordVideo(env, str(tmp_path), video_length=4)
        recorded.reset(seed=0)
        for _ in range(5):
            recorded.step(env.action_space.sample())
        recorded.close()
    (video,) = tmp_path.glob("*.mp4")
    assert ffmpeg.count_frames_and_secs(str(video))[0] in (4, 5)


def test_the_quadrotor_stays_in_the_picture_and_over_the_floor():
    """Wherever an episode may lead it: 3 m from the waypoint, which is 1 m away at most."""
    env = gym.make_vec("genesis/Quadrotor-v0", num_envs=3, render_mode="rgb_array", render_size=SIZE).unwrapped
    env.reset(seed=0)
    qpos = env.rest.repeat(3, 1)
    qpos[:, :3] += env.tensor([[3.0, 1.0, 0.0], [-2.0, -3.0, 1.0], [0.0, 0.0, -env.FAR - env.WAYPOINT]])
    env.place(qpos, torch.zeros_like(env.dofs_vel()), torch.arange(3))
    assert env.FLOOR < float(qpos[:, 2].min())
    for seen in env.add_camera().render(segmentation=True)[2]:
        rows, columns = np.nonzero(seen == env.robot.idx + 1)
        assert len(rows) > 8 and abs(rows.mean() - 29.5) < 3 and abs(columns.mean() - 39.5) < 3
    env.close()


@pytest.mark.parametrize("name", ["Ant", "Hopper", "Humanoid", "Pusher", "Reacher", "Swimmer", "Walker2d"])
def test_robots_of_gymnasiums_tasks_are_seen_whole(name):
    """Nothing of it is cut off at an edge, and a floor lies below."""
    env = gym.make_vec(f"genesis-mujoco/{name}-v5", num_envs=1, render_mode="rgb_array", render_size=(80, 80)).unwrapped
    env.reset(seed=0)
    rgb, _, segmentation, _ = env.add_camera().render(segmentation=True)
    seen = segmentation == env.robot.idx + 1
    assert seen.sum() > 60
    if name != "Reacher":  # whose walls are its own, and reach beyond
        assert not (seen[0].any() or seen[-1].any() or seen[:, 0].any() or seen[:, -1].any())
    assert len(np.unique(rgb[60:][~seen[60:]], axis=0)) > 1  # the squares of a floor
    env.close()
