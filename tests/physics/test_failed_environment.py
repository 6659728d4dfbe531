"""One environment explodes: its neighbours keep every bit of their results and gradients, and the event is named."""

import logging

import pytest
import torch

from tests.physics.worlds import F64, MODELS, build, leaf, noise, plain, probe

pytestmark = pytest.mark.precision("64")
BAD = 1


def escape(world):
    """Faster than the domain is wide, in one substep."""
    world.body.set_velocity([1e5, 0.0, 0.0], envs_idx=[BAD])


def invert(world):
    """Every particle flies through the body's centre within a substep: det F < 0, of which there is no logarithm."""
    x = plain(world.body.get_particles_pos()).detach()[BAD]
    world.body.set_velocity(-4.0 / world.scene.sim_options.substep_dt * (x - x.mean(0)), envs_idx=[BAD])


HARMS = {"escape": escape, "invert": invert}


def run(n_envs, harm, budget, models=("neohooken",), steps=5, heal=False, **how):
    """A policy drives the tool; `harm` is done before step 2. Returns losses (steps, B)."""
    world = build(models, shapes=("sphere",), n_envs=n_envs, outputs=("wrench",), frame_budget_mb=budget, **how)
    torch.manual_seed(4)
    policy = torch.nn.Linear(3, 3).to(F64)
    shared = {"E": leaf(1e4), "friction": leaf(0.4), "gravity": leaf([0.3, -0.2, -2.0])}
    own = {
        "vel": leaf(0.4 * noise(n_envs, world.body.n_particles, 3)),
        "rho": leaf(torch.linspace(900, 1100, n_envs, dtype=F64)),
    }
    world.body.set_velocity(own["vel"])
    world.body.set_material(E=shared["E"], rho=own["rho"])
    world.tool.set_friction(shared["friction"])
    world.scene.set_gravity(shared["gravity"])
    failures, healthy = [], [b for b in range(n_envs) if b != BAD]
    losses = []
    for t in range(steps):
        centre = plain(world.body.get_particles_pos()).mean(1)
        centre = torch.where(torch.isfinite(centre), centre, 0.0)
        world.tool.set_velocity(0.1 * policy(centre) + torch.tensor([0.0, 0.0, 0.6]))
        if t == 2 and harm is not None:
            harm(world)
        world.scene.step()
        failures += world.scene.failures
        if heal and t == 3:
            world.scene.reset(envs_idx=[BAD])
        state = world.scene.get_state()
        parts = [plain(state.pos), plain(state.vel), plain(state.F), plain(world.tool.get_wrench())]
        losses.append(torch.stack([sum((p[b] ** 2).sum() for p in parts) for b in range(n_envs)]))
    leaves = [*shared.values(), *own.values(), *policy.parameters()]
    return world, failures, torch.stack(losses), healthy, leaves


def compare_with_health(n_envs, harm, budget, models=("neohooken",), **how):
    """Runs with and without the harm: all that does not come after it must be equal."""
    _, failures, losses, healthy, leaves = run(n_envs, None, budget, models, **how)
    assert failures == []
    untouched, before = losses[:, healthy].sum(), losses[:2, BAD].sum()
    wanted = losses[:, healthy].detach()
    wanted_without = torch.autograd.grad(untouched, leaves, retain_graph=True)
    wanted_with = torch.autograd.grad(untouched + before, leaves)
    world, failures, losses, healthy, leaves = run(n_envs, harm, budget, models, **how)
    assert torch.equal(losses[:, healthy], wanted)
    assert not torch.isfinite(losses[2:, BAD]).any()
    # Whether the loss leaves the failed environment out, or is itself not finite: what came before the event still
    # counts.
    for loss, wants in ((losses[:, healthy].sum(), wanted_without), (losses.sum(), wanted_with)):
        grads = torch.autograd.grad(loss, leaves, retain_graph=True)
        for got, want in zip(grads, wants, strict=True):
            assert torch.isfinite(got).all()
            assert torch.equal(got, want)
    return failures


@pytest.mark.parametrize("budget", [0.0, 256.0])
@pytest.mark.parametrize("n_envs", [3, 9])
@pytest.mark.parametrize("harm", HARMS)
def test_neighbours_keep_every_bit(harm, n_envs, budget):
    failures = compare_with_health(n_envs, HARMS[harm], budget)
    assert [(f.step, f.env) for f in failures] == [(2, BAD)]
    assert failures[0].field.startswith("mpm.")


def test_failed_among_three_models():
    """The failed environment's liquid and corotated bodies go with it; those of the others stay."""
    assert compare_with_health(3, escape, 256.0, MODELS)


@pytest.mark.parametrize("budget", [0.0, 256.0])
def test_failed_large_environment(budget):
    """2,000 particles and more in few environments run in chunks, and fail by themselves all the same."""
    large = {"size": 0.34, "particle_size": 0.026, "centres": [(0.8, 0.8, 0.89)]}
    failures = compare_with_health(2, escape, budget, **large)
    assert [(f.step, f.env) for f in failures] == [(2, BAD)]


@pytest.mark.parametrize("substeps", [1, 2, 5])
def test_the_substep_is_that_in_which_it_arose(substeps):
    """The first substep already carries the particles out of the domain, however many follow."""
    world = build(shapes=("sphere",), n_envs=3, substeps=substeps, dt=2e-3 * substeps)
    escape(world)
    world.scene.step()
    assert [tuple(f)[:3] for f in world.scene.failures] == [(0, 0, BAD)]


@pytest.mark.parametrize("harm", HARMS)
def test_the_event_is_named_once_and_logged(harm, caplog):
    with caplog.at_level(logging.WARNING, logger="genesis"):
        _, failures, *_ = run(3, HARMS[harm], 256.0)
    assert [(f.step, f.env) for f in failures] == [(2, BAD)]
    text = [r.getMessage() for r in caplog.records]
    assert len(text) == 1
    for part in ("step 2", f"substep {failures[0].substep}", f"environment {BAD}", failures[0].field):
        assert part in text[0]


def test_a_reset_heals(caplog):
    """The environment runs on from its start; its gradient goes back to the reset and no further."""
    world, failures, total, _, leaves = run(3, escape, 256.0, steps=6, heal=True)
    assert [(f.step, f.env) for f in failures] == [(2, BAD)]
    last = plain(world.scene.get_state().pos)
    assert torch.isfinite(last).all()
    grads = torch.autograd.grad(probe(last), leaves)
    assert all(torch.isfinite(g).all() for g in grads)
    by_velocity = grads[3]
    assert (by_velocity[BAD] == 0).all()
    assert (by_velocity[[0, 2]].abs().amax((1, 2)) > 0).all()
