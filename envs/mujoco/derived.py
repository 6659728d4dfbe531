"""What MuJoCo derives from a state: places of bodies, their inertias and velocities, forces of contacts on them.

World frame; B environments, N bodies of MuJoCo's without the world, in its order. Everything is differentiable.
"""

from functools import cached_property
from typing import Any

import numpy as np
import torch


class Bodies:
    """MuJoCo's bodies of a robot, several of which may make one link."""

    def __init__(self, robot: Any, like: torch.Tensor):
        """Args: a built robot of MuJoCo's contact model; a tensor of the precision and device in use."""
        model = robot.model
        rows = model.mujoco.bodies
        self.robot = robot
        self.links = torch.as_tensor(rows.link.copy(), device=like.device)
        """(N,) index of the link that it is a part of."""
        turn, share = rotation(torch.as_tensor(rows.quat.copy())), self._share(rows.parent, rows.mass)
        self.inertia = (turn @ torch.diag_embed(torch.as_tensor(rows.inertia.copy())) @ turn.mT).to(like)
        """(N, 3, 3) about its centre of mass, along the link's axes, kg m^2."""
        self.unit = torch.eye(3).to(like)
        self.entries = torch.tensor([0, 4, 8, 1, 2, 5], device=like.device)
        """Places of xx, yy, zz, xy, xz and yz in a flat matrix."""
        self.mass = torch.as_tensor(rows.mass.copy()).to(like)
        """(N,) kg."""
        placed = self._placed(rows.link, rows.pos, robot.n_links)
        self.to_centres, self.to_tree_centres = (
            torch.as_tensor(each.reshape(-1, 3 * len(share))).to(like) for each in (placed, share @ placed)
        )
        """(1 + 19 L, 3 N) matrices that make centres of mass, of bodies and of the trees that they are in, of one and
        `State.features`."""
        on = model.mujoco.geom_body[:, None] == np.arange(len(share))
        self.of_geoms = torch.as_tensor(np.kron(on, np.eye(6))).to(like)
        """(6 geoms, 6 N) 1 where a geom is on a body, for each number of a force and torque."""

    @staticmethod
    def _share(parents: np.ndarray, mass: np.ndarray) -> np.ndarray:
        """(N, N) what part of the mass of its tree each body is of; 0 of other trees."""
        root = np.arange(len(parents))
        for body, parent in enumerate(parents):
            root[body] = root[parent] if parent >= 0 else body
        same = (root[:, None] == root) * mass
        return same / same.sum(axis=1, keepdims=True)

    @staticmethod
    def _placed(links: np.ndarray, centres: np.ndarray, n_links: int) -> np.ndarray:
        """(1 + 19 L, N, 3) `to_centres`, of centres (N, 3) in their links' frames: turned, and added to the places."""
        n = len(links)
        at, turned = np.zeros((n_links, 3, n, 3)), np.zeros((n_links, 16, n, 3))
        at[links, :, range(n)] = np.eye(3)
        turned[links, :, range(n)] = np.einsum("pij,nj->npi", _TURN.reshape(16, 3, 3), centres)
        return np.concatenate([centres[None], at.reshape(-1, n, 3), turned.reshape(-1, n, 3)])


