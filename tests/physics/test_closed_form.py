"""Motions that have a formula, and whose gradients have one."""

import math

import numpy as np
import pytest
import torch

import genesis as gs
from tests.physics.worlds import ALONE, DX, F64, MODELS, build, leaf, plain

pytestmark = pytest.mark.precision("64")
G = 9.81


def centre(body):
    return plain(body.get_particles_pos()).mean(1)


def speed(body):
    return plain(body.get_particles_vel()).mean(1)


def fall(world, steps, v, g, E):
    """Start and end of the centre of mass, and its last velocity."""
    world.scene.reset()
    world.body.set_position([0.825, 0.825, 0.825])
    start = centre(world.body).detach()
    world.body.set_velocity(v)
    world.scene.set_gravity(g)
    world.body.set_material(E=E)
    world.run(steps)
    return start, centre(world.body), speed(world.body)


def test_free_fall():
    """The centre of mass moves as symplectic Euler does, x + N h v + N (N + 1) / 2 h^2 g, whatever the block does.

    Exactly, as long as no node is so light that the grid leaves it out (1e-8 of a particle): on this short way none is.
    On a long way every substep loses at most the momentum of a few such nodes.
    """
    world = build(ALONE, n_envs=2)
    for steps, slack in ((5, 1e-13), (20, 1e-8)):
        v, g = leaf([[0.03, -0.02, 0.05], [-0.04, 0.01, 0.02]]), leaf([[0.1, 0.2, -G], [0.0, 0.0, -1.6]])
        E = leaf(1e4)
        start, end, last = fall(world, steps, v, g, E)
        n, h = steps * world.scene.substeps, world.scene.sim_options.substep_dt
        assert (end - (start + n * h * v + n * (n + 1) / 2 * h**2 * g)).abs().max() < slack
        assert (last - (v + n * h * g)).abs().max() < 10 * slack
        for axis in range(3):
            by_v, by_g, by_E = torch.autograd.grad(end[:, axis].sum(), (v, g, E), retain_graph=True)
            unit = torch.eye(3, dtype=F64)[axis].expand(2, 3)
            assert (by_v - n * h * unit).abs().max() < slack
            assert (by_g - n * (n + 1) / 2 * h**2 * unit).abs().max() < slack
            assert abs(by_E) * 1e4 < slack


def test_a_body_at_rest_stays_so():
    """Without gravity nothing moves, to the bit; and no parameter matters."""
    world = build(ALONE, n_envs=2, gravity=(0.0, 0.0, 0.0))
    E = leaf(1e4)
    world.body.set_material(E=E)
    before = plain(world.body.get_particles_pos())
    world.run(3)
    after = plain(world.body.get_particles_pos())
    assert (after - before).abs().max() < 1e-15
    (grad,) = torch.autograd.grad(after.square().sum(), E)
    assert abs(grad) * 1e4 < 1e-13


LENGTH, E_BAR, RHO_BAR, SWING = 1.6, 1e4, 1000.0, 0.01


@pytest.fixture(scope="module")
def bars():
    """Free bars along x, 16 cells long, one of each model, and a tool too far away to matter."""
    centres = [(0.5 + LENGTH / 2, 0.5 + 0.3 * k, 0.5) for k in range(3)]
    return build(
        MODELS, n_envs=1, size=(LENGTH, 0.1, 0.1), centres=centres, upper=(LENGTH + 1.0, 1.6, 1.2), dt=4e-3,
        substeps=10, gravity=(0.0, 0.0, 0.0), tools=[gs.morphs.Sphere(pos=(0.2, 0.8, 1.0), radius=0.05)], softness=0.01,
    )  # fmt: skip


def period_of(scene, body, mode, speed):
    """s, of a swing with velocities of `speed` times `mode` (N, 3) in its middle: four times what it takes until these
    turn, differentiable."""
    body.set_velocity(speed * mode)
    before, steps = speed * (mode * mode).sum(), 0
    while True:
        scene.step()
        now = (plain(body.get_particles_vel())[0] * mode).sum()
        if now < 0:
            return 4 * scene.dt * (steps + before / (before - now))
        before, steps = now, steps + 1
        assert steps < 200, "the body must swing back"


