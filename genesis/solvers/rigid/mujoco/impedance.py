"""Of a row: impedance, reference acceleration and regularisation, from solref and solimp; with derivatives.

With y the distance less the margin (the row acts where y < 0) and w = J v:

    d(y) = dmin + z(|y| / width) (dmax - dmin)      z(x) = x^p / mid^(p-1) up to mid, mirrored beyond
    a_ref = -b w - k d y                            k, b from solref, dmax and the timestep (refsafe)
    R = (1 - d) / d * diag

Source: MuJoCo's documentation, Computation, "Constraint model".
"""

from genesis.compiler import Composite, Functions, layout, per_runtime, ti, traced, value
from genesis.math.lanes import absolute, any_lane, lane, of_lane, set_lane, where

LEAST, MOST = 1e-4, 0.9999
"""Bounds of impedances."""
LEAST_WIDTH = 1e-15
LEAST_R = 1e-15
"""Of regularisations."""


class RowLaw(Composite):
    """Numbers of a row's law: solref as given (two), solimp as given (five)."""

    def __init__(self, ref, imp):
        self.ref, self.imp = ref, imp


@traced
def bounded(x):
    return value(ti.min(ti.max(x, LEAST), MOST))


@traced
def within(x):
    """1 where `bounded` leaves x as it is, else 0."""
    none = value(0.0 * x)
    return where(x < LEAST, none, where(x > MOST, none, none + 1.0))


@traced
def reach(y, imp):
    """Of |y| / width = x: x, whether it is below the midpoint, its part of that half of 0 … 1 and the half's length,
    and whether there is no width at all."""
    sharp = value(ti.max(imp[2], 0.0) < LEAST_WIDTH)
    x = value(ti.min(absolute(y) / where(sharp, 0.0 * y + 1.0, ti.max(imp[2], 0.0)), 1.0))
    mid = bounded(imp[3])
    low = value(x < mid)
    return x, low, where(low, x, 1.0 - x), where(low, mid, 1.0 - mid), sharp


@per_runtime
def impedance() -> Functions:
    lay = layout()

    @ti.func
    def power(x, p):
        """x^p, with x > 0 wherever it matters."""
        out = x * x
        if any_lane(absolute(p - 2.0) > 0.0):
            for j in range(lay.width):
                set_lane(out, j, ti.pow(ti.max(of_lane(x, j), 0.0), of_lane(p, j)))
        return out

    @ti.func
    def logarithm(x):
        out = lane()
        for j in range(lay.width):
            set_lane(out, j, ti.log(ti.max(of_lane(x, j), 1e-30)))
        return out

    @ti.func
    def impedance_of(y, imp: ti.template()):
        """d, its slope in y, and its slopes in the five numbers of solimp but power."""
        d0, d1 = bounded(imp[0]), bounded(imp[1])
        p, none = ti.max(imp[4], 1.0), lane()
        x, low, part, span, sharp = reach(y, imp)
        wide = where(sharp, none + 1.0, imp[2])
        ratio = part / span
        raised = power(ratio, p)
        t = span * raised  # part^p / span^(p - 1)
        z = where(low, t, 1.0 - t)
        slope = where(part > 0.0, p * raised / where(part > 0.0, ratio, none + 1.0), where(p > 1.0, none, none + 1.0))
        inside = where(x < 1.0, where(sharp, none, none + 1.0), none)
        dz = slope * inside
        flat = (absolute(d0 - d1) <= 0.0) | sharp
        z = where(flat, none + 0.5, z)
        dz = where(flat, none, dz)
        d = d0 + z * (d1 - d0)
        dy = where(y < 0.0, 0.0 - dz, dz) * (d1 - d0) / wide
        g0, g1 = (1.0 - z) * within(imp[0]), z * within(imp[1])
        gwidth = 0.0 - dz * (d1 - d0) * x / wide
        dmid = where(low, (1.0 - p) * raised, (p - 1.0) * raised) * inside
        # beyond: 1 - (1-x)^p / (1-mid)^(p-1), whose slope in mid is -(p-1) raised
        dmid = where(low, dmid, 0.0 - dmid)
        gmid = where(flat, none, dmid * (d1 - d0)) * within(imp[3])
        return d, dy, g0, g1, gwidth, gmid

    @ti.func
    def by_power(y, imp: ti.template()):
        """Slope of d in the power."""
        d0, d1 = bounded(imp[0]), bounded(imp[1])
        p, none = ti.max(imp[4], 1.0), lane()
        _x, low, part, span, sharp = reach(y, imp)
        t = span * power(part / span, p) * logarithm(part / span)
        slope = where(low, t, 0.0 - t) * (d1 - d0)
        return where((absolute(d0 - d1) <= 0.0) | sharp | (imp[4] < 1.0) | (part <= 0.0), none, slope)

    @ti.func
    def stiffness(ref: ti.template(), imp: ti.template(), dt, safe):
        """k and b."""
        none = lane()
        d1 = bounded(imp[1])
        time = ti.max(ref[0], safe * 2.0 * dt)
        standard = ref[0] > 0.0
        time = where(standard, time, none + 1.0)
        ratio = where(standard, ref[1], none + 1.0)
        k = where(standard, 1.0 / (d1 * d1 * time * time * ratio * ratio), (0.0 - ref[0]) / (d1 * d1))
        b = where(standard, 2.0 / (d1 * time), (0.0 - ref[1]) / d1)
        return k, b

    @ti.func
    def stiffness_adjoint(ref: ti.template(), imp: ti.template(), dt, safe, gk, gb):
        """Cotangents of solref's two numbers and of dmax."""
        none = lane()
        d1 = bounded(imp[1])
        k, b = stiffness(ref, imp, dt, safe)
        standard = ref[0] > 0.0
        free = where(ref[0] > safe * 2.0 * dt, none + 1.0, none)
        time, ratio = where(standard, ref[0], none + 1.0), where(standard, ref[1], none + 1.0)
        g0 = where(standard, free * (0.0 - 2.0 * k * gk - b * gb) / time, (0.0 - gk) / (d1 * d1))
        g1 = where(standard, 0.0 - 2.0 * k * gk / ratio, (0.0 - gb) / d1)
        return g0, g1, within(imp[1]) * (0.0 - 2.0 * k * gk - b * gb) / d1

    return Functions(impedance_of=impedance_of, by_power=by_power, stiffness=stiffness,
                     stiffness_adjoint=stiffness_adjoint)  # fmt: skip
