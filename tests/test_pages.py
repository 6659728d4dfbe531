"""The documentation is true: every Python block runs and prints what it says, commands and links are there.

A tutorial is one program: its blocks run one after the other, in a process of its own. Elsewhere each stands alone.
"""

import contextlib
import importlib
import io
import shlex
import sys

import pytest

from agents import AGENTS
from tests import processes
from tests.pages import ROOT, Block, blocks, commands, documents, links, same_text, text

LIBRARIES = {
    "stable_baselines3": pytest.mark.adapters,
    "rsl_rl": pytest.mark.adapters,
    "tensordict": pytest.mark.adapters,
    "skrl": pytest.mark.adapters,
    "pyvista": pytest.mark.export,
}
"""Of the extras with an environment of their own: blocks that import one run under the marker."""
TUTORIALS = [page for page in documents() if page.startswith("docs/tutorials/")]
SINGLE = [
    "README.md",
    "docs/gymnasium.md",
    "docs/rendering.md",
    "docs/robots.md",
    "docs/meshes.md",
    "docs/identification.md",
]
END = "---- end of block ----"


def where_kernels_are(code):
    """The mark of a program's test: the run of its precision has compiled much of what it needs."""
    return pytest.mark.precision("64" if 'precision="64"' in code else "32")


def library_of(block):
    return next((name for name in LIBRARIES if f"import {name}" in block.code or f"from {name}" in block.code), None)


def single_blocks():
    for page in SINGLE:
        for index, block in enumerate(blocks(page)):
            library = library_of(block)
            marks = [where_kernels_are(block.code), *([LIBRARIES[library]] if library else [])]
            yield pytest.param(block, id=f"{page}-{index}-{library or 'own'}", marks=marks)


def run(code, folder):
    """Runs a program in a process of its own; returns what it printed."""
    done = processes.program(code, file=folder / "program.py")
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_printed(block, printed):
    if block.printed is not None:
        assert same_text(block.printed, printed), f"the page says\n{block.printed}\nit prints\n{printed}"


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=where_kernels_are("".join(b.code for b in blocks(page)))) for page in TUTORIALS]
)
def test_tutorial_runs_and_prints_what_it_says(page, tmp_path):
    parts = blocks(page)
    assert parts and any(block.printed for block in parts)
    program = "".join(f"{block.code}\nprint({END!r})\n" for block in parts)
    printed = run(program, tmp_path).split(f"{END}\n")
    for block, output in zip(parts, printed, strict=False):
        check_printed(block, output)


@pytest.mark.parametrize("block", list(single_blocks()))
def test_block_runs(block, tmp_path, capsys):
    alone = "gs.init" in block.code or "__main__" in block.code or library_of(block)
    if alone:
        printed = run(block.code, tmp_path)
    else:  # it takes the running toolkit, as any later part of a program would
        exec(compile(block.code, "page", "exec"), {"__name__": "__main__"})
        printed = capsys.readouterr().out
    assert printed.strip()
    check_printed(block, printed)
    losses = [float(line.split("loss ")[1]) for line in printed.splitlines() if "loss " in line]
    if "optimiser.step()" in block.code:
        assert losses == sorted(losses, reverse=True), "each update of the example must lower the loss"
        assert losses[-1] < 0.1 * losses[0], "an example of learning must learn something"


def test_every_block_has_a_test():
    assert {page for page in documents() if blocks(page)} == {*SINGLE, *TUTORIALS}
    libraries = [library_of(block) for page in SINGLE for block in blocks(page)]
    assert {name for name in libraries if name} == set(LIBRARIES)


@pytest.mark.parametrize("page", [page for page in documents() if commands(page)])
def test_commands_have_the_options_that_are_named(page, monkeypatch):
    for command in commands(page):
        module, *arguments = shlex.split(command)
        assert importlib.util.find_spec(module), f"{page}: {command}"
        if module == "scripts.benchmark":  # each benchmark parses its own line
            continue
        options = [argument.split("=")[0] for argument in arguments if argument.startswith("--")]
        named = []  # which options there are depends on the agent
        for name, value in zip(arguments, arguments[1:], strict=False):
            if name == "--agent" and value in AGENTS:
                named = [name, value]
        monkeypatch.setattr(sys, "argv", [module, *named, "--help"])
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            importlib.import_module(module).main()
        for option in options:
            assert option in output.getvalue(), f"{page}: {command}"


@pytest.mark.parametrize("page", documents())
def test_links_lead_somewhere(page):
    for target in links(page):
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page} links to {target}"
    assert text(page).endswith("\n")


@pytest.mark.parametrize(
    "said, printed, same",
    [
        ("loss 0.500\n", "loss 0.502\n", True),
        ("loss 0.500\n", "loss 0.600\n", False),
        ("loss 0.500\n", "gain 0.500\n", False),
        ("error 4e-9\n", "error 2.2e-10\n", True),
        ("error 4e-9\n", "error 4e-7\n", False),
        ("(4, 3) [1.0, -2.0]", "(4, 3) [1.0, -2.01]", True),
        ("(4, 3) [1.0, -2.0]", "(4, 3) [1.0, 2.0]", False),
    ],
)
def test_outputs_are_compared_by_words_and_numbers(said, printed, same):
    assert same_text(said, printed) is same


def test_a_text_block_belongs_to_the_python_before_it(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n```\n\nprints\n\n```text\n1\n```\n\n```python\nprint(2)\n```\n")
    assert blocks(str(page)) == [Block("print(1)\n", "1\n"), Block("print(2)\n", None)]
