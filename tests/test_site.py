"""The documentation builds as a site without a warning, and the API reference holds what is public."""

import re
import subprocess
import sys
import zlib

import gymnasium
import pytest

import envs
import genesis as gs
from agents import REGISTERED
from tests.pages import ROOT, text

pytest.importorskip("mkdocstrings", reason='needs the extra "docs": pip install -e ".[docs]"')
VALUES = {"ACTIVE", "INACTIVE", "cpu", "cuda", "gpu", "logger", "materials", "morphs", "options", "surfaces"}
"""Of genesis' public names, those that are values or modules, not documented by themselves."""
BUILD = "import sys; sys.modules['ruff'] = None; from mkdocs.__main__ import cli; cli()"
"""`python -m mkdocs` with signatures as they are: else 700 processes format one each, for line breaks alone."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-c", BUILD, "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    return folder


@pytest.fixture(scope="module")
def documented(site):
    """Full names of everything in the reference, from the inventory that other projects' sites link by."""
    packed = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    return {line.split()[0] for line in zlib.decompress(packed).decode().splitlines()}


def test_the_front_page_leads_to_the_reference_and_the_tutorials(site):
    page = (site / "index.html").read_text()
    for target in ("api/scene/", "tutorials/first_steps/", "support/", "readme/"):
        assert f'href="{target}"' in page and (site / target / "index.html").is_file()


def test_the_reference_has_every_public_name(documented):
    last = {name.rsplit(".", 1)[-1] for name in documented}
    torchs = set(re.findall(r"`(\w+)`", text("docs/api/tensors.md")))  # made by one function, listed on their page
    assert {name for name in gs.__all__ if name not in last} <= VALUES | torchs
    for module in (gs.morphs, gs.options):
        own = {n for n, x in vars(module).items() if isinstance(x, type) and x.__module__ == module.__name__}
        assert {f"{module.__name__}.{name}" for name in own if not name.startswith("_")} <= documented


def test_the_reference_has_every_task_and_agent(documented):
    last = {name.rsplit(".", 1)[-1] for name in documented}
    assert {gymnasium.spec(env_id).vector_entry_point.split(":")[1] for env_id in envs.ENV_IDS} <= last
    assert {entry.replace(":", ".") for entry in REGISTERED.values()} <= documented
    assert {"get_particles_pos", "control_dofs_force", "get_contacts", "set_links_wrench"} <= last
