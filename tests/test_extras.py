"""Optional extras: what is missing is named in one way, and each name is one of pyproject.toml's."""

import importlib
import re
from pathlib import Path

import pytest

import genesis as gs
from genesis.errors import optional_import

ROOT = Path(__file__).parents[1]
PACKAGES = ("genesis", "envs", "agents", "scripts")
SOURCES = [path for folder in PACKAGES for path in sorted((ROOT / folder).rglob("*.py"))]


def test_the_error_names_package_purpose_reason_and_extra():
    said = (
        "viser must be installed to show it, got: No module named 'nothing_like_it'. "
        'Install the extra: pip install -e ".[view]"'
    )
    with pytest.raises(gs.GenesisException) as caught, optional_import("viser", "view", "to show it"):
        importlib.import_module("nothing_like_it")
    assert str(caught.value) == f"{said}." and isinstance(caught.value, ImportError)
    with pytest.raises(ImportError) as caught, optional_import("viser", "view", "to show it", instead="go without"):
        importlib.import_module("nothing_like_it")
    assert str(caught.value) == f"{said}, or go without."


def test_nobody_words_it_in_another_way():
    assert [path.name for path in SOURCES if "pip install" in path.read_text(encoding="utf-8")] == ["errors.py"]


def test_the_extras_that_are_named_exist():
    section = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[project.optional-dependencies]")[1]
    known = re.findall(r"^([\w-]+) = \[", section.split("\n[")[0], flags=re.MULTILINE)
    named = re.findall(r'optional_import\([^,]+, "([\w-]+)"', "".join(map(Path.read_text, SOURCES)))
    assert len(named) >= 10 and set(named) <= set(known)
