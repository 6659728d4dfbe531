"""Random numbers as a function of (seed, global environment index, episode, step), and of nothing else.

A counter-based generator needs no hidden state, so how a batch is split over processes, in which order
environments are reset and how many numbers another environment drew change nothing.

Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), Philox-4x32-10.
"""

import math
import zlib
from functools import lru_cache

import numpy as np

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_GOLDEN = 0.5 * (5**0.5 - 1.0)
AHEAD = 1024
"""Numbers that are made together, over all rows, where fewer are asked for."""


def philox4x32(counter: np.ndarray, key: np.ndarray, rounds: int = 10) -> np.ndarray:
    """Scrambles counters to random words.

    Args:
        counter: (..., 4) 32-bit words held in uint64.
        key: (..., 2) 32-bit words held in uint64.
        rounds: Number of rounds; 10 is the published default.

    Returns:
        (..., 4) words below 2^32 held in uint64.
    """
    c0, c1, c2, c3 = np.moveaxis(counter, -1, 0)
    bumps = np.arange(rounds, dtype=np.uint64).reshape(rounds, *[1] * (key.ndim - 1))
    for k0, k1 in zip(*((key[..., i] + bumps * _WEYL[i]) & _LOW for i in range(2)), strict=True):
        product0, product1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> _SHIFT) ^ c1 ^ k0,
            product1 & _LOW,
            (product0 >> _SHIFT) ^ c3 ^ k1,
            product0 & _LOW,
        )
    return np.stack(np.broadcast_arrays(c0, c1, c2, c3), axis=-1)


class Draw:
    """The random numbers of some rows at one moment; each call gives fresh ones."""

    def __init__(self, keys: np.ndarray, env_ids: np.ndarray, episodes: np.ndarray, steps: np.ndarray):
        """Takes (n, 2) keys and (n,) global environment indices, episode and step numbers."""
        self._keys = keys
        self._env_ids, self._episodes, self._steps = (x.astype(np.uint64) & _LOW for x in (env_ids, episodes, steps))
        self._blocks = 0
        self._ahead = np.empty((len(keys), 0))
        """(n, 2 k) numbers in [0, 1) that are made and not yet given: numpy takes longer to start than to make them."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._keys)

    def uniform(self, low: float = 0.0, high: float = 1.0, shape: tuple[int, ...] = ()) -> np.ndarray:
        """Numbers uniform in [low, high), float64 of shape (n, *shape)."""
        count = int(np.prod(shape, dtype=int))
        unit = self._unit(count).reshape(len(self), *shape)
        return low + (high - low) * unit

    def normal(self, std: float = 1.0, shape: tuple[int, ...] = ()) -> np.ndarray:
        """Normal numbers of mean zero, float64 of shape (n, *shape). Source: Box and Muller (1958)."""
        count = int(np.prod(shape, dtype=int))
        unit = self._unit(2 * count)
        radius = np.sqrt(-2.0 * np.log1p(-unit[:, :count]))
        return (std * radius * np.cos(2.0 * np.pi * unit[:, count:])).reshape(len(self), *shape)

    def _unit(self, count: int) -> np.ndarray:
        """(n, count) numbers in [0, 1) of 53 random bits."""
        used = 2 * -(-count // 2)
        if used > self._ahead.shape[1]:
            more = max(used - self._ahead.shape[1], AHEAD // len(self)) if len(self) else used
            self._ahead = np.concatenate([self._ahead, self._made(-(-more // 2))], axis=1)
        unit, self._ahead = self._ahead[:, :count], self._ahead[:, used:]
        return unit

    def _made(self, blocks: int) -> np.ndarray:
        """(n, 2 blocks) further numbers."""
        counter = np.empty((len(self), blocks, 4), dtype=np.uint64)
        counter[..., 0] = np.arange(self._blocks, self._blocks + blocks, dtype=np.uint64)
        counter[..., 1] = self._steps[:, None]
        counter[..., 2] = self._env_ids[:, None]
        counter[..., 3] = self._episodes[:, None]
        self._blocks += blocks
        words = philox4x32(counter, self._keys[:, None, :])
        high, low = words[..., 0::2], words[..., 1::2]
        unit = ((high >> np.uint64(5)) * 67108864.0 + (low >> np.uint64(6))) / 9007199254740992.0
        return unit.reshape(len(self), 2 * blocks)


class Streams:
    """Seeds and episode numbers of a batch of environments; hands out `Draw`s, and says how long episodes may be."""

    def __init__(self, num_envs: int, first_env_index: int, limit: float = math.inf, staggered: bool = False):
        """Starts unseeded: call `seed` before drawing.

        Args:
            num_envs: Environments in the batch.
            first_env_index: Global index of the first one.
            limit: Steps in an episode, at most; math.inf: any number.
            staggered: First episodes may have any part of it, spread evenly over environments; needs a finite one.
        """
        self._limit = float(limit)
        self._first: np.ndarray | None = None
        self.env_ids = np.arange(first_env_index, first_env_index + num_envs)
        if staggered:  # spread in any range of environments
            self._first = limit - np.floor(limit * (self.env_ids * _GOLDEN % 1.0))
        self.seeds = np.zeros(num_envs, dtype=np.int64)
        self.episodes = np.full(num_envs, -1, dtype=np.int64)

    def seed(self, seed: int, rows: np.ndarray) -> None:
        """Gives the rows a seed; their next episode is number 0."""
        self.seeds[rows] = seed
        self.episodes[rows] = -1

    def next_episode(self, rows: np.ndarray) -> None:
        """Counts one more episode in the rows."""
        self.episodes[rows] += 1

    def limits(self) -> np.ndarray | float:
        """Steps that the present episodes may have: (num_envs,) while staggered first ones last, else one number."""
        if self._first is None or self.episodes.min() > 0:
            return self._limit
        return np.where(self.episodes > 0, self._limit, self._first)

    def draw(self, purpose: str, rows: np.ndarray, steps: np.ndarray) -> Draw:
        """Random numbers for the rows (n,) at their steps (n,) of the episode; each purpose has its own stream."""
        keys = np.array([_key(seed, purpose) for seed in self.seeds[rows].tolist()], dtype=np.uint64).reshape(-1, 2)
        return Draw(keys, self.env_ids[rows], self.episodes[rows], steps)


@lru_cache(maxsize=4096)
def _key(seed: int, purpose: str) -> tuple[int, int]:
    words = np.random.SeedSequence([seed, zlib.crc32(purpose.encode())]).generate_state(2, np.uint32)
    return int(words[0]), int(words[1])
