"""How light a link may be that feels matter, and how readily it yields to it.

Links that step less often than matter push it and take its answer one after the other. The nodes that a link touches,
of masses m_i and with influences a_i, take its velocity, or that part of the way there; the link is given what they
lose. With the velocity w at which they approach each other and the link's apparent mass M where it is touched, the
energy of both changes by

    w^2 / 2 ((sum a_i m_i)^2 / M - sum a_i (2 - a_i) m_i)

which is never positive while sum a_i m_i <= M. A face of area A in matter of density rho touches

    rho A (cell / 2 + softness (1 + log k) + c (k - 1) dt)

in the k substeps of the scene, of dt, that are one of the link's: the half of the first layer of nodes; what the fading
influence holds, which takes 1 - (1 - a)^k of the way in k of them; and what waves of speed c reach meanwhile.

Links that step as often yield to matter within a substep (`reaction.py`), with a mobility W that must not be smaller
than their own: W = s diag(w 1, u 1), with w and u the largest eigenvalues of its blocks of force and of torque, and s,
1 to 2, as small as it can be. It is taken at rest and kept. Where masses are set later, the exchange is stable while
r (3 - 4 a) <= 1, with r the ratio of touched and apparent mass, and a that of W and the link's own.

A link has an apparent mass against rotations, too: its inertia over the square of the lever at which it is touched, for
shapes of half lengths h about axis i max(h_j, h_k)^2 / 3. A body of even density is no lighter for these.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from genesis.contact.colliders import Collider, Matter
from genesis.errors import GenesisValueError
from genesis.loaders import rotations
from genesis.loaders.mass_matrix import link_jacobians
from genesis.loaders.model import RigidModel
from genesis.solvers.rigid.publish import LinkCollider

LIGHTEST = 15.0
"""Largest ratio of what a link that steps as often as matter touches to its own mass."""


def touched(colliders: Sequence[Collider], matter: Matter, every: int, dt: float) -> torch.Tensor:
    """(B,) kg of nodes that shapes move in `every` substeps of dt s."""
    waves, fading = matter.speed * (every - 1) * dt, 1.0 + math.log(every)
    per_density = sum(each.shape.face * (matter.cell / 2 + fading * each.softness + waves) for each in colliders)
    return torch.minimum(matter.density * per_density, matter.mass)


class Lightness:
    """1 / kg of links where their colliders are, at rest, in the direction, or about the axis, in which they give way
    most easily.

    Args:
        colliders: K of them, all on links.
    """

    def __init__(self, model: RigidModel, colliders: Sequence[LinkCollider]) -> None:
        _, turns, linear, angular = link_jacobians(model)
        L, D = model.n_links, model.n_dofs
        of_mass, of_inertia = np.zeros((L, D, D)), np.zeros((L, 6, D, D))
        for link in range(L):
            axes = rotations.matrix(turns[link])
            arm = axes @ model.com[link]
            at_com = linear[link] - np.cross(arm, angular[link], axisa=0, axisb=0, axisc=0)
            of_mass[link] = at_com.T @ at_com
            spin = axes.T @ angular[link]
            for row, (i, k) in enumerate(((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))):
                both = np.outer(spin[i], spin[k])
                of_inertia[link, row] = both if i == k else both + both.T
        there, centres = [], []
        for c in colliders:
            lever, h = rotations.rotate(turns[c.link], np.array(c.pos)), np.array(c.collider.shape.half)
            reach = np.sqrt([max(h[1], h[2]) ** 2 / 3, max(h[2], h[0]) ** 2 / 3, max(h[0], h[1]) ** 2 / 3])
            axes = rotations.matrix(rotations.multiply(turns[c.link], np.array(c.quat)))
            moved = linear[c.link] - np.cross(lever, angular[c.link], axisa=0, axisb=0, axisc=0)
            there.append([moved, reach[:, None] * (axes.T @ angular[c.link])])
            centre = rotations.rotate(turns[c.link], model.com[c.link])
            at_com = linear[c.link] - np.cross(centre, angular[c.link], axisa=0, axisb=0, axisc=0)
            centres.append([at_com, angular[c.link]])
        self._of_mass, self._of_inertia = torch.as_tensor(of_mass), torch.as_tensor(of_inertia)
        self._centres = torch.as_tensor(np.array(centres).reshape(-1, 3, D))
        self._there = torch.as_tensor(np.array(there).reshape(-1, 3, D))

    def of(self, mass: torch.Tensor, inertia: torch.Tensor, armature: torch.Tensor) -> torch.Tensor:
        """(B, K) of links' masses (B, L) and inertias (B, L, 6), and armatures (B, D); all float64."""
        moved = self._moved(self._there, mass, inertia, armature)
        return (torch.linalg.matrix_norm(moved, 2) ** 2).amax(2)

    def mobility(self, mass: torch.Tensor, inertia: torch.Tensor, armature: torch.Tensor) -> torch.Tensor:
        """(B, K, 2) 1 / kg and 1 / (kg m^2) of the same links: how a force, and a torque, move their centres of mass
        and turn them, at most."""
        moved = self._moved(self._centres, mass, inertia, armature)
        most = torch.linalg.matrix_norm(moved, 2)
        both = (moved / most.clamp_min(1e-30)[..., None, None]).transpose(2, 3).flatten(3)
        return (most * torch.linalg.matrix_norm(both, 2)[..., None]) ** 2

    def _moved(
        self, jacobians: torch.Tensor, mass: torch.Tensor, inertia: torch.Tensor, armature: torch.Tensor
    ) -> torch.Tensor:
        """(B, K, 2, D, 3) R with R^T R = J M^-1 J^T, of two jacobians of each link."""
        matrix = torch.einsum("bl,lij->bij", mass, self._of_mass) + torch.diag_embed(armature)
        matrix = matrix + torch.einsum("blc,lcij->bij", inertia, self._of_inertia)
        factor = torch.linalg.cholesky(matrix)
        there = jacobians.mT.expand(len(mass), -1, -1, -1)
        moved = torch.linalg.solve_triangular(factor[:, None], there, upper=False)
        return moved.unflatten(1, (-1, 2))


