"""The interface of encoders, and which there are."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from genesis.errors import GenesisKeyError, GenesisValueError


class Encoder(nn.Module, ABC):
    """Abstract: a code of `size` numbers of points in any order, of which some may be absent.

    Swapping points changes nothing, absent points change nothing whatever they hold, and without any point the code is
    finite. Gradients by the points keep these promises: swapped points have theirs swapped, absent ones have zero.
    """

    size: int
    """Length of the code."""

    @abstractmethod
    def __init__(self, features: int, activation: str, layer_norm: bool, gain: float | None):
        """Draws its weights from torch's global generator.

        Args:
            features: Numbers F of a point.
            activation: This one and those that follow are as the net's behind it; see `agents.core.mlp.MLP`.
            layer_norm: See there.
            gain: See there.
        """
        super().__init__()

    @abstractmethod
    def forward(self, points: torch.Tensor, present: torch.Tensor | None) -> torch.Tensor:
        """Code (..., size) of points (..., N, F), differentiable.

        Args:
            points: In the task's units.
            present: (..., N) bool, which of them count; None: all.
        """


ENCODERS: dict[str, type[Encoder]] = {}
"""Name of an encoder, as configurations have it, to its class."""

E = TypeVar("E", bound=type[Encoder])


def register(name: str) -> Callable[[E], E]:
    """Makes an encoder known by a name, as a decorator of its class.

    Raises:
        GenesisValueError: There is another of this name.
    """

    def note(encoder: E) -> E:
        if name in ENCODERS:
            raise GenesisValueError(
                f"The name of an encoder must be new, got {name!r} of {encoder.__name__}. Known: {sorted(ENCODERS)}."
            )
        ENCODERS[name] = encoder
        return encoder

    return note


def find(name: str) -> type[Encoder]:
    """The encoder of a name.

    Raises:
        GenesisKeyError: There is none; lists the valid ones.
    """
    if name not in ENCODERS:
        raise GenesisKeyError(f"encoder must be one of {sorted(ENCODERS)}, got {name!r}. Import the file of a new one.")
    return ENCODERS[name]
