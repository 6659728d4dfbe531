"""What users hand to setters, made into checked tensors before anything changes. Gradients stay connected."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from genesis import runtime
from genesis.convert import check_dense, numbers, whole
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.grad.modes import ordinary_of
from genesis.grad.tensor import check_scene, plain_of

Array = torch.Tensor | np.ndarray | Sequence[Any] | float
"""What a setter takes for a value."""
Environments = torch.Tensor | np.ndarray | Sequence[int] | int | None
"""Indices of environments, a mask (n_envs,), or None for all."""


def real(what: str, value: Array, scene: Any) -> torch.Tensor:
    """`value` as a plain tensor of the running precision and device, connected to its graph, entries finite."""
    tensor = plain_of(numeric(what, value, scene)).to(runtime.current().device, runtime.current().real)
    require_finite(what, tensor)
    return tensor


def numeric(what: str, value: Array, scene: Any) -> torch.Tensor:
    """`value` as a tensor of integers or floats; a tensor is returned as it is."""
    if isinstance(value, torch.Tensor):
        check_scene(value, scene, what)
        tensor = ordinary_of(value)
    else:
        tensor = torch.from_numpy(numbers(what, value))
    check_dense(what, tensor)
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise GenesisTypeError(f"{what} must hold real numbers, got {tensor.dtype}. Convert it with .float().")
    return tensor


def require_finite(what: str, tensor: torch.Tensor) -> None:
    """Raise, naming the first place, unless all entries are finite."""
    values = plain_of(tensor).detach()
    if math.isfinite(values.sum().item()):  # a finite sum has finite terms only; any other may have overflown
        return
    finite = torch.isfinite(values)
    if not finite.all():
        place = tuple((~finite).nonzero()[0].tolist())
        raise GenesisValueError(
            f"{what} must be finite, got {tensor.detach()[place].item()} at index {place}. Mend it."
        )


def environments(envs_idx: Environments, n_envs: int) -> torch.Tensor | None:
    """Indices (K,) int64 of the chosen environments in the given order; None for all."""
    if envs_idx is None:
        return None
    chosen = whole(
        "envs_idx", envs_idx, "Pass indices, or an entry of a mask for each environment.", "integers or a mask"
    )
    if chosen.dtype == np.bool_:
        if chosen.shape != (n_envs,):
            raise GenesisValueError(
                f"a mask of environments must have shape ({n_envs},), got {chosen.shape}. "
                "Give one entry per environment."
            )
        chosen = chosen.nonzero()[0]
    chosen = _checked("envs_idx", chosen, n_envs, "environments", "no environment")
    return torch.from_numpy(chosen).to(runtime.current().device)


def indices(what: str, chosen: Any, n: int, noun: str) -> Sequence[int]:
    """Indices 0 … n - 1 in the given order; all of them for None.

    Args:
        chosen: An integer, integers, a slice, or None.
        noun: What there are `n` of.
    """
    if chosen is None:
        return range(n)
    if isinstance(chosen, slice):
        try:
            return range(n)[chosen]
        except (TypeError, ValueError) as error:
            raise GenesisTypeError(f"{what} must be integers, got {chosen}. Pass indices of {noun}.") from error
    plain = type(chosen) in (list, tuple) and all(type(index) is int for index in chosen)
    if plain and len(set(chosen)) == len(chosen) and all(0 <= index < n for index in chosen):
        return list(chosen)  # what is passed every step
    found = whole(what, chosen, f"Pass indices of {noun}.")
    if found.dtype == np.bool_:
        raise GenesisTypeError(f"{what} must be integers, got a mask. Pass indices of {noun}.")
    return _checked(what, found, n, noun, "nothing").tolist()


def _checked(what: str, found: np.ndarray, n: int, noun: str, none: str) -> np.ndarray:
    """A copy, int64, of indices that are all in 0 … n - 1, none of them twice."""
    outside = [index for index in found.tolist() if not 0 <= index < n]
    if outside:
        raise GenesisValueError(f"{what} must lie in 0 … {n - 1}, got {outside[0]}. There are {n} {noun}.")
    if len(set(found.tolist())) != len(found):
        raise GenesisValueError(f"{what} must hold {none} twice, got {found.tolist()}. Remove the duplicates.")
    return found.astype(np.int64)


def is_run(chosen: Sequence[int]) -> bool:
    """Whether indices follow each other without a gap, so that they are a slice."""
    return len(chosen) > 0 and list(chosen) == list(range(chosen[0], chosen[0] + len(chosen)))


def rows(
    what: str, value: torch.Tensor, items: Sequence[tuple[int, ...]], envs: torch.Tensor | None, n_envs: int
) -> torch.Tensor:
    """`value` with a leading axis for each chosen environment.

    Args:
        value: Of one of the shapes `items`, or with a leading axis of K (the chosen environments) or n_envs.
        items: Shapes of a value of one environment, of different numbers of axes.

    Returns:
        (K, *item): a view where possible.
    """
    n_chosen = n_envs if envs is None else len(envs)
    shape = tuple(value.shape)
    for item in items:
        if shape == (n_chosen, *item):
            return value
        if shape == (n_envs, *item) and envs is not None:
            return value.index_select(0, envs)
    for item in items:
        if shape == item:
            return value.expand(n_chosen, *item)
    valid = list(items) + [(n_chosen, *item) for item in items]
    raise GenesisValueError(
        f"{what} must have shape {' or '.join(str(v) for v in valid)}, got {shape}. "
        f"{n_chosen} environments are addressed."
    )
