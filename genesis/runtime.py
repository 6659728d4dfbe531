"""The running toolkit: backend, device, precision, seed. It is the one process-wide global, and `init` sets it."""

import contextlib
import enum
import io
import itertools
import logging
import math
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch._functorch import config as compile_config

from genesis import compiler
from genesis.errors import GenesisForkError, GenesisRuntimeError, GenesisTypeError, GenesisValueError
from genesis.warning import forget_warnings

logger = logging.getLogger("genesis")


class Backend(enum.Enum):
    """Where tensors live and kernels run."""

    cpu = "cpu"
    cuda = "cuda"
    gpu = "gpu"
    """CUDA where there is such a device, otherwise the CPU, with a warning."""

    def __repr__(self) -> str:
        return f"gs.{self.name}"


_REAL = {"32": torch.float32, "64": torch.float64}
_THEMES = ("dark", "light", "dumb")


@dataclass(frozen=True)
class Runtime:
    """What one `init` decided; nothing of it changes until `destroy`."""

    backend: Backend
    """`cpu` or `cuda`: what was got, never `gpu`."""
    device: torch.device
    """The device of every tensor."""
    precision: str
    """"32" or "64"."""
    real: torch.dtype
    """Of floating-point tensors: float32 or float64."""
    integer: torch.dtype
    """Of integer tensors: int32 at both precisions."""
    seed: int | None
    eps: float
    """The smallest number that matters beside 1 (never below the precision's own)."""
    debug: bool
    generation: int
    """1 for the first `init` of the process, 2 for the next, …: what was made under another generation is stale."""
    pid: int
    """The process that called `init`."""


@dataclass
class _Slot:
    """Holds the running runtime, if any."""

    runtime: Runtime | None = None
    generations: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    handler: logging.Handler | None = None


_slot = _Slot()


def current() -> Runtime:
    """The running runtime.

    Raises:
        GenesisRuntimeError: Before `gs.init`, after `gs.destroy`, or (GenesisForkError) in a forked child.
    """
    runtime = _slot.runtime
    if runtime is None:
        raise GenesisRuntimeError("Genesis not initialized yet. Call gs.init(backend=gs.cpu) first.")
    _require_own(runtime)
    return runtime


def _require_own(runtime: Runtime) -> None:
    """Raises in a forked child, which has the memory of the kernels' threads but not the threads: it would hang."""
    if runtime.pid != os.getpid():
        raise GenesisForkError(
            f"the toolkit must be used in the process that called gs.init (process {runtime.pid}), "
            f'got its forked child {os.getpid()}. Start workers with context="spawn".'
        )


def is_initialized() -> bool:
    """Whether `gs.init` has been called (and not undone by `gs.destroy`)."""
    return _slot.runtime is not None


def init(
    *,
    backend: Backend | None = None,
    precision: str = "32",
    seed: int | None = None,
    logging_level: str | int | None = None,
    debug: bool = False,
    eps: float = 1e-15,
    theme: str = "dark",
) -> None:
    """Start the toolkit: once per process, before anything else of it is used.

    Arguments are all checked before anything changes.

    Args:
        backend: `gs.cpu`, `gs.cuda`, or `gs.gpu` (CUDA, or else the CPU with a warning). None: CUDA if there is such a
            device, otherwise the CPU.
        precision: "32" or "64", of every floating-point tensor and kernel. Integers are int32 at both.
        seed: Seeds torch, numpy and Python's `random`; None leaves them as they are. Kernels draw no random numbers.
        logging_level: Of the logger "genesis": a name ("debug", "info", "warning", "error", "critical") or a number of
            the logging module. None: "debug" with `debug`, otherwise "info".
        debug: Log more.
        eps: `gs.EPS` is the larger of this and the precision's machine epsilon.
        theme: Accepted for scripts written for the public engine; messages here have no colours.

    Raises:
        GenesisRuntimeError: If already initialized, or `gs.cuda` is asked for and there is no CUDA device.
        GenesisValueError, GenesisTypeError: If an argument violates its constraint.
    """
    if _slot.runtime is not None:
        _require_own(_slot.runtime)
        raise GenesisRuntimeError("Genesis already initialized. Call gs.destroy() before another gs.init().")
    level = _level(logging_level, debug)
    _check_numbers(precision, seed, eps)
    if theme not in _THEMES:
        raise GenesisValueError(f"theme must be one of {', '.join(_THEMES)}, got {theme!r}.")
    chosen = _available(backend)

    _start_logging(level)
    if chosen is Backend.cpu and backend is Backend.gpu:
        logger.warning("gs.gpu asks for a CUDA device and there is none: falling back to gs.cpu.")
    _start_compiler(chosen, precision)
    if seed is not None:
        set_random_seed(seed)
    if hasattr(compile_config, "check_custom_op_aliasing"):
        # This check of torch.compile, in the first call, fails on any subclass of Tensor (torch 2.13).
        compile_config.check_custom_op_aliasing = False
    real = _REAL[precision]
    _slot.runtime = Runtime(
        backend=chosen,
        device=torch.device("cuda:0" if chosen is Backend.cuda else "cpu"),
        precision=precision,
        real=real,
        integer=torch.int32,
        seed=seed,
        eps=max(float(eps), torch.finfo(real).eps),
        debug=bool(debug),
        generation=next(_slot.generations),
        pid=os.getpid(),
    )
    seeded = "" if seed is None else f", seed {seed}"
    logger.info("running on %s, precision %s%s.", _slot.runtime.device, precision, seeded)


