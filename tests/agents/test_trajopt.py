"""Trajectory optimisation: returns by hand, fits, a closed-form optimum, starts, resume, survival."""

import copy
import math

import pytest
import torch

import genesis as gs
from agents import AGENTS
from agents.core.agent import Abandoned
from agents.trajopt import (
    AdamTrajopt,
    AdamTrajoptConfig,
    CEMTrajopt,
    CEMTrajoptConfig,
    first_row,
    fit_elites,
    sequence_returns,
    spread_rows,
)
from tests.envs.point_mass import CONTROL_DT, make

ADAM, CEM = (AdamTrajopt, AdamTrajoptConfig), (CEMTrajopt, CEMTrajoptConfig)
BOTH = pytest.mark.parametrize("kind", [ADAM, CEM], ids=["adam", "cem"])


def env_for(kind, num_envs=6, max_episode_steps=10):
    return make(num_envs, max_episode_steps, differentiable=kind is ADAM, autoreset_mode="SameStep")


def agent_for(kind, env, seed=0, **config):
    small = {} if kind is ADAM else {"population": 12, "elites": 3, "hold": 1}
    return kind[0](kind[1](**{**small, **config}), env, seed, 10_000)


def test_returns_by_hand():
    reward = torch.tensor([[1.0, 1.0, 1.0], [2.0, 2.0, math.nan], [4.0, 4.0, 4.0]], dtype=torch.float64)
    reward.requires_grad_()
    done = torch.tensor([[False, False, False], [False, True, False], [True, True, False]])
    result = sequence_returns(reward, done, torch.isfinite(reward), gamma=0.5)
    assert result.tolist() == [1.0 + 1.0 + 1.0, 1.0 + 1.0, -math.inf]
    result[:2].sum().backward()
    assert reward.grad.tolist() == [[1.0, 1.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.0, 0.0]]


def test_a_lost_step_behind_the_end_does_not_matter():
    reward = torch.tensor([[1.0], [math.nan]])
    done, valid = torch.tensor([[True], [False]]), torch.tensor([[True], [False]])
    assert sequence_returns(reward, done, valid, gamma=1.0).tolist() == [1.0]


def test_fit_by_hand():
    candidates = torch.tensor([[[0.0], [2.0], [4.0], [100.0]]], dtype=torch.float64)
    mean, std = fit_elites(candidates, torch.tensor([3.0, 2.0, 1.0, 0.0]), elites=2)
    assert mean.tolist() == [[1.0]] and std.tolist() == [[1.0]]
    assert fit_elites(candidates[:, :1], torch.zeros(1), elites=5)[1].tolist() == [[0.0]]


def test_cem_finds_the_minimum_of_a_quadratic():
    generator = torch.Generator().manual_seed(0)
    goal = torch.tensor([[0.3, -0.6]], dtype=torch.float64)
    mean, std = torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    for _ in range(30):
        noise = torch.randn(1, 64, 2, generator=generator, dtype=torch.float64)
        candidates = mean[:, None] + std[:, None] * noise
        mean, std = fit_elites(candidates, -(candidates - goal[:, None]).square().sum(dim=(0, 2)), elites=8)
    torch.testing.assert_close(mean, goal, atol=1e-4, rtol=0)


def test_rows_of_an_environment():
    env = make(3, 10, autoreset_mode="SameStep")
    env.reset(seed=4)
    env.step(0.5 * torch.ones(3, 2).to(env.action))
    state = first_row(env.state_dict())
    wide = make(5, 10, autoreset_mode="SameStep")
    wide.load_state_dict(spread_rows(state, 5))
    position = wide.scene.values["point.pos"]
    assert position.shape == (5, 2) and torch.equal(position, env.scene.values["point.pos"][:1].expand(5, 2))
    assert wide.elapsed.tolist() == [1] * 5


def optimum(agent, horizon):
    """The best return: the point mass's objective is a concave quadratic, climbed here within its bounds."""
    state = agent.best.start
    start, goal = state["scene"]["point.pos"][0].double(), state["episode"]["goal"][0].double()

    def objective(force):
        pos, vel, total = start, torch.zeros(2, dtype=torch.float64), 0.0
        for step in range(horizon):
            vel = vel + CONTROL_DT * force[step]
            pos = pos + CONTROL_DT * vel
            total = total - (goal - pos).square().sum() - 0.01 * force[step].square().sum()
        return total

    force = torch.zeros(horizon, 2, dtype=torch.float64)
    for _ in range(500):  # a step of 5 is below 2 over the largest curvature
        force = (force + 5.0 * torch.func.grad(objective)(force)).clamp(-1.0, 1.0)
    return objective(force).item()


@pytest.mark.parametrize(("kind", "iterations"), [(ADAM, 150), (CEM, 60)], ids=["adam", "cem"])
def test_the_optimum_is_found(kind, iterations):
    env = env_for(kind, num_envs=8, max_episode_steps=4)
    options = {"learning_rate": 0.03} if kind is ADAM else {"population": 64, "elites": 8, "min_std": 1e-3}
    agent = agent_for(kind, env, **options)
    for _ in range(iterations):
        agent.update(env)
    best = optimum(agent, 4)
    assert agent.best.total <= best + 1e-6
    assert agent.best.total == pytest.approx(best, abs=1e-3)
    assert agent.replay(env) == pytest.approx(agent.best.total, abs=1e-6)


