"""Random streams: the published generator, its moments, and independence of how a batch is organised."""

import numpy as np

from envs.streams import Streams, philox4x32


def words(value):
    return np.full((1, 4), value, dtype=np.uint64)


def test_known_answers():
    # Random123's published vectors for philox4x32-10.
    zeros = philox4x32(words(0), words(0)[:, :2])[0]
    ones = philox4x32(words(0xFFFFFFFF), words(0xFFFFFFFF)[:, :2])[0]
    assert [hex(x) for x in zeros] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    assert [hex(x) for x in ones] == ["0x408f276d", "0x41c83b0e", "0xa20bc7c6", "0x6d5451fd"]


def streams(num_envs, first=0, seed=7):
    result = Streams(num_envs, first)
    result.seed(seed, np.ones(num_envs, dtype=bool))
    result.next_episode(np.ones(num_envs, dtype=bool))
    return result


def draw(source, rows, purpose="a", step=0):
    rows = np.isin(np.arange(len(source.env_ids)), rows)
    return source.draw(purpose, rows, np.full(rows.sum(), step))


def test_moments():
    source = draw(streams(50), np.arange(50))
    uniform, normal = source.uniform(-1.0, 3.0, (4000,)), source.normal(2.0, (4000,))
    assert abs(uniform.mean() - 1.0) < 0.02 and abs(uniform.std() - 4 / 12**0.5) < 0.02
    assert uniform.min() >= -1.0 and uniform.max() < 3.0
    assert abs(normal.mean()) < 0.02 and abs(normal.std() - 2.0) < 0.02
    assert abs(np.corrcoef(uniform[:, :-1].ravel(), uniform[:, 1:].ravel())[0, 1]) < 0.01


def test_split_and_order_do_not_matter():
    whole = draw(streams(6), np.arange(6)).uniform(shape=(3,))
    parts = [draw(streams(2, first=first), np.arange(2)).uniform(shape=(3,)) for first in (0, 2, 4)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    np.testing.assert_array_equal(whole[[4]], draw(streams(6), [4]).uniform(shape=(3,)))


def test_every_part_of_the_key_matters():
    source = streams(2)
    first = draw(source, [0]).uniform(shape=(4,))
    others = [
        draw(source, [1]).uniform(shape=(4,)),
        draw(source, [0], purpose="b").uniform(shape=(4,)),
        draw(source, [0], step=1).uniform(shape=(4,)),
        draw(streams(2, seed=8), [0]).uniform(shape=(4,)),
    ]
    source.next_episode(np.array([True, False]))
    others.append(draw(source, [0]).uniform(shape=(4,)))
    assert all(not np.isin(first, other).any() for other in others)


def test_consecutive_draws_differ():
    source = draw(streams(1), [0])
    assert not np.isin(source.uniform(shape=(3,)), source.uniform(shape=(3,))).any()
