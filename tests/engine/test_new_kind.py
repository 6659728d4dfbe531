"""A kind of matter that the package does not know becomes part of it by one line in `KINDS`, and no other edit."""

import pickle

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.engine.kinds import KINDS
from tests.engine.toy_kind import Row, Springs, ToyKind, ToyOptions
from tests.physics.finite import compare

COMPANY = {"alone": (), "with a tool": ("tool",), "with a tool and particles": ("tool", "particles")}


@pytest.fixture(autouse=True)
def registered():
    """The line."""
    kind = ToyKind()
    KINDS.append(kind)
    yield kind
    KINDS.remove(kind)


def build(company=(), rows=2, n_envs=3, outputs=(), stiffness=20.0, options=None, **sim):
    """A scene, its rows of masses, and the company by name."""
    sim = {"dt": 0.02, "substeps": 4, "requires_grad": True, **sim}
    grid = gs.options.MPMOptions(grid_density=10)
    scene = gs.Scene(sim_options=gs.options.SimOptions(**sim), mpm_options=grid, toy_options=options)
    found = {}
    if "tool" in company:
        ball = gs.morphs.Sphere(pos=(0.1, 0.2, 0.55), radius=0.1)
        found["tool"] = scene.add_entity(ball, material=gs.materials.Tool(friction=0.3))
    masses = [
        scene.add_entity(Row(pos=(0.0, 0.1 * i, 0.5), n=2 + i), Springs(stiffness=stiffness), name=f"row {i}")
        for i in range(rows)
    ]
    if "particles" in company:
        cube = gs.morphs.Box(pos=(0.1, 0.35, 0.55), size=(0.1, 0.1, 0.1))
        found["particles"] = scene.add_entity(
            cube, material=gs.materials.MPM.Elastic(E=3e3, rho=500.0, model="neohooken")
        )
    scene.build(n_envs=n_envs, outputs=outputs)
    return scene, masses, found


def all_outputs(company):
    return ("tension", "wrench") if "tool" in company else ("tension",)


def plain(value):
    return value.detach().as_subclass(torch.Tensor).clone()


def numbers(state):
    """All tensors of a state by name."""
    return {f"{part}.{k}": plain(v) for part in state for k, v in vars(state[part]).items() if v is not None}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def rollout(scene, masses, company, x, steps=4, reset_at=1):
    """Closed loop with a reset of one environment in the middle; a loss of everything that can be read."""
    scene.reset()
    masses[0].set_position(x["pos"])
    masses[1].set_velocity(x["vel"])
    masses[1].set_stiffness(x["stiffness"])
    scene.set_gravity(x["gravity"])
    loss = 0.0
    for t in range(steps):
        seen = torch.cat([masses[0].get_position(), masses[1].get_velocity()], 1).mean(1)
        masses[0].set_force(x["force"][t] + torch.tanh(seen @ x["policy"]))
        if "tool" in company:
            company["tool"].set_velocity(0.5 * seen, ang=x["spin"])
        scene.step()
        loss = loss + sum(m.get_energy().sum() + m.get_tension().square().sum() for m in masses)
        if t == reset_at:
            scene.reset(envs_idx=[1])
            masses[0].set_velocity([0.1, 0.0, 0.2], envs_idx=[1])
        state = scene.get_state()
        loss = loss + (state.toy.pos**2).sum() + (state.toy.vel * state.centre[:, None]).sum()
        if "tool" in company:
            loss = loss + 10 * (company["tool"].get_wrench() ** 2).sum() + (state.tool.pos**2).sum()
        if "particles" in company:
            loss = loss + (state.mpm.vel**2).sum() + 0.01 * (state.mpm.F**2).sum()
    return loss


def inputs():
    def leaf(*shape, size=1.0, start=0.0):
        return (start + size * torch.randn(*shape, dtype=torch.float64)).requires_grad_()

    anchors = torch.tensor([[0.0, 0.0, 0.5], [0.1, 0.0, 0.5]], dtype=torch.float64)
    return {
        "pos": leaf(3, 2, 3, size=0.05, start=anchors),
        "vel": leaf(3, 3, 3, size=0.3),
        "stiffness": torch.tensor([20.0, 35.0, 12.0], dtype=torch.float64, requires_grad=True),
        "gravity": leaf(3, size=3.0),
        "force": leaf(4, 3, 3, size=0.5),
        "policy": leaf(3, 3, size=0.5),
        "spin": leaf(3, 3, size=0.5),
    }


