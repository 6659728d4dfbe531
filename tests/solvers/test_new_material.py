"""A material with a number and a memory of its own, made here and nowhere else."""

from dataclasses import replace

import pytest
import torch

import genesis as gs
from genesis.checks import record
from genesis.compiler import Functions, per_runtime, ti, traced, value
from genesis.materials import Parameter, ParticleMaterial, Range
from genesis.math.lanes import Vec
from genesis.math.matrices import cofactor, determinant, plus, stretch_strain, symmetric, volume_strain
from genesis.math.spectral import spectral
from genesis.solvers.mpm.models import MODELS, Memory, compiled_models, register
from genesis.solvers.mpm.models.model import FIRST_NUMBERS, Model, solid_speed
from tests.solvers.model_checks import check_adjoint as check_stress_adjoint
from tests.solvers.test_drivers import check_adjoint, driver, make_coupling  # noqa: F401  (the fixture `driver` is used by name)

pytestmark = [pytest.mark.precision("64"), pytest.mark.slow]  # kernels of a material and of its mixtures

RATE = 0.05


@per_runtime
def softening_functions():
    """tau = exp(-softening wear') tau_neohookean, with wear' = wear + RATE |F F^T - 1|^2."""
    sp = spectral()

    @traced
    def wear_of(F, h):
        strain = stretch_strain(F)
        return strain, value(h[0] + RATE * strain.dot(strain))

    @ti.func
    def stress(F, m, h):
        J1 = volume_strain(F)
        log_J = sp.log(1.0 + J1, J1)
        strain, wear = wear_of(F, h)
        left = 1.0 + sp.expm1(0.0 - m[2] * wear)
        return F, plus(strain * m[0], m[1] * log_J) * left, Vec(wear), Vec(log_J, left)

    @traced
    def stress_adjoint(F, m, h, kept, gFn, gtau, gh):
        log_J, left = kept[0], kept[1]
        strain, wear = wear_of(F, h)
        gfresh = symmetric(gtau) * left
        power = m[0] * gfresh.dot(strain) + m[1] * log_J * gfresh.trace()
        gwear = value(gh[0] - m[2] * power)
        gstrain = gfresh * m[0] + strain * (2.0 * RATE * gwear)
        gF = gFn + (gstrain @ F) * 2.0 + cofactor(F) * (m[1] * gfresh.trace() / determinant(F))
        return gF, Vec(gfresh.dot(strain), gfresh.trace() * log_J, 0.0 - wear * power), Vec(gwear)

    return Functions(stress=stress, stress_adjoint=stress_adjoint)


MODEL = Model("softening", (*FIRST_NUMBERS, "softening"), (Memory("wear"),), solid_speed, softening_functions)


@record
class Softening(ParticleMaterial):
    """A solid whose stiffness decays with the strain that it has seen."""

    numbers = {**ParticleMaterial.numbers, "softening": Range(closed=True)}
    softening: Parameter = 3.0
    """Per wear."""

    @property
    def constitutive_model(self):
        return "softening"


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(MODELS, MODEL.name, MODEL)
    register(MODEL)


def test_stress_adjoint_is_the_derivative():
    check_stress_adjoint(MODEL)


def test_adjoint_of_a_rollout_beside_the_others_is_the_derivative(driver):  # noqa: F811
    others = tuple(name for name in MODELS if name != MODEL.name)
    coupling = make_coupling((MODEL.name, *others), touched=False)
    assert coupling.solvers[0].models == tuple(MODELS.values()) == compiled_models([*MODELS])
    fewer = [name for name in others if MODELS[name].width < MODEL.width]
    assert len(fewer) > 1 and compiled_models(fewer) == tuple(MODELS[name] for name in fewer)
    check_adjoint(coupling)


