"""Learning curves: reading events, statistics by hand, pictures, and folders that are none."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

import genesis as gs
from scripts.curves import Curve, band, find_runs, interquartile_mean, read_curve
from scripts.plot import PlotConfig, draw, grouped, plot, report

TAG = "charts/episodic_return"
NOW = time.time()


def write_session(run, points, tag=TAG, start=NOW, suffix=""):
    """Events of one session: (step, seconds since its start, value)."""
    writer = SummaryWriter(str(run), filename_suffix=suffix)
    writer.add_text("hyperparameters", "none", walltime=start)
    for step, seconds, value in points:
        writer.add_scalar(tag, value, step, walltime=start + seconds)
    writer.close()


def make_run(folder, name, env="genesis/Hopper-v0", agent="bptt", points=None):
    run = folder / name
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"config": {"train": {"env": env, "agent": agent}}}))
    if points is not None:
        write_session(run, points)
    return run


def straight(slope, n=50):
    return [(100 * k, 60.0 * k, slope * k) for k in range(1, n + 1)]


def curve(values, run="run"):
    n = len(values)
    return Curve(run, "env", "agent", np.arange(1.0, n + 1), 2.0 * np.arange(1.0, n + 1), np.array(values, float))


def test_curves_are_read_as_they_were_written(tmp_path):
    read = read_curve(make_run(tmp_path, "a", agent="shac", points=straight(2.0)), TAG)
    assert (read.env, read.agent) == ("genesis/Hopper-v0", "shac")
    np.testing.assert_array_equal(read.steps, 100 * np.arange(1, 51))
    np.testing.assert_allclose(read.values, 2.0 * np.arange(1, 51))
    np.testing.assert_allclose(read.seconds - read.seconds[0], 60.0 * np.arange(50), atol=1e-3)


def test_a_resumed_run_is_one_curve_without_its_pause(tmp_path, monkeypatch):
    run = make_run(tmp_path, "a")
    clock = NOW
    monkeypatch.setattr(time, "time", lambda: clock)
    write_session(run, [(100, 10.0, 1.0), (200, 20.0, 2.0), (300, 30.0, 3.0)], start=clock)
    clock = NOW + 5000.0  # the checkpoint was of step 200, so step 300 comes again
    write_session(run, [(300, 10.0, 30.0), (400, 20.0, 40.0)], start=clock)
    read = read_curve(run, TAG)
    assert read.steps.tolist() == [100, 200, 300, 400] and read.values.tolist() == [1.0, 2.0, 30.0, 40.0]
    np.testing.assert_allclose(read.seconds, [10.0, 20.0, 40.0, 50.0], atol=1e-3)


def test_interquartile_mean_by_hand():
    rows = np.array([[0.0, 100.0], [1.0, 1.0], [3.0, 2.0], [1000.0, 3.0]])
    assert interquartile_mean(rows).tolist() == [2.0, 2.5]
    assert interquartile_mean(rows[:3]).tolist() == [4.0 / 3.0, 103.0 / 3.0]  # too few to leave one out
    assert interquartile_mean(rows[:1]).tolist() == [0.0, 100.0]


def test_the_interval_covers_the_mean_as_often_as_it_says():
    generator = np.random.default_rng(1)
    covered = []
    for trial in range(100):
        each = band([curve(generator.normal(7.0, 1.0, 4)) for _ in range(12)], "steps", points=2, seed=trial)
        covered.append(((each.low <= 7.0) & (each.high >= 7.0)).mean())
        assert (each.low <= each.middle).all() and (each.middle <= each.high).all()
    assert 0.8 < np.mean(covered) < 1.0


def test_windows_average_and_end_with_the_shortest_run():
    each = band([curve(range(1, 9))], "steps", points=4)
    assert each.x.tolist() == [1.0, 3.0, 5.0, 7.0] and each.middle.tolist() == [1.5, 3.5, 5.5, 7.5]
    assert np.isnan(each.low).all() and each.runs == 1
    assert band([curve(range(8)), curve(range(4))], "seconds", points=4).x[-1] == 7.0
    untrained = Curve("run", "env", "agent", np.array([0.0, 8.0]), np.array([0.0, 8.0]), np.array([5.0, 1.0]))
    assert band([untrained], "steps", points=4).middle[[0, -1]].tolist() == [5.0, 1.0]  # step 0 is in the first window


def test_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    for agent, slope in (("bptt", 1.0), ("shac", 2.0)):
        for seed in range(4):
            make_run(tmp_path / "runs", f"{agent}-{seed}", agent=agent, points=straight(slope + 0.1 * seed))
    make_run(tmp_path / "runs", "ant", env="genesis/Ant-v0", points=straight(1.0))
    config = PlotConfig((tmp_path / "runs",), out=tmp_path / "plots", dpi=60)
    groups, written = plot(config)
    assert [path.name for path in written] == [
        f"charts-episodic_return-{axis}.{kind}" for axis in ("steps", "seconds") for kind in ("png", "svg")
    ]
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {path.name for path in written}
    assert all(path.read_bytes()[:4] in (b"\x89PNG", b"<?xm") for path in written)
    svg = written[3].read_text()
    assert all(word in svg for word in ("wall-clock (min)", "genesis/Hopper-v0", "genesis/Ant-v0", "shac (4 runs)"))
    lines = report(groups, config.points)
    assert lines[0] == "genesis/Ant-v0 bptt: 50 at 5k steps, runs: 1"
    assert lines[2].startswith("genesis/Hopper-v0 shac: 107.5 [10") and lines[2].endswith("runs: 4")
    before = svg
    plot(config)
    assert written[3].read_text() == before, "the same runs give the same picture"


@pytest.mark.parametrize(("against", "width"), [("steps", 1000.0), ("seconds", 10.0)])  # the latter in minutes
def test_the_figure_draws_the_means_and_intervals_of_the_runs(against, width):
    """Five windows of ten values each, so the mean of 1 ... 10, 11 ... 20 and so on, times the slope."""
    pytest.importorskip("matplotlib")
    from matplotlib import pyplot
    from matplotlib.colors import to_rgb

    k = np.arange(1.0, 51.0)
    runs = [("shac", 2.0), ("shac", 4.0), ("bptt", -1.0)]
    curves = [Curve(Path("run"), "env", agent, 100 * k, 60 * k, slope * k) for agent, slope in runs]
    figure = draw(pyplot, grouped(curves), against, TAG, points=5)
    (panel,) = figure.axes
    lines = {line.get_label(): line for line in panel.lines}
    centres, means = width * np.arange(0.5, 5.0), np.arange(5.5, 50.0, 10.0)
    for label, slope in (("bptt (1 run)", -1.0), ("shac (2 runs)", 3.0)):
        np.testing.assert_allclose(lines[label].get_xdata(), centres)
        np.testing.assert_allclose(lines[label].get_ydata(), slope * means)
    (shade,) = panel.collections  # of two runs the interval ends at each: a quarter of the resamples hold one twice
    outline = shade.get_paths()[0].vertices
    assert set(outline[:, 0].round(6)) == set(centres.round(6))
    for x, mean in zip(centres, means, strict=True):
        at = outline[np.isclose(outline[:, 0], x), 1]
        assert (at.min(), at.max()) == pytest.approx((2 * mean, 4 * mean))
    assert shade.get_facecolor()[0, :3] == pytest.approx(to_rgb(lines["shac (2 runs)"].get_color()))
    left, right = panel.get_xlim()
    assert left == 0 and right > centres[-1], "all of it is within the panel"
    pyplot.close(figure)


def test_folders_that_are_no_runs(tmp_path):
    empty, silent = tmp_path / "empty", make_run(tmp_path, "silent")
    empty.mkdir()
    broken = make_run(tmp_path, "broken", points=straight(1.0))
    (broken / "config.json").write_text("{}")
    garbage = make_run(tmp_path, "garbage")
    (garbage / "events.out.tfevents.1.host").write_bytes(b"no events" * 100)
    hopeless = make_run(tmp_path, "hopeless", points=[(1, 1.0, float("nan"))])
    for paths, message in (
        ([tmp_path / "missing"], "missing, which is none"),
        ([empty], "empty without a config.json"),
        ([], "at least one folder"),
    ):
        with pytest.raises(gs.GenesisException, match=message):
            find_runs(paths)
    for run, message in (
        (silent, "silent without any"),
        (garbage, "garbage without any"),
        (broken, "cannot be read"),
        (hopeless, "finite values"),
    ):
        with pytest.raises(gs.GenesisException, match=message):
            read_curve(run, TAG)
    good = make_run(tmp_path, "good", points=straight(1.0))
    with pytest.raises(gs.GenesisException, match="Its tags: charts/episodic_return"):
        read_curve(good, "losses/none")


def test_a_parent_folder_stands_for_its_runs(tmp_path):
    runs = [make_run(tmp_path, name) for name in ("a", "b")]
    (tmp_path / "notes").mkdir()
    assert find_runs([tmp_path, runs[0]]) == runs


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    run = make_run(tmp_path, "a", points=straight(1.0))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(gs.GenesisException, match=r'pip install -e "\.\[plot\]"'):
        plot(PlotConfig((run,), out=tmp_path / "plots"))
    assert not (tmp_path / "plots").exists()


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path):
    pytest.importorskip("matplotlib")
    run = make_run(tmp_path, "a", points=straight(1.0))
    (tmp_path / "plots").write_text("a file")
    with pytest.raises(gs.GenesisException, match="out must be a folder that can be written to"):
        plot(PlotConfig((run,), out=tmp_path / "plots"))


@pytest.mark.parametrize("options", [{"points": 1}, {"dpi": 0}])
def test_bad_numbers(options, tmp_path):
    with pytest.raises(gs.GenesisException, match="must be at least"):
        plot(PlotConfig((tmp_path,), **options))
