"""The standard robots: what was loaded is asserted number by number, against MuJoCo and against published facts."""

import ast
import sys
from importlib.resources import files

import mujoco
import numpy as np
import pytest

from genesis.errors import GenesisKeyError
from genesis.loaders import ROBOTS, RigidModel, link_jacobians, load_robot, mass_matrix, rotations
from genesis.loaders.library import FOLDER, GYMNASIUM
from scripts.compile_robots import outdated
from tests.loaders.random_trees import random_configuration
from tests.loaders.reference import compile_quietly, composite, full_mass_matrix, moving_together

PI = np.pi

# name: links, q, dofs, geoms, mass (kg), gears (N or N m), armature and damping of the actuated joints
FACTS = {
    "ant": (9, 15, 14, 13, 182.176, [200] * 8, 0.05, 1),
    "block_push": (3, 9, 8, 4, 1.882, [3, 3], 0.02, 0.6),
    "cartpole": (2, 2, 2, 2, 52.5, [1000], 0.1, 0),
    "half_cheetah": (7, 9, 9, 8, 21.184, [200] * 6, 0.1, [6, 4.5, 3, 4.5, 3, 1.5]),
    "hopper": (4, 6, 6, 4, 15.820, [200] * 3, 1, 2),
    "humanoid": (
        13,
        28,
        27,
        19,
        40.844,
        [70, 70, 70, *[70, 70, 210, 140, 35, 35] * 2, *[35, 35, 70] * 2],
        [0.02, 0.01, 0.01, *[0.01, 0.01, 0.01, 0.007, 0.006, 0.006] * 2, *[0.01, 0.01, 0.006] * 2],
        [5, 5, 5, *[5, 5, 5, 0.1, 1, 1] * 2, *[5, 5, 1] * 2],
    ),
    "pendulum": (1, 1, 1, 1, 1.0, [2], 0, 0),
    "quadrotor": (1, 7, 6, 9, 1.0, [], [], []),
    "soft_lift": (5, 5, 5, 6, 5.0, [40, 8, 8, 20, 20], [0, 0.05, 0.05, 0, 0], [80, 6, 6, 80, 80]),
    "walker2d": (7, 9, 9, 7, 23.677, [100] * 6, 0.01, 0.1),
}


@pytest.fixture(params=ROBOTS)
def name(request):
    return request.param


@pytest.fixture
def theirs(name):
    """MuJoCo's model of the shipped text, and its data."""
    model = mujoco.MjModel.from_xml_path(str(FOLDER / f"{name}.xml"))
    return model, mujoco.MjData(model)


def test_published_numbers(name):
    robot = load_robot(name)
    links, qs, dofs, geoms, mass, gears, armature, damping = FACTS[name]
    assert (robot.n_links, robot.n_qs, robot.n_dofs, len(robot.geoms)) == (links, qs, dofs, geoms)
    assert robot.mass.sum() == pytest.approx(mass, abs=1e-3)
    assert [actuator.gear for actuator in robot.actuators] == gears
    assert all((actuator.low, actuator.high, actuator.kind) == (-1, 1, "force") for actuator in robot.actuators)
    driven = [actuator.dof for actuator in robot.actuators]
    np.testing.assert_allclose(robot.armature[driven], armature)
    np.testing.assert_allclose(robot.damping[driven], damping)
    roots = [dof for dof in range(dofs) if dof not in driven and name not in ("cartpole",)]
    assert not robot.armature[roots].any() and not robot.damping[roots].any()


def test_arrays_equal_mujoco(name, theirs):
    robot, (model, _) = load_robot(name), theirs
    np.testing.assert_array_equal(robot.qpos0, model.qpos0)
    np.testing.assert_array_equal(robot.armature, model.dof_armature)
    np.testing.assert_array_equal(robot.damping, model.dof_damping.reshape(model.nv, -1)[:, 0])
    by_dof = {int(model.jnt_dofadr[joint]): joint for joint in range(model.njnt)}
    for joint in robot.joints:
        index = by_dof[joint.dof]
        if joint.kind == "free":
            continue
        assert joint.name == model.joint(index).name
        np.testing.assert_allclose(joint.axis, model.jnt_axis[index], atol=1e-15)
        assert robot.stiffness[joint.dof] == np.ravel(model.jnt_stiffness[index])[0]
        assert robot.spring_ref[joint.dof] == model.qpos_spring[joint.q]
        expected = model.jnt_range[index] if model.jnt_limited[index] else (-np.inf, np.inf)
        np.testing.assert_array_equal((robot.limit_low[joint.dof], robot.limit_high[joint.dof]), expected)
    for index, actuator in enumerate(robot.actuators):
        assert actuator.name == model.actuator(index).name
        assert actuator.gear == model.actuator_gear[index, 0]
        assert actuator.dof == model.jnt_dofadr[model.actuator_trnid[index, 0]]
    assert np.isinf(robot.force_low).all() and np.isinf(robot.force_high).all()


