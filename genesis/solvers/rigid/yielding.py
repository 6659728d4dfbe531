"""How links yield to what they push, within a substep: with which velocities they come out of an exchange.

A link that takes its velocity V into an exchange and the answer J of matter out of it, for its next substep, moves
matter a substep long with a velocity that J has not yet changed. On a spring k that is explicit Euler: the oscillation
of a mass M grows by k h / 2 M a second. So matter goes with the velocity U that the link will have, if it yields as a
free body with mobility W (6 x 6, about its centre of mass, of (force, torque)), and all else does to it what it did in
the substep before:

    U = V + D + W J(U),      D = (V - V_before) - W J_before

J(U) is what matter gives to a link of this velocity, continuous in U and in all else. The equation is solved to
rounding (`implicit.py`), so U is continuous, too, and its adjoint is that of an implicit function:

    lambda = gU + J'(U)^T W lambda,      gV = gD = lambda,      and J passes W lambda on to what it depends on

At rest D + W J is zero, whatever W is: nothing creeps. Of W it matters that it is no smaller than the link's own
(`light_links.py`): the exchange is then stable for links of any mass (decisions 62 and 64).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from genesis.arrays import allocate, count_bytes, select
from genesis.compiler import layout
from genesis.contact.colliders import Exchange
from genesis.launch import Launch, bind
from genesis.loaders.model import RigidModel
from genesis.math import quaternion
from genesis.solvers.rigid import implicit as slot
from genesis.solvers.rigid.implicit import TABLE, implicit
from genesis.solvers.rigid.publish import LinkCollider

STATE = ("pos", "quat", "vel", "ang", "free")
"""Of links at a frame, as kernels read them."""


@dataclass
class YieldingFrames:
    """What a control step leaves behind for its adjoint, and kernels bound to it."""

    exchange: Exchange
    arrays: dict[str, torch.Tensor]
    launch: Launch
    launch_adjoint: Launch | None = None


class Yielding:
    """Per link six equations for six unknowns, in kernels; what else changes links' velocities, in torch.

    Args:
        colliders: All of the solver.
        first: Index of the first of them among the scene's.
        dt: Substep of the scene and of the solver, s.
        mobility: (L, 2) 1 / kg and 1 / (kg m^2), W of each link; zero of links that keep their velocity.
    """

    def __init__(
        self, colliders: Sequence[LinkCollider], model: RigidModel, first: int, dt: float, mobility: torch.Tensor
    ) -> None:
        lay = layout()
        opts = {"dtype": lay.dtype, "device": lay.device}
        self._first, self._dt, self._n_links = first, dt, model.n_links
        yields = (mobility > 0).any(1)
        self._links = [c.link if c.link >= 0 and yields[c.link] else -1 for c in colliders]
        """Of each collider, -1 where it keeps its velocity."""
        self._com = torch.as_tensor(model.com.copy(), **opts)
        self._of_links = mobility.to(**opts)
        self._mobility = self._of_links.repeat_interleave(3, 1)
        self._yields = (self._mobility.amax(1, keepdim=True) > 0).to(lay.dtype)
        self._extents: dict[tuple[int, int], torch.Tensor] = {}
        self._shared: dict[tuple[str, int], dict[str, torch.Tensor]] = {}

    # Frames.

    def _sizes(self, n_envs: int, substeps: int, n_colliders: int = 0) -> dict[str, int]:
        return {"envs": n_envs, "links": self._n_links, "substeps": substeps, "colliders": n_colliders}

    def frame_bytes(self, n_envs: int, substeps: int) -> int:
        """Size of what `allocate` makes."""
        return count_bytes(TABLE, self._sizes(n_envs, substeps), "frames")

    def allocate(self, exchange: Exchange) -> YieldingFrames:
        """For a set of frames."""
        sizes = self._sizes(exchange.sizes["envs"], exchange.sizes["substeps"], exchange.sizes["colliders"])
        arrays = {**allocate(TABLE, sizes, "constant", "frames"), **self._of(exchange, "scratch")}
        links = [-1] * sizes["colliders"]
        links[self._first : self._first + len(self._links)] = self._links
        arrays["link_of"].copy_(torch.tensor(links))
        arrays["com"].copy_(self._com.flatten())
        arrays["mobility"].copy_(self._of_links.flatten())
        step = self._unset("step")
        return YieldingFrames(exchange, arrays, bind(implicit().give_way, {**exchange.arrays, **arrays, **step}))

    def _of(self, exchange: Exchange, life: str) -> dict[str, torch.Tensor]:
        """Arrays that all frames of a size share."""
        sizes = self._sizes(exchange.sizes["envs"], exchange.sizes["substeps"], exchange.sizes["colliders"])
        key = (life, sizes["envs"])
        if key not in self._shared:
            self._shared[key] = allocate(TABLE, sizes, life)
        return self._shared[key]

    @staticmethod
    def _unset(life: str) -> dict[str, torch.Tensor]:
        """Stands for tensors of the step until they are known."""
        lay = layout()
        return {array.name: lay.new_int(1) if array.kind == "I1" else lay.new(1, 1) for array in select(TABLE, life)}

    def _launch(self, launch: Launch, substep: int, values: dict[str, torch.Tensor]) -> None:
        n = len(values["pos"])
        if (n, substep) not in self._extents:
            extent = torch.tensor([n, self._n_links, substep], dtype=torch.int32, device=layout().device)
            self._extents[n, substep] = extent
        for name, value in {**values, "extent": self._extents[n, substep]}.items():
            launch.point(name, value)
        launch()

    # The exchange.

    def give_way(
        self, mine: YieldingFrames, substep: int, links: Sequence[torch.Tensor], free: torch.Tensor
    ) -> None:
        """Add U - V to the velocities in the poses of a substep, from what is offered there.

        Args:
            links: pos (B, L, 3), quat (B, L, 4), ... as `RigidSolver.readout` gives them.
            free: (B, L, 6) D of each link: of its centre of mass, m/s, and angular, rad/s.
        """
        self._launch(mine.launch, substep, dict(zip(STATE, (*links, free.contiguous()), strict=True)))

    def give_way_adjoint(
        self, mine: YieldingFrames, substep: int, links: Sequence[torch.Tensor], free: torch.Tensor,
        healthy: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:  # fmt: skip
        """Cotangents of pos and quat of `links` and of `free`, zero where not `healthy` (B,); writes those of the
        impulses to which links yielded, adds those of places. Those of the links' velocities are these of their poses
        when matter has added what it gives to these by way of the impulses."""
        if mine.launch_adjoint is None:
            exchange = {**mine.exchange.arrays, **mine.exchange.adjoint}
            own = {**mine.arrays, **self._of(mine.exchange, "adjoint")}
            unset = {**self._unset("step"), **self._unset("step_adjoint")}
            mine.launch_adjoint = bind(implicit().give_way_adjoint, {**exchange, **own, **unset})
        found = [torch.zeros_like(value, memory_format=torch.contiguous_format) for value in (*links[:2], free)]
        values = dict(zip(STATE, (*links, free.contiguous()), strict=True)) | {"healthy": healthy.int()}
        self._launch(
            mine.launch_adjoint, substep, values | dict(zip(("gpos", "gquat", "gfree"), found, strict=True))
        )
        return tuple(found)

    # What else changes velocities.

    def others(
        self, before: Sequence[torch.Tensor], after: Sequence[torch.Tensor], felt: torch.Tensor | None
    ) -> torch.Tensor:
        """(B, L, 6) D after a substep in which links felt wrenches (B, L, 6) of matter; None for none."""
        change = self._twist(*after[1:]) - self._twist(*before[1:])
        return self._yields * (change if felt is None else change - self._dt * self._mobility * felt)

    def others_adjoint(
        self, before: Sequence[torch.Tensor], after: Sequence[torch.Tensor], gfree: torch.Tensor, healthy: torch.Tensor
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        """Cotangents of quat, vel and ang before and after a substep, and of the wrenches felt in it."""
        mask = healthy[:, None, None]
        gfree = torch.where(mask, gfree, 0.0) * self._yields
        parts = []
        for sign, links in ((-1.0, before), (1.0, after)):
            with torch.enable_grad():
                leaves = [torch.where(mask, value, 0.0).detach().requires_grad_() for value in links[1:]]
                parts.append(list(torch.autograd.grad(self._twist(*leaves), leaves, sign * gfree)))
        return parts[0], parts[1], -self._dt * self._mobility * gfree

    def _twist(self, quat: torch.Tensor, vel: torch.Tensor, ang: torch.Tensor) -> torch.Tensor:
        """(B, L, 6) velocity of centres of mass, and angular velocity."""
        arm = quaternion.rotate(quat, self._com.expand(*vel.shape))
        return torch.cat([vel + torch.linalg.cross(ang, arm), ang], 2)
