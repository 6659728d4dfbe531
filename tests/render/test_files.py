"""What is said when a file cannot be written to its end, and what is left of it."""

import shutil

import pytest

import genesis as gs
from genesis.render.files import whole

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
