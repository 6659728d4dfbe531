"""How a body looks."""

from genesis.checks import assign, record, vector


@record
class Default:
    """A plain opaque surface."""

    color: tuple[float, float, float] = (0.8, 0.8, 0.8)
    """Red, green and blue, each from 0 to 1."""

    def __post_init__(self) -> None:
        assign(self, "color", vector("surfaces.Default.color", self.color))
