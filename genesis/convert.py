"""Numbers and indices that users pass in, whatever holds them, as arrays in plain memory."""

from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np
import torch

from genesis.errors import GenesisTypeError, GenesisValueError


def numbers(what: str, value: Any) -> np.ndarray:
    """A copy, float32, float64 or int64, of an array or of nested sequences of numbers; not of tensors.

    Raises:
        GenesisTypeError: Something in it is no number: a bool, a string, a tensor (whose gradients would be lost).
        GenesisValueError: Rows of different lengths, or masked entries.
    """
    _check_entries(what, value)
    try:
        array = np.array(value)
    except ValueError as error:
        raise GenesisValueError(f"{what} must be rectangular, got rows of different lengths. Pad them.") from error
    except (TypeError, OverflowError, RuntimeError) as error:
        raise GenesisTypeError(f"{what} must hold numbers, got {type(value).__name__}: {error}. Convert it.") from error
    if array.dtype.kind not in "fiu":
        held = f"{type(value).__name__} of {array.dtype}" if array.ndim else type(value).__name__
        raise GenesisTypeError(f"{what} must hold numbers, got {held}. Convert it to float.")
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise GenesisValueError(f"{what} must have all its numbers, got masked ones. Fill them in: value.filled(...).")
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "f":
        return array.astype(np.float32 if size <= 4 else np.float64, order="C", copy=False)
    return array.astype(np.float64 if (kind, size) == ("u", 8) else np.int64, order="C", copy=False)


def _check_entries(what: str, value: Any) -> None:
    """Raise if there is a tensor or a bool inside of sequences: numpy would make numbers of them."""
    for entry in value if isinstance(value, list | tuple) else ():
        if isinstance(entry, torch.Tensor):
            raise GenesisTypeError(
                f"{what} must be a tensor, an array or numbers, got a sequence with tensors, whose gradients "
                "would be lost. Use torch.stack or torch.cat."
            )
        if isinstance(entry, bool | np.bool_) or (isinstance(entry, np.ndarray) and entry.dtype == bool):
            raise GenesisTypeError(f"{what} must hold numbers, got a bool among them. Convert it to float.")
        _check_entries(what, entry)


def check_dense(what: str, tensor: torch.Tensor) -> None:
    """Raise unless the tensor is dense and has data."""
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        raise GenesisTypeError(
            f"{what} must be a dense tensor with data, got {tensor.layout}, {tensor.dtype} on {tensor.device}. "
            "Convert it with .to_dense() or .dequantize()."
        )


def constants(what: str, value: Any) -> np.ndarray:
    """A copy of numbers, or of a tensor's without its graph, float64.

    Raises:
        GenesisException: As `numbers`; a tensor of bools or complex numbers, or without data.
    """
    if not isinstance(value, torch.Tensor):
        return numbers(what, value).astype(np.float64)
    check_dense(what, value)
    if value.is_complex() or value.dtype == torch.bool:
        raise GenesisTypeError(f"{what} must hold real numbers, got {value.dtype}. Convert it with .float().")
    return value.detach().as_subclass(torch.Tensor).cpu().double().numpy().copy()


def whole(what: str, value: Any, remedy: str, kind: str = "integers") -> np.ndarray:
    """Integers as they are given, or a mask, as an array of one axis; a single integer counts as one of them.

    Args:
        what: Their name.
        value: An integer, a sequence of integers or of bools, an array, or a tensor.
        remedy: The last sentence of messages.
        kind: What messages say that they must be.

    Raises:
        GenesisTypeError: Anything else: a single bool, floats even where they are whole, strings, sets, more axes.
    """
    if isinstance(value, torch.Tensor):
        check_dense(what, value)
        array = value.detach().as_subclass(torch.Tensor).cpu().numpy()
    elif isinstance(value, np.ndarray):
        array = value
    elif isinstance(value, int | np.integer) and not isinstance(value, bool):
        array = np.array(value)
    elif not isinstance(value, Iterable) or isinstance(value, str | bytes | bytearray | Mapping | Set):
        raise GenesisTypeError(f"{what} must be {kind}, got {_shown(value)}. {remedy}")
    else:
        array = _array_of(what, list(value), remedy, kind)
    single = array.ndim == 0 and array.dtype.kind in "iu"
    if not single and (array.ndim != 1 or array.dtype.kind not in "iub"):
        held = "" if array.ndim == 1 else f" of shape {array.shape}"
        raise GenesisTypeError(f"{what} must be {kind}, of one axis, got {_shown(value)}{held}. {remedy}")
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise GenesisTypeError(f"{what} must be {kind}, got masked ones. {remedy}")
    return np.ascontiguousarray(array.reshape(-1))


def _array_of(what: str, entries: list[Any], remedy: str, kind: str) -> np.ndarray:
    """Of entries that are all integers, or all bools."""
    if all(type(entry) is int for entry in entries):
        plain = entries
    else:
        plain = [
            entry.item() if isinstance(entry, torch.Tensor | np.ndarray | np.generic) and entry.ndim == 0 else entry
            for entry in entries
        ]
    kinds = {type(entry) for entry in plain}
    if kinds - {bool} and kinds - {int}:
        raise GenesisTypeError(f"{what} must be {kind}, got {_shown(entries)}. {remedy}")
    array = np.array(plain, dtype=np.bool_ if kinds == {bool} else object)
    if array.dtype == object and all(-(2**63) <= entry < 2**63 for entry in plain):
        return array.astype(np.int64)
    return array


def _shown(value: Any) -> str:
    if isinstance(value, torch.Tensor | np.ndarray) and value.ndim:
        return f"{type(value).__name__} of {value.dtype}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]} ..."
