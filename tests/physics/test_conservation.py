"""Momentum, angular momentum, impulses and energy.

Nodes lighter than 1e-16 of a particle (float32: 1e-8) are left out of the grid, which is below rounding.
"""

import pytest
import torch

import genesis as gs
from tests.physics.worlds import ALONE, DX, F64, MODELS, build, fresh, noise, plain

pytestmark = pytest.mark.precision("64")
CLEAR = (0.825, 0.825, 0.825)
"""A centre at which no particle of the block is near the edge of a cell's reach."""


def particle_mass(body):
    return (plain(body.get_mass()) / body.n_particles)[:, None, None]


def momentum(body):
    return (particle_mass(body) * plain(body.get_particles_vel())).sum(1)


def angular_momentum(body, about=0.0):
    """About a point, with the part that particles carry in C: m dx^2 / 4 times the axial vector of C - C^T."""
    state = body.get_state()
    x, v, C = plain(state.pos) - about, plain(state.vel), plain(state.C)
    axial = torch.stack([C[..., 2, 1] - C[..., 1, 2], C[..., 0, 2] - C[..., 2, 0], C[..., 1, 0] - C[..., 0, 1]], -1)
    return (particle_mass(body) * (torch.linalg.cross(x, v) + DX**2 / 4 * axial)).sum(1)


def swirl(world, k=0):
    """A random linear velocity field: the body translates, turns and stretches."""
    body = world.bodies[k]
    x = plain(body.get_particles_pos())
    A = 4 * noise(world.scene.n_envs, 1, 3, 3, seed=5 + k)
    body.set_velocity(0.05 * noise(world.scene.n_envs, 1, 3) + (A @ (x - x.mean(1, keepdim=True))[..., None])[..., 0])


@pytest.mark.parametrize("steps, slack", [(2, 1e-13), (15, 1e-12)])
def test_free_flight_keeps_momentum_and_angular_momentum(steps, slack):
    world = build(ALONE, n_envs=3, gravity=(0.0, 0.0, 0.0))
    world.body.set_position(CLEAR)
    swirl(world)
    p, L = momentum(world.body), angular_momentum(world.body, 0.8)
    world.run(steps)
    assert plain(world.scene.get_state().F).sub(torch.eye(3, dtype=F64)).abs().max() > 0.03, "it must deform"
    assert (momentum(world.body) - p).norm() < slack * p.norm()
    assert (angular_momentum(world.body, 0.8) - L).norm() < slack * L.norm()


def test_bodies_that_collide_keep_the_momentum_of_all():
    far = gs.morphs.Box(pos=(0.8, 0.8, 0.2), size=(0.1, 0.1, 0.1))
    world = build(MODELS, n_envs=2, gravity=(0.0, 0.0, 0.0), tools=[far])

    def total(of):
        return sum(of(body) for body in world.bodies)

    for k, body in enumerate(world.bodies):
        body.set_velocity([(0.0, -0.8, 0.8)[k], 0.1 * k, 0.0])
    own, p, L = momentum(world.body), total(momentum), total(angular_momentum)
    world.run(10)
    assert (momentum(world.body) - own).norm() > 0.02 * p.norm(), "they must exchange some"
    assert (total(momentum) - p).norm() < 1e-12 * own.norm().clamp_min(1.0)
    assert (total(angular_momentum) - L).norm() < 1e-12 * L.norm()


@pytest.mark.parametrize("shape", ["sphere", "capsule", "box", "cylinder", "plane"])
def test_the_wrench_is_the_momentum_that_the_body_loses(shape):
    """A turning, moving tool: force dt = gravity's impulse - change of momentum, in every step and environment."""
    world = build(shapes=(shape,), n_envs=3, outputs=("wrench",))
    fresh(world)
    world.tool.set_velocity([0.15, 0.1, 0.6], [0.5, -0.4, 0.6])
    mass = plain(world.body.get_mass())[:, None]
    g, dt = torch.tensor(world.scene.sim_options.gravity, dtype=F64), world.scene.dt
    impulse = 0.0
    for _ in range(5):
        before = momentum(world.body)
        world.scene.step()
        gone = mass * g * dt - (momentum(world.body) - before)
        force = plain(world.tool.get_wrench())[:, :3]
        impulse = impulse + (force * dt).norm()
        assert (force * dt - gone).norm() < 1e-8 * mass.max()
    assert impulse > 0.01 * mass.max()


