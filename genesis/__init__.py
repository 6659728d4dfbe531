"""A policy-learning toolkit on a differentiable simulator: `import genesis as gs`."""

from typing import Any

import numpy as _np
import torch as _torch

from genesis import materials, morphs, options, renderers, surfaces, textures, tools
from genesis.engine.scene import Scene
from genesis.errors import GenesisException
from genesis.grad.creation import (
    arange,
    as_strided,
    as_tensor,
    asarray,
    empty,
    empty_like,
    empty_strided,
    eye,
    from_numpy,
    from_torch,
    full,
    full_like,
    linspace,
    logspace,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    range,
    tensor,
    zeros,
    zeros_like,
)
from genesis.grad.tensor import Tensor
from genesis.options import constraint_solver, integrator
from genesis.public_engine import missing as _missing
from genesis.render.camera import Camera
from genesis.runtime import Backend as _Backend
from genesis.runtime import current as _current
from genesis.runtime import destroy, init, is_initialized, logger
from genesis.utils import geom as _geom

__version__ = "0.1.0"
__all__ = [
    "Camera", "GenesisException", "Scene", "Tensor", "cpu", "cuda", "destroy", "from_torch", "gpu", "init",
    "is_initialized", "logger", "materials", "morphs", "options", "renderers", "surfaces", "textures", "tools",
    "ACTIVE", "INACTIVE", "constraint_solver", "integrator",
    "arange", "as_strided", "as_tensor", "asarray", "empty", "empty_like", "empty_strided", "eye", "from_numpy", "full",
    "full_like", "linspace", "logspace", "ones", "ones_like", "rand", "rand_like", "randint", "randint_like", "randn",
    "randn_like", "randperm", "range", "tensor", "zeros", "zeros_like",
]  # fmt: skip

ACTIVE, INACTIVE = 1, 0
"""Of `active` of particles."""
cpu, cuda, gpu = _Backend.cpu, _Backend.cuda, _Backend.gpu

_RUNNING = {
    "backend": lambda run: run.backend,
    "device": lambda run: run.device,
    "tc_float": lambda run: run.real,
    "tc_int": lambda run: run.integer,
    "tc_bool": lambda run: _torch.bool,
    "np_float": lambda run: _np.float64 if run.precision == "64" else _np.float32,
    "np_int": lambda run: _np.int32,
    "np_bool": lambda run: _np.bool_,
    "EPS": lambda run: run.eps,
    "SEED": lambda run: run.seed,
}


def __getattr__(name: str) -> Any:
    """Constants that `init` decides: `device`, `tc_float`, …; functions of `genesis.utils.geom`."""
    if name in _RUNNING:
        return _RUNNING[name](_current())
    if name in _geom.__all__:
        return getattr(_geom, name)
    raise _missing("gs", name)
