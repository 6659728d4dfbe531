"""Equality constraints in MuJoCo's contact model: accelerations, steps and gradients beside MuJoCo's own.

States begin off the constraints, so that residuals, impedances and the rotation of welds are all at work.
"""

import functools

import mujoco
import numpy as np
import pytest
import torch

import genesis as gs
from genesis import loaders
from genesis.loaders.equalities import moved_world
from tests.mujoco_model.engine import Engine, relative
from tests.mujoco_model.ours import Ours
from tests.mujoco_model.reports import summary
from tests.rigid.rigid_bench import F64, noise
from tests.rigid.rigid_models import file_of
from tests.rigid.rigid_worlds import B, check, rows

ACCELERATION, STEPS, LONG = 1e-10, 100, 1e-8
GRADIENT, MOST = 1e-7, 1e-4

HEAD = """
<mujoco model="{name}">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="0.002" integrator="{integrator}" {option}/>
  <default><geom contype="0" conaffinity="{touch}" density="800"/><joint damping="0.02" armature="0.001"/>
    <equality solref="0.01 1" solimp="0.8 0.95 0.05 0.4 2"/></default>
  <worldbody>
    <geom name="ground" type="plane" size="0 0 1" contype="{touch}" conaffinity="0"/>
    {bodies}
  </worldbody>
  <equality>{equality}</equality>
  {more}
</mujoco>
"""
FOUR_BAR = """
<body name="base" pos="0 0 0.6">
  <body name="crank"><joint name="crank" axis="0 1 0"/><geom type="capsule" size="0.02" fromto="0 0 0 0 0 0.2"/>
    <body name="coupler" pos="0 0 0.2"><joint name="coupler" axis="0.05 1 0"/>
      <geom type="capsule" size="0.02" fromto="0 0 0 0.5 0 0.1"/></body></body>
  <body name="rocker" pos="0.5 0 0"><joint name="rocker" axis="0 1 0"/>
    <geom type="capsule" size="0.02" fromto="0 0 0 0 0 0.3"/></body>
</body>
"""
FREE = """
<body name="{name}" pos="{pos}" euler="0.3 -0.2 {turn}"><freejoint name="{name}"/>
  <geom type="box" size="0.1 0.06 0.03" pos="0.02 0 0.01"/>
  <body name="{name} end" pos="0.1 0.02 0" euler="0.1 0.5 0"><geom type="sphere" size="0.04"/>
    <site name="{name} site" pos="0.03 0.01 0.02" euler="0.2 0.4 -0.3"/></body>
</body>
"""
MODELS = {
    "four-bar": (FOUR_BAR, '<connect body1="coupler" body2="rocker" anchor="0.5 0 0.1"/>', "crank"),
    "weld of free bodies": (
        FREE.format(name="a", pos="0 0 1", turn=0) + FREE.format(name="b", pos="0.3 0.1 1.1", turn=0.6),
        '<weld body1="a" body2="b end" torquescale="0.4" anchor="0.02 0.03 0"/>', "",
    ),
    "weld to the world": (
        FREE.format(name="a", pos="0 0 1", turn=0.4),
        '<weld body1="a end" relpose="0.1 0.2 1.1 0.8 0.3 0.4 0.33" solref="0.05 0.8"/>', "",
    ),
    "sites": (
        FREE.format(name="a", pos="0 0 1", turn=0) + FREE.format(name="b", pos="0.3 0.1 1.1", turn=0.6)
        + FREE.format(name="c", pos="-0.3 0.1 1", turn=-0.7),
        '<weld site1="a site" site2="b site"/><connect site1="c site" site2="a site"/>'
        '<connect body1="b" anchor="0.1 0.1 0"/>', "",
    ),
    "joints": (
        """<body name="u" pos="0 0 1"><joint name="u" axis="0 1 0" ref="0.2"/><geom type="capsule" size="0.03"
          fromto="0 0 0 0.3 0 0"/><body name="v" pos="0.3 0 0"><joint name="v" axis="0.2 1 0" ref="-0.1"/>
          <geom type="capsule" size="0.03" fromto="0 0 0 0.2 0 0"/><body pos="0.2 0 0"><joint name="w" type="slide"/>
          <geom type="sphere" size="0.05"/></body></body></body>
          <body pos="0 1 1"><joint name="x" axis="1 0 0"/><geom type="capsule" size="0.03" fromto="0 0 0 0 0.3 0.1"/>
          </body>""",
        '<joint joint1="u" joint2="v" polycoef="0.1 0.7 -0.2 0.3 0.15"/><joint joint1="w" polycoef="0.05 1 0 0 0"/>'
        '<joint joint1="x" joint2="u" polycoef="0 -1.5 0.4 0 0"/><joint joint1="x" joint2="w" active="false"/>', "u",
    ),
    "loop on the ground": (
        """<body name="hip" pos="0 0 0.34"><freejoint/><geom type="box" size="0.1 0.1 0.03"/>
          <body name="l1" pos="-0.1 0 0"><joint name="l1" axis="0 1 0"/><geom type="capsule" size="0.02"
            fromto="0 0 0 -0.1 0 -0.15"/><body name="l2" pos="-0.1 0 -0.15"><joint name="l2" axis="0 1 0"/>
            <geom type="capsule" size="0.02" fromto="0 0 0 0.2 0 -0.15"/></body></body>
          <body name="r1" pos="0.1 0 0"><joint name="r1" axis="0 1 0"/><geom type="capsule" size="0.02"
            fromto="0 0 0 0.1 0 -0.15"/><body name="r2" pos="0.1 0 -0.15"><joint name="r2" axis="0 1 0"/>
            <geom type="capsule" size="0.02" fromto="0 0 0 -0.2 0 -0.15"/></body></body>
        </body>""",
        '<connect body1="l2" body2="r2" anchor="0.2 0 -0.15"/>', "l1",
    ),
}  # fmt: skip
"""Bodies, equality constraints, and the joint of a motor."""


