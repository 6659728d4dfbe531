"""Particles that are switched off, and particles that are attached: where they are, what others feel, derivatives.

All scenes are of the kinds of test_gradcheck, whose kernels they share.
"""

import dataclasses
import pickle

import pytest
import torch

import genesis as gs
from tests.physics.finite import compare
from tests.physics.worlds import build, fresh, leaf, noise, plain, probe

pytestmark = pytest.mark.precision("64")
B = 2


@pytest.fixture(scope="module")
def world():
    return build(("neohooken", "neohooken"), n_envs=B)


@pytest.fixture(autouse=True)
def restored(world):
    fresh(world)


def upper_half(body):
    """A mask of the particles in a body's upper half."""
    return torch.from_numpy(body.initial_positions[:, 2] > body.initial_positions[:, 2].mean())


def values_of(state):
    return [plain(value) for value in (state.pos, state.vel, state.C, state.F)]


def test_attached_particles_are_at_their_targets_whatever_pulls_at_them(world):
    body, top = world.body, upper_half(world.body)
    n = int(top.sum())
    body.attach(top)
    places = plain(body.get_particles_pos())[:, top].clone()
    world.run(3)
    torch.testing.assert_close(plain(body.get_particles_pos())[:, top], places, rtol=0, atol=1e-15)
    assert plain(body.get_particles_vel())[:, top].abs().max() < 1e-12
    assert (plain(body.get_particles_pos())[:, ~top] - torch.as_tensor(body.initial_positions)[~top]).abs().min() > 0
    target = places + 0.02 * noise(B, n, 3)
    body.attach(top.nonzero().flatten().tolist(), target)
    world.run(1)
    torch.testing.assert_close(plain(body.get_particles_pos())[:, top], target, rtol=0, atol=1e-15)
    moved = (target - places) / world.scene.dt
    torch.testing.assert_close(plain(body.get_particles_vel())[:, top], moved, rtol=1e-9, atol=1e-9)
    mean = target.mean(1) + torch.tensor([0.01, 0.02, -0.01], dtype=torch.float64)
    body.attach(top, mean)  # each keeps its offset
    world.run(1)
    expected = target - target.mean(1, keepdim=True) + mean[:, None]
    torch.testing.assert_close(plain(body.get_particles_pos())[:, top], expected, rtol=0, atol=1e-15)


def test_environments_of_their_own_and_freedom(world):
    body, top = world.body, upper_half(world.body)
    body.attach(top, envs_idx=[1])
    assert body.get_particles_free().all(1).tolist() == [True, False]
    start = plain(body.get_particles_pos()).clone()
    world.run(1)
    moved = (plain(body.get_particles_pos()) - start).abs().amax(2)
    assert (moved[0] > 0).all() and (moved[1, top] == 0).all() and (moved[1, ~top] > 0).all()
    body.set_free(True)
    assert body.get_particles_free().all()
    world.run(1)
    assert ((plain(body.get_particles_pos()) - start).abs().amax(2) > 0).all()
    body.set_free(~top)  # attaches where they are
    assert torch.equal(~body.get_particles_free()[0], top)


def test_inactive_particles_keep_their_state_and_are_not_felt(world):
    body, other = world.bodies
    world.run(1)
    state = world.scene.get_state()
    body.set_position([0.8, 0.8, 0.8])
    other.set_position([0.83, 0.8, 0.8])  # in the same place
    other.deactivate()
    assert torch.equal(other.get_state().active, torch.zeros(B, other.n_particles, dtype=torch.int32))
    assert torch.equal(world.scene.get_state().mpm.active.sum(1), torch.full((B,), body.n_particles))
    assert (plain(other.get_mass()) == 0).all()
    stirred = noise(B, other.n_particles, 3)
    other.set_velocity(stirred)
    kept = [value.clone() for value in values_of(other.get_state())]
    world.run(2)
    for value, before in zip(values_of(other.get_state()), kept, strict=True):
        assert torch.equal(value, before)
    found = [value.clone() for value in values_of(body.get_state())]
    fresh(world)
    world.scene.reset(state)
    body.set_position([0.8, 0.8, 0.8])
    other.set_position([1.2, 0.8, 0.8])  # far away
    world.run(2)
    for value, alone in zip(values_of(body.get_state()), found, strict=True):
        torch.testing.assert_close(value, alone, rtol=1e-11, atol=1e-12)


