"""Sand on inclined planes and in heaps: the angle at which it rests, against the one that its friction angle gives.

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


def circle(tau):
    """Of Kirchhoff stresses (n, 3, 3), on the mean: degrees whose tangent is the radius of Mohr's circle in the plane
    over its centre, and the stress across the plane over the pressure."""
    tau = tau.mean(0)
    centre, radius = -(tau[0, 0] + tau[2, 2]) / 2, torch.hypot(tau[0, 2], (tau[0, 0] - tau[2, 2]) / 2)
    return float(torch.atan(radius / centre).rad2deg()), float(3 * tau[1, 1] / tau.trace())


def make(box, low, upper, walls, friction_angle, viscosity, dt, substeps, n_envs):
    """The scene, the sand, a `box` of (middle, length, height), and the planes: rough ground, smooth sides, and `walls`
    (place, normal), smooth ones."""
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=dt, substeps=substeps, gravity=(0.0, 0.0, -G)),
        mpm_options=gs.options.MPMOptions(grid_density=1 / DX, lower_bound=(low, 0, 0), upper_bound=upper),
    )
    material = gs.materials.MPM.Sand(E=E, nu=NU, friction_angle=friction_angle, viscosity=viscosity)
    middle, length, height = box
    sand = scene.add_entity(gs.morphs.Box(pos=(middle, 0.2, 0.15 + height / 2), size=(length, 0.1, height)), material)
    planes = [
        scene.add_entity(
            gs.morphs.Plane(pos=pos, normal=normal), gs.materials.Tool(friction=friction, coup_softness=0.0)
        )
        for pos, normal, friction in (
            ((0, 0, 0.15 + 1e-6), (0, 0, 1), 1e3), ((0, 0.15 + 1e-6, 0), (0, 1, 0), 0.0),
            ((0, 0.25 - 1e-6, 0), (0, -1, 0), 0.0), *((pos, normal, 0.0) for pos, normal in walls),
        )
    ]  # fmt: skip
    scene.build(n_envs=n_envs)
    return scene, sand, planes


@pytest.mark.parametrize("friction_angle", [20.0, 25.0, 30.0])
def test_a_layer_rests_below_the_angle_of_repose_and_shears_with_its_friction(friction_angle):
    """Layers between side walls without friction, on a rough plane: one 2 degrees less steep, which leans on a wall at
    its lower end, comes to rest; one 4 degrees steeper flows. In its middle the stress across the plane is the
    pressure, and the circle of Mohr in the plane has the radius tan(theta) in units of its centre, to 1 degree."""
    theta, middle = repose(friction_angle), 1.2
    walls = [((2.0 + 1e-6, 0, 0), (-1, 0, 0))]
    box, upper = (middle, 1.6, DEPTH), (2.4, 0.4, 0.8)
    scene, sand, _ = make(box, -0.4, upper, walls, friction_angle, viscosity=200.0, dt=0.01, substeps=10, n_envs=2)
    slopes, down = torch.tensor([theta - 2.0, theta + 4.0], dtype=F64).deg2rad(), torch.tensor([1.0, -1.0])
    scene.set_gravity(G * torch.stack([down * slopes.sin(), 0 * slopes, -slopes.cos()], dim=1))
    for _ in range(120):
        scene.step()
    state = sand.get_state()
    pos, vel, F = (plain(x) for x in (state.pos, state.vel, state.F))
    near = ((pos[..., 0] - middle).abs() < 0.15) & (pos[..., 2] > 0.15 + DX)
    resting, flowing = (vel[env, near[env], 0].abs().max() for env in (0, 1))
    found, across = circle(stresses(F[1, near[1]]))
    print(f"theta {theta:.2f}, found {found:.2f}, across {across:.3f}, {resting:.4f} and {flowing:.4f} m/s")
    assert abs(found - theta) < 1.0 and abs(across - 1.0) < 0.03
    assert resting < 2e-3 and flowing > 2e-2


def test_a_heap_that_was_let_down_slowly_rests_at_its_yield_surface():
    """A gate moves away from a block of 6 by 10 cells. The heap does not creep, its circle of Mohr has the radius that
    it has in a layer, and its slope, between a fifth and four fifths of its height, is not steeper than theta."""
    angles, height, length, left = (20.0, 25.0, 30.0), 6 * DX, 10 * DX, 0.15
    walls = [((left - 1e-6, 0, 0), (1, 0, 0)), ((left + length + 1e-6, 0, 0), (-1, 0, 0))]
    box, upper, each = (left + length / 2, length, height), (1.6, 0.4, 0.7), torch.tensor(angles, dtype=F64)
    scene, sand, planes = make(box, 0.0, upper, walls, each, viscosity=10.0, dt=0.02, substeps=12, n_envs=len(angles))
    for step in range(400):
        planes[-1].set_velocity([0.1 if step < 280 else 0.0, 0.0, 0.0])
        scene.step()
        if step == 349:
            before = plain(sand.get_particles_pos()).clone()
    state = sand.get_state()
    pos, vel, F = (plain(x) for x in (state.pos, state.vel, state.F))
    crept = (pos - before).norm(dim=-1).mean(1)
    for env, friction_angle in enumerate(angles):
        theta, column = repose(friction_angle), ((pos[env, :, 0] - left) / DX).long()
        heights = column.bincount().to(F64) * height * length / sand.n_particles / DX
        x = torch.arange(len(heights), dtype=F64) * DX
        middle = (heights > 0.2 * height) & (heights < 0.8 * height)
        run, rise = x[middle] - x[middle].mean(), heights[middle] - heights[middle].mean()
        slope = -math.degrees(math.atan(float((run * rise).sum() / run.square().sum())))
        top = torch.stack([pos[env, column == c, 2].max() for c in range(len(heights))])[column]
        found, across = circle(stresses(F[env, middle[column] & (pos[env, :, 2] > top - 1.2 * DX)]))
        print(f"theta {theta:.1f}, found {found:.1f}, across {across:.3f}, slope {slope:.1f}, "
              f"{vel[env].norm(dim=1).mean():.1e} m/s, crept {crept[env]:.1e} m in the last second")  # fmt: skip
        assert abs(found - theta) < 1.5 and abs(across - 1.0) < 0.03
        assert crept[env] < 0.02 * DX
        assert theta - 6.0 < slope < theta + 2.0
