"""What a geom's own friction does, and cylinders: they roll as far as they should, stand, and tip."""

import math

import pytest
import torch

import genesis as gs
from genesis.loaders.model import primitive
from tests.rigid.rigid_bench import F64, Bench
from tests.rigid.rigid_differences import STIFF_STEPS
from tests.rigid.rigid_grounds import flat
from tests.rigid.rigid_models import from_text
from tests.rigid.rigid_worlds import build, plain

SLEDGE = """<mujoco><worldbody><body pos="0 0 .0702"><freejoint/>
<geom name="left" type="box" size=".2 .02 .02" pos="0 -.1 -.05" friction=".02 0 0"/>
<geom name="right" type="box" size=".2 .02 .02" pos="0 .1 -.05" friction=".3 0 0"/>
<geom name="mast" type="box" size=".02 .02 .1" pos="0 0 .2" friction="{mast} 0 0"/>
</body></worldbody></mujoco>"""


@pytest.mark.parametrize("shape", ["box", "cylinder", "ellipsoid"])
def test_friction_of_a_geom_that_touches_nothing_does_not_brake(shape):
    """A sledge slides v t - mu g t^2 / 2 far on its runners, whatever its mast is made of."""
    mast = f'<geom type="{shape}" size=".02 .02 .1" pos="0 0 .2" friction="1.5 0 0"/>'
    runners = "".join(f'<geom type="box" size=".2 .02 .02" pos="0 {y} -.05" friction=".02 0 0"/>' for y in (-0.1, 0.1))
    text = f'<mujoco><worldbody><body pos="0 0 .0702"><freejoint/>{runners}{mast}</body></worldbody></mujoco>'
    world = build(text, n_envs=1, ground=True, ground_friction=0.01, dt=0.01, substeps=16, requires_grad=False)
    world.robot.set_dofs_velocity([2.0, 0, 0, 0, 0, 0])
    world.run(100)
    assert world.robot.get_pos()[0, 0].item() == pytest.approx(2.0 - 0.5 * 0.02 * 9.81, abs=0.02)


def test_set_friction_of_one_geom():
    world = build(SLEDGE.format(mast=1.5), n_envs=2, ground=True, ground_friction=0.0, requires_grad=False)
    robot = world.robot
    names = [geom.name for geom in robot.geoms]
    assert names == ["left", "right", "mast"] and robot.n_geoms == 3
    assert robot.get_friction()[0].tolist() == pytest.approx([0.02, 0.3, 1.5])
    robot.set_friction([[0.4], [0.5]], geoms_idx_local=names.index("left"))
    assert robot.get_friction([0, 2])[:, 0].tolist() == pytest.approx([0.4, 0.5])
    with pytest.raises(gs.GenesisException, match=r"geoms_idx_local must lie in 0 … 2, got 3"):
        robot.set_friction(0.1, geoms_idx_local=3)


@pytest.mark.precision("64")
def test_gradients_by_friction_of_each_geom_are_those_of_differences():
    bench = Bench(from_text(SLEDGE.format(mast=1.5)), (flat(),), dt=0.05, substeps=20)
    values = bench.initial(1)
    values["dofs_vel"][0, :3] = torch.tensor([1.0, 0.3, -0.2])
    found = bench.check(values, 1e-6, steps=STIFF_STEPS, fields=("friction", "qpos", "dofs_vel"), needed=("friction",))
    assert found
    results = bench.forward(values)
    cotangents = {name: torch.ones_like(value) for name, value in results.items()}
    begin = bench.parameter_layout["friction"][0]
    grad = bench.backward(values, cotangents)["model"][0, begin : begin + 3]
    assert grad[0] != 0.0 and grad[1] != 0.0 and grad[0] != grad[1] and grad[2] == 0.0


