"""Robot tasks: gradients through contact, resets in mid-rollout, randomised parameters, flight."""

import gymnasium as gym
import numpy as np
import pytest
import torch

import envs  # noqa: F401  (registers)
import genesis as gs

LEGGED = ("Hopper", "Walker2d", "HalfCheetah", "Ant", "Humanoid")
TASKS = (*LEGGED, "CartPoleSwingUp", "Pendulum", "Quadrotor")
LOW = {
    "Hopper": -0.06,
    "Walker2d": -0.06,
    "HalfCheetah": -0.12,
    "Ant": -0.2,
    "Humanoid": -0.1,
}  # m, feet touch the ground


def make(task, num_envs=2, **options):
    options = {"autoreset_mode": "SameStep", **options}
    return gym.make_vec(f"genesis/{task}-v0", num_envs=num_envs, output="torch", **options).unwrapped


def actions_of(env, steps, size=0.4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (steps, env.num_envs, *env.single_action_space.shape)
    return (size * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)).to(gs.tc_float)


def lower(env, task):
    """Brings the feet to the ground."""
    if task in LOW:
        q = env.robot.get_qpos().as_subclass(torch.Tensor)
        offset = torch.zeros_like(q[0])
        offset[2 if task in ("Ant", "Humanoid") else 1] = LOW[task]
        env.robot.set_qpos(q + offset)


@pytest.mark.precision("64")
@pytest.mark.parametrize("task", TASKS)
def test_gradient_of_rewards_against_central_differences(task):
    env = make(task, differentiable=True)
    actions = actions_of(env, 5)
    friction = torch.tensor(env.FRICTION or 0.0, dtype=gs.tc_float, requires_grad=True)

    def total(sequence):
        env.reset(seed=2)
        env.robot.set_friction(friction)
        lower(env, task)
        return sum(env.step(action)[1].as_subclass(torch.Tensor).sum() for action in sequence)

    leaf = actions.clone().requires_grad_()
    gradient, rubbing = torch.autograd.grad(total(leaf), (leaf, friction))
    assert (rubbing != 0) == (task in LEGGED)  # the feet are on the ground
    assert gradient.abs().amax(dim=2).min() > 0  # every environment, every step
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        direction = torch.randn(actions.shape, generator=generator, dtype=actions.dtype)
        with torch.no_grad():
            ahead, behind = (total(actions + step * direction) for step in (1e-6, -1e-6))
        exact = (gradient * direction).sum()
        assert abs((ahead - behind) / 2e-6 - exact) < 1e-6 * gradient.norm() * direction.norm()


@pytest.mark.parametrize("task", TASKS)
def test_a_reset_cuts_one_environment_and_no_other(task):
    """Environment 0 is reset in mid-rollout: actions before it no longer matter to it, and all of the other's do."""
    env = make(task, differentiable=True, autoreset_mode="Disabled")
    leaf = actions_of(env, 4).requires_grad_()
    gradients = []
    for reset in (False, True):
        env.reset(seed=0)
        for step, action in enumerate(leaf):
            if step == 2 and reset:
                env.reset(options={"reset_mask": torch.tensor([True, False])})
            reward = env.step(action)[1]
        gradients += torch.autograd.grad(reward.as_subclass(torch.Tensor).sum(), leaf)
        env.detach_()
    plain, cut = gradients
    assert not cut[:2, 0].any() and cut[2:, 0].abs().amax(dim=1).min() > 0
    assert torch.equal(cut[:, 1], plain[:, 1]) and plain[:, 0].abs().amax(dim=1).min() > 0


@pytest.mark.parametrize("task", LEGGED)
def test_robots_stand(task):
    env = make(task, 1, autoreset_mode="Disabled")
    env.reset(seed=0)
    lower(env, task)
    for _ in range(20):
        observation = env.step(torch.zeros(1, *env.single_action_space.shape))[0]
    assert torch.isfinite(observation).all() and env.robot.get_dofs_velocity().abs().max() < 30


@pytest.mark.parametrize("task", ["Hopper", "Ant"])
def test_the_stiffness_of_contact_counts_the_points_in_the_ground(task):
    """By the points' positions and the solver's constant: dt^2 k n / M, and nothing in the air."""
    env = make(task, 2, step_outputs=("contacts",), autoreset_mode="Disabled")
    env.reset(seed=0)
    lower(env, task)
    env.robot.set_qpos(
        env.qpos() + torch.tensor([0.0, 1.0])[:, None] * (torch.arange(env.qpos().shape[1]) == (task == "Ant") + 1)
    )
    idle = torch.zeros(2, *env.single_action_space.shape)
    for _ in range(5):
        stiffness = env.step(idle)[4]["contact_stiffness"].as_subclass(torch.Tensor)
    touching = (env.robot.get_contacts().position[..., 2] < 0).sum(dim=1)
    assert touching[0] > 0 and touching[1] == 0  # the second is a metre higher
    k, mass = env.CONTACT.contact.stiffness, env.robot.model.mass.sum()
    torch.testing.assert_close(stiffness, touching.to(stiffness) * (k / mass / 60**2))
    assert "contact_stiffness" not in make(task, 1).reset(seed=0)[1]


