"""What the physics promises its users: bodies rest, stand, stay within their joints' ranges, and are never pulled."""

import math
import re

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.loaders.library import FOLDER
from genesis.solvers.rigid.prepare import sag
from tests.rigid.rigid_bench import G, noise
from tests.rigid.rigid_models import CRAWLER, from_text, pendulum
from tests.rigid.rigid_worlds import build, plain

DT, SUBSTEPS = 1 / 60, 16
pytestmark = pytest.mark.precision("32")  # the default, and where resting is harder


MUJOCO = gs.options.RigidOptions(contact=gs.options.MujocoContact(), integrator="implicitfast")


def standing(*robots, n_envs=1, substeps=SUBSTEPS, **how):
    return build(
        *robots, n_envs=n_envs, ground=how.pop("ground", True), requires_grad=False, dt=DT, substeps=substeps, **how
    )


def seconds(world, t, act=None):
    for _ in range(round(t / DT)):
        if act:
            act()
        world.scene.step()


def lowest(world, robot=None):
    """(B,) height of the lowest place at which something touches, from the contacts' positions."""
    contacts = (robot or world.robot).get_contacts()
    touching = plain(contacts.force).norm(dim=-1) > 0
    return torch.where(touching, plain(contacts.position)[..., 2], torch.inf).amin(1)


def sag_of(robot):
    """m: by how much a robot sinks on one point, as its stiffness was derived from."""
    return float(sag(robot.model, gs.options.CompliantContact()).max())


# Resting.


def crawl_over(world, t=10.0):
    """Lets everything fall and come to rest; creep over the last second, m/s, and the lowest points' depth, m."""
    seconds(world, t - 1.0)
    before = plain(world.robot.get_links_pos()).clone()
    seconds(world, 1.0)
    after = plain(world.robot.get_links_pos())
    return (after - before).norm(dim=-1).amax(), (-lowest(world)).max()


@pytest.mark.parametrize("depth_allowed", [0.002, 0.01])
def test_a_box_rests(depth_allowed):
    """On its face, edge or corner at first: after 10 s it does not creep, and no corner is deeper than the sag."""
    morph = gs.morphs.Box(pos=(0.0, 0.0, 0.5), size=(0.3, 0.2, 0.1))
    options = gs.options.RigidOptions(contact=gs.options.CompliantContact(sag=depth_allowed))
    world = standing(morph, n_envs=4, outputs=("contacts",), options=options)
    turn = 0.7 * noise(4, 3, seed=1)
    turn[0] = 0.0
    quat = torch.cat([torch.ones(4, 1), turn], -1)
    world.robot.set_quat((quat / quat.norm(dim=-1, keepdim=True)).to(gs.tc_float))
    creep, depth = crawl_over(world)
    print(f"creep {creep:.2e} m/s, depth {depth:.2e} m of {depth_allowed}")
    assert creep < 1e-3
    assert 0 < depth <= depth_allowed


@pytest.mark.parametrize("name", ["ant", "half_cheetah", "hopper"])
def test_a_robot_rests(name):
    """Unpowered, it settles and stays: it creeps by less than 1 mm/s, and sinks no deeper than the sag."""
    world = standing(gs.morphs.Robot(name=name, pos=(0.0, 0.0, 0.0)), outputs=("contacts",))
    creep, depth = crawl_over(world)
    allowed = sag_of(world.robot)
    print(f"{name}: creep {creep:.2e} m/s, depth {depth:.2e} m of {allowed:.2e}")
    assert creep < 1e-3
    assert depth <= allowed


def drift(world, t=1.0):
    """(B,) how far the ground's contact points slid in t, per time, m/s: the length of each one's way, the longest."""
    way = torch.zeros(())
    for _ in range(round(t / DT)):
        world.scene.step()
        contacts, robot = world.robot.get_contacts(), world.robot
        link, place = contacts.link_idx, plain(contacts.position)
        lever = place - plain(robot.get_links_pos())[:, link]
        speed = plain(robot.get_links_vel())[:, link] + plain(robot.get_links_ang())[:, link].cross(lever, dim=-1)
        touching = plain(contacts.force).norm(dim=-1) > 0
        way = way + DT * torch.where(touching[..., None], speed, 0.0)[..., :2].norm(dim=-1)
    return way.amax(1) / t


