"""Mocap bodies of a rigid entity: bodies of its file that are wherever they are set."""

from collections.abc import Sequence
from typing import cast

import torch

from genesis.engine.entities.articulated import RigidLink, Units
from genesis.engine.entities.coordinates import unit
from genesis.engine.entities.rigid_actuators import RigidActuators
from genesis.engine.inputs import Array, Environments, numeric
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.grad.tensor import Tensor, plain_of


class RigidMocap(RigidActuators):
    """Abstract: the part of a rigid entity that has to do with mocap bodies (`mocap="true"` of MJCF).

    They are links without joints. Contact and equality constraints see them at the pose that was set, at rest; so a
    robot's hand that is welded to one is dragged along.
    """

    @property
    def mocap_links(self) -> tuple[RigidLink, ...]:
        """Links that are mocap bodies, M of them. None with `CompliantContact`, where they are fixed to the world."""
        return tuple(self.links[link] for link in self._mocap)

    def set_mocap_pose(
        self,
        pos: Array | None = None,
        quat: Array | None = None,
        links_idx_local: Units = None,
        envs_idx: Environments = None,
    ) -> None:
        """Move mocap bodies; held until set again. Differentiable by both.

        Args:
            pos: World frame, m: (3,) for all of them, (n, 3) or (B, n, 3); of one alone also (B, 3). None keeps it.
            quat: wxyz, likewise, of length one up to 1e-3 (scaled to exactly one). None keeps it.
            links_idx_local: Which of `mocap_links`, by their index among the entity's links; None: all.
            envs_idx: Which environments; None: all.

        Raises:
            GenesisTypeError: Neither is given.
            GenesisValueError: A chosen link is no mocap body, or there is none.
        """
        if pos is None and quat is None:
            raise GenesisTypeError("set_mocap_pose must get pos, quat or both, got neither. Pass one.")
        envs = self._chosen(envs_idx)
        chosen = self._mocap_idx(links_idx_local)
        old = plain_of(self._poses(chosen, envs_idx))
        new_pos = old[..., :3] if pos is None else self._pose_rows("pos", pos, 3, len(chosen), envs)
        new_quat = old[..., 3:]
        if quat is not None:
            new_quat = unit(f"{self.name}.quat", self._pose_rows("quat", quat, 4, len(chosen), envs).flatten(0, 1))
        rows = torch.cat([new_pos, new_quat.reshape(-1, len(chosen), 4)], -1)
        self._write_units("mocap", rows, chosen, self._mocap_begin, len(self._mocap), envs)

    def get_mocap_pos(self, links_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n, 3) of mocap bodies, m, chosen as in `set_mocap_pose`."""
        return cast(Tensor, self._poses(self._mocap_idx(links_idx_local), envs_idx)[..., :3])

    def get_mocap_quat(self, links_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n, 4) of mocap bodies, wxyz, chosen as in `set_mocap_pose`."""
        return cast(Tensor, self._poses(self._mocap_idx(links_idx_local), envs_idx)[..., 3:])

    # Within.

    @property
    def _mocap(self) -> tuple[int, ...]:
        return () if self._offsets.mocap is None else self.model.mocap_links

    @property
    def _mocap_begin(self) -> int:
        return self._offsets.mocap or 0

    def _mocap_idx(self, chosen: Units) -> Sequence[int]:
        """Places of chosen links among the mocap bodies."""
        mine = self._mocap
        if not mine:
            raise GenesisValueError(
                f'{self.name!r} must have mocap bodies, got none. Give a body of its MJCF file mocap="true", and the '
                "scene MujocoContact()."
            )
        if chosen is None:
            return range(len(mine))
        picked = self._links_idx(chosen)
        other = next((link for link in picked if link not in mine), None)
        if other is not None:
            named = ", ".join(f"{link} ({self.links[link].name!r})" for link in mine)
            raise GenesisValueError(
                f"{self.name}.links_idx_local must choose mocap bodies, got {other} ({self.links[other].name!r}). "
                f"Choose among {named}."
            )
        return [mine.index(link) for link in picked]

    def _pose_rows(self, what: str, value: Array, size: int, n: int, envs: torch.Tensor | None) -> torch.Tensor:
        """A checked value (K, n, size)."""
        items = ((size,), (n, size))
        if n > 1:
            value = numeric(f"{self.name}.{what}", value, self._values.scene)
            items = items[1:] if value.dim() > 1 else items
        rows = self._rows(what, value, items, envs)
        return rows if rows.dim() == 3 else rows[:, None].expand(-1, n, -1)

    def _poses(self, chosen: Sequence[int], envs_idx: Environments) -> Tensor:
        """(K, n, 7)."""
        return self._columns(self._read("mocap", self._mocap_begin, len(self._mocap)), chosen, envs_idx)
