"""Links feel the particles that they push: momentum goes from one to the other, and gradients go both ways."""

import pytest
import torch

import genesis as gs
from genesis.math.quaternion import normalise, rotate
from tests.physics.finite import compare
from tests.physics.test_conservation import angular_momentum, momentum
from tests.physics.test_links_push_particles import arm, particles, scene_of  # noqa: F401  (a fixture)
from tests.physics.worlds import F64, noise, plain

pytestmark = pytest.mark.precision("64")
CONTACTS = {
    "MuJoCo's model": {},
    "compliant": {"contact": gs.options.CompliantContact(), "integrator": None},
}
BALL = gs.morphs.Sphere(pos=(0.6, 0.81, 0.78), radius=0.1)
STUFF = gs.materials.Rigid(rho=1500.0, friction=0.4)


def of_ball(ball, about=0.8):
    """Momentum, and angular momentum about a point, of a free sphere, whose inertia is the same about all axes."""
    q, v = plain(ball.get_qpos()), plain(ball.get_dofs_velocity())
    p = plain(ball.get_mass())[:, None] * v[:, :3]
    own = plain(ball.get_links_inertia())[:, 0, :1] * rotate(normalise(q[:, 3:]), v[:, 3:])
    return p, torch.linalg.cross(q[:, :3] - about, p) + own


def total(block, ball):
    p, L = of_ball(ball)
    return p + momentum(block), L + angular_momentum(block, 0.8)


@pytest.mark.parametrize("contact", CONTACTS)
@pytest.mark.parametrize(("substeps", "own"), [(1, 1), (4, 1)])
def test_momentum_and_angular_momentum_of_all_stay(contact, substeps, own):
    """A spinning ball that floats hits, drags and is hit by a soft block for a thousand steps."""
    scene, block, (ball,) = scene_of(
        (BALL, STUFF), substeps=substeps, dt=2e-3 * substeps, rigid={"substeps": own, **CONTACTS[contact]}
    )
    ball.set_dofs_velocity([[0.6, 0.05, 0.1, 0.0, 2.0, 3.0], [0.4, 0.0, 0.0, -3.0, 1.0, 0.0]])
    block.set_velocity([-0.45, -0.02, -0.07])
    p, L = total(block, ball)
    first, size = of_ball(ball), momentum(block).norm() + p.norm()
    for step in range(1000 // substeps):
        if step % 100 == 50:  # pushed together again, by both alike
            side = plain(block.get_particles_pos()).mean(1) - plain(ball.get_qpos())[:, :3]
            ratio = plain(block.get_mass())[:, None] / plain(ball.get_mass())[:, None]
            block.set_velocity(plain(block.get_particles_vel()) - side[:, None])
            velocity = plain(ball.get_dofs_velocity())
            ball.set_dofs_velocity(torch.cat([velocity[:, :3] + ratio * side, velocity[:, 3:]], 1))
            p, L = total(block, ball)
        scene.step()
        now = total(block, ball)
        assert (now[0] - p).norm() < 1e-12 * size, step
        assert (now[1] - L).norm() < 1e-12 * size, step
    last = of_ball(ball)
    assert (last[0] - first[0]).norm() > 0.1 * size and (last[1] - first[1]).norm() > 5e-3 * size


def robot_and_particles(scene, robot):
    return torch.cat([plain(robot.get_qpos()), plain(robot.get_dofs_velocity())], 1), particles(scene)


@pytest.mark.parametrize("contact", CONTACTS)
def test_gradients_go_both_ways(arm, contact):  # noqa: F811
    """From the particles' velocities to the robot, and from its controls, in closed loop, to the particles; with a new
    velocity of one robot underway."""
    scene, block, (robot,) = scene_of((arm, STUFF), gravity=(0.0, 0.0, -4.0), rigid=CONTACTS[contact])
    start = plain(robot.get_qpos()).detach().clone()
    v = 0.3 * noise(2, robot.n_dofs, seed=1)
    v[:, 1] = 1.0
    u, controls = 0.2 * noise(2, block.n_particles, 3), noise(5, 2, robot.n_dofs, seed=2)
    masses = torch.tensor([0.8, 0.4], dtype=F64)
    inputs = [value.requires_grad_() for value in (start, v, u, controls, masses)]
    weights = [noise(2, robot.n_qs + robot.n_dofs, seed=3), noise(2, block.n_particles, 6, seed=4)]

    def run(start, v, u, controls, masses):
        scene.reset()
        robot.set_mass(masses, links_idx_local=[0, 1])
        robot.set_qpos(torch.cat([start[:, :2], normalise(start[:, 2:])], 1))
        robot.set_dofs_velocity(v)
        block.set_velocity(u)
        for step, force in enumerate(controls):
            robot.control_dofs_force(force + particles(scene).mean(1)[:, :1])
            scene.step()
            if step == 2:
                robot.set_dofs_velocity(0.5 * v[:1], envs_idx=[1])
        return robot_and_particles(scene, robot)

    ends = run(*inputs)
    moved = run(inputs[0], v, torch.zeros_like(u), controls, masses)[0] - ends[0]
    assert moved.abs().max() > 1e-3, "the robot must feel the particles"
    for side, weight in enumerate(weights):

        def loss(*given, side=side, weight=weight):
            return (run(*given)[side] * weight).sum()

        for comparison in compare(loss, inputs, bar=1e-5):
            comparison.check(1e-4)
