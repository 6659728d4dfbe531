"""Backward passes with a batch of cotangents: torch's vmap hands a node tensors that hide an axis, and have no memory.

There are two kinds of them: torch's older one, of `is_grads_batched` and `vectorize`, and that of torch.func.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

_FUNC: Any = torch._C._functorch  # type: ignore[attr-defined]
Rows = list[torch.Tensor | None]


def in_turn(function: Callable[[Rows], Rows], tensors: Sequence[torch.Tensor | None]) -> Rows:
    """function(tensors), called for each place of the hidden axis in turn, if there is one."""
    hidden = next((tensor for tensor in tensors if tensor is not None and _hides_an_axis(tensor)), None)
    if hidden is None:
        return function(list(tensors))
    new = _FUNC.is_batchedtensor(hidden)
    level = _FUNC.maybe_get_level(hidden) if new else _older_level()
    remove, add = (
        (_FUNC._remove_batch_dim, _FUNC._add_batch_dim) if new else (torch._remove_batch_dim, torch._add_batch_dim)  # type: ignore[attr-defined]
    )
    count = len(remove(hidden, level, 1, 0))
    rows = [tensor if tensor is None else remove(tensor, level, count, 0) for tensor in tensors]
    found = [in_turn(function, [None if row is None else row[k] for row in rows]) for k in range(count)]
    return [
        None if first is None else add(torch.stack([grads[i] for grads in found]), 0, level)  # type: ignore[misc]
        for i, first in enumerate(found[0])
    ]


def _hides_an_axis(tensor: torch.Tensor) -> bool:
    return _FUNC.is_batchedtensor(tensor) or _FUNC.is_legacy_batchedtensor(tensor)


def _older_level() -> int:
    """How many of torch's older vmaps are running."""
    level = torch._C._vmapmode_increment_nesting() - 1
    torch._C._vmapmode_decrement_nesting()
    return level
