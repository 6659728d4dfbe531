"""What a task's hooks say of the present state, computed once: within a step they say the same words several times."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

Said = TypeVar("Said")


class Words:
    """What has been said of the present state, by method; nothing is kept outside of `remembered`.

    So a hook that somebody calls by hand, perhaps between two backward passes, is computed afresh. So is a word after a
    hook has set the state, which the scene then tells by another object, and a word said without a graph and then with
    one.
    """

    def __init__(self) -> None:
        """Remembers nothing yet."""
        self._said: dict[Any, Any] | None = None
        self._state: Any = None

    @contextmanager
    def remembered(self) -> Iterator[None]:
        """Within it each word is computed once, until `forget` or another state."""
        self._said = {}
        try:
            yield
        finally:
            self._said = self._state = None

    def forget(self) -> None:
        """What words depend on has changed."""
        if self._said is not None:
            self._said = {}

    def of(self, task: Any) -> dict[Any, Any] | None:
        """What has been said of the task's scene as it is now, to read and add to; None where nothing is kept."""
        if self._said is not None and (state := task.scene.get_state()) is not self._state:
            self._said, self._state = {}, state
        return self._said


def once(word: Callable[[Any], Said]) -> Callable[[Any], Said]:
    """Makes a task's method, which depends on the present state and episode alone, compute once within a step."""

    @functools.wraps(word)
    def say(self: Any) -> Said:
        said = self._words.of(self)
        if said is None:
            return word(self)
        key = word, torch.is_grad_enabled()
        if key not in said:
            said[key] = word(self)
        return said[key]

    return say
