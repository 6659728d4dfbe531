"""Building scenes, and what is refused."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.engine import assembly
from genesis.engine.inputs import environments, numeric


def scene_with(*bodies, **options):
    scene = gs.Scene(mpm_options=gs.options.MPMOptions(grid_density=10), **options)
    for morph, material in bodies:
        scene.add_entity(morph=morph, material=material)
    return scene


def cube(pos=(0.0, 0.0, 0.5)):
    return gs.morphs.Box(pos=pos, size=(0.1, 0.1, 0.1))


def test_name_and_properties(make):
    scene, (body,), (tool,) = make(n_envs=0)
    assert repr(scene) == str(scene) == f"<class 'genesis.engine.scene.Scene'> id: '{scene.uid}'"
    assert (scene.n_envs, scene.dt, scene.substeps, scene.t, scene.requires_grad) == (1, 0.02, 3, 0, True)
    assert scene.entities == [body, tool] and scene.is_built and body.n_particles == 8
    scene.step()
    assert scene.t == 1 and scene.failures == []


def test_nothing_works_before_build():
    scene = gs.Scene()
    body = scene.add_entity(morph=cube())
    for act in (scene.step, scene.get_state, scene.reset, scene.detach_, lambda: scene.t, lambda: body.get_state()):
        with pytest.raises(gs.GenesisException, match=r"must be built first.*build\(\)"):
            act()
    assert not scene.is_built and not scene.requires_grad


def test_build_is_once_and_last(make):
    scene, *_ = make()
    for act in (scene.build, lambda: scene.add_entity(morph=cube())):
        with pytest.raises(gs.GenesisException, match=r"before scene\.build"):
            act()


def test_copies_are_refused(make):
    scene, *_ = make()
    for act in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(gs.GenesisException, match="must not be copied or pickled"):
            act(scene)


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda: gs.Scene().build(), "must have an entity"),
        (lambda: gs.Scene(show_viewer=1), "show_viewer must be True or False"),
        (lambda: gs.Scene(sim_options={"dt": 1.0}), "sim_options must be a options.SimOptions, got dict"),
        (lambda: gs.Scene().add_entity(morph="box"), "morph must be one of genesis.morphs, got str"),
        (lambda: gs.Scene().add_entity(morph=cube(), material=3), "material must be"),
        (lambda: gs.Scene().add_entity(morph=cube(), surface=3), "surface must be"),
        (lambda: gs.Scene().add_entity(gs.morphs.Plane(), gs.materials.MPM.Elastic()), "must be solid"),
        (lambda: scene_with((cube(), None)).build(n_envs=-1), "n_envs must be at least 0, got -1"),
        (lambda: scene_with((cube(), None)).build(n_envs=1.0), "n_envs must be an integer"),
        (
            lambda: scene_with((cube(), None)).build(outputs=("force",)),
            "outputs must be among wrench, contacts, .*, got 'force'",
        ),
        (lambda: scene_with((cube(), None)).build(outputs=("wrench",)), "must come from a tool"),
        (
            lambda: scene_with((cube((0.0, 0.0, 0.1)), gs.materials.MPM.Elastic())).build(),
            "must keep 0.3 m from the faces",
        ),
        (
            lambda: scene_with((cube(), gs.materials.MPM.Elastic(E=torch.ones(2)))).build(n_envs=3),
            r"box_0\.E must have shape \(\) or \(3,\), got \(2,\)",
        ),
        (
            lambda: scene_with((cube(), gs.materials.MPM.Elastic(E=1e11))).build(),
            r"substep of box_0 must be at most .*stiffness.*Use substeps=\d+ or more",
        ),
    ],
)
def test_bad_scenes(act, message):
    with pytest.raises(gs.GenesisException, match=message):
        act()


OVER = {
    "ball": gs.morphs.Sphere(pos=(0.03, 0.0, 0.6), radius=0.1),
    "turned box": gs.morphs.Box(pos=(0.0, 0.12, 0.5), size=(0.05, 0.3, 0.08), euler=(0, 0, 20)),
    "turned cylinder": gs.morphs.Cylinder(pos=(0.0, 0.12, 0.5), radius=0.04, height=0.3, euler=(90, 0, 20)),
    "ground": gs.morphs.Plane(pos=(5.0, 0.0, 0.5)),
}


@pytest.mark.parametrize("material", [gs.materials.Tool(), gs.materials.Rigid(rho=1e5)], ids=["tool", "rigid"])
@pytest.mark.parametrize("other", OVER)
def test_particles_that_start_in_another_body_are_refused_or_told(other, material, caplog):
    """Told of solid tools, which are often set before the first step."""
    told = isinstance(material, gs.materials.Tool) and other != "ground"
    for sink, wrong in ((0.0, True), (0.3, False)):
        morph = replace(OVER[other], pos=tuple(np.array(OVER[other].pos) - (0.0, 0.0, sink)))
        far = gs.morphs.Sphere(pos=(0.0, 0.0, 3.0), radius=0.1), gs.materials.Rigid(rho=1e5)
        scene = scene_with((cube(), gs.materials.MPM.Elastic(E=1e3)), (morph, material), far)
        if wrong and not told:
            with pytest.raises(
                gs.GenesisException, match=r"particles of 'box_0' must start outside of '.*', got \d of 8"
            ):
                scene.build()
        else:
            caplog.clear()
            scene.build()
            assert ("particles must start outside of bodies" in caplog.text) == wrong


def test_two_entities_need_two_names():
    scene = gs.Scene()
    scene.add_entity(morph=cube(), name="a")
    with pytest.raises(gs.GenesisException, match="no other entity has"):
        scene.add_entity(morph=cube(), name="a")


def test_largest_stable_step_of_the_message_is_stable():
    import re

    once = gs.options.SimOptions(substeps=1)
    scene = scene_with((cube(), gs.materials.MPM.Sand(E=1e7)), sim_options=once)
    with pytest.raises(gs.GenesisException) as caught:
        scene.build()
    substeps = int(re.search(r"substeps=(\d+)", str(caught.value))[1])
    for n, stable in ((substeps, True), (substeps - 1, False)):
        scene = scene_with((cube(), gs.materials.MPM.Sand(E=1e7)), sim_options=gs.options.SimOptions(substeps=n))
        if stable:
            scene.build()
        else:
            with pytest.raises(gs.GenesisException):
                scene.build()


def test_environments_that_are_no_indices_are_refused():
    for wrong in ("0", slice(0, 1), [None], [2**70]):
        with pytest.raises(TypeError, match="envs_idx must be integers or a mask"):
            environments(wrong, 3)
    assert environments(np.int64(1), 3).tolist() == [1]


def test_tensors_without_dense_data_are_refused():
    for wrong in (torch.zeros(3, 3).to_sparse(), torch.zeros(3, device="meta")):
        with pytest.raises(TypeError, match="must be a dense tensor"):
            numeric("pos", wrong, None)


def test_what_a_body_only_has_after_build_says_so():
    scene = gs.Scene()
    block = scene.add_entity(gs.morphs.Box(pos=(0, 0, 0.5), size=(0.1, 0.1, 0.1)), gs.materials.MPM.Elastic())
    tool = scene.add_entity(gs.morphs.Sphere(radius=0.1), material=gs.materials.Tool())
    calls = (lambda: block.n_particles, lambda: block.initial_positions, lambda: block.particle_volume)
    for call in (*calls, lambda: tool.set_friction(0.5)):
        with pytest.raises(RuntimeError, match="must be built first"):
            call()
    assert not hasattr(block, "no_such_thing")
    for wrong in (None, 3):
        with pytest.raises(TypeError, match="outputs must be a sequence"):
            scene.build(outputs=wrong)


def test_states_that_violate_a_constraint_are_not_taken():
    sim, grid = gs.options.SimOptions(dt=1e-3), gs.options.MPMOptions(grid_density=16)
    scene = gs.Scene(sim_options=sim, mpm_options=grid)
    scene.add_entity(gs.morphs.Box(pos=(0, 0, 0.5), size=(0.1, 0.1, 0.1)), gs.materials.MPM.Elastic())
    tool = scene.add_entity(gs.morphs.Sphere(radius=0.1), material=gs.materials.Tool())
    scene.build(n_envs=2)
    state = scene.get_state()
    wrong = {
        "quat must not be zero": state.having("tool", replace(state.tool, quat=0 * state.tool.quat)),
        "must be inside the domain": state.having("mpm", replace(state.mpm, pos=state.mpm.pos + 5.0)),
        "must be a tensor": state.having("mpm", replace(state.mpm, pos=None)),
    }
    for message, changed in wrong.items():
        with pytest.raises((TypeError, ValueError), match=message):
            scene.reset(changed)
    with pytest.raises(TypeError, match="friction must be a number"):
        tool.set_friction(None)
    assert torch.equal(scene.get_state().pos, state.pos)


def chosen(*entities, dt=1e-2, **options):
    scene = gs.Scene(sim_options=gs.options.SimOptions(dt=dt), **options)
    for morph, material in entities:
        scene.add_entity(morph, material)
    return assembly.with_substeps(scene.entities, scene.sim_options, scene.solver_options).substeps


def test_substeps_that_nobody_gave_are_as_many_as_stiffness_needs():
    soft, stiff = gs.materials.MPM.Elastic(E=1e4), gs.materials.MPM.Elastic(E=torch.tensor([1e4, 1e6]))
    few = chosen((cube(), soft))
    many = chosen((cube(), soft), (cube(), stiff))
    assert 1 < few and abs(many - 10 * few) < 10  # waves are ten times as fast
    scene = gs.Scene(sim_options=gs.options.SimOptions(dt=1e-2, substeps=1))
    scene.add_entity(cube(), soft)
    with pytest.raises(gs.GenesisException, match=f"Use substeps={few} or more"):
        scene.build()
    for E, rho in ((torch.tensor([1e4, 1e6]), torch.full((3,), 1e3)), (torch.zeros(0), 1e3)):
        scene = gs.Scene(sim_options=gs.options.SimOptions(dt=1e-2))
        scene.add_entity(cube(), gs.materials.MPM.Elastic(E=E, rho=rho))
        with pytest.raises(gs.GenesisException, match=r"must have shape \(\) or \(2,\)"):
            scene.build(n_envs=2)
    robot = gs.options.RigidOptions(substeps=4)
    assert chosen((cube(), soft), (gs.morphs.Plane(), None), rigid_options=robot) % 4 == 0
    assert chosen((cube(), None)) == 1 and chosen((cube(), gs.materials.MPM.Elastic(E=1e11))) == 1
