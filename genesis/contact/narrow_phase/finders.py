"""Which function finds the contacts of which kinds of shapes, and one function for all that a scene has."""

from collections.abc import Callable

from genesis.compiler import Functions, per_runtime, ti
from genesis.contact.narrow_phase.box_box import box_box_pair
from genesis.contact.narrow_phase.boxes import box_pairs
from genesis.contact.narrow_phase.cases import cases
from genesis.contact.narrow_phase.cylinders import cylinder_pairs
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
"""Makes the function of each pair of kinds that may touch: the first is geom 1 of MuJoCo."""


@per_runtime
def narrow_phase(kinds: tuple[Kinds, ...]) -> Functions:
    """`meet` finds the contacts of two geoms, whose kinds are number `kind` of `kinds`."""
    finders = [FINDERS[pair]() for pair in kinds]

    @ti.func
    def meet(found: ti.template(), kind, first, size_a, size_b, p, Ra, Rb, reach):
        count = 0
        for k in ti.static(range(len(kinds))):
            if kind == k:
                count = finders[k](found, first, size_a, size_b, p, Ra, Rb, reach)
        return count

    return Functions(meet=meet, slopes=cases().slopes)
