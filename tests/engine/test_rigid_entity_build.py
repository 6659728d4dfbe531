"""Rigid entities: what a scene makes of morphs and materials, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

import genesis as gs
from genesis.engine import articulated
from genesis.engine.entities.ground import GroundEntity
from genesis.engine.entities.particle import ParticleEntity
from genesis.engine.entities.rigid import RigidEntity
from genesis.engine.entities.tool import ToolEntity
from genesis.loaders.model import GroundGeom
from tests.engine.rigid_scenes import box, mixed

Rigid, Tool, Elastic = gs.materials.Rigid, gs.materials.Tool, gs.materials.MPM.Elastic
CUBE = gs.morphs.Box(size=(0.1, 0.1, 0.1), pos=(0, 0, 0.5))


def scene_with(*bodies, **options):
    scene = gs.Scene(**options)
    for morph, material in bodies:
        scene.add_entity(morph, material)
    return scene


def test_materials_decide():
    scene = gs.Scene()
    cases = (
        (CUBE, None, RigidEntity),
        (CUBE, gs.materials.MPM.Elastic(), ParticleEntity),
        (CUBE, Tool(), ToolEntity),
        (CUBE, Rigid(), RigidEntity),
        (gs.morphs.Plane(), None, GroundEntity),
        (gs.morphs.Plane(), Tool(), ToolEntity),
        (gs.morphs.Terrain(heights=np.zeros((3, 4))), None, GroundEntity),
        (gs.morphs.Robot(name="hopper"), None, RigidEntity),
    )
    for morph, material, kind in cases:
        assert type(scene.add_entity(morph, material)) is kind


@pytest.mark.parametrize(
    "morph, size, mass",
    [
        (gs.morphs.Box(size=(0.1, 0.2, 0.3)), (0.05, 0.1, 0.15), 6.0),
        (gs.morphs.Sphere(radius=0.1), (0.1, 0, 0), 4 / 3 * np.pi),
        (gs.morphs.Capsule(radius=0.1, height=0.3), (0.1, 0.15, 0), np.pi * (3 + 4 / 3)),
        (gs.morphs.Cylinder(radius=0.1, height=0.3), (0.1, 0.15, 0), np.pi * 3),
    ],
)
def test_solids(morph, size, mass):
    body = gs.Scene().add_entity(morph, Rigid())
    (geom,) = body.model.geoms
    assert geom.kind == type(morph).__name__.lower() and geom.size == pytest.approx(size)
    assert body.model.mass[0] == pytest.approx(mass) and geom.friction == 0.7
    assert (body.n_links, body.n_qs, body.n_dofs) == (1, 7, 6)


@pytest.mark.precision("32")
def test_poses_compose(monkeypatch):
    monkeypatch.setattr(articulated, "load_robot", lambda name: mixed())
    scene = gs.Scene(rigid_options=gs.options.RigidOptions(integrator="Euler"))
    robot = scene.add_entity(gs.morphs.Robot(name="mixed", pos=(1.0, 0.0, 0.0), euler=(0, 0, 90)))
    wall = scene.add_entity(gs.morphs.Box(size=(1, 1, 1), pos=(0, 5, 0), euler=(0, 0, 90), fixed=True), Rigid())
    scene.build()
    half = 0.5**0.5
    assert robot.get_pos()[0].tolist() == pytest.approx([0.8, 0.1, 0.5])
    assert robot.get_quat()[0].tolist() == pytest.approx([half, 0, 0, half])
    assert wall.get_pos().tolist() == [[0, 5, 0]] and wall.get_quat()[0].tolist() == pytest.approx([half, 0, 0, half])
    scene.step()
    assert wall.get_pos().tolist() == [[0, 5, 0]]


def test_planes_of_a_file_become_entities(monkeypatch):
    grounds = (GroundGeom("floor", "plane", (0.0, 0.0, -1.0), (0.0, 0.0, 1.0), 0.8),)
    monkeypatch.setattr(articulated, "load_robot", lambda name: replace(mixed(), grounds=grounds))
    scene = gs.Scene()
    robot = scene.add_entity(gs.morphs.Robot(name="mixed", pos=(0, 0, 3)), name="r")
    other = scene.add_entity(*box())
    floor = scene.entities[1]
    assert [e.name for e in scene.entities] == ["r", "r/floor", "box_2"] and [e.idx for e in scene.entities] == [
        0,
        1,
        2,
    ]
    assert floor.morph.pos == (0.0, 0.0, -1.0)
    scene.build(n_envs=2)
    assert floor.get_friction().tolist() == pytest.approx([0.8] * 2)
    assert robot.n_links == 4 and other.n_links == 1
    bare = gs.Scene()
    bare.add_entity(gs.morphs.Robot(name="mixed", ground=False))
    assert len(bare.entities) == 1
    twice = scene_with((gs.morphs.Robot(name="mixed"), None), (gs.morphs.Plane(pos=(3, 4, -1)), None))
    with pytest.raises(ValueError, match="grounds must not lie in one plane, got 'robot_0/floor' and 'plane_2'"):
        twice.build()


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda: scene_with((gs.morphs.Plane(), None)).build(), "must have a body on it, got 'plane_0' alone"),
        (
            lambda: scene_with((gs.morphs.Terrain(heights=np.zeros((3, 3))), Tool())),
            "a tool must be solid.*got a Terrain",
        ),
        (lambda: scene_with((gs.morphs.Robot(name="ant"), Elastic())), "particles must be solid.*got a Robot"),
        (lambda: scene_with((gs.morphs.Robot(name="ant"), Tool())), "tool must be solid.*got a Robot"),
        (lambda: scene_with((gs.morphs.Robot(name="aunt"), None)), "robot must be one of ant,.*got 'aunt'"),
        (
            lambda: scene_with((gs.morphs.Sphere(fixed=True), Elastic())),
            "Sphere.fixed must be False with material Elastic",
        ),
        (lambda: scene_with((CUBE, Rigid())).build(outputs=("wrench",)), "must come from a tool"),
        (lambda: scene_with((CUBE, Tool())).build(outputs=("contacts",)), "'contacts' must come from a rigid body"),
        (lambda: gs.Scene(rigid_options=gs.options.SimOptions()), "rigid_options must be a options.RigidOptions"),
    ],
)
def test_refusals(act, message):
    with pytest.raises(gs.GenesisException, match=message):
        act()


def test_a_refused_robot_is_not_added(tmp_path):
    broken = tmp_path / "broken.xml"
    broken.write_text("<mujoco><worldbody><body")
    scene = gs.Scene()
    with pytest.raises(gs.GenesisException):
        scene.add_entity(gs.morphs.MJCF(file=broken))
    with pytest.raises(gs.GenesisException):
        scene.add_entity(gs.morphs.URDF(file=str(broken), fixed=True))
    assert scene.entities == []


def test_files(tmp_path):
    pytest.importorskip("mujoco")
    mjcf, urdf = tmp_path / "a.xml", tmp_path / "b.urdf"
    mjcf.write_text(
        '<mujoco><worldbody><geom name="floor" type="plane" size="1 1 1"/><body name="ball" pos="0 0 1"><freejoint/>'
        '<geom type="sphere" size="0.1" mass="2"/></body></worldbody></mujoco>'
    )
    urdf.write_text(
        '<robot name="u"><link name="base"><inertial><mass value="3"/>'
        '<inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial></link></robot>'
    )
    scene = gs.Scene()
    ball = scene.add_entity(gs.morphs.MJCF(file=mjcf, pos=(0, 0, 0.5)))
    free = scene.add_entity(gs.morphs.URDF(file=urdf, pos=(1, 0, 2)))
    held = scene.add_entity(gs.morphs.URDF(file=urdf, fixed=True, pos=(0, 1, 2)))
    also = scene.add_entity(gs.morphs.MJCF(file=mjcf, fixed=True, ground=False))
    scene.build()
    assert len(scene.entities) == 5 and scene.entities[1].name.endswith("/floor")
    assert ball.get_pos().tolist() == [[0, 0, 1.5]] and free.get_pos().tolist() == [[1, 0, 2]]
    assert held.get_pos().tolist() == [[0, 1, 2]] and also.get_pos().tolist() == [[0, 0, 1]]
    assert [e.n_dofs for e in (ball, free, held, also)] == [6, 6, 0, 0]
    assert [float(e.get_mass()) for e in (ball, free)] == [2.0, 3.0]


@pytest.mark.precision("32")
def test_terrain():
    heights = np.tile(np.linspace(0.0, 1.0, 11)[:, None], (1, 5))
    scene = gs.Scene(sim_options=gs.options.SimOptions(dt=0.01, substeps=8))
    ball = scene.add_entity(gs.morphs.Sphere(radius=0.1, pos=(0.5, 0.2, 0.65)), Rigid())
    scene.add_entity(gs.morphs.Terrain(heights=heights, spacing=0.1, pos=(0.0, 0.0, 0.0)), Rigid(friction=0.0))
    scene.build()
    for _ in range(30):
        scene.step()
    assert scene.failures == []
    assert float(ball.get_vel()[0, 0]) < -0.5 < float(ball.get_pos()[0, 2])


def test_before_build():
    scene = gs.Scene()
    body, plane = scene.add_entity(*box()), scene.add_entity(gs.morphs.Plane())
    assert body.n_dofs == 6 and body.get_link("box").idx_local == 0
    for call in (body.get_pos, body.get_qpos, lambda: body.set_mass(1.0), plane.get_friction):
        with pytest.raises(RuntimeError, match=r"must be built first.*scene\.build"):
            call()
    assert not hasattr(body, "no_such_thing")


def test_the_compliant_model_refuses_bodies_that_could_touch():
    options = gs.options.RigidOptions(contact=gs.options.CompliantContact())
    for other in (box((0, 0, 0.3)), (gs.morphs.Box(pos=(0, 0, 0.3), size=(0.1, 0.1, 0.1), fixed=True), None)):
        with pytest.raises(ValueError, match="must touch nothing but the ground, got .*box_0.* and .*Use RigidOptions"):
            scene_with(box((0, 0, 0.1)), other, rigid_options=options).build()
    scene_with(box((0, 0, 0.1)), (gs.morphs.Plane(), None), rigid_options=options).build()
