"""What users hand to setters, made into checked tensors before anything changes. Gradients stay connected."""

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from genesis import runtime
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
    elif _holds_tensor(value):
        raise GenesisTypeError(
            f"{what} must be a tensor, an array or numbers, got a sequence with tensors, whose gradients "
            "would be lost. Use torch.stack or torch.cat."
        )
    else:
        try:
            array = np.array(value)
        except ValueError as error:
            raise GenesisValueError(f"{what} must be rectangular, got rows of different lengths. Pad them.") from error
        if array.dtype.kind not in "fiu":
            raise GenesisTypeError(f"{what} must hold numbers, got {array.dtype}. Convert it to float.")
        tensor = torch.from_numpy(array)
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        raise GenesisTypeError(f"{what} must be a dense tensor with data, got {tensor.layout}, {tensor.dtype} on "
                               f"{tensor.device}. Convert it with .to_dense() or .dequantize().")  # fmt: skip
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise GenesisTypeError(f"{what} must hold real numbers, got {tensor.dtype}. Convert it with .float().")
    return tensor


def _holds_tensor(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(v, torch.Tensor) or _holds_tensor(v) for v in value)


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
    if isinstance(envs_idx, torch.Tensor | np.ndarray):
        chosen = torch.as_tensor(envs_idx).detach().as_subclass(torch.Tensor)
    else:
        try:
            chosen = torch.as_tensor([int(envs_idx)] if isinstance(envs_idx, int | np.integer) else list(envs_idx))
        except (TypeError, ValueError, RuntimeError) as error:
            raise GenesisTypeError(
                f"envs_idx must be integers or a mask, got {envs_idx!r}. Pass indices of environments."
            ) from error
        chosen = chosen if chosen.numel() else chosen.long()
    if chosen.dtype == torch.bool:
        if chosen.shape != (n_envs,):
            raise GenesisValueError(
                f"a mask of environments must have shape ({n_envs},), got {tuple(chosen.shape)}. "
                "Give one entry per environment."
            )
        chosen = chosen.nonzero().flatten()
    if chosen.is_floating_point() or chosen.is_complex() or chosen.dim() > 1:
        raise GenesisTypeError(
            f"envs_idx must be integers or a mask, of one axis, got {chosen.dtype} of shape {tuple(chosen.shape)}. "
            "Pass indices of environments."
        )
    indices = chosen.reshape(-1).tolist()
    for index in indices:
        if not 0 <= index < n_envs:
            raise GenesisValueError(
                f"envs_idx must lie in 0 … {n_envs - 1}, got {index}. There are {n_envs} environments."
            )
    if len(set(indices)) != len(indices):
        raise GenesisValueError(f"envs_idx must hold no environment twice, got {indices}. Remove the duplicates.")
    return ordinary_of(chosen.reshape(-1).to(runtime.current().device, torch.int64))


def indices(what: str, chosen: Any, n: int, noun: str) -> Sequence[int]:
    """Indices 0 … n - 1 in the given order; all of them for None.

    Args:
        chosen: An integer, integers, a slice, or None.
        noun: What there are `n` of.
    """
    if chosen is None:
        return range(n)
    if isinstance(chosen, slice):
        return range(n)[chosen]
    if isinstance(chosen, torch.Tensor | np.ndarray):
        chosen = chosen.tolist()
    try:
        found = [operator.index(chosen)] if not isinstance(chosen, Iterable) else [operator.index(i) for i in chosen]
    except TypeError as error:
        raise GenesisTypeError(f"{what} must be integers, got {chosen!r}. Pass indices of {noun}.") from error
    if any(isinstance(i, bool) for i in (chosen if isinstance(chosen, Iterable) else (chosen,))):
        raise GenesisTypeError(f"{what} must be integers, got a mask. Pass indices of {noun}.")
    for index in found:
        if not 0 <= index < n:
            raise GenesisValueError(f"{what} must lie in 0 … {n - 1}, got {index}. There are {n} {noun}.")
    if len(set(found)) != len(found):
        raise GenesisValueError(f"{what} must hold nothing twice, got {found}. Remove the duplicates.")
    return found


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
