"""What training changed, in pictures: an untrained policy and a trained one from the same start."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents import AGENTS
from agents.core import checkpoint
from genesis.errors import optional_import
from genesis.render.video import VideoWriter, tile, write_png
from scripts import common

MARGIN = 20
"""Height of the caption over a picture, pixels."""


@dataclass(frozen=True)
class Strip:
    """What is shown of a training."""

    checkpoint: Path
    """A shipped checkpoint."""
    moments: tuple[float, ...]
    """Of the strip, from the start to the end, s of simulated time."""
    forward: bool
    """Whether to say how far the robot got along x."""


@dataclass(frozen=True)
class StripPicture:
    """One picture of an episode."""

    picture: np.ndarray
    """(H, W, 3) uint8."""
    caption: str


@torch.no_grad()
def strip_pictures(
    strip: Strip, trained: bool, moments: Sequence[float], size: tuple[int, int], seed: int
) -> list[StripPicture]:
    """Records an episode; where it ends early, its last picture stays.

    Args:
        strip: What to show.
        trained: Whether the checkpoint acts, or the policy that its training began with.
        moments: When pictures are taken, s, increasing.
        size: Width and height, pixels.
        seed: Of the episode.
    """
    saved = checkpoint.load(strip.checkpoint)
    env = common.render_env(saved["env"], 1, common.contact_of(saved["env"], saved, None), size=size)
    agent = common.restored_agent(saved, env) if trained else _beginner(saved, env)
    observation, _ = env.reset(seed=seed)
    start = float(env.qpos()[0, 0])
    wanted = [round(moment / env.scene.dt) for moment in moments]
    who = "trained" if trained else "untrained"
    result: list[StripPicture] = []
    for step in range(wanted[-1] + 1):
        seen = env.render()[0]  # of every step, for the end of an episode is known only when it is gone
        if step in wanted:
            gone = round(float(env.qpos()[0, 0]) - start, 1) + 0.0  # no -0.0
            place = f", {gone:.1f} m" if strip.forward else ""
            result.append(StripPicture(seen, f"{who}, {step * env.scene.dt:.1f} s{place}"))
        observation, _, terminated, truncated, _ = env.step(agent.act(observation))
        if terminated[0] | truncated[0]:
            result += [StripPicture(seen, f"{who}, episode over")] * (len(wanted) - len(result))
            break
    env.close()
    return result


def write_strip(path: Path, strip: Strip, size: tuple[int, int], seed: int) -> None:
    """A row of moments of the untrained policy over one of the trained policy, as PNG."""
    both = (strip_pictures(strip, trained, strip.moments, size, seed) for trained in (False, True))
    write_png(path, tile([lettered(shown) for row in both for shown in row], columns=len(strip.moments)), colors=256)


def write_video(path: Path, strip: Strip, size: tuple[int, int], seed: int, fps: float = 12.0) -> None:
    """The untrained and the trained policy side by side, in real time."""
    moments = [frame / fps for frame in range(round(strip.moments[-1] * fps) + 1)]
    both = (strip_pictures(strip, trained, moments, size, seed) for trained in (False, True))
    with VideoWriter(path, fps) as video:
        for pair in zip(*both, strict=True):
            video.add(tile([lettered(shown) for shown in pair], columns=2))


def lettered(shown: StripPicture) -> np.ndarray:
    """The picture with its caption over it, (H + MARGIN, W, 3)."""
    with optional_import("pillow", "video", "to write captions into pictures"):
        from PIL import Image, ImageDraw, ImageFont
    height, width = shown.picture.shape[:2]
    image = Image.new("RGB", (width, height + MARGIN), "white")
    image.paste(Image.fromarray(shown.picture), (0, MARGIN))
    ImageDraw.Draw(image).text((4, 2), shown.caption, fill=(60, 64, 70), font=ImageFont.load_default(size=13))
    return np.asarray(image)


def _beginner(saved: dict[str, Any], env: Any) -> Any:
    """The agent as it was before its training, which its seed decides."""
    entry = AGENTS[saved["agent"]]
    return entry.agent(common.hyper(entry.config, saved["hyper"]), env, saved["seed"], saved["total_steps"])
