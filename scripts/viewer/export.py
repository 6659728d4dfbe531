"""A recording as a file that plays without a server: a page of its own (.html), or viser's format (.viser)."""

from pathlib import Path

from genesis.render.files import check_target, whole
from scripts.progress import Progress
from scripts.viewer import server as web
from scripts.viewer.canvas import Canvas
from scripts.viewer.gradients import Gradients
from scripts.viewer.recording import Recording

ENDINGS = (".html", ".viser")
FPS = 30.0
"""Frames per second at most."""


def check(path: Path) -> None:
    """Raises GenesisValueError unless a file could be written there."""
    check_target("record", path, ENDINGS)


def write(path: Path, recording: Recording, env: int, arrows: bool) -> int:
    """Writes the whole recording, as far as it is computed; the file appears whole or not at all.

    Args:
        path: Ends in .html or .viser.
        recording: Its frames.
        env: The environment to show.
        arrows: Whether to draw gradient arrows.

    Returns:
        Bytes written.

    Raises:
        GenesisRuntimeError: The file cannot be written.
    """
    rate = float(recording.env.metadata["render_fps"])
    every = max(1, round(rate / FPS))
    numbers = range(0, len(recording.frames), every)
    gradients, bar = Gradients(recording), Progress(len(numbers))
    server = web.start("127.0.0.1", 0, "recording")
    try:
        canvas = Canvas(server, recording.visible, env, recording.frames[0])
        video = server.get_scene_serializer()
        for done, number in enumerate(numbers, 1):
            gradient = gradients.at(number) if arrows else None
            canvas.show(recording.frames[number], env, gradient=gradient)
            video.insert_sleep(every / rate)
            bar.show(done, {})
        data = video.as_html().encode() if path.suffix.lower() == ".html" else video.serialize()
    finally:
        bar.close()
        web.stop(server)
    with whole(path) as partial:
        partial.write_bytes(data)
    return len(data)
