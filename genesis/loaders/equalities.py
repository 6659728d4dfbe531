"""Equality constraints: from MuJoCo's compiled model to `EqualityNumbers`, and moved with a model's roots."""

from dataclasses import replace
from typing import Any

import numpy as np

from genesis.loaders import rotations
from genesis.loaders.lazy_import import mujoco
from genesis.loaders.links import Links
from genesis.loaders.mujoco_numbers import EQUALITIES, EqualityNumbers, MujocoNumbers
from genesis.loaders.parts import IDENTITY
from genesis.loaders.tendons import translated_tendons

WORLD = -1


def is_translated(model: Any, index: int) -> bool:
    """Whether an equality constraint of a compiled model is of a kind that `EqualityNumbers` has."""
    kind = model.eq_type[index]
    if kind >= len(EQUALITIES):
        return False
    known = translated_tendons(model) if EQUALITIES[kind] == "tendon" else None
    return known is None or {int(model.eq_obj1id[index]), int(model.eq_obj2id[index])} <= {*known, -1}


def read_equalities(model: Any, links: Links) -> EqualityNumbers:
    """Those that are active, in the file's order; none where the file's flags switch them off."""
    rows: list[dict[str, Any]] = []
    if not model.opt.disableflags & int(mujoco().mjtDisableBit.mjDSBL_EQUALITY):
        for index in range(model.neq):
            if is_translated(model, index) and model.eq_active0[index]:
                of = {"joint": _of_joints, "tendon": _of_tendons}.get(EQUALITIES[model.eq_type[index]], _of_bodies)
                law = {"kind": model.eq_type[index], "solref": model.eq_solref[index], "solimp": model.eq_solimp[index]}
                rows.append(law | of(model, index, links))
    names = {name for row in rows for name in row}
    whole = EqualityNumbers.defaults(len(rows), {})
    columns = {name: getattr(whole, name).copy() for name in names}
    for k, row in enumerate(rows):
        for name, value in row.items():
            columns[name][k] = value
    return EqualityNumbers.defaults(len(rows), columns)


def _of_joints(model: Any, index: int, links: Links) -> dict[str, Any]:
    joints = [int(model.eq_obj1id[index]), int(model.eq_obj2id[index])]
    weight = sum(float(model.dof_invweight0[model.jnt_dofadr[joint]]) for joint in joints if joint >= 0)
    return {"joint": joints, "weight": (weight, 0.0), "polynomial": model.eq_data[index, :5]}


def _of_tendons(model: Any, index: int, links: Links) -> dict[str, Any]:
    own = [tendon for tendon in (int(model.eq_obj1id[index]), int(model.eq_obj2id[index])) if tendon >= 0]
    rows = translated_tendons(model)
    return {
        "tendon": ([rows.index(tendon) for tendon in own] + [-1])[:2],
        "weight": (float(model.tendon_invweight0[own].sum()), 0.0),
        "polynomial": model.eq_data[index, :5],
    }


def _of_bodies(model: Any, index: int, links: Links) -> dict[str, Any]:
    weld, data = EQUALITIES[model.eq_type[index]] == "weld", model.eq_data[index]
    objects = [int(model.eq_obj1id[index]), int(model.eq_obj2id[index])]
    if model.eq_objtype[index] == int(mujoco().mjtObj.mjOBJ_SITE):
        bodies = [int(model.site_bodyid[site]) for site in objects]
        frames = [(model.site_pos[site], model.site_quat[site]) for site in objects]
    elif weld:
        bodies, frames = objects, [(data[3:6], data[6:10]), (data[:3], np.array(IDENTITY))]
    else:
        bodies, frames = objects, [(data[:3], np.array(IDENTITY)), (data[3:6], np.array(IDENTITY))]
    placed = [
        links.place(body, pos.copy(), quat / np.linalg.norm(quat))
        for body, (pos, quat) in zip(bodies, frames, strict=True)
    ]
    return {
        "link": [int(links.of_body[body]) for body in bodies],
        "pos": [pos for pos, _ in placed],
        "quat": [quat for _, quat in placed],
        "weight": sum(model.body_invweight0[body] for body in bodies),
        "torquescale": data[10] if weld else 0.0,
    }


def moved_world(numbers: MujocoNumbers, shift: np.ndarray, turn: np.ndarray) -> MujocoNumbers:
    """With what is fixed in the world itself moved by a rotation about its origin, then by `shift` (3,)."""
    moved: dict[str, Any] = {}
    for name in ("equalities", "actuators", "tendon_parts"):
        rows = getattr(numbers, name)
        places = {each: getattr(rows, each).copy() for each in ("pos", "quat") if hasattr(rows, each)}
        pos, quat = places["pos"], places.get("quat")
        for row, side in np.argwhere(rows.link == WORLD):
            along = np.array(IDENTITY) if quat is None else quat[row, side]
            pos[row, side], along = rotations.compose((shift, turn), (pos[row, side], along))
            if quat is not None:
                quat[row, side] = along
        moved[name] = replace(rows, **places)
    return replace(numbers, **moved)
