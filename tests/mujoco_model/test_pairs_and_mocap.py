"""Explicit contact pairs and mocap bodies beside MuJoCo's own: steps, and gradients by states and by poses.

One scene has everything: pairs of every kind, some that no bits or parents would let touch, some in the place of what
these would, and mocap bodies that touch, carry a joint, and drag an arm and a stick along.
"""

import functools
from dataclasses import fields, replace

import mujoco
import numpy as np
import pytest
import torch

import genesis as gs
from genesis import loaders
from genesis.engine.articulated import assemble
from genesis.loaders.invweight import numbers_of
from genesis.loaders.mujoco_numbers import ExplicitPairs
from tests.mujoco_model.dragged import N_MOCAPS, WORLD, Scene
from tests.mujoco_model.engine import relative
from tests.mujoco_model.ours import moved, number, turned
from tests.mujoco_model.reports import summary
from tests.rigid.rigid_bench import F64
from tests.rigid.rigid_models import file_of
from tests.rigid.rigid_worlds import B, check, rows

STEP, LONG, STEPS = 1e-11, 1e-8, 50
MEDIAN, MOST, SHARE, MOST_CHANGED = 1e-7, 1e-4, 0.99, 0.2
"""As in `test_gradients.py`."""

VARIANTS = {
    "elliptic, Euler": WORLD,
    "pyramidal, RK4": WORLD.replace('cone="elliptic"', 'integrator="RK4"'),
    "pyramidal, implicitfast": WORLD.replace('cone="elliptic"', 'integrator="implicitfast"'),
}


@functools.cache
def scene(variant: str = "elliptic, Euler") -> Scene:
    """One of each for all tests of a process."""
    return Scene(VARIANTS[variant])


each_variant = pytest.mark.parametrize(
    "variant", [pytest.param(name, marks=[] if name == "elliptic, Euler" else pytest.mark.slow) for name in VARIANTS]
)


@pytest.mark.precision("64")
@each_variant
def test_steps(variant):
    ours, states = scene(variant), scene(variant).states
    assert len(ours.engine.evaluation(*next(iter(states))).kinds)
    with torch.no_grad():
        ours.place(*(number(x) for x in (states.qpos, states.qvel, states.ctrl)))
        ours.scene.step()
        found = ours.state().numpy()
        drift = 0.3 * 0.004 * np.random.default_rng(2).normal(size=(B, 6 * N_MOCAPS))
        poses = [states.ctrl]
        for _ in range(STEPS - 1):
            poses.append(np.stack([ours.engine.moved_poses(p, by) for p, by in zip(poses[-1], drift, strict=True)]))
            ours.pose(number(poses[-1]))
            ours.scene.step()
        late = ours.state().numpy()
    wanted = np.stack([np.concatenate(ours.engine.step(*state)) for state in states])
    errors = relative(found, wanted)
    print(summary(f"{variant}, one step", errors))
    odd = [not e < STEP and ours.engine.close_to_activation(*s) for e, s in zip(errors, states, strict=True)]
    assert np.all(errors[~np.array(odd)] < STEP), summary("one step", errors)
    path = np.stack(poses, 1)
    wanted = np.stack([
        np.concatenate(ours.engine.step(q, v, path[k])) for k, (q, v, _) in enumerate(states)
    ])  # fmt: skip
    line = summary(f"{STEPS} steps", relative(late, wanted))
    print(line)
    assert np.median(relative(late, wanted)) < LONG, line


