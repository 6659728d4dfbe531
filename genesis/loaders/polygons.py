"""The faces of convex hulls of which only the corners are known."""

import numpy as np

from genesis.errors import GenesisValueError
from genesis.loaders.lazy_import import mujoco


def found_polygons(vertices: np.ndarray) -> list[tuple[int, ...]]:
    """Faces of a hull, of indices of its corners (n, 3), as MuJoCo's compiler makes them: coplanar triangles are one.

    Raises:
        GenesisValueError: Some point is no corner of the hull.
    """
    mj = mujoco("to find the faces of meshes")
    spec = mj.MjSpec()
    spec.add_mesh(name="hull", uservert=np.asarray(vertices, np.float32).ravel())
    spec.worldbody.add_geom(type=mj.mjtGeom.mjGEOM_MESH, meshname="hull")
    model = spec.compile()
    if model.mesh_graph[0] != len(vertices):
        raise GenesisValueError(
            f"vertices of a hull must be its corners, got {len(vertices)} points of which {model.mesh_graph[0]} are. "
            "Leave the others out."
        )
    return [
        tuple(int(i) for i in model.mesh_polyvert[start : start + count])
        for start, count in zip(model.mesh_polyvertadr, model.mesh_polyvertnum, strict=True)
    ]
