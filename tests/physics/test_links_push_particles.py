"""Particles among rigid bodies: links and grounds push them as tools of the same motion do, with gradients."""

import pytest
import torch

import genesis as gs
from tests.physics.finite import compare
from tests.physics.worlds import F64, LOWER, UPPER

pytestmark = pytest.mark.precision("64")
BLOCK = gs.morphs.Box(pos=(0.8, 0.8, 0.8), size=(0.2, 0.2, 0.2))
ARM = """
<mujoco><worldbody><body pos="0.55 0.8 0.8">
  <joint name="turn" type="hinge" axis="0 0.3 1" damping="0.1"/><joint name="out" type="slide" axis="1 0 0.1"/>
  <geom type="capsule" fromto="-.1 0 0 .05 0 .02" size=".03" mass="4"/>
  <body pos=".06 0 0"><joint name="wrist" type="ball"/>
    <geom type="box" size=".05 .04 .03" pos=".03 0 0" euler="10 20 30" mass="3"/>
    <geom type="ellipsoid" size=".02 .02 .03" mass=".1" contype="0" conaffinity="0"/></body>
</body></worldbody></mujoco>
"""


def scene_of(*bodies, n_envs=2, substeps=4, dt=4e-3, gravity=(0.0, 0.0, 0.0), rigid=None, outputs=()):
    """A block of particles and more bodies, (morph, material) each."""
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=dt, substeps=substeps, gravity=gravity, requires_grad=True),
        mpm_options=gs.options.MPMOptions(grid_density=10, lower_bound=(LOWER,) * 3, upper_bound=(UPPER,) * 3),
        rigid_options=gs.options.RigidOptions(**{"integrator": "Euler", **(rigid or {})}),
    )
    block = scene.add_entity(BLOCK, gs.materials.MPM.Elastic(E=1e4, nu=0.3, model="neohooken"))
    others = [scene.add_entity(morph, material) for morph, material in bodies]
    scene.build(n_envs=n_envs, outputs=outputs)
    return scene, block, others


def particles(scene):
    state = scene.get_state()
    return torch.cat([state.pos, state.vel], -1).as_subclass(torch.Tensor)


HEAVY = gs.materials.Rigid(rho=1e18, friction=0.4)
"""What is made of it is a tool."""
SLIPPERY = gs.materials.Rigid(rho=1e18, friction=0.9, coup_friction=0.4)
"""Against particles it is the same."""
MOVE, SPIN = (0.6, 0.1, 0.3), (0.5, -2.0, 1.0)
MORPHS = {
    "sphere": gs.morphs.Sphere(pos=(0.62, 0.8, 0.8), radius=0.1),
    "capsule": gs.morphs.Capsule(pos=(0.62, 0.8, 0.8), euler=(80, 10, 25), radius=0.08, height=0.1),
    "cylinder": gs.morphs.Cylinder(pos=(0.61, 0.8, 0.8), euler=(6, -5, 0), radius=0.1, height=0.2),
    "box": gs.morphs.Box(pos=(0.62, 0.8, 0.8), euler=(5, -7, 20), size=(0.15, 0.2, 0.1)),
}


@pytest.mark.parametrize("shape", MORPHS)
def test_a_free_body_pushes_as_a_tool_of_the_same_motion(shape):
    """So heavy that it keeps its velocity; without spin, since a box would not keep one."""
    moved = []
    for material in (gs.materials.Tool(friction=0.4), HEAVY):
        scene, _, (body,) = scene_of((MORPHS[shape], material))
        if isinstance(material, gs.materials.Tool):
            body.set_velocity(MOVE)
        else:
            body.set_dofs_velocity([*MOVE, 0.0, 0.0, 0.0])
        start = particles(scene).clone()
        for _ in range(12):
            scene.step()
        moved.append(particles(scene).detach())
    assert (moved[0] - start).abs().max() > 1e-3
    assert (moved[1] - moved[0]).abs().max() < 1e-12


def test_a_spinning_ball_pushes_as_a_spinning_tool():
    """With the friction that is for particles alone."""
    moved = []
    for material in (gs.materials.Tool(friction=0.4), SLIPPERY):
        scene, _, (body,) = scene_of((MORPHS["sphere"], material))
        if isinstance(material, gs.materials.Tool):
            body.set_velocity(MOVE, ang=SPIN)
        else:
            body.set_dofs_velocity([*MOVE, *SPIN])
        for _ in range(12):
            scene.step()
        moved.append(particles(scene).detach())
    assert (moved[1] - moved[0]).abs().max() < 1e-12
    assert (body.get_coup_friction() == 0.4).all() and (body.get_friction() == 0.9).all()


