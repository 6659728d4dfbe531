"""Crawler: muscles where the documentation has them, a body that rests, and activations that move it."""

import gymnasium as gym
import pytest
import torch

import envs  # noqa: F401  (registers)
from envs.locomotion import crawler


def make(num_envs, **options):
    return gym.make_vec("genesis/Crawler-mini-v0", num_envs=num_envs, output="torch", **options).unwrapped


def test_muscles_lie_where_the_documentation_says():
    env = make(1)
    observation = env.reset(seed=0)[0][0].as_subclass(torch.Tensor)
    places = 0.1 * observation[:48].reshape(8, 6)[:, :3]
    for group in range(8):
        column, layer = group % 4, group // 4
        expected = torch.tensor([0.075 * (column - 1.5), 0.0, 0.05 * (layer - 0.5)], dtype=places.dtype)
        torch.testing.assert_close(places[group], expected, rtol=0.0, atol=1e-5)
    assert not observation[48:].any()


def test_a_body_without_activations_rests():
    env = make(1)
    env.reset(seed=0)
    for _ in range(50):
        reward, info = env.step(torch.zeros(1, 8))[1::3]
    assert abs(info["distance"][0]) < 5e-3 and abs(reward[0]) < 0.02 and not info["success"][0]
    assert info["speed"][0] == pytest.approx(info["distance"][0].item() / (50 * 0.02 * 0.3), rel=1e-3, abs=1e-6)
    assert crawler.BAR == 0.5
