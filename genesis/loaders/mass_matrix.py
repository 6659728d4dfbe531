"""Kinematics and the joint-space inertia of a robot in one configuration, in numpy: for setting up and for tests."""

from typing import TYPE_CHECKING

import numpy as np

from genesis.errors import GenesisValueError
from genesis.loaders import rotations
from genesis.loaders.parts import BALL, FREE, HINGE, SLIDE

if TYPE_CHECKING:
    from genesis.loaders.model import RigidModel


def mass_matrix(model: "RigidModel", qpos: np.ndarray | None = None) -> np.ndarray:
    """(D, D) symmetric M of the kinetic energy v' M v / 2, armature included; kg, kg m and kg m^2.

    Each link adds J' I J, with the Jacobian J (6, D) of its centre of mass. Not differentiable.

    Args:
        qpos: (Q,) configuration; the rest configuration by default.
    """
    positions, turns, linear, angular = link_jacobians(model, qpos)
    matrix = np.diag(model.armature)
    for link in range(model.n_links):
        axes = rotations.matrix(turns[link])
        arm = axes @ model.com[link]
        at_com = linear[link] - np.cross(arm, angular[link], axisa=0, axisb=0, axisc=0)
        inertia = axes @ rotations.symmetric(model.inertia[link]) @ axes.T
        matrix = matrix + model.mass[link] * at_com.T @ at_com + angular[link].T @ inertia @ angular[link]
    return (matrix + matrix.T) / 2


def link_jacobians(
    model: "RigidModel", qpos: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Poses of the link frames, and how they move per unit of velocity of each degree of freedom; world frame.

    Returns:
        positions (L, 3), quaternions (L, 4), Jacobians of the frames' origins (L, 3, D) and rotations (L, 3, D).
    """
    given = model.qpos0 if qpos is None else np.asarray(qpos, dtype=np.float64)
    if given.shape != (model.n_qs,):
        raise GenesisValueError(f"qpos must have shape ({model.n_qs},), got {given.shape}. Pass one configuration.")
    joints_of = [[joint for joint in model.joints if joint.link == link] for link in range(model.n_links)]
    positions, turns = np.zeros((model.n_links, 3)), np.zeros((model.n_links, 4))
    linear, angular = np.zeros((2, model.n_links, 3, model.n_dofs))
    for link, parent in enumerate(model.parent):
        pos, quat = model.link_pos[link].copy(), model.link_quat[link].copy()
        if parent >= 0:
            pos, quat = rotations.compose((positions[parent], turns[parent]), (pos, quat))
            angular[link] = angular[parent]
        moves = []  # (dof, direction, point of the axis or None for a slide)
        for joint in joints_of[link]:
            q, dof, anchor = joint.q, joint.dof, np.array(joint.anchor)
            centre = pos + rotations.rotate(quat, anchor)
            axis = rotations.rotate(quat, np.array(joint.axis))
            if joint.kind == SLIDE:
                pos = pos + axis * (given[q] - model.qpos0[q])
                moves.append((dof, axis, None))
            elif joint.kind == HINGE:
                quat = rotations.multiply(quat, rotations.about(np.array(joint.axis), given[q] - model.qpos0[q]))
                pos = centre - rotations.rotate(quat, anchor)
                moves.append((dof, axis, centre))
            elif joint.kind == BALL:
                quat = rotations.multiply(quat, _unit(given[q : q + 4]))
                pos = centre - rotations.rotate(quat, anchor)
                moves += [(dof + k, axis, centre) for k, axis in enumerate(rotations.matrix(quat).T)]
            elif joint.kind == FREE:
                pos, quat = given[q : q + 3], _unit(given[q + 3 : q + 7])
                moves += [(dof + k, axis, None) for k, axis in enumerate(np.eye(3))]
                moves += [(dof + 3 + k, axis, pos) for k, axis in enumerate(rotations.matrix(quat).T)]
        positions[link], turns[link] = pos, quat
        if parent >= 0:
            lever = pos - positions[parent]
            linear[link] = linear[parent] - np.cross(lever, angular[parent], axisa=0, axisb=0, axisc=0)
        for dof, axis, point in moves:
            if point is None:
                linear[link][:, dof] = axis
            else:
                angular[link][:, dof] = axis
                linear[link][:, dof] = np.cross(axis, pos - point)
    return positions, turns, linear, angular


def _unit(quat: np.ndarray) -> np.ndarray:
    return quat / np.linalg.norm(quat)
