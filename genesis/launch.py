"""Kernels made from tables of arrays, and bound to the memory of arrays.

A plain call of the compiler with nine torch tensors costs 330 us. Launching a kernel that was bound once costs 7 us and
0.4 us for each of its arguments (an empty kernel with 2: 8 us, with 55: 31 us), and what its threads take to wake.
"""

import gc
import linecache
import os
import weakref
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from genesis.arrays import Arrays, Table, select
from genesis.compiler import at_stop, impl, layout, ti
from genesis.errors import GenesisForkError, GenesisRuntimeError


def kernel(table: Table, *lives: str) -> Callable[[Callable[[Any], None]], Any]:
    """Make a kernel of a function whose one argument has the arrays of some lives as attributes."""
    arguments = {array.name: getattr(layout(), array.kind) for array in select(table, *lives)}

    def make(function: Callable[[Any], None]) -> Any:
        # The compiler reads the source text of a kernel, when it is first bound: this one's is two lines, kept where
        # tracebacks look too. Kernels of one name have a text for each list of arguments.
        name, these = function.__name__, f"{zlib.crc32(','.join(arguments).encode()):08x}"
        place = f"<kernel {function.__module__}.{function.__qualname__} {these}>"
        text = (
            f"def {name}({', '.join(f'{argument}: _kinds[{argument!r}]' for argument in arguments)}):\n"
            f"    _function(_Arrays({', '.join(f'{argument}={argument}' for argument in arguments)}))\n"
        )
        linecache.cache[place] = (len(text), None, text.splitlines(True), place)
        scope = {"_kinds": arguments, "_function": ti.func(function), "_Arrays": Arrays}
        exec(compile(text, place, "exec"), scope)
        return ti.kernel(scope[name])

    return make


@dataclass(eq=False)
class Launch:
    """A kernel bound to its arrays. Until the compiler stops, calling it runs it on what the arrays hold now."""

    run: Callable[[list[tuple[Any, ...]]], None]
    arrays: dict[str, torch.Tensor]
    """By name of the argument; kept so that the memory outlives the binding."""
    process: int
    places: dict[str, int]
    elements: dict[str, tuple[int, int]]
    """Of each argument the axes that count elements, and those within one; (1, 0) of an array of plain numbers."""
    changed: list[tuple[Any, ...]] = field(default_factory=list)

    def point(self, name: str, array: torch.Tensor) -> None:
        """Bind an argument to another memory: a contiguous array of its own shape or, for plain numbers, of any."""
        place = (self.places[name],)
        self.arrays[name] = array = array.resolve_neg()  # torch may put off a change of sign (imag of a conjugate)
        count = array.nelement()
        if count:
            outer, inner = self.elements[name]
            shape = array.shape[:outer] if (outer, inner) != (1, 0) else (count,)
            self.changed.append((place, array.data_ptr(), array.element_size() * count, shape, 0))

    def __call__(self) -> None:
        if os.getpid() != self.process:
            raise GenesisForkError(
                "a scene must be used in the process that built it, got a forked child (its kernels would hang). "
                'Start workers with context="spawn".'
            )
        changed, self.changed = self.changed, []
        self.run(changed)


_launches: weakref.WeakSet[Launch] = weakref.WeakSet()


@at_stop
def _end_launches() -> None:
    """Let go of compiled kernels, also where a launch is still held: by a scene, or by the graph of a tensor."""
    for launch in _launches:
        launch.run = _refuse
    _launches.clear()


def _refuse(changed: list[tuple[Any, ...]]) -> None:
    raise GenesisRuntimeError(
        "a kernel must be launched under the gs.init that it was bound under, got a launch after gs.destroy(). "
        "Build a new scene."
    )


