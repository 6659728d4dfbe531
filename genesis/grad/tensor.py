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
_run_plain = torch._C._disabled_torch_function_impl
_CONTAINERS = (tuple, list, dict)
_GRADIENTS = {  # gradients are plain, and losses of several scenes may be differentiated together
    _Plain.grad.__get__,
    _Plain.grad.__set__,
    _Plain._grad.__get__,  # type: ignore[attr-defined]
    _Plain._base.__get__,
    _Plain.backward,
    torch.autograd.grad,
    torch.autograd.backward,
}


@final
class Tensor(torch.Tensor):
    """A `torch.Tensor` that remembers its scene: the result of any torch operation on it does too.

    Make one with a creation op (`gs.tensor`, `gs.zeros`, …) or `gs.from_torch`. `gs.Tensor(data)` and `gs.Tensor(2, 3)`
    (sizes, uninitialized memory) work as for `torch.Tensor`, on the device and in the precision of `gs.init`.

    - Operations on tensors of two scenes raise; `sceneless()` is the remedy. A scene is remembered weakly: a tensor keeps
      no scene alive, and `.scene` is None once the scene is gone (a mix with another scene still raises).
    - In-place operations on a plain torch tensor leave it plain, on a sceneless `Tensor` give it the scene of its operands.
    - `.grad` and the results of `torch.autograd.grad` are plain torch tensors.
    - Pickles and `torch.save` hold a plain torch tensor without the scene, so `torch.load(weights_only=True)` reads them;
      `copy.deepcopy` shares the scene.
    """

    _scene: "weakref.ref[Any] | None" = None

    def __new__(cls, *data: Any, scene: Any = None) -> "Tensor":
        run = runtime.current()
        if all(isinstance(size, int) for size in data) or (len(data) == 1 and isinstance(data[0], torch.Size)):
            plain = torch.empty(*(data or (0,)), dtype=run.real, device=run.device)
        elif len(data) != 1:
            raise GenesisTypeError(f"Tensor must be given sizes or one array-like, got {len(data)} arguments.")
        elif isinstance(data[0], torch.Tensor):
            plain = plain_of(data[0]).detach().to(run.device, run.real)
        else:
            plain = torch.tensor(data[0], dtype=run.real, device=run.device)
        return remember(plain, scene)

    def __init__(self, *data: Any, scene: Any = None) -> None:
        super().__init__()

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _GRADIENTS:
            return _run_plain(func, types, args, kwargs or {})
        origin = None
        nested = False
        for value in args:
            kind = type(value)
            if kind is Tensor:
                if value._scene is not None and value._scene is not origin:
                    origin = _merge(origin, value._scene)
            elif kind is not _Plain and isinstance(value, _CONTAINERS):
                origin = _search(value, origin)
                nested = True
        if kwargs:
            origin = _search(kwargs, origin)
            nested = True
            result = _run_plain(func, types, args, kwargs)
        else:
            result = _run_plain(func, types, args)
        kind = type(result)
        if kind is _Plain:
            for value in args:
                if value is result:
                    return result
            if nested and id(result) in _plain_inputs((args, kwargs), set()):
                return result
            result.__class__ = Tensor
            if origin is not None:
                result._scene = origin
        elif kind is Tensor:
            if origin is not None and result._scene is None and _writes(func, kwargs):
                result._scene = origin
        elif isinstance(result, _CONTAINERS):
            _stamp(result, origin, _plain_inputs((args, kwargs), set()))
        elif result is None and origin is not None and type(args[0]) is Tensor and _writes(func, kwargs):
            args[0]._scene = origin
        return result

    @property
    def scene(self) -> Any:
        """The scene that this tensor comes from, or None."""
        return None if self._scene is None else self._scene()

    def zero_grad(self) -> None:
        """Set the gradient, if there is one, to zero in place."""
        if self.grad is not None:
            self.grad.detach_().zero_()

    def detach(self, *, sceneless: bool = True) -> "Tensor":
        """Cut the autograd graph, sharing memory. The result forgets the scene, unless `sceneless` is False."""
        result = _run_plain(_Plain.detach, (), (self,))
        result.__class__ = Tensor
        if not sceneless and self._scene is not None:
            result._scene = self._scene
        return result

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
        if self._scene is not None:
            raise GenesisValueError(f"tensor must be sceneless, got one of {_name(self._scene)}. Use .sceneless().")

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        with torch._C.DisableTorchFunctionSubclass():
            text = torch._tensor_str._str(self, tensor_contents=tensor_contents)
        return text if self._scene is None else f"{text[:-1]}, scene={_name(self._scene)})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.dim() == 0 else object.__format__(self, spec)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Tensor":
        if id(self) in memo:
            return memo[id(self)]
        if not self.is_leaf:
            raise GenesisRuntimeError("only graph leaves can be deep-copied, got a result. Use .detach() or .clone().")
        twin = copy.deepcopy(plain_of(self.detach()), memo)
        twin.__class__ = Tensor
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))  # copies of a weak reference are itself
        twin.requires_grad_(self.requires_grad)
        twin.grad = copy.deepcopy(self.grad, memo)
        memo[id(self)] = twin
        return twin

    def __reduce_ex__(self, protocol: Any) -> Any:
        plain = plain_of(self.detach()).requires_grad_(self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            plain = torch.nn.Parameter(plain, self.requires_grad)
        return plain.__reduce_ex__(protocol)


def remember(tensor: torch.Tensor, scene: Any) -> Tensor:
    """An alias of `tensor` (same memory, version counter and place in the graph) that remembers `scene` (None: nothing)."""
    result = tensor.as_subclass(Tensor)
    if scene is not None:
        result._scene = _reference(scene)
    return result


def plain_of(tensor: torch.Tensor) -> torch.Tensor:
    """`tensor` as a plain torch tensor (same memory and place in the graph): hot paths unwrap at their door."""
    return tensor.as_subclass(torch.Tensor) if type(tensor) is not torch.Tensor else tensor


def check_scene(tensor: Any, scene: Any, what: str = "tensor") -> None:
    """Raise if `tensor` is a `Tensor` of another scene than `scene`; `what` names it in the message."""
    if isinstance(tensor, Tensor) and tensor._scene is not None and tensor._scene is not _reference(scene):
        raise GenesisValueError(
            f"{what} must be sceneless or of this scene, {scene!r}, got one of {_name(tensor._scene)}. Use .sceneless()."
        )


def _reference(scene: Any) -> "weakref.ref[Any]":
    try:
        return weakref.ref(scene)
    except TypeError:
        raise GenesisTypeError(f"scene must be a Scene or None, got {scene!r}.") from None


def _name(origin: "weakref.ref[Any]") -> str:
    scene = origin()
    return "a scene that no longer exists" if scene is None else repr(scene)


def _merge(first: Any, second: Any) -> Any:
    """The scene of an operation on tensors of these two scenes."""
    if first is None or first is second:
        return second
    raise GenesisValueError(
        f"tensors of one operation must come from one scene, got {_name(first)} and {_name(second)}. "
        "Use .sceneless() on one of them."
    )


def _search(container: Any, origin: Any) -> Any:
    """`origin`, or else the scene of the tensors anywhere in `container`."""
    for value in container.values() if isinstance(container, dict) else container:
        if isinstance(value, Tensor):
            if value._scene is not None:
                origin = _merge(origin, value._scene)
        elif isinstance(value, _CONTAINERS):
            origin = _search(value, origin)
    return origin


def _plain_inputs(container: Any, found: set[int]) -> set[int]:
    """Identities of the plain tensors anywhere in `container`: they are the user's and stay plain."""
    for value in container.values() if isinstance(container, dict) else container:
        if isinstance(value, torch.Tensor):
            found.add(id(value))
        elif isinstance(value, _CONTAINERS):
            _plain_inputs(value, found)
    return found


def _stamp(container: Any, origin: Any, inputs: set[int]) -> None:
    """Make every new tensor in a result a `Tensor` of scene `origin`."""
    for value in container.values() if isinstance(container, dict) else container:
        if type(value) is _Plain and id(value) not in inputs:
            value.__class__ = Tensor
            if origin is not None:
                value._scene = origin  # type: ignore[attr-defined]
        elif type(value) is Tensor:
            if origin is not None and value._scene is None and id(value) not in inputs:
                value._scene = origin
        elif isinstance(value, _CONTAINERS):
            _stamp(value, origin, inputs)


def _writes(func: Any, kwargs: Any) -> bool:
    """Whether `func` writes into its first argument or into `out`."""
    name = getattr(func, "__name__", "")
    return bool(kwargs and "out" in kwargs) or name in _WRITERS or (name.endswith("_") and not name.endswith("__"))


_WRITERS = {f"__i{op}__" for op in "add sub mul truediv floordiv mod pow and or xor lshift rshift".split()} | {
    "__setitem__"
}
