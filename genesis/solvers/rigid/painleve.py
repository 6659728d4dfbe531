"""Links that turn into what they slide on: above which friction an exchange with particles has several solutions.

A node of mass m that slides along a link of mobility diag(w 1, u 1) (`reaction.py`), n and t the levers of its place
along the normal and along the slip, is thrown off by an impulse in proportion to

    1 + m (w + u t^2 - mu u n t)

Where that is negative friction turns the link into the node faster than the node is thrown off (Painleve's paradox),
and there are three solutions. Of a tip at a distance R on a link that is light beside what it touches, that begins at
mu = 2 sqrt(q (1 + q)), q = w / (u R^2), at the worst of all angles: 4 / 3 of a uniform rod. Links that only slide
(u = 0) and balls about their own centres (t = 0) have one solution at any friction.
"""

from collections.abc import Sequence

import numpy as np
import torch

from genesis.loaders.model import RigidModel
from genesis.runtime import logger
from genesis.solvers.rigid.publish import LinkCollider

HIGHEST = 4 / 3
"""Friction up to which a uniform rod has one solution."""


class Painleve:
    """The check, of frictions as they are now. It warns once of each link.

    Args:
        labels: What messages call each link.
        colliders: Those that yield to matter.
    """

    def __init__(self, model: RigidModel, labels: Sequence[str], colliders: Sequence[LinkCollider]) -> None:
        self._turning = [
            (k, c.link, labels[c.link])
            for k, c in enumerate(colliders)
            if not (c.collider.shape.kind == "sphere" and _centred(c, model))
        ]
        self._told: set[str] = set()

    def check(self, friction: Sequence[torch.Tensor], mobility: torch.Tensor) -> None:
        """Warn of links that are above `HIGHEST`.

        Args:
            friction: (B,) of each collider, against matter.
            mobility: (L, 2), see `reaction.Reaction`.
        """
        for k, link, label in self._turning:
            worst = int(friction[k].argmax())
            if label in self._told or not float(friction[k][worst]) > HIGHEST or not float(mobility[link, 1]) > 0.0:
                continue
            self._told.add(label)
            alike = bool((friction[k] == friction[k][0]).all())
            logger.warning(
                f"the friction of a link that can turn must stay below {HIGHEST:.3g} against particles, got "
                f"{float(friction[k][worst]):.3g} of {label!r}{'' if alike else f' in environment {worst}'}: above, it "
                "may turn into what it slides on, what they do to each other has several solutions and jumps from one "
                "to another, and gradients of a light link tell nothing of that. Lower it; coup_friction is that "
                "against particles alone."
            )


def _centred(collider: LinkCollider, model: RigidModel) -> bool:
    """Whether a shape is about the centre of mass of its link."""
    return float(np.abs(np.array(collider.pos) - model.com[collider.link]).max()) < 1e-6 * collider.collider.shape.reach
