"""Plasticity in logarithmic strain: what von Mises' and Drucker and Prager's solids share, on lanes, and its adjoint.

    e = log max(s, FLOOR),   theta = sum e (+ v, sand's volume correction),   d = dev e,   n = |d|
    y, r    radius of the yield surface and its growth with flow, both divided by 2 mu
    n > y:  k = (y + r n) / ((1 + r) n), and the plastic flow is (n - y) / (1 + r);    else k = 1 and nothing flows
    e' = k d + theta' / 3,   h = exp(e'),   t = 2 mu e' + lambda theta'

Mathematics and sources: docs/mpm.md. Kinks: n = y (the elastic side is returned), s = FLOOR (the held side).
"""

from genesis.compiler import Composite, Functions, per_runtime, ti, traced, value
from genesis.math.lanes import Vec, any_lane, lane, lanes33, where
from genesis.math.matrices import symmetric
from genesis.math.spectral import (
    PAIRS,
    Axes,
    axes_of,
    diagonal_from_axes,
    difference,
    in_axes,
    smallest_square,
    spectral,
    symmetric_from_axes,
)
from genesis.solvers.mpm.models.isotropic import pulled_back

FLOOR = 0.05
"""Singular values below count as this in logarithms."""


class Surface(Composite):
    """Yield surface and volumetric law at the trial strain."""

    def __init__(self, theta, keep, y, r):
        self.theta, self.keep, self.y, self.r = theta, keep, y, r
        """theta' and its slope by theta; radius and growth of the yield surface."""


class Mapped(Composite):
    """The return map of a strain."""

    def __init__(self, e, theta, m, h, surface):
        """surface(theta, m, h) -> Surface"""
        self.theta = theta
        total = e.sum()
        self.dev = Vec(*(x - total * (1.0 / 3.0) for x in e.parts))
        self.n = value(ti.sqrt(self.dev.dot(self.dev) + smallest_square()))
        self.at = surface(theta, m, h)
        y, r = self.at.y, self.at.r
        self.yields = value(self.n > y)
        self.excess = where(self.yields, self.n - y, lane())
        self.k = where(self.yields, (y + r * self.n) / ((1.0 + r) * self.n), lane(1.0))
        self.new = Vec(*(self.k * x + self.at.theta * (1.0 / 3.0) for x in self.dev.parts))
        volume = where(self.at.theta - total == 0.0, lane(0.0), lane(1.0))
        self.flows = value(where(self.yields, lane(1.0), volume) > 0.5)


@traced
def floored(at):
    """Singular values and these less 1, floored, and where the floor does not hold them."""
    free = [value(x > FLOOR) for x in at.s.parts]
    f = Vec(*(where(ok, x, lane(FLOOR)) for ok, x in zip(free, at.s.parts, strict=True)))
    f1 = Vec(*(where(ok, x, lane(FLOOR - 1.0)) for ok, x in zip(free, at.s1.parts, strict=True)))
    return f, f1, free


