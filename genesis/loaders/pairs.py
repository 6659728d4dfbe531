"""Explicit contact pairs: from MuJoCo's compiled model to `ExplicitPairs`."""

from dataclasses import fields, replace
from typing import Any

import numpy as np

from genesis.loaders.links import Links
from genesis.loaders.mujoco_numbers import ExplicitPairs, MujocoNumbers

COPIED = ("friction", "solref", "solreffriction", "solimp", "margin", "gap")


def read_pairs(model: Any, links: Links) -> ExplicitPairs:
    """Those with a solid geom, in the file's order; two grounds never touch."""
    solids, grounds = links.solids(model), links.grounds(model)
    geom, ground, rows = [], [], []
    for row in range(model.npair):
        pair = int(model.pair_geom1[row]), int(model.pair_geom2[row])
        own = [solids.index(index) for index in pair if index in solids]
        base = [grounds.index(index) for index in pair if index in grounds]
        if own and len(own) + len(base) == 2:
            geom.append(own if len(own) == 2 else [-1, *own])
            ground.append(base[0] if base else -1)
            rows.append(row)
    columns = {name: getattr(model, f"pair_{name}")[rows] for name in COPIED}
    return ExplicitPairs(
        geom=np.array(geom), ground=np.array(ground), condim=model.pair_dim[rows], **columns
    )  # fmt: skip


def without_grounds(numbers: MujocoNumbers) -> MujocoNumbers:
    """Without the pairs of grounds, of a model that is used without them."""
    kept = numbers.pairs.ground < 0
    rows = {each.name: getattr(numbers.pairs, each.name)[kept] for each in fields(numbers.pairs)}
    return replace(numbers, pairs=ExplicitPairs(**rows))
