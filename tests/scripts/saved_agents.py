"""Checkpoints for the tests of commands that read one."""

import dataclasses

import genesis as gs
from agents import AGENTS
from agents.core import checkpoint
from scripts import common

LIGHT = {
    "window": 5,
    "min_window": 4,
    "first_window": 4,
    "hidden": (8,),
    "critic_hidden": (8,),
    "critic_passes": 2,
    "warmup_steps": 10,
    "batch_size": 8,
    "population": 8,
    "elites": 2,
    "horizon": 5,
}
"""Where an agent has these options, they make it fast."""


def save(run, env_id, env, name, contact=None, updates=1):
    """A run's folder with the checkpoint of an agent after some updates in the environment."""
    entry = AGENTS[name]
    options = {key: value for key, value in LIGHT.items() if key in entry.config.__dataclass_fields__}
    config = entry.config(**options)
    agent = entry.agent(config, env, 0, 1000)
    for _ in range(updates):
        agent.update(env)
    payload = {
        "genesis_version": gs.__version__,
        "env": env_id,
        "agent": name,
        "contact": contact,
        "contact_model": common.contact_record(env_id, contact),
        "hyper": dataclasses.asdict(config),
        "seed": 0,
        "total_steps": 1000,
        "precision": "32",
        "observation_size": agent.observation_size,
        "action_size": agent.action_size,
        "agent_state": agent.state_dict(),
    }
    checkpoint.save(checkpoint.path_of(run, agent.steps), payload)
    return run, agent
