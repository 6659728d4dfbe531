"""Rigid entities: setters act at once, cut what they overwrite, keep the rest, and refuse bad input beforehand."""

import numpy as np
import pytest
import torch

import genesis as gs
from tests.engine.rigid_scenes import ELBOW, N_DOFS, N_LINKS, N_QS, QUATS, SLIDER

real = torch.float64
pytestmark = pytest.mark.precision("64")


def random_q(*shape):
    q = 0.3 * torch.randn(*shape, N_QS, dtype=real)
    for a in QUATS:
        q[..., a : a + 4] /= q[..., a : a + 4].norm(dim=-1, keepdim=True)
    return q


def test_qpos_takes_every_shape(rigid):
    scene, robot, _ = rigid(boxes=2)
    for q in (random_q(), random_q(3), random_q().numpy(), random_q().tolist()):
        robot.set_qpos(q)
        assert torch.allclose(robot.get_qpos(), torch.as_tensor(q, dtype=real).expand(3, N_QS))
    before, q = robot.get_qpos().clone(), random_q(2)
    robot.set_qpos(q, envs_idx=[2, 0])
    assert torch.allclose(robot.get_qpos(envs_idx=[2, 0]), q)
    assert torch.equal(robot.get_qpos()[1], before[1])
    robot.set_qpos(random_q(), envs_idx=torch.tensor([False, True, False]))
    assert not torch.allclose(robot.get_qpos()[1], before[1])
    robot.set_qpos([0.25, 0.5], qs_idx_local=[12, 0])
    assert robot.get_qpos(qs_idx_local=[0, 12]).tolist() == [[0.5, 0.25]] * 3
    assert torch.allclose(robot.get_qpos()[0, 1:12], q[1, 1:12])


