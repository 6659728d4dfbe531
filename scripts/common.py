"""What the scripts share: environments and agents by name, command lines that fail in one sentence."""

import dataclasses
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.envs.registration import load_env_creator

import envs
import genesis as gs
from agents import AGENTS, Agent
from agents.core.evaluation import FRESH_ENV_INDEX
from envs.interface import RENDER_SIZE
from envs.mujoco.base import MujocoTask
from genesis.errors import GenesisKeyError, GenesisValueError

ENV_NAMES = ", ".join(sorted(envs.ENV_IDS))
"""For help texts."""
AGENT_NAMES = ", ".join(AGENTS)
"""For help texts."""


def check_env(env: str) -> None:
    """Raises GenesisKeyError unless the environment is known; lists the valid ones."""
    if env not in envs.ENV_IDS:
        raise GenesisKeyError(f"env must be one of {sorted(envs.ENV_IDS)}, got {env!r}.{_perhaps(env, envs.ENV_IDS)}")


def check_names(env: str, agent: str) -> None:
    """Raises GenesisKeyError unless both names are known; lists the valid ones."""
    check_env(env)
    if agent not in AGENTS:
        raise GenesisKeyError(f"agent must be one of {sorted(AGENTS)}, got {agent!r}.{_perhaps(agent, AGENTS)}")


def _perhaps(given: str, valid: Iterable[str]) -> str:
    """A sentence with the valid names that have the given one in them, or are most like it, behind the slash."""
    names, wanted = {name: name.rpartition("/")[2].lower() for name in valid}, given.rpartition("/")[2].lower()
    likeness = {name: SequenceMatcher(None, wanted, own).ratio() for name, own in names.items()}
    best = max(0.7, *likeness.values())
    near = [name for name, own in names.items() if wanted and wanted in own]
    near = near or [name for name, ratio in likeness.items() if ratio == best]
    return f" Perhaps {' or '.join(near)} is meant." if near else ""


def own_contact(env: str) -> str | None:
    """The contact model, by its name, that a task has unless told otherwise; None where it has one."""
    contact = inspect.signature(_task(env)).parameters.get("contact")
    return None if contact is None else contact.default


def _task(env: str) -> Any:
    """The class of a batch of this environment."""
    return load_env_creator(str(gymnasium.spec(env).vector_entry_point))


def walks(env: str) -> bool:
    """Whether a robot of ours stands on the ground there, in compliant contact, which can be measured."""
    return getattr(_task(env), "FRICTION", None) is not None


def of_gymnasium(env: str) -> bool:
    """Whether this is a task of Gymnasium's on MuJoCo's contact model."""
    task = _task(env)
    return isinstance(task, type) and issubclass(task, MujocoTask)


def contact_of(env: str, saved: dict[str, Any] | None, given: str | None) -> str | None:
    """The contact model in which a policy is to act: the given one, or its training's, or the task's own.

    Args:
        env: Environment id.
        saved: The policy's checkpoint, if there is one.
        given: On the command line; None: nothing.

    Returns:
        Its name; None where the task has one contact model.

    Raises:
        GenesisValueError: One was given and the task has one only; or none was, and that of the training is no more.
    """
    if given is not None:
        _check_has_contacts(env, given)
        return given
    own = own_contact(env)
    if saved is None or saved["env"] != env:
        return own
    check_contact_record(saved)
    return own and (saved.get("contact") or own)


def contact_record(env: str, contact: str | None) -> dict[str, Any] | None:
    """What a checkpoint says of its training's contact model, by all of its options; None of tasks without robots.

    Args:
        env: Environment id.
        contact: The model's name, where the task has several; None: the task's own.
    """
    task, own = _task(env), own_contact(env)
    options = getattr(task, "CONTACT", None) if own is None else getattr(task, "CONTACTS", {}).get(contact or own)
    if options is None:
        return None
    return {"model": type(options.contact).__name__, **dataclasses.asdict(options)}


def check_contact_record(saved: dict[str, Any]) -> None:
    """Raises GenesisValueError unless the contact model of a checkpoint's training is what the task has under its name.

    One that has no record is let pass where it has a name that the task still offers.
    """
    env, name, record = saved["env"], saved.get("contact"), saved.get("contact_model")
    present = contact_record(env, name)
    if record is None:
        what = None if present is None or own_contact(env) else f"no record of one (contact {name!r})"
    else:
        before, now = (dict(_flat(each or {})) for each in (record, present))
        changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        what = ", ".join(f"{name} {before.get(name)!r} instead of {now.get(name)!r}" for name in changed)
    if what:
        raise GenesisValueError(
            f"The checkpoint must be of the contact model that {env} has, got {what}. Use the version that wrote it, "
            f"{saved['genesis_version']}, or train anew."
        )


