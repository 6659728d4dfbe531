"""Matter that is deeper inside a shape than the grid can hold it out of there, looked for now and then.

What a shape carries sinks into it: a block of modulus E that presses a face with p, by some 3 p / E cells, at most by
one and a half, since then all nodes that a point feels are inside. But nodes beyond the middle of a shape are pushed
out on its far side. So where matter gets to the middle it passes through, and the shape sinks: decision 66.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from genesis.contact.colliders import POSITION, QUATERNION, Collider
from genesis.contact.shapes import Shape
from genesis.math import quaternion
from genesis.warning import warn_once

DEEPEST = 1.5
"""Cells deep inside a shape that matter is pressed to at most."""
NEAR = 0.2
"""Cells from the middle of a shape, within which it counts as passed; of thin ones half their depth."""
EVERY = 16
"""Steps from a look to the next."""
BUDGET = 60_000
"""Points times colliders of a look, at most: of more environments some, in turns."""


class Sinking:
    """Looks for it, and warns once of each two bodies, also if they are built again.

    Args:
        colliders: K of the scene.
        names: What messages call their bodies.
        cell: m, of matter's grid.
    """

    def __init__(self, colliders: Sequence[Collider], names: Sequence[str], cell: float) -> None:
        self._shapes, self._names, self._cell = [each.shape for each in colliders], tuple(names), cell

    def look(
        self, poses: torch.Tensor, points: torch.Tensor, body_of: Callable[[int], str | None], step: int, first: int,
        placed: Sequence[int] = (),
    ) -> None:  # fmt: skip
        """Warn of points that are too deep inside colliders: after every `EVERY`-th step, and where something was set.

        Args:
            poses: (n, K, 4, 4) of all colliders.
            points: (n, m, 3) m; NaN of those that do not count.
            body_of: Whose a point is.
            first: Number of the first environment, in messages.
            placed: Environments of `points` in which something has been set before this step.
        """
        n, m = points.shape[:2]
        some = max(1, BUDGET // max(1, m * len(self._shapes)))
        envs = [placed[(step + i) % len(placed)] for i in range(min(some, len(placed)))]
        if step % EVERY == 0:
            begin = step // EVERY * some % n
            envs += range(begin, min(begin + some, n))
        for env in dict.fromkeys(envs):
            when = f"step {step}, environment {first + env}"
            self._look(poses[env], points[env], body_of, when, env in placed)

    def _look(
        self, poses: torch.Tensor, points: torch.Tensor, body_of: Callable[[int], str | None], when: str, placed: bool
    ) -> None:
        places, own = points.double().cpu().numpy(), poses.double().cpu()
        counted = np.flatnonzero(np.isfinite(places[:, 0]))
        for k, (shape, name) in enumerate(zip(self._shapes, self._names, strict=True)):
            apart = places[counted] - own[k, POSITION, :3].numpy()
            near = np.flatnonzero((apart * apart).sum(1) < shape.reach**2)
            if not len(near):
                continue
            turn = quaternion.conjugate(own[k, QUATERNION])
            inside = quaternion.rotate(turn, torch.from_numpy(apart[near])).numpy()
            depth, middle = shape.within(inside), shape.middle(inside)
            deepest = np.minimum(middle - np.minimum(middle / 2, NEAR * self._cell), DEEPEST * self._cell)
            worst = int((depth - deepest).argmax())
            if depth[worst] > deepest[worst] or (shape.grid is None and _around(inside[depth > shape.depth / 2])):
                row = int(counted[near[worst]])
                whole = math.inf if placed else float(middle[worst])
                self._tell(shape, whole, name, body_of(row), float(depth[worst]), when)

    def _tell(self, shape: Shape, whole: float, name: str, body: str | None, depth: float, when: str) -> None:
        thick = 2 * (DEEPEST + NEAR) * self._cell
        remedy = "It was set there, or has been passed through."
        if whole < thick / 2:
            remedy = (
                f"Shapes thinner than {thick:.3g} m, 3.4 cells, carry only a part of what is as stiff as that: make it "
                "thicker, or raise grid_density."
            )
        warn_once(
            f"particles must stay near the surface of what pushes them, got one of {body!r} {depth:.3g} m inside "
            f"{name!r} in {when}, from where it may leave on the other side. {remedy}",
            about=("sinking", body, name, shape.kind, shape.size, self._cell),
        )


def _around(places: np.ndarray) -> bool:
    """Whether places (n, 3) in a shape's inner half are on all sides of its middle: nothing is pressed there."""
    return len(places) > 0 and bool(((places > 0).any(0) & (places < 0).any(0)).all())
