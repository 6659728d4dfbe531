"""SAC: soft actor-critic, an off-policy zeroth-order baseline that sees rewards and never their gradients.

    y        =  r + gamma (1 - terminated) (min_i Q'_i(s', a') - alpha log pi(a' | s')),     a' ~ pi(. | s')
    L(Q_i)   =  mean (Q_i(s, a) - y)^2                                                       two independent Q
    L(pi)    =  mean (alpha log pi(a | s) - min_i Q_i(s, a)),                                a ~ pi(. | s)
    L(alpha) =  -log alpha * mean (log pi(a | s) + target entropy)
    Q'       <- Q' + tau (Q - Q')

pi is a Gaussian whose mean and standard deviation depend on the observation, squashed by tanh; minibatches come from a
memory of past steps. A truncated step is bootstrapped from its last observation before the reset. Sources: Haarnoja et
al., "Soft actor-critic" (ICML 2018) and "Soft actor-critic algorithms and applications" (2018), which adapts alpha.

Differences from the papers:
- Hidden layers of Q are normalised (Ball et al., "Efficient online reinforcement learning with offline data", ICML
  2023, who find that it keeps Q from running away where there is no data).
- A batch of environments gives `num_envs` steps at a time; `gradient_steps` updates follow each `window` of them.
- Policy and alpha may wait for several updates of Q, as in TD3 (Fujimoto et al., "Addressing function approximation
  error in actor-critic methods", ICML 2018).
- Observations are normalised by statistics that stand still within an update; the memory holds them raw.
- Several processes have a memory each, of their own environments' steps, and average their gradients: a minibatch has
  `batch_size` steps of each process. So they do not learn what a single process would.
- Actions and log densities are in units of half the action's range, so that the target entropy, -A/2 unless it is
  given, means the same in every task. The papers have -A.
- Steps whose state or reward is not finite are not remembered; a step of an optimiser whose loss or gradient is not
  finite is skipped and counted. Gradients are clipped.
"""

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from agents.core import distributed
from agents.core.agent import Agent, plain
from agents.core.config import NetConfig, bounded
from agents.core.constraints import POSITIVE, UNIT, WHOLE, WIDTHS, Constraint
from agents.core.layout import Layout, network
from agents.core.mlp import seeded
from agents.core.noise import Noise, standard_normal
from agents.core.optimiser import Optimiser, Step, checked_step, diverged
from agents.core.replay import Replay
from agents.core.rollout import Stopwatch, collect
from genesis.errors import GenesisValueError

LOG_STD_RANGE = (-5.0, 2.0)
BETAS = (0.9, 0.999)
LARGE, MOST_THREADS = 256 * 256, 4
"""Numbers in the output of a hidden layer from which several threads are faster than one, and how many of them."""
ENTROPY = Constraint("be finite, or None", lambda x: x is None or math.isfinite(x))


