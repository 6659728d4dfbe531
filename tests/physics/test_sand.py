"""Sand's angle of repose, on inclined planes and of heaps, against the one that its friction angle gives.

In plane strain the cone, whose flow keeps the volume, shears at the ratio tan(theta) = 2 sqrt(3) sin(phi) / (3 - sin
(phi)) of shear stress and pressure: docs/mpm.md, "Plasticity in logarithmic strain". A viscosity takes what the sand
gained in falling, and has no share in where it rests.
"""

import math

import pytest
import torch

import genesis as gs
from tests.physics.worlds import F64, plain

pytestmark = [pytest.mark.precision("64"), pytest.mark.slow]
DX, RHO, G, KINEMATIC = 0.05, 1000.0, 2.0, 0.2


def repose(friction_angle):
    """Degrees, in plane strain."""
    sine = math.sin(math.radians(friction_angle))
    return math.degrees(math.atan(2 * math.sqrt(3) * sine / (3 - sine)))


def make_sand(length, depth, middle, friction_angle, n_envs, reach):
    """Sand (length, 0.1, depth) between walls without friction along y, on a plane at z = 0.3 that it sticks to."""
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=0.01, substeps=10, gravity=(0.0, 0.0, -G)),
        mpm_options=gs.options.MPMOptions(grid_density=1 / DX, lower_bound=(0, 0, 0), upper_bound=(reach, 0.4, 1.2)),
    )
    material = gs.materials.MPM.Sand(E=1e5, nu=0.3, rho=RHO, friction_angle=friction_angle, viscosity=KINEMATIC * RHO)
    sand = scene.add_entity(gs.morphs.Box(pos=(middle, 0.2, 0.15 + depth / 2), size=(length, 0.1, depth)), material)
    scene.add_entity(gs.morphs.Plane(pos=(0, 0, 0.15 + 1e-6)), gs.materials.Tool(friction=1e3, coup_softness=0.0))
    scene.build(n_envs=n_envs)
    return scene, sand


def test_a_layer_rests_on_a_plane_below_the_angle_of_repose_and_flows_above_it():
    """Two degrees below it a layer of depth H rests. Above it flows as a film: with the velocity
    g (sin(alpha) - tan(theta) cos(alpha)) (H z - z^2 / 2) / nu at height z, which tells theta."""
    phi, depth, middle = 25.0, 0.4, 1.6
    below, above = repose(phi) - 2.0, [repose(phi) + 2.0, repose(phi) + 6.0]
    scene, sand = make_sand(2.2, depth, middle, phi, 3, 3.2)
    slopes = torch.tensor([below, *above], dtype=F64).deg2rad()
    scene.set_gravity(G * torch.stack([slopes.sin(), torch.zeros_like(slopes), -slopes.cos()], dim=1))
    for _ in range(150):
        scene.step()
    pos, vel = plain(sand.get_particles_pos()), plain(sand.get_particles_vel())
    near = (pos[..., 0] - middle).abs() < 0.1
    for env, slope in enumerate(slopes):
        z, v = pos[env, near[env], 2] - 0.15, vel[env, near[env], 0]
        film = (depth * z - z**2 / 2) / KINEMATIC
        drive = (film * v).sum() / film.square().sum() / (G * slope.cos())
        print(env, float(slope.rad2deg()), float(torch.atan(slope.tan() - drive).rad2deg()), float(v.max()))
        if env == 0:
            assert v.abs().max() < 1e-3
        else:
            assert abs(float(torch.atan(slope.tan() - drive).rad2deg()) - repose(phi)) < 2.0
            assert ((v - film * drive * G * slope.cos()).abs() < 0.1 * v.max()).all()


def test_a_heap_has_the_angle_of_repose():
    """Columns that have collapsed against a wall."""
    angles = (20.0, 30.0)
    scene, sand = make_sand(0.4, 0.7, 0.35, torch.tensor(angles, dtype=F64), 2, 1.8)
    for _ in range(400):
        scene.step()
    pos = plain(sand.get_particles_pos())
    spacing = sand.particle_volume ** (1 / 3)
    for env, phi in enumerate(angles):
        columns = (pos[env, :, 0] / DX).floor()
        tops = [(x * DX + DX / 2, float(pos[env, columns == x, 2].max()) - 0.15) for x in columns.unique().tolist()]
        height = max(top for _, top in tops)
        flank = torch.tensor([(x, top) for x, top in tops if 0.2 * height + spacing < top < 0.8 * height], dtype=F64)
        x, top = (flank - flank.mean(0)).unbind(1)
        slope = math.degrees(math.atan(-float((x * top).sum() / x.square().sum())))
        print(phi, repose(phi), slope, height, len(flank), float(plain(sand.get_particles_vel())[env].abs().max()))
        assert len(flank) >= 5 and abs(slope - repose(phi)) < 2.0
