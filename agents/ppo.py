"""PPO: proximal policy optimisation, a zeroth-order baseline that sees rewards and never their gradients.

    A_t      =  sum_{k>=0} (gamma lambda)^k delta_t+k                      to the episode's or the window's end
    delta_t  =  r_t + gamma V(s_t+1) - V(s_t),    V = 0 behind a termination, never behind a truncation
    rho      =  pi_theta(a_t | s_t) / pi_old(a_t | s_t)
    J(theta) =  mean min(rho A, clip(rho, 1 - eps, 1 + eps) A)  +  c_H entropy  -  c_b mean max(0, |mu| - 1.1)^2
    L(phi)   =  1/2 mean max((V - G)^2, (V_clipped - G)^2),    G_t = A_t + V_old(s_t)

pi is a Gaussian with mean mu(o) and a standard deviation per action that no observation changes, in units of half the
action's range. Several epochs over shuffled minibatches of one window. Sources: Schulman et al., "Proximal policy
optimization algorithms" (2017); Schulman et al., "High-dimensional continuous control using generalized advantage
estimation" (ICLR 2016). Normalisation, bounds loss and the learning rate that follows the divergence are those of the
baseline in Xu et al., SHAC (ICLR 2022).

Differences from the papers:
- Policy and value have networks and optimisers of their own, so there is no value coefficient; their gradients are
  clipped apart.
- Observations are normalised by statistics that stand still within a window, rewards are divided by the standard
  deviation of the discounted return; advantages are normalised over the window, not over each minibatch.
- The learning rate may follow the divergence of old and new policy ("kl"), fall linearly, or stay.
- Steps whose state or reward is not finite are left out; a step of an optimiser whose loss or gradient is not finite is
  skipped and counted.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from agents.core import distributed
from agents.core.agent import Agent, plain
from agents.core.config import NetConfig, bounded
from agents.core.constraints import NUMBER, PART, POSITIVE, RATE, UNIT, WHOLE, WIDTHS, Constraint
from agents.core.fitting import own_samples
from agents.core.layout import Layout, network
from agents.core.mlp import seeded
from agents.core.noise import Noise, permutation
from agents.core.normaliser import Normaliser
from agents.core.optimiser import Optimiser, Step, checked_step, diverged
from agents.core.rollout import Stopwatch, collect

SCHEDULES = ("kl", "linear", "constant")
KL_FACTOR, KL_RATES = 1.5, (1e-6, 1e-2)
BETAS = (0.9, 0.999)
CLIP = Constraint("lie in (0, 1)", lambda x: 0 < x < 1)
SCHEDULE = Constraint(f"be one of {SCHEDULES}", lambda x: x in SCHEDULES)


@dataclass(frozen=True)
class PPOConfig(NetConfig):
    """Hyper-parameters of PPO."""

    window: int = bounded(32, WHOLE)
    """Control steps between two updates, H."""
    epochs: int = bounded(5, WHOLE)
    """Passes over a window's steps."""
    minibatches: int = bounded(4, WHOLE)
    """Minibatches in a pass."""
    gamma: float = bounded(0.99, UNIT)
    """Discount per control step."""
    lam: float = bounded(0.95, PART)
    """Decay of the advantage estimator, lambda."""
    clip: float = bounded(0.2, CLIP)
    """Half-width of the interval around 1 to which probability ratios are clipped, eps."""
    clip_value: bool = True
    """Clip the value's change to eps as well."""
    learning_rate: float = bounded(3e-4, POSITIVE)
    """Adam's learning rate at the start."""
    schedule: str = bounded("kl", SCHEDULE)
    """Of the learning rate: "kl" holds the divergence near target_kl, "linear" falls to 0, "constant" stays."""
    target_kl: float = bounded(0.008, POSITIVE)
    """Divergence of the old from the new policy that the schedule "kl" aims at."""
    entropy_coefficient: float = bounded(0.0, RATE)
    """Weight of the entropy in the policy's objective, c_H."""
    bounds_coefficient: float = bounded(1e-4, RATE)
    """Weight of the penalty on means beyond the action space, c_b."""
    max_grad_norm: float = bounded(1.0, POSITIVE)
    """Gradient norm, of policy and of value, beyond which a gradient is scaled down."""
    initial_log_std: float = bounded(0.0, NUMBER)
    """Logarithm of the exploration's standard deviation at the start, in half action ranges."""
    normalise_rewards: bool = True
    """Divide rewards by the standard deviation of the discounted return."""
    hidden: tuple[int, ...] = bounded((64, 64), WIDTHS)
    """Widths of the hidden layers of policy and value."""


