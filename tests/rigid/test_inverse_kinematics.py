"""Inverse kinematics of rigid entities: targets are reached within limits, or a warning says so; gradients."""

import logging

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.math import quaternion
from tests.rigid.rigid_models import file_of

pytestmark = pytest.mark.precision("64")
real = torch.float64
B = 16


def arm(n_hinges, ball=""):
    """MJCF text of an arm of hinges in alternating directions, at its end a link on a ball if that is asked for."""
    axes = ("0 0 1", "0 1 0", "0 1 0", "1 0 0", "0 1 0", "1 0 0", "0 0 1")
    text = f'<body pos="0.2 0 0">{ball}<geom type="sphere" size="0.02" pos="0.1 0 0"/></body>' if ball else ""
    for i in reversed(range(n_hinges)):
        text = f"""<body name="link{i}" pos="{0.05 if i else 0} 0.02 {0.2 if i else 0}">
          <joint name="joint{i}" axis="{axes[i]}" range="-2.2 1.9"/>
          <geom type="capsule" fromto="0 0 0 0.05 0 0.2" size="0.02"/>{text}</body>"""
    return f"""<mujoco><compiler angle="radian"/><option timestep="0.01"/>
      <worldbody><body pos="0 0 0.3"><geom type="sphere" size="0.05"/>{text}</body></worldbody></mujoco>"""


def built(text, n_envs=B):
    scene = gs.Scene(rigid_options=gs.options.RigidOptions(self_collision=False))
    robot = scene.add_entity(gs.morphs.MJCF(file=file_of(text)))
    scene.build(n_envs=n_envs)
    return robot


def planted(robot, seed=0, part=0.95):
    """(B, Q) within the limits."""
    drawn = torch.rand(B, robot.n_qs, dtype=real, generator=torch.Generator().manual_seed(seed))
    return part * (-2.2 + 4.1 * drawn)


def pose(robot, qpos, name="link6"):
    """(B, 3) and (B, 4) of a link."""
    return (part[:, 0] for part in robot.forward_kinematics(qpos, robot.get_link(name).idx_local))


def test_a_welded_body_is_a_frame_on_its_link():
    """Pose and velocity are MuJoCo's, the Jacobian's product with velocities is the latter, and it can be a target."""
    mujoco = pytest.importorskip("mujoco")
    text = arm(6, " ").replace('<body pos="0.2 0 0">', '<body name="hand" pos="0.2 0 0.1" euler="0.3 0.4 0.5">')
    robot, truth = built(text), mujoco.MjModel.from_xml_string(text)
    hand, qpos = robot.get_link("hand"), planted(robot, 3)
    velocity = torch.randn(B, robot.n_dofs, dtype=real, generator=torch.Generator().manual_seed(4))
    robot.set_qpos(qpos)
    robot.set_dofs_velocity(velocity)
    found = [hand.get_pos(), hand.get_quat(), hand.get_vel(), hand.get_ang()]
    data, body, spatial = mujoco.MjData(truth), truth.body("hand").id, np.zeros(6)
    for env in range(B):
        data.qpos[:], data.qvel[:] = qpos[env], velocity[env]
        mujoco.mj_forward(truth, data)
        mujoco.mj_objectVelocity(truth, data, mujoco.mjtObj.mjOBJ_XBODY, body, spatial, 0)
        for mine, right in zip(found, (data.xpos[body], data.xquat[body], spatial[3:], spatial[:3]), strict=True):
            assert mine[env].numpy() == pytest.approx(right, abs=1e-12)
    moved = (robot.get_jacobian("hand") @ velocity[..., None])[..., 0]
    assert (moved - torch.cat(found[2:], 1)).abs().max() < 1e-12
    reached = robot.inverse_kinematics(hand, found[0], found[1], init_qpos=qpos + 0.1, pos_tol=1e-9, rot_tol=1e-9)
    robot.set_qpos(reached)
    assert (hand.get_pos() - found[0]).norm(dim=1).max() < 1e-8
    assert (quaternion.multiply(hand.get_quat(), quaternion.conjugate(found[1]))[:, 1:]).norm(dim=1).max() < 1e-8
    assert hand.idx_local == robot.n_links - 1 and hand.link is robot.links[-1]


