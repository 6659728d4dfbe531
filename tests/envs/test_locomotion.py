"""Robot tasks: what they see and earn, against a second writing of it, and how their episodes start and end."""

import gymnasium as gym
import numpy as np
import pytest
import torch

import envs  # noqa: F401  (registers)
import genesis as gs

LEGGED = ("Hopper", "Walker2d", "HalfCheetah", "Ant", "Humanoid")
TASKS = (*LEGGED, "CartPoleSwingUp", "Pendulum", "Quadrotor")
SIZES = {  # observation, action, steps of an episode, substeps
    "CartPoleSwingUp": (5, 1, 240, 4),
    "Pendulum": (3, 1, 200, 12),
    "Hopper": (11, 3, 1000, 16),
    "Walker2d": (17, 6, 1000, 16),
    "HalfCheetah": (17, 6, 1000, 16),
    "Ant": (37, 8, 1000, 16),
    "Humanoid": (76, 21, 1000, 48),
    "Quadrotor": (18, 4, 300, 4),
}


LEG = (200, 200, 600, 400, 100, 100)
HUMANOID = [0.35 * strength for strength in (200, 200, 200, *LEG, *LEG, 100, 100, 200, 100, 100, 200)]  # N m


def make(task, num_envs=2, **options):
    return gym.make_vec(f"genesis/{task}-v0", num_envs=num_envs, output="torch", **options).unwrapped


