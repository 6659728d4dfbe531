"""Which bodies may touch each other, with which samples, and how stiffly at most.

Contact between bodies is explicit, so its stiffness is bounded by the substep: with m the reduced mass of the two links
and n the samples that may touch at once, dt^2 n k / m must stay below `LARGEST`. Stiffness that follows from a sag is
lowered to that; one that a user chose is refused above four times that.
"""

import itertools
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from genesis.errors import GenesisValueError
from genesis.loaders import rotations
from genesis.loaders.model import RigidModel
from genesis.loaders.parts import Geom
from genesis.solvers.rigid import prepare
from genesis.solvers.rigid.layout import PAIR_INTS, parameter_layout
from genesis.solvers.rigid.pairs import BOX, ROUND

LARGEST = 1.0
"""Of dt^2 n k / m. An undamped explicit spring is stable up to 4, and in a stack it swings faster than alone."""
SOFTEST = 0.1
"""Of the factor that lowers a stiffness, below which a warning is due."""
BEST_DISSIPATION = 0.1
"""Of dt g d, which damping takes off a velocity in a substep where the contact bears the body's own weight."""
SLOWEST_SLIP = 4.0
"""Of friction's velocity over dt g: friction that fades below a slower velocity would turn velocities around."""
_LOG = logging.getLogger("genesis")


@dataclass(frozen=True)
class Pair:
    """Samples of geom a against the shape of geom b."""

    a: Geom
    b: Geom


def touching(model: RigidModel, self_collision: bool) -> tuple[list[Pair], set[str]]:
    """Pairs of geoms on different links that may touch, of different trees, or of one tree if asked for; and the kinds
    of geoms that would have to, but cannot."""
    root, moving = prepare.roots(model), model.moving
    pairs: list[Pair] = []
    blind: set[str] = set()
    for i, a in enumerate(model.geoms):
        for b in model.geoms[i + 1 :]:
            links = (min(a.link, b.link), max(a.link, b.link))
            apart = root[a.link] != root[b.link]
            meet = bool(a.group & b.mask or b.group & a.mask)
            if a.link == b.link or links in model.excluded or not meet or not (apart or self_collision):
                continue
            if not (moving[a.link] or moving[b.link]):
                continue
            unseen = {g.kind for g in (a, b)} - {"sphere", "capsule", "box"}
            if unseen:
                blind |= unseen
                continue
            pairs += _sampled(a, b)
    return pairs, blind


def _sampled(a: Geom, b: Geom) -> list[Pair]:
    if a.kind == b.kind == "box":
        return [Pair(a, b), Pair(b, a)]
    if "box" in (a.kind, b.kind):
        return [Pair(b, a) if a.kind == "box" else Pair(a, b)]
    return [Pair(a, b) if _length(a) <= _length(b) else Pair(b, a)]


def _length(geom: Geom) -> float:
    return geom.size[1] if geom.kind == "capsule" else 0.0


def samples(geom: Geom) -> np.ndarray:
    """(n, 4): centre in the geom's frame and radius. Of a box: corners, middles of edges and of faces."""
    if geom.kind == "box":
        grid = np.array([v for v in itertools.product((-1, 0, 1), repeat=3) if any(v)])
        return np.concatenate([grid * np.asarray(geom.size), np.zeros((26, 1))], 1)
    radius, half = geom.size[0], _length(geom)
    n = 1 if half == 0.0 else min(9, math.ceil(2 * half / radius) + 1)
    along = np.linspace(-half, half, n) if n > 1 else np.zeros(1)
    return np.stack([np.zeros(n), np.zeros(n), along, np.full(n, radius)], 1)


def reduced_mass(model: RigidModel, mass: np.ndarray, pair: Pair) -> float:
    """kg; a link that cannot move counts as infinitely heavy."""
    inverse = sum(1.0 / mass[g.link] for g in (pair.a, pair.b) if model.moving[g.link])
    return 1.0 / inverse


def gives_way(model: RigidModel, pair: Pair) -> tuple[int, int]:
    """The links whose stiffnesses are in series: both of the pair, or twice the one that moves.

    What cannot move is as hard as the ground, whatever its mass and stiffness are said to be.
    """
    a, b = pair.a.link, pair.b.link
    return (a if model.moving[a] else b), (b if model.moving[b] else a)


def at_once(pair: Pair) -> int:
    """How many samples may touch at once."""
    return 18 if pair.a.kind == pair.b.kind == "box" else 9 if pair.a.kind == "box" else len(samples(pair.a))


def factors(
    model: RigidModel, pairs: Sequence[Pair], law: prepare.Compliant, stiffness: np.ndarray, substep_dt: float
) -> list[float]:
    """What each pair's stiffness in series is multiplied with: it stays below its bound, unless a user chose it."""
    if law.stiffness is not None:
        return [1.0] * len(pairs)
    found = []
    for pair in pairs:
        largest = LARGEST * reduced_mass(model, model.mass, pair) / (at_once(pair) * substep_dt**2)
        found.append(min(1.0, largest / _series(model, stiffness, pair)))
    return found


def may_gain_energy(model: RigidModel, pair: Pair) -> bool:
    """Whether anything but balls moves in it: a force off a body's centre meets less than the body's mass, so that many
    samples, each stable alone, are not stable together. Measurements: docs/decisions.md."""
    return any(model.moving[geom.link] and not _is_ball(model, geom) for geom in (pair.a, pair.b))


def _is_ball(model: RigidModel, geom: Geom) -> bool:
    off_centre = np.linalg.norm(np.asarray(geom.pos) - model.com[geom.link])
    return geom.kind == "sphere" and bool(off_centre <= 1e-3 * geom.size[0])


