"""torch's creation ops under `gs.`: same names, on the device and in the precision of `gs.init`.

All accept `dtype=`, `requires_grad=`, `scene=`, and pass other options on to torch; `device=` and `out=` are refused.

- The kind is inferred as torch does, the width is the toolkit's: floats become `gs.tc_float`, integers int32 (one that
  does not fit raises), booleans stay. `dtype=` takes `float`, `int`, `bool` or a torch dtype of that kind.
- Values are computed in the target precision: `gs.tensor(0.1)` at precision "64" is 0.1, not float32's neighbour of it.
- `tensor`, `from_numpy` and everything made from a numpy array copy (an edit of shared memory could not be noticed);
  `asarray`, `as_tensor` and `as_strided` share a torch tensor's memory where dtype and device fit, as torch's do.
- Random ops draw from torch's default generator, which `gs.init(seed=…)` seeds.
"""

import builtins
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from genesis import runtime
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.grad.tensor import Tensor, adopt, check_scene, plain_of, remember

_KINDS: dict[Any, type] = {
    builtins.float: builtins.float,
    torch.float32: builtins.float,
    torch.float64: builtins.float,
    builtins.int: builtins.int,
    torch.int32: builtins.int,
    torch.int64: builtins.int,
    builtins.bool: builtins.bool,
    torch.bool: builtins.bool,
}
_INTEGERS = {
    *(torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
}
_INT32 = torch.iinfo(torch.int32)


def from_torch(
    tensor: torch.Tensor,
    dtype: Any = None,
    requires_grad: bool = False,
    detach: bool = True,
    scene: Any = None,
) -> Tensor:
    """A `Tensor` of a torch tensor.

    Args:
        tensor: Any torch tensor; where it is a `Tensor`, `detach=False` keeps its scene.
        dtype: `float`, `int`, `bool` or a torch dtype of that kind. None: inferred.
        requires_grad: Whether the result is to collect a gradient. With `detach=False` it always does where `tensor`
            requires one.
        detach: True: a new leaf with memory of its own. False: connected upstream, differentiable, and without a copy
            where dtype and device fit already.
        scene: The scene to remember.

    Raises:
        GenesisTypeError: If `tensor` is no torch tensor, or `dtype` is none of the above.
        GenesisValueError: If an integer does not fit, or an integer is to require a gradient.
    """
    if not isinstance(tensor, torch.Tensor):
        raise GenesisTypeError(f"tensor must be a torch.Tensor, got {type(tensor).__name__}. Use gs.tensor(data).")
    if detach:
        return _finish(_copy(tensor, dtype), requires_grad, scene, fresh=True)
    return _finish(_convert(tensor, dtype), requires_grad, scene)


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False, scene: Any = None, **options: Any) -> Tensor:
    """A new leaf with a copy of `data` (nested sequences, numpy arrays, tensors, numbers). See `torch.tensor`."""
    _refuse(options)
    return _finish(_new(data, dtype, options), requires_grad, scene, fresh=True)


def asarray(data: Any, *, dtype: Any = None, requires_grad: bool = False, scene: Any = None, **options: Any) -> Tensor:
    """`data` as a `Tensor`, sharing a torch tensor's memory where possible unless `copy=True`; connected to its graph
    only with `requires_grad=True`. See `torch.asarray`."""
    _refuse(options)
    if isinstance(data, torch.Tensor):
        run, target = runtime.current(), _dtype_of(data, dtype)
        _check_range(data, target)
        result = torch.asarray(data, dtype=target, device=run.device, requires_grad=requires_grad, **options)
        return _finish(result, requires_grad, scene)
    if options.pop("copy", None) is False:
        raise GenesisValueError("copy must be None or True for data that is no torch tensor, got False.")
    return _finish(_new(data, dtype, options), requires_grad, scene, fresh=True)


