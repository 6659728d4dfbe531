"""The simulator's clock counts its steps and their adjoints, and nothing else."""

import torch

from tests.envs.point_mass import make

NOW = [0.0]


class Slow(torch.autograd.Function):
    """The identity, whose adjoint lets some seconds pass."""

    @staticmethod
    def forward(ctx, x, seconds):
        ctx.seconds = seconds
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        NOW[0] += ctx.seconds
        return grad, None


def test_forward_and_backward_are_counted_and_nothing_else(monkeypatch):
    monkeypatch.setattr("envs.clock.time.perf_counter", lambda: NOW[0])
    env = make(2, differentiable=True, autoreset_mode="SameStep")
    env.reset(seed=0)
    step = type(env.scene).step

    def slow(self):
        NOW[0] += 1.0
        step(self)
        self.values["point.pos"] = Slow.apply(self.values["point.pos"], 10.0)

    monkeypatch.setattr(type(env.scene), "step", slow)
    action = torch.zeros(2, 2, dtype=env.dtype, requires_grad=True)
    reward = env.step(env.tensor([[0.5, 0.5]] * 2) + action)[1]
    assert env.simulator_seconds == 1.0
    Slow.apply(reward, 100.0).sum().backward()
    assert env.simulator_seconds == 11.0
    with torch.no_grad():
        env.step(action)
    assert env.simulator_seconds == 12.0


def test_failures_are_those_of_the_scene():
    env = make(2, differentiable=True)
    env.scene.failures = [(3, 1, 0, "point.pos")]
    assert env.failures() == [(3, 1, 0, "point.pos")]
