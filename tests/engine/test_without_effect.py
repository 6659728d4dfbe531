"""What is set and has no effect on a loss has a gradient of zero; what is set before the last step has its own."""

import pytest
import torch

import genesis as gs


def leaf(*shape):
    return torch.randn(*shape, dtype=gs.tc_float).mul(0.1).requires_grad_()


SETTERS = {
    "a tool's velocity": ((3, 3), lambda scene, body, tool, x: tool.set_velocity(x)),
    "a tool's spin, in one environment": ((1, 3), lambda scene, body, tool, x: tool.set_velocity(ang=x, envs_idx=[1])),
    "velocities of particles": ((3,), lambda scene, body, tool, x: body.set_velocity(x)),
    "gravity": ((3,), lambda scene, body, tool, x: scene.set_gravity(x)),
    "friction": ((3,), lambda scene, body, tool, x: tool.set_friction(x.abs())),
}


@pytest.mark.parametrize("what", SETTERS)
def test_the_last_setter_of_a_rollout(make, what):
    """Set before every step and once more: the last one has zero, the others what they have without it."""
    shape, setter = SETTERS[what]
    grads = []
    given = [leaf(*shape) for _ in range(3)]
    for n in (2, 3):
        scene, (body,), (tool,) = make()
        for x in given[:n]:
            setter(scene, body, tool, x)
            if x is not given[2]:
                scene.step()
        loss = body.get_particles_pos().square().sum() + tool.get_pos().square().sum()
        loss = loss + tool.get_quat().pow(3).sum()
        grads.append(torch.autograd.grad(loss, given[:n]))
    assert torch.equal(grads[1][2], torch.zeros(shape, dtype=gs.tc_float))
    assert all(torch.equal(a, b) for a, b in zip(grads[0], grads[1][:2], strict=True)) and grads[0][0].any()


@pytest.mark.precision("64")
def test_controls_of_a_robot_after_the_last_step(rigid):
    """Also for poses and velocities of links, which are computed from the state, and for outputs of the last step."""
    scene, robot, _ = rigid(outputs=("link_wrench",))
    forces, mass = [leaf(3, 11) for _ in range(2)], (1.0 + leaf(4).abs()).detach().requires_grad_()
    robot.control_dofs_force(forces[0])
    scene.step()
    robot.control_dofs_force(forces[1])
    robot.set_mass(mass)
    qpos = scene.get_state().rigid.qpos
    for now in (qpos, robot.get_links_pos(), robot.get_dofs_velocity(), robot.get_links_wrench()):
        first, *last = torch.autograd.grad(now.square().sum(), [*forces, mass], retain_graph=True)
        assert first.any() and not any(grad.any() for grad in last)
    scene.step()  # now they have an effect
    grads = torch.autograd.grad(robot.get_qpos().square().sum(), [*forces, mass])
    assert all(grad.any() for grad in grads)


def test_reading_between_setter_and_step_changes_no_gradient(make):
    found = []
    for read in (False, True):
        torch.manual_seed(1)
        scene, (body,), (tool,) = make()
        given = [leaf(3, 3) for _ in range(3)]
        for x in given:
            tool.set_velocity(x)
            if read:
                scene.get_state(), body.get_particles_pos()
            scene.step()
        now = body.get_particles_vel()
        found.append([now.detach().as_subclass(torch.Tensor), *torch.autograd.grad(now.square().sum(), given)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
