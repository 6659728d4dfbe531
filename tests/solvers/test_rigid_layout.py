"""The rigid kernels in the GPU's memory layout, run on a CPU, against the CPU's own layout."""

import numpy as np
import pytest
import torch

from genesis import compiler
from genesis.loaders import load_robot
from genesis.loaders.parts import GroundGeom
from genesis.options import RigidOptions
from genesis.solvers.base import Frames
from genesis.solvers.rigid.solver import RigidSolver

pytestmark = [pytest.mark.precision("64"), pytest.mark.slow]

ENVS, SUBSTEPS = 3, 4
PLANE = GroundGeom("ground", "plane", (0.0, 0.0, 0.4), (0.0, 0.1, 0.995), 0.3)


def forward_and_backward() -> list[torch.Tensor]:
    """Results of a step of three ants in contact, read-outs, and the gradients of a random functional of them."""
    solver = RigidSolver(load_robot("ant"), [PLANE], RigidOptions(), 1 / 240, SUBSTEPS, ENVS, ("link_acceleration",))
    generator = torch.Generator().manual_seed(0)

    def noise(like):
        return torch.randn(like.shape, generator=generator, dtype=torch.float64)

    values = solver.initial_values(ENVS)
    values = [value + scale * noise(value) for value, scale in zip(values, (0.05, 1.0, 10.0, 5.0, 0.0), strict=True)]
    values.append(torch.tensor([0.0, 0.0, -9.81], dtype=torch.float64).expand(ENVS, 3))
    frames = Frames(ENVS, SUBSTEPS + 1, {})
    solver.allocate(frames)
    solver.load(frames, values)
    solver.substep(frames, 0, SUBSTEPS)
    results = solver.store(frames)
    assert not solver.failures(frames).any()
    solver.load_adjoint(frames, [noise(result) for result in results])
    solver.substep_adjoint(frames, 0, SUBSTEPS)
    seen = solver.readout(results[0], results[1])
    cotangents = solver.readout_adjoint(results[0], results[1], *(noise(value) for value in seen))
    return [*results, *solver.store_adjoint(frames, [True] * 6), *seen, *cotangents]


def test_both_layouts_agree(monkeypatch):
    ours = forward_and_backward()
    make = compiler.make_layout
    with monkeypatch.context() as patch:
        wanted = {"structure_of_arrays": True, "atomic": True}
        patch.setattr(compiler, "make_layout", lambda real, **choice: make(real, **{**choice, **wanted}))
        for cache in compiler._caches:
            cache.cache_clear()
        theirs = forward_and_backward()
        assert compiler.layout().soa
    for cache in compiler._caches:
        cache.cache_clear()
    touched = ours[7][:, np.arange(9 * 7, 9 * 8)]
    assert touched.abs().max() > 0.0, "nothing touched the ground"
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-9 * float(a.abs().max()))