def generalised_advantages(
    reward: torch.Tensor,
    value: torch.Tensor,
    next_value: torch.Tensor,
    terminated: torch.Tensor,
    done: torch.Tensor,
    valid: torch.Tensor,
    gamma: float,
    lam: float,
) -> torch.Tensor:
    """A_t (H, B) of rewards, V(s_t) and V(s_t+1), all (H, B).

    Args:
        reward: r_t.
        value: V(s_t).
        next_value: V of the state that step t led to, before any reset.
        terminated: (H, B) bool, whether the task ended there, so that nothing is to come.
        done: (H, B) bool, terminated or truncated: the sum ends, what is to come is `next_value`'s matter.
        valid: (H, B) bool; the other steps have advantage 0, and the sum of the steps before ends there.
        gamma: Discount per step.
        lam: Decay of the estimator, lambda.
    """
    delta = reward + gamma * torch.where(terminated, 0.0, next_value) - value
    delta = torch.where(valid, delta, 0.0)
    following = torch.zeros_like(delta[0])
    advantages = []
    for step in reversed(range(len(delta))):
        following = delta[step] + gamma * lam * torch.where(done[step], 0.0, following)
        following = torch.where(valid[step], following, 0.0)
        advantages.append(following)
    return torch.stack(advantages[::-1])


def clipped_objective(ratio: torch.Tensor, advantage: torch.Tensor, clip: float) -> torch.Tensor:
    """mean min(rho A, clip(rho, 1 - eps, 1 + eps) A)."""
    return mean_or_zero(torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage))


def value_loss(value: torch.Tensor, old: torch.Tensor, target: torch.Tensor, clip: float | None) -> torch.Tensor:
    """Half the mean squared error, the larger one of the value and of the value held within `clip` of the old one."""
    error = (value - target).square()
    if clip is not None:
        error = torch.maximum(error, (old + (value - old).clamp(-clip, clip) - target).square())
    return 0.5 * mean_or_zero(error)


