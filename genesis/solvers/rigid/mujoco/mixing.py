"""The law of a contact from the numbers of its two geoms. Source: MuJoCo's documentation, Computation, Parameters."""

from genesis.compiler import Composite, element, ti, traced, value
from genesis.math.lanes import Vec, lane, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.ground import share
from genesis.solvers.rigid.mujoco import indices as my
from genesis.solvers.rigid.mujoco.impedance import RowLaw
from genesis.solvers.rigid.mujoco.layout import T_GEOM, T_GROUND, T_MIX, T_RULE

LEAST_FRICTION = 1e-5
"""Of a contact with tangents."""


class TouchLaw(Composite):
    """Of one touch: its rows' law, and friction (sliding, spinning, rolling)."""

    def __init__(self, row, mu):
        self.row, self.mu = row, mu


@traced
def _places(a, b, name, i, n):
    """Where a body's numbers are among the parameters. Frictions are sliding, torsional, rolling."""
    if name.endswith("friction"):
        rotational = name.replace("friction", "rotational_friction")
        return [at.block(a, b, name, i), at.block(a, b, rotational, i, 0), at.block(a, b, rotational, i, 1)]
    return [at.block(a, b, name, i, k) for k in range(n)]


@traced
def _numbers(a, b, name, i, n):
    return [element(a.model, place) for place in _places(a, b, name, i, n)]


@traced
def _sides(a, b, t, name, n):
    """The geom's numbers and the ground's."""
    geom, ground = my.touch(a, t, T_GEOM), my.touch(a, t, T_GROUND)
    return _numbers(a, b, name, geom, n), _numbers(a, b, f"ground_{name}", ground, n)


@traced
def _weights(a, b, t):
    """Share of the geom in each number of solref, solimp and friction."""
    none = lane()
    weight, rule = value(none + my.touch_number(a, t, T_MIX)), value(none + my.touch_number(a, t, T_RULE))
    equal = value(rule < -0.5)
    own, other = _sides(a, b, t, "solref", 2)
    standard = value((own[0] > 0.0) & (other[0] > 0.0))
    ref = [where(equal, where(standard, weight, share(v, u)), weight) for u, v in zip(own, other, strict=True)]
    mu, mu0 = _sides(a, b, t, "friction", 3)
    friction = [where(equal, where(u > v, none + 1.0, where(u < v, none, none + 0.5)), rule)
                for u, v in zip(mu, mu0, strict=True)]  # fmt: skip
    return ref, [weight] * 5, friction


@traced
def _mixed(a, b, t, name, weights):
    own, other = _sides(a, b, t, name, len(weights))
    return Vec(*[w * u + (1.0 - w) * v for w, u, v in zip(weights, own, other, strict=True)])


@traced
def law_of(a, b, t):
    """Of touch t."""
    ref, imp, friction = _weights(a, b, t)
    mu = _mixed(a, b, t, "friction", friction)
    row = RowLaw(_mixed(a, b, t, "solref", ref), _mixed(a, b, t, "solimp", imp))
    return TouchLaw(row, Vec(*[ti.max(m, LEAST_FRICTION) for m in mu.parts]))


@traced
def law_adjoint(a, b, t, gref, gimp, gmu):
    """Adds the cotangents of its numbers to those of the parameters."""
    geom, ground = my.touch(a, t, T_GEOM), my.touch(a, t, T_GROUND)
    ref, imp, friction = _weights(a, b, t)
    mu = _mixed(a, b, t, "friction", friction)
    felt = [where(m > LEAST_FRICTION, g, 0.0 * g) for m, g in zip(mu.parts, gmu.parts, strict=True)]
    given = ("solref", ref, gref.parts), ("solimp", imp, gimp.parts), ("friction", friction, felt)
    for name, weights, parts in given:
        own, other = _places(a, b, name, geom, len(parts)), _places(a, b, f"ground_{name}", ground, len(parts))
        for w, g, i, j in zip(weights, parts, own, other, strict=True):
            at.increase(a.gmodel, i, w * g)
            at.increase(a.gmodel, j, (1.0 - w) * g)
