"""Rigid bodies from meshes: their own mass and inertia, and the contact of their convex hull, beside MuJoCo's."""

import numpy as np
import pytest
import torch

import genesis as gs
from tests.meshes.shapes import CUBE, CUBE_FACES, ELL, prism, write_obj

pytest.importorskip("trimesh")
mujoco = pytest.importorskip("mujoco")
pytestmark = pytest.mark.precision("64")
VERTICES, FACES = prism(np.array(ELL) * 0.1 - (0.05, 0.02), height=0.07)
POS, EULER = (0.1, -0.2, 0.25), (25.0, -15.0, 30.0)


def mujocos(vertices, faces, rho=800.0, pos=POS, euler=EULER):
    """MuJoCo's model of the mesh above a plane, with the friction of our shapes."""
    quat = " ".join(f"{x:.17g}" for x in gs.morphs.Box(size=(1, 1, 1), euler=euler).orientation)
    text = f"""
    <mujoco>
      <option timestep="0.004" integrator="implicitfast"/>
      <asset><mesh name="m" inertia="exact" vertex="{" ".join(map(repr, np.ravel(vertices).tolist()))}"
        face="{" ".join(map(str, np.ravel(faces).tolist()))}"/></asset>
      <worldbody>
        <geom type="plane" size="5 5 1" friction="0 0.005 0.0001"/>
        <body pos="{" ".join(map(repr, pos))}" quat="{quat}"><freejoint/>
          <geom type="mesh" mesh="m" density="{rho}" friction="0.7 0.005 0.0001"/></body>
      </worldbody>
    </mujoco>"""
    return mujoco.MjModel.from_xml_string(text)


def scene_of(morph, rho=800.0, **options):
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=0.004, substeps=1), rigid_options=gs.options.RigidOptions(**options)
    )
    scene.add_entity(gs.morphs.Plane())
    return scene, scene.add_entity(morph, gs.materials.Rigid(rho=rho))


def test_mass_centre_and_inertia_are_those_of_mujoco_for_the_mesh(tmp_path):
    """Of a mesh that is not convex, whose hull has others."""
    _, body = scene_of(gs.morphs.Mesh(file=write_obj(tmp_path / "ell.obj", VERTICES, FACES)))
    theirs, ours = mujocos(VERTICES, FACES), body.model
    assert ours.mass[0] == pytest.approx(theirs.body_mass[1], rel=1e-6)
    np.testing.assert_allclose(ours.com[0], theirs.body_ipos[1], atol=1e-7)
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, theirs.body_iquat[1])
    turn = turn.reshape(3, 3)
    inertia = turn @ np.diag(theirs.body_inertia[1]) @ turn.T
    six = inertia[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    np.testing.assert_allclose(ours.inertia[0], six, atol=1e-6 * np.abs(six).max())


def test_a_mesh_falls_and_comes_to_rest_as_in_mujoco(tmp_path):
    """It lands on a corner, turns over the edges of its hull and lies down; float32 holds MuJoCo's corners."""
    file = write_obj(tmp_path / "ell.obj", VERTICES, FACES)
    scene, body = scene_of(gs.morphs.Mesh(file=file, pos=POS, euler=EULER))
    scene.build()
    theirs = mujocos(VERTICES, FACES)
    data = mujoco.MjData(theirs)
    np.testing.assert_allclose(body.get_qpos()[0].numpy(), data.qpos, atol=1e-12)
    for step in range(250):
        scene.step()
        mujoco.mj_step(theirs, data)
        if step == 99:
            np.testing.assert_allclose(body.get_qpos()[0].numpy(), data.qpos, atol=1e-4)
    assert np.abs(data.qvel).max() < 1e-3  # it has come to rest
    np.testing.assert_allclose(body.get_qpos()[0].numpy(), data.qpos, atol=1e-4)
    assert float(body.get_pos()[0, 2]) == pytest.approx(data.qpos[2], abs=1e-6)


def test_a_hull_that_is_larger_than_its_mesh_is_told_with_the_ratio(tmp_path, caplog):
    scene_of(gs.morphs.Mesh(file=write_obj(tmp_path / "ell.obj", VERTICES, FACES)))
    assert "1.4 times its volume" in caplog.text  # 7 / 5
    caplog.clear()
    scene_of(gs.morphs.Mesh(file=write_obj(tmp_path / "cube.obj", CUBE, CUBE_FACES)))
    assert "times its volume" not in caplog.text


def test_a_fixed_mesh_stays_and_has_its_inertia(tmp_path):
    file = write_obj(tmp_path / "cube.obj", CUBE, CUBE_FACES)
    _, body = scene_of(gs.morphs.Mesh(file=file, fixed=True, scale=(0.1, 0.2, 0.4)), rho=1000.0)
    assert body.n_dofs == 0 and body.model.mass[0] == pytest.approx(8.0)
    np.testing.assert_allclose(body.model.com[0], (0.05, 0.1, 0.2))


def test_a_mesh_of_a_box_lies_as_the_box_in_compliant_contact(tmp_path):
    """Where points of a shape touch the ground alone: with gradients."""
    file = write_obj(tmp_path / "cube.obj", CUBE - 0.5, CUBE_FACES)
    size, pose = (0.2, 0.3, 0.1), {"pos": (0.0, 0.0, 0.2), "euler": (15.0, 10.0, 0.0)}
    found = []
    for morph in (gs.morphs.Box(size=size, **pose), gs.morphs.Mesh(file=file, scale=size, **pose)):
        scene = gs.Scene(
            sim_options=gs.options.SimOptions(dt=0.01, substeps=4, requires_grad=True),
            rigid_options=gs.options.RigidOptions(contact=gs.options.CompliantContact()),
        )
        scene.add_entity(gs.morphs.Plane())
        body = scene.add_entity(morph, gs.materials.Rigid())
        scene.build()
        speed = torch.tensor([[0.2, 0.1, -1.0, 0.0, 0.3, 0.1]], dtype=torch.float64, requires_grad=True)
        body.set_dofs_velocity(speed)
        for _ in range(12):
            scene.step()
        body.get_qpos().square().sum().backward()
        found.append((body.get_qpos().detach(), speed.grad))
    for box, mesh in zip(*found, strict=True):
        torch.testing.assert_close(mesh, box, atol=1e-9, rtol=1e-9)