def thrown_down(robot, height, n, seed):
    """(n, Q) configurations in the air, turned at random, with joints anywhere in the middle 80 % of their ranges."""
    draw, model = torch.Generator().manual_seed(seed), robot.model
    qpos = torch.tensor(model.qpos0).repeat(n, 1)
    for joint in model.joints:
        if joint.kind == "free":
            quat = torch.randn(n, 4, generator=draw, dtype=torch.float64)
            qpos[:, joint.q + 2] = height
            qpos[:, joint.q + 3 : joint.q + 7] = quat / quat.norm(dim=-1, keepdim=True)
        else:
            low, high = float(model.limit_low[joint.dof]), float(model.limit_high[joint.dof])
            part = 0.1 + 0.8 * torch.rand(n, generator=draw, dtype=torch.float64)
            qpos[:, joint.q] = low + (high - low) * part
    return qpos.to(gs.tc_float)


@pytest.mark.parametrize("name, substeps, height", [("ant", 16, 0.6), ("humanoid", 48, 0.8)])
def test_a_robot_lies_still(name, substeps, height):
    """Thrown down 16 ways, unpowered, after 10 s no contact slides by 1 mm/s, though joint springs push them apart.

    It is the contacts that must not creep: a limb on them may still settle, or turn about them, against its dampers.
    """
    world = standing(gs.morphs.Robot(name=name), n_envs=16, substeps=substeps, outputs=("contacts",))
    world.robot.set_qpos(thrown_down(world.robot, height, 16, seed=7))
    seconds(world, 9.0)
    crept = drift(world)
    depth = (-lowest(world)).max()
    print(f"{name}: drift of contacts, mm/s: {[round(1e3 * v, 3) for v in crept.tolist()]}, depth {depth:.1e} m")
    assert not world.scene.failures
    assert crept.max() < 1e-3
    assert 0 < depth <= sag_of(world.robot)


# Standing, whatever it weighs.


def ant_of(mass):
    """The standard ant's text with its masses, and all in proportion to them, scaled so that it weighs so much."""
    text = (FOLDER / "ant.xml").read_text(encoding="utf-8")
    scale = mass / from_text(text).mass.sum()

    def scaled(match):
        return f'{match[1]}="{float(match[2]) * scale:.17g}"'

    text = re.sub(r'(density|mass|armature|gear|damping)="([^" ]*)"', scaled, text)
    assert from_text(text).mass.sum() == pytest.approx(mass, rel=1e-6)
    return text


@pytest.mark.parametrize("mass", [0.9, 180.0])
def test_light_and_heavy_ants_stand(mass):
    """Held in its rest posture by gains in proportion to its mass, with the torso clear of the ground, for 10 s."""
    world = standing(ant_of(mass), outputs=("contacts",))
    robot = world.robot
    inner = [i for j in robot.joints if j.kind != "free" for i in j.dofs_idx_local]
    middle = torch.tensor([sum(j.limits[0]) / 2 for j in robot.joints if j.kind != "free"], dtype=gs.tc_float)
    robot.set_dofs_position(middle, dofs_idx_local=inner)
    robot.set_dofs_kp(mass * G * 1.0, dofs_idx_local=inner)
    robot.set_dofs_kv(mass * G * 0.1, dofs_idx_local=inner)
    robot.control_dofs_position(middle, dofs_idx_local=inner)
    sizes = np.array([g.size[0] for g in robot.model.geoms if g.link == 0])
    seconds(world, 10.0)
    height, up = plain(robot.get_pos())[0, 2], plain(robot.get_links_quat())[0, 0]
    speed = plain(robot.get_links_vel()).norm(dim=-1).max()
    tilt = 2 * math.acos(min(1.0, float(up[0] ** 2 + up[3] ** 2) ** 0.5))
    depth = -lowest(world)[0]
    print(f"{mass} kg: height {height:.3f}, tilt {tilt:.3f}, speed {speed:.1e}, depth {depth:.1e}")
    assert height > sizes.max() * 1.1
    assert tilt < 0.1
    assert speed < 1e-3
    assert drift(world) < 1e-3
    assert 0 < depth <= sag_of(robot)


