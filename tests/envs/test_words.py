"""Words about the state are said once within a step, and afresh after it has changed and outside of steps."""

import numpy as np
import pytest

from envs.streams import AHEAD, Draw
from envs.words import Words, once


class Speaker:
    def __init__(self):
        self._words = Words()
        self.count = 0

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
