"""The contact models that the rigid solver knows, by their options."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from genesis.loaders.model import RigidModel
from genesis.loaders.parts import GroundGeom
from genesis.solvers.rigid import layout, prepare
from genesis.solvers.rigid.compliant import compliant
from genesis.solvers.rigid.mujoco import layout as mujoco_layout
from genesis.solvers.rigid.mujoco.prepare import mujoco, own_values
from genesis.solvers.rigid.setup import Setup

MODELS = {"CompliantContact": compliant, "MujocoContact": mujoco}
TABLES = {"CompliantContact": layout.PARAMETER_TABLE, "MujocoContact": mujoco_layout.PARAMETER_TABLE}


def owners(options: Any) -> dict[str, str]:
    """What has each parameter: links, geoms, dofs or grounds."""
    return {name: str(shape[0]) for name, shape in TABLES[type(options.contact).__name__].items()}


def parameter_layout(
    options: Any, model: RigidModel, grounds: Sequence[GroundGeom]
) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Name -> (first index, shape) of each parameter's numbers."""
    sizes = {"links": model.n_links, "geoms": len(model.geoms), "dofs": model.n_dofs, "grounds": len(grounds)}
    return layout.parameter_places(TABLES[type(options.contact).__name__], sizes)


def initial_parameters(
    options: Any, model: RigidModel, grounds: Sequence[GroundGeom], gravity: Sequence[float]
) -> np.ndarray:
    """All of them, as models and options say."""
    if type(options.contact).__name__ == "MujocoContact":
        values = own_values(model, grounds, options.contact.smoothing)
        return np.concatenate([np.ravel(value) for value in values.values()])
    return prepare.initial_parameters(model, grounds, options.contact, gravity)


def setup(
    model: RigidModel, grounds: Sequence[GroundGeom], options: Any, dt: float, gravity: Sequence[float],
    outputs: Sequence[str], labels: Sequence[str],
) -> Setup:  # fmt: skip
    """Of the contact model that `options.contact` names. Arguments are those of `compliant`."""
    return MODELS[type(options.contact).__name__](model, grounds, options, dt, gravity, outputs, labels)
