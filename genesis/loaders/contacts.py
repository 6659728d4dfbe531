"""What of MuJoCo's model can touch: geoms of links, grounds, and pairs that never meet."""

from typing import Any

import numpy as np

from genesis.errors import GenesisValueError
from genesis.loaders import rotations
from genesis.loaders.lazy_import import mujoco
from genesis.loaders.links import GEOM_TYPES, Links, solid_geoms, three
from genesis.loaders.parts import ContactNumbers, Geom, GroundGeom, Vector


def read_geoms(model: Any, links: Links, source: str) -> tuple[Geom, ...]:
    """The geoms of links, of all that touch."""
    return tuple(_geom(model, links, index, source) for index in links.solids(model))


def read_grounds(model: Any, links: Links, source: str) -> tuple[GroundGeom, ...]:
    """Planes and height fields, of all that touch."""
    return tuple(_ground(model, links, index, source) for index in links.grounds(model))


def _geom(model: Any, links: Links, index: int, source: str) -> Geom:
    kind = GEOM_TYPES[model.geom_type[index]]
    body = int(model.geom_bodyid[index])
    pos, quat = links.place(body, model.geom_pos[index], model.geom_quat[index])
    n_sizes = {"sphere": 1, "capsule": 2, "cylinder": 2, "hull": 0}.get(kind, 3)
    size = np.where(np.arange(3) < n_sizes, model.geom_size[index], 0.0)
    return Geom(
        name=model.geom(index).name,
        kind=kind,
        link=int(links.of_body[body]),
        pos=pos,
        quat=quat,
        size=three(size),
        friction=float(model.geom_friction[index, 0]),
        group=int(model.geom_contype[index]),
        mask=int(model.geom_conaffinity[index]),
        contact=_contact(model, index),
        **(_hull(model, index, source) if kind == "hull" else {}),
    )


def _contact(model: Any, index: int, base: float = 0.0) -> ContactNumbers:
    _, torsional, rolling = model.geom_friction[index].tolist()
    return ContactNumbers(
        condim=int(model.geom_condim[index]),
        torsional=torsional,
        rolling=rolling,
        margin=float(model.geom_margin[index]),
        gap=float(model.geom_gap[index]),
        solref=tuple(model.geom_solref[index].tolist()),
        solimp=tuple(model.geom_solimp[index].tolist()),
        solmix=float(model.geom_solmix[index]),
        priority=int(model.geom_priority[index]),
        base=base,
    )


def _hull(model: Any, index: int, source: str) -> dict[str, Any]:
    """`vertices` and `faces` of the convex hull of a mesh."""
    mesh = model.geom_dataid[index]
    graph = int(model.mesh_graphadr[mesh])
    if graph < 0:
        raise GenesisValueError(
            f"{source} must have meshes with a convex hull, got none for mesh {model.mesh(mesh).name!r}. "
            "Give the mesh at least four points that are not in one plane."
        )
    # The graph begins with the numbers of vertices and faces; then come the edge offsets and the vertices' indices.
    n_corners = int(model.mesh_graph[graph])
    corners = model.mesh_graph[graph + 2 + n_corners : graph + 2 + 2 * n_corners]
    begin = int(model.mesh_vertadr[mesh])
    corners = np.sort(corners)
    first, count = int(model.mesh_polyadr[mesh]), int(model.mesh_polynum[mesh])
    lengths = model.mesh_polyvertnum[first : first + count]
    start = int(model.mesh_polyvertadr[first])
    of_faces = np.searchsorted(corners, model.mesh_polyvert[start : start + int(lengths.sum())])
    return {
        "vertices": np.array(model.mesh_vert[begin + corners], dtype=np.float64),
        "faces": np.stack([np.repeat(np.arange(count), lengths), of_faces], axis=1),
    }


def _ground(model: Any, links: Links, index: int, source: str) -> GroundGeom:
    kind = GEOM_TYPES[model.geom_type[index]]
    body = int(model.geom_bodyid[index])
    pose = links.place(body, model.geom_pos[index], model.geom_quat[index])
    at, along = np.array(pose[0]), np.array(pose[1])
    link = int(links.of_body[body])
    while link >= 0:
        at, along = rotations.compose(links.rest[link], (at, along))
        link = links.parent[link]
    normal = rotations.matrix(along)[:, 2]
    friction = float(model.geom_friction[index, 0])
    group, mask = int(model.geom_contype[index]), int(model.geom_conaffinity[index])
    name = model.geom(index).name
    if kind == "plane":
        return GroundGeom(
            name, "plane", three(at), three(normal), friction, group, mask, contact=_contact(model, index)
        )
    field = model.geom_dataid[index]
    rows, columns = int(model.hfield_nrow[field]), int(model.hfield_ncol[field])
    half_x, half_y, top, base = model.hfield_size[field]
    spacing = np.array([2 * half_x / (columns - 1), 2 * half_y / (rows - 1)])
    if not np.allclose(along[1:], 0, atol=1e-9) or not np.isclose(spacing[0], spacing[1], rtol=1e-6):
        raise GenesisValueError(
            f"height field {name!r} of {source} must be upright with equal spacing along x and y, got axes "
            f"{tuple(along.tolist())} and spacings {tuple(spacing.tolist())} m. Resample it."
        )
    begin = int(model.hfield_adr[field])
    heights = top * np.array(model.hfield_data[begin : begin + rows * columns], dtype=np.float64)
    corner = at - np.array([half_x, half_y, 0.0])
    heights = np.ascontiguousarray(heights.reshape(rows, columns).T)
    up: Vector = (0.0, 0.0, 1.0)
    contact = _contact(model, index, float(base))
    return GroundGeom(
        name, "heightfield", three(corner), up, friction, group, mask, heights, float(spacing[0]), contact
    )


def read_exclusions(model: Any, links: Links) -> tuple[frozenset[tuple[int, int]], list[str]]:
    """Pairs of links that never touch, and the names of exclusions that hold for a part of a merged link only."""
    pairs: set[tuple[int, int]] = set()
    partly: list[str] = []
    if not model.opt.disableflags & int(mujoco().mjtDisableBit.mjDSBL_FILTERPARENT):
        pairs |= {(parent, link) for link, parent in enumerate(links.parent) if parent >= 0}
    with_geoms: dict[int, set[int]] = {}
    for index in links.touching:
        body = int(model.geom_bodyid[index])
        with_geoms.setdefault(int(links.of_body[body]), set()).add(body)
    solids = set(solid_geoms(model))
    with_ground = {int(model.geom_bodyid[index]) for index in range(model.ngeom) if index not in solids}
    given: dict[tuple[int, int], set[tuple[int, int]]] = {}
    names: dict[tuple[int, int], list[str]] = {}
    for index in range(model.nexclude):
        signature = int(model.exclude_signature[index])
        first, second = signature >> 16, signature & 0xFFFF
        a, b = (int(links.of_body[body]) for body in (first, second))
        if a == b:
            continue
        if with_ground & {first, second}:
            partly.append(f"{model.exclude(index).name or f'exclude {index}'} (with the ground)")
            continue
        if min(a, b) < 0:
            continue
        (a, first), (b, second) = sorted([(a, first), (b, second)])
        given.setdefault((a, b), set()).add((first, second))
        names.setdefault((a, b), []).append(model.exclude(index).name or f"exclude {index}")
    for (a, b), bodies in given.items():
        needed = {(i, j) for i in with_geoms.get(a, ()) for j in with_geoms.get(b, ())}
        if needed <= bodies:
            pairs.add((a, b))
        elif (a, b) not in pairs:
            partly += names[a, b]
    return frozenset(pairs), partly
