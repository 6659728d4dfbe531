"""Names of the public engine: what of its scripts is there, what is told to be without effect, and what is refused."""

import importlib.util
import logging
import math
import random as python_random
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch

import genesis as gs
from genesis import public_names, utils
from genesis.engine import articulated, assembly
from genesis.engine.entities.particle import ParticleEntity
from genesis.engine.entities.rigid import RigidEntity
from genesis.engine.solver_view import SolverView
from genesis.math import quaternion
from genesis.options import OwnOptions
from genesis.utils import geom, misc
from genesis.warning import forget_warnings
from tests.engine.rigid_scenes import ELBOW, builder

PROGRAM = Path(__file__).parents[1] / "scripts" / "peers" / "genesis_calls.py"
OWNERS = {
    **{name: getattr(gs.options, name) for name in vars(gs.options) if name.endswith("Options")},
    **{name: getattr(gs.morphs, name) for name in ("SolidMorph", "Plane", "FileMorph", "Mesh", "Terrain")},
    **{name: getattr(gs.materials, name) for name in ("ParticleMaterial", "Tool", "Rigid")},
    **{"Default": gs.surfaces.Default, "Scene": gs.Scene, "Camera": gs.Camera, "Timer": gs.tools.Timer},
    **{"RigidEntity": RigidEntity, "ParticleEntity": ParticleEntity, "SolverView": SolverView, "gs": gs},
    **{
        f"gs.{name}": getattr(gs, name) for name in "options morphs materials surfaces renderers textures tools".split()
    },
}
ABSENT = {
    "gs.morphs.Mesh",
    "gs.materials.FEM",
    "ParticleEntity.get_el2v",
    "ParticleEntity.n_elements",
    "RigidEntity.get_AABB",
    "RigidEntity.get_dofs_force",
    "RigidEntity.set_COM_shift",
    "RigidEntity.set_friction_ratio",
    "RigidEntity.set_mass_shift",
    "Scene.sim",
}
"""What of the calls in the public engine's scripts is not there."""


@pytest.fixture
def told(caplog):
    """Messages of a test, as if nothing had been told before."""
    forget_warnings()
    with caplog.at_level(logging.WARNING, "genesis"):
        yield lambda: [record.getMessage() for record in caplog.records]


def test_calls_of_its_scripts_resolve_or_are_refused_by_name():
    spec = importlib.util.spec_from_file_location("genesis_calls", PROGRAM)
    assert spec is not None and spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    said = {name: verdict for _, name, _, verdict in program.rows(program.listed())}
    assert len(said) > 100
    lacking = {name: verdict for name, verdict in said.items() if verdict != "resolves"}
    assert set(lacking) <= ABSENT
    assert all(verdict.startswith("refused: ") for name, verdict in lacking.items() if name != "gs.morphs.Mesh")


@pytest.mark.parametrize("owner", public_names.ARGUMENTS)
def test_arguments_of_the_tables_are_not_there_otherwise(owner):
    first, *rest = owner.split(".")
    found = OWNERS[first]
    for name in rest:
        found = getattr(found, name)
    own = set(signature(found).parameters)
    assert not own & set(public_names.ARGUMENTS[owner])
    for entry in public_names.ARGUMENTS[owner].values():
        assert not isinstance(entry, public_names.Spelt) or entry.here in own


@pytest.mark.parametrize("owner", public_names.ATTRIBUTES)
def test_names_that_are_refused_are_not_there(owner):
    for name, remedy in public_names.ATTRIBUTES[owner].items():
        found = OWNERS[owner]
        if isinstance(found, type):
            assert not hasattr(found, name), (owner, name)
        else:
            with pytest.raises(AttributeError, match="must be left out") as caught:
                getattr(found, name)
            assert isinstance(caught.value, gs.GenesisException) and remedy in str(caught.value)


def test_what_is_without_effect_is_told_once(told):
    for _ in range(2):
        gs.options.ViewerOptions(camera_pos=(1, 2, 3), max_FPS=60)
    gs.options.RigidOptions(use_hibernation=False, constraint_solver=gs.constraint_solver.Newton)
    assert len(told()) == 1
    assert told()[0].startswith("ViewerOptions.camera_pos, max_FPS have no effect: there is no window")
    gs.options.RigidOptions(max_collision_pairs=20)
    assert told()[1] == "RigidOptions.max_collision_pairs has no effect: all contacts are kept."


def test_the_viewer_is_a_notice_with_a_command(told):
    gs.Scene(show_viewer=False, viewer_options=gs.options.ViewerOptions())
    assert not told()
    gs.Scene(show_viewer=True)
    assert len(told()) == 1 and told()[0].endswith(public_names.WEB_VIEWER)


