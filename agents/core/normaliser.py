"""Observations brought to mean 0 and variance 1 by statistics that stand still within a window.

Points, and the flags that say which of them there are, stay in the task's units; like all else they are clipped. An
element's own statistics would tell points apart by their place in the observation. Those of all points together would
not, but would stretch space differently along each axis, and by how far other points are away: points share units with
each other, and with the numbers that a task gives beside them.
"""

import torch
from torch import nn

from agents.core import distributed


class Normaliser(nn.Module):
    """Running mean and variance in float64; what `forward` uses changes only at `freeze`."""

    count: torch.Tensor
    live_mean: torch.Tensor
    live_variance: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self,
        size: int,
        like: torch.Tensor,
        epsilon: float = 1e-2,
        clip: float = 10.0,
        only: torch.Tensor | None = None,
    ):
        """Starts as the identity.

        Args:
            size: Length O of an observation.
            like: Gives dtype and device of the frozen statistics.
            epsilon: Added to the variance, so that constants are not blown up.
            clip: Bound of a normalised observation.
            only: (O,) bool, what is brought to mean 0 and variance 1; the rest is clipped alone. None: everything.
        """
        super().__init__()
        self.epsilon, self.clip = epsilon, clip
        self._only = None if only is None or bool(only.all()) else only.to(like.device)
        live = {"dtype": torch.float64, "device": like.device}
        frozen = {"dtype": like.dtype, "device": like.device}
        self.register_buffer("count", torch.zeros((), **live))
        self.register_buffer("live_mean", torch.zeros(size, **live))
        self.register_buffer("live_variance", torch.ones(size, **live))
        self.register_buffer("mean", torch.zeros(size, **frozen))
        self.register_buffer("scale", torch.ones(size, **frozen))

    @torch.no_grad()
    def update(self, observation: torch.Tensor) -> None:
        """Counts observations (..., O) in, those of all processes; rows that are not finite are left out.

        Source: Chan et al. (1979).
        """
        flat = observation.reshape(-1, observation.shape[-1]).to(torch.float64)
        finite = torch.isfinite(flat).all(dim=1, keepdim=True)
        shifted = torch.where(finite, flat - self.live_mean, 0.0)  # about the mean so far: no cancellation
        sums = distributed.sum_(torch.cat([finite.sum()[None].to(flat), shifted.sum(0), shifted.square().sum(0)]))
        rows, first, second = sums[0], *sums[1:].chunk(2)
        if rows == 0:
            return
        total = self.count + rows
        difference = first / rows
        spread = second - rows * difference.square()
        variance = self.live_variance * self.count + spread
        self.live_variance.copy_((variance + difference.square() * self.count * rows / total) / total)
        self.live_mean.add_(difference * (rows / total))
        self.count.copy_(total)

    def freeze(self) -> None:
        """Makes what has been counted so far the statistics in force."""
        if self.count > 0:
            self.mean.copy_(self.live_mean)
            self.scale.copy_((self.live_variance + self.epsilon).rsqrt())
            if self._only is not None:
                self.mean.masked_fill_(~self._only, 0.0)
                self.scale.masked_fill_(~self._only, 1.0)

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Normalised observation (..., O); differentiable."""
        return torch.clamp((observation - self.mean) * self.scale, -self.clip, self.clip)
