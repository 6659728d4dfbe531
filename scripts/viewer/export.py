"""A recording as a file that plays without a server: a page of its own (.html), or viser's format (.viser)."""

import os
from pathlib import Path

from genesis.errors import GenesisRuntimeError, GenesisValueError
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
    if path.suffix.lower() not in ENDINGS:
        raise GenesisValueError(f"record must end in {' or '.join(ENDINGS)}, got {str(path)!r}. Rename it.")
    if not path.resolve().parent.is_dir():
        raise GenesisValueError(f"record must lie in an existing folder, got {str(path)!r}. Make the folder.")


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
        canvas = Canvas(server, recording.look, env, recording.frames[0])
        film = server.get_scene_serializer()
        for done, number in enumerate(numbers, 1):
            gradient = gradients.at(number) if arrows else None
            canvas.show(recording.frames[number], env, gradient=gradient)
            film.insert_sleep(every / rate)
            bar.show(done, {})
        data = film.as_html().encode() if path.suffix.lower() == ".html" else film.serialize()
    finally:
        bar.close()
        web.stop(server)
    _write_whole(path, data)
    return len(data)


def _write_whole(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise GenesisRuntimeError(
            f"{path} must be writable to its end, got: {error}. Make room on the disk or choose another place; "
            "no half-written file was left."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