def test_arguments_with_another_name_here_act():
    assert gs.options.RigidOptions(enable_self_collision=False).self_collision is False
    assert gs.options.RigidOptions(integrator=gs.integrator.approximate_implicitfast).integrator == "implicitfast"
    assert gs.surfaces.Rough(color=(1.0, 0.0, 0.0)).rgb == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda: gs.options.MPMOptions(enable_CPIC=True), "MPMOptions.enable_CPIC must be False or left out, got True"),
        (lambda: gs.options.RigidOptions(enable_self_collision=True, self_collision=True), "must be given once"),
        (lambda: gs.options.RigidOptions(enable_collision=0), "enable_collision must be True or False"),
        (lambda: gs.materials.MPM.Elastic(lam=1.0), "MPM.Elastic.lam must be None or left out, got 1.0. Pass E and nu"),
        (lambda: gs.Scene(fem_options=3), "Scene.fem_options must be None or left out, got 3. There is no FEM"),
        (lambda: gs.Scene(frames=3), "options of a scene must be among"),
        (lambda: gs.Scene().add_camera(model="fisheye"), "Scene.add_camera.model must be 'pinhole'"),
        (
            lambda: gs.Scene(mpm_options=gs.options.MPMOptions(dt=5e-4)),
            "MPMOptions.dt must be SimOptions.dt, 0.01 s, or left out, got 0.0005",
        ),
        (
            lambda: gs.Scene(rigid_options=gs.options.RigidOptions(gravity=(0, 0, 0))),
            "RigidOptions.gravity must be SimOptions.gravity",
        ),
    ],
)
def test_what_would_change_the_motion_is_refused(act, message):
    with pytest.raises(gs.GenesisException, match=message):
        act()


def test_clocks_and_gravity_that_agree_are_taken():
    assert issubclass(gs.options.ToolOptions, OwnOptions)
    gs.Scene(rigid_options=gs.options.RigidOptions(dt=1e-2, gravity=(0.0, 0.0, -9.81)))


def test_short_paths_are_looked_up(tmp_path, monkeypatch):
    file = tmp_path / "xml" / "hinge.xml"
    with pytest.raises(gs.GenesisException, match="GENESIS_ASSETS"):
        gs.morphs.MJCF(file="xml/hinge.xml")
    file.parent.mkdir()
    file.write_text("<mujoco/>")
    monkeypatch.setenv("GENESIS_ASSETS", f"{tmp_path / 'none'}:{tmp_path}")
    assert gs.morphs.MJCF(file="xml/hinge.xml").file == file
    assert gs.morphs.URDF(file=str(file)).file == str(file)
    with pytest.raises(
        gs.GenesisException, match=f"'b.xml', which is not there nor in {tmp_path / 'none'}, {tmp_path}"
    ):
        gs.morphs.MJCF(file="b.xml")


def test_timer_tells_seconds(caplog):
    timer = gs.tools.Timer()
    with caplog.at_level(logging.INFO, "genesis"):
        assert 0.0 <= timer.stamp("forward took: ") < 60.0
    assert caplog.messages[0].startswith("forward took: 0.0")


# genesis.utils.geom


