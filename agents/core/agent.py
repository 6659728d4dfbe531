"""What every agent is: the contract between algorithms and the commands that train, evaluate and save them."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

import genesis as gs
from agents.core import distributed
from agents.core.layout import Layout
from agents.core.normaliser import Normaliser
from genesis.errors import GenesisValueError

_LOG = logging.getLogger("genesis")


class Abandoned(Exception):
    """An update ended before it had learned anything, since it was asked to stop."""


class Agent(ABC):
    """Abstract: a policy, what improves it, and where it stands in its environment.

    An algorithm is one final class that fills `self.parts` in its constructor with whatever it learns or counts
    (modules, optimisers, anything with `state_dict` and `load_state_dict`) and writes `act` and `update`. What is in
    `parts` is saved and restored; what is not, must not be needed.

    Environments are vector environments on the torch interface with SAME_STEP autoreset. With several processes each
    has its own slice of the environments, and `update` leaves the same weights in all of them.
    """

    name: ClassVar[str]
    differentiable: ClassVar[bool]
    """Whether the environment to train in must keep gradients."""

    @classmethod
    def step_outputs(cls, config: Any) -> tuple[str, ...]:
        """What the scene to train in must measure during steps, as in `gs.Scene.build`; nothing for most."""
        return ()

    @classmethod
    def torch_threads(cls, config: Any, available: int) -> int:
        """How many of the available threads torch should have: one, unless updates multiply large matrices. The
        simulator has threads of its own."""
        return 1

    def __init__(self, config: Any, env: Any, seed: int, total_steps: int, encoder: str = "points"):
        """Takes sizes, bounds, precision and the parts of observations from the environment.

        Args:
            config: Hyper-parameters, a frozen dataclass.
            env: The environment that the agent will be trained or evaluated in.
            seed: Seed of the weights, of the exploration and of the training environment's episodes.
            total_steps: Environment steps, over all environments and processes, at which schedules end.
            encoder: Name in `agents.core.encoders.ENCODERS` of what encodes the points in observations, if any.
        """
        self.config = config
        self.seed = seed
        self.total_steps = total_steps
        self.observation_size: int = env.single_observation_space.shape[0]
        self.action_size: int = env.single_action_space.shape[0]
        space = env.single_action_space
        self.low, self.high = (plain(gs.from_numpy(np.array(bound))) for bound in (space.low, space.high))
        self.layout = Layout(self.observation_size, env.observation_parts, encoder)
        self.normaliser = Normaliser(self.observation_size, like=self.low, only=self.layout.is_number())
        self.parts: dict[str, Any] = {"normaliser": self.normaliser}
        self.steps = 0
        """Environment steps so far, over all environments and processes."""
        self.updates = 0
        self.skipped_updates = 0
        self.stopping: Callable[[], bool] = lambda: False
        """Asked within long updates that have learned nothing so far: whether to end them by `Abandoned`."""
        self._reported = -1
        """The update in which `report` spoke last."""
        self.observation: torch.Tensor | None = None
        """(B, O) of the present state of the training environment; None before the first update."""

    @abstractmethod
    def act(self, observation: torch.Tensor, deterministic: bool = True) -> torch.Tensor:
        """Actions (B, A) for observations (B, O), without a graph; drawn from the policy unless `deterministic`."""

    @abstractmethod
    def update(self, env: Any) -> dict[str, float]:
        """Collects experience, learns from it once, counts it; returns scalars by TensorBoard tag.

        Raises:
            Abandoned: It need not go on (`stopping`), and nothing but the environment's state has changed.
        """

    def start(self, env: Any) -> torch.Tensor:
        """The present observation (B, O); resets the environment before the first update.

        Raises:
            GenesisValueError: The environment keeps no gradients, and the algorithm needs them.
        """
        if self.differentiable and not env.differentiable:
            raise GenesisValueError(
                "env must be differentiable, got one that is not. Make it with differentiable=True."
            )
        if self.observation is None:
            self.observation = plain(env.reset(seed=self.seed)[0]).detach()
        return self.observation

    def steps_each(self, env: Any) -> int:
        """Steps that each single environment has made so far: what streams of noise are keyed by."""
        return self.steps // (env.num_envs * distributed.world_size())

    def progress(self) -> float:
        """The part of `total_steps` that is done, at most 1: what schedules run on."""
        return min(1.0, self.steps / max(1, self.total_steps))

    def count(self, steps: int, skipped: bool) -> None:
        """Counts an update and this process's environment steps in it."""
        self.steps += steps * distributed.world_size()
        self.updates += 1
        self.skipped_updates += skipped

    def report(self, what: str, origin: str | None) -> None:
        """Warns that something was not finite and where that began, once in an update.

        Args:
            what: What was left out, and why.
            origin: The first step, environment and field; None: the environment has reported it itself.
        """
        if origin is not None and self._reported != self.updates:
            self._reported = self.updates
            _LOG.warning("%s; %s.", what, origin)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on, besides the environment: tensors and plain values."""
        return (
            {name: part.state_dict() for name, part in self.parts.items()}
            | {
                "observation": self.observation,
                "steps": self.steps,
                "updates": self.updates,
                "skipped_updates": self.skipped_updates,
            }
            | ({"observation_parts": self.layout.parts} if self.layout.points else {})
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken.

        Raises:
            GenesisValueError: A part of this agent is not in the state, or has other parameters, or its observations
                have other parts; nothing has been changed.
        """
        own, saved = (agent.get("observation_parts", {}) for agent in (self.state_dict(), state))
        if [*own.items()] != [*saved.items()]:  # in their order
            raise GenesisValueError(
                f"The saved agent must be of the observation's parts {own}, got {saved}. "
                "Load it in the task that it was trained in."
            )
        missing = sorted(set(self.state_dict()) - set(state))
        if missing:
            raise GenesisValueError(
                f"The saved agent must be a whole {self.name}, got one without {', '.join(missing)}. "
                "Use the version that wrote it."
            )
        for name, part in self.parts.items():
            if isinstance(part, nn.Module) and (here := _shapes(part.state_dict())) != (there := _shapes(state[name])):
                wanted, found = (dict(sorted(x.items() - y.items())) for x, y in ((here, there), (there, here)))
                raise GenesisValueError(
                    f"The saved agent's {name} must have the parameters that it has here, {wanted or 'no others'}, got "
                    f"{found or 'none of these'}. Use the version, and the --hyper options, that wrote it."
                )
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        observation = state["observation"]
        self.observation = None if observation is None else observation.to(self.low)
        self.steps, self.updates = state["steps"], state["updates"]
        self.skipped_updates = state["skipped_updates"]


def _shapes(parameters: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in parameters.items()}


def plain(value: torch.Tensor) -> torch.Tensor:
    """The tensor without its subclass: the fast path inside an agent."""
    return value.as_subclass(torch.Tensor)


def linear_schedule(first: float, last: float, progress: float) -> float:
    """From `first` to `last` as progress goes from 0 to 1."""
    return first + (last - first) * progress
