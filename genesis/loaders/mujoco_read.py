"""From MuJoCo's compiled model to the record of what its contact model needs."""

from typing import Any

import numpy as np

from genesis.loaders import rotations
from genesis.loaders.equalities import read_equalities
from genesis.loaders.invweight import fluid_boxes
from genesis.loaders.lazy_import import mujoco
from genesis.loaders.links import Links
from genesis.loaders.mujoco_numbers import (
    ACTIVATIONS,
    CONES,
    INTEGRATORS,
    SOLVERS,
    ActuatorNumbers,
    BodyNumbers,
    DofNumbers,
    JointNumbers,
    MocapNumbers,
    MujocoNumbers,
    MujocoOptions,
)
from genesis.loaders.mujoco_refusals import readable_actuators, unsupported_by_mujoco_model
from genesis.loaders.pairs import read_pairs
from genesis.loaders.tendons import read_tendons, translated_tendons


def read_numbers(model: Any, links: Links, name: str, allowed: frozenset[str]) -> MujocoNumbers:
    """The record of a compiled model; `name` is its source in messages."""
    actuators = readable_actuators(model)
    found = unsupported_by_mujoco_model(model)
    geoms = links.solids(model)
    off = frozenset(name for name in ("limit", "frictionloss") if _disabled(model, name.upper(), "CONSTRAINT"))
    tendons, tendon_parts = read_tendons(model, links, off)
    return MujocoNumbers(
        bodies=_bodies(model, links),
        joints=_joints(model),
        dofs=DofNumbers(
            invweight=model.dof_invweight0,
            frictionloss=model.dof_frictionloss * (not _disabled(model, "FRICTIONLOSS", "CONSTRAINT")),
            solref=model.dof_solref,
            solimp=model.dof_solimp,
        ),
        actuators=_actuators(model, links, actuators),
        tendons=tendons,
        tendon_parts=tendon_parts,
        actuator_names=tuple(model.actuator(index).name or f"actuator {index}" for index in actuators),
        qpos_spring=model.qpos_spring,
        geom_body=model.geom_bodyid[geoms] - 1,
        excluded=np.array([(value >> 16, value & 0xFFFF) for value in model.exclude_signature.tolist()]).reshape(-1, 2)
        - 1,
        options=(_options(model, name),),
        unsupported=tuple((kind, text) for kind, text in found if kind not in allowed),
        equalities=read_equalities(model, links),
        pairs=read_pairs(model, links),
        mocaps=MocapNumbers(links.of_body[model.body_mocapid >= 0]),
    )


def _bodies(model: Any, links: Links) -> BodyNumbers:
    places = []
    for body in range(1, model.nbody):
        inertial = (model.body_ipos[body], model.body_iquat[body])
        places.append(rotations.compose(links.poses[body], inertial))
    return BodyNumbers(
        link=links.of_body[1:],
        parent=model.body_parentid[1:] - 1,
        weld=model.body_weldid[1:] - 1,
        invweight=model.body_invweight0[1:],
        slides_only=model.body_simple[1:] == 2,
        pos=np.array([pos for pos, _ in places]).reshape(-1, 3),
        quat=np.array([quat for _, quat in places]).reshape(-1, 4),
        mass=model.body_mass[1:],
        inertia=model.body_inertia[1:],
        box=fluid_boxes(model.body_mass[1:], model.body_inertia[1:]),
        gravcomp=model.body_gravcomp[1:],
    )


def _joints(model: Any) -> JointNumbers:
    limited = model.jnt_limited.astype(bool) & (not _disabled(model, "LIMIT", "CONSTRAINT"))
    stiffness = np.array([np.ravel(each)[0] for each in model.jnt_stiffness], dtype=np.float64)
    return JointNumbers(
        limited=limited,
        range=np.where(limited[:, None], model.jnt_range, 0.0),
        margin=model.jnt_margin,
        solref=model.jnt_solref,
        solimp=model.jnt_solimp,
        stiffness=stiffness * (not _disabled(model, "SPRING", "PASSIVE")),
        force_range=_ranges(model.jnt_actfrclimited, model.jnt_actfrcrange),
    )


