"""Arrays by name: what a solver's kernels work on is declared once, in a table, and everything else follows from it.

A table is a tuple of `Array`s. From it come the arrays themselves (`allocate`), their size (`count_bytes`), views for
torch (`view`) and the arguments of kernels:

    @kernel(TABLE, "constant", "frames")
    def advance(a):                    # every array of these lives is an attribute
        for i in range(a.size[0]):
            a.y[i] = 2.0 * a.x[i]

    launch = bind(advance, {**constants, **allocate(TABLE, "frames", sizes)})

The object `a` exists only while the kernel is compiled; functions of kernels take it as one `ti.template()` argument
and pass it on, so that none of them has a list of arrays. They read its attributes and never assign them.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from genesis.compiler import layout

LIVES = ("constant", "frames", "scratch", "adjoint", "step", "step_adjoint")
"""constant: made once for a solver. frames: what a step leaves for its adjoint, once for each set of frames. scratch:
lives within a launch, shared by all sets of frames of one size. adjoint: the same, but needed by adjoints alone, and so
made at the first backward pass. step, step_adjoint: tensors of the step itself, handed to each launch."""


class Array(NamedTuple):
    """One array of a solver."""

    name: str
    kind: str
    """A1, A3, A4, A33: reals, vectors, 3x3 matrices by rows; I1: integers; U1: bytes; AL, IL: lane values (reals,
    integers), in blocks of environments."""
    shape: tuple[str | int, ...]
    """Sizes by name, or numbers, the slowest first. Their product is the count of elements."""
    life: str
    """One of LIVES."""


Table = tuple[Array, ...]
Sizes = Mapping[str, int]

COMPONENTS = {"A1": 1, "A3": 3, "A4": 4, "A33": 9, "I1": 1, "U1": 1}


class Arrays:
    """Arrays and numbers as attributes. Exists while a kernel is compiled."""

    _data_oriented = True  # for the compiler: take the object as it is
    _is_wrapped_kernel = True  # and let kernels make one

    def __init__(self, **members: Any) -> None:
        self.__dict__.update(members)

    def having(self, **members: Any) -> "Arrays":
        """The same, with some members more, or in place of those of the same name."""
        return Arrays(**{**self.__dict__, **members})

    having._is_wrapped_kernel = True  # type: ignore[attr-defined]


def select(table: Table, *lives: str) -> Table:
    """The arrays of some lives, in the table's order."""
    return tuple(array for array in table if array.life in lives)


def extent(array: Array, sizes: Sizes) -> tuple[int, ...]:
    """The shape of an array in numbers."""
    return tuple(size if isinstance(size, int) else sizes[size] for size in array.shape)


def allocate(table: Table, sizes: Sizes, *lives: str) -> dict[str, torch.Tensor]:
    """Arrays of some lives, not cleared but for integers and bytes. None is empty: one of no elements gets one."""
    return {array.name: _new(array, max(1, math.prod(extent(array, sizes)))) for array in select(table, *lives)}


def count_bytes(table: Table, sizes: Sizes, *lives: str) -> int:
    """Size of what `allocate` makes."""
    lay = layout()
    total = 0
    for array in select(table, *lives):
        item = {"U1": 1, "I1": 4, "IL": 4}.get(array.kind, int(lay.dtype.itemsize or 0))
        total += item * _components(array.kind) * math.prod(extent(array, sizes))
    return total


def view(table: Table, arrays: Mapping[str, torch.Tensor], name: str, sizes: Sizes) -> torch.Tensor:
    """An array in its shape for torch, components last; not for lanes (`genesis.solvers.rigid.blocks`)."""
    array = next(array for array in table if array.name == name)
    shape = extent(array, sizes)
    return layout().rows(arrays[name], _components(array.kind))[: math.prod(shape)].unflatten(0, shape)


def _components(kind: str) -> int:
    return COMPONENTS[kind] if kind in COMPONENTS else layout().width


def _new(array: Array, count: int) -> torch.Tensor:
    lay = layout()
    if array.kind == "I1":
        made = lay.new_int(count)
    elif array.kind == "U1":
        made = torch.zeros(count, dtype=torch.uint8, device=lay.device)
    elif array.kind == "IL":
        made = lay.new_int_lanes(count)
    elif array.kind == "AL":
        made = lay.new_lanes(count)
    else:
        made = lay.new(count, _components(array.kind))
    return named(array.name, made)


def named(name: str, array: torch.Tensor) -> torch.Tensor:
    """The same tensor, knowing for which argument it is: `bind` refuses it for any other."""
    array.array_name = name  # type: ignore[attr-defined]
    return array
