"""What the benchmarks of training have in common: their environments are those of an agent's presets."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

import genesis as gs
from agents import AGENTS, presets
from genesis.errors import GenesisKeyError
from scripts import common
from scripts.machine import torch_threads


def measured(
    envs: Sequence[str], agent: str, seed: int, measure: Callable[[str], dict[str, Any]]
) -> list[dict[str, Any]]:
    """What `measure` gives for each environment id, under a toolkit started as `scripts.train` starts it.

    Raises:
        gs.GenesisException: A name is not known, or the pair has no preset.
    """
    for env in envs:
        common.check_names(env, agent)
        if presets.find(env, agent) is None:
            known = sorted(presets.PRESETS[agent])
            raise GenesisKeyError(f"envs must have a preset for {agent!r}, got {env!r}. Choose among {known}.")
    gs.init(backend=gs.cpu, precision="32", seed=seed, logging_level="error")
    entry, available, rows = AGENTS[agent], torch_threads(), []
    for env in envs:
        hyper = presets.PRESETS[agent][env].hyper
        torch.set_num_threads(entry.agent.torch_threads(entry.config(**hyper), available))
        rows.append(measure(env))
    gs.destroy()
    return rows
