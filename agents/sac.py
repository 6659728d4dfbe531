"""SAC: soft actor-critic, an off-policy zeroth-order baseline that sees rewards and never their gradients.

    y        =  r + gamma (1 - terminated) (min_i Q'_i(s', a') - alpha log pi(a' | s')),     a' ~ pi(. | s')
    L(Q_i)   =  mean (Q_i(s, a) - y)^2                                                       two independent Q
    L(pi)    =  mean (alpha log pi(a | s) - min_i Q_i(s, a)),                                a ~ pi(. | s)
    L(alpha) =  -log alpha * mean (log pi(a | s) + target entropy)
    Q'       <- Q' + tau (Q - Q')

pi is a Gaussian with mean and standard deviation of the observation, squashed by tanh; minibatches come from a memory of
past steps. A truncated step is bootstrapped from its last observation before the reset. Sources: Haarnoja et al., "Soft
actor-critic" (ICML 2018) and "Soft actor-critic algorithms and applications" (2018), which adapts alpha.

Differences from the papers:
- A batch of environments gives `num_envs` steps at a time; `gradient_steps` updates follow each `window` of them.
- Observations are normalised by statistics that stand still within an update; the memory holds them raw.
- Actions and log densities are in units of half the action's range, so that the target entropy, -A/2 unless it is
  given, means the same in every task. The papers have -A.
- Steps whose state or reward is not finite are not remembered; an update whose losses or gradients are not is skipped
  and counted. Gradients are clipped.
"""

import copy
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
from agents.core.replay import Replay
from genesis.errors import GenesisValueError

LOG_STD_RANGE = (-5.0, 2.0)


@dataclass(frozen=True)
class SACConfig:
    """Hyper-parameters of SAC."""

    window: int = 8
    """Control steps between two rounds of updates."""
    gradient_steps: int = 8
    """Updates in a round."""
    batch_size: int = 512
    """Remembered steps in a minibatch."""
    warmup_steps: int = 4096
    """Steps, over all environments, with random actions and no updates."""
    memory_steps: int = 1_000_000
    """Steps that are remembered at most."""
    memory_megabytes: int = 128
    """Memory that they may take, also in every checkpoint; fewer steps are remembered if need be."""
    gamma: float = 0.99
    """Discount per control step."""
    tau: float = 0.005
    """Share of Q that enters the target Q' after each update."""
    learning_rate: float = 5e-4
    """Adam's learning rate of policy and Q."""
    alpha_learning_rate: float = 5e-3
    """Adam's learning rate of log alpha."""
    initial_alpha: float = 1.0
    """Weight of the entropy at the start."""
    target_entropy: float | None = None
    """Entropy of the policy that alpha is adapted to; None: -1/2 per action."""
    max_grad_norm: float = 10.0
    """Gradient norm, of policy and of Q, beyond which a gradient is scaled down."""
    normalise_observations: bool = True
    """Bring observations to mean 0 and variance 1."""
    hidden: tuple[int, ...] = (128, 128)
    """Widths of the hidden layers of policy and Q."""

    def __post_init__(self) -> None:
        """Raises GenesisValueError where a number breaks its law."""
        for name, value, lawful, law in (
            ("window", self.window, self.window >= 1, "be at least 1"),
            ("gradient_steps", self.gradient_steps, self.gradient_steps >= 1, "be at least 1"),
            ("batch_size", self.batch_size, self.batch_size >= 1, "be at least 1"),
            ("warmup_steps", self.warmup_steps, self.warmup_steps >= 1, "be at least 1"),
            ("memory_steps", self.memory_steps, self.memory_steps >= self.batch_size, "be at least batch_size"),
            ("memory_megabytes", self.memory_megabytes, self.memory_megabytes >= 1, "be at least 1"),
            ("gamma", self.gamma, 0 < self.gamma <= 1, "lie in (0, 1]"),
            ("tau", self.tau, 0 < self.tau <= 1, "lie in (0, 1]"),
            ("learning_rate", self.learning_rate, 0 < self.learning_rate < math.inf, "be positive"),
            ("alpha_learning_rate", self.alpha_learning_rate, 0 < self.alpha_learning_rate < math.inf, "be positive"),
            ("initial_alpha", self.initial_alpha, 0 < self.initial_alpha < math.inf, "be positive"),
            ("max_grad_norm", self.max_grad_norm, self.max_grad_norm > 0, "be positive"),
            ("hidden", self.hidden, all(width >= 1 for width in self.hidden), "be positive widths"),
        ):
            if not lawful:
                raise GenesisValueError(f"{name} must {law}, got {value!r}.")


