"""`torch.autograd.gradcheck` of whole rollouts. Inputs are scaled to a size near one, so that one step suits all."""

import pytest
import torch

import genesis as gs
from tests.physics.worlds import F64, MODELS, build, everything, fresh, leaf, noise, plain, probe, push

pytestmark = pytest.mark.precision("64")
B = 2


def strict(function, inputs):
    """gradcheck, a hundred times stricter than its defaults. (Its own round-off is 1e-16 / eps.)"""
    return torch.autograd.gradcheck(function, inputs, eps=1e-5, atol=1e-9, rtol=1e-5)


def outputs(world):
    """A few numbers for each tensor of the state: the whole Jacobian of these is checked."""
    return torch.stack([probe(value, seed=seed) for value in everything(world) for seed in (11, 12)])


def test_flight_of_three_models():
    far = gs.morphs.Box(pos=(0.8, 0.8, 0.2), size=(0.1, 0.1, 0.1))
    world = build(MODELS, n_envs=B, tools=[far])

    def run(vel, gravity, E, nu, rho):
        fresh(world)
        for k, body in enumerate(world.bodies):
            body.set_velocity(vel[k, :, None] + 0.3 * noise(B, body.n_particles, 3))
            body.set_material(E=1e4 * E[k], nu=nu[k], rho=1e3 * rho[k])
        world.scene.set_gravity(10 * gravity)
        world.run(3)
        return outputs(world)

    E = leaf([[1.0, 0.8], [1.1, 0.9], [0.7, 1.2]])
    nu = leaf([0.3, 0.25, 0.2])
    rho = leaf([[1.0, 1.1], [0.9, 1.0], [1.0, 1.2]])
    assert strict(run, (leaf(0.5 * noise(3, B, 3)), leaf([0.1, 0.2, -0.9]), E, nu, rho))


def test_contact_with_a_moving_tool():
    world = build(shapes=("capsule",), n_envs=B, outputs=("wrench",))

    def run(vel, tool_vel, tool_ang, friction, E):
        fresh(world)
        push(world)
        world.body.set_velocity(vel[:, None] + 0.3 * noise(B, world.body.n_particles, 3))
        world.body.set_material(E=1e4 * E)
        world.tool.set_velocity(tool_vel, tool_ang)
        world.tool.set_friction(friction)
        world.run(3)
        wrench = 0.02 * plain(world.tool.get_wrench())
        return torch.cat([outputs(world), wrench.flatten()])

    tool_vel = torch.tensor([0.15, 0.1, 0.6], dtype=F64) + 0.1 * noise(B, 3)
    inputs = (leaf(0.2 * noise(B, 3)), leaf(tool_vel), leaf(noise(B, 3)), leaf(0.4), leaf([0.9, 1.1]))
    assert strict(run, inputs)
