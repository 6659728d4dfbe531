"""Links feel the particles that they push: momentum goes from one to the other, and gradients go both ways."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.contact.shapes import Shape
from genesis.math.quaternion import normalise, rotate
from genesis.meshes.distances import grid_of
from genesis.meshes.surface import Surface
from tests.physics.finite import compare
from tests.physics.test_conservation import angular_momentum, momentum
from tests.physics.test_links_push_particles import MORPHS, arm, particles, scene_of  # noqa: F401  (a fixture)
from tests.physics.worlds import F64, noise, plain

pytestmark = pytest.mark.precision("64")
CONTACTS = {
    "MuJoCo's model": {},
    "compliant": {"contact": gs.options.CompliantContact(), "integrator": None},
}
BALL = gs.morphs.Sphere(pos=(0.6, 0.81, 0.78), radius=0.1)
STUFF = gs.materials.Rigid(rho=1500.0, friction=0.4)
LIGHT = gs.materials.Rigid(rho=150.0, friction=0.4)
"""A ball of it touches three times its own mass of grid nodes."""


PAIR = """
<mujoco><worldbody><body pos="0.6 0.8 0.8">
  <joint type="slide" axis="1 0 0" damping="0.2"/><joint type="slide" axis="0 1 0.2" damping="0.2"/>
  <geom type="box" size=".08 .1 .1" mass=".5"/>
  <body pos=".02 .04 .01"><joint type="hinge" axis="0 0.3 1" damping="0.01"/>
    <geom type="box" size=".08 .08 .06" mass=".4"/></body>
