"""What scripts of the public Genesis engine may write here without effect, and what is refused; see `public_names`."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from genesis.errors import GenesisAttributeError, GenesisTypeError, GenesisValueError
from genesis.public_names import ARGUMENTS, ATTRIBUTES, Ignored, Refused, Spelt
from genesis.warning import warn_once

Function = TypeVar("Function", bound=Callable[..., Any])


def take(owner: Any, given: dict[str, Any]) -> dict[str, Any]:
    """What of keyword arguments of `owner`, a class or a function, is its own; tells once what is without effect.

    Raises:
        GenesisValueError: A value that only the public engine has.
        GenesisTypeError: An argument is given by both of its names.
    """
    table = _table(owner)
    own: dict[str, Any] = {}
    ignored: dict[str, list[str]] = {}
    for name, value in given.items():
        entry = table.get(name)
        if isinstance(entry, Ignored | Refused) and type(value) is type(entry.default) and value == entry.default:
            continue
        if isinstance(entry, Refused):
            raise GenesisValueError(
                f"{_short(owner)}.{name} must be {entry.default!r} or left out, got {value!r}. {entry.remedy}."
            )
        if isinstance(entry, Ignored):
            ignored.setdefault(entry.reason, []).append(name)
            continue
        here = entry.here if isinstance(entry, Spelt) else name
        if here in own or (here != name and here in given):
            raise GenesisTypeError(f"{_short(owner)}.{here} must be given once, got {name}, too. Leave one out.")
        own[here] = value
    for reason, names in ignored.items():
        warn_once(f"{_short(owner)}.{', '.join(names)} {'has' if len(names) == 1 else 'have'} no effect: {reason}.")
    return own


def keywords(function: Function) -> Function:
    """Decorator of a function that the public engine has with more arguments: see `ARGUMENTS`."""

    @wraps(function)
    def taking(*args: Any, **given: Any) -> Any:
        return function(*args, **(take(function, given) if given else given))

    return taking  # type: ignore[return-value]


def accepted(owner: Any, name: str) -> bool:
    """Whether an argument of the public engine can be passed here, though it may be without effect."""
    return name in _table(owner)


def remedy(owner: str, name: str) -> str:
    """What to write in place of a name that only the public engine has; empty if there is nothing to be said."""
    return ATTRIBUTES.get(owner, {}).get(name, "")


def missing(owner: str, name: str) -> GenesisAttributeError:
    """The error for a name that `owner` does not have."""
    told = remedy(owner, name)
    if not told:
        return GenesisAttributeError(f"{owner!r} has no attribute {name!r}")
    return GenesisAttributeError(f"{owner}.{name} must be left out, got a use of what is not there. {told}.")


def _table(owner: Any) -> dict[str, Ignored | Refused | Spelt]:
    bases = owner.__mro__ if isinstance(owner, type) else (owner,)
    return {name: entry for base in reversed(bases) for name, entry in ARGUMENTS.get(base.__qualname__, {}).items()}


def _short(owner: Any) -> str:
    return owner.__qualname__.removesuffix(".__init__")
