"""Sines, cosines and arctangents of lanes against torch's, over many turns."""

import pytest
import torch

import genesis as gs
from genesis.arrays import Array
from genesis.compiler import ti
from genesis.launch import bind, kernel
from genesis.math.lanes import arctangent, sine_cosine

TABLE = tuple(Array(name, "AL", ("items",), "scratch") for name in ("x", "y", "sine", "cosine", "angle"))


@pytest.fixture(scope="module")
def trigonometry():
    """A function from x, y (n, lanes) to sine and cosine of x and the angle of (x, y)."""

    @kernel(TABLE, "scratch")
    def compute(a: ti.template()):
        for i in range(a.x.shape[0]):
            s, c = sine_cosine(a.x[i])
            a.sine[i] = s
            a.cosine[i] = c
            a.angle[i] = arctangent(a.y[i], a.x[i])

    def call(x, y):
        out = {name: torch.empty_like(x) for name in ("sine", "cosine", "angle")}
        bind(compute, {"x": x, "y": y, **out}, lanes=True)()
        return [value.double() for value in out.values()]

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
