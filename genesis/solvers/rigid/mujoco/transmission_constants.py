"""From a robot's tendons, and what its actuators pull, to the constants of `transmissions`, `paths` and `tendons`."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genesis.loaders import rotations
from genesis.loaders.actuator_table import apart, chains_of, tendon_arms
from genesis.loaders.invweight import numbers_of
from genesis.loaders.model import BALL, JOINT_SIZES, RigidModel
from genesis.solvers.rigid import layout as rigid
from genesis.solvers.rigid.mujoco import layout as slot
from genesis.solvers.rigid.prepare import UNLIMITED


def tendons_act(model: RigidModel) -> bool:
    """Whether tendons do anything but carry the force of actuators."""
    rows, numbers = numbers_of(model).tendons, numbers_of(model)
    by_numbers = any(getattr(rows, name).any() for name in ("stiffness", "damping", "armature", "frictionloss"))
    return bool(by_numbers or np.isfinite(rows.range).any() or (numbers.equalities.kind == slot.TENDON).any())


@dataclass
class Transmissions:
    """The constants, while they are put together. First those of all tendons, then of actuators, in their order."""

    model: RigidModel
    dof_tree: np.ndarray
    chain: np.ndarray
    ints: list[tuple[int, ...]] = field(default_factory=list)
    dofs: list[int] = field(default_factory=list)
    arms: list[float] = field(default_factory=list)
    pairs: list[tuple[int, int, int]] = field(default_factory=list)
    pieces: list[tuple[int, ...]] = field(default_factory=list)
    piece_numbers: list[np.ndarray] = field(default_factory=list)
    piece_arms: list[tuple[int, int]] = field(default_factory=list)
    of_actuators: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        numbers, self.chains = numbers_of(self.model), chains_of(self.model)
        self.begins = {
            joint.dof + c for joint in self.model.joints for c in range(JOINT_SIZES[joint.kind][1])
            if not (joint.kind == BALL and c > 0 or c > 3)
        }  # fmt: skip
        for tendon in range(len(numbers.tendons)):
            self._add_tendon(tendon)
        rows = numbers.actuators
        for index in self.model.actuator_table.others:
            joint, tendon = rows.joint[index], rows.tendon[index]
            if tendon >= 0:
                self.of_actuators.append(int(tendon))
            else:
                self.of_actuators.append(len(self.ints))
                if joint >= 0:
                    self._add({self.model.joints[joint].dof: 1.0}, straight=True)
                else:
                    self._add_site(index)

    def _add_tendon(self, tendon: int) -> None:
        numbers = numbers_of(self.model)
        parts = numbers.tendon_parts
        own = np.flatnonzero(parts.tendon == tendon)
        stretches = [row for row in own.tolist() if parts.joint[row] < 0]
        places = self._add(tendon_arms(self.model, numbers, tendon), not stretches, len(stretches))
        for row in stretches:
            packed = np.zeros(slot.PIECE_NUMBERS)
            packed[slot.P_GEAR] = parts.coefficient[row]
            one, two = parts.link[row].tolist()
            quats = np.array([(1.0, 0.0, 0.0, 0.0)] * 2)
            self._add_piece(slot.STRETCH, (one, two), parts.pos[row], quats, packed, places)

    def _add_site(self, index: int) -> None:
        rows = numbers_of(self.model).actuators
        site, reference = rows.link[index].tolist()
        kind, other = (slot.SITES, reference) if rows.sites[index] == 2 else (slot.SITE, -1)
        one, two = apart(self.chains, site, other)
        places = self._add(dict.fromkeys([*one, *two], 0.0), False, 1)
        packed = np.zeros(slot.PIECE_NUMBERS)
        packed[slot.P_GEAR : slot.P_GEAR + 6] = rows.gear[index]
        self._add_piece(kind, (site, other), rows.pos[index], rows.quat[index], packed, places)

    def _add(self, arms: dict[int, float], straight: bool, n_pieces: int = 0) -> dict[int, int]:
        """A transmission. Degree of freedom -> place of its arm."""
        first, begin = len(self.dofs), len(self.pairs)
        places = {dof: first + k for k, dof in enumerate(arms)}
        for i in arms:
            row, depth = self.dof_tree[i, rigid.ENTRY0], self.dof_tree[i, rigid.DEPTH]
            for entry in range(row, row + depth):
                if self.chain[entry] in arms:
                    self.pairs.append((entry, places[i], places[int(self.chain[entry])]))
        self.dofs += arms.keys()
        self.arms += arms.values()
        self.ints.append(
            (first, len(arms), begin, len(self.pairs) - begin, len(self.pieces), n_pieces, int(straight))
        )
        return places

    def _add_piece(
        self, kind: int, links: tuple[int, int], pos: np.ndarray, quat: np.ndarray, packed: np.ndarray,
        places: dict[int, int],
    ) -> None:  # fmt: skip
        one, two = apart(self.chains, *links)
        self.pieces.append((kind, *links, len(self.piece_arms), len(one), len(two)))
        packed[slot.P_POS_A : slot.P_POS_A + 3], packed[slot.P_POS_B : slot.P_POS_B + 3] = pos
        for first, own in zip((slot.P_TURN_A, slot.P_TURN_B), quat, strict=True):
            packed[first : first + 9] = rotations.matrix(own / np.linalg.norm(own)).ravel()
        self.piece_numbers.append(packed)
        self.piece_arms += [(places[dof], int(dof in self.begins)) for dof in (*one, *two)]

    @property
    def depth(self) -> int:
        """Most dofs of a tendon's rows."""
        return max((row[slot.TR_N_ARMS] for row in self.ints[: len(numbers_of(self.model).tendons)]), default=0)

    def constants(self) -> dict[str, Any]:
        """Of `layout.TRANSMISSION_TABLE`."""
        rows = numbers_of(self.model).tendons
        packed = np.zeros((len(rows), slot.TENDON_NUMBERS))
        for first, values in (
            (slot.D_STIFFNESS, rows.stiffness), (slot.D_SPRING, rows.spring), (slot.D_DAMPING, rows.damping),
            (slot.D_ARMATURE, rows.armature), (slot.D_RANGE, np.clip(rows.range, -UNLIMITED, UNLIMITED)),
            (slot.D_MARGIN, rows.margin), (slot.D_WEIGHT, rows.weight), (slot.D_REF, rows.solref),
            (slot.D_IMP, rows.solimp), (slot.D_LOSS, rows.frictionloss), (slot.D_LOSS_REF, rows.loss_solref),
            (slot.D_LOSS_IMP, rows.loss_solimp),
        ):  # fmt: skip
            width = int(np.prod(values.shape[1:]))
            packed[:, first : first + width] = values.reshape(len(rows), width)
        return {
            "transmission": np.array(self.ints, int).reshape(-1, slot.TRANSMISSION_INTS),
            "arm_dof": np.array(self.dofs, int), "arm": np.array(self.arms),
            "arm_pair": np.array(self.pairs, int).reshape(-1, 3),
            "piece": np.array(self.pieces, int).reshape(-1, slot.PIECE_INTS),
            "piece_numbers": np.array(self.piece_numbers).reshape(-1, slot.PIECE_NUMBERS),
            "piece_arm": np.array(self.piece_arms, int).reshape(-1, 2),
            "tendon": packed, "tendon_loss": np.flatnonzero(rows.frictionloss),
        }  # fmt: skip

    def sizes(self) -> dict[str, int]:
        """Of the same arrays."""
        rows = numbers_of(self.model).tendons
        return {
            "transmissions": len(self.ints), "arms": len(self.arms), "arm_pairs": len(self.pairs),
            "pieces": len(self.pieces), "piece_arms": len(self.piece_arms), "tendons": len(rows),
            "losses": int(np.count_nonzero(rows.frictionloss)),
        }  # fmt: skip

    @property
    def n_rows(self) -> int:
        """Most rows of tendons in a list."""
        rows = numbers_of(self.model).tendons
        return int(np.count_nonzero(rows.frictionloss) + 2 * np.isfinite(rows.range).any(1).sum())


