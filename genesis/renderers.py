"""The renderer, for scripts of the public engine, which choose one."""

from typing import TYPE_CHECKING, Any

from genesis.checks import record
from genesis.public_engine import missing


@record
class Rasterizer:
    """What draws pictures here in any case."""


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing("gs.renderers", name)
