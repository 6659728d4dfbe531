"""One training in several processes: `torchrun --nproc-per-node=2 -m scripts.train ...`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from agents.core import distributed
from genesis.errors import GenesisValueError
from scripts.machine import cores


@contextmanager
def joined(backend: str) -> Iterator[None]:
    """Within it this process is one of those that torchrun started, with cores (or a GPU) of its own.

    Without torchrun, or with a single process, nothing happens.

    Args:
        backend: Where the simulator runs, "cpu", "cuda" or "gpu"; decides whether gloo or NCCL carries the sums.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    on_gpu = backend != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    else:
        _take_cores(int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"]))
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def _take_cores(rank: int, count: int) -> None:
    """Gives this process its part of the machine's cores, so that threads of several do not meet."""
    available = cores()
    mine = available[rank * len(available) // count : (rank + 1) * len(available) // count] or [
        available[rank % len(available)]
    ]
    os.environ.setdefault("TI_CPU_MAX_NUM_THREADS", str(len(mine)))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, mine)


def slice_of(num_envs: int) -> tuple[int, int]:
    """This process's number of environments, and the global index of its first one, of `num_envs` in all.

    Raises:
        GenesisValueError: The environments cannot be shared out evenly.
    """
    world = distributed.world_size()
    if num_envs % world:
        raise GenesisValueError(f"num_envs must be a multiple of the {world} processes, got {num_envs}.")
    return num_envs // world, distributed.rank() * (num_envs // world)
