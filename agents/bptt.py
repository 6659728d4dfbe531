"""BPTT: the analytic policy gradient, by backpropagation through a window of simulator steps.

    J(theta) = 1/(H N) sum_{n=1..N} sum_{t=0..H-1} gamma^(t - t_seg) r(s_t+1, a_t),   a_t = pi_theta(o(s_t)),
    s_t+1 = f(s_t, a_t),   theta <- theta + Adam(clip(dJ/dtheta)).

t_seg is the first step of the window or of the episode, whichever is later. The state at the start of a window is
a constant. Sources: Freeman et al., "Brax" (2021), analytic policy gradients; Xu et al., "Accelerated policy learning
with parallel differentiable simulation" (SHAC, ICLR 2022), whose BPTT baseline gives optimiser and schedule.

Differences from the papers:
- The window may be shorter than the episode (truncated BPTT); nothing is bootstrapped at its end.
- The policy is deterministic; the tasks' random starts and goals are the only exploration.
- An update whose loss or gradient is not finite is skipped and counted, instead of ending the run or being zeroed
  element by element.
- Observations are normalised by statistics that are frozen within a window.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import genesis as gs
from agents.core.nets import SquashedPolicy
from agents.core.normaliser import Normaliser
from agents.core.returns import window_return
from genesis.errors import GenesisValueError


@dataclass(frozen=True)
class BPTTConfig:
    """Hyper-parameters of BPTT."""

    window: int = 25
    """Control steps in a window, H."""
    gamma: float = 0.99
    """Discount per control step."""
    learning_rate: float = 1e-2
    """Adam's learning rate at the start."""
    final_learning_rate: float = 1e-5
    """Learning rate at the end; linear in between."""
    betas: tuple[float, float] = (0.7, 0.95)
    """Adam's decay rates of the first and second moment."""
    max_grad_norm: float = 1.0
    """Global gradient norm beyond which a gradient is scaled down."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the policy's hidden layers."""

    def __post_init__(self) -> None:
        """Raises GenesisValueError where a number breaks its law."""
        for name, value, lawful, law in (
            ("window", self.window, self.window >= 1, "be at least 1"),
            ("gamma", self.gamma, 0 < self.gamma <= 1, "lie in (0, 1]"),
            ("learning_rate", self.learning_rate, 0 < self.learning_rate < float("inf"), "be positive"),
            ("final_learning_rate", self.final_learning_rate, self.final_learning_rate >= 0, "be at least 0"),
            ("betas", self.betas, all(0 <= beta < 1 for beta in self.betas), "lie in [0, 1)"),
            ("max_grad_norm", self.max_grad_norm, self.max_grad_norm > 0, "be positive"),
            ("hidden", self.hidden, all(width >= 1 for width in self.hidden), "be positive widths"),
        ):
            if not lawful:
                raise GenesisValueError(f"{name} must {law}, got {value!r}.")


@dataclass
class Window:
    """What a window of H steps in B environments gave; rows of (H, B)."""

    reward: torch.Tensor
    done: torch.Tensor
    valid: torch.Tensor
    episode_returns: list[float]
    episode_lengths: list[float]
    successes: list[float]


