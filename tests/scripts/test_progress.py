"""What a progress shows: steps, or time where it ends the run first."""

import io
import os
import sys

import pytest

from scripts.progress import EpisodeProgress, Progress
from scripts.train_loop import Headline


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_count_what_ends_the_run_first(capsys):
    progress = Progress(1000, limit_s=120.0, every_s=0.0)
    progress.show(100, {"return": 1.5, "note": "none", "steps/s": 20480.0}, seconds=60.0)
    progress.show(900, {}, seconds=61.0)
    progress.show(950, {}, seconds=121.0)
    progress.close()
    timed, counted, over = capsys.readouterr().out.splitlines()
    assert timed == "60/120 s  100 steps  return 1.5, note none, steps/s 20,480"
    assert counted.split() == ["0", "s", "900/1,000", "steps"]
    assert over == "120/120 s  950 steps"


def test_lines_are_few_but_the_last_one_comes(capsys):
    progress = Progress(3)
    for done in (1, 2, 3):
        progress.show(done, {})
    assert capsys.readouterr().out.split() == ["0", "s", "3/3", "steps"]


def test_episodes_that_end_are_counted_with_their_steps(capsys):
    progress = EpisodeProgress(4)
    for ended, steps in ((1, 500), (0, 400), (3, 400)):
        progress(ended, steps)
    progress.close()
    assert capsys.readouterr().out.split() == ["0", "s", "4/4", "episodes", "steps", "1,300"]


@pytest.mark.parametrize("limit, part", [(float("inf"), " 10%"), (120.0, " 50%")])
def test_a_bar_shows_the_larger_part(monkeypatch, limit, part):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress(1000, limit_s=limit)
    progress.show(100, {}, seconds=60.0)
    progress.close()
    last = terminal.getvalue().split("\r")[-1]
    assert last.startswith(part) and ("60/120 s" in last) is (limit < 1e9)


def test_a_terminal_without_a_width_gets_lines(monkeypatch, capsys):
    terminal = Terminal()
    terminal.fileno = lambda: 2
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("os.get_terminal_size", lambda descriptor: os.terminal_size((0, 0)))
    progress = Progress(3)
    progress.show(3, {})
    progress.close()
    assert capsys.readouterr().out.split() == ["0", "s", "3/3", "steps"] and not terminal.getvalue()


def test_every_update_shows_a_return():
    """The last one, where no episode ended in the update itself."""
    headline, loss, ended = Headline(resumed=False), {"losses/policy_loss": 2.0}, {"charts/episodic_return": 7.0}
    assert headline.of(loss) == {"last return": "(no episode has ended yet)", "loss": 2.0}
    for scalars in (loss | ended, loss):
        assert headline.of(scalars) == {"last return": 7.0, "loss": 2.0}
    assert headline.of({"charts/success_rate": 0.5}) == {"last return": 7.0, "last success": 0.5}
    assert Headline(resumed=True).of({}) == {"last return": "(no episode has ended since the resumption)"}
    assert Headline(resumed=False).of({"charts/best_return": 3.0}) == {"best return": 3.0}  # sequences, no episodes
