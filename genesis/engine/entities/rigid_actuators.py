"""Actuators of a robot's file: their controls in its own units, activations, and laws."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from genesis import runtime
from genesis.engine.entities.articulated import Units
from genesis.engine.entities.rigid_controls import N_CONTROLS, DrivePlan, plan_drives
from genesis.engine.entities.rigid_parameters import RigidParameters
from genesis.engine.inputs import Array, Environments, indices
from genesis.errors import GenesisValueError
from genesis.grad.modes import ordinary
from genesis.grad.tensor import Tensor, plain_of
from genesis.loaders.actuator_table import joint_force_ranges
from genesis.loaders.invweight import numbers_of
from genesis.loaders.mujoco_numbers import ACTIVATIONS
from genesis.loaders.parts import Actuator


class _Actuators(NamedTuple):
    """What the contact model takes a robot's actuators for. Indices count all of them."""

    names: tuple[str, ...]
    drives: Mapping[int, Actuator]
    others: Sequence[int]
    ranges: np.ndarray
    """(A, 2) of their controls."""


class _Drives(NamedTuple):
    """What becomes of some drives' controls; tensors of the running precision."""

    plan: DrivePlan
    low: torch.Tensor
    """(n,) bounds of their controls."""
    high: torch.Tensor
    over: torch.Tensor | None
    """(n,) what they are divided by, and multiplied with then; None: ones."""
    times: torch.Tensor | None
    at: torch.Tensor
    """(n,) where they are added to the flat rows of the degrees of freedom."""
    gates: torch.Tensor
    """(m,) these rows before."""
    kept: torch.Tensor
    """Places in the flat rows that keep what is there."""