def test_poses_are_reached_within_limits():
    robot = built(arm(7))
    tip, point = robot.links[-1], [0.05, 0.0, 0.2]
    robot.set_qpos(planted(robot, 1))
    at = tuple(pose(robot, planted(robot)))
    wanted = at[0] + quaternion.rotate(at[1], torch.tensor([point], dtype=real).expand(B, 3))
    for pos, quat in ((wanted, at[1]), (wanted, None), (None, at[1])):
        found, error = robot.inverse_kinematics(
            tip, pos, quat, point, pos_tol=1e-9, rot_tol=1e-9, return_error=True, max_samples=50
        )
        assert error.abs().max() < 1e-9
        assert found.min() >= -2.2 and found.max() <= 1.9
        place, turn = pose(robot, found)
        place = place + quaternion.rotate(turn, torch.tensor([point], dtype=real).expand(B, 3))
        assert pos is None or (place - pos).abs().max() < 1e-8
        assert quat is None or ((turn * quat).sum(-1).abs() - 1).abs().max() < 1e-12
    assert torch.equal(robot.get_qpos(), planted(robot, 1))


def test_several_links_and_chosen_environments():
    robot = built(arm(7))
    wanted = torch.stack([next(pose(robot, planted(robot), name)) for name in ("link3", "link6")], 1)[[5, 2]]
    found, error = robot.inverse_kinematics_multilink(
        ["link3", "link6"], [wanted[:, 0], wanted[:, 1]], envs_idx=[5, 2], return_error=True,
        pos_tol=1e-9, max_samples=50,
    )  # fmt: skip
    assert found.shape == (2, 7) and error.shape == (2, 2, 6) and (error[..., 3:] == 0).all()
    there = robot.forward_kinematics(found, [4, 7], envs_idx=[5, 2])[0]
    assert (there - wanted).abs().max() < 2e-9


def test_only_chosen_degrees_of_freedom_move():
    robot = built(arm(7))
    start = planted(robot, 3, 0.5)
    robot.set_qpos(start)
    goal = start.clone()
    goal[:, 2:5] += 0.2
    found = robot.inverse_kinematics("link6", next(pose(robot, goal)), dofs_idx_local=[2, 3, 4])
    assert torch.equal(found[:, [0, 1, 5, 6]], start[:, [0, 1, 5, 6]])
    again = robot.inverse_kinematics("link6", next(pose(robot, goal)), init_qpos=goal)
    assert torch.equal(again, goal)


def test_free_bases_and_balls():
    """A ball stays within its range, and a free base goes where it must."""
    ball = '<joint name="wrist" type="ball" range="0 0.6"/>'
    robot = built(arm(2, ball).replace('<body pos="0 0 0.3">', '<body name="base" pos="0 0 0.3"><freejoint/>'))
    last = robot.links[-1]
    pos = torch.randn(B, 3, dtype=real) * 3
    quat = quaternion.normalise(torch.randn(B, 4, dtype=real))
    found, error = robot.inverse_kinematics(last, pos, quat, pos_tol=1e-9, rot_tol=1e-9, return_error=True)
    assert error.abs().max() < 1e-9
    angle = quaternion.to_rotation_vector(quaternion.normalise(found[:, -4:])).norm(dim=1)
    assert angle.max() <= 0.6 + 1e-12
    fixed = [dof for joint in robot.joints[1:] for dof in joint.dofs_idx_local]
    found, error = robot.inverse_kinematics(
        last, quat=quat, dofs_idx_local=fixed, return_error=True, max_solver_iters=20, max_samples=3
    )
    angle = quaternion.to_rotation_vector(quaternion.normalise(found[:, -4:])).norm(dim=1)
    assert angle.max() <= 0.6 + 1e-12 and (error.norm(dim=1) > 1e-3).any()
    free, error = robot.inverse_kinematics(
        last, quat=quat, dofs_idx_local=fixed[-3:], return_error=True, respect_joint_limit=False
    )
    assert error.norm(dim=1).max() < 1e-3
    assert torch.allclose(free[:, :9], robot.get_qpos()[:, :9])


