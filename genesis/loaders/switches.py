"""What options of a scene switch off, taken out of a model's numbers."""

from dataclasses import replace

import numpy as np

from genesis.loaders.model import RigidModel
from genesis.loaders.mujoco_flags import SEEN_ALONE
from genesis.loaders.mujoco_numbers import EqualityNumbers, ExplicitPairs


def without_contact(model: RigidModel) -> RigidModel:
    """A model whose shapes touch no rigid body and no ground; particles touch them."""
    geoms = tuple(replace(geom, group=SEEN_ALONE if geom.group or geom.mask else 0, mask=0) for geom in model.geoms)
    numbers = model.mujoco
    if numbers is not None:
        numbers = replace(numbers, pairs=ExplicitPairs.defaults(0, {}))
    return replace(model, geoms=geoms, mujoco=numbers)


def without_limits(model: RigidModel) -> RigidModel:
    """A model whose joints and tendons move without limits."""
    endless = np.full(model.n_dofs, np.inf)
    numbers = model.mujoco
    if numbers is not None:
        joints, tendons = numbers.joints, numbers.tendons
        joints = replace(joints, limited=np.zeros(len(joints), dtype=bool), range=np.zeros((len(joints), 2)))
        ranges = np.tile([-np.inf, np.inf], (len(tendons), 1))
        numbers = replace(numbers, joints=joints, tendons=replace(tendons, range=ranges))
    return replace(model, limit_low=-endless, limit_high=endless, mujoco=numbers)


def without_constraints(model: RigidModel) -> RigidModel:
    """A model without contacts, limits, equalities and dry friction."""
    model = without_limits(without_contact(model))
    numbers = model.mujoco
    if numbers is None:
        return model
    dofs = replace(numbers.dofs, frictionloss=np.zeros(len(numbers.dofs)))
    tendons = replace(numbers.tendons, frictionloss=np.zeros(len(numbers.tendons)))
    return replace(
        model, mujoco=replace(numbers, dofs=dofs, tendons=tendons, equalities=EqualityNumbers.defaults(0, {}))
    )
