"""Viscous liquids against solutions of the Navier-Stokes equations."""

import math
from dataclasses import replace

import pytest
import torch

import genesis as gs
from tests.physics.worlds import F64, build, plain

pytestmark = pytest.mark.precision("64")
RHO = 1000.0


def test_a_shear_wave_decays_as_viscosity_says():
    """A wave u = U cos(k y) of sideways motion, 20 cells long, decays as exp(-nu k^2 t). Environments differ in
    viscosity alone, so that what the transfers between particles and grid take cancels; the grid resolves the rate to
    (k dx)^2 / 8."""
    size, viscosity, U, steps = (2.4, 2.0, 0.1), torch.tensor([0.0, 50.0, 100.0], dtype=F64), 0.02, 20
    water = gs.materials.MPM.Liquid(E=1e4, nu=0.3, rho=RHO, viscosity=viscosity)
    world = build(("",), materials=[water], n_envs=3, size=size, centres=[(1.5, 1.3, 0.8)], upper=(3.0, 2.6, 1.6),
                  dt=0.01, substeps=2, gravity=(0.0, 0.0, 0.0), requires_grad=False)  # fmt: skip
    k, state = 2 * math.pi / size[1], world.scene.get_state()
    x, y = (plain(state.pos)[..., axis] - middle for axis, middle in ((0, 1.5), (1, 1.3)))
    vel, C = torch.zeros_like(plain(state.vel)), torch.zeros_like(plain(state.C))
    vel[..., 0], C[..., 0, 1] = U * (k * y).cos(), -k * U * (k * y).sin()
    world.scene.reset(state.having("mpm", replace(state.mpm, vel=vel, C=C)))
    far = (x[0].abs() < 0.2).double()  # from the block's ends
    world.run(steps)
    found = plain(world.body.get_particles_vel())[..., 0]
    amplitude = (far * found * (k * y).cos()).sum(1) / (far * (k * y).cos() ** 2).sum(1)
    rates = -amplitude.log() / (steps * world.scene.dt)
    ratios = (rates - rates[0])[1:] / (k**2 * viscosity[1:] / RHO)
    assert (ratios - 1).abs().max() < 0.02, ratios
    assert abs(amplitude[0] / U - 1) < 0.01, "nothing else takes much"


@pytest.mark.slow
def test_a_film_flows_down_a_plane_as_nusselt_says():
    """A film of depth H = 8 cells on a plane that it sticks to, between side walls without friction: after some times
    H^2 / nu the velocity at height z is g (H z - z^2 / 2) / nu, g along the plane, away from the film's ends."""
    depth, nu, pull, dx, middle = 0.4, 0.2, 0.25, 0.05, 1.6
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=0.01, substeps=10, gravity=(pull, 0.0, -0.3)),
        mpm_options=gs.options.MPMOptions(grid_density=1 / dx, lower_bound=(0, 0, 0), upper_bound=(3.2, 0.4, 1.0)),
    )
    water = gs.materials.MPM.Liquid(E=1e5, nu=0.3, rho=RHO, viscosity=nu * RHO)
    film = scene.add_entity(gs.morphs.Box(pos=(middle, 0.2, 0.3 + depth / 2), size=(2.2, 0.1, depth)), water)
    scene.add_entity(gs.morphs.Plane(pos=(0, 0, 0.3 + 1e-6)), gs.materials.Tool(friction=1e3, coup_softness=0.0))
    scene.build(n_envs=1)
    for _ in range(150):
        scene.step()
    pos, vel = plain(film.get_particles_pos())[0], plain(film.get_particles_vel())[0]
    near = (pos[:, 0] - middle).abs() < 0.1
    z, v = pos[near, 2] - 0.3, vel[near, 0]
    expected = pull * (depth * z - z**2 / 2) / nu
    error = (v - expected).abs() / expected.max()
    assert error.max() < 0.09 and error[z > 0.3].max() < 0.03, error  # the plane's cell is smeared
