"""Convex meshes on grounds, beside MuJoCo: the deepest corner, and up to three others of the face that it lies on."""

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


def ball(n):
    """(n, 3) points that lie evenly on a ball of 10 cm."""
    k = np.arange(n) + 0.5
    angle, z = np.pi * (1 + 5**0.5) * k, 1 - 2 * k / n
    return 0.1 * np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], 1)


def cone(n, seed=0):
    """A cut cone on a face of n corners at uneven angles."""
    angle = np.sort(np.random.default_rng(seed).uniform(0, 2 * np.pi, n))
    around = np.stack([0.1 * np.cos(angle), 0.08 * np.sin(angle), np.full(n, -0.03)], 1)
    return np.concatenate([around, around * (0.5, 0.6, -1.0)])


@pytest.mark.parametrize(
    ("corners", "height", "tilt"), [(ball(300), 0.1, 1.0), (cone(24), 0.03, 0.02)], ids=["ball", "face"]
)
def test_fine_meshes_take_mujocos_steps(corners, height, tilt):
    """Whose corners are searched by clusters, and of whose faces four corners of many count."""
    words = " ".join(f"{x:.6f}" for x in corners.ravel())
    text = HOUSE[: HOUSE.index("vertex=")] + f'vertex="{words}"/></asset>' + HOUSE[HOUSE.index("  <worldbody>") :]
    engine, rng, n = Engine(text), np.random.default_rng(1), 60
    qpos = np.tile(engine.m.qpos0, (n, 1))
    qpos[:, 2] = height - rng.uniform(-0.001, 0.005, n)
    qpos[:, 3:] = (1, 0, 0, 0) + tilt * rng.normal(size=(n, 4))
    qpos[:, 3:] /= np.linalg.norm(qpos[:, 3:], axis=1)[:, None]
    states = States(qpos, 0.1 * rng.normal(size=(n, 6)), np.zeros((n, 0)))
    after = Ours(text, n).trajectory(states, states.ctrl[None])[1]
    assert relative(after, np.stack([np.concatenate(engine.step(*state)) for state in states])).max() < 1e-11


@pytest.mark.slow
def test_meshes_on_slopes_take_mujocos_steps():
    engine = Engine(meshes(7))
    states = engine.states(100, seed=1)
    after = Ours(engine.text, len(states)).trajectory(states, states.ctrl[None])[1]
    errors = relative(after, np.stack([np.concatenate(engine.step(*state)) for state in states]))
    print(summary("meshes, one step", errors))
    assert errors.max() < 1e-11
