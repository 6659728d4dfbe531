"""The pictures of the README: `python -m scripts.gallery`, which writes docs/images.

One of each environment, and, from the checkpoints in docs/checkpoints, what training changed.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

import envs
import genesis as gs
from genesis.render.film import encoder, write_png
from scripts import make
from scripts.before_after import Story, write_film, write_strip

DOCS = Path(__file__).resolve().parents[1] / "docs"
FOLDER = DOCS / "images"
MOMENTS: dict[str, tuple[int, float]] = {
    "genesis/SoftPush-v0": (12, 1.0),
    "genesis/Quadrotor-v0": (10, 0.3),
    "genesis/CartPoleSwingUp-v0": (24, 0.15),
    "genesis/Pendulum-v0": (12, 1.0),
}
"""Steps from the start to the picture, and the same action in all of its parts, of full strength; of others: 10, 0."""
STORIES = {
    "ant": Story(DOCS / "checkpoints" / "ant.pt", seconds=3.0, forward=True),
    "hopper": Story(DOCS / "checkpoints" / "hopper.pt", seconds=2.0, forward=True),
    "cartpole": Story(DOCS / "checkpoints" / "cartpole.pt", seconds=3.9, forward=False),
}
"""Name of the pictures to what they show; of the first there is a film too."""


@dataclass(frozen=True)
class GalleryConfig:
    """Writes a small picture of every environment, and before/after strips and a film of the shipped checkpoints."""

    folder: Path = FOLDER
    """Where to."""
    size: tuple[int, int] = (480, 360)
    """Width and height of an environment's picture, pixels."""
    moment_size: tuple[int, int] = (220, 180)
    """Width and height of a picture in a strip or film, pixels."""
    seed: int = 3
    """Of the episodes."""
    environments: bool = True
    """Whether to make the pictures of the environments."""
    training: bool = True
    """Whether to make the strips and the film."""


def run(config: GalleryConfig) -> list[Path]:
    """Simulates, and writes the pictures. Returns the files.

    Raises:
        gs.GenesisException: The extra `video` is missing, or a file cannot be written.
    """
    encoder(config.folder / "ant.gif")  # or the error comes before anything is simulated
    config.folder.mkdir(parents=True, exist_ok=True)
    if not gs.is_initialized():
        gs.init(precision="32", logging_level="warning")
    written = _environments(config) if config.environments else []
    if config.training:
        written += _training(config)
    for path in written:
        print(f"written: {path} ({path.stat().st_size / 1000:.0f} kB)")
    return written


def _environments(config: GalleryConfig) -> list[Path]:
    """Each environment after a moment."""
    written = []
    for env_id in envs.ENV_IDS:
        steps, push = MOMENTS.get(env_id, (10, 0.0))
        env = make.film_env(env_id, 1, size=config.size)
        env.reset(seed=config.seed)
        action = env.tensor(np.full((1, *env.single_action_space.shape), push))
        if env_id == "genesis/SoftPush-v0":
            action[:, 1] = 0.0
        for _ in range(steps):
            env.step(action)
        path = config.folder / f"{env_id.split('/')[1].split('-')[0].lower()}.png"
        write_png(path, env.render()[0], colors=256)
        env.close()
        written.append(path)
    return written


def _training(config: GalleryConfig) -> list[Path]:
    """What training changed."""
    folder = config.folder / "training"
    folder.mkdir(exist_ok=True)
    written = []
    for name, story in STORIES.items():
        path = folder / f"{name}.png"
        write_strip(path, story, config.moment_size, config.seed)
        written.append(path)
    path = folder / "ant.gif"
    write_film(path, STORIES["ant"], config.moment_size, config.seed)
    return [*written, path]


def main() -> int:
    """Entry point."""
    return make.run(_main)


def _main() -> int:
    config = tyro.cli(GalleryConfig, prog=make.program())
    torch.set_num_threads(1)
    run(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
