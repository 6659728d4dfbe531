"""Shared pieces of the agents against hand-computed numbers, brute force, autograd and torch's own optimiser."""

import copy

import numpy as np
import pytest
import torch

import genesis as gs
from agents import AGENTS
from agents.core.constraints import POSITIVE, check_constraints
from agents.core.fitting import fit_critics, regression_gradient
from agents.core.mlp import MLP, seeded
from agents.core.nets import Critics, GaussianPolicy, StateGaussianPolicy
from agents.core.noise import Noise, permutation
from agents.core.optimiser import Optimiser, checked_step
from agents.core.returns import td_lambda, window_return

F64 = torch.zeros((), dtype=torch.float64)


def brute_force_targets(reward, next_value, terminated, truncated, gamma, lam):
    """The sum over returns of all lengths, as the paper writes it."""
    horizon, n_envs = reward.shape
    targets = torch.zeros_like(reward)
    for b in range(n_envs):
        for t in range(horizon):
            end = t
            while not (terminated[end, b] or truncated[end, b] or end == horizon - 1):
                end += 1
            returns = []
            for k in range(1, end - t + 2):
                value = 0.0 if terminated[t + k - 1, b] else next_value[t + k - 1, b]
                returns.append(sum(gamma**j * reward[t + j, b] for j in range(k)) + gamma**k * value)
            mixed = sum((1 - lam) * lam ** (k - 1) * g for k, g in enumerate(returns[:-1], start=1))
            targets[t, b] = mixed + lam ** (len(returns) - 1) * returns[-1]
    return targets


def test_td_lambda_against_brute_force():
    generator = torch.Generator().manual_seed(0)
    reward, value = torch.randn(2, 9, 5, generator=generator, dtype=torch.float64)
    terminated, truncated = torch.rand(2, 9, 5, generator=generator) < 0.15
    valid = torch.ones_like(terminated)
    found = td_lambda(reward, value, terminated, truncated, valid, 0.9, 0.7)
    torch.testing.assert_close(found, brute_force_targets(reward, value, terminated, truncated, 0.9, 0.7))


def test_td_lambda_is_cut_before_a_lost_step():
    reward = torch.tensor([[1.0], [100.0], [3.0]])
    value = torch.tensor([[10.0], [1e9], [30.0]])
    lost = torch.tensor([[False], [True], [False]])
    none = torch.zeros_like(lost)
    targets = td_lambda(reward, value, lost, none, ~lost, 0.5, 0.95)
    assert targets[0].item() == pytest.approx(1.0 + 0.5 * 10.0)  # bootstrapped by the last state that was known
    assert targets[2].item() == pytest.approx(3.0 + 0.5 * 30.0)


def test_bootstrap_by_hand():
    """Two segments in one environment, the first truncated with value 10; the window's end has value 20."""
    reward = torch.tensor([[1.0], [2.0], [3.0]])
    done = torch.tensor([[False], [True], [False]])
    end_value = torch.tensor([[0.0], [10.0], [20.0]])
    found = window_return(reward, done, torch.ones_like(done), 0.5, end_value)
    assert found.item() == pytest.approx(((1.0 + 0.5 * 2.0 + 0.25 * 10.0) + (3.0 + 0.5 * 20.0)) / 3)


@pytest.mark.parametrize("activation", ["elu", "silu", "tanh", "relu"])
@pytest.mark.parametrize("layer_norm", [True, False])
def test_hand_written_gradient_against_autograd(activation, layer_norm):
    with seeded(1, "net"):
        net = MLP([5, 8, 7, 1], activation, layer_norm).to(F64)
    generator = torch.Generator().manual_seed(0)
    x, y, weight = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((20, 5), (20,), (20,)))
    weight = (weight > 0).to(F64)
    for given in (None, weight):
        net.zero_grad()
        loss = ((1.0 if given is None else given) * (net(x).squeeze(1) - y) ** 2).sum() / 30
        loss.backward()
        expected = [p.grad.clone() for p in net.parameters()]
        for p in net.parameters():
            p.grad.fill_(torch.nan)
        with torch.no_grad():
            found = regression_gradient(net, x, y, given, 30)
        torch.testing.assert_close(found, loss.detach())
        for p, wanted in zip(net.parameters(), expected, strict=True):
            torch.testing.assert_close(p.grad, wanted)


def test_mixed_precision_rounds_what_lies_between_hidden_layers():
    """To 8 bits, an error of 2^-9 of each factor and result; parameters and their gradients have all bits."""
    x = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
    outputs, gradients = [], []
    for mixed in (False, True):
        with seeded(1, "net"):
            net = MLP([5, 64, 64, 64, 1], "relu")
        outputs.append(net(x, mixed_precision=mixed))
        outputs[-1].square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    assert {x.dtype for x in (*outputs, *gradients)} == {torch.float32}
    assert 0 < (outputs[1] - outputs[0]).norm() < 0.01 * outputs[0].norm()
    assert 0.99 < torch.cosine_similarity(*gradients, dim=0) < 1.0 - 1e-6


