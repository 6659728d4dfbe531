"""The page: a recording's canvas and the panel that plays it."""

import time
from collections.abc import Sequence
from typing import Any

from scripts.viewer.canvas import ARROW, Canvas
from scripts.viewer.gradients import Gradients
from scripts.viewer.playhead import Playhead
from scripts.viewer.recording import Recording

TICKS = 30.0
"""Pictures per second at most."""
SPEEDS = ("0.1", "0.25", "0.5", "1", "2", "4")
PLAY, PAUSE = "Play", "Pause"


class Page:
    """Shows a recording to whoever opens the page; all see the same moment."""

    def __init__(self, server: Any, recording: Recording, title: str, task: str, tasks: Sequence[str] = ()) -> None:
        """Fills the page, which must be empty.

        Args:
            server: A `viser.ViserServer`.
            recording: Its frames; those that are missing are made as they are needed.
            title: What acts, in words.
            task: The environment's id.
            tasks: Ids that may be chosen in its place; empty: no choice.
        """
        self._recording = recording
        self._gradients = Gradients(recording)
        self.playhead = Playhead(recording.total, float(recording.env.metadata["render_fps"]))
        self.task = task
        """What is chosen; another one than at first: this page is over."""
        self._shown: tuple[Any, ...] = ()
        self._canvas = Canvas(server, recording.visible, 0, recording.frames[0])
        self._fill(server.gui, title, tasks)

    def _fill(self, gui: Any, title: str, tasks: Sequence[str]) -> None:
        recording, n_envs = self._recording, self._recording.env.num_envs
        if tasks:
            choice = gui.add_dropdown("Task", tasks, initial_value=self.task)
            choice.on_update(lambda event: setattr(self, "task", event.target.value))
        gui.add_markdown(title if tasks else f"**{self.task}**  \n{title}")
        self._button = gui.add_button(PAUSE, icon="player-pause")
        self._button.on_click(lambda _: self.playhead.toggle())
        self._slider = gui.add_slider("Step", 0, max(1, recording.total - 1), 1, 0)
        self._slider.on_update(self._scrubbed)
        speed = gui.add_dropdown("Speed", SPEEDS, initial_value="1")
        speed.on_update(lambda event: setattr(self.playhead, "speed", float(event.target.value)))
        names = [str(env) for env in range(n_envs)]
        self._env = gui.add_dropdown("Environment", names, initial_value="0", visible=n_envs > 1)
        self._follow = gui.add_checkbox("Follow", True, hint="Keep the middle of the task's own view in the middle.")
        self._numbers = gui.add_markdown("")
        with gui.add_folder("Gradient"):
            hint = "Where a small push of a part would raise the return: through the simulator, with the actions held."
            self._on = gui.add_checkbox("Arrows", False, hint=hint)
            self._length = gui.add_slider(
                "Length", 0.02, 0.5, 0.01, ARROW, hint="Of the longest, of the eye's distance."
            )
            self._strength = gui.add_markdown("")

    def _scrubbed(self, event: Any) -> None:
        if event.client is not None:  # else it was moved by the video
            self.playhead.scrub(int(event.target.value), len(self._recording.frames))

    def run(self) -> None:
        """Plays until another task is chosen."""
        first, last = self.task, time.perf_counter()
        while self.task == first:
            now = time.perf_counter()
            self.tick(now - last)
            last = now
            time.sleep(max(0.0, now + 1 / TICKS - time.perf_counter()))

    def tick(self, seconds: float) -> None:
        """Lets time pass and shows what is then to be seen.

        Args:
            seconds: Of wall-clock since the last call.
        """
        recording = self._recording
        wanted = self.playhead.wanted(seconds)
        started = time.perf_counter()
        while len(recording.frames) < wanted and time.perf_counter() - started < 2 / TICKS:
            recording.advance()
        number = self.playhead.advance(seconds, len(recording.frames))
        env, arrows, length, follow = int(self._env.value), self._on.value, self._length.value, self._follow.value
        label, icon = (PAUSE, "player-pause") if self.playhead.playing else (PLAY, "player-play")
        if self._button.label != label:
            self._button.label, self._button.icon = label, icon
        if self._slider.value != number:
            self._slider.value = number
        present = (number, env, arrows, length, follow)
        if present != self._shown:
            self._show(*present)
            self._shown = present

    def _show(self, number: int, env: int, arrows: bool, length: float, follow: bool) -> None:
        recording = self._recording
        if arrows and not self._gradients.ready(number):
            self._strength.content = "Going back through the simulator ..."
        gradient = self._gradients.at(number) if arrows else None
        self._canvas.show(recording.frames[number], env, follow, gradient, length)
        step, total = recording.elapsed[number][env], recording.returns[number][env]
        seconds = step / self.playhead.rate
        self._numbers.content = f"Episode: step {step}, {seconds:.2f} s, return {total:.2f}"
        self._strength.content = self._legend(gradient, env, arrows)

    def _legend(self, gradient: Any, env: int, arrows: bool) -> str:
        if not arrows:
            return ""
        if gradient is None:
            return "They need some more steps of the rollout."
        lines = [
            f"{name}: longest arrow {size:.3g} of return per {unit}"
            for name, unit, size in self._recording.visible.strengths(gradient[env])
        ]
        return "  \n".join(lines)
