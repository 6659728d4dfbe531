"""Colours: red, green and blue as displays take them, 0 … 1, and as other programs take them."""

from genesis.visible import Rgb


def as_bytes(tint: Rgb) -> tuple[int, int, int]:
    """0 … 255."""
    r, g, b = (round(255 * part) for part in tint)
    return r, g, b


def linear(tint: Rgb) -> Rgb:
    """Amounts of light, by the curve of sRGB, which files of other programs go by."""
    r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in tint)
    return r, g, b
