"""Records of many parts of one kind as arrays: one row per part, read-only."""

from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import numpy as np

from genesis.errors import GenesisValueError


def column(*shape: int, dtype: type = np.float64, index: str = "", default: Any = 0.0) -> Any:
    """A field that is an array over the rows of its table.

    Args:
        shape: of one row.
        index: What integers >= 0 count, which shift when tables are joined: "body" | "link" | "joint" | "tendon" |
            "act" | "geom" | "ground" | "".
        default: of the rows of `Table.defaults`.
    """
    return field(metadata={"shape": shape, "dtype": dtype, "index": index, "default": default})


TableType = TypeVar("TableType", bound="Table")


@dataclass(frozen=True, eq=False)
class Table:
    """Abstract: arrays with one row per part."""

    def __post_init__(self) -> None:
        length = None
        for each in fields(self):
            array = np.array(getattr(self, each.name), dtype=each.metadata["dtype"], order="C")
            length = len(array) if length is None else length
            shape = (length, *each.metadata["shape"])
            if array.size == 0 and length == 0:
                array = array.reshape(shape)
            if array.shape != shape:
                raise GenesisValueError(
                    f"{type(self).__name__}.{each.name} must have shape {shape}, got {array.shape}. "
                    "Pass one row for each."
                )
            array.setflags(write=False)
            object.__setattr__(self, each.name, array)

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    @classmethod
    def defaults(cls: type[TableType], length: int, given: dict[str, np.ndarray]) -> TableType:
        """`length` rows of MuJoCo's defaults, but for the columns that are given."""
        columns: dict[str, np.ndarray] = {}
        for each in fields(cls):
            one = np.broadcast_to(each.metadata["default"], each.metadata["shape"])
            columns[each.name] = np.tile(one, (length, *[1] * len(each.metadata["shape"])))
        return cls(**(columns | given))
