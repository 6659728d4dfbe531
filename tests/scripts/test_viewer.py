"""The viewer without a browser: shapes as triangles, the playhead, recordings and their gradients."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from genesis.render import meshes
from scripts import common
from scripts.viewer.gradients import Gradients
from scripts.viewer.playhead import Playhead
from scripts.viewer.recording import Recording
from scripts.viewer.visible_world import MAX_ARROWS, VisibleWorld

WINDOW = 3
FRAMES = 10


def recorded(env_id, frames=FRAMES):
    env = common.render_env(env_id, 2, differentiable=True)
    recording = Recording(env, common.untrained(env, "random", 0), 1, frames, WINDOW)
    while not recording.complete:
        recording.advance()
    return recording


def volume(mesh):
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return (a * np.cross(b, c)).sum() / 6


@pytest.mark.parametrize(
    "kind, size, expected",
    [
        ("sphere", (0.5, 0, 0), 4 / 3 * math.pi * 0.5**3),
        ("ellipsoid", (0.5, 0.4, 0.2), 4 / 3 * math.pi * 0.5 * 0.4 * 0.2),
        ("capsule", (0.2, 0.5, 0), math.pi * 0.2**2 * (4 / 3 * 0.2 + 1.0)),
        ("cylinder", (0.2, 0.5, 0), math.pi * 0.2**2),
        ("box", (0.1, 0.2, 0.3), 8 * 0.1 * 0.2 * 0.3),
    ],
)
def test_shapes_enclose_their_volume_and_face_outwards(kind, size, expected):
    mesh = meshes.of_shape(kind, size, np.zeros((0, 3)), segments=128)
    assert volume(mesh) == pytest.approx(expected, rel=2e-3)


def test_a_hull_and_a_floor():
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
    assert volume(meshes.of_shape("hull", (0, 0, 0), corners)) == pytest.approx(1 / 6)
    squares = [meshes.checker(0.5, 8, odd) for odd in (False, True)]
    middles = [mesh.vertices.reshape(-1, 4, 3).mean(1) for mesh in squares]
    places = {tuple(row) for rows in middles for row in rows}
    assert len(places) == 64 and min(places) == (-1.75, -1.75, 0.0)
    hill = meshes.terrain(np.arange(6.0).reshape(2, 3), 0.5)
    a, b, c = (hill.vertices[hill.faces[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all() and len(hill.faces) == 4


def test_the_playhead_plays_waits_loops_and_is_scrubbed():
    head = Playhead(total=100, rate=50.0)
    assert head.advance(0.5, 100) == 25
    assert head.wanted(0.5) == 51
    assert head.advance(1.0, 40) == 39  # the rest is not there yet
    head.speed = 0.5
    assert head.advance(1.0, 100) == 64
    head.scrub(10, 100)
    assert not head.playing and head.advance(1.0, 100) == 10
    assert head.toggle() and head.advance(0.4, 100) == 20
    head.scrub(99, 100)
    head.toggle()
    assert head.advance(0.04, 100) == 0


def test_a_recording_is_what_the_environment_does():
    recording = recorded("genesis/Pendulum-v0")
    env = common.render_env("genesis/Pendulum-v0", 2)
    act = common.untrained(env, "random", 0)
    observation, _ = env.reset(seed=1)
    visible, total = VisibleWorld(env), np.zeros(2)
    for number, frame in enumerate(recording.frames):
        now = visible.frame()
        for name in ("pos", "quat", "anchors", "lookat"):
            np.testing.assert_allclose(getattr(frame, name), getattr(now, name), atol=1e-5)
        np.testing.assert_allclose(recording.returns[number], total, rtol=1e-5)
        observation, reward, *_ = env.step(act(observation))
        total += reward.double().numpy()
    assert recording.elapsed[-1].tolist() == [FRAMES - 1] * 2


def test_frames_hold_particles_tools_goal_and_view():
    recording = recorded("genesis/SoftPush-v0", 4)
    env, frame = recording.env, recording.frames[-1]
    block = env.block.get_particles_pos().detach().double().numpy()
    np.testing.assert_allclose(frame.points, block, atol=1e-6)
    np.testing.assert_allclose(frame.pos[:, 0], env.stick.get_pos().detach().double().numpy(), atol=1e-6)
    np.testing.assert_allclose(frame.anchors[:, 0], frame.pos[:, 0])
    assert frame.anchors.shape == (2, 1 + MAX_ARROWS, 3)
    for number, (mark,) in enumerate(frame.marks):
        np.testing.assert_allclose(mark.pos[:2], env.episode["goal"][number].double().numpy(), atol=1e-6)
    np.testing.assert_allclose(frame.lookat, [[0.01, 0.0, 0.01]] * 2, atol=1e-6)


@pytest.mark.precision("64")
def test_gradients_of_tools_are_differences_of_returns():
    recording = recorded("genesis/SoftPush-v0")
    for frame in (0, 4):
        found = Gradients(recording).at(frame)[:, 0]

        def returns(env, shift):
            env.stick.set_position(env.stick.get_pos() + torch.as_tensor(shift))

        expected = differences(recording, frame, returns, 1e-6)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(found).max())


@pytest.mark.precision("64")
def test_gradients_of_particles_are_differences_of_returns():
    recording = recorded("genesis/SoftPush-v0")
    for frame, arrow in ((0, 7), (4, 60)):
        particle = recording.visible.chosen[arrow]

        def move(env, shift, particle=particle):
            state = env.scene.get_state()
            pos = state.mpm.pos.clone()
            pos[:, particle] += torch.as_tensor(shift)
            env.scene.reset(state=state.having("mpm", dataclasses.replace(state.mpm, pos=pos)))

        found = Gradients(recording).at(frame)[:, 1 + arrow]
        expected = differences(recording, frame, move, 1e-6)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(found).max())


@pytest.mark.precision("64")
@pytest.mark.parametrize("env_id", ["genesis/Hopper-v0", "genesis/Quadrotor-v0"])
def test_gradients_of_links_are_differences_of_returns(env_id):
    recording = recorded(env_id)
    links = recording.visible.links[0]
    for frame in (0, 4):
        found = Gradients(recording).at(frame)
        for place in {0, len(links) - 1}:

            def push(env, force, link=links[place]):
                task = env.apply_action

                def apply_action(action):  # once
                    env.robot.set_links_wrench(force=(0.0, 0.0, 0.0), torque=(0.0, 0.0, 0.0))
                    task(action)
                    held = env.scene.get_state().rigid.wrench[:, :, :3].detach().as_subclass(torch.Tensor).clone()
                    held[:, link] += torch.as_tensor(force)
                    env.robot.set_links_wrench(force=held)
                    env.apply_action = released

                def released(action):
                    env.robot.set_links_wrench(force=(0.0, 0.0, 0.0), torque=(0.0, 0.0, 0.0))
                    task(action)

                env.apply_action = apply_action

            expected = differences(recording, frame, push, 1e-3)
            np.testing.assert_allclose(found[:, place], expected, rtol=1e-4, atol=1e-5 * np.abs(found).max())


@torch.no_grad()
def differences(recording, frame, disturb, step):
    """(B, 3) central differences of the rewards that a window's gradient at a frame is about."""
    env, number = recording.env, frame // WINDOW
    end = min((number + 2) * WINDOW, len(recording.actions))
    columns = []
    for axis in range(3):
        sums = []
        for sign in (1, -1):
            env.load_state_dict(recording.states[number])
            for action in recording.actions[number * WINDOW : frame]:
                env.step(action)
            disturb(env, sign * step * np.eye(3)[axis])
            sums.append(sum(env.step(action)[1].double() for action in recording.actions[frame:end]))
            env.__dict__.pop("apply_action", None)
        columns.append(((sums[0] - sums[1]) / (2 * step)).numpy())
    return np.stack(columns, 1)


