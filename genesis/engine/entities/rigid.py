"""Robots and other articulated rigid bodies: their state and what drives them."""

from collections.abc import Sequence
from typing import cast

import torch

from genesis.checks import boolean
from genesis.engine.entities.articulated import Units
from genesis.engine.entities.coordinates import unit
from genesis.engine.entities.rigid_controls import FOLLOW_VEL, FORCE, TARGET_POS, TARGET_VEL
from genesis.engine.entities.rigid_dynamics import RigidDynamics
from genesis.engine.entities.rigid_parameters import MODEL
from genesis.engine.entities.rigid_visible import RigidVisible
from genesis.engine.inputs import Array, Environments, indices
from genesis.engine.state import RigidEntityState
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.grad.tensor import Tensor, plain_of
from genesis.public_engine import keywords


class RigidEntity(RigidDynamics, RigidVisible):
    """A tree of links and joints, or several. World frame; all setters and getters are differentiable.

    Setters act at once. They take a row for each environment, or with `envs_idx` for each chosen one, or one for all;
    `dofs_idx_local` and the like choose some degrees of freedom of this entity, in the given order. What is overwritten
    loses its gradient, everything else keeps it. Getters return (B, …), with `envs_idx` the chosen environments.
    """

    # The state.

    @keywords
    def set_pos(self, pos: Array, envs_idx: Environments = None, zero_velocity: bool = True) -> None:
        """Move the free base to `pos` (3,) or (B, 3), m.

        Args:
            zero_velocity: Whether all degrees of freedom of the entity come to rest.

        Raises:
            GenesisTypeError: The base is not on a free joint.
        """
        q = self._free_q("set_pos")
        boolean("zero_velocity", zero_velocity)
        envs = self._chosen(envs_idx)
        rows = self._rows("pos", pos, ((3,),), envs)
        self._values.write("rigid", "qpos", rows, envs, q, q + 3)
        self._rest(zero_velocity, envs)

    @keywords
    def set_quat(self, quat: Array, envs_idx: Environments = None, zero_velocity: bool = True) -> None:
        """Turn the free base to `quat` (4,) or (B, 4), wxyz, of length one up to 1e-3 (scaled to exactly one).

        Args:
            zero_velocity: Whether all degrees of freedom of the entity come to rest.

        Raises:
            GenesisTypeError: The base is not on a free joint.
        """
        q = self._free_q("set_quat")
        boolean("zero_velocity", zero_velocity)
        envs = self._chosen(envs_idx)
        rows = unit(f"{self.name}.quat", self._rows("quat", quat, ((4,),), envs))
        self._values.write("rigid", "qpos", rows, envs, q + 3, q + 7)
        self._rest(zero_velocity, envs)

    @keywords
    def set_qpos(
        self, qpos: Array, qs_idx_local: Units = None, envs_idx: Environments = None, zero_velocity: bool = True
    ) -> None:
        """Set joint positions, (n,) or (B, n): m, rad, and quaternions of length one up to 1e-3 (scaled to one).

        Args:
            qs_idx_local: Which of the Q numbers; None for all.
            zero_velocity: Whether all degrees of freedom of the entity come to rest.
        """
        boolean("zero_velocity", zero_velocity)
        envs = self._chosen(envs_idx)
        chosen = indices(f"{self.name}.qs_idx_local", qs_idx_local, self.n_qs, "numbers of qpos")
        rows = self._rows("qpos", qpos, ((len(chosen),),), envs)
        if len(chosen) < self.n_qs or chosen != range(self.n_qs):
            at = torch.tensor(list(chosen), dtype=torch.int64, device=rows.device)
            rows = self._q_rows(envs).index_copy(1, at, rows)
        rows = self._coordinates.normalised(f"{self.name}.qpos", rows)
        self._write_qpos(rows, envs, chosen)
        self._rest(zero_velocity, envs)

    @keywords
    def set_dofs_position(
        self, position: Array, dofs_idx_local: Units = None, envs_idx: Environments = None, zero_velocity: bool = True
    ) -> None:
        """Set positions of degrees of freedom: a number for all, (n,) or (B, n).

        Metres and radians; for a free joint position and rotation vector in the world frame, for a ball joint the
        rotation vector.

        Args:
            zero_velocity: Whether all degrees of freedom of the entity come to rest.
        """
        boolean("zero_velocity", zero_velocity)
        envs = self._chosen(envs_idx)
        chosen = self._dofs_idx(dofs_idx_local)
        rows = self._unit_rows("position", position, len(chosen), envs)
        old = self._q_rows(envs)
        at = torch.tensor(list(chosen), dtype=torch.int64, device=rows.device)
        place = self._coordinates.position(old).index_copy(1, at, rows)
        new = self._coordinates.with_position(old, place, chosen)
        self._write_qpos(new, envs, self._coordinates.qs_of(chosen))
        self._rest(zero_velocity, envs)

    @keywords
    def set_dofs_velocity(
        self, velocity: Array | None = None, dofs_idx_local: Units = None, envs_idx: Environments = None
    ) -> None:
        """Set velocities of degrees of freedom: a number for all, (n,) or (B, n), m/s and rad/s; None for rest.

        A free joint's are linear in the world frame and angular in the link's frame.
        """
        envs = self._chosen(envs_idx)
        chosen = self._dofs_idx(dofs_idx_local)
        rows = self._unit_rows("velocity", 0.0 if velocity is None else velocity, len(chosen), envs)
        self._write_units("dofs_vel", rows, chosen, self._offsets.dof, self.n_dofs, envs)

    def zero_all_dofs_velocity(self, envs_idx: Environments = None) -> None:
        """`set_dofs_velocity` to rest."""
        self.set_dofs_velocity(None, None, envs_idx)

    def get_state(self) -> RigidEntityState:
        """pos (B, 3), quat (B, 4), qpos (B, Q), dofs_vel (B, D), links_pos (B, L, 3), links_quat (B, L, 4)."""
        return RigidEntityState(
            self.get_pos(), self.get_quat(), self.get_qpos(), self.get_dofs_velocity(),
            self.get_links_pos(), self.get_links_quat(),
        )  # fmt: skip

    def get_pos(self, envs_idx: Environments = None) -> Tensor:
        """(B, 3) of the base link's frame, m."""
        if self._free is None:
            return cast(Tensor, self.get_links_pos(self._root, envs_idx)[:, 0])
        q = self._offsets.q + self._free.q
        return self._pick(self._values.read("rigid", "qpos")[:, q : q + 3], envs_idx)

    def get_quat(self, envs_idx: Environments = None) -> Tensor:
        """(B, 4) of the base link, wxyz, from its frame to the world's."""
        if self._free is None:
            return cast(Tensor, self.get_links_quat(self._root, envs_idx)[:, 0])
        q = self._offsets.q + self._free.q + 3
        return self._pick(self._values.read("rigid", "qpos")[:, q : q + 4], envs_idx)

    def get_vel(self, envs_idx: Environments = None) -> Tensor:
        """(B, 3) of the origin of the base link's frame, m/s."""
        return cast(Tensor, self.get_links_vel(self._root, envs_idx)[:, 0])

    def get_ang(self, envs_idx: Environments = None) -> Tensor:
        """(B, 3) angular velocity of the base link in the world frame, rad/s."""
        return cast(Tensor, self.get_links_ang(self._root, envs_idx)[:, 0])

    def get_qpos(self, qs_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n) joint positions as in `set_qpos`."""
        chosen = indices(f"{self.name}.qs_idx_local", qs_idx_local, self.n_qs, "numbers of qpos")
        return self._columns(self._read("qpos", self._offsets.q, self.n_qs), chosen, envs_idx)

    def get_dofs_position(self, dofs_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n) as in `set_dofs_position`; rotation vectors have a length of at most pi."""
        whole = self._coordinates.position(self._read("qpos", self._offsets.q, self.n_qs))
        return self._columns(whole, self._dofs_idx(dofs_idx_local), envs_idx)

    def get_dofs_velocity(self, dofs_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n) m/s and rad/s, as in `set_dofs_velocity`."""
        whole = self._read("dofs_vel", self._offsets.dof, self.n_dofs)
        return self._columns(whole, self._dofs_idx(dofs_idx_local), envs_idx)

    # What drives it. The mode of a degree of freedom is that of the last of these calls, or of `control_actuators`.

    def control_dofs_force(self, force: Array, dofs_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """Drive degrees of freedom with a force: a number for all, (n,) or (B, n), N and N m; held until set again.

        It is cut off at the ends of `get_dofs_force_range`.
        """
        self._control("force", force, FORCE, 0.0, 0.0, dofs_idx_local, envs_idx)

    def control_dofs_position(
        self, position: Array, dofs_idx_local: Units = None, envs_idx: Environments = None
    ) -> None:
        """Drive degrees of freedom to a position: a number for all, (n,) or (B, n), m and rad; held until set again.

        The force is kp (position - present one) - kv (present velocity), taken at the end of a substep (stable at any
        gain), and cut off at the ends of `get_dofs_force_range`.

        Raises:
            GenesisValueError: A chosen degree of freedom is that of a free joint, or all gains kp are zero.
        """
        self._must_have_gains("control_dofs_position", "kp")
        self._control("position", position, TARGET_POS, 1.0, 1.0, dofs_idx_local, envs_idx)

    def control_dofs_velocity(
        self, velocity: Array, dofs_idx_local: Units = None, envs_idx: Environments = None
    ) -> None:
        """Drive degrees of freedom at a velocity: one for all, (n,) or (B, n), m/s and rad/s; held until set again.

        The force is kv (velocity - present one), taken at the end of a substep, and cut off likewise.

        Raises:
            GenesisValueError: All gains kv are zero.
        """
        self._must_have_gains("control_dofs_velocity", "kv")
        self._control("velocity", velocity, TARGET_VEL, 0.0, 1.0, dofs_idx_local, envs_idx)

    def control_dofs_position_velocity(
        self, position: Array, velocity: Array, dofs_idx_local: Units = None, envs_idx: Environments = None
    ) -> None:
        """Drive degrees of freedom to a position at a velocity: the force is kp (position - present one) + kv (velocity
        - present one); else as `control_dofs_position`."""
        self._must_have_gains("control_dofs_position_velocity", "kp")
        self._control("position", position, TARGET_POS, 1.0, 1.0, dofs_idx_local, envs_idx, velocity)

    def set_links_wrench(
        self,
        force: Array | None = None,
        torque: Array | None = None,
        links_idx_local: Units = None,
        envs_idx: Environments = None,
    ) -> None:
        """Push links from outside with a force (N) at their centre of mass and a torque (N m); held until set again.

        Args:
            force: World frame, (3,) for all links, (n, 3) or (B, n, 3). None keeps the present one.
            torque: Likewise.
            links_idx_local: Which links; None: all.
            envs_idx: Which environments; None: all.
        """
        if force is None and torque is None:
            raise GenesisTypeError("set_links_wrench must get force, torque or both, got neither. Pass one.")
        envs = self._chosen(envs_idx)
        chosen = self._links_idx(links_idx_local)
        old = self._columns(self._read("wrench", self._offsets.link, self.n_links), chosen, envs_idx)
        parts = list(plain_of(old).split(3, -1))
        for i, (what, value) in enumerate((("force", force), ("torque", torque))):
            if value is not None:
                parts[i] = self._unit_rows(what, value, len(chosen), envs, (3,))
        self._write_units("wrench", torch.cat(parts, -1), chosen, self._offsets.link, self.n_links, envs)

    def get_dofs_control_force(self, dofs_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n) force of controls on degrees of freedom at the present state, cut off at their limits, N and N m.

        Springs, damping and limits of joints are not part of it: `get_force_torque` feels all.
        """
        dof, n = self._offsets.dof, self.n_dofs
        force, pos, vel, follow_pos, follow_vel = self._read("dofs", dof, n).unbind(-1)
        towards = follow_pos * self.get_dofs_kp() * (pos - self.get_dofs_position())
        towards = towards + follow_vel * self.get_dofs_kv() * (vel - self.get_dofs_velocity())
        whole = torch.clamp(force + towards, *self.get_dofs_force_range())
        if self._offsets.actuators is not None and self.model.actuator_table.others:
            whole = whole + self._pull_on_dofs()
        return self._columns(whole, self._dofs_idx(dofs_idx_local), envs_idx)

    # Within.

    def _free_q(self, call: str) -> int:
        """First of the free joint's numbers in the solver's qpos."""
        if self._free is None:
            raise GenesisTypeError(
                f"{call} must move a body with a free joint, got {self.name!r}, whose base is fixed to the world or "
                "moves by other joints. Give its morph the pose, leave out fixed, or call set_qpos."
            )
        return self._offsets.q + self._free.q

    def _q_rows(self, envs: torch.Tensor | None) -> torch.Tensor:
        """(K, Q) of the chosen environments, plain."""
        return plain_of(self._pick(self._read("qpos", self._offsets.q, self.n_qs), envs))

    def _write_qpos(self, rows: torch.Tensor, envs: torch.Tensor | None, chosen: Sequence[int]) -> None:
        """Overwrite all of its qpos by rows (K, Q), which are new in the `chosen` numbers alone."""
        if self.n_qs:
            first = self._offsets.q
            self._values.write("rigid", "qpos", rows, envs, first, first + self.n_qs, chosen)

    def _check_unit(self, qpos: torch.Tensor) -> None:
        """Raise unless this body's quaternions in the solver's qpos (K, Q) have length one."""
        self._coordinates.normalised(
            f"state qpos of {self.name}", qpos[:, self._offsets.q : self._offsets.q + self.n_qs]
        )

    def _rest(self, wanted: bool, envs: torch.Tensor | None) -> None:
        """After it was placed: whether it is at rest there. What moved its links elsewhere is gone."""
        if wanted and self.n_dofs:
            self._clear("dofs_vel", self._offsets.dof, self.n_dofs, envs)
        if self._values.has("rigid", "free_change"):
            self._clear("free_change", self._offsets.link, self.n_links, envs)

    def _clear(self, name: str, begin: int, n: int, envs: torch.Tensor | None) -> None:
        """Set all of this entity's n units, which begin at `begin` in the solver, to zero."""
        values = self._values
        old = plain_of(values.read("rigid", name))[:, begin : begin + n].detach()
        rows = torch.zeros_like(old if envs is None else old.index_select(0, envs))
        self._write_units(name, rows, range(n), begin, n, envs)

    def _must_have_gains(self, call: str, parameter_name: str) -> None:
        gains = self._values.parameters(MODEL)[self._offsets.numbers[parameter_name]]
        if not any(bool(source.detach().any()) for source in gains.sources):
            raise GenesisValueError(
                f"{call} must have gains, got {parameter_name} of zero at every degree of freedom of {self.name!r}. "
                f"Call set_dofs_{parameter_name} first."
            )

    def _control(
        self,
        what: str,
        value: Array,
        column: int,
        follow_pos: float,
        follow_vel: float,
        dofs_idx_local: Units,
        envs_idx: Environments,
        velocity: Array | None = None,
    ) -> None:
        """`value` goes into `column`, beside it with a position the target of velocity."""
        envs = self._chosen(envs_idx)
        chosen = self._dofs_idx(dofs_idx_local)
        if follow_pos:
            for dof in chosen:
                if dof in self._coordinates.free:
                    raise GenesisValueError(
                        f"{self.name}.position must be for hinges, slides and balls, got degree of freedom {dof} of "
                        f"the free joint {self._coordinates.free[dof]!r}. Choose others with dofs_idx_local."
                    )
        rows = self._unit_rows(what, value, len(chosen), envs)
        speeds = None if velocity is None else self._unit_rows("velocity", velocity, len(chosen), envs)
        rows = torch.constant_pad_nd(rows[..., None], (column, FOLLOW_VEL - column))
        if speeds is not None:
            rows = rows + torch.constant_pad_nd(speeds[..., None], (TARGET_VEL, FOLLOW_VEL - TARGET_VEL))
        if follow_vel:
            rows = rows + rows.new_tensor([0.0, 0.0, 0.0, follow_pos, follow_vel])
        self._write_units("dofs", rows, chosen, self._offsets.dof, self.n_dofs, envs)
