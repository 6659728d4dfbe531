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

from agents.core.first_order import TargetAgent, TargetConfig
from agents.core.optimiser import checked_step
from agents.core.rollout import Window, collect


@dataclass(frozen=True)
class SHACConfig(TargetConfig):
    """Hyper-parameters of SHAC, all of which its descendants share.

    `window` H, `gamma`, `lam` (lambda), `target_decay` (alpha), `initial_log_std` (logstd_theta at the start); learning
    rates and passes of actor and critic; widths of their nets.
    """


class SHAC(TargetAgent):
    """The agent: a stochastic policy, a critic and the critic's slow copy."""

    name = "shac"
    config: SHACConfig

    def update(self, env: Any) -> dict[str, float]:
        """One epoch: window, actor, critic, target; returns scalars by TensorBoard tag."""
        observation, watch = self.begin(env)
        window = self._roll_out(env, observation)
        watch.lap("forward")
        loss = self._actor_loss(window)
        step = checked_step(self.actor_optimiser, loss, env, window.first_nonfinite)
        watch.lap("backward")
        x, target = self._critic_data(window)
        fit = self.fit(window, x, target, self.config.critic_minibatches)
        self.target.follow(self.critics, self.config.target_decay)  # step 4
        watch.lap("critic")
        more = {
            "charts/exploration_std": self.policy.log_std.detach().exp().mean().item(),
            "charts/value_target": target.mean().item(),
        }
        return self.finish(window, loss, step, fit.scalars() | more, watch)

    def _roll_out(self, env: Any, observation: torch.Tensor) -> Window:
        """Step 1."""
        steps = self.config.window
        noise = self.exploration(env, steps)
        return collect(env, observation, steps, lambda t, x: self.action(x, noise[t]), self.normaliser)

    def _actor_loss(self, window: Window) -> torch.Tensor:
        """Step 2: -J."""
        return -self.objective(window, window.reward, self.target_value)

    def _critic_data(self, window: Window) -> tuple[torch.Tensor, torch.Tensor]:
        """Step 3: normalised observations (H, B, O) and their targets (H, B)."""
        return self.critic_data(window, window.reward, self.target_value)
