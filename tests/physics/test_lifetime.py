"""A scene that nobody holds goes, in mid-graph too; its graph still works."""

import gc
import weakref

import pytest
import torch

from tests.physics.worlds import build, everything, leaf, noise, plain, probe

pytestmark = pytest.mark.precision("64")


def loss_of(world, vel, push):
    world.scene.reset()
    world.body.set_velocity(vel)
    world.tool.set_velocity(push)
    world.run(4)
    return probe(*everything(world), world.tool.get_wrench())


@pytest.mark.parametrize("budget", [0.0, 256.0])
def test_a_scene_dropped_in_mid_graph(budget):
    vel, push = leaf(0.4 * noise(2, 27, 3)), leaf([0.1, 0.0, 0.6])
    world = build(shapes=("sphere",), outputs=("wrench",), frame_budget_mb=budget)
    wanted = torch.autograd.grad(loss_of(world, vel, push), (vel, push))
    loss = loss_of(world, vel, push)
    state = world.scene.get_state()
    held = [weakref.ref(x) for x in (world.scene, world.body, world.tool)]
    del world
    gc.collect()
    assert all(ref() is None for ref in held)
    assert state.scene is None
    got = torch.autograd.grad(loss, (vel, push), retain_graph=True)
    again = torch.autograd.grad(loss, (vel, push))
    for a, b, c in zip(wanted, got, again, strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)
    kept = weakref.ref(loss)
    del loss, state
    gc.collect()
    assert kept() is None


def test_a_scene_that_has_gone_back_is_freed_at_once():
    """Nothing waits for the collector after a backward pass."""
    vel, push = leaf(0.4 * noise(2, 27, 3)), leaf([0.1, 0.0, 0.6])
    world = build(shapes=("sphere",), outputs=("wrench",))
    loss_of(world, vel, push).backward()
    held = weakref.ref(world.scene)
    gc.collect()
    gc.disable()
    try:
        del world
        assert held() is None
    finally:
        gc.enable()


def test_results_outlive_the_scene():
    world = build(shapes=("sphere",))
    world.run(2)
    pos = world.scene.get_state().pos
    before = plain(pos).detach().clone()
    del world
    gc.collect()
    other = build(shapes=("sphere",))
    other.body.set_velocity([0.3, 0.0, 0.0])
    other.run(3)
    assert torch.equal(plain(pos), before)
