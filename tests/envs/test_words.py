"""Words about the state are said once within a step, and afresh after it has changed and outside of steps."""

import numpy as np
import pytest
import torch

import genesis as gs
from envs.locomotion.hopper import Hopper
from envs.streams import AHEAD, Draw
from envs.words import Words, once


class Speaker:
    def __init__(self):
        self._words = Words()
        self.scene = self
        self.state = object()
        self.count = 0

    def get_state(self):
        return self.state

    @once
    def word(self):
        self.count += 1
        return self.count


def test_a_word_is_said_once_until_the_state_changes():
    speaker = Speaker()
    with speaker._words.remembered():
        assert [speaker.word(), speaker.word()] == [1, 1]
        speaker._words.forget()
        assert [speaker.word(), speaker.word()] == [2, 2]


def test_a_word_is_said_again_of_another_state_and_with_a_graph():
    speaker = Speaker()
    with speaker._words.remembered():
        with torch.no_grad():
            assert [speaker.word(), speaker.word()] == [1, 1]
        assert [speaker.word(), speaker.word()] == [2, 2]
        speaker.state = object()
        assert [speaker.word(), speaker.word()] == [3, 3]


def test_nothing_is_kept_outside_of_a_step():
    speaker = Speaker()
    assert [speaker.word(), speaker.word()] == [1, 2]
    with pytest.raises(ValueError), speaker._words.remembered():
        speaker.word()
        raise ValueError
    assert [speaker.word(), speaker.word()] == [4, 5]


def test_numbers_made_ahead_are_those_of_one_draw_at_a_time():
    def draw(rows):
        ids = np.arange(rows)
        return Draw(np.full((rows, 2), 7, dtype=np.uint64), ids, np.zeros(rows), np.full(rows, 3))

    few, many = draw(2), draw(AHEAD)  # of many rows none are made ahead
    for shape in ((3,), (), (4,), (AHEAD,), (1,)):
        np.testing.assert_array_equal(few.uniform(shape=shape), many.uniform(shape=shape)[:2])


class Meddler(Hopper):
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
    env = Meddler(num_envs=2, output="torch", autoreset_mode=mode, max_episode_steps=2)
    env.lift = 0.01
    observation, _ = env.reset(seed=0)
    assert bool((observation[:, 0] > 0.4).all())
    for _ in range(4):
        placed = env.qpos()
        observation = env.step(torch.zeros(2, 3, dtype=env.dtype))[0]
        torch.testing.assert_close(env.before, placed + 0.001)
    env.close()


def test_a_measure_without_a_graph_leaves_the_reward_its_gradient():
    env = Meddler(num_envs=2, output="torch", differentiable=True)
    env.reset(seed=0)
    action = torch.zeros(2, 3, dtype=env.dtype, requires_grad=True)
    env.step(gs.from_torch(action, detach=False))[1].sum().backward()
    assert action.grad is not None and bool((action.grad != 0).any())
    env.close()
