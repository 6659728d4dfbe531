"""What of an environment is seen: its things once, and where they are at each moment, as plain arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from genesis.engine.entities.articulated import ArticulatedBody
from genesis.engine.entities.tool import ToolEntity
from genesis.grad.tensor import plain_of
from genesis.math import quaternion
from genesis.morphs import Plane
from genesis.render.stage import Stage
from genesis.visible import KINDS, Rgb

MAX_ARROWS = 120
"""Particles with a gradient arrow, at most."""


@dataclass(frozen=True)
class Mark:
    """A goal or another mark, for the length of a frame."""

    kind: str
    size: tuple[float, ...]
    tint: Rgb
    pos: tuple[float, ...]
    quat: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Frame:
    """Where things are at one moment. World frame, m; B environments."""

    pos: np.ndarray
    """(B, K, 3) of solids."""
    quat: np.ndarray
    """(B, K, 4)."""
    points: np.ndarray
    """(B, N, 3) particles."""
    anchors: np.ndarray
    """(B, A, 3) where gradient arrows start: links' centres of mass, tools, some particles."""
    grounds: tuple[tuple[tuple[np.ndarray, np.ndarray], ...], ...]
    """Normal and a point, of each ground of each environment."""
    marks: tuple[tuple[Mark, ...], ...]
    """Of each environment."""
    lookat: np.ndarray
    """(B, 3) the middle of the task's own view."""


class VisibleWorld:
    """The visible things of an environment in a fixed order, and a camera that only tells where to look."""

    def __init__(self, env: Any) -> None:
        """Args: env: a `DifferentiableVectorEnv` with a `gs.Scene`, reset."""
        scene = env.scene
        self.env = env
        self.stage = Stage(scene.entities, scene.n_envs, scene.vis_options.floor_height)
        self.tints = [body.record.tint for body in self.stage.particles]
        self.robots = [entity for entity in scene.entities if isinstance(entity, ArticulatedBody)]
        self.tools = [entity for entity in scene.entities if isinstance(entity, ToolEntity)]
        self.links = [
            sorted(
                {
                    part.link
                    for part in (*robot.model.geoms, *robot.model.visuals)
                    if part.link >= 0 and robot.model.mass[part.link] > 0
                }
            )
            for robot in self.robots
        ]
        """Of each robot, those that can be seen and pushed."""
        self.pushers = [tool for tool in self.tools if not isinstance(tool.morph, Plane)]
        """Tools with a place."""
        n = self.stage.n_particles
        self.chosen = np.unique(np.linspace(0, n - 1, min(n, MAX_ARROWS)).round().astype(int)) if n else np.arange(0)
        """Particles with an arrow."""
        self._camera = env.add_camera()
        eye, lookat, _ = self._camera.world_pose()
        self.eye = eye[0] - lookat[0]
        """(3,) m, of the eye from where it looks."""
        self.fov = self._camera.fov

    @property
    def distance(self) -> float:
        """Of the eye from where it looks, m: the scale of the scene."""
        return float(np.linalg.norm(self.eye))

    def solver_order(self) -> np.ndarray:
        """(N,) index among the solver's particles of each particle of a frame."""
        bodies = sorted(self.stage.particles, key=lambda body: body.owner)
        begin = dict(zip((body.owner for body in bodies), np.cumsum([0, *(b.record.n for b in bodies)]), strict=False))
        return np.concatenate([begin[body.owner] + np.arange(body.record.n) for body in self.stage.particles])

    def strengths(self, gradient: np.ndarray) -> list[tuple[str, str, float]]:
        """Of each kind of anchors: its name, the unit x of a gradient's return per x, and the length of the longest.

        Args:
            gradient: (A, 3), of one environment.
        """
        sizes, begin, found = np.linalg.norm(gradient, axis=1), 0, []
        counts = (sum(map(len, self.links)), len(self.pushers), len(self.chosen))
        for name, unit, count in zip(("Links", "Tools", "Particles"), ("N", "m", "m"), counts, strict=True):
            if count:
                found.append((name, unit, float(sizes[begin : begin + count].max())))
            begin += count
        return found

    @torch.no_grad()
    def frame(self) -> Frame:
        """The present moment."""
        pos, quat, points = (_single(value) for value in self.stage.poses())
        scene, n_envs = self.env.scene, self.env.num_envs
        scene.clear_debug_objects()
        self.env.draw_marks()
        return Frame(
            pos,
            quat,
            points,
            self._anchors(points),
            tuple(tuple(self.stage.ground_poses(env)) for env in range(n_envs)),
            tuple(self._marks(env) for env in range(n_envs)),
            _single(self._camera.world_pose()[1]),
        )

    def _anchors(self, points: np.ndarray) -> np.ndarray:
        parts = [np.zeros((self.env.num_envs, 0, 3), np.float32)]
        for robot, links in zip(self.robots, self.links, strict=True):
            at, along = (plain_of(x)[:, links] for x in (robot.get_links_pos(), robot.get_links_quat()))
            centre = torch.as_tensor(robot.model.com[links], dtype=at.dtype, device=at.device)
            parts.append(_single(at + quaternion.rotate(along, centre)))
        parts += [_single(tool.get_pos())[:, None] for tool in self.pushers]
        return np.concatenate([*parts, points[:, self.chosen]], 1)

    def _marks(self, env: int) -> tuple[Mark, ...]:
        solids, pos, quat = self.env.scene.debug_objects.solids(env)
        rows = zip(solids.kind, solids.size, solids.tint, pos.tolist(), quat.tolist(), strict=True)
        return tuple(Mark(KINDS[kind], size, tint, tuple(at), tuple(along)) for kind, size, tint, at, along in rows)


def _single(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = plain_of(value.detach()).cpu().numpy()
    return np.nan_to_num(np.asarray(value, dtype=np.float32), posinf=0.0, neginf=0.0)