class RigidActuators(RigidParameters):
    """Abstract: the part of a rigid entity that has to do with its file's actuators.

    A *drive* is a motor, a position or a velocity servo on one degree of freedom, alone there (or one of each servo).
    Its control is that of the degree of freedom, so that the last of `control_actuators` and `control_dofs_…` counts,
    and it acts once it has one. All others have controls, laws and perhaps activations of their own, as in MuJoCo: they
    act from the start, with a control of zero, and what `control_dofs_…` asks of the same degrees of freedom is added.
    With the compliant contact model all actuators are drives.
    """

    @property
    def actuator_names(self) -> tuple[str, ...]:
        """Of all actuators, in the order of `control_actuators`: that of the file."""
        return self._actuators.names

    @property
    def n_actuators(self) -> int:
        return len(self._actuators.names)

    def control_actuators(self, ctrl: Array, actuators_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """Give actuators their controls, MuJoCo's `ctrl`: a number for all, (n,) or (B, n); held until set again.

        In units of the file's: N or N m times gear of a motor, m or rad over gear of a position servo, and so on. They
        are cut off at the actuators' ranges, beyond which derivatives are zero.

        Args:
            actuators_idx_local: Which of `actuator_names`; None: all.

        Raises:
            GenesisValueError: Of several motors on one degree of freedom only some are chosen.
        """
        known = self._actuators
        envs = self._chosen(envs_idx)
        chosen = self._actuators_idx(actuators_idx_local)
        rows = self._unit_rows("ctrl", ctrl, len(chosen), envs)
        drives = self._drives(chosen)
        if drives.plan.of:
            self._write_drives(rows, drives, envs)
        offsets = self._offsets.actuators
        places = [place for place, index in enumerate(chosen) if index in known.others]
        if offsets is not None and places:
            own = [known.others.index(chosen[place]) for place in places]
            rows = rows if len(places) == len(chosen) else rows[:, places]
            self._write_units("ctrl", rows, own, offsets.ctrl, len(known.others), envs)

    def get_actuators_activation(self, envs_idx: Environments = None) -> Tensor:
        """(B, n) activations of the actuators that have one, in their order."""
        n, offsets = len(self._activated), self._offsets.actuators
        if offsets is None or n == 0:
            return self._pick(cast(Tensor, self._read("dofs_vel", self._offsets.dof, self.n_dofs)[:, :0]), envs_idx)
        return self._pick(self._read("activation", offsets.activation, n), envs_idx)

    def set_actuators_activation(self, activation: Array, envs_idx: Environments = None) -> None:
        """Set activations of all actuators that have one, in their order: a number for all, (n,) or (B, n).

        Raises:
            GenesisValueError: None has one.
        """
        n, offsets = len(self._activated), self._offsets.actuators
        if offsets is None or n == 0:
            raise GenesisValueError(
                f"set_actuators_activation must be of a robot with activations, got {self.name!r}, whose actuators "
                "have none. Call control_actuators."
            )
        envs = self._chosen(envs_idx)
        rows = self._unit_rows("activation", activation, n, envs)
        self._write_units("activation", rows, range(n), offsets.activation, n, envs)

    def set_actuators_gain(self, gain: Any, actuators_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """Set gains of actuators with a law of their own.

        Their force is gain . (1, length, velocity) * (control or activation) + bias . (1, length, velocity).

        Args:
            gain: Three numbers in place of each one: (3,), (n, 3), (B, n, 3) or (B, 1, 3).
            actuators_idx_local: Which of `actuator_names`; None: all that have such a law.

        Raises:
            GenesisValueError: A chosen one is a drive, whose gains are those of its degree of freedom.
        """
        self._set_law("actuator_gain", gain, actuators_idx_local, envs_idx)

    def set_actuators_bias(self, bias: Any, actuators_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """Set biases of actuators, as in `set_actuators_gain`."""
        self._set_law("actuator_bias", bias, actuators_idx_local, envs_idx)

    # Within.

    @cached_property
    def _actuators(self) -> _Actuators:
        model, table = self.model, self.model.actuator_table
        if self._offsets.actuators is None:
            ranges = np.array([(each.low, each.high) for each in model.actuators]).reshape(-1, 2)
            names = tuple(each.name for each in model.actuators)
            return _Actuators(names, dict(enumerate(model.actuators)), (), ranges)
        ranges = numbers_of(model).actuators.control_range if table.names else np.zeros((0, 2))
        return _Actuators(table.names, table.drives, table.others, ranges)

    @cached_property
    def _known_drives(self) -> dict[tuple[int, ...], _Drives]:
        """By the indices of chosen actuators."""
        return {}

    @property
    def _activated(self) -> tuple[int, ...]:
        return self.model.actuator_table.activated

    def _actuators_idx(self, chosen: Units) -> Sequence[int]:
        return indices(f"{self.name}.actuators_idx_local", chosen, self.n_actuators, "actuators")

    @ordinary
    def _drives(self, chosen: Sequence[int]) -> _Drives:
        """Of chosen actuators, made once."""
        key = tuple(chosen)
        if key not in self._known_drives:
            plan = plan_drives(self.name, self._actuators.drives, chosen)
            low, high = self._actuators.ranges[[chosen[place] for place in plan.of]].T
            gears, now = np.array(plan.gear), runtime.current()
            over, times = np.where(plan.inverse, gears, 1.0), np.where(plan.inverse, 1.0, gears)
            low, high, over, times, gates = (
                torch.tensor(x, dtype=now.real, device=now.device) for x in (low, high, over, times, plan.gates)
            )
            over, times = (None if bool((x == 1.0).all()) else x for x in (over, times))
            at, kept = (torch.tensor(x, dtype=torch.int64, device=now.device) for x in (plan.at, plan.kept))
            self._known_drives[key] = _Drives(plan, low, high, over, times, at, gates, kept)
        return self._known_drives[key]

    def _write_drives(self, rows: torch.Tensor, drives: _Drives, envs: torch.Tensor | None) -> None:
        plan = drives.plan
        mine = rows if len(plan.of) == rows.shape[1] else rows[:, list(plan.of)]
        mine = torch.clamp(mine, drives.low, drives.high)
        mine = mine if drives.over is None else mine / drives.over
        mine = mine if drives.times is None else mine * drives.times
        flat = drives.gates.expand(len(rows), -1)
        if plan.kept:
            old = plain_of(self._read("dofs", self._offsets.dof, self.n_dofs))[:, list(plan.dofs)].flatten(1)
            old = old if envs is None else old.index_select(0, envs)
            flat = flat.index_copy(1, drives.kept, old[:, list(plan.kept)])
        flat = flat.index_add(1, drives.at, mine)
        rows = flat.view(len(flat), -1, N_CONTROLS)
        self._write_units("dofs", rows, plan.dofs, self._offsets.dof, self.n_dofs, envs)

    def _set_law(self, name: str, value: Any, chosen: Units, envs_idx: Environments) -> None:
        known = self._actuators
        if chosen is None:
            own = list(range(len(known.others)))
        else:
            picked = self._actuators_idx(chosen)
            drive = next((index for index in picked if index not in known.others), None)
            if drive is not None:
                raise GenesisValueError(
                    f"{self.name}.actuators_idx_local must choose actuators with a law of their own, got "
                    f"{known.names[drive]!r}, a drive of degree of freedom {known.drives[drive].dof}. Call set_dofs_kp "
                    "or set_dofs_kv."
                )
            own = [known.others.index(index) for index in picked]
        if not own:
            raise GenesisValueError(
                f"{self.name} must have actuators with a law of their own, got drives alone. Call set_dofs_kp or "
                "set_dofs_kv."
            )
        self._set(name, value, own, chosen is None, envs_idx)

    def _pull_on_dofs(self) -> Tensor:
        """(B, D) of the actuators with a law of their own at the present state, cut off at ranges."""
        offsets, table = self._offsets.actuators, self.model.actuator_table
        assert offsets is not None
        changing = [table.names[index] for index, each in zip(table.others, table.changing, strict=True) if each]
        if changing:
            raise GenesisValueError(
                f"get_dofs_control_force must be of actuators with constant moment arms, got {changing[0]!r} of "
                f"{self.name!r}, which pulls by sites. Read its controls, or velocities after a step."
            )
        others, rows = list(table.others), numbers_of(self.model).actuators
        ctrl = self._read("ctrl", offsets.ctrl, len(others))

        def constant(numbers: np.ndarray) -> torch.Tensor:
            return torch.tensor(np.array(numbers), dtype=ctrl.dtype, device=ctrl.device)

        def within(x: Any, ends: np.ndarray) -> Any:
            low, high = constant(ends[..., 0]), constant(ends[..., 1])
            return torch.clamp(x, low, high)

        arms = np.zeros((len(others), self.n_dofs))
        for k, own in enumerate(table.arms):
            arms[k, list(own.keys())] = list(own.values())
        ctrl = within(ctrl, rows.control_range[others])
        columns = list(ctrl.unbind(1))
        if table.activated:
            act = self.get_actuators_activation()
            for m, k in enumerate(table.activated):
                x, i = act[:, m], others[k]
                if rows.early[i]:
                    time, kind = float(rows.time[i]), ACTIVATIONS[rows.activation[i]]
                    rate = columns[k] if kind == "integrator" else (columns[k] - x) / time
                    exact = -time * float(np.expm1(-offsets.substep_dt / time))
                    x = x + (exact if kind == "filterexact" else offsets.substep_dt) * rate
                    x = within(x, rows.activation_range[i])
                columns[k] = x
        moment = constant(arms)
        length = self._coordinates.position(self._read("qpos", self._offsets.q, self.n_qs)) @ moment.T
        velocity = self._read("dofs_vel", self._offsets.dof, self.n_dofs) @ moment.T
        motion = torch.stack([torch.ones_like(length), length, velocity], -1)
        n = len(others)
        gain, bias = (self._get(name, range(n), n, None, (3,)) for name in ("actuator_gain", "actuator_bias"))
        force = (gain * motion).sum(-1) * torch.stack(columns, 1) + (bias * motion).sum(-1)
        force = within(force, rows.force_range[others])
        return cast(Tensor, within(force @ moment, joint_force_ranges(self.model)))
