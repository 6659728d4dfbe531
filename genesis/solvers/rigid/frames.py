"""What a control step of the rigid solver leaves behind for its adjoint."""

from dataclasses import dataclass, field

import torch

from genesis.launch import Launch
from genesis.solvers.rigid.yielding import YieldingFrames


@dataclass
class RigidFrames:
    """Frames of a step: all that its adjoint reads.

    `inputs` are the tensors that were loaded last, by name; `ranges` the array `size` of each range of substeps. Where
    links feel matter: `asked`, the wrenches that the user gave, and `pushed`, whether others are in their place;
    `links` the links' state at the present frame; `free`, by frame, what all else did to their velocities in the
    substep before; `glinks`, `gwrench` and `gfree`, cotangents of these, and `gbefore` what the last of these gives to
    the substep before; `gends` what it gives to poses of mocap bodies at the end. `yielding` is of links that do.
    """

    arrays: dict[str, torch.Tensor]
    sizes: dict[str, int]
    launch: Launch
    active: int = 0
    launch_adjoint: Launch | None = None
    inputs: dict[str, tuple[torch.Tensor, int]] = field(default_factory=dict)
    ranges: dict[tuple[int, int], torch.Tensor] = field(default_factory=dict)
    views: dict[tuple[str, int], torch.Tensor] = field(default_factory=dict)
    began: tuple[torch.Tensor, ...] = ()
    results: list[torch.Tensor] = field(default_factory=list)
    cotangents: dict[str, torch.Tensor] = field(default_factory=dict)
    gacceleration: torch.Tensor | None = None
    gposes: tuple[torch.Tensor, ...] = ()
    links: dict[int, tuple[list[torch.Tensor], list[torch.Tensor]]] = field(default_factory=dict)
    asked: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    pushed: bool = False
    glinks: list[torch.Tensor] = field(default_factory=list)
    gwrench: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    free: dict[int, torch.Tensor] = field(default_factory=dict)
    gfree: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    gbefore: tuple[list[torch.Tensor], torch.Tensor] = field(default_factory=lambda: ([], torch.zeros(0)))
    gends: tuple[torch.Tensor, ...] = ()
    yielding: YieldingFrames = None  # type: ignore[assignment]
