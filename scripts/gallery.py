"""The pictures of the README: `python -m scripts.gallery`, which writes docs/images.

One of each environment, of meshes, and, from the checkpoints in docs/checkpoints, what training changed.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

import envs
import genesis as gs
from agents.core import checkpoint
from genesis.render.video import encoder, write_png
from scripts import common
from scripts.before_after import Strip, write_strip, write_video

DOCS = Path(__file__).resolve().parents[1] / "docs"
FOLDER = DOCS / "images"


@dataclass(frozen=True)
class Moment:
    """What the picture of an environment shows: where an episode is after some steps, and from where it is seen."""

    steps: int = 10
    """From the start."""
    action: float | tuple[float, ...] = 0.0
    """In all of these steps, in its parts or the same in all of them. Unless there is a policy."""
    before: tuple[tuple[int, tuple[float, ...]], ...] = ()
    """Steps and action of what comes before, one after the other."""
    policy: str | None = None
    """Name of a shipped checkpoint, which acts instead, in the contact that it was trained with."""
    seed: int = 3
    """Of the episode."""
    pos: tuple[float, float, float] | None = None
    """Of the camera, m; relative to what the task's own camera follows. None: the task's own."""
    lookat: tuple[float, float, float] | None = None
    """The place that it looks at, m; as `pos`."""


HUMANOID_LEAP = (
    -0.2, -0.2, 0.3, -0.4, 0.1, 0.2, -0.3, -0.4, -0.2, 0.2, 0.1, -0.3, -0.1, 0.2, -0.1, 0.1, 0.5, 0.2, -0.1, -0.3, -0.2,
)  # fmt: skip
ANT_STEP = (0.5, -0.4, -0.4, 0.5, -0.5, 0.3, 0.4, -0.2)
HOPPER_CROUCH = (-0.3, -0.3, 0.2)
CHEETAH_LANDING = (-0.3, -0.2, 0.4, -0.5, 0.1, 0.3)
WALKER_STEP = (-0.3, 0.2, 0.1, 0.4, 0.3, 0.2)
GRASP = (16, (-0.8, 0.0, 0.0, 0.0)), (22, (-0.1, 0.0, 0.0, 1.0))
MOMENTS = {
    "genesis/SoftPush-v0": Moment(14, (1.0, 0.0), seed=29, pos=(-0.1, -0.4, 0.36), lookat=(0.03, -0.02, 0.01)),
    "genesis/RollingFlat-v0": Moment(26, (0.3, -0.25, 0.0), seed=1),
    "genesis/Crawler-v0": Moment(12, (1.0,) * 4 + (-0.8,) * 4, seed=1),
    "genesis/SoftLift-v0": Moment(24, (0.9, 0.0, 0.0, 1.0), before=GRASP),
    "genesis/FluidMove-v0": Moment(12, (0.5, 0.2, 0.2), seed=1),
    "genesis/BlockPush-v0": Moment(12, (0.8, -0.85), seed=0, pos=(-0.08, -0.74, 0.56), lookat=(-0.08, 0.03, 0.02)),
    "genesis/Quadrotor-v0": Moment(10, 0.2, seed=6, pos=(0.38, -0.65, 0.69), lookat=(0.21, 0.03, 0.06)),
    "genesis/Ant-v0": Moment(9, ANT_STEP, pos=(0.8, -3.4, 1.25), lookat=(0.0, 0.0, 0.0)),
    "genesis/Humanoid-v0": Moment(6, HUMANOID_LEAP, pos=(1.8, -3.0, 0.6), lookat=(0.0, 0.0, -0.05)),
    "genesis/HalfCheetah-v0": Moment(6, CHEETAH_LANDING, pos=(0.9, -2.8, 0.8), lookat=(0.05, 0.0, 0.0)),
    "genesis/Walker2d-v0": Moment(44, WALKER_STEP, pos=(1.3, -3.2, 0.6), lookat=(0.1, 0.0, -0.1)),
    "genesis/Hopper-v0": Moment(20, HOPPER_CROUCH, pos=(0.8, -3.2, 0.7), lookat=(-0.1, 0.0, 0.0)),
    "genesis/CartPoleSwingUp-v0": Moment(66, policy="cartpole", pos=(1.5, -3.6, 1.3), lookat=(0.1, 0.0, 0.1)),
    "genesis/Pendulum-v0": Moment(3, 1.0, seed=29, pos=(1.0, -2.5, 1.9), lookat=(0.4, 0.0, 0.15)),
}
"""Of each environment; of others: the defaults. Actions of the legged ones were found by trying random ones."""
STRIPS = {
    "ant": Strip(DOCS / "checkpoints" / "ant.pt", (0.0, 0.8, 1.5, 2.2, 3.0), forward=True),
    "hopper": Strip(DOCS / "checkpoints" / "hopper.pt", (0.0, 0.5, 0.8, 1.0, 1.7), forward=True),
    "halfcheetah": Strip(DOCS / "checkpoints" / "halfcheetah.pt", (0.0, 0.5, 1.0, 1.5, 2.0), forward=True),
    "cartpole": Strip(DOCS / "checkpoints" / "cartpole.pt", (0.0, 0.5, 1.0, 1.4, 3.9), forward=False),
}
"""Name of the pictures to what they show; of the first there is a video too."""


@dataclass(frozen=True)
class GalleryConfig:
    """Writes a small picture of every environment, one of meshes, and before/after strips and a video of the shipped
    checkpoints."""

    folder: Path = FOLDER
    """Where to."""
    size: tuple[int, int] = (480, 360)
    """Width and height of an environment's picture, pixels."""
    moment_size: tuple[int, int] = (220, 180)
    """Width and height of a picture in a strip or video, pixels."""
    seed: int = 3
    """Of the episodes in strips and videos."""
    environments: bool = True
    """Whether to make the pictures of the environments."""
    meshes: bool = True
    """Whether to make the picture of meshes."""
    training: bool = True
    """Whether to make the strips and the video."""


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
    if config.meshes:
        written.append(config.folder / "meshes" / "bowl.png")
        written[-1].parent.mkdir(exist_ok=True)
        write_png(written[-1], picture_of_meshes(config.size), colors=256)
    if config.training:
        written += _training(config)
    for path in written:
        print(f"written: {path} ({path.stat().st_size / 1000:.0f} kB)")
    return written


