"""A robot's kinematics at any q, in torch: for a whole batch, differentiable to any order.

The simulation does not use it (its kernels do the same within a substep); what users ask of a robot does. A robot is a
tree of *nodes*, one for each joint and one for each link without: a node first stands as its parent does, then in its
rest pose, then it is moved by its joint. Nodes of one depth are moved together. Places are about the base of a free
body, so that they are exact far from the origin; `origin` is added where the world's are wanted.

B environments, L links, Q numbers of q, D degrees of freedom, N nodes; node 0 is the world.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from genesis.loaders.model import BALL, FREE, HINGE, JOINT_SIZES, SLIDE, Joint, RigidModel
from genesis.loaders.parts import IDENTITY, ORIGIN
from genesis.math import quaternion

SIX = [0, 3, 4, 3, 1, 5, 4, 5, 2]
"""Places in xx, yy, zz, xy, xz, yz of the entries of a symmetric matrix, row by row."""


class Node(NamedTuple):
    """Where it is at rest in its parent's frame, and what moves it."""

    parent: int
    depth: int
    pos: Any
    quat: Any
    joint: Joint | None


class Placed(NamedTuple):
    """Where everything is at some q, in world axes."""

    pos: torch.Tensor
    """(B, L, 3) of the links' frames, less `origin`, m."""
    quat: torch.Tensor
    """(B, L, 4)."""
    origin: torch.Tensor
    """(B, L, 3) of a link's tree: its base if that is on a free joint, else zero."""
    directions: torch.Tensor
    """(B, D, 3) axes of rotation or directions of translation."""
    points: torch.Tensor
    """(B, D, 3) of the axes of rotation, less the origin of their tree."""


