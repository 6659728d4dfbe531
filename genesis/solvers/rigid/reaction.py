"""What matter does to links: impulses on their shapes become wrenches over the links' next substep; and the adjoint.

In each of the scene's substeps that lie in one of the links', of length h, matter gives a shape at x an impulse J, and
a moment M about x. Over that substep its link, whose centre of mass is c, feels beside all else

    force  f = sum J / h,      torque about c  t = sum (M + (x - c) x J) / h

which is the momentum, and the angular momentum about any point, that matter has lost. With cotangents of f and t:

    gJ = (gf + gt x (x - c)) / h,      gM = gt / h,      gx = J x gt / h,      gc = - the sum of these
"""

from collections.abc import Sequence

import torch

from genesis.compiler import layout
from genesis.contact.colliders import FORCE, MOMENT, POSITION, Exchange
from genesis.loaders.model import RigidModel
from genesis.math import quaternion
from genesis.solvers.rigid.publish import WORLD, LinkCollider


class Reaction:
    """In torch, as `Publisher`.

    Args:
        colliders: K of them, all of the solver.
        first: Index of the first of them among the scene's.
        every: Substeps of the scene in one of the solver's.
        dt: Substep of the solver, s.
    """

    def __init__(
        self, colliders: Sequence[LinkCollider], model: RigidModel, first: int, every: int, dt: float
    ) -> None:
        lay = layout()
        opts = {"dtype": lay.dtype, "device": lay.device}
        self._own, self._every = slice(first, first + len(colliders)), every
        links = [collider.link for collider in colliders]
        self._link = torch.tensor([max(link, 0) for link in links], device=lay.device)
        self._com = torch.as_tensor(model.com.copy(), **opts)
        self._onto = torch.zeros(model.n_links, len(links), **opts)
        """1 / h where a collider is on a link."""
        for k, link in enumerate(links):
            if link != WORLD:
                self._onto[link, k] = 1.0 / dt

    def _impulse(self, exchange: Exchange, frame: int, n_envs: int) -> torch.Tensor:
        """(every, chunks, B, K, 2, 4) of the substep after a frame: a view."""
        part = slice(frame * self._every, (frame + 1) * self._every)
        return exchange.rows("impulse")[part, :, :n_envs, self._own]

    def _levers(
        self, exchange: Exchange, frame: int, links: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x - c (every, B, K, 3); centres of mass less the links' places (B, L, 3)."""
        pos, quat = links[:2]
        part = slice(frame * self._every, (frame + 1) * self._every)
        place = exchange.rows("poses")[part, : len(pos), self._own, POSITION, :3]
        arm = quaternion.rotate(quat, self._com)
        return place - (pos + arm)[:, self._link], arm

    def wrench(self, exchange: Exchange, frame: int, links: Sequence[torch.Tensor]) -> torch.Tensor | None:
        """(B, L, 6) force and torque about the centre of mass, over the substep after a frame; None for nothing.

        Args:
            links: pos (B, L, 3), quat (B, L, 4), … at that frame, as `RigidSolver.readout` gives them.
        """
        impulse = self._impulse(exchange, frame, len(links[0]))
        if impulse.device.type == "cpu" and not impulse.numpy().any():
            return None
        impulse = impulse[..., :3].sum(1)
        J, M = impulse[..., FORCE, :], impulse[..., MOMENT, :]
        lever, _arm = self._levers(exchange, frame, links)
        return self._onto @ torch.cat([J, M + torch.linalg.cross(lever, J)], 3).sum(0)

    def adjoint(
        self, exchange: Exchange, frame: int, links: Sequence[torch.Tensor], gwrench: torch.Tensor,
        healthy: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        """Cotangents of pos and quat of `links` from that of `wrench`; writes those of impulses, adds those of poses.

        Args:
            healthy: (B,) where there are any; elsewhere nothing need be finite.
        """
        J = self._impulse(exchange, frame, len(gwrench))[..., FORCE, :3].sum(1)
        lever, arm = self._levers(exchange, frame, links)
        J, lever, arm = (torch.where(healthy[:, None, None], value, 0.0) for value in (J, lever, arm))
        gf, gt = (self._onto.t() @ gwrench).expand(*J.shape[:3], 6).split(3, 3)
        n, part = len(gwrench), slice(frame * self._every, (frame + 1) * self._every)
        given = exchange.rows("gimpulse")[part, :n, self._own]
        given[..., FORCE, :3] = gf + torch.linalg.cross(gt, lever)
        given[..., MOMENT, :3] = gt
        gplace = torch.linalg.cross(J, gt)
        exchange.rows("gposes")[part, 0, :n, self._own, POSITION, :3] += gplace
        gpos = -((self._onto != 0).to(gplace) @ gplace.sum(0))
        gturn = torch.linalg.cross(arm, gpos)
        return gpos, 2.0 * quaternion.multiply(torch.cat([torch.zeros_like(gturn[..., :1]), gturn], 2), links[1])
