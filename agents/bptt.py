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

from dataclasses import dataclass
from typing import Any

import torch

from agents.core.agent import Agent, linear_schedule, plain
from agents.core.config import NetConfig, bounded
from agents.core.constraints import BETAS, POSITIVE, RATE, UNIT, WHOLE, WIDTHS
from agents.core.nets import SquashedPolicy
from agents.core.optimiser import Optimiser, checked_step
from agents.core.report import update_scalars
from agents.core.returns import window_return
from agents.core.rollout import Stopwatch, Window, collect


@dataclass(frozen=True)
class BPTTConfig(NetConfig):
    """Hyper-parameters of BPTT."""

    window: int = bounded(25, WHOLE)
    """Control steps in a window, H."""
    gamma: float = bounded(0.99, UNIT)
    """Discount per control step."""
    learning_rate: float = bounded(1e-2, POSITIVE)
    """Adam's learning rate at the start."""
    final_learning_rate: float = bounded(1e-5, RATE)
    """Learning rate at the end; linear in between."""
    betas: tuple[float, float] = bounded((0.7, 0.95), BETAS)
    """Adam's decay rates of the first and second moment."""
    survival_width: float = bounded(0.02, RATE)
    """Distance (m, rad) from a bound that ends the task, over which the probability of survival falls, which weights
    all rewards that come later; 0: none."""
    max_grad_norm: float = bounded(1.0, POSITIVE)
    """Global gradient norm beyond which a gradient is scaled down."""
    hidden: tuple[int, ...] = bounded((64, 64), WIDTHS)
    """Widths of the policy's hidden layers."""


class BPTT(Agent):
    """The agent: a policy, its optimiser and where it stands in its environment."""

    name = "bptt"
    differentiable = True
    config: BPTTConfig

    def __init__(self, config: BPTTConfig, env: Any, seed: int, total_steps: int):
        """See `Agent`."""
        super().__init__(config, env, seed, total_steps, config.encoder)
        self.policy = SquashedPolicy(self.layout, self.low, self.high, config.hidden, seed)
        self.optimiser = Optimiser(
            self.policy,
            learning_rate=config.learning_rate,
            betas=config.betas,
            max_grad_norm=config.max_grad_norm,
        )
        self.parts |= {"policy": self.policy, "optimiser": self.optimiser}

    @torch.no_grad()
    def act(self, observation: torch.Tensor, deterministic: bool = True) -> torch.Tensor:
        """See `Agent`; the policy is deterministic in any case."""
        return self.policy(self.normaliser(plain(observation)))

    def update(self, env: Any) -> dict[str, float]:
        """Rolls one window out and takes one gradient step; returns scalars by TensorBoard tag."""
        observation = self.start(env)
        watch = Stopwatch(env)
        window = self._roll_out(env, observation)
        survival = window.survival(self.config.survival_width)
        loss = -window_return(window.reward, window.done, window.valid, self.config.gamma, survival=survival)
        watch.lap("forward")
        self.optimiser.learning_rate = linear_schedule(
            self.config.learning_rate, self.config.final_learning_rate, self.progress()
        )
        step = checked_step(self.optimiser, loss, env, window.first_nonfinite)
        watch.lap("backward")
        self.observation = window.last_observation
        self.count(window.reward.numel(), step.skipped)
        scalars = update_scalars(window, loss, step, self.optimiser.learning_rate, self.skipped_updates)
        return scalars | watch.scalars(window.reward.numel())

    def _roll_out(self, env: Any, observation: torch.Tensor) -> Window:
        return collect(env, observation, self.config.window, lambda t, o: self.policy(o), self.normaliser)
