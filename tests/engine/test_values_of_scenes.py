"""States are values: saved, copied, loaded, and put into scenes that are built alike; and nobody writes into them."""

import copy
import io
import pickle

import pytest
import torch

import genesis as gs
from tests import processes
from tests.conftest import PRECISION

WAYS = {
    "pickle": lambda state: pickle.loads(pickle.dumps(state)),
    "torch.save": lambda state: loaded(state, weights_only=False),
    "torch.save, weights only": lambda state: loaded(state, weights_only=True),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


def loaded(state, weights_only):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=weights_only)


def plain(tensor):
    return tensor.detach().as_subclass(torch.Tensor).clone()


def numbers(state):
    return [plain(x) for part in state.solvers_state for x in vars(part).values() if x is not None]


def moved(scene, tool):
    tool.set_velocity(torch.full((3, 3), 0.3, dtype=gs.tc_float, requires_grad=True))
    for _ in range(2):
        scene.step()


@pytest.mark.parametrize("way", WAYS)
def test_a_state_goes_on_in_another_scene(make, way):
    """Its numbers, its count of steps and its future, to the bit; its own scene is not touched."""
    (one, _, (tool,)), (other, *_) = make(), make()
    moved(one, tool)
    state = one.get_state()
    twin = WAYS[way](state)
    assert all(torch.equal(a, b) for a, b in zip(numbers(state), numbers(twin), strict=True))
    other.reset(twin)
    assert other.t == one.t == 2 and all(
        torch.equal(a, b) for a, b in zip(numbers(other.get_state()), numbers(state), strict=True)
    )
    one.step(), other.step()
    assert all(torch.equal(a, b) for a, b in zip(numbers(other.get_state()), numbers(one.get_state()), strict=True))
    assert torch.equal(plain(state.tool.pos), plain(twin.tool.pos))


def test_what_is_saved_is_plain(make):
    """No scene, no graph, no memory beyond its own; copies with a scene remember it."""
    scene, (body, _), (tool,) = make(bodies=2)
    moved(scene, tool)
    for state in (scene.get_state().mpm, body.get_state(), tool.get_state()):
        for twin in (pickle.loads(pickle.dumps(state)), loaded(state, True)):
            assert type(twin) is type(state)
            for tensor in (value for value in vars(twin).values() if value is not None):
                assert type(tensor) is torch.Tensor and not tensor.requires_grad
                assert tensor.untyped_storage().nbytes() == tensor.nbytes
    assert pickle.loads(pickle.dumps(scene.get_state())).scene is None
    state = scene.get_state()
    assert copy.deepcopy(state).scene is scene and copy.deepcopy(state).tool.pos.scene is scene
    assert not copy.deepcopy(state).tool.pos.requires_grad and copy.copy(state).tool.pos is state.tool.pos
    copy.deepcopy(state).tool.pos.add_(1.0)  # memory of its own
    scene.step()


@pytest.mark.precision("64")
def test_a_robots_state_goes_on_in_another_scene(rigid):
    (one, robot, _), (other, twin, _) = rigid(), rigid()
    robot.set_dofs_velocity(0.3)
    robot.control_dofs_force(torch.full((11,), 0.2, dtype=gs.tc_float))
    one.step()
    saved = loaded(one.get_state(), True)
    assert type(pickle.loads(pickle.dumps(robot.get_state()))) is type(robot.get_state())
    other.reset(saved)
    one.step(), other.step()
    assert torch.equal(plain(robot.get_links_pos()), plain(twin.get_links_pos()))


def test_gradients_reach_through_a_state_into_another_scene(make):
    """As into the same scene: a state stays connected to its graph until it is saved."""
    grads = []
    for elsewhere in (False, True):
        scene, (body,), (tool,) = make()
        vel = torch.full((3, 3), 0.3, dtype=gs.tc_float, requires_grad=True)
        tool.set_velocity(vel)
        scene.step()
        state = scene.get_state()
        then, (body,), _ = make() if elsewhere else (scene, (body,), None)
        then.reset(state)
        then.step()
        grads.append(torch.autograd.grad(body.get_particles_pos().square().sum(), vel)[0])
    assert torch.equal(*grads) and grads[0].any()


