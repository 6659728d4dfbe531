"""Exceptions. Each also derives from the builtin that a caller would expect."""


class GenesisException(Exception):
    """Base of every error that this package raises on purpose."""


class GenesisValueError(GenesisException, ValueError):
    """A value breaks the law of its argument."""


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