def warn(
    model: RigidModel,
    pairs: Sequence[Pair],
    blind: set[str],
    factor: Sequence[float],
    substep_dt: float,
    labels: Sequence[str],
) -> None:
    """Tell of what cannot touch, of what may gain energy, and of what is much softer than asked for."""
    if blind:
        _LOG.warning(
            "geoms of kind %s touch the ground only, and pass through other bodies; approximate them by spheres, "
            "capsules or boxes.", ", ".join(sorted(blind)),
        )  # fmt: skip
    lively = next((pair for pair in pairs if may_gain_energy(model, pair)), None)
    if lively is not None:
        _LOG.warning(
            "contact between bodies must be between balls to be sure to gain no energy, got %r and %r; it is explicit, "
            "and may throw them apart. Check that no energy appears, and use more substeps if it does.",
            labels[lively.a.link], labels[lively.b.link],
        )  # fmt: skip
    if factor and min(factor) < SOFTEST:
        pair = pairs[int(np.argmin(factor))]
        needed = math.ceil(math.sqrt(SOFTEST / min(factor)))
        _LOG.warning(
            "contact between %r and %r is %.0f times softer than CompliantContact asks for, because the substep of "
            "%.3g s allows no more; stacks may lean and topple. Use %d times as many substeps.",
            labels[pair.a.link], labels[pair.b.link], 1.0 / min(factor), substep_dt, needed,
        )  # fmt: skip


def _series(model: RigidModel, stiffness: np.ndarray, pair: Pair) -> float:
    """N/m: of both links in series; of the one that moves if the other cannot."""
    a, b = gives_way(model, pair)
    return stiffness[a] if a == b else stiffness[a] * stiffness[b] / (stiffness[a] + stiffness[b])


def pack(
    model: RigidModel,
    pairs: Sequence[Pair],
    factor: Sequence[float],
    law: prepare.Compliant,
    contact: np.ndarray,
    substep_dt: float,
) -> tuple[np.ndarray, np.ndarray]:
    """`pair` and `shape` of `pairs`. `contact`: of `prepare.contact_laws`."""
    rows: list[Sequence[float]] = []
    ints: list[list[int]] = []
    number = {id(geom): i for i, geom in enumerate(model.geoms)}
    first_shape: dict[int, int] = {}
    first_sample: dict[int, int] = {}
    for pair in pairs:
        for geom in (pair.a, pair.b):
            if id(geom) not in first_shape:
                first_shape[id(geom)] = len(rows)
                round_ = geom.kind != "box"
                size = (geom.size[0], _length(geom), 0.0) if round_ else geom.size
                bound = float(np.linalg.norm(prepare.bounding_box(geom)))
                rows += [(*geom.pos, ROUND if round_ else BOX), tuple(geom.quat), (*size, bound)]
        if id(pair.a) not in first_sample:
            first_sample[id(pair.a)] = len(rows)
            for sample in samples(pair.a):
                centre = np.asarray(pair.a.pos) + rotations.rotate(np.asarray(pair.a.quat), sample[:3])
                rows.append((*centre, sample[3]))
    for pair, lowered in zip(pairs, factor, strict=True):
        la, lb = pair.a.link, pair.b.link
        ga, gb = gives_way(model, pair)
        dissipation = 0.5 * (contact[ga, 0] + contact[gb, 0])
        if law.dissipation is None:
            dissipation = min(dissipation, BEST_DISSIPATION / (9.81 * substep_dt))
        smoothing = min(contact[la, 1], contact[lb, 1])
        ints.append([la, lb, len(rows), first_shape[id(pair.a)], first_shape[id(pair.b)], first_sample[id(pair.a)],
                     len(samples(pair.a)), ga, gb, number[id(pair.a)], number[id(pair.b)]])  # fmt: skip
        slip = max(law.friction_velocity or 0.0, SLOWEST_SLIP * 9.81 * substep_dt)
        rows.append((2.0 * lowered if ga == gb else lowered, dissipation, smoothing, slip))
    return np.array(ints, int).reshape(-1, PAIR_INTS), np.array(rows, float).reshape(-1, 4)


def stability_check(
    model: RigidModel, options: prepare.Options, gravity: Sequence[float], substep_dt: float, n_grounds: int
) -> Callable[[torch.Tensor], None]:
    """A function of the solver's `model` (B, P) that raises if two bodies' contact is too stiff for the substep."""
    pairs, _ = touching(model, options.self_collision)
    law = options.contact
    factor = factors(model, pairs, law, prepare.contact_stiffness(model, law, gravity), substep_dt)
    table = parameter_layout(model.n_links, len(model.geoms), model.n_dofs, n_grounds)
    firsts = table["contact_stiffness"][0], table["mass"][0]

    def check(parameters: torch.Tensor) -> None:
        values = parameters.detach().cpu().double().numpy()
        k, mass = (values[:, first : first + model.n_links] for first in firsts)
        for pair, lowered in zip(pairs, factor, strict=True):
            stiffest = lowered * _series(model, k.max(0), pair)
            rate = at_once(pair) * stiffest / reduced_mass(model, mass.min(0), pair)
            if substep_dt**2 * rate > 4 * LARGEST:
                a, b = (model.link_names[geom.link] for geom in (pair.a, pair.b))
                raise GenesisValueError(
                    f"the substep must be at most {math.sqrt(4 * LARGEST / rate):.3g} s for the contact stiffness "
                    f"between {a!r} and {b!r}, got {substep_dt:.3g} s. Use more substeps, or a lower contact stiffness."
                )

    return check
