"""What every registered agent promises: it is tested by being registered."""

import gc
import io
import weakref

import pytest
import torch

import genesis as gs
from agents import AGENTS, presets
from tests.envs.point_mass import make

LIGHT = {
    "window": 5,
    "min_window": 4,
    "first_window": 4,
    "hidden": (8,),
    "critic_hidden": (8,),
    "critic_passes": 2,
    "warmup_steps": 20,
    "batch_size": 8,
    "dual_rate": 0.5,
    "horizon_rate": 10.0,
}
"""Where an agent has these options, they make it fast, and let it learn and its horizon move within a few updates."""


def env_for(entry, num_envs=4):
    return make(num_envs, 6, differentiable=entry.agent.differentiable, autoreset_mode="SameStep")


def agent_for(entry, env, seed=0):
    options = {name: value for name, value in LIGHT.items() if name in entry.config.__dataclass_fields__}
    return entry.agent(entry.config(**options), env, seed, total_steps=10_000)


def everything(agent):
    """All tensors and numbers of a state, by path."""
    found = {}

    def walk(path, value):
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{path}/{key}", inner)
        elif isinstance(value, (list, tuple)):
            for index, inner in enumerate(value):
                walk(f"{path}/{index}", inner)
        else:
            found[path] = value

    walk("", agent.state_dict())
    return found


def assert_same(first, second):
    first, second = everything(first), everything(second)
    assert first.keys() == second.keys()
    for path, value in first.items():
        same = torch.equal(value, second[path]) if isinstance(value, torch.Tensor) else value == second[path]
        assert same, path


def continued(agent, env, updates=3):
    """What an agent tells of its next updates, but for the time that they took, and what it does after them."""
    told = [agent.update(env) for _ in range(updates)]
    told = [{tag: value for tag, value in scalars.items() if not tag.startswith("time/")} for scalars in told]
    weights = [p.detach().clone() for p in agent.policy.parameters()] if hasattr(agent, "policy") else []
    return told, weights, agent.act(agent.observation)


def assert_continued_alike(first, second):
    for number, (one, other) in enumerate(zip(first[0], second[0], strict=True)):
        assert one == pytest.approx(other, rel=0, abs=0, nan_ok=True), number
    for one, other in zip([*first[1], first[2]], [*second[1], second[2]], strict=True):
        assert torch.equal(one, other)


def assert_resumes(fresh_agent, fresh_env, updates=3):
    """N updates, a file that loads with weights_only, N more in new objects: as 2N, to the last bit.

    In all that the agent says and does: what was forgotten in `parts` is in no saved state that could be compared.
    """
    env = fresh_env()
    agent = fresh_agent(env)
    for _ in range(updates):
        agent.update(env)
    file = io.BytesIO()
    torch.save({"agent": agent.state_dict(), "env": env.state_dict()}, file)
    whole = continued(agent, env, updates)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    env2 = fresh_env()
    agent2 = fresh_agent(env2)
    torch.manual_seed(99)  # nothing depends on torch's global generator
    agent2.load_state_dict(saved["agent"])
    env2.load_state_dict(saved["env"])
    assert_continued_alike(continued(agent2, env2, updates), whole)
    assert_same(agent, agent2)


@pytest.fixture(params=list(AGENTS))
def entry(request):
    return AGENTS[request.param]


def test_same_seed_same_everything(entry):
    agents = []
    for seed in (1, 1, 2):
        env = env_for(entry)
        agents.append(agent_for(entry, env, seed))
        for _ in range(3):
            agents[-1].update(env)
    assert_same(agents[0], agents[1])
    with pytest.raises(AssertionError):
        assert_same(agents[0], agents[2])


def test_resume_is_exact_through_a_file(entry):
    assert_resumes(lambda env: agent_for(entry, env), lambda: env_for(entry))


def test_every_number_of_the_checkpoint_is_restored(entry):
    """Nothing that training changed is left as the constructor made it."""
    env = env_for(entry)
    agent = agent_for(entry, env)
    for _ in range(2):
        agent.update(env)
    fresh = agent_for(entry, env, seed=5)
    fresh.load_state_dict(agent.state_dict())
    assert_same(agent, fresh)
    torch.testing.assert_close(fresh.act(agent.observation), agent.act(agent.observation), rtol=0, atol=0)


def test_a_part_that_is_missing_is_named(entry):
    env = env_for(entry)
    agent = agent_for(entry, env)
    state = agent.state_dict()
    del state["normaliser"]
    with pytest.raises(gs.GenesisException, match="without normaliser"):
        agent.load_state_dict(state)


def test_a_part_with_other_parameters_is_named_and_nothing_changes(entry):
    """As where the nets of an older version were others."""
    env = env_for(entry)
    agent, other = (agent_for(entry, env, seed=seed) for seed in (0, 5))
    state = other.state_dict()
    name = next(n for n, part in reversed(agent.parts.items()) if isinstance(part, torch.nn.Module))
    state[name] = {**state[name], "more": torch.zeros(2)}
    before = agent.act(torch.ones(4, 6).to(agent.low))
    with pytest.raises(gs.GenesisException, match=f"{name} must have the parameters .*'more': .2."):
        agent.load_state_dict(state)
    torch.testing.assert_close(agent.act(torch.ones(4, 6).to(agent.low)), before, rtol=0, atol=0)