def _environments(config: GalleryConfig) -> list[Path]:
    """Each environment in its moment."""
    written = []
    for env_id in _shown():
        path = config.folder / f"{env_id.split('/')[1].split('-')[0].lower()}.png"
        write_png(path, picture(env_id, MOMENTS.get(env_id, Moment()), config.size), colors=256)
        written.append(path)
    return written


def _shown() -> list[str]:
    """Without Gymnasium's robots and the small versions of tasks, which look the same."""
    return [name for name in envs.ENV_IDS if name.startswith("genesis/") and "-mini-" not in name]


@torch.no_grad()
def picture(env_id: str, moment: Moment, size: tuple[int, int]) -> np.ndarray:
    """The moment, (H, W, 3) uint8; `size` is width and height, pixels."""
    saved = None if moment.policy is None else checkpoint.load(DOCS / "checkpoints" / f"{moment.policy}.pt", env_id)
    env = common.render_env(env_id, 1, common.contact_of(env_id, saved, None), size=size)
    observation, _ = env.reset(seed=moment.seed)
    agent = None if saved is None else common.restored_agent(saved, env)
    for steps, action in (*moment.before, (moment.steps, moment.action)):
        held = env.tensor(np.broadcast_to(action, (1, *env.single_action_space.shape)).copy())
        for _ in range(steps):
            observation, *_ = env.step(held if agent is None else agent.act(observation))
    camera = env.add_camera()
    camera.set_pose(moment.pos, moment.lookat)
    env.draw_marks()
    shown = camera.render()[0]
    env.close()
    return shown


