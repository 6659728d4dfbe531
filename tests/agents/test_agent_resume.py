"""What agents promise, on simulated robots with contact."""

import io

import pytest
import torch

from agents import AGENTS
from scripts import common
from scripts.train_loop import process_state, restore_process


@pytest.mark.slow
@pytest.mark.parametrize("env_id, name", [("genesis/CartPoleSwingUp-v0", "shac"), ("genesis/Ant-v0", "ahac")])
def test_resume_is_exact_through_the_simulator(env_id, name):
    entry = AGENTS[name]

    def fresh():
        env = common.training_env(env_id, 16)
        return entry.agent(entry.config(), env, 0, 1_000_000), env

    agent, env = fresh()
    for _ in range(2):
        agent.update(env)
    file = io.BytesIO()
    torch.save(process_state(agent, env), file)
    file.seek(0)
    agent2, env2 = fresh()
    restore_process(torch.load(file, weights_only=True), agent2, env2)
    for _ in range(2):
        agent.update(env)
        agent2.update(env2)
    for optimiser in ("actor_optimiser", "critic_optimiser"):
        assert torch.equal(getattr(agent, optimiser).vector, getattr(agent2, optimiser).vector)
    assert torch.equal(agent.observation, agent2.observation)
