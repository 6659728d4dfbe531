"""Mass matrix, bias forces, Jacobians, forward kinematics of rigid entities: MuJoCo's, and gradients by differences."""

import mujoco
import numpy as np
import pytest
import torch

import genesis as gs
from genesis.math import quaternion
from tests.engine.rigid_scenes import N_DOFS, builder, mixed
from tests.loaders.random_trees import random_configuration, random_tree
from tests.loaders.reference import full_mass_matrix
from tests.rigid.rigid_models import ZOO, file_of

pytestmark = pytest.mark.precision("64")
real = torch.float64
B = 3
GRAVITY = (0.7, -0.3, -9.5)
ROBOTS = ("ant", "humanoid")
MODELS = (*ROBOTS, "zoo", *(f"tree {seed}" for seed in range(4, 10)))


def model_of(name):
    """A morph, and MuJoCo's model of the same."""
    if name in ROBOTS:
        path = f"{gs.__path__[0]}/loaders/robots/{name}.xml"
        return gs.morphs.Robot(name=name, ground=False), mujoco.MjModel.from_xml_path(path)
    seed = None if name == "zoo" else int(name.split()[1])
    text = ZOO if seed is None else random_tree(np.random.default_rng(seed), 4 + seed % 5, springs=True, limits=True)
    return gs.morphs.MJCF(file=file_of(text), ground=False), mujoco.MjModel.from_xml_string(text)


def placed(name, place=None):
    """A robot in B states of a scene, and these in MuJoCo."""
    morph, m = model_of(name)
    scene = gs.Scene(sim_options=gs.options.SimOptions(gravity=GRAVITY))
    scene.add_entity(gs.morphs.Sphere(pos=(9.0, 0.0, 9.0)), gs.materials.Rigid())
    robot = scene.add_entity(morph)
    scene.build(n_envs=B)
    rng = np.random.default_rng(1)
    qpos = np.stack([random_configuration(rng, robot.model) for _ in range(B)])
    qvel = rng.normal(size=(B, m.nv))
    if place is not None:
        qpos[:, :3] += place
    robot.set_qpos(qpos)
    robot.set_dofs_velocity(qvel)
    m.opt.gravity[:] = GRAVITY
    states = [mujoco.MjData(m) for _ in range(B)]
    for data, q, v in zip(states, qpos, qvel, strict=True):
        data.qpos[:], data.qvel[:] = q, v
        mujoco.mj_forward(m, data)
    return scene, robot, m, states


def close(ours, wanted, tolerance=1e-9):
    wanted = np.stack(wanted)
    assert ours.shape == wanted.shape
    assert np.abs(ours.numpy() - wanted).max() <= tolerance * max(1.0, np.abs(wanted).max())


@pytest.mark.parametrize("name", MODELS)
def test_they_are_mujocos(name):
    scene, robot, m, states = placed(name)
    close(robot.get_mass_mat(), [full_mass_matrix(m, data) for data in states])
    close(robot.get_bias_force(), [data.qfrc_bias for data in states])
    bodies = [m.body(link).id for link in robot.model.link_names]
    local = np.random.default_rng(2).normal(size=(B, 3))
    for link, body in enumerate(bodies):
        wanted = np.zeros((2, B, 6, m.nv))
        for data, mine, point in zip(states, wanted.transpose(1, 0, 2, 3), local, strict=True):
            there = data.xpos[body] + data.xmat[body].reshape(3, 3) @ point
            mujoco.mj_jac(m, data, mine[0, :3], mine[0, 3:], there, body)
            mujoco.mj_jacBody(m, data, mine[1, :3], mine[1, 3:], body)
        close(robot.get_jacobian(link, local), wanted[0])
        close(robot.get_jacobian(robot.links[link]), wanted[1])
        close(robot.get_jacobian(link, local[1], envs_idx=[1]), wanted[0, [1]])
    pos, quat = robot.forward_kinematics(robot.get_qpos())
    close(pos, [data.xpos[bodies] for data in states])
    there = torch.tensor(np.stack([data.xquat[bodies] for data in states]))
    assert ((quat * there).sum(-1).abs() - 1).abs().max() < 1e-12
    assert torch.equal(robot.forward_kinematics(robot.get_qpos()[2], [0], envs_idx=2)[0], pos[2:, :1])
    for data in states:
        data.qvel[:] = 0.0
        mujoco.mj_forward(m, data)
    close(robot.get_gravity_force(), [data.qfrc_bias for data in states])
    assert torch.equal(robot.get_gravity_force(envs_idx=1)[0], robot.get_gravity_force()[1])
    assert robot.get_mass_mat(envs_idx=[2, 0]).shape == (2, m.nv, m.nv) and robot.get_mass_mat().scene is scene


def test_far_from_the_origin_they_keep_all_digits():
    near, far = placed("humanoid")[1], placed("humanoid", place=(3e7, -1e7, 0.0))[1]
    for ours, wanted in ((far.get_mass_mat(), near.get_mass_mat()), (far.get_jacobian(5), near.get_jacobian(5))):
        assert (ours - wanted).abs().max() < 1e-12 * wanted.abs().max()


