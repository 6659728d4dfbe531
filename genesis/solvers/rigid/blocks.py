"""Rows of torch tensors, one per environment, in and out of arrays of lanes.

An array holds so many numbers of each environment (and frame), in blocks of `layout().width` environments: number k of
a block is a row of its lanes. Where environments do not fill the last block, its idle lanes repeat the first one.
"""

import math
from collections.abc import Mapping

import torch

from genesis.arrays import Sizes, Table, extent
from genesis.compiler import layout


def sizes(n_envs: int) -> dict[str, int]:
    """Those sizes of a table that follow from the number of environments."""
    width = layout().width
    return {"envs": n_envs, "lanes": width, "blocks": count(n_envs)}


def count(n_envs: int) -> int:
    """Blocks that hold `n_envs` environments."""
    return -(-n_envs // layout().width)


def view(table: Table, arrays: Mapping[str, torch.Tensor], name: str, sizes: Sizes, frame: int = 0) -> torch.Tensor:
    """(blocks, lanes, numbers) of an array, of one of its frames if it has them: a view."""
    lay, array = layout(), next(array for array in table if array.name == name)
    shape = extent(array, sizes)
    n_frames, (n_blocks, *inner) = (shape[0], shape[1:]) if array.shape[0] == "frames" else (1, shape)
    numbers, frame = math.prod(inner), frame % n_frames
    used = arrays[name][: n_frames * n_blocks * numbers]
    if lay.soa:
        return used.view(n_frames, numbers, n_blocks)[frame].t()[:, None]
    return used.view(n_frames, n_blocks, numbers, lay.width)[frame].transpose(1, 2)


def write(rows: torch.Tensor, values: torch.Tensor) -> None:
    """Values (B, numbers) into a view of the first blocks."""
    width, n_envs = rows.shape[1], len(values)
    idle = -n_envs % width
    if idle:
        values = torch.cat([values, values[:1].expand(idle, -1)])
    used = (n_envs + idle) // width
    rows[:used].copy_(values.reshape(used, width, rows.shape[2]))  # no size is left open: there may be no numbers


def read(rows: torch.Tensor, n_envs: int) -> torch.Tensor:
    """A copy (n_envs, numbers) of the first environments."""
    used = rows[: -(-n_envs // rows.shape[1])]
    out = used.new_empty(used.shape)
    out.copy_(used)
    return out.flatten(0, 1)[:n_envs]
