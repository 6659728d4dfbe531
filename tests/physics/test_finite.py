"""The judge is judged: it finds true derivatives true, wrong ones wrong, and kinks kinks."""

import pytest
import torch

from tests.physics.finite import compare
from tests.physics.worlds import leaf

pytestmark = pytest.mark.precision("64")


class Tilted(torch.autograd.Function):
    """x squared, whose derivative is wrong by a factor."""

    factor = 1.0

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, g):
        return 2 * Tilted.factor * ctx.saved_tensors[0] * g


@pytest.mark.parametrize("factor", [1.0, 1.0 + 1e-5, 0.5, -1.0])
def test_a_wrong_factor_is_found(monkeypatch, factor):
    monkeypatch.setattr(Tilted, "factor", factor)
    (found,) = compare(lambda x: torch.sin(Tilted.apply(x)).sum(), [leaf([0.3, 0.7, -1.1])])
    assert found.kinks == 0
    assert abs(found.error - abs(factor - 1)) < 1e-7 + 0.01 * abs(factor - 1)


def test_a_kink_is_counted_and_a_wrong_derivative_beside_it_is_not_excused():
    (found,) = compare(lambda x: x.abs().sum() + (x**3).sum(), [leaf([1e-9, 0.5])])
    assert (found.kinks, found.samples) == (1, 2) and found.error < 1e-7
    with pytest.raises(AssertionError, match="kink"):
        found.check(1e-6)
    (found,) = compare(lambda x: x.abs().sum() + (5 * x - 5 * x.detach()).sum(), [leaf([1e-9, 0.5])])
    assert found.kinks == 0 and found.error > 0.5


def test_a_loss_without_the_input_is_refused():
    (found,) = compare(lambda x: (0.0 * x).sum(), [leaf([1.0, 2.0])])
    with pytest.raises(AssertionError, match="depend"):
        found.check(1e-6)


def test_many_inputs_and_random_directions():
    x, y = leaf(torch.linspace(0, 1, 40).double()), leaf(2.0)
    found = compare(lambda a, b: (a.sin() * b).sum(), [x, y])
    assert [f.samples for f in found] == [6, 1]
    assert all(f.error < 1e-7 for f in found)