@pytest.mark.slow
@pytest.mark.precision("64")
@pytest.mark.parametrize("n", [1, 5])
@each_variant
def test_gradient(n, variant):
    """Against differences of MuJoCo's steps: by positions, velocities and poses."""
    ours, states, m = scene(variant), scene(variant).states, scene(variant).engine.m
    weight = np.random.default_rng(4).normal(size=m.nq + m.nv)
    by = torch.zeros(B, m.nv, dtype=F64, requires_grad=True)
    qvel, shift = number(states.qvel).requires_grad_(), torch.zeros(B, N_MOCAPS, 3, dtype=F64, requires_grad=True)
    turn = torch.zeros(B * N_MOCAPS, 3, dtype=F64, requires_grad=True)
    pos, quat = number(states.ctrl).unflatten(1, (N_MOCAPS, 7)).split((3, 4), -1)
    quat = turned(quat.flatten(0, 1), turn).unflatten(0, (B, N_MOCAPS))
    ours.place(moved(ours.model, number(states.qpos), by), qvel, torch.cat([pos + shift, quat], -1).flatten(1))
    for _ in range(n):
        ours.scene.step()
    parts = torch.autograd.grad((ours.state() @ number(weight)).sum(), [by, qvel, shift, turn])
    found = np.concatenate([part.reshape(B, -1).numpy() for part in parts], -1)
    some = range(12 if n == 1 else 4)
    wanted, same = np.zeros_like(found), np.ones(found.shape, dtype=bool)
    for k in some:
        jacobian, _, pieces = ours.engine.jacobian(states.qpos[k], states.qvel[k], states.ctrl[k], n=n)
        wanted[k], same[k] = weight @ jacobian, ~pieces
    wanted, same, found = (x[list(some)] for x in (wanted, same, found))
    gaps = np.where(same, np.abs(found - wanted), 0.0) / np.abs(wanted).max(1, keepdims=True)
    errors = gaps.max(1)
    line = summary(f"gradient of {n} steps", errors, int((~same).sum()))
    print(line, [part.max() for part in np.split(gaps, (m.nv, 2 * m.nv, 2 * m.nv + 3 * N_MOCAPS), axis=1)])
    assert (~same).mean() < MOST_CHANGED, line
    assert np.median(errors) < MEDIAN, line
    assert (errors < MOST).mean() >= min(SHARE, 1 - 1 / len(errors)), line


@pytest.mark.slow
@pytest.mark.precision("64")
@pytest.mark.parametrize("what", ["pos", "quat"])
def test_a_loop_that_closes_over_poses(what):
    """The poses follow the state; all that is measured enters the loss, and what moves with a mocap body does."""
    ours, state = scene(), next(iter(scene().states))
    qpos, qvel, poses = (number(x).expand(B, -1) for x in state)
    robot, base = ours.robot, poses.unflatten(1, (N_MOCAPS, 7))[0]

    def loss(x: torch.Tensor) -> torch.Tensor:
        ours.place(qpos, qvel, poses)
        for k in range(3):
            seen = 0.02 * robot.get_links_pos(ours.model.link_names.index("ball"))
            if what == "pos":
                robot.set_mocap_pose(pos=(1 + 0.01 * k) * x + seen)
            else:
                robot.set_mocap_pose(
                    quat=torch.nn.functional.normalize(x + 0.1 * k * seen.norm(dim=-1)[..., None], dim=-1)
                )
            ours.scene.step()
        contacts = robot.get_contacts()
        values = (
            ours.state(), robot.get_links_pos(), robot.get_links_quat(), 0.1 * robot.get_links_vel(),
            robot.get_mocap_pos(), robot.get_mocap_quat(), 0.01 * contacts.force, contacts.position,
            0.01 * robot.get_links_wrench(), 1e-3 * robot.get_links_acceleration(),
        )  # fmt: skip
        return torch.stack([rows(value, k) for k, value in enumerate(values)]).sum(0)

    start = base[:, :3] if what == "pos" else base[:, 3:]
    check(loss, start, 1e-6, smooth=False, scale=0.05, what=what)


