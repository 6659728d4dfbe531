"""Open-loop trajectory optimisation: the best sequence of actions from one fixed start, with and without gradients.

    J(a_0, ..., a_H-1)  =  sum_t gamma^t r_t,    s_0 fixed,    to the horizon H or the first end of the episode

    Adam:  a <- clip(a + Adam(dJ/da)), from several initial sequences at once; the gradient is the simulator's
    CEM:   a^i ~ N(m, s^2), i = 1..n;   m, s <- mean and deviation of the sequences with the largest J

The start is that of the training environment's first row; every row of the batch is put there and tries a sequence of
its own. A sequence may hold each action for some steps. Sources: Kingma and Ba, "Adam" (ICLR 2015); Rubinstein,
"The cross-entropy method for combinatorial and continuous optimization" (1999); Pinneri et al., "Sample-efficient
cross-entropy method" (CoRL 2020), for elites that are kept.

Differences from the papers:
- Adam: actions are projected onto their bounds after each step; each row's gradient is clipped by its own norm; a row
  whose gradient is not finite stays where it is, and is counted.
- CEM: one kept elite, the best sequence ever; held actions take the place of coloured noise; the population stays.
- What is played is the best sequence that was tried, not the mean.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from agents.core import distributed
from agents.core.agent import Abandoned, Agent, plain
from agents.core.config import Config, bounded
from agents.core.constraints import PART, POSITIVE, UNIT, WHOLE, Constraint
from agents.core.noise import Noise
from agents.core.optimiser import origin_of
from agents.core.rollout import Stopwatch, Window, roll_out
from genesis.errors import GenesisRuntimeError, GenesisValueError

HORIZON = Constraint("be a whole number of at least 1, or None", lambda x: x is None or (x == int(x) and x >= 1))


def sequence_returns(reward: torch.Tensor, done: torch.Tensor, valid: torch.Tensor, gamma: float) -> torch.Tensor:
    """J (B,) of rewards (H, B) up to each row's first `done`; -inf, with no gradient, where a step until then is lost.

    Args:
        reward: (H, B), differentiable.
        done: (H, B) bool, whether step t ended the episode; what comes after belongs to another one.
        valid: (H, B) bool, whether state and reward of the step are finite.
        gamma: Discount per step.
    """
    ended_before = torch.cat([torch.zeros_like(done[:1]), done[:-1]]).cumsum(dim=0) > 0
    lost = (~valid & ~ended_before).any(dim=0)
    discount = gamma ** torch.arange(len(reward), dtype=torch.float64, device=reward.device)
    counted = torch.where(ended_before | ~valid, 0.0, discount.to(reward)[:, None] * reward)
    return torch.where(lost, -math.inf, counted.sum(dim=0))


class OpenLoop(Agent):
    """Abstract: a fixed start, the best sequence so far, and the playing of it."""

    differentiable = False

    def __init__(self, config: Any, env: Any, seed: int, total_steps: int):
        """See `Agent`.

        Raises:
            GenesisValueError: There is no horizon, neither in the configuration nor of the episodes.
            GenesisRuntimeError: There are several processes.
        """
        super().__init__(config, env, seed, total_steps)
        if distributed.active():
            raise GenesisRuntimeError(
                f"{self.name} must run in a single process, got {distributed.world_size()}. Start it without torchrun."
            )
        horizon = env.max_episode_steps if config.horizon is None else config.horizon
        if horizon is None:
            raise GenesisValueError(
                "horizon must be given for episodes without an end, got None. Give a number of steps."
            )
        self.horizon: int = horizon
        self.n_knots = -(-self.horizon // config.hold)
        self.best = Best(self.n_knots, self.low, self.high)
        self.parts["best"] = self.best
        self.playhead = torch.zeros(0, dtype=torch.int64)
        """(B,) the step at which each row plays."""

    @torch.no_grad()
    def act(self, observation: torch.Tensor, deterministic: bool = True) -> torch.Tensor:
        """The next action of the best sequence, whatever is observed; from its start again after its end.

        An optimised sequence has no exploration: `deterministic` changes nothing. `rewind` starts anew.
        """
        if len(self.playhead) != len(observation):
            self.playhead = torch.zeros(len(observation), dtype=torch.int64)
        actions = self.best.knots[(self.playhead // self.config.hold).to(self.low.device)]
        self.playhead = (self.playhead + 1) % self.horizon
        return actions

    def rewind(self) -> None:
        """The next action is the first one again."""
        self.playhead = torch.zeros(0, dtype=torch.int64)

    @torch.no_grad()
    def replay(self, env: Any) -> float:
        """Plays the best sequence from the fixed start in all rows; the undiscounted return of the first row."""
        window = self.try_out(env, self.best.knots[:, None].expand(-1, env.num_envs, -1))
        return _returns(window, 1.0)[0].item()

    def try_out(self, env: Any, knots: torch.Tensor) -> Window:
        """Plays a sequence of its own (K, B, A) in each row, from the fixed start.

        Raises:
            GenesisRuntimeError: There is no start yet.
            Abandoned: It need not go on.
        """
        if self.best.start is None:
            raise GenesisRuntimeError("The start must be known, got none. Call update(env) first.")
        env.load_state_dict(spread_rows(self.best.start, env.num_envs))
        actions = knots.repeat_interleave(self.config.hold, dim=0)[: self.horizon]
        placeholder = self.low.new_zeros(env.num_envs, self.observation_size)  # nothing looks at observations

        def action(t: int, _: torch.Tensor) -> torch.Tensor:
            if self.stopping():
                raise Abandoned
            return actions[t]

        return roll_out(env, placeholder, self.horizon, action)

    def update(self, env: Any) -> dict[str, float]:
        """Tries sequences out and improves them; returns scalars by TensorBoard tag."""
        self.start(env)
        if self.best.start is None:
            self.best.start = first_row(env.state_dict())
        watch = Stopwatch(env)
        rounds, scalars = self.improve(env, watch)
        steps = rounds * self.horizon * env.num_envs
        self.count(steps, skipped=False)
        scalars |= {
            "charts/best_objective": self.best.objective,
            "charts/best_return": self.best.total,
            "gradients/skipped_updates": float(self.skipped_updates),
        }
        return scalars | watch.scalars(steps)

    def _report_lost(self, window: Window, usable: torch.Tensor) -> None:
        if not bool(usable.all()):
            self.report("Sequences that are not finite were left out", window.first_nonfinite())

    @abstractmethod
    def improve(self, env: Any, watch: Stopwatch) -> tuple[int, dict[str, float]]:
        """One iteration; returns how many times the batch was rolled out, and scalars."""


class Best:
    """The start, and the best sequence that was tried from it."""

    def __init__(self, n_knots: int, low: torch.Tensor, high: torch.Tensor):
        """The actions' middle, until something has been tried."""
        self.knots = (0.5 * (low + high)).repeat(n_knots, 1)
        """(K, A)"""
        self.objective = -math.inf
        self.total = -math.inf
        """Undiscounted return."""
        self.start: dict[str, Any] | None = None
        """What `state_dict()` of an environment of one row at the start would say."""

    def offer(self, knots: torch.Tensor, objective: torch.Tensor, total: torch.Tensor) -> None:
        """Takes the best of the sequences (K, B, A) over if it beats the present one."""
        row = int(objective.argmax())
        if objective[row] > self.objective:
            self.knots = knots[:, row].detach().clone()
            self.objective, self.total = objective[row].item(), total[row].item()

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken."""
        for name, value in state.items():
            setattr(self, name, value.to(self.knots) if isinstance(value, torch.Tensor) else value)


@dataclass(frozen=True)
class AdamTrajoptConfig(Config):
    """Hyper-parameters of Adam on action sequences."""

    horizon: int | None = bounded(None, HORIZON)
    """Control steps of a sequence, H; None: the length of an episode."""
    hold: int = bounded(1, WHOLE)
    """Control steps for which each action is held."""
    gamma: float = bounded(1.0, UNIT)
    """Discount per control step."""
    learning_rate: float = bounded(0.05, POSITIVE)
    """Adam's learning rate, in half action ranges."""
    initial_std: float = bounded(0.3, POSITIVE)
    """Deviation of the initial sequences, in half action ranges; the first row starts at the middle."""
    max_grad_norm: float = bounded(1.0, POSITIVE)
    """Norm of a row's gradient beyond which it is scaled down."""


