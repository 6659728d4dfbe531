"""Distances between shapes against brute force, known values and central differences."""

import itertools

import pytest
import torch

import genesis as gs
from envs.rewards import (
    Grid,
    chamfer,
    density,
    density_difference,
    distance_field,
    distance_outside,
    sinkhorn,
    soft_iou,
)  # fmt: skip
from tests.physics.worlds import build

F64 = torch.float64
GRID = Grid((0.0, 0.0, 0.0), (1.0, 0.9, 0.8), 0.1)
VOLUME = 2e-3


def cloud(*shape, seed=0, low=0.25, high=0.55, dtype=F64):
    generator = torch.Generator().manual_seed(seed)
    return (low + (high - low) * torch.rand(*shape, 3, generator=generator, dtype=F64)).to(dtype)


def solid(low, high, n=12):
    """A block filled by n^3 particles, and the volume of each."""
    axis = low + (torch.arange(n, dtype=F64) + 0.5) * (high - low) / n
    return torch.cartesian_prod(axis, axis, axis)[None], ((high - low) / n) ** 3


def check_gradient(function, *inputs):
    """gradcheck in float64, a hundred times stricter than its defaults, of a sum with unequal weights."""
    inputs = [value.clone().requires_grad_() for value in inputs]
    assert torch.autograd.gradcheck(function, inputs, eps=1e-6, atol=1e-8, rtol=1e-5)


def target_density():
    return density(cloud(1, 40, seed=9, low=0.2, high=0.6), VOLUME, GRID)[0]


def test_density_is_the_sum_of_splines_and_keeps_volume():
    pos = cloud(2, 7)
    found = density(pos, VOLUME, GRID)

    def spline(r):
        r = r.abs()
        return torch.where(r < 0.5, 0.75 - r**2, torch.where(r < 1.5, 0.5 * (1.5 - r) ** 2, 0.0))

    away = (GRID.nodes(pos) - pos[:, :, None, None, None]) / GRID.spacing
    expected = VOLUME / GRID.spacing**3 * spline(away).prod(-1).sum(1)
    assert found.shape == (2, *GRID.shape) == (2, 11, 10, 9)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(found.sum((1, 2, 3)) * GRID.spacing**3, torch.full((2,), 7 * VOLUME, dtype=F64))


def test_a_body_that_fills_its_space_has_density_one_inside():
    pos, volume = solid(0.2, 0.8, 24)
    assert (density(pos, volume, GRID)[0, 4:7, 4:7, 4:6] - 1.0).abs().max() < 0.01


def test_what_is_off_the_grid_or_has_no_volume_counts_for_nothing():
    pos = cloud(1, 6)
    volume = torch.full((6,), VOLUME, dtype=F64)
    whole = density(pos[:, :4], VOLUME, GRID)
    pos[0, 4:] = torch.tensor([[5.0, 0.5, 0.5], [torch.nan, 0.5, 0.5]])
    pos.requires_grad_()
    found = density(pos, volume, GRID)
    torch.testing.assert_close(found, whole)
    (gradient,) = torch.autograd.grad((found**2).sum(), pos)
    assert (gradient[0, :4] != 0).any(1).all() and (gradient[0, 4:] == 0).all()
    volume[4:] = 0.0
    torch.testing.assert_close(density(cloud(1, 6), volume, GRID), whole)


def test_derivatives_of_densities_and_what_is_made_of_them():
    target, volume = target_density(), torch.full((1,), VOLUME, dtype=F64)
    field, few = distance_field(target_density(), GRID, 0.05), Grid((0.0, 0.0, 0.0), (0.9, 0.9, 0.9), 0.3)
    edge = torch.tensor([[[0.02, 0.43, 0.77], [0.97, 0.5, 0.4], [0.5, 0.5, 0.5], [0.3, 0.2, 0.6], [0.41, 0.33, 0.2]]])
    for pos in (cloud(2, 5)[:, :2], edge.to(F64)):
        check_gradient(lambda x, v: density(x, v, few), pos, volume)
        check_gradient(lambda x: density_difference(density(x, VOLUME, GRID), target), pos)
        check_gradient(lambda x: soft_iou(density(x, VOLUME, GRID), target), pos)
        check_gradient(lambda x: distance_outside(density(x, VOLUME, GRID), field), pos)
    check_gradient(lambda t: soft_iou(density(cloud(2, 5), VOLUME, GRID), t), target + 0.01)


