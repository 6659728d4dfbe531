"""Single precision: it agrees with double, and gives the same bits twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rigid_precision import rollout

pytestmark = pytest.mark.precision("32")


def test_single_agrees_with_double(tmp_path):
    """Through landing and sliding: positions to 1e-5, gradients to 1e-3."""
    script = Path(__file__).with_name("rigid_precision.py")
    paths = [str(script.parent), str(script.parents[2]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    subprocess.run([sys.executable, str(script), str(tmp_path / "double.pt")], check=True, env=environment, timeout=250)
    double, single = torch.load(tmp_path / "double.pt"), rollout()
    for name, wanted in double.items():
        error = float((single[name] - wanted).norm() / wanted.norm())
        print(f"{name}: {error:.1e}")
        assert error < (1e-3 if name.startswith("gradient") else 1e-5), name


def test_the_same_bits_twice():
    first, second = rollout(), rollout()
    assert all(torch.equal(first[name], second[name]) for name in first)
