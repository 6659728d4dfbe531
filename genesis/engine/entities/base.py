"""What all entities have in common."""

import uuid
from collections.abc import Callable
from typing import Any, cast

import torch

from genesis.engine.inputs import Array, Environments, environments, real, rows
from genesis.engine.values import Values
from genesis.errors import GenesisRuntimeError, GenesisTypeError
from genesis.grad.tensor import Tensor
from genesis.morphs import Morph
from genesis.public_engine import missing
from genesis.surfaces import Default
from genesis.visible import Visible


class Entity:
    """Abstract: a body of a scene. Made by `scene.add_entity`; its values exist from `scene.build` on."""

    kind: str
    """The solver that moves it."""
    PLACED: tuple[str, ...] = ()
    """What it only has once the scene is built."""

    def __init__(self, idx: int, name: str, morph: Morph, material: Any, surface: Default) -> None:
        self.uid = str(uuid.uuid4())
        self.idx, self.name = idx, name
        self.morph, self.material, self.surface = morph, material, surface
        self._built: Values | None = None

    def __getattr__(self, name: str) -> Any:
        """Called for what is missing: before the scene is built that is what `_place` sets."""
        if self.__dict__.get("_built") is None and name in type(self).PLACED:
            return self._values  # raises
        raise missing(type(self).__name__, name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} of {type(self.morph).__name__}>"

    @property
    def _values(self) -> Values:
        if self._built is None:
            raise GenesisRuntimeError(
                f"entity {self.name!r} must be built first, got a call before. Call scene.build()."
            )
        return self._built

    @property
    def is_built(self) -> bool:
        """Whether the scene has been built."""
        return self._built is not None

    def visible(self) -> tuple[Visible, ...]:
        """What cameras show of it, once the scene is built."""
        return ()

    def followed(self, link: Any = None) -> Callable[[], torch.Tensor] | None:
        """To the place (B, 3), m, with which a camera that follows it goes along; None of what never moves.

        Raises:
            GenesisTypeError: A link is given, and it has none.
        """
        return None

    def _refuse_link(self, link: Any) -> None:
        if link is not None:
            raise GenesisTypeError(f"link must be None for {self!r}, got {link!r}. It has no links.")

    def _chosen(self, envs_idx: Environments) -> torch.Tensor | None:
        return environments(envs_idx, self._values.n_envs)

    def _rows(
        self, what: str, value: Array, items: tuple[tuple[int, ...], ...], envs: torch.Tensor | None
    ) -> torch.Tensor:
        """A checked value with a leading axis for each chosen environment."""
        what = f"{self.name}.{what}"
        return rows(what, real(what, value, self._values.scene), items, envs, self._values.n_envs)

    def _pick(self, value: torch.Tensor, envs_idx: Environments) -> Tensor:
        envs = self._chosen(envs_idx)
        return cast(Tensor, value if envs is None else value.index_select(0, envs))

    def _set_parameters(self, key: tuple[str, str], given: dict[int, Any], envs: torch.Tensor | None) -> None:
        """Set numbers of a parameter field; all or none."""
        old, scene = self._values.parameters(key), self._values.scene
        changed = {place: old[place].assign(old[place].given(value, scene), envs) for place, value in given.items()}
        self._values.set_parameters(key, changed)