def test_known_values_of_densities():
    block, volume = solid(0.2, 0.45)
    other, _ = solid(0.45, 0.7)
    here, there = density(block, volume, GRID), density(other, volume, GRID)
    far = density(block + torch.tensor([0.45, 0.0, 0.0], dtype=F64), volume, GRID)
    torch.testing.assert_close(density_difference(here, here[0]), torch.zeros(1, dtype=F64))
    torch.testing.assert_close(density_difference(far, here), torch.full((1,), 2.0, dtype=F64))
    torch.testing.assert_close(soft_iou(here, here[0]), torch.ones(1, dtype=F64))
    assert soft_iou(far, here) == 0.0 < soft_iou(there, here) < 0.1
    half, full = torch.zeros(2, *GRID.shape, dtype=F64)[:, None]
    half[0, :4], full[0, :8] = 1.0, 1.0  # sets: intersection over union
    torch.testing.assert_close(soft_iou(half, full), torch.full((1,), 0.5, dtype=F64))


def test_distance_field_of_a_half_space_and_distance_from_it():
    target = torch.zeros(GRID.shape, dtype=F64)
    target[:4] = 1.0  # up to x = 0.35, half way between two nodes
    field = distance_field(target, GRID)
    torch.testing.assert_close(field, (GRID.nodes(target)[..., 0] - 0.35))
    pos = torch.tensor([[[0.7, 0.4, 0.4], [0.1, 0.4, 0.4]]], dtype=F64)
    torch.testing.assert_close(distance_outside(density(pos, VOLUME, GRID), field), torch.full((1,), 0.175, dtype=F64))


def brute_chamfer(x, y):
    return sum(
        sum(min(float(((p - q) ** 2).sum()) for q in two) for p in one) / len(one) for one, two in ((x, y), (y, x))
    )


def test_chamfer_is_that_of_brute_force_and_its_derivative_right():
    x, y = cloud(3, 9), cloud(3, 7, seed=1)
    expected = [brute_chamfer(a, b) for a, b in zip(x, y, strict=True)]
    torch.testing.assert_close(chamfer(x, y), torch.tensor(expected, dtype=F64))
    torch.testing.assert_close(chamfer(x, y[0])[2], torch.tensor(brute_chamfer(x[2], y[0]), dtype=F64))
    check_gradient(chamfer, x, y)
    same = x.clone().requires_grad_()
    value = chamfer(same, x)
    (gradient,) = torch.autograd.grad(value.sum(), same)
    assert (value == 0).all() and (gradient == 0).all()  # and not NaN


def test_sinkhorn_of_like_and_of_shifted_clouds():
    x, blur = cloud(3, 20), 0.05
    shift = torch.tensor([[0.3, -0.1, 0.2], [0.01, 0.0, 0.0], [2.0, 0.0, 0.0]], dtype=F64)
    alike = x.clone().requires_grad_()
    value = sinkhorn(alike, x, blur)
    (gradient,) = torch.autograd.grad(value.sum(), alike)
    assert value.abs().max() < 1e-10 * blur**2 and gradient.abs().max() < 1e-9
    torch.testing.assert_close(sinkhorn(x + shift[:, None], x, blur), shift.square().sum(1), rtol=1e-8, atol=1e-12)


def test_sinkhorn_tends_to_the_best_assignment():
    x, y = cloud(1, 5), cloud(1, 5, seed=1)
    cost = (x[0, :, None] - y[0]).square().sum(-1)
    best = min(float(cost[range(5), list(order)].mean()) for order in itertools.permutations(range(5)))
    errors = [abs(float(sinkhorn(x, y, blur, 5000)) - best) / best for blur in (0.1, 0.03)]
    assert errors[0] > errors[1] and errors[1] < 1e-2, errors


