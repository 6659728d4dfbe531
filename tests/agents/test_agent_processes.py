"""Several processes learn what a single one does with the same batch."""

import os
import subprocess
import sys

import pytest
import torch

import genesis as gs
from scripts.processes import slice_of
from tests.agents.shared_training import trained

NAMES = ("bptt", "shac", "ahac", "sapo", "ivw")


def compare(path, found, wanted, tolerance):
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), path
        for key in wanted:
            compare(f"{path}/{key}", found[key], wanted[key], tolerance)
    elif isinstance(wanted, (list, tuple)):
        for index, value in enumerate(wanted):
            compare(f"{path}/{index}", found[index], value, tolerance)
    elif isinstance(wanted, torch.Tensor):
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance, msg=lambda text: f"{path}: {text}")
    elif wanted is None or isinstance(wanted, bool):
        assert found is wanted, path
    else:
        assert found == pytest.approx(wanted, rel=tolerance, abs=tolerance), path


def test_two_processes_learn_as_one(tmp_path):
    """Every number of the agents' states agrees, and both processes hold the same weights."""
    precision = "64" if gs.tc_float == torch.float64 else "32"
    file = tmp_path / "states.pt"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "tests.agents.shared_training", str(file), precision, *NAMES]
    subprocess.run(command, check=True, timeout=120, env=os.environ | {"OMP_NUM_THREADS": "1"})
    first, second = torch.load(file, weights_only=True)
    compare("between processes", first, second, 0.0)
    for name in NAMES:
        compare(name, first[name], trained(name), 1e-5 if precision == "64" else 1e-3)


def test_environments_are_shared_out_evenly(monkeypatch):
    assert slice_of(6) == (6, 0)
    monkeypatch.setattr("agents.core.distributed.world_size", lambda: 3)
    monkeypatch.setattr("agents.core.distributed.rank", lambda: 2)
    assert slice_of(6) == (2, 4)
    with pytest.raises(gs.GenesisException, match="num_envs must be a multiple of the 3 processes, got 7"):
        slice_of(7)
