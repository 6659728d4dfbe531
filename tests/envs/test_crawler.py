"""Crawler: muscles where and as long as the documentation has them, a body that rests, its gradient in closed loop."""

import gymnasium as gym
import pytest
import torch

import envs  # noqa: F401  (registers)
import genesis as gs
from envs.locomotion import crawler
from tests.envs.closed_loop import check_closed_loop


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


def test_a_free_body_is_as_long_as_the_documentation_says():
    """Without ground and weight: 0.82 and 1.46 times as long as it was, on average over a period of its ringing."""
    env = make(2)
    env.reset(seed=0)
    env.scene.set_gravity((0.0, 0.0, 0.0))
    env.body.set_position((0.3, 0.0, 0.16))
    before = env.body.get_particles_pos()[..., 0].std(1)
    action = torch.ones(2, 8, dtype=gs.tc_float)
    action[1] = -1.0
    lengths = []
    for _ in range(96):
        assert not env.step(action)[4]["nonfinite"].any()
        lengths.append(env.body.get_particles_pos()[..., 0].std(1) / before)
    assert torch.stack(lengths[-32:]).mean(0).tolist() == pytest.approx([0.82, 1.46], abs=0.01)


@pytest.mark.precision("64")
def test_gradient_in_closed_loop_against_central_differences():
    gradient = check_closed_loop(make(2, differentiable=True), bias=[0.4, -0.2, 0.3, -0.5, 0.1, 0.6, -0.3, 0.2])
    assert gradient.abs().amax() > 1e-3
