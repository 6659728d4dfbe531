"""Cotangents on their way back through a step of the simulator."""

from collections.abc import Callable
from typing import Any

import torch

Change = Callable[[torch.Tensor], torch.Tensor]


def maker(state: torch.Tensor) -> Any:
    """The graph node that made this state; None: it is a constant."""
    node = state.grad_fn
    while node is not None and node.name() == "AliasBackward0":  # what the tensor subclass leaves
        node = node.next_functions[0][0]
    return node


def changed(state: torch.Tensor, change: Change | None) -> None:
    """Lets all cotangents that arrive at the maker of this tensor, a step, go through `change`, once they are added up.

    Those of what else the step made, too; of what was set since, none.
    """

    def through(gradients: Any) -> Any:
        return tuple(None if gradient is None else change(gradient) for gradient in gradients)  # type: ignore[misc]

    node = maker(state)
    if change is not None and node is not None:
        node.register_prehook(through)
