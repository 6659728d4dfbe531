"""The contact models that the rigid solver knows, by their options."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from genesis.loaders.model import RigidModel
from genesis.loaders.parts import GroundGeom
from genesis.solvers.rigid import layout, prepare
from genesis.solvers.rigid.compliant import compliant
from genesis.solvers.rigid.mujoco import layout as mujoco_layout
from genesis.solvers.rigid.mujoco import prepare as mujoco_prepare
from genesis.solvers.rigid.setup import Place, Setup


class ContactModel(NamedTuple):
    """What is known of a contact model before there is a solver."""

    parameters: Mapping[str, tuple[str | int, ...]]
    """Their table: names and shapes, in their order."""
    initial: Callable[..., np.ndarray]
    """All of them, of a robot, grounds, options of the model, and gravity."""
    setup: Callable[..., Setup]
    """Arguments are those of `setup`."""
    places: Callable[[RigidModel], Sequence[Place]]
    """Of the outputs `contacts`, in their order."""


MODELS = {
    "CompliantContact": ContactModel(layout.PARAMETER_TABLE, prepare.initial_parameters, compliant, prepare.places),
    "MujocoContact": ContactModel(
        mujoco_layout.PARAMETER_TABLE, mujoco_prepare.initial_parameters, mujoco_prepare.mujoco,
        mujoco_prepare.places,
    ),  # fmt: skip
}
"""By the name of the class of `options.contact`."""


def _model(options: Any) -> ContactModel:
    return MODELS[type(options.contact).__name__]


def owners(options: Any) -> dict[str, str]:
    """What has each parameter: links, geoms, dofs, actuators or grounds."""
    return {name: str(shape[0]) for name, shape in _model(options).parameters.items()}


def parameter_layout(
    options: Any, model: RigidModel, grounds: Sequence[GroundGeom]
) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Name -> (first index, shape) of each parameter's numbers."""
    sizes = model.n_links, len(model.geoms), model.n_dofs, len(grounds)
    table = _model(options).parameters
    has_actuators = any(shape[0] == "actuators" for shape in table.values())
    return layout.parameter_layout(*sizes, table, len(model.actuator_table.others) if has_actuators else 0)


def places(options: Any, model: RigidModel) -> Sequence[Place]:
    """Of the outputs `contacts`, in their order."""
    return _model(options).places(model)


def initial_parameters(
    options: Any, model: RigidModel, grounds: Sequence[GroundGeom], gravity: Sequence[float]
) -> np.ndarray:
    """All of them, as models and options say."""
    return _model(options).initial(model, grounds, options.contact, gravity)


def setup(
    model: RigidModel, grounds: Sequence[GroundGeom], options: Any, dt: float, gravity: Sequence[float],
    outputs: Sequence[str], labels: Sequence[str],
) -> Setup:  # fmt: skip
    """Of the contact model that `options.contact` names. Arguments are those of `compliant`."""
    return _model(options).setup(model, grounds, options, dt, gravity, outputs, labels)
