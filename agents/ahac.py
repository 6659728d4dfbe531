"""AHAC: adaptive-horizon actor-critic.

SHAC (see there) with:

1. Two critics that share nothing. The value is the smaller of the two, in the actor's bootstrap and in the critics'
   TD(lambda) targets; there is no target net.
2. The critics are fitted until their loss settles: its mean change over five passes falls below a part of it.
3. A horizon H that shrinks where gradients explode and grows where they behave. With a measure f_k of the step k steps
   before the window's end, its limit C, and a multiplier phi_k for each k,
       phi_k <- phi_k + a (f_k / C - 1),     H <- H - b mean_k(phi_k),     H in [H_min, H_max].

Source: Georgiev et al., "Adaptive horizon actor-critic for policy learning in contact-rich differentiable simulation"
(ICML 2024).

Differences from the paper:
- The measure is the growth of the adjoint itself: |dJ/da_t|, averaged over environments, in units of its median over
  the window. It comes with every backward pass, of any simulator. Its mean over the window is what C bounds: for a
  norm that grows by exp(x) from the window's end to its start that mean is 2 sinh(x/2) / x. With C = 1.25 the horizon
  of Ant goes to 28; with C = 2 it went to 50, and learning slowed down beyond 40. The stiffness of contact, which is
  what the paper bounds, has a limit of its own beside it (`contact_limit`); f / C is then the larger of the two. It is
  the stiffness of the points that touch, which tasks on legs report, instead of a force over an acceleration.
- f / C - 1 instead of f - C, so that rates have no units; multipliers stay within [-1, 10], so that a long calm does
  not hold a horizon up when gradients explode.
- The loss's change is taken relative to the loss, so that it settles whatever the unit of reward, and there are at most
  16 passes, not 64; minibatches have a size, not a number, so that short windows are not cut into small ones.
- The horizon starts at SHAC's 32: on Ant it learnt in 150,000 steps from there what took 600,000 from the shortest.
- Multipliers belong to distances from the window's end, where the adjoint starts, and are kept between windows.
- Those of SHAC here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from agents.core.adjoint import growth
from agents.core.agent import Agent, linear_schedule, plain
from agents.core.distributed import mean_
from agents.core.fitting import fit_critics
from agents.core.laws import BETAS, LIMIT, NUMBER, PART, POSITIVE, RATE, UNIT, WHOLE, WIDTHS, obey
from agents.core.nets import Critics, GaussianPolicy
from agents.core.noise import Noise, standard_normal
from agents.core.optimiser import Optimiser, guarded_step
from agents.core.report import update_scalars
from agents.core.returns import window_return
from agents.core.rollout import Stopwatch, Window, collect, critic_data
from genesis.errors import GenesisValueError

SETTLING_PASSES = 5


@dataclass(frozen=True)
class AHACConfig:
    """Hyper-parameters of AHAC."""

    min_window: int = 8
    """Shortest window, H_min. Control steps."""
    max_window: int = 64
    """Longest window, H_max."""
    first_window: int = 32
    """Window at the start."""
    gamma: float = 0.99
    """Discount per control step."""
    lam: float = 0.95
    """Weight of longer returns in the critics' targets, lambda."""
    growth_limit: float = 1.25
    """Mean over the window, C, of the adjoint's norm in units of its median: 1 without growth, 1.24 for ten times."""
    contact_limit: float | None = None
    """Limit C of the stiffness of contact of robots on legs, (control step x contact's frequency)^2; None: none."""
    dual_rate: float = 0.05
    """Rate a of the multipliers; falls linearly to 0."""
    horizon_rate: float = 0.5
    """Rate b of the horizon, steps per update; falls linearly to 0."""
    actor_learning_rate: float = 2e-3
    """Adam's learning rate of the policy at the start."""
    critic_learning_rate: float = 5e-4
    """Adam's learning rate of the critics at the start."""
    final_learning_rate: float = 1e-5
    """Both learning rates at the end; linear in between."""
    betas: tuple[float, float] = (0.7, 0.95)
    """Adam's decay rates of the first and second moment."""
    max_grad_norm: float = 1.0
    """Global gradient norm, of actor and critics each, beyond which a gradient is scaled down."""
    critic_passes: int = 16
    """Passes of the critics over each window, at most."""
    critic_settled: float = 0.02
    """Mean change of the critics' loss over five passes, in units of the loss, below which they have settled."""
    critic_minibatch_steps: int = 8
    """Steps of all environments that make a minibatch."""
    hidden: tuple[int, ...] = (128, 64, 32)
    """Widths of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] = (64, 64)
    """Widths of the critics' hidden layers."""
    initial_log_std: float = -1.0
    """Of the exploration, before tanh, at the start."""

    def __post_init__(self) -> None:
        """Raises GenesisValueError where a number breaks its law."""
        windows = ("min_window", "max_window", "first_window")
        whole = dict.fromkeys((*windows, "critic_passes", "critic_minibatch_steps"), WHOLE)
        limits = ("growth_limit", "actor_learning_rate", "critic_learning_rate", "max_grad_norm")
        rates = dict.fromkeys(("final_learning_rate", "dual_rate", "horizon_rate", "critic_settled"), RATE)
        other = {"gamma": UNIT, "lam": PART, "betas": BETAS, "initial_log_std": NUMBER, "contact_limit": LIMIT}
        nets = {"hidden": WIDTHS, "critic_hidden": WIDTHS}
        obey(self, whole | dict.fromkeys(limits, POSITIVE) | rates | other | nets)
        if self.max_window < self.min_window:
            raise GenesisValueError(
                f"max_window must be at least min_window = {self.min_window}, got {self.max_window}."
            )
        if not self.min_window <= self.first_window <= self.max_window:
            raise GenesisValueError(
                f"first_window must lie in [min_window, max_window] = [{self.min_window}, {self.max_window}], "
                f"got {self.first_window}."
            )


