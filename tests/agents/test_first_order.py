"""SHAC, AHAC, SAPO and IVW on the torch task: losses, targets, horizon and mixture against other means."""

import copy

import pytest
import torch

import genesis as gs
from agents import AGENTS
from agents.ahac import AHACConfig, Horizon
from agents.core.adjoint import AdjointProbe, growth
from agents.core.distributed import world_size
from agents.ivw import covariance, first_order, first_order_weight
from agents.shac import SHAC
from tests.agents.differences import check_gradient
from tests.envs.point_mass import make

SMALL = {"hidden": (4,), "critic_hidden": (5,), "critic_passes": 2}
WINDOWS = {name: {"window": 5} for name in ("shac", "sapo", "ivw")} | {"ahac": {"min_window": 5, "first_window": 5}}


def training_env(num_envs=4, max_episode_steps=6, **options):
    return make(num_envs, max_episode_steps, differentiable=True, autoreset_mode="SameStep", **options)


def agent_for(name, env, seed=0, total_steps=10_000, **config):
    entry = AGENTS[name]
    return entry.agent(entry.config(**{**SMALL, **WINDOWS[name], **config}), env, seed, total_steps)


def rolled_out(agent, env):
    window = agent._roll_out(env, agent.start(env))
    return window if hasattr(window, "reward") else window[0]


def values_by_hand(agent, observation):
    """(C, M) of raw observations, one at a time and without autograd."""
    net = agent.target if hasattr(agent, "target") else agent.critics
    with torch.no_grad():
        return torch.stack([net(agent.normaliser(row[None]))[:, 0] for row in observation], dim=1)


@pytest.mark.parametrize("name", WINDOWS)
def test_next_value_is_that_of_the_state_after_the_step(name):
    """Targets from V(s_t+1) of the last observation before any reset: not V(s_t), not that of the next episode."""
    env = training_env(3, 4)
    agent = agent_for(name, env, lam=0.0)  # lambda 0: y_t = r_t + gamma V(s_t+1)
    agent.update(env)
    window = rolled_out(agent, env)
    reward = window.reward.detach()
    if name == "sapo":
        reward = torch.randn_like(reward)
        _, target = agent._critic_data(window, reward)
    else:
        _, target = agent._critic_data(window)
    assert bool(window.truncated.any()) and not bool(window.terminated.any())
    for t in range(len(reward)):
        ahead = values_by_hand(agent, window.next_observation[t].detach()).amin(dim=0)
        torch.testing.assert_close(target[t], reward[t] + agent.config.gamma * ahead)
        if t + 1 < len(reward):  # the same state unless an episode began, then another
            same = ~window.truncated[t]
            following, before = window.next_observation[t].detach(), window.observation[t + 1]
            assert torch.equal(following[same], before[same])
            assert not bool((following[~same] == before[~same]).all(dim=1).any())


@pytest.mark.parametrize("name", WINDOWS)
def test_terminated_and_truncated_bootstrap(name, monkeypatch):
    """Zero after a termination, the value of the last observation after a truncation, in loss and targets."""
    env = training_env(4, 3)
    agent = agent_for(name, env)
    agent.update(env)
    ends = lambda self: self.elapsed % 2 == torch.arange(4) % 2  # noqa: E731  rows 0 and 2 end in their second step
    monkeypatch.setattr(type(env), "terminated", ends)
    window = rolled_out(agent, env)
    assert bool(window.terminated.any()) and bool((window.truncated & ~window.terminated).any())
    found = window.end_value(lambda o: values_by_hand(agent, o).mean(dim=0))
    for t in range(len(found)):
        hand = values_by_hand(agent, window.next_observation[t].detach()).mean(dim=0)
        cut = window.truncated[t] | (torch.tensor(t == len(found) - 1))
        torch.testing.assert_close(found[t], torch.where(cut & ~window.terminated[t], hand, 0.0))