@pytest.mark.parametrize("task", TASKS)
def test_randomised_parameters_change_the_motion_and_nothing_else(task):
    plain, varied, again = make(task), make(task, parameter_randomisation=0.3), make(task, parameter_randomisation=0.3)
    starts, ends = [], []
    for env in (plain, varied, again):
        starts.append(env.reset(seed=0)[0])
        lower(env, task)
        for action in actions_of(env, 6, size=1.0):
            observation = env.step(action)[0]
        ends.append(observation)
    assert torch.equal(starts[0], starts[1])  # the streams of starts do not know
    assert torch.equal(ends[1], ends[2]) and not torch.allclose(ends[0], ends[1], atol=1e-4)
    ratio = varied.robot.get_mass().numpy() / plain.robot.get_mass().numpy()
    assert (np.abs(ratio - 1) < 0.3).all() and (np.abs(ratio - 1) > 1e-3).all() and ratio[0] != ratio[1]


def test_a_randomised_row_keeps_its_parameters_when_another_is_reset():
    env = make("Hopper", 3, parameter_randomisation=0.3, autoreset_mode="Disabled")
    env.reset(seed=0)
    mass, strength = env.robot.get_mass().clone(), env.strength.clone()
    env.reset(options={"reset_mask": torch.tensor([False, True, False])})
    changed = [
        (a != b).any(dim=-1).tolist()
        for a, b in ((strength, env.strength), (mass[:, None], env.robot.get_mass()[:, None]))
    ]
    assert changed == [[False, True, False]] * 2


def test_zero_action_hovers_and_thrust_lifts():
    env = make("Quadrotor", 3, autoreset_mode="Disabled")
    env.reset(seed=0)
    rest = env.rest.expand(3, -1)
    env.place(rest, torch.zeros(3, 6).to(gs.tc_float), torch.arange(3))
    action = torch.tensor([0.0, 0.1, -0.1])[:, None].expand(3, 4)
    for _ in range(30):
        env.step(action)
    pos, vel = env.robot.get_pos().numpy(), env.robot.get_vel().numpy()
    np.testing.assert_allclose(vel[:, 2], 0.5 * 0.5 * 9.81 * np.array([0, 0.1, -0.1]), atol=1e-3)  # half a second
    np.testing.assert_allclose(pos[:, :2], 0, atol=1e-4)


def test_rotors_turn_the_body_as_they_stand():
    env = make("Quadrotor", 3, autoreset_mode="Disabled")
    env.reset(seed=0)
    env.place(env.rest.expand(3, -1), torch.zeros(3, 6).to(gs.tc_float), torch.arange(3))
    front_left, rear_left, rear_right, front_right = np.eye(4)
    left, rear, spinning = front_left + rear_left, rear_left + rear_right, front_left + rear_right
    action = 0.02 * np.stack([left - front_right - rear_right, rear - front_left - front_right, 2 * spinning - 1])
    env.step(torch.tensor(action).to(gs.tc_float))
    spin = env.robot.get_ang().numpy()
    assert (
        np.diag(spin) > 1e-4
    ).all()  # left lifts: rolls about x; rear lifts: pitches about y; one pair: yaws about z
    np.testing.assert_allclose(spin - np.diag(np.diag(spin)), 0, atol=1e-4)


def test_a_cascade_of_proportional_controllers_reaches_the_waypoint():
    """The task can be done, from every start, within its episode and its actions."""
    env = make("Quadrotor", 16, autoreset_mode="Disabled")
    observation, _ = env.reset(seed=0)
    mix = np.array([[1, -1, 1, 1], [1, 1, 1, -1], [-1, 1, 1, 1], [-1, -1, 1, -1]]).T  # roll, pitch, lift, yaw by rotor
    for _ in range(300):
        offset, vel, axes, spin = np.split(observation.numpy(), [3, 6, 15], axis=1)
        axes = axes.reshape(-1, 3, 3)
        wanted = np.clip(2.0 * offset - 2.5 * vel, -3, 3) + [0, 0, 9.81]  # m/s^2
        thrust = (wanted * axes[:, :, 2]).sum(1) / 9.81
        level = np.einsum("bij,bi->bj", axes, wanted / np.linalg.norm(wanted, axis=1, keepdims=True))  # body frame
        tilt = np.stack([-level[:, 1], level[:, 0], 0 * thrust], 1)
        roll, pitch, yaw = (0.6 * tilt - 0.12 * spin).T
        action = np.stack([roll, pitch, 2 * (thrust - 1), yaw], 1) @ mix
        observation, _, terminated, truncated, info = env.step(torch.tensor(action).to(gs.tc_float))
        assert not terminated.any()
    assert truncated.all() and info["success"].all()