def as_tensor(
    data: Any, *, dtype: Any = None, requires_grad: bool = False, scene: Any = None, **options: Any
) -> Tensor:
    """`data` as a `Tensor`, sharing a torch tensor's memory and graph where possible. See `torch.as_tensor`."""
    _refuse(options)
    result = _convert(data, dtype) if isinstance(data, torch.Tensor) else _new(data, dtype, options)
    return _finish(result, requires_grad, scene)


def from_numpy(array: np.ndarray, *, dtype: Any = None, requires_grad: bool = False, scene: Any = None) -> Tensor:
    """A new leaf with a copy of a numpy array (it never shares memory). See `torch.from_numpy`."""
    runtime.current()
    if not isinstance(array, np.ndarray):
        raise GenesisTypeError(f"array must be a numpy array, got {type(array).__name__}. Use gs.tensor(data).")
    return _finish(_new(array, dtype, {}), requires_grad, scene, fresh=True)


def as_strided(
    input: torch.Tensor,
    size: Any,
    stride: Any,
    storage_offset: int | None = None,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
    scene: Any = None,
) -> Tensor:
    """A view of `input`'s memory with the given strides, connected to its graph. See `torch.as_strided`."""
    return _finish(_convert(torch.as_strided(input, size, stride, storage_offset), dtype), requires_grad, scene)


def _filled(name: str, infer: Callable[..., type] | None = None) -> Callable[..., Tensor]:
    """The op `torch.<name>`, whose kind of number is a float unless `infer` says otherwise from the arguments."""
    op = getattr(torch, name)

    def create(*args: Any, dtype: Any = None, requires_grad: bool = False, scene: Any = None, **options: Any) -> Tensor:
        _refuse(options)
        run = runtime.current()
        kind = _kind(dtype) if dtype is not None else (infer(*args, **options) if infer else builtins.float)
        # Integers are made as int64 where they might overflow, and checked.
        wide = torch.int64 if kind is builtins.int and infer is not None else _dtype(kind)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.range is deprecated")
            result = op(*args, dtype=wide, device=run.device, **options)
        return _finish(_convert(result, kind), requires_grad, scene, fresh=True)

    create.__name__ = create.__qualname__ = name
    create.__doc__ = f"`torch.{name}` on the device and in the precision of `gs.init`, and in range: see the module."
    return create


def _kind_of_numbers(*numbers: Any, **options: Any) -> type:
    """`int` if all of the numbers are integers (`arange`)."""
    named = [options[name] for name in ("start", "end", "step") if name in options]
    kinds = {_kind_of(number) for number in (*numbers, *named)}
    return builtins.float if builtins.float in kinds else builtins.int


def _kind_of_fill(size: Any, fill_value: Any, **_: Any) -> type:
    return _kind_of(fill_value)


def _kind_of_input(input: torch.Tensor, *_: Any, **__: Any) -> type:
    return _kind_of(input)


def _kind_integer(*_: Any, **__: Any) -> type:
    return builtins.int


zeros = _filled("zeros")
ones = _filled("ones")
empty = _filled("empty")
empty_strided = _filled("empty_strided")
eye = _filled("eye")
linspace = _filled("linspace")
logspace = _filled("logspace")
range = _filled("range")
arange = _filled("arange", _kind_of_numbers)
full = _filled("full", _kind_of_fill)
rand = _filled("rand")
randn = _filled("randn")
randint = _filled("randint", _kind_integer)
randperm = _filled("randperm", _kind_integer)
zeros_like = _filled("zeros_like", _kind_of_input)
ones_like = _filled("ones_like", _kind_of_input)
empty_like = _filled("empty_like", _kind_of_input)
full_like = _filled("full_like", _kind_of_input)
rand_like = _filled("rand_like", _kind_of_input)
randn_like = _filled("randn_like", _kind_of_input)
randint_like = _filled("randint_like", _kind_of_input)


def _refuse(options: dict[str, Any]) -> None:
    run = runtime.current()
    if "device" in options:
        raise GenesisTypeError(
            f"device= must not be given, got {options['device']!r}. "
            f"Every tensor lives on the device that gs.init chose, here {str(run.device)!r}."
        )
    if "out" in options:
        raise GenesisTypeError("out= must not be given: a creation op makes a new tensor. Use .copy_() on the old one.")


