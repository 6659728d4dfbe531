"""What agents learn from where episodes end: targets, losses and memories against the ends that the test itself made.

Every second step ends an episode, by termination or by time, in a window of five steps.
"""

import pytest
import torch

from agents import AGENTS
from tests.envs.point_mass import make

SMALL = {"hidden": (4,), "critic_hidden": (5,), "critic_passes": 2, "batch_size": 8}
SMALL |= {"window": 5, "min_window": 5, "first_window": 5, "normalise_rewards": False}
ACTOR_CRITICS = ("shac", "ahac", "sapo", "ivw")
GAMMA, LAM = 0.9, 0.7
LAST = (1, 3)
"""Steps of the window that are an episode's last one."""


@pytest.fixture(params=["terminated", "truncated"])
def end(request):
    return request.param


class Played:
    """An agent that stands before its second window, and what the environment says of that window."""

    def __init__(self, name, end, monkeypatch):
        entry = AGENTS[name]
        limit = 2 if end == "truncated" else 50
        env = make(3, limit, differentiable=entry.agent.differentiable, autoreset_mode="SameStep")
        options = {**SMALL, "gamma": GAMMA, "lam": LAM}
        known = {key: value for key, value in options.items() if key in entry.config.__dataclass_fields__}
        self.agent = entry.agent(entry.config(**known), env, 0, total_steps=10_000)
        self.reward, self.following, self.env = [], [], env
        self.agent.update(env)
        if end == "terminated":
            monkeypatch.setattr(type(env), "terminated", lambda self: self.elapsed == 2)
        env.elapsed.zero_()  # the window begins with an episode's first step
        step = env.step

        def watched(action):
            outcome = step(action)
            self.reward.append(outcome[1].detach().as_subclass(torch.Tensor))
            self.following.append(outcome[4]["final_obs"].detach().as_subclass(torch.Tensor))
            return outcome

        monkeypatch.setattr(env, "step", watched)

    def after(self, net):
        """(5, B) of a net that maps normalised observations (B, O) to values, in the states after each step."""
        with torch.no_grad():
            return torch.stack([net(self.agent.normaliser(x)) for x in self.following])


def targets_by_hand(reward, after, ended):
    """TD(lambda): two episodes of two steps, and the first step of a third that the window cuts."""
    ahead = 0.0 if ended else 1.0  # whether a value is to come behind an episode's last step
    by_hand = [None] * 5
    for first, last in ((0, 1), (2, 3)):
        by_hand[last] = reward[last] + GAMMA * ahead * after[last]
        by_hand[first] = reward[first] + GAMMA * ((1 - LAM) * after[first] + LAM * by_hand[last])
    by_hand[4] = reward[4] + GAMMA * after[4]
    return torch.stack(by_hand)


@pytest.mark.parametrize("name", ACTOR_CRITICS)
def test_targets_and_loss(name, end, monkeypatch):
    played = Played(name, end, monkeypatch)
    agent = played.agent
    rolled = agent._roll_out(played.env, agent.observation)
    window = rolled if name in ("shac", "ahac") else rolled[0]
    extra = [torch.stack(played.reward)] if name == "sapo" else []  # its rewards have the entropy in them
    _, target = agent._critic_data(window, *extra)
    net = agent.target if hasattr(agent, "target") else agent.critics
    smaller, mean = (played.after(lambda x, f=f: f(net(x), dim=0)) for f in (torch.amin, torch.mean))
    torch.testing.assert_close(target, targets_by_hand(played.reward, smaller, end == "terminated"))

    value = mean if name == "sapo" else smaller
    total = sum(played.reward[t] + GAMMA * played.reward[t + 1] for t in (0, 2)) + played.reward[4] + GAMMA * value[4]
    if end == "truncated":
        total = total + sum(GAMMA**2 * value[t] for t in LAST)
    torch.testing.assert_close(agent._actor_loss(window, *extra).detach(), -total.mean() / 5)


def test_targets_of_ppo(end, monkeypatch):
    played = Played("ppo", end, monkeypatch)
    agent = played.agent
    batch, _ = agent._collect(played.env, agent.observation)
    after = played.after(lambda x: agent.value(x).squeeze(1))
    torch.testing.assert_close(batch.target.view(5, 3), targets_by_hand(played.reward, after, end == "terminated"))
    advantage = batch.target - batch.value
    advantage = (advantage - advantage.mean()) / advantage.std(correction=0)
    torch.testing.assert_close(batch.advantage, advantage, rtol=1e-5, atol=1e-5)


def test_memory_and_targets_of_sac(end, monkeypatch):
    """Each remembered step with its reward, its last observation and whether it ended the task; then the loss of Q."""
    played = Played("sac", end, monkeypatch)
    agent = played.agent
    agent.replay.load_state_dict({"rows": torch.empty(0, agent.replay._rows.shape[1]), "next": 0})
    agent._play(played.env, agent.observation)
    rows = agent.replay.state_dict()["rows"].view(5, 3, -1)
    torch.testing.assert_close(rows[..., 8], torch.stack(played.reward))
    torch.testing.assert_close(rows[..., 9:15], torch.stack(played.following))
    ends = [end == "terminated" and step in LAST for step in range(5)]
    assert rows[..., 15].tolist() == [[float(ended)] * 3 for ended in ends]

    observation, action, reward, following, terminated = agent.replay.sample(8, agent._generator())
    assert 0 < int(terminated.sum()) < 8 or end == "truncated"
    generator = agent._generator()
    agent.replay.sample(8, generator)
    noise = torch.randn((2, *action.shape), generator=generator, dtype=action.dtype)
    observation, following = agent.normaliser(observation), agent.normaliser(following)
    with torch.no_grad():
        next_action, log_prob = agent.policy.sample(following, noise[0])
        ahead = torch.minimum(*agent.target_q(following, next_action)) - log_prob  # alpha is 1
        ahead[terminated] = 0.0
        errors = [(q - reward - GAMMA * ahead).square().mean() for q in agent.q(observation, action)]
    assert agent._learn(agent._generator())["losses/q_loss"] == pytest.approx(sum(errors).item(), rel=1e-5)
