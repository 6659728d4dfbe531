"""Plastic materials: yield surfaces, memory, and what is refused."""

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.solvers.mpm.models import MODELS
from tests.solvers.model_checks import Evaluation, trial_gradients

MPM = gs.materials.MPM
MU, LAM = 1.0, 1.5


def mapped(model, own, memory=()):
    """tau (n, 3, 3), F' and the new memory at random deformations, at rest and rigidly turned; and the deformations."""
    F = torch.cat([0.9 * trial_gradients(torch.Generator().manual_seed(1)), trial_gradients(torch.Generator())])
    rows = len(F)
    at = Evaluation(MODELS[model], rows)
    values = {
        "F": F.reshape(rows, 9),
        "m": torch.tensor([[MU, LAM, *own]]).double().expand(rows, -1),
        "h": torch.tensor([[*memory]]).double().expand(rows, len(memory)),
    }
    found = at.forward({name: x.to(gs.tc_float).double() for name, x in values.items()})
    return found["tau"].reshape(rows, 3, 3), found["Fn"].reshape(rows, 3, 3), found["hn"], F


def deviator(tau):
    return (tau - tau.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(3)).flatten(1).norm(dim=1)


def test_stress_stays_inside_the_surface_of_von_mises():
    tau, Fn, _, F = mapped("vonmises", [0.05])
    slack = 1e-6 * 0.05 + 4 * torch.finfo(gs.tc_float).eps * tau.abs().amax((1, 2))  # tau is rounded, with its pressure
    assert (deviator(tau) < 0.05 + slack).all() and (deviator(tau) > 0.05 - slack).sum() > 20
    elastic = deviator(tau) < 0.049
    assert elastic.sum() > 5 and torch.equal(Fn[elastic], F.to(gs.tc_float).double()[elastic])
    torch.testing.assert_close(torch.det(Fn), torch.det(F), rtol=1e-5, atol=0.0)


def test_the_surface_of_von_mises_grows_with_the_flow():
    tau, _, flow, _ = mapped("vonmises_hardening", [0.05, 0.4], [0.1])
    yielded = flow[:, 0] > 0.1 + 1e-3
    assert yielded.sum() > 20 and (flow >= 0.1 - 1e-7).all()
    torch.testing.assert_close(deviator(tau)[yielded], (0.05 + 0.4 * flow[:, 0])[yielded], rtol=1e-4, atol=0.0)
    assert (deviator(tau) < (0.05 + 0.4 * flow[:, 0]) * (1 + 1e-6) + 1e-7).all()


