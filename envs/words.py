"""What a task's hooks say of the present state, computed once: within a step they say the same words several times."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Said = TypeVar("Said")


class Words:
    """What has been said of the present state, by method; nothing is kept outside of `remembered`.

    So a hook that somebody calls by hand, perhaps between two backward passes, is computed afresh.
    """

    def __init__(self) -> None:
        """Remembers nothing yet."""
        self.said: dict[Any, Any] | None = None

    @contextmanager
    def remembered(self) -> Iterator[None]:
        """Within it each word is computed once, until `forget`."""
        self.said = {}
        try:
            yield
        finally:
            self.said = None

    def forget(self) -> None:
        """The state has changed."""
        if self.said is not None:
            self.said = {}


def once(word: Callable[[Any], Said]) -> Callable[[Any], Said]:
    """Makes a task's method, which depends on the present state alone, compute once for it within a step."""

    @functools.wraps(word)
    def say(self: Any) -> Said:
        said = self._words.said
        if said is None:
            return word(self)
        if word not in said:
            said[word] = word(self)
        return said[word]

    return say
