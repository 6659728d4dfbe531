"""Sand on inclined planes: the angle at which it rests, against the one that its friction angle gives.

In plane strain the cone, whose flow keeps the volume, shears at the ratio tan(theta) = 2 sqrt(3) sin(phi) / (3 - sin
(phi)) of shear stress and pressure (docs/mpm.md, "Plasticity in logarithmic strain").
"""

import math

import pytest
import torch

import genesis as gs
from tests.physics.worlds import F64, plain

pytestmark = [pytest.mark.precision("64"), pytest.mark.slow]
DX, G, E, NU, DEPTH = 0.05, 2.0, 1e5, 0.3, 0.3


def repose(friction_angle):
    """Degrees, in plane strain."""
    sine = math.sin(math.radians(friction_angle))
    return math.degrees(math.atan(2 * math.sqrt(3) * sine / (3 - sine)))


def stresses(F):
    """Kirchhoff stress (n, 3, 3) of deformations on the cone or inside, Pa."""
    mu, lam = E / (2 * (1 + NU)), E * NU / ((1 + NU) * (1 - 2 * NU))
    U, s, _ = torch.linalg.svd(F)
    e = s.log()
    return U @ torch.diag_embed(2 * mu * e + lam * e.sum(1, keepdim=True)) @ U.mT


@pytest.mark.parametrize("friction_angle", [20.0, 25.0, 30.0])
def test_a_layer_rests_below_the_angle_of_repose_and_shears_with_its_friction(friction_angle):
    """Layers between side walls without friction, on a rough plane: one 2 degrees less steep, which leans on a wall at
    its lower end, comes to rest; one 4 degrees steeper flows. In its middle the stress across the plane is the
    pressure, and the circle of Mohr in the plane has the radius tan(theta) in units of its centre, to 1 degree."""
    theta, middle = repose(friction_angle), 1.2
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=0.01, substeps=10, gravity=(0.0, 0.0, -G)),
        mpm_options=gs.options.MPMOptions(grid_density=1 / DX, lower_bound=(-0.4, 0, 0), upper_bound=(2.4, 0.4, 0.8)),
    )
    material = gs.materials.MPM.Sand(E=E, nu=NU, friction_angle=friction_angle, viscosity=200.0)
    sand = scene.add_entity(gs.morphs.Box(pos=(middle, 0.2, 0.15 + DEPTH / 2), size=(1.6, 0.1, DEPTH)), material)
    for pos, normal, friction in (
        ((0, 0, 0.15 + 1e-6), (0, 0, 1), 1e3), ((2.0 + 1e-6, 0, 0), (-1, 0, 0), 0.0),
        ((0, 0.15 + 1e-6, 0), (0, 1, 0), 0.0), ((0, 0.25 - 1e-6, 0), (0, -1, 0), 0.0),
    ):  # fmt: skip
        tool = gs.materials.Tool(friction=friction, coup_softness=0.0)
        scene.add_entity(gs.morphs.Plane(pos=pos, normal=normal), tool)
    scene.build(n_envs=2)
    slopes, down = torch.tensor([theta - 2.0, theta + 4.0], dtype=F64).deg2rad(), torch.tensor([1.0, -1.0])
    scene.set_gravity(G * torch.stack([down * slopes.sin(), 0 * slopes, -slopes.cos()], dim=1))
    for _ in range(120):
        scene.step()
    state = sand.get_state()
    pos, vel, F = (plain(x) for x in (state.pos, state.vel, state.F))
    near = ((pos[..., 0] - middle).abs() < 0.15) & (pos[..., 2] > 0.15 + DX)
    resting, flowing = (vel[env, near[env], 0].abs().max() for env in (0, 1))
    tau = stresses(F[1, near[1]]).mean(0)
    pressure, centre = -tau.trace() / 3, -(tau[0, 0] + tau[2, 2]) / 2
    radius = torch.hypot(tau[0, 2], (tau[0, 0] - tau[2, 2]) / 2)
    found = float(torch.atan(radius / centre).rad2deg())
    print(
        f"theta {theta:.2f}, found {found:.2f}, across {-tau[1, 1] / pressure:.3f}, {resting:.4f} and {flowing:.4f} m/s"
    )
    assert abs(found - theta) < 1.0 and abs(-tau[1, 1] / pressure - 1.0) < 0.03
    assert resting < 2e-3 and flowing > 2e-2
