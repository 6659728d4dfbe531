"""How links yield to what they push, within a substep: with which velocities they come out of an exchange.

A link that takes its velocity V into an exchange and the answer J of matter out of it, for its next substep, moves
matter a substep long with a velocity that J has not yet changed. On a spring k that is explicit Euler: the oscillation
of a mass M grows by k h / 2 M a second. So matter goes with the velocity U that the link will have, if it yields as a
free body with mobility W (6 x 6, about its centre of mass, of (force, torque)), and all else does to it what it did in
the substep before:

    U = V + D + W J(U),      J(U) = J(V) - N (U - V)   to first order,      N: the inertia of the nodes that go with it
    U - V = D + W (1 + N W)^-1 (J(V) - N D)
    D  =  (V - V_before) - W J_before               what all else did to its velocity in the substep before

At rest D + W J is zero, whatever W is: nothing creeps. Of W it matters that it is no smaller than the link's own
(`light_links.py`): the exchange is then stable for links of any mass (decision 62).
"""

from collections.abc import Sequence

import torch

from genesis.compiler import layout
from genesis.contact.colliders import ANGULAR, POSITION, VELOCITY, Exchange
from genesis.loaders.model import RigidModel
from genesis.math import quaternion
from genesis.solvers.rigid.publish import WORLD, LinkCollider


def cross_matrix(v: torch.Tensor) -> torch.Tensor:
    """(..., 3, 3) that multiplies as the cross product with v (..., 3) does."""
    x, y, z = v.unbind(-1)
    none = torch.zeros_like(x)
    return torch.stack([none, -z, y, z, none, -x, -y, x, none], -1).unflatten(-1, (3, 3))


class Yielding:
    """In torch, as `Publisher`.

    Args:
        colliders: K of them, all of the solver.
        first: Index of the first of them among the scene's.
        dt: Substep of the scene and of the solver, s.
        mobility: (L, 2) 1 / kg and 1 / (kg m^2), W of each link; zero of links that keep their velocity.
    """

    def __init__(
        self, colliders: Sequence[LinkCollider], model: RigidModel, first: int, dt: float, mobility: torch.Tensor
    ) -> None:
        lay = layout()
        opts = {"dtype": lay.dtype, "device": lay.device}
        self._own, self._dt = slice(first, first + len(colliders)), dt
        self._link = torch.tensor([max(c.link, 0) for c in colliders], device=lay.device)
        self._com = torch.as_tensor(model.com.copy(), **opts)
        self._mobility = mobility.to(**opts).repeat_interleave(3, 1)
        self._yields = (self._mobility.amax(1, keepdim=True) > 0).to(lay.dtype)
        self._onto = torch.zeros(model.n_links, len(colliders), **opts)
        for k, collider in enumerate(colliders):
            if collider.link != WORLD:
                self._onto[collider.link, k] = 1.0

    def give_way(
        self, exchange: Exchange, substep: int, links: Sequence[torch.Tensor], free: torch.Tensor
    ) -> None:
        """Add U - V to the velocities in the poses of a substep.

        Args:
            links: pos (B, L, 3), quat (B, L, 4), ... as `RigidSolver.readout` gives them.
            free: (B, L, 6) D of each link: of its centre of mass, m/s, and angular, rad/s.
        """
        poses, weighed = self._rows(exchange, substep, len(free))
        linear, angular = self.change(poses[..., POSITION, :3], weighed, links[0], links[1], free)
        poses[..., VELOCITY, :3] += linear
        poses[..., ANGULAR, :3] += angular

    def give_way_adjoint(
        self, exchange: Exchange, substep: int, links: Sequence[torch.Tensor], free: torch.Tensor,
        healthy: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:  # fmt: skip
        """Cotangents of pos and quat of `links` and of `free`, zero where not `healthy` (B,); writes those of what was
        weighed, adds those of places."""
        n, mask = len(free), healthy[:, None, None]
        poses, weighed = self._rows(exchange, substep, n)
        gposes = exchange.rows("gposes")[substep, :, :n, self._own]
        given = gposes[..., (VELOCITY, ANGULAR), :3].sum(0)
        inputs = (poses[..., POSITION, :3], weighed, links[0], links[1], free)
        with torch.enable_grad():
            leaves = [
                torch.where(mask if value.dim() == 3 else mask[..., None], value, 0.0).detach().requires_grad_()
                for value in inputs
            ]
            found = torch.autograd.grad(
                self.change(*leaves), leaves, [torch.where(mask, given[..., k, :], 0.0) for k in (0, 1)]
            )
        gplace, gweighed, gpos, gquat, gfree = found
        gposes[0, ..., POSITION, :3] += gplace
        exchange.rows("gweighed")[substep, :n, self._own] = gweighed
        return gpos, gquat, gfree

    def _rows(self, exchange: Exchange, substep: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Poses (B, K, 4, 4), a view, and what was weighed (B, K, 5, 4) of its own colliders."""
        weighed = exchange.rows("weighed")[substep, :, :n, self._own].sum(0)
        return exchange.rows("poses")[substep, :n, self._own], weighed

    def change(
        self, place: torch.Tensor, weighed: torch.Tensor, pos: torch.Tensor, quat: torch.Tensor, free: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """U - V of colliders at their places (B, K, 3): linear and angular, (B, K, 3) each."""
        centre = pos + quaternion.rotate(quat, self._com.expand(*pos.shape))
        lever = place - centre[:, self._link]
        J, mass, M = weighed[..., 0, :3], weighed[..., 0, 3:], weighed[..., 1, :3]
        first, square, mixed = weighed[..., 2, :3], weighed[..., 3, :3], weighed[..., 4, :3]
        # About the link's centre of mass, and of all colliders of a link.
        answer = self._onto @ torch.cat([J, M + torch.linalg.cross(lever, J)], 2)
        xx, yy, zz = square.unbind(2)
        yz, zx, xy = mixed.unbind(2)
        second = torch.stack([xx, xy, zx, xy, yy, yz, zx, yz, zz], 2).unflatten(2, (3, 3))
        across = first[..., :, None] * lever[..., None, :]
        second = second + across + across.mT + mass[..., None] * lever[..., :, None] * lever[..., None, :]
        moments = torch.cat([mass, first + mass * lever, second.flatten(2)], 2)
        mass, first, second = (self._onto @ moments).split([1, 3, 9], 2)
        second = second.unflatten(2, (3, 3))
        eye = torch.eye(3, dtype=place.dtype, device=place.device)
        skew = cross_matrix(first)
        trace = second.diagonal(dim1=2, dim2=3).sum(2)[..., None, None]
        upper, lower = torch.cat([mass[..., None] * eye, -skew], 3), torch.cat([skew, trace * eye - second], 3)
        inertia = torch.cat([upper, lower], 2)
        # U - V = D + S y,  (1 + S N S) y = S (J - N D),  S^2 = W
        root = self._mobility.sqrt()
        scaled = root[:, :, None] * inertia * root[:, None, :] + torch.eye(6, dtype=place.dtype, device=place.device)
        free = self._yields * free
        rest = root * (answer - (inertia @ free[..., None])[..., 0])
        factor = torch.linalg.cholesky_ex(scaled)[0]  # which does not raise where an environment has failed
        change = free + root * torch.cholesky_solve(rest[..., None], factor)[..., 0]
        linear, angular = change[:, self._link].split(3, 2)
        on = self._onto.amax(0)[:, None]
        return on * (linear + torch.linalg.cross(angular, lever)), on * angular

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
