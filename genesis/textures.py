"""Textures, for scripts of the public engine: surfaces are of one colour, so that they are without effect."""

from typing import TYPE_CHECKING, Any

from genesis.checks import record
from genesis.public_engine import missing


@record
class ColorTexture:
    """A colour."""

    color: Any = (1.0, 1.0, 1.0)
    """Red, green and blue."""


@record
class ImageTexture:
    """A picture."""

    image_path: Any = None
    """Its file, which is not read."""
    image_array: Any = None
    """Its pixels."""
    image_color: Any = None
    """What they are multiplied with."""
    encoding: str = "srgb"
    """Of the numbers."""


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing("gs.textures", name)
