"""`Camera`: pictures of a scene from a pose, alone or as a video."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch

from genesis.checks import assign, boolean, integer, number, record, vector
from genesis.convert import constants, whole
from genesis.engine.entities.base import Entity
from genesis.engine.inputs import Environments, environments
from genesis.errors import GenesisRuntimeError, GenesisTypeError, GenesisValueError
from genesis.grad.modes import ordinary
from genesis.grad.tensor import plain_of
from genesis.public_engine import keywords, missing
from genesis.render import export, model
from genesis.render.markers import Markers
from genesis.render.picture import Picture, Pose, cross
from genesis.render.stage import Stage
from genesis.render.video import tile, write_video
from genesis.utils import geom

MAX_EDGE = 4096
FARTHEST = 1e12
"""m from the origin; beyond it millimetres are lost to rounding."""
ROOM = 32
"""Solids beyond the scene's own for which a picture has room at first."""


@record
class Lens:
    """What a camera is made of; checked when constructed."""

    res: tuple[int, int] = (512, 512)
    """Width and height, pixels."""
    fov: float = 30.0
    """Vertical opening angle, degrees."""

    def __post_init__(self) -> None:
        edges = whole("res", self.res, "Pass width and height.")
        if edges.shape != (2,) or edges.dtype == np.bool_:
            raise GenesisValueError(f"res must be (width, height), got {self.res!r}. Pass two integers.")
        res = tuple(integer("every entry of res", edge, 1) for edge in edges.tolist())
        if max(res) > MAX_EDGE:
            raise GenesisValueError(f"res must be at most {MAX_EDGE} pixels each way, got {res}. Lower it.")
        assign(self, "res", res)
        assign(self, "fov", number("fov", self.fov, 0.0, 170.0))