@pytest.mark.precision("64")
def test_robot_mathematics_sees_the_poses():
    """Of what hangs on a mocap body, beside MuJoCo's; inverse kinematics of it is refused."""
    ours, states = scene(), scene().states
    robot, m, d = ours.robot, ours.engine.m, ours.engine.d
    ours.place(*(number(x) for x in (states.qpos, states.qvel, states.ctrl)))
    bias, jacobian = robot.get_bias_force(), robot.get_jacobian("bell")
    pos, quat = robot.forward_kinematics(robot.get_qpos())
    assert (pos - robot.get_links_pos()).abs().max() < 1e-12
    assert (quat - robot.get_links_quat()).abs().max() < 1e-12
    some = robot.forward_kinematics(robot.get_qpos()[[3, 7]], envs_idx=[3, 7])[0]
    assert torch.equal(some, pos[[3, 7]])
    for k, state in enumerate(states.chosen(np.arange(4))):
        ours.engine.qacc(*state)
        wanted = np.zeros((6, m.nv))
        mujoco.mj_jacBody(m, d, wanted[:3], wanted[3:], m.body("bell").id)
        assert np.abs(jacobian[k].detach().numpy() - wanted).max() < 1e-12
        assert np.abs(bias[k].detach().numpy() - d.qfrc_bias).max() < 1e-10
    with pytest.raises(gs.GenesisException, match="must not hang on a mocap body, got 'bell'"):
        robot.inverse_kinematics("bell", pos=[0.0, 0.0, 0.0])


@pytest.mark.precision("64")
def test_poses_are_set_kept_and_reset():
    """Of some bodies in some environments; they are a part of the state."""
    ours = scene()
    robot, built = ours.robot, ours.scene
    built.reset()
    paddle, handle = robot.mocap_links
    assert (paddle.name, handle.name) == ("paddle", "handle")
    rest = robot.get_mocap_pos().clone()
    assert torch.equal(
        rest[3], number(ours.engine.m.body_pos[[ours.engine.m.body(x).id for x in ("paddle", "handle")]])
    )
    robot.set_mocap_pose(pos=[0.1, 0.2, 0.3], links_idx_local=handle.idx_local, envs_idx=[2, 5])
    robot.set_mocap_pose(quat=[[0.6, 0.0, 0.8, 0.0], [1.0, 0.0, 0.0, 0.0]], envs_idx=[5])
    pos = robot.get_mocap_pos()
    assert torch.equal(pos[[2, 5], 1], number(np.array([[0.1, 0.2, 0.3]] * 2))) and torch.equal(pos[:, 0], rest[:, 0])
    assert torch.equal(pos[[0, 1, 3, 4]], rest[[0, 1, 3, 4]])
    assert torch.equal(robot.get_links_pos(handle.idx_local), pos[:, 1:])
    assert torch.equal(robot.get_mocap_quat(paddle.idx_local)[5, 0], number(np.array([0.6, 0.0, 0.8, 0.0])))
    saved = built.get_state()
    built.step()
    after = ours.state()
    assert torch.equal(robot.get_mocap_pos(), pos)
    built.reset()
    assert torch.equal(robot.get_mocap_pos(), rest)
    built.reset(saved, envs_idx=[5])
    assert torch.equal(robot.get_mocap_pos()[5], pos[5]) and torch.equal(robot.get_mocap_pos()[2], rest[2])
    built.reset(saved)
    built.step()
    assert torch.equal(ours.state(), after)


@pytest.mark.precision("64")
@pytest.mark.parametrize(
    "given, message",
    [
        ({}, "must get pos, quat or both, got neither"),
        ({"pos": [0.0, float("nan"), 0.0]}, "pos must be finite, got nan"),
        ({"quat": [float("inf"), 0.0, 0.0, 0.0]}, "quat must be finite, got inf"),
        ({"quat": [0.0, 0.0, 0.0, 0.0]}, "quat must be unit quaternions, got length 0"),
        ({"pos": [0.0, 0.0]}, r"pos must have shape \(3,\)"),
        ({"pos": np.zeros((B, 3))}, r"pos must have shape \(2, 3\)"),
        ({"pos": [0.0, 0.0, 0.0], "links_idx_local": 4}, r"must choose mocap bodies, got 4 \('shoulder'\).*'paddle'"),
    ],
)
def test_poses_that_are_refused(given, message):
    ours = scene()
    before = ours.robot.get_mocap_pos().clone()
    with pytest.raises(gs.GenesisException, match=message):
        ours.robot.set_mocap_pose(**given)
    assert torch.equal(ours.robot.get_mocap_pos(), before)


