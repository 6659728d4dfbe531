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
- Policy and value have networks and optimisers of their own, so there is no value coefficient; gradients of both are
  clipped apart.
- Observations are normalised by statistics that stand still within a window, rewards are divided by the standard
  deviation of the discounted return; advantages are normalised over the window, not over each minibatch.
- The learning rate may follow the divergence of old and new policy ("kl"), fall linearly, or stay.
- Steps whose state or reward is not finite are left out; a minibatch whose loss or gradient is not is skipped and counted.
"""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

import genesis as gs
from agents.core.episodes import Episodes
from agents.core.mlp import mlp
from agents.core.normaliser import Normaliser
from genesis.errors import GenesisValueError

SCHEDULES = ("kl", "linear", "constant")
KL_FACTOR, KL_RATES = 1.5, (1e-6, 1e-2)


@dataclass(frozen=True)
class PPOConfig:
    """Hyper-parameters of PPO."""

    window: int = 32
    """Control steps between two updates, H."""
    epochs: int = 5
    """Passes over a window's steps."""
    minibatches: int = 4
    """Minibatches in a pass."""
    gamma: float = 0.99
    """Discount per control step."""
    lambda_: float = 0.95
    """Decay of the advantage estimator, lambda."""
    clip: float = 0.2
    """Half-width of the interval around 1 to which probability ratios are clipped, eps."""
    clip_value: bool = True
    """Clip the value's change to eps as well."""
    learning_rate: float = 3e-4
    """Adam's learning rate at the start."""
    schedule: str = "kl"
    """Of the learning rate: "kl" holds the divergence near target_kl, "linear" falls to 0, "constant" stays."""
    target_kl: float = 0.008
    """Divergence of the old from the new policy that the schedule "kl" aims at."""
    entropy_coefficient: float = 0.0
    """Weight of the entropy in the policy's objective, c_H."""
    bounds_coefficient: float = 1e-4
    """Weight of the penalty on means beyond the action space, c_b."""
    max_grad_norm: float = 1.0
    """Gradient norm, of policy and of value, beyond which a gradient is scaled down."""
    initial_log_std: float = 0.0
    """Logarithm of the exploration's standard deviation at the start, in half action ranges."""
    normalise_observations: bool = True
    """Bring observations to mean 0 and variance 1."""
    normalise_rewards: bool = True
    """Divide rewards by the standard deviation of the discounted return."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers of policy and value."""

    def __post_init__(self) -> None:
        """Raises GenesisValueError where a number breaks its law."""
        for name, value, lawful, law in (
            ("window", self.window, self.window >= 1, "be at least 1"),
            ("epochs", self.epochs, self.epochs >= 1, "be at least 1"),
            ("minibatches", self.minibatches, self.minibatches >= 1, "be at least 1"),
            ("gamma", self.gamma, 0 < self.gamma <= 1, "lie in (0, 1]"),
            ("lambda_", self.lambda_, 0 <= self.lambda_ <= 1, "lie in [0, 1]"),
            ("clip", self.clip, 0 < self.clip < 1, "lie in (0, 1)"),
            ("learning_rate", self.learning_rate, 0 < self.learning_rate < math.inf, "be positive"),
            ("schedule", self.schedule, self.schedule in SCHEDULES, f"be one of {SCHEDULES}"),
            ("target_kl", self.target_kl, self.target_kl > 0, "be positive"),
            ("entropy_coefficient", self.entropy_coefficient, self.entropy_coefficient >= 0, "be at least 0"),
            ("bounds_coefficient", self.bounds_coefficient, self.bounds_coefficient >= 0, "be at least 0"),
            ("max_grad_norm", self.max_grad_norm, self.max_grad_norm > 0, "be positive"),
            ("initial_log_std", self.initial_log_std, math.isfinite(self.initial_log_std), "be finite"),
            ("hidden", self.hidden, all(width >= 1 for width in self.hidden), "be positive widths"),
        ):
            if not lawful:
                raise GenesisValueError(f"{name} must {law}, got {value!r}.")


