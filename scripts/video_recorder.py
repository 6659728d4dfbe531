"""Pictures of a policy at work, one after the other, and the small videos of it that a training makes."""

import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genesis.render import export
from genesis.render.video import VideoWriter, tile
from scripts import common
from scripts.progress import Progress

VIDEO_ENVS = 4
VIDEO_SIZE = (128, 128)
"""Width and height of one environment's picture, pixels."""
VIDEO_SECONDS = 4.0
VIDEO_FPS = 10.0
FIRST_VIDEO = 6.0
"""s of wall-clock that a video is thought to take before one has been made: the first one loads its kernels."""


@torch.no_grad()
def pictures(
    env: Any, act: Callable[[torch.Tensor], torch.Tensor], seed: int, every: int, count: int
) -> Iterator[tuple[np.ndarray, ...]]:
    """Pictures of all environments, `count` times, every so many steps, from a reset on.

    Args:
        env: A vector environment with torch output and pictures.
        act: Maps observations (B, O) to actions (B, A).
        seed: Seed of the environments.
        every: Steps from picture to picture.
        count: How many.
    """
    observation, _ = env.reset(seed=seed)
    for frame in range(count):
        yield env.render()
        if frame < count - 1:
            for _ in range(every):
                observation, *_ = env.step(act(observation))


@torch.no_grad()
def export_moment(env: Any, act: Callable[[torch.Tensor], torch.Tensor], seed: int, steps: int, path: Path) -> None:
    """Writes the first environment, so many steps after a reset, as a file that other programs open.

    Args:
        env: A vector environment with torch output.
        act: Maps observations (B, O) to actions (B, A).
        seed: Seed of the environments.
        steps: How many.
        path: See `Camera.export`.

    Raises:
        gs.GenesisException: The extra `pyvista` is missing, or the file cannot be written.
    """
    export.check(path, any(entity.surface.vis_mode == "recon" for entity in env.scene.entities))
    observation, _ = env.reset(seed=seed)
    bar = Progress(steps, unit="steps")
    for step in range(steps):
        observation, *_ = env.step(act(observation))
        bar.show(step + 1, {})
    bar.close()
    env.draw_marks()
    env.add_camera().export(path)


class VideoRecorder:
    """Videos of the policy as it is, while they take no more than a part of the run's time."""

    def __init__(self, env: str, contact: str | None, seed: int, budget: float):
        """Time runs from here on.

        Args:
            env: Environment id.
            contact: Name of one of the task's contact models; None: its default.
            seed: Seed of the evaluations: a video shows their first environments.
            budget: Part of the run's time that videos may take, from 0 (none at all) to 1.
        """
        self._env, self._contact, self._seed, self._budget = env, contact, seed, budget
        self._began = time.perf_counter()
        self._spent, self._last = 0.0, FIRST_VIDEO

    def wanted(self, last: bool) -> bool:
        """Whether a video now and the one after training, at the cost of the last one each, stay within the budget.

        Args:
            last: Training is over: the video is wanted whatever it costs, unless the budget is none at all.
        """
        present = time.perf_counter() - self._began
        return self._budget > 0 and (last or self._spent + 2 * self._last <= self._budget * present)

    def record(self, agent: Any, path: Path) -> tuple[int, int]:
        """Writes a video (GIF) of the deterministic policy in a few environments of its own, side by side.

        Returns:
            Width and height, pixels.

        Raises:
            gs.GenesisException: The extra `video` is missing, or the file cannot be written.
        """
        started = time.perf_counter()
        act = copy.copy(agent).act  # an open-loop agent counts what it has played; the training's must not see this
        path.parent.mkdir(exist_ok=True)
        env = common.render_env(self._env, VIDEO_ENVS, self._contact, size=VIDEO_SIZE)
        try:
            rate = env.metadata["render_fps"]
            every = max(1, round(rate / VIDEO_FPS))
            steps = round(VIDEO_SECONDS * rate)
            count = max(1, min(steps, env.max_episode_steps or steps) // every)
            height = width = 0
            with VideoWriter(path, rate / every) as video:
                for frame in pictures(env, act, self._seed, every, count):
                    picture = tile(frame)
                    height, width = picture.shape[:2]
                    video.add(picture)
        finally:
            env.close()
            self._last = time.perf_counter() - started
            self._spent += self._last
        return width, height
