"""Agents, by name. Adding one is a line in `REGISTERED`; an agent's module is imported when it is first asked for."""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from agents.core.agent import Agent


class Entry(NamedTuple):
    """What a name of an agent stands for."""

    agent: type[Agent]
    config: type[Any]


REGISTERED = {
    "bptt": "agents.bptt:BPTT",
    "shac": "agents.shac:SHAC",
    "ahac": "agents.ahac:AHAC",
    "sapo": "agents.sapo:SAPO",
    "ivw": "agents.ivw:IVW",
    "ppo": "agents.ppo:PPO",
    "sac": "agents.sac:SAC",
    "trajopt-adam": "agents.trajopt:AdamTrajopt",
    "trajopt-cem": "agents.trajopt:CEMTrajopt",
}
"""Name of an agent to its module and class; its configuration is the class of that name with "Config" behind it."""


class Registry(Mapping[str, Entry]):
    """The registered agents by name, imported lazily."""

    def __getitem__(self, name: str) -> Entry:
        """Raises KeyError for an unknown name."""
        module_name, class_name = REGISTERED[name].split(":")
        module = importlib.import_module(module_name)
        return Entry(getattr(module, class_name), getattr(module, f"{class_name}Config"))

    def __contains__(self, name: object) -> bool:
        """Without importing anything."""
        return name in REGISTERED

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(REGISTERED)

    def __len__(self) -> int:
        """Number of agents."""
        return len(REGISTERED)


AGENTS = Registry()

__all__ = ["AGENTS", "Agent", "Entry", "Registry"]
