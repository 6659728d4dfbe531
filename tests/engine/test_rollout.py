"""Rollouts of a scene of stand-ins against the same physics written in torch alone."""

import gc
import weakref
from dataclasses import replace

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import genesis as gs
from tests.engine import stand_ins
from tests.engine.stand_ins import features

pytestmark = pytest.mark.precision("64")
T = 5


def loss_of(states, wrenches=()):
    total = sum(
        (s.pos**2).sum() + 0.1 * (s.F * s.C).sum() + (s.tool.quat[..., 1] * s.tool.vel[..., 0]).sum() for s in states
    )
    return total + sum((w**2).sum() for w in wrenches)


def rollout(scene, body, tool, policy, reset_at=None, steps=T):
    states, wrenches = [], []
    for t in range(steps):
        tool.set_velocity(policy(features(scene.get_state())), ang=[0.1, 0.2, 0.3])
        scene.step()
        if t == reset_at:
            scene.reset(envs_idx=[1])
            body.set_velocity([0.1, 0.0, 0.0], envs_idx=[1])
        states.append(scene.get_state())
        wrenches.append(tool.get_wrench())
    return loss_of(states, wrenches)


def reference(values, policy, dt, substeps, reset_at=None, steps=T):
    total, first = 0.0, dict(values)
    mask = torch.tensor([False, True, False])
    for t in range(steps):
        seen = torch.cat([values["mpm.pos"].mean(1), values["mpm.vel"].mean(1)], -1)
        values["tool.vel"] = policy(seen)[:, None]
        values["tool.ang"] = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64).expand(3, 1, 3)
        values, wrench = stand_ins.reference_step(values, dt, substeps)
        if t == reset_at:

            def blank(new, old):
                return torch.where(mask.view(-1, *[1] * (old.dim() - 1)), new, old)

            for name, start in first.items():
                if name.startswith(("mpm.pos", "mpm.C", "mpm.F", "tool.pos", "tool.quat")):
                    values[name] = blank(start.detach(), values[name])
            values["mpm.vel"] = blank(torch.tensor([0.1, 0.0, 0.0], dtype=torch.float64), values["mpm.vel"])
            values["tool.vel"] = blank(torch.zeros(3).to(seen), values["tool.vel"])
            values["tool.ang"] = blank(torch.zeros(3).to(seen), values["tool.ang"])
            wrench = blank(torch.zeros(6).to(seen), wrench)
        total = total + (values["mpm.pos"] ** 2).sum() + 0.1 * (values["mpm.F"] * values["mpm.C"]).sum()
        total = total + (values["tool.quat"][..., 1] * values["tool.vel"][..., 0]).sum() + (wrench**2).sum()
    return total


def leaves(n_envs=3):
    return {
        "vel": torch.randn(n_envs, 3, dtype=torch.float64, requires_grad=True),
        "E": torch.tensor([3e3, 2e3, 4e3], dtype=torch.float64, requires_grad=True),
        "rho": torch.tensor(500.0, dtype=torch.float64, requires_grad=True),
        "friction": torch.tensor(0.3, dtype=torch.float64, requires_grad=True),
        "gravity": torch.tensor([0.1, 0.0, -1.0], dtype=torch.float64, requires_grad=True),
    }


def apply(scene, body, tool, x):
    scene.reset()
    body.set_velocity(x["vel"])
    body.set_material(E=x["E"], rho=x["rho"])
    tool.set_friction(x["friction"])
    scene.set_gravity(x["gravity"])


def reference_values(scene, body, x):
    n = body.n_particles
    state = scene.get_state()
    plain = {f"mpm.{k}": getattr(state.mpm, k).detach().as_subclass(torch.Tensor) for k in ("pos", "vel", "C", "F")}
    plain.update({f"tool.{k}": getattr(state.tool, k).detach().as_subclass(torch.Tensor) for k in ("pos", "quat")})
    plain["mpm.vel"] = x["vel"][:, None].expand(3, n, 3)
    nu = torch.full((3,), 0.2, dtype=torch.float64)
    plain["mpm.material"] = torch.stack([x["E"], nu, x["rho"].expand(3)], -1)
    plain["tool.friction"] = x["friction"].expand(3, 1)
    plain["scene.gravity"] = x["gravity"].expand(3, 3)
    return plain


