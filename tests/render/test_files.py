"""What is said when a file cannot be written to its end, and what is left of it."""

import os
import shutil
from pathlib import Path

import pytest

import genesis as gs
from genesis.render.files import check_target, whole

HANGS_UP = "[Errno 32] Broken pipe\n\nFFMPEG COMMAND:\n/a/long/line -of -options\n\nFFMPEG STDERR:\n"


@pytest.mark.parametrize(
    "free, said", [(0, "got: no space left on the device. "), (10**9, "got: [Errno 32] Broken pipe. ")]
)
def test_an_encoder_that_hangs_up_is_one_sentence(free, said, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - free, free))
    video = tmp_path / "a.mp4"
    video.write_bytes(b"before")
    with pytest.raises(gs.GenesisException) as caught, whole(video) as partial:
        partial.write_bytes(b"half")
        raise OSError(HANGS_UP)
    assert said in str(caught.value) and "FFMPEG COMMAND" not in str(caught.value)
    assert video.read_bytes() == b"before" and list(tmp_path.iterdir()) == [video]


def test_what_went_wrong_is_said_also_where_nothing_can_be_removed(tmp_path, monkeypatch):
    """As on a file system that is read only: it refuses even to remove what is not there."""

    def refuse(path, missing_ok=False):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(gs.GenesisException, match="writable to its end, got"), whole(tmp_path / "a.png") as partial:
        (tmp_path / "nowhere" / partial.name).write_bytes(b"half")


def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (tmp_path.resolve(), os.W_OK))
    with pytest.raises(gs.GenesisException, match="output must go into a folder that can be written to, got"):
        check_target("output", tmp_path / "a.gif", (".gif",))
