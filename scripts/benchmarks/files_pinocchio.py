"""What pinocchio makes of a URDF file, a second reader and a second mass matrix; nothing where it is not installed."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from genesis.loaders.mass_matrix import mass_matrix
from genesis.loaders.model import RigidModel

CHANGING = {"mass", "inertia", "element"}
"""Repairs after which a robot may weigh something else than its file says."""


def known(path: Path) -> dict[str, bool]:
    """Whether pinocchio loads a URDF file."""
    pinocchio = _pinocchio()
    return {} if pinocchio is None else {"pinocchio": _model(pinocchio, path) is not None}


def weighed(path: Path, ours: RigidModel, repairs: list[str]) -> dict[str, float]:
    """How far the mass matrix at rest is from pinocchio's, in its eigenvalues, relative to the greatest: the order and
    the signs of joints do not count. 1 for another number of degrees of freedom; nothing where nothing moves, a
    mass is made up, or pinocchio does not load the file."""
    pinocchio = _pinocchio()
    made_up = CHANGING & set(repairs) or any("<inertial>" in loss for loss in ours.losses)
    if pinocchio is None or made_up or ours.n_dofs == 0 or _model(pinocchio, path) is None:
        return {}
    for root in ((), (pinocchio.JointModelFreeFlyer(),)):
        model = _model(pinocchio, path, *root)
        if model.nv == ours.n_dofs:
            full = np.triu(pinocchio.crba(model, model.createData(), pinocchio.neutral(model)))
            theirs = np.linalg.eigvalsh(full + np.triu(full, 1).T)
            return {"weighed": float(np.abs(np.linalg.eigvalsh(mass_matrix(ours)) - theirs).max() / theirs.max())}
    return {"weighed": 1.0}


def _pinocchio() -> Any:
    try:
        return importlib.import_module("pinocchio")
    except ImportError:
        return None


def _model(pinocchio: Any, path: Path, *root: Any) -> Any:
    try:
        return pinocchio.buildModelFromUrdf(str(path), *root)
    except (ValueError, RuntimeError):
        return None
