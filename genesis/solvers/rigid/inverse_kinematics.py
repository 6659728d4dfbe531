"""Which q puts links where they are wanted: damped least squares, with limits of joints and further starts, in torch.

With e the errors of all targets and J how they fall with the degrees of freedom, a step is J' (J J' + l)^-1 e. In each
environment l falls while steps make the errors smaller and rises where they do not (Levenberg and Marquardt). Degrees
of freedom at a limit that e pushes them against do not take part. Source: Nakamura and Hanafusa (1986).
"""

from typing import NamedTuple

import torch

from genesis.math import quaternion
from genesis.solvers.rigid.tree import Tree

FIRST_DAMPING, MOST_DAMPING = 1e-3, 1e4
"""l over the mean of the diagonal of J J'. A start is given up where the largest does not help."""
EASED, RAISED = 0.1, 4.0
"""Factors of l after a step that helps, and after one that does not."""
HELPS = 1.0 - 1e-4
"""A step that helps leaves less than this part of the sum of squares."""

ROWS = 4096
"""Further starts that are tried side by side, of all environments together, at least one of each."""


class Targets(NamedTuple):
    """What B environments want of n links."""

    links: list[int]
    points: torch.Tensor
    """(B, n, 3) in the links' frames, m."""
    pos: torch.Tensor
    """(B, n, 3) where the points are wanted, m."""
    quat: torch.Tensor
    """(B, n, 4) how the links are wanted."""
    wanted: torch.Tensor
    """(n, 6): 1 for the numbers of an error, of position and of rotation, that count."""

    def rows(self, envs: torch.Tensor) -> "Targets":
        return self._replace(points=self.points[envs], pos=self.pos[envs], quat=self.quat[envs])


class Ranges(NamedTuple):
    """Which degrees of freedom move, and how far."""

    chosen: torch.Tensor
    """(D,) 1 for those that move."""
    low: torch.Tensor
    high: torch.Tensor
    """(Q,) infinite where there is no limit."""
    angle: torch.Tensor
    """(balls) greatest angle from rest of balls and of free joints, rad; infinite where there is no limit."""

    def clip(self, tree: Tree, qpos: torch.Tensor) -> torch.Tensor:
        """qpos (B, Q) moved into the ranges."""
        clipped = torch.maximum(torch.minimum(qpos, self.high), self.low)
        if not bool(torch.isfinite(self.angle).any()):
            return clipped
        vector = quaternion.to_rotation_vector(quaternion.normalise(clipped[:, tree.ball_q]))
        length = vector.norm(dim=-1, keepdim=True)
        beyond = length > self.angle[:, None]
        inside = quaternion.from_rotation_vector(torch.where(beyond, vector * (self.angle[:, None] / length), vector))
        turned = torch.where(beyond, inside, clipped[:, tree.ball_q])
        return clipped.index_copy(1, tree.ball_q.flatten(), turned.flatten(1))

    def without_limits(self) -> "Ranges":
        endless = torch.full_like(self.high, torch.inf)
        return self._replace(low=-endless, high=endless, angle=torch.full_like(self.angle, torch.inf))

    def free(self, tree: Tree, qpos: torch.Tensor, push: torch.Tensor) -> torch.Tensor:
        """(B, D) 1 for those that move in the direction of `push` (B, D), 0 at limits and for those not chosen."""
        at = qpos[:, tree.plain_q]
        low, high = self.low[tree.plain_q], self.high[tree.plain_q]
        along = push[:, tree.plain_dof]
        held = ((at <= low) & (along < 0)) | ((at >= high) & (along > 0))
        return self.chosen * torch.ones_like(push).index_copy(1, tree.plain_dof, (~held).to(push.dtype))

    def random(self, tree: Tree, qpos: torch.Tensor) -> torch.Tensor:
        """qpos (B, Q) with new random values of what moves: within its range, hinges without one within half a turn of
        where they are, balls anyhow. Slides without one stay, and so do free joints' positions."""
        drawn = torch.rand_like(qpos)
        new = torch.where(torch.isfinite(self.high - self.low), self.low + drawn * (self.high - self.low), qpos)
        at = tree.hinge_q
        endless = torch.isinf(self.high - self.low)[at]
        new = new.index_copy(1, at, torch.where(endless, qpos[:, at] + (2 * drawn[:, at] - 1) * torch.pi, new[:, at]))
        turned = quaternion.normalise(torch.randn_like(qpos[:, tree.ball_q]))
        moves = self.chosen[tree.ball_dof[:, 0]][:, None] > 0
        turned = torch.where(moves, turned, qpos[:, tree.ball_q])
        plain = torch.where(self.chosen[tree.plain_dof] > 0, new[:, tree.plain_q], qpos[:, tree.plain_q])
        new = qpos.index_copy(1, tree.plain_q, plain).index_copy(1, tree.ball_q.flatten(), turned.flatten(1))
        return self.clip(tree, new)


class Effort(NamedTuple):
    """When an environment is done, and how much is tried."""

    pos_tol: float
    """m."""
    rot_tol: float
    """rad."""
    iterations: int
    """Steps from one start."""
    samples: int
    """Starts: the first is given, the others are random."""

    def reached(self, error: torch.Tensor) -> torch.Tensor:
        """(B,) whether errors (B, n, 6) are within the tolerances."""
        place, turn = error[..., :3].norm(dim=-1), error[..., 3:].norm(dim=-1)
        return ((place <= self.pos_tol) & (turn <= self.rot_tol)).all(1)


