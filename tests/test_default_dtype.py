"""Torch's default dtype is the user's: it changes no bit of a simulation, a picture or a training."""

import pytest
import torch

import genesis as gs
from agents import AGENTS
from envs.locomotion.pendulum import Pendulum
from genesis import launch
from tests.conftest import PRECISION
from tests.test_runtime import run

LIGHT = {
    "window": 3, "min_window": 3, "first_window": 3, "hidden": (4,), "critic_hidden": (4,), "critic_passes": 1,
    "warmup_steps": 4, "batch_size": 4, "horizon": 4, "population": 4, "elites": 2,
}  # fmt: skip


def particles_and_tools():
    """Values and gradients of a soft cube that a capsule of odd size pushes."""
    torch.manual_seed(0)
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=2e-3, substeps=4, requires_grad=True),
        mpm_options=gs.options.MPMOptions(lower_bound=(0, 0, 0), upper_bound=(1, 1, 1), grid_density=16),
    )
    body = scene.add_entity(
        gs.morphs.Box(pos=(0.5, 0.5, 0.3), size=(0.2, 0.2, 0.2)), gs.materials.MPM.Elastic(model="neohooken")
    )
    tool = scene.add_entity(
        gs.morphs.Capsule(pos=(0.5, 0.5, 0.52), radius=0.1 / 3, height=0.1), gs.materials.Tool(friction=0.7)
    )
    scene.build(n_envs=2, outputs=("wrench",))
    push = gs.tensor([[0.1, 0.0, -0.4], [0.0, 0.2, -0.3]], requires_grad=True)
    tool.set_velocity(push)
    for _ in range(3):
        scene.step()
    now = [body.get_particles_pos(), body.get_particles_vel(), tool.get_pos(), tool.get_wrench()]
    sum(x.square().sum() for x in now).backward()
    return [*now, push.grad, torch.as_tensor(scene.add_camera(res=(32, 24), pos=(1, -1, 1)).render()[0].copy())]


def robots():
    """Values and gradients of a robot on the ground, with everything that is measured of it."""
    compliant = gs.options.RigidOptions(contact=gs.options.CompliantContact())
    scene = gs.Scene(sim_options=gs.options.SimOptions(requires_grad=True), rigid_options=compliant)
    robot = scene.add_entity(gs.morphs.Robot(name="hopper"))
    scene.add_entity(gs.morphs.Plane(), gs.materials.Rigid(friction=0.7))
    scene.build(n_envs=2, outputs=("contacts", "link_wrench", "link_acceleration"))
    force = gs.tensor([[0.1, 0.2, 0.3]] * 2, requires_grad=True)
    robot.set_dofs_velocity(0.3)
    for _ in range(3):
        robot.control_dofs_force(force, dofs_idx_local=[3, 4, 5])
        scene.step()
    now = [robot.get_qpos(), robot.get_links_pos(), robot.get_contacts().force, *robot.get_imu(0)]
    sum(x.square().sum() for x in now).backward()
    scene.draw_debug_sphere(torch.tensor([0.0, 0.0, 1.0]), radius=0.1)
    return [*now, force.grad, torch.as_tensor(scene.add_camera(res=(32, 24), pos=(1, -3, 1)).render()[0].copy())]


def environment():
    """Observations and rewards of both faces of an environment with every kind of noise."""
    found = []
    for output in ("numpy", "torch"):
        env = Pendulum(
            2, 3, output=output, action_noise=0.1, observation_noise=0.1, action_delay=1, parameter_randomisation=0.1
        )
        found.append(env.reset(seed=3)[0])
        for _ in range(5):
            observation, reward, *_ = env.step([[0.3], [-0.7]])
            found += [observation, reward]
        env.close()
    return [torch.as_tensor(x) for x in found]


def training(name):
    """All weights after two updates."""
    entry = AGENTS[name]
    torch.manual_seed(0)
    env = Pendulum(2, 4, output="torch", differentiable=entry.agent.differentiable, autoreset_mode="SameStep")
    options = {key: value for key, value in LIGHT.items() if key in entry.config.__dataclass_fields__}
    agent = entry.agent(entry.config(**options), env, 0, total_steps=100)
    for _ in range(2):
        agent.update(env)
    with torch.no_grad():
        drawn = agent.act(torch.full((2, 3), 0.3, dtype=gs.tc_float), deterministic=False)
    env.close()
    return [*_tensors(agent.state_dict()), drawn]


def _tensors(value):
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = [value[key] for key in value if key != "step"]  # Adam counts in torch's default dtype
    return [t for v in value for t in _tensors(v)] if isinstance(value, (list, tuple)) else []


def scenes():
    return {f.__name__: plain(f()) for f in (particles_and_tools, robots, environment)}


def trainings():
    return {name: plain(training(name)) for name in AGENTS}


def plain(tensors):
    return [tensor.detach().as_subclass(torch.Tensor) for tensor in tensors]


@pytest.mark.parametrize("what", ["scenes", pytest.param("trainings", marks=pytest.mark.precision("32"))])
def test_no_bit_depends_on_torchs_default_dtype(what, tmp_path):
    """Between this process, with torch's own default, and one with the other default from its start."""
    assert torch.get_default_dtype() == torch.float32
    here = globals()[what]()  # first, for the other then finds its kernels
    path = tmp_path / "float64.pt"
    run(
        f"""
        from genesis import launch
        from tests import test_default_dtype
        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float64)
        launch.SIMPLIFY = {launch.SIMPLIFY}
        gs.init(backend=gs.cpu, precision="{PRECISION}", seed=0, logging_level="error")
        torch.save(test_default_dtype.{what}(), {str(path)!r})
        """
    )
    there = torch.load(path)
    assert here.keys() == there.keys()
    for name, part in here.items():
        assert part, name
        for k, (a, b) in enumerate(zip(part, there[name], strict=True)):
            assert a.dtype == b.dtype and torch.equal(a, b), (name, k)
