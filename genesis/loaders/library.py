"""The standard robots, shipped as compiled arrays: loading one takes milliseconds and no MuJoCo."""

from pathlib import Path

from genesis.errors import GenesisKeyError
from genesis.loaders.model import RigidModel

FOLDER = Path(__file__).parent / "robots"
ROBOTS = ("ant", "block_push", "cartpole", "half_cheetah", "hopper", "humanoid", "pendulum", "quadrotor", "walker2d")
"""Each is <name>.xml, for people, and <name>.npz, compiled from it by `python -m scripts.compile_robots`."""


def load_robot(name: str) -> RigidModel:
    """A standard robot. Raises GenesisKeyError that lists the valid names."""
    if name not in ROBOTS:
        raise GenesisKeyError(f"robot must be one of {', '.join(ROBOTS)}, got {name!r}. Choose one of these.")
    return RigidModel.load(FOLDER / f"{name}.npz")
