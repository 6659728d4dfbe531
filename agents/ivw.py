"""IVW: first- and zeroth-order policy gradients of the same rollouts, mixed step by step by their inverse variances.

With u_t = mu_theta(o_t) + sigma z_t the action before squashing, where z_t = rho z_t-1 + sqrt(1 - rho^2) eps_t may last
(`exploration_correlation` rho), both estimate the gradient of the objective by the mean of u_t:

    first order   g1_t = dJ/du_t, through the simulator,
    zeroth order  g0_t = (A_t eps_t - rho A_t+1 eps_t+1) / (sigma sqrt(1 - rho^2)), the likelihood ratio and a baseline,
                  A_t = gamma^(t - t_seg) / (N H)  (y_t - V'(s_t)), its second part only within an episode and window,

where y_t is the TD(lambda) target of the critic. Over the N environments of a step they have variances v1_t, v0_t and
a covariance c_t (traces), and g_t = w_t g1_t + (1 - w_t) g0_t with w_t = (v0_t - c_t) / (v0_t + v1_t - 2 c_t) has the
least variance of all mixtures. log sigma likewise, with g1_t sigma z_t and g0_t sigma z_t - A_t. The rest is SHAC (see
there).

Sources: Parmas et al., "PIPPS" (ICML 2018), total propagation; Suh et al., "Do differentiable simulators give better
policy gradients?" (ICML 2022), which mixes by one weight a rollout.

Differences from the papers:
- The weight belongs to a step of the window, not to a rollout: far from the window's end the adjoint is noisy, near it
  it is not. Both estimators use the same rollouts; there are no perturbed ones.
- The zeroth-order advantage is a TD(lambda) one.
- The likelihood is that of the whole sequence of actions, where the exploration lasts.
- A step whose first-order gradients are not finite is left to the zeroth order, and the weight has an upper bound.
- Those of SHAC here.
"""

from dataclasses import dataclass
from typing import Any

import torch

from agents.core.config import bounded
from agents.core.constraints import PART
from agents.core.distributed import mean_
from agents.core.first_order import TargetAgent, TargetConfig
from agents.core.optimiser import checked_step
from agents.core.returns import segment_discounts
from agents.core.rollout import Window, collect


@dataclass(frozen=True)
class IVWConfig(TargetConfig):
    """Hyper-parameters of IVW: those of SHAC."""

    lam: float = bounded(0.95, PART)
    """Weight of longer returns in the critic's targets and in the advantage, lambda."""
    first_order_limit: float = bounded(1.0, PART)
    """Largest weight of the first order, whatever the variances: what jumps hide from slopes, such as a fall, is a
    bias, and shows in no variance."""


