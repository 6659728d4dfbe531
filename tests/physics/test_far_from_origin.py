"""Far from the origin bodies keep their speed: what float32 rounds away of a position is carried along."""

import io
from dataclasses import replace

import pytest
import torch

import genesis as gs
from genesis import runtime

FAR = (0.0, 1e2, 1e3, 1e4, 1e5)
X = 1e4 + 0.25


def free_box(n_envs=1, tool=False, **options):
    scene = gs.Scene(sim_options=gs.options.SimOptions(dt=1 / 60, substeps=16, gravity=(0.0, 0.0, 0.0), **options))
    material = gs.materials.Tool() if tool else gs.materials.Rigid()
    box = scene.add_entity(gs.morphs.Box(size=(0.2, 0.2, 0.2)), material=material)
    scene.build(n_envs=n_envs)
    return scene, box


def moving_box(n_envs=1, **options):
    scene, box = free_box(n_envs, **options)
    box.set_pos([X, 0.0, 0.0])
    box.set_dofs_velocity([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    return scene, box


def after(scene, steps):
    for _ in range(steps):
        scene.step()
    state = scene.get_state().rigid
    return [value.detach().as_subclass(torch.Tensor).clone() for value in (state.qpos, state.qpos_low)]


@pytest.mark.parametrize("x", FAR)
def test_a_body_keeps_its_speed(x):
    scene, box = free_box()
    box.set_pos([x, 0.0, 0.0])
    box.set_dofs_velocity([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    for _ in range(60):
        scene.step()
    assert box.get_pos()[0, 0].item() - x == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("x", FAR)
def test_a_tool_keeps_its_speed(x):
    scene, tool = free_box(tool=True)
    tool.set_position([x, 0.0, 0.0])
    tool.set_velocity([1.0, 0.0, 0.0])
    for _ in range(60):
        scene.step()
    assert tool.get_pos()[0, 0].item() - x == pytest.approx(1.0, rel=0.01)


@pytest.mark.precision("32")
def test_position_and_remainder_are_the_sum():
    """At 1e5 m a step of 1/60 m is two units in the last place: the sum has it to a thousandth of a unit."""
    scene, box = free_box()
    box.set_pos([1e5, 0.0, 0.0])
    box.set_dofs_velocity([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    for n in range(1, 8):
        scene.step()
        state = scene.get_state().rigid
        total = state.qpos[0, 0].double() + state.qpos_low[0, 0].double()
        assert float(total) - 1e5 == pytest.approx(n / 60, abs=1e-5)
        assert state.qpos[0, 0] + state.qpos_low[0, 0] == state.qpos[0, 0]


@pytest.mark.precision("64")
def test_float64_has_no_remainder():
    scene, _ = free_box()
    assert scene.get_state().rigid.qpos_low is None and not scene._built.simulator.remainders


@pytest.mark.precision("32")
def test_states_keep_the_remainder():
    """Into another scene, through a file, and into one environment of several."""
    scene, _ = moving_box()
    after(scene, 3)
    state = scene.get_state()
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    saved = torch.load(file)
    assert state.rigid.qpos_low.any()
    expected = after(scene, 5)
    for given in (state, saved):
        other, _ = free_box()
        other.reset(given)
        assert all(torch.equal(a, b) for a, b in zip(after(other, 5), expected, strict=True))


@pytest.mark.precision("32")
def test_reset_of_some_environments():
    scene, _ = moving_box(n_envs=3)
    state, expected = scene.get_state(), after(scene, 5)
    after(scene, 2)
    before = scene.get_state().rigid.qpos_low.clone()
    scene.reset(state, envs_idx=[1])
    low = scene.get_state().rigid.qpos_low
    assert not low[1].any() and torch.equal(low[[0, 2]], before[[0, 2]])
    assert all(torch.equal(a[1], b[1]) for a, b in zip(after(scene, 5), expected, strict=True))


@pytest.mark.precision("32")
def test_a_state_without_remainder_or_with_that_of_another_position_has_none():
    scene, _ = moving_box()
    after(scene, 3)
    state = scene.get_state()
    scene.reset(state.having("rigid", replace(state.rigid, qpos_low=None)))
    assert not scene.get_state().rigid.qpos_low.any()
    nearer = state.rigid.qpos.clone()
    nearer[:, 0] -= X
    scene.reset(state.having("rigid", replace(state.rigid, qpos=nearer)))
    assert not scene.get_state().rigid.qpos_low[:, 0].any()


@pytest.mark.precision("32")
def test_setters_clear_the_remainder_of_what_they_set():
    scene, box = free_box(n_envs=2)
    box.set_pos([X, X, X])
    box.set_dofs_velocity([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    after(scene, 3)

    def low():
        return scene.get_state().rigid.qpos_low[:, :3].ne(0).tolist()

    assert low() == [[True] * 3] * 2
    box.set_quat([1.0, 0.0, 0.0, 0.0], zero_velocity=False)
    assert low() == [[True] * 3] * 2
    box.set_dofs_position([X], dofs_idx_local=[1], envs_idx=[0], zero_velocity=False)
    assert low() == [[True, False, True], [True] * 3]
    box.set_qpos([X], qs_idx_local=[2], envs_idx=[1], zero_velocity=False)
    assert low() == [[True, False, True], [True, True, False]]
    box.set_pos([X, X, X], envs_idx=[0], zero_velocity=False)
    assert low() == [[False] * 3, [True, True, False]]


def test_gradients_are_those_of_the_sum():
    """Place and speed after n steps: x + n dt v, whatever is kept as a remainder."""
    scene, box = free_box(requires_grad=True)
    real = runtime.current().real
    pos = torch.tensor([X, 0.0, 0.0], dtype=real, requires_grad=True)
    speed = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0, 0.0], dtype=real, requires_grad=True)
    box.set_pos(pos)
    box.set_dofs_velocity(speed)
    for _ in range(6):
        scene.step()
    low = scene.get_state().rigid.qpos_low
    assert low is None or not low.requires_grad
    gpos, gspeed = torch.autograd.grad(box.get_pos()[0, 0], (pos, speed))
    assert gpos.tolist() == pytest.approx([1.0, 0.0, 0.0])
    assert float(gspeed[0]) == pytest.approx(6 / 60, rel=1e-5)


@pytest.mark.parametrize("x", [1e3, 1e4])
@pytest.mark.parametrize("morph", [gs.morphs.Sphere(radius=0.1), gs.morphs.Box(size=(0.2, 0.2, 0.2))])
def test_bodies_come_to_rest_on_the_ground(x, morph):
    scene = gs.Scene(sim_options=gs.options.SimOptions(dt=1 / 60, substeps=16))
    scene.add_entity(gs.morphs.Plane())
    body = scene.add_entity(morph, material=gs.materials.Rigid())
    scene.build()
    body.set_pos([x, 0.0, 0.3])
    for _ in range(120):
        scene.step()
        assert float(body.get_pos()[0, 2]) < 0.301
    assert float(body.get_dofs_velocity().abs().max()) < 1e-2
    assert float(body.get_pos()[0, 2]) == pytest.approx(0.1, abs=0.01)
    assert float(body.get_pos()[0, 0]) == pytest.approx(x, abs=1e-2)
