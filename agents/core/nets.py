"""Networks of the agents. All are plain modules; weights come from a seed alone."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from agents.core.layout import Layout, network
from agents.core.mlp import SQRT2, seeded


class SquashedPolicy(nn.Module):
    """A deterministic policy: a net whose tanh output spans the action space."""

    middle: torch.Tensor
    half_width: torch.Tensor

    def __init__(self, layout: Layout | int, low: torch.Tensor, high: torch.Tensor, hidden: Sequence[int], seed: int):
        """Args: low, high: finite bounds of the action (A,), which give dtype and device."""
        super().__init__()
        with seeded(seed, "policy"):
            self.mean = network(layout, [*hidden, len(low)], layer_norm=False, last_gain=0.01).to(low)
        self.register_buffer("middle", 0.5 * (low + high))
        self.register_buffer("half_width", 0.5 * (high - low))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Action (B, A) inside the bounds for normalised observations (B, O); differentiable."""
        return torch.addcmul(self.middle, self.half_width, torch.tanh(self.mean(observation)))


class GaussianPolicy(nn.Module):
    """a = tanh(mu(o) + exp(logstd) eps), spanning the action space; logstd is a parameter per action."""

    middle: torch.Tensor
    half_width: torch.Tensor

    def __init__(
        self,
        layout: Layout | int,
        low: torch.Tensor,
        high: torch.Tensor,
        hidden: Sequence[int],
        seed: int,
        initial_log_std: float = -1.0,
    ):
        """Args: low, high: finite bounds of the action (A,), which give dtype and device."""
        super().__init__()
        with seeded(seed, "policy"):
            self.mean = network(layout, [*hidden, len(low)], gain=None).to(low)
        self.log_std = nn.Parameter(torch.full_like(low, initial_log_std))
        self.register_buffer("middle", 0.5 * (low + high))
        self.register_buffer("half_width", 0.5 * (high - low))

    def forward(self, observation: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        """Action (B, A) for normalised observations (B, O) and standard normal `noise` (B, A); None: the middle."""
        mean = self.mean(observation)
        return self.squashed(mean, noise)

    def squashed(self, mean: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        """The same, from `self.mean(observation)` (B, A)."""
        if noise is not None:
            mean = torch.addcmul(mean, self.log_std.exp(), noise)
        return torch.addcmul(self.middle, self.half_width, torch.tanh(mean))


class StateGaussianPolicy(nn.Module):
    """As `GaussianPolicy`, with a logstd that depends on the state too; it also says its entropy."""

    LOG_STD = (-5.0, 2.0)
    middle: torch.Tensor
    half_width: torch.Tensor

    def __init__(
        self,
        layout: Layout | int,
        low: torch.Tensor,
        high: torch.Tensor,
        hidden: Sequence[int],
        seed: int,
        activation: str = "silu",
        squashed_entropy: bool = False,
    ):
        """Args: low, high: finite bounds of the action (A,), which give dtype and device; the rest: see `forward`."""
        super().__init__()
        self.squashed_entropy = squashed_entropy
        with seeded(seed, "policy"):
            self.heads = network(layout, [*hidden, 2 * len(low)], activation, gain=1.0).to(low)
        self.register_buffer("middle", 0.5 * (low + high))
        self.register_buffer("half_width", 0.5 * (high - low))

    def forward(
        self, observation: torch.Tensor, noise: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Action (B, A) and entropy (B,), differentiable.

        The entropy is that of the Gaussian, sum log(sigma sqrt(2 pi e)), over the actions; with `squashed_entropy` that
        of its tanh, whose difference sum log(1 - tanh^2) is estimated by the one sample.
        """
        mean, log_std = self.heads(observation).chunk(2, dim=1)
        log_std = log_std.clamp(*self.LOG_STD)
        entropy = (log_std + 0.5 * math.log(2.0 * math.pi * math.e)).sum(dim=1)
        if noise is not None:
            mean = torch.addcmul(mean, log_std.exp(), noise)
        if self.squashed_entropy:  # log(1 - tanh^2 u), without cancellation
            entropy = entropy + 2.0 * (math.log(2.0) - mean - functional.softplus(-2.0 * mean)).sum(dim=1)
        return torch.addcmul(self.middle, self.half_width, torch.tanh(mean)), entropy


class Critics(nn.Module):
    """Value nets that share nothing: each has weights of its own, from a seed of its own."""

    def __init__(
        self,
        layout: Layout | int,
        hidden: Sequence[int],
        count: int,
        seed: int,
        like: torch.Tensor,
        activation: str = "elu",
        gain: float = SQRT2,
    ):
        """Args: count: number of nets, C; like: gives dtype and device."""
        super().__init__()
        self.members = nn.ModuleList()
        for index in range(count):
            with seeded(seed, f"critic {index}"):
                self.members.append(network(layout, [*hidden, 1], activation, gain=gain).to(like))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Values (C, B) for normalised observations (B, O); differentiable."""
        return torch.stack([member(observation).squeeze(1) for member in self.members])

    @torch.no_grad()
    def follow(self, others: "Critics", decay: float) -> None:
        """phi' <- decay phi' + (1 - decay) phi, with phi' the weights here and phi those of others."""
        for slow, fast in zip(self.parameters(), others.parameters(), strict=True):
            slow.lerp_(fast, 1.0 - decay)
