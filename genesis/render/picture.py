"""Making pictures: the arrays of one camera's views and the kernels bound to them."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from genesis.arrays import LIVES, allocate
from genesis.compiler import layout
from genesis.launch import Launch
from genesis.render.kernels import arrays as at
from genesis.render.kernels import depth, draw, edges, shapes, smooth, tiles, trace
from genesis.render.packing import write_meshes
from genesis.render.stage import Shapes, Stage

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

    def __init__(
        self, width: int, height: int, n_things: int, shown: dict[str, torch.Tensor], meshes: bool, passes: int = 0
    ) -> None:
        """Args: shown: arrays of SHOWN. meshes: whether there are any. passes: pictures to keep with hits and normals;
        0: one of depths alone."""
        self.width, self.height, self.full = width, height, passes > 0
        self.tiles_x, self.tiles_y = -(-width // at.TILE), -(-height // at.TILE)
        self.pitch, self.rows = at.TILE * self.tiles_x, at.TILE * self.tiles_y
        self.packets = self.pitch * self.rows // layout().width
        n_tiles = self.tiles_x * self.tiles_y
        self._sizes = {"things": n_things, "tiles": n_tiles, "list_ends": n_tiles + 1, "capacity": 16 * n_things + 4096}
        self._sizes |= {"packets": self.packets, "passes": max(1, passes)}
        table = at.TRACE if self.full else at.TRACE_DEPTH
        mine = tuple(dict.fromkeys((*at.LISTING, *table)))
        self.arrays = {**shown, **allocate(mine, self._sizes, at.EVERY, "scratch")}
        self._list = at.bound(tiles.list_kernel(), at.LISTING, self.arrays)
        self._trace = at.bound(depth.trace_kernel(self.full, meshes), table, self.arrays, lanes=True)
        self.launches = [self._list, self._trace]
        """Those that go through the lists."""

    def flat(self, name: str) -> torch.Tensor:
        """An array as plain numbers, for another argument of a kernel."""
        return self.arrays[name].view(-1)

    def _make_room(self, capacity: int) -> None:
        """Let the lists be so long in all."""
        self._sizes["capacity"] = capacity
        self.arrays |= allocate(at.ENTRIES, self._sizes, at.EVERY)
        for launch in self.launches:
            launch.point("entries", self.arrays["entries"])

    def look(self, frame: list[np.ndarray], half: tuple[float, float], parallel: bool, things: "Things") -> None:
        """Trace the things from `frame`: origin, right, up, forward, relative to the picture's origin."""
        arrays, origin, forward = self.arrays, torch.from_numpy(frame[0]), torch.from_numpy(frame[3])
        offset = things.ball[:, :3] - origin
        near = (offset @ forward if parallel else offset.norm(dim=1)) - things.ball[:, at.RADIUS]
        near, order = torch.sort(near, stable=True)
        n = len(order)
        layout().rows(arrays["ball"])[:n] = things.rows[order.to(things.rows.device)]
        arrays["near"][:n] = (near - 1e-5 * near.abs()).to(arrays["near"])
        arrays["which"][:n] = order.to(arrays["which"])
        origin_right_up_forward = dict(zip((at.ORIGIN, at.RIGHT, at.UP, at.FORWARD), frame, strict=True))
        numbers = {at.PARALLEL: float(parallel), at.HALF_WIDTH: half[0], at.HALF_HEIGHT: half[1]}
        numbers[at.PER_METRE] = 0.5 * self.width / half[0]
        arrays["view"].copy_(_packed(at.N_VIEW, origin_right_up_forward | numbers))
        sizes = {at.N_THINGS: n, at.N_SOLIDS: things.n_solids, at.N_GROUNDS: things.n_grounds if self.full else 0}
        sizes |= {at.WIDTH: self.width, at.HEIGHT: self.height, at.TILES_X: self.tiles_x, at.TILES_Y: self.tiles_y}
        sizes[at.RECON_FROM] = things.recon_from
        while True:
            arrays["sizes"].copy_(_packed(at.N_SIZES, {**sizes, at.CAPACITY: self._sizes["capacity"]}))
            self._list()
            needed = int(arrays["sizes"][at.NEEDED])
            if needed <= self._sizes["capacity"]:
                break
            self._make_room(2 * needed)
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
        self.stage, self.room = stage, n_solids
        n_things = max(1, n_solids + stage.n_particles)
        heights = [g.record.heights.ravel() for g in stage.grounds if g.record.heights is not None]
        sizes = {
            "solids": max(1, n_solids),
            "things": n_things,
            "grounds": max(1, len(stage.grounds)),
            "bodies": len(stage.particles),
        }
        sizes |= {"faces": sum(map(len, stage.shapes.faces)), "heights": sum(map(len, heights))}
        meshes = stage.shapes.meshes
        sizes |= {"nodes": sum(len(mesh.tree.lower) for mesh in meshes)}
        sizes |= {"triangles": sum(len(mesh.faces) for mesh in meshes)}
        shown = allocate(at.SHOWN, sizes, *LIVES)
        self.main = View(width, height, n_things, shown, bool(meshes), passes=1 + edges.N_EXTRA)
        edge = min(max(SUN_PIXELS[0], 4 * max(width, height) // 5), SUN_PIXELS[1])
        self.sun = View(edge, edge, n_things, shown, bool(meshes))
        self.low = View(LOW_PIXELS, LOW_PIXELS, n_things, shown, bool(meshes))
        sizes |= {"packets": self.main.packets, "pixels": self.main.pitch * self.main.rows, "low_pixels": LOW_PIXELS**2}
        self.arrays = {**shown, **allocate(at.PICTURE, sizes, *LIVES)}
        below = {"flat_depth": self.low.flat("depth"), "sizes": self.low.arrays["sizes"]}
        self._openness = at.bound(depth.openness_kernel(), at.OPENNESS, {**self.arrays, **below})
        self._smooth = self._bind_smooth() if stage.smooth else []
        mine = {**self.arrays, **self.main.arrays}
        self._find_edges = at.bound(edges.edge_kernel(bool(meshes)), at.FIND_EDGES, mine, lanes=True)
        self.main.launches.append(self._find_edges)
        mine |= {f"flat_{name}": self.main.flat(name) for name in ("hits", "normals")}
        mine |= {f"sun_{name}": self.sun.flat(name) for name in ("busy", "view", "sizes", "depth")}
        mine |= {f"low_{name}": self.low.flat(name) for name in ("view", "sizes")}
        self._color = at.bound(draw.draw_kernel(), at.DRAW, mine, lanes=True)
        self._filled: tuple[list, list, list] | None = None
        """Of the further solids that the arrays hold."""
        self._fill(heights)

    def _bind_smooth(self) -> list[Launch]:
        lay, view = layout(), self.main
        normals = view.flat("normals")
        spare = torch.empty_like(normals[: 3 * view.pitch * view.rows])
        mine = {"flat_hits": view.flat("hits"), "flat_depth": view.flat("depth")}
        mine |= {"radius": self.arrays["radius"], "view": view.arrays["view"], "sizes": view.arrays["sizes"]}
        along = {"source": normals, "target": spare, "across": lay.new_int(1) + 1}
        down = {"source": spare, "target": normals, "across": lay.new_int(1)}
        passes = [at.bound(smooth.smooth_kernel(), at.SMOOTH, {**mine, **ends}) for ends in (along, down)]
        return [*passes, *passes]

    def _fill(self, heights: list[np.ndarray]) -> None:
        """What never changes: sizes, faces, heights, owners and colours."""
        lay, stage, arrays = layout(), self.stage, self.arrays
        self._write_solids(stage.shapes, 0)
        if faces := [faces for faces in stage.shapes.faces if len(faces)]:
            lay.rows(arrays["faces"])[:] = torch.as_tensor(np.concatenate(faces)).to(arrays["faces"])
        if stage.shapes.meshes:
            write_meshes(stage.shapes.meshes, arrays)
        if heights:
            arrays["heights"][:] = torch.as_tensor(np.concatenate(heights)).to(arrays["heights"])
        for g, ground in enumerate(stage.grounds):
            lay.rows(arrays["ground_tint"])[2 * g : 2 * g + 2, :3] = _linear(ground.record.tints).to(
                arrays["ground_tint"]
            )
        owner_tint = lay.rows(arrays["owner_tint"])
        for k, body in enumerate(stage.particles):
            owner_tint[k, :3] = _linear([body.record.tint])[0].to(owner_tint)
            owner_tint[k, at.RADIUS] = arrays["radius"][k] = stage.radii[k]

    def _write_solids(self, solids: Shapes, begin: int) -> None:
        lay, n, arrays = layout(), len(solids.kind), self.arrays
        if n:
            rows, end = lay.rows(arrays["solid"]).unflatten(0, (-1, at.SOLID_ROWS)), begin + n
            rows[begin:end, at.SIZE, :3] = torch.tensor(solids.size, dtype=torch.float64).to(rows)
            about = arrays["about"].view(-1, at.N_ABOUT)
            about[begin:end, at.KIND] = torch.tensor(solids.kind, dtype=torch.int32)
            span = torch.tensor(solids.span, dtype=torch.int32)
            about[begin:end, at.FIRST_FACE], about[begin:end, at.N_FACES] = span[:, 0], span[:, 1]
            lay.rows(arrays["tint"])[begin:end, :3] = _linear(solids.tint).to(rows)

    def _write_particles(self, begin: int) -> None:
        """Owners and colours of the particles, which come after the solids."""
        lay, first = layout(), begin
        for k, body in enumerate(self.stage.particles):
            end = first + body.record.n
            self.arrays["about"].view(-1, at.N_ABOUT)[first:end, at.OWNER] = k
            lay.rows(self.arrays["tint"])[first:end] = lay.rows(self.arrays["owner_tint"])[k]
            first = end

    def make(
        self,
        env: int,
        pose: Pose,
        fov: float,
        places: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        extra: tuple[Shapes, torch.Tensor, torch.Tensor],
    ) -> None:
        """Draw one environment.

        Args:
            fov: Vertical opening angle, degrees.
            places: What `Stage.poses` returned.
            extra: Further solids with their centres (k, 3) and quaternions (k, 4).
        """
        lay, stage, origin = layout(), self.stage, torch.from_numpy(pose.pos)
        solids, n_own = extra[0], len(stage.shapes.kind)
        if self._filled != (solids.kind, solids.tint, solids.size):
            self._filled = (solids.kind, solids.tint, solids.size)
            self._write_solids(solids, n_own)
            self._write_particles(n_own + len(solids.kind))
        pos = torch.cat([places[0][env], extra[1]]) - origin
        n_solids = len(pos)
        rows = lay.rows(self.arrays["solid"]).unflatten(0, (-1, at.SOLID_ROWS))
        turn = torch.cat([places[1][env], extra[2]])
        into = _matrix(turn).transpose(1, 2)
        for k, row in enumerate((at.AXIS_X, at.AXIS_Y, at.AXIS_Z)):
            rows[:n_solids, row] = torch.cat([into[:, k], pos[:, k : k + 1]], 1).to(rows)
        reach = torch.tensor([*stage.shapes.reach, *solids.reach], dtype=torch.float64)
        sizes = [
            torch.full((body.record.n,), r, dtype=torch.float64)
            for body, r in zip(stage.particles, stage.radii, strict=True)
        ]
        centre = torch.cat([pos, places[2][env] - origin])
        ball = torch.cat([centre, torch.cat([reach, *sizes])[:, None]], 1)
        bounded = ball
        if not torch.isfinite(ball.sum()):
            somewhere = torch.isfinite(ball).all(1)
            bounded, ball = ball[somewhere], torch.where(somewhere[:, None], ball, _NOWHERE)
        first_smooth = n_solids + stage.n_particles - stage.n_smooth
        things = Things(ball, ball.to(rows), bounded.numpy(), n_solids, len(stage.grounds), first_smooth)
        planes = self._write_grounds(env, pose)
        self._n_solids, self._owners = n_solids, [*stage.shapes.owner, *solids.owner]

        half = math.tan(math.radians(fov) / 2)
        eye = [np.zeros(3), pose.right, pose.up, pose.forward]
        self.main.look(eye, (half * self.main.width / self.main.height, half), False, things)
        for launch in self._smooth:
            launch()
        texel = self._look_from_sun(things, pose)
        if planes:
            self._look_from_below(things, *planes[0], pose)
        self._write_light(pose, texel, bool(planes))
        self._find_edges()
        self._color()

    def _write_grounds(self, env: int, pose: Pose) -> list[tuple[np.ndarray, np.ndarray]]:
        """Returns normal and point, relative to the picture's origin, of each ground."""
        rows, first, found = layout().rows(self.arrays["ground"]).unflatten(0, (-1, at.GROUND_ROWS)), 0, []
        for g, (seen, (normal, pos)) in enumerate(zip(self.stage.grounds, self.stage.ground_poses(env), strict=True)):
            ground, pos = seen.record, pos - pose.pos
            numbers = np.zeros((at.GROUND_ROWS, 4))
            numbers[at.PLANE, :3], numbers[at.PLANE, at.OFFSET] = normal, normal @ pos
            numbers[at.CORNER, :3], numbers[at.CORNER, at.SPACING] = pos, ground.spacing
            if ground.heights is not None:
                numbers[at.PLANE, at.OFFSET], numbers[at.FIELD, at.IS_FIELD] = ground.heights.max(), 1.0
                numbers[at.FIELD, at.SAMPLES_X], numbers[at.FIELD, at.SAMPLES_Y] = ground.heights.shape
                numbers[at.FIELD, at.FIRST_SAMPLE] = first
                first += ground.heights.size
                pos = pos + np.array([0.0, 0.0, float(ground.heights.mean())])
            rows[g] = torch.from_numpy(numbers).to(rows)
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
        self.arrays["gap"].copy_(_packed(at.N_GAP, {at.BELOW: gap, at.PIXEL: 2 * half / LOW_PIXELS}))
        self._openness()

    def _write_light(self, pose: Pose, texel: float, ground_seen: bool) -> None:
        edge = round_length(0.16 * pose.distance)
        corner = -np.mod(pose.pos, 2 * edge)
        numbers = {at.SUN: SUN, at.SUN_COLOR: SUN_LIGHT, at.SKY: SKY, at.HORIZON: HORIZON, at.CHECKER_ORIGIN: corner}
        numbers |= {at.CHECKER: 1 / edge, at.HAZE: 1 / (HAZE * pose.distance), at.BIAS: 3.0 * texel}
        self.arrays["light"].copy_(_packed(at.N_LIGHT, {**numbers, at.GROUND_SEEN: float(ground_seen)}))

    # What it shows.

    def rgb(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        return self._shown(self.arrays["picture"].view(-1, 3)).copy()

    def depth(self, pose: Pose, fov: float) -> np.ndarray:
        """(H, W) float32, m along the optical axis; inf where there is nothing."""
        height, width = self.main.height, self.main.width
        half = math.tan(math.radians(fov) / 2)
        u = ((np.arange(width) + 0.5) * 2 / width - 1) * half * width / height
        v = (1 - (np.arange(height) + 0.5) * 2 / height) * half
        length = self._shown(self.main.flat("depth")).astype(np.float64)
        along = length / np.sqrt(1 + u[None] ** 2 + v[:, None] ** 2)
        return np.where(length < shapes.FAR, along, np.inf).astype(np.float32)

    def segmentation(self) -> np.ndarray:
        """(H, W) int32: index of the entity plus one; 0 where there is none."""
        stage = self.stage
        owners = np.array([*self._owners, *(body.owner for body in stage.particles for _ in range(body.record.n)), -1])
        smooth = np.array([*(body.owner for body in stage.particles), -1])
        grounds = np.array([*(ground.owner for ground in stage.grounds), -1])
        hits = self._shown(self.main.flat("hits"))
        found = np.where(hits >= trace.RECON, smooth[np.clip(hits - trace.RECON, 0, len(smooth) - 1)], -1)
        thing = (hits >= 0) & (hits < trace.RECON)
        found = np.where(thing, owners[np.clip(hits, 0, len(owners) - 1)], found)
        found = np.where(hits < trace.NOTHING, grounds[np.clip(trace.NOTHING - 1 - hits, 0, len(grounds) - 1)], found)
        return (found + 1).astype(np.int32)

    def normal(self) -> np.ndarray:
        """(H, W, 3) float32, unit, world frame; zero where there is nothing."""
        main, lay = self.main, layout()
        packets = main.flat("normals")[: 3 * main.pitch * main.rows].view(main.packets, 3, lay.width)
        return self._shown(packets.transpose(1, 2).reshape(-1, 3)).astype(np.float32)

    def _shown(self, pixels: torch.Tensor) -> np.ndarray:
        """(H, W, …): what is shown of numbers for all pixels, those beyond the edge and further passes too."""
        main = self.main
        whole = pixels[: main.pitch * main.rows].cpu().numpy()
        return whole.reshape(main.rows, main.pitch, *whole.shape[1:])[: main.height, : main.width]


_NOWHERE = torch.tensor([0.0, 0.0, 1e6, 0.0], dtype=torch.float64)


def _packed(n: int, numbers: Mapping[int, float | Sequence[float] | np.ndarray]) -> torch.Tensor:
    """`n` numbers, given by the place of the first of each; zero where none is given."""
    packed = np.zeros(n)
    for place, value in numbers.items():
        packed[place : place + np.size(value)] = value
    return torch.from_numpy(packed)


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
