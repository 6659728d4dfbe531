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


def lists(section):
    """Names of a section of pyproject.toml to the packages that each lists, without versions."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split(f"[{section}]")[1].split("\n[")[0]
    return {
        name: re.findall(r'"([\w-]+)', packages)
        for name, packages in re.findall(r"^([\w-]+) = \[(.*?)\]$", text, flags=re.MULTILINE | re.DOTALL)
    }


def test_what_everyone_must_install_stays_little():
    required = {"torch", "taichi", "gymnasium", "tensorboard", "numpy", "tyro", "tqdm", "typing-extensions"}
    assert set(lists("project")["dependencies"]) == required


def test_videos_by_gymnasiums_wrappers_need_one_extra():
    assert "moviepy" in lists("project.optional-dependencies")["video"]


def test_the_tools_of_developers_bring_what_the_tests_need_of_extras():
    extras = lists("project.optional-dependencies")
    for extra in ("mjcf", "mesh", "convex", "view", "onnx", "plot", "video", "docs"):
        assert set(extras[extra]) <= set(extras["dev"]), extra


def test_the_extras_that_are_named_exist():
    known = lists("project.optional-dependencies")
    named = re.findall(r'optional_import\([^,]+, "([\w-]+)"', "".join(map(Path.read_text, SOURCES)))
    assert len(named) >= 10 and set(named) <= set(known)
