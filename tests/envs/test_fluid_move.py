"""FluidMove: its documented distribution and reward, a liquid that stays in the box or does not, its gradient."""

import gymnasium as gym
import pytest
import torch

import envs  # noqa: F401  (registers)
import genesis as gs
from envs.manipulation import fluid_move
from tests.envs.closed_loop import check_closed_loop

pytestmark = pytest.mark.precision("64")


def make(num_envs, **options):
    return gym.make_vec("genesis/FluidMove-mini-v0", num_envs=num_envs, output="torch", **options).unwrapped


def script(env, steps=60, ramp=15):
    """Actions (steps, B, 3) of an open loop: to the goal with a velocity that rises, stays and falls."""
    time = torch.arange(steps, dtype=gs.tc_float) + 0.5
    profile = torch.clamp(torch.minimum(time, steps - time) / ramp, max=1.0)
    way = env.episode["goal"] - (env.sides[0].get_pos().as_subclass(torch.Tensor) - env._offsets[0])
    return profile[:, None, None] * way / (profile.sum() * fluid_move.MAX_SPEED * fluid_move.CONTROL_DT)


def test_starts_follow_the_documentation():
    env = make(200)
    observation = env.reset(seed=0)[0].as_subclass(torch.Tensor)
    box, goal = observation[:, 3:6] / 10, observation[:, :3] / 10
    assert 0.029 < (box - torch.tensor([0.0, 0.0, 0.2])).abs().max() <= 0.03 + 1e-12
    for axis, half in enumerate((0.2, 0.2, 0.1)):
        assert 0.97 * half < goal[:, axis].abs().max() <= half + 1e-12
    centre = env.liquid.get_particles_pos().mean(dim=1).as_subclass(torch.Tensor) - box
    torch.testing.assert_close(centre, torch.tensor([0.0, 0.0, 0.045], dtype=centre.dtype).expand(200, 3))
    assert not observation[:, 12:18].any() and observation[:, 18].max() < 1e-3


def test_a_script_moves_the_liquid_to_the_goal_and_loses_nothing():
    env = make(4)
    env.reset(seed=0)
    actions = script(env)
    assert 0.1 < actions.abs().max() <= 1.0
    for action in [*actions, *torch.zeros(10, 4, 3, dtype=gs.tc_float)]:
        reward, info = env.step(action)[1::3]
        assert not info["nonfinite"].any()
    assert (info["distance"] < 1e-6).all() and (info["lost"] < 0.02).all() and info["success"].all()


def test_shaking_spills_and_the_reward_is_that_of_the_documentation():
    env = make(2)
    env.reset(seed=1)
    for step in range(40):
        action = torch.full((2, 3), 1.0 if step % 8 < 4 else -1.0, dtype=gs.tc_float)
        reward, info = env.step(action)[1::3]
        assert not info["nonfinite"].any()
    box = env.sides[0].get_pos().as_subclass(torch.Tensor) + torch.tensor([0.0, 0.0, 0.04], dtype=gs.tc_float)
    distance = (env.episode["goal"] - box).norm(dim=1)
    particles = env.liquid.get_particles_pos().as_subclass(torch.Tensor) - box[:, None]
    beyond = torch.stack([particles[..., 0].abs() - 0.13, particles[..., 1].abs() - 0.13, -particles[..., 2] - 0.04])
    outside = beyond.amax(dim=0)
    torch.testing.assert_close(info["lost"], (outside > 0).to(gs.tc_float).mean(dim=1))
    torch.testing.assert_close(info["distance"], distance)
    rounded = torch.sqrt(distance**2 + 1e-4) - 0.01
    expected = -rounded / 0.1 - 10.0 * torch.sigmoid(outside / 0.005).mean(dim=1) - 0.03
    torch.testing.assert_close(reward.as_subclass(torch.Tensor), expected)
    assert (info["lost"] > 0.02).all()


def test_gradient_in_closed_loop_against_central_differences():
    env = make(2, differentiable=True)
    gradient = check_closed_loop(env, bias=[0.8, -0.5, 0.4], steps=10)
    assert gradient.abs().amax(dim=1).min() > 1e-3
