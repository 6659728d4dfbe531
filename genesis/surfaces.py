"""How a body looks."""

from typing import TYPE_CHECKING, Any

from genesis.checks import assign, choice, number, record, vector
from genesis.errors import GenesisValueError
from genesis.public_engine import missing
from genesis.warning import warn_once

COLORS: dict[str, tuple[float, float, float]] = {
    "black": (0.08, 0.08, 0.09),
    "blue": (0.17, 0.40, 0.85),
    "brown": (0.55, 0.36, 0.22),
    "gray": (0.55, 0.57, 0.60),
    "green": (0.25, 0.66, 0.34),
    "orange": (0.95, 0.50, 0.15),
    "pink": (0.92, 0.45, 0.62),
    "purple": (0.52, 0.34, 0.75),
    "red": (0.86, 0.22, 0.20),
    "teal": (0.14, 0.60, 0.62),
    "white": (0.94, 0.94, 0.93),
    "yellow": (0.96, 0.78, 0.22),
}
LOOKS = "BSDF Plastic Rough Smooth Reflective Collision Metal Iron Aluminium Copper Gold Water".split()
"""Surfaces of the public engine, which are drawn as `Default`."""
VIS_MODES = ("visual", "collision", "particle", "recon")


def rgb_of(what: str, color: object) -> tuple[float, float, float]:
    """A colour from its name, or from three numbers of 0 … 1; a fourth one, the opacity, must be 1.

    Raises:
        GenesisValueError: An unknown name, which is answered with the known ones; a number out of range.
    """
    if isinstance(color, str):
        return COLORS[choice(what, color, tuple(COLORS))]
    size = len(color) if isinstance(color, (tuple, list)) and len(color) == 4 else 3
    numbers = vector(what, color, size)
    for entry in numbers:
        number(f"every entry of {what}", entry, 0.0, 1.0, closed=True)
    if numbers[3:] not in ((), (1.0,)):
        raise GenesisValueError(f"{what} must be opaque, got an alpha of {numbers[3]}. Leave the fourth number out.")
    return numbers[0], numbers[1], numbers[2]


@record
class Default:
    """A plain opaque surface."""

    color: tuple[float, ...] | str | None = None
    """Red, green and blue, each from 0 to 1, or one of `COLORS`. None: what suits the kind of the body."""
    vis_mode: str | None = None
    """Of bodies of particles: "particle" draws balls (the default), "recon" a smooth surface. Of others "visual";
    of robots "collision" draws what touches in place of what the file shows."""

    def __post_init__(self) -> None:
        if self.color is not None:
            assign(self, "color", rgb_of("surfaces.Default.color", self.color))
        if self.vis_mode is not None:
            assign(self, "vis_mode", choice("surfaces.Default.vis_mode", self.vis_mode, VIS_MODES))

    @property
    def rgb(self) -> tuple[float, float, float] | None:
        """`color` as numbers."""
        return None if self.color is None else rgb_of("surfaces.Default.color", self.color)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in LOOKS:
            warn_once(f"surfaces.{name} has no effect but by its color: surfaces are matte.")
            return Default
        raise missing("gs.surfaces", name)
