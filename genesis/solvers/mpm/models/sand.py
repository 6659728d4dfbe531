"""Sand: the cone of Drucker and Prager in logarithmic strain, without cohesion, and with volume correction.

    |dev tau| <= -slope tr(tau),   slope = sqrt(2/3) 2 sin(phi) / (3 - sin(phi)),   phi the friction angle

Sand that is pulled apart carries no stress, and its volume gain v is remembered: it carries none either until it has
been pressed together again. Kink: theta = 0, the tip of the cone, whose side is returned.

Source: Klar et al. 2016, "Drucker-Prager Elastoplasticity for Sand Animation"; volume correction: Tampubolon et al.
2017, "Multi-species simulation of porous sand and water mixtures", section 4.
"""

import math

from genesis.compiler import Functions, per_runtime, traced, value
from genesis.math.lanes import Vec, lane, sine_cosine, where
from genesis.solvers.mpm.models.logarithmic import Surface, logarithmic
from genesis.solvers.mpm.models.model import FIRST_NUMBERS, Memory, Model, solid_speed

RADIAN = math.pi / 180.0
FACTOR = 2.0 * math.sqrt(2.0 / 3.0)


@traced
def slope_of(angle):
    """Slope of the cone, and its derivative by the friction angle in degrees."""
    sine, cosine = sine_cosine(angle * RADIAN)
    over = value(1.0 / (3.0 - sine))
    return value(FACTOR * sine * over), value(FACTOR * RADIAN * 3.0 * cosine * over * over)


@traced
def cone(theta, m, h):
    pressed = where(theta < 0.0, lane(1.0), lane(0.0))
    slope, _ = slope_of(m[2])
    radius = slope * (1.0 + 1.5 * m[1] / m[0])
    return Surface(value(theta * pressed), pressed, value(0.0 - radius * theta * pressed), lane())


@traced
def cone_adjoint(map_, m, h, gtheta1, gy, gr, gh):
    slope, slope_by_angle = slope_of(m[2])
    ratio = value(1.0 + 1.5 * m[1] / m[0])
    pressure = value(0.0 - map_.at.theta)
    gv = gh[0]  # v' = theta - theta'
    gtheta = value((gtheta1 - gv - gy * slope * ratio) * map_.at.keep + gv)
    by_ratio = value(gy * slope * pressure * 1.5 / m[0])
    return (
        gtheta,
        Vec(0.0 - by_ratio * m[1] / m[0], by_ratio, gy * ratio * pressure * slope_by_angle),
        Vec(gtheta),
    )


@per_runtime
def functions() -> Functions:
    return logarithmic(cone, cone_adjoint, "volume")


MODEL = Model(
    "sand", (*FIRST_NUMBERS, "friction_angle"), (Memory("volume"),), solid_speed, functions,
    plastic_volume=lambda memory: memory[..., 0].exp(),
)  # fmt: skip