def bind(kernel: Callable[..., None], arrays: Mapping[str, torch.Tensor], lanes: bool = False) -> Launch:
    """Compile `kernel` for arrays by the names of its arguments, and bind it to their memory.

    Args:
        arrays: Contiguous, laid out as the kernel's annotations say. One that was made for an argument
            (`genesis.arrays.named`) is taken for no other.
        lanes: The kernel computes on lanes (`genesis.math.lanes`): its vectors stay vectors for the machine's wide
            instructions, where the compiler would else take them apart into numbers. And it leaves out optimisations of
            its own that LLVM repeats: these kernels are large, and compile three times faster, to the same speed.

    Raises:
        GenesisRuntimeError: An array is missing, superfluous, of another kind, or in another's place.
    """
    primal = kernel._primal  # type: ignore[attr-defined]
    places = {argument.name: place for place, argument in enumerate(primal.arguments)}
    _check_arrays(kernel.__name__, primal.arguments, arrays)
    ordered = [arrays[name] for name in places]
    collecting = gc.isenabled()
    gc.disable()  # the compiler makes a million objects, and looking through them for garbage takes a tenth of its time
    try:
        compiled = primal.compiled_kernels[primal.ensure_compiled(*ordered)]
    finally:
        if collecting:
            gc.enable()
    program: Any = impl.get_runtime().prog
    arguments, elements = [], {}
    for index, (array, argument) in enumerate(zip(ordered, primal.arguments, strict=True)):
        inner = getattr(argument.annotation.dtype, "ndim", 0)
        elements[argument.name] = (array.dim() - inner, inner)
        shape = array.shape[: array.dim() - inner]
        arguments.append(((index,), array.data_ptr(), array.element_size() * array.nelement(), shape, 0))

    def context() -> Any:
        made = compiled.make_launch_context()
        for argument in arguments:
            made.set_arg_external_array_with_shape(*argument)
        return made

    config = program.config()
    config.real_matrix_scalarize = config.advanced_optimization = not lanes
    binary = program.compile_kernel(config, program.get_device_caps(), compiled)
    config.real_matrix_scalarize = config.advanced_optimization = True
    filled = context()

    def run(changed: list[tuple[Any, ...]]) -> None:
        for argument in changed:
            filled.set_arg_external_array_with_shape(*argument)
        program.launch_kernel(binary, filled)

    def run_afresh(changed: list[tuple[Any, ...]]) -> None:
        for argument in changed:
            arguments[argument[0][0]] = argument
        program.launch_kernel(binary, context())

    # On a GPU a launch leaves its context pointing to memory that is already freed.
    launch = Launch(run_afresh if config.arch == ti.cuda else run, dict(arrays), os.getpid(), places, elements)
    _launches.add(launch)
    return launch


def _check_arrays(kernel: str, arguments: Sequence[Any], arrays: Mapping[str, torch.Tensor]) -> None:
    """Raise unless there is just one fitting array for every argument."""
    names = [argument.name for argument in arguments]
    for what, wrong in (
        ("missing", [name for name in names if name not in arrays]),
        ("superfluous", [name for name in arrays if name not in names]),
    ):
        if wrong:
            raise GenesisRuntimeError(
                f"kernel {kernel} must be bound to the arrays {', '.join(names)}, got {what} {', '.join(wrong)}. "
                "Mend the table of arrays, or the call of bind."
            )
    for argument in arguments:
        array, kind = arrays[argument.name], argument.annotation
        if not array.is_contiguous():
            raise GenesisRuntimeError(
                f"kernel arrays must be contiguous, got strides {array.stride()} for {argument.name}. Copy it."
            )
        made_for = getattr(array, "array_name", argument.name)
        inner = tuple(kind.dtype.get_shape()) if hasattr(kind.dtype, "get_shape") else ()
        real = kind.dtype.dtype if inner else kind.dtype
        wanted = {ti.f32: torch.float32, ti.f64: torch.float64, ti.i32: torch.int32, ti.u8: torch.uint8}[real]
        fits = array.dtype == wanted and array.dim() == kind.ndim + len(inner) and array.shape[kind.ndim :] == inner
        if made_for != argument.name or not fits:
            raise GenesisRuntimeError(
                f"argument {argument.name} of kernel {kernel} must be its own array, {wanted} with {kind.ndim} "
                f"axes of elements {inner}, got {made_for!r}, {array.dtype} of shape {tuple(array.shape)}. "
                "Bind each array under its name."
            )