def test_grounds_and_fixed_bodies_hold_as_tools_at_rest():
    plane = gs.morphs.Plane(pos=(0.8, 0.8, 0.685), normal=(0.1, -0.05, 1.0))
    box = gs.morphs.Box(pos=(0.7, 0.8, 0.62), size=(0.3, 0.3, 0.15))
    fixed = gs.morphs.Box(pos=(0.7, 0.8, 0.62), size=(0.3, 0.3, 0.15), fixed=True)
    held = []
    tool, rigid = gs.materials.Tool(friction=0.3), gs.materials.Rigid(friction=0.8, coup_friction=0.3)
    for bodies in (((box, tool), (plane, tool)), ((fixed, rigid), (plane, rigid))):  # in the order in which they push
        scene, *_ = scene_of(*bodies, gravity=(0.0, 0.0, -9.81))
        for _ in range(20):
            scene.step()
        held.append(particles(scene).detach())
    assert (held[1] - held[0]).abs().max() < 1e-11


@pytest.fixture
def arm(tmp_path):
    pytest.importorskip("mujoco")
    path = tmp_path / "arm.xml"
    path.write_text(ARM)
    return gs.morphs.MJCF(file=str(path))


@pytest.mark.parametrize(("substeps", "own"), [(20, 1), (20, 5)])
def test_gradients_by_everything_that_moves_a_link(arm, substeps, own):
    """In closed loop, with a new velocity in one environment underway. Links step with particles, or less often."""
    material = gs.materials.Rigid(coup_friction=0.4)
    tool = gs.morphs.Sphere(pos=(0.8, 0.62, 0.8), radius=0.08)
    plane = gs.morphs.Plane(pos=(0.8, 0.8, 0.69))
    scene, block, (robot, ball, ground) = scene_of(
        (arm, material), (tool, gs.materials.Tool(friction=0.2)),
        (plane, gs.materials.Rigid(coup_friction=0.1)),
        substeps=substeps, dt=2e-2 * substeps / 20, rigid={"substeps": own}, gravity=(0.0, 0.0, -4.0),
        outputs=("wrench",),
    )  # fmt: skip
    generator = torch.Generator().manual_seed(3)
    q, v = robot.get_qpos().detach().clone(), 2.0 * torch.randn(2, robot.n_dofs, generator=generator, dtype=F64)
    v[:, 1] = 1.5
    gain = torch.randn(robot.n_dofs, 6, generator=generator, dtype=F64)
    frictions = torch.tensor([0.4, 0.25], dtype=F64)
    E = torch.tensor(1e4, dtype=F64)
    inputs = [w.as_subclass(torch.Tensor).requires_grad_() for w in (q, v, gain, frictions, E)]
    weight = torch.randn(2, block.n_particles, 6, generator=generator, dtype=F64)

    def loss(q, v, gain, frictions, E):
        scene.reset()
        robot.set_coup_friction(frictions[0])
        ground.set_coup_friction(frictions[1])
        block.set_material(E=E)
        robot.set_qpos(torch.cat([q[:, :2], q[:, 2:] / q[:, 2:].norm(dim=1, keepdim=True)], 1))
        robot.set_dofs_velocity(v)
        ball.set_velocity((0.0, 0.4, 0.0))
        for step in range(6):
            seen = particles(scene).mean(1)
            robot.control_dofs_force(torch.tanh(seen @ gain.T))
            scene.step()
            if step == 3:
                robot.set_dofs_velocity(v[:1] * 0.5, envs_idx=[1])
        return (particles(scene) * weight).sum() + 1e-2 * ball.get_wrench().sum() + robot.get_links_pos().sum()

    for comparison in compare(loss, inputs, bar=1e-5):
        comparison.check(1e-4)


@pytest.mark.slow
def test_gradients_by_poses_of_mocap_bodies(tmp_path):
    """Particles fall onto a body that is set anew in every step, and onto what hangs on it; in closed loop. Such a body
    has no velocity, so that it holds them and does not push."""
    pytest.importorskip("mujoco")
    path = tmp_path / "paddle.xml"
    path.write_text(
        """<mujoco><worldbody><body name="paddle" mocap="true" pos=".6 .8 .8"><geom type="capsule" size=".05 .1"/>
        <body name="flap" pos="0 0 -.1"><joint axis="0 1 0"/>
        <geom type="capsule" fromto="0 0 0 .12 0 -.02" size=".03"/></body></body></worldbody>
        <contact><exclude body1="paddle" body2="flap"/></contact></mujoco>"""
    )
    scene, block, (robot,) = scene_of(
        (gs.morphs.MJCF(file=str(path)), gs.materials.Rigid(friction=0.3)), gravity=(-6.0, 0.0, -4.0)
    )
    start = particles(scene).clone()
    weight = torch.randn(2, block.n_particles, 6, generator=torch.Generator().manual_seed(3), dtype=F64)
    pos = torch.tensor([[0.62, 0.8, 0.81], [0.61, 0.79, 0.8]], dtype=F64, requires_grad=True)
    quat = torch.nn.functional.normalize(torch.tensor([[0.9, 0.1, 0.3, 0.0], [1.0, 0.2, 0.0, 0.1]], dtype=F64), dim=1)
    quat.requires_grad_()

    def loss(pos, quat):
        scene.reset()
        for step in range(4):
            seen = 0.05 * particles(scene).mean(1)[:, :3]
            robot.set_mocap_pose(pos + seen + 0.003 * step, torch.nn.functional.normalize(quat, dim=1))
            scene.step()
        return (particles(scene) * weight).sum()

    for comparison in compare(loss, [pos, quat], bar=1e-5):
        comparison.check(1e-4)
    assert (particles(scene) - start).abs().max() > 1e-4