@pytest.mark.parametrize("speed", [0.1, 1.0])
@pytest.mark.parametrize("yaw", [0.0, 0.7])
def test_a_wheel_rolls_on(speed, yaw):
    """On its rim, without a motor: after 2 s it is where its speed leads, and as fast as it was."""
    wheel = gs.morphs.Cylinder(
        radius=0.1, height=0.06, pos=(0.0, 0.0, 0.1), quat=(math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0)
    )
    world = build(wheel, n_envs=1, ground=True, dt=0.01, substeps=16, requires_grad=False)
    c, s = math.cos(yaw), math.sin(yaw)
    half = torch.tensor([math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)], dtype=F64)
    flat_ = math.sqrt(0.5)
    quat = torch.stack([half[0] * flat_, half[0] * flat_, half[3] * flat_, half[3] * flat_])
    world.robot.set_quat(quat)
    world.robot.set_dofs_velocity([speed * c, speed * s, 0.0, 0.0, 0.0, -speed / 0.1])
    world.run(200)
    place, vel = plain(world.robot.get_pos())[0], plain(world.robot.get_vel())[0]
    assert math.hypot(place[0], place[1]) == pytest.approx(2 * speed, rel=0.02)
    assert math.hypot(vel[0], vel[1]) == pytest.approx(speed, rel=0.02)
    assert vel[2].abs() < 1e-3 * max(speed, 0.1)


def test_a_cylinder_stands_and_tips():
    """On its flat end: tilted by less than the angle at which its centre is above the rim, it falls back; else over."""
    stands = gs.morphs.Cylinder(radius=0.05, height=0.2, pos=(0.0, 0.0, 0.1))
    world = build(stands, n_envs=6, ground=True, dt=0.01, substeps=16, requires_grad=False)
    edge = math.atan2(0.05, 0.1)
    tilt = torch.tensor([0.0, 5e-4, 0.02, 0.8 * edge, 1.2 * edge, 1.2 * edge], dtype=F64)
    way = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], dtype=F64)
    quat = torch.stack([(tilt / 2).cos(), (tilt / 2).sin() * way.cos(), (tilt / 2).sin() * way.sin(), 0 * tilt], 1)
    height = 0.1 * tilt.cos() + 0.05 * tilt.sin()
    world.robot.set_qpos(torch.cat([torch.zeros(6, 2), height[:, None], quat], 1).to(gs.tc_float))
    world.run(300)
    axis = plain(world.robot.get_quat())
    upright = (1 - 2 * (axis[:, 1] ** 2 + axis[:, 2] ** 2)).tolist()
    assert upright[:4] == pytest.approx([1.0] * 4, abs=1e-4), upright
    assert all(abs(x) < 0.02 for x in upright[4:]), upright
    assert plain(world.robot.get_vel())[:4].norm(dim=1).max() < 1e-3


@pytest.mark.precision("64")
@pytest.mark.parametrize("pose", ["on its rim", "on its end", "almost on its end", "on an edge"])
def test_gradients_of_cylinders_are_those_of_differences(pose):
    """The lowest point of a rim moves with the orientation."""
    tilt = {"on its rim": math.pi / 2, "on its end": 0.0, "almost on its end": 0.02, "on an edge": 0.9}[pose]
    bench = Bench(primitive("cylinder", (0.1, 0.05), 1.0, 0.6), (flat((0.0, 0.0, 1.0)),), dt=0.02, substeps=10,
                  outputs=("contacts",))  # fmt: skip
    values = bench.initial(1)
    values["qpos"][0, 3:] = torch.tensor([math.cos(tilt / 2), 0.8 * math.sin(tilt / 2), 0.6 * math.sin(tilt / 2), 0.0])
    values["qpos"][0, 2] = 0.1 * math.sin(tilt) + 0.05 * math.cos(tilt) - 1e-4
    values["dofs_vel"][0] = torch.tensor([0.3, -0.2, -0.05, 0.01, 0.02, 0.3])
    assert bench.forward(values)["contacts"][0, :, 2].max() > 0.1
    bench.check(values, 1e-6, steps=STIFF_STEPS, needed=("qpos", "dofs_vel", "mass", "friction"))
