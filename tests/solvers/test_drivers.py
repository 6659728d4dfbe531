"""The three MPM drivers against each other and against central differences, below autograd, scenes and entities."""

import numpy as np
import pytest
import torch

from genesis import compiler
from genesis.contact.colliders import Collider, Colliders
from genesis.contact.shapes import Shape
from genesis.engine.coupling import Coupling
from genesis.solvers.mpm import solver as mpm_module
from genesis.solvers.mpm.added import ADDED
from genesis.solvers.mpm.models import MODELS
from genesis.solvers.mpm.solver import MPMBody, MPMSolver, count_chunks
from genesis.solvers.tool.solver import ToolBody, ToolSolver

pytestmark = pytest.mark.precision("64")

ENVS, SUBSTEPS, DT = 2, 4, 1e-3


class Grid:
    grid_density = 32.0
    lower_bound = (0.0, 0.0, 0.0)
    upper_bound = (1.0, 1.0, 1.0)


NUMBERS = {
    "E": 5e3, "nu": 0.2, "rho": 1e3, "von_mises_yield_stress": 50.0, "hardening_modulus": 300.0,
    "friction_angle": 30.0, "hardening": 10.0, "yield_lower": 0.025, "yield_higher": 0.0075, "hardening_limit": 3.0,
    "stiffness": 2e3, "viscosity": 3.0,
}  # fmt: skip
"""Of every body; 1 where none is given."""


def make_coupling(models=("neohookean",), touched=True, added=()):
    """Bodies of these models, among tools if `touched`; the first has the numbers `added` beside its model's."""
    rng = np.random.default_rng(0)
    bodies = [
        MPMBody(
            f"body{i}",
            np.array([0.45 + 0.02 * i, 0.45, 0.45]) + box,
            1e-6,
            model,
            numbers_of(model, () if i else added),
            () if i else added,
        )
        for i, (model, box) in enumerate((model, 0.1 * rng.random((60, 3))) for model in models)
    ]
    upright = np.array([1.0, 0.0, 0.0, 0.0])
    tools = [
        ToolBody(shape, Collider(Shape(shape, size), 0.01), np.array(pos), upright, friction)
        for shape, size, pos, friction in [
            ("sphere", (0.03, 0.0, 0.0), (0.44, 0.5, 0.5), 0.5),
            ("capsule", (0.02, 0.05, 0.0), (0.56, 0.5, 0.5), 0.2),
            ("box", (0.03, 0.04, 0.02), (0.5, 0.44, 0.5), 0.0),
            ("cylinder", (0.03, 0.03, 0.0), (0.5, 0.57, 0.5), 0.8),
            ("plane", (0.0, 0.0, 0.0), (0.5, 0.5, 0.45), 0.5),
        ]
        if touched
    ]
    chunks = mpm_module.count_chunks(ENVS, sum(len(body.positions) for body in bodies))
    colliders = Colliders([tool.collider for tool in tools], SUBSTEPS, chunks)
    particles = MPMSolver(bodies, Grid(), DT, SUBSTEPS, ENVS, colliders)
    solvers = [particles, ToolSolver(tools, DT, SUBSTEPS, True, colliders)] if touched else [particles]
    return Coupling(solvers, colliders, SUBSTEPS)


def numbers_of(model, added):
    return [NUMBERS.get(number, 1.0) for number in (*MODELS[model].numbers, *added)]