class IVW(TargetAgent):
    """The agent: a stochastic policy, a critic and the critic's slow copy."""

    name = "ivw"
    config: IVWConfig

    def update(self, env: Any) -> dict[str, float]:
        """One epoch: window, both gradients, actor, critic, target; returns scalars by TensorBoard tag."""
        observation, watch = self.begin(env)
        window, means, noise = self._roll_out(env, observation)  # noise from one step before on
        loss = self._actor_loss(window)
        watch.lap("forward")
        first = first_order(loss, means)
        watch.lap("backward")
        x, target = self._critic_data(window)
        score = self._score(window, x, target)
        std = self.policy.log_std.detach().exp()
        zeroth = self._zeroth_order(window, score, noise) / std
        weight = first_order_weight(first, zeroth).clamp(max=self.config.first_order_limit)
        by_mean = torch.where(weight > 0, weight * first, 0.0) + (1.0 - weight) * zeroth
        by_log_std = torch.where(weight > 0, weight * first * std * noise[1:], 0.0)
        by_log_std = by_log_std + (1.0 - weight) * (zeroth * std * noise[1:] - score)
        surrogate = -(by_mean * self.policy.mean(x) + by_log_std * self.policy.log_std).sum()
        step = checked_step(self.actor_optimiser, surrogate, env, window.first_nonfinite)
        watch.lap("mixing")
        fit = self.fit(window, x, target, self.config.critic_minibatches)
        self.target.follow(self.critics, self.config.target_decay)
        watch.lap("critic")
        more = {
            "charts/exploration_std": std.mean().item(),
            "charts/value_target": target.mean().item(),
            "gradients/first_order_weight": weight.mean().item(),
        }
        return self.finish(window, loss, step, fit.scalars() | more, watch)

    def _roll_out(self, env: Any, observation: torch.Tensor) -> tuple[Window, list[torch.Tensor], torch.Tensor]:
        """Also the policy's means, H of (B, A) with the graph, and the noise (1 + H, B, A), that before first."""
        steps = self.config.window
        noise = self.exploration(env, steps, before=1)
        means = []

        def policy(t: int, x: torch.Tensor) -> torch.Tensor:
            means.append(self.policy.mean(x))
            return self.policy.squashed(means[-1], noise[t + 1])

        return collect(env, observation, steps, policy, self.normaliser), means, noise

    def _actor_loss(self, window: Window) -> torch.Tensor:
        """-J, SHAC's."""
        return -self.objective(window, window.reward, self.target_value)

    def _critic_data(self, window: Window) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised observations (H, B, O) and their targets y (H, B)."""
        return self.critic_data(window, window.reward, self.target_value)

    @torch.no_grad()
    def _score(self, window: Window, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """gamma^(t - t_seg) / (N H) (y_t - V'(s_t)), (H, B, 1)."""
        value = self.target(x.reshape(-1, self.observation_size))[0].reshape(target.shape)
        survival = window.survival(self.config.survival_width)
        discount = segment_discounts(window.done, self.config.gamma, survival).to(target.dtype) / target.numel()
        return torch.where(window.valid, discount * (target - value), 0.0)[..., None]

    def _zeroth_order(self, window: Window, score: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """sigma g0 (H, B, A) from A (H, B, 1) and z (1 + H, B, A), that before the window first."""
        rho = self.config.exploration_correlation
        own = score * (noise[1:] - rho * noise[:-1]) / (1.0 - rho * rho)
        later = torch.where(window.done[:-1, :, None], 0.0, own[1:])
        return own - rho * torch.cat([later, torch.zeros_like(own[:1])])


def first_order(loss: torch.Tensor, means: list[torch.Tensor]) -> torch.Tensor:
    """g1 (H, B, A): the gradient of -loss by each step's means, with all that follows from them."""
    gradients = torch.autograd.grad(loss, means, allow_unused=True)
    filled = [torch.zeros_like(m) if g is None else g for m, g in zip(means, gradients, strict=True)]
    return -torch.stack(filled).detach()


def first_order_weight(first: torch.Tensor, zeroth: torch.Tensor) -> torch.Tensor:
    """w_t = (v0_t - c_t) / (v0_t + v1_t - 2 c_t), within [0, 1], (H, 1, 1).

    Zero where the first order is not finite, one where both orders are the same.

    Args:
        first: g1 (H, B, A), this process's environments.
        zeroth: g0 (H, B, A).
    """
    c, v0 = covariance(first, zeroth), covariance(zeroth, zeroth)
    spread = covariance(zeroth - first, zeroth - first)
    weight = torch.where(spread > 0, (v0 - c) / spread, 1.0).clamp(0.0, 1.0)
    return torch.where(torch.isfinite(spread), weight, 0.0)[:, None, None].to(first.dtype)


def covariance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Trace of the covariance (H,) over the environments of all processes, of gradients (H, B, A); float64."""
    a, b = a.to(torch.float64), b.to(torch.float64)
    middle = mean_(torch.stack([a.mean(dim=1), b.mean(dim=1)]))
    return mean_(((a - middle[0, :, None]) * (b - middle[1, :, None])).sum(dim=2).mean(dim=1))