def linked(model: RigidModel) -> set[int]:
    """Links that straight parts of tendons and actuators of sites hold on to."""
    numbers = numbers_of(model)
    parts, rows = numbers.tendon_parts, numbers.actuators
    held = [*parts.link[parts.joint < 0].ravel().tolist(), *rows.link[rows.sites == 1, 0].tolist()]
    held += rows.link[rows.sites == 2].ravel().tolist()
    return {link for link in held if link >= 0}


def dragged_links(model: RigidModel) -> np.ndarray:
    """(L,) bool, whether a tendon, or an actuator with a law of its own, damps a degree of freedom of the link."""
    numbers, table = numbers_of(model), model.actuator_table
    rows = numbers.actuators
    dofs = {dof for k in np.flatnonzero(numbers.tendons.damping) for dof in tendon_arms(model, numbers, int(k))}
    for index, arms in zip(table.others, table.arms, strict=True):
        if rows.gain[index, 2] or rows.bias[index, 2]:
            dofs |= arms.keys()
    found = np.zeros(model.n_links, bool)
    for joint in model.joints:
        found[joint.link] |= bool(dofs & set(range(joint.dof, joint.dof + JOINT_SIZES[joint.kind][1])))
    return found


def held_links(model: RigidModel) -> np.ndarray:
    """`gravcomp` (L, 4) of `layout.TABLE`; empty where nothing is held."""
    bodies = numbers_of(model).bodies
    rows = np.zeros((model.n_links, 4))
    for i in np.flatnonzero(bodies.gravcomp):
        link = bodies.link[i]
        if link >= 0 and model.mass[link] > 0:
            part = bodies.gravcomp[i] * bodies.mass[i] / model.mass[link]
            rows[link] += part * np.append(bodies.pos[i], 1.0)
    return rows if rows.any() else rows[:0]