@final
class Camera:
    """A pinhole camera; made by `scene.add_camera`. It only looks: no picture changes the scene or its graph.

    World frame, metres. Pictures are made on demand from the present state, and are the same to the bit for the same
    state, whatever was rendered before and in whatever batch.
    """

    def __init__(
        self,
        scene: Any,
        markers: Markers,
        floor_height: float | None,
        lens: Lens,
        pos: Sequence[float],
        lookat: Sequence[float],
        up: Sequence[float],
    ) -> None:
        self._scene, self._markers, self._floor_height = scene, markers, floor_height
        self._lens = lens
        self._pose = {
            name: np.array([vector(name, constants(name, value))])
            for name, value in (("pos", pos), ("lookat", lookat), ("up", up))
        }
        _check_frame(self._pose)
        self._follow: tuple[Callable[[], torch.Tensor], tuple[float | None, ...]] | None = None
        self._stage: Stage | None = None
        self._picture: Picture | None = None
        self._frames: list[np.ndarray] = []
        self._recording = False

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise missing("Camera", name)

    def __repr__(self) -> str:
        return f"<Camera {self.res[0]} x {self.res[1]}, fov {self.fov:g} degrees>"

    @property
    def res(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self._lens.res

    @property
    def fov(self) -> float:
        """Vertical opening angle, degrees."""
        return self._lens.fov

    @property
    def intrinsics(self) -> np.ndarray:
        """(3, 3), pixels: of a point in the camera's axes (x right, y down, z into the picture) it makes its column and
        row, times its depth."""
        width, height = self.res
        focal = 0.5 * height / np.tan(np.deg2rad(0.5 * self.fov))
        return np.array([[focal, 0.0, 0.5 * width], [0.0, focal, 0.5 * height], [0.0, 0.0, 1.0]])

    @property
    def extrinsics(self) -> np.ndarray:
        """(B, 4, 4), at the present state: from the world frame to the camera's axes (x right, y down, z into the
        picture); (4, 4) in a scene of one environment."""
        T = self.get_transform() @ np.diag([1.0, -1.0, -1.0, 1.0])
        return np.linalg.inv(T[0] if len(T) == 1 else T)

    def get_pos(self, envs_idx: Environments = None) -> np.ndarray:
        """(B, 3) where it is, m, at the present state; with `envs_idx` of the chosen environments."""
        return self._chosen(self.world_pose()[0], envs_idx)

    def get_lookat(self, envs_idx: Environments = None) -> np.ndarray:
        """(B, 3) the point in the middle of its picture, m."""
        return self._chosen(self.world_pose()[1], envs_idx)

    def get_up(self, envs_idx: Environments = None) -> np.ndarray:
        """(B, 3) what points up in its picture."""
        return self._chosen(self.world_pose()[2], envs_idx)

    def get_transform(self, envs_idx: Environments = None) -> np.ndarray:
        """(B, 4, 4) its pose: x right, y up, z out of the picture."""
        return self._chosen(geom.pos_lookat_up_to_T(*self.world_pose()), envs_idx)

    @keywords
    def set_pose(
        self,
        pos: Any = None,
        lookat: Any = None,
        up: Any = None,
        envs_idx: Environments = None,
    ) -> None:
        """Move and turn the camera; what is None stays.

        Args:
            pos: Where it is, (3,), or a row for each chosen environment.
            lookat: A point in the middle of the picture.
            up: What points up in the picture; not along the view.
            envs_idx: Environments in which to move it; None for all.

        Raises:
            GenesisValueError: `pos` and `lookat` are one point, or `up` is along the view.
        """
        n = self._scene.n_envs if self._scene.is_built else 1
        envs = environments(envs_idx, n)
        chosen = np.arange(n) if envs is None else envs.cpu().numpy()
        new = {name: np.broadcast_to(value, (n, 3)).copy() for name, value in self._pose.items()}
        for name, value in (("pos", pos), ("lookat", lookat), ("up", up)):
            if value is not None:
                new[name][chosen] = _rows(name, value, len(chosen))
        _check_frame(new)
        self._pose = new

    @keywords
    def follow_entity(
        self,
        entity: Entity,
        fixed_axis: tuple[float | None, float | None, float | None] = (None, None, None),
        link: Any = None,
    ) -> None:
        """Move along with an entity: `pos` and `lookat` are from now on relative to where it is.

        Args:
            entity: Of this scene; a body of particles counts with the mean of its particles.
            fixed_axis: A number of x, y or z that the place it follows is held at; None: follow there too.
            link: Which link of a robot, it, its name or its index; None: its base.
        """
        place = entity.followed(link) if any(entity is mine for mine in self._scene.entities) else None
        if place is None:
            raise GenesisTypeError(f"entity must be a body of this scene that moves, got {entity!r}. Pass one.")
        if not isinstance(fixed_axis, Sequence) or len(fixed_axis) != 3:
            raise GenesisValueError(f"fixed_axis must be three numbers or None, got {fixed_axis!r}. Pass three.")
        axes = tuple(None if axis is None else number("every entry of fixed_axis", axis) for axis in fixed_axis)
        self._follow = (place, axes)

    def unfollow_entity(self) -> None:
        """Stand still again: `pos` and `lookat` are in the world frame."""
        self._follow = None

    def world_pose(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where it is, the point in the middle of its picture, and what points up, at the present state.

        Returns:
            (pos, lookat, up), each (B, 3), world frame, m, with the entity that it follows taken into account.

        Raises:
            GenesisRuntimeError: The scene has not been built.
        """
        self._look_at_scene()
        n_envs = self._scene.n_envs
        centres = self._followed(n_envs)
        pos, lookat, up = (np.broadcast_to(value, (n_envs, 3)) for value in self._pose.values())
        return pos + centres, lookat + centres, up.copy()

    @keywords
    @ordinary
    def render(
        self,
        rgb: bool = True,
        depth: bool = False,
        segmentation: bool = False,
        normal: bool = False,
        envs_idx: Environments = None,
    ) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        """Take pictures of the present state.

        Args:
            rgb: Colour, (H, W, 3) uint8.
            depth: (H, W) float32, m along the optical axis; inf where there is nothing.
            segmentation: (H, W) int32, `entity.idx + 1`; 0 where there is none.
            normal: (H, W, 3) float32, unit normals, world frame; zero where there is nothing.
            envs_idx: Environments, indices or a mask; None for all.

        Returns:
            (rgb, depth, segmentation, normal), None for what was not asked for. With a leading axis for the
            environments, unless `envs_idx` is one integer, or None in a scene of one environment.

        Raises:
            GenesisRuntimeError: The scene has not been built.
        """
        wanted = {"rgb": rgb, "depth": depth, "segmentation": segmentation, "normal": normal}
        for name, value in wanted.items():
            boolean(name, value)
        stage = self._look_at_scene()
        n_envs = self._scene.n_envs
        envs = environments(envs_idx, n_envs)
        chosen = list(range(n_envs)) if envs is None else envs.tolist()
        single = isinstance(envs_idx, int) or getattr(envs_idx, "ndim", 1) == 0 or (envs_idx is None and n_envs == 1)
        places, centres = stage.poses(), self._followed(n_envs)
        found: dict[str, list[np.ndarray]] = {name: [] for name, value in wanted.items() if value}
        frames = []
        for env in chosen:
            picture, pose = self._take(stage, env, places, centres)
            makers: dict[str, Callable[[], np.ndarray]] = {
                "rgb": picture.rgb,
                "depth": lambda picture=picture, pose=pose: picture.depth(pose, self.fov),
                "segmentation": picture.segmentation,
                "normal": picture.normal,
            }
            for name, images in found.items():
                images.append(makers[name]())
            if self._recording:
                frames.append(found["rgb"][-1] if rgb else picture.rgb())
        if frames:
            self._frames.append(tile(frames))
        results = {name: images[0] if single else np.stack(images) for name, images in found.items() if images}
        empty = {name: self._empty(name) for name, images in found.items() if not images}
        return tuple((results | empty).get(name) for name in wanted)  # type: ignore[return-value]

    @ordinary
    def export(self, path: str | os.PathLike[str], env_idx: int = 0) -> None:
        """Write one environment, as it stands now, as a file that other programs open. The ending decides:

        - .glb, .gltf: for Blender and browsers. A tree of nodes: robots, links, shapes, and this camera.
        - .vtm, .vtp: for ParaView; a folder of named parts with its index, or all in one. z is up.
        - .png: a picture from this camera, drawn by VTK with soft shadows of sun and sky. It takes seconds.

        The last three need the extra `pyvista`, and so do smooth bodies of particles (`vis_mode="recon"`). The picture
        needs OpenGL too, which may draw without a screen (EGL). Floors are as large as three times the distance of the
        camera from what it looks at, or as what is on them.

        Args:
            path: In an existing folder. The file appears whole or not at all.
            env_idx: Index of the environment.

        Raises:
            GenesisRuntimeError: The scene has not been built, the disk is full, or VTK cannot draw on this machine.
            GenesisValueError: Another ending, a folder that does not exist, an environment that does not exist.
            GenesisImportError: The extra `pyvista` is not installed.
        """
        stage = self._look_at_scene()
        n_envs = self._scene.n_envs
        env = integer("env_idx", env_idx, 0)
        if env >= n_envs:
            raise GenesisValueError(
                f"env_idx must lie in 0 … {n_envs - 1}, got {env}. There are {n_envs} environments."
            )
        target = export.check(path, smooth=bool(stage.smooth))
        pos, lookat, up = (value[env] for value in self.world_pose())
        view = _frame(pos, lookat, up)
        export.write(target, model.of_scene(stage, self._markers, env, view), view, self.fov, self.res)

    # Videos.

    def start_recording(self) -> None:
        """Keep the colour of every `render` from now on, its environments side by side, in memory.

        Raises:
            GenesisRuntimeError: It is recording already.
        """
        if self._recording:
            raise GenesisRuntimeError("a camera must not be recording to start, got a second start. Stop it first.")
        self._recording = True

    def pause_recording(self) -> None:
        """Keep nothing until `start_recording`; what has been kept stays.

        Raises:
            GenesisRuntimeError: It is not recording.
        """
        self._must_record("pause_recording")
        self._recording = False

    def stop_recording(self, save_to_filename: str | os.PathLike[str], fps: float = 60.0) -> None:
        """Write what has been recorded and forget it. If the file cannot be written, the recording is kept.

        Args:
            save_to_filename: Ends in .mp4 or .gif (which need the extra `video`). Written whole or not at all.
            fps: Frames per second.

        Raises:
            GenesisRuntimeError: Nothing has been recorded, or the disk is full.
            GenesisValueError: Another ending.
            GenesisImportError: The extra `video` is not installed.
        """
        if not self._frames:
            self._must_record("stop_recording")
            raise GenesisRuntimeError("a recording must have a frame, got none. Call render() while it runs.")
        write_video(save_to_filename, self._frames, fps)
        self._frames, self._recording = [], False

    # Within.

    def _must_record(self, call: str) -> None:
        if not self._recording:
            raise GenesisRuntimeError(f"{call} must come after start_recording, got a camera that is not recording.")

    def _chosen(self, rows: np.ndarray, envs_idx: Environments) -> np.ndarray:
        envs = environments(envs_idx, self._scene.n_envs)
        return rows if envs is None else rows[envs.cpu().numpy()]

    def _look_at_scene(self) -> Stage:
        if not self._scene.is_built:
            raise GenesisRuntimeError("a scene must be built before it is rendered, got a call before. Call build().")
        self._scene.check_runtime()
        if self._stage is None:
            self._stage = Stage(self._scene.entities, self._scene.n_envs, self._floor_height)
        return self._stage

    def _take(
        self, stage: Stage, env: int, places: tuple[torch.Tensor, torch.Tensor, torch.Tensor], centres: np.ndarray
    ) -> tuple[Picture, Pose]:
        extra = self._markers.solids(env)
        needed = len(stage.shapes.kind) + len(extra[0].kind)
        if self._picture is None or self._picture.room < needed:
            self._picture = Picture(stage, *self.res, needed + ROOM)
        pos, lookat, up = (value[min(env, len(value) - 1)] for value in self._pose.values())
        pose = _frame(pos + centres[env], lookat + centres[env], up)
        self._picture.make(env, pose, self.fov, places, extra)
        return self._picture, pose

    @torch.no_grad()
    def _followed(self, n_envs: int) -> np.ndarray:
        """(B, 3) where the pose is relative to."""
        if self._follow is None:
            return np.zeros((n_envs, 3))
        place, axes = self._follow
        centres = plain_of(place()).cpu().double().numpy().copy()
        for i, axis in enumerate(axes):
            if axis is not None:
                centres[:, i] = axis
        return np.where((np.abs(centres) <= FARTHEST).all(1, keepdims=True), centres, 0.0)  # no NaN either

    def _empty(self, name: str) -> np.ndarray:
        width, height = self.res
        dtype = {"rgb": np.uint8, "depth": np.float32, "segmentation": np.int32, "normal": np.float32}[name]
        return np.zeros((0, height, width, *((3,) if name in ("rgb", "normal") else ())), dtype)


def _rows(name: str, value: Any, n: int) -> np.ndarray:
    rows = constants(name, value)
    if rows.shape not in ((3,), (n, 3)) or not np.isfinite(rows).all():
        got = rows.tolist() if rows.size < 10 else f"shape {rows.shape}"
        raise GenesisValueError(f"{name} must be finite, of shape (3,) or ({n}, 3), got {got}. Mend it.")
    return rows


def _check_frame(pose: dict[str, np.ndarray]) -> None:
    for name, rows in pose.items():
        if np.abs(rows).max() > FARTHEST:
            raise GenesisValueError(f"{name} must lie within {FARTHEST:g} of the origin, got {rows.tolist()}. Mend it.")
    view = pose["lookat"] - pose["pos"]
    across = np.cross(view, pose["up"])
    limit = 1e-6 * np.linalg.norm(view, axis=1) * np.linalg.norm(pose["up"], axis=1)
    if (np.linalg.norm(view, axis=1) < 1e-9).any():
        raise GenesisValueError("lookat must be another point than pos, got one point. Move one of them.")
    if (np.linalg.norm(across, axis=1) <= limit).any():
        raise GenesisValueError("up must not point along the view nor be zero, got such a vector. Tilt it.")


def _frame(pos: np.ndarray, lookat: np.ndarray, up: np.ndarray) -> Pose:
    forward = lookat - pos
    distance = float(np.linalg.norm(forward))
    forward = forward / distance
    right = cross(forward, up)
    right /= np.linalg.norm(right)
    return Pose(pos, right, cross(right, forward), forward, distance)
