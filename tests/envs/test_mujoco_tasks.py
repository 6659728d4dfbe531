"""Gymnasium's tasks on MuJoCo's contact model: equal to Gymnasium's own, differentiable, with its keywords."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import genesis as gs
from envs import ENV_IDS
from genesis.math import quaternion
from tests.envs.every_task import of_gymnasium
from tests.physics.finite import compare

ALWAYS = ("Ant",)
"""Kernels of the first two are the same; each of the others takes a minute to be compiled."""
NAMES = [env_id.split("/")[1].split("-")[0] for env_id in ENV_IDS if of_gymnasium(env_id)]
MARKED = [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.slow) for name in NAMES]
everywhere = pytest.mark.parametrize("name", MARKED)
exact = pytest.mark.precision("64")
NEWTON = 2
"""MuJoCo's solver; humanoid.xml asks for another, which does not converge."""
STEP, AFTER_50 = 1e-9, 1e-6
"""Greatest differences, of numbers beyond 1 relative to them."""
SEARCHED = {"Pusher": 1e-4}
"""Of a task whose contact MuJoCo searches for, to 1e-6 m."""


def make(name, num_envs=4, **options) -> Any:
    given = {"output": "torch", **options}
    return gym.make_vec(f"genesis-mujoco/{name}-v5", num_envs=num_envs, **given).unwrapped


def originals(env) -> list[Any]:
    """Gymnasium's environments with the options of a batch of ours, and MuJoCo's solver at its most exact."""
    made = [gym.make(env.GYMNASIUM, **env.options).unwrapped for _ in range(env.num_envs)]
    for original in made:
        original.reset(seed=0)
        original.model.opt.tolerance, original.model.opt.iterations, original.model.opt.solver = 0.0, 100, NEWTON
    return made


def place(env, worlds, qpos, dofs_vel):
    """Puts both at a state (B, Q), (B, D), as after a reset."""
    env.episode |= env.start_at(qpos.clone(), dofs_vel.clone(), torch.arange(env.num_envs))
    for world, q, v in zip(worlds, env.qpos().detach(), dofs_vel.detach(), strict=True):
        world.set_state(q.double().numpy(), v.double().numpy())


def actions_of(env, generator, size=1.0):
    low, high = size * env.single_action_space.low, size * env.single_action_space.high
    return generator.uniform(low, high, (env.num_envs, len(low)))


def stepped(worlds, actions):
    """Observations, infos, rewards and ends of Gymnasium's environments."""
    outcomes = [world.step(action) for world, action in zip(worlds, actions, strict=True)]
    observations, rewards, ends, _, infos = zip(*outcomes, strict=True)
    table = {name: np.array([info[name] for info in infos]) for name in infos[0]}
    return np.stack(observations), np.array(rewards), np.array(ends), table


def plain(value):
    return value.detach().as_subclass(torch.Tensor).double().numpy()


def random_states(env, generator):
    """Of all environments: disturbed widely, so that limits and contacts act, fast, and not where they started."""
    qpos = env.rest + torch.tensor(generator.normal(0.0, 0.4, (env.num_envs, len(env.rest))))
    if "slider" in [joint.name for joint in env.robot.model.joints]:
        qpos[:, 0] = torch.tensor(generator.uniform(-1.1, 1.1, env.num_envs))  # it ends at 1 m
    if env.GYMNASIUM == "Pusher-v5":  # the object in the arm's fork
        velocity = torch.zeros(env.num_envs, env.robot.n_dofs, dtype=qpos.dtype)
        env.episode |= env.start_at(qpos.clone(), velocity, torch.arange(env.num_envs))
        tip, rest = (env.last().position(name).detach() for name in ("tips_arm", "object"))
        away = torch.tensor(generator.uniform((-0.12, -0.02), (0.12, 0.15), (env.num_envs, 2)))
        qpos[:, 7:9] += (tip - rest)[:, (1, 0)] + away
    return qpos, torch.tensor(generator.normal(0.0, 2.0, (env.num_envs, env.robot.n_dofs)))


