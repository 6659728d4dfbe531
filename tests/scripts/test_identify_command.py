"""`python -m scripts.identify`: an example, one's own files, and what it refuses."""

import json
import sys

import numpy as np
import pytest

from genesis import GenesisException
from genesis.identification import Recording
from scripts import identify
from scripts.identify import IdentifyConfig, run

pytestmark = pytest.mark.precision("64")  # whose kernels tests/identification compiles
FEW = ("cart_mass=5:80", "pole_mass=2:30")


def test_an_example_and_then_its_recording_as_files(tmp_path):
    pytest.importorskip("matplotlib")
    lines = run(IdentifyConfig(example="rigid", bounds=FEW, restarts=1, output=tmp_path / "a"))
    written = {path.name for path in (tmp_path / "a").iterdir()}
    assert written == {"identification.json", "identification.md", "fit.png", "recording.npz"}
    assert "cart_mass" in lines[0] and (tmp_path / "a" / "fit.png").read_bytes().startswith(b"\x89PNG")
    first = json.loads((tmp_path / "a" / "identification.json").read_text())
    assert first["parameters"]["cart_mass"]["value"] == pytest.approx(first["truth"]["cart_mass"], rel=0.02)

    fixed = ("rail_damping=40", "rail_friction=40", "hinge_armature=0.6")
    own = {"experiment": "scripts.identification.rigid:build", "recordings": (tmp_path / "a" / "recording.npz",)}
    run(IdentifyConfig(**own, bounds=FEW, fixed=fixed, restarts=1, output=tmp_path / "b", picture=False))
    second = json.loads((tmp_path / "b" / "identification.json").read_text())
    for name, each in first["parameters"].items():
        assert second["parameters"][name]["value"] == pytest.approx(each["value"], rel=1e-6)


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, "must be given without an example, got none"),
        ({"bounds": FEW}, "must be given without an example, got bounds"),
        ({"example": "rigid", "experiment": "a:b"}, "must come without experiment"),
        ({"experiment": "a:b", "recordings": ("x.npz",), "bounds": ("mass=1",)}, "must be NAME=LOW:HIGH, got 'mass=1'"),
        ({"experiment": "a:b", "recordings": ("x.npz",), "bounds": ("mass=1:nan",)}, "must be NAME=LOW:HIGH"),
        ({"experiment": "a:b", "recordings": ("x.npz",), "bounds": FEW, "fixed": ("a=b",)}, "must be NAME=VALUE"),
        ({"experiment": "a:b", "recordings": ("x.npz",), "bounds": FEW, "cases": 3}, "cases must be left out"),
        ({"experiment": "a:b", "recordings": ("x.npz",), "bounds": FEW}, "must be an .npz file, got 'x.npz'"),
        ({"example": "rigid", "bounds": ("mass=1:2",)}, "got 'mass'. Valid ones"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, words, tmp_path):
    with pytest.raises(GenesisException, match=words):
        run(IdentifyConfig(**options, output=tmp_path))


@pytest.mark.parametrize("place", ["nothing", "no.such.module:build", "scripts.identify:nothing", "none.py:build"])
def test_an_experiment_that_is_nowhere_is_refused(place, tmp_path, monkeypatch, capsys):
    recording = Recording(times=[0.0, 0.1, 0.2], controls={}, signals={"x": np.ones(2)}, noise={"x": 1.0})
    recording.save(tmp_path / "x.npz")
    line = ["identify.py", "--experiment", place, "--recordings", str(tmp_path / "x.npz"), "--bounds", "a=1:2"]
    monkeypatch.setattr(sys, "argv", line)
    assert identify.main() == 1
    assert "experiment must be FILE.py:NAME or package.module:NAME" in capsys.readouterr().err


def test_a_missing_matplotlib_is_told_before_the_fit(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(GenesisException, match="leave the picture out: --no-picture"):
        run(IdentifyConfig(example="rigid", output=tmp_path / "report"))
    assert not (tmp_path / "report").exists()