def test_fewer_substeps_of_links_converge_to_as_many_as_particles_have(arm):
    """Down to one in 5 ms; with one in 10 ms the arm answers too late to what it feels to be within a tenth."""
    ends = []
    for own in (20, 10, 5, 2):
        scene, _, (robot,) = scene_of(
            (arm, gs.materials.Rigid(friction=0.4)), substeps=20, dt=1e-2, rigid={"substeps": own}
        )
        robot.set_dofs_velocity([1.0, 1.2, 0.5, -0.5, 1.0])
        start = particles(scene).clone()
        for _ in range(8):
            scene.step()
        ends.append(particles(scene).detach())
    moved = (ends[0] - start)[..., :3].norm()
    errors = [float((end - ends[0])[..., :3].norm() / moved) for end in ends[1:]]
    assert errors[0] < errors[1] < errors[2] < 0.1, errors


def test_an_ellipsoid_pushes_as_the_ball_that_it_is(tmp_path, monkeypatch):
    """With three equal axes; matter feels it by a grid of distances, which is exact to a part of its cells."""
    pytest.importorskip("mujoco")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    moved = []
    for kind, size in (("sphere", "0.1"), ("ellipsoid", "0.1 0.1 0.1")):
        path = tmp_path / f"{kind}.xml"
        path.write_text(
            '<mujoco><worldbody><body pos=".62 .8 .8"><freejoint/>'
            f'<geom type="{kind}" size="{size}" mass="1e9"/></body></worldbody></mujoco>'
        )
        scene, _, (body,) = scene_of((gs.morphs.MJCF(file=str(path)), gs.materials.Rigid(friction=0.4)))
        body.set_dofs_velocity([*MOVE, 0.0, 0.0, 0.0])
        start = particles(scene).clone()
        for _ in range(12):
            scene.step()
        moved.append((particles(scene) - start)[..., :3].detach())
    assert (moved[1] - moved[0]).norm() < 0.02 * moved[0].norm()


def test_a_terrain_carries_as_the_plane_that_it_is(tmp_path, monkeypatch):
    """A block falls onto a slope and slides on it; the terrain's heights are the plane's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    stuff, slope, ends = gs.materials.Rigid(friction=0.2), 0.3, []
    heights = [[slope * 0.2 * i for _ in range(9)] for i in range(9)]
    for ground in (
        gs.morphs.Plane(pos=(0.8, 0.8, 0.66), normal=(-slope, 0.0, 1.0)),
        gs.morphs.Terrain(pos=(0.0, 0.0, 0.66 - 0.8 * slope), heights=heights, spacing=0.2),
    ):
        scene, _, _ = scene_of((ground, stuff), gravity=(0.0, 0.0, -9.81), dt=8e-3)
        start = particles(scene).clone()
        for _ in range(30):
            scene.step()
        ends.append((particles(scene) - start)[..., :3].detach())
    assert ends[0][..., 0].mean() < -0.02 and (ends[1] - ends[0]).norm() < 0.02 * ends[0].norm()


def test_substeps_of_rigid_bodies_divide_those_of_the_scene():
    with pytest.raises(gs.GenesisException, match=r"RigidOptions.substeps must divide .* got 3 and 4"):
        scene_of((MORPHS["sphere"], gs.materials.Rigid()), rigid={"substeps": 3})


def test_friction_against_particles_is_set_where_the_material_has_one():
    """Otherwise it is the friction."""
    free = gs.morphs.Sphere(pos=(0.62, 0.8, 0.8), radius=0.1)
    plane = gs.morphs.Plane(pos=(0.8, 0.8, 0.69))
    _, _, (ball, ground) = scene_of((free, gs.materials.Rigid(friction=0.2)), (plane, gs.materials.Rigid()))
    ball.set_friction(0.6)
    assert (ball.get_coup_friction() == 0.6).all() and (ground.get_coup_friction() == 0.0).all()
    for body in (ball, ground):
        with pytest.raises(gs.GenesisException, match="must have a coup_friction to set it, got None"):
            body.set_coup_friction(0.3)
    with pytest.raises(gs.GenesisException, match="coup_friction must be a finite number >= 0, got -1"):
        gs.materials.Rigid(coup_friction=-1.0)
