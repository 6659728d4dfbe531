"""How long the simulator works: forward by the wall, backward by hooks on its place in the graph."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from envs.cotangents import maker


class SimulatorClock:
    """Adds up the seconds of the simulator's steps and of their adjoints."""

    def __init__(self) -> None:
        """At zero."""
        self.seconds = 0.0
        self._since = 0.0

    @contextmanager
    def forward(self) -> Iterator[None]:
        """What happens within is the simulator's."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - started

    def watch_backward(self, state: torch.Tensor) -> None:
        """Counts the time of the graph node that made this state, whenever a gradient passes it."""
        node = maker(state)
        if node is not None:
            node.register_prehook(self._start)
            node.register_hook(self._stop)

    def _start(self, gradients: Any) -> None:
        self._since = time.perf_counter()

    def _stop(self, inputs: Any, outputs: Any) -> None:
        self.seconds += time.perf_counter() - self._since
