"""Making pictures: the arrays of one camera's views and the kernels bound to them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from genesis.compiler import bind, layout
from genesis.render import colors
from genesis.render.kernels import depth, draw, edges, shapes, smooth, tiles, trace
from genesis.render.stage import Solids, Stage

SUN = np.array([-0.46, -0.44, 0.77]) / math.sqrt(0.46**2 + 0.44**2 + 0.77**2)
"""Direction to the sun, world frame."""
SUN_PIXELS, LOW_PIXELS = (128, 400), 64
"""Edge of the picture that the sun sees, at least and at most: four fifths of that of the picture. Edge of the picture
that the ground has of what is above it."""
HAZE = 9.0
"""Distance at which haze hides the ground, in distances of the camera from what it looks at."""
SUN_LIGHT, SKY, HORIZON = (1.00, 0.95, 0.86), (0.26, 0.46, 0.78), (0.80, 0.87, 0.93)
"""Linear light of the sun, and the sky above and at the horizon."""


class Pose(NamedTuple):
    """Where a camera is and looks, world frame, m; unit vectors."""

    pos: np.ndarray
    right: np.ndarray
    up: np.ndarray
    forward: np.ndarray
    distance: float
    """To what it looks at."""


class Images(NamedTuple):
    """One environment's: tensors on the CPU, (H, W, …)."""

    rgb: torch.Tensor
    depth: torch.Tensor
    segmentation: torch.Tensor
    normal: torch.Tensor


