"""The law of a contact from the numbers of its two geoms, or its own. Source: MuJoCo's documentation, Computation,
Parameters."""

from genesis.compiler import Composite, element, layout, ti, traced, value
from genesis.math.lanes import Vec, lane, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.ground import share
from genesis.solvers.rigid.mujoco import indices as my
from genesis.solvers.rigid.mujoco.impedance import RowLaw
from genesis.solvers.rigid.mujoco.layout import (
    P_FRICTION,
    P_FRICTION_REF,
    P_IMP,
    P_REF,
    T_GEOM,
    T_GEOM_B,
    T_GROUND,
    T_MIX,
    T_PAIR,
    T_RULE,
)

LEAST_FRICTION = 1e-5
"""Of a contact with tangents."""
STIFFEST = {True: LEAST_FRICTION, False: 0.05}
"""By double precision: sliding friction below which edges of a pyramid do not get stiffer, as 1 / friction^2. In single
precision 1e10 times the stiffness of the normal is more than a mass matrix can be told from."""


class TouchLaw(Composite):
    """Of one touch: its rows' law, friction (sliding, spinning, rolling), and solref of the rows of friction."""

    def __init__(self, row, mu, ref):
        self.row, self.mu, self.ref = row, mu, ref


@traced
def _places(a, b, name, i, n):
    """Where a body's numbers are among the parameters. Frictions are sliding, torsional, rolling."""
    if name.endswith("friction"):
        rotational = name.replace("friction", "rotational_friction")
        return [at.block(a, b, name, i), at.block(a, b, rotational, i, 0), at.block(a, b, rotational, i, 1)]
    return [at.block(a, b, name, i, k) for k in range(n)]


@traced
def _sides(a, b, t, paired, name, n):
    """Where the numbers of the geom are, and those of the ground or of the other geom. `paired`: there are some."""
    geom, ground = my.touch(a, t, T_GEOM), my.touch(a, t, T_GROUND)
    own, other = _places(a, b, name, geom, n), _places(a, b, f"ground_{name}", ground, n)
    if paired:
        geoms = _places(a, b, name, my.touch(a, t, T_GEOM_B), n)
        other = [value(ti.select(ground < 0, i, j)) for i, j in zip(geoms, other, strict=True)]
    return own, other


@traced
def _numbers(a, places):
    return [element(a.model, place) for place in places]


@traced
def _weights(a, b, t, paired):
    """Share of the geom in each number of solref, solimp and friction."""
    none = lane()
    weight, rule = value(none + my.touch_number(a, t, T_MIX)), value(none + my.touch_number(a, t, T_RULE))
    equal = value(rule < -0.5)
    own, other = (_numbers(a, places) for places in _sides(a, b, t, paired, "solref", 2))
    standard = value((own[0] > 0.0) & (other[0] > 0.0))
    ref = [where(equal, where(standard, weight, share(v, u)), weight) for u, v in zip(own, other, strict=True)]
    mu, mu0 = (_numbers(a, places) for places in _sides(a, b, t, paired, "friction", 3))
    friction = [where(equal, where(u > v, none + 1.0, where(u < v, none, none + 0.5)), rule)
                for u, v in zip(mu, mu0, strict=True)]  # fmt: skip
    return ref, [weight] * 5, friction


@traced
def _mixed(a, b, t, paired, name, weights):
    own, other = (_numbers(a, places) for places in _sides(a, b, t, paired, name, len(weights)))
    return Vec(*[w * u + (1.0 - w) * v for w, u, v in zip(weights, own, other, strict=True)])


@traced
def _is_explicit(a, t):
    """Mask: touch t is an explicit pair."""
    return value(lane() + ti.cast(my.touch(a, t, T_PAIR), layout().real) > -0.5)


@traced
def _own(a, t, first, mixed):
    """Numbers of touch t: its own from `first` on if it is an explicit pair, else as they are mixed."""
    explicit, pair = _is_explicit(a, t), value(ti.max(my.touch(a, t, T_PAIR), 0))
    own = [value(lane() + my.pair_number(a, pair, first + k)) for k in range(len(mixed.parts))]
    return where(explicit, Vec(*own), mixed)


@traced
def law_of(a, b, t, features):
    """Of touch t."""
    paired = bool(features.pairs)
    ref, imp, friction = _weights(a, b, t, paired)
    mu = _mixed(a, b, t, paired, "friction", friction)
    solref, solimp = _mixed(a, b, t, paired, "solref", ref), _mixed(a, b, t, paired, "solimp", imp)
    of_friction = solref
    if features.explicit:
        of_friction = _own(a, t, P_FRICTION_REF, solref)
        solref, solimp = _own(a, t, P_REF, solref), _own(a, t, P_IMP, solimp)
        mu = _own(a, t, P_FRICTION, mu)  # the first is right: see `coefficient`
    return TouchLaw(RowLaw(solref, solimp), Vec(*[ti.max(m, LEAST_FRICTION) for m in mu.parts]), of_friction)


@traced
def coefficient(a, t, mu, j, features):
    """Of friction, of row j = 1 …; an explicit pair has one for each."""
    row = value(0.0 * mu[0] + ti.cast(j, layout().real))
    mixed = where(row < 2.5, mu[0], where(row < 3.5, mu[1], mu[2]))
    if features.explicit:
        pair = value(ti.max(my.touch(a, t, T_PAIR), 0))
        own = value(ti.max(lane() + my.pair_number(a, pair, P_FRICTION + j - 1), LEAST_FRICTION))
        mixed = where(_is_explicit(a, t), own, mixed)
    return mixed


@traced
def law_adjoint(a, b, t, features, gref, gimp, gmu):
    """Adds the cotangents of its numbers to those of the parameters; an explicit pair has none."""
    paired = bool(features.pairs)
    if features.explicit:
        explicit = _is_explicit(a, t)
        gref, gimp, gmu = (where(explicit, 0.0 * g, g) for g in (gref, gimp, gmu))
    ref, imp, friction = _weights(a, b, t, paired)
    mu = _mixed(a, b, t, paired, "friction", friction)
    felt = [where(m > LEAST_FRICTION, g, 0.0 * g) for m, g in zip(mu.parts, gmu.parts, strict=True)]
    given = ("solref", ref, gref.parts), ("solimp", imp, gimp.parts), ("friction", friction, felt)
    for name, weights, parts in given:
        own, other = _sides(a, b, t, paired, name, len(parts))
        for w, g, i, j in zip(weights, parts, own, other, strict=True):
            at.increase(a.gmodel, i, w * g)
            at.increase(a.gmodel, j, (1.0 - w) * g)


@traced
def invweight_of(a, b, t, paired):
    """Apparent inverse mass of both sides, of which a ground has none."""
    total = value(element(a.model, at.block(a, b, "invweight", my.touch(a, t, T_GEOM))))
    if paired:
        other = at.block(a, b, "invweight", ti.max(my.touch(a, t, T_GEOM_B), 0))
        total += where(my.touch(a, t, T_GROUND) < 0, element(a.model, other), 0.0 * total)
    return total


@traced
def invweight_adjoint(a, b, t, paired, g):
    """Adds its cotangent to those of the geoms."""
    at.increase(a.gmodel, at.block(a, b, "invweight", my.touch(a, t, T_GEOM)), g)
    if paired:
        felt = where(my.touch(a, t, T_GROUND) < 0, g, 0.0 * g)
        at.increase(a.gmodel, at.block(a, b, "invweight", ti.max(my.touch(a, t, T_GEOM_B), 0)), felt)