def test_base_pose_and_neighbours(rigid):
    """Each entity has its own part of the solver's values."""
    scene, robot, (first, second) = rigid(boxes=2)
    assert first.get_pos().tolist() == [[2.0, 0.0, 0.1]] * 3
    assert second.get_pos().tolist() == [[3.0, 0.0, 0.1]] * 3
    assert robot.get_pos()[0].tolist() == [0.1, 0.2, 0.5]
    robot.set_pos([[1.0, 2.0, 3.0]] * 3)
    second.set_quat([0.0, 0.6, 0.8, 0.0], envs_idx=1)
    second.set_dofs_velocity([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert robot.get_pos().tolist() == [[1.0, 2.0, 3.0]] * 3
    assert second.get_quat(envs_idx=[1, 0]).tolist() == [[0.0, 0.6, 0.8, 0.0], [1.0, 0.0, 0.0, 0.0]]
    assert second.get_vel().tolist() == [[1.0, 2.0, 3.0]] * 3
    assert torch.allclose(second.get_ang()[1], torch.tensor([-4 * 0.28 + 5 * 0.96, 4 * 0.96 + 5 * 0.28, -6.0]).to(real))
    assert not first.get_dofs_velocity().any() and not robot.get_dofs_velocity().any()
    assert first.get_quat().tolist() == robot.get_quat().tolist() == [[1.0, 0.0, 0.0, 0.0]] * 3
    state = scene.get_state().rigid
    assert state.qpos.shape == (3, N_QS + 14) and state.dofs_vel.shape == (3, N_DOFS + 12)
    assert state.dofs.shape == (3, N_DOFS + 12, 5) and state.wrench.shape == (3, N_LINKS + 2, 6)
    assert scene.get_state().solvers_state == [state]


def test_dofs_position_round_trip(rigid):
    _, robot, _ = rigid()
    q = random_q(3)
    robot.set_qpos(q)
    y = robot.get_dofs_position().clone()
    assert torch.equal(y[:, :3], q[:, :3]) and torch.equal(y[:, [ELBOW, SLIDER]], q[:, [11, 12]])
    robot.set_qpos(random_q(3))
    robot.set_dofs_position(y)
    sign = torch.where(q[:, 3:4] < 0, -1.0, 1.0), torch.where(q[:, 7:8] < 0, -1.0, 1.0)
    expected = torch.cat([q[:, :3], sign[0] * q[:, 3:7], sign[1] * q[:, 7:11], q[:, 11:]], 1)
    assert torch.allclose(robot.get_qpos(), expected, atol=1e-12)
    robot.set_dofs_position([0.1, 0.2], dofs_idx_local=[SLIDER, ELBOW], envs_idx=[1])
    assert robot.get_dofs_position([ELBOW, SLIDER], envs_idx=[1]).tolist() == [[0.2, 0.1]]
    assert torch.equal(robot.get_qpos()[1, 3:11], robot.get_qpos()[1, 3:11])
    assert torch.allclose(robot.get_qpos()[[0, 2]], expected[[0, 2]], atol=1e-12)
    robot.set_dofs_position([0.0, 0.0, np.pi / 2], dofs_idx_local=[6, 7, 8])
    assert torch.allclose(robot.get_qpos()[:, 7:11], torch.tensor([0.5**0.5, 0.0, 0.0, 0.5**0.5], dtype=real))
    robot.set_dofs_position(0.0)
    assert robot.get_qpos()[0].tolist() == [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]


def test_dofs_velocity(rigid):
    _, robot, _ = rigid()
    robot.set_dofs_velocity(2.0)
    assert (robot.get_dofs_velocity() == 2.0).all()
    robot.set_dofs_velocity([[5.0, 6.0]] * 2, dofs_idx_local=[SLIDER, 0], envs_idx=[2, 1])
    assert robot.get_dofs_velocity([0, SLIDER]).tolist() == [[2.0, 2.0], [6.0, 5.0], [6.0, 5.0]]
    robot.set_dofs_velocity(dofs_idx_local=[0])
    assert robot.get_dofs_velocity(slice(0, 2)).tolist() == [[0.0, 2.0]] * 3
    robot.set_dofs_velocity()
    assert not robot.get_dofs_velocity().any()


def test_placing_brings_to_rest_unless_told_otherwise(rigid):
    _, robot, _ = rigid()
    calls = (
        lambda **k: robot.set_pos([0.0, 0.0, 1.0], **k),
        lambda **k: robot.set_quat([0.0, 1.0, 0.0, 0.0], **k),
        lambda **k: robot.set_qpos(random_q(), **k),
        lambda **k: robot.set_dofs_position(0.1, dofs_idx_local=[ELBOW], **k),
    )
    for call in calls:
        robot.set_dofs_velocity(3.0)
        call(zero_velocity=False)
        assert (robot.get_dofs_velocity() == 3.0).all()
        call(envs_idx=[1])
        assert (robot.get_dofs_velocity() == 0.0).all(1).tolist() == [False, True, False]
        call()
        assert not robot.get_dofs_velocity().any()


def test_the_last_call_decides_the_mode(rigid):
    scene, robot, _ = rigid(boxes=1)

    def controls():
        return scene.get_state().rigid.dofs[:, 6:]

    robot.control_dofs_force([0.5, 0.6], dofs_idx_local=[ELBOW, 2])
    assert controls()[0, [2, ELBOW]].tolist() == [[0.6, 0, 0, 0, 0], [0.5, 0, 0, 0, 0]]
    assert int((controls() != 0).sum()) == 6
    robot.control_dofs_position(0.2, dofs_idx_local=[ELBOW, SLIDER], envs_idx=[1])
    assert controls()[:, ELBOW].tolist() == [[0.5, 0, 0, 0, 0], [0, 0.2, 0, 1, 1], [0.5, 0, 0, 0, 0]]
    robot.control_dofs_velocity([[0.3]] * 3, dofs_idx_local=ELBOW)
    assert controls()[1, ELBOW].tolist() == [0, 0, 0.3, 0, 1] and controls()[1, SLIDER].tolist() == [0, 0.2, 0, 1, 1]
    robot.control_dofs_force(torch.arange(11.0), envs_idx=[0])
    assert torch.equal(controls()[0, :, 0], torch.arange(11.0, dtype=real)) and not controls()[0, :, 1:].any()
    scene.step()
    assert controls()[1, ELBOW].tolist() == [0, 0, 0.3, 0, 1]
    scene.reset(envs_idx=[1])
    assert not controls()[1].any() and controls()[0].any()


def test_links_wrench_is_held(rigid):
    scene, robot, (other,) = rigid(boxes=1, ground=False, gravity=(0.0, 0.0, 0.0))
    robot.set_links_wrench(force=[1.0, 0.0, 0.0], links_idx_local=[2, 0])
    robot.set_links_wrench(torque=torch.ones(4, 3), envs_idx=[0])
    wrench = scene.get_state().rigid.wrench[:, 1:]
    assert wrench[0].tolist() == [[1, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1], [1, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1]]
    assert wrench[1].tolist() == [[1, 0, 0, 0, 0, 0], [0] * 6, [1, 0, 0, 0, 0, 0], [0] * 6]
    scene.step()
    scene.step()
    assert (robot.get_vel()[1:, 0] > 0).all() and not other.get_vel().any()
    with pytest.raises(TypeError, match="got neither"):
        robot.set_links_wrench()


def test_overwritten_values_lose_their_gradient_and_others_keep_it(rigid):
    _, robot, (other,) = rigid(boxes=1)
    cases = (
        (robot.set_pos, robot.get_pos, 3),
        (other.set_dofs_velocity, other.get_dofs_velocity, 6),
        (
            lambda x, **k: robot.set_dofs_position(x, [SLIDER, ELBOW], **k),
            lambda: robot.get_dofs_position([SLIDER, ELBOW]),
            2,
        ),
        (lambda x, **k: robot.set_qpos(x, [12, 0], **k), lambda: robot.get_qpos([12, 0]), 2),
    )
    for setter, getter, n in cases:
        old = torch.randn(3, n, dtype=real, requires_grad=True)
        new = torch.randn(2, n, dtype=real, requires_grad=True)
        setter(old)
        setter(new, envs_idx=[2, 0])
        a, b = torch.autograd.grad(getter().sum(), (old, new))
        assert torch.allclose(a, torch.tensor([[0.0], [1.0], [0.0]], dtype=real).expand(3, n))
        assert torch.allclose(b, torch.ones(2, n, dtype=real))


def test_some_degrees_of_freedom_keep_the_gradient_of_the_others(rigid):
    _, robot, _ = rigid()
    whole = torch.randn(3, N_DOFS, dtype=real, requires_grad=True)
    some = torch.randn(2, dtype=real, requires_grad=True)
    for setter, getter in ((robot.set_dofs_velocity, robot.get_dofs_velocity), (robot.control_dofs_force, None)):
        setter(whole)
        setter(some, dofs_idx_local=[7, 2])
        value = getter() if getter else robot._values.read("rigid", "dofs")[..., 0]
        a, b = torch.autograd.grad(value.sum(), (whole, some))
        kept = [float(i not in (7, 2)) for i in range(N_DOFS)]
        assert a.tolist() == [kept] * 3 and b.tolist() == [3.0, 3.0]


def test_quaternions_are_scaled_and_differentiated_as_such(rigid):
    scene, robot, _ = rigid()
    quat = (torch.tensor([0.6, 0.0, 0.8, 0.0], dtype=real) * 1.0005).requires_grad_()
    robot.set_quat(quat)
    assert torch.allclose(robot.get_quat().norm(dim=-1), torch.ones(3, dtype=real), atol=1e-14)
    (grad,) = torch.autograd.grad(robot.get_quat()[:, 0].sum(), quat)
    assert torch.allclose(grad @ quat.detach(), torch.zeros((), dtype=real), atol=1e-12) and grad.any()

    def place(q):
        scene.reset()
        robot.set_quat(q)
        return robot.get_dofs_position().clone()

    assert torch.autograd.gradcheck(place, quat)


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda r: r.set_qpos(torch.zeros(12)), r"robot\.qpos must have shape \(13,\) or \(3, 13\), got \(12,\)"),
        (lambda r: r.set_qpos(torch.zeros(13)), r"robot\.qpos\[3:7\] must be unit quaternions, got length 0 in row 0"),
        (lambda r: r.set_quat([1.0, 0.1, 0.0, 0.0]), "robot.quat must be unit quaternions, got length 1.00499"),
        (lambda r: r.set_quat([1.0, 0.0, 0.0]), r"robot\.quat must have shape"),
        (lambda r: r.set_qpos(0.5, qs_idx_local=[4]), r"must have shape \(1,\)"),
        (lambda r: r.set_qpos([0.5], qs_idx_local=[4]), r"qpos\[3:7\] must be unit quaternions"),
        (lambda r: r.set_qpos([0.5], qs_idx_local=[13]), r"qs_idx_local must lie in 0 … 12, got 13"),
        (lambda r: r.set_pos([0.0, np.nan, 0.0]), "robot.pos must be finite"),
        (lambda r: r.control_dofs_force(np.nan), "robot.force must be finite"),
        (lambda r: r.control_dofs_force([np.inf], [3]), "robot.force must be finite"),
        (lambda r: r.control_dofs_force(torch.zeros(4, 11)), r"robot\.force must have shape \(11,\) or \(3, 11\)"),
        (lambda r: r.control_dofs_force([1.0, 2.0], [3]), r"shape \(1,\) or \(3, 1\), got \(2,\)"),
        (lambda r: r.control_dofs_position(0.1), "got degree of freedom 0 of the free joint 'root'"),
        (lambda r: r.control_dofs_position([np.nan], [9]), "robot.position must be finite"),
        (lambda r: r.control_dofs_velocity(0.1, [11]), "dofs_idx_local must lie in 0 … 10, got 11"),
        (lambda r: r.set_dofs_velocity(0.1, [3, 3]), "hold nothing twice"),
        (lambda r: r.set_dofs_velocity(0.1, [True] * 11), "integers, got a mask"),
        (lambda r: r.set_dofs_velocity(0.1, ["a"]), "dofs_idx_local must be integers"),
        (lambda r: r.set_dofs_velocity(0.1, envs_idx=[5]), "envs_idx must lie in 0 … 2"),
        (lambda r: r.set_links_wrench(force=[1.0, 2.0]), r"robot\.force must have shape \(4, 3\)"),
        (lambda r: r.set_links_wrench([0.0] * 3, [0.0, 0.0, np.nan]), "robot.torque must be finite"),
        (lambda r: r.set_links_wrench([0.0] * 3, links_idx_local=4), "links_idx_local must lie in 0 … 3"),
        (lambda r: r.get_link("hip"), "link must be one of base, arm, fore, slider, got 'hip'"),
        (lambda r: r.get_imu("tip"), "got 'tip', which is fixed to link 'fore'"),
        (lambda r: r.get_joint("hip"), "joint must be one of root, shoulder, elbow, rail"),
    ],
)
def test_bad_input_changes_nothing(rigid, act, message):
    scene, robot, _ = rigid()
    robot.set_dofs_velocity(1.0)
    robot.control_dofs_force(0.5)
    before = scene.get_state()
    with pytest.raises(gs.GenesisException, match=message):
        act(robot)
    assert scene.get_state() is before


