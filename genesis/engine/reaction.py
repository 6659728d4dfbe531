"""How light a link may be that feels matter: its push and matter's answer are explicit, one after the other.

In an exchange the nodes that a link touches, of masses m_i and with influences a_i, take its velocity, or that part of
the way there; the link is given what they lose. With the velocity w at which they approach each other and the link's
apparent mass M where it is touched, the energy of both changes by

    w^2 / 2 ( (sum a_i m_i)^2 / M - sum a_i (2 - a_i) m_i )

which is never positive while sum a_i m_i <= M. A face of area A in matter of density rho touches rho A (cell / 2 +
softness) at once: the half of its first layer of nodes, and what the fading influence holds.
"""

from collections.abc import Sequence

import numpy as np

from genesis.contact.colliders import Collider
from genesis.engine.kinds.base import Matter
from genesis.errors import GenesisValueError
from genesis.loaders import rotations
from genesis.loaders.mass_matrix import link_jacobians, mass_matrix
from genesis.loaders.model import RigidModel
from genesis.solvers.rigid.publish import LinkCollider

HEAVIEST = 1.0
"""Most of what a link may touch, in times its apparent mass."""


def touched(colliders: Sequence[Collider], matter: Matter) -> float:
    """kg of nodes that shapes move in an exchange."""
    volume = sum(collider.shape.face * (matter.cell / 2 + collider.softness) for collider in colliders)
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
    model: RigidModel, labels: Sequence[str], colliders: Sequence[LinkCollider], matter: Sequence[Matter]
) -> None:
    """Raise if a link is too light for what it touches.

    Raises:
        GenesisValueError: It names the link.
    """
    moving, heaviest = model.moving, max((of.density for of in matter), default=0.0)
    for link in sorted({collider.link for collider in colliders if collider.link >= 0 and moving[collider.link]}):
        mine = [collider for collider in colliders if collider.link == link]
        mass = 1.0 / max(max(lightness(model, mine)), 1e-30)
        most = sum(touched([collider.collider for collider in mine], of) for of in matter)
        if most > HEAVIEST * mass:
            raise GenesisValueError(
                f"a link must have an apparent mass of at least the {most:.3g} kg of grid nodes that it touches at once "
                f"(matter of {heaviest:.4g} kg/m^3), got {mass:.3g} kg of {labels[link]!r}: pushing each other in turn, "
                f"they would gain energy. Use a grid_density {most / mass:.2g} times as large, a smaller "
                "coup_softness, or a larger mass or armature."
            )
