"""Commands that are printed: a shell and the command itself read them as they were meant."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import tyro

from scripts import commands, train
from scripts.evaluate import EvaluateConfig
from tests.scripts.trainings import INTERRUPTED

PATHS = ("my runs", "it's", '"a"', "$HOME", "`id`", "a;b&c|d", "-runs", "~", "a\\b", "*?[x]", "#1", "!!", "-- é\tü")
"""Folders whose names mean something to a shell, or to a program that looks for options."""


@pytest.mark.parametrize("path", PATHS)
def test_printed_commands_can_be_pasted(path, capfd, tmp_path, monkeypatch):
    """A shell splits them, and the commands' own parsers read the path that was meant."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / path).mkdir()
    printed = train.report(INTERRUPTED | {"run": path, "processes": 2}).splitlines()
    typed = [line for line in printed if line.startswith("  ") and path in line.replace("'\"'\"'", "'")]
    assert len(typed) == 4
    for command in typed:
        split = subprocess.run(f"printf '%s\\0' {command}", shell=True, capture_output=True, check=True).stdout
        words = split.decode().split("\0")[:-1]
        option = next(i for i, word in enumerate(words) if word in ("--checkpoint", "--logdir", "--resume"))
        assert Path(words[option + 1]) == Path(path) and not words[option + 1].startswith("-")
        if "scripts.evaluate" in words:
            assert tyro.cli(EvaluateConfig, args=words[option:]).checkpoint == Path(path)


@pytest.mark.parametrize("interpreter", ["/opt/my env/bin/python3", "/opt/$x/python.exe"])
def test_the_interpreter_can_be_pasted_too(interpreter, monkeypatch):
    monkeypatch.setattr(sys, "executable", interpreter)
    words = shlex.split(commands.script("train", "--resume", Path("-a b"), processes=2))
    assert words == [
        str(Path(interpreter).with_name("torchrun")),
        *("--nproc-per-node=2", "-m", "scripts.train", "--resume", "./-a b"),
    ]
    assert shlex.split(commands.script("plot"))[0] == interpreter.removesuffix(".exe")


def test_commands_are_put_together_in_one_place():
    """No text of the package holds a command that something is put into."""
    root = Path(__file__).parents[2]
    for path in (path for folder in ("scripts", "agents", "envs", "genesis") for path in (root / folder).rglob("*.py")):
        assert not re.findall(r"-m scripts\.\w+ [^\n]*\{", path.read_text()), path
