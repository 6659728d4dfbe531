"""SAPO: soft analytic policy optimisation, SHAC with maximum entropy.

With h_t the entropy of the policy in s_t, Hbar = -|A| / 2 its target and h~_t = (h_t + |Hbar|) / (2 |Hbar|):

1. Roll out a squashed Gaussian whose mean and standard deviation depend on the state.
2. Actor: up the gradient of 1/(N H) sum [ sum_t gamma^t (r_t + alpha h~_t) + gamma^K mean_i V_i(s_end) ].
3. Critics: two that share nothing, without target nets, fitted to the TD(lambda) targets of r_t + alpha h~_t with
   min_i V_i(s_t+1).
4. Temperature: log alpha goes down the gradient of alpha |Hbar| (mean h - Hbar).

Source: Xing et al., "Stabilizing reinforcement learning in differentiable multiphysics simulation" (ICLR 2025).

Differences from the paper:
- V(s_t+1) is the value of the state after step t in every configuration, bootstraps and targets alike.
- The entropy is that of the squashed action, by its one sample. That of the Gaussian before it, of the published
  configurations, is there too (`squashed_entropy=False`); it has no upper bound, and where one action must balance
  (CartPoleSwingUp) the standard deviation stays at its largest, exp(2), while the temperature falls.
- Temperature and optimisers are part of the checkpoint.
- Those of SHAC here.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from agents.core.config import bounded
from agents.core.constraints import POSITIVE, RATE
from agents.core.distributed import mean_
from agents.core.first_order import FirstOrderAgent, WindowConfig
from agents.core.nets import Critics, StateGaussianPolicy
from agents.core.optimiser import Step, checked_step
from agents.core.rollout import Window, collect


@dataclass(frozen=True)
class SAPOConfig(WindowConfig):
    """Hyper-parameters of SAPO: those of every first-order actor-critic, whose Adam is AdamW here, and its own."""

    critic_learning_rate: float = bounded(5e-4, POSITIVE)
    """AdamW's learning rate of the critics at the start."""
    weight_decay: float = bounded(0.01, RATE)
    """AdamW's decay of weights per unit of learning rate."""
    max_grad_norm: float = bounded(0.5, POSITIVE)
    """Global gradient norm, of actor, critics and temperature each, beyond which a gradient is scaled down."""
    initial_temperature: float = bounded(1.0, POSITIVE)
    """Alpha at the start."""
    temperature_learning_rate: float = bounded(5e-3, POSITIVE)
    """Adam's learning rate of log alpha."""
    squashed_entropy: bool = True
    """Take the entropy of the squashed action (one sample) instead of that of the Gaussian before it (analytic)."""


class Temperature(nn.Module):
    """Alpha, the price of entropy, by its logarithm."""

    def __init__(self, initial: float, like: torch.Tensor):
        """Args: like: gives dtype and device."""
        super().__init__()
        self.log = nn.Parameter(torch.full((), initial, dtype=like.dtype, device=like.device).log())

    def forward(self) -> torch.Tensor:
        """Alpha (), differentiable."""
        return self.log.exp()


class SAPO(FirstOrderAgent):
    """The agent: a policy that says its entropy, two critics and a temperature."""

    name = "sapo"
    config: SAPOConfig
    policy: StateGaussianPolicy

    def __init__(self, config: SAPOConfig, env: Any, seed: int, total_steps: int):
        """See `Agent`."""
        super().__init__(config, env, seed, total_steps)
        self.policy = StateGaussianPolicy(
            self.layout, self.low, self.high, config.hidden, seed, squashed_entropy=config.squashed_entropy
        )
        self.critics = Critics(self.layout, config.critic_hidden, 2, seed, self.low, "silu", gain=1.0)
        self.make_optimisers(config.weight_decay)
        self.temperature = Temperature(config.initial_temperature, self.low)
        self.temperature_optimiser = self.optimiser(self.temperature, config.temperature_learning_rate)
        self.target_entropy = -0.5 * self.action_size
        self.parts |= {"temperature": self.temperature, "temperature_optimiser": self.temperature_optimiser}

    def update(self, env: Any) -> dict[str, float]:
        """One window: actor, critics, temperature; returns scalars by TensorBoard tag."""
        observation, watch = self.begin(env)
        window, entropy = self._roll_out(env, observation)
        reward = self._soft_reward(window.reward, entropy)
        watch.lap("forward")
        loss = self._actor_loss(window, reward)
        step = checked_step(self.actor_optimiser, loss, env, window.first_nonfinite, self.report)
        watch.lap("backward")
        x, target = self._critic_data(window, reward.detach())
        fit = self.fit(window, x, target, self.config.critic_minibatches)
        watch.lap("critic")
        mean_entropy = mean_(entropy.detach().mean())
        self._temperature_step(mean_entropy)
        more = {
            "charts/entropy": mean_entropy.item(),
            "charts/temperature": self.temperature().item(),
            "charts/value_target": target.mean().item(),
        }
        return self.finish(window, loss, step, fit.scalars() | more, watch)

    def _roll_out(self, env: Any, observation: torch.Tensor) -> tuple[Window, torch.Tensor]:
        """Step 1; also the entropies (H, B) in the states before each step, differentiable."""
        steps = self.config.window
        noise = self.exploration(env, steps)
        entropies = []

        def policy(t: int, x: torch.Tensor) -> torch.Tensor:
            action, entropy = self.policy(x, noise[t])
            entropies.append(entropy)
            return action

        window = collect(env, observation, steps, policy, self.normaliser)
        return window, torch.stack(entropies)

    def action(self, x: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        """Of the squashed Gaussian, without its entropy."""
        return self.policy(x, noise)[0]

    def _soft_reward(self, reward: torch.Tensor, entropy: torch.Tensor) -> torch.Tensor:
        """r_t + alpha h~_t (H, B)."""
        size = abs(self.target_entropy)
        return reward + self.temperature().detach() * (entropy + size) / (2.0 * size)

    def _actor_loss(self, window: Window, reward: torch.Tensor) -> torch.Tensor:
        """Step 2."""
        return -self.objective(window, reward, lambda x: self.critics(x).mean(dim=0))

    def _critic_data(self, window: Window, reward: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Step 3: normalised observations (H, B, O) and their targets (H, B)."""
        return self.critic_data(window, reward, lambda x: self.critics(x).amin(dim=0))

    def _temperature_step(self, mean_entropy: torch.Tensor) -> Step:
        """Step 4."""
        size = abs(self.target_entropy)
        loss = self.temperature() * size * (mean_entropy - self.target_entropy)
        return checked_step(self.temperature_optimiser, loss, report=self.report)