@pytest.mark.precision("64")
@pytest.mark.parametrize("company", COMPANY)
def test_gradients_by_state_control_and_parameters_match_central_differences(company):
    scene, masses, found = build(COMPANY[company], outputs=all_outputs(COMPANY[company]))
    x = {name: leaf for name, leaf in inputs().items() if name != "spin" or found}
    for name, found_here in zip(x, compare(lambda *_: rollout(scene, masses, found, x), list(x.values())), strict=True):
        assert found_here.kinks == 0, name
        found_here.check(1e-6)


@pytest.mark.precision("64")
def test_frames_kept_replayed_and_in_groups_of_environments_give_the_same_gradients():
    results = []
    for budget, group in ((256.0, 3), (0.0, 3), (0.0, 2)):
        torch.manual_seed(0)
        scene, masses, found = build(("tool",), outputs=("tension", "wrench"), frame_budget_mb=budget)
        simulator = scene._built.simulator
        simulator._forward_group = simulator._replay_group = group
        x = inputs()
        loss = rollout(scene, masses, found, x)
        results.append([loss.detach(), *torch.autograd.grad(loss, list(x.values()))])
    for other in results[1:]:
        assert all(torch.allclose(a, b, rtol=1e-12, atol=1e-14) for a, b in zip(results[0], other, strict=True))


def test_a_mass_moves_as_written():
    """Free fall from its anchor, by hand."""
    scene, (row,), _ = build(rows=1, substeps=1, options=ToyOptions(damping=0.5))
    h, g, k, m, c = 0.02, -9.81, 20.0, 0.1, 0.5
    z = v = 0.0
    for _ in range(3):
        v += h / m * (m * g - k * (1 + z * z) * z - c * v)
        z += h * v
        scene.step()
    assert torch.allclose(plain(row.get_position())[:, :, 2], torch.tensor(0.5 + z, dtype=gs.tc_float), rtol=1e-5)
    assert torch.allclose(plain(row.get_velocity())[:, :, 2], torch.tensor(v, dtype=gs.tc_float), rtol=1e-5)
    energy = 2 * (m * v * v / 2 + k * (z * z / 2 + z**4 / 4) - m * g * z)
    assert torch.allclose(plain(row.get_energy()), torch.full((3,), energy, dtype=gs.tc_float), rtol=1e-4)


@pytest.mark.parametrize("company", COMPANY)
def test_values_after_a_reset_are_those_of_build_time(company):
    """Of the chosen environments alone, with everything that is in the scene."""
    scene, masses, found = build(COMPANY[company], outputs=("tension",))
    assert list(scene.get_state()) == [*(("tool",) if found else ()), *(("mpm",) if len(found) > 1 else ()), "toy"]
    first = numbers(scene.get_state())
    masses[0].set_force([0.0, 0.3, 0.0])
    for _ in range(2):
        scene.step()
    then = numbers(scene.get_state())
    assert all((then[k] != first[k]).any() for k in ("toy.pos", "toy.vel", "toy.force", "toy.centre"))
    scene.reset(envs_idx=torch.tensor([False, True, False]))
    now = numbers(scene.get_state())
    for name in first:
        assert torch.equal(now[name][1], first[name][1]) and torch.equal(now[name][[0, 2]], then[name][[0, 2]])
    assert not plain(masses[0].get_tension())[1].any() and plain(masses[0].get_tension())[0].any()
    scene.reset()
    assert same(numbers(scene.get_state()), first) and scene.t == 0


def test_a_rollout_goes_on_from_a_saved_state_to_the_same_bits(tmp_path):
    """Loaded by torch.load, which takes safe classes alone, and by pickle, into another scene built alike."""
    (scene, masses, _), (other, others, _) = build(("tool",)), build(("tool",))
    masses[1].set_force([0.0, 0.3, 0.1])
    scene.step()
    state = scene.get_state()
    torch.save(state, tmp_path / "state.pt")
    copies = [torch.load(tmp_path / "state.pt"), pickle.loads(pickle.dumps(state))]
    scene.step()
    for saved in copies:
        other.reset(saved)
        assert other.t == 1 and torch.equal(plain(others[1].get_position()), plain(saved.toy.pos)[:, 2:])
        other.step()
        assert same(numbers(other.get_state()), numbers(scene.get_state()))
    before = numbers(scene.get_state())
    scene.reset(copies[0], envs_idx=[2])
    now = numbers(scene.get_state())
    assert torch.equal(now["toy.pos"][2], copies[0].toy.pos[2])
    assert torch.equal(now["toy.pos"][:2], before["toy.pos"][:2])


