"""Zeroth-order agents in several processes: their minibatches differ from a single process's, their weights not from
each other's."""

import os
import subprocess
import sys

import torch

import genesis as gs

SHARED = {
    "ppo": ("policy", "value", "policy_optimiser", "value_optimiser", "normaliser"),
    "sac": ("policy", "q", "target_q", "temperature", "policy_optimiser", "q_optimiser", "normaliser"),
}


def tensors(value):
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for part in parts for tensor in tensors(part)]


def test_two_processes_hold_the_same_weights(tmp_path):
    precision = "64" if gs.tc_float == torch.float64 else "32"
    file = tmp_path / "states.pt"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "tests.agents.shared_training", str(file), precision, *SHARED]
    subprocess.run(command, check=True, timeout=120, env=os.environ | {"OMP_NUM_THREADS": "1"})
    first, second = torch.load(file, weights_only=True)
    for name, parts in SHARED.items():
        for part in parts:
            pairs = list(zip(tensors(first[name][part]), tensors(second[name][part]), strict=True))
            assert pairs and all(torch.equal(a, b) for a, b in pairs), (name, part)
    assert not torch.equal(first["sac"]["replay"]["rows"], second["sac"]["replay"]["rows"])  # each its own steps
    assert first["sac"]["q_optimiser"]["count"] > 0  # it has learnt
