"""Environments on the differentiable simulator; importing this registers them with Gymnasium."""

from envs.base import DifferentiableVectorEnv
from envs.registry import ENV_IDS, register_task

__all__ = ["ENV_IDS", "DifferentiableVectorEnv", "register_task"]
