"""Rollouts of rigid entities: resets, branches, windows, closed loops, edits in place, whole gradients."""

from dataclasses import replace

import pytest
import torch

import genesis as gs
from tests.engine.rigid_scenes import ELBOW, N_DOFS, QUATS, SLIDER

real = torch.float64
pytestmark = pytest.mark.precision("64")
INNER = list(range(6, N_DOFS))


def rollout(scene, robot, force, steps=2):
    for t in range(steps):
        robot.control_dofs_force(force[:, t], dofs_idx_local=INNER)
        scene.step()
    return robot.get_links_pos().square().sum((1, 2)) + robot.get_dofs_velocity().square().sum(1)


def test_gradcheck_of_a_rollout(rigid):
    scene, robot, _ = rigid(n_envs=2, ground=False)
    force = (0.3 * torch.randn(2, 3, len(INNER), dtype=real)).requires_grad_()
    start = (0.2 * torch.randn(2, len(INNER), dtype=real)).requires_grad_()

    def loss(force, start):
        scene.reset()
        robot.set_dofs_position(start, dofs_idx_local=INNER)
        return rollout(scene, robot, force, steps=3)

    assert torch.autograd.gradcheck(loss, (force, start), atol=1e-7, rtol=1e-5)


def test_reset_restores_and_branches(rigid):
    scene, robot, (body,) = rigid(boxes=1)
    vel = torch.randn(N_DOFS, dtype=real, requires_grad=True)
    robot.set_dofs_velocity(vel)
    robot.control_dofs_force(0.2, dofs_idx_local=ELBOW)
    robot.set_links_wrench(force=[0.0, 0.0, 1.0])
    scene.step()
    branch = scene.get_state()
    ends = []
    for force in (0.0, 1.0):
        scene.reset(branch)
        assert scene.t == 1 and torch.equal(scene.get_state().rigid.qpos, branch.rigid.qpos)
        robot.control_dofs_force(force, dofs_idx_local=SLIDER)
        scene.step()
        ends.append(robot.get_links_pos().sum())
    a, b = (torch.autograd.grad(end, vel, retain_graph=True)[0] for end in ends)
    assert a.any() and b.any() and not torch.equal(ends[0], ends[1])
    scene.reset()
    assert scene.t == 0 and not scene.get_state().rigid.dofs.any() and not scene.get_state().rigid.wrench.any()
    assert torch.equal(robot.get_qpos(), torch.tensor(robot.model.qpos0).expand(3, -1))
    assert not robot.get_dofs_velocity().any() and not robot.get_qpos().requires_grad


def test_a_reset_in_mid_rollout_touches_one_environment(rigid):
    scene, robot, _ = rigid()
    force = (0.3 * torch.randn(3, 4, len(INNER), dtype=real)).requires_grad_()
    rollout(scene, robot, force)
    scene.reset(envs_idx=[1])
    rollout(scene, robot, force[:, 2:])
    total = rollout(scene, robot, force[:, 2:])
    (mixed,) = torch.autograd.grad(total.sum(), force)
    assert not mixed[1, :2].any() and mixed[1, 2:].any()
    scene.reset()
    rollout(scene, robot, force)
    rollout(scene, robot, force[:, 2:])
    (whole,) = torch.autograd.grad(rollout(scene, robot, force[:, 2:]).sum(), force)
    assert torch.equal(mixed[[0, 2]], whole[[0, 2]])


def test_windows_are_cut(rigid):
    scene, robot, _ = rigid()
    force = (0.3 * torch.randn(3, 2, len(INNER), dtype=real)).requires_grad_()
    rollout(scene, robot, force)
    scene.detach_()
    assert not robot.get_links_pos().requires_grad and not scene.get_state().rigid.dofs.requires_grad
    later = force.detach().clone().requires_grad_()
    loss = rollout(scene, robot, later).sum()
    assert torch.autograd.grad(loss, force, retain_graph=True, allow_unused=True)[0] is None
    assert torch.autograd.grad(loss, later)[0].any()


