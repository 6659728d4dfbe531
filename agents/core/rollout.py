"""A window of simulator steps with the policy upstream: what first-order agents learn from."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import genesis as gs
from agents.core.adjoint import AdjointProbe
from agents.core.agent import plain
from agents.core.normaliser import Normaliser
from agents.core.returns import survival_probability, td_lambda
from genesis.errors import GenesisKeyError

FAR = 1e6
"""An observation beyond this is not believed: no value is bootstrapped there."""


@dataclass
class Episodes:
    """Statistics of the episodes that ended."""

    returns: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    successes: list[float] = field(default_factory=list)

    def collect(self, info: dict[str, Any]) -> None:
        """Notes those that ended in a step, from its info."""
        ended = plain(info["_episode_return"])
        if bool(ended.any()):
            self.returns += plain(info["episode_return"])[ended].tolist()
            self.lengths += plain(info["episode_length"])[ended].tolist()
            if "success" in info["final_info"]:
                self.successes += plain(info["final_info"]["success"])[ended].to(torch.float64).tolist()

    def scalars(self) -> dict[str, float]:
        """Means by TensorBoard tag; nothing where no episode ended."""
        named = {"return": self.returns, "length": self.lengths}
        scalars = {f"charts/episodic_{name}": float(np.mean(x)) for name, x in named.items() if x}
        return scalars | ({"charts/success_rate": float(np.mean(self.successes))} if self.successes else {})


@dataclass
class Window:
    """H steps in B environments. Rewards, actions and next observations carry the graph."""

    observation: torch.Tensor
    """(H, B, O) before each step, detached."""
    next_observation: list[torch.Tensor]
    """H of (B, O), after each step and before any reset."""
    action: list[torch.Tensor]
    """H of (B, A)."""
    reward: torch.Tensor
    """(H, B)."""
    terminated: torch.Tensor
    """(H, B) bool."""
    truncated: torch.Tensor
    """(H, B) bool."""
    valid: torch.Tensor
    """(H, B) bool; false where the simulator lost the state."""
    last_observation: torch.Tensor
    """(B, O) after the window and its resets, detached: where the next one starts."""
    episodes: Episodes
    info: dict[str, torch.Tensor]
    """(H, B) of those numbers in the steps' infos that were asked for."""
    seconds: float
    """Wall-clock of the rollout."""
    probe: AdjointProbe
    """Of the gradients that arrive at the actions."""
    margins: list[torch.Tensor] = field(default_factory=list)
    """H of (B, k) with the graph, how far inside of the bounds that end the task each step left the state; empty where
    the task has none."""

    @property
    def done(self) -> torch.Tensor:
        """(H, B) bool, whether a step ended an episode."""
        return self.terminated | self.truncated

    def survival(self, width: float) -> torch.Tensor | None:
        """p (H, B) of surviving each step, differentiable, see `survival_probability`; 1 where the state was lost.

        None where the task has no bounds, or the width is 0: then episodes end at their exact ends alone.
        """
        if not self.margins or width == 0:
            return None
        return torch.where(self.valid, survival_probability(torch.stack(self.margins), width), 1.0)

    def next_observations(self) -> torch.Tensor:
        """(H, B, O) after each step and before any reset, detached."""
        return torch.stack([x.detach() for x in self.next_observation])

    def finite(self) -> torch.Tensor:
        """(H, B) bool, whether a step can be learnt from: state, reward and next observation are finite."""
        observed = torch.stack([torch.isfinite(x.detach()).all(dim=1) for x in self.next_observation])
        return self.valid & torch.isfinite(self.reward.detach()) & observed

    def first_nonfinite(self) -> str | None:
        """The first action, reward or observation that is not finite, in words; None: there is none.

        After `backward` also the gradient by an action that was the first, on its way back, to be not finite.
        """
        fields = {"action": self.action, "reward": list(self.reward), "observation": self.next_observation}
        for t in range(len(self.reward)):
            for name, values in fields.items():
                rows = (~torch.isfinite(values[t].detach())).reshape(len(values[t]), -1).any(dim=1).nonzero()
                if len(rows):
                    return f"the {name} in step {t} of the window, environment {int(rows[0])}, was the first"
        places = (~torch.isfinite(self.probe.gradients())).any(dim=2).nonzero()
        if len(places):
            t = int(places[:, 0].max())
            row = int(places[places[:, 0] == t][0, 1])
            return f"the gradient by the action in step {t} of the window, environment {row}, was the first"
        return None

    def end_value(self, value: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """(H, B) value where an episode is cut but not terminated, by truncation or the window's end; zero elsewhere.

        Args:
            value: Maps observations (M, O) to values (M,); differentiable.
        """
        cut = self.truncated.clone()
        cut[-1] = True
        return self._value_where(cut & ~self.terminated & self.valid, self.next_observation, value)

    def lost_value(self, value: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """(H, B) value of the state before a step that terminated, where one did; zero elsewhere, without a graph.

        It stands for what surviving the step would have been worth: behind it there is no state.
        """
        with torch.no_grad():
            return self._value_where(self.terminated & self.valid, self.observation, value)

    def _value_where(
        self,
        chosen: torch.Tensor,
        observations: Sequence[torch.Tensor] | torch.Tensor,
        value: Callable[[torch.Tensor], torch.Tensor],
    ) -> torch.Tensor:
        """(H, B) value of H observations (B, O) where it is asked for (H, B); zero elsewhere, and where one is far."""
        place, rows = [], []
        for t in chosen.any(dim=1).nonzero().squeeze(1).tolist():
            row = chosen[t].nonzero().squeeze(1)
            place.append(torch.stack([torch.full_like(row, t), row]))
            rows.append(observations[t][row])
        result = torch.zeros_like(self.reward)
        if not rows:
            return result
        observation = torch.cat(rows)
        near = torch.isfinite(observation.detach()).all(dim=1) & (observation.detach().abs() < FAR).all(dim=1)
        observation = torch.where(near[:, None], observation, 0.0)
        values = torch.where(near, value(observation), 0.0)
        return result.index_put(tuple(torch.cat(place, dim=1)), values)


def roll_out(
    env: Any,
    observation: torch.Tensor,
    steps: int,
    policy: Callable[[int, torch.Tensor], torch.Tensor],
    infos: tuple[str, ...] = (),
) -> Window:
    """s_t+1 = f(s_t, pi(t, o(s_t))), from a state without history.

    Args:
        env: The environment; its graph is cut first.
        observation: (B, O) of its present state.
        steps: Length H of the window.
        policy: Maps a step's number in the window and observations (B, O) to actions (B, A).
        infos: Names of numbers (B,) to keep from the steps' infos.

    Raises:
        GenesisKeyError: The steps' infos do not have one of these.
    """
    started = time.perf_counter()
    env.detach_()
    observations, actions, nexts, rewards, terminateds, truncateds, valids, margins = ([] for _ in range(8))
    kept: dict[str, list[torch.Tensor]] = {name: [] for name in infos}
    episodes = Episodes()
    for t in range(steps):
        action = policy(t, observation)
        observations.append(observation.detach())
        actions.append(action)
        outcome = env.step(gs.from_torch(action, detach=False))
        observation, reward, terminated, truncated = (plain(x) for x in outcome[:4])
        info = outcome[4]
        nexts.append(plain(info["final_obs"]))
        rewards.append(reward)
        terminateds.append(terminated)
        truncateds.append(truncated)
        valids.append(~plain(info["nonfinite"]))
        if "margins" in info:
            margins.append(plain(info["margins"]))
        for name, values in kept.items():
            if name not in info:
                raise GenesisKeyError(
                    f"The environment's info must have {name!r}, got {sorted(info)}. Make a task on legs with "
                    'step_outputs=("contacts",).'
                )
            values.append(plain(info[name]).detach())
        episodes.collect(info)
    return Window(
        observation=torch.stack(observations),
        next_observation=nexts,
        action=actions,
        reward=torch.stack(rewards),
        terminated=torch.stack(terminateds),
        truncated=torch.stack(truncateds),
        valid=torch.stack(valids),
        last_observation=observation.detach(),
        episodes=episodes,
        info={name: torch.stack(values) for name, values in kept.items()},
        seconds=time.perf_counter() - started,
        probe=AdjointProbe(actions),
        margins=margins,
    )


def collect(
    env: Any,
    observation: torch.Tensor,
    steps: int,
    policy: Callable[[int, torch.Tensor], torch.Tensor],
    normaliser: Normaliser,
    infos: tuple[str, ...] = (),
) -> Window:
    """`roll_out` of a policy that sees normalised observations, whose statistics stand still within the window."""
    if normaliser.count == 0:
        normaliser.update(observation)
    normaliser.freeze()
    window = roll_out(env, observation, steps, lambda t, o: policy(t, normaliser(o)), infos)
    normaliser.update(torch.cat([window.observation[1:], window.last_observation[None]]))
    return window


@torch.no_grad()
def critic_data(
    window: Window,
    reward: torch.Tensor,
    value: Callable[[torch.Tensor], torch.Tensor],
    normaliser: Normaliser,
    gamma: float,
    lam: float,
    survival: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What critics learn from: normalised observations (H, B, O) before each step and their TD(lambda) targets (H, B).

    Args:
        window: The experience.
        reward: (H, B), the window's own or with something added.
        value: Maps normalised observations (M, O) to values (M,); it is asked for V(s_t+1), the state after step t.
        normaliser: Of observations.
        gamma: Discount per step.
        lam: Weight of longer returns.
        survival: p (H, B), see `Window.survival`.
    """
    after = normaliser(window.next_observations())
    next_value = value(after.flatten(0, 1)).reshape(reward.shape)
    ends = window.terminated, window.truncated, window.valid
    target = td_lambda(reward.detach(), next_value, *ends, gamma, lam, survival)
    return normaliser(window.observation), target


class Stopwatch:
    """Where an update's wall-clock went."""

    def __init__(self, env: Any):
        """Starts now; the environment's own clock tells the simulator's part."""
        self._env = env
        self._simulator = env.simulator_seconds
        self._started = self._lap = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """The time since the last lap is `name`'s."""
        now = time.perf_counter()
        self._laps[name] = self._laps.get(name, 0.0) + now - self._lap
        self._lap = now

    def scalars(self, env_steps: int) -> dict[str, float]:
        """Seconds by lap, the simulator's share of them and environment steps per second, by TensorBoard tag."""
        total = time.perf_counter() - self._started
        return {f"time/{name}_s": seconds for name, seconds in self._laps.items()} | {
            "time/simulator_share": (self._env.simulator_seconds - self._simulator) / total,
            "time/env_steps_per_second": env_steps / total,
        }
