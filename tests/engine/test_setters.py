"""Setters act at once, cut what they overwrite, keep the rest, and refuse bad input before anything changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import genesis as gs

real = torch.float64
pytestmark = pytest.mark.precision("64")


def test_position_takes_every_shape(make):
    scene, (body,), _ = make()
    n = body.n_particles
    offsets = torch.from_numpy(body.initial_positions - body.initial_positions.mean(0))
    for centre in ([0.1, 0.2, 0.5], np.array([0.1, 0.2, 0.5]), torch.tensor([0.1, 0.2, 0.5], dtype=real)):
        body.set_position(centre)
        assert torch.allclose(body.get_particles_pos(), offsets + torch.tensor([0.1, 0.2, 0.5], dtype=real))
    rows = torch.tensor([[0.1, 0.2, 0.5], [0.0, 0.0, 0.5], [-0.1, 0.0, 0.6]], dtype=real)
    body.set_position(rows)
    assert torch.allclose(body.get_particles_pos().mean(1), rows)
    every = 0.5 + 0.1 * torch.rand(n, 3, dtype=real)
    body.set_position(every)
    assert torch.equal(body.get_particles_pos(), every.expand(3, n, 3))
    every = 0.5 + 0.1 * torch.rand(3, n, 3, dtype=real)
    body.set_position(every.transpose(0, 1).contiguous().transpose(0, 1))
    assert torch.equal(body.get_particles_pos(), every)
    body.set_position(rows[:2], envs_idx=[2, 0])
    assert torch.allclose(body.get_particles_pos()[0].mean(0), rows[1])
    assert torch.equal(body.get_particles_pos()[1], every[1])


def test_position_places_at_rest(make):
    scene, (body,), _ = make()
    body.set_velocity([1.0, 0.0, 0.0])
    scene.step()
    body.set_position([0.0, 0.0, 0.5], envs_idx=torch.tensor([True, False, True]))
    state = body.get_state()
    for env, still in ((0, True), (1, False), (2, True)):
        assert bool((state.vel[env] == 0).all()) == still
        assert bool((state.C[env] == 0).all()) == still
        assert torch.equal(state.F[env], torch.eye(3, dtype=real).expand_as(state.F[env])) == still


def test_overwritten_values_lose_their_gradient_and_others_keep_it(make):
    scene, bodies, tools = make(bodies=2, tools=2)
    old = torch.randn(3, 3, dtype=real, requires_grad=True)
    new = torch.randn(2, 3, dtype=real, requires_grad=True)
    for setter, getter in (
        (bodies[1].set_velocity, lambda: bodies[1].get_particles_vel().mean(1)),
        (tools[1].set_velocity, tools[1].get_vel),
        (tools[0].set_position, tools[0].get_pos),
    ):
        setter(old)
        setter(new, envs_idx=[2, 0])
        a, b = torch.autograd.grad(getter().sum(), (old, new))
        assert torch.allclose(a, torch.tensor([[0.0], [1.0], [0.0]], dtype=real).expand(3, 3))
        assert torch.allclose(b, torch.ones(2, 3, dtype=real))
    other = bodies[0].get_particles_vel()
    assert (other == 0).all()


def test_setters_copy(make):
    scene, _, (tool,) = make()
    vel = torch.zeros(3, 3, dtype=real)
    tool.set_velocity(vel)
    vel += 1.0
    assert (tool.get_vel() == 0).all()
    scene.step()


def test_tool_setters_and_getters(make):
    scene, _, (tool,) = make()
    tool.set_position([[1, 2, 3]] * 3)
    tool.set_quaternion([0.0, 2.0, 0.0, 0.0])
    tool.set_velocity(ang=[0.0, 0.0, 1.0])
    assert torch.equal(tool.get_pos(envs_idx=1), torch.tensor([[1.0, 2.0, 3.0]], dtype=real))
    assert torch.equal(tool.get_quat()[0], torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=real))
    assert (tool.get_vel() == 0).all() and (tool.get_ang()[:, 2] == 1).all()
    scene.step()
    assert (tool.get_ang()[:, 2] == 1).all()
    scene.reset(envs_idx=[0])
    assert tool.get_ang()[:, 2].tolist() == [0.0, 1.0, 1.0]
    assert tool.get_state().pos.scene is scene
    with pytest.raises(gs.GenesisException, match="asked for at build"):
        tool.get_wrench()


def test_wrench_is_zero_after_a_reset(make):
    scene, _, (tool,) = make(outputs=("wrench",))
    assert tool.get_wrench().shape == (3, 6)
    scene.step()
    assert (tool.get_wrench() != 0).any(1).all()
    scene.reset(envs_idx=[1])
    assert (tool.get_wrench() != 0).any(1).tolist() == [True, False, True]
    scene.reset()
    assert (tool.get_wrench() == 0).all()


def test_state_reads(make):
    scene, (body,), (tool,) = make()
    state = scene.get_state()
    assert state is scene.get_state()
    assert state.pos is state.mpm.pos is body.get_particles_pos()
    assert len(state.solvers_state) == 2
    assert state.scene is scene
    assert f"{state.pos.scene}" == f"<class 'genesis.engine.scene.Scene'> id: '{scene.uid}'"
    assert (state.Jp == 1).all() and state.Jp.shape == state.pos.shape[:2]
    assert body.get_state().active.dtype == torch.int32 and state.mpm.active.dtype == torch.bool
    assert body.get_mass().tolist() == pytest.approx([0.5] * 3)
    assert body.get_particles_pos(envs_idx=[2, 0]).shape == (2, body.n_particles, 3)


def test_reset_of_some_environments(make):
    scene, (body,), (tool,) = make()
    tool.set_velocity([1.0, 0.0, 0.0])
    scene.step()
    moved = scene.get_state()
    scene.reset(envs_idx=torch.tensor([False, True, False]))
    now = scene.get_state()
    assert scene.t == 1
    assert torch.equal(now.pos[[0, 2]], moved.pos[[0, 2]])
    assert torch.equal(now.pos[1], torch.from_numpy(body.initial_positions))
    scene.reset(moved, envs_idx=[1])
    assert torch.equal(scene.get_state().pos, moved.pos)
    assert torch.equal(tool.get_vel(), moved.tool.vel[:, 0])
    scene.reset()
    assert scene.t == 0 and torch.equal(scene.get_state().pos[0], now.pos[1])


def test_an_edit_in_place_is_noticed(make):
    for grad in (True, False):
        scene, (body,), (tool,) = make(requires_grad=grad)
        with torch.no_grad():
            scene.get_state().F[0] += 1.0
        for act in (scene.step, scene.get_state, body.get_particles_pos, scene.detach_):
            with pytest.raises(gs.GenesisException, match=r"mpm\.F must not be edited in place.*\.clone\(\)"):
                act()
        scene.reset()
        scene.step()
        with torch.no_grad():
            tool.get_vel()[1, 0] = 5.0
        with pytest.raises(gs.GenesisException, match=r"tool\.vel"):
            scene.step()


BAD_VALUES = [
    ([0.0, 0.0], "must have shape"),
    (torch.zeros(2, 3), "must have shape"),
    ([float("nan"), 0.0, 0.0], r"must be finite, got nan at index \(0,\)"),
    (torch.tensor([0.0, float("inf"), 0.0]), "must be finite"),
    (torch.zeros(3, dtype=torch.complex64), "real numbers"),
    (torch.zeros(3, dtype=torch.bool), "real numbers"),
    ("abc", "must hold numbers"),
    ([[0.0, 1.0], [0.0]], "rectangular"),
    ([torch.zeros(()), 0.0, 0.0], r"torch\.stack"),
]
BAD_ENVS = [([3], "0 … 2"), ([-1], "0 … 2"), ([1, 1], "twice"), ([True, False], r"shape \(3,\)"), ([0.5], "integers")]


def snapshot(scene):
    state = scene.get_state()
    parts = (state.pos, state.vel, state.C, state.F, state.tool.pos, state.tool.quat, state.tool.vel, state.tool.ang)
    return [part.clone() for part in parts]


@pytest.mark.parametrize("value, message", BAD_VALUES)
def test_bad_values_change_nothing(make, value, message):
    scene, (body,), (tool,) = make()
    before = snapshot(scene)
    for setter in (body.set_position, body.set_velocity, tool.set_position, tool.set_velocity):
        with pytest.raises(gs.GenesisException, match=message):
            setter(value)
    with pytest.raises(gs.GenesisException, match=message.split(", got")[0]):
        scene.set_gravity(value)
    with pytest.raises(gs.GenesisException, match=message):
        tool.set_velocity(vel=[1.0, 1.0, 1.0], ang=value)
    assert all(torch.equal(a, b) for a, b in zip(before, snapshot(scene), strict=True))


@pytest.mark.parametrize("envs, message", BAD_ENVS)
def test_bad_environments_change_nothing(make, envs, message):
    scene, (body,), (tool,) = make()
    before = snapshot(scene)
    zero = [1.0, 0.0, 0.0]
    for act in (
        lambda: body.set_position(zero, envs_idx=envs),
        lambda: tool.set_velocity(zero, envs_idx=envs),
        lambda: scene.reset(envs_idx=envs),
        lambda: scene.set_gravity(zero, envs_idx=envs),
        lambda: body.set_material(E=1e3, envs_idx=envs),
        lambda: body.get_particles_pos(envs_idx=envs),
    ):
        with pytest.raises(gs.GenesisException, match=message):
            act()
    assert all(torch.equal(a, b) for a, b in zip(before, snapshot(scene), strict=True))


def test_outside_the_domain(make):
    scene, (body,), _ = make()
    before = snapshot(scene)
    for pos in ([0.0, 0.0, 0.1], [0.9, 0.0, 0.5], [[0.0, 0.0, 0.5]] * 2 + [[0.0, 0.0, 0.95]]):
        with pytest.raises(gs.GenesisException, match=r"particles of 'box_0' must keep 0.3 m from the faces"):
            body.set_position(pos)
    assert all(torch.equal(a, b) for a, b in zip(before, snapshot(scene), strict=True))


def test_values_of_another_scene(make):
    scene, (body,), (tool,) = make()
    other, (stranger,), _ = make()
    for act in (
        lambda: body.set_position(stranger.get_particles_pos()),
        lambda: body.set_material(E=stranger.get_mass() * 1e4),
        lambda: scene.set_gravity(stranger.get_particles_vel()[:, 0]),
    ):
        with pytest.raises(gs.GenesisException, match=r"sceneless\(\)"):
            act()
    body.set_position(stranger.get_particles_pos().sceneless())


def test_bad_states(make):
    scene, _, _ = make()
    state = scene.get_state()
    for wrong, message in (
        (state.mpm, "get_state"),
        (state.having("mpm", replace(state.mpm, pos=state.pos[:, :-1])), "of shape"),
        (state.having("mpm", replace(state.mpm, vel=state.vel.float())), "float64"),
        (state.having("mpm", replace(state.mpm, vel=state.vel * float("nan"))), "finite"),
        (state.having("tool", None), "state.tool"),
    ):
        with pytest.raises(gs.GenesisException, match=message):
            scene.reset(wrong)
    assert scene.get_state() is state


def test_other_dtypes_and_precisions_stay_connected(make):
    _, (body,), (tool,) = make()
    vel = torch.ones(3, dtype=torch.float32, requires_grad=True)
    body.set_velocity(vel)
    tool.set_velocity(vel=np.ones(3, dtype=np.int64))
    (grad,) = torch.autograd.grad(body.get_particles_vel().sum(), vel)
    assert grad.dtype == torch.float32 and (grad != 0).all()
    assert tool.get_vel().dtype == torch.float64
