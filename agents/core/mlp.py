"""Multilayer perceptrons whose weights come from a seed alone."""

import math
from collections.abc import Sequence

import torch
from torch import nn


def mlp(sizes: Sequence[int], seed: int, output_gain: float = 1.0) -> nn.Sequential:
    """Linear layers with ELU between them, orthogonal weights; torch's global generator is left as it was.

    Args:
        sizes: Width of the input, of the hidden layers, of the output.
        seed: Seed of the weights.
        output_gain: Scale of the last layer's weights.
    """
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for place, (fan_in, fan_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            last = place == len(sizes) - 2
            layer = nn.Linear(fan_in, fan_out)
            nn.init.orthogonal_(layer.weight, output_gain if last else math.sqrt(2.0))
            nn.init.zeros_(layer.bias)
            layers += [layer] if last else [layer, nn.ELU()]
    return nn.Sequential(*layers)
