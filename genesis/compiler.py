"""The one interface to the kernel compiler: everything else imports `ti` from here.

Kernels take flat arrays and nothing else. An array is a torch tensor whose memory a kernel is *bound* to once;
launching a bound kernel (`genesis.launch`) is then ten times cheaper than a plain Taichi call. Numbers that change
travel in arrays too, so nothing is ever recompiled.

Layout is decided here: on CPU the components of a vector lie side by side (array of structures), on a GPU each
component is a row of its own (structure of arrays). Physics code only calls `layout.get3(a, i)`,
`layout.put3(a, i, v)`, ….
"""

import atexit
import os
import tempfile
import textwrap
import time
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import torch

from genesis.errors import GenesisImportError, GenesisRuntimeError

os.environ.setdefault("ENABLE_TAICHI_HEADER_PRINT", "0")  # no banner
os.environ.setdefault("TI_ENABLE_PYBUF", "0")  # no message, nor a detour of every launch, where stdout is captured
try:
    import taichi as ti
    from taichi.lang import impl, kernel_impl, matrix_ops
    from taichi.lang.ast.ast_transformer_utils import ASTTransformerContext
    from taichi.lang.expr import Expr
except (ImportError, OSError) as error:
    if "libX11" not in str(error):
        raise
    raise GenesisImportError(
        f"the kernel compiler must find the system library libX11, got: {error}. "
        "Install it with `apt-get install libx11-6` (or your system's package of libX11)."
    ) from error

STRIDE = 512
"""Taichi's CPU backend runs a parallel loop of fewer than about 512 iterations on one thread: loop over n * STRIDE
iterations and work where the index is a multiple of STRIDE."""

FLAT = (3, 9)
"""Numbers of an element of arrays that hold plain numbers on a CPU."""

MOST_NUMBERS = 1 << 30
"""Numbers that such an array has less than. Indices of all arrays are below: `layout().bounded` tells the compiler."""

LANES = 8
"""Environments that one thread of a CPU works on side by side, in vector instructions (`genesis.math.lanes`)."""

CACHE_BYTES = 1 << 30
"""Largest size of the compiled kernels on the disk. All kernels of both precisions take more than Taichi's 100 MB."""

LOCK_S = 60.0
"""Age of the lock on these files beyond which the process that made it is dead: writing them takes a second, s."""

_caches: list[Any] = []
_temporary: list[tempfile.TemporaryDirectory[str]] = []
_at_stop: list[Callable[[], None]] = []


def _remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with its results kept until `stop()`."""
    cached = lru_cache(maxsize=None)(function)
    _caches.append(cached)
    return cached


def _position(context: Any, node: Any) -> str:
    """Where a statement of a kernel stands, for messages."""
    return f'File "{context.file}", line {node.lineno + context.lineno_offset}, in {context.func.func.__name__}:\n'


# The compiler searches the source file anew whenever a function is called in a kernel, and spreads its tabulators.
kernel_impl.getsourcefile = _remembered(kernel_impl.getsourcefile)
kernel_impl.getsourcelines = _remembered(kernel_impl.getsourcelines)
kernel_impl.textwrap = SimpleNamespace(fill=_remembered(textwrap.fill), dedent=_remembered(textwrap.dedent))
# The compiler notes the place of every expression. Its own note draws the source line and underlines it, which takes a
# quarter of the time that a process with a full kernel cache needs to its first gradient.
ASTTransformerContext.get_pos_info = _position  # type: ignore[method-assign]


def cache_folder() -> Path:
    """Where compiled kernels are kept on the disk."""
    return Path(os.environ.get("TI_OFFLINE_CACHE_FILE_PATH") or impl.default_cfg().offline_cache_file_path)


def can_keep() -> bool:
    """Whether that folder may be written to; it is made. The compiler crashes at exit where it cannot be made."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def free_cache() -> bool:
    """Remove the lock that a process left which was killed while it wrote its kernels; returns whether there was one.

    The compiler itself waits for it in vain and then neither reads nor writes compiled kernels, in every later process.
    """
    folder = cache_folder()
    lock = folder / "ticache.lock"
    try:
        if time.time() - lock.stat().st_mtime < LOCK_S:
            return False
        for half in folder.glob("*.tic"):
            if half.stat().st_size == 0:
                half.unlink()
        lock.unlink()
    except OSError:  # there is none, another process was faster, or the folder is not ours to write
        return False
    return True


