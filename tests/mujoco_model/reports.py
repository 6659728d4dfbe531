"""What a failed comparison says: which states are wrong, and which rows they have."""

from collections import Counter
from typing import Any

import mujoco
import numpy as np

from tests.mujoco_model.engine import CONTACTS, Engine, States


def _names(enum: Any, prefix: str) -> dict[int, str]:
    return {int(member): name.removeprefix(prefix).lower() for name, member in enum.__members__.items()}


CONSTRAINTS = _names(mujoco.mjtConstraint, "mjCNSTR_")
PIECES = _names(mujoco.mjtConstraintState, "mjCNSTRSTATE_")
SHAPES = _names(mujoco.mjtGeom, "mjGEOM_")
JOINTS = _names(mujoco.mjtJoint, "mjJNT_")


def rows_of(engine: Engine, states: States, at: int, controls: np.ndarray | None = None) -> str:
    """Names of the rows in all evaluations of a step from a state, each with its piece, and how often."""
    m = engine.m
    qpos, qvel, ctrl = (x[at] for x in (states.qpos, states.qvel, states.ctrl))
    met: Counter[str] = Counter()
    for evaluation in engine.evaluations(qpos, qvel, ctrl if controls is None else controls):
        for kind, owner, piece in zip(evaluation.kinds, evaluation.owners, evaluation.pieces, strict=True):
            if kind in CONTACTS:
                geom = owner[0] if m.geom_type[owner[0]] != mujoco.mjtGeom.mjGEOM_PLANE else owner[1]
                what = f"{m.geom(geom).name or geom} ({SHAPES[int(m.geom_type[geom])]}, condim {m.geom_condim[geom]})"
            else:
                joint = m.dof_jntid[owner[0]] if CONSTRAINTS[kind] == "friction_dof" else owner[0]
                what = f"{m.joint(joint).name} ({JOINTS[int(m.jnt_type[joint])]})"
            met[f"{CONSTRAINTS[kind]} {what} {PIECES[piece]}"] += 1
    return ", ".join(f"{n}x {what}" for what, n in met.items()) or "no rows"


def summary(name: str, errors: np.ndarray, left_out: int = 0) -> str:
    """One line of errors (B,)."""
    finite = errors[np.isfinite(errors)]
    if not len(finite):
        return f"{name}: no finite error among {len(errors)}"
    quantiles = " ".join(f"{np.quantile(finite, q):.1e}" for q in (0.5, 0.9, 0.99, 1.0))
    wrong = f", {len(errors) - len(finite)} not finite" if len(finite) < len(errors) else ""
    return f"{name}: median, 90 %, 99 %, most: {quantiles} of {len(errors)} states{wrong}; {left_out} left out"


def worst(engine: Engine, states: States, errors: np.ndarray, bar: float, most: int = 3) -> str:
    """The worst states above a bar with their rows, one a line."""
    order = np.argsort(-np.nan_to_num(errors, nan=np.inf))[:most]
    above = [at for at in order if not errors[at] < bar]
    m, option = engine.m, engine.m.opt
    lines = [f"  integrator {option.integrator}, cone {option.cone}, impratio {option.impratio:g}, nv {m.nv}"]
    lines += [f"  state {at}: {errors[at]:.1e}: {rows_of(engine, states, int(at))}" for at in above]
    return "\n".join(lines)