class BPTT:
    """The agent: a policy, its optimiser and where it stands in its environment."""

    name = "bptt"

    def __init__(self, config: BPTTConfig, env: Any, seed: int, total_steps: int):
        """Takes sizes, bounds and precision from the environment.

        Args:
            config: Hyper-parameters.
            env: A vector environment with torch output and SAME_STEP autoreset; differentiable, to be trained in.
            seed: Seed of the weights and of the environment's episodes.
            total_steps: Steps, over all environments, on which the learning rate reaches its end.
        """
        self.config = config
        self.seed = seed
        self.total_steps = total_steps
        space = env.single_action_space
        low, high = (gs.from_numpy(np.array(x)).as_subclass(torch.Tensor) for x in (space.low, space.high))
        size = env.single_observation_space.shape[0]
        self.policy = SquashedPolicy(size, low, high, config.hidden, seed)
        self.normaliser = Normaliser(size, like=low)
        self.optimiser = torch.optim.Adam(self.policy.parameters(), lr=config.learning_rate, betas=config.betas)
        self.steps = 0
        self.updates = 0
        self.skipped_updates = 0
        self.observation: torch.Tensor | None = None

    @torch.no_grad()
    def act(self, observation: torch.Tensor) -> torch.Tensor:
        """Actions (B, A) for observations (B, O), without a graph."""
        return self.policy(self.normaliser(_plain(observation)))

    def update(self, env: Any) -> dict[str, float]:
        """Rolls one window out and takes one gradient step; returns scalars by TensorBoard tag.

        Raises:
            GenesisValueError: The environment keeps no gradients.
        """
        if not env.differentiable:
            raise GenesisValueError(
                "env must be differentiable, got one that is not. Make it with differentiable=True."
            )
        if self.observation is None:
            self.observation = _plain(env.reset(seed=self.seed)[0])
            self.normaliser.update(self.observation)
        started = time.perf_counter()
        window = self._roll_out(env, self.observation)
        loss = -window_return(window.reward, window.done, window.valid, self.config.gamma)
        rolled_out = time.perf_counter()
        norm = self._step(loss)
        finished = time.perf_counter()
        self.steps += window.reward.numel()
        self.updates += 1
        scalars = {
            "losses/policy_loss": loss.item(),
            "gradients/norm_before_clip": norm,
            "gradients/norm_after_clip": min(norm, self.config.max_grad_norm) if np.isfinite(norm) else 0.0,
            "gradients/skipped_updates": float(self.skipped_updates),
            "charts/learning_rate": self.optimiser.param_groups[0]["lr"],
            "charts/mean_reward": window.reward.detach().mean().item(),
            "charts/nonfinite_rows": float((~window.valid).sum()),
            "time/forward_s": rolled_out - started,
            "time/backward_s": finished - rolled_out,
            "time/env_steps_per_second": window.reward.numel() / (finished - started),
        }
        if window.episode_returns:
            scalars["charts/episodic_return"] = float(np.mean(window.episode_returns))
            scalars["charts/episodic_length"] = float(np.mean(window.episode_lengths))
        if window.successes:
            scalars["charts/success_rate"] = float(np.mean(window.successes))
        return scalars

    def _roll_out(self, env: Any, observation: torch.Tensor) -> Window:
        """s_t+1 = f(s_t, pi(o(s_t))) from a state without history."""
        env.detach_()
        self.normaliser.freeze()
        rewards, dones, valids = [], [], []
        window = Window(observation, observation, observation, [], [], [])
        for _ in range(self.config.window):
            action = self.policy(self.normaliser(observation))
            outcome = env.step(gs.from_torch(action, detach=False))
            observation, reward, terminated, truncated = (_plain(x) for x in outcome[:4])
            self.normaliser.update(observation.detach())
            rewards.append(reward)
            dones.append(terminated | truncated)
            valids.append(~_plain(outcome[4]["nonfinite"]))
            _collect_episodes(window, outcome[4])
        self.observation = observation.detach()
        window.reward, window.done, window.valid = torch.stack(rewards), torch.stack(dones), torch.stack(valids)
        return window

    def _step(self, loss: torch.Tensor) -> float:
        """One step of Adam along the clipped gradient; returns the norm before clipping. Skips what is not finite."""
        progress = min(1.0, self.steps / max(1, self.total_steps))
        first, last = self.config.learning_rate, self.config.final_learning_rate
        self.optimiser.param_groups[0]["lr"] = first + (last - first) * progress
        self.optimiser.zero_grad(set_to_none=True)
        norm = float("nan")
        if bool(torch.isfinite(loss)):
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.config.max_grad_norm).item()
        if np.isfinite(norm):
            self.optimiser.step()
        else:
            self.skipped_updates += 1
        self.optimiser.zero_grad(set_to_none=True)
        return norm

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on, besides the environment: tensors and plain values."""
        return {
            "policy": self.policy.state_dict(),
            "normaliser": self.normaliser.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "observation": self.observation,
            "steps": self.steps,
            "updates": self.updates,
            "skipped_updates": self.skipped_updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken."""
        self.policy.load_state_dict(state["policy"])
        self.normaliser.load_state_dict(state["normaliser"])
        self.optimiser.load_state_dict(state["optimiser"])
        observation = state["observation"]
        self.observation = None if observation is None else observation.to(self.normaliser.mean)
        self.steps, self.updates = state["steps"], state["updates"]
        self.skipped_updates = state["skipped_updates"]


def _collect_episodes(window: Window, info: dict[str, Any]) -> None:
    """Notes the statistics of the episodes that ended in this step."""
    ended = _plain(info["_episode_return"])
    if bool(ended.any()):
        window.episode_returns += _plain(info["episode_return"])[ended].tolist()
        window.episode_lengths += _plain(info["episode_length"])[ended].tolist()
        if "success" in info["final_info"]:
            window.successes += _plain(info["final_info"]["success"])[ended].to(torch.float64).tolist()


def _plain(value: torch.Tensor) -> torch.Tensor:
    """The tensor without its subclass: the fast path inside an agent."""
    return value.as_subclass(torch.Tensor)
