"""The rigid kernels in the GPU's memory layout, run on a CPU, against the CPU's own layout."""

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
PLANE = GroundGeom("ground", "plane", (0.0, 0.0, 0.5), (0.0, 0.1, 0.995), 0.3)


def forward_and_backward() -> dict[str, torch.Tensor]:
    """Results of a step of three ants in contact, read-outs, and the gradients of a random functional of them."""
    outputs = ("contacts", "link_acceleration")
    solver = RigidSolver(load_robot("ant"), [PLANE], RigidOptions(), 1 / 240, SUBSTEPS, ENVS, outputs)
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
    inputs = [of.name for of in (*solver.state, *solver.controls, *solver.parameters)]
    gradients = solver.store_adjoint(frames, [True] * len(inputs))
    return {
        **{of.name: result for of, result in zip((*solver.state, *solver.outputs), results, strict=True)},
        **{f"results by {name}": gradient for name, gradient in zip(inputs, gradients, strict=True)},
        **{of.name: value for of, value in zip(solver.readouts, seen, strict=True)},
        **{f"read-outs by {name}": gradient for name, gradient in zip(solver.reads, cotangents, strict=True)},
    }


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
    assert (ours["contacts"].abs().amax((1, 2)) > 0.0).any(), "nothing touched the ground"
    assert ours.keys() == theirs.keys()
    for name, a in ours.items():
        assert torch.allclose(a, theirs[name], rtol=1e-9, atol=1e-9 * float(a.abs().max())), name