def solve(
    tree: Tree, targets: Targets, ranges: Ranges, start: torch.Tensor, effort: Effort
) -> tuple[torch.Tensor, torch.Tensor]:
    """qpos (B, Q) and what is left of the errors there, (B, n, 6): of positions, m, and rotation vectors, rad.

    An environment's result is its best, and depends on no other environment's but for the random starts. If a target
    requires a gradient, qpos has that of the solution that moves least: by the implicit function theorem, dq = J^+
    d(target). Environments that do not reach their targets have none.
    """
    with torch.no_grad():
        qpos, error = _descend(tree, targets, ranges, ranges.clip(tree, start), effort)
        more = effort.samples - 1
        while more > 0 and len(left := (~effort.reached(error)).nonzero()[:, 0]):
            n = min(more, max(1, ROWS // len(left)))
            each, more = left.repeat_interleave(n), more - n
            tried = ranges.random(tree, start[each])
            other, its_error = _descend(tree, targets.rows(each), ranges, tried, effort)
            best = torch.arange(len(left), device=left.device) * n + _cost(its_error).view(-1, n).argmin(1)
            best = best[_cost(its_error[best]) < _cost(error[left])]
            qpos, error = qpos.index_copy(0, each[best], other[best]), error.index_copy(0, each[best], its_error[best])
    if torch.is_grad_enabled() and any(part.requires_grad for part in (targets.points, targets.pos, targets.quat)):
        qpos = _with_gradient(tree, targets, ranges, qpos, effort.reached(error))
    return qpos, error


def _descend(
    tree: Tree, targets: Targets, ranges: Ranges, qpos: torch.Tensor, effort: Effort
) -> tuple[torch.Tensor, torch.Tensor]:
    error, jacobian = _errors(tree, targets, qpos)
    damping, epsilon = qpos.new_full((len(qpos), 1, 1), FIRST_DAMPING), torch.finfo(qpos.dtype).eps
    for _ in range(effort.iterations):
        going = ~effort.reached(error) & (damping[:, 0, 0] < MOST_DAMPING)
        if not bool(going.any()):
            break
        wanted = error.flatten(1)[..., None]
        free = jacobian * ranges.free(tree, qpos, (jacobian.transpose(1, 2) @ wanted)[..., 0])[:, None]
        square = free @ free.transpose(1, 2)
        scale = square.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] + epsilon
        damped = square + damping * scale * torch.eye(square.shape[1], dtype=qpos.dtype, device=qpos.device)
        step = free.transpose(1, 2) @ torch.linalg.solve_ex(damped, wanted).result  # what is not finite does not help
        there = ranges.clip(tree, tree.move(qpos, step[..., 0]))
        its_error, its_jacobian = _errors(tree, targets, there)
        better = going & (_cost(its_error) < HELPS * _cost(error))
        damping = (damping * torch.where(better, EASED, RAISED)[:, None, None]).clamp(epsilon, MOST_DAMPING)
        qpos = torch.where(better[:, None], there, qpos)
        error = torch.where(better[:, None, None], its_error, error)
        jacobian = torch.where(better[:, None, None], its_jacobian, jacobian)
    return qpos, error


def _errors(tree: Tree, targets: Targets, qpos: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, n, 6) what is missing, and (B, 6 n, D) how it falls; zeros where nothing is wanted."""
    placed = tree.place(qpos)
    quat = placed.quat[:, targets.links]
    points = placed.pos[:, targets.links] + quaternion.rotate(quat, targets.points)
    place = targets.pos - placed.origin[:, targets.links] - points
    turn = quaternion.to_rotation_vector(quaternion.multiply(targets.quat, quaternion.conjugate(quat)))
    linear, angular = tree.jacobians(placed, points, targets.links)
    jacobian = torch.cat([linear, angular], -1) * targets.wanted[:, None]
    return torch.cat([place, turn], -1) * targets.wanted, jacobian.transpose(2, 3).flatten(1, 2)


def _cost(error: torch.Tensor) -> torch.Tensor:
    return error.square().sum((1, 2))


def _with_gradient(
    tree: Tree, targets: Targets, ranges: Ranges, qpos: torch.Tensor, reached: torch.Tensor
) -> torch.Tensor:
    """The same qpos, as a function of the targets: what is missing falls by J dq and rises with the targets."""
    error, jacobian = _errors(tree, targets, qpos)
    inside = ranges.free(tree, qpos, torch.ones_like(jacobian[:, 0])) * ranges.free(
        tree, qpos, -torch.ones_like(jacobian[:, 0])
    )
    free = jacobian.detach() * inside[:, None]
    inverse = torch.linalg.pinv(free, rtol=torch.finfo(qpos.dtype).eps ** 0.5)
    missing = error.flatten(1)
    step = (inverse @ (missing - missing.detach())[..., None])[..., 0]
    return tree.move(qpos, torch.where(reached[:, None], step, torch.zeros_like(step)))