def test_acts_inside_the_space(entry):
    env = env_for(entry)
    agent = agent_for(entry, env)
    observation = 100.0 * torch.randn(4, 6).to(agent.low)
    for deterministic in (True, False):
        action = agent.act(observation, deterministic=deterministic)
        assert action.shape == (4, 2) and not action.requires_grad
        assert bool((action.abs() <= 1.0).all())


def test_scalars_and_counters(entry):
    env = env_for(entry)
    agent = agent_for(entry, env)
    scalars = agent.update(env)
    assert agent.updates >= 1 and agent.steps > 0 and agent.steps % 4 == 0
    assert all(isinstance(value, float) and "/" in tag for tag, value in scalars.items())
    assert {"time/env_steps_per_second", "time/simulator_share"} <= set(scalars)
    assert 0.0 < scalars["time/simulator_share"] < 1.0


def test_a_failed_row_enters_no_weight(entry):
    env = env_for(entry)
    agent = agent_for(entry, env)
    env.reset(seed=0)
    env.scene.poison = {2: [1]}
    for _ in range(2):
        agent.update(env)
    for path, value in everything(agent).items():
        assert not isinstance(value, torch.Tensor) or bool(torch.isfinite(value.double()).all()), path


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_a_nonfinite_reward_is_named_once_and_enters_no_weight(entry, monkeypatch, caplog):
    """The first one in each window: its step there, and its environment."""
    env = env_for(entry)
    agent = agent_for(entry, env)
    reward, calls = type(env).reward, []

    def failed(self):
        calls.append(None)
        lost = torch.tensor([False, True, True, False]) if len(calls) in (3, 4) else torch.zeros(4, dtype=torch.bool)
        return torch.where(lost, torch.nan, reward(self))

    monkeypatch.setattr(type(env), "reward", failed)
    for _ in range(3):
        calls.clear()
        caplog.clear()
        agent.update(env)
        (warning,) = warnings_in(caplog)
        assert warning.endswith("the reward in step 2 of the window, environment 1, was the first.")
    for path, value in everything(agent).items():
        assert not isinstance(value, torch.Tensor) or bool(torch.isfinite(value.double()).all()), path


@pytest.mark.parametrize("name", ["bptt", "shac", "ahac", "sapo", "trajopt-adam"])
def test_a_nonfinite_gradient_is_named_once_and_enters_no_weight(name, monkeypatch, caplog):
    """That of a reward with an infinite derivative, in two steps and environments; the later one is met first."""
    entry = AGENTS[name]
    env = env_for(entry)
    agent = agent_for(entry, env)
    reward, calls = type(env).reward, []

    def failed(self):
        calls.append(None)
        lost = torch.tensor([len(calls) == 2, False, len(calls) == 3, False])
        own = self.action.as_subclass(torch.Tensor)[:, 0]
        return reward(self) + torch.sqrt(torch.where(lost, 0.0 * own * own, 1.0))

    monkeypatch.setattr(type(env), "reward", failed)
    agent.update(env)
    (warning,) = warnings_in(caplog)
    assert warning.endswith("the gradient by the action in step 2 of the window, environment 2, was the first.")
    assert agent.skipped_updates > 0
    for path, value in everything(agent).items():
        assert not isinstance(value, torch.Tensor) or bool(torch.isfinite(value.double()).all()), path


@pytest.mark.parametrize("name", ["ppo", "sac", "sapo"])
def test_a_diverged_network_is_reported_once_an_update(name, caplog):
    """Where an update is many steps of optimisers, each of which is skipped and counted."""
    entry = AGENTS[name]
    env = env_for(entry)
    agent = agent_for(entry, env)
    agent.update(env)
    failed = {"ppo": "value", "sac": "q", "sapo": "temperature"}[name]
    with torch.no_grad():
        for parameter in getattr(agent, failed).parameters():
            parameter.fill_(torch.nan)
    before = agent.policy_optimiser.count if name != "sapo" else agent.actor_optimiser.count
    for _ in range(2):
        caplog.clear()
        agent.update(env)
        (warning,) = warnings_in(caplog)
        assert warning.startswith("An update was skipped: the loss was not finite; ")
    assert agent.skipped_updates >= 2
    assert (agent.policy_optimiser.count if name != "sapo" else agent.actor_optimiser.count) == before


def test_an_update_leaves_no_graph_behind(entry, monkeypatch):
    env = env_for(entry)
    agent = agent_for(entry, env)
    upstream, actions = gs.from_torch, []
    monkeypatch.setattr(gs, "from_torch", lambda x, **how: actions.append(weakref.ref(x)) or upstream(x, **how))
    for _ in range(2):
        agent.update(env)
    env.detach_()
    gc.collect()
    assert len(actions) >= 8 and all(action() is None for action in actions)


def test_who_learns_from_returns_learns_with_the_contact_that_counts():
    """And who sees nothing but slopes with one that has no jumps; where nothing jumps nobody needs it."""
    ant, cheetah = "genesis-mujoco/Ant-v5", "genesis-mujoco/HalfCheetah-v5"
    assert {agent: presets.contact(ant, agent) for agent in ("ivw", "ppo", "shac", "sapo")} == {
        "ivw": "mujoco", "ppo": "mujoco", "shac": "smoothed", "sapo": "smoothed",
    }  # fmt: skip
    assert presets.contact(cheetah, "shac") == "mujoco" and presets.contact("genesis/Ant-v0", "shac") is None
