"""RollingFlat: its documented distribution and reward, dough that rests and yields, its gradient under the pin."""

import math

import gymnasium as gym
import pytest
import torch

import envs  # noqa: F401  (registers)
import genesis as gs
from envs.manipulation import rolling_flat
from tests.envs.closed_loop import check_closed_loop


def make(num_envs, **options):
    return gym.make_vec("genesis/RollingFlat-mini-v0", num_envs=num_envs, output="torch", **options).unwrapped


def pressing(steps, num_envs):
    """Actions that press the pin into the dough and roll it along."""
    actions = torch.tensor([0.3, -0.3, 0.1], dtype=gs.tc_float).expand(steps, num_envs, 3).clone()
    actions[::2, :, 0] *= -0.5
    return actions


def test_starts_follow_the_documentation():
    env = make(200)
    observation = env.reset(seed=0)[0]
    assert observation.shape == (200, 10 + 3 * 64) and env.observation_parts == {"state": (10,), "particles": (64, 3)}
    places = env.dough.get_particles_pos()
    centre, extent = places.mean(dim=1), places.amax(dim=1) - places.amin(dim=1)
    assert centre[:, :2].abs().max() <= rolling_flat.BLOCK_START + 1e-6 and centre[:, :2].abs().max() > 0.045
    longer = extent[:, 0] / extent[:, 0].mean()
    assert 0.85 < longer.min() < 0.93 and 1.07 < longer.max() < 1.15
    torch.testing.assert_close(extent.prod(dim=1), extent.prod(dim=1).mean().expand(200), rtol=1e-4, atol=0.0)
    assert env.pin.get_pos()[:, 0].abs().max() <= rolling_flat.PIN_START + 1e-6
    assert (env.pin.get_pos()[:, 2] - env.PIN_RADIUS > rolling_flat.BLOCK_SIZE[2]).all()


def test_the_reward_is_that_of_the_documentation_and_the_pin_flattens_the_dough():
    env = make(1)
    env.reset(seed=0)
    for action in pressing(40, 1):
        reward, info = env.step(action)[1::3]
        heights = env.dough.get_particles_pos()[..., 2]
        flatness = heights.mean() / 0.125
        expected = (2 if flatness <= 0.33 else 1) / (1 + flatness) ** 2 - heights.var(unbiased=False)
        torch.testing.assert_close(reward[0], expected - 0.001 * action.square().sum(), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(info["flatness"][0], flatness, rtol=1e-5, atol=0.0)
        assert not info["nonfinite"].any()
    assert flatness < 0.47
    assert env.pin.get_pos()[0, 2] >= env.PIN_RADIUS + rolling_flat.PIN_GAP - 1e-6


def test_the_pin_rolls():
    """Its lowest line stands still where it only moves along, whichever way it has been turned."""
    env = make(2)
    env.reset(seed=0)
    for action in ([0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.8, 0.0, 0.0]):
        env.step(torch.tensor([action, [action[0], 0.0, 0.0]], dtype=gs.tc_float))
    velocity, spin = env.pin.get_vel().as_subclass(torch.Tensor), env.pin.get_ang().as_subclass(torch.Tensor)
    lowest = torch.tensor([0.0, 0.0, -env.PIN_RADIUS], dtype=gs.tc_float).expand(2, 3)
    across = torch.tensor([[math.cos(math.pi / 30), math.sin(math.pi / 30), 0.0], [1.0, 0.0, 0.0]], dtype=gs.tc_float)
    slip = ((velocity + torch.cross(spin, lowest, dim=1)) * across).sum(1)
    assert (velocity[:, 0] - 4.0).abs().max() < 1e-4 and slip.abs().max() < 1e-4


@pytest.mark.precision("32")
def test_gentle_rolling_flattens_and_deep_ploughing_heaps():
    """A pin that moves at full speed, 15 cm to both sides of the dough's centre, and is lowered to 4.5 cm over the
    table by 1 mm a step; or at once, and deeper: the same seed, whole episodes."""
    env = make(4)
    found = []
    for depth, lower in ((0.045, 0.1), (0.015, 0.4)):
        observation, total, way = env.reset(seed=0)[0], torch.zeros(4), torch.ones(4)
        for _ in range(150):
            centre, x, z = (0.1 * observation.as_subclass(torch.Tensor)[:, k] for k in (0, 3, 4))
            way = torch.where(x > centre + 0.149, -1.0, torch.where(x < centre - 0.149, 1.0, way))
            down = ((depth + env.PIN_RADIUS - z) / rolling_flat.MAX_MOVE).clamp(0.0 - lower, 1.0)
            observation, reward, *_, info = env.step(torch.stack([way, down, torch.zeros(4)], dim=1).to(gs.tc_float))
            total = total + reward.as_subclass(torch.Tensor)
        found.append((total.mean().item(), info["flatness"].mean().item(), info["success"].all().item()))
    print(found)
    (gentle, _, flat), (deep, height, _) = found
    assert flat and gentle > 105 and deep < 80 and height > 0.4


@pytest.mark.precision("64")
def test_gradient_under_the_pin_in_closed_loop_against_central_differences():
    env = make(2, differentiable=True)
    gradient = check_closed_loop(env, bias=[0.3, -0.4, 0.1], steps=12)
    assert gradient.abs().amax() > 1e-3
    assert (env.pin.get_pos()[:, 2] - env.PIN_RADIUS < 0.115).all()  # it is in the dough