@pytest.mark.parametrize("model", ["corotation", "neohooken"])
def test_elastic_bar(bars, model):
    """A bar that rings in its first longitudinal mode has the period T = 2 L / sqrt(E / rho) (for nu = 0).

    T here is four times the moment at which the mode's velocity first passes zero. The bar is 16 cells long: dispersion
    takes (pi / 16)^2 / 24 of the period, free ends are known to a fraction of a cell, and so is the period: 2 %.
    For the derivatives, dT/dE = -T / (2 E) and dT/drho = T / (2 rho), twice that. Exact is that E and rho matter by
    their ratio alone.
    """
    body = bars.bodies[MODELS.index(model)]
    bars.scene.reset()
    E, rho = leaf(E_BAR), leaf(RHO_BAR)
    for other in bars.bodies:
        other.set_material(E=E_BAR, nu=0.0, rho=RHO_BAR)
    body.set_material(E=E, rho=rho)
    x = plain(body.get_particles_pos())[0, :, 0]
    mode = torch.cos(math.pi * ((x - x.mean()) / LENGTH + 0.5))[:, None] * torch.tensor([1.0, 0.0, 0.0], dtype=F64)
    period = period_of(bars.scene, body, mode, SWING)
    by_E, by_rho = torch.autograd.grad(period, (E, rho))
    T = 2 * LENGTH / math.sqrt(E_BAR / RHO_BAR)
    print(f"period {period.item() / T - 1:.2e}, by E {by_E.item() * 2 * E_BAR / -T - 1:.2e}")
    assert abs(period.item() / T - 1) < 0.02
    assert abs(by_E.item() * 2 * E_BAR / -T - 1) < 0.04
    assert abs(by_rho.item() * 2 * RHO_BAR / T - 1) < 0.04
    assert abs(by_E.item() * E_BAR + by_rho.item() * RHO_BAR) < 1e-10 * T


def bending_mode(length, height, E, rho, n=200):
    """Lowest angular frequency of a free beam (nu = 0), with its deflection and slope at n + 1 places along it: the
    equations of Timoshenko in finite elements, linear, their shear integrated at the middle."""
    size, shear = length / n, 5 / 6 * E / 2 * height
    bend, mid = np.array([-1.0, 1.0]) / size, np.array([0.5, 0.5])
    stiff = np.zeros((2 * n + 2, 2 * n + 2))
    mass = np.zeros_like(stiff)
    consistent = size / 6 * np.array([[2.0, 1.0], [1.0, 2.0]])
    for k in range(n):
        w, slope = [2 * k, 2 * k + 2], [2 * k + 1, 2 * k + 3]
        sheared = np.concatenate([bend, -mid])
        stiff[np.ix_([*w, *slope], [*w, *slope])] += shear * size * np.outer(sheared, sheared)
        stiff[np.ix_(slope, slope)] += E * height**3 / 12 * size * np.outer(bend, bend)
        mass[np.ix_(w, w)] += rho * height * consistent
        mass[np.ix_(slope, slope)] += rho * height**3 / 12 * consistent
    root = np.linalg.cholesky(mass)
    inverse = np.linalg.inv(root)
    squares, modes = np.linalg.eigh(inverse @ stiff @ inverse.T)
    mode = inverse.T @ modes[:, 2]  # after two of a rigid body
    return math.sqrt(squares[2]), mode[::2], mode[1::2]


@pytest.mark.parametrize("cells, bar", [(4, 0.03), pytest.param(8, 0.01, marks=pytest.mark.slow)])
def test_a_beam_rings_in_bending(cells, bar):
    """A free beam in its first bending mode: period, and its derivatives by E and rho, the closer the finer the grid.

    Two layers of particles in a cell take 1 / (8 cells^2) of the period, for their second moment is less than I.
    """
    height, E0, rho0 = cells * DX, 1e6, 1000.0
    length = 8 * height
    world = build(
        ALONE, n_envs=1, size=(length, 0.1, height), centres=[(0.35 + length / 2, 0.5, 0.8)],
        upper=(length + 0.7, 1.2, 1.7), dt=4e-3, substeps=2, gravity=(0.0, 0.0, 0.0),
    )  # fmt: skip
    body, E, rho = world.body, leaf(E0), leaf(rho0)
    body.set_material(E=E, nu=0.0, rho=rho)
    frequency, deflection, slope = bending_mode(length, height, E0, rho0)
    x, _, z = (body.initial_positions - (0.35, 0.5, 0.8)).T
    places = np.linspace(0.0, length, len(deflection))
    up, along = np.interp(x, places, deflection), 0.0 - z * np.interp(x, places, slope)
    mode = torch.tensor(np.stack([along, 0.0 * up, up], axis=1) / np.abs(up).max())
    period = period_of(world.scene, body, mode, 1e-3)
    by_E, by_rho = torch.autograd.grad(period, (E, rho))
    T = 2 * math.pi / frequency
    print(f"period {period.item() / T - 1:.2e}, by E {by_E.item() * 2 * E0 / -T - 1:.2e}")
    assert abs(period.item() / T - 1) < bar
    assert abs(by_E.item() * 2 * E0 / -T - 1) < 2 * bar
    assert abs(by_rho.item() * 2 * rho0 / T - 1) < 2 * bar