def test_closed_loop(rigid):
    """A policy of state and read-outs, driven for some steps: its gradient is the difference quotient's."""
    scene, robot, _ = rigid(n_envs=2)
    weight = (0.1 * torch.randn(len(INNER), N_DOFS + 3, dtype=real)).requires_grad_()

    def loss(weight):
        scene.reset()
        for _ in range(3):
            seen = torch.cat([robot.get_dofs_velocity(), robot.get_links_pos(2)[:, 0]], 1)
            robot.control_dofs_force(seen @ weight.T, dofs_idx_local=INNER)
            scene.step()
        return robot.get_state().links_quat.sum() + robot.get_vel().sum()

    (grad,) = torch.autograd.grad(loss(weight), weight)
    step = torch.randn_like(weight)
    with torch.no_grad():
        quotient = (loss(weight + 1e-5 * step) - loss(weight - 1e-5 * step)) / 2e-5
    assert (grad * step).sum().item() == pytest.approx(quotient.item(), rel=1e-6)


def test_an_edit_in_place_is_noticed(rigid):
    """Of a state; of what getters return where there are gradients. Without them it is a copy, which may be edited."""
    for grad in (True, False):
        scene, robot, _ = rigid(requires_grad=grad)
        before = robot.get_qpos().clone()
        with torch.no_grad():
            robot.get_qpos()[0] += 1.0
        if grad:
            for act in (scene.step, scene.get_state, robot.get_pos, robot.get_links_pos, scene.detach_):
                with pytest.raises(RuntimeError, match=r"rigid\.qpos must not be edited in place.*\.clone\(\)"):
                    act()
            scene.reset()
        else:
            assert torch.equal(robot.get_qpos(), before)
        with torch.no_grad():
            scene.get_state().rigid.dofs[0] = 1.0
        with pytest.raises(RuntimeError, match=r"rigid\.dofs"):
            scene.step()


def test_states_that_violate_a_constraint_are_not_taken(rigid):
    scene, robot, _ = rigid(boxes=1)
    state = scene.get_state()
    bent = state.rigid.qpos.clone()
    bent[1, 7 + QUATS[1]] = 0.5
    for wrong, message in (
        (
            state.having("rigid", replace(state.rigid, qpos=bent)),
            r"state qpos of robot\[7:11\] must be unit quaternions",
        ),
        (state.having("rigid", replace(state.rigid, qpos=bent[:, 1:])), "of shape"),
        (state.having("rigid", replace(state.rigid, dofs_vel=state.rigid.dofs_vel * float("nan"))), "finite"),
        (state.having("rigid", None), "state.rigid"),
    ):
        with pytest.raises(gs.GenesisException, match=message):
            scene.reset(wrong)
        assert scene.get_state() is state
    scene.reset(state.having("rigid", replace(state.rigid, qpos=bent)), envs_idx=[0, 2])


def test_without_grad_nothing_is_kept(rigid):
    scene, robot, _ = rigid()
    force = torch.randn(N_DOFS, dtype=real, requires_grad=True)
    with torch.no_grad():
        robot.control_dofs_force(force)
        scene.step()
        assert robot.get_pos().grad_fn is None and robot.get_links_vel().grad_fn is None
    scene.step()
    assert not scene.get_state().rigid.qpos.requires_grad
    still, arm, _ = rigid(requires_grad=False)
    arm.control_dofs_force(force)
    still.step()
    assert not arm.get_links_pos().requires_grad


def test_a_failed_robot_is_reported_and_mended(rigid):
    scene, robot, _ = rigid(ground=False)
    robot.set_dofs_velocity(1e300, dofs_idx_local=0, envs_idx=[1])
    scene.step()
    (failure,) = scene.failures
    assert (failure.env, failure.step) == (1, 0) and failure.field.startswith("rigid.")
    assert torch.isnan(robot.get_qpos()[1]).all() and torch.isfinite(robot.get_qpos()[[0, 2]]).all()
    scene.reset(envs_idx=[1])
    scene.step()
    assert not scene.failures and torch.isfinite(robot.get_links_pos()).all()
