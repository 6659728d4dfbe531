"""Soft termination: weights and gradients of returns and targets where a task has bounds, against other means."""

import copy
import math

import pytest
import torch

import genesis as gs
from agents import AGENTS
from agents.core.adjoint import CotangentBound
from agents.core.returns import segment_discounts, survival_probability, td_lambda, window_return
from tests.envs.point_mass import PointMass, make

exact = pytest.mark.precision("64")
ACTOR_CRITICS = ("shac", "ahac", "sapo", "ivw")
SMALL = {"hidden": (3,), "critic_hidden": (5,), "critic_passes": 2, "min_window": 5, "first_window": 5, "window": 5}
GAMMA, LAM, WIDTH = 0.9, 0.7, 0.1


class Bounded(PointMass):
    """The point-mass task with a bonus in each step, which ends where a coordinate is beyond 0.09 m, and says how far
    away that is."""

    BOUND = 0.09

    def reward(self):
        return 2.0 + super().reward()

    def margins(self):
        place = self.scene.values["point.pos"]
        return torch.cat([self.BOUND - place, self.BOUND + place], dim=1)

    def terminated(self):
        return (self.scene.values["point.pos"].detach().abs() > self.BOUND).any(dim=1)


def bounded_env(num_envs=6, max_episode_steps=4, **options):
    gs.is_initialized() or gs.init(precision="64")
    options = {"output": "torch", "differentiable": True, "autoreset_mode": "SameStep", **options}
    return Bounded(num_envs, max_episode_steps, **options)


def agent_for(name, env, **config):
    entry = AGENTS[name]
    options = {**SMALL, "gamma": GAMMA, "lam": LAM, "survival_width": WIDTH, **config}
    known = {key: value for key, value in options.items() if key in entry.config.__dataclass_fields__}
    agent = entry.agent(entry.config(**known), env, 0, total_steps=10_000)
    agent.update(env)
    return agent


def rolled_out(agent, env):
    rolled = agent._roll_out(env, agent.observation)
    return rolled if hasattr(rolled, "reward") else rolled[0]


def values(agent, observation):
    """(M,) that targets are made of, of raw observations (M, O)."""
    net = agent.target if hasattr(agent, "target") else agent.critics
    with torch.no_grad():
        return net(agent.normaliser(observation)).amin(dim=0)


def test_probability_of_survival_by_hand():
    margins = torch.tensor([[0.0, torch.inf], [0.02, 0.02], [-0.04, 1.0], [5.0, 5.0]])
    one = 1 / (1 + math.exp(-1.0))
    wanted = torch.tensor([0.5, one * one, 1 / (1 + math.exp(2.0)), 1.0])
    torch.testing.assert_close(survival_probability(margins, 0.02), wanted)
    assert survival_probability(margins[:, :0], 0.02).tolist() == [1.0] * 4  # no finite bound


def window_numbers():
    """Rewards, values, probabilities (6, 3) of steps of which some end an episode, in two ways, and one is lost."""
    generator = torch.Generator().manual_seed(0)
    reward, value = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    survival = torch.rand(6, 3, generator=generator, dtype=torch.float64)
    terminated, truncated, valid = (torch.zeros(6, 3, dtype=torch.bool) for _ in range(3))
    terminated[1, 0] = truncated[3, 0] = truncated[2, 1] = terminated[4, 2] = True
    valid.fill_(True)[4, 2] = False
    return reward, value, survival, terminated, truncated, valid


def return_by_hand(reward, value, survival, done, valid):
    """1/(H B) of the sum over environments and segments, walked step by step."""
    total = 0.0
    for b in range(reward.shape[1]):
        weight = 1.0
        for t in range(len(reward)):
            total += weight * reward[t, b].item() * bool(valid[t, b])
            weight *= GAMMA * survival[t, b].item()
            if done[t, b] or t == len(reward) - 1:
                total += weight * value[t, b].item()
                weight = 1.0
    return total / reward.numel()


def test_return_by_hand_and_its_gradient_against_differences():
    reward, value, survival, terminated, truncated, valid = window_numbers()
    done = terminated | truncated
    reward, value = reward.abs(), value.abs()  # what is less than nothing pulls at no probability
    survival.requires_grad_(True)
    found = window_return(reward, done, valid, GAMMA, value, survival)
    assert found.item() == pytest.approx(return_by_hand(reward, value, survival, done, valid), rel=1e-12)
    found.backward()
    step = 1e-6
    for t in range(6):
        for b in range(3):
            moved = torch.zeros_like(survival)
            moved[t, b] = step
            ends = [return_by_hand(reward, value, survival + sign * moved, done, valid) for sign in (1, -1)]
            assert survival.grad[t, b].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-9)


