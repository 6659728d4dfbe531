"""Exploration noise as a function of (seed, global environment index, step), and of nothing else."""

import math
import zlib

import numpy as np
import torch

from envs.streams import Draw

FORGOTTEN = 1e-3
"""Correlation with an earlier step that counts as none."""


class Noise:
    """Standard normal numbers that neither the split of a batch nor the number of processes changes."""

    def __init__(self, seed: int, purpose: str, like: torch.Tensor):
        """Args: seed: of the run; purpose: a stream of its own for each; like: gives dtype and device."""
        words = np.random.SeedSequence([seed, zlib.crc32(purpose.encode())]).generate_state(2, np.uint32)
        self._key = words.astype(np.uint64)
        self._like = like

    def normal(self, first_step: int, n_steps: int, env_ids: np.ndarray, size: int) -> torch.Tensor:
        """Numbers (H, B, size) of steps `first_step`, ..., in environments with global indices `env_ids` (B,)."""
        n_envs = len(env_ids)
        rows = n_steps * n_envs
        steps = np.repeat(np.arange(first_step, first_step + n_steps), n_envs)
        draw = Draw(np.broadcast_to(self._key, (rows, 2)), np.tile(env_ids, n_steps), np.zeros(rows), steps)
        numbers = draw.normal(1.0, (size,)).reshape(n_steps, n_envs, size)
        return torch.from_numpy(numbers).to(self._like)

    def correlated(
        self, first_step: int, n_steps: int, env_ids: np.ndarray, size: int, correlation: float
    ) -> torch.Tensor:
        """The same with covariance c^k between steps that are k apart, to within `FORGOTTEN`.

        z_t = w sum_k c^k x_t-k over the steps until c^k is forgotten, of variance 1: a first-order autoregression, but
        a function of the step alone, from step -1 on.
        """
        reach = 0 if correlation == 0.0 else math.ceil(math.log(FORGOTTEN) / math.log(correlation))
        white = self.normal(first_step + (reach > 0), n_steps + reach, env_ids, size)
        weight = torch.tensor([correlation ** (reach - k) for k in range(reach + 1)]).to(white)
        return torch.tensordot(white.unfold(0, reach + 1, 1), weight / weight.norm(), 1)


def standard_normal(rows: int, columns: int, like: torch.Tensor) -> torch.Tensor:
    """Numbers (rows, columns) from torch's global generator: the same ones whatever torch's default dtype."""
    return torch.randn(rows, columns, dtype=torch.float32).to(like)


def permutation(seed: int, update: int, turn: int, count: int) -> np.ndarray:
    """An order of `count` things: the same in every process, another in each turn of each update."""
    return np.random.default_rng([seed, update, turn]).permutation(count)
