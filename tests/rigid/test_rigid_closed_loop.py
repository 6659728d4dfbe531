"""Gradients of a random policy's weights over several control steps, through the public API.

1e-8 without contact, 1e-6 through contact; resets of some environments on the way; frames kept or run again.
"""

import pytest
import torch

import genesis as gs
from tests.rigid.rigid_bench import F64, noise
from tests.rigid.rigid_models import CRAWLER, ZOO
from tests.rigid.rigid_worlds import OUTPUTS, B, build, check, everything, place, plain, rows

pytestmark = pytest.mark.precision("64")
FREE, CONTACT = 1e-8, 1e-6
STEPS = 6
SOFT = gs.options.CompliantContact(limit_stiffness=60.0, limit_damping=1.5, limit_smoothing=0.5)
"""Wide limits, so that there are no corners without contact."""


def terrain():
    x = 0.1 * (torch.arange(24, dtype=F64) - 12)
    heights = 0.03 * (
        torch.sin(4.1 * x)[:, None] * torch.cos(3.3 * x + 0.4) + 0.5 * torch.sin(7.3 * x + 2.0 * x[:, None])
    )
    return gs.morphs.Terrain(heights=heights.numpy(), spacing=0.1, pos=(-1.2, -1.2, 0.0))


def seen(robot):
    return torch.cat([plain(robot.get_dofs_position())[:, 6:], plain(robot.get_dofs_velocity())], -1)


def by_force(world, action):
    world.robot.control_dofs_force(4.0 * action, dofs_idx_local=world.inner)


def by_position(world, action):
    world.robot.control_dofs_position(0.5 * action, dofs_idx_local=world.inner)


def by_velocity(world, action):
    world.robot.control_dofs_velocity(2.0 * action, dofs_idx_local=world.inner)


def by_wrench(world, action):
    world.robot.set_links_wrench(
        force=3.0 * action[:, None, :3], torque=0.5 * action[:, None, 3:6], links_idx_local=[0]
    )


def by_gravity(world, action):
    world.scene.set_gravity(4.0 * action[:, :3] + torch.tensor([0.0, 0.0, -8.0], dtype=F64))


ACTS = {f.__name__: f for f in (by_force, by_position, by_velocity, by_wrench, by_gravity)}


def start(world, height):
    """The same fall in every environment."""
    n = world.robot.n_dofs
    tangent = 0.25 * noise(n, seed=3)
    tangent[:3] = torch.tensor([0.03, 0.02, height], dtype=F64)
    vel = 0.5 * noise(n, seed=4)
    vel[:3] = torch.tensor([0.4, -0.2, -0.6], dtype=F64)
    place(world, tangent.expand(B, n), vel.expand(B, n))
    world.robot.set_dofs_kp(6.0, dofs_idx_local=world.inner)
    world.robot.set_dofs_kv(0.3, dofs_idx_local=world.inner)
    world.robot.control_dofs_force(torch.zeros(n, dtype=F64))
    world.scene.set_gravity([0.0, 0.0, -9.81])