class Sequences:
    """A sequence (K, A) of each row, (K, B, A) in half ranges from the middle."""

    def __init__(self, initial: torch.Tensor):
        """Starts at `initial`, inside the bounds."""
        self.relative = nn.Parameter(initial.clamp(-1.0, 1.0))

    def state_dict(self) -> dict[str, Any]:
        """The sequences."""
        return {"relative": self.relative.detach().clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken, with its number of rows."""
        self.relative.data = state["relative"].to(self.relative)


class AdamTrajopt(OpenLoop):
    """A sequence per row of the batch, each improved by its own gradient."""

    name = "trajopt-adam"
    differentiable = True
    config: AdamTrajoptConfig

    def __init__(self, config: AdamTrajoptConfig, env: Any, seed: int, total_steps: int):
        """See `Agent`."""
        super().__init__(config, env, seed, total_steps)
        noise = Noise(seed, "sequences", self.low).normal(0, self.n_knots, env.streams.env_ids, self.action_size)
        noise[:, 0] = 0.0
        self.sequences = Sequences(config.initial_std * noise)
        self.relative = self.sequences.relative
        self.optimiser = torch.optim.Adam([self.relative], lr=config.learning_rate, fused=True)
        self.parts |= {"sequences": self.sequences, "optimiser": self.optimiser}

    def improve(self, env: Any, watch: Stopwatch) -> tuple[int, dict[str, float]]:
        """One step of Adam in every row."""
        knots = torch.addcmul(0.5 * (self.low + self.high), 0.5 * (self.high - self.low), self.relative)
        window = self.try_out(env, knots)
        objective = _returns(window, self.config.gamma)
        watch.lap("forward")
        self.best.offer(knots, objective.detach(), _returns(window, 1.0).detach())
        usable = torch.isfinite(objective.detach())
        self._report_lost(window, usable)
        self.optimiser.zero_grad(set_to_none=False)
        known = len(env.failures())
        if bool(usable.any()):
            (-objective[usable].sum()).backward()
        skipped, norm = self._step(usable)
        if skipped > int((~usable).sum()):
            origin = origin_of(env, known, window.first_nonfinite)
            self.report("Sequences were left as they were: their gradients are not finite", origin)
        watch.lap("backward")
        self.skipped_updates += int(skipped)
        return 1, window.episodes.scalars() | {
            "losses/policy_loss": -objective.detach()[usable].mean().item(),
            "gradients/norm_before_clip": norm,
            "gradients/skipped_rows": float(skipped),
        }

    @torch.no_grad()
    def _step(self, usable: torch.Tensor) -> tuple[int, float]:
        """Steps the usable rows; returns how many were not, and the mean norm of the others' gradients."""
        gradient, before = self.relative.grad, self.relative.detach().clone()
        if gradient is None:  # no row could be used
            return len(usable), math.nan
        norm = gradient.square().sum(dim=(0, 2)).sqrt()
        usable = usable & torch.isfinite(norm)
        scale = torch.where(usable, (self.config.max_grad_norm / norm.clamp_min(1e-30)).clamp_max(1.0), 0.0)
        gradient.copy_(torch.where(usable[:, None], gradient * scale[:, None], 0.0))
        self.optimiser.step()
        self.relative.copy_(torch.where(usable[:, None], self.relative.clamp(-1.0, 1.0), before))
        return int((~usable).sum()), norm[usable].mean().item()


@dataclass(frozen=True)
class CEMTrajoptConfig(Config):
    """Hyper-parameters of the cross-entropy method on action sequences."""

    horizon: int | None = bounded(None, HORIZON)
    """Control steps of a sequence, H; None: the length of an episode."""
    hold: int = bounded(4, WHOLE)
    """Control steps for which each action is held."""
    gamma: float = bounded(1.0, UNIT)
    """Discount per control step."""
    population: int = bounded(128, WHOLE)
    """Sequences tried in an iteration, n; rounded up to a multiple of the number of environments."""
    elites: int = bounded(12, WHOLE)
    """Best sequences to which the distribution is fitted."""
    initial_std: float = bounded(0.7, POSITIVE)
    """Deviation at the start, in half action ranges."""
    min_std: float = bounded(0.02, POSITIVE)
    """Deviation at which it stops to shrink, in half action ranges."""
    smoothing: float = bounded(0.1, PART)
    """Part of the old mean and deviation that is kept."""

    def __post_init__(self) -> None:
        """Raises GenesisValueError where a field violates its constraint, or the elites are more than all."""
        super().__post_init__()
        if self.elites > self.population:
            raise GenesisValueError(f"elites must be at most population {self.population}, got {self.elites}.")


def fit_elites(candidates: torch.Tensor, scores: torch.Tensor, elites: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (K, A) of the best of the candidates (K, n, A) by their scores (n,)."""
    best = candidates[:, scores.topk(min(elites, len(scores))).indices]
    return best.mean(dim=1), best.std(dim=1, correction=0)


class Distribution(nn.Module):
    """Mean and standard deviation (K, A) of relative actions, independent of each other."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, shape: tuple[int, int], initial_std: float, like: torch.Tensor):
        """At the middle of the action space."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape, dtype=like.dtype, device=like.device))
        self.register_buffer("std", torch.full(shape, initial_std, dtype=like.dtype, device=like.device))


class CEMTrajopt(OpenLoop):
    """A distribution over sequences that moves to the best of those it gave."""

    name = "trajopt-cem"
    config: CEMTrajoptConfig

    def __init__(self, config: CEMTrajoptConfig, env: Any, seed: int, total_steps: int):
        """See `Agent`."""
        super().__init__(config, env, seed, total_steps)
        self.noise = Noise(seed, "sequences", self.low)
        self.distribution = Distribution((self.n_knots, self.action_size), config.initial_std, self.low)
        self.parts["distribution"] = self.distribution

    @torch.no_grad()
    def improve(self, env: Any, watch: Stopwatch) -> tuple[int, dict[str, float]]:
        """Draws, tries, fits."""
        config, middle, half = self.config, 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
        mean, std = self.distribution.mean, self.distribution.std
        rounds = -(-config.population // env.num_envs)
        candidates, objectives, tried = [], [], []
        for turn in range(rounds):
            first = (self.updates * rounds + turn) * self.n_knots
            noise = self.noise.normal(first, self.n_knots, env.streams.env_ids, self.action_size)
            relative = (mean[:, None] + std[:, None] * noise).clamp(-1.0, 1.0)
            if turn == 0 and self.updates > 0:
                relative[:, 0] = (self.best.knots - middle) / half
            knots = torch.addcmul(middle, half, relative)
            window = self.try_out(env, knots)
            objective = _returns(window, config.gamma)
            self._report_lost(window, torch.isfinite(objective))
            tried.append((knots, objective, _returns(window, 1.0)))
            candidates.append(relative)
            objectives.append(objective)
        for sequences in tried:  # only now: one of the roll-outs may have been abandoned
            self.best.offer(*sequences)
        watch.lap("forward")
        objective = torch.cat(objectives)
        usable = torch.isfinite(objective)
        if bool(usable.any()):
            kept = torch.cat(candidates, dim=1)[:, usable]
            fitted = fit_elites(kept, objective[usable], config.elites)
            mean.lerp_(fitted[0], 1.0 - config.smoothing)
            std.lerp_(fitted[1], 1.0 - config.smoothing).clamp_(min=config.min_std)
        else:
            self.skipped_updates += 1
        return rounds, {
            "losses/policy_loss": -objective[usable].mean().item(),
            "charts/exploration_std": std.mean().item(),
            "gradients/skipped_rows": float((~usable).sum()),
        }


def first_row(state: Any) -> Any:
    """The first environment's part of an environment's state: every tensor in it has a row for each."""
    if isinstance(state, torch.Tensor):
        return state[:1].clone()
    if isinstance(state, dict):
        return {name: first_row(value) for name, value in state.items()}
    return [first_row(value) for value in state] if isinstance(state, list) else state


def spread_rows(state: dict[str, Any], num_envs: int) -> dict[str, Any]:
    """The state of an environment all of whose rows are where the one of `first_row` is."""

    def spread(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.expand(num_envs, *value.shape[1:]).clone()
        if isinstance(value, dict):
            return {name: spread(part) for name, part in value.items()}
        return [spread(part) for part in value] if isinstance(value, list) else value

    return {**spread(state), "num_envs": num_envs}


def _returns(window: Window, gamma: float) -> torch.Tensor:
    valid = window.valid & torch.isfinite(plain(window.reward).detach())
    return sequence_returns(window.reward, window.done, valid, gamma)