</body></worldbody></mujoco>
"""
"""Two light boxes, of which the second one, on the first, lies partly in it."""


def of_ball(ball, about=0.8):
    """Momentum, and angular momentum about a point, of a free sphere, whose inertia is the same about all axes."""
    q, v = plain(ball.get_qpos()), plain(ball.get_dofs_velocity())
    p = plain(ball.get_mass())[:, None] * v[:, :3]
    own = plain(ball.get_links_inertia())[:, 0, :1] * rotate(normalise(q[:, 3:]), v[:, 3:])
    return p, torch.linalg.cross(q[:, :3] - about, p) + own


def total(block, ball):
    p, L = of_ball(ball)
    return p + momentum(block), L + angular_momentum(block, 0.8)


@pytest.mark.parametrize("contact", CONTACTS)
@pytest.mark.parametrize(("substeps", "own", "material"), [(1, 1, STUFF), (4, 1, STUFF), (1, 1, LIGHT)])
def test_momentum_and_angular_momentum_of_all_stay(contact, substeps, own, material):
    """A spinning ball that floats hits, drags and is hit by a soft block for a thousand steps."""
    scene, block, (ball,) = scene_of(
        (BALL, material), substeps=substeps, dt=2e-3 * substeps, rigid={"substeps": own, **CONTACTS[contact]}
    )
    assert (scene.get_state().rigid.free_change is None) == (substeps > own)
    ball.set_dofs_velocity([[0.6, 0.05, 0.1, 0.0, 2.0, 3.0], [0.4, 0.0, 0.0, -3.0, 1.0, 0.0]])
    block.set_velocity([-0.45, -0.02, -0.07] if material is STUFF else [-0.03, -0.02, 0.0])  # not into the walls
    p, L = total(block, ball)
    first, size = of_ball(ball), momentum(block).norm() + p.norm()
    for step in range(1000 // substeps):
        if step % 100 == 50:  # pushed together again, by both alike
            side = plain(block.get_particles_pos()).mean(1) - plain(ball.get_qpos())[:, :3]
            ratio = plain(block.get_mass())[:, None] / plain(ball.get_mass())[:, None]
            block.set_velocity(plain(block.get_particles_vel()) - side[:, None])
            velocity = plain(ball.get_dofs_velocity())
            ball.set_dofs_velocity(torch.cat([velocity[:, :3] + ratio * side, velocity[:, 3:]], 1))
            p, L = total(block, ball)
        scene.step()
        now = total(block, ball)
        assert (now[0] - p).norm() < 1e-12 * size, step
        assert (now[1] - L).norm() < 1e-12 * size, step
    last = of_ball(ball)
    assert (last[0] - first[0]).norm() > 0.1 * size and (last[1] - first[1]).norm() > 5e-3 * size


def robot_and_particles(scene, robot):
    return torch.cat([plain(robot.get_qpos()), plain(robot.get_dofs_velocity())], 1), particles(scene)


SLOW = [pytest.param({"integrator": name}, id=name, marks=pytest.mark.slow) for name in ("implicitfast", "RK4")]


@pytest.mark.parametrize("rigid", [*(pytest.param(CONTACTS[name], id=name) for name in CONTACTS), *SLOW])
def test_gradients_go_both_ways(arm, rigid):  # noqa: F811
    """While they are pressed together: from the particles' velocities to the robot, and from its controls, in closed
    loop, to the particles; with a new velocity of one robot underway."""
    scene, block, (robot,) = scene_of((arm, STUFF), rigid=rigid)
    start = plain(robot.get_qpos()).detach().clone()
    start[:, 1] += 0.06
    v, u = 0.05 * noise(2, robot.n_dofs, seed=1), 0.02 * noise(2, block.n_particles, 3)
    v[:, 1], u[..., 0] = 0.6, u[..., 0] - 0.4
    controls, wrench = noise(3, 2, robot.n_dofs, seed=2), 0.3 * noise(2, robot.n_links, 6, seed=5)
    masses = torch.tensor([3.0, 2.0], dtype=F64)
    inputs = [value.requires_grad_() for value in (start, v, u, controls, wrench, masses)]
    weights = [noise(2, robot.n_qs + robot.n_dofs, seed=3), noise(2, block.n_particles, 6, seed=4)]

    def run(start, v, u, controls, wrench, masses):
        scene.reset()
        robot.set_mass(masses, links_idx_local=[0, 1])
        robot.set_qpos(torch.cat([start[:, :2], normalise(start[:, 2:])], 1))
        robot.set_dofs_velocity(v)
        robot.set_links_wrench(wrench[..., :3], wrench[..., 3:])
        block.set_velocity(u)
        for step, force in enumerate(controls):
            robot.control_dofs_force(force + particles(scene).mean(1)[:, :1])
            scene.step()
            if step == 1:
                robot.set_dofs_velocity(v[:1], envs_idx=[1])
        return robot_and_particles(scene, robot)

    ends = run(*inputs)
    moved = run(inputs[0], v, torch.zeros_like(u), controls, wrench, masses)[0] - ends[0]
    assert moved.abs().max() > 0.05, "the robot must feel the particles"
    for side, weight in enumerate(weights):

        def loss(*given, side=side, weight=weight):
            return (run(*given)[side] * weight).sum()

        for comparison in compare(loss, inputs, bar=1e-7):
            comparison.check(1e-6)


@pytest.mark.parametrize("held", [False, True])
def test_gradients_go_both_ways_through_what_else_moves_a_light_link(held):
    """A light ball that is pressed into a block: what pressed it in a substep says how it yields in the next, also in
    the next step. With particles `held` in between, on which the ball acts back in closed loop: nodes that it touches
    follow what is attached, or do not."""
    scene, block, (ball,) = scene_of((BALL, LIGHT))
    start = torch.as_tensor(block.initial_positions)
    grip = ((start[:, 0] < 0.75) & (start[:, 2] > 0.85)).nonzero().squeeze(1)[::3]
    v, u = 0.1 * noise(2, 6, seed=1), 0.02 * noise(2, block.n_particles, 3)
    v[:, 0], u[..., 0] = 0.5, u[..., 0] - 0.3
    controls, mass, E = 2.0 * noise(3, 2, 3, seed=2), ball.get_mass().detach() * 1.1, torch.tensor(1e4, dtype=F64)
    path = [1e-3 * noise(3, 2, len(grip), 3, seed=6)] if held else []
    inputs = [plain(value).clone().requires_grad_() for value in (v, u, controls, mass, E, *path)]
    weights = [noise(2, 13, seed=3), noise(2, block.n_particles, 6, seed=4), noise(2, 1, 6, seed=5)]

    def run(v, u, controls, mass, E, *path):
        scene.reset()
        ball.set_mass(mass[:, None])
        block.set_material(E=E)
        ball.set_dofs_velocity(v)
        block.set_velocity(u)
        for step, force in enumerate(controls):
            seen = particles(scene).mean(1)
            ball.control_dofs_force(force + seen[:, 3:] - plain(ball.get_pos()), dofs_idx_local=range(3))
            for way in path:
                led = 1e-3 * plain(ball.get_dofs_velocity())[:, None, :3]
                block.attach(grip, particles(scene)[:, grip, :3] + way[step] + led)
            scene.step()
        return *robot_and_particles(scene, ball), plain(scene.get_state().rigid.free_change)

    ends = run(*inputs)
    assert (ends[0][:, 7] < 0.4).all() and ends[2].abs().amax(2).min() > 1e-3, "it must be pressed"
    for side, weight in enumerate(weights):

        def loss(*given, side=side, weight=weight):
            return (run(*given)[side] * weight).sum()

        for comparison in compare(loss, inputs, bar=1e-7):
            comparison.check(1e-6)


def test_gradients_go_through_nodes_that_two_light_links_push(tmp_path):
    """One after the other: what the second one meets depends on the first one's velocity, too."""
    pytest.importorskip("mujoco")
    (tmp_path / "pair.xml").write_text(PAIR)
    scene, block, (robot,) = scene_of(
        (gs.morphs.MJCF(file=str(tmp_path / "pair.xml")), gs.materials.Rigid(friction=0.3))
    )
    v, u, controls = 0.2 * noise(2, 3, seed=1), 0.02 * noise(2, block.n_particles, 3), 3.0 * noise(3, 2, 3, seed=2)
    v[:, 0], u[..., 0] = 0.8, u[..., 0] - 0.5
    inputs, weights = [value.requires_grad_() for value in (v, u, controls)], noise(2, 6, seed=3)

    def loss(v, u, controls):
        scene.reset()
        robot.set_dofs_velocity(v)
        block.set_velocity(u)
        for force in controls:
            robot.control_dofs_force(force + particles(scene).mean(1)[:, :3] - 0.8)
            scene.step()
        return (robot_and_particles(scene, robot)[0] * weights).sum() + particles(scene)[..., 3:].square().sum()

    for comparison in compare(loss, inputs, bar=1e-7):
        comparison.check(1e-6)


