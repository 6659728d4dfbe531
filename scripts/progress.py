"""Progress of a run: a bar on a terminal, plain lines otherwise."""

import sys
import time

from tqdm import tqdm


class Progress:
    """Shows how many of the steps are done, with a few numbers beside."""

    def __init__(self, total: int, every_s: float = 10.0):
        """Args: total: steps; every_s: seconds between lines where standard error is no terminal."""
        self._every_s = every_s
        self._total = total
        self._started = self._printed = time.perf_counter()
        self._bar = tqdm(total=total, unit="step", unit_scale=True) if sys.stderr.isatty() else None

    def show(self, done: int, numbers: dict[str, float]) -> None:
        """Updates the bar, or prints a line when it is time for one."""
        text = ", ".join(f"{name} {value:.3g}" for name, value in numbers.items())
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
            self._bar.set_postfix_str(text)
            return
        now = time.perf_counter()
        if now - self._printed >= self._every_s or done >= self._total:
            self._printed = now
            print(f"{now - self._started:6.0f} s  {done}/{self._total} steps  {text}", flush=True)

    def close(self) -> None:
        """Leaves the terminal's line."""
        if self._bar is not None:
            self._bar.close()
