"""Sines, cosines and arctangents of lanes against torch's, over many turns."""

import pytest
import torch

import genesis as gs
from genesis.compiler import bind, layout, ti
from genesis.math.lanes import arctangent, sine_cosine


@pytest.fixture(scope="module")
def trigonometry():
    """A function from x, y (n, lanes) to sine and cosine of x and the angle of (x, y)."""
    lay = layout()
    AL = lay.AL

    @ti.kernel
    def compute(x: AL, y: AL, sine: AL, cosine: AL, angle: AL):
        for i in range(x.shape[0]):
            s, c = sine_cosine(x[i])
            sine[i] = s
            cosine[i] = c
            angle[i] = arctangent(y[i], x[i])

    def call(x, y):
        out = [torch.empty_like(x) for _ in range(3)]
        bind(compute, x, y, *out, lanes=True)()
        return [value.double() for value in out]

    return call


@pytest.mark.parametrize("size", [1.0, 10.0, 1e3, 1e5])
def test_angles_of_many_turns(trigonometry, size):
    """As exact as the angle itself, whose last digit grows with it, and on the unit circle."""
    eps = torch.finfo(gs.tc_float).eps
    angles = torch.cat([torch.linspace(-1.0, 1.0, 8000), torch.pi / size * torch.arange(-4, 4) / 4]).double() * size
    x = angles.to(gs.tc_float).reshape(-1, 8).contiguous()
    y = torch.randn(x.shape, dtype=torch.float64).to(gs.tc_float)
    sine, cosine, angle = trigonometry(x, y)
    bar = eps * (1.0 + size)
    assert (sine - x.double().sin()).abs().max() < bar
    assert (cosine - x.double().cos()).abs().max() < bar
    assert (sine.square() + cosine.square() - 1.0).abs().max() < 4 * eps
    assert (angle - torch.atan2(y.double(), x.double())).abs().max() < 4 * eps