class View:
    """One look at the things: its arrays and its two launches, of the lists of tiles and of the first pass."""

    def __init__(self, width: int, height: int, n_things: int, shared: list[torch.Tensor], passes: int) -> None:
        lay = layout()
        self.width, self.height, self.passes = width, height, passes
        self.tiles_x, self.tiles_y = -(-width // tiles.TILE), -(-height // tiles.TILE)
        self.sizes = lay.new_int(tiles.N_SIZES)
        self.view = lay.new(tiles.N_VIEW, 1)
        self.ball, self.near = lay.new(n_things, 4), lay.new(n_things, 1)
        self.which = lay.new_int(n_things)
        self.starts = lay.new_int(self.tiles_x * self.tiles_y + 1)
        self.boxes, self.busy = lay.new_int(4 * n_things), lay.new_int(self.tiles_x * self.tiles_y)
        self.pitch, self.rows = tiles.TILE * self.tiles_x, tiles.TILE * self.tiles_y
        self.packets = self.pitch * self.rows // lay.width
        self.depth = lay.new_lanes(max(1, passes) * self.packets)
        self.hits = lay.new_int_lanes(max(1, passes * self.packets))
        self.normals = lay.new_lanes(max(1, 3 * passes * self.packets))
        self.shared = shared
        self.make_room(16 * n_things + 4096)

    def make_room(self, capacity: int) -> None:
        """Let the lists be so long in all."""
        self.capacity = capacity
        self.entries = layout().new_int(capacity)
        lists = [self.boxes, self.starts, self.entries, self.busy]
        self._list = bind(tiles.list_kernel(), self.ball, self.view, self.sizes, *lists)
        self.inputs = [self.ball, self.near, self.which, self.starts, self.entries, *self.shared, self.view, self.sizes]
        kernel = depth.trace_kernel(self.passes > 0)
        self._trace = bind(kernel, *self.inputs, self.hits, self.depth, self.normals, lanes=True)

    def look(self, frame: list[np.ndarray], half: tuple[float, float], parallel: bool, things: "Things") -> None:
        """Trace the things from `frame`: origin, right, up, forward, relative to the picture's origin."""
        origin, forward = torch.from_numpy(frame[0]), torch.from_numpy(frame[3])
        offset = things.ball[:, :3] - origin
        near = (offset @ forward if parallel else offset.norm(dim=1)) - things.ball[:, 3]
        near, order = torch.sort(near, stable=True)
        n = len(order)
        layout().rows(self.ball)[:n] = things.rows[order.to(things.rows.device)]
        self.near[:n] = (near - 1e-5 * near.abs()).to(self.near)
        self.which[:n] = order.to(self.which)
        numbers = [*np.concatenate(frame), float(parallel), *half, 0.5 * self.width / half[0]]
        self.view.copy_(torch.tensor(numbers, dtype=torch.float64))
        n_grounds = things.n_grounds if self.passes else 0
        while True:
            counts = [n, things.n_solids, n_grounds, self.width, self.height, self.tiles_x, self.tiles_y]
            self.sizes.copy_(torch.tensor([*counts, self.capacity, 0, 0, things.recon_from, 0], dtype=torch.int32))
            self._list()
            needed = int(self.sizes[tiles.NEEDED])
            if needed <= self.capacity:
                break
            self.make_room(2 * needed)
        self._trace()


class Things(NamedTuple):
    """What is in the picture of one environment, relative to its origin."""

    ball: torch.Tensor
    """(n, 4) centre and radius, float64, on the CPU."""
    rows: torch.Tensor
    """The same as kernels take them."""
    bounded: np.ndarray
    """(m, 4) those that are somewhere."""
    n_solids: int
    n_grounds: int
    recon_from: int


class Picture:
    """Pictures of a stage in one resolution; `n_solids` is how many solids there is room for."""

    def __init__(self, stage: Stage, width: int, height: int, n_solids: int) -> None:
        lay = layout()
        self.stage, self.room = stage, n_solids
        n_things = max(1, n_solids + stage.n_particles)
        n_grounds = max(1, len(stage.grounds))
        heights = [ground.heights.ravel() for ground in stage.grounds if ground.heights is not None]
        self.solid, self.about = lay.new(trace.SOLID_ROWS * max(1, n_solids), 4), lay.new_int(4 * n_things)
        self.faces = lay.new(max(1, sum(len(faces) for faces in stage.solids.faces)), 4)
        self.ground = lay.new(trace.GROUND_ROWS * n_grounds, 4)
        self.heights = torch.as_tensor(np.concatenate([*heights, np.zeros(1)])).to(lay.new(1, 1))
        self.tint, self.owner_tint = lay.new(n_things, 4), lay.new(max(1, len(stage.particles)), 4)
        self.ground_tint, self.light = lay.new(2 * n_grounds, 4), lay.new(draw.N_LIGHT, 1)
        self.radius = lay.new(max(1, len(stage.particles)), 1)
        shared = [self.solid, self.about, self.faces, self.ground, self.heights]
        self.main = View(width, height, n_things, shared, passes=1 + edges.N_EXTRA)
        edge = min(max(SUN_PIXELS[0], 4 * max(width, height) // 5), SUN_PIXELS[1])
        self.sun = View(edge, edge, n_things, shared, passes=0)
        self.low = View(LOW_PIXELS, LOW_PIXELS, n_things, shared, passes=0)
        self.low_gap, self.low_visible = lay.new(2, 1), lay.new(LOW_PIXELS**2, 1)
        self.colors = torch.zeros(3 * self.main.pitch * self.main.rows, dtype=torch.uint8, device=lay.device)
        self.edges = lay.new_int_lanes(self.main.packets)
        below = self.low.depth.view(-1)
        self._openness = bind(depth.openness_kernel(), below, self.low.sizes, self.low_gap, self.low_visible)
        self._smooth = self._bind_smooth() if stage.smooth else []
        self._bound_to: list[torch.Tensor] = []
        self._filled: tuple[list, list, list] | None = None
        """Of the further solids that the arrays hold."""
        self._fill()

    def _bind_smooth(self) -> list:
        lay, view = layout(), self.main
        hits, length, normals = view.hits.view(-1), view.depth.view(-1), view.normals.view(-1)
        spare = torch.empty_like(normals[: 3 * view.pitch * view.rows])
        rows, columns = lay.new_int(1) + 1, lay.new_int(1)
        ends = (self.radius, view.view, view.sizes)
        along = bind(smooth.smooth_kernel(), hits, length, normals, spare, *ends, rows)
        down = bind(smooth.smooth_kernel(), hits, length, spare, normals, *ends, columns)
        return [along, down, along, down]

    def _fill(self) -> None:
        """What never changes: sizes, faces, owners and colours."""
        lay, stage = layout(), self.stage
        self._write_solids(stage.solids, 0)
        if faces := [faces for faces in stage.solids.faces if len(faces)]:
            lay.rows(self.faces)[:] = torch.as_tensor(np.concatenate(faces)).to(self.faces)
        for g, ground in enumerate(stage.grounds):
            lay.rows(self.ground_tint)[2 * g : 2 * g + 2, :3] = _linear(ground.tints).to(self.ground_tint)
        for k, body in enumerate(stage.particles):
            lay.rows(self.owner_tint)[k, :3] = _linear([colors.of_particles(body)])[0].to(self.owner_tint)
            lay.rows(self.owner_tint)[k, 3] = self.radius[k] = stage.radii[k]

    def _write_solids(self, solids: Solids, begin: int) -> None:
        lay, n = layout(), len(solids.kind)
        if n:
            rows = lay.rows(self.solid)
            size = torch.tensor(solids.size, dtype=torch.float64)
            rows[4 * begin + 3 : 4 * (begin + n) : 4, :3] = size.to(self.solid)
            about = self.about.view(-1, 4)
            about[begin : begin + n, 0] = torch.tensor(solids.kind, dtype=torch.int32)
            about[begin : begin + n, 1:3] = torch.tensor(solids.span, dtype=torch.int32)
            about[begin : begin + n, 3] = torch.tensor(solids.owner, dtype=torch.int32)
            lay.rows(self.tint)[begin : begin + n, :3] = _linear(solids.tint).to(self.tint)

    def _write_particles(self, begin: int) -> None:
        """Owners and colours of the particles, which come after the solids."""
        lay, at = layout(), begin
        for k, body in enumerate(self.stage.particles):
            self.about.view(-1, 4)[at : at + body.n_particles, 3] = k
            lay.rows(self.tint)[at : at + body.n_particles] = lay.rows(self.owner_tint)[k]
            at += body.n_particles

    def make(
        self,
        env: int,
        pose: Pose,
        fov: float,
        places: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        extra: tuple[Solids, torch.Tensor, torch.Tensor],
    ) -> None:
        """Draw one environment.

        Args:
            fov: Vertical opening angle, degrees.
            places: What `Stage.poses` returned.
            extra: Further solids with their centres (k, 3) and quaternions (k, 4).
        """
        lay, stage, origin = layout(), self.stage, torch.from_numpy(pose.pos)
        solids, n_own = extra[0], len(stage.solids.kind)
        if self._filled != (solids.kind, solids.tint, solids.size):
            self._filled = (solids.kind, solids.tint, solids.size)
            self._write_solids(solids, n_own)
            self._write_particles(n_own + len(solids.kind))
        pos = torch.cat([places[0][env], extra[1]]) - origin
        n_solids = len(pos)
        rows = lay.rows(self.solid)
        turn = torch.cat([places[1][env], extra[2]])
        into = _matrix(turn).transpose(1, 2)
        for k in range(3):
            rows[k : 4 * n_solids : 4] = torch.cat([into[:, k], pos[:, k : k + 1]], 1).to(self.solid)
        reach = torch.tensor([*stage.solids.reach, *solids.reach], dtype=torch.float64)
        sizes = [
            torch.full((body.n_particles,), r, dtype=torch.float64)
            for body, r in zip(stage.particles, stage.radii, strict=True)
        ]
        centre = torch.cat([pos, places[2][env] - origin])
        ball = torch.cat([centre, torch.cat([reach, *sizes])[:, None]], 1)
        bounded = ball
        if not torch.isfinite(ball.sum()):
            somewhere = torch.isfinite(ball).all(1)
            bounded, ball = ball[somewhere], torch.where(somewhere[:, None], ball, _NOWHERE)
        first_smooth = n_solids + stage.n_particles - stage.n_smooth
        things = Things(ball, ball.to(self.main.ball), bounded.numpy(), n_solids, len(stage.grounds), first_smooth)
        planes = self._write_grounds(env, pose)
        self._n_solids, self._owners = n_solids, [*stage.solids.owner, *solids.owner]

        half = math.tan(math.radians(fov) / 2)
        eye = [np.zeros(3), pose.right, pose.up, pose.forward]
        self.main.look(eye, (half * self.main.width / self.main.height, half), False, things)
        for launch in self._smooth:
            launch()
        texel = self._look_from_sun(things, pose)
        if planes:
            self._look_from_below(things, *planes[0], pose)
        self._write_light(pose, texel, bool(planes))
        self._draw()

    def _write_grounds(self, env: int, pose: Pose) -> list[tuple[np.ndarray, np.ndarray]]:
        """Returns normal and point, relative to the picture's origin, of each ground."""
        rows, first, found = layout().rows(self.ground), 0, []
        for g, (ground, (normal, pos)) in enumerate(zip(self.stage.grounds, self.stage.ground_poses(env), strict=True)):
            pos = pos - pose.pos
            numbers = np.zeros((3, 4))
            numbers[0] = *normal, normal @ pos
            numbers[1] = *pos, ground.spacing
            if ground.heights is not None:
                numbers[0, 3] = ground.heights.max()
                numbers[2] = 1.0, *ground.heights.shape, first
                first += ground.heights.size
                pos = pos + np.array([0.0, 0.0, float(ground.heights.mean())])
            rows[3 * g : 3 * g + 3] = torch.from_numpy(numbers).to(self.ground)
            found.append((normal, pos))
        return found

    def _look_from_sun(self, things: Things, pose: Pose) -> float:
        """Returns the edge of a pixel of the sun's picture, m."""
        frame, half = _parallel_frame(-SUN, things.bounded, 1.02, self.sun.width, pose.pos)
        self.sun.look(frame, (half, half), True, things)
        return 2 * half / self.sun.width

    def _look_from_below(self, things: Things, normal: np.ndarray, point: np.ndarray, pose: Pose) -> None:
        frame, half = _parallel_frame(normal, things.bounded, 1.3, LOW_PIXELS, pose.pos)
        gap = normal @ (point - frame[0])
        self.low.look(frame, (half, half), True, things)
        self.low_gap[0], self.low_gap[1] = gap, 2 * half / LOW_PIXELS
        self._openness()

    def _write_light(self, pose: Pose, texel: float, ground_seen: bool) -> None:
        edge = round_length(0.16 * pose.distance)
        corner = -np.mod(pose.pos, 2 * edge)
        haze = HAZE * pose.distance
        numbers = [*SUN, *SUN_LIGHT, *SKY, *HORIZON, *corner, 1 / edge, 1 / haze, 3.0 * texel, float(ground_seen)]
        self.light[: len(numbers)] = torch.tensor(numbers, dtype=torch.float64).to(self.light)

    def _draw(self) -> None:
        main, sun, low = self.main, self.sun, self.low
        if len(self._bound_to) == 0 or any(a is not b for a, b in zip(main.inputs, self._bound_to, strict=True)):
            self._bound_to = list(main.inputs)
            seen = [main.hits, main.depth, main.normals, self.edges]
            flat = [main.hits.view(-1), main.normals.view(-1)]
            beside = [sun.busy, sun.view, sun.sizes, sun.depth.view(-1), low.view, low.sizes, self.low_visible]
            paint = [self.tint, self.owner_tint, self.ground_tint, self.light, self.colors]
            self._find_edges = bind(edges.edge_kernel(), *main.inputs, *seen, lanes=True)
            self._color = bind(draw.draw_kernel(), main.view, main.sizes, *seen, *flat, *beside, *paint, lanes=True)
        self._find_edges()
        self._color()

    # What it shows.

    def rgb(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        return self._shown(self.colors.view(-1, 3)).copy()

    def depth(self, pose: Pose, fov: float) -> np.ndarray:
        """(H, W) float32, m along the optical axis; inf where there is nothing."""
        height, width = self.main.height, self.main.width
        half = math.tan(math.radians(fov) / 2)
        u = ((np.arange(width) + 0.5) * 2 / width - 1) * half * width / height
        v = (1 - (np.arange(height) + 0.5) * 2 / height) * half
        length = self._shown(self.main.depth.view(-1)).astype(np.float64)
        along = length / np.sqrt(1 + u[None] ** 2 + v[:, None] ** 2)
        return np.where(length < shapes.FAR, along, np.inf).astype(np.float32)

    def segmentation(self) -> np.ndarray:
        """(H, W) int32: index of the entity plus one; 0 where there is none."""
        stage = self.stage
        owners = np.array([*self._owners, *(body.idx for body in stage.particles for _ in range(body.n_particles)), -1])
        smooth = np.array([*(body.idx for body in stage.particles), -1])
        grounds = np.array([*(ground.owner for ground in stage.grounds), -1])
        hits = self._shown(self.main.hits.view(-1))
        found = np.where(hits >= trace.RECON, smooth[np.clip(hits - trace.RECON, 0, len(smooth) - 1)], -1)
        thing = (hits >= 0) & (hits < trace.RECON)
        found = np.where(thing, owners[np.clip(hits, 0, len(owners) - 1)], found)
        found = np.where(hits < trace.NOTHING, grounds[np.clip(trace.NOTHING - 1 - hits, 0, len(grounds) - 1)], found)
        return (found + 1).astype(np.int32)

    def normal(self) -> np.ndarray:
        """(H, W, 3) float32, unit, world frame; zero where there is nothing."""
        main, lay = self.main, layout()
        packets = main.normals.view(-1)[: 3 * main.pitch * main.rows].view(main.packets, 3, lay.width)
        return self._shown(packets.transpose(1, 2).reshape(-1, 3)).astype(np.float32)

    def _shown(self, pixels: torch.Tensor) -> np.ndarray:
        """(H, W, …): what is shown of numbers for all pixels, those beyond the edge and further passes too."""
        main = self.main
        whole = pixels[: main.pitch * main.rows].cpu().numpy()
        return whole.reshape(main.rows, main.pitch, *whole.shape[1:])[: main.height, : main.width]


_NOWHERE = torch.tensor([0.0, 0.0, 1e6, 0.0], dtype=torch.float64)


def _linear(tints) -> torch.Tensor:
    return torch.tensor(tints, dtype=torch.float64) ** 2


def _matrix(quat: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (k, 3, 3) of quaternions (k, 4)."""
    w, x, y, z = (quat / quat.norm(dim=1, keepdim=True)).unbind(1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, 1).reshape(-1, 3, 3)


def _parallel_frame(
    forward: np.ndarray, ball: np.ndarray, margin: float, pixels: int, seen_from: np.ndarray
) -> tuple[list[np.ndarray], float]:
    """Origin, right, up and forward of a parallel view that holds all balls, and half its edge, m.

    The edge takes few values and the origin lies on a grid of pixels that is fixed in the world (`seen_from` is where
    the picture's origin is there), so that shadows do not swim with the camera.
    """
    right = cross(forward, (0.0, 1.0, 0.0) if abs(forward[1]) < 0.9 else (1.0, 0.0, 0.0))
    right /= np.linalg.norm(right)
    up = cross(right, forward)
    basis = np.stack([right, up, forward])
    if not len(ball):
        return [np.zeros(3), right, up, forward], 1.0
    centre, radius = basis @ ball[:, :3].T, ball[:, 3]
    low, high = (centre - radius).min(1), (centre + radius).max(1)
    half = margin * float((high - low)[:2].max()) / 2
    half = 2.0 ** (math.ceil(4 * math.log2(max(half, 1e-6))) / 4)
    texel = 2 * half / pixels
    shift = basis[:2] @ seen_from
    middle = np.round(((low + high)[:2] / 2 + shift) / texel) * texel - shift
    origin = middle[0] * right + middle[1] * up + (low[2] - 0.1 * half) * forward
    return [origin, right, up, forward], half


def cross(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> np.ndarray:
    """a x b, of three numbers each; numpy's own takes more time than some pictures' kernels."""
    (x, y, z), (u, v, w) = a, b
    return np.array([y * w - z * v, z * u - x * w, x * v - y * u])


def round_length(length: float) -> float:
    """The largest of 1, 2, 5 times a power of ten below `length`."""
    power = 10.0 ** math.floor(math.log10(length))
    return max(digit * power for digit in (1.0, 2.0, 5.0) if digit * power <= length)
