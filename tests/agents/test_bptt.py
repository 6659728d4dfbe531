"""BPTT on the torch task: objective by hand and by finite differences, NaN survival, reproducibility, learning."""

import copy

import pytest
import torch

import genesis as gs
from agents.bptt import BPTT, BPTTConfig
from agents.core.evaluation import evaluate
from agents.core.normaliser import Normaliser
from agents.core.returns import segment_discounts, window_return
from tests.agents.differences import check_gradient
from tests.envs.point_mass import make


def training_env(num_envs=4, max_episode_steps=6, **options):
    return make(num_envs, max_episode_steps, differentiable=True, autoreset_mode="SameStep", **options)


def agent_for(env, seed=0, **config):
    return BPTT(BPTTConfig(**{"window": 5, "hidden": (8,), **config}), env, seed, total_steps=10_000)


def test_window_return_by_hand():
    reward = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=torch.float64)
    done = torch.tensor([[False, True], [False, False], [True, False]])
    valid = torch.tensor([[True, True], [True, True], [True, False]])
    by_hand = ((1.0 + 0.5 * 3.0 + 0.25 * 5.0) + (2.0 + 4.0)) / 6
    assert window_return(reward, done, valid, gamma=0.5).item() == pytest.approx(by_hand, abs=1e-15)


def test_discount_restarts_after_done():
    done = torch.tensor([[False], [True], [False], [False]])
    assert segment_discounts(done, 0.5).squeeze(1).tolist() == [1.0, 0.5, 1.0, 0.5]


def test_an_invalid_reward_has_no_gradient_even_if_nan():
    reward = torch.tensor([[1.0], [float("nan")]], requires_grad=True)
    valid = torch.tensor([[True], [False]])
    window_return(reward, torch.zeros(2, 1, dtype=torch.bool), valid, 0.9).backward()
    assert reward.grad.squeeze(1).tolist() == [0.5, 0.0]


@pytest.mark.precision("64")
def test_gradient_of_the_objective_against_finite_differences():
    """Closed loop, across a reset and in the second window, for every parameter of a small policy."""
    env = training_env(2, 4)
    agent = agent_for(env, hidden=(3,))
    agent.update(env)  # the second window begins in the middle of an episode
    start, observation, normaliser = env.state_dict(), agent.observation, copy.deepcopy(agent.normaliser)

    def objective():
        env.load_state_dict(start)
        agent.normaliser = copy.deepcopy(normaliser)
        window = agent._roll_out(env, observation)
        return window_return(window.reward, window.done, window.valid, agent.config.gamma)

    check_gradient(agent.policy, objective, rel=1e-6)


def weights(agent):
    return torch.cat([parameter.detach().reshape(-1) for parameter in agent.policy.parameters()])


def test_a_failed_row_is_left_out_and_the_update_taken():
    env = training_env()
    agent = agent_for(env)
    env.reset(seed=0)
    env.scene.poison = {2: [1]}
    before = weights(agent)
    scalars = agent.update(env)
    assert scalars["charts/nonfinite_rows"] == 1 and scalars["gradients/skipped_updates"] == 0
    assert torch.isfinite(weights(agent)).all() and not torch.equal(weights(agent), before)


@pytest.mark.parametrize("what", ["reward", "gradient"])
def test_nonfinite_reward_or_gradient_skips_the_update(what, monkeypatch):
    env = training_env()
    agent = agent_for(env)
    agent.update(env)
    before, moments = weights(agent), copy.deepcopy(agent.optimiser.state_dict())
    reward = type(env).reward
    if what == "reward":
        monkeypatch.setattr(type(env), "reward", lambda self: reward(self) * float("nan"))
    else:  # sqrt at zero: a finite value whose derivative is infinite
        zero = lambda x: torch.sqrt(torch.zeros_like(x) * x)  # noqa: E731
        monkeypatch.setattr(type(env), "reward", lambda self: reward(self) + zero(reward(self)))
    scalars = agent.update(env)
    assert scalars["gradients/skipped_updates"] == 1
    assert torch.equal(weights(agent), before)
    after = agent.optimiser.state_dict()
    assert all(torch.equal(after[k], moments[k]) for k in ("first_moment", "second_moment"))
    monkeypatch.undo()
    assert agent.update(env)["gradients/skipped_updates"] == 1
    assert not torch.equal(weights(agent), before) and torch.isfinite(weights(agent)).all()


def test_clipping_is_reported():
    env = training_env()
    scalars = agent_for(env, max_grad_norm=1e-3).update(env)
    assert scalars["gradients/norm_before_clip"] > 1e-3
    assert scalars["gradients/norm_after_clip"] == pytest.approx(1e-3)


def test_learning_rate_is_linear():
    env = training_env(4)
    agent = agent_for(env, window=5, learning_rate=1.0, final_learning_rate=0.5)
    agent.total_steps = 40
    rates = [agent.update(env)["charts/learning_rate"] for _ in range(4)]
    assert rates == pytest.approx([1.0, 0.75, 0.5, 0.5])


def test_an_environment_without_gradient_is_refused():
    env = make(2, autoreset_mode="SameStep")
    with pytest.raises(gs.GenesisException, match="differentiable"):
        agent_for(env).update(env)


@pytest.mark.parametrize("config", [{"window": 0}, {"gamma": 0.0}, {"learning_rate": -1.0}, {"max_grad_norm": 0.0}])
def test_bad_config(config):
    with pytest.raises(gs.GenesisException, match=next(iter(config))):
        BPTTConfig(**config)


def test_learns_in_seconds():
    env = training_env(16, 20)
    agent = agent_for(env, window=20, learning_rate=2e-2, hidden=(32,))
    agent.total_steps = 100 * 16 * 20
    fresh = make(20, 20, autoreset_mode="SameStep", first_env_index=1_000_000)
    untrained = evaluate(agent.act, fresh, 40, seed=0)
    for _ in range(100):
        agent.update(env)
    trained = evaluate(agent.act, fresh, 40, seed=0)
    assert untrained["success_rate"] < 0.1 and trained["success_rate"] > 0.9
    assert trained["episodes"] == 40 and trained["length_mean"] == 20


def test_normaliser_counts_finite_rows_and_stands_still():
    data = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 + 1
    normaliser = Normaliser(3, like=data, epsilon=0.0)
    for part in data.split(7):
        normaliser.update(part)
    normaliser.update(torch.full((1, 3), float("nan"), dtype=torch.float64))
    assert torch.equal(normaliser(data), data)
    normaliser.freeze()
    expected = (data - data.mean(dim=0)) / data.std(dim=0, correction=0)
    torch.testing.assert_close(normaliser(data), expected)
