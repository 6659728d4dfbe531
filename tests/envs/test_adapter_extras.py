"""Adapters without their library: an error that names the extra."""

import importlib
import sys

import pytest

import genesis as gs


@pytest.mark.parametrize(
    "module, library, extra",
    [("sb3", "stable_baselines3", "sb3"), ("rsl_rl", "rsl_rl", "rsl-rl"), ("torchrl", "torchrl", "torchrl")],
)
def test_a_missing_library_is_named_with_its_extra(module, library, extra, monkeypatch):
    monkeypatch.delitem(sys.modules, f"envs.adapters.{module}", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(gs.GenesisException, match=rf'must be installed.*pip install -e "\.\[{extra}\]"'):
        importlib.import_module(f"envs.adapters.{module}")


def test_importing_the_package_needs_no_library():
    importlib.import_module("envs.adapters")
