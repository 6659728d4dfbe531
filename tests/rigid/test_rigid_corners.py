"""Corners: nothing that moves, nothing that touches, half a turn, tensors and modes of torch that are not plain."""

from dataclasses import replace

import pytest
import torch

import genesis as gs
from tests.rigid.rigid_bench import noise
from tests.rigid.rigid_models import CRAWLER, pendulum
from tests.rigid.rigid_worlds import OUTPUTS, build, everything, plain


def test_a_scene_where_nothing_moves():
    """Read-outs, outputs and gradients of a body that is fixed to the world."""
    box = gs.morphs.Box(pos=(0.0, 0.0, 1.0), size=(0.2, 0.2, 0.2), fixed=True)
    world = build(box, n_envs=3, ground=True, outputs=OUTPUTS)
    gravity = torch.tensor([0.0, 0.0, -9.0], dtype=gs.tc_float, requires_grad=True)
    world.scene.set_gravity(gravity)
    world.run(2)
    robot = world.robot
    assert torch.equal(plain(robot.get_pos()), torch.tensor([0.0, 0.0, 1.0], dtype=gs.tc_float).expand(3, 3))
    assert not robot.get_links_vel().any() and not robot.get_links_acceleration().any()
    # its weight, 1000 kg/m^3 x 0.008 m^3, hangs on the world
    held = plain(robot.get_links_wrench())[:, 0, 2]
    assert held.detach().allclose(torch.full_like(held, 9.0) * plain(robot.get_mass()))
    (grad,) = torch.autograd.grad(held.sum() + robot.get_links_pos().sum() + robot.get_contacts().force.sum(), gravity)
    assert grad.allclose(-torch.tensor([0.0, 0.0, 1.0], dtype=gs.tc_float) * plain(robot.get_mass()).sum())


def test_contacts_of_a_robot_without_shapes():
    world = build(pendulum(), n_envs=2, ground=True, outputs=OUTPUTS)
    force = torch.ones(1, dtype=gs.tc_float, requires_grad=True)
    world.robot.control_dofs_force(force)
    world.run(2)
    assert world.robot.get_contacts().force.shape == (2, 0, 3)
    (grad,) = torch.autograd.grad(everything(world, outputs=OUTPUTS).sum(), force)
    assert grad.any()


@pytest.mark.parametrize("stiffness", [0.0, 3.0])
def test_a_ball_at_half_a_turn(stiffness):
    """Its rotation vector jumps there; gradients are those of either side, and not lost."""
    text = f"""<mujoco><worldbody><body><joint type="ball" stiffness="{stiffness}" damping="0.1"/>
      <inertial pos="0 0 -0.3" mass="1" diaginertia="0.1 0.1 0.1"/></body></worldbody></mujoco>"""
    single = gs.tc_float == torch.float32
    near, bar = (1e-4, 2e-3) if single else (1e-9, 1e-7)
    world = build(text, n_envs=4, dt=0.01, substeps=4)
    qpos = torch.tensor([[0, 1, 0, 0], [near, 1, 0, 0], [0, 0.6, 0.8, 0], [near, 0.6, 0.8, 0]], dtype=gs.tc_float)
    qpos.requires_grad_()
    world.robot.set_qpos(qpos)
    world.run(2)
    (grad,) = torch.autograd.grad((noise(3, seed=1).to(gs.tc_float) * world.robot.get_dofs_velocity()).sum(), qpos)
    assert world.scene.failures == []
    assert grad.any(1).all()
    assert (grad[::2] - grad[1::2]).abs().max() < bar * grad.abs().max()


def test_a_sign_that_torch_puts_off():
    """The imaginary part of a conjugate, as states and as cotangents, has the memory of its opposite."""
    world = build(CRAWLER, n_envs=2, ground=True)
    vel = torch._neg_view(noise(2, 13, seed=1).to(gs.tc_float))
    force = torch.zeros(13, dtype=gs.tc_float, requires_grad=True)
    start, found = world.scene.get_state(), []
    for value in (vel, vel.resolve_neg()):
        world.scene.reset(start.having("rigid", replace(start.rigid, dofs_vel=value)))
        world.robot.control_dofs_force(force)
        world.scene.step()
        now = world.robot.get_dofs_velocity()
        found.append([plain(now).detach(), torch.autograd.grad(now, force, value)[0]])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.precision("32")
@pytest.mark.parametrize("value", [1e39, 1e-60])
def test_parameters_that_single_precision_does_not_hold(value):
    """A mass that becomes infinite or zero on the way to the solver."""
    world = build(CRAWLER, n_envs=1)
    for given in (value, torch.tensor(value, dtype=torch.float64, requires_grad=True)):
        with pytest.raises(gs.GenesisException, match=", got (inf|0.0)"):
            world.robot.set_mass(given)