def test_a_light_ball_comes_out_of_a_block_without_jumps_in_how_it_came():
    """A hundred speeds, and again between the two neighbours that least go on as the others; the mean slope over all is
    the mean of gradients, for there are kinks alone."""
    n = 100
    scene, _, (ball,) = scene_of((BALL, LIGHT), n_envs=n, substeps=2)

    def ends(speeds):
        scene.reset()
        v = torch.zeros(n, 6, dtype=F64)
        v[:, 1] = 0.1
        ball.set_dofs_velocity(v + speeds[:, None] * torch.eye(6, dtype=F64)[0])
        for step in range(15):
            ball.control_dofs_force([10.0 if step % 6 < 3 else -5.0, 0.0, 0.0], dofs_idx_local=range(3))
            scene.step()
        return plain(ball.get_dofs_velocity())[:, 0]

    speeds = torch.linspace(0.8, 1.2, n, dtype=F64).requires_grad_()
    found = ends(speeds)
    (slopes,) = torch.autograd.grad(found.sum(), speeds)
    speeds, found = speeds.detach(), found.detach()
    mean = slopes.sum() - (slopes[0] + slopes[-1]) / 2
    assert float((found[-1] - found[0]) / 0.4) == pytest.approx(float(mean / (n - 1)), rel=2e-3)
    for _ in range(4):
        steps = found.diff()
        k = int((steps - steps.median()).abs().argmax())
        speeds = torch.linspace(float(speeds[k]), float(speeds[k + 1]), n, dtype=F64)
        with torch.no_grad():
            found = ends(speeds)
    assert found.diff().abs().max() < 3.0 * float(speeds[-1] - speeds[0]) / (n - 1) + 1e-12


def test_a_light_ball_is_not_pushed_by_the_stress_of_attached_particles():
    """All of the block is attached, so nodes follow it, whatever its stress: a ball that is pressed through it meets
    their mass anew in every substep, and at a constant speed. It would yield otherwise to a strained block (second
    environment), were nodes weighed with the velocity that the stress gives them."""
    scene, block, (ball,) = scene_of((gs.morphs.Sphere(pos=(0.6, 0.8, 0.8), radius=0.1), LIGHT))
    state = scene.get_state()
    F = plain(state.mpm.F) * torch.tensor([1.0, 0.9], dtype=F64)[:, None, None, None]
    scene.reset(state.having("mpm", replace(state.mpm, F=F)))
    block.attach()
    ball.control_dofs_force([0.5, 0.0, 0.0], dofs_idx_local=range(3))
    speeds = []
    for _ in range(20):
        scene.step()
        speeds.append(plain(ball.get_dofs_velocity())[:, 0].clone())
    assert torch.allclose(speeds[-1][0], speeds[-1][1], rtol=1e-9)
    assert torch.allclose(speeds[-1], speeds[-2], rtol=0.01) and (speeds[-1] > 0).all()
    force = 0.5 * 20 * 4e-3 / plain(ball.get_mass())
    assert (speeds[-1] < 0.5 * force).all(), "it must be held up"


