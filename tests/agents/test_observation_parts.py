"""Every agent with a net learns from observations in parts."""

import pytest
import torch

import genesis as gs
from agents import AGENTS
from tests.agents.test_agent_contract import agent_for, assert_resumes
from tests.envs import point_mass
from tests.envs.point_cloud import ABSENT, make

NAMES = ("bptt", "shac", "ahac", "sapo", "ivw", "ppo", "sac")


def env_for(entry):
    return make(4, 6, differentiable=entry.agent.differentiable, autoreset_mode="SameStep")


@pytest.fixture(params=NAMES)
def trained(request):
    entry = AGENTS[request.param]
    env = env_for(entry)
    agent = agent_for(entry, env)
    for _ in range(4):
        agent.update(env)
    return entry, env, agent


def test_every_weight_of_the_encoders_learns(trained):
    entry, env, agent = trained
    fresh = dict(agent_for(entry, env).policy.named_parameters())
    encoders = [name for name in fresh if ".encoders." in name]
    assert encoders and all(not torch.equal(fresh[name], agent.policy.get_parameter(name)) for name in encoders)


@pytest.mark.parametrize("name", NAMES)
def test_resume_is_exact_through_a_file(name):
    entry = AGENTS[name]
    assert_resumes(lambda env: agent_for(entry, env), lambda: env_for(entry), updates=4)


def test_actions_depend_on_no_order_and_on_no_absent_point(trained):
    _, _, agent = trained
    observation = agent.observation
    order = torch.tensor([4, 2, 0, 1, 3])
    cloud, present = observation[:, 4:14].reshape(-1, 5, 2), observation[:, 14:]
    assert bool((present < 0.5).any())
    swapped = torch.cat([observation[:, :4], cloud[:, order].flatten(1), present[:, order]], dim=1)
    other = torch.where(present[..., None] > 0.5, cloud, ABSENT - 20.0)
    changed = torch.cat([observation[:, :4], other.flatten(1), present], dim=1)
    assert torch.equal(agent.act(swapped), agent.act(observation))
    assert torch.equal(agent.act(changed), agent.act(observation))
    there = torch.where(present[..., None] > 0.5, cloud + 0.3, cloud)
    assert not torch.equal(
        agent.act(torch.cat([observation[:, :4], there.flatten(1), present], dim=1)), agent.act(observation)
    )


def test_an_agent_of_other_parts_is_refused(monkeypatch):
    entry = AGENTS["ppo"]
    env = env_for(entry)
    agent = agent_for(entry, env)
    weights = agent.policy_optimiser.vector.detach().clone()
    monkeypatch.setattr(type(env), "observation_parts", {"cloud": (5, 2), "state": (4,), "cloud_present": (5,)})
    others = [agent_for(entry, env_for(entry)), agent_for(entry, point_mass.make())]
    for other in others:
        with pytest.raises(gs.GenesisException, match="saved agent must be of the observation's parts"):
            agent.load_state_dict(other.state_dict())
    with pytest.raises(gs.GenesisException, match="saved agent must be of the observation's parts"):
        others[1].load_state_dict(agent.state_dict())
    assert torch.equal(agent.policy_optimiser.vector.detach(), weights)


def test_a_sequence_needs_no_parts():
    entry = AGENTS["trajopt-adam"]
    env = env_for(entry)
    agent = agent_for(entry, env)
    agent.update(env)
    assert agent.act(env.reset(seed=1)[0]).shape == (4, 2)


def test_shac_learns_from_a_cloud_in_seconds():
    """The goal is seen through points alone."""
    entry = AGENTS["shac"]
    env = make(16, 20, differentiable=True, autoreset_mode="SameStep")
    options = {"window": 10, "hidden": (32,), "critic_hidden": (32,), "critic_passes": 2, "actor_learning_rate": 1e-2}
    agent = entry.agent(entry.config(**options), env, 0, total_steps=60 * 10 * 16)
    rewards = [agent.update(env)["charts/mean_reward"] for _ in range(60)]
    assert sum(rewards[-10:]) > 0.5 * sum(rewards[:10])
