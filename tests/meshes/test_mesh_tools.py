"""Tools from meshes push particles by a grid of signed distances, with exact gradients of their poses."""

import ast
import re

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.math import quaternion
from genesis.meshes import distances
from genesis.meshes.distances import grid_of, nearest_points
from genesis.meshes.surface import Surface
from tests.meshes.shapes import CUBE, CUBE_FACES, ELL, ball, prism, write_obj
from tests.physics.finite import compare
from tests.physics.worlds import F64, build, everything, fresh, leaf, material, noise, plain, probe, push

pytest.importorskip("trimesh")
pytestmark = pytest.mark.precision("64")
BAR = 1e-4
PLACE = (0.78, 0.82, 0.485)
"""Of a ball of 20 cm that reaches 1.5 cm into the block."""


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A ball of 2 units whose file has it beside its origin, pressed a little along y: nothing about it is simple."""
    folder = tmp_path_factory.mktemp("tools")
    vertices, faces = ball(24)
    file = write_obj(folder / "ball.obj", vertices + (0.25, -0.1, 0.15), faces)
    morph = gs.morphs.Mesh(file=file, scale=(0.4, 0.36, 0.4), pos=(0.7807, 0.8269, 0.4862), euler=(4.0, -3.0, 8.0))
    return build(tools=[morph], n_envs=2, outputs=("wrench",))


def check(world, value, apply):
    def loss(x):
        fresh(world)
        push(world)
        apply(world, x)
        world.run(5)
        assert plain(world.tool.get_wrench()).detach().abs().amax(-1).min() > 0.1, "every environment must touch"
        return probe(*everything(world), 0.02 * world.tool.get_wrench())

    (found,) = compare(loss, [leaf(value)], most=13, bar=BAR)
    print(found)
    found.check(BAR)


def test_gradients_of_pose_and_velocity_are_those_of_differences(world):
    morph = world.tool.morph
    moved = torch.tensor([*morph.pos, *morph.orientation], dtype=F64) + 0.005 * noise(2, 7)
    value = torch.cat([moved, torch.tensor([0.15, 0.1, 0.6, 0.5, -0.4, 0.6], dtype=F64).expand(2, 6)], -1)

    def place(w, x):
        w.tool.set_position(x[..., :3])
        w.tool.set_quaternion(x[..., 3:7])
        w.tool.set_velocity(x[..., 7:10], x[..., 10:])

    check(world, value, place)


def test_gradients_of_friction_and_particles_are_those_of_differences(world):
    check(world, [0.2, 0.5], lambda w, x: w.tool.set_friction(x))
    check(world, 0.4 * noise(2, 27, 3), lambda w, x: w.body.set_velocity(x))


def test_gradients_in_closed_loop_are_those_of_differences(world):
    """The tool follows what it pushes, which follows the tool."""

    def loss(gain):
        fresh(world)
        for _ in range(5):
            seen = torch.cat([plain(world.body.get_particles_pos()).mean(1) - 0.8, plain(world.tool.get_vel())], 1)
            asked = torch.tanh(seen @ gain.T) + torch.tensor([0.15, 0.1, 0.6, 0.5, -0.4, 0.6], dtype=F64)
            world.tool.set_velocity(asked[:, :3], asked[:, 3:])
            world.scene.step()
        assert plain(world.tool.get_wrench()).detach().abs().amax(-1).min() > 0.1, "every environment must touch"
        return probe(*everything(world), 0.02 * world.tool.get_wrench())

    (found,) = compare(loss, [leaf(0.5 * noise(6, 6, seed=8))], most=13, bar=BAR)
    found.check(BAR)


def test_a_mesh_of_a_ball_pushes_as_the_ball(tmp_path):
    file = write_obj(tmp_path / "ball.obj", *ball(64, 0.2))
    found = []
    for morph in (gs.morphs.Sphere(pos=PLACE, radius=0.2), gs.morphs.Mesh(file=file, scale=0.4, pos=PLACE)):
        world = build(tools=[morph], n_envs=2, outputs=("wrench",))
        push(world)
        world.run(6)
        body = world.body
        moved = body.get_particles_pos().detach() - torch.as_tensor(body.initial_positions)
        found.append((moved, world.tool.get_wrench().detach()))
    for (sphere, mesh), part in zip(zip(*found, strict=True), ("moved", "wrench"), strict=True):
        assert (mesh - sphere).abs().max() < 0.02 * sphere.abs().max(), part


# Sizes.


def world_corners(morph):
    quat, corners = torch.tensor(morph.orientation, dtype=F64), torch.tensor(morph.surface.vertices)
    return quaternion.rotate(quat, corners).numpy() + morph.pos


@pytest.mark.parametrize("scale", [0.6, (0.6, 0.9, 0.3)], ids=["one", "three"])
def test_the_longest_edge_of_a_tools_mesh_is_its_scale(tmp_path, caplog, scale):
    """About its middle, as in the public engine; all other materials, and the morph itself, have the file's frame."""
    file = write_obj(tmp_path / "brick.obj", CUBE * (40.0, 160.0, 80.0) + (10.0, 0.0, -7.0), CUBE_FACES)
    morph = gs.morphs.Mesh(file=file, scale=scale, pos=(0.1, 0.2, 0.3), euler=(0.0, 0.0, 90.0))
    scene, scales = gs.Scene(), np.broadcast_to(scale, 3)
    tool = scene.add_entity(morph, gs.materials.Tool(), name="brick")
    np.testing.assert_allclose(tool.morph.half_extent, scales * (0.125, 0.5, 0.25), rtol=1e-12)
    np.testing.assert_allclose(tool.morph.centre, 0.0, atol=1e-12)
    assert tool.morph.volume == pytest.approx(scales.prod() * 0.125, rel=1e-12)
    np.testing.assert_allclose(morph.half_extent, scales * (20.0, 80.0, 40.0), rtol=1e-12)
    rigid = scene.add_entity(morph, gs.materials.Rigid())
    assert rigid.morph is morph and len(caplog.messages) == 1
    (said,) = caplog.messages
    assert "'brick' is" in said and "m about (0.1, 0.2, 0.3), where units and origin of" in said
    remedy = re.search(r"For these pass scale=(.*), pos=(\(.*\))", said)
    given = {name: ast.literal_eval(text) for name, text in zip(("scale", "pos"), remedy.groups(), strict=True)}
    asked = gs.morphs.Mesh(file=file, euler=morph.euler, **given)
    again = gs.Scene().add_entity(asked, gs.materials.Tool(), name="again")
    np.testing.assert_allclose(world_corners(again.morph), world_corners(morph), rtol=1e-5, atol=1e-3)
    gs.Scene().add_entity(again.morph, gs.materials.Tool(), name="once more")
    assert len(caplog.messages) == 2, "what is normalised stays as it is"


