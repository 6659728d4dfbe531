"""The scene in the browser: frames of a recording become viser's nodes, made once and moved afterwards.

Everything lies below the node "/world", which is moved so that the middle of the view stays at the origin: the camera
stands still and the world moves, so that the mouse and the follower never fight for the camera.
"""

from typing import Any

import numpy as np

from genesis.math import quaternion
from genesis.render import colors, meshes
from genesis.render.picture import HORIZON, round_length
from genesis.visible import Ground, Rgb
from scripts.viewer.visible_world import Frame, Mark, VisibleWorld

TILES = 96
"""Squares along a side of the floor."""
SKY = (231, 239, 247)
"""What a fog of the colour `HORIZON` looks like on a screen."""
MAX_BALLS = 4000
"""Particles of a body that are drawn as balls, with light and shadow; those of a larger one are flat discs."""
ARROW = 0.14
"""Length of the longest gradient arrow at first, in distances of the eye."""
PUSH_LENGTH = 1.6
"""How much longer those of links and tools are, which start within."""
ARROW_TINT = (214, 39, 120)
PUSH_TINT = (120, 20, 160)
"""Of particles, and of links and tools."""


class Canvas:
    """Shows one environment of a recording's frames."""

    def __init__(self, server: Any, visible: VisibleWorld, env: int, frame: Frame) -> None:
        """Makes the nodes.

        Args:
            server: A `viser.ViserServer`.
            visible: The things.
            env: The environment to show at first.
            frame: Where they are at first.
        """
        self._scene, self._visible, self._server = server.scene, visible, server
        self._still = frame.lookat.astype(np.float64)
        self._scene.set_up_direction("+z")
        server.initial_camera.position = tuple(visible.eye)
        server.initial_camera.look_at = (0.0, 0.0, 0.0)
        server.initial_camera.fov = np.radians(visible.fov)
        server.initial_camera.near = 0.01 * visible.distance
        for client in server.get_clients().values():  # who came before looks from there, too
            client.camera.position, client.camera.look_at = tuple(visible.eye), (0.0, 0.0, 0.0)
        self._light()
        self._world = self._scene.add_frame("/world", show_axes=False)
        self._grounds = [self._add_ground(i, ground.record) for i, ground in enumerate(visible.stage.grounds)]
        solids = visible.stage.shapes
        self._solids = [
            self._add_mesh(f"/world/solid_{i}", solids.surface(i), tint) for i, tint in enumerate(solids.tint)
        ]
        self._clouds = self._add_particles(frame.points[env])
        self._marks: list[tuple[Mark, Any]] = []
        self._arrows: list[Any] = []
        self.show(frame, env)

    def show(
        self, frame: Frame, env: int, follow: bool = True, gradient: np.ndarray | None = None, length: float = ARROW
    ) -> None:
        """Moves everything to where it is in a frame.

        Args:
            frame: The moment.
            env: The environment.
            follow: Whether the middle of the task's own view stays in the middle.
            gradient: (B, A, 3), in the order of `Frame.anchors`: drawn as arrows; None: no arrows.
            length: Of the longest arrow of particles, in distances of the eye; others are `PUSH_LENGTH` times as long.
        """
        middle = np.where(np.isfinite(frame.lookat[env]), frame.lookat[env], 0.0) if follow else self._still[env]
        with self._server.atomic():
            self._world.position = tuple(-middle)
            for node, pos, quat in zip(self._solids, frame.pos[env], frame.quat[env], strict=True):
                node.position, node.wxyz = tuple(pos), tuple(quat)
            for (begin, end), node, places in self._clouds:
                setattr(node, places, frame.points[env, begin:end])
            for i, (normal, pos) in enumerate(frame.grounds[env]):
                self._place_ground(i, normal, pos, middle)
            self._show_marks(frame.marks[env])
            self._show_arrows(frame.anchors[env], None if gradient is None else gradient[env], length)

    # Nodes.

    def _light(self) -> None:
        scene = self._scene
        scene.set_background_image(np.full((4, 4, 3), SKY, np.uint8), format="png")
        scene.configure_fog(4 * self._visible.distance, 0.5 * TILES * self._edge, color=colors.as_bytes(HORIZON))
        scene.configure_default_lights(enabled=False)
        scene.configure_environment_map(hdri=None)
        sun = scene.add_light_directional("/sun", color=(255, 246, 228), intensity=2.4, cast_shadow=True)
        sun.position = tuple(self._visible.distance * np.array([-0.46, -0.44, 0.77]))
        scene.add_light_hemisphere("/sky", sky_color=(214, 228, 255), ground_color=(150, 145, 138), intensity=2.2)

    def _add_mesh(self, name: str, mesh: meshes.Mesh, tint: Rgb, floor: bool = False) -> Any:
        return self._scene.add_mesh_simple(
            name, mesh.vertices, mesh.faces, color=colors.as_bytes(tint), flat_shading=mesh.flat, cast_shadow=not floor,
            side="double" if floor else "front",
        )  # fmt: skip

    def _add_ground(self, i: int, ground: Ground) -> Any:
        node = self._scene.add_frame(f"/world/ground_{i}", show_axes=False)
        if ground.heights is not None:
            self._add_mesh(f"/world/ground_{i}/field", meshes.terrain(ground.heights, ground.spacing), ground.tints[0])
        else:
            for odd, tint in enumerate(ground.tints):
                mesh = meshes.checker(self._edge, TILES, bool(odd))
                self._add_mesh(f"/world/ground_{i}/squares_{odd}", mesh, tint, floor=True)
        return node

    @property
    def _edge(self) -> float:
        """Of a square of the floor, m, as pictures have it."""
        return round_length(0.16 * self._visible.distance)

    def _place_ground(self, i: int, normal: np.ndarray, pos: np.ndarray, middle: np.ndarray) -> None:
        """A floor goes along in steps of two squares, so that it has no end and does not seem to move."""
        node = self._grounds[i]
        if self._visible.stage.grounds[i].record.heights is not None:
            node.position = tuple(pos)
            return
        quat = quaternion.from_z_axis(tuple(normal))
        w, x, y, z = quat
        across = np.array([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)])
        along = np.cross(normal, across)
        step = 2 * self._edge
        shift = sum(np.round((middle - pos) @ axis / step) * step * axis for axis in (across, along))
        node.wxyz, node.position = quat, tuple(pos + shift)

    def _add_particles(self, points: np.ndarray) -> list[tuple[tuple[int, int], Any, str]]:
        """First and last particle of each body, its node, and which property of that has their places."""
        clouds, begin, stage = [], 0, self._visible.stage
        for i, (body, radius, tint) in enumerate(zip(stage.particles, stage.radii, self._visible.tints, strict=True)):
            name, end = f"/world/particles_{i}", begin + body.record.n
            if body.record.n > MAX_BALLS:
                node, places = (
                    self._scene.add_point_cloud(
                        name,
                        points[begin:end],
                        colors.as_bytes(tint),
                        point_size=radius,
                        point_shape="circle",
                        precision="float32",
                    ),
                    "points",
                )
            else:
                ball = meshes.of_shape("sphere", (radius, 0.0, 0.0), np.zeros((0, 3)), segments=10)
                turns = np.tile([1.0, 0.0, 0.0, 0.0], (end - begin, 1))
                node, places = (
                    self._scene.add_batched_meshes_simple(
                        name,
                        ball.vertices,
                        ball.faces,
                        turns,
                        points[begin:end],
                        batched_colors=colors.as_bytes(tint),
                        lod="off",
                    ),
                    "batched_positions",
                )
            clouds.append(((begin, end), node, places))
            begin = end
        return clouds

    def _show_marks(self, marks: tuple[Mark, ...]) -> None:
        for i in range(len(self._marks) - 1, -1, -1):
            old, node = self._marks[i]
            if i >= len(marks) or (old.kind, old.size, old.tint) != (marks[i].kind, marks[i].size, marks[i].tint):
                node.remove()
                del self._marks[i:]
        for i, mark in enumerate(marks):
            if i == len(self._marks):
                mesh = meshes.of_shape(mark.kind, mark.size, np.zeros((0, 3)))
                self._marks.append((mark, self._add_mesh(f"/world/mark_{i}", mesh, mark.tint)))
            node = self._marks[i][1]
            node.position, node.wxyz = mark.pos, mark.quat

    def _show_arrows(self, anchors: np.ndarray, gradient: np.ndarray | None, length: float) -> None:
        if gradient is None:
            for node in self._arrows:
                node.visible = False
            return
        groups = self._groups(len(anchors))
        if not self._arrows:
            self._arrows = [self._add_arrows(i, tint) for i, (_, tint) in enumerate(groups)]
        for node, (group, tint) in zip(self._arrows, groups, strict=True):
            longest = length * self._visible.distance * (1.0 if tint == ARROW_TINT else PUSH_LENGTH)
            arrow = _scaled(gradient[group], longest)
            node.points = np.stack([anchors[group], anchors[group] + arrow], 1).astype(np.float32)
            node.visible = bool(np.abs(arrow).max(initial=0.0) > 0)

    def _groups(self, n_anchors: int) -> list[tuple[slice, tuple[int, int, int]]]:
        n_particles = len(self._visible.chosen)
        groups = [(slice(0, n_anchors - n_particles), PUSH_TINT), (slice(n_anchors - n_particles, None), ARROW_TINT)]
        return [(group, tint) for group, tint in groups if len(range(n_anchors)[group])]

    def _add_arrows(self, i: int, tint: tuple[int, int, int]) -> Any:
        thickness = self._visible.distance * (0.0022 if tint == ARROW_TINT else 0.004)
        return self._scene.add_arrows(
            f"/world/arrows_{i}", np.zeros((1, 2, 3)), tint, shaft_radius=thickness, head_radius=2.4 * thickness,
            head_length=5 * thickness,
        )  # fmt: skip


def _scaled(gradient: np.ndarray, longest: float) -> np.ndarray:
    """(A, 3) with the longest row of that length; zeros stay zero."""
    size = np.linalg.norm(gradient, axis=1).max(initial=0.0)
    return gradient * (longest / size) if size > 0 else gradient
