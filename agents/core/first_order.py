"""What agents share that learn from windows of first-order gradients and a critic: SHAC and what comes from it.

Each of their files says in its paper's order what is its own: the window, the objective, the critics' targets.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from agents.core.adjoint import CotangentBound
from agents.core.agent import Agent, linear_schedule, plain
from agents.core.config import NetConfig, bounded
from agents.core.constraints import BELOW_ONE, BETAS, LIMIT, NUMBER, PART, POSITIVE, RATE, UNIT, WHOLE, WIDTHS
from agents.core.fitting import Fit, fit_critics
from agents.core.nets import Critics, GaussianPolicy
from agents.core.noise import Noise, standard_normal
from agents.core.optimiser import Optimiser, Step
from agents.core.report import update_scalars
from agents.core.returns import window_return
from agents.core.rollout import Stopwatch, Window, critic_data

Value = Callable[[torch.Tensor], torch.Tensor]
"""Maps normalised observations (M, O) to values (M,)."""


@dataclass(frozen=True)
class FirstOrderConfig(NetConfig):
    """Abstract: hyper-parameters of an actor and critics that learn from windows."""

    gamma: float = bounded(0.99, UNIT)
    """Discount per control step."""
    lam: float = bounded(0.95, PART)
    """Weight of longer returns in the critics' targets, lambda."""
    survival_width: float = bounded(0.02, RATE)
    """Distance (m, rad) from a bound that ends the task, over which the probability of survival falls, which weights
    all that comes later in returns and targets; 0: none. Episodes end at the bound, and evaluations know no other
    end."""
    cotangent_limit: float | None = bounded(None, LIMIT)
    """Largest cotangent of an environment's state after a step, in medians over the batch; a larger one is scaled down,
    one that is not finite is left out. None: no limit."""
    exploration_correlation: float = bounded(0.0, BELOW_ONE)
    """Correlation of the exploration in one control step with that in the next one, rho; 0: white noise. It then lasts
    for about 1 / (1 - rho) control steps, so that an actuator of which one step moves little sees far places."""
    actor_learning_rate: float = bounded(2e-3, POSITIVE)
    """Adam's learning rate of the policy at the start."""
    critic_learning_rate: float = bounded(2e-3, POSITIVE)
    """Adam's learning rate of the critics at the start."""
    final_learning_rate: float = bounded(1e-5, RATE)
    """Both learning rates at the end; linear in between."""
    betas: tuple[float, float] = bounded((0.7, 0.95), BETAS)
    """Adam's decay rates of the first and second moment."""
    max_grad_norm: float = bounded(1.0, POSITIVE)
    """Global gradient norm, of each optimiser, beyond which a gradient is scaled down."""
    critic_passes: int = bounded(16, WHOLE)
    """Passes of the critics over each window, at most."""
    hidden: tuple[int, ...] = bounded((128, 64, 32), WIDTHS)
    """Widths of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] = bounded((64, 64), WIDTHS)
    """Widths of the critics' hidden layers."""


@dataclass(frozen=True)
class WindowConfig(FirstOrderConfig):
    """Abstract: the same with a window of fixed length."""

    window: int = bounded(32, WHOLE)
    """Control steps in a window, H."""
    critic_minibatches: int = bounded(4, WHOLE)
    """Minibatches in a pass of the critics."""


@dataclass(frozen=True)
class TargetConfig(WindowConfig):
    """Abstract: the same with a slow copy of the critic, and an exploration that no observation changes."""

    target_decay: float = bounded(0.2, PART)
    """Part of the target critic that stays in each epoch, alpha."""
    initial_log_std: float = bounded(-1.0, NUMBER)
    """Of the exploration, before tanh, at the start."""


