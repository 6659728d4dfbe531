"""Cotangents on their way back through a step of the simulator."""

from collections.abc import Callable, Iterable
from typing import Any

import torch

Change = Callable[[torch.Tensor], torch.Tensor]


def maker(state: torch.Tensor) -> Any:
    """The graph node that made this state; None: it is a constant."""
    node = state.grad_fn
    while node is not None and node.name() == "AliasBackward0":  # what the tensor subclass leaves
        node = node.next_functions[0][0]
    return node


def changed(state: Iterable[torch.Tensor], change: Change | None) -> None:
    """Lets all cotangents that arrive at the makers of these tensors go through `change`, once they are added up."""
    if change is not None:
        for node in {node for node in map(maker, state) if node is not None}:
            node.register_prehook(_through(change))


def _through(change: Change) -> Callable[[Any], Any]:
    def through(gradients: Any) -> Any:
        return tuple(None if gradient is None else change(gradient) for gradient in gradients)

    return through
