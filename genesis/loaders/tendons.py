"""Tendons: from MuJoCo's compiled model to `TendonNumbers` and `TendonPartNumbers`."""

from typing import Any

import numpy as np

from genesis.loaders.lazy_import import mujoco
from genesis.loaders.links import Links
from genesis.loaders.mujoco_numbers import TendonNumbers, TendonPartNumbers
from genesis.loaders.parts import IDENTITY

CURVED = ("stiffnesspoly", "dampingpoly", "springyield")
"""Of a tendon, what is refused where it is not zero."""


def tendon_problem(model: Any, index: int) -> str | None:
    """Why a tendon of a compiled model cannot be translated, or None."""
    if any(np.any(_newer(model, f"tendon_{name}", index) != 0) for name in CURVED):
        return "springs or dampers that are not linear"
    if np.any(_newer(model, "tendon_plasticadr", index, -1) >= 0):
        return "plasticity"
    kinds = _kinds(model, index)
    if "geom" in kinds:
        return "wraps around a geom"
    if kinds != {"joint"} and np.any(_newer(model, "tendon_armature", index) != 0):
        return "armature between sites"
    if np.any(_newer(model, "tendon_actfrclimited", index) != 0):
        pulling = actuators_on(model, index)
        by_velocity = [model.actuator_gainprm[k, 2] or model.actuator_biasprm[k, 2] for k in pulling]
        if len(pulling) > 1 or any(by_velocity):
            return "actuatorfrcrange with several actuators, or one that damps"
    return None


def actuators_on(model: Any, tendon: int) -> list[int]:
    """Indices of the actuators that pull a tendon."""
    on_tendon = model.actuator_trntype == int(mujoco().mjtTrn.mjTRN_TENDON)
    return np.flatnonzero(on_tendon & (model.actuator_trnid[:, 0] == tendon)).tolist()


def translated_tendons(model: Any) -> list[int]:
    """Indices of those that can be translated: the rows of `TendonNumbers`."""
    return [index for index in range(model.ntendon) if tendon_problem(model, index) is None]


def read_tendons(model: Any, links: Links, off: frozenset[str]) -> tuple[TendonNumbers, TendonPartNumbers]:
    """All that can be translated, with what the file's flags in `off` switch off left out."""
    chosen = translated_tendons(model)
    limited = model.tendon_limited[chosen].astype(bool) & ("limit" not in off)
    tendons = TendonNumbers(
        stiffness=_column(model, "tendon_stiffness", chosen),
        spring=model.tendon_lengthspring[chosen],
        damping=_column(model, "tendon_damping", chosen),
        armature=np.array([_newer(model, "tendon_armature", index)[0] for index in chosen]),
        range=np.where(limited[:, None], model.tendon_range[chosen], (-np.inf, np.inf)),
        margin=model.tendon_margin[chosen],
        solref=model.tendon_solref_lim[chosen],
        solimp=model.tendon_solimp_lim[chosen],
        frictionloss=model.tendon_frictionloss[chosen] * ("frictionloss" not in off),
        loss_solref=model.tendon_solref_fri[chosen],
        loss_solimp=model.tendon_solimp_fri[chosen],
        weight=model.tendon_invweight0[chosen],
        rest=model.tendon_length0[chosen],
    )
    rows = [part for row, index in enumerate(chosen) for part in _parts(model, links, row, index)]
    columns = {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}
    return tendons, TendonPartNumbers.defaults(len(rows), columns)


def _parts(model: Any, links: Links, row: int, index: int) -> list[dict[str, Any]]:
    kinds, parts = mujoco().mjtWrap, []
    share, before = 1.0, None
    for wrap in range(model.tendon_adr[index], model.tendon_adr[index] + model.tendon_num[index]):
        kind, own = model.wrap_type[wrap], int(model.wrap_objid[wrap])
        number = float(model.wrap_prm[wrap])
        if kind == int(kinds.mjWRAP_JOINT):
            nowhere = {"link": (-1, -1), "pos": np.zeros((2, 3))}
            parts.append({"tendon": row, "joint": own, "coefficient": number, **nowhere})
        elif kind == int(kinds.mjWRAP_PULLEY):
            share, before = 1.0 / number, None
        else:
            body = int(model.site_bodyid[own])
            pos, _ = links.place(body, model.site_pos[own].copy(), np.array(IDENTITY))
            here = int(links.of_body[body]), pos
            if before is not None:
                ends = {"link": (here[0], before[0]), "pos": (here[1], before[1])}
                parts.append({"tendon": row, "joint": -1, "coefficient": share, **ends})
            before = here
    return parts


def _kinds(model: Any, index: int) -> set[str]:
    """Of what it passes."""
    kinds = mujoco().mjtWrap
    names = {int(kinds.mjWRAP_JOINT): "joint", int(kinds.mjWRAP_SITE): "site", int(kinds.mjWRAP_PULLEY): "pulley"}
    first = model.tendon_adr[index]
    return {names.get(int(kind), "geom") for kind in model.wrap_type[first : first + model.tendon_num[index]]}


def _column(model: Any, name: str, chosen: list[int]) -> np.ndarray:
    return np.array([np.ravel(getattr(model, name)[index])[0] for index in chosen])


def _newer(model: Any, name: str, index: int, otherwise: float = 0.0) -> np.ndarray:
    """An entry of an array that only some versions of MuJoCo have."""
    array = getattr(model, name, None)
    return np.full(1, otherwise) if array is None else np.ravel(array[index])
