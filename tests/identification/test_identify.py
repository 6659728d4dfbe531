"""`identify` on a cart with a pole: parameters and intervals, what is refused, and slopes against the adjoint."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from genesis import GenesisException
from genesis.identification import Channel, Experiment, identify, synthetic_recording
from genesis.identification.identify import prepared
from genesis.identification.least_squares import slopes
from scripts.identification import coverage, rigid, soft

pytestmark = pytest.mark.precision("64")
FEW = {"cart_mass": rigid.BOUNDS["cart_mass"], "pole_mass": rigid.BOUNDS["pole_mass"]}
OTHERS = {name: value for name, value in rigid.TRUTH.items() if name not in FEW}


def recorded(seed=1, steps=rigid.N_STEPS, world=rigid, **options):
    controls, initial = world.motion()
    controls = {name: value[:steps] for name, value in controls.items()}
    return synthetic_recording(world.build(1), world.TRUTH, steps, controls, initial, seed=seed, **options)


@pytest.fixture(scope="module")
def recording():
    return recorded()


def test_five_parameters_are_found_from_two_seconds(recording, tmp_path):
    """Masses, damping, dry friction and armature within 2 %, at noise of 1 %."""
    found = identify(rigid.build, recording, rigid.BOUNDS, restarts=4)
    for name, right in rigid.TRUTH.items():
        assert found[name].value == pytest.approx(right, rel=0.02)
        assert found[name].low < found[name].value < found[name].high and found[name].identifiable
    assert sum(found[name].low <= right <= found[name].high for name, right in rigid.TRUTH.items()) >= 4
    assert found.converged and found.misfit == pytest.approx(1.0, abs=0.1) and not found.doubts
    assert sum(each.same for each in found.restarts) >= 3
    simulated = found.simulated[0]
    assert np.sqrt(np.mean((simulated["pole"] - recording.signals["pole"]) ** 2)) < 1.2 * recording.noise["pole"]
    written = found.save(tmp_path, rigid.TRUTH, with_picture=False)
    assert [path.name for path in written] == ["identification.json", "identification.md"]
    assert "cart_mass" in written[1].read_text()


def test_the_adjoint_s_slope_of_the_cost_is_that_of_differences(recording):
    """Reverse mode through 30 steps, and the central differences that intervals are made of."""
    short = recorded(steps=30)
    rollouts = prepared(rigid.build, [short], rigid.BOUNDS, {}, 10)
    unit = torch.tensor([[0.4, 0.6, 0.5, 0.3, 0.5]], dtype=torch.float64, requires_grad=True)
    residual = rollouts(unit)[0] - rollouts.data
    (exact,) = torch.autograd.grad(0.5 * residual.square().sum(), unit)
    jacobian = slopes(rollouts, unit.detach(), difference=1e-4)[0]
    assert torch.allclose(jacobian @ residual.detach(), exact[0], rtol=1e-5, atol=1e-6 * float(exact.abs().max()))


def test_recordings_are_fitted_together_and_signals_have_their_rates():
    recordings = [recorded(seed, rates={"pole": 10.0}) for seed in (3, 4)]
    assert recordings[0].signals["pole"].shape == (20, 1)
    alone, both = (identify(rigid.build, those, FEW, OTHERS, restarts=1) for those in (recordings[:1], recordings))
    for name in FEW:
        assert both[name].value == pytest.approx(rigid.TRUTH[name], rel=0.02)
        share = (both[name].high - both[name].low) / (alone[name].high - alone[name].low)
        assert share == pytest.approx(0.5**0.5, rel=0.15)  # twice the numbers


def with_rail_armature(n_envs):
    """The armature of the rail adds to the cart's mass: only their sum acts."""
    made = rigid.build(n_envs)
    robot = made.scene.entities[0]
    armature = Channel(call=lambda kg: robot.set_dofs_armature(kg[:, None], [0]), unit="kg")
    return Experiment(
        scene=made.scene,
        parameters={**made.parameters, "rail_armature": armature},
        signals=made.signals,
        controls=made.controls,
        initial=made.initial,
    )


