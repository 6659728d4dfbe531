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

from agents.core.agent import Agent, linear_schedule, plain
from agents.core.distributed import mean_
from agents.core.fitting import fit_critics
from agents.core.laws import BETAS, PART, POSITIVE, RATE, UNIT, WHOLE, WIDTHS, obey
from agents.core.nets import Critics, StateGaussianPolicy
from agents.core.noise import Noise, standard_normal
from agents.core.optimiser import Optimiser, Step, guarded_step
from agents.core.report import update_scalars
from agents.core.returns import window_return
from agents.core.rollout import Stopwatch, Window, collect, critic_data


@dataclass(frozen=True)
class SAPOConfig:
    """Hyper-parameters of SAPO."""

    window: int = 32
    """Control steps in a window, H."""
    gamma: float = 0.99
    """Discount per control step."""
    lam: float = 0.95
    """Weight of longer returns in the critics' targets, lambda."""
    actor_learning_rate: float = 2e-3
    """AdamW's learning rate of the policy at the start."""
    critic_learning_rate: float = 5e-4
    """AdamW's learning rate of the critics at the start."""
    final_learning_rate: float = 1e-5
    """Both learning rates at the end; linear in between."""
    betas: tuple[float, float] = (0.7, 0.95)
    """AdamW's decay rates of the first and second moment."""
    weight_decay: float = 0.01
    """AdamW's decay of weights per unit of learning rate."""
    max_grad_norm: float = 0.5
    """Global gradient norm, of actor, critics and temperature each, beyond which a gradient is scaled down."""
    initial_temperature: float = 1.0
    """Alpha at the start."""
    temperature_learning_rate: float = 5e-3
    """Adam's learning rate of log alpha."""
    squashed_entropy: bool = True
    """Take the entropy of the squashed action (one sample) instead of that of the Gaussian before it (analytic)."""
    critic_passes: int = 16
    """Passes of the critics over each window."""
    critic_minibatches: int = 4
    """Minibatches in a pass."""
    hidden: tuple[int, ...] = (128, 64, 32)
    """Widths of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] = (64, 64)
    """Widths of the critics' hidden layers."""

    def __post_init__(self) -> None:
        """Raises GenesisValueError where a number breaks its law."""
        whole = dict.fromkeys(("window", "critic_passes", "critic_minibatches"), WHOLE)
        rates = ("actor_learning_rate", "critic_learning_rate", "temperature_learning_rate")
        positive = dict.fromkeys((*rates, "max_grad_norm", "initial_temperature"), POSITIVE)
        other = {"gamma": UNIT, "lam": PART, "final_learning_rate": RATE, "weight_decay": RATE, "betas": BETAS}
        obey(self, whole | positive | other | {"hidden": WIDTHS, "critic_hidden": WIDTHS})


class Temperature(nn.Module):
    """Alpha, the price of entropy, by its logarithm."""

    def __init__(self, initial: float, like: torch.Tensor):
        """Args: like: gives dtype and device."""
        super().__init__()
        self.log = nn.Parameter(torch.full((), initial, dtype=like.dtype, device=like.device).log())

    def forward(self) -> torch.Tensor:
        """Alpha (), differentiable."""
        return self.log.exp()


