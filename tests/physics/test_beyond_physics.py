"""Particles that cross a cell in a substep and tools faster than any mechanism are failures, and name the body."""

import logging

import pytest
import torch

import genesis as gs
from tests.physics.test_links_push_particles import scene_of
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
    world.tool.set_position([9.0, 9.0, 9.0], envs_idx=[0])  # where there is nothing to jump over
    world.tool.set_velocity(**{what: [0.0, 0.0, 0.99 * limit]}, envs_idx=[0])
    world.scene.step()
    assert world.scene.failures == []
    world.tool.set_velocity(**{what: [0.0, 0.0, -1.01 * limit]}, envs_idx=[2])
    world.scene.step()
    assert [f for f in world.scene.failures if f.env == 2] == [(1, 0, 2, f"tool.{what}", world.tool.name)]
    state = world.scene.get_state()
    assert torch.isnan(plain(state.pos)[2]).all() and torch.isnan(plain(state.tool.pos)[2]).all()
    assert torch.isfinite(plain(state.pos)[1]).all()
    loss = plain(state.pos)[:2].nan_to_num().sum() + plain(state.tool.pos)[2].sum()
    (grad,) = torch.autograd.grad(loss, leaf)
    assert (grad[2] == 0).all() and (grad[1] != 0).any()


def test_a_tool_that_jumps_over_particles_is_named(caplog):
    """In a substep it travels further than its radius and its softness; elsewhere, or a little slower, it may."""
    world = build(n_envs=4, **TWO)
    most = (0.2 + 0.03) / world.scene.sim_options.substep_dt
    leaf = torch.full((4, 3), 0.1, dtype=plain(world.tool.get_pos()).dtype, requires_grad=True)
    world.bodies[1].set_velocity(leaf)
    world.tool.set_position([9.0, 9.0, 9.0], envs_idx=[2])
    for env, part in ((0, 0.99), (1, 1.01), (2, 1.01)):
        world.tool.set_velocity([0.0, 0.0, -part * most], envs_idx=[env])
    with caplog.at_level(logging.WARNING, logger="genesis"):
        world.scene.step()
    assert world.scene.failures == [(0, 0, 1, "tool.vel", world.tool.name)]
    (record,) = caplog.records
    assert f"must stay below {most:.4g} m/s among particles" in record.getMessage()
    pos = plain(world.scene.get_state().pos)
    (grad,) = torch.autograd.grad(pos.nan_to_num().sum(), leaf)
    assert (grad[1] == 0).all() and (grad[[0, 2, 3]] != 0).all() and torch.isnan(pos[1]).all()


@pytest.mark.parametrize("spin", [False, True])
def test_a_link_that_jumps_over_particles_is_named(spin):
    """A box by its smallest half edge; what counts of a spin is how fast its faces move along their normals."""
    box = gs.morphs.Box(pos=(0.6, 0.8, 0.8), size=(0.1, 0.3, 0.2))
    scene, _, (link,) = scene_of((box, gs.materials.Rigid(rho=1e4, coup_softness=0.02)))
    most = (0.05 + 0.02) / scene.sim_options.substep_dt
    velocity = torch.zeros(2, 6, dtype=plain(link.get_pos()).dtype)
    velocity[:, 3 if spin else 0] = -most / (0.15 if spin else 1.0) * torch.tensor([0.98, 1.02])
    link.set_dofs_velocity(velocity)
    scene.step()
    found = [failure for failure in scene.failures if failure.field == "rigid.dofs_vel"]
    assert [failure.env for failure in found] == [1] and found[0].body.startswith(link.name)


def test_a_link_that_yields_is_named_when_it_fails_in_the_first_of_several_substeps():
    """Far from all particles; without gradients, where its substeps run again to find what it was."""
    ball = gs.morphs.Sphere(pos=(4.0, 4.0, 4.0), radius=0.1)
    scene, _, (link,) = scene_of((ball, gs.materials.Rigid(rho=1500.0, friction=0.4)))
    link.set_dofs_velocity([0.0, 1100.0, 0.0, 0.0, 0.0, 0.0], envs_idx=[1])
    with torch.no_grad():
        scene.step()
    assert scene.failures == [(0, 0, 1, "rigid.dofs_vel", f"{link.name}/sphere")]