def test_the_derivative_of_sinkhorn_and_environments_are_independent():
    x, y = cloud(3, 5), cloud(3, 3, seed=1)
    check_gradient(lambda a, b: sinkhorn(a, b, 0.15, 5000), x[:2], y[:2])
    alone = torch.cat([sinkhorn(x[i : i + 1], y[i : i + 1], 0.08) for i in range(3)])
    torch.testing.assert_close(sinkhorn(x, y, 0.08), alone, rtol=0, atol=1e-15)
    x[1, 2] = torch.nan
    found = sinkhorn(x, y, 0.08)
    assert torch.isnan(found[1])
    torch.testing.assert_close(found[::2], alone[::2], rtol=0, atol=1e-15)


def test_float32_far_from_the_origin():
    x, y = cloud(1, 200), cloud(1, 150, seed=1)
    far = torch.tensor([30.0, -20.0, 10.0])
    for distance in (lambda a, b: sinkhorn(a, b, 0.03), chamfer):
        single = [value.float().add(far).requires_grad_() for value in (x, y)]
        double = [value.detach().double().requires_grad_() for value in single]
        low, high = distance(*single), distance(*double)
        torch.testing.assert_close(low.double(), high, rtol=1e-3, atol=1e-7)
        for a, b in zip(torch.autograd.grad(low, single), torch.autograd.grad(high, double), strict=True):
            assert (a.double() - b).norm() < 2e-3 * b.norm()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: density(torch.zeros(5, 3), VOLUME, GRID),
        lambda: chamfer(torch.zeros(2, 4, 3), torch.zeros(3, 4, 3)),
        lambda: chamfer(torch.zeros(2, 4, 3, dtype=torch.int32), torch.zeros(2, 4, 3)),
        lambda: sinkhorn(torch.zeros(2, 4, 3), torch.zeros(4, 3), 0.0),
        lambda: sinkhorn(torch.zeros(2, 0, 3), torch.zeros(4, 3), 0.1),
        lambda: soft_iou(torch.zeros(2, 3, 3, 3), torch.zeros(3, 3, 3)),
        lambda: density_difference(torch.zeros(2, 3, 3, 3), torch.ones(3, 3, 4)),
        lambda: distance_field(torch.ones(GRID.shape), GRID),
        lambda: distance_field(torch.ones(2, 2, 2), GRID),
        lambda: Grid((0.0, 0.0, 0.0), (1.0, 0.0, 1.0), 0.1),
        lambda: Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), -0.1),
    ],
)
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(gs.GenesisException, match=r"must .*, got .*\. .*[.?]$"):
        wrong()


def test_of_what_getters_return():
    """A loss of the particles of a scene goes back through its step."""
    world = build(gravity=(0.0, 0.0, 0.0))
    vel = torch.zeros(2, 3, dtype=gs.runtime.current().real, requires_grad=True)
    world.body.set_velocity(vel)
    world.scene.step()
    pos = world.body.get_particles_pos()
    start = torch.as_tensor(world.body.initial_positions).to(pos)
    shift = torch.tensor([0.1, 0.0, -0.05]).to(pos)
    loss = sinkhorn(pos, start.as_subclass(torch.Tensor) + shift, 0.05)
    rho = density(pos, world.body.particle_volume, Grid((0.0, 0.0, 0.0), (1.6, 1.6, 1.6), 0.1))
    assert chamfer(pos, start).max() < 1e-6 and soft_iou(rho, rho.detach()[0]).min() > 0.999
    loss.sum().backward()
    expected = -2.0 * world.scene.dt * shift.as_subclass(torch.Tensor)  # of |x + dt v - target|^2
    assert vel.grad is not None
    torch.testing.assert_close(vel.grad.as_subclass(torch.Tensor), expected.expand(2, 3), rtol=1e-3, atol=1e-6)
