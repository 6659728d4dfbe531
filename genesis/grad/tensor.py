"""`Tensor`: a torch tensor that remembers the scene it comes from.

It never carries the gradient, which is the work of torch's autograd graph: losing the subclass on the way (in a C++
operator, in `torch.vmap`, in an `nn.Module`) loses the memory of the scene and nothing else.
"""

import copy
import weakref
from typing import Any, final

import torch

from genesis import runtime
from genesis.errors import GenesisRuntimeError, GenesisTypeError, GenesisValueError

_Plain = torch.Tensor
_run_plain: Any = torch._C._disabled_torch_function_impl
"""Runs an operation as if its operands were plain tensors."""
_CONTAINERS = (tuple, list, dict)
_GRADIENTS = torch.overrides.get_default_nowrap_functions() | {
    torch.Tensor.backward,
    torch.autograd.backward,
    torch.autograd.grad,
}
"""Gradients are plain tensors, and losses of several scenes may be differentiated together."""


class _Origin:
    """A scene, referred to weakly. (A bare weak reference would not survive `torch.compile`.)"""

    def __init__(self, scene: Any) -> None:
        try:
            self.scene = weakref.ref(scene)
        except TypeError:
            raise GenesisTypeError(f"scene must be a Scene or None, got {scene!r}.") from None

    def same(self, other: "_Origin") -> bool:
        mine, theirs = self.scene(), other.scene()
        return self.scene is other.scene if mine is theirs is None else mine is theirs

    def __repr__(self) -> str:
        scene = self.scene()
        return "a scene that no longer exists" if scene is None else repr(scene)