class FirstOrderAgent(Agent):
    """Abstract: the parts of an update, in the order in which `update` calls them."""

    differentiable = True
    config: FirstOrderConfig
    policy: nn.Module
    critics: Critics

    def __init__(self, config: FirstOrderConfig, env: Any, seed: int, total_steps: int):
        """See `Agent`; an agent makes policy and critics, then calls `make_optimisers`."""
        super().__init__(config, env, seed, total_steps, config.encoder)
        self.noise = Noise(seed, "exploration", self.low)
        limit = config.cotangent_limit
        self.bound = None if limit is None else CotangentBound(limit)

    def make_optimisers(self, weight_decay: float = 0.0) -> None:
        """Of policy and critics; what all of these learn is saved."""
        config = self.config
        self.actor_optimiser = self.optimiser(self.policy, config.actor_learning_rate, weight_decay)
        self.critic_optimiser = self.optimiser(self.critics, config.critic_learning_rate, weight_decay)
        for part in ("policy", "critics", "actor_optimiser", "critic_optimiser"):
            self.parts[part] = getattr(self, part)

    def optimiser(self, net: nn.Module, learning_rate: float, weight_decay: float = 0.0) -> Optimiser:
        """Of a net, with the configuration's decay rates and clipping."""
        config = self.config
        return Optimiser(
            net,
            learning_rate=learning_rate,
            betas=config.betas,
            max_grad_norm=config.max_grad_norm,
            weight_decay=weight_decay,
        )

    @abstractmethod
    def action(self, x: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        """a (B, A) for normalised observations (B, O) and standard normal noise (B, A); None: without exploration."""

    @torch.no_grad()
    def act(self, observation: torch.Tensor, deterministic: bool = True) -> torch.Tensor:
        """See `Agent`."""
        observation = self.normaliser(plain(observation))
        noise = None if deterministic else standard_normal(len(observation), self.action_size, observation)
        return self.action(observation, noise)

    def begin(self, env: Any) -> tuple[torch.Tensor, Stopwatch]:
        """The present observation (B, O) and a watch, at the learning rates of this update."""
        observation, watch, config = self.start(env), Stopwatch(env), self.config
        env.pull_through(self.bound)
        last, done = config.final_learning_rate, self.progress()
        self.actor_optimiser.learning_rate = linear_schedule(config.actor_learning_rate, last, done)
        self.critic_optimiser.learning_rate = linear_schedule(config.critic_learning_rate, last, done)
        return observation, watch

    def exploration(self, env: Any, steps: int, before: int = 0) -> torch.Tensor:
        """The standard normal noise (H, B, A) of the next `steps` steps, after that of the `before` last ones."""
        correlation, first, ids = self.config.exploration_correlation, self.steps_each(env), env.streams.env_ids
        return self.noise.correlated(first - before, steps + before, ids, self.action_size, correlation)

    def objective(self, window: Window, reward: torch.Tensor, value: Value) -> torch.Tensor:
        """J (): see `window_return`, with `value` where a segment ends without a termination.

        Where the task has bounds, also in place of what a termination loses.
        """
        survival = window.survival(self.config.survival_width)
        end_value = window.end_value(lambda o: value(self.normaliser(o)))
        if survival is not None:
            end_value = end_value + window.lost_value(lambda o: value(self.normaliser(o)))
        return window_return(reward, window.done, window.valid, self.config.gamma, end_value, survival)

    def critic_data(self, window: Window, reward: torch.Tensor, value: Value) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised observations (H, B, O) and their TD(lambda) targets (H, B), by V(s_t+1) from `value`."""
        config, survival = self.config, window.survival(self.config.survival_width)
        return critic_data(window, reward, value, self.normaliser, config.gamma, config.lam, survival)

    def fit(
        self,
        window: Window,
        x: torch.Tensor,
        target: torch.Tensor,
        minibatches: int,
        settled: Callable[[list[float]], bool] | None = None,
    ) -> Fit:
        """Passes of the critics over a window's observations and targets; see `fit_critics`."""
        passes, key = self.config.critic_passes, (self.seed, self.updates)
        return fit_critics(
            self.critics, self.critic_optimiser, x, target, window.valid, passes, minibatches, key, settled
        )

    def finish(
        self, window: Window, loss: torch.Tensor, step: Step, scalars: dict[str, float], watch: Stopwatch
    ) -> dict[str, float]:
        """Counts the update; its scalars by TensorBoard tag: the usual ones, then these, then times."""
        self.observation = window.last_observation
        self.count(window.reward.numel(), step.skipped)
        usual = update_scalars(window, loss, step, self.actor_optimiser.learning_rate, self.skipped_updates)
        survival = window.survival(self.config.survival_width)
        if survival is not None:
            usual["charts/survival"] = survival.detach().mean().item()
        if self.bound is not None:
            usual["gradients/bounded_share"] = self.bound.taken_share()
        return usual | scalars | watch.scalars(window.reward.numel())


class TargetAgent(FirstOrderAgent):
    """Abstract: a stochastic policy, a critic and the critic's slow copy, whose value V' is what learning sees."""

    config: TargetConfig
    policy: GaussianPolicy

    def __init__(self, config: TargetConfig, env: Any, seed: int, total_steps: int):
        """See `Agent`."""
        super().__init__(config, env, seed, total_steps)
        self.policy = GaussianPolicy(self.layout, self.low, self.high, config.hidden, seed, config.initial_log_std)
        self.critics, self.target = (Critics(self.layout, config.critic_hidden, 1, seed, self.low) for _ in range(2))
        self.make_optimisers()
        self.parts["target"] = self.target

    def action(self, x: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        """tanh(mu_theta(o) + exp(logstd_theta) eps), in the action space."""
        return self.policy(x, noise)

    def target_value(self, x: torch.Tensor) -> torch.Tensor:
        """V' (M,) of normalised observations (M, O)."""
        return self.target(x)[0]