def test_what_is_out_of_reach_is_said(caplog):
    """The nearest pose is returned: the arm is stretched out towards the target."""
    text = arm(2).replace('pos="0.05 0.02 0.2"', 'pos="0 0 0.2"').replace('pos="0 0.02 0"', "")
    robot = built(text, 2)
    point = [0.0, 0.0, 0.3]
    near, far = torch.tensor([[0.3, 0.0, 0.5], [3.0, 0.0, 0.5]], dtype=real)
    caplog.set_level(logging.WARNING, logger="genesis")
    found, error = robot.inverse_kinematics("link1", torch.stack([near, far]), None, point, return_error=True)
    assert not caplog.records
    robot.inverse_kinematics("link1", torch.stack([near, far]), None, point)
    assert "got 1 of 2 environments that miss theirs, row 1 by 2.7 m and 0 rad" in caplog.text
    assert (error[:, :3].norm(dim=1) - torch.tensor([0.0, 2.7])).abs().max() < 1e-3
    assert found.shape == (2, 2)


def test_gradients_by_targets_are_those_of_difference_quotients():
    """Six hinges have one solution near by."""
    robot = built(arm(6))
    point = torch.tensor([0.05, 0.0, 0.2], dtype=real).expand(B, 3)
    start = planted(robot, 5, 0.7)
    robot.set_qpos(start)
    at, turn = (x.detach() for x in pose(robot, start, "link5"))
    at = at + quaternion.rotate(turn, point)
    weight = torch.randn(6, dtype=real)
    conditioned = torch.linalg.svdvals(robot.get_jacobian("link5", point))[:, -1] > 0.05
    assert conditioned.sum() >= 3

    def solved(given):
        pos, vector, local = given.split(3, 1)
        quat = quaternion.multiply(quaternion.from_rotation_vector(vector), turn)
        found = robot.inverse_kinematics("link5", pos, quat, local, pos_tol=1e-13, rot_tol=1e-13, max_samples=1)
        return found @ weight

    given = torch.cat([at, torch.zeros_like(at), point], 1).requires_grad_()
    (slope,) = torch.autograd.grad(solved(given).sum(), given)
    with torch.no_grad():
        steps = 1e-6 * torch.eye(9, dtype=real)
        wanted = torch.stack([(solved(given + step) - solved(given - step)) / 2e-6 for step in steps], 1)
    assert (slope - wanted)[conditioned].abs().max() < 1e-7 * wanted[conditioned].abs().max()


def test_with_more_joints_than_needed_the_solution_moves_least():
    """Its pose follows the target exactly, joints at a limit stay, and environments that miss have no gradient."""
    robot = built(arm(7))
    start = planted(robot, 6, 0.8)
    start[:, 3] = 1.9
    target = next(pose(robot, start)).detach().clone()
    target[0] = 9.0
    target.requires_grad_()
    found = robot.inverse_kinematics("link6", target, init_qpos=start, max_samples=1)
    there = next(pose(robot, found))
    for axis in range(3):
        (slope,) = torch.autograd.grad(there[:, axis].sum(), target, retain_graph=True)
        assert (slope[0] == 0).all() and torch.allclose(slope[1:], torch.eye(3, dtype=real)[axis].expand(B - 1, 3))
    (slope,) = torch.autograd.grad(found[:, 3].sum(), target, retain_graph=True)
    assert (slope == 0).all()
    (slope,) = torch.autograd.grad(found[1].square().sum(), target)
    robot.set_qpos(found.detach())
    jacobian = robot.get_jacobian("link6")[1, :3]
    jacobian = jacobian * torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0])
    assert torch.allclose(slope[1], 2 * found[1].detach() @ torch.linalg.pinv(jacobian))


def test_what_is_wrong_is_refused():
    robot = built(arm(2), 2)
    with pytest.raises(gs.GenesisException, match="link 'link1' must have a target, got neither pos nor quat"):
        robot.inverse_kinematics("link1")
    with pytest.raises(gs.GenesisException, match="must have an entry for each of 2 links, got 1, 2, 2"):
        robot.inverse_kinematics_multilink(["link0", "link1"], [[0.0, 0.0, 0.0]])
    with pytest.raises(gs.GenesisException, match="quat must be unit quaternions"):
        robot.inverse_kinematics("link1", quat=[1.0, 1.0, 0.0, 0.0])
    with pytest.raises(gs.GenesisException, match="max_samples must be at least 1"):
        robot.inverse_kinematics("link1", [0.0, 0.0, 0.0], max_samples=0)
    with pytest.raises(gs.GenesisException, match="links must hold at least one link"):
        robot.inverse_kinematics_multilink([])
