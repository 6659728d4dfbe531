"""The picture of ||dJ/da_t||: steps of the window downwards, updates to the right, colours on a logarithmic scale."""

import io
from typing import Any

import numpy as np

from genesis.errors import optional_import

COLUMNS = 240
"""Updates at most that a picture shows; of a longer run every second, every fourth, ..."""
DECADES = 8.0
"""Values below the largest one by more than so many powers of ten have the darkest colour."""
SIZE = (480, 240)
"""Width and height of the coloured area, pixels; a window of more steps is higher."""
LEFT, RIGHT, TOP, BOTTOM = 40, 74, 22, 22
"""Margins, pixels."""
SCALE = np.array([(20, 18, 60), (62, 44, 130), (36, 110, 150), (46, 170, 120), (160, 214, 70), (253, 238, 120)])
"""Colours of the scale, from small to large."""
LOST, ABSENT = (220, 40, 60), (225, 225, 225)
"""Colours of a gradient that was not finite, and of steps that the window did not have."""


class History:
    """Columns of norms by update, thinned evenly so that there are never more than `COLUMNS`."""

    def __init__(self) -> None:
        """Empty."""
        self.columns: list[tuple[int, np.ndarray]] = []
        """Environment steps after the update, and norms (H,) by step of the window."""
        self._stride, self._seen = 1, 0

    def add(self, step: int, norms: np.ndarray) -> None:
        """Notes an update's norms (H,), or passes it over."""
        if self._seen % self._stride == 0:
            self.columns.append((step, norms))
            if len(self.columns) > COLUMNS:
                self.columns = self.columns[::2]
                self._stride *= 2
        self._seen += 1

    def values(self) -> np.ndarray:
        """(T, U): longest window by updates; NaN where the window had no such step, inf where it was not finite."""
        values = np.full((max(len(norms) for _, norms in self.columns), len(self.columns)), np.nan)
        for place, (_, norms) in enumerate(self.columns):
            values[: len(norms), place] = np.where(np.isfinite(norms), norms, np.inf)
        return values


def colours(values: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Colours (T, U, 3) uint8 of norms (T, U), and the powers of ten at the ends of the scale."""
    usable = np.isfinite(values) & (values > 0)
    logs = np.log10(values, where=usable, out=np.full(values.shape, -np.inf))
    high = float(logs[usable].max()) if usable.any() else 0.0
    low = max(float(logs[usable].min()), high - DECADES) if usable.any() else -1.0
    high = max(high, low + 1e-3)
    picture = _scale((logs - low) / (high - low))
    picture[np.isposinf(values)] = LOST
    picture[np.isnan(values)] = ABSENT
    return picture, low, high


def draw(history: History) -> tuple[bytes, tuple[int, int]]:
    """The picture as PNG, and its width and height in pixels.

    Raises:
        GenesisImportError: The extra `video`, which has pillow, is not installed.
    """
    image_of, drawing_on = _pillow()
    values = history.values()
    area, low, high = colours(values)
    width, height = SIZE[0], max(SIZE[1], len(values))
    canvas = image_of.new("RGB", (LEFT + width + RIGHT, TOP + height + BOTTOM), "white")
    canvas.paste(image_of.fromarray(area).resize((width, height), image_of.Resampling.NEAREST), (LEFT, TOP))
    ramp = _scale(np.linspace(1.0, 0.0, height)[:, None])
    bar = LEFT + width + 14
    canvas.paste(image_of.fromarray(ramp).resize((12, height), image_of.Resampling.NEAREST), (bar, TOP))

    pen = drawing_on.Draw(canvas)
    first, last = history.columns[0][0], history.columns[-1][0]
    for place, anchor, text in (
        ((LEFT, TOP - 6), "ls", "|| dJ / da_t ||, mean over environments"),
        ((LEFT - 4, TOP), "rt", "t = 0"),
        ((LEFT - 4, TOP + height), "rs", str(len(values) - 1)),
        ((LEFT, TOP + height + 6), "lt", f"{first:,} steps"),
        ((LEFT + width, TOP + height + 6), "rt", f"{last:,} steps"),
        ((bar + 16, TOP), "lt", f"{10**high:.1e}"),
        ((bar + 16, TOP + height), "ls", f"{10**low:.1e}"),
    ):
        pen.text(place, text, fill="black", anchor=anchor)
    data = io.BytesIO()
    canvas.save(data, "PNG")
    return data.getvalue(), canvas.size


def _scale(part: np.ndarray) -> np.ndarray:
    """Colours (..., 3) uint8 of numbers (...) from 0 to 1."""
    place = np.clip(part, 0.0, 1.0) * (len(SCALE) - 1)
    return np.stack([np.interp(place, range(len(SCALE)), channel) for channel in SCALE.T], axis=-1).astype(np.uint8)


def _pillow() -> tuple[Any, Any]:
    with optional_import("pillow", "video", "to draw pictures of gradients"):
        from PIL import Image, ImageDraw
    return Image, ImageDraw