class SAPO(Agent):
    """The agent: a policy that says its entropy, two critics and a temperature."""

    name = "sapo"
    differentiable = True
    config: SAPOConfig

    def __init__(self, config: SAPOConfig, env: Any, seed: int, total_steps: int):
        """See `Agent`."""
        super().__init__(config, env, seed, total_steps)
        self.policy = StateGaussianPolicy(
            self.observation_size, self.low, self.high, config.hidden, seed, squashed_entropy=config.squashed_entropy
        )
        self.critics = Critics(self.observation_size, config.critic_hidden, 2, seed, self.low, "silu", gain=1.0)
        self.temperature = Temperature(config.initial_temperature, self.low)
        self.actor_optimiser, self.critic_optimiser, self.temperature_optimiser = (
            Optimiser(
                net,
                learning_rate=rate,
                betas=config.betas,
                max_grad_norm=config.max_grad_norm,
                weight_decay=decay,
            )
            for net, rate, decay in (
                (self.policy, config.actor_learning_rate, config.weight_decay),
                (self.critics, config.critic_learning_rate, config.weight_decay),
                (self.temperature, config.temperature_learning_rate, 0.0),
            )
        )
        self.target_entropy = -0.5 * self.action_size
        self.noise = Noise(seed, "exploration", self.low)
        self.parts |= {
            "policy": self.policy,
            "critics": self.critics,
            "temperature": self.temperature,
            "actor_optimiser": self.actor_optimiser,
            "critic_optimiser": self.critic_optimiser,
            "temperature_optimiser": self.temperature_optimiser,
        }

    @torch.no_grad()
    def act(self, observation: torch.Tensor, deterministic: bool = True) -> torch.Tensor:
        """See `Agent`."""
        observation = self.normaliser(plain(observation))
        noise = None if deterministic else standard_normal(len(observation), self.action_size, observation)
        return self.policy(observation, noise)[0]

    def update(self, env: Any) -> dict[str, float]:
        """One window: actor, critics, temperature; returns scalars by TensorBoard tag."""
        observation = self.start(env)
        watch = Stopwatch(env)
        config = self.config
        for optimiser, first in (
            (self.actor_optimiser, config.actor_learning_rate),
            (self.critic_optimiser, config.critic_learning_rate),
        ):
            optimiser.learning_rate = linear_schedule(first, config.final_learning_rate, self.progress())

        window, entropy = self._roll_out(env, observation)
        reward = self._soft_reward(window.reward, entropy)
        watch.lap("forward")
        loss = self._actor_loss(window, reward)
        step = guarded_step(self.actor_optimiser, loss, env, window.first_nonfinite, self.report)
        watch.lap("backward")
        x, target = self._critic_data(window, reward.detach())
        fit = fit_critics(
            self.critics,
            self.critic_optimiser,
            x,
            target,
            window.valid,
            config.critic_passes,
            config.critic_minibatches,
            key=(self.seed, self.updates),
        )
        watch.lap("critic")
        mean_entropy = mean_(entropy.detach().mean())
        self._temperature_step(mean_entropy)
        self.observation = window.last_observation
        self.count(window.reward.numel(), step.skipped)
        scalars = update_scalars(window, loss, step, self.actor_optimiser.learning_rate, self.skipped_updates)
        more = {
            "charts/entropy": mean_entropy.item(),
            "charts/temperature": self.temperature().item(),
            "charts/value_target": target.mean().item(),
        }
        return scalars | fit.scalars() | more | watch.scalars(window.reward.numel())

    def _roll_out(self, env: Any, observation: torch.Tensor) -> tuple[Window, torch.Tensor]:
        """Step 1; also the entropies (H, B) in the states before each step, differentiable."""
        steps = self.config.window
        noise = self.noise.normal(self.steps_each(env), steps, env.streams.env_ids, self.action_size)
        entropies = []

        def policy(t: int, x: torch.Tensor) -> torch.Tensor:
            action, entropy = self.policy(x, noise[t])
            entropies.append(entropy)
            return action

        window = collect(env, observation, steps, policy, self.normaliser)
        return window, torch.stack(entropies)

    def _soft_reward(self, reward: torch.Tensor, entropy: torch.Tensor) -> torch.Tensor:
        """r_t + alpha h~_t (H, B)."""
        size = abs(self.target_entropy)
        return reward + self.temperature().detach() * (entropy + size) / (2.0 * size)

    def _actor_loss(self, window: Window, reward: torch.Tensor) -> torch.Tensor:
        """Step 2."""
        end_value = window.end_value(lambda o: self.critics(self.normaliser(o)).mean(dim=0))
        return -window_return(reward, window.done, window.valid, self.config.gamma, end_value)

    def _critic_data(self, window: Window, reward: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Step 3: normalised observations (H, B, O) and their targets (H, B)."""
        config, smaller = self.config, lambda x: self.critics(x).amin(dim=0)
        return critic_data(window, reward, smaller, self.normaliser, config.gamma, config.lam)

    def _temperature_step(self, mean_entropy: torch.Tensor) -> Step:
        """Step 4."""
        size = abs(self.target_entropy)
        loss = self.temperature() * size * (mean_entropy - self.target_entropy)
        return guarded_step(self.temperature_optimiser, loss, report=self.report)
