"""Tasks with soft bodies under random actions, for long: nothing fails, nothing is not finite. With -s it shows how far
it is (CONTRIBUTING)."""

import time

import gymnasium as gym
import pytest
import torch

import envs  # noqa: F401  (registers)
import genesis as gs

pytestmark = [pytest.mark.precision("32"), pytest.mark.soak, pytest.mark.timeout(7200)]
STEPS = {
    "genesis/RollingFlat-v0": 51_200, "genesis/Crawler-v0": 51_200,
    "genesis/SoftLift-v0": 51_200, "genesis/FluidMove-v0": 25_600,
    "genesis/RollingFlat-mini-v0": 10_240, "genesis/Crawler-mini-v0": 10_240,
    "genesis/SoftLift-mini-v0": 51_200, "genesis/FluidMove-mini-v0": 25_600,
}  # fmt: skip
"""Environment steps, over the batch."""
B, HELD = 16, 6
"""Environments, and steps for which one holds an action, on average."""


@pytest.mark.parametrize("env_id", STEPS)
def test_random_actions_break_nothing(env_id):
    """Drawn evenly in half of the environments, at their bounds in the others."""
    env = gym.make_vec(env_id, num_envs=B, output="torch").unwrapped
    env.reset(seed=0)
    generator = torch.Generator().manual_seed(0)
    size = (B, *env.single_action_space.shape)
    action = torch.zeros(size, dtype=gs.tc_float)
    began, episodes = time.monotonic(), 0
    for step in range(STEPS[env_id] // B):
        drawn = 2.0 * torch.rand(size, generator=generator, dtype=gs.tc_float) - 1.0
        drawn[::2] = drawn[::2].sign()
        action = torch.where(torch.rand(B, 1, generator=generator) < 1 / HELD, drawn, action)
        observation, reward, terminated, truncated, info = env.step(action)
        episodes += int((terminated | truncated).sum())
        if step % 100 == 99:
            print(f"{env_id}: {B * (step + 1)} of {STEPS[env_id]} steps, {episodes} episodes, "
                  f"{time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
        assert not info["nonfinite"].any(), (step, env.failures())
        assert torch.isfinite(observation).all() and torch.isfinite(reward).all()
