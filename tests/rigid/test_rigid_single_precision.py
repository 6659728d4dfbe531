"""Single precision: it agrees with double, and gives the same bits twice."""

import pytest
import torch

from genesis.loaders.model import primitive
from tests import processes
from tests.rigid.rigid_bench import Bench
from tests.rigid.rigid_grounds import flat
from tests.rigid.rigid_precision import rollout

pytestmark = pytest.mark.precision("32")


IN_DOUBLE = """
import sys, torch, genesis as gs
from tests.rigid.rigid_precision import rollout
torch.set_num_threads(1)
gs.init(backend=gs.cpu, precision="64", seed=0, logging_level="warning")
torch.save(rollout(), sys.argv[1])
"""


def test_single_agrees_with_double(tmp_path):
    """Through landing and sliding: positions to 1e-5, gradients to 1e-3."""
    done = processes.program(IN_DOUBLE, str(tmp_path / "double.pt"))
    assert done.returncode == 0, done.stderr
    double, single = torch.load(tmp_path / "double.pt"), rollout()
    for name, wanted in double.items():
        error = float((single[name] - wanted).norm() / wanted.norm())
        print(f"{name}: {error:.1e}")
        assert error < (1e-3 if name.startswith("gradient") else 1e-5), name


@pytest.mark.parametrize("speed", [1.0, 8.0, 20.0])
def test_a_fast_fall_is_survived(speed):
    """Straight down, the tangential velocity is nothing but rounding, next to a large normal one."""
    bench = Bench(primitive("box", (0.15, 0.1, 0.05), 6.0, 1.0), (flat(),), dt=1 / 60, substeps=16)
    values = bench.initial()
    values["qpos"][:, 2] = 0.5
    values["dofs_vel"][:, 2] = -speed
    for _ in range(50):
        values = {**values, **bench.forward(values)}
    assert values["qpos"].isfinite().all()


def test_the_same_bits_twice():
    first, second = rollout(), rollout()
    assert all(torch.equal(first[name], second[name]) for name in first)