def test_links_equal_mujoco_s_bodies_that_move_together(name, theirs):
    robot, (model, data) = load_robot(name), theirs
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    positions, turns, _, _ = link_jacobians(robot)
    for link, link_name in enumerate(robot.link_names):
        body = model.body(link_name).id
        mass, com, inertia = composite(model, data, moving_together(model, body))
        axes = rotations.matrix(turns[link])
        assert robot.mass[link] == pytest.approx(mass, rel=1e-12)
        np.testing.assert_allclose(positions[link] + axes @ robot.com[link], com, atol=1e-12)
        np.testing.assert_allclose(axes @ rotations.symmetric(robot.inertia[link]) @ axes.T, inertia, atol=1e-12)
    for joint in robot.joints:
        if joint.kind in ("hinge", "slide"):
            index = model.joint(joint.name).id
            axes = rotations.matrix(turns[joint.link])
            np.testing.assert_allclose(axes @ joint.axis, data.xaxis[index], atol=1e-12)
            if joint.kind == "hinge":
                np.testing.assert_allclose(positions[joint.link] + axes @ joint.anchor, data.xanchor[index], atol=1e-12)


def test_geoms_stand_where_mujoco_has_them(name, theirs):
    robot, (model, data) = load_robot(name), theirs
    mujoco.mj_kinematics(model, data)
    positions, turns, _, _ = link_jacobians(robot)
    for geom in robot.geoms:
        index = model.geom(geom.name).id
        at, along = rotations.compose((positions[geom.link], turns[geom.link]), (geom.pos, np.array(geom.quat)))
        np.testing.assert_allclose(at, data.geom_xpos[index], atol=1e-12)
        np.testing.assert_allclose(rotations.matrix(along), data.geom_xmat[index].reshape(3, 3), atol=1e-12)
        assert geom.kind == mujoco.mjtGeom(model.geom_type[index]).name.removeprefix("mjGEOM_").lower()
        n_sizes = {"sphere": 1, "capsule": 2, "cylinder": 2}.get(geom.kind, 3)
        np.testing.assert_array_equal(geom.size[:n_sizes], model.geom_size[index, :n_sizes])
        assert not any(geom.size[n_sizes:])
        assert geom.friction == model.geom_friction[index, 0]
        assert (geom.group, geom.mask) == (model.geom_contype[index], model.geom_conaffinity[index])


def test_mass_matrix_equals_mujoco(name, theirs):
    robot, (model, data) = load_robot(name), theirs
    rng = np.random.default_rng(0)
    for qpos in (robot.qpos0, random_configuration(rng, robot), random_configuration(rng, robot)):
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        np.testing.assert_allclose(mass_matrix(robot, qpos), full_mass_matrix(model, data), rtol=0, atol=1e-10)


CLASSICAL = {"ant": "ant", "half_cheetah": "half_cheetah", "hopper": "hopper", "walker2d": "walker2d_v5"}


@pytest.mark.parametrize("name", CLASSICAL)
def test_shapes_are_those_of_the_classical_robot(name, theirs):
    """Tree, joints, ranges, shapes, ratios of masses; strengths and dampers are the differentiable benchmark's."""
    ours, _ = theirs
    assets = files("gymnasium") / "envs" / "mujoco" / "assets"
    classical = compile_quietly(assets / f"{CLASSICAL[name]}.xml")
    same = ("body_parentid", "body_pos", "body_quat", "jnt_type", "jnt_axis", "jnt_range", "qpos0")
    for array in same:
        np.testing.assert_allclose(getattr(ours, array), getattr(classical, array), atol=1e-9, err_msg=array)
    hinges = ours.jnt_type == mujoco.mjtJoint.mjJNT_HINGE  # a slide has no anchor
    np.testing.assert_allclose(ours.jnt_pos[hinges], classical.jnt_pos[hinges], atol=1e-9)
    np.testing.assert_array_equal(ours.jnt_limited, classical.jnt_limited)
    bodies = classical.geom_bodyid > 0
    for array in ("geom_type", "geom_pos", "geom_size", "geom_bodyid"):
        np.testing.assert_allclose(getattr(ours, array), getattr(classical, array)[bodies], atol=1e-9, err_msg=array)
    ratio = ours.body_mass[1:] / classical.body_mass[1:]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
    if name == "half_cheetah":
        np.testing.assert_allclose(ours.jnt_stiffness, classical.jnt_stiffness)
        np.testing.assert_allclose(ours.dof_damping, classical.dof_damping)