def soft_target(
    reward: torch.Tensor,
    terminated: torch.Tensor,
    next_value: torch.Tensor,
    next_log_prob: torch.Tensor,
    alpha: torch.Tensor,
    gamma: float,
) -> torch.Tensor:
    """y (n,) of r, whether the task ended, min_i Q'_i(s', a') and log pi(a' | s'), (n,) each.

    A truncated step is no end: what is to come counts, and s' is its observation before the reset.
    """
    return reward + gamma * torch.where(terminated, 0.0, next_value - alpha * next_log_prob)


class SquashedGaussian(nn.Module):
    """A stochastic policy: tanh of a Gaussian whose mean and standard deviation depend on the observation."""

    middle: torch.Tensor
    half_width: torch.Tensor

    def __init__(self, size: int, low: torch.Tensor, high: torch.Tensor, hidden: tuple[int, ...], seed: int):
        """Args: size of an observation, bounds of the action (A,), widths, seed of the weights."""
        super().__init__()
        self.layers = mlp([size, *hidden, 2 * len(low)], seed, output_gain=0.01).to(low)
        self.register_buffer("middle", 0.5 * (low + high))
        self.register_buffer("half_width", 0.5 * (high - low))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """The deterministic action (B, A), inside its bounds, for normalised observations (B, O)."""
        return self.to_action(torch.tanh(self.layers(observation).chunk(2, dim=1)[0]))

    def to_action(self, relative: torch.Tensor) -> torch.Tensor:
        """Action of its value in half ranges from the middle."""
        return self.middle + self.half_width * relative

    def sample(self, observation: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Relative action (n, A) in [-1, 1] and its log density (n,) for standard normal noise (n, A)."""
        mean, log_std = self.layers(observation).chunk(2, dim=1)
        low, high = LOG_STD_RANGE
        log_std = low + 0.5 * (high - low) * (torch.tanh(log_std) + 1.0)
        before = mean + torch.exp(log_std) * noise
        gaussian = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
        # log(1 - tanh(x)^2), which is exact for large |x| too
        squashing = 2.0 * (math.log(2.0) - before - nn.functional.softplus(-2.0 * before))
        return torch.tanh(before), (gaussian - squashing).sum(dim=1)


class TwinQ(nn.Module):
    """Two networks of their own, for observation and relative action."""

    def __init__(self, observation_size: int, action_size: int, hidden: tuple[int, ...], seed: int):
        """The two start from different weights: the minimum of equal functions would be none."""
        super().__init__()
        sizes = [observation_size + action_size, *hidden, 1]
        self.first, self.second = mlp(sizes, seed), mlp(sizes, seed + 1)

    def forward(self, observation: torch.Tensor, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Q_1 and Q_2, (n,) each."""
        both = torch.cat([observation, action], dim=1)
        return self.first(both).squeeze(1), self.second(both).squeeze(1)


class SAC:
    """The agent: policy, Q, targets, alpha, memory, optimisers, random numbers, and where it stands."""

    name = "sac"
    differentiable = False

    def __init__(self, config: SACConfig, env: Any, seed: int, total_steps: int):
        """Takes sizes, bounds and precision from the environment.

        Args:
            config: Hyper-parameters.
            env: A vector environment with torch output and SAME_STEP autoreset.
            seed: Seed of the weights, of exploration and minibatches, and of the environment's episodes.
            total_steps: Steps to train for; SAC has no schedule that depends on it.
        """
        self.config = config
        self.seed = seed
        self.total_steps = total_steps
        space = env.single_action_space
        low, high = (gs.from_numpy(np.array(x)).as_subclass(torch.Tensor) for x in (space.low, space.high))
        sizes = env.single_observation_space.shape[0], len(low)
        self.policy = SquashedGaussian(sizes[0], low, high, config.hidden, seed)
        self.q = TwinQ(*sizes, config.hidden, seed + 1).to(low)
        self.target_q = copy.deepcopy(self.q).requires_grad_(False)
        self.log_alpha = torch.full((), math.log(config.initial_alpha)).to(low).requires_grad_(True)
        self.target_entropy = -0.5 * sizes[1] if config.target_entropy is None else config.target_entropy
        self.policy_optimiser = torch.optim.Adam(self.policy.parameters(), lr=config.learning_rate)
        self.q_optimiser = torch.optim.Adam(self.q.parameters(), lr=config.learning_rate)
        self.alpha_optimiser = torch.optim.Adam([self.log_alpha], lr=config.alpha_learning_rate)
        self.normaliser = Normaliser(sizes[0], low, clip=10.0 if config.normalise_observations else math.inf)
        self.replay = Replay(*sizes, config.memory_steps, config.memory_megabytes, like=low)
        self.generator = torch.Generator(low.device).manual_seed(seed)
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
        noise = torch.randn(len(observation), len(self.policy.middle)).to(observation)
        return self.policy.to_action(self.policy.sample(observation, noise)[0])

    def update(self, env: Any) -> dict[str, float]:
        """A window of steps, then updates; returns scalars by TensorBoard tag."""
        if self.observation is None:
            self.observation = _plain(env.reset(seed=self.seed)[0])
            self._note(self.observation)
        started = time.perf_counter()
        episodes = Episodes()
        played = self._play(env, self.observation, episodes)
        self.steps += self.config.window * env.num_envs
        rolled_out = time.perf_counter()
        learnt: list[dict[str, float]] = []
        if self.steps >= self.config.warmup_steps and len(self.replay) >= self.config.batch_size:
            learnt = [self._learn() for _ in range(self.config.gradient_steps)]
        finished = time.perf_counter()
        self.updates += 1
        return {
            **{name: float(np.mean([scalars[name] for scalars in learnt])) for name in (learnt[0] if learnt else ())},
            **played,
            **episodes.scalars(),
            "gradients/skipped_updates": float(self.skipped_updates),
            "charts/remembered_steps": float(len(self.replay)),
            "time/forward_s": rolled_out - started,
            "time/backward_s": finished - rolled_out,
            "time/env_steps_per_second": self.config.window * env.num_envs / (finished - started),
        }

    @torch.no_grad()
    def _play(self, env: Any, observation: torch.Tensor, episodes: Episodes) -> dict[str, float]:
        """a ~ pi(o), remembered with what came of it."""
        if self.config.normalise_observations:
            self.normaliser.freeze()
        rewards, lost = [], 0
        for _ in range(self.config.window):
            if self.steps < self.config.warmup_steps:
                shape = (len(observation), len(self.policy.middle))
                action = torch.rand(shape, generator=self.generator, dtype=observation.dtype, device=observation.device)
                action = 2.0 * action - 1.0
            else:
                action, _ = self.policy.sample(self.normaliser(observation), self._noise(len(observation)))
            outcome = env.step(self.policy.to_action(action))
            following, reward, terminated = (_plain(x) for x in outcome[:3])
            info = outcome[4]
            final = _plain(info["final_obs"])
            valid = torch.isfinite(reward) & torch.isfinite(final).all(dim=1) & ~_plain(info["nonfinite"])
            self.replay.add(*(x[valid] for x in (observation, action, reward, final, terminated)))
            self._note(following)
            episodes.note(info)
            rewards.append(reward[valid])
            lost += int((~valid).sum())
            observation = following
        self.observation = observation
        return {"charts/mean_reward": torch.cat(rewards).mean().item(), "charts/nonfinite_rows": float(lost)}

    def _learn(self) -> dict[str, float]:
        """One update of Q, policy, alpha and target from a minibatch."""
        config = self.config
        observation, action, reward, following, terminated = self.replay.sample(config.batch_size, self.generator)
        observation, following = self.normaliser(observation), self.normaliser(following)
        alpha = self.log_alpha.detach().exp()
        with torch.no_grad():
            next_action, next_log_prob = self.policy.sample(following, self._noise(len(following)))
            next_value = torch.minimum(*self.target_q(following, next_action))
            target = soft_target(reward, terminated, next_value, next_log_prob, alpha, config.gamma)
        first, second = self.q(observation, action)
        q_loss = (first - target).square().mean() + (second - target).square().mean()
        q_norm = self._step(self.q_optimiser, list(self.q.parameters()), q_loss)

        self.q.requires_grad_(False)
        action, log_prob = self.policy.sample(observation, self._noise(len(observation)))
        policy_loss = (alpha * log_prob - torch.minimum(*self.q(observation, action))).mean()
        norm = self._step(self.policy_optimiser, list(self.policy.parameters()), policy_loss)
        self.q.requires_grad_(True)

        alpha_loss = -self.log_alpha * (log_prob.detach().mean() + self.target_entropy)
        self._step(self.alpha_optimiser, [self.log_alpha], alpha_loss)
        with torch.no_grad():
            for slow, fast in zip(self.target_q.parameters(), self.q.parameters(), strict=True):
                slow.lerp_(fast, config.tau)
        return {
            "losses/policy_loss": policy_loss.item(),
            "losses/q_loss": q_loss.item(),
            "losses/q_mean": first.mean().item(),
            "losses/alpha": alpha.item(),
            "losses/entropy": -log_prob.mean().item(),
            "gradients/norm_before_clip": norm,
            "gradients/norm_after_clip": min(norm, config.max_grad_norm) if math.isfinite(norm) else 0.0,
            "gradients/q_norm_before_clip": q_norm,
        }

    def _step(self, optimiser: torch.optim.Optimizer, parameters: list[torch.Tensor], loss: torch.Tensor) -> float:
        """One step of Adam along the clipped gradient; returns the norm before clipping. Skips what is not finite."""
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm).item()
        if math.isfinite(norm) and bool(torch.isfinite(loss)):
            optimiser.step()
        else:
            self.skipped_updates += 1
        return norm

    def _noise(self, rows: int) -> torch.Tensor:
        like = self.policy.middle
        return torch.randn((rows, len(like)), generator=self.generator, dtype=like.dtype, device=like.device)

    def _note(self, observation: torch.Tensor) -> None:
        if self.config.normalise_observations:
            self.normaliser.update(observation)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on, besides the environment: tensors and plain values."""
        return {
            **{name: getattr(self, name).state_dict() for name in _PARTS},
            **{name: getattr(self, name) for name in _VALUES},
            "log_alpha": self.log_alpha.detach().clone(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken."""
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        for name in _VALUES:
            value = state[name]
            setattr(self, name, value.to(self.normaliser.mean) if isinstance(value, torch.Tensor) else value)
        with torch.no_grad():
            self.log_alpha.copy_(state["log_alpha"])
        self.generator.set_state(state["generator"].cpu())


_PARTS = ("policy", "q", "target_q", "policy_optimiser", "q_optimiser", "alpha_optimiser", "normaliser", "replay")
_VALUES = ("observation", "steps", "updates", "skipped_updates")


def _plain(value: torch.Tensor) -> torch.Tensor:
    """The tensor without its subclass: the fast path inside an agent."""
    return value.as_subclass(torch.Tensor)