class LightLinks:
    """The check, of what links weigh now and of what they touch.

    Args:
        labels: What messages call each link.
        colliders: Of links and grounds.
        every: Substeps of the scene, of dt s, in one of links.
    """

    def __init__(
        self, model: RigidModel, labels: Sequence[str], colliders: Sequence[LinkCollider], every: int, dt: float
    ) -> None:
        moving = model.moving
        mine = [c for c in colliders if c.link >= 0 and moving[c.link]]
        self._links = sorted({c.link for c in mine})
        self._of_link = [[k for k, c in enumerate(mine) if c.link == link] for link in self._links]
        self._shapes = [[mine[k].collider for k in of] for of in self._of_link]
        self._labels = [labels[link] for link in self._links]
        self._lightness = Lightness(model, mine)
        self._every, self._dt = every, dt
        self._passed: tuple[torch.Tensor, ...] = ()
        """What it passed last."""
        self._n_links = model.n_links
        self.mobility: torch.Tensor | None = None
        """(L, 2) with which links yield to matter, as first judged, when the scene is built."""
        self._yielded: list[float] = []
        """kg, of each link the apparent mass that it has for that."""

    def check(
        self, mass: torch.Tensor, inertia: torch.Tensor, armature: torch.Tensor, matter: Sequence[Matter]
    ) -> None:
        """Raise if a link is too light for what it touches.

        Args:
            mass, inertia, armature: As in `Lightness.of`.

        Raises:
            GenesisValueError: It names the link, and the environment where they differ.
        """
        given = (mass, inertia, armature, *(value for of in matter for value in (of.density, of.mass, of.speed)))
        if len(given) == len(self._passed) and all(map(torch.equal, given, self._passed)):
            return
        weights = 1.0 / self._lightness.of(mass, inertia, armature).clamp_min(1e-30)
        masses = []
        for place, (shapes, own, label) in enumerate(zip(self._shapes, self._of_link, self._labels, strict=True)):
            apparent = weights[:, own].amin(1)
            masses.append(float(apparent.amin()))
            most, once = (
                torch.stack([touched(shapes, of, n, self._dt) for of in matter]).sum(0) for n in (self._every, 1)
            )
            least = most
            if self._every == 1:
                least = most / LIGHTEST
                if self._yielded:
                    least = torch.maximum(least, 3 * most / (1 + 4 * most / self._yielded[place]))
            worst = int((least / apparent).argmax())
            if least[worst] > apparent[worst]:
                alike = bool((apparent == apparent[0]).all() and (most == most[0]).all())
                self._raise(
                    f"{label!r}{'' if alike else f' in environment {worst}'}",
                    *(float(value[worst]) for value in (apparent, most, once)),
                    float(most[worst] / least[worst]),
                )
        self._passed = given
        if not self._yielded:
            self._yielded = masses
            own = self._lightness.mobility(mass, inertia, armature).amax(0)
            self.mobility = torch.zeros(self._n_links, 2, dtype=own.dtype)
            for link, of in zip(self._links, self._of_link, strict=True):
                self.mobility[link] = own[of[0]]

    def _raise(self, link: str, mass: float, most: float, once: float, limit: float) -> None:
        every = self._every
        rarely = "" if every == 1 or once > LIGHTEST * mass else f"more substeps of rigid bodies (now 1 in {every}), "
        raise GenesisValueError(
            f"a link must have an apparent mass of at least {most / limit:.3g} kg for the {most:.3g} kg of grid nodes "
            f"that it touches in one of its substeps, got {mass:.3g} kg of {link}: pushing each other in turn, they "
            f"would gain energy. Use {rarely}a grid_density about {most / mass / limit:.2g} times as large, a smaller "
            "coup_softness, or a larger mass, inertia or armature."
        )