def test_particles_switched_on_one_after_the_other(world):
    """Also none at all, and an attached one that is inactive meanwhile."""
    body, other = world.bodies
    top = upper_half(body)
    body.attach(top)
    for entity in (body, other):
        entity.set_active(False)
    start = [value.clone() for value in values_of(world.scene.get_state())]
    world.run(1)
    for value, before in zip(values_of(world.scene.get_state()), start, strict=True):
        assert torch.equal(value, before)
    body.set_active(top)
    world.run(1)
    body.activate()
    world.run(1)
    moved = (plain(body.get_particles_pos()) - start[0][:, : body.n_particles]).abs().amax(2)
    assert (moved[:, top] == 0).all() and (moved[:, ~top] > 0).all()
    assert torch.equal(body.get_particles_active(envs_idx=[0]), torch.ones(1, body.n_particles, dtype=torch.bool))


def test_derivatives_by_targets_states_and_materials(world):
    """Through four steps: a grip that moves and is let go, parts that are off, then on; unlike in environments."""
    body, other = world.bodies
    top = upper_half(body)
    n = int(top.sum())
    off = torch.rand(B, body.n_particles, generator=torch.Generator().manual_seed(5)) < 0.3
    start = torch.as_tensor(body.initial_positions)[top]

    def run(pos, vel, path, E):
        fresh(world)
        body.set_position(torch.as_tensor(body.initial_positions) + 0.01 * pos)
        body.set_velocity(vel)
        other.set_velocity(0.5 * vel)
        body.set_material(E=1e4 * E)
        body.attach(top)  # where they are: a function of the state
        body.set_active(~off)
        world.scene.step()
        body.attach(top, start + 0.02 * path[0])
        world.scene.step()
        other.deactivate(envs_idx=[0])
        body.attach(top, start.mean(0) + 0.02 * path[1].mean(1))
        world.scene.step()
        body.activate()
        body.set_free(True, envs_idx=[1])
        world.scene.step()
        return probe(*(0.1 * v if k == 2 else v for k, v in enumerate(values_of(world.scene.get_state()))))

    inputs = [
        leaf(noise(B, body.n_particles, 3)), leaf(0.3 * noise(B, body.n_particles, 3, seed=1)),
        leaf(noise(2, B, n, 3, seed=2)), leaf([0.9, 1.1]),
    ]  # fmt: skip
    for found in compare(run, inputs):
        found.check(1e-6)


def test_states_carry_and_reset_clears(world):
    body, top = world.body, upper_half(world.body)
    body.attach(top)
    world.bodies[1].set_active(False, envs_idx=[0])
    state = pickle.loads(pickle.dumps(world.scene.get_state()))
    world.run(2)
    wanted = [value.clone() for value in values_of(world.scene.get_state())]
    world.scene.reset(envs_idx=[1])
    assert body.get_particles_free().all(1).tolist() == [False, True]
    world.scene.reset()
    assert body.get_particles_free().all() and world.bodies[1].get_particles_active().all()
    world.scene.reset(state)
    assert torch.equal(~body.get_particles_free()[1], top) and not world.bodies[1].get_particles_active()[0].any()
    world.run(2)
    for value, before in zip(values_of(world.scene.get_state()), wanted, strict=True):
        torch.testing.assert_close(value, before, rtol=1e-12, atol=1e-13)
    older = world.scene.get_state().having("mpm", dataclasses.replace(state.mpm, hold=None))
    world.scene.reset(older)
    assert body.get_particles_free().all() and world.bodies[1].get_particles_active().all()


