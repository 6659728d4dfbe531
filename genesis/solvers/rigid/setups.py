"""The contact models that the rigid solver knows, by their options."""

from collections.abc import Sequence
from typing import Any

from genesis.loaders.model import RigidModel
from genesis.loaders.parts import GroundGeom
from genesis.solvers.rigid.compliant import compliant
from genesis.solvers.rigid.mujoco.prepare import mujoco
from genesis.solvers.rigid.setup import Setup

MODELS = {"CompliantContact": compliant, "MujocoContact": mujoco}


def setup(
    model: RigidModel, grounds: Sequence[GroundGeom], options: Any, dt: float, gravity: Sequence[float],
    outputs: Sequence[str], labels: Sequence[str],
) -> Setup:  # fmt: skip
    """Of the contact model that `options.contact` names. Arguments are those of `compliant`."""
    return MODELS[type(options.contact).__name__](model, grounds, options, dt, gravity, outputs, labels)
