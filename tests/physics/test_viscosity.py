"""Viscous liquids against solutions of the Navier-Stokes equations, and their gradients."""

import math

import pytest
import torch

import genesis as gs
from tests.physics.finite import compare
from tests.physics.worlds import F64, build, everything, leaf, plain, probe, stir

pytestmark = pytest.mark.precision("64")
RHO = 1000.0


def test_a_vortex_decays_as_viscosity_says():
    """The cell of Taylor and Green between walls without friction, v = U (sin kx cos ky, -cos kx sin ky, 0), keeps its
    shape and decays as exp(-2 k^2 nu t). Environments differ in viscosity alone, so that what the transfers between
    particles and grid take of the motion cancels."""
    side, viscosity, U = 1.0, torch.tensor([0.0, 20.0, 60.0], dtype=F64), 0.02
    water = gs.materials.MPM.Liquid(E=1e4, nu=0.3, rho=RHO, viscosity=viscosity)
    world = build(("",), materials=[water], n_envs=3, size=(side, side, 0.1), centres=[(0.8, 0.8, 0.8)], dt=0.01,
                  substeps=2, gravity=(0.0, 0.0, 0.0), requires_grad=False)  # fmt: skip
    k = math.pi / side

    def shape():
        x, y = (plain(world.body.get_particles_pos())[..., :2] - 0.3).mul(k).unbind(2)
        return torch.stack([x.sin() * y.cos(), 0.0 - x.cos() * y.sin(), 0.0 * x], 2)

    def amplitude():
        mode = shape()
        return (plain(world.body.get_particles_vel()) * mode).sum((1, 2)) / mode.square().sum((1, 2))

    world.body.set_velocity(U * shape())
    world.run(40)
    rates = -(amplitude() / U).log() / (40 * world.scene.dt)
    expected = 2 * k**2 * viscosity / RHO
    print(rates, expected)
    assert ((rates - rates[0])[1:] / expected[1:] - 1).abs().max() < 0.03


def test_gradients_of_viscous_and_inviscid_liquids():
    liquids = [gs.materials.MPM.Liquid(E=1e4, nu=0.3, rho=RHO, viscosity=20.0), gs.materials.MPM.Liquid(E=1e4, nu=0.3)]
    world = build(("", ""), materials=liquids)

    def loss(numbers, vel):
        world.scene.reset()
        stir(world)
        world.body.set_velocity(vel + 0.3 * plain(world.body.get_particles_vel()))
        world.body.set_material(
            E=1e4 * numbers[0], nu=0.3 * numbers[1], rho=RHO * numbers[2], viscosity=20.0 * numbers[3]
        )
        world.run(3)
        return sum(probe(value, seed=seed) for seed, value in enumerate(everything(world)))

    for comparison in compare(loss, [leaf(torch.ones(4)), leaf([0.1, 0.2, 0.3])]):
        comparison.check(1e-6)


@pytest.mark.slow
def test_a_film_flows_down_a_plane_as_nusselt_says():
    """A film of depth H on a plane that it sticks to, between side walls without friction: after the time H^2 / nu the
    velocity is g sin(slope) (H z - z^2 / 2) / nu at height z, away from the film's ends."""
    depth, nu, pull, dx = 0.4, 0.2, 0.25, 0.05
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=0.01, substeps=10, gravity=(pull, 0.0, -9.81)),
        mpm_options=gs.options.MPMOptions(grid_density=1 / dx, lower_bound=(0, 0, 0), upper_bound=(2.4, 0.4, 1.0)),
    )
    water = gs.materials.MPM.Liquid(E=1e5, nu=0.3, rho=RHO, viscosity=nu * RHO)
    film = scene.add_entity(gs.morphs.Box(pos=(1.2, 0.2, 0.3 + depth / 2), size=(1.6, 0.1, depth)), water)
    scene.add_entity(gs.morphs.Plane(pos=(0, 0, 0.3)), gs.materials.Tool(friction=10.0, coup_softness=0.0))
    scene.build(n_envs=1)
    for _ in range(100):
        scene.step()
    pos, vel = plain(film.get_particles_pos())[0], plain(film.get_particles_vel())[0]
    middle = (pos[:, 0] - 1.2).abs() < 0.2
    z, v = pos[middle, 2] - 0.3, vel[middle, 0]
    expected = pull * (depth * z - z**2 / 2) / nu
    print((v - expected).abs().max() / expected.max(), v.max(), expected.max())
    assert (v - expected).abs().max() < 0.05 * expected.max()