def test_ant_has_25_points_of_contact():
    assert sum({"sphere": 1, "capsule": 2}[geom.kind] for geom in load_robot("ant").geoms) == 25


def test_merged_legs_of_the_ant_keep_their_names():
    ant = load_robot("ant")
    assert ant.aliases["front_left_leg"] == (0, (0, 0, 0), (1, 0, 0, 0))
    assert sum(geom.link == 0 for geom in ant.geoms) == 5


def test_hanging_start_of_pole_and_pendulum():
    """The rest configuration is pi, the pole's tip below; zero is upright."""
    for name in ("cartpole", "pendulum"):
        robot = load_robot(name)
        link, offset, _ = robot.aliases["tip"]
        for angle, height in ((PI, -1), (0.0, 1)):
            qpos = np.array([*robot.qpos0[:-1], angle])
            positions, turns, _, _ = link_jacobians(robot, qpos)
            np.testing.assert_allclose(
                positions[link] + rotations.rotate(turns[link], offset), (0, 0, height), atol=1e-15
            )
        assert robot.qpos0[-1] == pytest.approx(PI)


def test_pendulum_is_a_thin_rod():
    assert mass_matrix(load_robot("pendulum"))[0, 0] == pytest.approx(1 / 3)


def test_rotors_of_the_quadrotor_are_named():
    quadrotor = load_robot("quadrotor")
    rotors = np.array([quadrotor.aliases[f"rotor_{k}"][1] for k in (1, 2, 3, 4)])
    np.testing.assert_allclose(np.hypot(rotors[:, 0], rotors[:, 1]), 0.12 * np.sqrt(2))
    np.testing.assert_allclose(quadrotor.com[0, :2], 0, atol=1e-12)


def test_shipped_arrays_are_what_the_text_compiles_to(name, tmp_path):
    assert not outdated(name, tmp_path), "run python -m scripts.compile_robots"


@pytest.mark.parametrize("robot", GYMNASIUM)
def test_arrays_of_gymnasiums_robots_are_what_its_files_compile_to(robot, tmp_path, monkeypatch):
    assert not outdated(robot, tmp_path), "run python -m scripts.compile_robots"
    monkeypatch.setitem(sys.modules, "mujoco", None)
    assert load_robot(robot).mujoco is not None


def test_gymnasiums_licence_lies_beside_its_robots():
    assert sorted(f"gymnasium/{path.stem}" for path in (FOLDER / "gymnasium").glob("*.npz")) == sorted(GYMNASIUM)
    assert "Permission is hereby granted" in (FOLDER / "gymnasium" / "LICENSE").read_text()


def test_every_shipped_text_is_listed():
    assert sorted(path.stem for path in FOLDER.glob("*.xml")) == list(ROBOTS)


def test_unknown_robot_lists_the_valid_ones():
    with pytest.raises(GenesisKeyError, match=r"ant, block_push, .* got 'spot'"):
        load_robot("spot")


def test_shipped_robots_need_no_mujoco(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    assert load_robot(name).n_links == FACTS[name][0]


def test_mujoco_is_imported_in_one_function_only():
    importing = {
        path.name: [node.col_offset for node in ast.walk(ast.parse(path.read_text())) if imports_mujoco(node)]
        for path in FOLDER.parent.glob("*.py")
    }
    assert {name: where for name, where in importing.items() if where} == {"lazy_import.py": [8]}


def imports_mujoco(node):
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    names += [node.module] if isinstance(node, ast.ImportFrom) else []
    return any(name.split(".")[0] == "mujoco" for name in names)


def test_every_robot_survives_saving(name, tmp_path):
    robot = load_robot(name)
    robot.save(tmp_path / "robot.npz")
    again = RigidModel.load(tmp_path / "robot.npz")
    assert again.joints[0].name == robot.joints[0].name and again.excluded == robot.excluded
    np.testing.assert_array_equal(again.inertia, robot.inertia)