@BOTH
def test_act_plays_the_sequence(kind):
    env = env_for(kind)
    agent = agent_for(kind, env, hold=3)
    agent.update(env)
    env.load_state_dict(spread_rows(agent.best.start, env.num_envs))
    total = 0.0
    for step in range(10):
        action = agent.act(torch.zeros(6, 6))
        assert torch.equal(action[0], agent.best.knots[step // 3]) and bool((action.abs() <= 1).all())
        total += env.step(action)[1][0].item()
    assert total == pytest.approx(agent.best.total, abs=1e-5)
    assert torch.equal(agent.act(torch.zeros(6, 6)), agent.best.knots[:1].expand(6, -1))  # from its start again
    agent.rewind()
    assert torch.equal(agent.act(torch.zeros(6, 6)), agent.best.knots[:1].expand(6, -1))


@BOTH
def test_the_best_never_gets_worse(kind):
    env = env_for(kind)
    agent = agent_for(kind, env)
    history = [agent.update(env)["charts/best_objective"] for _ in range(8)]
    assert history == sorted(history) and history[-1] > history[0]


@BOTH
def test_resume_is_exact(kind):
    env = env_for(kind)
    agent = agent_for(kind, env)
    for _ in range(3):
        agent.update(env)
    saved = copy.deepcopy((agent.state_dict(), env.state_dict()))
    for _ in range(3):
        agent.update(env)
    env2 = env_for(kind)
    agent2 = agent_for(kind, env2)
    agent2.load_state_dict(saved[0])
    env2.load_state_dict(saved[1])
    for _ in range(3):
        agent2.update(env2)
    assert torch.equal(agent.best.knots, agent2.best.knots)
    assert agent.best.total == agent2.best.total and agent.steps == agent2.steps
    if kind is ADAM:
        assert torch.equal(agent.relative, agent2.relative)
    else:
        assert torch.equal(agent.distribution.mean, agent2.distribution.mean)


@BOTH
def test_the_saved_agent_is_plain(kind, tmp_path):
    env = env_for(kind)
    agent = agent_for(kind, env)
    agent.update(env)
    torch.save(agent.state_dict(), tmp_path / "agent.pt")
    agent.load_state_dict(torch.load(tmp_path / "agent.pt", weights_only=True))


@BOTH
def test_a_failed_row_is_left_out(kind):
    env = env_for(kind)
    agent = agent_for(kind, env)
    agent.start(env)
    env.scene.poison = {2: [1], 12: [1]}
    scalars = agent.update(env)
    assert scalars["gradients/skipped_rows"] >= 1
    assert torch.isfinite(agent.best.knots).all() and math.isfinite(agent.best.objective)


def test_a_row_without_a_gradient_stays_where_it_is():
    env = env_for(ADAM)
    agent = agent_for(ADAM, env)
    agent.update(env)
    before = agent.relative.detach().clone()
    agent.relative.grad.fill_(1.0)
    agent.relative.grad[0, 2, 0] = math.nan
    skipped, _ = agent._step(torch.ones(6, dtype=torch.bool))
    assert skipped == 1
    moved = (agent.relative != before).any(dim=(0, 2))
    assert moved.tolist() == [True, True, False, True, True, True] and torch.isfinite(agent.relative).all()


def test_they_are_registered():
    assert AGENTS["trajopt-adam"] == ADAM and AGENTS["trajopt-cem"] == CEM
    assert AdamTrajopt.differentiable and not CEMTrajopt.differentiable


@BOTH
def test_bad_input(kind):
    endless = make(2, None, autoreset_mode="SameStep")
    with pytest.raises(gs.GenesisException, match="horizon"):
        agent_for(kind, endless)
    assert agent_for(kind, endless, horizon=5).horizon == 5
    with pytest.raises(gs.GenesisException, match="horizon"):
        kind[1](horizon=0)
    with pytest.raises(gs.GenesisException, match="start"):
        agent_for(kind, endless, horizon=5).replay(endless)
    with pytest.raises(gs.GenesisException, match="elites"):
        CEMTrajoptConfig(population=4, elites=5)


@BOTH
def test_it_is_played_in_a_batch_of_another_size(kind):
    env = env_for(kind)
    agent = agent_for(kind, env)
    agent.update(env)
    other = env_for(kind, num_envs=2)
    restored = agent_for(kind, other)
    restored.load_state_dict(copy.deepcopy(agent.state_dict()))
    assert torch.equal(restored.act(torch.zeros(2, 6)), agent.act(torch.zeros(6, 6))[:2])
    assert restored.replay(other) == pytest.approx(agent.replay(env), abs=1e-5)


@BOTH
def test_an_update_that_is_abandoned_leaves_nothing_behind(kind):
    """Asked to stop in its last roll-out; later it does what it would have done."""
    env, other = env_for(kind), env_for(kind)
    agent, whole = agent_for(kind, env), agent_for(kind, other)
    agent.update(env)
    asked = iter(range(1000))
    agent.stopping = lambda: next(asked) == (5 if kind is ADAM else 15)
    with pytest.raises(Abandoned):
        agent.update(env)
    agent.stopping = lambda: False
    agent.update(env)
    for _ in range(2):
        whole.update(other)
    assert torch.equal(agent.best.knots, whole.best.knots)
    assert (agent.best.total, agent.steps, agent.updates) == (whole.best.total, whole.steps, 2)