def test_particles_are_pushed_where_the_reward_wants_the_block():
    recording = recorded("genesis/SoftPush-v0")
    gradient = Gradients(recording).at(0)
    frame = recording.frames[0]
    to_goal = np.array([mark[0].pos[:2] for mark in frame.marks]) - frame.points.mean(1)[:, :2]
    mean = gradient[:, 1:, :2].mean(1)
    cosine = (mean * to_goal).sum(1) / np.linalg.norm(mean, axis=1) / np.linalg.norm(to_goal, axis=1)
    assert (cosine > 0.8).all()


def test_gradients_leave_a_growing_recording_alone():
    env = common.render_env("genesis/Hopper-v0", 2, differentiable=True)
    growing = Recording(env, common.untrained(env, "random", 0), 1, FRAMES, WINDOW)
    gradients = Gradients(growing)
    while not growing.complete:
        assert gradients.at(0) is None or len(growing.actions) >= 2 * WINDOW
        growing.advance()
    whole = recorded("genesis/Hopper-v0")
    for a, b in zip(growing.frames, whole.frames, strict=True):
        np.testing.assert_array_equal(a.pos, b.pos)
    np.testing.assert_array_equal(gradients.at(1), Gradients(whole).at(1))
    assert gradients.ready(2) and not gradients.ready(WINDOW)
    assert gradients.at(FRAMES - 1) is not None  # the last frame has no step of its own: the one before
