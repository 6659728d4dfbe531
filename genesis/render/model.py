"""A scene at one moment as a tree of named nodes with triangles: what other programs take of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from genesis.math import quaternion
from genesis.render import meshes
from genesis.render.markers import Markers
from genesis.render.picture import Pose, round_length
from genesis.render.recon import surface
from genesis.render.stage import Seen, Shapes, Stage
from genesis.visible import KINDS, Ground, Points, Rgb, Solids

SEGMENTS = 48
"""Corners of a circle."""
BALL_SEGMENTS = 10
"""The same of particles."""
REACH = 3.0
"""Half the edge of a floor, at least, in distances of the camera from what it looks at."""
MAX_TILES = 128
"""Squares along a side of a floor."""


@dataclass(eq=False)
class Node:
    """A place, and what is there. Quaternions w, x, y, z; metres; in the frame of the node above, z up."""

    name: str
    pos: np.ndarray = field(default_factory=lambda: np.zeros(3))
    quat: np.ndarray = field(default_factory=lambda: np.array([1.0, 0.0, 0.0, 0.0]))
    mesh: meshes.Mesh | None = None
    tint: Rgb = (1.0, 1.0, 1.0)
    """As displays take it."""
    children: list["Node"] = field(default_factory=list)
    ground: bool = False
    """Whether it is one; grounds are the last children of the tree."""

    def leaves(self) -> Iterator[tuple[tuple["Node", ...], "Node"]]:
        """Every node with triangles, and the nodes above it from the top down."""
        if self.mesh is not None:
            yield (), self
        for child in self.children:
            for above, leaf in child.leaves():
                yield (self, *above), leaf


def of_scene(stage: Stage, markers: Markers, env: int, pose: Pose) -> Node:
    """The visible things of an environment. What is not finite is left out.

    Args:
        stage: What can be seen.
        markers: Of the scene.
        env: Index of the environment.
        pose: Of the camera: floors are made around what it looks at, with squares as large as in its pictures.

    Raises:
        GenesisImportError: A body is to be a smooth surface, and the extra `pyvista` is not installed.
    """
    points = stage.poses()[2][env].numpy()
    children, begin, shapes = [], 0, _Nodes()
    for seen, (pos, quat) in zip(stage.solids, stage.frames(), strict=True):
        children.append(_solids(seen, pos[env].numpy(), quat[env].numpy(), stage.shapes, begin, shapes))
        begin += len(seen.record.shapes)
    begin = 0
    for body, radius in zip(stage.particles, stage.radii, strict=True):
        children.append(_body(body, points[begin : begin + body.record.n], radius))
        begin += body.record.n
    children.append(_marks(markers, env, shapes))
    root = Node("world", children=[child for child in map(_finite, children) if child is not None])
    reach = max((_reach(root, pose), REACH * pose.distance))
    grounds = zip(stage.grounds, stage.ground_poses(env), strict=True)
    root.children += [_ground(i, ground.record, *place, pose, reach) for i, (ground, place) in enumerate(grounds)]
    return root


class _Nodes:
    """Nodes of solids; equal shapes share their triangles."""

    def __init__(self) -> None:
        self._made: dict[tuple, meshes.Mesh] = {}

    def of(self, solids: Shapes, i: int, name: str) -> Node:
        kind = KINDS[solids.kind[i]]
        key = (kind, meshes.apart(kind, solids.size[i], i), solids.corners[i].tobytes(), id(solids.mesh[i]))
        if key not in self._made:
            self._made[key] = solids.surface(i, SEGMENTS)
        return Node(name, mesh=self._made[key], tint=solids.tint[i])


def _solids(seen: Seen[Solids], pos: np.ndarray, quat: np.ndarray, packed: Shapes, begin: int, shapes: _Nodes) -> Node:
    """A node for the entity, below it one for each frame, below these one for each shape, from the packed one `begin`
    on; of an entity that is its only frame just the shape."""
    solids = seen.record
    if not solids.frames:
        (shape,) = solids.shapes
        node = shapes.of(packed, begin, seen.name)
        node.pos, node.quat = pos[0] + _turned(quat[0], shape.pos), quat[0]
        return node
    frames = [Node(name, pos[i], quat[i]) for i, name in enumerate(solids.frames)]
    for i, shape in enumerate(solids.shapes):
        node = shapes.of(packed, begin + i, shape.name or f"{shape.kind}_{i}")
        node.pos, node.quat = np.array(shape.pos), np.array(shape.quat)
        frames[shape.frame].children.append(node)
    return Node(seen.name, children=frames)


def _turned(quat: np.ndarray, vector: Sequence[float]) -> np.ndarray:
    return quaternion.rotate(torch.as_tensor(quat), torch.tensor(vector, dtype=torch.float64)).numpy()


def _body(body: Seen[Points], points: np.ndarray, radius: float) -> Node:
    """A body of particles as one mesh, about the mean of its particles."""
    points = points[np.isfinite(points).all(1)]
    node = Node(body.name, tint=body.record.tint)
    if len(points):
        node.pos = points.mean(0)
        local = points - node.pos
        node.mesh = surface(local, body.record.volume) if body.record.smooth else _balls(local, radius)
    return node


def _balls(points: np.ndarray, radius: float) -> meshes.Mesh:
    ball = meshes.of_shape("sphere", (radius, 0.0, 0.0), np.zeros((0, 3)), BALL_SEGMENTS)
    vertices = (points[:, None] + ball.vertices).reshape(-1, 3)
    first = len(ball.vertices) * np.arange(len(points))[:, None, None]
    return meshes.Mesh(vertices, (first + ball.faces).reshape(-1, 3), False)


def _marks(markers: Markers, env: int, shapes: _Nodes) -> Node:
    solids, pos, quat = markers.solids(env)
    node = Node("marks")
    for i in range(len(solids.kind)):
        mark = shapes.of(solids, i, f"mark_{i}")
        mark.pos, mark.quat = pos[i].numpy(), quat[i].numpy()
        node.children.append(mark)
    return node


def _finite(node: Node) -> Node | None:
    """The node without what is nowhere, None if nothing to see is left."""
    if not (np.isfinite(node.pos).all() and np.isfinite(node.quat).all()):
        return None
    node.children = [child for child in map(_finite, node.children) if child is not None]
    return node if node.children or node.mesh is not None else None


def _reach(root: Node, pose: Pose) -> float:
    """How far from what the camera looks at something is, along x or y, m."""
    lookat, far = pose.pos + pose.distance * pose.forward, 0.0
    for above, leaf in root.leaves():
        assert leaf.mesh is not None
        vertices = placed(above, leaf, leaf.mesh.vertices)
        far = max(far, float(np.abs(vertices - lookat)[:, :2].max(initial=0.0)))
    return far


def _ground(i: int, ground: Ground, normal: np.ndarray, pos: np.ndarray, view: Pose, reach: float) -> Node:
    """A height field; or of a plane as many squares as reach so far from what the camera looks at."""
    name = f"ground_{i}"
    if ground.heights is not None:
        return Node(name, pos, mesh=meshes.terrain(ground.heights, ground.spacing), tint=ground.tints[0], ground=True)
    edge = round_length(0.16 * view.distance)
    quat = torch.tensor(quaternion.from_z_axis(tuple(normal.tolist())), dtype=torch.float64)
    axes = quaternion.rotate(quat[None], torch.eye(3, dtype=torch.float64)[:2]).numpy()
    middle = view.pos + view.distance * view.forward
    # The pattern begins at the point of the plane that is nearest to the origin, as in pictures of level floors.
    steps = np.round(axes @ middle / (2 * edge))
    begin = (normal @ pos) * normal + 2 * edge * steps @ axes
    tiles = min(2 * int(np.ceil(reach / edge)) + 2, MAX_TILES)
    squares = [
        Node(f"squares_{int(odd)}", mesh=meshes.checker(edge, tiles, odd), tint=ground.tints[1 - int(odd)])
        for odd in (False, True)
    ]
    return Node(name, begin, quat.numpy(), children=squares, ground=True)


def placed(above: Sequence[Node], leaf: Node, vectors: np.ndarray, turn_only: bool = False) -> np.ndarray:
    """Vectors (n, 3) of a leaf's own frame in that of the tree: places, or directions with `turn_only`."""
    for node in (leaf, *reversed(above)):
        quat = quaternion.normalise(torch.as_tensor(node.quat, dtype=torch.float64))
        vectors = quaternion.rotate(quat, torch.as_tensor(vectors, dtype=torch.float64)).numpy()
        if not turn_only:
            vectors = vectors + node.pos
    return vectors
