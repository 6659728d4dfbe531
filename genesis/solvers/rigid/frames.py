"""What a control step of the rigid solver leaves behind for its adjoint."""

from dataclasses import dataclass, field

import torch

from genesis.launch import Launch
from genesis.solvers.rigid.reaction import ReactionFrames


@dataclass
class RigidFrames:
    """Frames of a step: all that its adjoint reads.

    `inputs` are the tensors that were loaded last, by name; `ranges` the array `size` of each range of substeps. Where
    links feel matter: `reaction`, what they do to each other; `asked`, the wrenches that the user gave; `links` the
    links' state at the present frame; `gwrench` the cotangent of wrenches, `healthy` environments as integers, and
    `gends` cotangents of poses of mocap bodies at the end.
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
    links: dict[int, tuple[list[torch.Tensor], torch.Tensor]] = field(default_factory=dict)
    asked: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    healthy: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    gwrench: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    gends: tuple[torch.Tensor, ...] = ()
    reaction: ReactionFrames = None  # type: ignore[assignment]