@functools.cache
def text_of(name: str, integrator: str = "Euler", option: str = "") -> str:
    bodies, equality, driven = MODELS[name]
    more = f'<actuator><motor name="m" joint="{driven}" gear="0.5"/></actuator>' if driven else ""
    touch = 1 if name == "loop on the ground" else 0
    return HEAD.format(
        name=name, integrator=integrator, option=option, touch=touch, bodies=bodies, equality=equality, more=more
    )


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    text = text_of(request.param)
    engine = Engine(text)
    return request.param, engine, engine.states(16, seed=1)


@pytest.mark.precision("64")
def test_acceleration(case):
    name, engine, states = case
    bare = Engine(engine.text.replace('damping="0.02"', 'damping="0"'))
    before, after = Ours(bare.text, len(states)).trajectory(states, states.ctrl[None])[:, :, engine.m.nq :]
    errors = relative((after - before) / engine.timestep, np.stack([bare.qacc(*state) for state in states]))
    line = summary(f"{name}, acceleration", errors)
    print(line)
    assert errors.max() < ACCELERATION, line


@pytest.mark.precision("64")
def test_a_hundred_steps(case):
    name, engine, states = case
    controls = engine.controls(np.random.default_rng(2), STEPS, len(states))
    after = Ours(engine.text, len(states)).trajectory(states, controls)[-1]
    wanted = np.stack([
        np.concatenate(engine.step(qpos, qvel, controls[:, k])) for k, (qpos, qvel, _) in enumerate(states)
    ])  # fmt: skip
    errors = relative(after, wanted)
    line = summary(f"{name}, {STEPS} steps", errors)
    print(line)
    assert np.median(errors) < LONG and errors.max() < 100 * LONG, line


@pytest.mark.precision("64")
@pytest.mark.parametrize("n", [1, 10])
def test_gradient(case, n):
    """Against differences of MuJoCo's steps."""
    name, engine, states = case
    states = states.chosen(np.arange(16 if n == 1 else 4))
    weight = np.random.default_rng(4).normal(size=engine.m.nq + engine.m.nv)
    ours = Ours(engine.text, len(states), requires_grad=True).gradient(states, weight, n)
    wanted, same = np.zeros_like(ours), np.ones(ours.shape, dtype=bool)
    for k, state in enumerate(states):
        jacobian, _, pieces = engine.jacobian(*state, n=n)
        wanted[k], same[k] = weight @ jacobian, ~pieces
    gaps = np.where(same, np.abs(ours - wanted), 0.0) / np.abs(wanted).max(1, keepdims=True)
    parts = [part.max(initial=0.0) for part in np.split(gaps, (engine.m.nv, 2 * engine.m.nv), axis=1)]
    line = f"{summary(f'{name}, gradient of {n} steps', gaps.max(1), int((~same).sum()))}; by qpos, qvel, ctrl {parts}"
    print(line)
    assert np.median(gaps.max(1)) < GRADIENT and gaps.max() < MOST, line