V_SLIDE, MU = 1.2, 0.3


@pytest.fixture(scope="module")
def slider():
    """A stiff flat block on the plane z = 0.6, just in reach of it; softness 0.03, so that it floats there quietly."""
    return build(
        tools=[gs.morphs.Plane(pos=(0.6, 0.8, 0.6))], n_envs=1, size=(0.4, 0.2, 0.1), centres=[(0.6, 0.8, 0.7)],
        gravity=(0.0, 0.0, -G), softness=0.03, dt=4e-3, substeps=4, outputs=("wrench",), upper=(2.0, 1.6, 1.6),
    )  # fmt: skip


def slide(world, v0, mu):
    world.scene.reset()
    world.body.set_material(E=2e5, nu=0.0)
    world.body.set_velocity(torch.stack([v0, torch.zeros_like(v0), torch.zeros_like(v0)]))
    world.tool.set_friction(mu)


def test_friction_takes_mu_times_what_the_support_gives(slider):
    """While it slides, v_x(t) = v0 - mu (g t + v_z(t)), whatever the block does meanwhile.

    Exact but for nodes that are too light to count: these are 1e-8 of a particle each, and their share in a derivative
    with respect to position 1e-8^(2/3), for a weight is the product of three parabolas. The wrench's direction is
    exact.
    """
    v0, mu = leaf(V_SLIDE), leaf(MU)
    slide(slider, v0, mu)
    for _ in range(4):
        slider.run(15)
        v, wrench = speed(slider.body)[0], plain(slider.tool.get_wrench())[0]
        gone = v[0] + mu * (G * slider.scene.t * slider.scene.dt + v[2])
        by_v0, by_mu = torch.autograd.grad(gone, (v0, mu), retain_graph=True)
        assert abs(gone.item() - V_SLIDE) < 1e-8
        assert abs(by_v0.item() - 1) < 5e-6
        assert abs(by_mu.item()) < 5e-6
        ratio = -wrench[0] / wrench[2]
        by_v0, by_mu = torch.autograd.grad(ratio, (v0, mu), retain_graph=True)
        assert abs(ratio.item() - MU) < 1e-12
        assert abs(by_v0.item()) < 1e-12
        assert abs(by_mu.item() - 1) < 1e-12


def test_stopping_distance(slider):
    """d = v0^2 / (2 mu g), dd/dv0 = v0 / (mu g), dd/dmu = -v0^2 / (2 mu^2 g), all to 1 %.

    The block is let go a little off its height of rest: for the first hundredth of a second it is not quite carried.
    While it stops, its top still shears on by some mm/s. Both take some permille of the way.
    """
    v0, mu = leaf(V_SLIDE), leaf(MU)
    slide(slider, v0, mu)
    start = centre(slider.body)[0, 0].item()
    while speed(slider.body)[0, 0] > 0:
        slider.scene.step()
        assert slider.scene.t < 150, "the block must stop"
    way = centre(slider.body)[0, 0] - start
    by_v0, by_mu = torch.autograd.grad(way, (v0, mu))
    assert abs(slider.scene.t * slider.scene.dt - V_SLIDE / (MU * G)) < 0.01 * V_SLIDE / (MU * G)
    for got, wanted in (
        (way, V_SLIDE**2 / (2 * MU * G)),
        (by_v0, V_SLIDE / (MU * G)),
        (by_mu, -(V_SLIDE**2) / (2 * MU**2 * G)),
    ):
        print(f"stopping distance and derivatives: {got.item() / wanted - 1:.1e}")
        assert abs(got.item() / wanted - 1) < 0.01
