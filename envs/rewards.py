"""Distances between shapes of particles, for rewards: by densities on a grid, signed distances and clouds of points.

Functions of tensors, batched over environments (B), differentiable by positions; they take what getters of particles
return, `genesis.Tensor`s too. Positions are in m, world frame. An environment's value depends on no other one, and one
that has failed (NaN) spoils no other. They are distances: a reward falls with them. First derivatives only.

Memory is what the graph keeps for the backward pass, in numbers of the running precision.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from genesis.errors import GenesisTypeError, GenesisValueError

CHUNK = 2**24
"""Numbers of a matrix of distances that is made at once where no graph needs it."""


@dataclass(frozen=True)
class Grid:
    """Nodes on which shapes are compared. A spacing of two to three particles' is fine enough to see a body's form.

    Args:
        lower: (3,) position of the first node, m.
        upper: (3,) of the last one, m; rounded up to a whole number of spacings.
        spacing: Between nodes, m.

    Raises:
        GenesisValueError: Bounds that are not finite, or out of order; a spacing that is not positive; more than 10^8
            nodes.
    """

    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    spacing: float

    def __post_init__(self) -> None:
        ordered = len(self.lower) == len(self.upper) == 3 and all(
            -math.inf < a < b < math.inf for a, b in zip(self.lower, self.upper, strict=True)
        )
        if not ordered:
            raise GenesisValueError(
                f"bounds of a grid must be finite, lower below upper on three axes, got {self.lower} and {self.upper}. "
                "Change them."
            )
        if not 0.0 < self.spacing < math.inf:
            raise GenesisValueError(f"spacing must be positive and finite, got {self.spacing}. Give it in m.")
        if math.prod(self.shape) > 1e8:
            raise GenesisValueError(f"a grid must have at most 1e8 nodes, got {self.shape}. Raise its spacing.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Nodes on each axis."""
        extent = [(b - a) / self.spacing for a, b in zip(self.lower, self.upper, strict=True)]
        nx, ny, nz = (math.ceil(length - 1e-9) + 1 for length in extent)
        return nx, ny, nz

    def nodes(self, like: torch.Tensor) -> torch.Tensor:
        """(*shape, 3) positions of the nodes, m, of the type and on the device of a tensor."""
        axes = [
            like.new_tensor(a) + self.spacing * torch.arange(n).to(like)
            for a, n in zip(self.lower, self.shape, strict=True)
        ]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def density(pos: torch.Tensor, volume: float | torch.Tensor, grid: Grid) -> torch.Tensor:
    """How much of the space around each node particles fill: their volumes, spread by quadratic B-splines.

    rho_i = sum_p V_p w(x_i - x_p) / h^3, about 1 within a body that fills its space. What would go to nodes outside the
    grid, and what is not finite, is left out. Differentiable by pos and volume, the derivative is continuous.

    Args:
        pos: (B, n, 3) m.
        volume: Of each particle, m^3: a number (`entity.particle_volume`), or (n,) or (B, n); zero of what is not to
            count, such as inactive particles.
        grid: The nodes.

    Returns:
        (B, *grid.shape), a fraction. Memory: 60 numbers for each particle, and the grid.
    """
    _check_clouds(pos=pos)
    shape, n_envs = grid.shape, len(pos)
    at = (pos - pos.new_tensor(grid.lower)) / grid.spacing
    kept = ((at > -2.0) & (at < at.new_tensor(shape) + 1.0)).all(-1, keepdim=True)  # False of NaN, too
    at = torch.where(kept, at, 0.0)
    base = torch.floor(at.detach() - 0.5)
    f = at - base
    weights = torch.stack([0.5 * (1.5 - f) ** 2, 0.75 - (f - 1.0) ** 2, 0.5 * (f - 0.5) ** 2], -1)  # (B, n, axis, 3)
    places = base.long()[..., None] + torch.arange(3, device=pos.device)
    last = torch.tensor(shape, device=pos.device)[:, None] - 1
    inside = (places >= 0) & (places <= last)
    weights = torch.where(inside & kept[..., None], weights, 0.0)
    places = places.clamp_min(0).minimum(last)
    x, y, z = places.unbind(-2)
    index = (x[..., :, None, None] * shape[1] + y[..., None, :, None]) * shape[2] + z[..., None, None, :]
    wx, wy, wz = weights.unbind(-2)
    share = torch.as_tensor(volume, dtype=pos.dtype, device=pos.device) / grid.spacing**3
    amount = (share.expand(pos.shape[:2])[..., None] * wx)[..., :, None, None] * wy[..., None, :, None]
    amount = amount * wz[..., None, None, :]
    total = pos.new_zeros(n_envs, math.prod(shape))
    return total.scatter_add(1, index.reshape(n_envs, -1), amount.reshape(n_envs, -1)).view(n_envs, *shape)


