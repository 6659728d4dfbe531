"""What a policy does: `python -m scripts.render --checkpoint runs/... --output film.mp4`, or as geometry: pose.glb."""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro

import genesis as gs
from agents.core import checkpoint
from genesis.errors import GenesisValueError
from genesis.render import export
from genesis.render.files import check_target
from genesis.render.video import ENDINGS, VideoWriter, encoder, tile, write_png
from scripts import common
from scripts.progress import Progress
from scripts.video_recorder import export_moment, pictures

PICTURES = (*ENDINGS, ".png")
GEOMETRY = (*export.GLTF, *export.VTK)


@dataclass(frozen=True)
class RenderConfig:
    """Renders a trained policy, or actions without one: a video (MP4, GIF), a strip (PNG), or geometry (glTF, VTK)."""

    output: Path
    """File to write. Its ending decides: .mp4, .gif; .png for a strip of moments, one row per environment; .glb, .gltf,
    .vtm or .vtp for the first environment, as it is at the end, as geometry for other programs."""
    checkpoint: Path | None = None
    """A checkpoint file, or the folder of a run (its newest checkpoint). None: --env and --actions instead."""
    env: Annotated[
        str | None, tyro.conf.arg(help=f"Environment id; None: the checkpoint's. One of {common.ENV_NAMES}.")
    ] = None
    actions: Literal["zero", "random"] = "zero"
    """What acts without a checkpoint: the middle of the action space, or uniform noise."""
    contact: str | None = None
    """Contact model, where a task has several: "mujoco" or "smoothed"; None: the checkpoint's, or the task's own."""
    seconds: float = 10.0
    """Length of the video, s of simulated time; it is shown in real time. Of geometry: the moment; 0 is the start."""
    fps: float | None = None
    """Frames per second at most, for the environment's rate is divided by a whole number. None: 30, or 15 for a GIF."""
    num_envs: int = 4
    """Environments, side by side."""
    size: tuple[int, int] | None = None
    """Width and height of one environment's picture, pixels. None: 320 320, or 160 160 for a GIF."""
    moments: int = 6
    """Pictures in a row of a film strip."""
    seed: int = 1
    """Seed of the episodes (and of random actions)."""
    backend: str = "cpu"
    """Where the simulator runs: "cpu", "cuda" or "gpu" (CUDA where there is one)."""


def run(config: RenderConfig) -> dict[str, Any]:
    """Simulates and writes.

    Returns:
        output, env, frames, fps of what was written; geometry has 1 frame.

    Raises:
        gs.GenesisException: An option violates its constraint, the checkpoint does not fit, the extra `video` (of
            geometry `pyvista`) is missing, or the file cannot be written; nothing is left under its name then.
    """
    _check(config)
    saved = None if config.checkpoint is None else checkpoint.load(config.checkpoint, config.env)
    name = str(saved["env"] if saved else config.env)
    common.check_env(name)
    if not gs.is_initialized():
        gs.init(backend=getattr(gs, config.backend), precision=saved["precision"] if saved else "32")
    gif = config.output.suffix.lower() == ".gif"
    size = config.size or ((160, 160) if gif else (320, 320))
    env = common.render_env(name, config.num_envs, common.contact_of(name, saved, config.contact), size=size)
    rate = env.metadata["render_fps"]
    act = common.restored_agent(saved, env).act if saved else common.untrained(env, config.actions, config.seed)
    if config.output.suffix.lower() in GEOMETRY:
        export_moment(env, act, config.seed, round(config.seconds * rate), config.output)
        env.close()
        return {"output": str(config.output), "env": name, "frames": 1, "fps": rate}
    every = math.ceil(rate / (config.fps or (15.0 if gif else 30.0)) - 1e-6)
    count = max(1, round(config.seconds * rate / every))
    gs.logger.info("drawing %d frames; kernels are compiled with the first one: tens of seconds the first time.", count)
    frames = _frames(env, act, config.seed, every, count)
    if config.output.suffix.lower() == ".png":
        _write_strip(config, frames, count)
    else:
        with VideoWriter(config.output, rate / every) as video:
            for seen in frames:
                video.add(tile(seen))
    env.close()
    return {"output": str(config.output), "env": name, "frames": count, "fps": rate / every}


def _frames(env: Any, act: Callable, seed: int, every: int, count: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Pictures of all environments, with a progress bar."""
    bar = Progress(count, unit="frames")
    for frame, seen in enumerate(pictures(env, act, seed, every, count), start=1):
        yield seen
        bar.show(frame, {})
    bar.close()


def _write_strip(config: RenderConfig, frames: Iterator[tuple[np.ndarray, ...]], count: int) -> None:
    moments = min(config.moments, count)
    wanted = {round(i * (count - 1) / max(1, moments - 1)) for i in range(moments)}
    kept = [seen for i, seen in enumerate(frames) if i in wanted]
    rows = [kept[moment][env] for env in range(config.num_envs) for moment in range(len(kept))]
    write_png(config.output, tile(rows, columns=len(kept)), colors=256)


def _check(config: RenderConfig) -> None:
    check_target("output", config.output, (*PICTURES, *GEOMETRY))
    geometry = config.output.suffix.lower() in GEOMETRY
    at_once = geometry and config.seconds == 0.0
    if config.checkpoint is None and config.env is None:
        raise GenesisValueError("checkpoint or env must be given, got neither. Pass --checkpoint or --env.")
    for name in ("seconds", "fps"):
        value = getattr(config, name)
        if value is not None and not 0 < value < float("inf") and not (at_once and name == "seconds"):
            raise GenesisValueError(f"{name} must be positive and finite, got {value}.")
    for name in ("num_envs", "moments"):
        if getattr(config, name) < 1:
            raise GenesisValueError(f"{name} must be at least 1, got {getattr(config, name)}.")
    if config.backend not in ("cpu", "cuda", "gpu"):
        raise GenesisValueError(f'backend must be "cpu", "cuda" or "gpu", got {config.backend!r}.')
    # What is missing would be missed after the simulation only.
    if geometry:
        export.check(config.output)
    else:
        encoder(config.output)


def main() -> int:
    """Entry point of `genesis-render`."""
    return common.run(_main)


def _main() -> int:
    config = tyro.cli(RenderConfig, prog=common.program())
    torch.set_num_threads(1)  # the tensors are small, and the simulator has threads of its own
    result = run(config)
    what = f"{result['frames']} frames at {result['fps']:g} a second"
    if config.output.suffix.lower() in GEOMETRY:
        what = f"geometry at {config.seconds:g} s"
    print(f"written: {result['output']} ({result['env']}, {what})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