def make_values(coupling):
    """Per solver its inputs, shaken so that nothing is symmetric, still or undeformed."""
    generator = torch.Generator().manual_seed(1)
    shake = {"vel": 0.3, "C": 1.0, "F": 0.03, "memory": 0.1, "actu": 0.4, "fibre": 0.3, "ang": 3.0, "quat": 0.3}
    values = []
    for solver in coupling.solvers:
        fields = (*solver.state, *solver.controls, *solver.parameters)
        initial = solver.initial_values(ENVS)
        if solver.name == "mpm":
            initial.append(torch.tensor([0.0, 0.0, -9.81], dtype=torch.float64).expand(ENVS, 3))
        values.append(
            [
                value + shake.get(field.name, 0.0) * torch.randn(value.shape, generator=generator, dtype=torch.float64)
                for value, field in zip(initial, fields, strict=True)
            ]
        )
        if solver.name == "mpm":
            hold, pos = values[-1][[field.name for field in fields].index("hold")], values[-1][0]
            chosen = torch.rand(hold.shape[:2], generator=generator)
            hold[..., 3] = torch.where(chosen < 0.2, 1.0, torch.where(chosen < 0.4, -2.0, 0.0))  # attached, inactive
            hold[..., :3] = pos + 3e-4 * torch.randn(pos.shape, generator=generator, dtype=pos.dtype)
    return values


def forward(coupling, frames, values):
    for solver, own in zip(coupling.solvers, values, strict=True):
        solver.load(frames, own)
    coupling.substep(frames, 0, SUBSTEPS)
    return [solver.store(frames) for solver in coupling.solvers]


def backward(coupling, frames, cotangents):
    for solver, own in zip(coupling.solvers, cotangents, strict=True):
        solver.load_adjoint(frames, own)
    coupling.substep_adjoint(frames, 0, SUBSTEPS)
    everything = [True] * 20
    return [solver.store_adjoint(frames, everything) for solver in coupling.solvers]


def cotangents_of(results):
    generator = torch.Generator().manual_seed(2)
    return [[torch.randn(r.shape, generator=generator, dtype=r.dtype) for r in own] for own in results]


def flat(nested):
    return [tensor for own in nested for tensor in own]


@pytest.fixture(params=["fused", "chunked", "parallel"])
def driver(request, monkeypatch):
    """Makes every solver built in the test use this driver; the GPU's layout and atomics run on the CPU."""
    yield from use_driver(request.param, monkeypatch)


def use_driver(name, monkeypatch):
    monkeypatch.setattr(mpm_module, "count_chunks", lambda n_envs, n_particles: 4 if name == "chunked" else 1)
    make = compiler.make_layout
    if name == "parallel":
        wanted = {"structure_of_arrays": True, "atomic": True}
        monkeypatch.setattr(compiler, "make_layout", lambda real, **choice: make(real, **{**choice, **wanted}))
        clear_caches()
    yield name
    if name == "parallel":
        monkeypatch.setattr(compiler, "make_layout", make)
        clear_caches()


def clear_caches():
    for cache in compiler._caches:
        cache.cache_clear()


def run_all(models=("neohookean",)):
    coupling = make_coupling(models)
    values = make_values(coupling)
    frames = coupling.allocate(ENVS, SUBSTEPS + 1)
    results = forward(coupling, frames, values)
    return flat(results), flat(backward(coupling, frames, cotangents_of(results)))


def test_adjoint_is_the_derivative(driver):
    assert compiler.layout().soa == (driver == "parallel")
    check_adjoint(make_coupling())


@pytest.mark.slow  # kernels of all models in every driver; the fused one's run in tests/physics/test_materials.py
def test_adjoint_of_bodies_of_all_models_is_the_derivative(driver):
    check_adjoint(make_coupling(tuple(MODELS)))


