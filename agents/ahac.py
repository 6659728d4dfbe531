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
from agents.core.config import bounded
from agents.core.constraints import LIMIT, NUMBER, POSITIVE, RATE, WHOLE
from agents.core.distributed import mean_
from agents.core.first_order import FirstOrderAgent, FirstOrderConfig
from agents.core.nets import Critics, GaussianPolicy
from agents.core.optimiser import checked_step
from agents.core.rollout import Window, collect
from genesis.errors import GenesisValueError

SETTLING_PASSES = 5


@dataclass(frozen=True)
class AHACConfig(FirstOrderConfig):
    """Hyper-parameters of AHAC: those of every first-order actor-critic, and its own."""

    min_window: int = bounded(8, WHOLE)
    """Shortest window, H_min. Control steps."""
    max_window: int = bounded(64, WHOLE)
    """Longest window, H_max."""
    first_window: int = bounded(32, WHOLE)
    """Window at the start."""
    growth_limit: float = bounded(1.25, POSITIVE)
    """Mean over the window, C, of the adjoint's norm in units of its median: 1 without growth, 1.24 for ten times."""
    contact_limit: float | None = bounded(None, LIMIT)
    """Limit C of the stiffness of contact of robots on legs, (control step x contact's frequency)^2; None: none."""
    dual_rate: float = bounded(0.05, RATE)
    """Rate a of the multipliers; falls linearly to 0."""
    horizon_rate: float = bounded(0.5, RATE)
    """Rate b of the horizon, steps per update; falls linearly to 0."""
    critic_learning_rate: float = bounded(5e-4, POSITIVE)
    """Adam's learning rate of the critics at the start."""
    critic_settled: float = bounded(0.02, RATE)
    """Mean change of the critics' loss over five passes, in units of the loss, below which they have settled."""
    critic_minibatch_steps: int = bounded(8, WHOLE)
    """Steps of all environments that make a minibatch."""
    initial_log_std: float = bounded(-1.0, NUMBER)
    """Of the exploration, before tanh, at the start."""

    def __post_init__(self) -> None:
        """Raises GenesisValueError where a field violates its constraint, or the windows are out of order."""
        super().__post_init__()
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


class AHAC(FirstOrderAgent):
    """The agent: a stochastic policy, two critics and a horizon."""

    name = "ahac"
    config: AHACConfig
    policy: GaussianPolicy

    @classmethod
    def step_outputs(cls, config: AHACConfig) -> tuple[str, ...]:
        """See `Agent`."""
        return () if config.contact_limit is None else ("contacts",)

    def __init__(self, config: AHACConfig, env: Any, seed: int, total_steps: int):
        """See `Agent`."""
        super().__init__(config, env, seed, total_steps)
        self.policy = GaussianPolicy(self.layout, self.low, self.high, config.hidden, seed, config.initial_log_std)
        self.critics = Critics(self.layout, config.critic_hidden, 2, seed, self.low)
        self.make_optimisers()
        self.horizon = Horizon(config.min_window, config.max_window, config.first_window)
        self.parts["horizon"] = self.horizon

    def update(self, env: Any) -> dict[str, float]:
        """One window: actor, critics, horizon; returns scalars by TensorBoard tag."""
        observation, watch = self.begin(env)
        config, progress = self.config, self.progress()
        window = self._roll_out(env, observation)
        watch.lap("forward")
        loss = self._actor_loss(window)
        step = checked_step(self.actor_optimiser, loss, env, window.first_nonfinite)
        watch.lap("backward")
        x, target = self._critic_data(window)
        minibatches = max(1, round(len(window.action) / config.critic_minibatch_steps))
        fit = self.fit(window, x, target, minibatches, self._settled)
        watch.lap("critic")
        blown = torch.full((len(window.action),), torch.inf, dtype=torch.float64)
        adjoint = blown if step.skipped else growth(window.probe.gradients())
        measure = adjoint / config.growth_limit
        if config.contact_limit is not None:
            measure = torch.maximum(measure, _contact(window).to(measure) / config.contact_limit)
        self.horizon.rule(measure, config.dual_rate * (1 - progress), config.horizon_rate * (1 - progress))
        more = {
            "charts/exploration_std": self.policy.log_std.detach().exp().mean().item(),
            "charts/value_target": target.mean().item(),
            "charts/horizon": self.horizon.length,
            "gradients/adjoint_growth": adjoint.mean().item(),
        }
        more |= {f"charts/{name}": value.mean().item() for name, value in window.info.items()}
        return self.finish(window, loss, step, fit.scalars() | more, watch)

    def _roll_out(self, env: Any, observation: torch.Tensor) -> Window:
        steps = self.horizon.steps
        noise = self.exploration(env, steps)
        infos = () if self.config.contact_limit is None else ("contact_stiffness",)
        return collect(env, observation, steps, lambda t, x: self.action(x, noise[t]), self.normaliser, infos)

    def action(self, x: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        """SHAC's: tanh(mu_theta(o) + exp(logstd_theta) eps), in the action space."""
        return self.policy(x, noise)

    def _value(self, x: torch.Tensor) -> torch.Tensor:
        """Of normalised observations (M, O): the smaller of the two (M,)."""
        return self.critics(x).amin(dim=0)

    def _actor_loss(self, window: Window) -> torch.Tensor:
        """Step 1."""
        return -self.objective(window, window.reward, self._value)

    def _critic_data(self, window: Window) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised observations (H, B, O) and their targets (H, B)."""
        return self.critic_data(window, window.reward, self._value)

    def _settled(self, losses: list[float]) -> bool:
        """Step 2."""
        recent = losses[-SETTLING_PASSES - 1 :]
        changes = [abs(after - before) for before, after in zip(recent[:-1], recent[1:], strict=True)]
        return len(changes) == SETTLING_PASSES and sum(changes) / len(changes) < self.config.critic_settled * losses[-1]


def _contact(window: Window) -> torch.Tensor:
    """Stiffness of contact (H,), k steps before the window's end, averaged over environments and processes."""
    return mean_(window.info["contact_stiffness"].mean(dim=1).to(torch.float64)).flip(0)
