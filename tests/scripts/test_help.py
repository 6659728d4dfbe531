"""Every installed command explains itself: each option has words, and its default or that it is required."""

import importlib
import re
from pathlib import Path

import pytest

PROJECT = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
COMMANDS = dict(re.findall(r'^(genesis-[\w-]+) = "([\w.]+):main"$', PROJECT, flags=re.MULTILINE))
BENCHMARKS = ("mpm", "rigid", "border", "startup", "memory", "closed-loop", "render", "training", "mujoco", "files")
LINES = [(module, ()) for module in COMMANDS.values()] + [("scripts.benchmark", (name,)) for name in BENCHMARKS]


@pytest.mark.parametrize(
    "module, arguments", LINES, ids=lambda value: " ".join([value] if isinstance(value, str) else value)
)
def test_help(module, arguments, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [f"{module}.py", *arguments, "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as left:
        importlib.import_module(module).main()
    assert not left.value.code
    text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    text = re.sub(r"[│╭╮╰╯─]", " ", text)
    options = re.split(r"^ +(?=--[a-z])", text, flags=re.MULTILINE)[1:]
    if module == "scripts.benchmark" and not arguments:
        assert all(name in text for name in BENCHMARKS)
        return
    assert options
    for option in options:
        words = " ".join(option.split())
        assert re.search(r"\((default|required|repeatable|optional)", words), words
        assert len(re.sub(r"\(default.*", "", words).split()) >= 4, words


def test_there_are_commands():
    assert len(COMMANDS) >= 10
