"""What things look like whose surface says nothing. Red, green and blue as displays take them, 0 … 1."""

from genesis.engine.entities.articulated import ArticulatedBody
from genesis.engine.entities.particle import ParticleEntity
from genesis.loaders.parts import Geom
from genesis.surfaces import Default

Rgb = tuple[float, float, float]

BASE: Rgb = (0.93, 0.46, 0.18)
"""The base link of a robot."""
LIMBS: tuple[tuple[Rgb, Rgb], tuple[Rgb, Rgb]] = (
    ((0.90, 0.89, 0.86), (0.30, 0.34, 0.40)),
    ((0.62, 0.70, 0.76), (0.16, 0.27, 0.38)),
)
"""Its other links: every other limb has the second pair, and along a limb the two colours alternate."""
LONE_LIMB: Rgb = LIMBS[1][1]
"""The only link beside the base: dark, because one thin light limb is lost before floor and sky."""
TOOL: Rgb = (0.25, 0.28, 0.34)
SOFT: Rgb = (0.16, 0.60, 0.80)
LIQUID: Rgb = (0.20, 0.45, 0.85)
FLOOR: tuple[Rgb, Rgb] = ((0.80, 0.82, 0.84), (0.70, 0.73, 0.76))
"""The two squares of a floor."""


def of_geom(entity: ArticulatedBody, geom: Geom) -> Rgb:
    """Of a shape of a robot. Shapes of its base that are of another kind than the first one look like limbs."""
    if entity.surface.rgb is not None:
        return entity.surface.rgb
    parent, depth, side, link = entity.model.parent.tolist(), 0, 0, geom.link
    root = entity.base_link.idx_local
    while link >= 0 and link != root:
        siblings = [i for i, other in enumerate(parent) if other == parent[link] and i != root]
        link, depth, side = parent[link], depth + 1, side + siblings.index(link)
    if depth:
        return LONE_LIMB if len(parent) == 2 else LIMBS[side % 2][(depth - 1) % 2]
    kinds = list(dict.fromkeys(other.kind for other in entity.model.geoms if other.link == geom.link))
    place = kinds.index(geom.kind)
    return BASE if place == 0 else LIMBS[0][(place - 1) % 2]


def of_tool(surface: Default) -> Rgb:
    return surface.rgb or TOOL


def of_particles(entity: ParticleEntity) -> Rgb:
    if entity.surface.rgb is not None:
        return entity.surface.rgb
    return LIQUID if entity.material.constitutive_model == "liquid" else SOFT


def of_ground(surface: Default) -> tuple[Rgb, Rgb]:
    if surface.rgb is None:
        return FLOOR
    r, g, b = surface.rgb
    return (r, g, b), (0.88 * r, 0.88 * g, 0.88 * b)


def as_bytes(tint: Rgb) -> tuple[int, int, int]:
    """0 … 255."""
    r, g, b = (round(255 * part) for part in tint)
    return r, g, b


def linear(tint: Rgb) -> Rgb:
    """Amounts of light, by the curve of sRGB, which files of other programs go by."""
    r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in tint)
    return r, g, b