def test_nobody_is_pulled_beyond_a_bound():
    """Where later rewards are worth less than nothing the return is the same, and p has no gradient."""
    survival = torch.tensor([[0.5], [0.25], [0.5]], requires_grad=True)
    reward, value = torch.tensor([[1.0], [-4.0], [1.0]]), torch.tensor([[0.0], [0.0], [2.0]])
    none, valid = torch.zeros(3, 1, dtype=torch.bool), torch.ones(3, 1, dtype=torch.bool)
    found = window_return(reward, none, valid, 1.0, value, survival)
    found.backward()
    last = 1.0 + 0.5 * 2.0
    assert found.item() == pytest.approx((1.0 + 0.5 * (-4.0 + 0.25 * last)) / 3)
    wanted = torch.tensor([[0.0], [0.5 * last], [0.5 * 0.25 * 2.0]]) / 3
    torch.testing.assert_close(survival.grad, wanted)


def test_targets_by_hand_weight_all_that_comes_later():
    reward, value, survival, terminated, truncated, valid = window_numbers()
    found = td_lambda(reward, value, terminated, truncated, valid, GAMMA, LAM, survival)
    ahead = torch.where(terminated, 0.0, value)
    for b in range(3):
        following = ahead[5, b]
        for t in reversed(range(6)):
            mixed = ahead[t, b] if (terminated | truncated)[t, b] else (1 - LAM) * ahead[t, b] + LAM * following
            wanted = reward[t, b] + GAMMA * survival[t, b] * mixed
            torch.testing.assert_close(found[t, b], wanted)
            following = wanted if valid[t, b] else value[t - 1, b]


@pytest.mark.parametrize("name", ACTOR_CRITICS)
def test_targets_of_agents(name):
    """y_t of the last step before an end, and of one before that, from margins that the test looks at itself."""
    env = bounded_env()
    agent = agent_for(name, env)
    window = rolled_out(agent, env)
    args = (window.reward.detach(),) if name == "sapo" else ()
    _, target = agent._critic_data(window, *args)
    assert bool(window.terminated.any()) and bool(window.truncated.any())
    for t in range(5):
        place = window.next_observation[t][:, :2].detach()
        p = torch.sigmoid(torch.cat([env.BOUND - place, env.BOUND + place], dim=1) / WIDTH).prod(dim=1)
        mixed = torch.where(window.terminated[t], 0.0, values(agent, window.next_observation[t].detach()))
        if t < 4:
            mixed = torch.where(window.done[t], mixed, (1 - LAM) * mixed + LAM * target[t + 1])
        torch.testing.assert_close(target[t], window.reward[t].detach() + GAMMA * p * mixed)


@exact
@pytest.mark.parametrize("name", ["shac", "ahac", "sapo"])
def test_gradient_of_the_actor_against_differences(name, monkeypatch):
    """Closed loop with noise, across terminations, for every parameter; what a termination loses is a constant, and
    all values are positive: others pull at no probability."""
    env = bounded_env()
    agent = agent_for(name, env)
    for member in (agent.target if name == "shac" else agent.critics).members:
        member.layers[-1].linear.bias.data.fill_(30.0)
    start, observation, normaliser = env.state_dict(), agent.observation, copy.deepcopy(agent.normaliser)
    lost = []

    def objective():
        env.load_state_dict(start)
        agent.normaliser = copy.deepcopy(normaliser)
        rolled = agent._roll_out(env, observation)
        window = rolled[0] if name == "sapo" else rolled
        assert bool(window.terminated.any())
        if not lost:
            lost.append(type(window).lost_value(window, lambda o: values(agent, o)))
            assert bool((lost[0] != 0).any()) and torch.equal(lost[0] != 0, window.terminated)
        monkeypatch.setattr(window, "lost_value", lambda value: lost[0])
        extra = (agent._soft_reward(window.reward, rolled[1]),) if name == "sapo" else ()
        return agent._actor_loss(window, *extra)

    parameters = list(agent.policy.parameters())
    gradients = torch.autograd.grad(objective(), parameters)
    step = 1e-5
    for parameter, gradient in zip(parameters, gradients, strict=True):
        for index in range(parameter.numel()):
            flat = parameter.data.view(-1)
            middle = flat[index].item()
            ends = []
            for shift in (step, -step):
                flat[index] = middle + shift
                with torch.no_grad():
                    ends.append(objective().item())
            flat[index] = middle
            numeric = (ends[0] - ends[1]) / (2 * step)
            assert gradient.reshape(-1)[index].item() == pytest.approx(numeric, rel=5e-6, abs=1e-9)


def test_a_termination_pulls_back_from_the_edge():
    """The last action before an end gets the gradient of gamma p V, with the value of the state that it acted in."""
    env = bounded_env(max_episode_steps=50)
    agent = agent_for("shac", env, target_decay=0.0)
    window = rolled_out(agent, env)
    t, b = (int(x) for x in window.terminated.nonzero()[0])
    (found,) = torch.autograd.grad(-agent._actor_loss(window), window.action[t], retain_graph=True)
    survival = window.survival(WIDTH)
    discount = segment_discounts(window.done, GAMMA, survival).detach()[t, b]
    worth = window.reward[t, b] + GAMMA * survival[t, b] * values(agent, window.observation[t, b][None])[0]
    (wanted,) = torch.autograd.grad(discount * worth / window.reward.numel(), window.action[t])
    torch.testing.assert_close(found[b], wanted[b].to(found))


