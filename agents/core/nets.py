"""Networks of the agents. All are plain modules; weights come from a seed alone."""

import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

ACTIVATIONS = {"elu": functional.elu, "silu": functional.silu, "tanh": torch.tanh, "relu": torch.relu}
SQRT2 = math.sqrt(2.0)


EPSILON = 1e-5
"""Added to the variance in a layer normalisation."""


DRAWN = torch.float32
"""Of initial weights, whatever torch's default dtype: a seed gives the same ones everywhere."""


class Affine(NamedTuple):
    """Parameters of a linear layer, or of a layer normalisation."""

    weight: nn.Parameter
    bias: nn.Parameter


class Layer(NamedTuple):
    """Parameters of a linear layer, and of the normalisation behind its activation if there is one."""

    linear: Affine
    norm: Affine | None


class MLP(nn.Module):
    """Linear layers, each but the last followed by an activation and, if asked for, a layer normalisation."""

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "elu",
        layer_norm: bool = True,
        gain: float | None = SQRT2,
        last_gain: float | None = None,
    ):
        """Draws from torch's global generator; see `seeded`.

        Args:
            sizes: Widths from input to output.
            activation: A name in `ACTIVATIONS`.
            layer_norm: Whether a layer normalisation follows each activation.
            gain: Of the orthogonal initial weights, biases being zero; None: torch's own initial values.
            last_gain: The same for the last layer; None: as `gain`.
        """
        super().__init__()
        self.activation = activation
        widths = list(zip(sizes[:-1], sizes[1:], strict=True))
        self.linears = nn.ModuleList(nn.Linear(fan_in, fan_out, dtype=DRAWN) for fan_in, fan_out in widths)
        self.norms = nn.ModuleList(nn.LayerNorm(width, EPSILON, dtype=DRAWN) for width in sizes[1:-1] if layer_norm)
        self._gather()
        for index, layer in enumerate(self.layers):
            here = last_gain if last_gain is not None and index == len(widths) - 1 else gain
            if here is not None:
                nn.init.orthogonal_(layer.linear.weight, here)
                nn.init.zeros_(layer.linear.bias)

    def _gather(self) -> None:
        """Lists the parameters by layer: looking them up in modules would take as long as the arithmetic."""
        linears, norms = ([Affine(m.weight, m.bias) for m in ms] for ms in (self.linears, self.norms))  # type: ignore
        normed = [*norms, *[None] * (len(linears) - len(norms))]
        self.layers = tuple(Layer(linear, norm) for linear, norm in zip(linears, normed, strict=True))

    def _apply(self, fn: Any, recurse: bool = True) -> "MLP":
        """Moves the parameters, which may make new ones."""
        super()._apply(fn, recurse)
        self._gather()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Output (B, sizes[-1]) for input (B, sizes[0]); differentiable."""
        activation = ACTIVATIONS[self.activation]
        *hidden, last = self.layers
        for linear, norm in hidden:
            x = activation(functional.linear(x, linear.weight, linear.bias))
            if norm is not None:
                x = torch.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, EPSILON)
        return functional.linear(x, last.linear.weight, last.linear.bias)


class SquashedPolicy(nn.Module):
    """A deterministic policy: a multilayer perceptron whose tanh output spans the action space."""

    middle: torch.Tensor
    half_width: torch.Tensor

    def __init__(self, observation_size: int, low: torch.Tensor, high: torch.Tensor, hidden: Sequence[int], seed: int):
        """Args: low, high: finite bounds of the action (A,), which give dtype and device."""
        super().__init__()
        with seeded(seed, "policy"):
            self.mean = MLP([observation_size, *hidden, len(low)], layer_norm=False, last_gain=0.01).to(low)
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
        observation_size: int,
        low: torch.Tensor,
        high: torch.Tensor,
        hidden: Sequence[int],
        seed: int,
        initial_log_std: float = -1.0,
    ):
        """Args: low, high: finite bounds of the action (A,), which give dtype and device."""
        super().__init__()
        with seeded(seed, "policy"):
            self.mean = MLP([observation_size, *hidden, len(low)], gain=None).to(low)
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
        observation_size: int,
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
            self.heads = MLP([observation_size, *hidden, 2 * len(low)], activation, gain=1.0).to(low)
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
        observation_size: int,
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
                self.members.append(MLP([observation_size, *hidden, 1], activation, gain=gain).to(like))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Values (C, B) for normalised observations (B, O); differentiable."""
        return torch.stack([member(observation).squeeze(1) for member in self.members])


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """Within it torch's global generator is one of this seed and purpose; afterwards it is as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed((seed << 32) ^ zlib.crc32(purpose.encode()))
        yield