def random(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_angles_are_about_fixed_axes_or_axes_that_turn_along():
    def about(axis, angle):
        return geom.axis_angle_to_R(np.eye(3)[axis], np.array(angle))

    x, y, z = 0.4, -1.1, 2.0
    fixed, along = about(2, z) @ about(1, y) @ about(0, x), about(0, x) @ about(1, y) @ about(2, z)
    angles = np.array([x, y, z])
    for rpy, R in ((True, fixed), (False, along)):
        np.testing.assert_allclose(geom.quat_to_R(geom.xyz_to_quat(angles, rpy=rpy)), R, atol=1e-15)
        np.testing.assert_allclose(geom.R_to_xyz(R, rpy=rpy), angles, atol=1e-14)
        degrees = geom.quat_to_xyz(geom.R_to_quat(R), rpy=rpy, degrees=True)
        np.testing.assert_allclose(degrees, np.rad2deg(angles), atol=1e-12)
    np.testing.assert_allclose(geom.euler_to_quat([10, 20, 30]), quaternion.from_euler((10, 20, 30)), atol=1e-15)
    upright = np.array([0.3, math.pi / 2, 0.5])  # only the sum or the difference of the others counts
    for rpy in (True, False):
        R = geom.quat_to_R(geom.xyz_to_quat(upright, rpy=rpy))
        again = geom.R_to_xyz(R, rpy=rpy)
        np.testing.assert_allclose(geom.quat_to_R(geom.xyz_to_quat(again, rpy=rpy)), R, atol=1e-8)


def test_poses_and_their_inverses():
    quat, trans, points = geom.normalize(random(5, 4)), random(5, 3), random(5, 7, 3)
    T = geom.trans_quat_to_T(trans, quat)
    moved = geom.transform_by_T(points, T)
    one_by_one = torch.stack([geom.transform_by_trans_quat(points[:, k], trans, quat) for k in range(7)], 1)
    torch.testing.assert_close(moved, one_by_one)
    torch.testing.assert_close(geom.inv_transform_by_T(moved, T), points)
    torch.testing.assert_close(geom.inv_transform_by_trans_quat(moved[:, 0], trans, quat), points[:, 0])
    torch.testing.assert_close(geom.inv_T(T) @ T, torch.eye(4, dtype=torch.float64).expand(5, 4, 4))
    pos, turned = geom.transform_pos_quat_by_trans_quat(points[:, 0], quat, trans, quat.flip(0))
    back, again = geom.inv_transform_pos_quat_by_trans_quat(pos, turned, trans, quat.flip(0))
    torch.testing.assert_close(back, points[:, 0])
    torch.testing.assert_close(again, quat)
    torch.testing.assert_close(geom.rot6d_to_R(geom.R_to_rot6d(T[:, :3, :3])), T[:, :3, :3])
    view = geom.pos_lookat_up_to_T(trans, trans - T[:, :3, 2], T[:, :3, 1])
    torch.testing.assert_close(view, T)


def test_rotations_in_between():
    start, end = geom.normalize(random(4, seed=1)), geom.normalize(random(2, 4))
    for share in (0.0, 0.25, 1.0):
        between = geom.slerp(start, end, torch.tensor(share, dtype=torch.float64))
        turned = geom.quat_to_rotvec(geom.transform_quat_by_quat(geom.inv_quat(start), between))
        whole = geom.quat_to_rotvec(geom.transform_quat_by_quat(geom.inv_quat(start), end))
        torch.testing.assert_close(turned, share * whole)


@pytest.mark.parametrize(
    "function, shapes",
    [
        (geom.transform_by_quat, ((2, 3), (4,))),
        (geom.transform_quat_by_quat, ((4,), (2, 4))),
        (geom.quat_to_xyz, ((3, 4),)),
        (geom.quat_to_rotvec, ((3, 4),)),
        (lambda quat: geom.R_to_quat(geom.quat_to_R(quat)), ((4, 4),)),
        (geom.slerp, ((2, 4), (2, 4), ())),
        (geom.pos_lookat_up_to_T, ((2, 3), (2, 3), (3,))),
        (
            lambda trans, quat, point: geom.inv_transform_by_T(point, geom.trans_quat_to_T(trans, quat)),
            ((3,), (4,), (3,)),
        ),
    ],
)
def test_gradients_of_rotations(function, shapes):
    assert torch.autograd.gradcheck(
        function, [random(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
    )


def test_helpers_of_its_scripts():
    given = gs.tensor([1.0, 2.0], requires_grad=True)
    found = misc.tensor_to_array(2 * given, np.float64)
    assert type(found) is np.ndarray and found.dtype == np.float64 and found.tolist() == [2.0, 4.0]
    assert misc.tensor_to_array(3.0) == 3.0 and utils.set_random_seed is misc.set_random_seed
    drawn = []
    for _ in range(2):
        misc.set_random_seed(3)
        drawn.append((torch.rand(()).item(), python_random.random(), np.random.rand()))  # noqa: NPY002
    assert drawn[0] == drawn[1]


def test_kinds_of_numbers_stay():
    assert geom.inv_quat(np.ones(4, np.float32)).dtype == np.float32
    assert isinstance(geom.transform_by_quat(gs.tensor([1.0, 0, 0]), gs.tensor([1.0, 0, 0, 0])), gs.Tensor)
    assert gs.euler_to_R is geom.euler_to_R
    with pytest.raises(gs.GenesisException, match="arguments must be tensors or arrays, got str"):
        geom.inv_quat("up")
    with pytest.raises(AttributeError):
        geom.polar  # noqa: B018


# Of a scene


@pytest.fixture
def build(monkeypatch):
    return builder(monkeypatch)


def test_solvers_links_and_joints_of_a_scene(build):
    scene, robot, _ = build(n_envs=2, requires_grad=False)
    assert [solver.name for solver in scene.solvers] == ["rigid"] and scene.mpm_solver is scene.tool_solver is None
    assert scene.solvers.index(scene.rigid_solver) == 0 and scene.rigid_solver.entities == tuple(scene.entities)
    assert scene.get_state().solvers_state[0] is scene.rigid_solver.get_state()
    fore, elbow = robot.get_link("fore"), robot.get_joint("elbow")
    robot.set_dofs_velocity(3.0, ELBOW)
    for name in ("pos", "quat", "vel", "ang"):
        row = getattr(robot, f"get_links_{name}")()[:, 2]
        assert torch.equal(getattr(fore, f"get_{name}")(), row)
    fore.set_mass(0.7)
    assert fore.get_mass().tolist() == pytest.approx([0.7, 0.7]) and fore.entity is elbow.entity is robot
    assert (elbow.dof_start, elbow.q_start, robot.dof_start, robot.link_start) == (ELBOW, 11, 0, 0)
    robot.zero_all_dofs_velocity()
    assert not robot.get_dofs_velocity().any()
    for getter in (robot.get_pos, robot.get_quat, robot.get_dofs_velocity, robot.get_links_pos):
        getter().mul_(2.0)  # what getters return is the caller's
        torch.where(torch.tensor(True), torch.tensor(0.0), getter(), out=getter())
    assert robot.get_pos()[0].tolist() == pytest.approx([0.1, 0.2, 0.5])
    robot.set_dofs_kp(3.0, ELBOW)
    robot.set_dofs_kv(0.5, ELBOW)
    robot.control_dofs_position_velocity(0.2, 0.4, ELBOW)
    assert robot.get_dofs_control_force(ELBOW).flatten().tolist() == pytest.approx([0.8, 0.8])
    robot.set_dofs_velocity(float(torch.finfo(gs.tc_float).max) / 4, envs_idx=[1])
    scene.step(update_visualizer=False)
    assert scene.rigid_solver.get_error_envs_mask().tolist() == [False, True]
    with pytest.raises(gs.GenesisException, match="get_AABB must be left out"):
        robot.get_AABB()


SWITCHED = """<mujoco><worldbody>
  <body><joint name="a" range="-1 1" limited="true" frictionloss="0.1"/><geom name="a" size="0.1"/>
    <body pos="1 0 0"><joint name="b" range="-1 1" limited="true"/><geom name="b" size="0.1"/></body></body></worldbody>
  <contact><pair geom1="a" geom2="b"/></contact><equality><joint joint1="a" joint2="b"/></equality></mujoco>"""


@pytest.mark.parametrize("switch", ["enable_collision", "enable_joint_limit", "disable_constraint"])
def test_options_switch_physics_off(switch, tmp_path):
    file = tmp_path / "pair.xml"
    file.write_text(SWITCHED)
    options = gs.options.RigidOptions(**{switch: switch == "disable_constraint"})
    plane, robot = (
        articulated.entities_of(0, "robot", morph, gs.materials.Rigid(), gs.surfaces.Default(), options)[0]
        for morph in (gs.morphs.Plane(), gs.morphs.MJCF(file=file))
    )
    numbers = robot.model.mujoco
    touching = [geom.group & plane.geom.mask or geom.mask & plane.geom.group for geom in robot.geoms]
    pairs = [a.group & b.mask or b.group & a.mask for a, b in [robot.geoms]]
    collides = switch == "enable_joint_limit"
    assert all(touching) == all(pairs) == collides == (len(numbers.pairs) == 1) and any(touching) == collides
    assert all(geom.group or geom.mask for geom in robot.geoms), "particles touch them in any case"
    limited = switch == "enable_collision"
    assert np.isfinite(robot.model.limit_low).all() == numbers.joints.limited.all() == limited
    constrained = switch != "disable_constraint"
    assert (len(numbers.equalities) == 1) == numbers.dofs.frictionloss.any() == constrained


def test_a_substep_of_its_tutorials_is_told_to_be_unsafe(told):
    """Waves of 33.3 m/s on a grid of 1/64 m: 0.85 of a cell in 0.4 ms."""

    def check(material, substeps):
        scene = gs.Scene(sim_options=gs.options.SimOptions(dt=4e-3, substeps=substeps))
        scene.add_entity(gs.morphs.Sphere(pos=(0, 0, 0.5), radius=0.05), material)
        parts = assembly.assemble(scene.entities, scene, scene.solver_options, 1, ())
        assembly.checks(parts)(assembly.parameters(parts, scene, 1))

    for material in (gs.materials.MPM.ElastoPlastic(), gs.materials.MPM.Elastic(E=1e6)):
        forget_warnings()
        told_before = len(told())
        check(material, 10)
        assert "Use substeps=13 to be safe" in told()[told_before]
        check(material, 13)
        assert len(told()) == told_before + 1
        with pytest.raises(gs.GenesisException, match="substep of sphere_0 must be at most"):
            check(material, 9)
    for material in (gs.materials.MPM.Liquid(E=4e6), gs.materials.MPM.Sand(), gs.materials.MPM.Muscle(stiffness=1.0)):
        with pytest.raises(gs.GenesisException, match="substep of sphere_0 must be at most"):
            check(material, 10)