@per_runtime
def logarithmic(surface, surface_adjoint, remember) -> Functions:
    """`stress` and `stress_adjoint` of a model.

    Args:
        surface: (theta, m, h) -> Surface, with theta the sum of the logarithms.
        surface_adjoint: (map, m, h, gtheta', gy, gr, gh') -> gtheta, and Vec of cotangents of m and of h.
        remember: "flow", "volume" or "": h' = h + flow, h' = h + theta - theta', or none.
    """
    sp = spectral()

    @traced
    def mapped(e, m, h):
        theta = value(e.sum() + h[0]) if remember == "volume" else e.sum()
        return Mapped(e, theta, m, h, surface)

    @traced
    def remembered(map_, h):
        if remember == "flow":
            return Vec(h[0] + map_.excess / (1.0 + map_.at.r))
        return Vec(map_.theta - map_.at.theta) if remember == "volume" else h

    @traced
    def stresses(at, map_, m):
        pressure = value(m[1] * map_.at.theta)
        return symmetric_from_axes(at.left, Vec(*(2.0 * m[0] * x + pressure for x in map_.new.parts)))

    @ti.func
    def strain(at):
        f, f1, _free = floored(at)
        return f, Vec(sp.log(f[0], f1[0]), sp.log(f[1], f1[1]), sp.log(f[2], f1[2]))

    @ti.func
    def shift(at, f, e, map_):
        """h - s, 0 where nothing flows: a small flow leaves no rounding of F behind."""
        out = Vec(lane(), lane(), lane())
        if any_lane(map_.flows):
            w = map_.new - e
            x, y, z = sp.expm1(w[0]), sp.expm1(w[1]), sp.expm1(w[2])
            moved = Vec(f[0] * x + (f[0] - at.s[0]), f[1] * y + (f[1] - at.s[1]), f[2] * z + (f[2] - at.s[2]))
            out = where(map_.flows, moved, out)
        return out

    @ti.func
    def stress(F, m, h):
        at = sp.axes(F)
        f, e = strain(at)
        map_ = mapped(e, m, h)
        moved = shift(at, f, e, map_)
        Fn = F + diagonal_from_axes(at.left, moved, at.right)
        return Fn, stresses(at, map_, m), remembered(map_, h), Vec(*at.parts(), *e.parts, *moved.parts)

    @traced
    def back_to_strain(map_, m, h, S, Z, new_h, gh):
        """Cotangents of e, of m and of h."""
        ge = Vec(*(2.0 * m[0] * S[i][i] + new_h[i] * Z[i][i] for i in range(3)))
        gtheta1 = value(m[1] * S.trace() + ge.sum() * (1.0 / 3.0))
        gk, y, r, n = ge.dot(map_.dev), map_.at.y, map_.at.r, map_.n
        over = value(1.0 / (1.0 + r))
        gflow = gh[0] if remember == "flow" else lane()
        gy = where(map_.yields, over * (gk / n - gflow), lane())
        gr = where(map_.yields, over * over * map_.excess * (gk / n - gflow), lane())
        gn = where(map_.yields, over * (gflow - gk * y / (n * n)), lane())
        gdev = Vec(*(map_.k * a + gn / n * b for a, b in zip(ge.parts, map_.dev.parts, strict=True)))
        gtheta, gm, gh_old = surface_adjoint(map_, m, h, gtheta1, gy, gr, gh)
        less = value(gdev.sum() * (1.0 / 3.0))
        gmu = 2.0 * (S[0][0] * map_.new[0] + S[1][1] * map_.new[1] + S[2][2] * map_.new[2])
        gm = Vec(gm[0] + gmu, gm[1] + map_.at.theta * S.trace(), *gm.parts[2:])
        return Vec(*(x - less + gtheta for x in gdev.parts)), gm, gh_old

    @traced
    def pair_factors(at, m, f, free, e, new_h, k):
        """a, b and c of every pair by the chain rule of divided differences: floor, logarithm, times k, exponential."""
        ab, c = [], []
        for i, j in PAIRS:
            over = value(1.0 / (at.s[i] + at.s[j]))
            floor = difference(f[i], f[j], at.s[i], at.s[j], where(free[i], lane(1.0), lane(0.0)))
            slope = value(k * floor * sp.log_difference(f[i], f[j], e[i], e[j]))
            a = value(slope * sp.exp_difference(new_h[i], new_h[j], k * (e[i] - e[j])))
            ab.append((a, value((new_h[i] + new_h[j]) * over)))
            c.append(value(2.0 * m[0] * slope * over))
        return ab, c

    @traced
    def stress_adjoint(F, m, h, kept, gFn, gtau, gh):
        at, e, moved = axes_of(kept), kept[Axes.LENGTH : Axes.LENGTH + 3], kept[Axes.LENGTH + 3 : Axes.LENGTH + 6]
        f, _f1, free = floored(at)
        map_ = mapped(e, m, h)
        zero = lanes33()
        Z = where(map_.flows, in_axes(at.left, gFn, at.right), zero)
        S = in_axes(at.left, symmetric(gtau), at.left)
        new_h = where(map_.flows, at.s + moved, f)  # any positive number where nothing flows
        ge, gm, gh_old = back_to_strain(map_, m, h, S, Z, new_h, gh)
        gs = [where(ok, g / x, lane(0.0)) for ok, g, x in zip(free, ge.parts, f.parts, strict=True)]
        ab, c = pair_factors(at, m, f, free, e, new_h, map_.k)
        return where(map_.flows, zero, gFn) + pulled_back(at, Z, S, ab, c, gs), gm, gh_old

    return Functions(stress=stress, stress_adjoint=stress_adjoint)
