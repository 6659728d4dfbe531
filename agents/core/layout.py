"""Where the parts of a flat observation lie, and the nets that take them apart."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import nn

from agents.core import encoders
from agents.core.mlp import MLP, SQRT2
from envs.parts import PRESENT


class Points(NamedTuple):
    """A part of N points with F numbers each, whose order means nothing."""

    shape: tuple[int, int]
    columns: slice
    present: slice | None
    """Of the flags: a point counts where its flag is above 1/2. None: all count."""


class Layout:
    """The parts of an observation, and the name of the encoder of those that are points.

    A part of shape (k,) is k numbers; one of shape (N, F) is points, except that a part (N,) named `<points>_present`
    says which of the part `<points>` there are. Without parts an observation is numbers.
    """

    def __init__(self, size: int, parts: Mapping[str, tuple[int, ...]] | None = None, encoder: str = "points"):
        """Args: size: length O of an observation; parts: see `DifferentiableVectorEnv.observation_parts`."""
        self.size = size
        self.encoder = encoder
        self.parts = {name: list(shape) for name, shape in (parts or {"state": (size,)}).items()}
        """Name to shape in plain values, as files hold them."""
        columns, place = {}, 0
        for name, shape in self.parts.items():
            columns[name] = slice(place, place + torch.Size(shape).numel())
            place = columns[name].stop
        sets = [name for name, shape in self.parts.items() if len(shape) == 2]
        flags = {name + PRESENT for name in sets}
        self.points = tuple(
            Points((self.parts[name][0], self.parts[name][1]), columns[name], columns.get(name + PRESENT))
            for name in sets
        )
        self.numbers = tuple(where for name, where in columns.items() if name not in {*sets, *flags})

    def is_number(self) -> torch.Tensor:
        """(O,) bool, false where a point or its flag is."""
        mask = torch.zeros(self.size, dtype=torch.bool)
        for columns in self.numbers:
            mask[columns] = True
        return mask


class EncodedMLP(nn.Module):
    """A multilayer perceptron of an observation's numbers and of the codes of its points."""

    def __init__(
        self,
        layout: Layout,
        widths: Sequence[int],
        beside: int,
        activation: str,
        layer_norm: bool,
        gain: float | None,
        last_gain: float | None,
    ):
        """Draws from torch's global generator; see `network`."""
        super().__init__()
        encoder = encoders.find(layout.encoder)
        self.points = layout.points
        self.numbers = (*layout.numbers, slice(layout.size, layout.size + beside))
        self.encoders = nn.ModuleList(encoder(part.shape[1], activation, layer_norm, gain) for part in self.points)
        inputs = sum(where.stop - where.start for where in self.numbers) + sum(e.size for e in self.encoders)  # type: ignore[misc]
        self.trunk = MLP([inputs, *widths], activation, layer_norm, gain, last_gain)

    def forward(self, x: torch.Tensor, mixed_precision: bool = False) -> torch.Tensor:
        """Output (..., widths[-1]) for input (..., O + beside); differentiable. `mixed_precision`: see `MLP`."""
        inputs = [x[..., where] for where in self.numbers]
        for part, encoder in zip(self.points, self.encoders, strict=True):
            present = None if part.present is None else x[..., part.present] > 0.5
            inputs.append(encoder(x[..., part.columns].unflatten(-1, part.shape), present))
        return self.trunk(torch.cat(inputs, dim=-1), mixed_precision)


def network(
    layout: Layout | int,
    widths: Sequence[int],
    activation: str = "elu",
    layer_norm: bool = True,
    gain: float | None = SQRT2,
    last_gain: float | None = None,
    beside: int = 0,
) -> MLP | EncodedMLP:
    """The net of an observation: a plain one where all of it is numbers, else one with encoders.

    Args:
        layout: Of the observation; a size O stands for O numbers.
        widths: Of the layers, without the input's.
        activation: This one and those that follow: see `MLP`.
        layer_norm: See there.
        gain: See there.
        last_gain: See there.
        beside: How many numbers follow the observation in the net's input.
    """
    if isinstance(layout, int) or not layout.points:
        size = layout if isinstance(layout, int) else layout.size
        return MLP([size + beside, *widths], activation, layer_norm, gain, last_gain)
    return EncodedMLP(layout, widths, beside, activation, layer_norm, gain, last_gain)