class Tree:
    """One robot's constants.

    Args:
        model: The robot, at its place in the scene.
        dtype, device: Of what its methods take and return.
    """

    def __init__(self, model: RigidModel, dtype: torch.dtype, device: torch.device) -> None:
        def real(rows: Any, *shape: int) -> torch.Tensor:
            return torch.tensor(np.array(rows, float).reshape(-1, *shape), dtype=dtype, device=device)

        def whole(rows: Any, *shape: int) -> torch.Tensor:
            return torch.tensor(np.array(rows, int).reshape(-1, *shape), dtype=torch.int64, device=device)

        nodes, last = nodes_of(model)
        joints = [(n, node.joint) for n, node in enumerate(nodes) if node.joint is not None]
        hinges, slides = ([pair for pair in joints if pair[1].kind == kind] for kind in (HINGE, SLIDE))
        balls = [pair for pair in joints if pair[1].kind in (BALL, FREE)]
        self.rest_pos, self.rest_quat = real([node.pos for node in nodes], 3), real([node.quat for node in nodes], 4)
        self.anchor = real([ORIGIN if node.joint is None else node.joint.anchor for node in nodes], 3)
        depths = [node.depth for node in nodes]
        self.levels = []
        """Of each depth from 1: its nodes, and the places of their parents among those of the depth before."""
        for depth in range(1, max(depths) + 1):
            begin, end = depths.index(depth), depths.index(depth) + depths.count(depth)
            above = [node.parent - depths.index(depth - 1) for node in nodes[begin:end]]
            self.levels.append((slice(begin, end), whole(above)))
        self.link_node = whole(last)
        self.mocap_node = self.link_node[list(model.mocap_links)]
        self.qpos0, self.com = real(model.qpos0), real(model.com, 3)
        # What turns and shifts nodes, in groups, and where in these each node finds its own.
        self.hinge_q, self.hinge_axis = whole([joint.q for _, joint in hinges]), real([j.axis for _, j in hinges], 3)
        self.slide_q, self.slide_axis = whole([joint.q for _, joint in slides]), real([j.axis for _, j in slides], 3)
        firsts = [joint.q + (3 if joint.kind == FREE else 0) for _, joint in balls]
        self.ball_q = whole([range(q, q + 4) for q in firsts], 4)
        self.turn_of = whole(_find([n for n, _ in hinges + balls], len(nodes)))
        self.shift_of = whole(_find([n for n, _ in slides], len(nodes)))
        self.identity = real(IDENTITY, 4)
        plain = [(j.q + k, j.dof + k) for _, j in joints if j.kind != BALL for k in range(3 if j.kind == FREE else 1)]
        self.plain_q, self.plain_dof = whole([q for q, _ in plain]), whole([dof for _, dof in plain])
        firsts = [joint.dof + (3 if joint.kind == FREE else 0) for _, joint in balls]
        self.ball_dof = whole([range(dof, dof + 3) for dof in firsts], 3)
        # Of degrees of freedom.
        node_of, axis_node, axes, turns = [], [], [], []
        for n, joint in sorted(joints, key=lambda pair: pair[1].dof):
            if joint.kind == FREE:  # along the world's axes
                node_of, axis_node, axes, turns = (
                    node_of + [n] * 3,
                    axis_node + [0] * 3,
                    [*axes, *np.eye(3)],
                    turns + [0] * 3,
                )
            own = [joint.axis] if joint.kind in (HINGE, SLIDE) else list(np.eye(3))
            node_of, axis_node, axes = node_of + [n] * len(own), axis_node + [n] * len(own), axes + own
            turns = turns + [int(joint.kind != SLIDE)] * len(own)
        self.dof_node, self.axis_node, self.axes = whole(node_of), whole(axis_node), real(axes, 3)
        self.angular = real(turns, 1)
        """(D, 1): 1 for rotations, 0 for translations."""
        moves, before = _chains(model)
        self.moves = torch.tensor(moves, dtype=dtype, device=device)
        """(L, D): 1 where a degree of freedom moves a link."""
        self.before = torch.tensor(before, dtype=dtype, device=device)
        """(D, D): 1 where the second moves what the first acts against."""
        bases = [
            next((j.q for j in model.joints if j.kind == FREE and moves[l, j.dof]), None) for l in range(model.n_links)
        ]
        self.base_q = whole([range(q, q + 3) for q in bases if q is not None], 3)
        self.base_of = whole(_find([l for l, q in enumerate(bases) if q is not None], model.n_links))

    def place(self, qpos: torch.Tensor, mocap: torch.Tensor | None = None) -> Placed:
        """Poses at qpos (B, Q), whose quaternions are scaled to length one, and with mocap bodies at (B, M, 7), else at
        rest."""
        n_envs = len(qpos)
        rest_pos, rest_quat = (rest.expand(n_envs, -1, -1) for rest in (self.rest_pos, self.rest_quat))
        if mocap is not None:
            rest_pos = rest_pos.index_copy(1, self.mocap_node, mocap[..., :3])
            rest_quat = rest_quat.index_copy(1, self.mocap_node, quaternion.normalise(mocap[..., 3:]))
        half = 0.5 * (qpos - self.qpos0)[:, self.hinge_q, None]
        turns = [
            torch.cat([torch.cos(half), torch.sin(half) * self.hinge_axis], -1),
            quaternion.normalise(qpos[:, self.ball_q]),
            self.identity.expand(n_envs, 1, 4),
        ]
        turn = torch.cat(turns, 1)[:, self.turn_of]
        shift = (qpos - self.qpos0)[:, self.slide_q, None] * self.slide_axis
        moved = self.anchor + torch.cat([shift, shift.new_zeros(n_envs, 1, 3)], 1)[:, self.shift_of]
        pos, quat = [qpos.new_zeros(n_envs, 1, 3)], [self.identity.expand(n_envs, 1, 4)]
        for own, above in self.levels:
            p, r = pos[-1][:, above], quat[-1][:, above]
            p = p + quaternion.rotate(r, rest_pos[:, own])
            r = quaternion.multiply(r, rest_quat[:, own])
            p = p + quaternion.rotate(r, moved[:, own])
            r = quaternion.multiply(r, turn[:, own])
            pos.append(p - quaternion.rotate(r, self.anchor[own].expand(p.shape)))
            quat.append(r)
        pos, quat = torch.cat(pos, 1), torch.cat(quat, 1)
        bases = torch.cat([qpos[:, self.base_q], qpos.new_zeros(n_envs, 1, 3)], 1)
        directions = quaternion.rotate(quat[:, self.axis_node], self.axes.expand(n_envs, -1, 3))
        at = quaternion.rotate(quat[:, self.dof_node], self.anchor[self.dof_node].expand(n_envs, -1, 3))
        return Placed(
            pos[:, self.link_node], quat[:, self.link_node], bases[:, self.base_of], directions,
            pos[:, self.dof_node] + at,
        )  # fmt: skip

    def move(self, qpos: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        """qpos (B, Q) after a displacement (B, D): of rotations a rotation vector in the link's own frame."""
        moved = qpos.index_add(1, self.plain_q, by[:, self.plain_dof])
        turn = quaternion.from_rotation_vector(by[:, self.ball_dof])
        turned = quaternion.multiply(quaternion.normalise(qpos[:, self.ball_q]), turn)
        return moved.index_copy(1, self.ball_q.flatten(), turned.flatten(1))

    def jacobians(
        self, placed: Placed, points: torch.Tensor, links: Sequence[int] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """How a point of each link, (B, n, 3) less the origin of its tree, moves and its link turns: (B, n, D, 3) each,
        per unit of velocity of each degree of freedom, world axes. `links`: which; None: all."""
        mine = (self.moves if links is None else self.moves[list(links)])[..., None]
        axes = placed.directions[:, None]
        arms = points[:, :, None] - placed.points[:, None]
        turning = self.angular * torch.linalg.cross(axes.expand(arms.shape), arms)
        return mine * (turning + (1 - self.angular) * axes), mine * self.angular * axes


def nodes_of(model: RigidModel) -> tuple[list[Node], list[int]]:
    """All nodes by depth, and the last node of each link."""
    nodes, last = [Node(-1, 0, ORIGIN, IDENTITY, None)], []
    for link, parent in enumerate(model.parent):
        above = last[parent] if parent >= 0 else 0
        pos, quat = model.link_pos[link], model.link_quat[link]
        own = [joint for joint in model.joints if joint.link == link]
        if own and own[0].kind == FREE:
            pos, quat = ORIGIN, IDENTITY
        for joint in own or [None]:
            nodes.append(Node(above, nodes[above].depth + 1, pos, quat, joint))
            above, pos, quat = len(nodes) - 1, ORIGIN, IDENTITY
        last.append(above)
    order = sorted(range(len(nodes)), key=lambda n: nodes[n].depth)
    place = {n: i for i, n in enumerate(order)}
    moved = [nodes[n]._replace(parent=place.get(nodes[n].parent, -1)) for n in order]
    return moved, [place[n] for n in last]


def _chains(model: RigidModel) -> tuple[np.ndarray, np.ndarray]:
    """`moves` and `before` of a tree."""
    moves, before = np.zeros((model.n_links, model.n_dofs)), np.zeros((model.n_dofs, model.n_dofs))
    for link, parent in enumerate(model.parent):
        chain = moves[parent].copy() if parent >= 0 else np.zeros(model.n_dofs)
        for joint in model.joints:
            if joint.link == link:
                parts = [3, 3] if joint.kind == FREE else [JOINT_SIZES[joint.kind][1]]
                first = joint.dof
                for n in parts:
                    before[first : first + n] = chain
                    chain[first : first + n] = 1.0
                    first += n
        moves[link] = chain
    return moves, before


def _find(owners: list[int], n: int) -> list[int]:
    """Of 0 … n - 1 the place in `owners`, or behind them."""
    places = {owner: i for i, owner in enumerate(owners)}
    return [places.get(i, len(owners)) for i in range(n)]
