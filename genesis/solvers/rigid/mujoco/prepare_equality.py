"""From a robot's equality constraints to what the kernels read of them."""

from typing import NamedTuple

import numpy as np

from genesis.loaders import rotations
from genesis.loaders.actuator_table import chains_of, tendon_arms
from genesis.loaders.invweight import numbers_of
from genesis.loaders.model import RigidModel
from genesis.solvers.rigid.mujoco import layout as slot

DIMENSIONS = {slot.CONNECT: 3, slot.WELD: 6, slot.JOINT: 1, slot.TENDON: 1}


class Equalities(NamedTuple):
    """Arrays of `layout.TABLE`; constraints of bodies that nothing moves are left out."""

    ints: np.ndarray
    """`equality`."""
    numbers: np.ndarray
    """`equality_numbers`."""
    dofs: np.ndarray
    """`equality_dofs`."""

    def __len__(self) -> int:  # type: ignore[override]
        return len(self.ints)

    @property
    def depth(self) -> int:
        """Most dofs of one."""
        return int(self.ints[:, slot.E_DEPTH].max(initial=0))

    @property
    def rows(self) -> int:
        """Most rows of one."""
        return int(self.ints[:, slot.E_DIM].max(initial=0))


def pack_equalities(model: RigidModel) -> Equalities:
    """Of a robot."""
    table, chains = numbers_of(model).equalities, chains_of(model)
    ints, numbers, dofs = [], [], []
    for row, kind in enumerate(table.kind.tolist()):
        links = table.link[row].tolist()
        packed, behind = np.zeros(slot.EQUALITY_NUMBERS), []
        if kind == slot.JOINT:
            joints = [model.joints[joint] for joint in table.joint[row].tolist() if joint >= 0]
            own = [(joint.dof, 0) for joint in joints]
            couples = len(joints) > 1
            packed[slot.E_REST : slot.E_REST + len(joints)] = [model.qpos0[joint.q] for joint in joints]
        elif kind == slot.TENDON:
            links = table.tendon[row].tolist()
            arms = [list(tendon_arms(model, numbers_of(model), tendon)) for tendon in links if tendon >= 0]
            moved = list(dict.fromkeys(dof for own in arms for dof in own))
            own, couples = [(dof, 0) for dof in moved], len(moved) > 1
            behind = [(moved.index(dof), 0) for dof in arms[1]] if len(arms) > 1 else []
            packed[slot.E_REST : slot.E_REST + len(arms)] = numbers_of(model).tendons.rest[links[: len(arms)]]
        else:
            one, two = (chains[link] if link >= 0 else [] for link in links)
            moved = sorted({*one, *two}, reverse=True)
            own = [(dof, slot.SIDE_A * (dof in one) + slot.SIDE_B * (dof in two)) for dof in moved]
            couples = len(moved) > max(len(one), len(two))
            for first, pos in zip((slot.E_POS_A, slot.E_POS_B), table.pos[row], strict=True):
                packed[first : first + 3] = pos
            for first, quat in zip((slot.E_TURN_A, slot.E_TURN_B), table.quat[row], strict=True):
                packed[first : first + 9] = rotations.matrix(quat).ravel()
        if own:
            ints.append((kind, *links, len(dofs), len(own), DIMENSIONS[kind], int(couples)))
            for first, values in (
                (slot.E_WEIGHT, table.weight[row]), (slot.E_SCALE, [table.torquescale[row]]),
                (slot.E_REF, table.solref[row]), (slot.E_IMP, table.solimp[row]),
                (slot.E_POLYNOMIAL, table.polynomial[row]),
            ):  # fmt: skip
                packed[first : first + len(values)] = values
            numbers.append(packed)
            dofs += [*own, *behind]
    return Equalities(
        np.array(ints, int).reshape(-1, slot.EQUALITY_INTS),
        np.array(numbers).reshape(-1, slot.EQUALITY_NUMBERS),
        np.array(dofs, int).reshape(-1, 2),
    )