def picture_of_meshes(size: tuple[int, int]) -> np.ndarray:
    """A bowl with balls in it, a ring and a cogwheel, (H, W, 3) uint8: the meshes are files as any."""
    scene, tool = gs.Scene(), gs.materials.Tool(coup_softness=0.002, sdf_res=48)
    scene.add_entity(gs.morphs.Plane(), tool)
    angle, turn = np.linspace(0.0, 1.45, 40), np.arange(256) * 2 * np.pi / 256
    out, within = (r * np.stack([np.sin(angle), -np.cos(angle)], 1) + (0.0, 0.25) for r in (0.25, 0.22))
    ring = 0.04 * np.stack([np.cos(turn[::8]), np.sin(turn[::8])], 1) + (0.13, 0.04)
    cog = np.where(np.sin(12 * turn) > 0, 0.15, 0.12)[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
    straight, leaning = (0.0, 0.0, 0.0), (90.0, 0.0, 35.0)
    with tempfile.TemporaryDirectory() as folder:
        for name, (vertices, faces), pos, euler, color in (
            ("bowl", _turned(np.concatenate([out, within[::-1]])), (0.0, 0.0, 0.11174), straight, "teal"),
            ("ring", _turned(ring, closed=True), (0.42, -0.12, 0.04), straight, "orange"),
            ("cog", _pulled(cog, 0.06), (-0.34279, -0.18457, 0.148), leaning, "gray"),
        ):
            file = Path(folder) / f"{name}.obj"
            lower, upper = vertices.min(0), vertices.max(0)
            longest = float((upper - lower).max())
            rows = [f"v {x!r} {y!r} {z!r}" for x, y, z in ((vertices - (lower + upper) / 2) / longest).tolist()]
            rows += [f"f {a} {b} {c}" for a, b, c in (faces + 1).tolist()]
            file.write_text("\n".join(rows))
            look = gs.surfaces.Default(color=color)
            morph = gs.morphs.Mesh(file=file, scale=longest, pos=pos, euler=euler)
            scene.add_entity(morph, tool, look, name=name)
    for k, color in enumerate(("red", "yellow", "white")):
        x, y = 0.078 * np.cos(2.1 * k), 0.078 * np.sin(2.1 * k)
        scene.add_entity(gs.morphs.Sphere(pos=(x, y, 0.12), radius=0.065), tool, gs.surfaces.Default(color=color))
    camera = scene.add_camera(res=size, pos=(0.35, -1.15, 0.9), lookat=(0.02, -0.06, 0.1), fov=38.0)
    scene.build()
    shown, *_ = camera.render()
    assert shown is not None
    return shown


def _turned(profile: np.ndarray, closed: bool = False, segments: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of what an outline (n, 2) of (radius, height) draws around the z axis: counter-clockwise, and
    from the axis to the axis unless it is closed."""
    turn, n = np.arange(segments) * 2 * np.pi / segments, len(profile)
    rounds = np.stack([np.cos(turn), np.sin(turn), np.ones(segments)], 1)
    vertices = (profile[:, None, [0, 0, 1]] * rounds).reshape(-1, 3)
    i, k = np.meshgrid(np.arange(n if closed else n - 1), np.arange(segments), indexing="ij")
    a, b = i * segments + k, i * segments + (k + 1) % segments
    c, d = (i + 1) % n * segments + (k + 1) % segments, (i + 1) % n * segments + k
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    return vertices, faces


def _pulled(outline: np.ndarray, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a prism about the z axis over an outline (n, 2) around it."""
    n = len(outline)
    levels = [np.column_stack([np.concatenate([outline, [[0.0, 0.0]]]), np.full(n + 1, z)]) for z in (0.0, height)]
    i, j = np.arange(n), (np.arange(n) + 1) % n
    top, low, m = np.full(n, 2 * n + 1), np.full(n, n), n + 1
    rows = ((low, j, i), (top, m + i, m + j), (i, j, m + j), (i, m + j, m + i))
    return np.concatenate(levels), np.concatenate([np.stack(row, 1) for row in rows])


def _training(config: GalleryConfig) -> list[Path]:
    """What training changed."""
    folder = config.folder / "training"
    folder.mkdir(exist_ok=True)
    written = []
    for name, strip in STRIPS.items():
        path = folder / f"{name}.png"
        write_strip(path, strip, config.moment_size, config.seed)
        written.append(path)
    path = folder / "ant.gif"
    write_video(path, STRIPS["ant"], config.moment_size, config.seed)
    return [*written, path]


def main() -> int:
    """Entry point."""
    return common.run(_main)


def _main() -> int:
    config = tyro.cli(GalleryConfig, prog=common.program())
    torch.set_num_threads(1)
    run(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
