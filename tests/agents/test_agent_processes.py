"""Several processes learn what a single one does with the same batch.

SAC alone does not: each process has a memory of its own and draws minibatches from it. Its weights are the same in all
processes, as everyone's are. Trajectory optimisation refuses to run in several.
"""

import copy
import os
import subprocess
import sys

import pytest
import torch

import genesis as gs
from scripts.processes import slice_of
from tests.agents.shared_training import trained

AS_ONE = ("bptt", "shac", "ahac", "sapo", "ivw", "ppo")
OF_A_PROCESS = {"ppo": {"reward_scale": ("discounted",)}, "sac": {"replay": ("rows", "next")}}
"""What belongs to a process's own environments, by agent and part."""
TOLERANCE = 1e-5


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


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """Of all agents, by name, in two processes."""
    precision = "64" if gs.tc_float == torch.float64 else "32"
    file = tmp_path_factory.mktemp("processes") / "states.pt"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "tests.agents.shared_training", str(file), precision, *AS_ONE, "sac"]
    subprocess.run(command, check=True, timeout=240, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return torch.load(file, weights_only=True)


def taken_out(name, state):
    """What belongs to a process's own environments, which the state loses."""
    return {
        (part, field): state[part].pop(field) for part, fields in OF_A_PROCESS.get(name, {}).items() for field in fields
    }


def test_two_processes_learn_as_one(states):
    """Every number of the agents' states agrees, and both processes hold the same weights."""
    first, second = copy.deepcopy(states)
    alone = {name: trained(name) for name in AS_ONE}
    for name in first:
        own = taken_out(name, first[name]), taken_out(name, second[name])
        compare(f"{name} between processes", first[name], second[name], 0.0)
        if name in AS_ONE:
            whole = taken_out(name, alone[name])
            joined = {key: torch.cat([value, own[1][key]]) for key, value in own[0].items()}
            compare(name, joined, whole, TOLERANCE)
            compare(name, first[name], alone[name], TOLERANCE)


def test_sac_has_a_memory_in_each_process(states):
    first, second = (state["sac"] for state in states)
    assert not torch.equal(first["replay"]["rows"], second["replay"]["rows"])
    assert first["q_optimiser"]["count"] > 0  # it has learnt


def test_environments_are_shared_out_evenly(monkeypatch):
    assert slice_of(6) == (6, 0)
    monkeypatch.setattr("agents.core.distributed.world_size", lambda: 3)
    monkeypatch.setattr("agents.core.distributed.rank", lambda: 2)
    assert slice_of(6) == (2, 4)
    with pytest.raises(gs.GenesisException, match="num_envs must be a multiple of the 3 processes, got 7"):
        slice_of(7)
