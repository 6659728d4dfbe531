"""Gymnasium's own wrappers and vectorisations around every registered environment."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import ClipAction, FlattenObservation, TransformObservation, TransformReward
from gymnasium.wrappers import NormalizeObservation as NormalizeSingleObservation
from gymnasium.wrappers import NormalizeReward as NormalizeSingleReward
from gymnasium.wrappers import RecordEpisodeStatistics as RecordSingleEpisodeStatistics
from gymnasium.wrappers.vector import NormalizeObservation, NormalizeReward, RecordEpisodeStatistics

import genesis as gs
from tests.envs.every_task import EVERY_TASK

pytestmark = pytest.mark.parametrize("env_id", EVERY_TASK)


def idle(env):
    return np.zeros(env.action_space.shape, np.float32)


def renders(env_id):
    """A render mode that gives pictures must be offered by both interfaces, or by none."""
    offered = "rgb_array" in gym.make(env_id).metadata["render_modes"]
    assert offered == ("rgb_array" in gym.make_vec(env_id, num_envs=1).metadata["render_modes"])
    return offered


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_record_episode_statistics(env_id, mode):
    env = RecordEpisodeStatistics(gym.make_vec(env_id, num_envs=3, max_episode_steps=2, autoreset_mode=mode))
    env.reset(seed=0)
    first = env.step(idle(env))[1]
    _, second, _, _, info = env.step(idle(env))
    np.testing.assert_allclose(info["episode"]["r"], first + second)
    np.testing.assert_allclose(info["episode"]["r"], info["episode_return"], rtol=1e-5)
    assert (info["episode"]["l"] == 2).all() and info["_episode"].all()


def test_record_episode_statistics_of_the_single_env(env_id):
    env = RecordSingleEpisodeStatistics(gym.make(env_id, max_episode_steps=2))
    env.reset(seed=0)
    rewards = [env.step(idle(env)) for _ in range(2)]
    np.testing.assert_allclose(rewards[-1][4]["episode"]["r"], sum(outcome[1] for outcome in rewards))


def test_normalize_reward(env_id):
    env = NormalizeReward(gym.make_vec(env_id, num_envs=3))
    env.reset(seed=0)
    assert np.isfinite(env.step(env.action_space.sample())[1]).all()


def test_normalize_observation(env_id):
    env = NormalizeObservation(gym.make_vec(env_id, num_envs=3, max_episode_steps=2))
    seen = [env.reset(seed=0)[0]] + [env.step(env.action_space.sample())[0] for _ in range(4)]
    assert all(x.dtype == np.float32 and np.isfinite(x).all() for x in seen)
    assert env.obs_rms.mean.shape == env.single_observation_space.shape
    single = NormalizeSingleObservation(gym.make(env_id))
    single.reset(seed=0)
    assert np.isfinite(single.step(single.action_space.sample())[0]).all()


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_sync_vectorisation_of_the_single_env(env_id, mode):
    env = SyncVectorEnv([lambda: gym.make(env_id, max_episode_steps=2)] * 2, autoreset_mode=mode)
    first, _ = env.reset(seed=[3, 4])
    for _ in range(2):
        observation, reward, _, truncated, info = env.step(env.action_space.sample())
        assert observation in env.observation_space and reward.dtype == np.float64
    assert truncated.all() and ("final_obs" in info) == (mode == AutoresetMode.SAME_STEP)
    alone = gym.make_vec(env_id, num_envs=1)
    np.testing.assert_array_equal(first[1], alone.reset(seed=4)[0][0])
    env.close()


def test_vectorisation_modes_of_make_vec(env_id):
    assert isinstance(gym.make_vec(env_id, num_envs=2, vectorization_mode="sync"), SyncVectorEnv)
    assert not isinstance(gym.make_vec(env_id, num_envs=2).unwrapped, SyncVectorEnv)


def test_without_a_render_mode_render_says_what_to_do(env_id):
    env = gym.make_vec(env_id, num_envs=2)
    env.reset(seed=0)
    with pytest.raises(gs.GenesisException, match="render mode"):
        env.render()


def test_pictures(env_id):
    if not renders(env_id):
        pytest.skip("offers no rgb_array")
    env = gym.make_vec(env_id, num_envs=2, render_mode="rgb_array")
    env.reset(seed=0)
    frames = env.render()
    assert isinstance(frames, (tuple, list)) and len(frames) == 2 and env.render_mode == "rgb_array"
    assert all(frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3 for frame in frames)
    assert all(np.array_equal(a, b) for a, b in zip(frames, env.render(), strict=True))
    assert all(frame.std() > 1.0 for frame in frames), "a picture shows something"
    assert env.metadata["render_fps"] > 0
    env.close()
    single = gym.make(env_id, render_mode="rgb_array")
    single.reset(seed=0)
    assert single.render().shape == frames[0].shape
    single.close()


def test_the_wrappers_of_single_file_trainers(env_id):
    def make():
        env = RecordSingleEpisodeStatistics(FlattenObservation(gym.make(env_id, max_episode_steps=2)))
        env = NormalizeSingleObservation(ClipAction(env))
        env = TransformObservation(env, lambda x: np.clip(x, -10, 10), env.observation_space)
        return TransformReward(NormalizeSingleReward(env, gamma=0.99), lambda reward: float(np.clip(reward, -10, 10)))

    env = SyncVectorEnv([make] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=1)
    for _ in range(2):
        observation, reward, _, truncated, info = env.step(3.0 * env.action_space.sample())
        assert np.abs(observation).max() <= 10 and np.isfinite(reward).all()
    assert truncated.all() and (info["final_info"]["episode"]["l"] == 2).all()
    env.close()