def test_a_fixed_base_does_not_move(rigid):
    scene = gs.Scene()
    box = scene.add_entity(gs.morphs.Box(size=(1, 1, 1), pos=(1, 2, 3), fixed=True), gs.materials.Rigid(), name="wall")
    ball = scene.add_entity(gs.morphs.Sphere(radius=0.1), gs.materials.Rigid())
    scene.build()
    for call in (lambda: box.set_pos([0.0, 0.0, 0.0]), lambda: box.set_quat([1.0, 0.0, 0.0, 0.0])):
        with pytest.raises(TypeError, match="must move a body with a free joint, got 'wall'.*leave out fixed"):
            call()
    assert (box.n_qs, box.n_dofs, ball.n_dofs) == (0, 0, 6)
    assert box.get_qpos().shape == box.get_dofs_position().shape == box.get_dofs_control_force().shape == (1, 0)
    box.set_qpos([])
    box.set_dofs_velocity()
    assert box.get_pos().tolist() == [[1.0, 2.0, 3.0]] and box.get_vel().tolist() == [[0.0, 0.0, 0.0]]


def test_drives_need_gains(rigid):
    _, robot, (body,) = rigid(boxes=1)
    for call, gain in ((body.control_dofs_velocity, "kv"), (body.control_dofs_position, "kp")):
        with pytest.raises(ValueError, match=f"must have gains, got {gain} of zero.*set_dofs_{gain}"):
            call(0.0)
    body.set_dofs_kv(2.0)
    body.control_dofs_velocity(0.0)