@exact
@everywhere
@pytest.mark.parametrize("shown", [False, True], ids=["", "with positions"])
def test_a_step_equals_gymnasiums(name, shown):
    """From states of Gymnasium's, along random motions and far from any."""
    keyword = "exclude_current_positions_from_observation"
    options = {keyword: False, "frame_skip": 2} if shown else {}
    if shown and keyword not in make(name, 1).options:
        pytest.skip("has no such keyword")
    env = make(name, autoreset_mode="SameStep", **options)
    worlds, generator = originals(env), np.random.default_rng(0)
    assert env.single_observation_space.shape == worlds[0].observation_space.shape
    assert (env.single_action_space.low == worlds[0].action_space.low).all()
    assert (env.single_action_space.high == worlds[0].action_space.high).all()
    assert env.control_dt == pytest.approx(worlds[0].dt) and env.GRAVITY == tuple(worlds[0].model.opt.gravity)
    env.reset(seed=0)
    ended = 0
    for k in range(20 if shown else 60):
        states = (env.qpos().detach(), env.dofs_vel().detach()) if k % 6 else random_states(env, generator)
        place(env, worlds, *states)
        actions = actions_of(env, generator)
        wanted, reward, ends, table = stepped(worlds, actions)
        _, got, terminated, _, info = env.step(torch.tensor(actions))
        bars = dict.fromkeys(("rtol", "atol"), SEARCHED.get(name, STEP))
        np.testing.assert_allclose(plain(info["final_obs"]), wanted, **bars)
        np.testing.assert_allclose(plain(got), reward, **bars)
        for key, value in table.items():
            np.testing.assert_allclose(plain(info["final_info"][key]), value, **bars, err_msg=key)
        assert np.array_equal(terminated.numpy(), ends)
        ended += int(ends.sum())
    assert ended or "healthy" not in " ".join(env.options), "ends must be compared too"


@exact
@everywhere
def test_fifty_steps_equal_gymnasiums(name):
    """Unsynchronised, from one start: observations, and rewards with what is tracked from step to step."""
    unending = {"terminate_when_unhealthy": False}
    env = make(name, **{key: value for key, value in unending.items() if key in make(name, 1).options})
    worlds, generator = originals(env), np.random.default_rng(1)
    env.reset(seed=1)
    place(env, worlds, env.qpos().detach(), env.dofs_vel().detach())
    running = np.ones(env.num_envs, dtype=bool)
    for _ in range(50):
        actions = actions_of(env, generator, 0.3)
        wanted, reward, ends, _ = stepped(worlds, actions)
        got, rewards, *_ = env.step(torch.tensor(actions))
        bars = dict.fromkeys(("rtol", "atol"), SEARCHED.get(name, AFTER_50))
        np.testing.assert_allclose(plain(got)[running], wanted[running], **bars)
        np.testing.assert_allclose(plain(rewards)[running], reward[running], **bars)
        running &= ~ends if env.options.get("terminate_when_unhealthy", True) else True


UNSEEN = {"include_cfrc_ext_in_observation": False}
NO_CONTACTS = {
    "Ant": UNSEEN | {"contact_cost_weight": 0.0},
    "Humanoid": UNSEEN | {"contact_cost_weight": 0.0},
    "HumanoidStandup": UNSEEN | {"impact_cost_weight": 0.0},
}
"""Keywords that leave out forces of contacts, of tasks in which they have no gradient."""


