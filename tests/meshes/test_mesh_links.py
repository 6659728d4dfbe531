"""Links that are meshes push particles and feel them, by their grids of distances, with gradients both ways."""

import pytest
import torch

import genesis as gs
from genesis.math.quaternion import normalise
from tests.meshes.shapes import ball, write_obj
from tests.physics.finite import compare
from tests.physics.test_links_push_particles import particles, scene_of
from tests.physics.worlds import F64, noise, plain

pytest.importorskip("trimesh")
pytest.importorskip("mujoco")
pytestmark = pytest.mark.precision("64")
BAR = 1e-4
STUFF = gs.materials.Rigid(rho=1500.0, friction=0.4, coup_softness=0.02)
ARM = """
<mujoco><asset><mesh name="m" vertex="{}"/></asset><worldbody><body pos="0.42 0.8 0.8">
  <joint type="hinge" axis="0 0.3 1" damping="0.1"/><joint type="slide" axis="1 0 0.1"/>
  <geom type="capsule" fromto="-.1 0 0 .05 0 .02" size=".03" mass="4"/>
  <body pos=".06 0 0"><joint type="ball"/><geom type="mesh" mesh="m" pos=".1 .02 0" euler="10 20 30" mass="3"/></body>
</body></worldbody></mujoco>
"""


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def free_mesh(folder):
    """Beside its origin, pressed a little along y: nothing about it is simple."""
    vertices, faces = ball(24, 0.1)
    file = write_obj(folder / "ball.obj", vertices + (0.05, -0.02, 0.03), faces)
    return gs.morphs.Mesh(file=file, scale=(1.0, 0.9, 1.0), pos=(0.56, 0.84, 0.755), euler=(4.0, -3.0, 8.0))


def arm_of_meshes(folder):
    words = " ".join(f"{x:.9f}" for x in ball(16, 0.08)[0].ravel())
    (folder / "arm.xml").write_text(ARM.format(words))
    return gs.morphs.MJCF(file=folder / "arm.xml")


@pytest.mark.parametrize("own", [4, 2])
@pytest.mark.parametrize("morph", [free_mesh, arm_of_meshes])
def test_gradients_go_both_ways_through_a_moving_mesh(morph, own, tmp_path):
    """Pressed together and sliding along each other, in closed loop both ways: forces follow particles, particles'
    place follows the body through contact. The links step with particles, or half as often."""
    scene, block, (body,) = scene_of((morph(tmp_path), STUFF), rigid={"substeps": own})
    q = plain(body.get_qpos()).detach().clone()
    free = body.n_qs == 7
    turn = 3 if free else 2
    v, u = 0.3 * noise(2, body.n_dofs, seed=1), 0.05 * noise(2, block.n_particles, 3, seed=2)
    v[:, 0 if free else 1], u[..., 0] = 0.7, u[..., 0] - 0.5
    q[:, 0 if free else 1] += 0.027 if free else 0.03
    gain, masses = 0.5 * noise(body.n_dofs, 6, seed=4), torch.tensor([4.0, 3.0][: body.n_links], dtype=F64)
    frictions = torch.tensor([0.4, 0.25], dtype=F64)
    inputs = [value.requires_grad_() for value in (q, v, u, gain, masses, frictions)]
    weights = [noise(2, body.n_qs + body.n_dofs, seed=3), noise(2, block.n_particles, 6, seed=5)]

    def run(q, v, u, gain, masses, frictions):
        scene.reset()
        body.set_mass(masses)
        body.set_friction(frictions[:, None] * torch.ones(1, body.n_geoms, dtype=F64))
        body.set_qpos(torch.cat([q[:, :turn], normalise(q[:, turn:])], 1))
        body.set_dofs_velocity(v)
        block.set_velocity(u)
        for step in range(4):
            body.control_dofs_force(torch.tanh(particles(scene).mean(1) @ gain.T))
            scene.step()
            if step == 1:
                body.set_dofs_velocity(v[:1], envs_idx=[1])
        return torch.cat([plain(body.get_qpos()), plain(body.get_dofs_velocity())], 1), particles(scene)

    ends = run(*inputs)
    apart = run(*inputs[:2], u + torch.tensor([5.0, 0.0, 0.0], dtype=F64), *inputs[3:])
    assert (ends[0] - apart[0]).abs().amax(1).min() > 0.02, "the body must feel the particles"
    for side, weight in enumerate(weights):

        def loss(*given, side=side, weight=weight):
            return (run(*given)[side] * weight).sum()

        for comparison in compare(loss, inputs, bar=BAR):
            comparison.check(BAR)