def test_a_tools_mesh_of_unit_length_about_its_origin_is_the_files(tmp_path, caplog):
    file = write_obj(tmp_path / "brick.obj", (CUBE - 0.5) * (0.3, 1.0, 0.5), CUBE_FACES)
    morph = gs.morphs.Mesh(file=file, scale=0.6)
    tool = gs.Scene().add_entity(morph, gs.materials.Tool())
    np.testing.assert_allclose(tool.morph.surface.vertices, morph.surface.vertices, rtol=1e-12)
    assert not caplog.messages


# Distances.


def surface_of(vertices, faces):
    return Surface(np.asarray(vertices, float), np.asarray(faces))


@pytest.mark.parametrize("shape", ["ball", "ell", "cube"])
def test_distances_are_those_to_the_nearest_triangle(shape):
    """Near the surface exactly, elsewhere to a twentieth of a cell; of the right sign."""
    parts = {"ball": ball(32, 0.1), "ell": prism(np.array(ELL) * 0.1, 0.07), "cube": (0.2 * CUBE, CUBE_FACES)}[shape]
    surface = surface_of(*parts)
    grid = grid_of(surface, 24, 0.05)
    at = np.random.default_rng(0).integers(0, np.array(grid.values.shape), (400, 3))
    points, triangles = grid.lower + grid.spacing * at, surface.vertices[surface.faces]
    each = [nearest_points(np.repeat(p[None], len(triangles), 0), triangles) - p for p in points]
    wanted = np.array([np.linalg.norm(apart, axis=1).min() for apart in each])
    found = grid.values[tuple(at.T)]
    near = wanted < grid.spacing
    assert np.abs(np.abs(found) - wanted)[near].max() < 1e-9
    assert np.abs(np.abs(found) - wanted).max() < 0.06 * grid.spacing
    clear = wanted > 1e-9
    assert ((found < 0) == (surface.winding(points) > 0))[clear].all()
    assert grid.volume() == pytest.approx(surface.volume, rel=0.03)
    beyond = surface.upper + 0.05
    assert (grid.lower + grid.spacing <= surface.lower - 0.05 + 1e-12).all()
    assert (grid.lower + grid.spacing * (np.array(grid.values.shape) - 2) >= beyond - 1e-12).all()