def test_stress_of_sand_stays_inside_the_cone_and_is_never_tension():
    tau, Fn, volume, F = mapped("sand", [30.0], [0.0])
    sine = np.sin(np.radians(30.0))
    slope = np.sqrt(2 / 3) * 2 * sine / (3 - sine)
    trace = tau.diagonal(dim1=1, dim2=2).sum(1)
    assert (trace <= 1e-6).all() and (deviator(tau) <= -slope * trace * (1 + 1e-5) + 1e-6).all()
    pulled = torch.det(F) > 1.01
    assert pulled.any() and (tau[pulled].abs() < 1e-6).all()
    torch.testing.assert_close(volume[pulled, 0], torch.det(F)[pulled].log(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(torch.det(Fn)[pulled], torch.ones(int(pulled.sum())).double(), rtol=1e-5, atol=0.0)


def test_sand_that_was_pulled_apart_carries_nothing_until_it_is_together_again():
    tau, _, volume, F = mapped("sand", [30.0], [0.2])
    apart = torch.det(F).log() + 0.2
    assert (tau[apart > 1e-3].abs() < 1e-6).all() and (tau[apart < -1e-2].abs().flatten(1).amax(1) > 1e-3).all()
    torch.testing.assert_close(volume[:, 0], apart.clamp(min=0.0), rtol=1e-4, atol=1e-6)


def test_stretches_stay_inside_their_bounds_and_snow_remembers_what_they_lost():
    for model, own, memory in (("clamped", [0.025, 0.0075], []), ("snow", [0.025, 0.0075, 10.0, 3.0], [1.0])):
        tau, Fn, Jp, F = mapped(model, own, memory)
        s = torch.linalg.svdvals(Fn)
        assert (s > 0.975 - 1e-6).all() and (s < 1.0075 + 1e-6).all()
        if model == "snow":
            torch.testing.assert_close(Jp[:, 0], torch.det(F) / torch.det(Fn), rtol=1e-5, atol=0.0)
            q = (10.0 * (1 - Jp[:, 0])).exp().clamp(max=3.0)
            assert (q == 3.0).any() and (q < 1.0).any()
            U, sv, _ = torch.linalg.svd(Fn)
            J = torch.det(Fn)
            t = q[:, None] * (2 * MU * (sv - 1) * sv + LAM * (J * (J - 1))[:, None])
            torch.testing.assert_close(tau, U @ torch.diag_embed(t) @ U.mT, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MPM.ElastoPlastic(von_mises_yield_stress=0.0), "von_mises_yield_stress must be a finite number > 0"),
        (
            lambda: MPM.ElastoPlastic(hardening_modulus=-1.0),
            "hardening_modulus must be a finite number >= 0",
        ),
        (
            lambda: MPM.ElastoPlastic(use_von_mises=False, yield_lower=1.0),
            "yield_lower must be a finite number strictly between 0 and 1",
        ),
        (lambda: MPM.ElastoPlastic(yield_lower=0.1), "yield_lower must be left out with use_von_mises=True, got 0.1"),
        (
            lambda: MPM.ElastoPlastic(use_von_mises=False, hardening_modulus=1.0),
            "must be left out with",
        ),
        (lambda: MPM.ElastoPlastic(use_von_mises=1), "use_von_mises must be"),
        (lambda: MPM.Sand(friction_angle=90.0), "friction_angle must be a finite number strictly between 0 and 90"),
        (lambda: MPM.Sand(friction_angle=torch.tensor([10.0, -1.0])), "Sand.friction_angle must be finite strictly"),
        (lambda: MPM.Snow(hardening_limit=0.5), "Snow.hardening_limit must be a finite number >= 1"),
        (lambda: MPM.Snow(yield_higher=-0.1), "Snow.yield_higher must be a finite number > 0"),
    ],
)
def test_numbers_out_of_range_are_refused(make, message):
    with pytest.raises(gs.GenesisException, match=message):
        make()


def scene_of(material, substeps):
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=1e-2, substeps=substeps),
        mpm_options=gs.options.MPMOptions(grid_density=16, lower_bound=(0, 0, 0), upper_bound=(1, 1, 1)),
    )
    body = scene.add_entity(gs.morphs.Box(pos=(0.5, 0.5, 0.5), size=(0.1, 0.1, 0.1)), material)
    return scene, body


def test_a_substep_that_suits_loose_snow_alone_is_refused():
    """Waves of 2.36 m/s in loose snow need 1 substep of 1e-2 s (limit 0.0186 s); in snow 25 times as stiff, 3."""
    with pytest.raises(gs.GenesisException, match=r"Use substeps=3 or more"):
        scene_of(MPM.Snow(E=5e3, hardening_limit=25.0), 1)[0].build(n_envs=1)
    scene, snow = scene_of(MPM.Snow(E=5e3, hardening_limit=25.0), 3)
    scene.build(n_envs=1)
    with pytest.raises(gs.GenesisException, match="the substep of .* must be at most"):
        snow.set_material(hardening_limit=50.0)
    snow.set_material(hardening_limit=2.0)
    with pytest.raises(gs.GenesisException, match="must get E, nu, rho, yield_lower, .* only, got friction_angle"):
        snow.set_material(friction_angle=30.0)
