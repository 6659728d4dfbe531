"""What makes a code of fixed length of a set of points; every module of this folder registers its encoders.

A new one is a file here, or anywhere else that is imported: a class below `Encoder` with `@register("name")` above it.
Agents then take its name as `encoder`, and tests/agents/test_encoders.py tries it on what all of them promise.
"""

import importlib
import pkgutil

from agents.core.encoders.base import ENCODERS, Encoder, find, register

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["ENCODERS", "Encoder", "find", "register"]
