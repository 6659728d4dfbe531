"""What tasks on a table share: lengths in its plane that are smooth at zero, and where to push."""

import torch

SMOOTH = 0.01
"""m, where distances are rounded off."""


def lift(plane: torch.Tensor, z: float) -> torch.Tensor:
    """(n, 2) in the table's plane to (n, 3)."""
    return torch.cat([plane, torch.full_like(plane[:, :1], z)], dim=1)


def rounded_norm(vector: torch.Tensor) -> torch.Tensor:
    """Length of (n, 2) vectors, smooth at zero: sqrt(|v|^2 + s^2) - s with s = `SMOOTH`."""
    return torch.sqrt(vector.square().sum(dim=1) + SMOOTH**2) - SMOOTH


def pushing_spot(block: torch.Tensor, goal: torch.Tensor, behind: float) -> torch.Tensor:
    """Where to push a block (n, 2) towards its goal (n, 2): `behind` m behind its centre, seen from the goal."""
    to_goal = goal - block
    length = torch.sqrt(to_goal.square().sum(dim=1, keepdim=True) + SMOOTH**2)
    return block - behind * to_goal / length
