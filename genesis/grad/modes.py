"""What torch's modes mean to a scene: no transforms of torch.func, and torch.inference_mode is as torch.no_grad."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

from genesis.errors import GenesisRuntimeError

P = ParamSpec("P")
R = TypeVar("R")


def ordinary(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, which within torch.inference_mode runs as within torch.no_grad: what it makes can be used anywhere.

    A tensor of inference mode does not tell of edits in place, can never join a graph, and outside of the mode cannot
    be written into; so none may stay in a scene or an environment.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if not torch.is_inference_mode_enabled():
            return function(*args, **kwargs)
        with torch.inference_mode(False), torch.no_grad():
            return function(*args, **kwargs)

    return run


def ordinary_of(tensor: torch.Tensor) -> torch.Tensor:
    """`tensor`, or a copy of it where it was made in torch.inference_mode (inside of it, so is the copy)."""
    return tensor.clone() if tensor.is_inference() else tensor


def refuse_transforms(what: str) -> None:
    """Raise inside torch.func's transforms (grad, vmap, jvp, …), whose tensors have no memory to simulate in."""
    if torch._C._are_functorch_transforms_active():
        raise GenesisRuntimeError(
            f"{what} must be called outside torch.func transforms, got a call inside one. "
            "Use torch.autograd.grad or loss.backward(), and n_envs in place of vmap."
        )