def test_score_of_ivw_weights_by_survival():
    env = bounded_env()
    agent = agent_for("ivw", env)
    window = rolled_out(agent, env)
    x, target = agent._critic_data(window)
    weights = segment_discounts(window.done, GAMMA, window.survival(WIDTH)).detach().to(target)
    value = torch.stack([values(agent, o) for o in window.observation])
    torch.testing.assert_close(agent._score(window, x, target)[..., 0], weights * (target - value) / target.numel())


@pytest.mark.parametrize("name", ACTOR_CRITICS)
def test_without_bounds_or_width_ends_are_exact(name):
    """The same weights to the bit, of a task that has no bounds and of one whose width is 0."""
    agents = []
    for task, width in ((Bounded, 0.0), (Bounded, WIDTH), (PointMass, WIDTH)):
        env = bounded_env()
        if task is PointMass:
            env.margins = lambda: None
        agent = agent_for(name, env, survival_width=width)
        scalars = agent.update(env)
        assert ("charts/survival" in scalars) == (task is Bounded and width > 0)
        agents.append(agent.actor_optimiser.vector.detach())
    assert torch.equal(agents[0], agents[2]) and not torch.equal(agents[0], agents[1])


def test_margins_are_told_where_gradients_are_kept():
    """Before any reset, with a graph; and not to others, whose infos are as ever."""
    env = bounded_env(2, 1)
    env.reset(seed=0)
    action = env.tensor([[1.0, 0.5]] * 2).requires_grad_()
    info = env.step(action)[4]
    place = info["final_obs"][:, :2]
    torch.testing.assert_close(info["margins"], torch.cat([env.BOUND - place, env.BOUND + place], dim=1))
    (gradient,) = torch.autograd.grad(info["margins"][:, 0].sum(), action)
    torch.testing.assert_close(gradient, torch.tensor([[-0.01, 0.0]] * 2, dtype=gradient.dtype))
    plain = bounded_env(2, 1, differentiable=False)
    plain.reset(seed=0)
    assert "margins" not in plain.step(action.detach())[4]


# ---- cotangents of single environments ----


def test_cotangents_beyond_the_limit_by_hand():
    bound = CotangentBound(2.0)
    cotangent = torch.tensor([[3.0, 4.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [torch.nan, 1.0], [0.6, -0.8]])
    wanted = torch.tensor([[1.2, 1.6], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.6, -0.8]])
    torch.testing.assert_close(bound(cotangent), wanted)  # the median of 5, 1, 1, 1 is 1
    assert bound.taken_share() == pytest.approx(2 / 6) and bound.taken_share() == 0.0
    assert not bound(torch.zeros(3, 2)).any()
    cube = bound(cotangent[[0, 1, 1]].view(3, 1, 2))
    assert cube.shape == (3, 1, 2) and cube[0].norm().item() == pytest.approx(2.0)


def test_cotangents_are_changed_once_in_each_step_on_their_way():
    """Through three steps of the point, of which each pulls back half of what arrives at its position."""
    seen = []

    def halved(cotangent):
        seen.append(cotangent.shape)
        return 0.5 * cotangent

    gradients = []
    for change in (halved, None):
        env = make(2, 10, differentiable=True, autoreset_mode="SameStep")
        env.reset(seed=0)
        env.pull_through(change)
        action = torch.full((2, 2), 0.1, dtype=env.dtype, requires_grad=True)
        env.step(action)
        for _ in range(2):
            env.step(torch.zeros_like(action))
        env.scene.values["point.pos"].sum().backward()
        gradients.append(action.grad)
    torch.testing.assert_close(gradients[0], torch.full_like(action, (0.5 + 0.25 + 0.125) * 0.01))
    torch.testing.assert_close(gradients[1], torch.full_like(action, 3 * 0.01))
    assert seen == [(2, 2)] * 3


@pytest.mark.parametrize("name", ACTOR_CRITICS)
def test_an_exploding_environment_does_not_speak_for_the_batch(name, monkeypatch):
    """One environment's reward has a slope of a million: with the limit the others still turn the policy."""
    reward = Bounded.reward
    one = torch.tensor([0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    steep = lambda self: reward(self) + 1e6 * one.to(self.dtype) * self.scene.values["point.pos"][:, 0]  # noqa: E731
    monkeypatch.setattr(Bounded, "reward", steep)
    norms = []
    for limit in (4.0, None):
        env = bounded_env()
        agent = agent_for(name, env, cotangent_limit=limit)
        window = rolled_out(agent, env) if name != "sapo" else agent._roll_out(env, agent.observation)[0]
        args = (window.reward,) if name == "sapo" else ()
        loss = agent._actor_loss(window, *args)
        gradients = torch.stack(torch.autograd.grad(loss, window.action[:4], retain_graph=True))
        norms.append(gradients.norm(dim=2).sum(dim=0))
        loss.backward()
        scalars = agent.update(env)
        assert ("gradients/bounded_share" in scalars) == (limit is not None)
    assert norms[0][3] < 20 * norms[0].median() and norms[1][3] > 1e4 * norms[1].median()