def test_pairs_and_mocap_bodies_are_kept_in_files(tmp_path):
    model = loaders.load_mjcf(file_of(WORLD), contact="mujoco", cache=False)
    model.save(tmp_path / "robot.npz")
    kept = loaders.RigidModel.load(tmp_path / "robot.npz")
    assert model.mujoco is not None and kept.mujoco is not None
    assert len(model.mujoco.pairs) == 9 and kept.mocap_links == model.mocap_links == (0, 3)
    for each in fields(ExplicitPairs):
        assert np.array_equal(getattr(kept.mujoco.pairs, each.name), getattr(model.mujoco.pairs, each.name))
    two = loaders.fuse([model, kept])
    assert two.mujoco is not None and two.mocap_links == (0, 3, model.n_links, model.n_links + 3)
    theirs, ours = (two.mujoco.pairs.geom[rows_] for rows_ in (slice(9, None), slice(9)))
    assert np.array_equal(theirs, np.where(ours >= 0, ours + len(model.geoms), -1))
    assert set(two.mujoco.pairs.ground[9:].tolist()) == {-1, 1}


@pytest.mark.parametrize(
    "change, message",
    [
        (
            ('solreffriction="0.05 1.2"', 'solreffriction="0.05 -1"'),
            "solreffriction of contact pair .floor, ball. .* both > 0",
        ),
        (('friction="0.3 1.1"', 'friction="-0.3 1.1"'), "friction of contact pair .* finite and >= 0"),
        (('<geom name="tip" size="0.06"/>', '<geom name="tip" type="plane" size="1 1 1"/>'), "mocap: tip .a ground on"),
    ],
)
def test_files_that_are_refused(change, message):
    with pytest.raises(gs.GenesisException, match=message):
        loaders.load_mjcf(file_of(WORLD.replace(*change)), contact="mujoco", cache=False)


def test_a_model_without_its_grounds_must_lose_their_pairs():
    model = loaders.load_mjcf(file_of(WORLD), contact="mujoco", cache=False)
    with pytest.raises(gs.GenesisException, match="contact pairs .* must be with its 0 grounds, got one with 0"):
        loaders.check_for_mujoco(replace(model, grounds=()))


def test_the_compliant_model_points_to_the_one_that_has_them():
    with pytest.raises(gs.GenesisException, match=r"mocap: paddle, handle; pair: .*MujocoContact\(\)\) has"):
        loaders.load_mjcf(file_of(WORLD), cache=False)


def test_a_pair_finds_the_ground_of_its_file_among_others():
    """Planes of the scene stand behind those of files, whoever was added first; a file may be used without its own."""
    scene = gs.Scene()
    scene.add_entity(gs.morphs.Plane(pos=(0.0, 0.0, -1.0)))
    kept = [scene.add_entity(gs.morphs.MJCF(file=file_of(WORLD), pos=(0.0, y, 0.0), ground=y > 0)) for y in (0.0, 3.0)]
    alone, whole = (entity.model.mujoco.pairs for entity in kept)
    assert (alone.ground < 0).all() and len(alone) == len(whole) - 3
    system = assemble(scene.entities, gs.options.RigidOptions(), gs.options.SimOptions(substeps=1), False)
    assert system is not None
    pairs = numbers_of(system.model).pairs
    named = [system.grounds[ground].name for ground in pairs.ground.tolist() if ground >= 0]
    assert named == [f"{kept[1].name}/floor"] * 3
