"""Which of MuJoCo's bodies make which link: bodies that move as one become one."""

from typing import Any

import numpy as np

from genesis.loaders import rotations
from genesis.loaders.parts import IDENTITY, Quaternion, Vector

GEOM_TYPES = ("plane", "hfield", "sphere", "capsule", "ellipsoid", "cylinder", "box", "hull", "sdf")
"""In the order of MuJoCo's mjtGeom."""

Pose = tuple[np.ndarray, np.ndarray]


class Links:
    """Which link each of MuJoCo's bodies belongs to, and where in it.

    Args:
        with_pairs: Whether geoms of explicit contact pairs touch, too.

    Attributes:
        touching: indices of the geoms that can touch anything; the others are there to be looked at.
        of_body: (bodies,) index of the link; -1 for a world without geoms of its own.
        poses: per body its pose in the frame of its link.
        bodies: per link the body that gives it frame and name; 0 = the world.
    """

    def __init__(self, model: Any, with_pairs: bool) -> None:
        self.touching = [
            index for index in range(model.ngeom) if touches(model, index) or (with_pairs and is_paired(model, index))
        ]
        self.of_body = np.full(model.nbody, -1)
        self.poses: list[Pose] = [(np.zeros(3), np.array(IDENTITY))]
        self.bodies: list[int] = []
        self.parent: list[int] = []
        self.rest: list[Pose] = []
        if any(model.geom_bodyid[index] == 0 for index in self.solids(model)):
            self._add(0, -1, self.poses[0])
        moving = np.zeros(model.nbody, dtype=bool)
        for body in range(1, model.nbody):
            above = int(model.body_parentid[body])
            moving[body] = moving[above] or model.body_jntnum[body] > 0
            pose = rotations.compose(self.poses[above], (model.body_pos[body].copy(), model.body_quat[body].copy()))
            if model.body_jntnum[body] or not moving[body]:
                self._add(body, int(self.of_body[above]) if above else -1, pose)
                self.poses.append((np.zeros(3), np.array(IDENTITY)))
            else:
                self.of_body[body] = self.of_body[above]
                self.poses.append(pose)

    def solids(self, model: Any) -> list[int]:
        """Indices of the geoms that become geoms of links, of all that touch."""
        solid = set(solid_geoms(model))
        return [index for index in self.touching if index in solid]

    def grounds(self, model: Any) -> list[int]:
        """Indices of planes and height fields, of all that touch."""
        return [index for index in self.touching if GEOM_TYPES[model.geom_type[index]] in ("plane", "hfield")]

    def _add(self, body: int, parent: int, pose: Pose) -> None:
        self.of_body[body] = len(self.bodies)
        self.bodies.append(body)
        self.parent.append(parent)
        self.rest.append(pose)

    def place(self, body: int, pos: np.ndarray, quat: np.ndarray) -> tuple[Vector, Quaternion]:
        """A pose in a body's frame, in that of its link."""
        at, along = rotations.compose(self.poses[body], (pos, quat))
        return three(at), four(along)


def touches(model: Any, index: int) -> bool:
    """Whether a geom's bits let it touch anything."""
    return bool(model.geom_contype[index] or model.geom_conaffinity[index])


def is_paired(model: Any, index: int) -> bool:
    """Whether a geom is in an explicit contact pair."""
    return bool(np.any(model.pair_geom1 == index) or np.any(model.pair_geom2 == index))


def solid_geoms(model: Any) -> list[int]:
    """Geoms that become geoms of links: all but grounds, and shapes that are refused elsewhere."""
    others = ("plane", "hfield", "sdf")
    return [index for index in range(model.ngeom) if GEOM_TYPES[model.geom_type[index]] not in others]


def mass_properties(model: Any, links: Links) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per link mass (L,), centre of mass (L, 3) and inertia about it (L, 6) of all its bodies together."""
    n_links = len(links.bodies)
    mass, moment, inertia = np.zeros(n_links), np.zeros((n_links, 3)), np.zeros((n_links, 3, 3))
    parts = []
    for body in range(1, model.nbody):
        pos, quat = links.poses[body]
        at, along = rotations.compose((pos, quat), (model.body_ipos[body], model.body_iquat[body]))
        parts.append((int(links.of_body[body]), float(model.body_mass[body]), at, rotations.matrix(along), body))
    for link, weight, at, _, _ in parts:
        mass[link] += weight
        moment[link] += weight * at
    com = moment / np.where(mass > 0, mass, 1.0)[:, None]
    for link, weight, at, axes, body in parts:
        arm = at - com[link]
        inertia[link] += axes @ np.diag(model.body_inertia[body]) @ axes.T
        inertia[link] += weight * (arm @ arm * np.eye(3) - np.outer(arm, arm))
    return mass, com, np.array([rotations.six(each) for each in inertia])


def aliases(model: Any, links: Links) -> dict[str, tuple[int, Vector, Quaternion]]:
    """Merged bodies under their names; sites under theirs, or under "site/<name>" where a body has the name."""
    taken = {model.body(body).name for body in range(model.nbody)}
    own = set(links.bodies)
    found = {}
    for body in range(1, model.nbody):
        if body not in own and model.body(body).name:
            pos, quat = links.poses[body]
            found[model.body(body).name] = (int(links.of_body[body]), three(pos), four(quat))
    for site in range(model.nsite):
        name, body = model.site(site).name, int(model.site_bodyid[site])
        if name:
            place = links.place(body, model.site_pos[site], model.site_quat[site])
            found[f"site/{name}" if name in taken else name] = (int(links.of_body[body]), *place)
    return found


def three(values: np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z


def four(values: np.ndarray) -> Quaternion:
    w, x, y, z = (float(value) for value in values)
    return w, x, y, z
