"""Agents that learn from the simulator's gradients, by name."""

from agents.bptt import BPTT, BPTTConfig

AGENTS: dict[str, tuple[type[BPTT], type[BPTTConfig]]] = {"bptt": (BPTT, BPTTConfig)}
"""Name of an agent to its class and the class of its configuration."""

__all__ = ["AGENTS", "BPTT", "BPTTConfig"]