def test_a_body_that_is_placed_takes_its_attachment_along(world):
    body, top = world.body, upper_half(world.body)
    body.attach(top)
    body.set_position([0.6, 0.9, 0.7])
    places = plain(body.get_particles_pos())[:, top].clone()
    world.run(2)
    torch.testing.assert_close(plain(body.get_particles_pos())[:, top], places, rtol=0, atol=1e-15)


def test_what_is_inactive_is_not_drawn(world):
    body, top = world.body, upper_half(world.body)
    body.set_active(top)
    (points,) = body.visible()
    assert torch.equal(torch.isfinite(plain(points.positions())).all(2)[0], top)


WRONG = {
    "no such particle": (lambda body: body.attach([0, 9999]), "must lie in 0"),
    "a particle twice": (lambda body: body.attach([1, 1]), "twice"),
    "none": (lambda body: body.attach([]), "at least one"),
    "none of a mask": (lambda body: body.attach(torch.zeros(body.n_particles, dtype=torch.bool)), "at least one"),
    "another mask": (lambda body: body.attach(torch.ones(3, dtype=torch.bool)), "a mask"),
    "no index": (lambda body: body.attach([0.5]), "integers"),
    "target outside": (lambda body: body.attach([0], [[0.1, 0.8, 0.8]]), "must keep"),
    "target too far": (lambda body: body.attach([0], [[1.29, 0.8, 0.8]]), "must lie within 0.4 m"),
    "not finite": (lambda body: body.attach([0], [torch.nan, 0.8, 0.8]), "must be finite"),
    "a body": (lambda body: body.attach([0], body), "must be places, got the body 'box_0'. Pass its get_pos"),
    "shape of target": (lambda body: body.attach([0, 1], torch.zeros(3, 3)), "must have shape"),
    "no such environment": (lambda body: body.attach([0], envs_idx=[2]), "must lie in 0"),
    "shape of activity": (lambda body: body.set_active([True, False]), "must have shape"),
    "no bools": (lambda body: body.set_active("all"), "must hold bools"),
    "shape of freedom": (lambda body: body.set_free(torch.ones(3, body.n_particles)), "must have shape"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_calls_change_nothing(world, case):
    call, message = WRONG[case]
    before = [value.clone() for value in (*values_of(world.scene.get_state()), plain(world.body.get_state().hold))]
    with pytest.raises(gs.GenesisException, match=message):
        call(world.body)
    after = [*values_of(world.scene.get_state()), plain(world.body.get_state().hold)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_an_environment_that_has_failed_hides_no_wrong_target(world):
    body = world.body
    body.set_velocity([0.0, 0.0, 300.0], envs_idx=[0])
    world.run(1)
    assert [failure.env for failure in world.scene.failures] == [0]
    with pytest.raises(gs.GenesisException, match="must keep"):
        body.attach(target=[0.8, 0.8, 0.1])
    body.attach(target=plain(body.get_particles_pos())[1].mean(0))
    world.run(1)
    assert torch.isfinite(plain(body.get_particles_pos())).all((1, 2)).tolist() == [False, True]
    world.scene.reset(envs_idx=[0])
    world.run(1)
    assert not world.scene.failures and torch.isfinite(plain(world.scene.get_state().pos)).all()


def test_states_with_unknown_modes_are_refused(world):
    state = world.scene.get_state()
    wrong = dataclasses.replace(state.mpm, hold=state.mpm.hold + 0.5)
    with pytest.raises(gs.GenesisException, match="must have modes"):
        world.scene.reset(state.having("mpm", wrong))


def test_emitters_are_refused_by_name(world):
    with pytest.raises(gs.GenesisException, match=r"got add_emitter.*set_active"):
        world.scene.add_emitter(max_particles=100)
