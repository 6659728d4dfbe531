"""The physics check: what it counts by hand, MuJoCo as another world, a control that can fail, finer substeps."""

import json
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch

import envs
import genesis as gs
from genesis.loaders import load_robot
from scripts import mujoco_world, recheck
from scripts.mujoco_world import MujocoWorld, control_deviation
from scripts.physics import GenesisWorld, JointRanges, Strain, body_size, perform
from scripts.recheck import RecheckConfig
from tests.scripts import saved_agents


def task(name, num_envs=4, **options):
    options = {"autoreset_mode": "SameStep", "first_env_index": 1_000_000, **options}
    return gym.make_vec(f"genesis/{name}-v0", num_envs=num_envs, output="torch", **options).unwrapped


class ScriptedWorld:
    """Two rows: the second one ends in step 2."""

    max_episode_steps = 4

    def reset(self, seed):
        self.t = 0
        return torch.zeros(2, 1)

    def step(self, action):
        self.t += 1
        reward = torch.tensor([1.0, 10.0]) * action[:, 0]
        return torch.zeros(2, 1), reward, torch.tensor([False, self.t >= 2])

    def strain(self):
        over = self.t >= 2
        excess = torch.tensor([0.1 * self.t, 99.0 if over else 0.2])
        return Strain(excess, excess, torch.tensor([4, 100 if over else 2]), torch.tensor([1, 100 if over else 0]))


def test_a_row_that_has_ended_is_no_longer_looked_at():
    played = perform(ScriptedWorld(), lambda observation: torch.ones(2, 1), seed=0)
    assert played.returns.tolist() == [4.0, 20.0] and played.lengths.tolist() == [4, 2]
    assert played.limit_excess == pytest.approx(0.4) and played.penetration == pytest.approx(0.4)
    assert played.pulling_share == pytest.approx((1 + 1 + 1 + 1) / (4 * 4 + 2))


def test_joint_ranges_by_hand():
    model = load_robot("hopper")
    ranges = JointRanges(model, torch.zeros((), dtype=torch.float64))
    thigh = next(joint for joint in model.joints if joint.name == "thigh")
    qpos = torch.from_numpy(model.qpos0.copy()).expand(2, -1).clone()
    qpos[0, thigh.q], qpos[1, thigh.q] = 0.25, model.limit_low[thigh.dof] - 0.5
    torch.testing.assert_close(ranges.excess(qpos), torch.tensor([0.25, 0.5], dtype=torch.float64))


def test_body_size_by_hand():
    """The cart is 0.5 x 0.5 x 0.2 m, the pole 0.05 x 0.05 x 1 m hangs from its centre."""
    assert body_size(load_robot("cartpole")) == pytest.approx(((0.5**2 + 0.5**2 + 1.1**2) / 3) ** 0.5)


def test_substeps_are_an_option():
    assert task("Hopper").substeps == 16 and task("Hopper", substeps=32).substeps == 32
    assert gym.make("genesis/Hopper-v0", substeps=8).unwrapped.core.substeps == 8
    for wrong in (0, 1.5, True, "16"):
        with pytest.raises(gs.GenesisException, match="substeps must be"):
            task("Hopper", substeps=wrong)


def test_finer_substeps_converge():
    ends = []
    for substeps in (4, 8, 16, 32):
        env = task("CartPoleSwingUp", substeps=substeps)
        env.reset(seed=0)
        for _ in range(30):
            env.step(torch.full((4, 1), 0.3))
        ends.append(env.qpos())
    gaps = [(a - b).abs().max().item() for a, b in zip(ends[:-1], ends[1:], strict=True)]
    assert gaps[0] > 1.5 * gaps[1] > 2.25 * gaps[2] > 0


@pytest.mark.parametrize("name, bar", [("CartPoleSwingUp", 1e-4), ("Ant", recheck.CONTROL_BAR)])
def test_the_control_passes_with_the_same_robot(name, bar):
    assert control_deviation(task(name, step_outputs=contacts(name)), seed=0) < bar


def contacts(name):
    return () if name == "CartPoleSwingUp" else ("contacts",)


def test_the_control_fails_with_another_robot(monkeypatch):
    env = task("CartPoleSwingUp")

    class Stronger(MujocoWorld):
        def __init__(self, env):
            super().__init__(env)
            self.model.actuator_gear *= 2.0

    monkeypatch.setattr(mujoco_world, "MujocoWorld", Stronger)
    assert control_deviation(env, seed=0) > recheck.CONTROL_BAR