def set_random_seed(seed: int) -> None:
    """Seed torch, numpy and Python's `random`; `seed` is at least 0."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)


def destroy() -> None:
    """Stop the toolkit and free its kernels. Scenes of before are unusable; `gs.init` may be called again.

    Does nothing if the toolkit is not running.
    """
    if _slot.runtime is None:
        return
    _require_own(_slot.runtime)
    _slot.runtime = None
    forget_warnings()
    compiler.stop()
    if _slot.handler is not None:
        logger.removeHandler(_slot.handler)
        _slot.handler = None


def _level(level: str | int | None, debug: bool) -> int:
    if level is None:
        return logging.DEBUG if debug else logging.INFO
    names = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
    if isinstance(level, str) and level.lower() in names:
        return names[level.lower()]
    if isinstance(level, int) and not isinstance(level, bool) and level >= 0:
        return level
    raise GenesisValueError(f"logging_level must be one of {', '.join(names)} or a level number, got {level!r}.")


def _check_numbers(precision: str, seed: int | None, eps: float) -> None:
    if not isinstance(precision, str) or precision not in _REAL:
        raise GenesisValueError(f'precision must be "32" or "64" (a string), got {precision!r}.')
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer))):
        raise GenesisTypeError(f"seed must be an int or None, got {seed!r}.")
    if seed is not None and not 0 <= seed < 2**63:
        raise GenesisValueError(f"seed must be in [0, 2^63), got {seed}.")
    if isinstance(eps, bool) or not isinstance(eps, (int, float)) or not (math.isfinite(eps) and eps > 0):
        raise GenesisValueError(f"eps must be a positive number, got {eps!r}.")


def _available(backend: Backend | None) -> Backend:
    if backend is not None and not isinstance(backend, Backend):
        raise GenesisTypeError(f"backend must be gs.cpu, gs.cuda, gs.gpu or None, got {backend!r}.")
    if backend is Backend.cpu:
        return Backend.cpu
    if torch.cuda.is_available():
        return Backend.cuda
    if backend is Backend.cuda:
        raise GenesisRuntimeError("gs.cuda must have a CUDA device, got none from torch. Use gs.cpu or gs.gpu.")
    return Backend.cpu


def _start_logging(level: int) -> None:
    if not logger.hasHandlers():
        _slot.handler = logging.StreamHandler()
        _slot.handler.setFormatter(logging.Formatter("[genesis] %(levelname)s: %(message)s"))
        logger.addHandler(_slot.handler)
    logger.setLevel(level)


def _start_compiler(backend: Backend, precision: str) -> None:
    if compiler.free_cache():
        logger.info("compiled kernels are kept again: a process that was killed had left their folder locked.")
    if not (keep := compiler.can_keep()):
        logger.warning(
            "compiled kernels must be kept in a folder that can be written to, got %s: every process compiles anew. "
            "Name another folder by the environment variable TI_OFFLINE_CACHE_FILE_PATH.",
            compiler.cache_folder(),
        )
    with contextlib.redirect_stdout(io.StringIO()):  # the compiler prints a banner
        compiler.start(backend.value, precision, keep)
    if compiler.layout().device != backend.value:
        compiler.stop()
        raise GenesisRuntimeError("gs.cuda must have a CUDA device, got none from the compiler. Use gs.cpu or gs.gpu.")
