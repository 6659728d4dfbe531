"""Colliders that travel so far in a substep that they jump over matter, and push nothing.

A point is pushed while it is in the front half of a shape or just before it, seen along the way. So a shape that
travels further in a substep than its depth, from the surface to the middle, and its softness has points in its way
that it never touches.
"""

from collections.abc import Sequence

import numpy as np
import torch

from genesis.compiler import layout
from genesis.contact.colliders import ANGULAR, POSITION, QUATERNION, VELOCITY, Collider
from genesis.contact.shapes import FADE
from genesis.math import quaternion


class Jumps:
    """What finds them.

    Args:
        colliders: K of the scene.
        names: What messages call their bodies.
        dt: Substep of the scene, s.
    """

    def __init__(self, colliders: Sequence[Collider], names: Sequence[str], dt: float) -> None:
        self.names, self.dt = tuple(names), dt
        opts = {"dtype": layout().dtype, "device": layout().device}
        self.fastest = torch.tensor([(each.shape.depth + each.softness) / dt for each in colliders], **opts)
        """(K,) m/s."""
        self._levers = torch.tensor([each.shape.levers for each in colliders], **opts).view(-1, 3)
        self._longest, self._fastest = self._levers.norm(dim=1).cpu().numpy(), self.fastest.cpu().numpy()
        reach = [0.0 if each.shape.kind == "plane" else each.shape.reach + FADE * each.softness for each in colliders]
        self._reach = torch.tensor(reach, **opts)

    def any_fast(self, poses: torch.Tensor) -> bool:
        """Whether a collider of poses (substeps, envs, K, 4, 4) may move that fast, near matter or not, by the largest
        numbers of its velocities. On CPUs by numpy, whose time does not depend on threads that are busy."""
        largest = np.abs(poses.numpy()).max((0, 1)) if poses.device.type == "cpu" else poses.abs().amax((0, 1)).cpu()
        speed, spin = (np.linalg.norm(largest[:, row, :3], axis=1) for row in (VELOCITY, ANGULAR))
        return not bool((speed + spin * self._longest <= self._fastest).all())  # nor where an environment has failed

    def find(self, poses: torch.Tensor, bounds: Sequence[torch.Tensor]) -> torch.Tensor:
        """(n,) int32: 0, or 1 + the substep in which a collider jumps within reach of matter.

        Args:
            bounds: Of each kind of matter (n, 2, 3), lower and upper corner of where it is.
        """
        found = self._jumping(poses[:, : len(bounds[0])], bounds).any(-1)
        return torch.where(found.any(0), 1 + found.int().argmax(0), 0).int()

    def first(self, poses: torch.Tensor, bounds: Sequence[torch.Tensor]) -> tuple[int, int, float] | None:
        """Of one environment what `find` says, the collider, and its speed, m/s."""
        found = self._jumping(poses, bounds)[:, 0].nonzero()
        if not len(found):
            return None
        substep, k = found[0].tolist()
        return substep + 1, k, float(self._speeds(poses)[substep, 0, k])

    def _jumping(self, poses: torch.Tensor, bounds: Sequence[torch.Tensor]) -> torch.Tensor:
        """(substeps, n, K) which do."""
        begin = poses[..., POSITION, :3]
        end, reach = begin + self.dt * poses[..., VELOCITY, :3], self._reach[:, None]
        low, high = torch.minimum(begin, end) - reach, torch.maximum(begin, end) + reach
        near = [((low <= of[:, None, 1]) & (high >= of[:, None, 0])).all(-1) for of in bounds]
        return (self._speeds(poses) > self.fastest) & torch.stack(near).any(0)

    def _speeds(self, poses: torch.Tensor) -> torch.Tensor:
        """(..., K) m/s at which surfaces of poses (..., K, 4, 4) move along their normals, at most."""
        spin = quaternion.rotate(quaternion.conjugate(poses[..., QUATERNION, :]), poses[..., ANGULAR, :3])
        return poses[..., VELOCITY, :3].norm(dim=-1) + (spin.abs() * self._levers).sum(-1)
