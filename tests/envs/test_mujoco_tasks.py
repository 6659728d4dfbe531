"""Gymnasium's tasks on MuJoCo's contact model: equal to Gymnasium's own, differentiable, with its keywords."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import envs  # noqa: F401  (registers)
import genesis as gs
from tests.physics.finite import compare

IDS = ("genesis-mujoco/Ant-v5",)
everywhere = pytest.mark.parametrize("env_id", IDS)
OBSERVED, REWARDED = {torch.float64: 1e-9, torch.float32: 1e-3}, {torch.float64: 1e-9, torch.float32: 2e-3}
"""Of a step from the same state; velocities of the ant are up to 20 rad/s, single ones of a hit more."""
LAST_STAGE = 0.02
"""m: how far the place of the last stage of a step of RK4 may be from the place after the step."""


def make(env_id, num_envs=4, **options) -> Any:
    return gym.make_vec(env_id, num_envs=num_envs, **{"output": "torch", **options}).unwrapped


def originals(env) -> Any:
    """Gymnasium's environments with the options of a batch of ours, and MuJoCo's solver at its most exact."""
    made = [gym.make(env.GYMNASIUM, **env.options).unwrapped for _ in range(env.num_envs)]
    for original in made:
        original.reset(seed=0)
        original.model.opt.tolerance, original.model.opt.iterations = 0.0, 100
    return made


def copied_state(env, worlds):
    for world, qpos, qvel in zip(worlds, env.qpos().detach(), env.dofs_vel().detach(), strict=True):
        world.set_state(qpos.double().numpy(), qvel.double().numpy())


def stepped(worlds, actions):
    """Observations, infos, rewards and ends of Gymnasium's environments."""
    outcomes = [world.step(action) for world, action in zip(worlds, actions, strict=True)]
    observations, rewards, ends, _, infos = zip(*outcomes, strict=True)
    table = {name: np.array([info[name] for info in infos]) for name in infos[0]}
    return np.stack(observations), np.array(rewards), np.array(ends), table


def plain(values):
    return {name: value.detach().double().numpy() for name, value in values.items()}