def test_masses_of_each_environment_count():
    _, robot, m, states = placed("tree 7")
    mass = torch.tensor(robot.model.mass) * torch.tensor([[1.0], [2.0], [3.0]])
    robot.set_mass(mass)
    robot.set_dofs_armature(torch.tensor([[0.1], [0.2], [0.3]]))
    free = robot.get_gravity_force()
    robot.set_mass(torch.tensor(robot.model.mass))
    close(free, [(k + 1) * force for k, force in enumerate(robot.get_gravity_force().numpy())])
    alike = robot.get_mass_mat() - torch.diag_embed(robot.get_dofs_armature())
    robot.set_dofs_armature(0.0)
    close(alike, robot.get_mass_mat().numpy())


def test_they_say_how_the_robot_accelerates(monkeypatch):
    """M q'' + bias is the force on each degree of freedom, in the simulation: a weightless drift is free of both."""
    scene, robot, _ = builder(monkeypatch)(ground=False, dt=1e-5, substeps=1, requires_grad=False)
    robot.set_dofs_damping(0.0)
    robot.set_dofs_stiffness(0.0)
    robot.set_dofs_velocity(torch.linspace(-1.0, 1.0, N_DOFS, dtype=real))
    force = torch.linspace(0.5, -1.0, N_DOFS, dtype=real)
    robot.control_dofs_force(force)
    mass, bias, before = robot.get_mass_mat(), robot.get_bias_force(), robot.get_dofs_velocity()
    wanted = torch.linalg.solve(mass, (force - bias)[..., None])[..., 0]
    scene.step()
    found = (robot.get_dofs_velocity() - before) / scene.dt
    assert (found - wanted).abs().max() < 1e-3 * wanted.abs().max()


def test_gradients_are_those_of_difference_quotients(monkeypatch):
    """By state, parameters, gravity and the point; and second derivatives, which the simulation itself has not."""
    scene, robot, _ = builder(monkeypatch)(n_envs=1, boxes=1)
    torch.manual_seed(3)
    inputs = (
        torch.randn(1, 3, dtype=real), torch.randn(1, 3, dtype=real), torch.randn(1, 5, dtype=real),
        torch.randn(1, N_DOFS, dtype=real), torch.tensor(mixed().mass), torch.tensor(mixed().inertia),
        torch.tensor(mixed().armature) + 0.1, torch.tensor(GRAVITY, dtype=real), torch.randn(3, dtype=real),
    )  # fmt: skip
    weights = torch.randn(4, 6, N_DOFS, dtype=real)

    def read(place, turn, joints, vel, mass, inertia, armature, gravity, point):
        scene.reset()
        robot.set_pos(place)
        robot.set_quat(quaternion.from_rotation_vector(turn))
        robot.set_dofs_position(joints, range(6, N_DOFS))
        robot.set_dofs_velocity(vel)
        robot.set_mass(mass)
        robot.set_inertia(inertia)
        robot.set_dofs_armature(armature)
        scene.set_gravity(gravity)
        found = (
            robot.get_mass_mat() @ weights[0, 0], robot.get_bias_force(), robot.get_gravity_force(),
            (robot.get_jacobian("fore", point) * weights[1]).sum(2), *robot.forward_kinematics(robot.get_qpos()),
        )  # fmt: skip
        return torch.cat([part.as_subclass(torch.Tensor).flatten() for part in found])

    inputs = [value.requires_grad_() for value in inputs]
    assert torch.autograd.gradcheck(read, inputs)
    some = torch.randn(len(read(*inputs)), dtype=real)
    assert torch.autograd.gradgradcheck(lambda *values: read(*values) @ some, inputs, fast_mode=True)


def test_a_robot_that_nothing_moves_has_none():
    scene = gs.Scene()
    post = scene.add_entity(gs.morphs.Sphere(pos=(0.0, 0.0, 1.0), fixed=True), gs.materials.Rigid())
    scene.add_entity(gs.morphs.Sphere(pos=(3.0, 0.0, 1.0)), gs.materials.Rigid())
    scene.build(n_envs=2)
    assert post.get_mass_mat().shape == (2, 0, 0) and post.get_bias_force().shape == (2, 0)
    assert post.get_jacobian(0).shape == (2, 6, 0)
    assert post.forward_kinematics(torch.zeros(0))[0].tolist() == [[[0.0, 0.0, 1.0]]] * 2


def test_what_is_wrong_is_refused(monkeypatch):
    _, robot, _ = builder(monkeypatch)(boxes=1)
    with pytest.raises(gs.GenesisException, match=r"local_point must have shape \(3,\) or \(3, 3\), got \(2,\)"):
        robot.get_jacobian(0, [0.0, 1.0])
    with pytest.raises(gs.GenesisException, match=r"qpos\[3:7\] must be unit quaternions"):
        robot.forward_kinematics(torch.ones(13))
