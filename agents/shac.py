"""SHAC: short-horizon actor-critic.

In each epoch, from N parallel environments and a window of H steps:

1. Roll out a_t = tanh(mu_theta(o_t) + exp(logstd_theta) eps_t), s_t+1 = f(s_t, a_t), from a state without history.
2. Actor: J = 1/(N H) sum over segments [ sum_t gamma^(t - t_seg) r_t + gamma^K V'(s_end) ], where a segment of K steps
   lies between resets or the window's ends, V'(s_end) = 0 after a termination, and V' of the last observation before
   the reset after a truncation. theta goes up dJ/dtheta, which runs through the simulator and into V' too.
3. Critic: V_phi is fitted to TD(lambda) targets made with the same V'(s_t+1), in shuffled minibatches.
4. Target: phi' <- alpha phi' + (1 - alpha) phi.

Source: Xu et al., "Accelerated policy learning with parallel differentiable simulation" (ICLR 2022), algorithm 1.

Differences from the paper:
- Minibatches of the critic are shuffled, anew in each pass.
- A step whose gradient is not finite is skipped and counted, instead of being zeroed element by element or ending the
  run. A row that the simulator lost gives neither reward, nor bootstrap, nor value target.
- Normalised observations are clipped to +-10.
- Learning rates follow environment steps, not epochs.
"""

from dataclasses import dataclass
from typing import Any

import torch

from agents.core.agent import Agent, linear_schedule, plain
from agents.core.fitting import fit_critics
from agents.core.laws import BETAS, NUMBER, PART, POSITIVE, RATE, UNIT, WHOLE, WIDTHS, obey
from agents.core.nets import Critics, GaussianPolicy
from agents.core.noise import Noise, standard_normal
from agents.core.optimiser import Optimiser, guarded_step
from agents.core.report import update_scalars
from agents.core.returns import window_return
from agents.core.rollout import Stopwatch, Window, collect, critic_data


@dataclass(frozen=True)
class SHACConfig:
    """Hyper-parameters of SHAC."""

    window: int = 32
    """Control steps in a window, H."""
    gamma: float = 0.99
    """Discount per control step."""
    lam: float = 0.95
    """Weight of longer returns in the critic's targets, lambda."""
    actor_learning_rate: float = 2e-3
    """Adam's learning rate of the policy at the start."""
    critic_learning_rate: float = 2e-3
    """Adam's learning rate of the critic at the start."""
    final_learning_rate: float = 1e-5
    """Both learning rates at the end; linear in between."""
    betas: tuple[float, float] = (0.7, 0.95)
    """Adam's decay rates of the first and second moment."""
    max_grad_norm: float = 1.0
    """Global gradient norm, of actor and critic each, beyond which a gradient is scaled down."""
    critic_passes: int = 16
    """Passes of the critic over each window."""
    critic_minibatches: int = 4
    """Minibatches in a pass."""
    target_decay: float = 0.2
    """Part of the target critic that stays in each epoch, alpha."""
    hidden: tuple[int, ...] = (128, 64, 32)
    """Widths of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] = (64, 64)
    """Widths of the critic's hidden layers."""
    initial_log_std: float = -1.0
    """Of the exploration, before tanh, at the start."""

    def __post_init__(self) -> None:
        """Raises GenesisValueError where a number breaks its law."""
        whole = dict.fromkeys(("window", "critic_passes", "critic_minibatches"), WHOLE)
        positive = dict.fromkeys(("actor_learning_rate", "critic_learning_rate", "max_grad_norm"), POSITIVE)
        other = {"gamma": UNIT, "lam": PART, "target_decay": PART, "final_learning_rate": RATE, "betas": BETAS}
        nets = {"hidden": WIDTHS, "critic_hidden": WIDTHS, "initial_log_std": NUMBER}
        obey(self, whole | positive | other | nets)


class SHAC(Agent):
    """The agent: a stochastic policy, a critic and the critic's slow copy."""

    name = "shac"
    differentiable = True
    config: SHACConfig

    def __init__(self, config: SHACConfig, env: Any, seed: int, total_steps: int):
        """See `Agent`."""
        super().__init__(config, env, seed, total_steps)
        self.policy = GaussianPolicy(
            self.observation_size, self.low, self.high, config.hidden, seed, config.initial_log_std
        )
        self.critics, self.target = (
            Critics(self.observation_size, config.critic_hidden, 1, seed, self.low) for _ in range(2)
        )
        self.actor_optimiser, self.critic_optimiser = (
            Optimiser(net, learning_rate=rate, betas=config.betas, max_grad_norm=config.max_grad_norm)
            for net, rate in (
                (self.policy, config.actor_learning_rate),
                (self.critics, config.critic_learning_rate),
            )
        )
        self.noise = Noise(seed, "exploration", self.low)
        self.parts |= {
            "policy": self.policy,
            "critics": self.critics,
            "target": self.target,
            "actor_optimiser": self.actor_optimiser,
            "critic_optimiser": self.critic_optimiser,
        }

    @torch.no_grad()
    def act(self, observation: torch.Tensor, deterministic: bool = True) -> torch.Tensor:
        """See `Agent`."""
        observation = self.normaliser(plain(observation))
        noise = None if deterministic else standard_normal(len(observation), self.action_size, observation)
        return self.policy(observation, noise)

    def update(self, env: Any) -> dict[str, float]:
        """One epoch: window, actor, critic, target; returns scalars by TensorBoard tag."""
        observation = self.start(env)
        watch = Stopwatch(env)
        config = self.config
        for optimiser, first in (
            (self.actor_optimiser, config.actor_learning_rate),
            (self.critic_optimiser, config.critic_learning_rate),
        ):
            optimiser.learning_rate = linear_schedule(first, config.final_learning_rate, self.progress())

        window = self._roll_out(env, observation)
        watch.lap("forward")
        loss = self._actor_loss(window)
        step = guarded_step(self.actor_optimiser, loss, env, window.first_nonfinite)
        watch.lap("backward")
        x, target = self._critic_data(window)
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
        self._update_target()
        watch.lap("critic")
        self.observation = window.last_observation
        self.count(window.reward.numel(), step.skipped)
        scalars = update_scalars(window, loss, step, self.actor_optimiser.learning_rate, self.skipped_updates)
        std = self.policy.log_std.detach().exp().mean().item()
        more = {"charts/exploration_std": std, "charts/value_target": target.mean().item()}
        return scalars | fit.scalars() | more | watch.scalars(window.reward.numel())

    def _roll_out(self, env: Any, observation: torch.Tensor) -> Window:
        """Step 1."""
        steps = self.config.window
        noise = self.noise.normal(self.steps_each(env), steps, env.streams.env_ids, self.action_size)
        return collect(env, observation, steps, lambda t, o: self.policy(o, noise[t]), self.normaliser)

    def _actor_loss(self, window: Window) -> torch.Tensor:
        """Step 2: -J."""
        end_value = window.end_value(lambda o: self.target(self.normaliser(o))[0])
        return -window_return(window.reward, window.done, window.valid, self.config.gamma, end_value)

    def _critic_data(self, window: Window) -> tuple[torch.Tensor, torch.Tensor]:
        """Step 3: normalised observations (H, B, O) and their targets (H, B)."""
        config = self.config
        return critic_data(
            window, window.reward, lambda x: self.target(x)[0], self.normaliser, config.gamma, config.lam
        )

    @torch.no_grad()
    def _update_target(self) -> None:
        """Step 4."""
        for slow, fast in zip(self.target.parameters(), self.critics.parameters(), strict=True):
            slow.lerp_(fast, 1.0 - self.config.target_decay)