@pytest.mark.parametrize("material", [STUFF, LIGHT])
def test_a_reset_scene_goes_the_same_way_again_and_leaves_other_environments_alone(material):
    scene, block, (ball,) = scene_of((BALL, material))

    def run(steps):
        for _ in range(steps):
            scene.step()
        return robot_and_particles(scene, ball)

    def throw(envs=None):
        ball.set_dofs_velocity([1.5, 0.1, 0.0, 0.0, 2.0, 0.0], envs_idx=envs)

    throw()
    once = run(12)
    assert (once[0][:, 7] < 1.4).all(), "the ball must have been slowed"
    scene.reset()
    throw()
    again = run(6)
    scene.reset(envs_idx=[1])
    throw([1])
    last = run(6)
    for first, second, third in zip(once, last, again, strict=True):
        assert torch.equal(first[0], second[0])  # went on
        assert torch.equal(third[1], second[1])  # began anew


def test_what_moved_a_link_elsewhere_is_gone_where_it_is_placed():
    scene, block, (ball,) = scene_of((BALL, LIGHT))
    ball.control_dofs_force([2.0, 0.5, 0.1], dofs_idx_local=range(3))
    for _ in range(3):
        scene.step()
    state = scene.get_state()
    moved = torch.tensor([2.0, 0.5, 0.1], dtype=F64) * 1e-3 / plain(ball.get_mass())[:, None]
    assert torch.allclose(plain(state.rigid.free_change)[:, 0, :3], moved, rtol=1e-9)
    far = plain(ball.get_qpos()).detach() + torch.tensor([9.0, -5.0, 0.0, 0.0, 0.0, 0.0, 0.0], dtype=F64)
    for place in (
        lambda: ball.set_qpos(far[1:], envs_idx=1),
        lambda: ball.set_pos(far[1:, :3], envs_idx=1),
        lambda: ball.set_dofs_position(far[1:, :3], dofs_idx_local=range(3), envs_idx=1),
    ):
        scene.reset(state)
        place()
        change = plain(scene.get_state().rigid.free_change)
        assert torch.equal(change[0], plain(state.rigid.free_change)[0]) and not change[1].any()


def test_a_ball_and_a_soft_block_rebound_alike_whichever_of_them_is_thrown():
    """Relative velocities, to what the grid allows: a block that moves sees it otherwise than one at rest."""
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=2e-3, substeps=1, gravity=(0.0, 0.0, 0.0)),
        mpm_options=gs.options.MPMOptions(grid_density=20, lower_bound=(0.0,) * 3, upper_bound=(2.0, 1.6, 1.6)),
        rigid_options=gs.options.RigidOptions(integrator="Euler"),
    )
    soft = gs.materials.MPM.Elastic(E=1e4, nu=0.3, model="neohooken")
    block = scene.add_entity(gs.morphs.Box(pos=(1.0, 0.8, 0.8), size=(0.3, 0.3, 0.3)), soft)
    sphere = gs.morphs.Sphere(pos=(0.68, 0.8, 0.8), radius=0.15)
    ball = scene.add_entity(sphere, gs.materials.Rigid(rho=1500.0, friction=0.0, coup_softness=0.03))
    scene.build(n_envs=2)
    ball.set_dofs_velocity([1.0, 0.0, 0.0, 0.0, 0.0, 0.0], envs_idx=[0])
    block.set_velocity([-1.0, 0.0, 0.0], envs_idx=[1])
    for _ in range(250):
        scene.step()
    apart = plain(block.get_particles_vel())[..., 0].mean(1) - plain(ball.get_dofs_velocity())[:, 0]
    assert (apart > 0.3).all() and (apart < 1.0).all()
    assert abs(apart[0] / apart[1] - 1) < 0.05