@pytest.mark.parametrize(
    ("built", "message"),
    [
        ({"n_envs": 2}, r"shape \(2, .*got .* of shape \(3, .*get_state\(\) of a scene built alike"),
        ({"bodies": 2}, "of a scene built alike"),
    ],
)
def test_states_of_scenes_built_otherwise_are_refused(make, built, message):
    """By name, and nothing has changed."""
    (one, *_), (other, *_) = make(), make(**built)
    state = pickle.loads(pickle.dumps(one.get_state()))
    before = numbers(other.get_state())
    with pytest.raises(gs.GenesisException, match=message):
        other.reset(state)
    assert all(torch.equal(a, b) for a, b in zip(numbers(other.get_state()), before, strict=True))


def test_states_with_other_parts_are_refused(make):
    """Of a scene that has other kinds of bodies."""
    scene, *_ = make()
    state = pickle.loads(pickle.dumps(scene.get_state()))
    before = numbers(scene.get_state())
    for part, message in (("rigid", "None, got one in a scene without"), ("tool", "there, got None")):
        other = state.having(part, None if part == "tool" else state.tool)
        with pytest.raises(gs.GenesisException, match=f"state.{part} must be {message}.*of a scene built alike"):
            scene.reset(other)
    assert all(torch.equal(a, b) for a, b in zip(numbers(scene.get_state()), before, strict=True))


def test_the_advice_for_pickling_a_scene_works(make):
    (one, _, (tool,)), (other, *_) = make(), make()
    moved(one, tool)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(gs.GenesisException, match=r"Build another one alike, and give it scene.get_state\(\)"):
            attempt(one)
    other.reset(pickle.loads(pickle.dumps(one.get_state())))
    assert torch.equal(plain(other.get_state().tool.pos), plain(one.get_state().tool.pos))


@pytest.mark.precision("32")
def test_a_state_survives_its_process_and_its_runtime(tmp_path):
    """Saved by one process; loaded by another before and after gs.destroy, to go on to the same bits."""
    program = f"""
import sys, torch, genesis as gs
def start():
    gs.init(backend=gs.cpu, precision="{PRECISION}", seed=0, logging_level="error")
    scene = gs.Scene(rigid_options=gs.options.RigidOptions(contact=gs.options.CompliantContact()))
    robot = scene.add_entity(gs.morphs.Robot(name="pendulum"))
    scene.build(n_envs=2)
    return scene, robot
scene, robot = start()
if sys.argv[1] == "save":
    robot.set_dofs_velocity(0.5)
    scene.step()
    torch.save(scene.get_state(), sys.argv[2])
    scene.step()
    print(robot.get_qpos().tolist(), scene.t)
else:
    state = torch.load(sys.argv[2])
    scene.reset(state)
    live = scene.get_state()
    gs.destroy()
    for given in (state, live):
        scene, robot = start()
        scene.reset(given)
        scene.step()
        print(robot.get_qpos().tolist(), scene.t)
        gs.destroy()
"""
    found = []
    for role in ("save", "load"):
        done = processes.program(program, role, str(tmp_path / "state.pt"))
        assert done.returncode == 0, done.stderr
        found += done.stdout.splitlines()
    assert len(found) == 3 and len(set(found)) == 1


OUT = {
    "add": lambda x: torch.add(x, 1.0, out=x),
    "another shape": lambda x: torch.add(torch.ones(9, *x.shape[1:], dtype=x.dtype), 1.0, out=x),
    "a view": lambda x: torch.zeros(x[0].shape, dtype=x.dtype, out=x[0]),
    "one of two": lambda x: torch.max(x.clone()[None], 0, out=(x, torch.empty(x.shape, dtype=torch.int64))),
}


@pytest.mark.parametrize("how", OUT)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_out_into_a_current_value_raises_at_once(make, how, requires_grad):
    """Before anything is written, so that the next step is as if nothing had been tried."""
    scene, (body,), (tool,) = make(requires_grad=requires_grad, outputs=("wrench",))
    scene.step()
    for read in (tool.get_pos, body.get_particles_pos, lambda: scene.get_state().mpm.C):
        before = plain(read())
        with pytest.raises(gs.GenesisException, match=r"must not be written by out= while .*\.clone\(\)"):
            OUT[how](read())
        assert torch.equal(plain(read()), before)
    scene.step()


def test_out_into_what_is_no_current_value_is_torchs_own(make):
    scene, _, (tool,) = make(requires_grad=False)
    old = tool.get_pos()
    scene.step()
    new = torch.add(tool.get_pos(), 1.0, out=old)
    assert new is old and torch.equal(plain(old), plain(tool.get_pos()) + 1.0)
    scene.step()
