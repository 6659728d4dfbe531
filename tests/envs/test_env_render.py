"""Every environment can be looked at: Gymnasium's contract of `render`."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch

import genesis as gs
from envs import ENV_IDS

everywhere = pytest.mark.parametrize("env_id", ENV_IDS)
one_of_each_kind = pytest.mark.parametrize("env_id", ["genesis/SoftPush-v0", "genesis/Quadrotor-v0"])
SIZE = (80, 60)


def small(env):
    env.unwrapped.render_size = SIZE
    getattr(env.unwrapped, "core", env.unwrapped).render_size = SIZE
    return env


@everywhere
def test_vector_face(env_id):
    env = small(gym.make_vec(env_id, num_envs=2, render_mode="rgb_array"))
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
def test_single_face(env_id):
    env = small(gym.make(env_id, render_mode="rgb_array"))
    assert env.metadata["render_fps"] == round(1 / env.unwrapped.core.scene.dt)
    env.reset(seed=0)
    assert env.render().shape == (60, 80, 3)
    assert "autoreset_mode" not in env.metadata
    env.close()


@everywhere
def test_without_a_render_mode(env_id):
    env = gym.make_vec(env_id, num_envs=1)
    env.reset(seed=0)
    with pytest.raises(gs.GenesisException, match='render_mode="rgb_array"'):
        env.unwrapped.render()


@one_of_each_kind
def test_looking_does_not_change_what_is_learned(env_id):
    def rollout(look):
        options = {"output": "torch", "differentiable": True, "render_mode": "rgb_array"}
        env = small(gym.make_vec(env_id, num_envs=2, **options))
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
    env = small(gym.make_vec(env_id, num_envs=2, render_mode="rgb_array"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recorded = gym.wrappers.vector.RecordVideo(env, str(tmp_path), video_length=4)
        recorded.reset(seed=0)
        for _ in range(5):
            recorded.step(env.action_space.sample())
        recorded.close()
    (film,) = tmp_path.glob("*.mp4")
    assert ffmpeg.count_frames_and_secs(str(film))[0] in (4, 5)


def test_the_quadrotor_stays_in_the_picture_and_over_the_floor():
    """Wherever an episode may lead it: 3 m from the waypoint, which is 1 m away at most."""
    env = small(gym.make_vec("genesis/Quadrotor-v0", num_envs=3, render_mode="rgb_array")).unwrapped
    env.reset(seed=0)
    qpos = env.rest.repeat(3, 1)
    qpos[:, :3] += env.tensor([[3.0, 1.0, 0.0], [-2.0, -3.0, 1.0], [0.0, 0.0, -env.FAR - env.WAYPOINT]])
    env.place(qpos, torch.zeros_like(env.dofs_vel()), torch.arange(3))
    assert env.FLOOR < float(qpos[:, 2].min())
    for seen in env.add_camera().render(segmentation=True)[2]:
        rows, columns = np.nonzero(seen == env.robot.idx + 1)
        assert len(rows) > 8 and abs(rows.mean() - 29.5) < 3 and abs(columns.mean() - 39.5) < 3
    env.close()
