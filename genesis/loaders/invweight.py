"""MuJoCo's compile-time constants: inverse weights of any tree, and all numbers of bodies that come from shapes."""

from typing import TYPE_CHECKING

import numpy as np

from genesis.loaders import rotations
from genesis.loaders.mass_matrix import link_jacobians, mass_matrix
from genesis.loaders.mujoco_numbers import (
    ActuatorNumbers,
    BodyNumbers,
    DofNumbers,
    JointNumbers,
    MujocoNumbers,
)
from genesis.loaders.parts import BALL, FREE, JOINT_SIZES

if TYPE_CHECKING:
    from genesis.loaders.model import RigidModel

LEAST = 1e-15
"""MuJoCo's mjMINVAL."""


def invweight0(model: "RigidModel") -> tuple[np.ndarray, np.ndarray]:
    """Inverse weights of bodies (B, 2) and of degrees of freedom (D,) in the rest configuration, as of MuJoCo.

    With the mass matrix M at qpos0, armature included: of a body the means of the diagonal of J M^-1 J', J of its
    centre of mass, for translations (1/kg) and rotations (1/(kg m^2)) apart; of a degree of freedom the diagonal of
    M^-1, averaged over the three of a ball and the three and three of a free joint. Bodies at rest have zeros; those of
    `BodyNumbers.slides_only` have 1/mass, 0 and 1/mass. Not differentiable.

    Bodies are those of `model.mujoco`, or the links where there is no such record.
    """
    n_dofs = model.n_dofs
    if model.mujoco is None:
        links, centres = np.arange(model.n_links), model.com
    else:
        links, centres = model.mujoco.bodies.link, model.mujoco.bodies.pos
    of_bodies, of_dofs = np.zeros((len(links), 2)), np.zeros(n_dofs)
    if n_dofs == 0:
        return of_bodies, of_dofs
    factor = np.linalg.cholesky(mass_matrix(model))
    _, turns, linear, angular = link_jacobians(model)
    moving = model.moving
    for body, link in enumerate(links.tolist()):
        if link < 0 or not moving[link]:
            continue
        arm = rotations.rotate(turns[link], centres[body])
        at_centre = linear[link] - np.cross(arm, angular[link], axisa=0, axisb=0, axisc=0)
        for part, jacobian in enumerate((at_centre, angular[link])):
            of_bodies[body, part] = (np.linalg.solve(factor, jacobian.T) ** 2).sum() / 3
    of_dofs[:] = (np.linalg.solve(factor, np.eye(n_dofs)) ** 2).sum(axis=0)
    for joint in model.joints:
        if joint.kind in (BALL, FREE):
            for begin in range(joint.dof, joint.dof + JOINT_SIZES[joint.kind][1], 3):
                of_dofs[begin : begin + 3] = of_dofs[begin : begin + 3].mean()
    if model.mujoco is not None:
        for body in np.flatnonzero(model.mujoco.bodies.slides_only):
            inverse = 1 / model.mass[links[body]]
            of_bodies[body] = inverse, 0.0
            of_dofs[[joint.dof for joint in model.joints if joint.link == links[body]]] = inverse
    return of_bodies, of_dofs


def geom_and_dof_invweights(model: "RigidModel") -> tuple[np.ndarray, np.ndarray]:
    """Translational inverse weights of the bodies of `model.geoms` (G,), and of degrees of freedom (D,)."""
    of_bodies, of_dofs = invweight0(model)
    return of_bodies[numbers_of(model).geom_body, 0], of_dofs


def numbers_of(model: "RigidModel") -> MujocoNumbers:
    """The record of a model: its own or, of one that comes from no file, what MuJoCo makes of such bodies.

    Every link is a body then; what `RigidModel` does not say has MuJoCo's defaults, and there are no options.
    """
    if model.mujoco is not None:
        return model.mujoco
    of_bodies, of_dofs = invweight0(model)
    moving = model.moving
    axes = [_principal(six) for six in model.inertia]
    inertia = np.array([moments for moments, _ in axes]).reshape(-1, 3)
    bodies = BodyNumbers(
        gravcomp=np.zeros(model.n_links),
        link=np.arange(model.n_links),
        parent=model.parent,
        weld=np.where(moving, np.arange(model.n_links), -1),
        invweight=of_bodies,
        slides_only=np.zeros(model.n_links, dtype=bool),
        pos=model.com,
        quat=np.array([quat for _, quat in axes]).reshape(-1, 4),
        mass=model.mass,
        inertia=inertia,
        box=fluid_boxes(model.mass, inertia),
    )
    first = np.array([joint.dof for joint in model.joints], dtype=np.int64)
    limits = np.stack([model.limit_low[first], model.limit_high[first]], axis=-1)
    spring = model.qpos0.copy()
    for joint in model.joints:
        if joint.kind not in (BALL, FREE):
            spring[joint.q] = model.spring_ref[joint.dof]
    joint_of = np.searchsorted(first, [actuator.dof for actuator in model.actuators], side="right") - 1
    names, rows = tuple(actuator.name for actuator in model.actuators), np.arange(len(model.actuators))
    gear, gain, bias = np.zeros((len(rows), 6)), np.zeros((len(rows), 3)), np.zeros((len(rows), 3))
    for row, actuator in enumerate(model.actuators):
        gear[row, actuator.dof - first[joint_of[row]]] = actuator.gear
        gain[row, 0] = {"force": 1.0, "position": actuator.kp, "velocity": actuator.kv}[actuator.kind]
        bias[row, 1:] = -actuator.kp, -actuator.kv
    return MujocoNumbers(
        bodies=bodies,
        joints=JointNumbers.defaults(
            len(first),
            {
                "limited": np.asarray(np.isfinite(limits).any(axis=-1)),
                "range": np.where(np.isfinite(limits).any(axis=-1, keepdims=True), limits, 0.0),
                "stiffness": model.stiffness[first],
                "force_range": np.stack([model.force_low[first], model.force_high[first]], axis=-1),
            },
        ),
        dofs=DofNumbers.defaults(model.n_dofs, {"invweight": of_dofs}),
        actuators=ActuatorNumbers.defaults(
            len(rows),
            {
                "joint": joint_of,
                "gear": gear,
                "gain": gain,
                "bias": bias,
                "control_range": np.array([(each.low, each.high) for each in model.actuators]).reshape(-1, 2),
            },
        ),
        actuator_names=names,
        qpos_spring=spring,
        geom_body=np.array([geom.link for geom in model.geoms], dtype=np.int64),
        excluded=np.array(sorted(model.excluded), dtype=np.int64).reshape(-1, 2),
    )


def fluid_boxes(mass: np.ndarray, inertia: np.ndarray) -> np.ndarray:
    """(B, 3) edges, m, of boxes of even density with these masses (B,) and principal moments (B, 3); 0 without mass."""
    twice = inertia.sum(axis=-1, keepdims=True) - 2 * inertia
    heavy = mass > LEAST
    edges = np.sqrt(6 * np.maximum(LEAST, twice) / np.where(heavy, mass, 1.0)[:, None])
    return np.where(heavy[:, None], edges, 0.0)


def _principal(six: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal moments (3,) and the quaternion of their axes; those of the link where it has them."""
    if not six[3:].any():
        return six[:3], np.array([1.0, 0.0, 0.0, 0.0])
    moments, axes = np.linalg.eigh(rotations.symmetric(six))
    if np.linalg.det(axes) < 0:
        axes = -axes
    return moments, rotations.from_matrix(axes)