@exact
@everywhere
@pytest.mark.parametrize("contact", ["mujoco", "smoothed"])
def test_gradient_by_actions(name, contact):
    """Of rewards, observations and margins over three steps, after some in which robots came to the ground."""
    env = make(name, num_envs=3, differentiable=True, contact=contact, **NO_CONTACTS.get(name, {}))
    generator = torch.Generator().manual_seed(2)
    env.reset(seed=2)
    with torch.no_grad():
        for _ in range(12 if name in ("Ant", "Humanoid", "HumanoidStandup") else 2):
            env.step(torch.zeros(env.action_space.shape))
    start, high = env.state_dict(), torch.tensor(env.single_action_space.high)
    actions = 0.5 * high * (2 * torch.rand(3, *env.action_space.shape, generator=generator, dtype=gs.tc_float) - 1)
    size = 1.0 + env.observe().detach().as_subclass(torch.Tensor).abs()
    weights = torch.randn(3, *size.shape, generator=generator, dtype=gs.tc_float) / size

    def total(actions):
        env.load_state_dict(start)
        total = torch.zeros((), dtype=gs.tc_float)
        for action, weight in zip(actions, weights, strict=True):
            observation, reward, _, _, info = env.step(action)
            total = total + reward.as_subclass(torch.Tensor).sum()
            if "margins" in info:
                total = total + torch.sin(info["margins"].as_subclass(torch.Tensor)).sum()
            total = total + (weight * observation.as_subclass(torch.Tensor)).sum()
        return total

    compare(total, [actions.requires_grad_()], most=8, bar=1e-6)[0].check(1e-6)


@everywhere
def test_margins_are_positive_until_the_task_ends(name):
    """From random states, of which some are beyond a bound; and what is pulled back through a step can be changed."""
    env = make(name, differentiable=True, autoreset_mode="SameStep")
    generator = np.random.default_rng(3)
    env.reset(seed=0)
    ended = 0
    for _ in range(10):
        env.detach_()
        qpos, dofs_vel = (x.to(env.dtype) for x in random_states(env, generator))
        env.episode |= env.start_at(qpos, dofs_vel, torch.arange(env.num_envs))
        _, _, terminated, _, info = env.step(env.tensor(actions_of(env, generator)))
        if "margins" not in info:
            assert not terminated.any()
            continue
        inside = info["margins"] >= 0 if env.ENDS_HEALTHY else info["margins"] > 0
        assert torch.equal(~inside.all(dim=1), terminated)
        ended += int(terminated.sum())
    options = env.options
    env = make(name, differentiable=True, **{key: False for key in options if key == "terminate_when_unhealthy"})
    assert ended or env.health() is None
    gradients = []
    for change in (None, lambda cotangent: 0.5 * cotangent):
        env.reset(seed=0)
        env.pull_through(change)
        action = env.tensor(env.single_action_space.high).expand(env.num_envs, -1).clone().requires_grad_()
        info = env.step(action)[4]
        assert "margins" not in info or "terminate_when_unhealthy" not in options
        env.qpos().square().sum().backward()
        gradients.append(action.grad)
    assert gradients[0].any() and torch.equal(0.5 * gradients[0], gradients[1])


@everywhere
def test_starts_are_distributed_as_gymnasiums(name):
    n = 400
    env = make(name, num_envs=n)
    ours = plain(env.reset(seed=0)[0])
    original = gym.make(env.GYMNASIUM, **env.options).unwrapped
    theirs = np.stack([original.reset(seed=seed)[0] for seed in range(n)])
    spread = theirs.std(axis=0)
    assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 6 * spread / np.sqrt(n) + 1e-5).all()
    np.testing.assert_allclose(ours.std(axis=0), spread, rtol=0.25, atol=1e-5)
    width = np.ptp(theirs, axis=0)
    assert (ours.min(axis=0) > theirs.min(axis=0) - 0.35 * width - 1e-5).all()
    assert (ours.max(axis=0) < theirs.max(axis=0) + 0.35 * width + 1e-5).all()


@exact
def test_the_first_observation_after_a_reset_is_gymnasiums():
    """Quaternions as long as they were drawn, and bodies where the start is, without forces."""
    env = make("Ant", num_envs=2, max_episode_steps=2, autoreset_mode="SameStep")
    first = plain(env.reset(seed=0)[0])
    assert (abs(np.linalg.norm(first[:, 1:5], axis=1) - 1) > 1e-4).all() and not first[:, 27:].any()
    action = torch.ones(2, 8)
    assert np.linalg.norm(plain(env.step(action)[0])[:, 1:5], axis=1) == pytest.approx([1.0, 1.0])
    again, _, _, _, info = env.step(action)
    assert (abs(np.linalg.norm(plain(again)[:, 1:5], axis=1) - np.linalg.norm(first[:, 1:5], axis=1)) > 1e-4).all()
    assert (info["x_velocity"] == 0).all() and (info["final_info"]["x_velocity"] != 0).all()


