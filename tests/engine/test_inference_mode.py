"""torch.inference_mode() is as torch.no_grad(): for scenes, pictures and environments, inside and afterwards."""

import numpy as np
import pytest
import torch

import genesis as gs
from envs.locomotion.pendulum import Pendulum

COMPLIANT = gs.options.RigidOptions(contact=gs.options.CompliantContact())
"""Which contact matters to nothing here; its kernels compile soonest."""


def plain(value):
    return torch.as_tensor(value).detach().as_subclass(torch.Tensor).clone()


def hopper(mode, requires_grad):
    """A built scene; everything that a rollout inside `mode` shows of it."""
    with mode():
        scene = gs.Scene(sim_options=gs.options.SimOptions(requires_grad=requires_grad), rigid_options=COMPLIANT)
        robot = scene.add_entity(gs.morphs.Robot(name="hopper"))
        scene.add_entity(gs.morphs.Plane())
        scene.build(n_envs=3, outputs=("contacts",))
        camera = scene.add_camera(res=(24, 16), pos=(1, -3, 1))
        found = [robot.get_links_pos()]
        row, number = torch.tensor([2]), 2.0 * torch.ones((), dtype=gs.tc_float)
        robot.set_mass(number * torch.arange(1, 1 + robot.n_links), envs_idx=row)
        scene.set_gravity(torch.tensor([0.0, 0.1, -3.0]))
        robot.set_dofs_velocity(0.3 * torch.ones(3, robot.n_dofs, dtype=gs.tc_float))
        for _ in range(2):
            robot.control_dofs_force(number * robot.get_dofs_position()[:, 3:], dofs_idx_local=[3, 4, 5])
            scene.step()
        state = scene.get_state()
        found += [robot.get_qpos(), robot.get_links_vel(), robot.get_contacts().force, robot.get_mass()]
        scene.reset(envs_idx=row)
        found += [robot.get_qpos(row), torch.as_tensor(camera.render()[0].copy())]
        scene.reset(state)
        assert scene.get_state().rigid is not None and not robot.get_qpos().requires_grad
        scene.detach_()
    return scene, robot, camera, [plain(x) for x in found], (row, number)


def afterwards(scene, robot, camera, given):
    """Values and gradients of a rollout that starts where the scene is, with tensors made inside."""
    row, number = given
    force = torch.ones(3, 3, dtype=gs.tc_float, requires_grad=True)
    start = robot.get_links_pos()
    robot.control_dofs_force(force, dofs_idx_local=[3, 4, 5])
    scene.step()
    robot.set_dofs_velocity(number.expand(1, robot.n_dofs), envs_idx=row)
    robot.set_mass(number, envs_idx=row)
    scene.step()
    now = robot.get_links_pos() * start
    if scene.requires_grad:
        now.square().sum().backward()
    return [plain(now), plain(scene.get_state().rigid.qpos), plain(camera.render()[0].copy()), force.grad]


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_scene_of_inference_mode_is_one_of_no_grad(requires_grad):
    *one, inside, given = hopper(torch.inference_mode, requires_grad)
    *other, expected, same = hopper(torch.no_grad, requires_grad)
    assert all(torch.equal(a, b) for a, b in zip(inside, expected, strict=True))
    after, expected = afterwards(*one, given), afterwards(*other, same)
    assert all(torch.equal(a, b) for a, b in zip(after[:3], expected[:3], strict=True))
    assert (after[3] is None and expected[3] is None) if not requires_grad else torch.equal(after[3], expected[3])


def test_a_rollout_with_gradients_may_pass_through_inference_mode(make, policy):
    """The graph outside is whole."""

    def rollout(mode):
        scene, (body,), (tool,) = make()
        vel = torch.full((3, 3), 0.3, dtype=gs.tc_float, requires_grad=True)
        tool.set_velocity(vel)
        scene.step()
        with mode():
            seen = [body.get_particles_pos(), tool.get_pos(), scene.get_state().mpm.vel]
        scene.step()
        (body.get_particles_pos().square().sum() + tool.get_pos().sum()).backward()
        return [plain(x) for x in (*seen, tool.get_pos(), vel.grad)]

    for a, b in zip(rollout(torch.inference_mode), rollout(torch.no_grad), strict=True):
        assert torch.equal(a, b) and b.abs().sum() > 0


def test_edits_in_place_inside_are_noticed(make):
    scene, _, (tool,) = make(requires_grad=False)
    with torch.inference_mode():
        tool.get_pos().add_(1.0)
        with pytest.raises(gs.GenesisException, match="tool.pos must not be edited in place"):
            scene.step()


@pytest.mark.parametrize("output", ["numpy", "torch"])
@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_environments(output, mode):
    """Made, reset, stepped over the ends of episodes, saved and loaded."""
    found = []
    for within in (torch.inference_mode, torch.no_grad):
        options = {"action_noise": 0.1, "observation_noise": 0.1, "parameter_randomisation": 0.1}
        with within():
            env = Pendulum(3, 3, output=output, autoreset_mode=mode, differentiable=output == "torch", **options)
            seen = [env.reset(seed=3)[0]]
            action = 0.4 * torch.ones(3, 1)
            for _ in range(5):
                seen += env.step(action.numpy() if output == "numpy" else action)[:4]
            saved = env.state_dict()
        seen += env.step(np.zeros((3, 1)))[:4]
        env.load_state_dict(saved)
        if output == "torch":
            weight = torch.full((1, 1), 0.3, dtype=gs.tc_float, requires_grad=True)
            observation, reward, *_ = env.step(weight.expand(3, 1))
            (observation.square().sum() + reward.sum()).backward()
            assert weight.grad.any()
            seen += [observation, reward, weight.grad]
        found.append([plain(x) for x in seen])
        env.close()
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
