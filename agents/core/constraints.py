"""Constraints on hyper-parameters, checked once when a configuration is made."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from genesis.errors import GenesisValueError


class Constraint(NamedTuple):
    """What a value must do, as text and as a test."""

    requirement: str
    holds: Callable[[Any], bool]


WHOLE = Constraint("be a whole number of at least 1", lambda x: x == int(x) and x >= 1)
POSITIVE = Constraint("be positive and finite", lambda x: 0 < x < math.inf)
LIMIT = Constraint("be None, or positive and finite", lambda x: x is None or 0 < x < math.inf)
RATE = Constraint("be at least 0 and finite", lambda x: 0 <= x < math.inf)
UNIT = Constraint("lie in (0, 1]", lambda x: 0 < x <= 1)
BELOW_ONE = Constraint("lie in [0, 1)", lambda x: 0 <= x < 1)
PART = Constraint("lie in [0, 1]", lambda x: 0 <= x <= 1)
NUMBER = Constraint("be finite", math.isfinite)
BETAS = Constraint("be two numbers in [0, 1)", lambda x: len(x) == 2 and all(0 <= beta < 1 for beta in x))
WIDTHS = Constraint("be positive widths", lambda x: all(width >= 1 for width in x))


def check_constraints(config: Any, constraints: Mapping[str, Constraint]) -> None:
    """Raises GenesisValueError for the first of these fields that violates its constraint."""
    for name, constraint in constraints.items():
        value = getattr(config, name)
        if not constraint.holds(value):
            raise GenesisValueError(f"{name} must {constraint.requirement}, got {value!r}.")
