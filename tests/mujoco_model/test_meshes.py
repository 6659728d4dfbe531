"""Convex meshes on grounds, beside MuJoCo: the deepest corner, and up to three others away from it."""

import numpy as np
import pytest

from tests.mujoco_model.engine import Engine, States, relative
from tests.mujoco_model.heaps import meshes
from tests.mujoco_model.ours import Ours
from tests.mujoco_model.reports import summary

pytestmark = pytest.mark.precision("64")
HOUSE = """
<mujoco>
  <option timestep="0.004"/>
  <asset><mesh name="m" vertex="-.1 -.1 -.05  .1 -.1 -.05  -.1 .1 -.05  .1 .1 -.05  -.1 -.1 .05  .1 -.1 .05  -.1 .1 .05
    .1 .1 .05  0 0 .12"/></asset>
  <worldbody>
    <geom type="plane" size="5 5 1"/>
    <body pos="0 0 .2" euler="20 10 30"><freejoint/><geom type="mesh" mesh="m" density="500"/></body>
  </worldbody>
</mujoco>
"""


def test_a_mesh_falls_and_comes_to_rest_as_in_mujoco():
    engine = Engine(HOUSE)
    start = States(engine.m.qpos0[None].copy(), np.zeros((1, 6)), np.zeros((1, 0)))
    path = Ours(HOUSE, 1).trajectory(start, np.zeros((200, 1, 0)))
    wanted = np.concatenate(engine.step(start.qpos[0], start.qvel[0], np.zeros((200, 0))))
    assert np.abs(wanted[7:]).max() < 1e-6  # it has come to rest
    assert np.abs(path[-1, 0] - wanted).max() < 1e-12


@pytest.mark.slow
def test_meshes_on_slopes_take_mujocos_steps():
    """But for those that sink so deep that more corners than four are within the ground: which are taken differs."""
    engine = Engine(meshes(7))
    states = engine.states(100, seed=1)
    after = Ours(engine.text, len(states)).trajectory(states, states.ctrl[None])[1]
    errors = relative(after, np.stack([np.concatenate(engine.step(*state)) for state in states]))
    print(summary("meshes, one step", errors))
    assert np.quantile(errors, 0.95) < 1e-11
