"""Which frame is shown when: play, pause, speed and scrubbing, without a clock or a browser of its own."""

from dataclasses import dataclass
from threading import Lock


@dataclass
class Playhead:
    """A place on a video. Methods may be called from any thread."""

    total: int
    """Frames that there will be."""
    rate: float
    """Frames per second of simulated time."""
    playing: bool = True
    speed: float = 1.0
    """Simulated seconds in a second."""
    place: float = 0.0
    """Frames from the start."""

    def __post_init__(self) -> None:
        self._lock = Lock()

    @property
    def frame(self) -> int:
        """The frame that is shown."""
        return int(self.place)

    def advance(self, seconds: float, available: int) -> int:
        """Lets time pass while it plays; at the video's end it goes on from the start.

        Args:
            seconds: Of wall-clock.
            available: Frames that are there by now; it waits at the last of them.

        Returns:
            The frame to show.
        """
        with self._lock:
            if self.playing:
                self.place += seconds * self.rate * self.speed
                if self.place >= self.total:
                    self.place = 0.0
                self.place = min(self.place, available - 1.0)
            return self.frame

    def wanted(self, seconds: float) -> int:
        """How many frames it takes to play on for so long."""
        with self._lock:
            return min(self.total, int(self.place + seconds * self.rate * self.speed * self.playing) + 1)

    def scrub(self, frame: int, available: int) -> None:
        """Goes to a frame, or the last one that is there, and stays."""
        with self._lock:
            self.playing, self.place = False, float(max(0, min(frame, available - 1)))

    def toggle(self) -> bool:
        """Plays or pauses; returns whether it plays now."""
        with self._lock:
            self.playing = not self.playing
            return self.playing
