"""What tasks on a table share: lengths that are smooth at zero, where to push, the end of an arm, a soft block and its
parts."""

from typing import Any

import torch

import genesis as gs

SMOOTH = 0.01
"""m, where distances are rounded off."""


def lift(plane: torch.Tensor, z: float) -> torch.Tensor:
    """(n, 2) in the table's plane to (n, 3)."""
    return torch.cat([plane, torch.full_like(plane[:, :1], z)], dim=1)


def rounded_norm(vector: torch.Tensor) -> torch.Tensor:
    """Length of (n, k) vectors, smooth at zero: sqrt(|v|^2 + s^2) - s with s = `SMOOTH`."""
    return torch.sqrt(vector.square().sum(dim=1) + SMOOTH**2) - SMOOTH


def pushing_spot(block: torch.Tensor, goal: torch.Tensor, behind: float) -> torch.Tensor:
    """Where to push a block (n, 2) towards its goal (n, 2): `behind` m behind its centre, seen from the goal."""
    to_goal = goal - block
    length = torch.sqrt(to_goal.square().sum(dim=1, keepdim=True) + SMOOTH**2)
    return block - behind * to_goal / length


def end_of_arm(angles: torch.Tensor, rates: torch.Tensor, length: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The end of an arm of two links in a plane.

    Args:
        angles: (n, 2) of the links against the plane's x axis, rad.
        rates: (n, 2) their rates, rad/s.
        length: Of each link, m.

    Returns:
        Its place (n, 2), m, from the shoulder, and its velocity (n, 2), m/s.
    """
    along = length * torch.stack([torch.cos(angles), torch.sin(angles)], dim=2)
    across = torch.stack([-along[..., 1], along[..., 0]], dim=2)
    return along.sum(dim=1), (rates[..., None] * across).sum(dim=1)


def add_soft_block(
    scene: gs.Scene, size: tuple[float, float, float], young: float, poisson: float, density: float
) -> Any:
    """A neo-Hookean block of these sizes (m) and numbers (Pa, -, kg/m^3), which lies on the table over the origin."""
    return scene.add_entity(
        gs.morphs.Box(pos=(0.0, 0.0, 0.5 * size[2]), size=size),
        material=gs.materials.MPM.Elastic(E=young, nu=poisson, rho=density, model="neohooken"),
        vis_mode="recon",
        name="block",
    )


def quarters_of(positions: torch.Tensor) -> torch.Tensor:
    """(5, N) rows that average over the particles of a block, which lie at (N, 3), and over each quarter from above."""
    local = positions[:, :2] - positions[:, :2].mean(dim=0)
    masks = [torch.ones(len(local), dtype=torch.bool, device=local.device)]
    masks += [(sx * local[:, 0] > 0) & (sy * local[:, 1] > 0) for sx in (-1, 1) for sy in (-1, 1)]
    weights = torch.stack(masks).to(positions)
    return weights / weights.sum(dim=1, keepdim=True)
