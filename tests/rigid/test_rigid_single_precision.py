"""Single precision: it agrees with double, and gives the same bits twice."""

import pytest
import torch

import genesis as gs
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


@pytest.mark.parametrize("friction", [0.0, 1e-3])
def test_what_hardly_rubs_slides_on(friction):
    """Boxes that fall onto a plane, turning, stay on it, and keep their speed but for what friction takes. Edges of a
    pyramid of friction mu are 1 / mu^2 times as stiff as the normal in MuJoCo's model."""
    scene = gs.Scene(sim_options=gs.options.SimOptions(dt=5e-3, substeps=1))
    scene.add_entity(gs.morphs.Plane())
    box = scene.add_entity(gs.morphs.Box(pos=(0.0, 0.0, 0.1), size=(0.16,) * 3), gs.materials.Rigid(friction=friction))
    scene.build(n_envs=8)
    velocity = torch.randn(8, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [0.5, 0.5, 0.3, 0.3, 0.3, 1.0]
    )
    box.set_dofs_velocity(velocity)
    for _ in range(300):
        scene.step()
        assert scene.failures == []
    after = box.get_dofs_velocity().as_subclass(torch.Tensor)
    lost = velocity[:, :2].norm(dim=1) - after[:, :2].norm(dim=1)
    assert (lost - friction * 9.81 * 1.45).abs().max() < 1e-3 + friction * 9.81 and after[:, 2].abs().max() < 0.05
    assert (box.get_pos()[:, 2] - 0.08).abs().max() < 1e-3