def start(arch: str, precision: str, keep: bool = True) -> None:
    """Start the compiler for one precision ("32" or "64") and architecture ("cpu" or "cuda").

    Kernels draw no random numbers, and their seed stays the same: compiled kernels are found on the disk by it, too.
    `keep`: whether the disk has a place for them (`can_keep`); else they get a folder that goes with the process.
    With fast_math the compiler may assume that there are no NaNs: kernels look for them in the bits (`layout.finite`).
    """
    before, place = _threads(), {}
    if not keep:
        _temporary.append(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        place["offline_cache_file_path"] = _temporary[-1].name
    ti.init(
        arch=getattr(ti, arch),
        default_fp=ti.f64 if precision == "64" else ti.f32,
        default_ip=ti.i32,
        fast_math=True,
        offline_cache=True,
        offline_cache_max_size_of_files=CACHE_BYTES,
        log_level=ti.ERROR,
        **place,
    )
    _spread([thread for thread in _threads() if thread not in before])


def _threads() -> list[int]:
    """Ids of this process's threads in the order in which they were made; none where the system does not tell."""
    try:
        return sorted(int(name) for name in os.listdir("/proc/self/task"))
    except OSError:
        return []


def _spread(made: list[int]) -> None:
    """Give each worker thread of the compiler a core of its own, if there are as many workers as cores.

    Woken together for a launch, two workers often land on one core and stay there for its whole length, when the core
    of the calling thread was the last that all of them used: half of the launches then take twice as long. The workers
    are the last threads that `ti.init` makes, after those that compile.
    """
    workers = impl.current_cfg().cpu_max_num_threads
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    if len(cores) == workers <= len(made):
        for thread, core in zip(made[-workers:], cores, strict=True):
            try:
                os.sched_setaffinity(thread, {core})
            except OSError:  # the system forbids it: nothing is lost but speed
                return


@atexit.register
def stop() -> None:
    """Drop every compiled kernel and stop the compiler.

    Also at exit: only then are compiled kernels written to disk.
    """
    for cache in _caches:
        cache.cache_clear()
    for drop in _at_stop:
        drop()
    ti.reset()
    while _temporary:
        _temporary.pop().cleanup()


def at_stop(drop: Callable[[], None]) -> Callable[[], None]:
    """Have `stop()` call `drop`, which lets go of what belongs to the running compiler.

    The compiler frees its threads and memory only when nothing that it has made is held any more.
    """
    _at_stop.append(drop)
    return drop


def per_runtime(factory: Callable[..., Any]) -> Callable[..., Any]:
    """Cache what `factory` makes (kernels, functions) until `stop()`: they depend on precision and layout."""
    return _remembered(factory)


class Functions(SimpleNamespace):
    """A set of compiled functions that belong together; hashable, so that factories can be cached by it."""

    __hash__ = object.__hash__  # type: ignore[assignment]


def traced(function: Any) -> Any:
    """Let kernels call a plain Python function or class: it runs while they are compiled, and composes expressions."""
    function._is_wrapped_kernel = True
    return function


class Composite:
    """Base of what exists only while a kernel is compiled and has operators of its own; a number times it is its."""

    _data_oriented = True  # for the compiler: take the object as it is
    _is_wrapped_kernel = True  # and let kernels make one


_times, _matmul = Expr.__mul__, matrix_ops.matmul
Expr.__mul__ = lambda a, b: NotImplemented if isinstance(b, Composite) else _times(a, b)  # type: ignore[method-assign]
matrix_ops.matmul = lambda a, b: a.__matmul__(b) if isinstance(a, Composite) else _matmul(a, b)


def value(expression: Any) -> Any:
    """A variable of a kernel that holds an expression, which is then evaluated once however often it is used."""
    return impl.expr_init(expression)


def element(vector: Any, *index: Any) -> Any:
    """Component of a vector or entry of an array of the compiler, for reading and assigning."""
    return impl.subscript(impl.get_runtime().compiling_callable.ast_builder(), vector, *index)


@per_runtime
def layout() -> SimpleNamespace:
    """Types, array annotations, allocation and element access for the running precision and architecture.

    `real`, `vec3`, `vec4`, `mat3` are value types; `A1`, `A3`, `A4`, `A33` annotate arrays of them, `AL` arrays of lane
    values, of type `lane`, for `width` environments each, `I1` arrays of integers, `IL` of lanes of them, of type
    `whole`, `U1` of bytes. `new(count, k)` allocates an array of `count` elements with k components, not cleared (pages
    cost memory when touched), `new_lanes(count)` and `new_int_lanes(count)` one of lane values; `rows(array, k)` views
    any array as (count, k) for torch. `get*`/`put*`/`add*` read, overwrite and add; `add*` is atomic on a GPU. A loop
    over n pieces of work for a thread runs over n * `stride` indices, in blocks of `block_dim`, and works where the
    index is a multiple of `stride`. Arrays `A3` and `A33` hold plain numbers, `entry(a, at, k)` being the k-th of those
    at `place(i, n)` of element i, which has n: as vectors of three or nine, kernels on lanes would read them at
    addresses that the machine's instructions do not allow. `bounded(i)` is i, of which the compiler then knows that it
    is an index: it makes what is added to it, say 1 for the next element, a part of the address.
    """
    config = impl.current_cfg()
    real, gpu = config.default_fp, config.arch != ti.x64 and config.arch != ti.arm64
    return make_layout(real, structure_of_arrays=gpu, atomic=gpu, device="cuda" if gpu else "cpu")


def make_layout(real, structure_of_arrays: bool, atomic: bool, device: str) -> SimpleNamespace:
    """The layout for given choices; `layout()` makes the choice for the running architecture."""
    dtype = torch.float64 if real == ti.f64 else torch.float32
    vec3, vec4, mat3 = ti.types.vector(3, real), ti.types.vector(4, real), ti.types.matrix(3, 3, real)
    scalar, integer = ti.types.ndarray(dtype=real, ndim=1), ti.types.ndarray(dtype=ti.i32, ndim=1)
    if structure_of_arrays:
        plane = ti.types.ndarray(dtype=real, ndim=2)
        kinds = {"A3": plane, "A4": plane, "A33": plane}
    else:
        kinds = {"A3": scalar, "A4": ti.types.ndarray(dtype=vec4, ndim=1), "A33": scalar}
    soa = structure_of_arrays
    width = 1 if soa else LANES
    lane = ti.types.vector(width, real) if width > 1 else real
    whole = ti.types.vector(width, ti.i32) if width > 1 else ti.i32
    kinds["AL"] = ti.types.ndarray(dtype=lane, ndim=1)
    kinds["IL"] = ti.types.ndarray(dtype=whole, ndim=1)
    kinds["U1"] = ti.types.ndarray(dtype=ti.u8, ndim=1)

    @ti.func
    def finite(x):
        """Whether a real number is neither infinite nor NaN, from the bits of its exponent."""
        good = True
        if ti.static(real == ti.f64):
            good = (ti.bit_cast(x, ti.i64) >> 52) & 0x7FF != 0x7FF
        else:
            good = (ti.bit_cast(x, ti.i32) >> 23) & 0xFF != 0xFF
        return good

    @traced
    def bounded(i):
        """An index of a CPU's arrays, by its bits below MOST_NUMBERS, which are all that it has."""
        return i if soa else value(i & (MOST_NUMBERS - 1))

    @traced
    def place(i, components):
        """Where element i is in an array of so many numbers an element."""
        return i if soa else bounded(components * i)

    @traced
    def entry(a, at, k):
        """Number k of the element at a place."""
        return element(a, k, at) if soa else element(a, at + k)

    @traced
    def put_entry(a, at, k, number):
        entry(a, at, k)._assign(value(number))

    @ti.func
    def get3(a: ti.template(), i):
        at = place(i, 3)
        return vec3(entry(a, at, 0), entry(a, at, 1), entry(a, at, 2))

    @ti.func
    def get4(a: ti.template(), i):
        v = vec4(0.0)
        if ti.static(soa):
            for c in ti.static(range(4)):
                v[c] = a[c, i]
        else:
            v = a[i]
        return v

    @ti.func
    def put3(a: ti.template(), i, v):
        at = place(i, 3)
        for c in ti.static(range(3)):
            put_entry(a, at, c, v[c])

    @ti.func
    def put4(a: ti.template(), i, v):
        if ti.static(soa):
            for c in ti.static(range(4)):
                a[c, i] = v[c]
        else:
            a[i] = v

    @ti.func
    def add4(a: ti.template(), i, v):
        if ti.static(soa):
            for c in ti.static(range(4)):
                if ti.static(atomic):
                    ti.atomic_add(a[c, i], v[c])
                else:
                    a[c, i] = a[c, i] + v[c]
        elif ti.static(atomic):
            ti.atomic_add(a[i], v)
        else:
            a[i] = a[i] + v

    def new(count: int, components: int) -> torch.Tensor:
        most = MOST_NUMBERS if components in FLAT and not soa else 2**31
        if count * components >= most:
            raise GenesisRuntimeError(
                f"an array must have fewer than {most} elements, got {count} x {components}. "
                "Use fewer environments, particles or substeps, or a coarser grid."
            )
        if soa and components > 1:
            return torch.empty(components, count, dtype=dtype, device=device)
        if components == 1 or components in FLAT:
            return torch.empty(count * components, dtype=dtype, device=device)
        return torch.empty(count, components, dtype=dtype, device=device)

    def new_lanes(count: int) -> torch.Tensor:
        return new(count, width)

    def new_int(count: int) -> torch.Tensor:
        return torch.zeros(count, dtype=torch.int32, device=device)

    def new_int_lanes(count: int) -> torch.Tensor:
        return new_int(count * width).view(-1, width) if width > 1 else new_int(count)

    def rows(array: torch.Tensor, components: int = 4) -> torch.Tensor:
        """An array of elements of so many numbers as (elements, components)."""
        return array.t() if soa and array.dim() == 2 else array.view(-1, components)

    return SimpleNamespace(
        real=real, dtype=dtype, device=device, soa=soa, atomic=atomic,
        vec3=vec3, vec4=vec4, mat3=mat3, A1=scalar, I1=integer, **kinds,
        finite=finite, bounded=bounded, place=place, entry=entry, put_entry=put_entry, get3=get3, get4=get4, put3=put3,
        put4=put4, add4=add4,
        new=new, new_int=new_int, new_lanes=new_lanes, new_int_lanes=new_int_lanes, rows=rows,
        width=width, lane=lane, whole=whole,
        stride=1 if soa else STRIDE, block_dim=32 if soa else 1,
    )  # fmt: skip
