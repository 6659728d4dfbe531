"""Multilayer perceptrons, and weights that come from a seed alone."""

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


DRAWN = torch.float32
"""Of initial weights, whatever torch's default dtype: a seed gives the same ones everywhere."""
EPSILON = 1e-5
"""Added to the variance in a layer normalisation."""


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

    def forward(self, x: torch.Tensor, mixed_precision: bool = False) -> torch.Tensor:
        """Output (B, sizes[-1]) for input (B, sizes[0]); differentiable.

        With `mixed_precision` matrices between hidden layers are multiplied in bfloat16, all other layers are not.
        """
        activation = ACTIVATIONS[self.activation]
        *hidden, last = self.layers
        for index, (linear, norm) in enumerate(hidden):
            if mixed_precision and index > 0:
                half = functional.linear(x.bfloat16(), linear.weight.bfloat16(), linear.bias.bfloat16())
                x = activation(half).to(x.dtype)
            else:
                x = activation(functional.linear(x, linear.weight, linear.bias))
            if norm is not None:
                x = torch.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, EPSILON)
        return functional.linear(x, last.linear.weight, last.linear.bias)


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """Within it torch's global generator is one of this seed and purpose; afterwards it is as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed((seed << 32) ^ zlib.crc32(purpose.encode()))
        yield