def _kind(dtype: Any) -> type:
    """`float`, `int` or `bool` for a dtype that a caller gave."""
    try:
        return _KINDS[dtype]
    except (KeyError, TypeError):
        valid = "float, int, bool, torch.float32, torch.float64, torch.int32, torch.int64, torch.bool"
        raise GenesisTypeError(f"Unsupported dtype: dtype must be one of {valid}, got {dtype!r}.") from None


def _kind_of(data: Any) -> type:
    """`float`, `int` or `bool`: the kind of number that `data` holds."""
    dtype = data.dtype if isinstance(data, torch.Tensor) else _probe(data).dtype
    if dtype == torch.bool:
        return builtins.bool
    if dtype.is_floating_point:
        return builtins.float
    if dtype in _INTEGERS:
        return builtins.int
    raise GenesisTypeError(f"Unsupported dtype: data must be real numbers or booleans, got {dtype}.")


def _probe(data: Any) -> torch.Tensor:
    """`data` as a torch tensor in torch's own dtype."""
    try:
        return torch.as_tensor(data)
    except (OverflowError, RuntimeError, ValueError) as error:
        if "overflow" in str(error).lower():
            raise GenesisValueError(f"integers must fit into int32, got {data!r}. Use dtype=float.") from None
        raise


def _dtype(kind: type) -> torch.dtype:
    run = runtime.current()
    return {builtins.float: run.real, builtins.int: run.integer, builtins.bool: torch.bool}[kind]


def _dtype_of(data: Any, dtype: Any) -> torch.dtype:
    return _dtype(_kind(dtype) if dtype is not None else _kind_of(data))


def _new(data: Any, dtype: Any, options: dict[str, Any]) -> torch.Tensor:
    """A tensor with a copy of `data`."""
    run = runtime.current()
    if isinstance(data, np.ndarray):
        data = torch.from_numpy(np.array(data, order="C"))  # torch refuses negative strides
    if isinstance(data, torch.Tensor):
        return _copy(data, dtype)
    target = _dtype_of(data, dtype)
    if target == run.integer:
        _check_range(_probe(data), target)
    return torch.tensor(data, dtype=target, device=run.device, **options)


def _copy(data: torch.Tensor, dtype: Any) -> torch.Tensor:
    """A plain copy of `data`, detached, on the right device and in the right dtype."""
    run, target = runtime.current(), _dtype_of(data, dtype)
    _check_range(data, target)
    return plain_of(data).detach().to(run.device, target, copy=True)


def _convert(data: torch.Tensor, dtype: Any) -> torch.Tensor:
    """`data` on the right device and in the right dtype: `data` itself where they fit."""
    run, target = runtime.current(), _dtype_of(data, dtype)
    _check_range(data, target)
    return data.to(run.device, target)


def _check_range(data: torch.Tensor, target: torch.dtype) -> None:
    """Raise if a value does not fit into the integer type `target`."""
    if target != torch.int32 or data.dtype in (torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool):
        return
    if data.numel():
        low, high = (bound.item() for bound in plain_of(data).detach().to(torch.float64).aminmax())
        if not (_INT32.min <= low and high <= _INT32.max):
            raise GenesisValueError(f"integers must fit into int32, got values from {low} to {high}. Use dtype=float.")


def _finish(result: torch.Tensor, requires_grad: bool, scene: Any, fresh: bool = False) -> Tensor:
    """`result` as a `Tensor` of `scene`, or of the scene it already has; `fresh` if nobody else holds it."""
    if scene is not None:
        check_scene(result, scene)
    if requires_grad and not result.is_floating_point():
        raise GenesisValueError(f"a tensor that requires_grad must be of floats, got {result.dtype}. Use dtype=float.")
    wrapped = adopt(result, scene) if fresh else remember(result, scene)
    return wrapped.requires_grad_() if requires_grad else wrapped