def density_difference(rho: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Share of the target's volume that is missing, and of what is too much: sum |rho - rho*| / sum rho*.

    0 where both are equal, 2 of two shapes of equal volume that have no node in common, where its derivative is zero:
    add `distance_outside`. Its derivative jumps where rho = rho* (and is zero there).
    Source: Huang et al. 2021, "PlasticineLab", section 3.2, divided by the target's volume.

    Args:
        rho: (B, nx, ny, nz) of `density`.
        target: (nx, ny, nz) or (B, nx, ny, nz).

    Returns:
        (B,), a fraction. Memory: twice the grid.
    """
    target = _checked_target(rho, target)
    return (rho - target).abs().sum((1, 2, 3)) / target.sum((-3, -2, -1))


def soft_iou(rho: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Overlap of two densities, sum a b / (sum a^2 + sum b^2 - sum a b): that of sets, intersection over union, of
    densities that are 0 or 1.

    1 if and only if both are equal, 0 where no node is in common; smooth. (PlasticineLab's soft IoU,
    sum a b / sum (a + b - a b), is below 1 for equal densities with soft edges.)
    Source: Rogers and Tanimoto 1960, "A Computer Program for Classifying Plants".

    Args:
        rho: (B, nx, ny, nz) of `density`.
        target: (nx, ny, nz) or (B, nx, ny, nz).

    Returns:
        (B,) in 0 ... 1, of densities that are not negative. Memory: twice the grid.
    """
    target = _checked_target(rho, target)
    axes = (-3, -2, -1)
    both, own, other = (rho * target).sum(axes), (rho * rho).sum(axes), (target * target).sum(axes)
    return both / (own + other - both)


def distance_field(target: torch.Tensor, grid: Grid, level: float = 0.5) -> torch.Tensor:
    """Signed distance of every node from a target's surface: from the nearest node that is within the target where it
    is outside, minus that from the nearest one outside where it is within. To half a spacing.

    Args:
        target: (nx, ny, nz) density.
        grid: Its nodes.
        level: Density from which on a node counts as within.

    Returns:
        (nx, ny, nz) m, without a graph. Time: nodes within x nodes outside, once for each target.

    Raises:
        GenesisValueError: No node is within the target, or all are; wrong shape.
    """
    if tuple(target.shape) != grid.shape:
        raise GenesisValueError(
            f"target must have the shape of its grid, {grid.shape}, got {tuple(target.shape)}. Make it by density()[0]."
        )
    with torch.no_grad():
        nodes, within = grid.nodes(target).reshape(-1, 3), (target >= level).reshape(-1)
        if bool(within.all()) or not bool(within.any()):
            raise GenesisValueError(
                f"target must have nodes above and below level {level}, got densities from "
                f"{float(target.min()):.4g} to {float(target.max()):.4g}. Choose a level between."
            )
        field = torch.empty_like(target).reshape(-1)
        half = 0.5 * grid.spacing  # the surface is between two nodes
        field[~within] = _nearest(nodes[~within][None], nodes[within][None])[1][0] - half
        field[within] = half - _nearest(nodes[within][None], nodes[~within][None])[1][0]
        return field.view(target.shape)


def distance_outside(rho: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """How far from the target's volume the matter is, in the mean: sum rho max(phi, 0) / sum rho.

    Has a derivative however far off the matter is, and none within the target. As rho spreads particles by B-splines,
    this is the field between its nodes, at the particles. Source: Huang et al. 2021, "PlasticineLab", section 3.2,
    divided by the volume.

    Args:
        rho: (B, nx, ny, nz) of `density`.
        field: (nx, ny, nz) or (B, nx, ny, nz) m, of `distance_field`, or of a shape's formula at `Grid.nodes`.

    Returns:
        (B,) m; NaN where rho is zero everywhere. Memory: the grid.
    """
    _check_density(rho)
    field = _alike("field", rho, field)
    return (rho * field.clamp_min(0.0)).sum((1, 2, 3)) / rho.sum((1, 2, 3))


def chamfer(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean squared distance of each point from the nearest of the other cloud, both ways added.

    mean_i min_j |x_i - y_j|^2 + mean_j min_i |x_i - y_j|^2. Smooth but where another point becomes the nearest.
    Source: Fan et al. 2017, "A Point Set Generation Network for 3D Object Reconstruction from a Single Image", eq. 1,
    with means in place of sums.

    Args:
        x: (B, n, 3) m.
        y: (m, 3) or (B, m, 3) m. Differentiable too.

    Returns:
        (B,) m^2. Memory: 6 (n + m) numbers an environment, for only the nearest ones are in the graph.
    """
    x, y = _pair(x, y)
    nearest = _nearest(x.detach(), y.detach())[0]
    back = _nearest(y.detach(), x.detach())[0]
    there = (x - y.gather(1, nearest[..., None].expand(-1, -1, 3))).square().sum(-1).mean(1)
    return there + (y - x.gather(1, back[..., None].expand(-1, -1, 3))).square().sum(-1).mean(1)


def sinkhorn(x: torch.Tensor, y: torch.Tensor, blur: float, iterations: int = 500) -> torch.Tensor:
    """Mean squared distance over which the points of one cloud are carried to make the other, blurred: the Sinkhorn
    divergence, of equal weights and the cost |x - y|^2.

    0 if and only if the clouds are alike; t^2 of a cloud and the same shifted by t, whatever the blur. Smooth. Carrying
    that costs less than blur^2 is not resolved. The derivative is that of the optimum (Danskin): it is right as far as
    the iteration has converged, which it has to 1e-5 of blur^2 in float32 and 1e-10 in float64 unless it was cut off.
    Source: Feydy et al. 2019, "Interpolating between Optimal Transport and MMD using Sinkhorn Divergences", eqs. 3 and
    8 to 10; steps of decreasing blur as in Feydy 2020, "Geometric data analysis, beyond convolutions", section 3.3.3.

    Args:
        x: (B, n, 3) m.
        y: (m, 3) or (B, m, 3) m. Differentiable too.
        blur: m; the smaller, the more iterations. The distance between neighbours is a good one.
        iterations: At most this many; an environment stops where it has converged.

    Returns:
        (B,) m^2. Memory: about 4 (2 n m + n^2 + m^2) numbers an environment: take some hundreds of the points
        (`pos[:, ::k]`) rather than thousands.
    """
    x, y = _pair(x, y)
    if not (isinstance(blur, int | float) and 0.0 < blur < math.inf):
        raise GenesisValueError(f"blur must be positive and finite, got {blur}. Give it in m.")
    middle = y.detach().mean(1, keepdim=True)  # far from the origin float32 would see too little
    x, y = x - middle, y - middle
    eps = float(blur) ** 2
    cross = _transport(x, y, eps, iterations)
    # Twice, for the potentials above are those of half the cost.
    return 2.0 * (cross - 0.5 * (_self_transport(x, eps, iterations) + _self_transport(y, eps, iterations)))


def _transport(x: torch.Tensor, y: torch.Tensor, eps: float, iterations: int) -> torch.Tensor:
    """(B,) entropic cost of carrying x to y, m^2: sum of the potentials' means."""
    with torch.no_grad():
        cost = _cost(x.detach(), y.detach())
        f, g = cost.new_zeros(cost.shape[:2]), cost.new_zeros(cost.shape[0], cost.shape[2])
        scales = _scales(cost, eps)
        done = torch.zeros(len(cost), dtype=torch.bool, device=cost.device)
        for k in range(iterations):
            scale = (scales * 0.5**k).clamp_min(eps)
            new_f = _soft_minimum(cost, g, scale)
            new_g = _soft_minimum(cost.transpose(1, 2), new_f, scale)
            done, f, g = _renew(done, scale, eps, (f, new_f), (g, new_g))
            if bool(done.all()):
                break
    scale = torch.full_like(scales, eps)
    return (
        _soft_minimum(_cost(x, y.detach()), g, scale).mean(1)
        + _soft_minimum(_cost(y, x.detach()), f, scale).mean(1)
    )  # fmt: skip


def _self_transport(x: torch.Tensor, eps: float, iterations: int) -> torch.Tensor:
    """(B,) the same from a cloud to itself, whose two potentials are one. Means of steps converge faster there."""
    with torch.no_grad():
        cost = _cost(x.detach(), x.detach())
        f, scales = cost.new_zeros(cost.shape[:2]), _scales(cost, eps)
        done = torch.zeros(len(cost), dtype=torch.bool, device=cost.device)
        for k in range(iterations):
            scale = (scales * 0.5**k).clamp_min(eps)
            new = 0.5 * (f + _soft_minimum(cost, f, scale))
            done, f, _ = _renew(done, scale, eps, (f, new), (f, new))
            if bool(done.all()):
                break
    return 2.0 * _soft_minimum(_cost(x, x.detach()), f, torch.full_like(scales, eps)).mean(1)


def _renew(
    done: torch.Tensor, scale: torch.Tensor, eps: float, *potentials: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Which environments have converged, and both potentials, new where they had not before."""
    (f, new_f), (g, new_g) = potentials
    tolerance = (1e-5 if f.dtype == torch.float32 else 1e-10) * eps
    change = torch.maximum((new_f - f).abs().amax(1), (new_g - g).abs().amax(1))
    limit = torch.maximum(change.new_tensor(tolerance), 8 * torch.finfo(f.dtype).eps * new_f.abs().amax(1))
    still = done[:, None]
    converged = ~(change > limit) & (scale.flatten() <= eps)  # NaN counts as converged
    return done | converged, torch.where(still, f, new_f), torch.where(still, g, new_g)


def _scales(cost: torch.Tensor, eps: float) -> torch.Tensor:
    """(B, 1, 1) first blur of an environment, m^2: its largest cost."""
    return cost.amax((1, 2), keepdim=True).clamp_min(eps)


def _soft_minimum(cost: torch.Tensor, potential: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """(B, n) -scale log mean_j exp((potential_j - cost_ij) / scale)."""
    terms = (potential[:, None, :] - cost) / scale
    return -scale[:, :, 0] * (torch.logsumexp(terms, 2) - math.log(cost.shape[2]))


def _cost(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(B, n, m) half the squared distances, m^2, without the cancellation of expanded squares."""
    return 0.5 * torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()


def _nearest(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, n) index of the nearest point of y (B, m, 3), and its distance, m; a part of x after the other."""
    rows = max(1, CHUNK // (len(x) * y.shape[1]))
    parts = [
        torch.cdist(part, y, compute_mode="donot_use_mm_for_euclid_dist").min(2) for part in x.split(rows, dim=1)
    ]  # fmt: skip
    return torch.cat([part.indices for part in parts], 1), torch.cat([part.values for part in parts], 1)


def _check_clouds(**clouds: torch.Tensor) -> None:
    for name, cloud in clouds.items():
        if not isinstance(cloud, torch.Tensor) or not cloud.is_floating_point():
            got = cloud.dtype if isinstance(cloud, torch.Tensor) else type(cloud).__name__
            raise GenesisTypeError(f"{name} must be a tensor of floats, got {got}. Convert it.")
        if cloud.dim() != 3 or cloud.shape[2] != 3 or not cloud.shape[1]:
            raise GenesisValueError(
                f"{name} must have shape (B, n, 3) with n at least 1, got {tuple(cloud.shape)}. "
                "A row for each environment, in it one for each point."
            )


def _pair(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two clouds of as many environments, and of one type."""
    _check_clouds(x=x)
    if isinstance(y, torch.Tensor) and y.dim() == 2:
        y = y[None]
    _check_clouds(y=y)
    if len(y) not in (1, len(x)):
        raise GenesisValueError(
            f"y must have {len(x)} rows, as x has, or be one cloud, got {len(y)}. Give one of these."
        )
    return x, y.to(x).expand(len(x), -1, -1)


def _check_density(rho: torch.Tensor) -> None:
    if not isinstance(rho, torch.Tensor) or rho.dim() != 4:
        got: Sequence[int] | str = tuple(rho.shape) if isinstance(rho, torch.Tensor) else type(rho).__name__
        raise GenesisValueError(f"rho must have shape (B, nx, ny, nz), got {got}. Make it by density().")


def _alike(name: str, rho: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    if tuple(other.shape) not in (tuple(rho.shape[1:]), tuple(rho.shape)):
        raise GenesisValueError(
            f"{name} must have the shape of rho {tuple(rho.shape)}, with or without B, got {tuple(other.shape)}. "
            "Make both on one grid."
        )
    return other.to(rho)


def _checked_target(rho: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """A target that has some volume."""
    _check_density(rho)
    target = _alike("target", rho, target)
    if not bool((target.detach().sum((-3, -2, -1)) > 0.0).all()):
        raise GenesisValueError("target must have some volume, got none. Is it on the grid?")
    return target
