"""The pictures of the README, one of each environment: `python -m scripts.gallery`, which writes docs/images/*.png."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

import envs
import genesis as gs
from genesis.render.film import write_png
from scripts import make

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
MOMENTS: dict[str, tuple[int, float]] = {
    "genesis/SoftPush-v0": (12, 1.0),
    "genesis/Quadrotor-v0": (10, 0.3),
    "genesis/CartPoleSwingUp-v0": (24, 0.15),
    "genesis/Pendulum-v0": (12, 1.0),
}
"""Steps from the start to the picture, and the same action in all of its parts, of full strength; of others: 10, 0."""


@dataclass(frozen=True)
class GalleryConfig:
    """Writes a small picture of every environment."""

    folder: Path = FOLDER
    """Where to."""
    size: tuple[int, int] = (480, 360)
    """Width and height, pixels."""
    seed: int = 3
    """Of the episodes."""


def run(config: GalleryConfig) -> list[Path]:
    """Simulates each environment for a moment and writes its picture. Returns the files.

    Raises:
        gs.GenesisException: The extra `video` is missing, or a file cannot be written.
    """
    config.folder.mkdir(parents=True, exist_ok=True)
    if not gs.is_initialized():
        gs.init(precision="32", logging_level="warning")
    written = []
    for env_id in envs.ENV_IDS:
        steps, push = MOMENTS.get(env_id, (10, 0.0))
        env = make.film_env(env_id, 1)
        env.render_size = config.size
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
        print(f"written: {path} ({path.stat().st_size / 1000:.0f} kB)")
    return written


def main() -> int:
    """Entry point."""
    return make.run(_main)


def _main() -> int:
    config = tyro.cli(GalleryConfig)
    torch.set_num_threads(1)
    run(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
