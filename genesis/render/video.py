"""Videos: MP4 by imageio-ffmpeg, GIF by pillow, both of the extra `video`. A file appears whole or not at all."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np

from genesis.checks import number
from genesis.errors import GenesisRuntimeError, GenesisValueError, optional_import
from genesis.render.files import check_target, discard, disk, whole

ENDINGS = (".mp4", ".gif")
GAP = 2
"""Pixels between pictures side by side."""
GIF_COLORS = 128
"""Colours of a GIF's palette."""
MISFIT = 1.5
"""How many times worse than its first picture a palette may show another one before there is a new palette."""


def tile(frames: Sequence[np.ndarray], columns: int | None = None) -> np.ndarray:
    """Pictures (H, W, 3) side by side in rows, as many columns as rows or one more unless told."""
    columns = columns or math.ceil(math.sqrt(len(frames)))
    if len(frames) == 1:
        return frames[0]
    rows = math.ceil(len(frames) / columns)
    height, width = frames[0].shape[:2]
    whole = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for i, frame in enumerate(frames):
        y, x = (i // columns) * (height + GAP), (i % columns) * (width + GAP)
        whole[y : y + height, x : x + width] = frame
    return whole


class VideoWriter:
    """A video that is being written; a context manager. Leaving it by an error leaves no file."""

    def __init__(self, path: str | os.PathLike[str], fps: float) -> None:
        """Opens it; `path` ends in .mp4 or .gif.

        Raises:
            GenesisValueError: Another ending, a folder that does not exist, or fps out of range.
            GenesisImportError: The extra `video` is not installed.
        """
        self.path = check_target("a video", path, ENDINGS)
        ending = self.path.suffix.lower()
        self.fps = number("fps", fps, 0.0, 1000.0)
        self._mp4 = ending == ".mp4"
        self._library = encoder(self.path)
        self._partial = self.path.with_name(f".{self.path.stem}.{os.getpid()}{ending}")
        self._writer: Any = None
        self._frames: list[Any] = []
        self._palette: Any = None
        self._misfit = 0.0
        self._shape: tuple[int, ...] | None = None

    def __enter__(self) -> "VideoWriter":
        return self

    def add(self, frame: np.ndarray) -> None:
        """One more picture (H, W, 3) uint8, all of one size."""
        if self._shape not in (None, frame.shape):
            raise GenesisValueError(f"frames must all have shape {self._shape}, got {frame.shape}. Render one size.")
        self._shape = frame.shape
        with disk(self.path):
            if self._mp4:
                self._add_mp4(frame)
            else:
                self._frames.append(self._in_few_colors(frame))

    def _add_mp4(self, frame: np.ndarray) -> None:
        height, width = frame.shape[:2]
        even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")  # the codec wants even sizes
        if self._writer is None:
            self._writer = self._library.write_frames(
                str(self._partial),
                (even.shape[1], even.shape[0]),
                fps=self.fps,
                codec="libx264",
                quality=None,
                macro_block_size=2,
                output_params=["-crf", "20", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-movflags", "+faststart"],
                ffmpeg_log_level="error",
            )
            self._writer.send(None)
        self._writer.send(np.ascontiguousarray(even))

    def _in_few_colors(self, frame: np.ndarray) -> Any:
        """A picture for a GIF. One palette for as many pictures as it fits: they are smaller together, and do not
        flicker."""
        image = self._library.fromarray(frame)
        indexed = None
        if self._palette is not None:
            indexed = image.quantize(palette=self._palette, dither=self._library.Dither.NONE)
            if _difference(frame, indexed) > MISFIT * self._misfit + 1.0:
                indexed = None
        if indexed is None:
            self._palette = image.quantize(GIF_COLORS, method=self._library.Quantize.FASTOCTREE)
            indexed = image.quantize(palette=self._palette, dither=self._library.Dither.NONE)
            self._misfit = _difference(frame, indexed)
        return indexed

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            if self._writer is not None:
                self._writer.close()
            discard(self._partial)

    def _finish(self) -> None:
        if self._shape is None:
            raise GenesisRuntimeError("a video must have a frame, got none. Add one.")
        with disk(self.path):
            if self._mp4:
                writer, self._writer = self._writer, None
                writer.close()
                if not self._partial.is_file() or self._partial.stat().st_size == 0 or not _is_whole(self._partial):
                    raise OSError("the encoder wrote no whole file")
            else:
                first, *others = self._frames
                first.save(
                    self._partial,
                    save_all=True,
                    append_images=others,
                    duration=_delays(len(self._frames), self.fps),
                    loop=0,
                    optimize=True,
                )
            with self._partial.open("rb") as file:
                os.fsync(file.fileno())
            self._partial.replace(self.path)


def _difference(frame: np.ndarray, indexed: Any) -> float:
    """Mean difference of a picture in few colours from the whole one, at every fourth pixel both ways."""
    return float(np.abs(np.asarray(indexed.convert("RGB"))[::4, ::4] - frame[::4, ::4].astype(np.float32)).mean())


def _delays(count: int, fps: float) -> list[int]:
    """How long a GIF shows each picture, ms: whole hundredths of a second, in real time on the whole.

    Viewers show pictures of less than 20 ms much longer.
    """
    ends = np.round(np.arange(count + 1) * 100 / min(fps, 50.0))
    return (10 * np.diff(ends)).astype(int).tolist()


def write_video(path: str | os.PathLike[str], frames: Sequence[np.ndarray], fps: float) -> None:
    """Write a video of frames (H, W, 3) uint8; see `VideoWriter`."""
    with VideoWriter(path, fps) as video:
        for frame in frames:
            video.add(frame)


def _is_whole(path: Path) -> bool:
    """Whether an MP4 has its table of contents, which the encoder writes last."""
    with path.open("rb") as file:
        while head := file.read(8):
            size, name = int.from_bytes(head[:4], "big"), head[4:]
            if name == b"moov":
                return True
            if size < 8:
                return False
            file.seek(size - 8, os.SEEK_CUR)
    return False


def encoder(path: Path) -> ModuleType:
    """The library that writes a video or picture of this name.

    Raises:
        GenesisImportError: The extra `video` is not installed.
    """
    return _ffmpeg() if path.suffix.lower() == ".mp4" else _pillow()


def _ffmpeg() -> ModuleType:
    with optional_import("imageio-ffmpeg", "video", "to write MP4 videos"):
        import imageio_ffmpeg
    return imageio_ffmpeg


def _pillow() -> ModuleType:
    with optional_import("pillow", "video", "to write GIF videos and PNG pictures"):
        from PIL import Image
    return Image


def write_png(path: str | os.PathLike[str], picture: np.ndarray, colors: int | None = None) -> None:
    """Write a picture (H, W, 3) uint8 as PNG, whole or not at all.

    Args:
        colors: How many different colours to keep, at most 256, for a small file; None: all.
    """
    target = check_target("a picture", path, (".png",))
    library = _pillow()
    image = library.fromarray(picture)
    if colors is not None:
        image = image.quantize(colors, method=library.Quantize.MEDIANCUT, dither=library.Dither.FLOYDSTEINBERG)
    with whole(target) as partial:
        image.save(partial, optimize=True)
