"""Impacts on the ground: their slopes tend to the closed form as substeps shrink, at any speed, and wherever a substep
happens to begin; bodies at rest sink as deep as before."""

import logging
import math

import pytest
import torch

import genesis as gs
from genesis.loaders.model import primitive
from genesis.options import CompliantContact, RigidOptions
from tests.rigid.rigid_bench import Bench
from tests.rigid.rigid_differences import STIFF_STEPS
from tests.rigid.rigid_grounds import flat
from tests.rigid.rigid_models import from_text
from tests.rigid.rigid_worlds import build, plain

RADIUS, PHASES = 0.1, 8
SPEEDS = (0.5, 2.0, 10.0)


def ball():
    return primitive("sphere", (RADIUS,), 1.0, 0.0)


def bounce(speed, dissipation, substeps):
    """Of a ball that arrives at eight phases of a substep: the speed it leaves with, its slopes in speed and height."""
    options = RigidOptions(contact=CompliantContact(dissipation=dissipation))
    bench = Bench(ball(), (flat(),), options, dt=9 / 60, substeps=9 * substeps)
    values = bench.initial(PHASES, gravity=(0.0, 0.0, 0.0))
    values["qpos"][:, 2] = RADIUS + speed * (0.05 + torch.arange(PHASES) / PHASES / 60 / substeps)
    values["dofs_vel"][:, 2] = -speed
    results = bench.forward(values)
    cotangents = {name: torch.zeros_like(value) for name, value in results.items()}
    cotangents["dofs_vel"][:, 2] = 1.0
    grads = bench.backward(values, cotangents)
    return results["dofs_vel"][:, 2], grads["dofs_vel"][:, 2], grads["qpos"][:, 2]


def closed_form(speed, d):
    """Speed after an impact under the force k x (1 - d u), and minus its slope in the speed before.

    m u du/dx = k x (1 - d u), so f(u) = u / d + log(1 - d u) / d^2 is the same, up to its sign, on the way in and out.
    """
    if d == 0.0:
        return speed, 1.0
    low, high = 0.0, min(speed, (1.0 - 1e-12) / d)
    wanted = speed / d - math.log(1.0 + d * speed) / d**2
    for _ in range(200):
        middle = 0.5 * (low + high)
        if -middle / d - math.log(1.0 - d * middle) / d**2 < wanted:
            low = middle
        else:
            high = middle
    return low, speed / (1.0 + d * speed) * (1.0 - d * low) / low


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("dissipation", [0.0, 0.05])
def test_slopes_of_an_impact_tend_to_the_closed_form(speed, dissipation):
    """Errors fall as fast as the substep; at 16 substeps of 1/60 s none is off by more than a third."""
    after, slope = closed_form(speed, dissipation)
    for substeps, bar in ((16, 0.35), (64, 0.09), (256, 0.025)):
        left, by_speed, by_height = bounce(speed, dissipation, substeps)
        print(substeps, left.mean() / speed, by_speed.min(), by_speed.max(), by_height.abs().max())
        assert (left - after).abs().max() < bar * speed and (left <= 1.001 * after).all()
        assert (by_speed + slope).abs().max() < bar * slope
        assert (left[:, None] - left).abs().max() < 0.3 * bar * speed


@pytest.mark.precision("64")
@pytest.mark.parametrize("body", ["sphere", "ellipsoid", "cylinder"])
@pytest.mark.parametrize("speed", [0.3, 3.0])
def test_gradients_of_an_impact_are_those_of_differences(body, speed):
    """The rounding's width is a function of the speed, which is differentiated too."""
    shapes = {"sphere": (0.1,), "ellipsoid": (0.12, 0.1, 0.08), "cylinder": (0.1, 0.08)}
    bench = Bench(primitive(body, shapes[body], 1.0, 0.6), (flat(),), dt=0.04, substeps=20, outputs=("contacts",))
    values = bench.initial(1)
    turn = torch.tensor([0.9, 0.3, -0.2, 0.15], dtype=torch.float64)
    values["qpos"][0, 3:] = turn / turn.norm()
    values["dofs_vel"][0] = torch.tensor([0.4, -0.2, -speed, 1.0, -2.0, 0.5])
    for height in torch.arange(0.2, 0.07, -0.005).tolist():
        values["qpos"][0, 2] = height
        if bench.forward(values)["contacts"][0, :, 2].max() > 0.1:
            break
    else:
        raise AssertionError("the body must reach the ground")
    bench.check(values, 1e-6, steps=STIFF_STEPS, needed=("qpos", "dofs_vel", "mass", "friction", "contact_stiffness"))


