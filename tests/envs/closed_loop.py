"""Gradients of an episode's return under a policy against central differences."""

import pytest
import torch

import genesis as gs

STEP, AGREE = 1e-6, 1e-3


def check_closed_loop(env, bias, steps=8, directions=4, rel=1e-4):
    """Of the sum of rewards by all weights of tanh(W observation + `bias`), in random directions.

    A direction in which the differences of both sides disagree is a kink; one of them may be.
    """
    generator = torch.Generator().manual_seed(0)
    size = (len(bias), env.single_observation_space.shape[0])
    first = 0.3 / size[1] ** 0.5 * torch.randn(size, generator=generator, dtype=gs.tc_float)

    def total(weights):
        observation, sum_ = env.reset(seed=1)[0], 0.0
        for _ in range(steps):
            action = torch.tanh(
                observation.as_subclass(torch.Tensor) @ weights.T + torch.tensor(bias, dtype=gs.tc_float)
            )
            observation, reward = env.step(action)[:2]
            sum_ = sum_ + reward.as_subclass(torch.Tensor).sum()
        return sum_

    leaf = first.clone().requires_grad_()
    value = total(leaf)
    (gradient,) = torch.autograd.grad(value, leaf)
    kinks = 0
    for _ in range(directions):
        direction = torch.randn(size, generator=generator, dtype=gs.tc_float)
        exact = (gradient * direction).sum().item()
        with torch.no_grad():
            ahead = (total(first + STEP * direction) - value).item() / STEP
            behind = (value - total(first - STEP * direction)).item() / STEP
        if abs(ahead - behind) > AGREE * abs(exact):
            kinks += 1
        else:
            assert 0.5 * (ahead + behind) == pytest.approx(exact, rel=rel)
    assert kinks <= 1
    return gradient
