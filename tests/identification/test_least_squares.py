"""Minima, intervals and directions without a simulator: closed forms, and repeated cases."""

import math

import pytest
import torch

from genesis.identification.intervals import certainty, student
from genesis.identification.least_squares import latin_hypercube, levenberg_marquardt, search

TIMES = torch.linspace(0.0, 3.0, 60, dtype=torch.float64)
NOISE = 0.01


def decay(unit):
    """An amplitude and a rate over noise, both from 0.2 to 5."""
    amplitude, rate = (0.2 * 25 ** unit[:, k, None] for k in (0, 1))
    return amplitude * torch.exp(-rate * TIMES) / NOISE


def place(value):
    return math.log(value / 0.2) / math.log(25)


def test_starts_are_one_in_each_layer():
    drawn = latin_hypercube(7, 3, seed=1)
    assert all(sorted((7 * column).int().tolist()) == list(range(7)) for column in drawn.T)


@pytest.mark.parametrize("freedom, right", [(10, 2.228139), (20, 2.085963), (100, 1.983972), (1e6, 1.959966)])
def test_quantiles_are_student_s(freedom, right):
    assert student(freedom) == pytest.approx(right, abs=2e-4)


def test_each_start_goes_to_the_minimum_of_its_own_data():
    truth = torch.tensor([[place(a), place(r)] for a, r in ((0.5, 0.5), (2.0, 1.0), (4.0, 3.0))], dtype=torch.float64)
    start = torch.full((3, 2), 0.9, dtype=torch.float64)
    found = levenberg_marquardt(decay, decay(truth), start, iterations=40, difference=1e-4)
    assert found.converged.all() and torch.allclose(found.unit, truth, atol=1e-4)


def test_the_search_by_gradients_comes_nearer_than_its_starts():
    data = decay(torch.tensor([[place(2.0), place(1.0)]], dtype=torch.float64))
    start = latin_hypercube(6, 2, seed=0)
    _, before = search(decay, data, start, steps=0)
    unit, after = search(decay, data, start, steps=30)
    assert (after <= before).all() and (after < 0.05 * before).sum() >= 4
    assert ((unit >= 0) & (unit <= 1)).all()


def test_what_cannot_be_simulated_is_left_alone():
    def simulate(unit):
        return torch.where(unit[:, :1] > 0.8, torch.nan, decay(unit))

    data = decay(torch.tensor([[place(2.0), place(1.0)]], dtype=torch.float64))
    start = torch.tensor([[0.9, 0.5], [0.5, 0.5], [0.79, 0.2]], dtype=torch.float64)
    _, costs = search(simulate, data, start, steps=5)
    assert torch.isfinite(costs).tolist() == [False, True, True]
    found = levenberg_marquardt(simulate, data, start, iterations=40, difference=1e-4)
    assert found.converged.tolist() == [False, True, True]
    assert torch.allclose(found.unit[1:, 0], torch.tensor(place(2.0), dtype=torch.float64), atol=1e-4)


def test_a_parameter_that_is_pressed_stays_at_its_bound():
    """Data of twice the largest amplitude: the rate is fitted alone."""
    data = 2 * decay(torch.tensor([[1.0, 0.5]], dtype=torch.float64))
    found = levenberg_marquardt(decay, data, torch.full((1, 2), 0.5, dtype=torch.float64), 40, 1e-4)
    rates = torch.linspace(0, 1, 20001, dtype=torch.float64)
    costs = (decay(torch.stack([torch.ones_like(rates), rates], 1)) - data).square().sum(1)
    assert found.unit[0, 0] == 1 and found.converged.all()
    assert found.unit[0, 1] == pytest.approx(float(rates[costs.argmin()]), abs=1e-4)


def test_intervals_of_a_straight_line_are_those_of_linear_regression():
    slopes = torch.stack([torch.ones_like(TIMES), TIMES])
    residual = torch.randn(60, dtype=torch.float64)
    residual -= slopes.T @ torch.linalg.lstsq(slopes.T, residual[:, None]).solution[:, 0]
    scaled = 100 * slopes  # a line known far better than its bounds
    covariance = torch.linalg.inv(scaled @ scaled.T) * residual.square().sum() / 58
    found = certainty(residual, scaled)
    assert torch.allclose(found.half, 2.001717 * covariance.diagonal().sqrt(), rtol=1e-5) and not found.weak


def test_only_a_product_that_is_known_is_named():
    """Of three parameters two have opposite slopes: their sum is known, and neither."""
    slopes = 1e3 * torch.stack([TIMES, torch.cos(TIMES), -torch.cos(TIMES)])
    found = certainty(torch.randn(60, dtype=torch.float64), slopes)
    assert found.weak == [[1, 2]]
    assert found.half[0] < 0.01 and (found.half[1:] > 0.5).all() and (found.half < 1.01).all()


def test_intervals_hold_the_truth_as_often_as_they_say():
    n = 400
    truth = 0.25 + 0.5 * latin_hypercube(n, 2, seed=2)
    data = decay(truth) + torch.randn(n, 60, dtype=torch.float64)
    found = levenberg_marquardt(decay, data, torch.full_like(truth, 0.5), 60, 1e-4)
    half = torch.stack([certainty(r, slopes).half for r, slopes in zip(found.residual, found.jacobian, strict=True)])
    inside = ((found.unit - truth).abs() <= half).double().mean(0)
    assert found.converged.double().mean() > 0.98
    assert ((inside > 0.95 - 3 * 0.011) & (inside < 0.95 + 3 * 0.011)).all()  # three standard deviations of a share
