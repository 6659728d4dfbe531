"""The numbers of MuJoCo's contact model as plain arrays, and back."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from genesis.loaders.mujoco_numbers import TABLES, MujocoNumbers, MujocoOptions
from genesis.loaders.parts import ContactNumbers

WITH_CONTACT = ("geoms", "grounds")
"""Kinds of parts that have ContactNumbers."""
PREFIX = "mujoco."
DEFAULTS: dict[str, Any] = asdict(ContactNumbers())
CONTACT_SIZE = sum(np.size(value) for value in DEFAULTS.values())
PLAIN = ("qpos_spring", "geom_body", "excluded")
OPTIONAL = ("equalities", "tendons", "tendon_parts", "pairs", "mocaps")
"""Tables that are left out where they have no rows."""


def contact_arrays(group: str, contacts_: Sequence[ContactNumbers]) -> dict[str, np.ndarray]:
    """All numbers of the contacts of a kind of parts, one row each."""
    rows = [np.hstack([getattr(each, name) for name in DEFAULTS]) for each in contacts_]
    return {f"{group}.contact": np.array(rows, dtype=np.float64).reshape(len(rows), CONTACT_SIZE)}


def contacts(group: str, stored: dict[str, np.ndarray]) -> list[ContactNumbers]:
    found = []
    for row in stored[f"{group}.contact"].tolist():
        values, at = {}, 0
        for name, default in DEFAULTS.items():
            kind, length = type(default), np.size(default)
            values[name] = tuple(row[at : at + length]) if kind is tuple else kind(row[at])
            at += length
        found.append(ContactNumbers(**values))
    return found


def arrays(numbers: MujocoNumbers | None) -> dict[str, np.ndarray]:
    """None gives nothing."""
    if numbers is None:
        return {}
    found = {PREFIX + name: getattr(numbers, name) for name in PLAIN}
    for table in TABLES:
        rows = getattr(numbers, table)
        if len(rows) or table not in OPTIONAL:
            found |= {f"{PREFIX}{table}.{field.name}": getattr(rows, field.name) for field in fields(rows)}
    found[f"{PREFIX}actuator_names"] = np.array(numbers.actuator_names, dtype=np.str_)
    found[f"{PREFIX}unsupported"] = np.array(numbers.unsupported, dtype=np.str_).reshape(-1, 2)
    found[f"{PREFIX}options"] = np.array([json.dumps(asdict(options)) for options in numbers.options], dtype=np.str_)
    return found


def record(stored: dict[str, np.ndarray]) -> MujocoNumbers | None:
    if f"{PREFIX}excluded" not in stored:
        return None
    tables: dict[str, Any] = {}
    for table, kind in TABLES.items():  # columns that an older file does not have are MuJoCo's defaults
        names = [(field.name, f"{PREFIX}{table}.{field.name}") for field in fields(kind)]
        given = {name: stored[place] for name, place in names if place in stored}
        if given or table not in OPTIONAL:
            tables[table] = kind.defaults(len(next(iter(given.values()))), given)
    plain: dict[str, Any] = {name: stored[PREFIX + name] for name in PLAIN}
    return MujocoNumbers(
        **tables,
        **plain,
        actuator_names=tuple(stored[f"{PREFIX}actuator_names"].tolist()),
        options=tuple(_options(text) for text in stored[f"{PREFIX}options"].tolist()),
        unsupported=tuple((kind, name) for kind, name in stored[f"{PREFIX}unsupported"].tolist()),
    )


def _options(text: str) -> MujocoOptions:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(text).items()
    }
    return MujocoOptions(**values)