def _actuators(model: Any, links: Links, indices: list[int]) -> ActuatorNumbers:
    activation = model.actuator_dyntype[indices].astype(np.int64)
    affine = (model.actuator_biastype[indices] == int(mujoco().mjtBias.mjBIAS_AFFINE))[:, None]
    gain = model.actuator_gainprm[indices, :3].copy()
    fixed = model.actuator_gaintype[indices] == int(mujoco().mjtGain.mjGAIN_FIXED)
    gain[fixed, 1:] = 0.0
    clamped = not _disabled(model, "CLAMPCTRL")
    act = np.cumsum(activation > 0) - 1
    rows, pulls, targets = translated_tendons(model), _of_kind(model, indices, "TENDON"), model.actuator_trnid[indices]
    return ActuatorNumbers(
        joint=np.where(_of_kind(model, indices, "JOINT", "JOINTINPARENT"), model.actuator_trnid[indices, 0], -1),
        tendon=np.array([rows.index(own[0]) if on else -1 for own, on in zip(targets, pulls, strict=True)], int),
        **_sites(model, links, indices),
        gear=model.actuator_gear[indices],
        gain=gain,
        bias=np.where(affine, model.actuator_biasprm[indices, :3], 0.0),
        control_range=_ranges(
            model.actuator_ctrllimited[indices].astype(bool) & clamped, model.actuator_ctrlrange[indices]
        ),
        force_range=_force_ranges(model, indices),
        activation_range=_ranges(model.actuator_actlimited[indices], model.actuator_actrange[indices]),
        activation=activation,
        time=np.where(activation >= ACTIVATIONS.index("filter"), model.actuator_dynprm[indices, 0], 1.0),
        early=model.actuator_actearly[indices].astype(bool) & (activation > 0),
        act=np.where(activation > 0, act, -1),
    )


def _sites(model: Any, links: Links, indices: list[int]) -> dict[str, np.ndarray]:
    """What `ActuatorNumbers` says of sites."""
    whole = ActuatorNumbers.defaults(len(indices), {})
    sites, link, pos, quat = (getattr(whole, name).copy() for name in ("sites", "link", "pos", "quat"))
    for row, index in enumerate(indices):
        if model.actuator_trntype[index] == int(mujoco().mjtTrn.mjTRN_SITE):
            own = [int(site) for site in model.actuator_trnid[index] if site >= 0]
            sites[row] = len(own)
            for side, site in enumerate(own):
                body = int(model.site_bodyid[site])
                link[row, side] = links.of_body[body]
                place = links.place(body, model.site_pos[site].copy(), model.site_quat[site].copy())
                pos[row, side], quat[row, side] = place
    return {"sites": sites, "link": link, "pos": pos, "quat": quat}


def _force_ranges(model: Any, indices: list[int]) -> np.ndarray:
    """(A, 2) with that of the tendon that an actuator pulls."""
    ranges = _ranges(model.actuator_forcelimited[indices], model.actuator_forcerange[indices])
    limited = getattr(model, "tendon_actfrclimited", None)
    if limited is not None and np.any(limited):
        for row in np.flatnonzero(_of_kind(model, indices, "TENDON")).tolist():
            tendon = model.actuator_trnid[indices[row], 0]
            if limited[tendon]:
                ranges[row] = np.clip(model.tendon_actfrcrange[tendon], *ranges[row])
    return ranges


def _of_kind(model: Any, indices: list[int], *names: str) -> np.ndarray:
    """(A,) bool: whether its transmission is one of these."""
    return np.isin(model.actuator_trntype[indices], [int(getattr(mujoco().mjtTrn, f"mjTRN_{name}")) for name in names])


def _options(model: Any, name: str) -> MujocoOptions:
    option = model.opt
    x, y, z = (0.0, 0.0, 0.0) if _disabled(model, "GRAVITY") else option.gravity.tolist()
    u, v, w = option.wind.tolist()
    return MujocoOptions(
        source=name,
        timestep=float(option.timestep),
        integrator=INTEGRATORS[option.integrator],
        cone=CONES[option.cone],
        solver=SOLVERS[option.solver],
        impratio=float(option.impratio),
        iterations=int(option.iterations),
        tolerance=float(option.tolerance),
        ls_iterations=int(option.ls_iterations),
        ls_tolerance=float(option.ls_tolerance),
        gravity=(x, y, z),
        density=float(option.density),
        viscosity=float(option.viscosity),
        wind=(u, v, w),
        refsafe=not _disabled(model, "REFSAFE"),
        eulerdamp=not _disabled(model, "EULERDAMP"),
        warmstart=not _disabled(model, "WARMSTART"),
        filterparent=not _disabled(model, "FILTERPARENT"),
    )


def _disabled(model: Any, *flags: str) -> bool:
    """Whether one of these flags of MuJoCo is switched off; a version without a flag has it on."""
    bits = [getattr(mujoco().mjtDisableBit, f"mjDSBL_{flag}", 0) for flag in flags]
    return any(model.opt.disableflags & int(bit) for bit in bits)


def _ranges(limited: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(n, 2); -inf and inf where there is no range."""
    return np.where(limited.astype(bool)[:, None], ends, (-np.inf, np.inf))
