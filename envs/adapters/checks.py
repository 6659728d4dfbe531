"""What adapters check: the environment that each takes."""

from typing import Any

from gymnasium.vector import AutoresetMode

from envs.base import DifferentiableVectorEnv
from genesis.errors import GenesisTypeError, GenesisValueError


def checked_env(env: Any, output: str, mode: AutoresetMode, may_be_differentiable: bool = False) -> Any:
    """The environment, if it has this interface and autoreset mode.

    Raises:
        GenesisTypeError: Not one of this package's vector environments, or one inside a wrapper.
        GenesisValueError: Another interface or autoreset mode, or a graph that the library would never free.
    """
    if not isinstance(env, DifferentiableVectorEnv):
        raise GenesisTypeError(
            f"env must be a DifferentiableVectorEnv without wrappers, got {type(env).__name__}. "
            'Make it with gymnasium.make_vec("envs:genesis/...", num_envs=...).'
        )
    for name, present, wanted in (
        ("output", env.output, output),
        ("autoreset_mode", env.autoreset_mode.value, mode.value),
    ):
        if present != wanted:
            raise GenesisValueError(
                f'env must have {name}="{wanted}", got "{present}". Make it with {name}="{wanted}".'
            )
    if env.differentiable and not may_be_differentiable:
        raise GenesisValueError(
            "env must be made with differentiable=False, got True. This library takes no gradients through it."
        )
    return env