def _flat(record: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Options by name, without those that say nothing: one that is new changes no model that does not use it."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value)
        elif value not in (None, False):
            yield name, value


def training_env(
    env: str,
    num_envs: int,
    differentiable: bool = True,
    first_env_index: int = 0,
    contact: str | None = None,
    step_outputs: tuple[str, ...] = (),
    episode_steps: int | None = None,
) -> Any:
    """The batch to learn in: torch tensors, with gradients if `differentiable`, SAME_STEP autoreset.

    Args:
        env: Environment id.
        num_envs: Environments in the batch.
        differentiable: Whether gradients are kept.
        first_env_index: Global index of the first one, where a batch is split over processes.
        contact: Name of one of the task's contact models; None: its default.
        step_outputs: What the scene must measure during steps; see `agents.Agent.step_outputs`.
        episode_steps: Control steps after which an episode is truncated, at spread times at first; None: the task's
            own.

    Raises:
        GenesisValueError: Nothing can be measured there.
    """
    if step_outputs and not walks(env):
        raise GenesisValueError(
            "env must be of a robot on the ground of genesis/..., for the agent asks for its "
            f"{', '.join(step_outputs)}, got {env}. Leave out the hyper-parameter that does."
        )
    options: dict[str, Any] = {}
    if episode_steps is not None:
        options = {"max_episode_steps": episode_steps, "staggered": True}
    return _make(env, num_envs, differentiable, first_env_index, contact, step_outputs=step_outputs, **options)


def evaluation_env(env: str, num_envs: int, contact: str | None = None) -> Any:
    """The batch to evaluate in: no gradients, and random streams that no training uses."""
    return _make(env, num_envs, False, FRESH_ENV_INDEX, contact)


def render_env(
    env: str,
    num_envs: int,
    contact: str | None = None,
    differentiable: bool = False,
    size: tuple[int, int] = RENDER_SIZE,
) -> Any:
    """The batch to look at: like that of evaluations, with pictures, and with gradients if `differentiable`.

    Args:
        env: Environment id.
        num_envs: Environments in the batch.
        contact: Name of one of the task's contact models; None: its default.
        differentiable: Whether gradients are kept.
        size: Width and height of a picture, pixels.
    """
    return _make(env, num_envs, differentiable, FRESH_ENV_INDEX, contact, render_mode="rgb_array", render_size=size)


def _make(
    env: str,
    num_envs: int,
    differentiable: bool,
    first_env_index: int,
    contact: str | None,
    render_mode: str | None = None,
    render_size: tuple[int, int] = RENDER_SIZE,
    step_outputs: tuple[str, ...] = (),
    **options: Any,
) -> Any:
    if contact is not None:
        options["contact"] = contact
    if contact is not None:
        _check_has_contacts(env, contact)
    if step_outputs:
        options["step_outputs"] = step_outputs
    return gymnasium.make_vec(
        env,
        num_envs=num_envs,
        vectorization_mode="vector_entry_point",
        output="torch",
        differentiable=differentiable,
        autoreset_mode="SameStep",
        first_env_index=first_env_index,
        **options,
        render_mode=render_mode,
        render_size=render_size,
    ).unwrapped


def _check_has_contacts(env: str, given: str) -> None:
    if own_contact(env) is None:
        raise GenesisValueError(f"contact must be left out for {env}, got {given!r}. The task has one contact model.")


def untrained(env: Any, actions: str, seed: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """What acts without a policy: maps observations to actions (B, A).

    Args:
        env: The environment.
        actions: "zero": the middle of the action space; "random": uniform noise.
        seed: Of the noise.
    """
    low, high = (env.tensor(bound) for bound in (env.single_action_space.low, env.single_action_space.high))
    generator = np.random.default_rng(seed)
    shape = (env.num_envs, *env.single_action_space.shape)

    def act(observation: torch.Tensor) -> torch.Tensor:
        part = env.tensor(generator.random(shape)) if actions == "random" else env.tensor(np.full(shape, 0.5))
        return low + part * (high - low)

    return act


def restored_agent(saved: dict[str, Any], env: Any) -> Agent:
    """The agent that a checkpoint holds.

    Args:
        saved: What `agents.core.checkpoint.load` gave.
        env: An environment of the checkpoint's id.

    Raises:
        GenesisValueError: The environment's sizes or the agent's hyper-parameters have changed since.
    """
    entry = AGENTS[saved["agent"]]
    present = (env.single_observation_space.shape[0], env.single_action_space.shape[0])
    made_for = (saved["observation_size"], saved["action_size"])
    if present != made_for:
        raise GenesisValueError(
            f"The checkpoint must be of observations and actions of sizes {present}, got {made_for}. "
            f"{saved['env']} has changed since it was written (by version {saved['genesis_version']})."
        )
    unknown = sorted(set(saved["hyper"]) - set(entry.config.__dataclass_fields__))
    if unknown:
        raise GenesisValueError(
            f"The checkpoint's hyper-parameters must be among {sorted(entry.config.__dataclass_fields__)}, got "
            f"{unknown}. Use the version that wrote it, {saved['genesis_version']}."
        )
    agent = entry.agent(hyper(entry.config, saved["hyper"]), env, saved["seed"], saved["total_steps"])
    agent.load_state_dict(saved["agent_state"])
    return agent


def hyper(config_class: type[Any], values: dict[str, Any]) -> Any:
    """A configuration from plain values, as files hold them: lists become the tuples that they were."""
    return config_class(**{name: tuple(x) if isinstance(x, list) else x for name, x in values.items()})


def program() -> str:
    """How the running command was called, for its help: as a module or by its installed name."""
    called = Path(sys.argv[0])
    return f"python -m scripts.{called.stem}" if called.suffix == ".py" else called.name


def run(command: Callable[[], int]) -> int:
    """Runs a command; an error of the toolkit, or of a file, becomes one sentence and exit status 1, not a traceback.

    So does a reader of its output that goes away (`| head`), without a sentence. Ctrl-C is one word, and status 130.
    """
    try:
        status = command()
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to flush at exit
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except gs.GenesisException as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # what the system says about a file
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