def check_adjoint(coupling):
    """Raise unless every gradient of a rollout is the derivative."""
    values = make_values(coupling)
    frames = coupling.allocate(ENVS, SUBSTEPS + 1)
    results = forward(coupling, frames, values)
    assert not coupling.failures(frames).any()
    cotangents = cotangents_of(results)
    gradients = backward(coupling, frames, cotangents)

    def loss(changed):
        pairs = zip(flat(forward(coupling, frames, changed)), flat(cotangents), strict=True)
        return sum(float((result * cotangent).sum()) for result, cotangent in pairs)

    generator = torch.Generator().manual_seed(3)
    for i, own in enumerate(values):
        for k, value in enumerate(own):
            scale = value.abs().flatten(0, -2).amax(0).clamp(min=0.1)  # E, nu and rho differ by orders
            direction = scale * torch.randn(value.shape, generator=generator, dtype=value.dtype)
            if (coupling.solvers[i].name, value.shape[-1]) == ("mpm", 4):
                direction[..., 3] = 0.0  # whether a particle is held is no number
            expected = float((gradients[i][k] * direction).sum())
            errors = []
            # Curvature asks for small steps, rounding of the loss for large ones; none makes a wrong derivative right.
            for h in (1e-5, 1e-6, 1e-4, 3e-6, 1e-7, 1e-3, 1e-2):
                ends = []
                for sign in (1.0, -1.0):
                    changed = [list(row) for row in values]
                    changed[i][k] = value + sign * h * direction
                    ends.append(loss(changed))
                errors.append(abs((ends[0] - ends[1]) / (2 * h) - expected) / abs(expected))
                if errors[-1] < 1e-6:
                    break
            assert min(errors) < 1e-6, (coupling.solvers[i].name, k, errors)


@pytest.mark.slow
def test_adjoint_of_fibres_and_viscosity_is_the_derivative(driver):  # those beside the models, in kernels of their own
    check_adjoint(make_coupling(("neohookean", "neohookean"), touched=False, added=ADDED))


def test_drivers_agree(monkeypatch):
    found = {}
    for name in ("fused", "chunked", "parallel"):
        with monkeypatch.context() as patch:
            for _ in use_driver(name, patch):
                found[name] = run_all()
    for name in ("chunked", "parallel"):
        for mine, theirs in zip(flat(found[name]), flat(found["fused"]), strict=True):
            assert torch.allclose(mine, theirs, rtol=1e-11, atol=1e-11 * float(theirs.abs().max()))


def test_two_frames_and_all_frames_give_the_same_bits(driver):
    # Mixtures of models have kernels of their own; one driver does for them.
    models = ("neohookean", "corotated", "liquid") if driver == "fused" else ("neohookean",) * 3
    coupling = make_coupling(models)
    values = make_values(coupling)
    kept = forward(coupling, coupling.allocate(ENVS, SUBSTEPS + 1), values)
    used_in_turn = forward(coupling, coupling.allocate(ENVS, 2), values)
    for a, b in zip(flat(kept), flat(used_in_turn), strict=True):
        # Atomics add in any order.
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-12) if driver == "parallel" else torch.equal(a, b)


def test_frames_hold_the_parameters_of_their_own_step():
    """A later step with another stiffness must not change what an earlier step's adjoint sees."""
    coupling = make_coupling()
    values = make_values(coupling)
    first, second = coupling.allocate(ENVS, SUBSTEPS + 1), coupling.allocate(ENVS, SUBSTEPS + 1)
    results = forward(coupling, first, values)
    alone = flat(backward(coupling, first, cotangents_of(results)))
    forward(coupling, first, values)
    stiffer = [list(own) for own in values]
    stiffer[-1][-2] = stiffer[-1][-2] * 2.0
    stiffer[-1][-1] = stiffer[-1][-1] * 3.0
    forward(coupling, second, stiffer)
    for a, b in zip(flat(backward(coupling, first, cotangents_of(results))), alone, strict=True):
        assert torch.equal(a, b)


def test_fewer_environments_than_the_frames_hold():
    coupling = make_coupling()
    values = make_values(coupling)
    frames = coupling.allocate(ENVS, SUBSTEPS + 1)
    whole = forward(coupling, frames, values)
    gradients = backward(coupling, frames, cotangents_of(whole))
    part = forward(coupling, frames, [[value[:1] for value in own] for own in values])
    pulled_back = backward(coupling, frames, [[c[:1] for c in own] for own in cotangents_of(whole)])
    for a, b in zip(flat(part) + flat(pulled_back), flat(whole) + flat(gradients), strict=True):
        assert torch.equal(a, b[:1])


def test_the_number_of_chunks_depends_on_the_scene_alone():
    assert [count_chunks(1, n) for n in (100, 2_000, 50_000)] == [1, 2, 8]
    assert count_chunks(8, 50_000) == 1