def test_light_and_heavy_ants_move_alike():
    """Mass scales all: two ants of which one weighs 200 times as much, driven likewise, are in the same place."""
    found = []
    for mass in (0.9, 180.0):
        world = standing(ant_of(mass))
        robot = world.robot
        inner = [i for j in robot.joints if j.kind != "free" for i in j.dofs_idx_local]
        robot.control_dofs_force(2.0 * mass * noise(len(inner), seed=4).to(gs.tc_float), dofs_idx_local=inner)
        seconds(world, 0.5)
        found.append(plain(robot.get_qpos())[0])
    assert (found[0] - found[1]).abs().max() < (1e-6 if gs.tc_float == torch.float64 else 2e-2)


# Ranges of joints.


def excess(robot):
    """(B,) by how much any joint is beyond its range, rad (or m)."""
    model, q = robot.model, plain(robot.get_dofs_position()).double()
    return torch.maximum(q - torch.tensor(model.limit_high), torch.tensor(model.limit_low) - q).amax(1)


def drives(model):
    """(n, D): full force of every actuator alone both ways, all at once both ways, and at random."""
    full = torch.zeros(model.n_dofs)
    for a in model.actuators:
        high = min(a.high, 1e9)
        full[a.dof] = abs(a.gear) * (high if math.isfinite(high) else 1.0)
    alone = [s * full * torch.eye(model.n_dofs)[a.dof] for a in model.actuators for s in (1, -1)]
    mixed = [full * torch.sign(noise(model.n_dofs, seed=k)).float() for k in range(6)]
    return torch.stack([*alone, full, -full, *mixed]).to(gs.tc_float)


def driven(name, on_ground):
    """A robot in as many environments as there are `drives`, and the force in each."""
    model = build(gs.morphs.Robot(name=name), n_envs=1, requires_grad=False).robot.model
    force = drives(model)
    gravity = (0.0, 0.0, -9.81 if on_ground else 0.0)
    ground = True if on_ground else None
    return standing(gs.morphs.Robot(name=name), n_envs=len(force), ground=ground, gravity=gravity), force


@pytest.mark.parametrize("on_ground", [False, True])
@pytest.mark.parametrize("name", ["ant", "hopper", "half_cheetah", "walker2d"])
def test_full_torque_against_the_limits(name, on_ground):
    """Held at full torque, alone and together, either way: no joint stays 0.05 rad beyond its range."""
    world, force = driven(name, on_ground)
    world.robot.control_dofs_force(force)
    seconds(world, 1.0)
    worst = torch.zeros(len(force), dtype=torch.float64)
    for _ in range(30):
        world.scene.step()
        worst = torch.maximum(worst, excess(world.robot))
    assert not world.scene.failures
    print(f"{name}: worst {worst.max():.4f} rad, of each drive {[round(x, 4) for x in worst.tolist()]}")
    assert worst.max() < 0.05
    assert worst.max() > -0.05, "the joints must be driven to their limits"


@pytest.mark.parametrize("on_ground", [False, True])
@pytest.mark.parametrize("name", ["ant", "hopper", "half_cheetah", "walker2d"])
def test_full_torque_into_the_limits(name, on_ground):
    """Full torque for 1 s, then the other way: not even the impact takes a joint 0.05 rad beyond its range."""
    world, force = driven(name, on_ground)
    worst = torch.zeros(len(force), dtype=torch.float64)
    for sign in (1.0, -1.0):
        world.robot.control_dofs_force(sign * force)
        for _ in range(60):
            world.scene.step()
            assert not world.scene.failures
            worst = torch.maximum(worst, excess(world.robot))
    print(f"{name}: worst {worst.max():.4f} rad, of each drive {[round(x, 4) for x in worst.tolist()]}")
    assert worst.max() < 0.05


