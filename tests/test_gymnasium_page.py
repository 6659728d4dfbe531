"""Every block of the page about other people's loops runs as it stands; other libraries' with their tests."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "gymnasium.md").read_text(), flags=re.DOTALL)
LIBRARIES = re.compile(r"^(?:import|from) (stable_baselines3|rsl_rl|torchrl|tensordict|skrl)\b", flags=re.MULTILINE)


def parameter(index, block):
    library = LIBRARIES.search(block)
    name = f"{index}-{library[1] if library else 'gymnasium'}"
    return pytest.param(block, id=name, marks=[pytest.mark.adapters] if library else [])


def test_there_are_blocks_of_both_kinds():
    assert sum(bool(LIBRARIES.search(block)) for block in BLOCKS) == 4 and len(BLOCKS) == 9


@pytest.mark.precision("32")
@pytest.mark.parametrize("block", [parameter(index, block) for index, block in enumerate(BLOCKS)])
def test_block_runs(block, tmp_path, capsys):
    if "gs.init" in block or "__main__" in block or LIBRARIES.search(block):
        printed = run_in_a_process(block, tmp_path)
    else:  # it takes the running toolkit, as any later part of a program would
        exec(compile(block, "docs/gymnasium.md", "exec"), {"__name__": "__main__"})
        printed = capsys.readouterr().out
    assert printed.strip()


def run_in_a_process(block, folder):
    program = folder / "program.py"
    program.write_text(block)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(program)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