def test_parameters_that_only_act_together_are_named(recording):
    bounds = {**FEW, "rail_armature": (1.0, 30.0)}
    found = identify(with_rail_armature, recording, bounds, OTHERS, restarts=1)
    assert found.undetermined == (("cart_mass", "rail_armature"),)
    assert [each.name for each in found.estimates if not each.identifiable] == ["cart_mass", "rail_armature"]
    assert found["pole_mass"].value == pytest.approx(8.0, rel=0.02)
    assert any("cart_mass with rail_armature" in doubt for doubt in found.doubts)


def test_bounds_that_hold_a_value_back_and_a_wrong_model_are_told(recording):
    found = identify(rigid.build, recording, {**FEW, "pole_mass": (12.0, 30.0)}, OTHERS, restarts=1)
    assert found["pole_mass"].at_bound and not found["cart_mass"].at_bound
    assert any("Stopped by a bound: pole_mass" in doubt for doubt in found.doubts)
    assert any("Model or noise is wrong" in doubt for doubt in found.doubts) and found.misfit > 3


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"bounds": {"mass": (1.0, 2.0)}}, "got 'mass'. Valid ones: cart_mass, pole_mass"),
        ({"bounds": {"cart_mass": (2.0, 1.0)}}, r"finite with low < high, got \(2, 1\)"),
        ({"bounds": {}}, "at least one parameter"),
        (
            {"bounds": {"cart_mass": (-1.0, 2.0)}},
            "values that the scene takes, .* Narrow the bounds of cart_mass",
        ),
        ({"fixed": {"cart_mass": 3.0}}, "parameters without bounds, got 'cart_mass'"),
        ({"fixed": {"mass": 3.0}}, "must name a parameter"),
        ({"recordings": []}, "one Recording or several"),
        ({"restarts": 0}, "restarts must be at least 1"),
        ({"build": lambda n_envs: rigid.build(n_envs).scene}, "build must return an Experiment, got Scene"),
    ],
)
def test_what_cannot_be_fitted_is_refused(recording, changes, words):
    given = {"build": rigid.build, "recordings": recording, "bounds": FEW, "fixed": {}, **changes}
    with pytest.raises(GenesisException, match=words):
        identify(**given)


@pytest.mark.parametrize(
    "changed, words",
    [
        (lambda r: replace(r, times=0.5 * r.times), "control step .* must be the scene's, 0.02 s, got 0.01 s"),
        (lambda r: replace(r, units={**r.units, "pole": "deg"}), r"units\['pole'\] must be 'rad', .* got 'deg'"),
        (lambda r: replace(r, signals={**r.signals, "pole": r.signals["pole"][:, 0]}), r"samples of shape \(1,\)"),
        (lambda r: replace(r, signals={"x": r.signals["cart"]}, noise={"x": 1.0}), "must name a signal .* got 'x'"),
        (lambda r: replace(r, initial={}), "must hold position, which the experiment sets"),
        (lambda r: replace(r, controls={}), "must hold force, which the experiment sets"),
    ],
)
def test_recordings_that_the_experiment_cannot_explain_are_refused(recording, changed, words):
    with pytest.raises(GenesisException, match=words):
        identify(rigid.build, changed(recording), FEW)


def test_too_short_recordings_are_refused():
    with pytest.raises(GenesisException, match=r"at least ten numbers for each of 5 parameter\(s\), got 48"):
        identify(rigid.build, recorded_briefly(), rigid.BOUNDS)


def recorded_briefly():
    whole = recorded(steps=30)
    cut = {name: value[:24] for name, value in whole.signals.items()}
    controls = {name: value[:24] for name, value in whole.controls.items()}
    return replace(whole, times=whole.times[:25], signals=cut, controls=controls)


@pytest.mark.slow
def test_a_soft_push_gives_five_parameters():
    """E, nu, yield stress, friction and density within 2 %, from two seconds at noise of 1 %."""
    found = identify(soft.build, recorded(world=soft), soft.BOUNDS, restarts=1)
    assert {name: found[name].value for name in soft.TRUTH} == pytest.approx(soft.TRUTH, rel=0.02)


@pytest.mark.slow
def test_intervals_hold_the_truth_in_ninety_of_a_hundred_cases():
    study = coverage.coverage(rigid, rigid.BOUNDS, 100, rigid.NOISE, 0, rigid.AT_ONCE)
    assert (study.inside.sum(0) >= 90).all() and study.converged.sum() >= 98