@pytest.mark.parametrize("span", ["-1 1", "-1 0.2", "-0.2 1", "0 1", "-1 0"])
def test_limits_hold_against_the_stronger_side(span):
    """An actuator that is stronger one way than the other."""
    motor = f'<motor joint="pin" gear="300" ctrlrange="{span}" ctrllimited="true"/>'
    text = pendulum(more='range="-0.4 0.4" limited="true"')
    text = text.replace("<worldbody>", '<compiler angle="radian"/><worldbody>')
    text = text.replace("</mujoco>", f"<actuator>{motor}</actuator></mujoco>")
    world = standing(text, n_envs=2, ground=None)
    low, high = (float(x) for x in span.split())
    world.robot.control_dofs_force(300.0 * torch.tensor([[low], [high]], dtype=gs.tc_float))
    seconds(world, 3.0)
    q = plain(world.robot.get_qpos())[:, 0]
    print(span, q.tolist())
    assert excess(world.robot).max() < 0.05


# Contact pushes only.


@pytest.mark.parametrize("substeps", [16, 1])
@pytest.mark.parametrize("name", ["ant", "hopper"])
def test_the_ground_never_pulls(name, substeps):
    """In random motion, with jumps, every contact's normal force is positive or zero."""
    world = build(
        gs.morphs.Robot(name=name), n_envs=8, ground=True, outputs=("contacts",), requires_grad=False,
        dt=DT / 16 * substeps, substeps=substeps,
    )  # fmt: skip
    robot, model = world.robot, world.robot.model
    weight = model.mass.sum() * G
    full = drives(model)[-8].abs()
    least, most = torch.inf, 0.0
    for t in range(160 if substeps == 16 else 640):
        if t % (5 if substeps == 16 else 40) == 0:
            robot.control_dofs_force(full * (2 * torch.rand(8, robot.n_dofs, dtype=gs.tc_float) - 1))
        world.scene.step()
        normal = plain(robot.get_contacts().force)[..., 2]
        least, most = min(least, normal.min().item()), max(most, normal.max().item())
    print(f"{name}: normal forces from {least / weight:.1e} to {most / weight:.1e} of the weight")
    assert most > 0.1 * weight
    assert least >= -1e-6 * weight


# Throws.


@pytest.mark.parametrize("speed", [2.0, 8.0])
def test_what_is_thrown_at_a_robot_does_not_come_back_faster(speed):
    """A ball from 48 sides at a light robot with four kinds of joints, at the default substeps: no energy is made."""
    n, real = 48, gs.tc_float
    ball = gs.morphs.Sphere(radius=0.08, pos=(0.0, 0.0, 0.9))
    world = standing(CRAWLER, ball, n_envs=n, ground=None, gravity=(0.0, 0.0, 0.0), options=MUJOCO)
    other, way = world.others[0], noise(n, 3, seed=2)
    way = (way / way.norm(dim=-1, keepdim=True)).to(real)
    other.set_pos(torch.tensor([0.0, 0.0, 0.3], dtype=real) + 0.15 * noise(n, 3, seed=3).to(real) - 0.9 * way)
    other.set_dofs_velocity(speed * torch.cat([way, torch.zeros_like(way)], -1))
    fastest = torch.zeros(n, dtype=real)
    for _ in range(round(2.0 / speed / DT)):
        world.scene.step()
        assert not world.scene.failures
        fastest = torch.maximum(fastest, plain(other.get_vel()).norm(dim=-1))
    slowed = plain(other.get_vel()).norm(dim=-1) < 0.99 * speed
    print(f"{int(slowed.sum())} of {n} hit, fastest {fastest.max() / speed:.4f}")
    assert slowed.sum() > n / 3
    assert fastest.max() < 1.01 * speed


def test_what_is_not_to_touch_does_not():
    """A shape whose masks meet nothing (MuJoCo's contype and conaffinity 0) falls through the ground."""
    text = """<mujoco><worldbody><body pos="0 0 0.2"><freejoint/>
      <geom type="sphere" size="0.1" contype="0" conaffinity="0" mass="1"/></body></worldbody></mujoco>"""
    world = standing(text)
    seconds(world, 1.0)
    assert plain(world.robot.get_pos())[0, 2] < -4.0
