"""Accelerometers, gyroscopes, force-torque sensors and contacts: closed forms, and gradients by differences."""

import math

import pytest
import torch

import genesis as gs
from tests.rigid.rigid_bench import F64, G, noise
from tests.rigid.rigid_models import CRAWLER, from_text, lone, pendulum
from tests.rigid.rigid_worlds import OUTPUTS, B, build, check, place, plain, rows

pytestmark = pytest.mark.precision("64")
SENSED = OUTPUTS[1:]


def test_imu_in_free_fall_and_at_rest():
    """It feels nothing in free fall, and 9.81 m/s^2 upwards, in its own frame, on the ground."""
    world = build(lone("box"), n_envs=2, ground=True, outputs=SENSED, requires_grad=False)
    world.robot.set_pos([0.0, 0.0, 5.0])
    world.robot.set_quat([0.5, 0.5, -0.5, 0.5])
    world.run(1)
    felt, turning = (plain(x) for x in world.robot.get_imu("body"))
    assert felt.abs().max() < 1e-9 and turning.abs().max() < 1e-12
    world.robot.set_pos([0.0, 0.0, 0.3])
    world.run(150)
    felt, turning = (plain(x) for x in world.robot.get_imu("body"))
    assert felt.norm(dim=-1) == pytest.approx([G, G], rel=1e-6)
    w, x, y, z = plain(world.robot.get_quat())[0]
    up = torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)])  # in the link's frame
    assert (felt[0] - G * up).abs().max() < 1e-5
    assert turning.abs().max() < 1e-6


def test_gyroscope():
    """Angular velocity in the link's own frame, which is what a free joint's last three velocities are."""
    world = build(lone("box"), n_envs=1, outputs=SENSED, requires_grad=False, gravity=(0.0, 0.0, 0.0))
    world.robot.set_quat([0.5, -0.5, 0.5, 0.5])
    world.robot.set_dofs_velocity([0.1, 0.2, 0.3, 1.0, -2.0, 0.5])
    world.run(1)
    _, turning = world.robot.get_imu("body")
    assert (plain(turning)[0] - plain(world.robot.get_dofs_velocity())[0, 3:]).abs().max() < 1e-12


def test_tension_of_a_pendulum():
    """m (g cos q + L w^2) along the rod and nothing across it, in the limit; the pin feels gravity alone."""
    length, mass, read = 0.8, 1.5, []
    for dt in (4e-4, 2e-4):
        world = build(pendulum(length, mass), n_envs=1, outputs=SENSED, requires_grad=False, dt=dt, substeps=4)
        q, w = 0.7, 1.5
        world.robot.set_dofs_position([q])
        world.robot.set_dofs_velocity([w])
        world.run(1)
        felt, _ = world.robot.get_imu("bob")
        read.append(torch.cat([plain(world.robot.get_force_torque("bob"))[0], plain(felt)[0]]))
    tension = mass * (G * math.cos(q) + length * w * w)
    wanted = torch.tensor([0.0, 0.0, tension, 0.0, 0.0, 0.0, -G * math.sin(q), 0.0, G * math.cos(q)], dtype=F64)
    errors = [float((r - wanted).norm()) for r in read]
    print(errors)
    assert errors[1] < 0.02 and 1.9 < errors[0] / errors[1] < 2.1
    assert (2 * read[1] - read[0] - wanted).norm() < 1e-4


def test_contacts_carry_the_weight():
    """At rest the contacts' forces add up to the weight, their moments to that of the centre of mass."""
    world = build(CRAWLER, n_envs=1, ground=True, outputs=OUTPUTS, requires_grad=False)
    robot, model = world.robot, from_text(CRAWLER)
    world.run(500)
    contacts = robot.get_contacts()
    force, at = plain(contacts.force)[0], plain(contacts.position)[0]
    weight = model.mass.sum() * G
    assert (force.sum(0) - torch.tensor([0.0, 0.0, weight])).abs().max() < 2e-3 * weight
    assert (plain(contacts.impulse) - plain(contacts.force) * world.scene.dt).abs().max() < 1e-12
    pos, turn = plain(robot.get_links_pos())[0], plain(robot.get_links_quat())[0]
    mass = torch.tensor(model.mass)[:, None]
    centre = (mass * (pos + rotate(turn, torch.tensor(model.com)))).sum(0) / mass.sum()
    moment = torch.linalg.cross(at - centre, force).sum(0)
    assert moment.abs().max() < 2e-3 * weight * 0.3
    assert len(contacts.geom_names) == len(contacts.link_idx) == force.shape[0]
    pushed = {contacts.geom_names[i] for i in (force[:, 2] > 1e-3).nonzero().flatten().tolist()}
    assert pushed <= {g.name for g in model.geoms} and len(pushed) >= 2
    assert (plain(robot.get_links_wrench())[0, 0]).abs().max() < 1e-6 * weight  # nothing holds the free base


def rotate(q, v):
    u = q[:, 1:]
    t = 2 * torch.linalg.cross(u, v)
    return v + q[:, :1] * t + torch.linalg.cross(u, t)


SENSORS = {
    "imu": lambda r: torch.cat([plain(x) for x in r.get_imu("left")], -1) * 0.02,
    "force_torque": lambda r: plain(r.get_force_torque("left")) * 0.02,
    "contacts impulse": lambda r: plain(r.get_contacts().impulse),
}


@pytest.mark.parametrize("sensor", SENSORS)
def test_gradients(sensor):
    world = build(CRAWLER, ground=True, outputs=OUTPUTS)
    vel = 0.5 * noise(13, seed=4)
    vel[2] = -0.8

    def loss(x):
        place(world, torch.zeros(B, 13, dtype=F64) - 0.05 * torch.eye(13, dtype=F64)[2], vel.expand(B, 13))
        world.robot.control_dofs_force(x, dofs_idx_local=list(range(6, 13)))
        world.run(3)
        return rows(SENSORS[sensor](world.robot), 5)

    check(loss, noise(7, seed=3), 1e-6, smooth=False, what=sensor)


def test_readings_must_be_asked_for():
    world = build(CRAWLER, n_envs=1, requires_grad=False)
    for read in (
        world.robot.get_contacts,
        lambda: world.robot.get_imu("left"),
        lambda: world.robot.get_force_torque("left"),
    ):
        with pytest.raises(gs.GenesisException, match="outputs"):
            read()