def test_a_ball_at_rest_is_where_its_stiffness_says():
    """m g = k psi(x): the rounding of something that does not move is the smoothing, whatever the substep."""
    for substeps in (8, 64):
        world = build(
            gs.morphs.Sphere(radius=RADIUS, pos=(0, 0, 0.1)), n_envs=1, ground=True, requires_grad=False, dt=1 / 60,
            substeps=substeps, options=gs.options.RigidOptions(contact=CompliantContact(sag=1e-3)),
        )  # fmt: skip
        world.run(120)
        depth = RADIUS - world.robot.get_pos()[0, 2].item()
        assert depth == pytest.approx(1e-3, rel=1e-3)


LIMITED = """<mujoco><worldbody><body pos="0 0 1">
<joint type="{kind}" axis="0 1 0" range="0 {top}" damping="{damping}"/>
<geom type="sphere" size=".05" mass=".1" pos="{arm} 0 0"/></body></worldbody></mujoco>"""


@pytest.mark.parametrize(("kind", "top"), [("slide", 0.04), ("slide", 1.0), ("hinge", 5.0), ("hinge", 100.0)])
def test_a_limit_acts_within_a_hundredth_of_the_range_at_most(kind, top):
    """Nothing else acts on the joint: from its lower end it moves inwards by no more than the rounding."""
    text = LIMITED.format(kind=kind, top=top, damping=10.0, arm=0.2 if kind == "hinge" else 0.0)
    world = build(text, n_envs=1, requires_grad=False, dt=1 / 60, substeps=16)
    world.scene.set_gravity([0.0, 0.0, 0.0])
    world.run(120)
    span = (
        math.radians(top) if kind == "hinge" else min(top, 0.1)
    )  # of a slide the robot's extent counts, if that is less
    moved = plain(world.robot.get_dofs_position()).item()
    assert 0.0 < moved <= 0.01 * min(span, 1.0) * 1.001


@pytest.mark.precision("64")
@pytest.mark.parametrize("speed", [0.5, 5.0, -5.0])
def test_gradients_of_an_impact_on_a_limit_are_those_of_differences(speed):
    model = from_text(LIMITED.format(kind="hinge", top=60.0, damping=0.02, arm=0.2))
    bench = Bench(model, dt=0.05, substeps=50)
    values = bench.initial(1)
    values["qpos"][0, 0] = math.radians(60.0 if speed > 0.0 else 0.0) - 0.02 * speed
    values["dofs_vel"][0, 0] = speed
    assert bench.forward(values)["dofs_vel"][0, 0] * speed < 0.5 * speed**2
    bench.check(values, 1e-6, steps=STIFF_STEPS, needed=("qpos", "dofs_vel", "mass", "damping"))


@pytest.mark.parametrize(("substeps", "told"), [(2, True), (16, False)])
def test_impacts_that_last_too_few_substeps_for_gradients_are_named(substeps, told, caplog):
    with caplog.at_level(logging.WARNING, logger="genesis"):
        build(gs.morphs.Sphere(radius=RADIUS), n_envs=1, ground=True, dt=1 / 60, substeps=substeps)
    found = [record.getMessage() for record in caplog.records if "an impact must last" in record.getMessage()]
    assert len(found) == told
    assert not told or "Use 3 times as many substeps" in found[0], found


def test_joints_that_start_outside_of_their_limits_are_named(caplog):
    text = LIMITED.format(kind="hinge", top=60.0, damping=0.1, arm=0.2).replace('range="0', 'range="30')
    with caplog.at_level(logging.WARNING, logger="genesis"):
        build(text, n_envs=1)
    found = [
        record.getMessage() for record in caplog.records if "must start within their limits" in record.getMessage()
    ]
    assert len(found) == 1 and "0 of 0.524 to 1.05" in found[0]