def test_mujoco_uses_the_task_own_code():
    """Observation and reward at MuJoCo's state are those of the task at the same state."""
    env = task("Hopper", step_outputs=("contacts",))
    world = MujocoWorld(env)
    world.reset(seed=3)
    action = torch.full((4, 3), 0.4)
    observation, reward, done = world.step(action)
    qpos, qvel = (torch.tensor(np.stack([getattr(data, name) for data in world.data])) for name in ("qpos", "qvel"))
    expected = torch.cat([(qpos - env.rest.double())[:, 1:], qvel], dim=1)
    torch.testing.assert_close(observation.double(), expected, atol=1e-5, rtol=1e-5)
    angle = qpos[:, 2]
    height = qpos[:, 1] - env.rest[1].double()
    tall = (height + 0.3).clamp(max=0.3)
    wanted = qvel[:, 0] + tall + 1 - (angle / (torch.pi / 6)) ** 2 - 0.1 * 3 * 0.4**2
    torch.testing.assert_close(reward.double(), wanted, atol=1e-4, rtol=1e-4)
    assert not done.any()
    for _ in range(100):
        world.step(torch.zeros(4, 3))
    assert 0 < world.strain().penetration.max() < 0.05


def test_contacts_of_the_simulator():
    env = task("Hopper", step_outputs=("contacts",))
    played = perform(GenesisWorld(env), lambda observation: torch.zeros(4, 3), seed=0)
    assert 0 < played.penetration < 0.04 * body_size(env.robot.model) and played.pulling_share == 0.0  # in a fall
    bent = 200 / env.CONTACT.contact.limit_stiffness  # rad, by the strength of a motor; here only weight bends
    assert 0 < played.limit_excess < bent and played.lengths.max() < 1000


def test_the_whole_table(tmp_path, monkeypatch, capsys):
    env = task("CartPoleSwingUp", max_episode_steps=240)
    run, agent = saved_agents.save(tmp_path / "run", "genesis/CartPoleSwingUp-v0", env, "ppo")
    options = ["--checkpoint", str(run), "--multiples", "1", "2", "--episodes", "2"]
    monkeypatch.setattr(sys, "argv", ["recheck", *options, "--json"])
    assert recheck.main() == 0
    result = json.loads(capsys.readouterr().out)
    assert [(row["world"], row["substeps"]) for row in result["rows"]] == [("1x", 4), ("2x", 8), ("MuJoCo", 4)]
    assert result["control"]["passed"] and result["trained_steps"] == agent.steps and result["contact"] is None
    first, second, transfer = result["rows"]
    assert abs(second["change"]) < 0.05 and abs(transfer["change"]) < 0.05
    assert first["penetration"] is None and first["length_mean"] == 240
    monkeypatch.setattr(sys, "argv", ["recheck", *options, "--no-mujoco"])
    assert recheck.main() == 0
    printed = capsys.readouterr().out
    assert "2x" in printed and "MuJoCo" not in printed and "nan" not in printed


def test_what_cannot_be_checked_is_refused(tmp_path, monkeypatch):
    with pytest.raises(gs.GenesisException, match="multiples"):
        recheck.run(RecheckConfig(tmp_path, multiples=(0,)))
    with pytest.raises(gs.GenesisException, match="episodes"):
        recheck.run(RecheckConfig(tmp_path, episodes=0))
    with pytest.raises(gs.GenesisException, match="backend"):
        recheck.run(RecheckConfig(tmp_path, backend="tpu"))
    with pytest.raises(gs.GenesisException, match="--no-mujoco"):
        MujocoWorld(task("Quadrotor"))
    with monkeypatch.context() as patch, pytest.raises(gs.GenesisException, match=r"\.\[mjcf\].*--no-mujoco"):
        patch.setitem(sys.modules, "mujoco", None)
        recheck.run(RecheckConfig(tmp_path))  # before it looks for the checkpoint
    envs.register_task("genesis/TestRecheck-v0", "tests.envs.point_mass", "PointMass", max_episode_steps=10)
    try:
        from tests.envs.point_mass import make

        run, _ = saved_agents.save(
            tmp_path / "run", "genesis/TestRecheck-v0", make(2, 6, autoreset_mode="SameStep"), "ppo"
        )
        with pytest.raises(gs.GenesisException, match="must be of a robot task"):
            recheck.run(RecheckConfig(run))
    finally:
        envs.ENV_IDS.remove("genesis/TestRecheck-v0")
