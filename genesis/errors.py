"""Exceptions. Each also derives from the builtin that a caller would expect."""

from collections.abc import Iterator
from contextlib import contextmanager


class GenesisException(Exception):
    """Base of every error that this package raises on purpose."""


class GenesisValueError(GenesisException, ValueError):
    """A value violates the constraint of its argument."""


class GenesisTypeError(GenesisException, TypeError):
    """An argument has the wrong kind."""


class GenesisRuntimeError(GenesisException, RuntimeError):
    """A call comes at the wrong time or in the wrong process."""


class GenesisForkError(GenesisRuntimeError):
    """The toolkit is used in a forked child of the process that started it."""


class GenesisImportError(GenesisException, ImportError):
    """Something that this package needs is not installed."""


class GenesisKeyError(GenesisException, KeyError):
    """A name is not among the valid ones."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class GenesisAttributeError(GenesisException, AttributeError):
    """A name is not there."""


@contextmanager
def optional_import(package: str, extra: str, purpose: str, instead: str = "") -> Iterator[None]:
    """Within it a failed import becomes an error that names the extra which brings the package.

    Args:
        package: What is imported.
        extra: Its extra in pyproject.toml.
        purpose: What it is needed for: "to draw curves".
        instead: How to do without it, if one can: "leave the file out: --no-onnx".

    Raises:
        GenesisImportError: The package, or something that it needs, is not installed.
    """
    try:
        yield
    except ImportError as error:
        remedy = f'Install the extra: pip install -e ".[{extra}]"' + (f", or {instead}." if instead else ".")
        raise GenesisImportError(f"{package} must be installed {purpose}, got: {error}. {remedy}") from error
