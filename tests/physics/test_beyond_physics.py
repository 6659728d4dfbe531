"""Particles that cross a cell in a substep and tools faster than any mechanism are failures, and name the body."""

import logging

import pytest
import torch

from tests.physics.worlds import DX, build, plain

TWO = {"models": ("neohooken", "neohooken"), "centres": [(0.5, 0.5, 0.9), (1.0, 1.0, 0.9)], "shapes": ("sphere",)}


@pytest.mark.parametrize("n_envs", [2, 9])
def test_the_body_whose_particles_are_too_fast_is_named(n_envs, caplog):
    """Just beyond a cell per substep, and far from the domain's end."""
    world = build(n_envs=n_envs, **TWO)
    fast = 1.05 * DX / world.scene.sim_options.substep_dt
    world.bodies[1].set_velocity([0.0, -fast, 0.0], envs_idx=[1])
    with caplog.at_level(logging.WARNING, logger="genesis"):
        world.scene.step()
    assert world.scene.failures == [(0, 0, 1, "mpm.vel", world.bodies[1].name)]
    (record,) = caplog.records
    for part in ("step 0", "substep 0", "environment 1", repr(world.bodies[1].name), "cell per substep"):
        assert part in record.getMessage()
    assert torch.isnan(plain(world.scene.get_state().pos)[1]).all()
    assert torch.isfinite(plain(world.scene.get_state().pos)[0]).all()


def test_particles_within_a_cell_per_substep_go_on():
    world = build(n_envs=2, substeps=1, dt=2e-3, **TWO)
    world.bodies[1].set_velocity([0.0, -0.9 * DX / world.scene.sim_options.substep_dt, 0.0], envs_idx=[1])
    world.scene.step()
    assert world.scene.failures == []


@pytest.mark.parametrize("what, limit", [("vel", 1e3), ("ang", 1e4)])
def test_a_tool_that_is_too_fast_is_named(what, limit):
    world = build(n_envs=3, **TWO)
    leaf = torch.full((3, 3), 0.1, dtype=plain(world.tool.get_pos()).dtype, requires_grad=True)
    world.bodies[0].set_velocity(leaf)
    world.tool.set_velocity(**{what: [0.0, 0.0, 0.99 * limit]}, envs_idx=[0])
    world.scene.step()
    assert [f for f in world.scene.failures if f.env != 0] == []
    assert not any(f.field.startswith("tool") for f in world.scene.failures)
    world.tool.set_velocity(**{what: [0.0, 0.0, -1.01 * limit]}, envs_idx=[2])
    world.scene.step()
    assert [f for f in world.scene.failures if f.env == 2] == [(1, 0, 2, f"tool.{what}", world.tool.name)]
    state = world.scene.get_state()
    assert torch.isnan(plain(state.pos)[2]).all() and torch.isnan(plain(state.tool.pos)[2]).all()
    assert torch.isfinite(plain(state.pos)[1]).all()
    loss = plain(state.pos)[:2].nan_to_num().sum() + plain(state.tool.pos)[2].sum()
    (grad,) = torch.autograd.grad(loss, leaf)
    assert (grad[2] == 0).all() and (grad[1] != 0).any()
