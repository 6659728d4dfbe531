"""Checks of what users pass in, and the decorator of frozen option classes.

Every message says what must hold and what came.
"""

import math
from dataclasses import dataclass, field, fields
from functools import wraps
from typing import Any, TypeVar

import numpy as np
import torch
from typing_extensions import dataclass_transform

from genesis.convert import check_dense, constants
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.public_engine import take

Class = TypeVar("Class", bound=type)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def record(cls: Class) -> Class:
    """A frozen keyword-only dataclass, compared by identity, that refuses unknown fields and lists the valid ones.

    Fields that only the public engine's class of that name has are those of `genesis.public_engine`.
    """
    cls = dataclass(frozen=True, kw_only=True, eq=False)(cls)
    names = [each.name for each in fields(cls) if each.init]
    init = cls.__init__

    @wraps(init)
    def checked(self: Any, *args: Any, **given: Any) -> None:
        if args:
            raise GenesisTypeError(
                f"{cls.__name__} must get its fields by name, got {len(args)} positional arguments. "
                f"Name them: {', '.join(names)}."
            )
        given = take(cls, given) if given else given
        unknown = [name for name in given if name not in names]
        if unknown:
            raise GenesisTypeError(
                f"{cls.__name__} must get known fields only, got {', '.join(unknown)}. Valid ones: {', '.join(names)}."
            )
        init(self, **given)

    cls.__init__ = checked
    return cls


def assign(record_: Any, name: str, value: Any) -> None:
    """Replace a field of a frozen record by its checked form: in `__post_init__`, or of a copy that nobody has yet."""
    object.__setattr__(record_, name, value)


def number(
    what: str, value: Any, low: float = -math.inf, high: float = math.inf, closed: bool = False, remedy: str = ""
) -> float:
    """A finite float with low < value < high (low <= value <= high if `closed`)."""
    interval = _interval(low, high, closed)
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise GenesisTypeError(
            f"{what} must be a number{interval}, got {type(value).__name__}. {remedy or 'Pass a float.'}"
        )
    inside = low <= value <= high if closed else low < value < high
    if not _is_finite(value) or not inside:
        raise GenesisValueError(f"{what} must be a finite number{interval}, got {value}. {remedy or 'Change it.'}")
    return float(value)


def _is_finite(value: Any) -> bool:
    """Whether it is a finite float, too: not so an int beyond their range."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def integer(what: str, value: Any, low: int) -> int:
    """An int of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise GenesisTypeError(f"{what} must be an integer, got {type(value).__name__}. Pass an int.")
    if value < low:
        raise GenesisValueError(f"{what} must be at least {low}, got {value}. Raise it.")
    return int(value)


def boolean(what: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise GenesisTypeError(f"{what} must be True or False, got {type(value).__name__}. Pass a bool.")
    return bool(value)


def vector(what: str, value: Any, size: int = 3) -> tuple[float, ...]:
    """A tuple of `size` finite floats from a sequence, an array, or a tensor without a graph."""
    if isinstance(value, torch.Tensor) and value.requires_grad:
        raise GenesisValueError(
            f"{what} must be constant, got a tensor that requires a gradient, which would be lost. "
            "Detach it; after build there are setters with gradients."
        )
    array = constants(what, value)
    if array.shape != (size,):
        got = f"shape {array.shape}" if array.ndim != 1 else len(array)
        raise GenesisValueError(f"{what} must be {size} numbers, got {got}. Pass exactly {size}.")
    return tuple(number(f"every entry of {what}", entry) for entry in array.tolist())


def choice(what: str, value: Any, valid: tuple[str, ...]) -> str:
    """One of the valid names."""
    if not isinstance(value, str) or value not in valid:
        raise GenesisValueError(f"{what} must be one of {', '.join(valid)}, got {value!r}. Choose one of these.")
    return value


def optional_instance(what: str, value: Any, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise GenesisTypeError(
            f"{what} must be a {kind.__module__.split('.')[-1]}.{kind.__name__}, got {type(value).__name__}. "
            "Construct one."
        )


def parameter(what: str, value: Any, low: float, high: float = math.inf, closed: bool = False) -> float | torch.Tensor:
    """A physical parameter: a number, or a tensor () or (B,) whose entries satisfy the constraint; tensors stay
    connected."""
    if not isinstance(value, torch.Tensor | np.ndarray | list | tuple):
        return number(what, value, low, high, closed)
    if isinstance(value, torch.Tensor):
        check_dense(what, value)
        tensor = value
    else:
        tensor = torch.from_numpy(constants(what, value))
    if tensor.dim() > 1 or not tensor.is_floating_point():
        raise GenesisValueError(
            f"{what} must be a number or a floating tensor of shape () or (n_envs,), "
            f"got {tensor.dtype} of shape {tuple(tensor.shape)}. Pass one value, or one per environment."
        )
    check_range(what, tensor, low, high, closed)
    return tensor


def check_range(what: str, tensor: torch.Tensor, low: float, high: float = math.inf, closed: bool = False) -> None:
    """Every entry of `tensor` must be finite and inside the interval."""
    plain = tensor.detach().as_subclass(torch.Tensor)
    inside = (plain >= low) & (plain <= high) if closed else (plain > low) & (plain < high)
    wrong = ~(inside & torch.isfinite(plain))
    if bool(wrong.any()):
        first = plain[wrong].flatten()[0].item()
        raise GenesisValueError(f"{what} must be finite{_interval(low, high, closed)}, got {first}. Change it.")


def _interval(low: float, high: float, closed: bool) -> str:
    if low == -math.inf and high == math.inf:
        return ""
    if high == math.inf:
        return f" {'>=' if closed else '>'} {low:g}"
    if low == -math.inf:
        return f" {'<=' if closed else '<'} {high:g}"
    return f" {'from' if closed else 'strictly between'} {low:g} {'to' if closed else 'and'} {high:g}"
