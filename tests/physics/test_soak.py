"""A hundred thousand steps of a scene with everything in it, by random actions: nothing breaks, nothing is too fast.
With -s it shows how far it is (CONTRIBUTING)."""

import time

import pytest
import torch

import genesis as gs
from tests.meshes.shapes import ball, write_obj
from tests.physics.worlds import plain

pytestmark = [pytest.mark.precision("32"), pytest.mark.soak, pytest.mark.timeout(7200)]
ENVS, STEPS = 32, 3125
WINDOW = 125
"""Steps from a gradient to the next."""
FASTEST = 12.0
"""m/s of particles and bodies: six times as fast as tools and hands go."""
SPIN = 200.0
"""rad/s of free bodies."""
ARM = """
<mujoco><worldbody><body pos="0.8 0.8 1.15">
  <joint name="yaw" axis="0 0 1" damping="0.4" armature="0.02"/><geom type="sphere" size=".06" mass="3"/>
  <body><joint name="shoulder" axis="0 1 0" damping="0.4" armature="0.02" range="-70 70"/>
    <geom type="capsule" fromto="0 0 -.08 0 0 -.28" size=".045" mass="3"/>
    <body pos="0 0 -.33"><joint name="elbow" axis="0 1 0" damping="0.3" armature="0.02" range="-100 100"/>
      <geom type="box" size=".05 .07 .09" pos="0 0 -.1" mass="3"/></body></body>
</body></worldbody></mujoco>
"""


@pytest.fixture
def world(tmp_path, monkeypatch):
    """An arm above a floor, three soft bodies on it, a block, a ball and a mesh among them, and a tool."""
    pytest.importorskip("mujoco")
    pytest.importorskip("trimesh")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "arm.xml").write_text(ARM)
    file = write_obj(tmp_path / "ball.obj", *ball(16, 0.1))
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=1e-2, substeps=8, requires_grad=True),
        mpm_options=gs.options.MPMOptions(grid_density=12.5, lower_bound=(0.0,) * 3, upper_bound=(1.6,) * 3),
        rigid_options=gs.options.RigidOptions(substeps=4),
    )
    mpm, hard = gs.materials.MPM, gs.materials.Rigid(rho=2500.0, friction=0.5)
    soft = [
        scene.add_entity(gs.morphs.Box(pos=(x, y, 0.42), size=(0.24, 0.24, 0.16)), material)
        for x, y, material in (
            (0.6, 0.6, mpm.Elastic(E=2e4, nu=0.3, model="neohooken")),
            (1.0, 0.65, mpm.Sand(E=2e4)),
            (0.8, 1.0, mpm.Liquid(E=2e4, viscosity=2.0)),
        )
    ]
    floor = scene.add_entity(gs.morphs.Plane(pos=(0.0, 0.0, 0.33)), gs.materials.Rigid(friction=0.6))
    arm = scene.add_entity(gs.morphs.MJCF(file=tmp_path / "arm.xml"), gs.materials.Rigid(coup_friction=0.3))
    free = [
        scene.add_entity(gs.morphs.Box(pos=(0.5, 0.95, 0.42), size=(0.16, 0.14, 0.12)), hard),
        scene.add_entity(gs.morphs.Sphere(pos=(1.1, 1.0, 0.44), radius=0.09), hard),
        scene.add_entity(gs.morphs.Mesh(file=file, scale=(1.0, 0.9, 0.8), pos=(0.8, 0.65, 0.8)), hard),
    ]
    tool = scene.add_entity(
        gs.morphs.Capsule(pos=(1.1, 0.5, 0.6), radius=0.05, height=0.15), gs.materials.Tool(friction=0.3)
    )
    scene.build(n_envs=ENVS)
    return scene, soft, floor, arm, free, tool


def test_nothing_breaks_in_a_hundred_thousand_steps(world):
    """Random forces on the arm, wrenches on what is free, velocities of the tool; environments are reset one by one,
    with other masses, frictions and stiffnesses; and now and then a gradient of a few steps."""
    scene, soft, floor, arm, free, tool = world
    generator = torch.Generator().manual_seed(0)
    bodies, fastest, spin, resets = [arm, *free], 0.0, 0.0, 0
    weights = [plain(body.get_mass()) for body in free]

    def noise(*shape):
        return torch.randn(shape, generator=generator)

    def act(force, push, velocity):
        arm.control_dofs_force(4.0 * force)
        for body, given, weight in zip(free, push.unbind(1), weights, strict=True):
            home = 2.0 * (torch.tensor([0.8, 0.8, 0.6]) - plain(body.get_pos()))
            body.set_links_wrench(9.81 * weight[:, None, None] * (given + home)[:, None], 0.2 * given[:, None])
        home = 3.0 * (torch.tensor([0.8, 0.8, 0.5]) - plain(tool.get_pos()))
        tool.set_velocity((velocity + home).clamp(-2.0, 2.0), 2.0 * velocity)

    def draw():
        return [noise(ENVS, arm.n_dofs), noise(ENVS, len(free), 3), noise(ENVS, 3)]

    actions, began = draw(), time.monotonic()
    for step in range(STEPS):
        if step % 10 == 0:
            actions = draw()
        if step % WINDOW < 3:
            given = [value.clone().requires_grad_() for value in actions]
            act(*given)
            scene.step()
            if step % WINDOW == 2:
                seen = sum(plain(body.get_dofs_velocity()).mean() for body in bodies)
                found = torch.autograd.grad(plain(scene.get_state().pos).mean() + seen, given)
                assert all(grad.isfinite().all() and grad.any() for grad in found), step
                scene.detach_()
        else:
            with torch.no_grad():
                act(*actions)
                scene.step()
        with torch.no_grad():
            state = scene.get_state()
            linear = [state.vel, *(plain(body.get_links_vel()) for body in bodies)]
            fastest = max(fastest, *(float(plain(v).norm(dim=-1).max()) for v in linear))
            spin = max(spin, *(float(plain(body.get_links_ang()).norm(dim=-1).max()) for body in bodies))
            assert not scene.failures, f"step {step}: {scene.failures}"
            assert fastest < FASTEST and spin < SPIN, f"step {step}: {fastest:.3g} m/s, {spin:.3g} rad/s"
            again = (torch.rand(ENVS, generator=generator) < 0.005).nonzero()[:, 0]
            if len(again):
                resets += len(again)
                scene.reset(envs_idx=again)
                scale = 1.0 + 0.2 * torch.rand(len(again), generator=generator)
                for body, weight in zip(free, weights, strict=True):
                    body.set_mass((scale * weight[again])[:, None], envs_idx=again)
                floor.set_friction(0.6 * scale, envs_idx=again)
                soft[0].set_material(E=2e4 * scale, envs_idx=again)
                arm.set_dofs_velocity(noise(len(again), arm.n_dofs), envs_idx=again)
        if step % 100 == 99:
            print(f"{ENVS * (step + 1)} of {ENVS * STEPS} steps, {resets} resets, at most {fastest:.2f} m/s and "
                  f"{spin:.1f} rad/s, {time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
    print(f"{ENVS * STEPS} steps, {resets} resets: at most {fastest:.2f} m/s and {spin:.1f} rad/s")
