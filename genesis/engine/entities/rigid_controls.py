"""The control of a degree of freedom, five numbers, and what a robot's motors and servos make of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genesis.errors import GenesisValueError
from genesis.loaders.parts import Actuator

N_CONTROLS = 5
FORCE, TARGET_POS, TARGET_VEL, FOLLOW_POS, FOLLOW_VEL = range(N_CONTROLS)
"""Columns of a degree of freedom's control."""
COLUMN = {"force": FORCE, "position": TARGET_POS, "velocity": TARGET_VEL}
"""Of the number that an actuator's control becomes."""
FOLLOWED = {"force": (), "position": (FOLLOW_POS, FOLLOW_VEL), "velocity": (FOLLOW_VEL,)}
"""Of the gates that it opens."""


@dataclass(frozen=True)
class DrivePlan:
    """How controls of drives become those of their degrees of freedom, rows of `N_CONTROLS` numbers flattened."""

    of: tuple[int, ...]
    """Places of the drives among the chosen actuators."""
    dofs: tuple[int, ...]
    """Degrees of freedom that get new rows."""
    gear: tuple[float, ...]
    """Of each drive: what its control is multiplied with."""
    inverse: tuple[bool, ...]
    """Or divided by."""
    at: tuple[int, ...]
    """Of each drive: where in the flat rows it belongs."""
    gates: tuple[float, ...]
    """The flat rows without the drives' numbers."""
    kept: tuple[int, ...]
    """Where the flat rows keep what is there, for actuators that are not chosen."""


def plan_drives(name: str, drives: Mapping[int, Actuator], chosen: Sequence[int]) -> DrivePlan:
    """For some actuators of an entity `name`, by index.

    Raises:
        GenesisValueError: Of several motors on one degree of freedom only some are chosen.
    """
    own = [(place, index, drives[index]) for place, index in enumerate(chosen) if index in drives]
    dofs = sorted({drive.dof for _, _, drive in own})
    row = {dof: N_CONTROLS * k for k, dof in enumerate(dofs)}
    gates = [0.0] * (N_CONTROLS * len(dofs))
    for _, _, drive in own:
        for column in FOLLOWED[drive.kind]:
            gates[row[drive.dof] + column] = 1.0
    at = [row[drive.dof] + COLUMN[drive.kind] for _, _, drive in own]
    kept = []
    for index, drive in drives.items():
        if drive.dof in row and index not in chosen:
            columns = [row[drive.dof] + column for column in (COLUMN[drive.kind], *FOLLOWED[drive.kind])]
            if columns[0] in at:
                raise GenesisValueError(
                    f"{name}.actuators_idx_local must hold all actuators of one kind on a degree of freedom, got some "
                    f"without {drive.name!r}, on {drive.dof}. Choose it, too."
                )
            kept += [place for place in columns if not gates[place]]
    return DrivePlan(
        tuple(place for place, _, _ in own),
        tuple(dofs),
        tuple(drive.gear for _, _, drive in own),
        tuple(drive.kind != "force" for _, _, drive in own),
        tuple(at),
        tuple(gates),
        tuple(sorted(set(kept))),
    )
