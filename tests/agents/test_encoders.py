"""What every registered encoder promises, and the nets that have one: a new encoder is tested by being registered."""

import copy

import pytest
import torch

import genesis as gs
from agents import AGENTS
from agents.core.encoders import ENCODERS, Encoder, find, register
from agents.core.fitting import fit_critics
from agents.core.layout import EncodedMLP, Layout, network
from agents.core.mlp import MLP, seeded
from agents.core.nets import Critics
from agents.core.normaliser import Normaliser
from agents.core.optimiser import Optimiser
from tests.agents.test_agent_contract import agent_for
from tests.envs.point_cloud import make

F64 = torch.zeros((), dtype=torch.float64)
PARTS = {"state": (3,), "cloud": (6, 2), "cloud_present": (6,), "others": (4, 3), "goal": (2,)}
SIZE = 3 + 12 + 6 + 12 + 2


@register("test-mean")
class Mean(Encoder):
    """The mean of a linear function of the points: a new encoder, in a file of its own."""

    def __init__(self, features, activation, layer_norm, gain):
        super().__init__(features, activation, layer_norm, gain)
        self.linear = torch.nn.Linear(features, 3)
        self.size = 3

    def forward(self, points, present):
        if present is None:
            return self.linear(points).mean(dim=-2)
        there = present[..., None]
        total = torch.where(there, self.linear(torch.where(there, points, 0.0)), 0.0).sum(dim=-2)
        return total / there.sum(dim=-2).clamp_min(1)


@pytest.fixture(params=sorted(ENCODERS))
def name(request):
    return request.param


def encoder_for(name):
    with seeded(1, "encoder"):
        return find(name)(2, "elu", True, 1.0).to(F64)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some_present():
    present = random(4, 6, seed=1) > 0.0
    present[0], present[1], present[2] = True, False, torch.arange(6) == 3
    return present