def small_critics(count=2, seed=0):
    critics = Critics(3, (8,), count, seed, F64)
    return critics, Optimiser(critics, learning_rate=1e-2, betas=(0.7, 0.95), max_grad_norm=1.0)


def window_data(seed=0, horizon=6, n_envs=4):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(horizon, n_envs, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(horizon, n_envs, generator=generator, dtype=torch.float64)
    return x, y, torch.ones(horizon, n_envs, dtype=torch.bool)


def test_two_critics_are_really_two():
    """Other weights, other storage; teaching one leaves the other as it was."""
    critics = Critics(3, (8,), 2, seed=0, like=F64)
    first, second = critics.members
    pointers = {p.data_ptr() for p in first.parameters()} & {p.data_ptr() for p in second.parameters()}
    assert not pointers
    x = torch.randn(10, 3, dtype=torch.float64)
    values = critics(x)
    assert not torch.allclose(values[0], values[1])
    optimiser = Optimiser(first, learning_rate=0.1, betas=(0.7, 0.95), max_grad_norm=1.0)
    checked_step(optimiser, critics(x)[0].square().mean())
    assert not torch.equal(critics(x)[0], values[0]) and torch.equal(critics(x)[1], values[1])
    assert torch.equal(critics(x).amin(dim=0), torch.minimum(*critics(x)))


def test_minibatches_are_shuffled_and_cover_the_window():
    orders = [permutation(0, 7, turn, 24) for turn in range(3)]
    assert all(sorted(order) == list(range(24)) for order in orders)
    assert not np.array_equal(orders[0], np.arange(24)) and not np.array_equal(orders[0], orders[1])
    assert np.array_equal(orders[1], permutation(0, 7, 1, 24))  # a function of its key alone
    assert not np.array_equal(orders[1], permutation(0, 8, 1, 24))


def test_fit_takes_the_steps_of_shuffled_minibatches():
    """Against autograd, torch's clipping and torch's Adam on the same minibatches."""
    x, y, valid = window_data()
    valid[2, 1] = False
    y[2, 1] = 1e6  # a lost step teaches nothing
    critics, optimiser = small_critics()
    reference = copy.deepcopy(critics)
    adam = torch.optim.Adam(reference.parameters(), lr=1e-2, betas=(0.7, 0.95))
    fit = fit_critics(critics, optimiser, x, y, valid, passes=3, minibatches=4, key=(5, 6))
    flat_x, flat_y, flat_valid = x.reshape(-1, 3), y.reshape(-1), valid.reshape(-1)
    losses = []
    for turn in range(3):
        losses.append(0.0)
        for rows in np.array_split(permutation(5, 6, turn, 24), 4):
            errors = (reference(flat_x[rows]) - flat_y[rows]).square() * flat_valid[rows]
            loss = errors.mean(dim=1).sum()
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
            adam.step()
            losses[-1] += loss.item() / (4 * 2)
    assert fit.losses == pytest.approx(losses) and fit.skipped == 0
    for found, wanted in zip(critics.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(found, wanted)


def test_fit_stops_when_it_is_told_and_survives_nan():
    x, y, valid = window_data()
    critics, optimiser = small_critics()
    fit = fit_critics(critics, optimiser, x, y, valid, 10, 4, (0, 0), settled=lambda losses: len(losses) == 3)
    assert len(fit.losses) == 3
    before = optimiser.vector.detach().clone()
    fit = fit_critics(critics, optimiser, x, y * torch.nan, valid, 2, 4, (0, 0))
    assert fit.skipped == 8 and torch.equal(before, optimiser.vector.detach())


def test_optimiser_is_adamw_with_clipping_reported():
    with seeded(0, "net"):
        net = MLP([4, 6, 2]).to(F64)
    reference = copy.deepcopy(net)
    ours = Optimiser(net, learning_rate=0.01, betas=(0.7, 0.95), max_grad_norm=0.3, weight_decay=0.1)
    theirs = torch.optim.AdamW(reference.parameters(), lr=0.01, betas=(0.7, 0.95), weight_decay=0.1)
    x = torch.randn(10, 4, dtype=torch.float64)
    for _ in range(4):
        step = checked_step(ours, net(x).square().mean())
        theirs.zero_grad()
        reference(x).square().mean().backward()
        norm = torch.nn.utils.clip_grad_norm_(reference.parameters(), 0.3)
        theirs.step()
        assert step.norm == pytest.approx(norm.item()) and step.clipped_norm == pytest.approx(min(0.3, norm.item()))
        for found, wanted in zip(net.parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(found, wanted)


class FailingEnv:
    """An environment whose simulator lost a gradient during the backward pass."""

    def __init__(self):
        self.asked = 0

    def failures(self):
        self.asked += 1
        return [] if self.asked == 1 else [(12, 3, 7, "gradient of rigid.vel")]


def test_a_skipped_step_says_where_it_comes_from(caplog):
    weight = torch.nn.Linear(1, 1, bias=False).to(F64)
    optimiser = Optimiser(weight, learning_rate=1.0, betas=(0.7, 0.95), max_grad_norm=1.0)
    before = weight.weight.detach().clone()
    loss = torch.sqrt(weight.weight.sum() * 0.0)  # finite, with a gradient that is not
    step = checked_step(optimiser, loss, FailingEnv())
    assert step.skipped and step.clipped_norm == 0.0 and torch.equal(weight.weight.detach(), before)
    text = "the simulator reported gradient of rigid.vel in step 12, substep 3, environment 7"
    assert "the gradient was not finite; " + text in caplog.text
    assert checked_step(optimiser, loss * torch.nan).skipped and "the loss was not finite" in caplog.text
    assert not checked_step(optimiser, weight.weight.sum()).skipped


def test_a_loss_that_nothing_learnt_has_a_part_in_has_no_gradient():
    weight = torch.nn.Linear(1, 1, bias=False).to(F64)
    before = weight.weight.detach().clone()
    step = checked_step(Optimiser(weight, learning_rate=1.0, betas=(0.7, 0.95), max_grad_norm=1.0), torch.ones(()))
    assert not step.skipped and step.norm == 0.0 and torch.equal(weight.weight.detach(), before)


def test_noise_depends_on_seed_environment_and_step_alone():
    whole = Noise(3, "exploration", F64).normal(10, 6, np.arange(8), 2)
    half = Noise(3, "exploration", F64).normal(10, 6, np.arange(4, 8), 2)
    later = Noise(3, "exploration", F64).normal(13, 3, np.arange(8), 2)
    assert torch.equal(whole[:, 4:], half) and torch.equal(whole[3:], later)
    assert not torch.equal(whole, Noise(4, "exploration", F64).normal(10, 6, np.arange(8), 2))
    assert not torch.equal(whole, Noise(3, "other", F64).normal(10, 6, np.arange(8), 2))
    many = Noise(0, "exploration", F64).normal(0, 200, np.arange(50), 2)
    assert abs(many.mean().item()) < 0.02 and many.std().item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_correlated_noise_is_an_autoregression_that_windows_do_not_cut(correlation):
    noise = Noise(3, "exploration", F64)
    long = noise.correlated(-1, 400, np.arange(500), 2, correlation)
    assert torch.equal(long[101:151], noise.correlated(100, 50, np.arange(500), 2, correlation))
    for k in range(20):
        found = (long[k:] * long[: len(long) - k]).mean().item()
        assert found == pytest.approx(correlation**k, abs=0.02)


def test_policies_by_hand():
    low, high = torch.tensor([-1.0, 0.0], dtype=torch.float64), torch.tensor([1.0, 4.0], dtype=torch.float64)
    observation, noise = torch.randn(2, 5, 3, dtype=torch.float64)[:, :, :3], torch.randn(5, 2, dtype=torch.float64)
    policy = GaussianPolicy(3, low, high, (8,), 0)
    u = policy.mean(observation[0]) + np.exp(-1.0) * noise
    torch.testing.assert_close(policy(observation[0], noise), torch.tanh(u) * (high - low) / 2 + (high + low) / 2)
    for squashed in (False, True):
        soft = StateGaussianPolicy(3, low, high, (8,), 0, squashed_entropy=squashed)
        mean, log_std = soft.heads(observation[0]).chunk(2, dim=1)
        action, entropy = soft(observation[0], noise)
        u = mean + log_std.exp() * noise
        torch.testing.assert_close(action, torch.tanh(u) * (high - low) / 2 + (high + low) / 2)
        wanted = torch.distributions.Normal(mean, log_std.exp()).entropy()
        wanted = wanted + (torch.log(1 - torch.tanh(u) ** 2) if squashed else 0.0)
        torch.testing.assert_close(entropy, wanted.sum(dim=1))


def test_constraints_and_registry():
    with pytest.raises(gs.GenesisException, match="max_grad_norm must be positive and finite, got -1"):
        AGENTS["shac"].config(max_grad_norm=-1)
    with pytest.raises(gs.GenesisException, match="size"):
        check_constraints(type("C", (), {"size": -1}), {"size": POSITIVE})
    with pytest.raises(KeyError):
        AGENTS["nobody"]
    for name in AGENTS:
        assert AGENTS[name].agent.name == name
