"""What an environment must be before it is used: open, started, able to do what it was asked for."""

from typing import Any

import torch
from gymnasium.vector import AutoresetMode

from genesis.errors import GenesisRuntimeError, GenesisValueError


def check_randomisable(env: Any, hook: Any) -> None:
    """Raises if parameters are to be randomised and the task's `randomise_parameters` is still the base's `hook`."""
    if env.parameter_randomisation and type(env).randomise_parameters is hook:
        raise GenesisValueError(
            f"parameter_randomisation must be 0 for {type(env).__name__}, got {env.parameter_randomisation}. "
            "The task defines no randomise_parameters."
        )


def require_open(env: Any) -> None:
    """Raises once the environment is closed."""
    if env.closed:
        raise GenesisRuntimeError("The environment must be open, got a closed one. Make it again.")


def require_ready(env: Any, started: bool, pending: Any) -> None:
    """Raises unless the environment is open and started, and nothing waits for a reset that will not come by itself.

    Args:
        env: The environment.
        started: Whether all of its rows have been reset once.
        pending: (num_envs,) bool, rows whose episode has ended.
    """
    require_open(env)
    if not started:
        raise GenesisRuntimeError("reset() must come before step(), got a fresh environment. Call reset().")
    if env.autoreset_mode == AutoresetMode.DISABLED and bool(pending.any()):
        raise GenesisRuntimeError(
            f"Environments {pending.nonzero().squeeze(1).tolist()} must be reset before they step, got finished "
            "episodes with autoreset_mode DISABLED. "
            'Call reset(options={"reset_mask": terminated | truncated}).'
        )


def shaped(value: torch.Tensor, expected: tuple[int, ...], hook: str) -> torch.Tensor:
    """The value that a task's hook returned; raises GenesisValueError unless it has this shape."""
    if value.shape != expected:
        raise GenesisValueError(f"{hook}() must return shape {expected}, got {tuple(value.shape)}.")
    return value
