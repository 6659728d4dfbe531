"""Elastoplastic solid of von Mises, in logarithmic strain: |dev tau| <= yield stress, which may grow with the flow.

The uniaxial yield stress is sqrt(3/2) times the bound. Source: Simo and Hughes 1998, "Computational Inelasticity",
section 3.3 (return mapping with linear hardening); in logarithmic strain Gao et al. 2017, "An Adaptive Generalized
Interpolation Material Point Method", section 6.
"""

from genesis.compiler import Functions, per_runtime, traced, value
from genesis.math.lanes import Vec, lane
from genesis.solvers.mpm.models.logarithmic import Surface, logarithmic
from genesis.solvers.mpm.models.model import BOLD, FIRST_NUMBERS, Memory, Model, isochoric, solid_speed


@traced
def perfect(theta, m, h):
    return Surface(theta, lane(1.0), value(0.5 * m[2] / m[0] + lane()), lane())


@traced
def perfect_adjoint(map_, m, h, gtheta1, gy, gr, gh):
    half = value(0.5 / m[0])
    return gtheta1, Vec(0.0 - gy * map_.at.y / m[0], lane(), gy * half), gh


@traced
def hardened(theta, m, h):
    half = value(0.5 / m[0])
    return Surface(theta, lane(1.0), value(half * (m[2] + m[3] * h[0])), value(half * m[3] + lane()))


@traced
def hardened_adjoint(map_, m, h, gtheta1, gy, gr, gh):
    half = value(0.5 / m[0])
    gmu = 0.0 - (gy * map_.at.y + gr * map_.at.r) / m[0]
    return gtheta1, Vec(gmu, lane(), gy * half, half * (gr + gy * h[0])), Vec(gh[0] + gy * map_.at.r)


@per_runtime
def perfect_functions() -> Functions:
    return logarithmic(perfect, perfect_adjoint, "")


@per_runtime
def hardened_functions() -> Functions:
    return logarithmic(hardened, hardened_adjoint, "flow")


NUMBERS = (*FIRST_NUMBERS, "von_mises_yield_stress")
MODEL = Model("vonmises", NUMBERS, (), solid_speed, perfect_functions, BOLD, isochoric)
HARDENED = Model(
    "vonmises_hardening", (*NUMBERS, "hardening_modulus"), (Memory("flow"),), solid_speed, hardened_functions, BOLD,
    isochoric,
)
