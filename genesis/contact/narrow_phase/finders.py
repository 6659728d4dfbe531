"""Which function finds the contacts of which kinds of shapes, and one function for all that a scene has."""

from collections.abc import Callable

from genesis.compiler import Functions, per_runtime, ti
from genesis.contact.narrow_phase.cases import cases

Kinds = tuple[str, str]


@per_runtime
def _spheres() -> Functions:
    ca = cases()

    @ti.func
    def sphere_sphere(found: ti.template(), first, size_a, size_b, p, Ra, Rb, reach):
        count = 0
        length = p.norm()
        d = length - size_a[0] - size_b[0]
        if d < reach:
            count = 1
            n = p / length
            ca.write(found, first, n * (size_a[0] + 0.5 * d), n, d, 0)
            ca.describe(found, first, ca.across(n), ca.across(n), size_a[0], size_a[0], size_b[0], size_b[0])
        return count

    return Functions(sphere_sphere=sphere_sphere)


FINDERS: dict[Kinds, Callable[[], object]] = {
    ("sphere", "sphere"): lambda: _spheres().sphere_sphere,
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
