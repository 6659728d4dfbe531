"""What a recording may hold, and its file."""

import numpy as np
import pytest

from genesis import GenesisException
from genesis.identification import Recording

STEPS = 12


def given(**changes):
    times = 3.0 + 0.05 * np.arange(STEPS + 1)
    return {
        "times": times,
        "controls": {"force": np.ones((STEPS, 2))},
        "signals": {"angle": np.arange(STEPS, dtype=float), "place": np.zeros((STEPS // 4, 3))},
        "noise": {"angle": 0.1, "place": [0.1, 0.2, 0.3]},
        "rates": {"place": 5.0},
        "initial": {"angle": 0.3},
        "units": {"angle": "rad", "force": "N"},
        **changes,
    }


def test_a_file_gives_back_what_was_saved(tmp_path):
    recording = Recording(**given())
    recording.save(tmp_path / "motion.npz")
    again = Recording.load(tmp_path / "motion.npz")
    for group in ("controls", "signals", "noise", "initial"):
        ours, theirs = getattr(recording, group), getattr(again, group)
        assert ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert again.dt == pytest.approx(0.05, abs=1e-12) and again.n_steps == STEPS
    assert (again.every("angle"), again.every("place")) == (1, 4) and again.units == recording.units


def test_another_program_may_write_the_file(tmp_path):
    names = {"control/force": np.ones(2), "signal/x": [1.0, 2.0], "noise/x": 0.1, "unit/x": "m"}
    np.savez(tmp_path / "motion.npz", times=[0.0, 0.1, 0.2], **names)
    recording = Recording.load(tmp_path / "motion.npz")
    assert recording.signals["x"].tolist() == [1.0, 2.0] and recording.units == {"x": "m"}


UNEVEN = 3.0 + 0.05 * np.arange(STEPS + 1)
UNEVEN[5:] += 0.01
GAP = np.arange(STEPS, dtype=float)
GAP[7] = np.nan


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"times": UNEVEN}, "a fixed step apart, .* got 0.06 s at index 4"),
        ({"times": -0.05 * np.arange(STEPS + 1)}, "a fixed step apart"),
        ({"times": [1.0]}, "at least two numbers"),
        ({"signals": {"angle": GAP, "place": np.zeros((3, 3))}}, r"'angle'\] must be finite, got nan at index \(7,\)"),
        ({"controls": {"force": np.full(STEPS, np.inf)}}, r"controls\['force'\] must be finite"),
        ({"controls": {"force": np.ones(STEPS + 1)}}, "must have 12 rows, one for each step"),
        ({"signals": {"angle": np.zeros(STEPS), "place": np.zeros((12, 3))}}, r"must have 3 rows, one in 4 step\(s\)"),
        ({"signals": {}, "noise": {}, "rates": {}}, "at least one signal"),
        ({"rates": {"place": 3.0}}, "a whole part of the rate of control, 20 Hz, got 3 Hz"),
        ({"rates": {"place": 40.0}}, "a whole part of the rate of control"),
        ({"rates": {"speed": 5.0}}, "another: speed"),
        ({"noise": {"angle": 0.1}}, "none for place"),
        ({"noise": {"angle": 0.0, "place": 0.1}}, r"noise\['angle'\] must be > 0"),
        ({"noise": {"angle": 0.1, "place": [0.1, 0.2]}}, r"of shape \(\) or \(3,\)"),
    ],
)
def test_what_is_no_recording_is_refused(changes, words):
    with pytest.raises(GenesisException, match=words):
        Recording(**given(**changes))


def test_files_of_another_layout_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("x")
    np.savez(tmp_path / "names.npz", times=[0.0, 1.0], angle=[1.0])
    np.savez(tmp_path / "timeless.npz", **{"signal/x": [1.0]})
    for name, words in (
        ("text", "an .npz file"),
        ("none", "an .npz file"),
        ("names", "'angle'"),
        ("timeless", "times"),
    ):
        with pytest.raises(GenesisException, match=words):
            Recording.load(tmp_path / f"{name}.npz")