def rollout(world, weights, act, height, outputs, reset_at=None):
    """Losses (B,) of policies with weights (B, n_out, n_in)."""
    start(world, height)
    total = torch.zeros(B, dtype=F64)
    for t in range(STEPS):
        action = torch.tanh(torch.einsum("bij,bj->bi", weights, seen(world.robot)))
        act(world, action)
        world.scene.step()
        if t == reset_at:
            second = list(range(B // 2, B))
            world.scene.reset(envs_idx=second)
            world.robot.set_dofs_velocity(0.3 * noise(world.robot.n_dofs, seed=8), envs_idx=second)
        total = total + everything(world, outputs=outputs, seed=10 * t)
    return total


def policy(world, act):
    n_out = 6 if act in (by_wrench, by_gravity) else len(world.inner)
    return 0.4 * noise(n_out, seen(world.robot).shape[1], seed=5)


def make(*args, **how):
    world = build(*args, **how)
    free = {i for j in world.robot.joints if j.kind == "free" for i in j.dofs_idx_local}
    world.inner = [i for i in range(world.robot.n_dofs) if i not in free]
    return world


@pytest.mark.parametrize("act", ACTS)
def test_without_contact(act):
    """Free, ball, hinge and slide joints and all outputs."""
    outputs = OUTPUTS[1:]
    world = make(ZOO, outputs=outputs, options=gs.options.RigidOptions(contact=SOFT))
    weights = policy(world, ACTS[act])
    check(lambda w: rollout(world, w, ACTS[act], 0.0, outputs), weights, FREE, scale=1.0, what=act)


@pytest.mark.parametrize("reset_at", [None, 2])
@pytest.mark.parametrize("ground", ["plane", "terrain"])
def test_through_contact(ground, reset_at):
    """It falls, lands and is moved on by its joints. Frames kept and run again agree to the bit."""
    found = []
    for budget in (0.0, 256.0):
        world = make(CRAWLER, ground=True if ground == "plane" else terrain(), outputs=OUTPUTS, frame_budget_mb=budget)
        weights = policy(world, by_force)

        def loss(w, world=world):
            return rollout(world, w, by_force, -0.02, OUTPUTS, reset_at)

        if budget:
            x = weights.expand(B, *weights.shape).clone().requires_grad_()
            found.append(torch.autograd.grad(loss(x).sum(), x)[0])
        else:
            found.append(check(loss, weights, CONTACT, smooth=False, scale=1.0, halves=reset_at is not None))
    assert torch.equal(*found)
    force = plain(world.robot.get_contacts().force)
    assert (force[..., 2] > 0).any(), "it must have landed"


@pytest.mark.parametrize("act", ["by_position", "by_velocity"])
def test_targets_through_contact(act):
    world = make(CRAWLER, ground=True, outputs=OUTPUTS)
    weights = policy(world, ACTS[act])
    check(lambda w: rollout(world, w, ACTS[act], -0.02, OUTPUTS), weights, CONTACT, smooth=False, scale=1.0, what=act)


def test_shared_weights():
    """A policy that all environments share has the sum of their gradients, by any route through torch."""
    world = make(CRAWLER, ground=True, outputs=OUTPUTS)
    base = policy(world, by_force)
    own = base.expand(B, *base.shape).clone().requires_grad_()
    (each,) = torch.autograd.grad(rollout(world, own, by_force, -0.02, OUTPUTS).sum(), own)
    shared = base.clone().requires_grad_()
    loss = rollout(world, shared.expand(B, *base.shape), by_force, -0.02, OUTPUTS).sum()
    (total,) = torch.autograd.grad(loss, shared, retain_graph=True)
    assert (each.sum(0) - total).abs().max() < 1e-12 * total.abs().max()
    loss.backward()
    assert torch.equal(shared.grad, total)
    assert all(torch.equal(each[0], row) for row in each), "the same environment has the same gradient everywhere"


@pytest.mark.slow
def test_two_robots_that_touch():
    """A ball falls on the crawler: gradients go through the contact between two entities."""
    ball = gs.morphs.Sphere(radius=0.08, pos=(0.03, 0.02, 0.5))
    options = gs.options.RigidOptions(contact=gs.options.MujocoContact())
    world = make(CRAWLER, ball, ground=True, outputs=OUTPUTS, dt=0.02, substeps=20, options=options)
    other, weights = world.others[0], policy(world, by_force)

    def loss(w):
        place(world, torch.zeros(B, 13, dtype=F64), torch.zeros(B, 13, dtype=F64))
        other.set_dofs_velocity([0.3, 0.0, -2.5, 0.0, 1.0, 0.0])
        total = torch.zeros(B, dtype=F64)
        for t in range(STEPS):
            action = torch.tanh(torch.einsum("bij,bj->bi", w, seen(world.robot) + 0.3))
            world.robot.control_dofs_force(4.0 * action, dofs_idx_local=world.inner)
            world.scene.step()
            total = total + everything(world, outputs=OUTPUTS, seed=10 * t)
            total = total + rows(other.get_qpos(), 3) + rows(other.get_vel(), 4)
        return total

    check(loss, weights, CONTACT, smooth=False, scale=1.0, what="two entities")
    assert plain(other.get_vel())[0, 2] > -1.0, "the crawler must have stopped the ball"
