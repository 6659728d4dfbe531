"""Files of TensorBoard events of a run that goes on from a checkpoint: what came after it is taken out of them."""

import os
from collections.abc import Callable
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.summary.writer.record_writer import RecordWriter


def remove(run: Path, unwanted: Callable[[Event], bool]) -> None:
    """Takes events out of the files of a folder, each of which is written whole or not at all.

    A process that was killed may have left half an event at a file's end, at which every reader stops; it goes, too.

    Args:
        run: The folder.
        unwanted: Whether an event is to go.

    Raises:
        OSError: The disk did not take a file; those before it are done.
    """
    for path in sorted(run.glob("events.out.tfevents.*")):
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        found = False
        try:
            with temporary.open("wb") as file:
                writer = RecordWriter(file)
                for record in RawEventFileLoader(str(path)).Load():
                    if unwanted(Event.FromString(record)):
                        found = True
                    else:
                        writer.write(record)
            if found:
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def tags(event: Event) -> list[str]:
    """What an event has values of."""
    return [value.tag for value in event.summary.value]