@exact
def test_what_was_evaluated_last_is_part_of_a_saved_state():
    env = make("Ant", num_envs=2)
    env.reset(seed=0)
    for _ in range(15):
        env.step(torch.zeros(2, 8))
    saved = env.state_dict()
    seen, after = plain(env.observe()), env.step(torch.ones(2, 8))
    env.reset(seed=1)
    env.load_state_dict(saved)
    assert np.array_equal(plain(env.observe()), seen) and seen[:, 27:].any()
    again = env.step(torch.ones(2, 8))
    assert torch.equal(again[0], after[0]) and torch.equal(again[1], after[1])


@exact
def test_centres_of_mass_and_forces_of_contacts_of_ant():
    """Centres are those of bodies turned and placed one by one; forces are computed without a graph."""
    env = make("Ant", num_envs=2, differentiable=True)
    env.reset(seed=0)
    action = torch.zeros(2, 8, dtype=env.dtype, requires_grad=True)
    env.step(action)
    state, rows = env.present(), env.robot.model.mujoco.bodies
    (pos, quat, _, _), mass = state.links, torch.as_tensor(rows.mass.copy())
    places = zip(rows.link.tolist(), torch.as_tensor(rows.pos.copy()), strict=True)
    centres = torch.stack([pos[:, i] + quaternion.rotate(quat[:, i], at) for i, at in places], dim=1)
    torch.testing.assert_close(state.centres, centres, rtol=0, atol=1e-14)
    middle = (centres * mass[:, None]).sum(dim=1, keepdim=True) / mass.sum()
    torch.testing.assert_close(state.tree_centres, middle.expand_as(centres), rtol=0, atol=1e-14)
    assert state.tree_centres.requires_grad and not env.contact_forces().requires_grad


@exact
@pytest.mark.slow
@pytest.mark.parametrize("name", ["Humanoid", "HumanoidStandup"])
def test_forces_of_contacts_of_humanoids_have_no_gradient(name):
    env = make(name, num_envs=2, differentiable=True)
    env.reset(seed=0)
    with torch.no_grad():
        for _ in range(40):
            env.step(torch.zeros(2, 17))
    env.step(torch.zeros(2, 17, dtype=env.dtype, requires_grad=True))
    assert env.contact_forces().any() and not env.contact_forces().requires_grad and env.qpos().requires_grad
    torch.testing.assert_close(env.contact_forces(), env.last().contact_forces().detach(), rtol=0, atol=0)


@pytest.mark.slow
def test_without_a_limit_that_pushes_the_double_pendulum_observes_no_force():
    """And where one does it has no gradient: learning bounds a part of the difference that it is."""
    env = make("InvertedDoublePendulum", num_envs=16, differentiable=True)
    env.reset(seed=0)
    generator = np.random.default_rng(0)
    for _ in range(60):
        observation = env.step(actions_of(env, generator))[0]
        free = env.last().qpos[:, 0].abs() <= env.FREE
        assert not observation[free, 8].any() and not env.limit_force().requires_grad
    env.reset(seed=1)
    env.place(env.rest.expand(16, -1) + torch.tensor([0.999, 0.0, 0.0]), torch.ones(16, 3), torch.arange(16))
    assert (env.step(torch.ones(16, 1))[0][:, 8] < 0).all()


def test_a_failed_environment_starts_without_forces():
    env = make("Ant", num_envs=2)
    env.reset(seed=0)
    env.robot.set_dofs_velocity(1e30, envs_idx=[1])
    observation, reward, terminated, _, info = env.step(torch.zeros(2, 8))
    assert info["nonfinite"].tolist() == [False, True] and terminated.tolist() == [False, True]
    assert torch.isfinite(observation).all() and reward[1] == 0 and not observation[1, 27:].any()


