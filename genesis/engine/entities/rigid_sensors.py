"""What a rigid entity measures: links, contacts, sensors. World frame unless said otherwise; all differentiable.

Contacts, wrenches and accelerations are averages over the last step, the last evaluation is a moment of it. They are
zero after a reset, and must be asked for at build:
`scene.build(outputs=("contacts", "link_wrench", "link_acceleration", "last_evaluation"))`.
"""

from typing import cast

import torch

from genesis.engine.entities.articulated import ArticulatedBody, RigidLink, Units
from genesis.engine.inputs import Environments
from genesis.engine.state import Contacts, LastEvaluation
from genesis.errors import GenesisRuntimeError
from genesis.grad.tensor import Tensor
from genesis.math import quaternion

POS, QUAT, VEL, ANG = range(4)


class RigidSensors(ArticulatedBody):
    """Abstract: the part of a rigid entity that has to do with what is computed from state and step."""

    def get_links_pos(self, links_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n, 3) of the links' frames, m."""
        return self._readout(POS, links_idx_local, envs_idx)

    def get_links_quat(self, links_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n, 4) wxyz, from the link's frame to the world's."""
        return self._readout(QUAT, links_idx_local, envs_idx)

    def get_links_vel(self, links_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n, 3) of the origins of the links' frames, m/s."""
        return self._readout(VEL, links_idx_local, envs_idx)

    def get_links_ang(self, links_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n, 3) rad/s."""
        return self._readout(ANG, links_idx_local, envs_idx)

    def get_contacts(self, envs_idx: Environments = None) -> Contacts:
        """Mean force and position of every geom's contacts over the last step, with grounds and with other bodies.

        With `CompliantContact` of every contact point, with grounds.

        Raises:
            GenesisRuntimeError: "contacts" was not asked for at build.
        """
        self._must_have("contacts", "get_contacts")
        columns, links, names = self._offsets.points
        packed = self._pick(self._columns(self._values.read("rigid", "contacts"), columns, None), envs_idx)
        force, position = packed[..., :3], packed[..., 3:]
        link_idx = torch.tensor(links, dtype=torch.int64, device=packed.device)
        impulse = force * self._offsets.dt
        return Contacts(cast(Tensor, force), cast(Tensor, position), cast(Tensor, impulse), link_idx, names)

    def get_links_wrench(self, links_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n, 6) mean force (N) and torque about the link's frame (N m) that its parent exerts on it by the joints.

        Raises:
            GenesisRuntimeError: "link_wrench" was not asked for at build.
        """
        self._must_have("link_wrench", "get_links_wrench")
        whole = self._read("link_wrench", self._offsets.link, self.n_links)
        return self._columns(whole, self._links_idx(links_idx_local), envs_idx)

    def get_links_acceleration(self, links_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n, 6) mean linear (m/s^2, of the frame's origin) and angular (rad/s^2) acceleration.

        Raises:
            GenesisRuntimeError: "link_acceleration" was not asked for at build.
        """
        self._must_have("link_acceleration", "get_links_acceleration")
        whole = self._read("link_acceleration", self._offsets.link, self.n_links)
        return self._columns(whole, self._links_idx(links_idx_local), envs_idx)

    def get_force_torque(self, link: RigidLink | str | int, envs_idx: Environments = None) -> Tensor:
        """(B, 6) what a force-torque sensor between a link and its parent reads, in the link's frame, N and N m.

        The mean force on the link over the last step and its torque about the frame's origin.

        Raises:
            GenesisRuntimeError: "link_wrench" was not asked for at build.
        """
        index = self._link(link)
        wrench = self.get_links_wrench(index, envs_idx)[:, 0].unflatten(1, (2, 3))
        return cast(Tensor, self._into_link(index, wrench, envs_idx).flatten(1))

    def get_imu(self, link: RigidLink | str | int, envs_idx: Environments = None) -> tuple[Tensor, Tensor]:
        """What an inertial measurement unit at the origin of a link reads, in the link's frame.

        Returns:
            (B, 3) mean acceleration over the last step less gravity, m/s^2 (at rest: 9.81 upwards); (B, 3) present
            angular velocity, rad/s.

        Raises:
            GenesisRuntimeError: "link_acceleration" was not asked for at build.
        """
        index = self._link(link)
        acceleration = self.get_links_acceleration(index, envs_idx)[:, 0, :3]
        felt = acceleration - self._pick(self._values.read("scene", "gravity"), envs_idx)
        both = torch.stack([felt, self.get_links_ang(index, envs_idx)[:, 0]], 1)
        felt, ang = self._into_link(index, both, envs_idx).unbind(1)
        return cast(Tensor, felt), cast(Tensor, ang)

    def get_last_evaluation(self, envs_idx: Environments = None) -> LastEvaluation:
        """State, forces of contacts and wrenches of joints in the last evaluation of the last step.

        MuJoCo's contact model alone has it.

        Raises:
            GenesisRuntimeError: "last_evaluation" was not asked for at build.
        """
        self._must_have("last_qpos", "get_last_evaluation", "last_evaluation")
        at, (points, _, _) = self._offsets, self._offsets.points
        return LastEvaluation(
            qpos=self._pick(self._read("last_qpos", at.q, self.n_qs), envs_idx),
            dofs_vel=self._pick(self._read("last_dofs_vel", at.dof, self.n_dofs), envs_idx),
            contacts=self._columns(self._values.read("rigid", "last_contacts"), points, envs_idx),
            joints=self._pick(self._read("last_joints", at.link, self.n_links), envs_idx),
        )

    def get_links_at(self, qpos: torch.Tensor, dofs_vel: torch.Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Where the links would be, and how they would move, at `qpos` (B, Q) and `dofs_vel` (B, D); differentiable.

        Returns:
            As `get_links_pos`, `get_links_quat`, `get_links_vel` and `get_links_ang`: (B, L, 3), (B, L, 4) wxyz,
            (B, L, 3), (B, L, 3). The state of the scene stays as it is.

        Raises:
            GenesisException: Wrong shapes, or numbers that are not finite.
        """
        given = {}
        for name, value, first, n in (
            ("qpos", qpos, self._offsets.q, self.n_qs),
            ("dofs_vel", dofs_vel, self._offsets.dof, self.n_dofs),
        ):
            rows = self._rows(name, value, ((n,),), None)
            whole = self._values.read("rigid", name).as_subclass(torch.Tensor)
            if n != whole.shape[1]:
                rows = torch.cat([whole[:, :first], rows, whole[:, first + n :]], 1)
            given[name] = rows
        links = range(self._offsets.link, self._offsets.link + self.n_links)
        pos, quat, vel, ang = (self._columns(each, links, None) for each in self._values.readouts_at("rigid", given))
        return pos, quat, vel, ang

    # Within.

    def _into_link(self, index: int, vectors: torch.Tensor, envs_idx: Environments) -> torch.Tensor:
        """Vectors (B, k, 3) of the world's frame in that of a link, as it stands now."""
        quat = self.get_links_quat(index, envs_idx)
        return quaternion.rotate(quaternion.conjugate(quat), vectors)

    def _readout(self, which: int, links_idx_local: Units, envs_idx: Environments) -> Tensor:
        chosen = self._links_idx(links_idx_local)
        whole = self._values.readouts("rigid")[which]
        if self.n_links != whole.shape[1]:
            whole = whole[:, self._offsets.link : self._offsets.link + self.n_links]
        return self._columns(whole, chosen, envs_idx)

    def _must_have(self, field: str, call: str, output: str | None = None) -> None:
        if not self._values.has("rigid", field):
            raise GenesisRuntimeError(
                f"{call} must be asked for at build, got a scene without it. "
                f'Call scene.build(outputs=("{output or field}",)).'
            )
