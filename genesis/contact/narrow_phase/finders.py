"""Which function finds the contacts of which kinds of shapes, and one function for all that a scene has."""

from collections.abc import Callable

from genesis.compiler import Functions, per_runtime, ti
from genesis.contact.narrow_phase.box_box import box_box_pair
from genesis.contact.narrow_phase.boxes import box_pairs
from genesis.contact.narrow_phase.cases import cases
from genesis.contact.narrow_phase.clip import KEPT
from genesis.contact.narrow_phase.convex import KINDS, convex
from genesis.contact.narrow_phase.cylinders import cylinder_pairs
from genesis.contact.narrow_phase.layout import MOST
from genesis.contact.narrow_phase.round import round_pairs

Kinds = tuple[str, str]


FINDERS: dict[Kinds, Callable[[], object]] = {
    ("sphere", "sphere"): lambda: round_pairs().sphere_sphere,
    ("sphere", "capsule"): lambda: round_pairs().sphere_capsule,
    ("capsule", "capsule"): lambda: round_pairs().capsule_capsule,
    ("sphere", "cylinder"): lambda: cylinder_pairs().sphere_cylinder,
    ("sphere", "box"): lambda: box_pairs().sphere_box,
    ("capsule", "box"): lambda: box_pairs().capsule_box,
    ("box", "box"): lambda: box_box_pair().box_box,
}
"""Makes the function of each pair of kinds that has one of its own: the first is geom 1 of MuJoCo."""
CONVEX: tuple[Kinds, ...] = tuple(
    (one, two) for i, one in enumerate(KINDS) for two in list(KINDS)[i:] if (one, two) not in FINDERS
)
"""The pairs of kinds that one search finds."""


def most_contacts(kinds: Kinds) -> int:
    """Of a pair of these kinds."""
    if "sphere" in kinds or "ellipsoid" in kinds:
        return 1
    if "capsule" in kinds:
        return 2
    return MOST if kinds == ("box", "box") else 4


def most_records(kinds: Kinds) -> int:
    """Records that are written for a pair of these kinds; of boxes all that have room."""
    return max(most_contacts(kinds), 1 + KEPT if kinds in CONVEX else 0)


@per_runtime
def narrow_phase(kinds: tuple[Kinds, ...]) -> Functions:
    """`meet` finds the contacts of two geoms, whose kinds are number `kind` of `kinds`. a: a `Desk`; its `found` is
    enough where all kinds have functions of their own."""
    own = [(k, FINDERS[pair]()) for k, pair in enumerate(kinds) if pair in FINDERS]
    searched = [(k, KINDS[one], KINDS[two]) for k, (one, two) in enumerate(kinds) if (one, two) in CONVEX]
    search = convex().meet if searched else None

    @ti.func
    def meet(a: ti.template(), kind, first, size_a, size_b, p, Ra, Rb, reach):
        count = 0
        for k, finder in ti.static(own):
            if kind == k:
                count = finder(a.found, first, size_a, size_b, p, Ra, Rb, reach)
        if ti.static(len(searched) > 0):
            kind_a, kind_b = -1, -1
            for k, one, two in ti.static(searched):
                if kind == k:
                    kind_a, kind_b = one, two
            if kind_a >= 0:
                count = search(a, first, kind_a, kind_b, size_a, size_b, p, Ra, Rb, reach)
        return count

    return Functions(meet=meet, slopes=cases().slopes)
