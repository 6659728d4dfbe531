"""Gradients of a policy's weights in closed loop: environments, bodies, resets, frames kept or not, both drivers."""

from functools import partial

import pytest
import torch

import genesis as gs
from tests.physics.finite import compare
from tests.physics.worlds import F64, MODELS, build, everything, fresh, plain, probe, tool_morph

pytestmark = pytest.mark.precision("64")
SMOOTH, CONTACT = 1e-6, 1e-4


def policy_for(world, n_out, seed=1):
    """Two layers, tanh, from body centres and velocities and the tool's position to `n_out` actions."""
    torch.manual_seed(seed)
    n_in = 6 * len(world.bodies) + (3 if world.tools else 0)
    return torch.nn.Sequential(torch.nn.Linear(n_in, 5), torch.nn.Tanh(), torch.nn.Linear(5, n_out)).to(F64)


def seen(world):
    parts = [f.mean(1) for b in world.bodies for f in (b.get_particles_pos(), b.get_particles_vel())]
    return torch.cat([plain(p) for p in [*parts, *(t.get_pos() for t in world.tools[:1])]], -1)


def in_gravity(world, policy):
    """The policy tilts gravity: smooth."""
    world.scene.set_gravity(6.0 * policy(seen(world)))


def with_a_tool(world, policy):
    """The policy drives the tool, as an agent does."""
    action = gs.from_torch(policy(seen(world)), detach=False)
    base = torch.tensor([0.1, 0.05, 0.6], dtype=F64)
    world.tool.set_velocity(base + 0.3 * action[:, :3], action[:, 3:])


def rollout(world, policy, act, steps=6, reset_at=None):
    fresh(world)
    total = torch.zeros((), dtype=F64)
    for t in range(steps):
        act(world, policy)
        world.scene.step()
        if t == reset_at:
            world.scene.reset(envs_idx=[1])
            for body in world.bodies:
                body.set_velocity([0.1, -0.1, -0.2], envs_idx=[1])
        total = total + probe(*everything(world), seed=t)
        if "wrench" in world.outputs:
            total = total + probe(0.02 * world.tool.get_wrench(), seed=t)
    return total


def policy_of(world, act):
    return policy_for(world, 3 if act is in_gravity else 6)


def gradient(world, act, **how):
    policy = policy_of(world, act)
    return torch.autograd.grad(rollout(world, policy, act, **how), list(policy.parameters()))


def check(world, act, bar, most=6, **how):
    policy = policy_of(world, act)
    weights = list(policy.parameters())
    found = compare(lambda *_: rollout(world, policy, act, **how), weights, most=most, scales=[1.0] * 4, bar=bar)
    samples, kinks = sum(f.samples for f in found), sum(f.kinks for f in found)
    print("; ".join(f"{f.error:.1e}" for f in found), f"({samples} samples, {kinks} on a kink)")
    assert kinks <= 0.05 * samples
    for f in found:
        assert f.size > 0 and f.error < bar, str(f)


def check_both_ways(build_with, act, bar, **how):
    """Frames run again are right against differences, and frames kept are equal to them to the bit."""
    again, kept = (build_with(frame_budget_mb=budget) for budget in (0.0, 256.0))
    check(again, act, bar, **how)
    how.pop("most", None)
    pairs = zip(gradient(again, act, **how), gradient(kept, act, **how), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("n_envs, reset_at", [(1, None), (3, None), (3, 2), (9, None), (9, 2)])
def test_smooth(n_envs, reset_at):
    """Three models in one scene, which touch each other through the grid."""
    far = gs.morphs.Box(pos=(0.8, 0.8, 0.2), size=(0.1, 0.1, 0.1))
    check_both_ways(partial(build, MODELS, n_envs=n_envs, tools=[far]), in_gravity, SMOOTH, reset_at=reset_at)


@pytest.mark.parametrize("reset_at", [None, 2])
@pytest.mark.parametrize("shape", ["sphere", "capsule", "box", "cylinder", "plane"])
def test_through_contact(shape, reset_at):
    world = partial(build, shapes=(shape,), n_envs=3, outputs=("wrench",))
    check_both_ways(world, with_a_tool, CONTACT, reset_at=reset_at)


def test_every_weight_through_contact():
    """All 86 weights, one by one, nine environments of which one is set back in the middle."""
    world = build(shapes=("capsule",), n_envs=9, outputs=("wrench",))
    check(world, with_a_tool, CONTACT, most=100, reset_at=2)


def test_long_rollout_through_contact():
    """24 steps, 96 substeps: the block is hit and pushed along."""
    world = build(shapes=("box",), n_envs=2, outputs=("wrench",))
    check(world, with_a_tool, CONTACT, most=4, steps=24)


def test_several_bodies_and_tools():
    world = build(MODELS, tools=[tool_morph("sphere"), tool_morph("plane")], n_envs=3, outputs=("wrench",))
    check(world, with_a_tool, CONTACT)


def test_one_large_environment():
    """2,000 particles and more in few environments run in chunks."""
    world = partial(
        build, shapes=("sphere",), n_envs=2, size=0.34, particle_size=0.026, outputs=("wrench",),
        centres=[(0.8, 0.8, 0.89)], substeps=3, dt=6e-3,
    )  # fmt: skip
    assert world().body.n_particles >= 2000
    check_both_ways(world, with_a_tool, CONTACT, most=3, steps=4, reset_at=1)