@everywhere
@pytest.mark.parametrize("options", [{}, {"exclude_current_positions_from_observation": False, "frame_skip": 2}])
def test_a_step_equals_gymnasiums(env_id, options):
    """Forward velocities as of qpos: Gymnasium's are of the last stage of a step, which the next test is about."""
    env = make(env_id, autoreset_mode="SameStep", **options)
    worlds, generator = originals(env), np.random.default_rng(0)
    env.reset(seed=0)
    ended = 0
    for _ in range(800 // env.substeps):
        copied_state(env, worlds)
        place = env.qpos()[:, :2].numpy()
        actions = generator.uniform(-1, 1, (env.num_envs, *env.single_action_space.shape))
        wanted, reward, ends, table = stepped(worlds, actions)
        _, got, terminated, _, info = env.step(torch.tensor(actions, dtype=gs.tc_float))
        final, infos = info["final_obs"].double().numpy(), plain(info["final_info"])
        np.testing.assert_allclose(final, wanted, rtol=OBSERVED[gs.tc_float], atol=OBSERVED[gs.tc_float])
        after = np.stack([world.data.qpos[:2] for world in worlds])
        velocity = (after - place) / env.control_dt
        reward = reward + env.options["forward_reward_weight"] * (velocity[:, 0] - table["x_velocity"])
        table |= {"x_velocity": velocity[:, 0], "y_velocity": velocity[:, 1]}
        table["reward_forward"] = env.options["forward_reward_weight"] * velocity[:, 0]
        np.testing.assert_allclose(got.double().numpy(), reward, rtol=0, atol=REWARDED[gs.tc_float])
        for name in table:
            if name != "reward_contact":
                np.testing.assert_allclose(infos[name], table[name], rtol=0, atol=REWARDED[gs.tc_float], err_msg=name)
        assert np.array_equal(terminated.numpy(), ends)
        ended += int(ends.sum())
    assert ended > 0, "ends must be compared too"


@pytest.mark.precision("64")
@everywhere
def test_an_episodes_return_is_gymnasiums(env_id):
    """Unsynchronised: returns differ by the places of the last stages at both ends, however long it lasts."""
    env = make(env_id, terminate_when_unhealthy=False)
    worlds, generator = originals(env), np.random.default_rng(1)
    env.reset(seed=1)
    copied_state(env, worlds)
    ours, theirs = np.zeros(env.num_envs), np.zeros(env.num_envs)
    for _ in range(60):
        actions = generator.uniform(-0.3, 0.3, (env.num_envs, *env.single_action_space.shape))
        wanted, reward, _, _ = stepped(worlds, actions)
        got, rewards, *_ = env.step(torch.tensor(actions, dtype=gs.tc_float))
        ours, theirs = ours + rewards.numpy(), theirs + reward
    np.testing.assert_allclose(got.numpy(), wanted, atol=1e-6)
    assert np.abs(ours - theirs).max() < LAST_STAGE / env.control_dt


@pytest.mark.precision("64")
@everywhere
@pytest.mark.parametrize("contact", ["mujoco", "smoothed"])
def test_gradient_of_a_return_in_closed_loop(env_id, contact):
    """The policy's weights, over three steps on the ground, against central differences."""
    env = make(env_id, num_envs=3, differentiable=True, contact=contact)
    env.reset(seed=2)
    with torch.no_grad():
        for _ in range(20):
            env.step(torch.zeros(3, *env.single_action_space.shape, dtype=gs.tc_float))
    start = env.state_dict()
    shape = env.single_observation_space.shape[0], env.single_action_space.shape[0]
    weights = (0.1 * torch.randn(*shape, dtype=gs.tc_float)).requires_grad_()

    def total(weights):
        env.load_state_dict(start)
        observation, total = env.observe().as_subclass(torch.Tensor), torch.zeros((), dtype=gs.tc_float)
        for _ in range(3):
            observation, reward, *_ = env.step(torch.tanh(observation.as_subclass(torch.Tensor) @ weights))
            total = total + reward.as_subclass(torch.Tensor).sum()
        return total + 0.1 * observation.as_subclass(torch.Tensor).square().sum()

    compare(total, [weights], most=8, bar=1e-6)[0].check(1e-6)


@everywhere
def test_starts_are_distributed_as_gymnasiums(env_id):
    env = make(env_id, num_envs=400)
    observation = env.reset(seed=0)[0].double().numpy()
    original = gym.make(env.GYMNASIUM, **env.options).unwrapped
    theirs = np.stack([original.reset(seed=seed)[0] for seed in range(400)])
    scale, n_qpos = env.options["reset_noise_scale"], len(env.rest) - 2
    middle = env.rest[2:].double().numpy()
    assert np.abs(observation[:, :n_qpos] - middle).max() <= scale + 1e-6
    error = 4 * scale / np.sqrt(400)
    for statistic in (np.mean, np.std):
        np.testing.assert_allclose(statistic(observation, axis=0), statistic(theirs, axis=0), atol=1.5 * error)
    np.testing.assert_allclose(np.std(observation[:, n_qpos:]), scale, rtol=0.05)


@everywhere
def test_first_observations_have_quaternions_as_drawn(env_id):
    env = make(env_id, num_envs=2, max_episode_steps=2, autoreset_mode="SameStep")
    length = env.reset(seed=0)[0][:, 1:5].norm(dim=1)
    assert (abs(length - 1) > 1e-4).all()
    action = torch.zeros(2, *env.single_action_space.shape)
    assert env.step(action)[0][:, 1:5].norm(dim=1).numpy() == pytest.approx([1.0, 1.0])
    again = env.step(action)[0][:, 1:5].norm(dim=1)
    assert (abs(again - 1) > 1e-4).all() and (abs(again - length) > 1e-4).all()


@everywhere
def test_no_velocity_is_carried_over_a_reset(env_id):
    env = make(env_id, max_episode_steps=2, autoreset_mode="SameStep")
    env.reset(seed=0)
    for _ in range(2):
        info = env.step(torch.ones(4, *env.single_action_space.shape))[4]
    assert (info["x_velocity"] == 0).all() and (info["final_info"]["x_velocity"] != 0).all()


@everywhere
def test_keywords_of_gymnasium_act(env_id):
    env = make(env_id, forward_reward_weight=2.0, ctrl_cost_weight=0.25, healthy_reward=3.0, reset_noise_scale=0.0)
    env.reset(seed=0)
    assert torch.equal(env.qpos(), env.rest.expand(4, -1)) and not env.dofs_vel().any()
    actions = torch.full((4, *env.single_action_space.shape), 0.5)
    _, reward, _, _, info = env.step(actions)
    terms = 2.0 * info["x_velocity"] + 3.0 - 0.25 * 0.25 * actions.shape[1]
    np.testing.assert_allclose(reward.numpy(), terms.numpy(), rtol=1e-6)
    high = make(env_id, healthy_z_range=(0.9, 1.0))
    high.reset(seed=0)
    _, _, terminated, _, info = high.step(actions)
    assert terminated.all() and (info["reward_survive"] == 0).all()
    goes_on = make(env_id, healthy_z_range=(0.9, 1.0), terminate_when_unhealthy=False)
    goes_on.reset(seed=0)
    assert not goes_on.step(actions)[2].any()


@everywhere
def test_single_environment(env_id):
    env = gym.make(env_id, frame_skip=2, ctrl_cost_weight=0.0)
    observation, info = env.reset(seed=0)
    assert observation in env.observation_space and env.unwrapped.core.control_dt == pytest.approx(0.02)
    _, reward, terminated, truncated, info = env.step(env.action_space.sample())
    assert info["reward_ctrl"] == 0 and np.isfinite(reward) and not terminated and not truncated
    assert gym.make(env_id, exclude_current_positions_from_observation=False).observation_space.shape == (29,)
    assert env.spec.max_episode_steps == 1000


@pytest.mark.parametrize(
    "options, said",
    [
        ({"include_cfrc_ext_in_observation": True}, "include_cfrc_ext_in_observation of AntV5 must be False"),
        ({"contact_cost_weight": 5e-4}, "contact_cost_weight of AntV5 must be 0"),
        ({"healthy_z_range": (1.0, 0.2)}, "healthy_z_range of AntV5 must be"),
        ({"healthy_z_range": 1.0}, "healthy_z_range of AntV5 must be"),
        ({"frame_skip": 0}, "frame_skip of AntV5 must be a whole number"),
        ({"frame_skip": 2.0}, "frame_skip of AntV5 must be a whole number"),
        ({"reset_noise_scale": -0.1}, "reset_noise_scale of AntV5 must be"),
        ({"ctrl_cost_weight": float("nan")}, "ctrl_cost_weight of AntV5 must be a finite number"),
        ({"terminate_when_unhealthy": 1}, "terminate_when_unhealthy of AntV5 must be True or False"),
        ({"contact": "strict"}, "contact must be one of"),
        ({"xml_file": "ant.xml"}, "must get known options only, got xml_file. Valid ones: .*frame_skip"),
    ],
)
def test_refusals(options, said):
    for build in (make, gym.make):
        with pytest.raises(gs.GenesisException, match=said):
            build("genesis-mujoco/Ant-v5", **options)


@everywhere
def test_randomised_parameters_act(env_id):
    env = make(env_id, num_envs=2, parameter_randomisation=0.3)
    env.reset(seed=0)
    mass, friction = env.robot.get_mass(), env.robot.get_friction()
    ratio = mass / env.robot.model.mass.sum()
    assert ratio[0] != ratio[1] and ((0.7 <= ratio) & (ratio <= 1.3)).all()
    assert (friction[0] != friction[1]).all()
