"""How a robot's q and its degrees of freedom belong together, on rows of tensors. Everything here is differentiable.

The position of a degree of freedom: q of a hinge or slide, the translation of a free joint, and for the rotation of a
ball or free joint its rotation vector, three numbers, rad.
"""

from collections.abc import Collection

import torch

from genesis.errors import GenesisValueError
from genesis.loaders.model import BALL, FREE, JOINT_SIZES, RigidModel
from genesis.math import quaternion

UNIT = 1e-3
"""How far the length of a quaternion that is given may be from one."""


class Coordinates:
    """The runs of q of one robot: either plain numbers, one for each degree of freedom, or one quaternion."""

    def __init__(self, model: RigidModel) -> None:
        self.runs: list[tuple[bool, int, int, int, int]] = []
        """Whether it is a quaternion, first and last + 1 index in q, first and last + 1 degree of freedom."""
        self.free: dict[int, str] = {}
        """Degrees of freedom of free joints, and the joint's name."""
        for joint in model.joints:
            q, dof = joint.q, joint.dof
            if joint.kind == FREE:
                self.free.update(dict.fromkeys(range(dof, dof + 6), joint.name))
                self._add_plain(q, dof, 3)
                self.runs.append((True, q + 3, q + 7, dof + 3, dof + 6))
            elif joint.kind == BALL:
                self.runs.append((True, q, q + 4, dof, dof + 3))
            else:
                self._add_plain(q, dof, JOINT_SIZES[joint.kind][0])
        self.plain = not any(turns for turns, *_ in self.runs)
        """Whether there is no quaternion, so that q is the position of the degrees of freedom."""

    def _add_plain(self, q: int, dof: int, n: int) -> None:
        if self.runs and not self.runs[-1][0]:
            _, q, _, dof, _ = before = self.runs.pop()
            n += before[2] - q
        self.runs.append((False, q, q + n, dof, dof + n))

    def qs_of(self, dofs: Collection[int]) -> list[int]:
        """The plain numbers of q that are the positions of some degrees of freedom."""
        runs = [(a, first, end) for turns, a, _, first, end in self.runs if not turns]
        return [a + dof - first for dof in dofs for a, first, end in runs if first <= dof < end]

    def position(self, qpos: torch.Tensor) -> torch.Tensor:
        """(K, D) positions of the degrees of freedom at qpos (K, Q)."""
        if self.plain:
            return qpos
        parts = [
            quaternion.to_rotation_vector(qpos[:, a:b]) if turns else qpos[:, a:b] for turns, a, b, *_ in self.runs
        ]
        return torch.cat(parts, 1)

    def with_position(self, qpos: torch.Tensor, position: torch.Tensor, changed: Collection[int]) -> torch.Tensor:
        """qpos (K, Q) with the positions (K, D); quaternions of which nothing is in `changed` stay as they are."""
        if self.plain:
            return position
        parts = []
        for turns, a, b, first, end in self.runs:
            if not turns:
                parts.append(position[:, first:end])
            elif any(first <= dof < end for dof in changed):
                parts.append(quaternion.from_rotation_vector(position[:, first:end]))
            else:
                parts.append(qpos[:, a:b])
        return torch.cat(parts, 1)

    def normalised(self, what: str, qpos: torch.Tensor) -> torch.Tensor:
        """qpos (K, Q) with its quaternions scaled to length one.

        Raises:
            GenesisValueError: One is not of length one already, up to `UNIT`.
        """
        if self.plain:
            return qpos
        parts = [unit(what, qpos[:, a:b], a) if turns else qpos[:, a:b] for turns, a, b, *_ in self.runs]
        return torch.cat(parts, 1)


def unit(what: str, quat: torch.Tensor, begin: int | None = None) -> torch.Tensor:
    """`quat` (K, 4) scaled to length one; raises unless it has that already, up to `UNIT`."""
    off = (quat.detach().norm(dim=-1) - 1).abs()
    if len(off) and not float(off.max()) <= UNIT:
        row = int(off.argmax())
        place = "" if begin is None else f"[{begin}:{begin + 4}]"
        raise GenesisValueError(
            f"{what}{place} must be unit quaternions, got length {quat[row].detach().norm().item():.6g} in row {row}. "
            "Divide by its length; the order is w, x, y, z."
        )
    return quaternion.normalise(quat)
