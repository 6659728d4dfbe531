"""Plasticity by clamping singular values, on the fixed corotated solid; and snow, which hardens where it is compacted.

    h = clamp(s, 1 - yield_lower, 1 + yield_higher),   t = q (2 mu (h - 1) h + lambda J (J - 1)),   J = h_1 h_2 h_3
    Jp' = Jp det F / J,   q = min(exp(hardening (1 - Jp')), hardening_limit)   (q = 1 without hardening)

Kinks: s at either bound (the free side is returned), and where q reaches `hardening_limit`.

Source: Stomakhin et al. 2013, "A material point method for snow simulation", sections 5 and 6, where
nothing bounds q.
"""

from collections.abc import Mapping

import torch

from genesis.compiler import Functions, per_runtime, ti, traced, value
from genesis.math.lanes import Vec, absolute, lane, lanes33, where
from genesis.math.matrices import symmetric
from genesis.math.spectral import (
    PAIRS,
    Axes,
    axes_of,
    diagonal_from_axes,
    difference,
    in_axes,
    spectral,
    symmetric_from_axes,
)
from genesis.solvers.mpm.models.isotropic import pulled_back, volume_strain_of
from genesis.solvers.mpm.models.model import FIRST_NUMBERS, Memory, Model, solid_speed


@traced
def clamped(at, m):
    """h, h - 1, and per axis -1, 0, 1: held below, free, held above."""
    low, high = 0.0 - m[2], m[3]
    side = [where(x < low, lane(-1.0), where(x > high, lane(1.0), lane())) for x in at.s1.parts]
    h1 = Vec(*(ti.max(low, ti.min(high, x)) for x in at.s1.parts))
    h = Vec(*(where(absolute(b) > 0.5, 1.0 + y, x) for x, y, b in zip(at.s.parts, h1.parts, side, strict=True)))
    return h, h1, side


@traced
def product(v):
    return value(v[0] * v[1] * v[2])


@traced
def others(v, i):
    """Derivative of the product by entry i."""
    return v[(i + 1) % 3] * v[(i + 2) % 3]


@per_runtime
def clamping(hardens: bool) -> Functions:
    sp = spectral()

    @traced
    def compacted(at, h, m, memory):
        """Jp' and the exponent of q."""
        new = value(memory[0] * product(at.s) / product(h))
        return new, value(m[4] * (1.0 - new))

    @traced
    def bounded(q, m):
        return where(q > m[5], m[5] + lane(), q)

    @traced
    def mapped(F, at, m, q):
        h, h1, _side = clamped(at, m)
        J1 = volume_strain_of(h1)
        mu, pressure = value(q * m[0]), value(q * m[1] * J1 * (1.0 + J1))
        t = Vec(*(2.0 * mu * a * b + pressure for a, b in zip(h.parts, h1.parts, strict=True)))
        return F + diagonal_from_axes(at.left, h - at.s, at.right), symmetric_from_axes(at.left, t)

    @ti.func
    def soft(F, m, memory):
        at = sp.axes(F)
        Fn, tau = mapped(F, at, m, lane(1.0))
        return Fn, tau, memory, Vec(*at.parts())

    @ti.func
    def hard(F, m, memory):
        at = sp.axes(F)
        h, _h1, _side = clamped(at, m)
        new, power = compacted(at, h, m, memory)
        q = 1.0 + sp.expm1(power)
        Fn, tau = mapped(F, at, m, bounded(q, m))
        return Fn, tau, Vec(new), Vec(*at.parts(), q)

    @traced
    def stress_adjoint(F, m, memory, kept, gFn, gtau, gmemory):
        at = axes_of(kept)
        h, h1, side = clamped(at, m)
        J1 = volume_strain_of(h1)
        J = value(1.0 + J1)
        flows = value(ti.max(ti.max(absolute(side[0]), absolute(side[1])), absolute(side[2])) > 0.5)
        zero = lanes33()
        S, Z = in_axes(at.left, symmetric(gtau), at.left), where(flows, in_axes(at.left, gFn, at.right), zero)
        sheared = value(2.0 * (S[0][0] * h1[0] * h[0] + S[1][1] * h1[1] * h[1] + S[2][2] * h1[2] * h[2]))
        pressed = value(J * J1 * S.trace())
        q, gJ, by_det, own, gmemory_old = lane(1.0), lane(), lane(), [], gmemory
        if hardens:
            trial = kept[Axes.LENGTH]
            q, new = bounded(trial, m), compacted(at, h, m, memory)[0]
            gq = value(m[0] * sheared + m[1] * pressed)
            free = where(trial > m[5], lane(), lane(1.0))
            gpower = value(gq * q * free)
            gnew = value(gmemory[0] - gpower * m[4])
            gJ, by_det = value(0.0 - gnew * new / J), value(gnew * memory[0] / J)
            own = [gpower * (1.0 - new), gq * (1.0 - free)]
            gmemory_old = Vec(gnew * product(at.s) / J)
        mu = value(q * m[0])
        gJ = value(gJ + q * m[1] * (J + J1) * S.trace())
        gh = [value(2.0 * mu * (h[i] + h1[i]) * S[i][i] + Z[i][i] + gJ * others(h, i)) for i in range(3)]
        gs = [where(absolute(side[i]) > 0.5, lane(), gh[i]) + by_det * others(at.s, i) for i in range(3)]
        ab, c = [], []
        for i, j in PAIRS:
            over = value(1.0 / (at.s[i] + at.s[j]))
            slope = where(absolute(side[i]) > 0.5, lane(), lane(1.0))
            a = difference(h[i], h[j], at.s[i], at.s[j], slope)
            ab.append((a, value((h[i] + h[j]) * over)))
            c.append(value(2.0 * mu * (h[i] + h1[j]) * a * over))
        low = [where(x < -0.5, g, lane()) for x, g in zip(side, gh, strict=True)]
        high = [where(x > 0.5, g, lane()) for x, g in zip(side, gh, strict=True)]
        gm = Vec(q * sheared, q * pressed, 0.0 - Vec(*low).sum(), Vec(*high).sum(), *own)
        return where(flows, zero, gFn) + pulled_back(at, Z, S, ab, c, gs), gm, gmemory_old

    return Functions(stress=hard if hardens else soft, stress_adjoint=stress_adjoint)


@per_runtime
def functions() -> Functions:
    return clamping(False)


@per_runtime
def snow_functions() -> Functions:
    return clamping(True)


def snow_speed(numbers: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Of waves in snow that is as hard as it can get."""
    return solid_speed(numbers) * numbers["hardening_limit"].sqrt()


NUMBERS = (*FIRST_NUMBERS, "yield_lower", "yield_higher")
MODEL = Model("clamped", NUMBERS, (), solid_speed, functions)
SNOW = Model(
    "snow", (*NUMBERS, "hardening", "hardening_limit"), (Memory("Jp", 1.0),), snow_speed, snow_functions,
    plastic_volume=lambda memory: memory[..., 0],
)  # fmt: skip