def test_the_order_of_points_means_nothing(name):
    """To the code, and to gradients, which follow the points."""
    encoder, points, weights = encoder_for(name), random(4, 6, 2), random(4, encoder_for(name).size, seed=2)
    order = torch.tensor([3, 5, 0, 1, 4, 2])
    for present in (None, some_present()):
        results = []
        for places in (torch.arange(6), order):
            given = points[:, places].clone().requires_grad_()
            code = encoder(given, None if present is None else present[:, places])
            results.append((code, *torch.autograd.grad((code * weights).sum(), given)))
        torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(results[0][1][:, order], results[1][1], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_points_have_the_same_bits_in_any_order(dtype):
    encoder, points, present = encoder_for("points").to(dtype), random(4, 6, 2).to(dtype), some_present()
    for seed in range(20):
        order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(encoder(points[:, order], None), encoder(points, None))
        assert torch.equal(encoder(points[:, order], present[:, order]), encoder(points, present))


def test_absent_points_change_nothing(name):
    """Whatever they hold, NaN too; the code is that of the others alone, and no gradient reaches them."""
    encoder, points, present = encoder_for(name), random(4, 6, 2), some_present()
    code = encoder(points, present)
    for value in (0.0, 1e30, torch.inf, torch.nan):
        given = torch.where(present[..., None], points, value).requires_grad_()
        found = encoder(given, present)
        assert torch.equal(found, code)
        (gradient,) = torch.autograd.grad(found.sum(), given)
        assert bool((gradient[~present] == 0.0).all()) and bool(torch.isfinite(gradient).all())
    for row in (0, 2, 3):
        torch.testing.assert_close(encoder(points[row, present[row]][None], None)[0], code[row])
    assert bool(torch.isfinite(code[1]).all())  # there is no point at all


def test_gradients_against_finite_differences(name):
    """By the points one by one, by the weights along random directions."""
    encoder, points, present = encoder_for(name), random(4, 6, 2).requires_grad_(), some_present()
    names, values = zip(*encoder.named_parameters(), strict=True)

    def code(points, *weights, present=present):
        return torch.func.functional_call(encoder, dict(zip(names, weights, strict=True)), (points, present))

    assert torch.autograd.gradcheck(lambda p: code(p, *values), points)
    assert torch.autograd.gradcheck(code, (points, *values), fast_mode=True)
    assert torch.autograd.gradcheck(lambda *x: code(*x, present=None), (points, *values), fast_mode=True)


def observations(*leading):
    x = random(*leading, SIZE, seed=3)
    x[..., 15:21] = (x[..., 15:21] > 0.0).to(x)
    return x


def test_a_net_takes_an_observation_apart(name):
    """Numbers and codes side by side, with what follows the observation; any leading shape."""
    layout = Layout(SIZE, PARTS, name)
    with seeded(0, "net"):
        net = network(layout, [5, 1], beside=2).to(F64)
    assert isinstance(net, EncodedMLP)
    x = torch.cat([observations(3, 4), random(3, 4, 2, seed=4)], dim=-1)
    cloud, others = x[..., 3:15].reshape(3, 4, 6, 2), x[..., 21:33].reshape(3, 4, 4, 3)
    codes = [net.encoders[0](cloud, x[..., 15:21] > 0.5), net.encoders[1](others, None)]
    by_hand = net.trunk(torch.cat([x[..., :3], x[..., 33:35], x[..., 35:], *codes], dim=-1))
    torch.testing.assert_close(net(x), by_hand)
    torch.testing.assert_close(net(x.reshape(12, -1)), by_hand.reshape(12, 1))
    assert torch.autograd.gradcheck(net, x[0].clone().requires_grad_())


def test_without_points_a_net_is_plain():
    nets = []
    for layout in (7, Layout(7), Layout(7, {"joints": (4,), "goal": (3,)}, "test-mean")):
        with seeded(0, "net"):
            nets.append(network(layout, [5, 2], beside=1))
    with seeded(0, "net"):
        plain = MLP([8, 5, 2])
    for net in nets:
        assert isinstance(net, MLP)
        for found, wanted in zip(net.parameters(), plain.parameters(), strict=True):
            assert torch.equal(found, wanted)


def test_points_keep_the_units_of_the_task():
    """Numbers are normalised as they are without points; points and flags are clipped alone."""
    layout = Layout(SIZE, PARTS)
    normaliser, plain = Normaliser(SIZE, F64, only=layout.is_number()), Normaliser(5, F64)
    numbers = [0, 1, 2, 33, 34]
    assert layout.is_number().nonzero().squeeze(1).tolist() == numbers
    x = 3.0 * observations(50) + 1.0
    for one, seen in ((normaliser, x), (plain, x[:, numbers])):
        one.update(seen)
        one.freeze()
    torch.testing.assert_close(normaliser(x)[:, numbers], plain(x[:, numbers]), rtol=1e-13, atol=1e-13)
    rest = ~layout.is_number()
    assert torch.equal(normaliser(10.0 * x)[:, rest], (10.0 * x)[:, rest].clamp(-10.0, 10.0))


def test_critics_with_encoders_are_fitted():
    """Three passes of a step each, against autograd, torch's clipping and torch's Adam. A lost step teaches nothing."""
    critics = Critics(Layout(SIZE, PARTS), (8,), 2, seed=0, like=F64)
    reference = copy.deepcopy(critics)
    optimiser = Optimiser(critics, learning_rate=1e-2, betas=(0.7, 0.95), max_grad_norm=1.0)
    adam = torch.optim.Adam(reference.parameters(), lr=1e-2, betas=(0.7, 0.95))
    x, y, valid = observations(6, 4), random(6, 4, seed=5), torch.ones(6, 4, dtype=torch.bool)
    valid[2, 1], y[2, 1] = False, 1e6
    fit = fit_critics(critics, optimiser, x, y, valid, passes=3, minibatches=1, key=(5, 6))
    losses = []
    for _ in range(3):
        errors = (reference(x.reshape(24, -1)) - y.reshape(-1)).square() * valid.reshape(-1)
        adam.zero_grad()
        errors.mean(dim=1).sum().backward()
        torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
        adam.step()
        losses.append(errors.mean().item())
    assert fit.losses == pytest.approx(losses) and fit.skipped == 0
    for found, wanted in zip(critics.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(found, wanted)


def test_a_new_encoder_is_chosen_by_name():
    """By every agent with a net; an unknown name, or one that is taken, is refused."""
    entry = AGENTS["shac"]
    env = make(4, 6, differentiable=True, autoreset_mode="SameStep")
    agent = entry.agent(entry.config(encoder="test-mean", window=5, hidden=(8,), critic_passes=1), env, 0, 1000)
    agent.update(env)
    assert isinstance(agent.policy.mean.encoders[0], Mean) and isinstance(agent_for(entry, env).policy.mean, EncodedMLP)
    for other in ("bptt", "ahac", "sapo", "ivw", "ppo", "sac"):
        assert AGENTS[other].config(encoder="test-mean").encoder == "test-mean"
        with pytest.raises(
            gs.GenesisException, match=r"encoder must be one of \['points', 'test-mean'\], got 'nobody'"
        ):
            AGENTS[other].config(encoder="nobody")
    with pytest.raises(gs.GenesisException, match="must be new, got 'points'"):
        register("points")(Mean)
