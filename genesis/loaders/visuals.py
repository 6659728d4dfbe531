"""What is seen of the links of a compiled model: shapes that touch nothing, and meshes as the triangles they are."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from genesis.loaders.links import GEOM_TYPES, Links, solid_geoms, three
from genesis.loaders.parts import Vector, Visual
from genesis.meshes.triangles import TriangleMesh

SHOWN = (0, 1, 2)
"""Groups of geoms that MuJoCo's own viewer shows unless it is told otherwise."""
GRAY = (0.5, 0.5, 0.5, 1.0)
"""Of a geom whose file gives it no colour."""

Look = tuple[str, Visual]
"""A body's name, and a shape in its frame."""


def read_visuals(model: Any, links: Links, looks: Sequence[Look] | None) -> tuple[Visual, ...]:
    """What is seen of each link that does not look as it touches.

    Geoms that touch nothing are seen, and those that touch where their group has such ones: then the file does not part
    what is seen from what touches. A link without any looks as it touches, of which meshes are read here.

    Args:
        looks: What is seen, of a file that says it apart from geoms; None: of one that does not.
    """
    meshes: dict[int, TriangleMesh] = {}
    solid = [index for index in solid_geoms(model) if _is_shown(model, index)]
    if looks is None:
        touching = set(links.touching)
        groups = {int(model.geom_group[index]) for index in solid if index not in touching}
        seen = [_visual(model, links, index, meshes) for index in solid if int(model.geom_group[index]) in groups]
    else:
        seen = list(_placed(model, links, looks))
    apart = {visual.link for visual in seen}
    with_meshes = {_link(model, links, i) for i in links.solids(model) if _kind(model, i) == "hull"} - apart
    seen += [_visual(model, links, i, meshes) for i in links.solids(model) if _link(model, links, i) in with_meshes]
    return tuple(seen)


def _placed(model: Any, links: Links, looks: Iterable[Look]) -> Iterable[Visual]:
    bodies = {model.body(body).name: body for body in range(model.nbody)}
    for name, visual in looks:
        if name in bodies:
            body = bodies[name]
            pos, quat = links.place(body, np.array(visual.pos), np.array(visual.quat))
            yield replace(visual, link=int(links.of_body[body]), pos=pos, quat=quat)


def _link(model: Any, links: Links, index: int) -> int:
    return int(links.of_body[model.geom_bodyid[index]])


def _kind(model: Any, index: int) -> str:
    return GEOM_TYPES[model.geom_type[index]]


def _is_shown(model: Any, index: int) -> bool:
    """Whether a geom's group is one that is seen, and itself not transparent."""
    return int(model.geom_group[index]) in SHOWN and _rgba(model, index)[3] > 0


def _visual(model: Any, links: Links, index: int, meshes: dict[int, TriangleMesh]) -> Visual:
    kind = _kind(model, index)
    pos, quat = links.place(int(model.geom_bodyid[index]), model.geom_pos[index], model.geom_quat[index])
    n_sizes = {"sphere": 1, "capsule": 2, "cylinder": 2, "hull": 0}.get(kind, 3)
    size = three(np.where(np.arange(3) < n_sizes, model.geom_size[index], 0.0))
    name, rgba = model.geom(index).name, _rgba(model, index)
    tint = None if np.allclose(rgba, GRAY) else three(np.clip(rgba[:3], 0.0, 1.0))
    if kind != "hull":
        return Visual(name, kind, _link(model, links, index), pos, quat, size, tint)
    place = int(model.geom_dataid[index])
    if place not in meshes:
        meshes[place] = _mesh(model, place)
    return Visual(name, "mesh", _link(model, links, index), pos, quat, size, tint, meshes[place])


def _mesh(model: Any, place: int) -> TriangleMesh:
    """MuJoCo's frame of a mesh is that of its inertia, whose origin lies within."""
    vertex, face = int(model.mesh_vertadr[place]), int(model.mesh_faceadr[place])
    faces = np.array(model.mesh_face[face : face + int(model.mesh_facenum[place])], np.int64)
    return TriangleMesh(np.array(model.mesh_vert[vertex : vertex + int(model.mesh_vertnum[place])]), faces)


def _rgba(model: Any, index: int) -> np.ndarray:
    """(4,) of a geom: its own, or its material's, times the mean of the material's texture."""
    rgba, material = np.array(model.geom_rgba[index], np.float64), int(model.geom_matid[index])
    if material < 0:
        return rgba
    if np.allclose(rgba, GRAY):
        rgba = np.array(model.mat_rgba[material], np.float64)
    textures = np.ravel(model.mat_texid[material])
    textures = textures[textures >= 0]
    if len(textures):
        rgba[:3] *= _mean(model, int(textures[0]))
    return rgba


def _mean(model: Any, texture: int) -> Vector:
    """Colour of a texture."""
    channels = int(model.tex_nchannel[texture])
    count, begin = int(model.tex_height[texture]) * int(model.tex_width[texture]) * channels, model.tex_adr[texture]
    pixels = np.asarray(model.tex_data[int(begin) : int(begin) + count]).reshape(-1, channels)
    means = pixels[:, :3].mean(0) / 255 if channels >= 3 else np.repeat(pixels[:, 0].mean() / 255, 3)
    return three(means)