def test_a_light_ball_that_presses_a_block_comes_to_rest_where_a_heavy_one_does():
    """Between the block and a wall behind it; an explicit reaction would shake it."""
    wall = gs.morphs.Plane(pos=(0.92, 0.8, 0.8), normal=(-1.0, 0.0, 0.0))
    ends = []
    for material in (STUFF, LIGHT):
        sphere = gs.morphs.Sphere(pos=(0.6, 0.8, 0.8), radius=0.1)
        scene, _, (ball, _) = scene_of((sphere, material), (wall, gs.materials.Tool(friction=1.0)), n_envs=1)
        speeds = []
        for _ in range(200):
            ball.control_dofs_force([5.0, 0.0, 0.0], dofs_idx_local=range(3))
            scene.step()
            speeds.append(float(ball.get_dofs_velocity()[0, 0]))
        ends.append((float(ball.get_pos()[0, 0]), float(np.sqrt(np.mean(np.square(speeds[-50:]))))))
    (heavy, _), (light, speed) = ends
    assert light > 0.605 and abs(light - heavy) < 3e-3 and speed < 0.02, ends


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("shape", ["sphere", "box"])
def test_a_link_too_light_for_what_it_touches_is_refused(shape, every):
    """By the mass of the nodes at its largest face, which of the box is 0.2 x 0.15 m: a fifteenth of it if the link
    steps as often as they do, else all."""
    morph = MORPHS[shape]
    face, volume = (math.pi * 0.1**2, 4 / 3 * math.pi * 0.1**3) if shape == "sphere" else (0.2 * 0.15, 3e-3)
    c, dt = math.sqrt(1e4 * 0.7 / (1.3 * 0.4) / 1000.0), 1e-3
    most = 1000.0 * face * (0.05 + 0.01 * (1 + math.log(every)) + c * (every - 1) * dt)
    limit = most / (15 if every == 1 else 1)

    def build(rho):
        scene_of((morph, gs.materials.Rigid(rho=rho)), dt=4 * dt, substeps=4, rigid={"substeps": 4 // every})

    build(1.001 * limit / volume)
    named = rf"apparent mass of at least {limit:.3g} kg for the {most:.3g} kg .* got .* kg of '{shape}_1/{shape}'"
    with pytest.raises(gs.GenesisException, match=named):
        build(0.999 * limit / volume)
    with pytest.raises(gs.GenesisException, match="more substeps of rigid" if every > 1 else "Use a grid_density"):
        build(0.999 * limit / volume)


def test_a_link_that_is_made_too_light_after_build_is_refused_and_keeps_its_mass():
    """By masses of one environment, by an inertia, by the density of what it touches, and by an optimiser's step."""
    scene, block, (ball,) = scene_of((MORPHS["sphere"], STUFF), n_envs=3)
    touched, built = 1000.0 * math.pi * 0.1**2 * 0.06, 1500.0 * 4 / 3 * math.pi * 0.1**3

    def least(touched):
        return 3 * touched / (1 + 4 * touched / built)

    limit = least(touched)
    ball.set_mass([[1.01 * limit]], envs_idx=[1])
    masses = ball.get_mass().clone()
    named = rf"apparent mass of at least {limit:.3g} kg .* got .* kg of 'sphere_1/sphere' in environment 1: .*"
    with pytest.raises(gs.GenesisException, match=named + "or a larger mass, inertia or armature"):
        ball.set_mass([[0.99 * limit]], envs_idx=[1])
    with pytest.raises(gs.GenesisException, match=rf"least {least(1.05 * touched):.3g} kg .* in environment 1"):
        block.set_material(rho=1050.0)
    inertia = ball.get_links_inertia().clone()
    ball.set_inertia(0.36 * inertia[:1], envs_idx=[0])  # of a third of its radius, about: 0.83 / 0.36 times as light
    with pytest.raises(gs.GenesisException, match=r"of 'sphere_1/sphere' in environment 2: "):
        ball.set_inertia(0.3 * inertia[:1], envs_idx=[2])
    assert torch.equal(ball.get_links_inertia()[2], inertia[2])
    assert torch.equal(ball.get_mass(), masses) and torch.allclose(block.get_mass(), torch.full((3,), 8.0, dtype=F64))
    mass = torch.tensor(1.2 * limit, dtype=F64, requires_grad=True)
    ball.set_mass(mass)
    scene.step()
    with torch.no_grad():
        mass -= 0.3 * limit
    with pytest.raises(gs.GenesisException, match=r"got .* kg of 'sphere_1/sphere'.*: pushing"):
        scene.step()


def test_a_mesh_shows_the_face_of_the_shape_that_it_is():
    trimesh = pytest.importorskip("trimesh")
    box = trimesh.creation.box((0.2, 0.1, 0.3))
    grid = grid_of(Surface(np.array(box.vertices), np.array(box.faces)), 8, 0.1)
    assert Shape("mesh", (0.2, 0.0, 0.0), grid).face == pytest.approx(
        max((0.2 * 0.1 * x + 0.1 * 0.3 * y + 0.2 * 0.3 * z) / math.sqrt(x + y + z) for x in (0, 1) for y in (0, 1)
            for z in (0, 1) if x + y + z)
    )  # fmt: skip
