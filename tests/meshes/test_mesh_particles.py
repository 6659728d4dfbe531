"""Bodies of particles from meshes: the same particles as those of the shape that the mesh has, all inside."""

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.engine.sampling import sample
from tests.meshes.shapes import CUBE, CUBE_FACES, ball, write_obj
from tests.physics.worlds import material

pytest.importorskip("trimesh")
pytestmark = pytest.mark.precision("64")
SIZE, POSE = (0.2, 0.15, 0.25), {"pos": (0.8, 0.75, 0.85), "euler": (20.0, -30.0, 40.0)}


@pytest.fixture
def block(tmp_path):
    """A cuboid about the origin of its file, in millimetres."""
    return write_obj(tmp_path / "block.obj", (CUBE - 0.5) * SIZE * 1000.0, CUBE_FACES)


def positions(morph, sampler="pbs", seed=0):
    return sample(morph, 0.02, sampler, np.random.default_rng(seed))


@pytest.mark.parametrize("sampler", ["regular", "random"])
def test_a_mesh_of_a_box_has_the_particles_of_the_box(block, sampler):
    box, mesh = gs.morphs.Box(size=SIZE, **POSE), gs.morphs.Mesh(file=block, scale=1e-3, **POSE)
    np.testing.assert_allclose(positions(mesh, sampler), positions(box, sampler), atol=1e-14)
    assert (positions(mesh, sampler) == positions(mesh, sampler)).all()


@pytest.mark.parametrize("sampler", ["regular", "random"])
def test_particles_of_a_ball_off_its_files_origin_are_in_the_ball(tmp_path, sampler):
    vertices, faces = ball(48, 0.15)
    file = write_obj(tmp_path / "ball.obj", vertices + (0.4, -0.1, 0.2), faces)
    morph = gs.morphs.Mesh(file=file, pos=(0.4, 0.9, 0.6))
    found = positions(morph, sampler)
    apart = np.linalg.norm(found - (0.8, 0.8, 0.8), axis=1)
    assert apart.max() <= 0.15
    assert len(found) == pytest.approx(morph.volume / 0.02**3, rel=0.03)
    np.testing.assert_allclose(found.mean(0), 0.8, atol=0.15 / len(found) ** 0.5)


def test_a_mesh_moves_as_the_box_that_it_is(block):
    """Through a fall and an impact on the floor of the domain, with gradients; of its own mass."""
    paths = []
    for morph in (gs.morphs.Box(size=SIZE, **POSE), gs.morphs.Mesh(file=block, scale=1e-3, **POSE)):
        scene = gs.Scene(
            sim_options=gs.options.SimOptions(dt=8e-3, substeps=4, requires_grad=True),
            mpm_options=gs.options.MPMOptions(grid_density=10, lower_bound=(0,) * 3, upper_bound=(1.6,) * 3),
        )
        body = scene.add_entity(morph=morph, material=material("corotation"))
        scene.build(n_envs=2)
        assert body.get_mass().tolist() == pytest.approx([7.5, 7.5], rel=1e-12)
        start = torch.tensor([[0.3, 0.2, -5.0]] * 2, dtype=torch.float64, requires_grad=True)
        body.set_velocity(start)
        for _ in range(8):
            scene.step()
        (body.get_particles_pos() ** 2).mean().backward()
        paths.append((body.get_particles_pos().detach(), body.get_particles_vel().detach(), start.grad))
    for box, mesh in zip(*paths, strict=True):
        torch.testing.assert_close(mesh, box, atol=1e-11, rtol=0.0)


def test_every_material_of_particles_can_be_a_mesh(block):
    stuff = [kind() for kind in vars(gs.materials.MPM).values() if isinstance(kind, type)]
    assert len(stuff) >= 6
    morph = gs.morphs.Mesh(file=block, scale=1e-3, pos=(0, 0, 0.5))
    for each in stuff:
        scene = gs.Scene(sim_options=gs.options.SimOptions(dt=1e-4), mpm_options=gs.options.MPMOptions(grid_density=20))
        body = scene.add_entity(morph, each)
        scene.build()
        mass = float(each.rho) * morph.volume
        assert body.n_particles > 400 and float(body.get_mass()[0]) == pytest.approx(mass)


@pytest.mark.parametrize(
    ("given", "words"),
    [({"scale": 1e-3}, "must keep .* m from the faces of the domain"), ({"scale": 1.0}, "must fit into the domain")],
)
def test_a_mesh_outside_the_domain_is_refused_at_build(block, given, words):
    """Also one that was meant in millimetres, without an attempt to fill it."""
    scene = gs.Scene(mpm_options=gs.options.MPMOptions(grid_density=10))
    scene.add_entity(gs.morphs.Mesh(file=block, pos=(0, 0, 9.0), **given), gs.materials.MPM.Liquid())
    with pytest.raises(gs.GenesisException, match=words):
        scene.build()
    assert not scene.is_built


def test_a_mesh_that_is_too_small_for_a_particle_is_refused_at_build(block):
    scene = gs.Scene(mpm_options=gs.options.MPMOptions(grid_density=10))
    scene.add_entity(gs.morphs.Mesh(file=block, scale=1e-5, pos=(0, 0, 0.5)), gs.materials.MPM.Liquid())
    with pytest.raises(gs.GenesisException, match="at least one particle, got Mesh"):
        scene.build()


def test_a_mesh_of_particles_cannot_be_fixed(block):
    scene = gs.Scene()
    with pytest.raises(gs.GenesisException, match="Mesh.fixed must be False"):
        scene.add_entity(gs.morphs.Mesh(file=block, fixed=True), gs.materials.MPM.Elastic())
