"""How light a link may be that feels matter: its push and matter's answer are explicit, one after the other.

In an exchange the nodes that a link touches, of masses m_i and with influences a_i, take its velocity, or that part of
the way there; the link is given what they lose. With the velocity w at which they approach each other and the link's
apparent mass M where it is touched, the energy of both changes by

    w^2 / 2 ((sum a_i m_i)^2 / M - sum a_i (2 - a_i) m_i)

which is never positive while sum a_i m_i <= M. A face of area A in matter of density rho touches

    rho A (cell / 2 + softness (1 + log k) + c (k - 1) dt)

in the k substeps of the scene, of dt, that are one of the link's: the half of the first layer of nodes; what the fading
influence holds, which takes 1 - (1 - a)^k of the way in k of them; and what waves of speed c reach meanwhile.
"""

import math
from collections.abc import Sequence

import numpy as np

from genesis.contact.colliders import Collider, Matter
from genesis.errors import GenesisValueError
from genesis.loaders import rotations
from genesis.loaders.mass_matrix import link_jacobians, mass_matrix
from genesis.loaders.model import RigidModel
from genesis.solvers.rigid.publish import LinkCollider


def touched(colliders: Sequence[Collider], matter: Matter, every: int, dt: float) -> float:
    """kg of nodes that shapes move in `every` substeps of dt s."""
    waves, fading = matter.speed * (every - 1) * dt, 1.0 + math.log(every)
    volume = sum(each.shape.face * (matter.cell / 2 + fading * each.softness + waves) for each in colliders)
    return min(matter.density * volume, matter.mass)


def lightness(model: RigidModel, colliders: Sequence[LinkCollider]) -> list[float]:
    """1 / kg of each collider's link where it is, at rest, in the direction in which it gives way most easily."""
    if not model.n_dofs:
        return [0.0] * len(colliders)
    factor = np.linalg.cholesky(mass_matrix(model))
    _, turns, linear, angular = link_jacobians(model)
    found = []
    for collider in colliders:
        arm = rotations.rotate(turns[collider.link], np.array(collider.pos))
        there = linear[collider.link] - np.cross(arm, angular[collider.link], axisa=0, axisb=0, axisc=0)
        found.append(float(np.linalg.svd(np.linalg.solve(factor, there.T), compute_uv=False)[0] ** 2))
    return found


def check_light_links(
    model: RigidModel, labels: Sequence[str], colliders: Sequence[LinkCollider], matter: Sequence[Matter], every: int,
    dt: float,
) -> None:  # fmt: skip
    """Raise if a link is too light for what it touches.

    Args:
        labels: What messages call each link.
        every: Substeps of the scene, of dt s, in one of links.

    Raises:
        GenesisValueError: It names the link.
    """
    moving = model.moving
    for link in sorted({collider.link for collider in colliders if collider.link >= 0 and moving[collider.link]}):
        mine = [collider for collider in colliders if collider.link == link]
        mass = 1.0 / max(max(lightness(model, mine)), 1e-30)
        shapes = [collider.collider for collider in mine]
        most, once = (sum(touched(shapes, of, n, dt) for of in matter) for n in (every, 1))
        if most > mass:
            rarely = "" if every == 1 or once > mass else f"more substeps of rigid bodies (now 1 in {every}), "
            raise GenesisValueError(
                f"a link must have an apparent mass of at least the {most:.3g} kg of grid nodes that it touches in one "
                f"of its substeps, got {mass:.3g} kg of {labels[link]!r}: pushing each other in turn, they would "
                f"gain energy. Use {rarely}a grid_density about {most / mass:.2g} times as large, a smaller "
                "coup_softness, or a larger mass or armature."
            )