@final
class Tensor(torch.Tensor):
    """A `torch.Tensor` that remembers its scene: the result of any torch operation on it does too.

    Make one with a creation op (`gs.tensor`, `gs.zeros`, …) or `gs.from_torch`. `gs.Tensor(data)` and `gs.Tensor(2, 3)`
    (sizes, uninitialized memory) work as for `torch.Tensor`, on the device and in the precision of `gs.init`.

    - Operations on tensors of two scenes raise; `sceneless()` is the remedy. A scene is remembered weakly: a tensor
      keeps no scene alive, and `.scene` is None once it is gone (a mix with another scene still raises).
    - In-place operations leave a plain torch tensor plain, and give a sceneless `Tensor` the scene of their operands.
    - `.grad`, the results of `torch.autograd.grad` and what comes out of `torch.vmap` or `torch.func.grad` are plain.
    - Pickles and `torch.save` hold a plain torch tensor without the scene, so `torch.load(weights_only=True)` reads
      them; `copy.deepcopy` shares the scene.
    - The class is final (an `nn.Parameter` made of one is a `Tensor` with torch's mark on it).
    """

    _origin: _Origin | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        raise GenesisTypeError("genesis.Tensor must not be subclassed. Hold a Tensor in an attribute.")

    def __new__(cls, *data: Any, scene: Any = None) -> "Tensor":
        run = runtime.current()
        if all(isinstance(size, int) for size in data) or (len(data) == 1 and isinstance(data[0], torch.Size)):
            plain = torch.empty(*(data or (0,)), dtype=run.real, device=run.device)
        elif len(data) != 1:
            raise GenesisTypeError(f"Tensor must be given sizes or one array-like, got {len(data)} arguments.")
        elif isinstance(data[0], torch.Tensor):
            plain = plain_of(data[0]).detach().to(run.device, run.real, copy=True)
        else:
            plain = torch.tensor(data[0], dtype=run.real, device=run.device)
        return adopt(plain, scene)

    def __init__(self, *data: Any, scene: Any = None) -> None:
        super().__init__()

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _GRADIENTS:
            return _run_plain(func, types, args, kwargs or {})
        if torch.compiler.is_dynamo_compiling():
            return _traced(super().__torch_function__(func, types, args, kwargs or {}), args, kwargs)
        origin = None
        nested = False
        for value in args:
            kind = type(value)
            if kind is Tensor:
                if value._origin is not None and value._origin is not origin:
                    origin = _merge(origin, value._origin)
            elif kind is not _Plain and isinstance(value, _CONTAINERS):
                origin = _search(value, origin)
                nested = True
        if kwargs:
            origin = _search(kwargs, origin)
            if "out" in kwargs:
                _check_out(kwargs["out"])
            nested = True
            result = _run_plain(func, types, args, kwargs)
        else:
            result = _run_plain(func, types, args)
        kind = type(result)
        if kind is _Plain:
            for value in args:
                if value is result:
                    return result
            if nested and id(result) in _identities((args, kwargs), set()):
                return result
            return _adopt(result, origin)
        if kind is Tensor:
            if origin is not None and result._origin is None and _writes(func, kwargs):
                result._origin = origin
        elif isinstance(result, _CONTAINERS):
            _stamp(result, origin, _identities((args, kwargs), set()), _writes(func, kwargs))
        elif result is None and origin is not None and type(args[0]) is Tensor and _writes(func, kwargs):
            args[0]._origin = origin
        return result

    @property
    def scene(self) -> Any:
        """The scene that this tensor comes from, or None."""
        return None if self._origin is None else self._origin.scene()

    def zero_grad(self) -> None:
        """Set the gradient, if there is one, to zero in place."""
        if self.grad is not None:
            self.grad.detach_().zero_()

    def detach(self, *, sceneless: bool = True) -> "Tensor":
        """Cut the autograd graph, sharing memory. The result forgets the scene, unless `sceneless` is False."""
        return _adopt(_run_plain(_Plain.detach, (), (self,)), None if sceneless else self._origin)

    def sceneless(self) -> "Tensor":
        """The same values without the scene: gradients flow on, memory is shared."""
        return self.as_subclass(Tensor)

    def assert_contiguous(self) -> None:
        """Raise unless the elements lie in memory in row-major order."""
        if not self.is_contiguous():
            raise GenesisValueError(
                f"tensor must be contiguous, got strides {self.stride()} for shape {tuple(self.shape)}. "
                "Use .contiguous()."
            )

    def assert_sceneless(self) -> None:
        """Raise if the tensor comes from a scene."""
        if self._origin is not None:
            raise GenesisValueError(f"tensor must be sceneless, got one of {self._origin!r}. Use .sceneless().")

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        text = _run_plain(_Plain.__repr__, (), (self,), {"tensor_contents": tensor_contents})
        return text if self._origin is None else f"{text[:-1]}, scene={self._origin!r})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.dim() == 0 else object.__format__(self, spec)

    def __copy__(self) -> "Tensor":
        twin = adopt(copy.copy(plain_of(self.detach())))
        vars(twin).update(vars(self))
        return twin.requires_grad_(self.requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Tensor":
        if id(self) in memo:
            return memo[id(self)]
        if not self.is_leaf:
            raise GenesisRuntimeError("only graph leaves can be deep-copied, got a result. Use .detach() or .clone().")
        twin = adopt(copy.deepcopy(plain_of(self.detach()), memo))
        vars(twin).update(copy.deepcopy(vars(self), memo))  # the copy of a weak reference is itself
        twin.requires_grad_(self.requires_grad)
        twin.grad = copy.deepcopy(self.grad, memo)
        memo[id(self)] = twin
        return twin

    # Torch names the argument so, torch's stub otherwise.
    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":  # pyright: ignore[reportIncompatibleMethodOverride]
        """Have autograd collect a gradient in `.grad`, in place. See `torch.Tensor.requires_grad_`."""
        _run_plain(_Plain.requires_grad_, (), (self, requires_grad))
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        plain = plain_of(self.detach()).requires_grad_(self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            plain = torch.nn.Parameter(plain, self.requires_grad)
        return plain.__reduce_ex__(protocol)


def adopt(fresh: torch.Tensor, scene: Any = None) -> Tensor:
    """Turn a new tensor, to which nobody else holds a reference, into a `Tensor` of `scene` (None: of the one it has).

    Cheaper than `remember`.
    """
    return _adopt(fresh, None if scene is None else _Origin(scene))


def remember(tensor: torch.Tensor, scene: Any) -> Tensor:
    """An alias of `tensor` (same memory, version counter and place in the graph) that remembers `scene`.

    With None it remembers the scene that `tensor` has, if any.
    """
    origin = _Origin(scene) if scene is not None else tensor._origin if isinstance(tensor, Tensor) else None
    return _adopt(tensor.as_subclass(Tensor), origin)


def plain_of(tensor: torch.Tensor) -> torch.Tensor:
    """`tensor` as a plain torch tensor (same memory and place in the graph): hot paths unwrap on entry."""
    return tensor.as_subclass(torch.Tensor) if type(tensor) is not torch.Tensor else tensor


def check_scene(tensor: Any, scene: Any, what: str = "tensor") -> None:
    """Raise if `tensor` is a `Tensor` of another scene than `scene`; `what` names it in the message."""
    if isinstance(tensor, Tensor) and tensor._origin is not None and tensor._origin.scene() is not scene:
        raise GenesisValueError(
            f"{what} must be sceneless or of this scene, {scene!r}, got one of {tensor._origin!r}. Use .sceneless()."
        )


def _merge(first: Any, second: Any) -> Any:
    """The scene of an operation on tensors of these two scenes."""
    if first is None or first is second or first.same(second):
        return second
    raise GenesisValueError(
        f"tensors of one operation must come from one scene, got {first!r} and {second!r}. "
        "Use .sceneless() on one of them."
    )


def _search(container: Any, origin: Any) -> Any:
    """`origin`, or else the scene of the tensors anywhere in `container`."""
    for value in container.values() if isinstance(container, dict) else container:
        kind = type(value)
        if kind is Tensor:
            if value._origin is not None and value._origin is not origin:
                origin = _merge(origin, value._origin)
        elif kind is not _Plain and isinstance(value, _CONTAINERS):
            origin = _search(value, origin)
    return origin


def _identities(container: Any, found: set[int]) -> set[int]:
    """Identities of the tensors anywhere in `container`."""
    for value in container.values() if isinstance(container, dict) else container:
        kind = type(value)
        if kind is _Plain or kind is Tensor:
            found.add(id(value))
        elif isinstance(value, _CONTAINERS):
            _identities(value, found)
    return found


def _adopt(fresh: torch.Tensor, origin: Any) -> Tensor:
    """Make a plain tensor that nobody else holds a `Tensor` of scene `origin`.

    Unlike `as_subclass` this adds no view and no node to the graph.
    """
    fresh.__class__ = Tensor
    if origin is not None:
        fresh._origin = origin  # type: ignore[attr-defined]
    return fresh  # type: ignore[return-value]


def _stamp(container: Any, origin: Any, inputs: set[int], writes: bool) -> None:
    """Adopt every tensor in a result that is not one of the operation's inputs: those are the caller's.

    A `Tensor` that was written into (`out=`) inherits the scene.
    """
    for value in container.values() if isinstance(container, dict) else container:
        kind = type(value)
        if kind is _Plain or kind is Tensor:
            if id(value) not in inputs or (writes and kind is Tensor):
                _adopt(value, origin)
        elif isinstance(value, _CONTAINERS):
            _stamp(value, origin, inputs, writes)


def _check_out(out: Any) -> None:
    """Raise if the scene of a tensor that is to be written into still needs it as it is."""
    for value in out if isinstance(out, (tuple, list)) else (out,):
        check = getattr(value.scene, "check_writable", None) if isinstance(value, Tensor) else None
        if check is not None:
            check(value)


def _traced(result: Any, args: Any, kwargs: Any) -> Any:
    """`result` of an operation that `torch.compile` traces, with the scene of the operands."""
    origin = _search((args, kwargs or {}), None)
    if origin is not None:
        for value in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(value, Tensor):
                value._origin = origin
    return result


def _writes(func: Any, kwargs: Any) -> bool:
    """Whether `func` writes into its first argument or into `out`."""
    name = getattr(func, "__name__", "")
    return bool(kwargs and "out" in kwargs) or name in _WRITERS or (name.endswith("_") and not name.endswith("__"))


_WRITERS = {"__setitem__"} | {
    f"__i{op}__" for op in "add sub mul truediv floordiv mod pow and or xor lshift rshift".split()
}