def test_states_that_cannot_be_simulated_are_refused():
    scene, *_ = build()
    state = pickle.loads(pickle.dumps(scene.get_state()))
    before = numbers(scene.get_state())
    state.toy.pos[0, 0, 0] = 11.0
    with pytest.raises(gs.GenesisException, match="state toy.pos must be within 10 m of the anchors, got 11 m"):
        scene.reset(state)
    with pytest.raises(gs.GenesisException, match="state.toy must be there, got None"):
        scene.reset(state.having("toy", None))
    assert same(numbers(scene.get_state()), before)


@pytest.mark.parametrize("company", COMPANY)
def test_a_failure_names_the_body_and_leaves_the_others_alone(company):
    """One mass is thrown out of the world in one environment."""
    found = []
    for bad in (True, False):
        scene, masses, _ = build(COMPANY[company])
        vel = torch.zeros(3, 3, 3, dtype=gs.tc_float)
        vel[1, 2, 0] = 1500.0 if bad else 0.0
        vel.requires_grad_()
        masses[1].set_velocity(vel)
        scene.step()
        if bad:
            assert scene.failures == [(0, 1, 1, "toy.pos", "row 1")]
            assert torch.isnan(plain(scene.get_state().toy.pos)[1]).all()
            assert torch.isnan(plain(masses[1].get_energy())[1])
        loss = masses[1].get_position()[[0, 2]].square().sum() + masses[1].get_energy()[[0, 2]].sum()
        found.append((plain(loss), *torch.autograd.grad(loss, vel)))
        assert not found[-1][1][1].any()
        scene.reset(envs_idx=[1])
        scene.step()
        assert scene.failures == []
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])


def test_a_gradient_that_is_no_number_names_the_body():
    scene, masses, _ = build()
    vel = torch.zeros(3, dtype=gs.tc_float, requires_grad=True)
    masses[1].set_velocity(vel)
    scene.step()
    height = masses[1].get_position()[:, 1, 2]
    (height * torch.tensor([1.0, torch.inf, 1.0], dtype=gs.tc_float)).sum().backward()
    assert [(f.env, f.field, f.body) for f in scene.failures] == [(1, "gradient of toy.pos", "row 1")]
    assert torch.isfinite(vel.grad).all() and vel.grad[2] > 0


def test_parameters_keep_to_their_range():
    scene, masses, _ = build()
    with pytest.raises(gs.GenesisException, match=r"row 0\.stiffness must be .*> 0.*, got -1"):
        masses[0].set_stiffness(-1.0)
    with pytest.raises(gs.GenesisException, match=r"row 1\.stiffness must be below 1\.6e\+04 N/m .* got 2e\+04"):
        masses[1].set_stiffness([1.0, 2e4, 1.0])
    with pytest.raises(gs.GenesisException, match=r"row 0\.stiffness must be below"):
        build(stiffness=1e9)
    with pytest.raises(gs.GenesisException, match=r"Springs\.stiffness must be"):
        Springs(stiffness=-1.0)
    with pytest.raises(gs.GenesisException, match=r"row 0\.stiffness must have shape \(\) or \(3,\)"):
        build(stiffness=torch.ones(2))
    stiffness = torch.tensor(20.0, requires_grad=True)
    masses[0].set_stiffness(stiffness)
    with torch.no_grad():
        stiffness.fill_(-3.0)  # as an optimiser may
    with pytest.raises(gs.GenesisException, match=r"row 0\.stiffness must be"):
        scene.step()


def test_a_learnt_stiffness_takes_effect_at_once():
    """Given to the material, changed in place, and read with the energy."""
    stiffness = torch.tensor(20.0, dtype=gs.tc_float, requires_grad=True)
    _, masses, _ = build(stiffness=stiffness)
    masses[0].set_position([0.5, 0.0, 0.5])
    energy = plain(masses[0].get_energy())
    with torch.no_grad():
        stiffness *= 2
    assert torch.allclose(plain(masses[0].get_energy()), 2 * energy)
    masses[0].get_energy().sum().backward()
    assert torch.allclose(stiffness.grad, energy.sum() / 20.0)