class State:
    """Where a robot is and what acts on it, at one moment.

    Attributes:
        qpos, dofs_vel: (B, Q), (B, D); quaternions of length one.
        contacts, joints: As of `gs.LastEvaluation`.
    """

    def __init__(self, bodies: Bodies, *values: torch.Tensor):
        self.bodies = bodies
        self.qpos, self.dofs_vel, self.contacts, self.joints = values

    @cached_property
    def links(self) -> tuple[torch.Tensor, ...]:
        """Of all links pos (B, L, 3), quat (B, L, 4), velocity (B, L, 3) and angular velocity (B, L, 3)."""
        found = self.bodies.robot.get_links_at(self.qpos, self.dofs_vel)
        return tuple(each.as_subclass(torch.Tensor) for each in found)

    def detached(self) -> "State":
        """The same, without a graph."""
        return State(self.bodies, *(each.detach() for each in (self.qpos, self.dofs_vel, self.contacts, self.joints)))

    def position(self, name: str) -> torch.Tensor:
        """(B, 3) m of a body's frame, or of a site."""
        pos, quat, _, _ = self.links
        model = self.bodies.robot.model
        if name in model.link_names:
            return pos[:, model.link_names.index(name)]
        link, offset, _ = model.aliases[name]
        return pos[:, link] + (rotation(quat[:, link]) @ pos.new_tensor(offset))

    def _of_bodies(self, which: int) -> torch.Tensor:
        """(B, N, ...) of each body's link: one of `links`."""
        return self.links[which].index_select(1, self.bodies.links)

    @cached_property
    def features(self) -> torch.Tensor:
        """(B, 19 L) places of links, and products of their quaternions' numbers: centres of mass are linear in them."""
        pos, quat, _, _ = self.links
        return torch.cat([pos.flatten(1), (quat[..., :, None] * quat[..., None, :]).flatten(1)], dim=1)

    def _centres(self, made_by: torch.Tensor) -> torch.Tensor:
        """(B, N, 3)."""
        return torch.addmm(made_by[0], self.features, made_by[1:]).unflatten(1, (-1, 3))

    @cached_property
    def centres(self) -> torch.Tensor:
        """(B, N, 3) centres of mass, m: MuJoCo's xipos."""
        return self._centres(self.bodies.to_centres)

    @cached_property
    def tree_centres(self) -> torch.Tensor:
        """(B, N, 3) of each body the centre of mass of its tree, m: what the next three are about."""
        return self._centres(self.bodies.to_tree_centres)

    def centre_of_mass(self) -> torch.Tensor:
        """(B, 3) of all bodies, m."""
        mass = self.bodies.mass
        return (self.centres * mass[:, None]).sum(dim=1) / mass.sum()

    def inertias(self) -> torch.Tensor:
        """(B, N, 10) xx, yy, zz, xy, xz, yz (kg m^2), mass times arm (kg m), mass: MuJoCo's cinert."""
        arm, mass = self.centres - self.tree_centres, self.bodies.mass[:, None]
        square = arm.square().sum(dim=2)[..., None, None] * self.bodies.unit
        shifted = mass[..., None] * (square - arm[..., :, None] * arm[..., None, :])
        turns = rotation(self._of_bodies(1))
        whole = turns @ self.bodies.inertia @ turns.mT + shifted
        rows = whole.flatten(2).index_select(2, self.bodies.entries)
        return torch.cat([rows, mass * arm, mass.expand(len(arm), -1, 1)], dim=2)

    def velocities(self) -> torch.Tensor:
        """(B, N, 6) angular velocity, rad/s, and velocity, m/s, at the tree's centre of mass: MuJoCo's cvel."""
        pos, vel, ang = (self._of_bodies(which) for which in (0, 2, 3))
        return torch.cat([ang, vel + torch.linalg.cross(ang, self.tree_centres - pos)], dim=2)

    def contact_forces(self) -> torch.Tensor:
        """(B, N, 6) torque about the tree's centre of mass, N m, and force, N, of contacts: MuJoCo's cfrc_ext."""
        wrench = (self.contacts.flatten(1) @ self.bodies.of_geoms).unflatten(1, (-1, 6))
        force, torque = wrench.split(3, dim=2)
        arm = self._of_bodies(0) - self.tree_centres
        return torch.cat([torque + torch.linalg.cross(arm, force), force], dim=2)


def rotation(quat: torch.Tensor) -> torch.Tensor:
    """(..., 3, 3) of unit quaternions (..., 4) wxyz."""
    products = (quat[..., :, None] * quat[..., None, :]).reshape(-1, 16)
    turn = torch.addmm(quat.new_tensor(np.eye(3).ravel()), products, quat.new_tensor(_TURN))
    return turn.view(*quat.shape[:-1], 3, 3)


def _turn() -> np.ndarray:
    """(16, 9): rotations less the unit matrix, 2 v v' - 2 v.v + 2 w (v x), of the products of w and v = (x, y, z)."""
    part = np.zeros((4, 4, 3, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        part[k + 1, k + 1, (i, j), (i, j)] -= 2.0
        part[i + 1, j + 1, (i, j), (j, i)] = 2.0
        part[0, k + 1, (i, j), (j, i)] = (-2.0, 2.0)
    return part.reshape(16, 9)


_TURN = _turn()
