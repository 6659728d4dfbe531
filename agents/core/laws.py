"""Laws that hyper-parameters obey, checked once when a configuration is made."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from genesis.errors import GenesisValueError


class Law(NamedTuple):
    """What a value must do, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]


WHOLE = Law("be a whole number of at least 1", lambda x: x == int(x) and x >= 1)
POSITIVE = Law("be positive and finite", lambda x: 0 < x < math.inf)
LIMIT = Law("be None, or positive and finite", lambda x: x is None or 0 < x < math.inf)
RATE = Law("be at least 0 and finite", lambda x: 0 <= x < math.inf)
UNIT = Law("lie in (0, 1]", lambda x: 0 < x <= 1)
PART = Law("lie in [0, 1]", lambda x: 0 <= x <= 1)
NUMBER = Law("be finite", math.isfinite)
BETAS = Law("be two numbers in [0, 1)", lambda x: len(x) == 2 and all(0 <= beta < 1 for beta in x))
WIDTHS = Law("be positive widths", lambda x: all(width >= 1 for width in x))


def obey(config: Any, laws: Mapping[str, Law]) -> None:
    """Raises GenesisValueError for the first of these fields that breaks its law."""
    for name, law in laws.items():
        value = getattr(config, name)
        if not law.holds(value):
            raise GenesisValueError(f"{name} must {law.words}, got {value!r}.")
