"""Bodies that stand straight: where hints, normals and nearest features are not unique, unlike at random places."""

import itertools
from collections.abc import Iterator

import mujoco
import numpy as np
import pytest
import torch

import genesis as gs

HALF = {"sphere": (0.05, 0.05, 0.05), "capsule": (0.04, 0.04, 0.1), "box": (0.05, 0.06, 0.07)}  # extents, m
SIZES = {"sphere": "0.05", "capsule": "0.04 0.06", "box": "0.05 0.06 0.07"}
KINDS = [kind for kind in HALF for _ in range(2)]
BODIES = "".join(
    f'<body pos="{3 * i} 0 5"><freejoint/><geom type="{kind}" size="{SIZES[kind]}" mass="1"/></body>'
    for i, kind in enumerate(KINDS)
)
TEXT = f"""<mujoco><option timestep="0.005" integrator="implicitfast" tolerance="1e-14" iterations="200"/><worldbody>
<geom type="plane" size="1 1 1"/>{BODIES}</worldbody></mujoco>"""
ROOT_HALF = np.sqrt(0.5)
TURNS = [(1, 0, 0, 0), (ROOT_HALF, ROOT_HALF, 0, 0), (ROOT_HALF, 0, ROOT_HALF, 0), (ROOT_HALF, 0, 0, ROOT_HALF)]
TURNS += [(0, 1, 0, 0)]
AXES = [np.array(axis, float) for axis in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0))]
APART = np.concatenate([[3.0 * i, 0, 5, 1, 0, 0, 0] for i in range(len(KINDS))])
pytestmark = pytest.mark.precision("64")


def extent(kind, turn, axis):
    """How far a turned body reaches along an axis, m."""
    frame = np.zeros(9)
    mujoco.mju_quat2Mat(frame, np.array(turn, float))
    return HALF[kind][0] if kind == "sphere" else np.abs(frame.reshape(3, 3).T @ axis) @ np.array(HALF[kind])


def placed(*bodies):
    """All bodies far apart, except (index, place, turn)."""
    qpos = APART.copy()
    for i, place, turn in bodies:
        qpos[7 * i : 7 * i + 7] = *place, *turn
    return qpos


def on_the_ground() -> Iterator[np.ndarray]:
    for i, turn, depth in itertools.product((0, 2, 4), TURNS, (0.01, 0.0001)):
        yield placed((i, (0, 0, extent(KINDS[i], turn, AXES[2]) - depth), turn))


def on_each_other() -> Iterator[np.ndarray]:
    """Pairs, 4 mm deep, centred and 2 cm off centre."""
    for i, j in itertools.combinations_with_replacement((0, 2, 4), 2):
        other = j + 1 if i == j else j
        for turn, other_turn, axis, aside in itertools.product(TURNS, TURNS, AXES, (0.0, 0.02)):
            way = extent(KINDS[i], turn, axis) + extent(KINDS[other], other_turn, axis) - 0.004
            place = np.array([0, 0, 2]) + way * axis + aside * np.roll(axis, 1)
            yield placed((i, (0, 0, 2), turn), (other, place, other_turn))


def in_each_other() -> Iterator[np.ndarray]:
    """Pairs whose centres are the same."""
    for i, j in itertools.combinations_with_replacement((0, 2, 4), 2):
        for turn, other_turn in itertools.product(TURNS, TURNS):
            yield placed((i, (0, 0, 2), turn), (j + 1 if i == j else j, (0, 0, 2), other_turn))


@pytest.fixture(scope="module")
def step(tmp_path_factory):
    """Differences from MuJoCo's velocities after a step, and the gradients of a sum of ours, by place of the case."""
    path = tmp_path_factory.mktemp("aligned") / "bodies.xml"
    path.write_text(TEXT)
    model = mujoco.MjModel.from_xml_string(TEXT)
    data = mujoco.MjData(model)
    scene = gs.Scene(sim_options=gs.options.SimOptions(dt=0.005, substeps=1, requires_grad=True))
    bodies = scene.add_entity(gs.morphs.MJCF(file=path))
    cases = {name.__name__: np.array(list(name())) for name in (on_the_ground, on_each_other, in_each_other)}
    places = np.concatenate(list(cases.values()))
    scene.build(n_envs=len(places))
    velocities = 0.3 * np.random.default_rng(0).normal(size=(1, model.nv)).repeat(len(places), 0)
    qpos, dofs_vel = (gs.tensor(torch.from_numpy(x), requires_grad=True) for x in (places, velocities))
    bodies.set_qpos(qpos, zero_velocity=False)
    bodies.set_dofs_velocity(dofs_vel)
    scene.step()
    after = bodies.get_dofs_velocity()
    (after @ torch.randn(model.nv, dtype=after.dtype)).sum().backward()
    theirs = np.zeros_like(velocities)
    for k, (q, v) in enumerate(zip(places, velocities, strict=True)):
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:] = q, v
        mujoco.mj_step(model, data)
        theirs[k] = data.qvel
    assert qpos.grad is not None and dofs_vel.grad is not None
    ours = after.detach().numpy()
    found, first = {}, 0
    for name, rows in cases.items():
        part = slice(first, first + len(rows))
        found[name] = np.abs(ours - theirs)[part].max(axis=1), ours[part], qpos.grad[part], dofs_vel.grad[part]
        first += len(rows)
    return found


def test_on_the_ground_they_move_as_mujocos_do(step):
    assert step["on_the_ground"][0].max() < 1e-10


def test_on_each_other_they_move_as_mujocos_do(step):
    """But for a capsule along a box's edge or face: where two contacts are as near, rounding chooses one or both."""
    error = step["on_each_other"][0]
    assert np.median(error) < 1e-12 and (error > 1e-10).mean() < 0.015


@pytest.mark.parametrize("where", ["on_the_ground", "on_each_other", "in_each_other"])
def test_forces_and_gradients_are_bounded(step, where):
    _, velocity, by_place, by_velocity = step[where]
    assert np.abs(velocity).max() < 10.0 and by_place.abs().max() < 1e4 and by_velocity.abs().max() < 100.0
