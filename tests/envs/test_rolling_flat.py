"""RollingFlat: its documented distribution and reward, dough that rests and yields, its gradient under the pin."""

import gymnasium as gym
import pytest
import torch

import envs  # noqa: F401  (registers)
import genesis as gs
from envs.manipulation import rolling_flat


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


@pytest.mark.precision("64")
def test_gradient_under_the_pin_against_central_differences():
    """d(last rewards)/d(actions) while the dough yields; a direction whose one-sided differences disagree is a kink."""
    env = make(2, differentiable=True)
    actions = pressing(12, 2)

    def last_reward(sequence):
        env.reset(seed=1)
        for action in sequence:
            reward = env.step(action)[1]
        return reward.as_subclass(torch.Tensor).sum()

    leaf = actions.requires_grad_()
    value = last_reward(leaf)
    (gradient,) = torch.autograd.grad(value, leaf)
    assert gradient[:-1].abs().amax() > 1e-4  # through the dough: the effort is that of the last action alone
    generator = torch.Generator().manual_seed(0)
    kinks, step = 0, 1e-6
    for _ in range(4):
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