def test_names_that_it_does_not_have_are_refused_with_those_that_there_are():
    with pytest.raises(gs.GenesisException, match="outputs must be among wrench, .*, tension, got 'push'"):
        build(outputs=("push",))
    with pytest.raises(gs.GenesisException, match="output 'tension' must come from masses on springs, got a scene"):
        build(("tool",), rows=0, outputs=("tension",))
    with pytest.raises(gs.GenesisException, match="mpm_options, toy_options, got spring_options"):
        gs.Scene(spring_options=None)
    with pytest.raises(gs.GenesisException, match=r"toy_options must be a toy_kind\.ToyOptions, got dict"):
        gs.Scene(toy_options={"damping": 1.0})
    with pytest.raises(gs.GenesisException, match=r"got stiffness\. Valid ones: damping, push, reach"):
        ToyOptions(stiffness=1.0)
    with pytest.raises(gs.GenesisException, match=r"materials\.Tool, .*materials\.MPM\.Elastic, .*, toy_kind\.Springs"):
        gs.Scene().add_entity(Row(), material=3)
    with pytest.raises(gs.GenesisException, match="masses on springs must be a Row, got a Sphere"):
        gs.Scene().add_entity(gs.morphs.Sphere(radius=0.1), material=Springs())
    for other, message in (
        (gs.materials.Rigid(), "a rigid body must be solid"),
        (gs.materials.Tool(), "a tool must be"),
    ):
        with pytest.raises(gs.GenesisException, match=f"{message} .*, got a Row"):
            gs.Scene().add_entity(Row(), material=other)
    _, (row,), _ = build(rows=1)
    with pytest.raises(gs.GenesisException, match=r'outputs=\("tension",\) for get_tension'):
        row.get_tension()


def test_without_its_line_it_is_unknown(registered):
    KINDS.remove(registered)
    try:
        with pytest.raises(gs.GenesisException, match="got toy_options"):
            gs.Scene(toy_options=ToyOptions())
        for material, got in ((None, "a Row without one"), (Springs(), "Springs")):
            with pytest.raises(gs.GenesisException, match=f"material must be one of .*, got {got}"):
                gs.Scene().add_entity(Row(), material=material)
    finally:
        KINDS.append(registered)


def test_its_morph_has_its_material_by_default():
    scene = gs.Scene()
    row = scene.add_entity(Row(n=4))
    assert isinstance(row.material, Springs) and row.name == "row_0"
    scene.build()
    assert row.get_position().shape == (1, 4, 3)


@pytest.mark.parametrize("company", ["with a tool", "with a tool and particles"])
def test_what_pushes_it_is_pushed_back(company):
    """A tool's wrench grows by minus the momentum that the masses have from elsewhere than their springs."""
    company, wrenches = COMPANY[company], {}
    for rows in (0, 2):
        outputs = all_outputs(company) if rows else ("wrench",)
        free = ToyOptions(damping=0.0)
        scene, masses, found = build(company, rows, outputs=outputs, options=free, gravity=(0.0, 0.0, 0.0))
        found["tool"].set_velocity([0.0, -0.5, -0.2], ang=[0.0, 1.0, 0.0])
        scene.step()
        wrenches[rows] = plain(found["tool"].get_wrench())[:, :3]
    momentum = sum(row.material.mass * plain(row.get_velocity()).sum(1) for row in masses)
    forces = momentum / scene.dt - sum(plain(row.get_tension()).sum(1) for row in masses)
    assert forces.abs().max() > 0.1
    assert torch.allclose(wrenches[2] - wrenches[0], -forces, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("company", COMPANY)
def test_a_camera_draws_it_where_it_is(company):
    scene, masses, _ = build(COMPANY[company], rows=1, n_envs=2)
    camera = scene.add_camera(res=(60, 60), pos=(0.05, -4.0, 0.5), lookat=(0.05, 0.0, 0.5), fov=30.0)
    up = torch.zeros(2, 2, 3, dtype=gs.tc_float)
    up[:] = torch.tensor([[0.0, -1.0, 0.5], [0.1, -1.0, 0.5]])
    up[1, :, 2] += 0.4
    masses[0].set_position(up)
    rgb, _, seen, _ = camera.render(segmentation=True)
    mine = seen == masses[0].idx + 1
    assert mine.any((1, 2)).all()
    metre = 60 / (2 * 3 * np.tan(np.radians(15)))
    rows = [np.nonzero(picture)[0].mean() for picture in mine]
    assert rows[0] - rows[1] == pytest.approx(0.4 * metre, abs=1.0)
    red = rgb[mine]
    assert (red[:, 0] > red[:, 2]).all()
    camera.follow_entity(masses[0])
    np.testing.assert_allclose(camera.world_pose()[1][:, 2], [0.5, 0.5], atol=1.0)


def test_inference_mode_steps_it():
    scene, masses, _ = build(requires_grad=False)
    with torch.inference_mode():
        scene.step()
        energy = plain(masses[0].get_energy())
    other, others, _ = build(requires_grad=False)
    other.step()
    assert torch.equal(energy, plain(others[0].get_energy())) and energy.any()