@pytest.mark.parametrize("reset_at", [None, 2])
@pytest.mark.parametrize("budget", [0.0, 0.002, 256.0])
def test_closed_loop_matches_plain_torch(make, policy, reset_at, budget):
    scene, (body,), (tool,) = make(outputs=("wrench",), frame_budget_mb=budget)
    x = leaves()
    wanted = [*x.values(), *policy.parameters()]
    values = reference_values(scene, body, x)
    apply(scene, body, tool, x)
    ours = rollout(scene, body, tool, policy, reset_at)
    theirs = reference(values, policy, scene.dt, scene.substeps, reset_at)
    assert abs((ours - theirs).item()) < 1e-12 * abs(theirs.item())
    for a, b in zip(torch.autograd.grad(ours, wanted), torch.autograd.grad(theirs, wanted), strict=True):
        assert (a - b).abs().max() < 1e-12 * b.abs().max()


def test_gradcheck_of_a_rollout(make, policy):
    scene, (body,), (tool,) = make(outputs=("wrench",))

    def run(vel, rho):
        scene.reset()
        body.set_velocity(vel)
        body.set_material(rho=rho)
        return rollout(scene, body, tool, policy, reset_at=1, steps=3)

    vel = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    rho = torch.tensor(500.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(run, (vel, rho))


def test_backward_twice_and_again_after_stepping_on(make, policy):
    scene, (body,), (tool,) = make(outputs=("wrench",))
    loss = rollout(scene, body, tool, policy)
    first = torch.autograd.grad(loss, policy.weight, retain_graph=True)[0]
    scene.step()
    scene.step()
    again = torch.autograd.grad(loss, policy.weight)[0]
    assert torch.equal(first, again)


def test_frames_kept_and_replayed_give_the_same_bits(make, policy):
    grads = []
    for budget in (0.0, 0.002, 256.0):
        scene, (body,), (tool,) = make(outputs=("wrench",), frame_budget_mb=budget)
        grads.append(torch.autograd.grad(rollout(scene, body, tool, policy), policy.weight)[0])
    assert torch.equal(grads[0], grads[1])
    assert torch.equal(grads[0], grads[2])


def test_kept_frames_are_not_run_again_and_replay_runs_once(make, policy):
    for budget, replays in ((256.0, 0), (0.0, T)):
        scene, (body,), (tool,) = make(outputs=("wrench",), frame_budget_mb=budget)
        loss = rollout(scene, body, tool, policy)
        coupling = scene._built.simulator.coupling
        before = coupling.n_forward
        loss.backward()
        assert coupling.n_forward - before == replays


def test_frames_stay_within_the_budget(make, policy):
    scene, (body,), (tool,) = make(outputs=("wrench",))
    kept = scene._built.simulator.coupling.frame_bytes(3, 4)
    scene, (body,), (tool,) = make(outputs=("wrench",), frame_budget_mb=2.5 * kept / 1e6)
    coupling = scene._built.simulator.coupling
    for _ in range(3):
        rollout(scene, body, tool, policy).backward()
        scene.detach_()
    assert coupling.n_allocated == 2


def test_groups_of_environments_give_the_same_results(make, policy):
    results = []
    for scratch in (1e9, 1.0):
        scene, (body,), (tool,) = make(outputs=("wrench",), frame_budget_mb=0.0)
        simulator = scene._built.simulator
        simulator._forward_group = simulator._group(2, scratch)
        simulator._replay_group = simulator._group(4, scratch)
        assert simulator._replay_group == (3 if scratch == 1e9 else 1)
        loss = rollout(scene, body, tool, policy)
        results.append((loss.detach(), torch.autograd.grad(loss, policy.weight)[0]))
    for a, b in zip(*results, strict=True):
        assert (a - b).abs().max() <= 1e-13 * a.abs().max()


def test_two_rollouts_branch_from_one_state(make):
    scene, (body,), (tool,) = make()
    vel = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    tool.set_velocity(vel)
    scene.step()
    fork = scene.get_state()
    ends = []
    for side in (1.0, -1.0):
        scene.reset(fork)
        assert scene.t == 1
        tool.set_velocity([0.0, side, 0.0])
        scene.step()
        ends.append(scene.get_state().pos)
    both = torch.autograd.grad((ends[0] * ends[1]).sum(), vel, retain_graph=True)[0]
    a = torch.autograd.grad((ends[0] * ends[1].detach()).sum(), vel, retain_graph=True)[0]
    b = torch.autograd.grad((ends[0].detach() * ends[1]).sum(), vel)[0]
    assert both.abs().sum() > 0
    assert torch.allclose(both, a + b, rtol=1e-12)


def test_gradient_of_a_state_in_the_middle_is_whole(make):
    scene, (body,), (tool,) = make()
    vel = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    body.set_velocity(vel)
    scene.step()
    middle = scene.get_state()
    scene.step()
    loss = (scene.get_state().pos ** 2).sum()
    (through,) = torch.autograd.grad(loss, middle.pos, retain_graph=True)
    scene.reset(middle)
    pos = middle.pos.detach().clone().requires_grad_()
    scene.reset(middle.having("mpm", replace(middle.mpm, pos=pos)))
    scene.step()
    (direct,) = torch.autograd.grad((scene.get_state().pos ** 2).sum(), pos)
    assert torch.equal(through, direct)


def test_checkpointed_rollout(make, policy):
    scene, (body,), (tool,) = make(outputs=("wrench",))
    start = scene.get_state()

    def run(weight):
        scene.reset(start)
        for _ in range(3):
            tool.set_velocity(features(scene.get_state()) @ weight.T)
            scene.step()
        return (scene.get_state().pos ** 2).sum()

    weight = policy.weight
    wanted = torch.autograd.grad(run(weight), weight)[0]
    saved = torch.autograd.grad(checkpoint(run, weight, use_reentrant=False), weight)[0]
    assert torch.equal(wanted, saved)


def test_windows(make, policy):
    """Gradients of the second window know nothing of the first, and leaves keep getting theirs."""
    scene, (body,), (tool,) = make(outputs=("wrench",))
    rho = torch.tensor(500.0, dtype=torch.float64, requires_grad=True)
    body.set_material(rho=rho)
    rollout(scene, body, tool, policy).backward()
    first = rho.grad.clone()
    scene.detach_()
    assert not scene.get_state().pos.requires_grad
    start = scene.get_state()
    loss = rollout(scene, body, tool, policy)
    loss.backward()
    second = rho.grad - first
    scene.reset(start)
    rho.grad = None
    rollout(scene, body, tool, policy).backward()
    assert torch.equal(rho.grad, second)


def test_no_grad_keeps_nothing(make, policy):
    scene, (body,), (tool,) = make(outputs=("wrench",))
    with torch.no_grad():
        loss = rollout(scene, body, tool, policy)
    assert not loss.requires_grad
    assert not scene.get_state().pos.requires_grad
    assert not scene._built.simulator._slots


def test_a_scene_without_gradients_builds_no_graph(make, policy):
    scene, (body,), (tool,) = make(outputs=("wrench",), requires_grad=False, E=torch.tensor(2e3, requires_grad=True))
    body.set_velocity(torch.zeros(3, requires_grad=True))
    body.set_material(rho=torch.tensor(500.0, requires_grad=True) * 1.0)
    scene.detach_()
    tool.set_friction(torch.tensor(0.5, requires_grad=True))
    assert not rollout(scene, body, tool, policy).requires_grad


def test_second_derivative_is_refused(make):
    scene, (body,), (tool,) = make()
    vel = torch.ones(3, dtype=torch.float64, requires_grad=True)
    for power in (1, 2):
        scene.reset()
        body.set_velocity(vel)
        scene.step()
        loss = (scene.get_state().pos ** power).sum()
        (grad,) = torch.autograd.grad(loss, vel, create_graph=True)
        with pytest.raises(gs.GenesisException, match="first order"):
            (grad.sum() + vel.sum()).backward()


def test_torch_func_is_refused(make):
    scene, (body,), (tool,) = make()

    def run(vel):
        scene.step()
        return vel.sum()

    with pytest.raises(gs.GenesisException, match=r"torch\.func"):
        torch.func.grad(run)(torch.ones(3))


@pytest.mark.parametrize("mid_graph", [True, False])
def test_a_dropped_scene_is_collected(make, policy, mid_graph):
    scene, (body,), (tool,) = make(outputs=("wrench",))
    loss = rollout(scene, body, tool, policy)
    found = [weakref.ref(scene)]
    if not mid_graph:
        loss.backward()
        found.append(weakref.ref(scene._built.simulator))
        del loss
    del scene, body, tool
    gc.collect()
    assert all(ref() is None for ref in found)
    if mid_graph:
        loss.backward()
        assert policy.weight.grad.abs().sum() > 0
        found = weakref.ref(loss)
        del loss
        gc.collect()
        assert found() is None


def test_a_dropped_scene_is_freed_without_the_collector(make):
    scene, (body,), (tool,) = make()
    scene.step()
    found = weakref.ref(scene)
    gc.disable()
    try:
        del scene, body, tool
        assert found() is None
    finally:
        gc.enable()
