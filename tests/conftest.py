"""One `gs.init` for the whole run, at the precision that GENESIS_TEST_PRECISION names ("32" or "64")."""

import os
from pathlib import Path

import pytest
import torch

import genesis as gs
from genesis import arrays, runtime

PRECISION = os.environ.get("GENESIS_TEST_PRECISION", "64")
ROOT = Path(__file__).parent
RUN_AT_32 = (
    *("agents", "loaders", "scripts", "engine/test_inference_mode.py"),
    *("envs/test_contract.py", "envs/test_contract_episodes.py", "envs/test_contract_wrappers.py"),
    *("envs/test_env_render.py", "envs/test_wrapper_modes.py", "envs/test_videos.py", "envs/test_rewards.py"),
    *("render/test_geometry.py", "render/test_light.py", "render/test_scene_export.py"),
    *("test_architecture.py", "test_pages.py", "test_public_engine.py", "test_runtime.py", "test_site.py"),
)
"""What the precision of the tests' process does not matter to, by file and folder, with commands, pages and programs in
processes of their own: it runs once, at 32, where fewer other tests run, unless a test's own marker says 64."""


@pytest.fixture(scope="session", autouse=True)
def toolkit():
    """The running toolkit. A test that needs another one starts it in a process of its own."""
    torch.set_num_threads(1)  # tiny tensors: threads only get into each other's way
    gs.init(backend=gs.cpu, precision=PRECISION, seed=0, logging_level="warning")
    yield
    gs.destroy()


@pytest.fixture(scope="session", autouse=True)
def poisoned():
    """Memory that kernels get is not cleared: what they read before it was written is NaN in tests, not by chance 0."""
    allocate = arrays._new

    def poison(array, count):
        made = allocate(array, count)
        return made.fill_(float("nan")) if made.is_floating_point() else made

    arrays._new = poison
    yield
    arrays._new = allocate


@pytest.fixture(autouse=True)
def seeded():
    """Every test draws the same numbers, and is told the same, alone or in company."""
    torch.manual_seed(0)
    runtime.forget_warnings()


def pytest_collection_modifyitems(items):
    once = {ROOT / path for path in RUN_AT_32}
    for item in items:
        if once & {item.path, *item.path.parents} and not item.get_closest_marker("precision"):
            item.add_marker(pytest.mark.precision("32"))
        for marker in item.iter_markers("precision"):
            if marker.args != (PRECISION,):
                item.add_marker(pytest.mark.skip(reason=f"runs at precision {marker.args}"))
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