class RelativeGaussian(nn.Module):
    """Mean of an action by a network, its standard deviation by a parameter; units of half the action's range."""

    middle: torch.Tensor
    half_width: torch.Tensor

    def __init__(self, layout: Layout | int, low: torch.Tensor, high: torch.Tensor, config: PPOConfig, seed: int):
        """Args: layout of an observation, bounds of the action (A,), hyper-parameters, seed of the weights."""
        super().__init__()
        with seeded(seed, "policy"):
            self.mean = network(layout, [*config.hidden, len(low)], layer_norm=False, last_gain=0.01).to(low)
        self.log_std = nn.Parameter(torch.full_like(low, config.initial_log_std))
        self.register_buffer("middle", 0.5 * (low + high))
        self.register_buffer("half_width", 0.5 * (high - low))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """The deterministic action (B, A), inside its bounds, for normalised observations (B, O)."""
        return self.to_action(self.mean(observation).clamp(-1.0, 1.0))

    def to_action(self, relative: torch.Tensor) -> torch.Tensor:
        """Action of its value in half ranges from the middle."""
        return torch.addcmul(self.middle, self.half_width, relative)

    def log_prob(self, mean: torch.Tensor, relative: torch.Tensor) -> torch.Tensor:
        """Log density (n,) of relative actions (n, A) under the means (n, A)."""
        scaled = (relative - mean) * torch.exp(-self.log_std)
        return -0.5 * scaled.square().sum(dim=1) - (self.log_std + 0.5 * math.log(2 * math.pi)).sum()

    def entropy(self) -> torch.Tensor:
        """Of the action, which is the same in every state."""
        return (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum()


class RewardScale:
    """1 over the standard deviation of the running discounted return, over all environments and processes."""

    def __init__(self, num_envs: int, gamma: float, like: torch.Tensor):
        """Args: number of environments, discount; `like` gives dtype and device."""
        self.gamma = gamma
        self.statistics = Normaliser(1, like)
        self.discounted = torch.zeros(num_envs, dtype=like.dtype, device=like.device)
        """(B,) the running discounted return."""

    def __call__(self, reward: torch.Tensor, done: torch.Tensor) -> torch.Tensor:
        """Rewards (H, B) by the scale so far; then counts them in. `done` (H, B) starts the running return anew."""
        self.statistics.freeze()
        seen = []
        for row, ended in zip(reward, done, strict=True):
            running = self.gamma * self.discounted + row
            seen.append(running)
            self.discounted = torch.where(ended, 0.0, running)
        self.statistics.update(torch.stack(seen)[..., None])
        return reward * self.statistics.scale

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return {"statistics": self.statistics.state_dict(), "discounted": self.discounted}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken, with its number of environments."""
        self.statistics.load_state_dict(state["statistics"])
        self.discounted = state["discounted"].to(self.discounted)


@dataclass
class Batch:
    """What is learnt from: the valid steps of a window, n rows. `observation` is normalised, `action` relative."""

    observation: torch.Tensor
    action: torch.Tensor
    mean: torch.Tensor
    log_prob: torch.Tensor
    value: torch.Tensor
    advantage: torch.Tensor
    target: torch.Tensor
    row_of: np.ndarray
    """(H, B) the row of each step of the window; -1: it is not valid."""


class PPO(Agent):
    """The agent: policy, value, their optimisers and normalisers."""

    name = "ppo"
    differentiable = False
    config: PPOConfig

    def __init__(self, config: PPOConfig, env: Any, seed: int, total_steps: int):
        """See `Agent`."""
        super().__init__(config, env, seed, total_steps, config.encoder)
        self.policy = RelativeGaussian(self.layout, self.low, self.high, config, seed)
        with seeded(seed, "value"):
            self.value = network(self.layout, [*config.hidden, 1], layer_norm=False, last_gain=1.0).to(self.low)
        options = {"learning_rate": config.learning_rate, "betas": BETAS, "max_grad_norm": config.max_grad_norm}
        self.policy_optimiser = Optimiser(self.policy, **options)
        self.value_optimiser = Optimiser(self.value, **options)
        self.reward_scale = RewardScale(env.num_envs, config.gamma, self.low)
        self.noise = Noise(seed, "exploration", self.low)
        for part in ("policy", "value", "policy_optimiser", "value_optimiser", "reward_scale"):
            self.parts[part] = getattr(self, part)

    @torch.no_grad()
    def act(self, observation: torch.Tensor, deterministic: bool = True) -> torch.Tensor:
        """See `Agent`; exploration draws from torch's generator."""
        observation = self.normaliser(plain(observation))
        if deterministic:
            return self.policy(observation)
        mean = self.policy.mean(observation)
        relative = mean + torch.exp(self.policy.log_std) * torch.randn_like(mean)
        return self.policy.to_action(relative.clamp(-1.0, 1.0))

    def update(self, env: Any) -> dict[str, float]:
        """Rolls one window out and learns from it; returns scalars by TensorBoard tag."""
        observation = self.start(env)
        watch = Stopwatch(env)
        batch, scalars = self._collect(env, observation)
        watch.lap("forward")
        scalars |= self._learn(batch)
        watch.lap("backward")
        steps = self.config.window * env.num_envs
        self.count(steps, skipped=False)
        scalars["gradients/skipped_updates"] = float(self.skipped_updates)
        return scalars | watch.scalars(steps)

    @torch.no_grad()
    def _collect(self, env: Any, observation: torch.Tensor) -> tuple[Batch, dict[str, float]]:
        """a_t ~ pi_old(o_t), then advantages by the value as it is."""
        config = self.config
        first_step = self.steps_each(env)
        noise = self.noise.normal(first_step, config.window, env.streams.env_ids, self.action_size)
        noise *= torch.exp(self.policy.log_std)
        actions = []

        def explore(t: int, normalised: torch.Tensor) -> torch.Tensor:
            actions.append(self.policy.mean(normalised) + noise[t])
            return self.policy.to_action(actions[-1])

        window = collect(env, observation, config.window, explore, self.normaliser)
        self.observation = window.last_observation
        following = window.next_observations()
        valid = window.finite()
        if not bool(valid.all()):
            self.report("Steps that are not finite were left out", window.first_nonfinite())
        reward = torch.where(valid, window.reward, 0.0)
        scaled = self.reward_scale(reward, window.done) if config.normalise_rewards else reward
        normalised = self.normaliser(window.observation)
        value = self.value(normalised).squeeze(-1)
        next_value = self.value(self.normaliser(following)).squeeze(-1)
        advantage = generalised_advantages(
            scaled, value, next_value, window.terminated, window.done, valid, config.gamma, config.lam
        )
        rows = (x.flatten(0, 1)[valid.flatten()] for x in (normalised, torch.stack(actions), value, advantage))
        normalised, action, value, advantage = rows
        mean = self.policy.mean(normalised)
        log_prob = self.policy.log_prob(mean, action)
        row_of = torch.where(valid, valid.flatten().cumsum(0).view_as(valid) - 1, -1).cpu().numpy()
        batch = Batch(normalised, action, mean, log_prob, value, standardised(advantage), value + advantage, row_of)
        return batch, window.episodes.scalars() | {
            "losses/explained_variance": 1.0 - (advantage.var() / batch.target.var().clamp_min(1e-12)).item(),
            "charts/mean_reward": reward[valid].mean().item(),
            "charts/exploration_std": torch.exp(self.policy.log_std).mean().item(),
            "charts/nonfinite_rows": float((~valid).sum()),
        }

    def _learn(self, batch: Batch) -> dict[str, float]:
        """Several epochs over the batch, in minibatches of a fresh order each; returns means over the minibatches.

        With several processes a minibatch is what it would be in a single one: each has some of its rows.
        """
        config = self.config
        if config.schedule == "linear":
            self.policy_optimiser.learning_rate = config.learning_rate * (1.0 - self.progress())
        old_log_std = self.policy.log_std.detach().clone()
        count = batch.row_of.size * distributed.world_size()
        minibatches = []
        for epoch in range(config.epochs):
            for chosen in np.array_split(permutation(self.seed, self.updates, epoch, count), config.minibatches):
                rows = batch.row_of.reshape(-1)[own_samples(chosen, batch.row_of.shape[1])]
                minibatches.append(torch.from_numpy(rows[rows >= 0]).to(self.low.device))
        shares = distributed.shares([len(rows) for rows in minibatches], self.low)
        records = [
            self._learn_from(batch, rows, share, old_log_std) for rows, share in zip(minibatches, shares, strict=True)
        ]
        names = records[0]
        return {name: float(np.mean([record[name] for record in records])) for name in names}

    def _learn_from(
        self, batch: Batch, rows: torch.Tensor, share: float, old_log_std: torch.Tensor
    ) -> dict[str, float]:
        """One step of both optimisers on some rows of the batch, whose mean weighs `share` among the processes'."""
        config = self.config
        mean = self.policy.mean(batch.observation[rows])
        ratio = torch.exp(self.policy.log_prob(mean, batch.action[rows]) - batch.log_prob[rows])
        objective = share * clipped_objective(ratio, batch.advantage[rows], config.clip)
        entropy = self.policy.entropy()
        beyond = share * mean_or_zero(torch.relu(mean.abs() - 1.1).square().sum(dim=1))
        loss = -objective - config.entropy_coefficient * entropy + config.bounds_coefficient * beyond
        with torch.no_grad():  # of the policy that the step starts from
            divergence = share * gaussian_kl(batch.mean[rows], old_log_std, mean, self.policy.log_std).item()
            clipped = share * mean_or_zero(((ratio - 1.0).abs() > config.clip).to(ratio.dtype)).item()
        divergence = distributed.mean_of(divergence, self.low)
        policy_step = self._step(self.policy_optimiser, loss)

        value = self.value(batch.observation[rows]).squeeze(1)
        clip = config.clip if config.clip_value else None
        error = share * value_loss(value, batch.value[rows], batch.target[rows], clip)
        self.value_optimiser.learning_rate = self.policy_optimiser.learning_rate
        value_step = self._step(self.value_optimiser, error)

        if config.schedule == "kl":
            rate = followed_rate(self.policy_optimiser.learning_rate, divergence, config.target_kl)
            self.policy_optimiser.learning_rate = rate
        return {
            "losses/policy_loss": loss.item(),
            "losses/value_loss": error.item(),
            "losses/entropy": entropy.item(),
            "losses/kl": divergence,
            "losses/clip_fraction": clipped,
            "gradients/norm_before_clip": policy_step.norm,
            "gradients/norm_after_clip": policy_step.clipped_norm,
            "gradients/value_norm_before_clip": value_step.norm,
            "charts/learning_rate": self.policy_optimiser.learning_rate,
        }

    def _step(self, optimiser: Optimiser, loss: torch.Tensor) -> Step:
        step = checked_step(optimiser, loss, origin=diverged, report=self.report)
        self.skipped_updates += step.skipped
        return step


def mean_or_zero(values: torch.Tensor) -> torch.Tensor:
    """Mean of values (n,); 0 of none, which a process may have in a minibatch."""
    return values.sum() / max(1, len(values))


def standardised(advantage: torch.Tensor) -> torch.Tensor:
    """Advantages (n,) less their mean, over their standard deviation, over the rows of all processes."""
    sums = torch.stack([torch.ones_like(advantage).sum(), advantage.sum(), advantage.square().sum()]).to(torch.float64)
    count, first, second = distributed.sum_(sums)
    mean = first / count
    deviation = (second / count - mean.square()).clamp_min(0.0).sqrt()
    return (advantage - mean.to(advantage)) / (deviation.to(advantage) + 1e-8)


def gaussian_kl(
    mean: torch.Tensor, log_std: torch.Tensor, other_mean: torch.Tensor, other_log_std: torch.Tensor
) -> torch.Tensor:
    """Mean over rows of KL(N(mean, std^2) || N(other_mean, other_std^2)), summed over dimensions."""
    variance = torch.exp(2 * log_std) + (mean - other_mean).square()
    terms = other_log_std - log_std + 0.5 * variance * torch.exp(-2 * other_log_std) - 0.5
    return mean_or_zero(terms.sum(dim=1))


def followed_rate(rate: float, divergence: float, target: float) -> float:
    """The learning rate after a step: a factor down beyond twice the target divergence, up below half of it."""
    if divergence > 2.0 * target:
        rate /= KL_FACTOR
    elif divergence < 0.5 * target:
        rate *= KL_FACTOR
    return min(max(rate, KL_RATES[0]), KL_RATES[1])