def build():
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=8e-3, substeps=4, requires_grad=True),
        mpm_options=gs.options.MPMOptions(grid_density=16, lower_bound=(0, 0, 0), upper_bound=(1, 1, 1)),
    )
    stuff = [Softening(E=5e3), gs.materials.MPM.Elastic(E=5e3), gs.materials.MPM.Liquid(E=5e3)]
    stuff.insert(1, gs.materials.MPM.Elastic(E=5e3, model="neohooken"))
    bodies = [
        scene.add_entity(gs.morphs.Box(pos=(0.35 + 0.1 * k, 0.5, 0.4), size=(0.1, 0.1, 0.1)), material)
        for k, material in enumerate(stuff)
    ]
    scene.build(n_envs=2)
    for k, body in enumerate(bodies):
        generator = torch.Generator().manual_seed(k)
        body.set_velocity(torch.randn(2, body.n_particles, 3, generator=generator, dtype=torch.float64))
    return scene, bodies


def test_gradients_of_a_scene_by_its_number_and_its_memory():
    scene, bodies = build()
    start = scene.get_state()
    assert start.mpm.memory.shape == (2, sum(body.n_particles for body in bodies), 1)
    inputs = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (3.0, 0.2, 5e3, 0.25, 900.0)]

    def loss():
        softening, wear, E, nu, rho = inputs
        scene.reset(start.having("mpm", replace(start.mpm, memory=start.mpm.memory + wear)))
        bodies[0].set_material(E=E, nu=nu, rho=rho, softening=softening)
        for _ in range(3):
            scene.step()
        state = scene.get_state().mpm
        weight = torch.linspace(-1.0, 1.0, state.F.numel(), dtype=torch.float64)
        return (state.F.flatten() * weight).sum() + state.memory.square().sum() + (state.vel**2).sum()

    grads = torch.autograd.grad(loss(), inputs)
    for number, grad in zip(inputs, grads, strict=True):
        errors = []
        for step in (1e-4, 1e-5, 1e-6):
            ends, kept = [], number.item()
            for sign in (1.0, -1.0):
                with torch.no_grad():
                    number.fill_(kept + sign * step * kept)
                    ends.append(loss().item())
                    number.fill_(kept)
            errors.append(abs((ends[0] - ends[1]) / (2 * step * kept) / float(grad) - 1))
        assert min(errors) < 1e-6, (kept, errors)


def test_memory_belongs_to_the_body_that_keeps_it():
    scene, (soft, *others) = build()
    for _ in range(2):
        scene.step()
    assert (soft.get_state().memory > 0).all()
    assert all((body.get_state().memory == 0).all() for body in others)
    soft.set_position((0.35, 0.5, 0.4), envs_idx=1)
    assert (soft.get_state().memory[1] == 0).all() and (soft.get_state().memory[0] > 0).all()


def test_its_number_is_checked_like_any_other():
    with pytest.raises(gs.GenesisException, match=r"Softening.softening must be a finite number >= 0, got -1"):
        Softening(softening=-1.0)
    _scene, bodies = build()
    with pytest.raises(gs.GenesisException, match=r"softening must be finite >= 0, got -1"):
        bodies[0].set_material(softening=-1.0)
    with pytest.raises(gs.GenesisException, match="must get E, nu, rho only, got softening"):
        bodies[1].set_material(softening=1.0)
    with pytest.raises(gs.GenesisException, match="at least one of E, nu, rho, softening, got none"):
        bodies[0].set_material()


def test_a_material_without_its_model_is_refused(monkeypatch):
    monkeypatch.delitem(MODELS, MODEL.name)
    with pytest.raises(gs.GenesisException, match="must be one of neohookean, corotated, .*, got 'softening'"):
        gs.Scene().add_entity(gs.morphs.Box(size=(0.1, 0.1, 0.1)), Softening())
    monkeypatch.setitem(MODELS, MODEL.name, MODEL._replace(numbers=(*FIRST_NUMBERS, "hardening")))
    with pytest.raises(gs.GenesisException, match="must be those of model 'softening', E, nu, rho, hardening"):
        gs.Scene().add_entity(gs.morphs.Box(size=(0.1, 0.1, 0.1)), Softening())