@pytest.mark.parametrize("name", ["ahac", "sapo"])
def test_two_critics_learn_apart(name):
    """The agent's own: two that differ before and after an update, both of which it changes."""
    env = training_env()
    agent = agent_for(name, env)
    assert len(agent.critics.members) == 2
    before = [torch.cat([p.detach().reshape(-1) for p in critic.parameters()]) for critic in agent.critics.members]
    agent.update(env)
    after = [torch.cat([p.detach().reshape(-1) for p in critic.parameters()]) for critic in agent.critics.members]
    assert not torch.equal(*before) and not torch.equal(*after)
    assert not any(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_a_far_or_lost_state_is_not_bootstrapped():
    env = training_env(3, 50)
    agent = agent_for("shac", env)
    window = rolled_out(agent, env)
    window.next_observation[-1] = window.next_observation[-1] + torch.tensor([[0.0], [1e7], [torch.inf]])
    value = window.end_value(lambda o: agent.target(agent.normaliser(o))[0])[-1]
    assert value[0] != 0 and value[1] == 0 and value[2] == 0
    (gradient,) = torch.autograd.grad(value.sum(), window.action[-1], allow_unused=True)
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.precision("64")
@pytest.mark.parametrize("name", ["shac", "ahac", "sapo"])
def test_gradient_of_the_actor_against_finite_differences(name):
    """Closed loop with noise, bootstrap and entropy, across a reset, for every parameter of a small policy."""
    env = training_env(2, 4)
    agent = agent_for(name, env, hidden=(3,))
    agent.update(env)
    start, observation, normaliser = env.state_dict(), agent.observation, copy.deepcopy(agent.normaliser)

    def objective():
        env.load_state_dict(start)
        agent.normaliser = copy.deepcopy(normaliser)
        rolled = agent._roll_out(env, observation)
        if name == "sapo":
            return agent._actor_loss(rolled[0], agent._soft_reward(rolled[0].reward, rolled[1]))
        return agent._actor_loss(rolled)

    check_gradient(agent.policy, objective, rel=2e-6)


@pytest.mark.parametrize("name", WINDOWS)
def test_nonfinite_gradient_or_reward_skips_the_update(name, monkeypatch):
    env = training_env()
    agent = agent_for(name, env)
    agent.update(env)
    actor = agent.actor_optimiser.vector.detach().clone()
    reward = type(env).reward
    zero = lambda x: torch.sqrt(torch.zeros_like(x) * x)  # noqa: E731  finite, with an infinite derivative
    for failed in (lambda self: reward(self) * torch.nan, lambda self: reward(self) + zero(reward(self))):
        before = agent.skipped_updates
        monkeypatch.setattr(type(env), "reward", failed)
        agent.update(env)
        if name != "ivw":  # which falls back on the zeroth order where only the gradient is not finite
            assert agent.skipped_updates == before + 1
            assert torch.equal(agent.actor_optimiser.vector.detach(), actor)
        monkeypatch.undo()
        state = [agent.actor_optimiser.vector, agent.critic_optimiser.vector]
        assert all(bool(torch.isfinite(x.detach()).all()) for x in state)
    agent.update(env)
    assert not torch.equal(agent.actor_optimiser.vector.detach(), actor)


def test_a_nonfinite_reward_is_named(monkeypatch, caplog):
    env = training_env()
    agent = agent_for("shac", env)
    agent.update(env)
    reward = type(env).reward

    def failed(self):
        lost = (self.elapsed == 2) & (torch.arange(4) == 1)
        return torch.where(lost, torch.nan, reward(self))

    monkeypatch.setattr(type(env), "reward", failed)
    agent.update(env)
    assert "the loss was not finite; the reward in step 2 of the window, environment 1, was the first" in caplog.text


def test_target_critic_follows():
    env = training_env()
    agent = agent_for("shac", env, target_decay=0.25)
    old = [p.detach().clone() for p in agent.target.parameters()]
    agent.update(env)
    for slow, before, fast in zip(agent.target.parameters(), old, agent.critics.parameters(), strict=True):
        torch.testing.assert_close(slow.detach(), 0.25 * before + 0.75 * fast.detach())


# ---- AHAC ----


def test_the_horizon_shrinks_where_the_measure_is_above_its_limit_and_grows_below():
    for measure, sign in ((3.0, -1), (0.0, 1), (torch.inf, -1)):
        horizon = Horizon(4, 64, 20)
        horizon.rule(torch.full((20,), measure, dtype=torch.float64), dual_rate=0.1, horizon_rate=1.0)
        assert (horizon.length - 20.0) * sign > 0


def test_the_horizon_by_hand_and_within_its_bounds():
    horizon = Horizon(4, 8, 6)
    horizon.rule(torch.tensor([2.0, 0.0, 4.0, 1.0, 1.0, 1.0], dtype=torch.float64), dual_rate=0.1, horizon_rate=2.0)
    wanted = torch.tensor([0.1, -0.1, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(horizon.multipliers, wanted)
    assert horizon.length == pytest.approx(6.0 - 2.0 * 0.3 / 6) and horizon.steps == 6
    saved = horizon.state_dict()
    horizon.rule(torch.full((6,), 1e9, dtype=torch.float64), 1.0, 1.0)
    assert horizon.length == 4.0 and float(horizon.multipliers.max()) == 10.0
    for _ in range(100):
        horizon.rule(torch.zeros(horizon.steps, dtype=torch.float64), 1.0, 1.0)
    assert horizon.length == 8.0 and float(horizon.multipliers.min()) == -1.0
    horizon.load_state_dict(saved)
    torch.testing.assert_close(horizon.multipliers, wanted)


def test_growth_by_hand():
    gradients = torch.tensor([[[3.0, 4.0], [0.0, 15.0]], [[2.0, 0.0], [0.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]]])
    torch.testing.assert_close(growth(gradients), torch.tensor([0.5, 1.0, 5.0], dtype=torch.float64))
    assert growth(torch.zeros(3, 2, 2)).tolist() == [1.0, 1.0, 1.0]
    gradients[0, 0, 0] = torch.nan
    assert growth(gradients).tolist() == [0.5, 1.0, torch.inf]


def test_probe_sees_the_whole_derivative_by_each_action():
    """d/da_t of a chain s_t+1 = 2 s_t + a_t, with loss s_3: 4, 2, 1."""
    state, actions = torch.zeros(1, 1), []
    weight = torch.ones(1, requires_grad=True)
    for _ in range(3):
        actions.append(weight * torch.ones(1, 1))
        state = 2 * state + actions[-1]
    probe = AdjointProbe([*actions, torch.zeros(1, 1)])
    state.sum().backward()
    assert probe.gradients().reshape(-1).tolist() == [4.0, 2.0, 1.0, 0.0]


def unstable_velocity(env, gain, monkeypatch):
    """The velocity's derivative is multiplied by `gain` in each step; values stay."""
    step = type(env.scene).step

    def unstable(self):
        step(self)
        self.values["point.vel"] = gain * self.values["point.vel"] - (gain - 1) * self.values["point.vel"].detach()

    monkeypatch.setattr(type(env.scene), "step", unstable)


@pytest.mark.parametrize("gain, moves", [(1.0, 1), (40.0, -1)])
def test_an_exploding_adjoint_shortens_the_horizon(gain, moves, monkeypatch):
    """The task with a velocity that multiplies in each step, or keeps."""
    env = training_env(4, 100)
    windows = {"min_window": 4, "max_window": 40, "first_window": 12}
    agent = agent_for("ahac", env, growth_limit=2.0, dual_rate=0.5, horizon_rate=1.0, **windows)
    unstable_velocity(env, gain, monkeypatch)
    for _ in range(3):
        agent.update(env)
    assert (agent.horizon.length - 12.0) * moves > 0


@pytest.mark.parametrize("gain, stiffness, moves", [(1.0, 0.2, 1), (1.0, 6.0, -1), (40.0, 0.0, -1)])
def test_stiff_contact_shortens_the_horizon_beside_the_adjoint(gain, stiffness, moves, monkeypatch):
    """Whichever is beyond its limit: here 2 for both."""
    env = training_env(4, 100)
    windows = {"min_window": 4, "max_window": 40, "first_window": 12}
    limits = {"growth_limit": 2.0, "contact_limit": 2.0}
    agent = agent_for("ahac", env, **limits, dual_rate=0.5, horizon_rate=1.0, **windows)
    assert agent.step_outputs(agent.config) == ("contacts",) and agent.step_outputs(AHACConfig()) == ()
    with pytest.raises(gs.GenesisException, match="info must have 'contact_stiffness'"):
        agent.update(env)
    measured = env.measure
    monkeypatch.setattr(env, "measure", lambda: {**measured(), "contact_stiffness": torch.full((4,), stiffness)})
    unstable_velocity(env, gain, monkeypatch)
    for _ in range(3):
        scalars = agent.update(env)
    assert (agent.horizon.length - 12.0) * moves > 0
    assert scalars["charts/contact_stiffness"] == pytest.approx(stiffness)
    with pytest.raises(gs.GenesisException, match="contact_limit must be None, or positive"):
        AHACConfig(contact_limit=0.0)


def test_stiff_contact_counts_where_it_was(monkeypatch):
    """Multipliers count steps from the window's end, contact is measured from its start."""
    env = training_env(4, 100)
    agent = agent_for("ahac", env, growth_limit=1e9, contact_limit=1.0, dual_rate=0.1, min_window=5, first_window=5)
    measured, late = env.measure, lambda: (env.elapsed >= 4).to(gs.tc_float)  # in the last two steps
    monkeypatch.setattr(env, "measure", lambda: {**measured(), "contact_stiffness": 3.0 * late()})
    agent.update(env)
    wanted = 0.1 * torch.tensor([2.0, 2.0, -1.0, -1.0, -1.0], dtype=torch.float64)
    torch.testing.assert_close(agent.horizon.multipliers[:5], wanted)


def test_critics_stop_when_they_have_settled():
    env = training_env()
    agent = agent_for("ahac", env, critic_passes=64, critic_settled=1e9)
    assert agent.update(env)["critic/passes"] == 6  # five changes are known then
    agent = agent_for("ahac", training_env(), critic_passes=9, critic_settled=0.0)
    assert agent.update(training_env())["critic/passes"] == 9
    agent = agent_for("ahac", training_env(), critic_settled=0.1)
    assert agent._settled([5.0, 4.0, 3.0, 3.0, 3.0]) is False  # not five changes yet
    assert agent._settled([9.0, 5.0, 4.5, 4.0, 4.0, 4.0]) is False  # mean change 1.0, a tenth of the loss 0.4
    assert agent._settled([9.0, 4.1, 4.2, 4.0, 4.1, 4.0, 4.0]) is True
    with pytest.raises(gs.GenesisException, match="max_window"):
        AHACConfig(min_window=9, max_window=8)
    with pytest.raises(gs.GenesisException, match="first_window must lie in"):
        AHACConfig(min_window=9, first_window=8)


# ---- SAPO ----


def test_soft_reward_and_temperature_by_hand():
    env = training_env()
    agent = agent_for("sapo", env, initial_temperature=0.5)
    assert agent.target_entropy == -1.0  # two actions
    reward, entropy = torch.tensor([[1.0]]).to(agent.low), torch.tensor([[0.4]]).to(agent.low)
    torch.testing.assert_close(agent._soft_reward(reward, entropy), torch.full_like(reward, 1.0 + 0.5 * 1.4 / 2.0))
    agent._temperature_step(torch.tensor(0.4).to(agent.low))  # above the target: the price falls
    assert agent.temperature().item() < 0.5
    agent.temperature.log.data.fill_(0.0)
    for _ in range(20):
        agent._temperature_step(torch.tensor(-3.0).to(agent.low))
    assert agent.temperature().item() > 1.0


def test_actor_takes_the_mean_and_targets_the_smaller_value():
    env = training_env(3, 50)
    agent = agent_for("sapo", env, lam=0.0, gamma=1.0, window=2)
    window, entropy = agent._roll_out(env, agent.start(env))
    zero = torch.zeros_like(window.reward)
    _, target = agent._critic_data(window, zero)
    last = values_by_hand(agent, window.next_observation[-1].detach())
    torch.testing.assert_close(target[-1], last.amin(dim=0))
    torch.testing.assert_close(agent._actor_loss(window, zero), -last.mean() / 2)
    assert entropy.shape == (2, 3) and world_size() == 1


# ---- IVW ----


def test_weights_by_hand():
    """Independent, opposed, the same signal in both, constant zeroth, infinite first, nothing in either."""
    inf = torch.inf
    first = torch.tensor([[1, 3, 3, 1], [4, 0, 2, 2], [1, 3, 3, 1], [1, 3, 3, 1], [0, inf, 0, 0], [0, 0, 0, 0]])
    zeroth = torch.tensor([[1, 5, 1, 5], [0, 4, 4, 4], [0, 8, 4, 4], [2, 2, 2, 2], [1, 2, 2, 1], [0, 0, 0, 0]])
    first, zeroth = first[..., None].to(torch.float32), zeroth[..., None].to(torch.float32)
    assert covariance(first, zeroth)[:4].tolist() == [0.0, -2.0, 2.0, 0.0]
    assert covariance(zeroth, zeroth).tolist() == [4.0, 3.0, 8.0, 0.0, 0.25, 0.0]
    assert first_order_weight(first, zeroth).reshape(-1).tolist() == pytest.approx([0.8, 5 / 9, 1.0, 0.0, 0.0, 1.0])


@pytest.mark.precision("64")
@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_both_orders_estimate_the_same_gradient(correlation):
    """Averaged over many environments from one state, the likelihood ratio agrees with the pathwise gradient.

    By the means of all steps and by the logarithm of the exploration, whether it is white or not.
    """
    env = training_env(4096, 1000)
    options = {"initial_log_std": -2.0, "exploration_correlation": correlation}
    agent = agent_for("ivw", env, window=3, lam=1.0, **options)
    env.reset(seed=0)
    env.episode["goal"] = env.episode["goal"][:1].expand(4096, 2).clone()
    env.scene.values = {name: 0.0 * value for name, value in env.scene.values.items()}
    agent.observation = env.observe().as_subclass(torch.Tensor)
    window, means, noise = agent._roll_out(env, agent.observation)
    g1 = first_order(agent._actor_loss(window), means)
    x, target = agent._critic_data(window)
    score = agent._score(window, x, target)
    by_mean = agent._zeroth_order(window, score, noise)
    std = agent.policy.log_std.detach().exp()
    g0 = by_mean / std
    by_log_std = g1 * std * noise[1:], by_mean * noise[1:] - score
    for first, zeroth in ((g1, g0), tuple(x.sum(dim=0, keepdim=True) for x in by_log_std)):
        spread = zeroth.std(dim=1) / 64.0
        assert bool(((zeroth.mean(dim=1) - first.mean(dim=1)).abs() < 4.0 * spread).all())
    assert bool((first_order_weight(g1, g0) > 0.9).all())  # a smooth task: the first order is far less noisy


@pytest.mark.precision("64")
def test_mixture_with_all_weight_on_the_first_order_is_shac(monkeypatch):
    weights = []
    for name in ("shac", "ivw"):
        env = training_env()
        agent = agent_for(name, env)
        monkeypatch.setattr("agents.ivw.first_order_weight", lambda g1, g0: torch.ones(len(g1), 1, 1).to(g1))
        for _ in range(3):
            agent.update(env)
        weights.append(agent.actor_optimiser.vector.detach())
    torch.testing.assert_close(weights[0], weights[1])


@pytest.mark.precision("64")
def test_the_first_order_has_no_more_than_its_limit(monkeypatch):
    """Here it would have nearly all of the weight; with a limit of 0 it may be anything."""
    weights = []
    for scale in (1.0, 7.0):
        monkeypatch.setattr("agents.ivw.first_order", lambda loss, means, s=scale: s * first_order(loss, means))
        env = training_env()
        agent = agent_for("ivw", env, first_order_limit=0.0)
        assert [agent.update(env)["gradients/first_order_weight"] for _ in range(3)] == [0.0] * 3
        weights.append(agent.actor_optimiser.vector.detach())
    assert torch.equal(*weights)
    share = agent_for("ivw", env, first_order_limit=0.25).update(env)["gradients/first_order_weight"]
    assert share == pytest.approx(0.25, abs=0.05) and share <= 0.25


def test_shac_learns_in_seconds():
    env = training_env(16, 20)
    nets = {"hidden": (32,), "critic_hidden": (32,), "critic_passes": 8}
    agent = agent_for("shac", env, window=16, actor_learning_rate=1e-2, total_steps=120 * 16 * 16, **nets)
    assert isinstance(agent, SHAC)
    scalars = [agent.update(env) for _ in range(120)]
    assert scalars[-1]["charts/success_rate"] > 0.9 and scalars[-1]["gradients/skipped_updates"] == 0