def generalised_advantages(
    reward: torch.Tensor,
    value: torch.Tensor,
    next_value: torch.Tensor,
    terminated: torch.Tensor,
    done: torch.Tensor,
    valid: torch.Tensor,
    gamma: float,
    lambda_: float,
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
        lambda_: Decay of the estimator.
    """
    delta = reward + gamma * torch.where(terminated, 0.0, next_value) - value
    delta = torch.where(valid, delta, 0.0)
    following = torch.zeros_like(delta[0])
    advantages = []
    for step in reversed(range(len(delta))):
        following = delta[step] + gamma * lambda_ * torch.where(done[step], 0.0, following)
        following = torch.where(valid[step], following, 0.0)
        advantages.append(following)
    return torch.stack(advantages[::-1])


def clipped_objective(ratio: torch.Tensor, advantage: torch.Tensor, clip: float) -> torch.Tensor:
    """mean min(rho A, clip(rho, 1 - eps, 1 + eps) A)."""
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


def value_loss(value: torch.Tensor, old: torch.Tensor, target: torch.Tensor, clip: float | None) -> torch.Tensor:
    """Half the mean squared error, the larger one of the value and of the value held within `clip` of the old one."""
    error = (value - target).square()
    if clip is not None:
        error = torch.maximum(error, (old + (value - old).clamp(-clip, clip) - target).square())
    return 0.5 * error.mean()


class GaussianPolicy(nn.Module):
    """Mean of an action by a network, its standard deviation by a parameter; units of half the action's range."""

    middle: torch.Tensor
    half_width: torch.Tensor

    def __init__(self, size: int, low: torch.Tensor, high: torch.Tensor, config: PPOConfig, seed: int):
        """Args: size of an observation, bounds of the action (A,), hyper-parameters, seed of the weights."""
        super().__init__()
        self.mean = mlp([size, *config.hidden, len(low)], seed, output_gain=0.01).to(low)
        self.log_std = nn.Parameter(torch.full_like(low, config.initial_log_std))
        self.register_buffer("middle", 0.5 * (low + high))
        self.register_buffer("half_width", 0.5 * (high - low))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """The deterministic action (B, A), inside its bounds, for normalised observations (B, O)."""
        return self.to_action(self.mean(observation).clamp(-1.0, 1.0))

    def to_action(self, relative: torch.Tensor) -> torch.Tensor:
        """Action of its value in half ranges from the middle."""
        return self.middle + self.half_width * relative

    def log_prob(self, mean: torch.Tensor, relative: torch.Tensor) -> torch.Tensor:
        """Log density (n,) of relative actions (n, A) under the means (n, A)."""
        scaled = (relative - mean) * torch.exp(-self.log_std)
        return -0.5 * scaled.square().sum(dim=1) - (self.log_std + 0.5 * math.log(2 * math.pi)).sum()


@dataclass
class Window:
    """What H steps in B environments gave, rows of H B; `observation` is normalised, `action` relative."""

    observation: torch.Tensor
    action: torch.Tensor
    mean: torch.Tensor
    log_prob: torch.Tensor
    value: torch.Tensor
    advantage: torch.Tensor
    reward: torch.Tensor
    valid: torch.Tensor


class PPO:
    """The agent: policy, value, their optimisers, normalisers, random numbers, and where it stands."""

    name = "ppo"
    differentiable = False

    def __init__(self, config: PPOConfig, env: Any, seed: int, total_steps: int):
        """Takes sizes, bounds and precision from the environment.

        Args:
            config: Hyper-parameters.
            env: A vector environment with torch output and SAME_STEP autoreset.
            seed: Seed of the weights, of the exploration and of the environment's episodes.
            total_steps: Steps, over all environments, on which a linear learning rate reaches 0.
        """
        self.config = config
        self.seed = seed
        self.total_steps = total_steps
        space = env.single_action_space
        low, high = (gs.from_numpy(np.array(x)).as_subclass(torch.Tensor) for x in (space.low, space.high))
        size = env.single_observation_space.shape[0]
        self.policy = GaussianPolicy(size, low, high, config, seed)
        self.value = mlp([size, *config.hidden, 1], seed + 1).to(low)
        self.policy_optimiser = torch.optim.Adam(self.policy.parameters(), lr=config.learning_rate, eps=1e-5)
        self.value_optimiser = torch.optim.Adam(self.value.parameters(), lr=config.learning_rate, eps=1e-5)
        self.normaliser = Normaliser(size, low, clip=10.0 if config.normalise_observations else math.inf)
        self.reward_scaler = Normaliser(1, low)
        self.generator = torch.Generator(low.device).manual_seed(seed)
        self.discounted = torch.zeros(env.num_envs).to(low)
        """(B,) the running discounted return, whose deviation scales rewards."""
        self.learning_rate = config.learning_rate
        self.steps = 0
        self.updates = 0
        self.skipped_updates = 0
        self.observation: torch.Tensor | None = None

    @torch.no_grad()
    def act(self, observation: torch.Tensor, deterministic: bool = True) -> torch.Tensor:
        """Actions (B, A) for observations (B, O), without a graph; else with exploration from torch's generator."""
        observation = self.normaliser(_plain(observation))
        if deterministic:
            return self.policy(observation)
        mean = self.policy.mean(observation)
        return self.policy.to_action(mean + torch.exp(self.policy.log_std) * torch.randn_like(mean))

    def update(self, env: Any) -> dict[str, float]:
        """Rolls one window out and learns from it; returns scalars by TensorBoard tag."""
        if self.observation is None:
            self.observation = _plain(env.reset(seed=self.seed)[0])
            self._note(self.observation)
        started = time.perf_counter()
        episodes = Episodes()
        window = self._roll_out(env, self.observation, episodes)
        rolled_out = time.perf_counter()
        learnt = self._learn(window)
        finished = time.perf_counter()
        self.steps += window.reward.numel()
        self.updates += 1
        return {
            **learnt,
            **episodes.scalars(),
            "losses/explained_variance": _explained_variance(window),
            "gradients/skipped_updates": float(self.skipped_updates),
            "charts/learning_rate": self.learning_rate,
            "charts/mean_reward": window.reward[window.valid].mean().item(),
            "charts/exploration_std": torch.exp(self.policy.log_std).mean().item(),
            "charts/nonfinite_rows": float((~window.valid).sum()),
            "time/forward_s": rolled_out - started,
            "time/backward_s": finished - rolled_out,
            "time/env_steps_per_second": window.reward.numel() / (finished - started),
        }

    @torch.no_grad()
    def _roll_out(self, env: Any, observation: torch.Tensor, episodes: Episodes) -> Window:
        """a_t ~ pi_old(o_t), then advantages with the value as it is."""
        if self.config.normalise_observations:
            self.normaliser.freeze()
        if self.config.normalise_rewards:
            self.reward_scaler.freeze()
        std = torch.exp(self.policy.log_std)
        rows: list[tuple[torch.Tensor, ...]] = []
        for _ in range(self.config.window):
            normalised = self.normaliser(observation)
            mean = self.policy.mean(normalised)
            noise = torch.randn(mean.shape, generator=self.generator, dtype=mean.dtype, device=mean.device)
            action = mean + std * noise
            observation, reward, terminated, truncated, info = env.step(self.policy.to_action(action))
            observation, reward, terminated, truncated = map(_plain, (observation, reward, terminated, truncated))
            valid = torch.isfinite(reward) & ~_plain(info["nonfinite"])
            reward = torch.where(valid, reward, 0.0)
            done = terminated | truncated
            self._note(observation)
            self.discounted = self.config.gamma * self.discounted + reward
            self.reward_scaler.update(self.discounted[:, None])
            self.discounted = torch.where(done, 0.0, self.discounted)
            final = self.normaliser(_plain(info["final_obs"]))
            rows.append((normalised, action, mean, reward, terminated, done, valid, final))
            episodes.note(info)
        self.observation = observation
        normalised, action, mean, reward, terminated, done, valid, final = map(torch.stack, zip(*rows, strict=True))
        value, next_value = self.value(normalised).squeeze(-1), self.value(final).squeeze(-1)
        advantage = generalised_advantages(
            reward * self.reward_scaler.scale,
            value,
            next_value,
            terminated,
            done,
            valid,
            self.config.gamma,
            self.config.lambda_,
        )
        flat = (x.flatten(0, 1) for x in (normalised, action, mean, value, advantage, reward, valid))
        normalised, action, mean, value, advantage, reward, valid = flat
        log_prob = self.policy.log_prob(mean, action)
        return Window(normalised, action, mean, log_prob, value, advantage, reward, valid)

    def _learn(self, window: Window) -> dict[str, float]:
        """Several epochs over the window's valid steps, in minibatches of a fresh order each."""
        config = self.config
        if config.schedule == "linear":
            self.learning_rate = config.learning_rate * max(0.0, 1.0 - self.steps / max(1, self.total_steps))
        old_log_std = self.policy.log_std.detach().clone()
        target = window.value + window.advantage
        valid = window.valid.nonzero().squeeze(1)
        kept = window.advantage[valid]
        advantage = (window.advantage - kept.mean()) / (kept.std(correction=0) + 1e-8)
        records: list[dict[str, float]] = []
        for _ in range(config.epochs):
            order = torch.randperm(len(valid), generator=self.generator, device=valid.device)
            for rows in valid[order].chunk(config.minibatches):
                mean = self.policy.mean(window.observation[rows])
                ratio = torch.exp(self.policy.log_prob(mean, window.action[rows]) - window.log_prob[rows])
                objective = clipped_objective(ratio, advantage[rows], config.clip)
                entropy = self.policy.log_std.sum() + 0.5 * mean.shape[1] * (1.0 + math.log(2 * math.pi))
                beyond = torch.relu(mean.abs() - 1.1).square().sum(dim=1).mean()
                loss = -objective - config.entropy_coefficient * entropy + config.bounds_coefficient * beyond
                norm = self._step(self.policy_optimiser, self.policy, loss)
                value = self.value(window.observation[rows]).squeeze(1)
                clip = config.clip if config.clip_value else None
                error = value_loss(value, window.value[rows], target[rows], clip)
                value_norm = self._step(self.value_optimiser, self.value, error)
                kl = gaussian_kl(window.mean[rows], old_log_std, mean.detach(), self.policy.log_std.detach()).item()
                if config.schedule == "kl":
                    self.learning_rate = followed_rate(self.learning_rate, kl, config.target_kl)
                records.append(
                    {
                        "losses/policy_loss": loss.item(),
                        "losses/value_loss": error.item(),
                        "losses/entropy": entropy.item(),
                        "losses/kl": kl,
                        "losses/clip_fraction": ((ratio - 1).abs() > config.clip).to(ratio.dtype).mean().item(),
                        "gradients/norm_before_clip": norm,
                        "gradients/norm_after_clip": min(norm, config.max_grad_norm) if math.isfinite(norm) else 0.0,
                        "gradients/value_norm_before_clip": value_norm,
                    }
                )
        return {name: float(np.mean([record[name] for record in records])) for name in records[0]} if records else {}

    def _step(self, optimiser: torch.optim.Optimizer, module: nn.Module, loss: torch.Tensor) -> float:
        """One step of Adam along the clipped gradient; returns the norm before clipping. Skips what is not finite."""
        optimiser.param_groups[0]["lr"] = self.learning_rate
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(module.parameters(), self.config.max_grad_norm).item()
        if math.isfinite(norm) and bool(torch.isfinite(loss)):
            optimiser.step()
        else:
            self.skipped_updates += 1
        return norm

    def _note(self, observation: torch.Tensor) -> None:
        if self.config.normalise_observations:
            self.normaliser.update(observation)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on, besides the environment: tensors and plain values."""
        return {
            **{name: getattr(self, name).state_dict() for name in _PARTS},
            **{name: getattr(self, name) for name in _VALUES},
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken."""
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        for name in _VALUES:
            value = state[name]
            setattr(self, name, value.to(self.normaliser.mean) if isinstance(value, torch.Tensor) else value)
        self.generator.set_state(state["generator"].cpu())


_PARTS = ("policy", "value", "policy_optimiser", "value_optimiser", "normaliser", "reward_scaler")
_VALUES = ("observation", "discounted", "learning_rate", "steps", "updates", "skipped_updates")


def gaussian_kl(
    mean: torch.Tensor, log_std: torch.Tensor, other_mean: torch.Tensor, other_log_std: torch.Tensor
) -> torch.Tensor:
    """Mean over rows of KL(N(mean, std^2) || N(other_mean, other_std^2)), summed over dimensions."""
    variance = torch.exp(2 * log_std) + (mean - other_mean).square()
    terms = other_log_std - log_std + 0.5 * variance * torch.exp(-2 * other_log_std) - 0.5
    return terms.sum(dim=1).mean()


def followed_rate(rate: float, kl: float, target: float) -> float:
    """The learning rate after a step that moved the policy by `kl`: a factor down above 2, up below 1/2 the target."""
    if kl > 2.0 * target:
        rate /= KL_FACTOR
    elif kl < 0.5 * target:
        rate *= KL_FACTOR
    return min(max(rate, KL_RATES[0]), KL_RATES[1])


def _explained_variance(window: Window) -> float:
    """1 - Var[G - V] / Var[G] of the window's valid steps; 1 is a perfect value."""
    advantage, value = window.advantage[window.valid], window.value[window.valid]
    return 1.0 - (advantage.var() / (advantage + value).var().clamp_min(1e-12)).item()


def _plain(value: torch.Tensor) -> torch.Tensor:
    """The tensor without its subclass: the fast path inside an agent."""
    return value.as_subclass(torch.Tensor)
