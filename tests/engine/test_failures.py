"""A failed environment is reported, becomes NaN, and changes no bit of any other."""

import logging

import pytest
import torch

import genesis as gs
from tests.engine import stand_ins
from tests.engine.stand_ins import features


def roll(make, policy, poison, budget=256.0, scratch=None, bad=1):
    """Three environments; `bad` leaves the domain in step 2 if `poison`. Returns losses, gradients and the scene."""
    scene, (body,), (tool,) = make(outputs=("wrench",), frame_budget_mb=budget)
    if scratch is not None:
        simulator = scene._built.simulator
        simulator._forward_group = simulator._group(2, scratch)
        simulator._replay_group = simulator._group(4, scratch)
    torch.manual_seed(3)
    vel = torch.randn(3, 3, dtype=gs.tc_float, requires_grad=True)
    E = torch.full((3,), 3e3, dtype=gs.tc_float, requires_grad=True)
    rho = torch.tensor(500.0, dtype=gs.tc_float, requires_grad=True)
    body.set_velocity(vel)
    body.set_material(E=E, rho=rho)
    failures = []
    for t in range(4):
        state = scene.get_state()
        safe = torch.where(torch.isfinite(features(state)), features(state), 0.0)
        tool.set_velocity(policy(safe))
        if t == 2 and poison:
            body.set_velocity([1e5, 0.0, 0.0], envs_idx=[bad])
        scene.step()
        failures += scene.failures
    pos = scene.get_state().pos.as_subclass(torch.Tensor)
    healthy = [env for env in range(3) if env != bad]
    loss = (pos[healthy] ** 2).sum()
    every = (pos**2).sum((1, 2))
    return scene, failures, loss, every, (vel, E, rho, *policy.parameters())


@pytest.mark.parametrize("budget, scratch", [(256.0, None), (0.0, None), (0.0, 1.0)])
def test_poison_stays_in_its_environment(make, policy, budget, scratch):
    *_, clean, _, leaves = roll(make, policy, False, budget, scratch)
    wanted = torch.autograd.grad(clean, leaves)
    scene, failures, loss, every, leaves = roll(make, policy, True, budget, scratch)
    assert torch.equal(loss, clean)
    assert torch.isnan(every[1]) and torch.isfinite(every[[0, 2]]).all()
    got = torch.autograd.grad(loss, leaves, retain_graph=True)
    for a, b in zip(got, wanted, strict=True):
        assert torch.equal(a, b)
    # A loss that includes the failed environment: its cotangent is NaN, and its failure is known already.
    before = scene.failures
    got = torch.autograd.grad(every.sum(), leaves)
    for a, b in zip(got, wanted, strict=True):
        assert torch.equal(a, b)
    assert scene.failures == before


@pytest.mark.parametrize("budget, scratch", [(256.0, None), (0.0, None), (0.0, 1.0)])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_nonfinite_cotangent_stays_in_its_environment(make, policy, value, budget, scratch):
    scene, _, loss, every, leaves = roll(make, policy, False, budget, scratch)
    wanted = torch.autograd.grad(loss, leaves, retain_graph=True)
    got = torch.autograd.grad(every @ torch.tensor([1.0, value, 1.0], dtype=every.dtype), leaves)
    for a, b in zip(got, wanted, strict=True):
        assert torch.equal(a, b)
    assert [f[:4] for f in scene.failures] == [(3, 2, 1, "gradient of mpm.pos")]


def test_failure_is_named_once(make, policy, caplog):
    with caplog.at_level(logging.WARNING, logger="genesis"):
        _, failures, *_ = roll(make, policy, True)
    assert [(f.step, f.substep, f.env) for f in failures] == [(2, 0, 1)]
    assert failures[0].field.startswith("mpm.")
    assert len(caplog.records) == 1
    assert "step 2, substep 0, environment 1" in caplog.text


def test_environment_is_healthy_again_after_its_reset(make, policy):
    scene, *_ = roll(make, policy, True)
    assert torch.isnan(scene.get_state().tool.pos[1]).all()
    scene.reset(envs_idx=[1])
    scene.step()
    assert not scene.failures
    assert all(torch.isfinite(t).all() for t in (scene.get_state().pos, scene.get_state().tool.pos))


def test_setters_heal_and_cut_the_gradient(make, policy):
    scene, _, _, _, (vel, *_) = roll(make, policy, True)
    scene.entities[0].set_position([0.0, 0.0, 0.5], envs_idx=[1])
    scene.entities[1].set_position([0.0, 0.3, 0.5], envs_idx=[1])
    scene.entities[1].set_quaternion([1.0, 0.0, 0.0, 0.0], envs_idx=[1])
    scene.step()
    (grad,) = torch.autograd.grad((scene.get_state().pos ** 2).sum(), vel)
    assert not scene.failures
    assert torch.isfinite(grad).all() and (grad[1] == 0).all() and (grad[0] != 0).any()


def test_failure_within_a_later_substep(make):
    scene, (body,), _ = make(substeps=8)
    speed = stand_ins.WIDE / 2.5 / (scene.dt / 8)
    body.set_velocity([[0.0] * 3, [0.0] * 3, [0.0, speed / 40, 0.0]])
    scene.step()
    assert [(f.step, f.env) for f in scene.failures] == []
    body.set_velocity([[0.0] * 3, [0.0] * 3, [0.0, speed, 0.0]])
    scene.step()
    assert [f[:4] for f in scene.failures] == [(1, 2, 2, "mpm.pos")]
