"""Several processes as one: sums over them, which are no work at all where there is a single process."""

from typing import Any

import torch
import torch.distributed as dist


def active() -> bool:
    """Whether there is more than one process."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if active() else 1


def rank() -> int:
    """This process's number, from 0; the one with number 0 logs and saves."""
    return dist.get_rank() if active() else 0


def sum_(tensor: torch.Tensor) -> torch.Tensor:
    """Replaces a tensor by its sum over the processes, in place."""
    if active():
        dist.all_reduce(tensor)
    return tensor


def mean_(tensor: torch.Tensor) -> torch.Tensor:
    """Replaces a tensor by its mean over the processes, in place."""
    return sum_(tensor).div_(world_size()) if active() else tensor


def mean_of(value: float, like: torch.Tensor) -> float:
    """Mean of a number over the processes, communicated on the device of `like`."""
    return mean_(torch.tensor([value], dtype=torch.float64, device=like.device)).item() if active() else value


def shares(counts: list[int], like: torch.Tensor) -> list[float]:
    """Weights of this process's means, over so many rows each, that make the processes' mean one over all rows.

    NaN where no process has a row. Communicated on the device of `like`.
    """
    own = torch.tensor(counts, dtype=torch.float64, device=like.device)
    return (own * world_size() / sum_(own.clone())).tolist()


def any_of(flags: list[bool], like: torch.Tensor) -> list[bool]:
    """Each flag, raised where any process raises it; communicated on the device of `like`."""
    if not active():
        return flags
    raised = torch.tensor(flags, dtype=torch.int32, device=like.device)
    dist.all_reduce(raised, op=dist.ReduceOp.MAX)
    return [bool(flag) for flag in raised.tolist()]


def gathered(value: Any) -> list[Any]:
    """A value (tensors on the CPU and plain values) of all processes, in the order of their numbers."""
    if not active():
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values