class Horizon:
    """The length of the next window, and the multipliers that move it. `rule` is step 3 of the algorithm."""

    def __init__(self, shortest: int, longest: int, first: int):
        """Args: first: the length to start with."""
        self.bounds = (shortest, longest)
        self.length = float(first)
        self.multipliers = torch.zeros(longest, dtype=torch.float64)

    @property
    def steps(self) -> int:
        """The length, a whole number."""
        return round(self.length)

    def rule(self, measure: torch.Tensor, dual_rate: float, horizon_rate: float) -> None:
        """Adapts to f_k / C (H,), k steps before the window's end; infinite where gradients were not finite."""
        phi = self.multipliers[: len(measure)]
        phi.add_(dual_rate * (measure.cpu() - 1.0).clamp_max(1e6)).clamp_(-1.0, 10.0)
        moved = self.length - horizon_rate * phi.mean().item()
        self.length = min(max(moved, float(self.bounds[0])), float(self.bounds[1]))

    def state_dict(self) -> dict[str, Any]:
        """Length and multipliers."""
        return {"length": self.length, "multipliers": self.multipliers.clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken."""
        self.length = state["length"]
        self.multipliers.copy_(state["multipliers"])


class AHAC(Agent):
    """The agent: a stochastic policy, two critics and a horizon."""

    name = "ahac"
    differentiable = True
    config: AHACConfig

    @classmethod
    def step_outputs(cls, config: AHACConfig) -> tuple[str, ...]:
        """See `Agent`."""
        return () if config.contact_limit is None else ("contacts",)

    def __init__(self, config: AHACConfig, env: Any, seed: int, total_steps: int):
        """See `Agent`."""
        super().__init__(config, env, seed, total_steps)
        self.policy = GaussianPolicy(
            self.observation_size, self.low, self.high, config.hidden, seed, config.initial_log_std
        )
        self.critics = Critics(self.observation_size, config.critic_hidden, 2, seed, self.low)
        self.actor_optimiser, self.critic_optimiser = (
            Optimiser(net, learning_rate=rate, betas=config.betas, max_grad_norm=config.max_grad_norm)
            for net, rate in (
                (self.policy, config.actor_learning_rate),
                (self.critics, config.critic_learning_rate),
            )
        )
        self.horizon = Horizon(config.min_window, config.max_window, config.first_window)
        self.noise = Noise(seed, "exploration", self.low)
        self.parts |= {
            "policy": self.policy,
            "critics": self.critics,
            "actor_optimiser": self.actor_optimiser,
            "critic_optimiser": self.critic_optimiser,
            "horizon": self.horizon,
        }

    @torch.no_grad()
    def act(self, observation: torch.Tensor, deterministic: bool = True) -> torch.Tensor:
        """See `Agent`."""
        observation = self.normaliser(plain(observation))
        noise = None if deterministic else standard_normal(len(observation), self.action_size, observation)
        return self.policy(observation, noise)

    def update(self, env: Any) -> dict[str, float]:
        """One window: actor, critics, horizon; returns scalars by TensorBoard tag."""
        observation = self.start(env)
        watch = Stopwatch(env)
        config, progress = self.config, self.progress()
        for optimiser, first in (
            (self.actor_optimiser, config.actor_learning_rate),
            (self.critic_optimiser, config.critic_learning_rate),
        ):
            optimiser.learning_rate = linear_schedule(first, config.final_learning_rate, progress)

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
            max(1, round(len(window.action) / config.critic_minibatch_steps)),
            key=(self.seed, self.updates),
            settled=self._settled,
        )
        watch.lap("critic")
        blown = torch.full((len(window.action),), torch.inf, dtype=torch.float64)
        adjoint = blown if step.skipped else growth(window.probe.gradients())
        measure = adjoint / config.growth_limit
        if config.contact_limit is not None:
            measure = torch.maximum(measure, _contact(window).to(measure) / config.contact_limit)
        self.horizon.rule(measure, config.dual_rate * (1 - progress), config.horizon_rate * (1 - progress))
        self.observation = window.last_observation
        self.count(window.reward.numel(), step.skipped)
        scalars = update_scalars(window, loss, step, self.actor_optimiser.learning_rate, self.skipped_updates)
        more = {
            "charts/exploration_std": self.policy.log_std.detach().exp().mean().item(),
            "charts/value_target": target.mean().item(),
            "charts/horizon": self.horizon.length,
            "gradients/adjoint_growth": adjoint.mean().item(),
        }
        more |= {f"charts/{name}": value.mean().item() for name, value in window.info.items()}
        return scalars | fit.scalars() | more | watch.scalars(window.reward.numel())

    def _roll_out(self, env: Any, observation: torch.Tensor) -> Window:
        steps = self.horizon.steps
        noise = self.noise.normal(self.steps_each(env), steps, env.streams.env_ids, self.action_size)
        infos = () if self.config.contact_limit is None else ("contact_stiffness",)
        return collect(env, observation, steps, lambda t, o: self.policy(o, noise[t]), self.normaliser, infos)

    def _value(self, x: torch.Tensor) -> torch.Tensor:
        """Of normalised observations (M, O): the smaller of the two (M,)."""
        return self.critics(x).amin(dim=0)

    def _actor_loss(self, window: Window) -> torch.Tensor:
        end_value = window.end_value(lambda o: self._value(self.normaliser(o)))
        return -window_return(window.reward, window.done, window.valid, self.config.gamma, end_value)

    def _critic_data(self, window: Window) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised observations (H, B, O) and their targets (H, B)."""
        config = self.config
        return critic_data(window, window.reward, self._value, self.normaliser, config.gamma, config.lam)

    def _settled(self, losses: list[float]) -> bool:
        recent = losses[-SETTLING_PASSES - 1 :]
        changes = [abs(after - before) for before, after in zip(recent[:-1], recent[1:], strict=True)]
        return len(changes) == SETTLING_PASSES and sum(changes) / len(changes) < self.config.critic_settled * losses[-1]


def _contact(window: Window) -> torch.Tensor:
    """Stiffness of contact (H,), k steps before the window's end, averaged over environments and processes."""
    return mean_(window.info["contact_stiffness"].mean(dim=1).to(torch.float64)).flip(0)
