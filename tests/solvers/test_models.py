"""Every registered constitutive model, by being registered."""

import pytest
import torch

from genesis import materials
from genesis.compiler import layout
from genesis.errors import GenesisValueError
from genesis.solvers.mpm import solver as mpm_module
from genesis.solvers.mpm.models import MODELS, compiled_models, register
from tests.solvers.model_checks import check_adjoint
from tests.solvers.test_drivers import SUBSTEPS, flat, forward, make_coupling, make_values, use_driver

pytestmark = pytest.mark.precision("64")


@pytest.mark.parametrize("name", MODELS)
def test_adjoint_of_the_stress_is_its_derivative(name):
    check_adjoint(MODELS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_lanes_of_one_particle_give_the_same(name, monkeypatch):
    """As on a GPU."""
    for _ in use_driver("parallel", monkeypatch):
        assert layout().width == 1
        check_adjoint(MODELS[name])


@pytest.mark.parametrize("name", MODELS)
def test_waves_of_a_stiffer_body_are_faster_and_of_a_denser_one_slower(name):
    numbers = {number: torch.tensor([1.0, 1.0], dtype=torch.float64) for number in MODELS[name].numbers}
    numbers["nu"] = torch.tensor([0.3, 0.3], dtype=torch.float64)
    for number, ratio in (("E", 2.0), ("rho", 0.5)):
        slow, fast = MODELS[name].speed({**numbers, number: torch.tensor([1.0, 4.0], dtype=torch.float64)})
        assert float(fast / slow) == pytest.approx(ratio)


def test_kernels_do_not_grow_with_combinations():
    plain = [name for name, model in MODELS.items() if model.width == 0]
    whole = tuple(MODELS[name] for name in plain)
    for name in plain:
        assert compiled_models([name, name]) == (MODELS[name],)
    for first in plain:
        for second in plain:
            if first != second:
                assert compiled_models([first, second]) == compiled_models([second, first, second]) == whole


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "corotated" else pytest.mark.slow) for name in MODELS]
)
def test_a_model_gives_the_same_alone_and_in_the_kernels_of_all(name, monkeypatch):
    found = []
    for models in ((MODELS[name],), tuple(model for model in MODELS.values() if model.width <= MODELS[name].width)):
        with monkeypatch.context() as patch:
            patch.setattr(mpm_module, "compiled_models", lambda names, models=models: models)
            coupling = make_coupling((name,))
            frames = coupling.allocate(2, SUBSTEPS + 1)
            found.append(flat(forward(coupling, frames, make_values(coupling))))
    for alone, among in zip(*found, strict=True):
        assert torch.allclose(alone, among, rtol=1e-13, atol=1e-13 * float(alone.abs().max()))


def test_names_and_numbers_of_models_are_checked():
    model = MODELS["liquid"]
    with pytest.raises(GenesisValueError, match="name of a model must be new, got 'liquid'"):
        register(model._replace(numbers=("E", "nu", "rho", "viscosity")))
    with pytest.raises(GenesisValueError, match="must begin with E, nu, rho and differ, got E, rho"):
        register(model._replace(name="odd", numbers=("E", "rho")))
    assert tuple(materials.ParticleMaterial.numbers) == ("E", "nu", "rho") and "odd" not in MODELS
