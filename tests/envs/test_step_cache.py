"""Values of the state are computed once within a step, and afresh after it has changed and outside of steps."""

import numpy as np
import pytest
import torch

import genesis as gs
from envs.locomotion.hopper import Hopper
from envs.step_cache import StepCache, cached_per_step
from envs.streams import AHEAD, Draw


class CountingTask:
    def __init__(self):
        self._step_cache = StepCache()
        self.scene = self
        self.state = object()
        self.count = 0

    def get_state(self):
        return self.state

    @cached_per_step
    def value(self):
        self.count += 1
        return self.count


def test_a_value_is_computed_once_until_the_state_changes():
    task = CountingTask()
    with task._step_cache.active():
        assert [task.value(), task.value()] == [1, 1]
        task._step_cache.clear()
        assert [task.value(), task.value()] == [2, 2]


def test_a_value_is_computed_again_for_another_state_and_with_a_graph():
    task = CountingTask()
    with task._step_cache.active():
        with torch.no_grad():
            assert [task.value(), task.value()] == [1, 1]
        assert [task.value(), task.value()] == [2, 2]
        task.state = object()
        assert [task.value(), task.value()] == [3, 3]


def test_nothing_is_kept_outside_of_a_step():
    task = CountingTask()
    assert [task.value(), task.value()] == [1, 2]
    with pytest.raises(ValueError), task._step_cache.active():
        task.value()
        raise ValueError
    assert [task.value(), task.value()] == [4, 5]


def test_numbers_made_ahead_are_those_of_one_draw_at_a_time():
    def draw(rows):
        ids = np.arange(rows)
        return Draw(np.full((rows, 2), 7, dtype=np.uint64), ids, np.zeros(rows), np.full(rows, 3))

    few, many = draw(2), draw(AHEAD)  # of many rows none are made ahead
    for shape in ((3,), (), (4,), (AHEAD,), (1,)):
        np.testing.assert_array_equal(few.uniform(shape=shape), many.uniform(shape=shape)[:2])


class StateSettingTask(Hopper):
    """Sets the robot's state where no task of ours does, and measures without a graph."""

    lift = 0.0

    def sample_initial_state(self, draw, envs_idx):
        super().sample_initial_state(draw, envs_idx)
        start = self.qpos()[envs_idx]
        torch.testing.assert_close(start, self.robot.get_qpos().as_subclass(torch.Tensor)[envs_idx], rtol=0, atol=0)
        self.place(start + self.tensor([0.0, 0.5, 0.0, 0.0, 0.0, 0.0]), self.dofs_vel()[envs_idx], envs_idx)
        return {}

    def apply_action(self, action):
        self.robot.set_qpos(self.qpos() + 0.001, zero_velocity=False)
        self.before = self.qpos()
        super().apply_action(action)

    @torch.no_grad()
    def measure(self):
        self.robot.set_qpos(self.qpos() + self.lift, zero_velocity=False)
        return super().measure()

    def reward(self):
        torch.testing.assert_close(self.qpos(), self.robot.get_qpos().as_subclass(torch.Tensor), rtol=0, atol=0)
        return self.forward_velocity()


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_hooks_that_set_the_state_read_it_as_it_is(mode):
    env = StateSettingTask(num_envs=2, output="torch", autoreset_mode=mode, max_episode_steps=2)
    env.lift = 0.01
    observation, _ = env.reset(seed=0)
    assert bool((observation[:, 0] > 0.4).all())
    for _ in range(4):
        placed = env.qpos()
        observation = env.step(torch.zeros(2, 3, dtype=env.dtype))[0]
        torch.testing.assert_close(env.before, placed + 0.001)
    env.close()


def test_a_measure_without_a_graph_leaves_the_reward_its_gradient():
    env = StateSettingTask(num_envs=2, output="torch", differentiable=True)
    env.reset(seed=0)
    action = torch.zeros(2, 3, dtype=env.dtype, requires_grad=True)
    env.step(gs.from_torch(action, detach=False))[1].sum().backward()
    assert action.grad is not None and bool((action.grad != 0).any())
    env.close()
