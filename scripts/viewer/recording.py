"""A rollout as it is made: frames to look at, and what is needed to go through parts of it again with gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from scripts.viewer.visible_world import Frame, VisibleWorld


class Recording:
    """A rollout of a policy, as long as it has been computed. Frame t is before step t."""

    def __init__(
        self, env: Any, act: Callable[[torch.Tensor], torch.Tensor], seed: int, total: int, window: int
    ) -> None:
        """Resets the environment: one frame is there.

        Args:
            env: On the torch interface, with SAME_STEP autoreset.
            act: Maps observations (B, O) to actions (B, A).
            seed: Of the episodes.
            total: Frames that there will be.
            window: Steps between the states that are kept.
        """
        self.env, self.total, self.window = env, total, window
        self._act = act
        with torch.no_grad():
            self._observation, _ = env.reset(seed=seed)
        self.visible = VisibleWorld(env)
        self.frames: list[Frame] = [self.visible.frame()]
        self.actions: list[torch.Tensor] = []
        """(B, A) of each step."""
        self.rewards: list[np.ndarray] = []
        """(B,) of each step."""
        self.returns: list[np.ndarray] = [np.zeros(env.num_envs)]
        """(B,) by frame, since its episode began."""
        self.elapsed: list[np.ndarray] = [np.zeros(env.num_envs, dtype=np.int64)]
        """(B,) by frame, steps of its episode."""
        self.states: list[dict[str, Any]] = []
        """Of the environment, at frame 0, `window`, 2 `window`, ..."""

    @property
    def complete(self) -> bool:
        """Whether all frames are there."""
        return len(self.frames) >= self.total

    @torch.no_grad()
    def advance(self) -> None:
        """Makes one more frame."""
        if len(self.actions) % self.window == 0:
            self.states.append(self.env.state_dict())
        action = self._act(self._observation).detach()
        self._observation, reward, terminated, truncated, _ = self.env.step(action)
        reward = reward.cpu().double().numpy()
        done = (terminated | truncated).cpu().numpy()
        self.actions.append(action)
        self.rewards.append(reward)
        self.returns.append(np.where(done, 0.0, self.returns[-1] + reward))
        self.elapsed.append(np.where(done, 0, self.elapsed[-1] + 1))
        self.frames.append(self.visible.frame())
