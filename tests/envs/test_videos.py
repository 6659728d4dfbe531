"""Gymnasium's video wrappers around every registered environment that gives pictures."""

import gymnasium as gym
import pytest
from gymnasium.wrappers import RecordVideo as RecordSingleVideo
from gymnasium.wrappers.vector import RecordVideo

from envs import ENV_IDS

ALWAYS = ("genesis/Pendulum-v0",)  # encoding takes seconds


@pytest.mark.parametrize(
    "env_id", [pytest.param(name, marks=[] if name in ALWAYS else pytest.mark.slow) for name in ENV_IDS]
)
def test_videos(env_id, tmp_path):
    if "rgb_array" not in gym.make(env_id).metadata["render_modes"]:
        pytest.skip("offers no rgb_array")
    pytest.importorskip("moviepy")
    env = gym.make_vec(env_id, num_envs=2, render_mode="rgb_array", max_episode_steps=2)
    env = RecordVideo(env, str(tmp_path / "batch"), episode_trigger=lambda episode: episode == 0)
    single = gym.make(env_id, render_mode="rgb_array", max_episode_steps=2)
    single = RecordSingleVideo(single, str(tmp_path / "single"), episode_trigger=lambda episode: episode == 0)
    for each in (env, single):
        each.reset(seed=0)
        for _ in range(2):
            each.step(each.action_space.sample())
        each.close()
    for folder in ("batch", "single"):
        assert [path.stat().st_size > 0 for path in (tmp_path / folder).glob("*.mp4")] == [True]
