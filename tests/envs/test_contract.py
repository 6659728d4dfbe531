"""The contract of every registered environment: Gymnasium's, and that of a differentiable one."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import genesis as gs
from envs.base import DifferentiableVectorEnv
from envs.single import SingleEnv
from tests.envs.every_task import EVERY_TASK

pytestmark = pytest.mark.parametrize("env_id", EVERY_TASK)
MODES = list(AutoresetMode)


def vector(env_id, num_envs=3, **options):
    return gym.make_vec(env_id, num_envs=num_envs, **options)


def sampled(env, steps, seed=0):
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(steps)]


def roll(env, steps, seed=11):
    """Everything that a rollout under fixed random actions returns."""
    outcomes = [env.reset(seed=seed)]
    outcomes += [env.step(action) for action in sampled(env, steps)]
    return outcomes


def test_ids_and_single_environments(env_id):
    assert isinstance(gym.make(f"envs:{env_id}").unwrapped, SingleEnv)
    assert isinstance(vector(f"envs:{env_id}").unwrapped, DifferentiableVectorEnv)


def test_single_env_passes_the_checker(env_id, recwarn):
    check_env(gym.make(env_id).unwrapped)
    expected = ("infinity. This is probably too", "getdefaultlocale")
    assert [str(w.message) for w in recwarn if not any(text in str(w.message) for text in expected)] == []


@pytest.mark.parametrize("mode", MODES)
def test_attributes(env_id, mode):
    env = vector(env_id, autoreset_mode=mode)
    assert env.num_envs == 3 and env.spec.id == env_id and env.render_mode is None and not env.closed
    assert env.metadata["autoreset_mode"] is mode and env.autoreset_mode is mode
    assert "autoreset_mode" not in type(env).metadata  # the instance's, not the class's
    assert env.observation_space == gym.vector.utils.batch_space(env.single_observation_space, 3)
    assert env.action_space == gym.vector.utils.batch_space(env.single_action_space, 3)
    assert env.max_episode_steps == gym.spec(env_id).max_episode_steps


def test_numpy_interface(env_id):
    env = vector(env_id)
    observation, info = env.reset(seed=0)
    for action in sampled(env, 3):
        observation, reward, terminated, truncated, info = env.step(action)
        assert type(observation) is np.ndarray and observation in env.observation_space
        assert observation.dtype == env.observation_space.dtype
        assert type(reward) is np.ndarray and reward.dtype == np.float64 and reward.shape == (3,)
        assert terminated.dtype == truncated.dtype == np.bool_ and terminated.shape == truncated.shape == (3,)
        for name in [name for name in info if not name.startswith("_")]:
            assert type(info[name]) is np.ndarray and info[name].shape == (3,)
            assert info[f"_{name}"].dtype == np.bool_ and info[f"_{name}"].shape == (3,)


def test_outputs_are_copies(env_id):
    env = vector(env_id)
    first, _ = env.reset(seed=0)
    kept = first.copy()
    action = env.action_space.sample()
    action_kept = action.copy()
    second = env.step(action)[0]
    assert np.array_equal(first, kept) and np.array_equal(action, action_kept)
    second[:] = np.nan
    assert np.isfinite(env.step(action)[0]).all()


def test_same_seed_same_rollout(env_id):
    first, again, other = (roll(vector(env_id), 5, seed=seed) for seed in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a[:-1], b[:-1], strict=True))
    assert not np.array_equal(first[0][0], other[0][0])


def test_episodes_differ_from_each_other(env_id):
    env = vector(env_id)
    first, _ = env.reset(seed=1)
    second, _ = env.reset()
    assert len(np.unique(np.concatenate([first, second]), axis=0)) == 6


def test_batch_split_changes_nothing(env_id):
    options = {"autoreset_mode": "SameStep", "max_episode_steps": 3, "observation_noise": 0.01, "action_noise": 0.01}
    whole = vector(env_id, 4, **options)
    parts = [vector(env_id, 2, first_env_index=first, **options) for first in (0, 2)]
    whole_obs, part_obs = [whole.reset(seed=5)[0]], [np.concatenate([part.reset(seed=5)[0] for part in parts])]
    for action in sampled(whole, 7):
        whole_obs.append(whole.step(action)[0])
        part_obs.append(np.concatenate([part.step(a)[0] for part, a in zip(parts, np.split(action, 2), strict=True)]))
    np.testing.assert_array_equal(np.stack(whole_obs), np.stack(part_obs))


@pytest.mark.parametrize("mode", MODES)
def test_truncation(env_id, mode):
    env = vector(env_id, max_episode_steps=3, autoreset_mode=mode)
    env.reset(seed=0)
    for step in range(3):
        action = np.zeros(env.action_space.shape, np.float32)
        observation, _, terminated, truncated, info = env.step(action)
        assert not terminated.any() and truncated.all() == (step == 2)
    assert info["_episode_return"].all() and (info["episode_length"] == 3).all()
    assert ("final_obs" in info) == (mode == AutoresetMode.SAME_STEP)
    if mode == AutoresetMode.SAME_STEP:
        assert info["final_obs"].dtype == object and info["_final_obs"].all()
        assert not np.array_equal(np.stack(info["final_obs"]), observation)


def test_masked_reset_leaves_live_rows_untouched(env_id):
    env, reference = (vector(env_id, autoreset_mode="Disabled") for _ in range(2))
    env.reset(seed=0), reference.reset(seed=0)
    actions = sampled(env, 4)
    for action in actions[:2]:
        before = env.step(action)[0]
        reference.step(action)
    options = {"reset_mask": np.array([False, True, False])}
    after, _ = env.reset(options=options)
    assert "reset_mask" in options  # the caller's dictionary is left alone
    assert np.array_equal(after[[0, 2]], before[[0, 2]]) and not np.array_equal(after[1], before[1])
    for action in actions[2:]:
        assert np.array_equal(env.step(action)[0][[0, 2]], reference.step(action)[0][[0, 2]])


def test_remake_from_spec(env_id):
    env = vector(env_id, action_delay=1, autoreset_mode="SameStep")
    for spec in (env.spec, gym.envs.registration.EnvSpec.from_json(env.spec.to_json())):
        again = gym.make_vec(spec)
        assert (again.num_envs, again.action_delay, again.autoreset_mode) == (3, 1, AutoresetMode.SAME_STEP)
    single = gym.make(env_id)
    assert gym.make(single.spec).spec == single.spec
    assert gym.envs.registration.EnvSpec.from_json(single.spec.to_json()).id == env_id


def test_torch_interface(env_id):
    env = vector(env_id, output="torch")
    observation, _ = env.reset(seed=0)
    assert isinstance(observation, gs.Tensor) and observation.dtype == gs.tc_float
    observation, reward, terminated, truncated, info = env.step(torch.zeros(env.action_space.shape))
    assert isinstance(observation, gs.Tensor) and isinstance(reward, gs.Tensor) and not reward.requires_grad
    assert terminated.dtype == truncated.dtype == torch.bool and info["nonfinite"].dtype == torch.bool


def test_interfaces_agree(env_id):
    arrays, tensors = vector(env_id), vector(env_id, output="torch")
    first, _ = arrays.reset(seed=0)
    second, _ = tensors.reset(seed=0)
    for action in sampled(arrays, 3):
        first = arrays.step(action)[0]
        second = tensors.step(action)[0]  # numpy actions are welcome on both interfaces
    np.testing.assert_array_equal(first, second.numpy().astype(np.float32))


def differentiable(env_id, **options):
    return vector(env_id, 2, output="torch", differentiable=True, autoreset_mode="SameStep", **options)


def probing_actions(env, steps):
    generator = torch.Generator().manual_seed(3)
    shape = (steps, *env.action_space.shape)
    return (torch.rand(shape, generator=generator, dtype=torch.float64) - 0.5).to(gs.tc_float)


@pytest.mark.precision("64")
def test_rewards_have_gradients_to_the_actions(env_id):
    env = differentiable(env_id)
    env.reset(seed=0)
    actions = probing_actions(env, 6).requires_grad_()
    rewards = torch.stack([env.step(action)[1] for action in actions])
    (gradient,) = torch.autograd.grad(rewards.sum(), actions)
    assert torch.isfinite(gradient).all() and gradient.abs().amax(dim=(1, 2)).min() > 0


WITH_GRADIENT = {
    "genesis-mujoco/Ant-v5": {"contact_cost_weight": 0.0},
    "genesis-mujoco/Humanoid-v5": {"contact_cost_weight": 0.0},
    "genesis-mujoco/HumanoidStandup-v5": {"impact_cost_weight": 0.0},
}
"""Keywords that leave out a term of the reward without a gradient."""


@pytest.mark.precision("64")
def test_gradient_of_rewards_against_finite_differences(env_id):
    """A rollout across a reset, along random directions in the space of all its actions."""
    env = differentiable(env_id, max_episode_steps=5, **WITH_GRADIENT.get(env_id, {}))
    actions = probing_actions(env, 8)

    def total(sequence):
        env.reset(seed=4)
        return sum(env.step(action)[1].as_subclass(torch.Tensor).sum() for action in sequence)

    leaf = actions.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(total(leaf), leaf)
    generator = torch.Generator().manual_seed(5)
    for _ in range(3):
        direction = torch.randn(actions.shape, generator=generator, dtype=actions.dtype)
        step = 1e-6
        with torch.no_grad():
            numeric = (total(actions + step * direction) - total(actions - step * direction)) / (2 * step)
        exact = (gradient * direction).sum()
        assert abs(numeric - exact) < 1e-5 * gradient.norm() * direction.norm()


def test_detach_keeps_values_and_cuts_gradients(env_id):
    env = differentiable(env_id)
    env.reset(seed=0)
    action = torch.zeros(env.action_space.shape, requires_grad=True)
    env.step(action)
    env.detach_()
    assert not env.step(torch.zeros(env.action_space.shape))[1].requires_grad


def test_resume_is_exact(env_id):
    options = {"output": "torch", "autoreset_mode": "SameStep", "max_episode_steps": 4, "parameter_randomisation": 0.1}
    try:
        env = vector(env_id, **options)
    except gs.GenesisException:  # a task need not have parameters to randomise
        options["parameter_randomisation"] = 0.0
        env = vector(env_id, **options)
    env.reset(seed=0)
    actions = sampled(env, 8)
    for action in actions[:3]:
        env.step(action)
    saved = env.state_dict()
    expected = [env.step(action)[0] for action in actions[3:]]
    again = vector(env_id, **options)
    again.load_state_dict(saved)
    assert all(torch.equal(again.step(a)[0], o) for a, o in zip(actions[3:], expected, strict=True))


def test_render_modes_are_refused_clearly(env_id):
    with pytest.raises(gs.GenesisException, match="render_mode"):
        vector(env_id, render_mode="human")


def test_close_twice(env_id):
    env = vector(env_id)
    env.close()
    env.close()
    assert env.closed
