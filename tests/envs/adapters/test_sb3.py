"""Stable-Baselines3: its contract of a `VecEnv`, by hand, and a policy that learns."""

import gymnasium as gym
import numpy as np
import pytest

import genesis as gs
from tests.envs.adapters.learned import ENV_ID, TRAINED, UNTRAINED, mean_return
from tests.envs.every_task import one_of_each_class

pytestmark = pytest.mark.adapters


def adapted(env_id=ENV_ID, num_envs=3, **options):
    from envs.adapters.sb3 import SB3VecEnv

    return SB3VecEnv(gym.make_vec(env_id, num_envs=num_envs, autoreset_mode="SameStep", **options))


def idle(env):
    return np.zeros((env.num_envs, *env.action_space.shape), np.float32)


@pytest.mark.parametrize("env_id", one_of_each_class())
def test_single_env_passes_its_checker(env_id):
    from stable_baselines3.common.env_checker import check_env

    check_env(gym.make(env_id), warn=False)


@pytest.mark.parametrize("env_id", one_of_each_class())
def test_contract(env_id):
    from stable_baselines3.common.vec_env import VecEnv

    env = adapted(env_id, max_episode_steps=2)
    reference = gym.make_vec(env_id, num_envs=3, autoreset_mode="Disabled", max_episode_steps=2)
    assert isinstance(env, VecEnv) and env.num_envs == 3
    assert env.seed(5) == [5, 6, 7]
    first = env.reset()
    np.testing.assert_array_equal(first, reference.reset(seed=5)[0])
    assert env.observation_space.contains(first[0]) and len(env.reset_infos) == 3
    returns = np.zeros(3)
    for step in range(2):
        observation, reward, done, infos = env.step(idle(env))
        last, expected, _, _, measured = reference.step(idle(env))
        assert observation.dtype == reward.dtype == np.float32 and done.dtype == np.bool_ and done.all() == (step == 1)
        assert type(infos) is list and len({id(info) for info in infos}) == 3
        np.testing.assert_allclose(reward, expected, rtol=1e-6)
        returns += expected
    for row, info in enumerate(infos):
        assert info["TimeLimit.truncated"] is True and info["episode"]["l"] == 2
        np.testing.assert_array_equal(info["terminal_observation"], last[row])
        np.testing.assert_allclose(info["episode"]["r"], returns[row], rtol=1e-5)
        assert not np.array_equal(observation[row], last[row])
        for name in [name for name in measured if name[0] != "_" and not name.startswith("episode_")]:
            assert info[name] == measured[name][row]  # what the ended episode measured, not the new one
        assert env.reset_infos[row] and "episode" not in env.reset_infos[row]
    assert all("episode" not in info for info in env.step(idle(env))[3])
    env.close()
    env.close()


def test_a_termination_is_no_truncation():
    env = adapted("genesis/Hopper-v0", num_envs=4)
    env.seed(0)
    env.reset()
    for _ in range(200):
        _, _, done, infos = env.step(np.ones((4, 3), np.float32))
        if done.any():
            break
    assert [info["TimeLimit.truncated"] for info in infos] == [False] * 4
    assert ["terminal_observation" in info for info in infos] == done.tolist() and done.any()


def test_attributes_and_methods_of_the_batch():
    env = adapted()
    assert env.get_attr("num_envs") == [3, 3, 3] and env.get_attr("num_envs", [0]) == [3]
    env.set_attr("note", "kept")
    assert env.get_attr("note", 1) == ["kept"] and env.has_attr("note") and not env.has_attr("other")
    assert env.env_is_wrapped(gym.Wrapper) == [False] * 3
    env.reset()
    assert len(env.env_method("state_dict", indices=[0, 2])) == 2
    assert list(env.get_images()) == [None] * 3 and env.render_mode is None
    with pytest.raises(gs.GenesisException, match="indices must be all"):
        env.set_attr("note", "lost", indices=[0])


def test_pictures():
    if "rgb_array" not in gym.make_vec(ENV_ID, num_envs=1).metadata["render_modes"]:
        pytest.skip("offers no rgb_array")
    env = adapted(render_mode="rgb_array")
    env.reset()
    pictures = env.get_images()
    height, width, _ = pictures[0].shape
    assert len(pictures) == 3 and env.render_mode == "rgb_array"
    assert env.render().shape == (2 * height, 2 * width, 3)  # the library's tiles


def test_misuse_is_told():
    from envs.adapters.sb3 import SB3VecEnv

    with pytest.raises(gs.GenesisException, match='autoreset_mode="SameStep", got "NextStep"'):
        SB3VecEnv(gym.make_vec(ENV_ID, num_envs=1))
    with pytest.raises(gs.GenesisException, match="without wrappers, got TimeLimit"):
        SB3VecEnv(gym.make(ENV_ID))
    env = adapted()
    with pytest.raises(gs.GenesisException, match="step_async must come before"):
        env.step_wait()
    env.set_options({"goal": 1})
    with pytest.raises(gs.GenesisException, match="options must be empty"):
        env.reset()
    env.reset()


def test_its_wrappers():
    from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

    env = VecNormalize(VecMonitor(adapted(max_episode_steps=2)))
    env.reset()
    for _ in range(2):
        observation, _, _, infos = env.step(idle(env))
    assert np.isfinite(observation).all() and all(info["episode"]["l"] == 2 for info in infos)


@pytest.mark.precision("32")
def test_ppo_learns():
    from stable_baselines3 import PPO

    options = {"n_steps": 200, "batch_size": 400, "gamma": 0.9, "learning_rate": 1e-3, "seed": 0, "device": "cpu"}
    model = PPO("MlpPolicy", adapted(num_envs=16), **options)

    def act(observation):
        return model.predict(observation, deterministic=True)[0]

    assert mean_return(act) < UNTRAINED
    model.learn(160_000)
    assert mean_return(act) > TRAINED
    assert np.mean([episode["r"] for episode in model.ep_info_buffer]) > TRAINED  # what it logs
