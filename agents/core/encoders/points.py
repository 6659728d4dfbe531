"""Points one by one through the same net, then the largest of each output.

    code_j = max_{i present} net(p_i)_j,      0 where no point is present.

A maximum has the same bits in any order, which a sum has not. Where points tie its gradient is shared among them.

Source: Qi et al., "PointNet: Deep learning on point sets for 3D classification and segmentation" (CVPR 2017),
equation 1; without its nets that turn the points, since tasks give them in frames that mean something.
"""

import math

import torch

from agents.core.encoders.base import Encoder, register
from agents.core.mlp import MLP

WIDTHS = (64, 64)


@register("points")
class PointEncoder(Encoder):
    """The encoder: a multilayer perceptron for a point, and the maximum over those that are present."""

    def __init__(self, features: int, activation: str, layer_norm: bool, gain: float | None):
        """See `Encoder`."""
        super().__init__(features, activation, layer_norm, gain)
        self.net = MLP([features, *WIDTHS], activation, layer_norm, gain)
        self.size = WIDTHS[-1]

    def forward(self, points: torch.Tensor, present: torch.Tensor | None) -> torch.Tensor:
        """See `Encoder`."""
        if present is None:
            return self.net(points).amax(dim=-2)
        there = present[..., None]
        outputs = self.net(torch.where(there, points, 0.0))  # so that nothing absent, NaN for instance, enters the net
        code = torch.where(there, outputs, -math.inf).amax(dim=-2)
        return torch.where(present.any(dim=-1, keepdim=True), code, 0.0)
