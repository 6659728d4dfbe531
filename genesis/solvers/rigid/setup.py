"""What a contact model gives to the rigid solver: its arrays and kernels, constants and parameters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from genesis.arrays import Table
from genesis.compiler import Functions


class Place(NamedTuple):
    """A place of the outputs `contacts`: on which link, and of which geom."""

    link: int
    geom: str


@dataclass(frozen=True, eq=False)
class Setup:
    """All that kernels of one contact model need beside the state."""

    table: Table
    driver: Callable[[], Functions]
    """Makes the kernels `advance` and `advance_adjoint`."""
    outputs: bool
    """Whether these write `contacts` and `joint`."""
    constants: Mapping[str, Any]
    """Arrays of the table's life "constant", less `size`, by name."""
    sizes: Mapping[str, int]
    """Sizes of the table that do not depend on environments, frames, parameters or the precision."""
    places: Sequence[Place]
    evaluations: int = 1
    """Frames that a substep takes."""