def actions_of(env, steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (steps, env.num_envs, *env.single_action_space.shape)
    return (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1).to(gs.tc_float)


def turned(quat, vector):
    """Vectors of a body's frame in the world frame, through the matrix of a quaternion wxyz."""
    w, x, y, z = np.moveaxis(quat, -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.einsum("ij...,...j->...i", np.array(rows), vector)


def cartpole(q, v, a, env):
    angle = np.arctan2(np.sin(q[:, 1]), np.cos(q[:, 1]))
    see = np.stack([q[:, 0], v[:, 0], np.sin(angle), np.cos(angle), v[:, 1]], 1)
    return see, -(angle**2 + 0.1 * v[:, 1] ** 2 + 0.05 * q[:, 0] ** 2 + 0.1 * v[:, 0] ** 2)


def pendulum(q, v, a, env):
    angle = np.arctan2(np.sin(q[:, 0]), np.cos(q[:, 0]))
    see = np.stack([np.cos(angle), np.sin(angle), v[:, 0]], 1)
    return see, -(angle**2 + 0.1 * v[:, 0] ** 2 + 0.001 * (2 * a[:, 0]) ** 2)


def planar(q, v, rest):
    return np.concatenate([(q - rest)[:, 1:], v], 1)


def hopper(q, v, a, env):
    see = planar(q, v, env.rest.numpy())
    h = np.clip(see[:, 0] + 0.3, -1, 0.3)
    h = np.where(h < 0, -200 * h**2, h)
    return see, v[:, 0] + h + 1 - (see[:, 1] / (np.pi / 6)) ** 2 - 0.1 * (a**2).sum(1)


def half_cheetah(q, v, a, env):
    return planar(q, v, env.rest.numpy()), v[:, 0] - 0.1 * (a**2).sum(1)


def floating(q, v, a, target):
    up, forward = turned(q[:, 3:7], np.array([0.0, 0, 1])), turned(q[:, 3:7], np.array([1.0, 0, 0]))
    direction = np.array([target, 0.0]) - q[:, :2]
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    heading = (forward[:, :2] * direction).sum(1)
    spin = turned(q[:, 3:7], v[:, 3:6])
    parts = [q[:, 2:7], v[:, :3], spin, q[:, 7:], 0.1 * v[:, 6:], up[:, 2:], heading[:, None], a]
    return np.concatenate(parts, 1), v[:, 0] + 0.1 * up[:, 2] + heading


def ant(q, v, a, env):
    see, reward = floating(q, v, a, 1e4)
    return see, reward + q[:, 2] - 0.27


def humanoid(q, v, a, env):
    see, reward = floating(q, v, a, 200.0)
    h = np.clip(q[:, 2] - 0.84, -1, 0.1)
    return see, reward + np.where(h < 0, -200 * h**2, 10 * h) - 0.002 * (a**2).sum(1)


def quadrotor(q, v, a, env):
    offset = env.episode["waypoint"].numpy() - q[:, :3]
    axes = [turned(q[:, 3:7], axis) for axis in np.eye(3)]
    see = np.concatenate([offset, v[:, :3], np.stack(axes, 2).reshape(-1, 9), v[:, 3:]], 1)
    distance = np.sqrt((offset**2).sum(1) + 0.05**2) - 0.05
    costs = 0.01 * ((v[:, :3] ** 2).sum(1) + (a**2).sum(1)) + 0.002 * (v[:, 3:] ** 2).sum(1) + 0.1 * (1 - axes[2][:, 2])
    return see, 1 - distance / 3 - costs


FORMULAS = {
    "CartPoleSwingUp": cartpole,
    "Pendulum": pendulum,
    "Hopper": hopper,
    "Walker2d": hopper,
    "HalfCheetah": half_cheetah,
    "Ant": ant,
    "Humanoid": humanoid,
    "Quadrotor": quadrotor,
}


@pytest.mark.parametrize("task", TASKS)
def test_observation_and_reward_are_as_written(task):
    env = make(task, 3, action_noise=0.1)
    env.reset(seed=0)
    for action in actions_of(env, 8):
        observation, reward, *_ = env.step(action)
        q, v, acted = (
            x.numpy().astype(float) for x in (env.robot.get_qpos(), env.robot.get_dofs_velocity(), env.action)
        )
        see, earn = FORMULAS[task](q, v, acted, env)
        np.testing.assert_allclose(observation, see, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(reward, earn, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_sizes(task):
    observation, action, steps, substeps = SIZES[task]
    env = make(task)
    assert env.single_observation_space.shape == (observation,) and env.single_action_space.shape == (action,)
    assert env.max_episode_steps == steps and env.scene.substeps == substeps
    assert env.scene.dt == pytest.approx(0.05 if task == "Pendulum" else 1 / 60)
    assert (env.single_action_space.low == -1).all() and (env.single_action_space.high == 1).all()


@pytest.mark.parametrize(
    ("task", "strength", "armature", "damping", "friction", "stiffness"),
    [
        ("CartPoleSwingUp", 1000, None, None, None, None),
        ("Pendulum", 2, 0, 0, None, None),
        ("Hopper", 200, 1, 2, 0.9, 2e4),
        ("Walker2d", 100, 0.01, 0.1, 0.9, 2e4),
        ("HalfCheetah", 200, 0.1, None, 1, 2e4),
        ("Ant", 200, 0.05, 1, 0.75, 4e4),
        ("Humanoid", HUMANOID, None, None, 0.75, 2e4),
    ],
)
def test_physical_constants(task, strength, armature, damping, friction, stiffness):
    """Of the motors' joints, as the definition says; None: the robot's own."""
    env = make(task, 1)
    robot = env.robot
    motors = [motor.dof for motor in robot.actuators]
    assert motors == ([0] if robot.n_dofs < 3 else list(range(robot.n_dofs - len(motors), robot.n_dofs)))
    np.testing.assert_allclose(env.strength[0], np.broadcast_to(strength, len(motors)), rtol=1e-6)
    for value, wanted in (
        (robot.get_dofs_armature(motors), armature),
        (robot.get_dofs_damping(motors), damping),
        (robot.get_friction(), friction),
        (robot.get_contact_stiffness(), stiffness),
    ):
        if wanted is not None:
            np.testing.assert_allclose(value, wanted, rtol=1e-6)


def start(task, num_envs=400):
    env = make(task, num_envs)
    env.reset(seed=0)
    return env, env.robot.get_qpos().numpy(), env.robot.get_dofs_velocity().numpy()


def assert_uniform(values, half_width):
    """Within the bounds, and filling them: the rows differ, and mean and spread are those of a uniform distribution."""
    assert np.abs(values).max() <= half_width * (1 + 1e-5)
    assert np.abs(values).max() > 0.98 * half_width
    spread = half_width / np.sqrt(3)
    assert (np.abs(values.mean(0)) < 5 * spread / np.sqrt(len(values))).all()
    assert np.allclose(values.std(0), spread, rtol=0.15)


@pytest.mark.parametrize(
    ("task", "height", "noise", "speed"),
    [("Hopper", 0, 0.05, 0.05), ("Walker2d", 0, 0.05, 0.05), ("HalfCheetah", 0.1, 0.1, 0.25)],
)
def test_starts_in_the_plane(task, height, noise, speed):
    env, q, v = start(task)
    q = q - env.rest.numpy()
    q[:, 1] -= height
    assert_uniform(q, noise)
    assert_uniform(v, speed)


@pytest.mark.parametrize(("task", "height"), [("Ant", 0.75), ("Humanoid", 1.35)])
def test_starts_of_floating_robots(task, height):
    env, q, v = start(task)
    assert_uniform(q[:, :3] - [0, 0, height], 0.1)
    assert_uniform(q[:, 7:] - np.array(env.START_JOINTS), 0.2)
    assert_uniform(v, 0.25)
    assert_turns(q[:, 3:7], np.pi / 24)


def assert_turns(quat, half_width):
    np.testing.assert_allclose(np.linalg.norm(quat, axis=1), 1, rtol=1e-5)
    angle = 2 * np.arctan2(np.linalg.norm(quat[:, 1:], axis=1), quat[:, 0])
    assert 0.95 * half_width < angle.max() <= half_width + 1e-5
    axis = quat[:, 1:] / np.linalg.norm(quat[:, 1:], axis=1, keepdims=True)
    np.testing.assert_allclose(axis.T @ axis / len(axis), np.eye(3) / 3, atol=0.08)  # no direction is preferred


def test_starts_of_swing_ups():
    _, q, v = start("CartPoleSwingUp")
    assert_uniform(q - [0, np.pi], np.pi / 2)
    assert_uniform(v, 0.25)
    _, q, v = start("Pendulum")
    assert_uniform(q, np.pi)
    assert_uniform(v, 1.0)


def test_starts_of_the_quadrotor():
    env, q, v = start("Quadrotor")
    assert (q[:, :3] == [0, 0, 1]).all()
    assert_turns(q[:, 3:7], np.pi / 6)
    assert_uniform(v, 0.5)
    assert_uniform(env.episode["waypoint"].numpy() - [0, 0, 1], 1.0)


@pytest.mark.parametrize(
    ("task", "index", "limit"), [("Hopper", 1, -0.45), ("Walker2d", 1, -0.45), ("Ant", 2, 0.27), ("Humanoid", 2, 0.74)]
)
def test_falling_ends_the_episode(task, index, limit):
    env = make(task, 2, autoreset_mode="Disabled")
    env.reset(seed=0)
    q = env.robot.get_qpos().clone()
    base = float(env.rest[1]) if index == 1 else 0.0
    q[:, index] = base + limit + torch.tensor([0.02, -0.02])
    env.robot.set_qpos(q)
    assert env.terminated().tolist() == [False, True]
    q[:, index] = base + limit - 0.2  # far enough below for one step not to lift it, out of a ground that hardly pushes
    env.robot.set_qpos(q)
    env.robot.set_contact_stiffness(1.0)
    _, _, terminated, truncated, info = env.step(actions_of(env, 1)[0])
    assert terminated.all() and not truncated.any() and not info["nonfinite"].any()


def test_flying_away_ends_the_episode():
    env = make("Quadrotor")
    env.reset(seed=0)
    env.robot.set_pos(env.episode["waypoint"] + torch.tensor([[2.8, 0.0, 0.0], [3.2, 0.0, 0.0]]).to(gs.tc_float))
    assert env.step(torch.zeros(2, 4))[2].tolist() == [False, True]


@pytest.mark.parametrize("task", ("CartPoleSwingUp", "Pendulum", "HalfCheetah"))
def test_only_time_ends_the_others(task):
    env = make(task, max_episode_steps=40, autoreset_mode="Disabled")
    env.reset(seed=0)
    for step, action in enumerate(actions_of(env, 40)):
        _, _, terminated, truncated, _ = env.step(action)
        assert not terminated.any() and truncated.all() == (step == 39)


@pytest.mark.parametrize("task", TASKS)
def test_measured_numbers(task):
    env = make(task)
    info = env.reset(seed=0)[1]
    upright = info["height"] if task in ("CartPoleSwingUp", "Pendulum") else info["upright"]
    assert (upright.abs() <= 1 + 1e-6).all()
    if task in LEGGED:
        torch.testing.assert_close(info["forward_velocity"].clone(), env.robot.get_dofs_velocity()[:, 0].clone())
    if task == "Quadrotor":
        env.robot.set_pos(env.episode["waypoint"] + 0.05)
        assert env.measure()["success"].all() and not info["success"].all()
    assert not any(value.requires_grad for value in info.values())


def test_success_of_swing_ups_is_upright():
    for task in ("CartPoleSwingUp", "Pendulum"):
        env = make(task)
        env.reset(seed=0)
        q = env.robot.get_qpos() * 0.0
        q[1, -1] = 2 * np.pi + 0.3
        env.robot.set_qpos(q)
        assert env.measure()["success"].tolist() == [True, False]


def test_there_is_one_contact_model():
    """Whoever asks for the one of before is told what there is."""
    for make_one in (gym.make, gym.make_vec):
        with pytest.raises(gs.GenesisException, match="must get known options only, got contact"):
            make_one("genesis/Hopper-v0", contact="strict")
