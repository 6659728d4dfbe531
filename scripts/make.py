"""What the scripts share: environments for agents, checkpoints' contents, command lines that fail in one sentence."""

import sys
from collections.abc import Callable
from typing import Any

import gymnasium
from gymnasium.vector import AutoresetMode

import envs
import genesis as gs
from agents import AGENTS
from agents.core.evaluation import FRESH_ENV_INDEX
from genesis.errors import GenesisKeyError, GenesisValueError


def check_env(env: str) -> None:
    """Raises GenesisKeyError unless the environment is known; lists the valid ones."""
    if env not in envs.ENV_IDS:
        raise GenesisKeyError(f"env must be one of {sorted(envs.ENV_IDS)}, got {env!r}.")


def check_names(env: str, agent: str) -> None:
    """Raises GenesisKeyError unless both names are known; lists the valid ones."""
    check_env(env)
    if agent not in AGENTS:
        raise GenesisKeyError(f"agent must be one of {sorted(AGENTS)}, got {agent!r}.")


def training_env(env: str, num_envs: int) -> Any:
    """The batch to learn in: torch tensors with gradients, SAME_STEP autoreset."""
    return _make(env, num_envs, differentiable=True, first_env_index=0)


def evaluation_env(env: str, num_envs: int) -> Any:
    """The batch to evaluate in: no gradients, and random streams that no training uses."""
    return _make(env, num_envs, differentiable=False, first_env_index=FRESH_ENV_INDEX)


def film_env(env: str, num_envs: int) -> Any:
    """The batch to look at: like that of evaluations, with pictures."""
    return _make(env, num_envs, differentiable=False, first_env_index=FRESH_ENV_INDEX, render_mode="rgb_array")


def trained_agent(saved: dict[str, Any], env: Any) -> Any:
    """The agent of a checkpoint (see `agents.core.checkpoint.load`) for an environment.

    Raises:
        gs.GenesisException: The names in it are unknown, or its sizes are not the environment's.
    """
    check_names(saved["env"], saved["agent"])
    present = (env.single_observation_space.shape[0], env.single_action_space.shape[0])
    made_for = (saved["observation_size"], saved["action_size"])
    if present != made_for:
        raise GenesisValueError(
            f"The checkpoint must be of observations and actions of sizes {present}, got {made_for}. "
            f"{saved['env']} has changed since it was written (by version {saved['genesis_version']})."
        )
    agent_class, hyper_class = AGENTS[saved["agent"]]
    agent = agent_class(hyper_class(**saved["hyper"]), env, saved["seed"], saved["total_steps"])
    agent.load_state_dict(saved["agent_state"])
    return agent


def _make(env: str, num_envs: int, differentiable: bool, first_env_index: int, render_mode: str | None = None) -> Any:
    return gymnasium.make_vec(
        env,
        num_envs=num_envs,
        vectorization_mode="vector_entry_point",
        output="torch",
        differentiable=differentiable,
        autoreset_mode=AutoresetMode.SAME_STEP,
        first_env_index=first_env_index,
        render_mode=render_mode,
    ).unwrapped


def run(command: Callable[[], int]) -> int:
    """Runs a command; an error of the toolkit becomes one sentence and exit status 1 instead of a traceback."""
    try:
        return command()
    except gs.GenesisException as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
