"""Networks of the agents."""

import math
from collections.abc import Sequence

import torch
from torch import nn


class SquashedPolicy(nn.Module):
    """A deterministic policy: a multilayer perceptron whose tanh output spans the action space."""

    middle: torch.Tensor
    half_width: torch.Tensor

    def __init__(self, observation_size: int, low: torch.Tensor, high: torch.Tensor, hidden: Sequence[int], seed: int):
        """Weights come from the seed alone; torch's global generator is left as it was.

        Args:
            observation_size: Length O of an observation.
            low: Lower bounds of the action (A,), finite; gives dtype and device.
            high: Upper bounds of the action (A,), finite.
            hidden: Widths of the hidden layers.
            seed: Seed of the weights.
        """
        super().__init__()
        sizes = [observation_size, *hidden]
        layers: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for fan_in, fan_out in zip(sizes[:-1], sizes[1:], strict=True):
                layers += [_linear(fan_in, fan_out, math.sqrt(2.0)), nn.ELU()]
            layers.append(_linear(sizes[-1], len(low), 0.01))
        self.layers = nn.Sequential(*layers).to(low)
        self.register_buffer("middle", 0.5 * (low + high))
        self.register_buffer("half_width", 0.5 * (high - low))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Action (B, A) inside the bounds for normalised observations (B, O); differentiable."""
        return self.middle + self.half_width * torch.tanh(self.layers(observation))


def _linear(fan_in: int, fan_out: int, gain: float) -> nn.Linear:
    layer = nn.Linear(fan_in, fan_out)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
