"""What the test of several processes trains; run by torchrun it writes the weights of process 0.

torchrun --nproc-per-node=2 -m tests.agents.shared_training FILE PRECISION AGENT...
"""

import sys

import torch

import genesis as gs
from agents import AGENTS
from agents.core import distributed
from scripts.processes import joined, slice_of
from scripts.train_loop import process_state, restore_process
from tests.envs.point_mass import make

N_ENVS, UPDATES = 6, 4
FAILING_ENV, FAILING_STEP = 4, 7
"""The environment, of all, that loses its state in this step."""
LIGHT = {"window": 5, "min_window": 4, "first_window": 4, "hidden": (8,), "critic_hidden": (8,), "critic_passes": 2}
LIGHT |= {"warmup_steps": 30, "batch_size": 8}


def trained(name):
    """State of an agent after a few updates in this process's slice of the environments."""
    entry = AGENTS[name]
    n_envs, first = slice_of(N_ENVS)
    options = {key: value for key, value in LIGHT.items() if key in entry.config.__dataclass_fields__}

    def fresh():
        env = make(
            n_envs, 6, differentiable=entry.agent.differentiable, autoreset_mode="SameStep", first_env_index=first
        )
        if first <= FAILING_ENV < first + n_envs:
            env.scene.poison = {FAILING_STEP: [FAILING_ENV - first]}
        return entry.agent(entry.config(**options), env, 0, total_steps=1000), env

    agent, env = fresh()
    for update in range(UPDATES):
        if update == UPDATES // 2:  # each process goes on in new objects
            saved = process_state(agent, env)
            agent, env = fresh()
            restore_process(saved, agent, env)
        agent.update(env)
    state = agent.state_dict()
    del state["observation"]  # of this process's environments
    return state


def main():
    path, precision, *names = sys.argv[1:]
    torch.set_num_threads(1)
    gs.init(backend=gs.cpu, precision=precision, logging_level="warning")
    with joined("cpu"):
        states = {name: trained(name) for name in names}
        others = distributed.gathered(states)
        if distributed.rank() == 0:
            torch.save(others, path)


if __name__ == "__main__":
    main()