def test_keywords_of_gymnasium_act():
    env = make("Ant", forward_reward_weight=2.0, ctrl_cost_weight=0.25, healthy_reward=3.0, reset_noise_scale=0.0)
    env.reset(seed=0)
    assert torch.equal(env.qpos(), env.rest.expand(4, -1)) and not env.dofs_vel().any()
    actions = torch.full((4, 8), 0.5)
    _, reward, _, _, info = env.step(actions)
    terms = 2.0 * info["x_velocity"] + 3.0 - 0.25 * 0.25 * 8 + info["reward_contact"]
    np.testing.assert_allclose(plain(reward), plain(terms), rtol=1e-6)
    high = make("Ant", healthy_z_range=(0.9, 1.0), contact_force_range=(0.0, 0.5))
    high.reset(seed=0)
    observation, _, terminated, _, info = high.step(actions)
    assert terminated.all() and (info["reward_survive"] == 0).all() and (observation[:, 27:] >= 0).all()
    goes_on = make("Ant", healthy_z_range=(0.9, 1.0), terminate_when_unhealthy=False)
    goes_on.reset(seed=0)
    assert not goes_on.step(actions)[2].any()


def test_single_environment():
    env = gym.make("genesis-mujoco/Ant-v5", frame_skip=2, ctrl_cost_weight=0.0)
    observation, info = env.reset(seed=0)
    assert observation in env.observation_space and env.unwrapped.core.control_dt == pytest.approx(0.02)
    _, reward, terminated, truncated, info = env.step(env.action_space.sample())
    assert info["reward_ctrl"] == 0 and np.isfinite(reward) and not terminated and not truncated
    shown = gym.make("genesis-mujoco/Ant-v5", exclude_current_positions_from_observation=False)
    assert shown.observation_space.shape == (107,) and env.spec.max_episode_steps == 1000


@pytest.mark.slow
def test_lengths_of_tendons_are_infos_of_a_single_environment():
    env = gym.make("genesis-mujoco/Humanoid-v5")
    env.reset(seed=0)
    info = env.step(env.action_space.sample())[4]
    assert info["tendon_length"].shape == info["tendon_velocity"].shape == (2,)


@pytest.mark.parametrize(
    "name, options, said",
    [
        (
            "Ant",
            {"include_cfrc_ext_in_observation": 1},
            "include_cfrc_ext_in_observation of AntV5 must be True or False",
        ),
        ("Ant", {"contact_cost_weight": float("inf")}, "contact_cost_weight of AntV5 must be a finite number"),
        ("Ant", {"healthy_z_range": (1.0, 0.2)}, "healthy_z_range of AntV5 must be"),
        ("Ant", {"contact_force_range": 1.0}, "contact_force_range of AntV5 must be"),
        ("Hopper", {"healthy_angle_range": (0.0, float("nan"))}, "healthy_angle_range of HopperV5 must be"),
        ("Ant", {"frame_skip": 0}, "frame_skip of AntV5 must be a whole number"),
        ("Reacher", {"frame_skip": 2.0}, "frame_skip of ReacherV5 must be a whole number"),
        ("Ant", {"reset_noise_scale": -0.1}, "reset_noise_scale of AntV5 must be"),
        ("Ant", {"terminate_when_unhealthy": 1}, "terminate_when_unhealthy of AntV5 must be True or False"),
        ("Humanoid", {"contact": "strict"}, "contact must be one of"),
        ("Ant", {"xml_file": "ant.xml"}, "must get known options only, got xml_file. Valid ones: .*frame_skip"),
        ("Reacher", {"reset_noise_scale": 0.1}, "must get known options only, got reset_noise_scale"),
    ],
)
def test_refusals(name, options, said):
    for build in (make, lambda name, **options: gym.make(f"genesis-mujoco/{name}-v5", **options)):
        with pytest.raises(gs.GenesisException, match=said):
            build(name, **options)


def test_randomised_parameters_act():
    env = make("Ant", num_envs=2, parameter_randomisation=0.3)
    env.reset(seed=0)
    mass, friction = env.robot.get_mass(), env.robot.get_friction()
    ratio = mass / env.robot.model.mass.sum()
    assert ratio[0] != ratio[1] and ((0.7 <= ratio) & (ratio <= 1.3)).all()
    assert (friction[0] != friction[1]).all()