def test_the_torque_is_the_angular_momentum_that_the_body_loses():
    """About a tool that stands still, in steps of one substep, so that gravity's own torque is known."""
    world = build(shapes=("box",), n_envs=3, outputs=("wrench",), substeps=1, dt=2e-3)
    fresh(world)
    about = plain(world.tool.get_pos())
    world.body.set_velocity([0.3, 0.2, -0.5])
    mass = plain(world.body.get_mass())[:, None]
    g, dt = torch.tensor(world.scene.sim_options.gravity, dtype=F64).expand(3, 3), world.scene.dt
    largest = 0.0
    for _ in range(20):
        before = angular_momentum(world.body, about[:, None])
        lever = plain(world.body.get_particles_pos()).mean(1) - about
        world.scene.step()
        gone = mass * torch.linalg.cross(lever, g) * dt - (angular_momentum(world.body, about[:, None]) - before)
        torque = plain(world.tool.get_wrench())[:, 3:]
        assert (torque * dt - gone).norm() < 1e-8 * mass.max()
        largest = max(largest, float((torque * dt).norm()))
    assert largest > 1e-4


def test_two_tools_share_the_impulse():
    spheres = [gs.morphs.Sphere(pos=(0.8 + 0.13 * s, 0.8, 0.6), radius=0.1) for s in (1, -1)]
    world = build(tools=spheres, n_envs=2, outputs=("wrench",))
    fresh(world)
    world.body.set_velocity([0.2, 0.0, -0.8])
    mass = plain(world.body.get_mass())[:, None]
    g, dt = torch.tensor(world.scene.sim_options.gravity, dtype=F64), world.scene.dt
    for _ in range(5):
        before = momentum(world.body)
        world.scene.step()
        gone = mass * g * dt - (momentum(world.body) - before)
        forces = [plain(tool.get_wrench())[:, :3] for tool in world.tools]
        assert (sum(forces) * dt - gone).norm() < 1e-8 * mass.max()
    assert all(force.norm() > 1.0 for force in forces)


def elastic_energy(model, F, E, nu):
    """J/m^3 of a deformation gradient, as in the usual text books."""
    mu, lam = E / (2 * (1 + nu)), E * nu / ((1 + nu) * (1 - 2 * nu))
    J = torch.linalg.det(F)
    if model == "corotation":
        s = torch.linalg.svdvals(F)
        return mu * ((s - 1) ** 2).sum(-1) + lam / 2 * (J - 1) ** 2
    return mu / 2 * ((F * F).sum((-1, -2)) - 3) - mu * J.log() + lam / 2 * J.log() ** 2


@pytest.mark.parametrize("model", ["corotation", "neohooken"])
def test_energy_of_an_oscillating_block_does_not_grow(model):
    """And it does swing: most of it becomes elastic and comes back.

    The transfers lose a little at every substep. Within a swing (of about ten steps) the sum goes up and down by some
    omega dt / 2, as symplectic Euler's does; from swing to swing it must fall.
    """
    far = gs.morphs.Box(pos=(0.8, 0.8, 0.2), size=(0.1, 0.1, 0.1))
    world = build(MODELS, n_envs=2, gravity=(0.0, 0.0, 0.0), tools=[far], size=0.2,
                  centres=[(0.45, 0.8, 0.8), (0.8, 0.8, 0.8), (1.15, 0.8, 0.8)])  # fmt: skip
    E, nu = 1e4, 0.3
    body = world.bodies[MODELS.index(model)]
    world.scene.reset()
    x = plain(body.get_particles_pos())
    stretch = torch.tensor([0.0, -2.0, 3.0], dtype=F64)
    body.set_velocity(stretch * (x - x.mean(1, keepdim=True)))
    volume = (plain(body.get_mass()) / 1000.0 / body.n_particles)[:, None]
    track = []
    for _ in range(40):
        world.scene.step()
        state = body.get_state()
        v, C, F = plain(state.vel), plain(state.C), plain(state.F)
        kinetic = particle_mass(body)[..., 0] / 2 * ((v * v).sum(-1) + DX**2 / 4 * (C * C).sum((-1, -2)))
        track.append(torch.stack([kinetic.sum(1), (volume * elastic_energy(model, F, E, nu)).sum(1)]))
    kinetic, elastic = torch.stack(track).detach().unbind(1)
    total = kinetic + elastic
    assert (elastic / total).max() > 0.6
    assert (total <= 1.001 * total[0]).all()
    swings = total.reshape(4, 10, -1).amax(1)
    assert (swings[1:] < swings[:-1]).all()
