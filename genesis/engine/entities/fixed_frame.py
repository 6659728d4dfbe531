"""What a robot's file has that no joint moves against its link: welded bodies, and sites, each a frame on a link."""

import weakref
from dataclasses import dataclass, field
from typing import Any

import torch

from genesis.engine.inputs import Environments
from genesis.grad.tensor import Tensor, plain_of
from genesis.math import quaternion


@dataclass(frozen=True)
class FixedFrame:
    """A frame on a link, or on the world, which moves as that does. Getters are differentiable."""

    name: str
    link: Any
    """The `RigidLink` that it is fixed to; None: the world."""
    pos: tuple[float, float, float]
    """Where, in the link's frame, m."""
    quat: tuple[float, float, float, float]
    """Turned how, wxyz."""
    _entity: "weakref.ref[Any]" = field(repr=False)

    @property
    def entity(self) -> Any:
        """Whose it is."""
        return self._entity()

    @property
    def idx_local(self) -> int:
        """That of its link; -1: the world."""
        return -1 if self.link is None else self.link.idx_local

    def get_pos(self, envs_idx: Environments = None) -> Tensor:
        """(B, 3) of its origin, m."""
        pos, quat = self._on(envs_idx)
        return self.entity._values.own(pos + quaternion.rotate(quat, pos.new_tensor(self.pos)))

    def get_quat(self, envs_idx: Environments = None) -> Tensor:
        """(B, 4) from it to the world's, wxyz."""
        _, quat = self._on(envs_idx)
        return self.entity._values.own(quaternion.multiply(quat, quat.new_tensor(self.quat).expand_as(quat)))

    def get_vel(self, envs_idx: Environments = None) -> Tensor:
        """(B, 3) of its origin, m/s."""
        _, quat = self._on(envs_idx)
        arm = quaternion.rotate(quat, quat.new_tensor(self.pos))
        if self.link is None:
            return self.entity._values.own(torch.zeros_like(arm))
        vel, ang = plain_of(self.link.get_vel(envs_idx)), plain_of(self.link.get_ang(envs_idx))
        return self.entity._values.own(vel + torch.linalg.cross(ang, arm))

    def get_ang(self, envs_idx: Environments = None) -> Tensor:
        """(B, 3) angular velocity in the world frame, rad/s."""
        if self.link is None:
            return self.get_vel(envs_idx)
        return self.link.get_ang(envs_idx)

    def _on(self, envs_idx: Environments) -> tuple[torch.Tensor, torch.Tensor]:
        """Pose of its link: (B, 3), (B, 4), plain."""
        pos = plain_of(self.entity.get_links_pos(max(self.idx_local, 0), envs_idx))[:, 0]
        quat = plain_of(self.entity.get_links_quat(max(self.idx_local, 0), envs_idx))[:, 0]
        if self.link is None:
            pos, quat = torch.zeros_like(pos), quat.new_tensor([1.0, 0.0, 0.0, 0.0]).expand_as(quat)
        return pos, quat
