"""SoftLift: its documented distribution and reward, a block that can be lifted and weighs on the arm, its gradient."""

import gymnasium as gym
import pytest
import torch

import envs  # noqa: F401  (registers)
import genesis as gs
from envs.manipulation import soft_lift
from tests.envs.closed_loop import check_closed_loop

pytestmark = pytest.mark.precision("64")
SCRIPT = (
    (16, (-0.8, 0.0, 0.0, 0.0)),  # down
    (22, (-0.1, 0.0, 0.0, 1.0)),  # grasp
    (22, (0.9, 0.0, 0.0, 1.0)),  # lift
    (60, (0.25, 0.0, 0.0, 1.0)),  # hold
)
"""An open loop: for how many steps which action."""


def make(num_envs, **options):
    return gym.make_vec("genesis/SoftLift-mini-v0", num_envs=num_envs, output="torch", **options).unwrapped


def play(env, script):
    """What the last step of a script returns."""
    for steps, action in script:
        for _ in range(steps):
            outcome = env.step(torch.tensor(action, dtype=gs.tc_float).expand(env.num_envs, 4))
            assert not outcome[4]["nonfinite"].any()
    return outcome


def test_starts_follow_the_documentation():
    env = make(200)
    observation = env.reset(seed=0)[0].as_subclass(torch.Tensor)
    block = env.block.get_particles_pos().mean(dim=1).as_subclass(torch.Tensor)
    for axis, half in ((0, 0.02), (1, 0.01)):
        assert 0.95 * half < block[:, axis].abs().max() <= half + 1e-12
    place = env.robot.get_links_pos().as_subclass(torch.Tensor)[:, 3:].mean(dim=1)
    torch.testing.assert_close(block - place, 0.1 * observation[:, :3], rtol=0.0, atol=1e-4)
    torch.testing.assert_close(place, 0.1 * observation[:, 3:6], rtol=0.0, atol=1e-4)
    above = place[:, 2] - 0.055
    assert 0.11 <= above.min() < 0.1105 and 0.1295 < above.max() <= 0.13
    assert observation[:, 6].abs().max() < 1e-6 and observation[:, 19:29].abs().max() < 1e-6


def test_a_script_lifts_the_block_holds_it_and_the_arm_bears_its_weight():
    """The carriage, whose damper alone holds what its spring does not balance, sinks with the block at the speed at
    which both balance."""
    env = make(2)
    env.reset(seed=0)
    reward, info = play(env, SCRIPT)[1::3]
    assert (info["lift"] >= 0.1).all() and (info["held"] >= 1.0).all() and info["success"].all()
    away = (env._block()[0] - env._grip()[0]).square().sum(dim=1)
    missing, reach = (torch.sqrt(square + 1e-4) - 0.01 for square in ((0.15 - info["lift"]) ** 2, away))
    closed = env.robot.get_qpos().as_subclass(torch.Tensor)[:, 3:].mean(dim=1) / 0.04
    expected = 0.5 * closed * torch.exp(-away / 0.04**2) - (missing + 0.5 * reach) / 0.1 - 0.01 * (1 + 0.25**2)
    torch.testing.assert_close(reward.as_subclass(torch.Tensor), expected, rtol=1e-9, atol=1e-9)
    info = play(env, [(20, (0.0, 0.0, 0.0, 1.0))])[4]
    height, speed = env.qpos()[:, 0], env.dofs_vel()[:, 0]
    weight = 9.81 * (5.0 + float(env.block.get_mass()[0]))
    torch.testing.assert_close(speed, (10.0 * (5.1 - height) - weight) / 80.0, rtol=0.03, atol=0.0)
    info = play(env, [(15, (0.0, 0.0, 0.0, -1.0))])[4]
    assert (info["lift"] < 0.1).all() and not info["held"].any() and not info["success"].any()


def test_gradient_of_grasping_and_lifting_in_closed_loop_against_central_differences(monkeypatch):
    monkeypatch.setattr(soft_lift, "HAND_START", (0.002, 0.006))  # around the block
    env = make(2, differentiable=True)
    gradient = check_closed_loop(env, bias=[0.4, 0.1, -0.1, 1.0], steps=14)
    assert gradient.abs().amax(dim=1).min() > 1e-3
    closed = env.qpos()[:, 3:].detach()
    assert (closed.sum(dim=1) > 0.04).all() and (env._lift().detach() > 1e-3).all()  # it is squeezed, and moves up
