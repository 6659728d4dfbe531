"""The standard robots, shipped as compiled arrays: loading one takes milliseconds and no MuJoCo."""

from pathlib import Path

from genesis.errors import GenesisKeyError
from genesis.loaders.model import RigidModel

FOLDER = Path(__file__).parent / "robots"
ROBOTS = (
    *("ant", "block_push", "cartpole", "half_cheetah", "hopper", "humanoid", "pendulum", "quadrotor", "soft_lift"),
    "walker2d",
)
"""Each is <name>.xml, for people, and <name>.npz, compiled from it by `python -m scripts.compile_robots`."""

GYMNASIUM = {
    "gymnasium/ant": "ant.xml",
    "gymnasium/half_cheetah": "half_cheetah.xml",
    "gymnasium/hopper": "hopper.xml",
    "gymnasium/humanoid": "humanoid.xml",
    "gymnasium/humanoid_standup": "humanoidstandup.xml",
    "gymnasium/inverted_double_pendulum": "inverted_double_pendulum.xml",
    "gymnasium/inverted_pendulum": "inverted_pendulum.xml",
    "gymnasium/pusher": "pusher_v5.xml",
    "gymnasium/reacher": "reacher.xml",
    "gymnasium/swimmer": "swimmer.xml",
    "gymnasium/walker2d": "walker2d_v5.xml",
}
"""Robots of Gymnasium's tasks: <name>.npz, compiled by the same command from the file of this
name among Gymnasium's assets, whose licence lies beside them."""


def load_robot(name: str) -> RigidModel:
    """A standard robot, or one of Gymnasium's. Raises GenesisKeyError that lists the valid names."""
    valid = (*ROBOTS, *GYMNASIUM)
    if name not in valid:
        raise GenesisKeyError(f"robot must be one of {', '.join(valid)}, got {name!r}. Choose one of these.")
    return RigidModel.load(FOLDER / f"{name}.npz")
