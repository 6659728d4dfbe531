"""The contract of every registered environment, continued: ends of episodes, and the types of what is returned."""

import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import genesis as gs
from tests.envs.every_task import EVERY_TASK

pytestmark = pytest.mark.parametrize("env_id", EVERY_TASK)
STEPS = 3


def staggered(env_id, mode):
    """A batch of which rows 0 and 2 are one step from their end, and row 1 is not; with its observations."""
    env = gym.make_vec(env_id, num_envs=3, autoreset_mode=mode, max_episode_steps=STEPS)
    env.reset(seed=3)
    env.step(idle(env))
    env.reset(options={"reset_mask": np.array([False, True, False])})
    return env, env.step(idle(env))[0]


def idle(env):
    return np.zeros(env.action_space.shape, np.float32)


def check_info(info, num_envs):
    """Gymnasium's layout: every key has its mask, both have a row per environment."""
    names = [name for name in info if not name.startswith("_")]
    assert {f"_{name}" for name in names} == {name for name in info if name.startswith("_")}
    for name in names:
        mask = info[f"_{name}"]
        assert type(mask) is np.ndarray and mask.dtype == np.bool_ and mask.shape == (num_envs,)
        if isinstance(info[name], dict):
            check_info(info[name], num_envs)
        else:
            assert type(info[name]) is np.ndarray and info[name].shape == (num_envs,)


def test_same_step_hands_over_what_finished_episodes_last_saw(env_id):
    env, _ = staggered(env_id, AutoresetMode.SAME_STEP)
    reference, _ = staggered(env_id, AutoresetMode.DISABLED)
    observation, _, _, truncated, info = env.step(idle(env))
    last, _, _, _, last_info = reference.step(idle(env))
    check_info(info, 3)
    assert truncated.tolist() == info["_final_obs"].tolist() == info["_final_info"].tolist() == [True, False, True]
    assert info["final_obs"].dtype == object and info["final_obs"][1] is None
    for row in (0, 2):
        np.testing.assert_array_equal(info["final_obs"][row], last[row])
        assert info["final_obs"][row].dtype == env.single_observation_space.dtype
        assert not np.array_equal(observation[row], last[row])
    np.testing.assert_array_equal(observation[1], last[1])
    for name, value in info["final_info"].items():
        if not name.startswith("_"):
            np.testing.assert_array_equal(value[[0, 2]], last_info[name][[0, 2]])
            assert info["final_info"][f"_{name}"].tolist() == [True, False, True]


def test_next_step_spends_a_step_on_the_reset(env_id):
    env, _ = staggered(env_id, AutoresetMode.NEXT_STEP)
    reference, _ = staggered(env_id, AutoresetMode.DISABLED)
    last, _, _, truncated, info = env.step(idle(env))
    check_info(info, 3)
    np.testing.assert_array_equal(last, reference.step(idle(env))[0])
    assert truncated.tolist() == [True, False, True] and "final_obs" not in info
    action = np.full(env.action_space.shape, np.nan, np.float32)  # not looked at where an episode begins
    action[1] = 0.0
    fresh, reward, terminated, truncated, info = env.step(action)
    assert not terminated.any() and truncated.tolist() == [False, True, False]
    assert reward[0] == reward[2] == 0.0
    expected = reference.reset(options={"reset_mask": np.array([True, False, True])})[0]
    np.testing.assert_array_equal(fresh[[0, 2]], expected[[0, 2]])


def test_disabled_waits_for_the_mask(env_id):
    env, _ = staggered(env_id, AutoresetMode.DISABLED)
    check_info(env.step(idle(env))[4], 3)
    with pytest.raises(gs.GenesisException, match=r"\[0, 2\] must be reset.*reset_mask"):
        env.step(idle(env))
    mask = np.array([True, False, True])
    _, info = env.reset(options={"reset_mask": mask})
    check_info(info, 3)
    env.step(idle(env))


def test_seeding(env_id):
    env = gym.make_vec(env_id, num_envs=2)
    env.reset(seed=7)
    assert env.np_random_seed == 7
    unseeded = [gym.make_vec(env_id, num_envs=2).reset()[0] for _ in range(2)]
    assert not np.array_equal(*unseeded)
    single = gym.make(env_id)
    first = single.reset(seed=7)[0]
    assert np.array_equal(first, single.reset(seed=7)[0]) and not np.array_equal(first, single.reset()[0])
    assert single.unwrapped.np_random_seed == 7


def test_types_of_the_single_env(env_id):
    env = gym.make(env_id, max_episode_steps=STEPS)
    observation, info = env.reset(seed=0)
    assert observation in env.observation_space and observation.dtype == np.float32
    for step in range(STEPS):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert observation in env.observation_space and type(reward) is float
        assert type(terminated) is type(truncated) is bool and not terminated and truncated == (step == STEPS - 1)
        assert not any(name.startswith("_") for name in info)
        assert all(type(value) in (bool, int, float) for value in info.values())


def test_single_and_vector_agree(env_id):
    single, vector = gym.make(env_id), gym.make_vec(env_id, num_envs=1)
    np.testing.assert_array_equal(single.reset(seed=5)[0], vector.reset(seed=5)[0][0])
    action = single.action_space.sample()
    one, many = single.step(action), vector.step(action[None])
    np.testing.assert_array_equal(one[0], many[0][0])
    assert one[1] == many[1][0]


def test_specs_survive_pickling(env_id):
    for spec in (gym.spec(env_id), gym.make(env_id).spec):
        again = pickle.loads(pickle.dumps(spec))
        assert again == spec and gym.make(again).spec.id == env_id
    spec = pickle.loads(pickle.dumps(gym.make_vec(env_id, num_envs=2, observation_noise=0.1).spec))
    again = gym.make_vec(spec)
    assert (again.num_envs, again.observation_noise, again.spec.id) == (2, 0.1, env_id)


def test_unknown_reset_options_are_refused(env_id):
    for env, valid in ((gym.make_vec(env_id, num_envs=2), "reset_mask"), (gym.make(env_id), "none here")):
        env.reset(seed=0, options={})
        with pytest.raises(gs.GenesisException, match=rf"options must.*\['unknown'\].*{valid}"):
            env.reset(options={"unknown": 1})
        with pytest.raises(gs.GenesisException, match="options must be a dict"):
            env.reset(options=[1])
        env.close()


def test_single_env_closes_twice(env_id):
    env = gym.make(env_id)
    env.reset(seed=0)
    env.close()
    env.close()
    with pytest.raises(gs.GenesisException, match="closed"):
        env.step(env.action_space.sample())
