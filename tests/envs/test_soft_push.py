"""SoftPush: its documented distribution, its gradient through contact, its physics."""

import math

import gymnasium as gym
import numpy as np
import pytest
import torch

import envs  # noqa: F401  (registers)
import genesis as gs
from agents import AGENTS
from envs.manipulation import soft_push


def make(num_envs, **options):
    return gym.make_vec("genesis/SoftPush-v0", num_envs=num_envs, output="torch", **options).unwrapped


def forward(num_envs):
    action = torch.zeros(num_envs, 2)
    action[:, 0] = 1.0
    return action


def test_goals_and_starts_follow_the_documentation():
    env = make(200)
    env.reset(seed=0)
    block = env.block.get_particles_pos().mean(dim=1)[:, :2].numpy()
    stick = env.stick.get_pos()[:, :2].numpy()
    offset = env.episode["goal"].numpy() - block
    distance, angle = np.linalg.norm(offset, axis=1), np.arctan2(offset[:, 1], offset[:, 0])
    low, high = soft_push.GOAL_DISTANCE
    assert low >= 0.08 and distance.min() >= low - 1e-6 and distance.max() <= high + 1e-6
    assert abs(distance.mean() - (low + high) / 2) < 0.003
    assert abs(angle).max() <= soft_push.GOAL_ANGLE + 1e-5 and abs(angle.mean()) < 0.1
    assert abs(block).max() <= soft_push.BLOCK_START + 1e-6
    np.testing.assert_allclose((stick - block)[:, 0], soft_push.STICK_START[0], atol=1e-6)
    assert abs(stick - block)[:, 1].max() <= soft_push.STICK_START[1] + 1e-6


def test_particles_are_a_part_of_the_observation():
    """Where they are from the stick, behind the numbers of the task without them; both interfaces, and agents take
    it."""
    plain, env = make(2), make(2, particles=True)
    single = gym.make("genesis/SoftPush-v0", particles=True)
    assert env.observation_parts == {"state": (20,), "particles": (600, 3)} and plain.observation_parts is None
    assert env.single_observation_space == single.observation_space and single.reset(seed=0)[0].shape == (1820,)
    assert plain.single_observation_space.shape == (20,)
    for one in (plain, env):
        one.reset(seed=0)
    for _ in range(20):
        state, observation = plain.step(forward(2))[0], env.step(forward(2))[0]
    assert torch.equal(state, observation[:, :20])
    particles = 0.1 * observation[:, 20:].as_subclass(torch.Tensor).reshape(2, 600, 3)
    stick, places = env.stick.get_pos()[:, None].numpy(), env.block.get_particles_pos().numpy()
    np.testing.assert_allclose(particles[..., :2].numpy(), (places - stick)[..., :2], atol=1e-6)
    np.testing.assert_allclose(particles[..., 2].numpy(), places[..., 2], atol=1e-6)
    agent = AGENTS["ppo"].agent(AGENTS["ppo"].config(), env, 0, 1000)
    observation = observation.as_subclass(torch.Tensor)
    swapped = torch.cat([observation[:, :20], observation[:, 20:].reshape(2, 600, 3).flip(1).flatten(1)], dim=1)
    assert torch.equal(agent.act(swapped), agent.act(observation))


def test_the_material_is_stable():
    nu, young = soft_push.BLOCK_NU, soft_push.BLOCK_E
    stiffness = young * (1 - nu) / ((1 + nu) * (1 - 2 * nu))  # lambda + 2 mu
    speed = math.sqrt(stiffness / soft_push.BLOCK_RHO)
    assert speed * soft_push.CONTROL_DT / soft_push.SUBSTEPS * soft_push.GRID_DENSITY < 0.5


def test_the_block_rests_until_it_is_pushed():
    env = make(2)
    env.reset(seed=0)
    before = env.block.get_particles_pos().mean(dim=1)
    for _ in range(50):
        info = env.step(torch.zeros(2, 2))[4]
    assert (env.block.get_particles_pos().mean(dim=1) - before)[:, :2].abs().max() < 1e-3
    assert not info["success"].any()
    for _ in range(60):
        env.step(forward(2))
    moved = env.block.get_particles_pos().mean(dim=1) - before
    assert (moved[:, 0] > 0.05).all()


@pytest.mark.precision("64")
def test_gradient_through_contact_against_finite_differences():
    """d(final distance)/d(actions) while the stick pushes; a sample whose one-sided differences disagree is a kink."""
    env = make(2, differentiable=True)
    actions = forward(2).to(gs.tc_float).expand(24, 2, 2).clone()
    actions[..., 1] = 0.1

    def last_reward(sequence):
        env.reset(seed=1)
        for action in sequence:
            reward = env.step(action)[1]
        return reward.as_subclass(torch.Tensor).sum()

    leaf = (0.9 * actions).requires_grad_()
    value = last_reward(leaf)
    (gradient,) = torch.autograd.grad(value, leaf)
    assert (env.block.get_particles_vel().mean(dim=1)[:, 0] > 0.05).all()  # it is being pushed
    generator = torch.Generator().manual_seed(0)
    kinks, step = 0, 1e-6
    for _ in range(6):
        direction = torch.randn(actions.shape, generator=generator, dtype=actions.dtype)
        exact = (gradient * direction).sum().item()
        with torch.no_grad():
            ahead = (last_reward(leaf + step * direction) - value).item() / step
            behind = (value - last_reward(leaf - step * direction)).item() / step
        if abs(ahead - behind) > 1e-3 * abs(exact):
            kinks += 1
        else:
            assert 0.5 * (ahead + behind) == pytest.approx(exact, rel=1e-4)
    assert kinks <= 1


def test_pushing_out_of_reach_terminates():
    env = make(1)
    env.reset(seed=0)
    env.block.set_position(torch.tensor([soft_push.REACH + 0.01, 0.0, 0.03]))
    assert env.step(torch.zeros(1, 2))[2].all()


def test_randomised_parameters_change_the_motion():
    plain, varied, again = make(2), make(2, parameter_randomisation=0.5), make(2, parameter_randomisation=0.5)
    ends = []
    for env in (plain, varied, again):
        env.reset(seed=0)
        for _ in range(30):
            observation = env.step(forward(2))[0]
        ends.append(observation)
    assert torch.equal(ends[1], ends[2]) and not torch.allclose(ends[0], ends[1], atol=1e-4)


def test_a_failed_environment_poisons_no_other():
    """An absurd velocity drives one environment's state out of bounds; gradients of the others keep their bits."""
    gradients = []
    for absurd in (False, True):
        env = make(3, differentiable=True, autoreset_mode="SameStep")
        env.reset(seed=0)
        action = forward(3).to(gs.tc_float).requires_grad_()
        total, failed = 0.0, []
        for step in range(4):
            if absurd and step == 2:
                env.block.set_velocity(torch.tensor([1e30, 0.0, 0.0]), envs_idx=[1])
            observation, reward, terminated, _, info = env.step(action)
            assert torch.isfinite(observation).all() and torch.isfinite(reward).all()
            failed.append(info["nonfinite"].tolist())
            assert torch.equal(terminated, info["nonfinite"])
            total = total + reward.sum()
        assert failed[2] == [False, absurd, False] and not any(failed[3])
        gradients += torch.autograd.grad(total, action)
    healthy, poisoned = gradients
    assert torch.isfinite(poisoned).all() and torch.equal(healthy[[0, 2]], poisoned[[0, 2]])
