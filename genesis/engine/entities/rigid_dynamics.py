"""A robot's mathematics: mass matrix, bias forces, Jacobians, forward and inverse kinematics. World frame.

All are computed by torch at the present state, for all environments at once, and are differentiable to any order: by
the state, and through it by whatever moved the robot, by masses, inertias, armature and gravity.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

import torch

from genesis import runtime
from genesis.checks import boolean, integer, number
from genesis.engine.entities.articulated import RigidLink, Units
from genesis.engine.entities.coordinates import unit
from genesis.engine.entities.fixed_frame import FixedFrame
from genesis.engine.entities.rigid_mocap import RigidMocap
from genesis.engine.inputs import Array, Environments
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.grad.tensor import Tensor, plain_of
from genesis.loaders.invweight import numbers_of
from genesis.loaders.model import BALL, FREE
from genesis.math import quaternion
from genesis.solvers.rigid import dynamics
from genesis.solvers.rigid.inverse_kinematics import Effort, Ranges, Targets, solve
from genesis.solvers.rigid.tree import Placed, Tree

Link = RigidLink | FixedFrame | str | int


class RigidDynamics(RigidMocap):
    """Abstract: the part of a rigid entity that has to do with its equations of motion and its kinematics."""

    def get_mass_mat(self, envs_idx: Environments = None) -> Tensor:
        """(B, D, D) mass matrix M of the kinetic energy v' M v / 2, armature included: kg, kg m and kg m^2.

        Degrees of freedom are those of `get_dofs_velocity`.
        """
        parts = self._present(self.get_links_mass(), self.get_links_inertia(), self.get_dofs_armature())
        return self._result(dynamics.mass_matrix(self._tree, self._placed(), *parts), envs_idx)

    def get_bias_force(self, envs_idx: Environments = None) -> Tensor:
        """(B, D) forces on degrees of freedom at which no velocity changes: Coriolis, centrifugal and gyroscopic forces
        less gravity, N and N m. Accelerations are M^-1 (all other forces - bias)."""
        parts = self._present(self.get_dofs_velocity(), self.get_links_mass(), self.get_links_inertia(), self._gravity)
        return self._result(dynamics.bias_force(self._tree, self._placed(), *parts), envs_idx)

    def get_gravity_force(self, envs_idx: Environments = None) -> Tensor:
        """(B, D) `get_bias_force` at rest: forces that hold the robot against gravity, N and N m."""
        parts = self._present(self.get_links_mass(), self._gravity)
        return self._result(dynamics.gravity_force(self._tree, self._placed(), *parts), envs_idx)

    def get_jacobian(self, link: Link, local_point: Array | None = None, envs_idx: Environments = None) -> Tensor:
        """(B, 6, D) velocity of a point of a link (rows 0 to 2, m/s) and angular velocity of the link (rows 3 to 5,
        rad/s), world axes, for each unit of `get_dofs_velocity`.

        Args:
            link: A link, its name or its index; or a frame that is fixed to one.
            local_point: (3,) or a row for each chosen environment, m, in the link's frame, differentiable; None: the
                frame's origin.
        """
        envs = self._chosen(envs_idx)
        placed = Placed(*(plain_of(self._pick(part, envs_idx)) for part in self._placed()))
        point = self._rows("local_point", [0.0] * 3 if local_point is None else local_point, ((3,),), envs)
        index, point, _ = self._on_link(link, point)
        at = placed.pos[:, index] + quaternion.rotate(placed.quat[:, index], point)
        linear, angular = self._tree.jacobians(placed, at[:, None], [index])
        return self._values.own(torch.cat([linear, angular], -1)[:, 0].transpose(1, 2))

    def forward_kinematics(
        self, qpos: Array, links_idx_local: Units = None, envs_idx: Environments = None
    ) -> tuple[Tensor, Tensor]:
        """Poses of links at another qpos than the present one, which stays: (B, n, 3) m and (B, n, 4) wxyz.

        Args:
            qpos: (Q,), or a row for each chosen environment, as in `set_qpos`; differentiable.
        """
        chosen = list(self._links_idx(links_idx_local))
        rows = self._rows("qpos", qpos, ((self.n_qs,),), self._chosen(envs_idx))
        placed = self._tree.place(self._coordinates.normalised(f"{self.name}.qpos", rows), self._mocap_rows(envs_idx))
        world = (placed.pos + placed.origin)[:, chosen]
        return self._values.own(world), self._values.own(placed.quat[:, chosen])

    def inverse_kinematics(
        self,
        link: Link,
        pos: Array | None = None,
        quat: Array | None = None,
        local_point: Array | None = None,
        *,
        init_qpos: Array | None = None,
        dofs_idx_local: Units = None,
        respect_joint_limit: bool = True,
        pos_tol: float = 1e-4,
        rot_tol: float = 1e-3,
        max_solver_iters: int = 50,
        max_samples: int = 20,
        return_error: bool = False,
        envs_idx: Environments = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """qpos (B, Q) at which a point of a link is at `pos`, the link turned as `quat` says, or both.

        The robot is not moved: pass the result to `set_qpos`, or to `control_dofs_position`. Arguments that are not
        described here are those of `inverse_kinematics_multilink`, which says what is differentiable.

        Args:
            link: A link, its name or its index; or a frame that is fixed to one, whose pose is then wanted.
            pos: (3,), or a row for each chosen environment, m; None: anywhere.
            quat: (4,), or a row for each chosen environment, wxyz; None: anyhow.
            local_point: (3,), or a row for each chosen environment, m, in the link's frame; None: its origin.
            return_error: Whether to return what is missing as well: (B, 6).
        """
        found = self.inverse_kinematics_multilink(
            [link], [pos], [quat], [local_point], init_qpos=init_qpos, dofs_idx_local=dofs_idx_local,
            respect_joint_limit=respect_joint_limit, pos_tol=pos_tol, rot_tol=rot_tol,
            max_solver_iters=max_solver_iters, max_samples=max_samples, return_error=return_error, envs_idx=envs_idx,
        )  # fmt: skip
        return (found[0], cast(Tensor, found[1][:, 0])) if isinstance(found, tuple) else found

    def inverse_kinematics_multilink(
        self,
        links: Sequence[Link],
        poss: Sequence[Array | None] | None = None,
        quats: Sequence[Array | None] | None = None,
        local_points: Sequence[Array | None] | None = None,
        *,
        init_qpos: Array | None = None,
        dofs_idx_local: Units = None,
        respect_joint_limit: bool = True,
        pos_tol: float = 1e-4,
        rot_tol: float = 1e-3,
        max_solver_iters: int = 50,
        max_samples: int = 20,
        return_error: bool = False,
        envs_idx: Environments = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """qpos (B, Q) at which several links are where they are wanted, by damped least squares.

        Where the targets are not reached from the first start, others are tried, and the best qpos is returned. A
        warning says so, unless `return_error` is given. Differentiable, once, by positions, quaternions and local
        points: the gradient is that of the solution that moves least with its target (degrees of freedom at a limit
        stay), and zero in environments that do not reach theirs. It has none by `init_qpos`.

        Args:
            links: Links, their names or indices.
            poss: For each link its position as in `inverse_kinematics`; None: of no link.
            quats: Their quaternions, likewise.
            local_points: Points of them, likewise.
            init_qpos: The first start, (Q,) or a row for each chosen environment; None: the present qpos.
            dofs_idx_local: Which degrees of freedom move; None: all, those of a free base too.
            respect_joint_limit: Whether qpos stays within the joints' limits.
            pos_tol: What counts as reached, m.
            rot_tol: And rad.
            max_solver_iters: Steps from one start.
            max_samples: Starts. All but the first are random, from torch's generator.
            return_error: Whether to return what is missing as well: (B, n, 6), of positions, m, and of rotations as
                rotation vectors, rad, world axes; zero where nothing is wanted.

        Raises:
            GenesisValueError: A link has neither a position nor a quaternion as its target.
        """
        envs, n = self._chosen(envs_idx), len(links)
        none: list[Array | None] = [None] * n
        targets = self._targets(links, poss or none, quats or none, local_points or none, envs)
        effort = Effort(
            number("pos_tol", pos_tol, 0.0), number("rot_tol", rot_tol, 0.0),
            integer("max_solver_iters", max_solver_iters, 1), integer("max_samples", max_samples, 1),
        )  # fmt: skip
        limited, asked = boolean("respect_joint_limit", respect_joint_limit), boolean("return_error", return_error)
        start = self._q_start(init_qpos, envs)
        chosen = torch.zeros(self.n_dofs, dtype=start.dtype, device=start.device)
        chosen[list(self._dofs_idx(dofs_idx_local))] = 1.0
        ranges = self._ranges if limited else self._ranges.without_limits()
        qpos, error = solve(self._tree, targets, ranges._replace(chosen=chosen), start.detach(), effort)
        missed = ~effort.reached(error)
        if not asked and bool(missed.any()):
            worst = int(error.square().sum((1, 2)).argmax())
            off = error[worst, :, :3].norm(dim=-1).max(), error[worst, :, 3:].norm(dim=-1).max()
            runtime.logger.warning(
                f"targets of inverse kinematics must be within reach of {self.name!r}, got "
                f"{int(missed.sum())} of {len(missed)} environments that miss theirs, row {worst} by {off[0]:.3g} m "
                f"and {off[1]:.3g} rad. Take return_error=True to see where, or raise max_samples."
            )
        own = self._values.own
        return (own(qpos), own(error)) if asked else own(qpos)

    # Within.

    @cached_property
    def _tree(self) -> Tree:
        return Tree(self.model, self._values.dtype, self._values.device)

    @cached_property
    def _ranges(self) -> Ranges:
        model, tree, joints = self.model, self._tree, numbers_of(self.model).joints
        limits = tree.qpos0.new_tensor([[-torch.inf], [torch.inf]]).repeat(1, self.n_qs)
        angles = []
        for i, joint in enumerate(model.joints):
            if joint.kind in (FREE, BALL):
                limited = joint.kind == BALL and bool(joints.limited[i])
                angles.append(max(joints.range[i]) if limited else torch.inf)
            else:
                limits[0, joint.q] = float(model.limit_low[joint.dof])
                limits[1, joint.q] = float(model.limit_high[joint.dof])
        return Ranges(limits.new_ones(self.n_dofs), limits[0], limits[1], limits.new_tensor(angles))

    @property
    def _gravity(self) -> Tensor:
        return self._values.read("scene", "gravity")

    def _placed(self) -> Placed:
        (qpos,) = self._present(self.get_qpos())
        return self._tree.place(qpos, self._mocap_rows(None))

    def _mocap_rows(self, envs_idx: Environments) -> torch.Tensor | None:
        """(K, M, 7) poses of mocap bodies, plain; None where there are none."""
        return plain_of(self._poses(range(len(self._mocap)), envs_idx)) if self._mocap else None

    def _root_of(self, link: int) -> int:
        while self.model.parent[link] >= 0:
            link = int(self.model.parent[link])
        return link

    @staticmethod
    def _present(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(plain_of(value) for value in values)

    def _result(self, value: torch.Tensor, envs_idx: Environments) -> Tensor:
        return self._values.own(self._pick(value, envs_idx))

    def _q_start(self, init_qpos: Array | None, envs: torch.Tensor | None) -> torch.Tensor:
        if init_qpos is None:
            return plain_of(self._pick(self.get_qpos(), envs))
        rows = self._rows("init_qpos", init_qpos, ((self.n_qs,),), envs)
        return self._coordinates.normalised(f"{self.name}.init_qpos", rows)

    def _targets(self, links: Sequence[Link], poss: Any, quats: Any, points: Any, envs: torch.Tensor | None) -> Targets:
        if isinstance(links, str) or not all(len(given) == len(links) for given in (poss, quats, points)):
            raise GenesisValueError(
                f"poss, quats and local_points must have an entry for each of {len(links)} links, got "
                f"{', '.join(str(len(given)) for given in (poss, quats, points))}. None is one for no target."
            )
        rows: list[list[torch.Tensor]] = [[], [], []]
        wanted, indices = [], []
        for link, pos, quat, point in zip(links, poss, quats, points, strict=True):
            given = self._rows("local_point", [0.0] * 3 if point is None else point, ((3,),), envs)
            index, given, turned = self._on_link(link, given)
            if self._root_of(index) in self._mocap:
                raise GenesisValueError(
                    f"links of inverse kinematics must not hang on a mocap body, got {self.links[index].name!r} of "
                    f"{self.name!r}. Choose others."
                )
            if pos is None and quat is None:
                name = self.links[index].name
                raise GenesisValueError(f"link {name!r} must have a target, got neither pos nor quat. Pass one.")
            indices.append(index)
            wanted.append([float(pos is not None)] * 3 + [float(quat is not None)] * 3)
            rows[0].append(given)
            rows[1].append(self._rows("pos", [0.0] * 3 if pos is None else pos, ((3,),), envs))
            turn = self._rows("quat", [1.0, 0.0, 0.0, 0.0] if quat is None else quat, ((4,),), envs)
            rows[2].append(quaternion.multiply(unit(f"{self.name}.quat", turn), quaternion.conjugate(turned)))
        if not wanted:
            raise GenesisTypeError("links must hold at least one link, got none. Pass one.")
        at, pos, quat = (torch.stack(part, 1) for part in rows)
        return Targets(indices, at, pos, quat, at.new_tensor(wanted))

    def _on_link(self, link: Link, point: torch.Tensor) -> tuple[int, torch.Tensor, torch.Tensor]:
        """Index of a link, or of that which a frame is fixed to; a point (K, 3) of it in the link's frame; and how the
        frame is turned there (K, 4)."""
        frame = self.get_link(link) if isinstance(link, str) else link
        if isinstance(frame, FixedFrame) and frame.link is not None:
            quat = point.new_tensor(frame.quat).expand(len(point), 4)
            return self._link(frame.link), point.new_tensor(frame.pos) + quaternion.rotate(quat, point), quat
        return self._link(frame), point, point.new_tensor([1.0, 0.0, 0.0, 0.0]).expand(len(point), 4)