def test_nearest_points_of_triangles_are_at_corners_edges_or_faces():
    triangle = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]])
    for point, wanted in (
        ((0.2, 0.3, 0.7), (0.2, 0.3, 0)), ((-1, -1, 1), (0, 0, 0)), ((3, 0, 0), (1, 0, 0)),
        ((0.5, -2, 1), (0.5, 0, 0)), ((1, 1, 0.5), (0.5, 0.5, 0)), ((-1, 4, 0), (0, 1, 0)),
    ):  # fmt: skip
        np.testing.assert_allclose(nearest_points(np.array([point], float), triangle)[0], wanted, atol=1e-15)


def test_distances_are_computed_once_for_what_they_come_from(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done, real = [], distances.signed_distances
    monkeypatch.setattr(distances, "signed_distances", lambda *given: done.append(given) or real(*given))
    first = grid_of(surface_of(CUBE, CUBE_FACES), 8, 0.1)
    again = grid_of(surface_of(CUBE.copy(), CUBE_FACES.copy()), 8, 0.1)
    assert len(done) == 1 and (first.values == again.values).all()
    grid_of(surface_of(CUBE * (1, 1, 1.01), CUBE_FACES), 8, 0.1)
    grid_of(surface_of(CUBE, CUBE_FACES), 9, 0.1)
    grid_of(surface_of(CUBE, CUBE_FACES), 8, 0.11)
    assert len(done) == 4
    for file in tmp_path.rglob("*.npy"):
        file.write_bytes(file.read_bytes()[:100])
    assert (grid_of(surface_of(CUBE, CUBE_FACES), 8, 0.1).values == first.values).all() and len(done) == 5
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")
    assert (grid_of(surface_of(CUBE, CUBE_FACES), 8, 0.1).values == first.values).all() and len(done) == 6


def test_a_tool_too_thin_for_its_grid_is_told(tmp_path, caplog):
    file = write_obj(tmp_path / "sheet.obj", (CUBE - 0.5) * (0.2, 0.2, 0.006), CUBE_FACES)
    for resolution, told in ((8, True), (128, False)):
        caplog.clear()
        scene = gs.Scene()
        stuff = gs.materials.Tool(sdf_res=resolution, coup_softness=0.0)
        scene.add_entity(gs.morphs.Mesh(file=file, scale=0.2, pos=(0, 0, 0.5)), stuff)
        scene.build()
        assert ("must resolve its mesh" in caplog.text) == told


@pytest.mark.parametrize("resolution", [7, 257, 64.0, True])
def test_resolutions_out_of_range_are_refused(resolution):
    with pytest.raises(gs.GenesisException, match="Tool.sdf_res"):
        gs.materials.Tool(sdf_res=resolution)


def test_exports_and_pictures_have_the_triangles(tmp_path):
    """Of a tool and of a rigid body; the tool is an L, in whose hollow the picture shows nothing."""
    import trimesh

    file = write_obj(tmp_path / "ell.obj", *prism(np.array(ELL) * 0.1, 0.1))
    scene = gs.Scene()
    ell = gs.morphs.Mesh(file=file, scale=0.3, pos=(0.25, 0.35, 0.35))
    scene.add_entity(ell, gs.materials.Tool(sdf_res=8), name="ell")
    scene.add_entity(gs.morphs.Mesh(file=file, pos=(0.1, -0.8, 0.3), fixed=True), gs.materials.Rigid(), name="twin")
    camera = scene.add_camera(res=(40, 40), pos=(0.25, 0.35, 3.0), lookat=(0.25, 0.35, 0.3), up=(0, 1, 0), fov=12.0)
    scene.build()
    camera.export(tmp_path / "all.glb")
    found = [part for part in trimesh.load_scene(tmp_path / "all.glb").geometry.values() if len(part.faces) == 20]
    assert len(found) >= 1  # equal triangles are stored once
    for part in found:
        part.merge_vertices(merge_norm=True)
        assert abs(part.volume) == pytest.approx(0.005, rel=1e-5)
    seen = np.asarray(camera.render(segmentation=True)[2]).reshape(40, 40)
    metre = 40 / (2 * 2.6 * np.tan(np.radians(6)))  # of the upper face
    assert (seen == 1).sum() == pytest.approx(0.05 * metre**2, rel=0.05)


def test_particles_feel_a_rigid_mesh_as_the_shape_that_it_is(tmp_path):
    """A ball that is fixed, beside one of the analytic shape; and the same ball as a hull of an MJCF file."""
    vertices, faces = ball(40, 0.2)
    file = write_obj(tmp_path / "ball.obj", vertices, faces)
    words = " ".join(f"{x:.9f}" for x in vertices.ravel())
    (tmp_path / "ball.xml").write_text(
        f'<mujoco><asset><mesh name="m" vertex="{words}"/></asset><worldbody><body pos="{PLACE[0]} {PLACE[1]} '
        f'{PLACE[2]}"><geom type="mesh" mesh="m" friction="0.7"/></body></worldbody></mujoco>'
    )
    found = []
    for morph in (
        gs.morphs.Sphere(pos=PLACE, radius=0.2, fixed=True),
        gs.morphs.Mesh(file=file, pos=PLACE, fixed=True),
        gs.morphs.MJCF(file=tmp_path / "ball.xml"),
    ):
        scene = gs.Scene(
            sim_options=gs.options.SimOptions(dt=8e-3, substeps=4, requires_grad=True),
            mpm_options=gs.options.MPMOptions(grid_density=10, lower_bound=(0,) * 3, upper_bound=(1.6,) * 3),
        )
        body = scene.add_entity(gs.morphs.Box(pos=(0.8, 0.8, 0.8), size=(0.15,) * 3), material("neohooken"))
        scene.add_entity(morph, gs.materials.Rigid(coup_softness=0.03))
        scene.build()
        body.set_velocity([0.1, 0.0, -0.6])
        for _ in range(6):
            scene.step()
        found.append(body.get_particles_pos().detach() - torch.as_tensor(body.initial_positions))
    sphere, mesh, hull = found
    free = torch.tensor([0.1, 0.0, -0.6], dtype=F64) * 0.048 - torch.tensor([0, 0, 9.81], dtype=F64) * 0.048**2 / 2
    assert (sphere - free).abs().max() > 0.003  # it is pushed
    assert (mesh - sphere).abs().max() < 0.02 * sphere.abs().max()
    assert (hull - sphere).abs().max() < 0.02 * sphere.abs().max()
