"""Mass matrix and bias forces of a robot, in torch; see `tree`. Closed forms over the degrees of freedom of each link.

Source: Featherstone, Rigid Body Dynamics Algorithms (2008), section 6 (mass matrix from Jacobians); rates of axes from
the velocities of what carries them.
"""

import torch

from genesis.math import quaternion
from genesis.solvers.rigid.tree import SIX, Placed, Tree


def centres(tree: Tree, placed: Placed) -> torch.Tensor:
    """(B, L, 3) centres of mass, less the origin of their tree, m."""
    return placed.pos + quaternion.rotate(placed.quat, tree.com.expand(placed.pos.shape))


def mass_matrix(
    tree: Tree, placed: Placed, mass: torch.Tensor, inertia: torch.Tensor, armature: torch.Tensor
) -> torch.Tensor:
    """(B, D, D) M of the kinetic energy v' M v / 2, from mass (B, L), inertia (B, L, 6) and armature (B, D)."""
    linear, angular = tree.jacobians(placed, centres(tree, placed))
    local = _into_links(placed, angular)
    turned = local @ inertia[..., SIX].unflatten(-1, (3, 3))
    left, right = torch.cat([linear * mass[..., None, None], turned], -1), torch.cat([linear, local], -1)
    left, right = (part.transpose(2, 3).flatten(1, 2) for part in (left, right))
    return left.transpose(1, 2) @ right + torch.diag_embed(armature)


def bias_force(
    tree: Tree, placed: Placed, velocity: torch.Tensor, mass: torch.Tensor, inertia: torch.Tensor, gravity: torch.Tensor
) -> torch.Tensor:
    """(B, D) forces under which no velocity changes: Coriolis, centrifugal and gyroscopic ones, less gravity.

    Args:
        velocity: (B, D). mass: (B, L). inertia: (B, L, 6). gravity: (B, 3).
    """
    moves, points, axes = tree.moves[..., None], placed.points, placed.directions
    spin, slide = (part * velocity[..., None] * axes for part in (tree.angular, 1 - tree.angular))
    middle = centres(tree, placed)
    carried, of_points = tree.before @ spin, _velocities(tree.before[..., None], spin, slide, points, points)
    of_middles = _velocities(moves, spin, slide, middle, points)
    # How the velocity that each degree of freedom gives changes as what carries it moves.
    spin_rate, slide_rate = torch.linalg.cross(carried, spin), torch.linalg.cross(carried, slide)
    arms, apart = middle[:, :, None] - points[:, None], of_middles[:, :, None] - of_points[:, None]
    rates = torch.linalg.cross(spin_rate[:, None].expand(arms.shape), arms)
    rates = rates + torch.linalg.cross(spin[:, None].expand(arms.shape), apart) + slide_rate[:, None]
    felt = (moves * rates).sum(2) - gravity[:, None]
    turning, turning_rate = (_into_links(placed, (tree.moves @ part)[:, :, None]) for part in (spin, spin_rate))
    matrix = inertia[..., SIX].unflatten(-1, (3, 3))
    torque = turning_rate @ matrix + torch.linalg.cross(turning, turning @ matrix)
    linear, angular = tree.jacobians(placed, middle)
    return torch.einsum("bldx,blx->bd", linear, mass[..., None] * felt) + torch.einsum(
        "bldx,blx->bd", _into_links(placed, angular), torque[:, :, 0]
    )


def gravity_force(tree: Tree, placed: Placed, mass: torch.Tensor, gravity: torch.Tensor) -> torch.Tensor:
    """(B, D) `bias_force` at rest."""
    linear, _angular = tree.jacobians(placed, centres(tree, placed))
    return -torch.einsum("bldx,blx->bd", linear, mass[..., None] * gravity[:, None])


def _velocities(
    by: torch.Tensor, spin: torch.Tensor, slide: torch.Tensor, places: torch.Tensor, points: torch.Tensor
) -> torch.Tensor:
    """(B, n, 3) of places (B, n, 3) that degrees of freedom move where `by` (n, D, 1) is 1."""
    arms = places[:, :, None] - points[:, None]
    return (by * (torch.linalg.cross(spin[:, None].expand(arms.shape), arms) + slide[:, None])).sum(2)


def _into_links(placed: Placed, vectors: torch.Tensor) -> torch.Tensor:
    """Vectors (B, L, n, 3) of the world's axes in those of the links."""
    return quaternion.rotate(quaternion.conjugate(placed.quat)[:, :, None], vectors)
