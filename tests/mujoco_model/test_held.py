"""Gradients through what bodies hold in place: a stack, a grasp, hinged loops and tendons, over ten steps.

Against central differences of MuJoCo's own steps, as in `test_gradients.py`; the bars are over all states of a scene.
The figures in docs/benchmarks.md: python -m pytest tests/mujoco_model/test_held.py -m slow -s
"""

from typing import NamedTuple

import mujoco
import numpy as np
import pytest

from tests.mujoco_model import test_equality
from tests.mujoco_model.engine import Engine, States
from tests.mujoco_model.ours import Ours
from tests.mujoco_model.pulled import pulled
from tests.mujoco_model.reports import summary, worst

pytestmark = [pytest.mark.precision("64"), pytest.mark.slow]
MEDIAN, MOST, SHARE, MOST_CHANGED = 1e-7, 1e-4, 0.99, 0.2
"""As in `test_gradients.py`."""
STEPS, N_STATES = 10, 24

STACK = """
<mujoco><option timestep="0.005" integrator="implicitfast"/>
  <worldbody><geom type="plane" size="0 0 1"/>
    <body pos="0 0 0.1"><freejoint/><geom type="box" size="0.1 0.12 0.1" density="600"/></body>
    <body pos="0.01 0 0.28" euler="0 0 20"><freejoint/><geom type="box" size="0.08 0.08 0.08" density="900"/></body>
    <body pos="0 0.01 0.42" euler="0 0 -10"><freejoint/><geom type="box" size="0.09 0.07 0.06" density="400"/></body>
  </worldbody></mujoco>
"""
GRASP = """
<mujoco><option timestep="0.004" integrator="implicitfast" cone="elliptic" impratio="5"/>
  <default><geom friction="1 0.02 0.001" condim="4" solref="0.01 1"/></default>
  <worldbody><geom type="plane" size="0 0 1"/>
    <body name="hand" pos="0 0 0.3"><joint name="lift" type="slide" axis="0 0 1" damping="2"/>
      <geom type="box" size="0.09 0.03 0.02" pos="0 0 0.1" mass="0.5"/>
      <body name="left" pos="-0.05 0 0"><joint name="left" type="slide" axis="1 0 0" damping="1" armature="0.01"/>
        <geom type="box" size="0.012 0.02 0.05" mass="0.1"/></body>
      <body name="right" pos="0.05 0 0"><joint name="right" type="slide" axis="-1 0 0" damping="1" armature="0.01"/>
        <geom type="box" size="0.012 0.02 0.05" mass="0.1"/></body>
    </body>
    <body name="cube" pos="0 0 0.28" euler="0 5 0"><freejoint/>
      <geom type="box" size="0.035 0.03 0.03" euler="0 -5 0" mass="0.2"/></body>
  </worldbody>
  <actuator><position joint="lift" kp="400" kv="20" ctrlrange="-0.02 0.02"/>
    <motor joint="left" ctrlrange="5 9"/><motor joint="right" ctrlrange="5 9"/></actuator>
</mujoco>
"""


class Held(NamedTuple):
    """A scene, and how its states are made: random places and speeds (m, rad and per s), then steps; None as others."""

    text: str
    places: float | None = None
    speeds: float = 0.0
    steps: tuple[int, int] = (0, 0)


SCENES = {
    "three boxes stacked": Held(STACK, 2e-3, 0.05, (20, 120)),
    "two fingers squeeze a cube": Held(GRASP, 1e-3, 0.05, (40, 120)),
    "four-bar linkage": Held(test_equality.text_of("four-bar")),
    "loop on the ground": Held(test_equality.text_of("loop on the ground")),
    "tendons": Held(pulled()),
}


def states_of(held: Held, engine: Engine) -> States:
    if held.places is None:
        return engine.states(N_STATES, seed=3)
    m, d, rng, found = engine.m, engine.d, np.random.default_rng(3), []
    for _ in range(N_STATES):
        mujoco.mj_resetData(m, d)
        d.qpos[:] = engine.moved(d.qpos, held.places * rng.normal(size=m.nv))
        d.qvel[:] = held.speeds * rng.normal(size=m.nv)
        ctrl = engine.controls(rng)
        d.ctrl[:] = ctrl
        for _step in range(int(rng.integers(*held.steps))):
            mujoco.mj_step(m, d)
        found.append((d.qpos.copy(), d.qvel.copy(), ctrl))
    return States(*(np.stack(column) for column in zip(*found, strict=True)))


@pytest.mark.parametrize("name", SCENES)
def test_gradients_are_differences_of_mujocos_steps(name):
    engine = Engine(SCENES[name].text)
    states = states_of(SCENES[name], engine)
    weight = np.random.default_rng(4).normal(size=engine.m.nq + engine.m.nv)
    ours = Ours(engine.text, len(states), requires_grad=True).gradient(states, weight, STEPS)
    gaps, same = np.zeros_like(ours), np.ones(ours.shape, dtype=bool)
    for k, state in enumerate(states):
        jacobian, _, pieces = engine.jacobian(*state, n=STEPS)
        wanted, same[k] = weight @ jacobian, ~pieces
        gaps[k] = np.where(same[k], np.abs(ours[k] - wanted), 0.0) / np.abs(wanted).max()
    errors = gaps.max(1)
    line = f"{summary(name, errors)}; {(~same).mean():.1%} of differences with a change of rows; entries below 1e-4: "
    line += f"{(gaps[same] < MOST).mean():.2%}, median {np.median(gaps[same]):.1e}"
    print(line)
    told = f"{line}\n{worst(engine, states, errors, MEDIAN)}"
    assert (~same).mean() < MOST_CHANGED, told
    assert np.median(errors) < MEDIAN, told
    assert (gaps[same] < MOST).mean() > SHARE, told
