"""What a task's hooks compute from the present state, once a step: several hooks ask for the same values."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

Value = TypeVar("Value")


class StepCache:
    """Values computed from the present state, by method; nothing is kept outside of `active`.

    So a hook that somebody calls by hand, perhaps between two backward passes, is computed afresh. So is a value after
    a hook has set the state, which the scene then shows by another object, and one asked for without a graph and then
    with one.
    """

    def __init__(self) -> None:
        """Keeps nothing yet."""
        self._values: dict[Any, Any] | None = None
        self._state: Any = None

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within it each value is computed once, until `clear` or another state."""
        self._values = {}
        try:
            yield
        finally:
            self._values = self._state = None

    def clear(self) -> None:
        """What the values depend on has changed."""
        if self._values is not None:
            self._values = {}

    def of(self, task: Any) -> dict[Any, Any] | None:
        """The values for the task's scene as it is now, to read and add to; None where nothing is kept."""
        if self._values is not None and (state := task.scene.get_state()) is not self._state:
            self._values, self._state = {}, state
        return self._values


def cached_per_step(method: Callable[[Any], Value]) -> Callable[[Any], Value]:
    """Makes a task's method, which depends on the present state and episode alone, compute once within a step."""

    @functools.wraps(method)
    def cached(self: Any) -> Value:
        values = self._step_cache.of(self)
        if values is None:
            return method(self)
        key = method, torch.is_grad_enabled()
        if key not in values:
            values[key] = method(self)
        return values[key]

    return cached