@dataclass(frozen=True)
class SACConfig(NetConfig):
    """Hyper-parameters of SAC."""

    window: int = bounded(8, WHOLE)
    """Control steps between two rounds of updates."""
    gradient_steps: int = bounded(8, WHOLE)
    """Updates in a round."""
    batch_size: int = bounded(512, WHOLE)
    """Remembered steps in a minibatch."""
    warmup_steps: int = bounded(4096, WHOLE)
    """Steps, over all environments, with random actions and no updates."""
    memory_steps: int = bounded(1_000_000, WHOLE)
    """Steps that are remembered at most."""
    memory_megabytes: int = bounded(128, WHOLE)
    """Memory that they may take, also in every checkpoint; fewer steps are remembered if need be."""
    gamma: float = bounded(0.99, UNIT)
    """Discount per control step."""
    tau: float = bounded(0.005, UNIT)
    """Share of Q that enters the target Q' after each update."""
    learning_rate: float = bounded(5e-4, POSITIVE)
    """Adam's learning rate of policy and Q."""
    alpha_learning_rate: float = bounded(5e-3, POSITIVE)
    """Adam's learning rate of log alpha."""
    initial_alpha: float = bounded(1.0, POSITIVE)
    """Weight of the entropy at the start."""
    target_entropy: float | None = bounded(None, ENTROPY)
    """Entropy of the policy that alpha is adapted to; None: -1/2 per action."""
    max_grad_norm: float = bounded(10.0, POSITIVE)
    """Gradient norm, of policy and of Q, beyond which a gradient is scaled down."""
    hidden: tuple[int, ...] = bounded((128, 128), WIDTHS)
    """Widths of the hidden layers of policy and Q."""
    policy_delay: int = bounded(1, WHOLE)
    """Updates of Q for each one of the policy and of alpha."""
    mixed_precision: bool = False
    """Whether policy and Q learn with the matrices between their hidden layers multiplied in bfloat16: faster where
    processors have it (x86 with AVX512_BF16 or AMX, GPUs) and layers have 256 units or more."""

    def __post_init__(self) -> None:
        """Raises GenesisValueError where a field violates its constraint, or the memory holds no minibatch."""
        super().__post_init__()
        if self.memory_steps < self.batch_size:
            raise GenesisValueError(
                f"memory_steps must be at least batch_size {self.batch_size}, got {self.memory_steps}."
            )


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

    def __init__(
        self,
        layout: Layout | int,
        low: torch.Tensor,
        high: torch.Tensor,
        hidden: tuple[int, ...],
        seed: int,
        mixed_precision: bool = False,
    ):
        """Args: layout of an observation, bounds of the action (A,), widths, seed of weights; precision of `sample`."""
        super().__init__()
        self.mixed_precision = mixed_precision
        with seeded(seed, "policy"):
            self.heads = network(layout, [*hidden, 2 * len(low)], "relu", layer_norm=False, last_gain=0.01).to(low)
        self.register_buffer("middle", 0.5 * (low + high))
        self.register_buffer("half_width", 0.5 * (high - low))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """The deterministic action (B, A), inside its bounds, for normalised observations (B, O)."""
        return self.to_action(torch.tanh(self.heads(observation).chunk(2, dim=1)[0]))

    def to_action(self, relative: torch.Tensor) -> torch.Tensor:
        """Action of its value in half ranges from the middle."""
        return torch.addcmul(self.middle, self.half_width, relative)

    def sample(self, observation: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Relative action (n, A) in [-1, 1] and its log density (n,) for standard normal noise (n, A)."""
        mean, log_std = self.heads(observation, self.mixed_precision).chunk(2, dim=1)
        low, high = LOG_STD_RANGE
        log_std = low + 0.5 * (high - low) * (torch.tanh(log_std) + 1.0)
        before = mean + torch.exp(log_std) * noise
        gaussian = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
        # log(1 - tanh(x)^2), which is exact for large |x| too
        squashing = 2.0 * (math.log(2.0) - before - nn.functional.softplus(-2.0 * before))
        return torch.tanh(before), (gaussian - squashing).sum(dim=1)


class TwinQ(nn.Module):
    """Two networks of their own, for observation and relative action."""

    def __init__(
        self, layout: Layout | int, action_size: int, hidden: tuple[int, ...], seed: int, mixed_precision: bool = False
    ):
        """The two start from different weights: the minimum of equal functions would be none."""
        super().__init__()
        self.mixed_precision = mixed_precision
        with seeded(seed, "q"):
            self.first, self.second = (
                network(layout, [*hidden, 1], "relu", last_gain=1.0, beside=action_size) for _ in range(2)
            )

    def forward(self, observation: torch.Tensor, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Q_1 and Q_2, (n,) each."""
        both = torch.cat([observation, action], dim=1)
        mixed = self.mixed_precision
        return self.first(both, mixed).squeeze(1), self.second(both, mixed).squeeze(1)


class Temperature(nn.Module):
    """alpha, the weight of the entropy, by its logarithm."""

    def __init__(self, initial: float, like: torch.Tensor):
        """Args: the value at the start; `like` gives dtype and device."""
        super().__init__()
        self.log_alpha = nn.Parameter(torch.full((), math.log(initial), dtype=like.dtype, device=like.device))


class SAC(Agent):
    """The agent: policy, Q, targets, alpha, memory and optimisers. Each process has a memory of its own."""

    name = "sac"
    differentiable = False
    config: SACConfig

    @classmethod
    def torch_threads(cls, config: SACConfig, available: int) -> int:
        """See `Agent`."""
        large = config.batch_size * max(config.hidden, default=0) >= LARGE
        return min(available, MOST_THREADS) if large else 1

    def __init__(self, config: SACConfig, env: Any, seed: int, total_steps: int):
        """See `Agent`; no schedule depends on `total_steps`."""
        super().__init__(config, env, seed, total_steps, config.encoder)
        sizes = self.observation_size, self.action_size
        mixed = config.mixed_precision
        self.policy = SquashedGaussian(self.layout, self.low, self.high, config.hidden, seed, mixed)
        self.q = TwinQ(self.layout, self.action_size, config.hidden, seed, mixed).to(self.low)
        self.target_q = copy.deepcopy(self.q).requires_grad_(False)
        self.temperature = Temperature(config.initial_alpha, self.low)
        self.target_entropy = -0.5 * sizes[1] if config.target_entropy is None else config.target_entropy
        options = {"betas": BETAS, "max_grad_norm": config.max_grad_norm}
        self.policy_optimiser = Optimiser(self.policy, learning_rate=config.learning_rate, **options)
        self.q_optimiser = Optimiser(self.q, learning_rate=config.learning_rate, **options)
        self.alpha_optimiser = Optimiser(self.temperature, learning_rate=config.alpha_learning_rate, **options)
        self._pairs = list(zip(self.target_q.parameters(), self.q.parameters(), strict=True))
        self.replay = Replay(*sizes, config.memory_steps, config.memory_megabytes, like=self.low)
        self.noise = Noise(seed, "exploration", self.low)
        optimisers = ("policy_optimiser", "q_optimiser", "alpha_optimiser")
        for part in ("policy", "q", "target_q", "temperature", "replay", *optimisers):
            self.parts[part] = getattr(self, part)

    @torch.no_grad()
    def act(self, observation: torch.Tensor, deterministic: bool = True) -> torch.Tensor:
        """See `Agent`; exploration draws from torch's generator."""
        observation = self.normaliser(plain(observation))
        if deterministic:
            return self.policy(observation)
        noise = standard_normal(len(observation), self.action_size, observation)
        return self.policy.to_action(self.policy.sample(observation, noise)[0])

    def update(self, env: Any) -> dict[str, float]:
        """A window of steps, then updates; returns scalars by TensorBoard tag."""
        observation = self.start(env)
        watch = Stopwatch(env)
        scalars = self._play(env, observation)
        watch.lap("forward")
        if self.steps >= self.config.warmup_steps and len(self.replay) > 0:
            generator = self._generator()
            first = self.updates * self.config.gradient_steps
            learnt: dict[str, list[float]] = {}
            for count in range(first, first + self.config.gradient_steps):
                for name, value in self._learn(generator, count % self.config.policy_delay == 0).items():
                    learnt.setdefault(name, []).append(value)
            scalars |= {name: float(np.mean(values)) for name, values in learnt.items()}
        watch.lap("backward")
        steps = self.config.window * env.num_envs
        self.count(steps, skipped=False)
        scalars["gradients/skipped_updates"] = float(self.skipped_updates)
        scalars["charts/remembered_steps"] = float(len(self.replay))
        return scalars | watch.scalars(steps)

    @torch.no_grad()
    def _play(self, env: Any, observation: torch.Tensor) -> dict[str, float]:
        """a ~ pi(o), or uniform at first; remembered with what came of it."""
        config = self.config
        first_step = self.steps_each(env)
        noise = self.noise.normal(first_step, config.window, env.streams.env_ids, self.action_size)
        actions = []

        def explore(t: int, normalised: torch.Tensor) -> torch.Tensor:
            if self.steps < config.warmup_steps:
                relative = torch.erf(noise[t] / math.sqrt(2.0))  # uniform in (-1, 1)
            else:
                relative, _ = self.policy.sample(normalised, noise[t])
            actions.append(relative)
            return self.policy.to_action(relative)

        window = collect(env, observation, config.window, explore, self.normaliser)
        self.observation = window.last_observation
        following = window.next_observations()
        valid = window.finite()
        if not bool(valid.all()):
            self.report("Steps that are not finite were left out", window.first_nonfinite())
        fields = (window.observation, torch.stack(actions), window.reward, following, window.terminated)
        self.replay.add(*(x[valid] for x in fields))
        return window.episodes.scalars() | {
            "charts/mean_reward": window.reward[valid].mean().item(),
            "charts/nonfinite_rows": float((~valid).sum()),
        }

    def _learn(self, generator: torch.Generator, policy_too: bool = True) -> dict[str, float]:
        """One update of Q and target from a minibatch, and of policy and alpha unless they wait; returns scalars."""
        config = self.config
        observation, action, reward, following, terminated = self.replay.sample(config.batch_size, generator)
        observation, following = self.normaliser(observation), self.normaliser(following)
        noise = torch.randn((2, *action.shape), generator=generator, dtype=action.dtype, device=action.device)
        alpha = self.temperature.log_alpha.detach().exp()
        with torch.no_grad():
            next_action, next_log_prob = self.policy.sample(following, noise[0])
            next_value = torch.minimum(*self.target_q(following, next_action))
            target = soft_target(reward, terminated, next_value, next_log_prob, alpha, config.gamma)
        first, second = self.q(observation, action)
        q_loss = (first - target).square().mean() + (second - target).square().mean()
        q_step = self._step(self.q_optimiser, q_loss)
        scalars = {
            "losses/q_loss": q_loss.item(),
            "losses/q_mean": first.mean().item(),
            "losses/alpha": alpha.item(),
            "gradients/q_norm_before_clip": q_step.norm,
        }
        if policy_too:
            scalars |= self._improve(observation, noise[1], alpha)
        with torch.no_grad():
            for slow, fast in self._pairs:
                slow.lerp_(fast, config.tau)
        return scalars

    def _improve(self, observation: torch.Tensor, noise: torch.Tensor, alpha: torch.Tensor) -> dict[str, float]:
        """One update of policy and alpha from normalised observations (n, O); returns scalars."""
        for _, parameter in self._pairs:  # only the policy learns from what Q says of its actions
            parameter.requires_grad_(False)
        action, log_prob = self.policy.sample(observation, noise)
        policy_loss = (alpha * log_prob - torch.minimum(*self.q(observation, action))).mean()
        policy_step = self._step(self.policy_optimiser, policy_loss)
        for _, parameter in self._pairs:
            parameter.requires_grad_(True)

        alpha_loss = -self.temperature.log_alpha * (log_prob.detach().mean() + self.target_entropy)
        self._step(self.alpha_optimiser, alpha_loss)
        return {
            "losses/policy_loss": policy_loss.item(),
            "losses/entropy": -log_prob.mean().item(),
            "gradients/norm_before_clip": policy_step.norm,
            "gradients/norm_after_clip": policy_step.clipped_norm,
        }

    def _step(self, optimiser: Optimiser, loss: torch.Tensor) -> Step:
        step = checked_step(optimiser, loss, origin=diverged, report=self.report)
        self.skipped_updates += step.skipped
        return step

    def _generator(self) -> torch.Generator:
        """Random numbers of this update and process, which depend on nothing before: there is no state to save."""
        words = np.random.SeedSequence([self.seed, distributed.rank(), self.updates]).generate_state(1, np.uint64)
        return torch.Generator(self.low.device).manual_seed(int(words[0] >> 1))
