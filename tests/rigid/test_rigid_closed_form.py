"""Motions that have a formula: pendulums, tops, free flight, sliding, resting."""

import math

import numpy as np
import pytest
import torch

from genesis.loaders.model import primitive
from genesis.options import CompliantContact, RigidOptions
from genesis.solvers.rigid.prepare import STUCK_MASS
from tests.rigid.rigid_bench import F64, Bench, G, bare, noise, times, turned
from tests.rigid.rigid_grounds import flat
from tests.rigid.rigid_models import ZOO, from_text, pendulum

pytestmark = pytest.mark.precision("64")


def run(bench, values, steps, watch=None):
    """Values after some steps; `watch` is called with those before each step and after the last."""
    values = dict(values)
    for _ in range(steps):
        if watch:
            watch(values)
        results = bench.forward(values)
        values["qpos"], values["dofs_vel"] = results["qpos"], results["dofs_vel"]
    if watch:
        watch(values)
    return values


def ratio_when_halved(error_of, coarse=1):
    """Errors at a time step and at half of it."""
    one, half = error_of(coarse), error_of(2 * coarse)
    print(f"errors {one:.3e}, {half:.3e}, ratio {one / half:.3f}")
    return one, one / half


# Pendulum.

LENGTH, MASS, BOB = 0.8, 1.5, 0.05


def agm(a, b):
    while abs(a - b) > 1e-15 * a:
        a, b = (a + b) / 2, math.sqrt(a * b)
    return a


def period_of(amplitude, g=G):
    """Of a pendulum whose bob is a small ball: 2 pi sqrt(L' / g) / agm(1, cos(amplitude / 2))."""
    reduced = LENGTH + 0.4 * BOB**2 / LENGTH
    return 2 * math.pi * math.sqrt(reduced / g) / agm(1.0, math.cos(amplitude / 2))


def measured_period(amplitude, substeps):
    """Four times the moment at which it first hangs down, by cubic interpolation between steps."""
    bench = Bench(from_text(pendulum(LENGTH, MASS, BOB)), dt=5e-3, substeps=substeps)
    values = bench.initial(1)
    values["qpos"][:] = amplitude
    before, steps = values, 0
    while True:
        after = run(bench, before, 1)
        if after["qpos"].item() <= 0:
            break
        before, steps = after, steps + 1
    a, b = before["qpos"].item(), after["qpos"].item()
    va, vb = (x["dofs_vel"].item() * bench.dt for x in (before, after))
    t = a / (a - b)
    for _ in range(20):  # Newton's method on the Hermite cubic
        h = (1 + 2 * t) * (1 - t) ** 2 * a + t * (1 - t) ** 2 * va + t * t * (3 - 2 * t) * b + t * t * (t - 1) * vb
        dh = 6 * t * (t - 1) * (a - b) + (1 - t) * (1 - 3 * t) * va + t * (3 * t - 2) * vb
        t -= h / dh
    return 4 * bench.dt * (steps + t)


@pytest.mark.parametrize("amplitude", [0.01, 1.0, 2.6])
def test_pendulum_period(amplitude):
    """Symplectic Euler shifts the first quarter by half a substep, to first order; nothing is left in the limit."""
    coarse, fine = measured_period(amplitude, 8), measured_period(amplitude, 16)
    exact = period_of(amplitude)
    print(f"{coarse / exact - 1:.2e} {fine / exact - 1:.2e} extrapolated {(2 * fine - coarse) / exact - 1:.2e}")
    assert abs(fine / exact - 1) < 2e-3
    assert abs((2 * fine - coarse) / exact - 1) < 2e-6


def test_small_swings_by_every_number():
    """q(t) = a cos(w t) for armature, damping and spring too: (I + J) q'' + c q' + (m g L + k) q = 0."""
    armature, damping, stiffness, a, t = 0.3, 0.4, 5.0, 1e-4, 0.7
    text = pendulum(LENGTH, MASS, BOB, f'armature="{armature}" damping="{damping}" stiffness="{stiffness}"')
    inertia = MASS * LENGTH**2 + 0.4 * MASS * BOB**2 + armature
    decay = damping / (2 * inertia)
    w = math.sqrt((MASS * G * LENGTH + stiffness) / inertia - decay**2)
    exact = a * math.exp(-decay * t) * (math.cos(w * t) + decay / w * math.sin(w * t))

    def error(substeps):
        bench = Bench(from_text(text), dt=t, substeps=200 * substeps)
        values = bench.initial(1)
        values["qpos"][:] = a
        return abs(run(bench, values, 1)["qpos"].item() - exact) / a

    one, ratio = ratio_when_halved(error)
    assert one < 5e-3 and 1.9 < ratio < 2.1


# Free flight.


def test_free_fall_is_that_of_symplectic_euler():
    """x + N h v + N (N + 1) / 2 h^2 g to the bit of rounding, and a spin of a ball does not change."""
    bench = Bench(primitive("sphere", (0.1,), 2.0, 0.5), dt=0.01, substeps=4)
    values = bench.initial(3, gravity=(0.3, -0.2, -G))
    values["qpos"][:, :3] = noise(3, 3, seed=1)
    values["dofs_vel"] = noise(3, 6, seed=2)
    N, h = 25 * 4, 0.01 / 4
    end = run(bench, values, 25)
    g = values["gravity"]
    v = values["dofs_vel"][:, :3]
    assert (end["qpos"][:, :3] - values["qpos"][:, :3] - N * h * v - N * (N + 1) / 2 * h * h * g).abs().max() < 1e-13
    assert (end["dofs_vel"][:, :3] - v - N * h * g).abs().max() < 1e-13
    assert (end["dofs_vel"][:, 3:] - values["dofs_vel"][:, 3:]).abs().max() < 1e-13
    spun = turned(values["qpos"][:, 3:], N * h * values["dofs_vel"][:, 3:])
    assert (end["qpos"][:, 3:] - spun).abs().max() < 1e-12


def rotate(quat, v):
    pure = torch.cat([torch.zeros_like(v[..., :1]), v], -1)
    return times(times(quat, pure), quat * torch.tensor([1.0, -1, -1, -1], dtype=F64))[..., 1:]


def test_torque_free_top():
    """A book thrown into the air, about its unstable axis: momentum and energy drift in proportion to the substep."""
    model = primitive("box", (0.1, 0.07, 0.03), 1.1, 0.5)
    moments = torch.tensor(model.inertia[0, :3])

    def of(values):
        q, w = values["qpos"][0, 3:], values["dofs_vel"][0, 3:]
        return rotate(q, moments * w), 0.5 * (moments * w * w).sum()

    drifts = []
    for substeps in (20, 40):
        bench = Bench(model, dt=0.05, substeps=substeps)
        values = bench.initial(1, gravity=(0.0, 0.0, 0.0))
        values["qpos"][0, 3:] = torch.tensor([0.5, 0.5, -0.5, 0.5], dtype=F64)
        values["dofs_vel"][0, 3:] = torch.tensor([0.1, 5.0, 0.2], dtype=F64)
        L0, T0 = of(values)
        L1, T1 = of(run(bench, values, 40))
        drifts.append((float((L1 - L0).norm() / L0.norm()), float(abs(T1 - T0) / T0)))
    for k, what in enumerate(("angular momentum", "energy")):
        print(what, drifts[0][k], drifts[1][k], drifts[0][k] / drifts[1][k])
        assert drifts[0][k] < 0.05
        assert 1.8 < drifts[0][k] / drifts[1][k] < 2.2, what


def whole(model, bench, values):
    """Total mass, centre of mass, momentum, angular momentum about the centre of mass, kinetic energy."""
    pos, quat, vel, ang = (x[0] for x in bench.solver.readout(values["qpos"], values["dofs_vel"]))
    m, moving = torch.tensor(model.mass), torch.tensor(model.moving)
    arm = rotate(quat, torch.tensor(model.com))
    x, v = pos + arm, vel + torch.linalg.cross(ang, arm)
    local = rotate(quat * torch.tensor([1.0, -1, -1, -1], dtype=F64), ang)
    a = torch.tensor(model.inertia)
    about = torch.stack([a[:, [0, 3, 4]], a[:, [3, 1, 5]], a[:, [4, 5, 2]]], 1)
    spin = (about @ local[..., None])[..., 0]
    m, x, v, spin, quat, local = (y[moving] for y in (m, x, v, spin, quat, local))
    com, p = (m[:, None] * x).sum(0) / m.sum(), (m[:, None] * v).sum(0)
    L = (m[:, None] * torch.linalg.cross(x - com, v) + rotate(quat, spin)).sum(0)
    return m.sum(), com, p, L, 0.5 * (m * (v * v).sum(-1)).sum() + 0.5 * (local * spin).sum()


def flyer():
    """The first tree of the zoo, without springs, damping, limits and armature."""
    start = ZOO.index('<body name="arm"')
    text = ZOO[:start] + "</worldbody></mujoco>"
    model = bare(from_text(text))
    return model, [j.dof for j in model.joints if j.kind != "free"]


def test_momentum_in_free_flight():
    """Inner forces change neither momentum nor angular momentum; gravity turns the first by m g t. First order."""
    model, inner = flyer()
    gravity, t = (0.3, -0.1, -2.0), 0.2

    def errors(substeps):
        bench = Bench(model, dt=t / 4, substeps=25 * substeps)
        values = bench.initial(1, gravity=gravity)
        bench.block(values, "armature")[:] = 0.0
        values["qpos"] = bench.retract(values["qpos"][0], 0.3 * noise(1, model.n_dofs, seed=3))
        values["dofs_vel"] = noise(1, model.n_dofs, seed=4)
        values["dofs"][0, inner[0] :, 0] = 0.3 * noise(model.n_dofs - inner[0], seed=5)
        m, x0, p0, L0, _ = whole(model, bench, values)
        _, x1, p1, L1, _ = whole(model, bench, run(bench, values, 4))
        g = torch.tensor(gravity, dtype=F64)
        return torch.stack([
            (x1 - x0 - t * p0 / m - t * t / 2 * g).norm(), (p1 - p0 - m * t * g).norm() / m, (L1 - L0).norm() / m
        ])  # fmt: skip

    one, half, quarter = errors(1), errors(2), errors(4)
    print(one.tolist(), (one / half).tolist(), (half / quarter).tolist())
    assert (half < 0.01).all()
    assert ((half / quarter > 1.85) & (half / quarter < 2.15)).all()


def test_energy_drift_is_of_first_order():
    """A tree on a ball joint, swinging without friction: kinetic and potential energy change in proportion to dt."""
    start, end = ZOO.index('<body name="arm"'), ZOO.index('<body name="post"')
    model = bare(from_text('<mujoco><compiler angle="radian" inertiafromgeom="false"/><worldbody>' + ZOO[start:end]
                           + "</worldbody></mujoco>"))  # fmt: skip

    def drift(substeps):
        bench = Bench(model, dt=0.05, substeps=20 * substeps)
        values = bench.initial(1)
        bench.block(values, "armature")[:] = 0.0
        values["dofs_vel"] = 2.0 * noise(1, model.n_dofs, seed=6)

        def energy(v):
            m, x, _p, _L, T = whole(model, bench, v)
            return float(T + m * G * x[2])

        return abs(energy(run(bench, values, 10)) - energy(values))

    one, ratio = ratio_when_halved(drift, coarse=4)
    assert one < 0.2 and 1.8 < ratio < 2.2


# Contact.

MU, SLIP = 0.5, 0.02
STIFF = RigidOptions(contact=CompliantContact(stiffness=2e4, friction_velocity=SLIP))
BOX = (0.2, 0.15, 0.05)


def incline(angle, mu=MU, substeps=32, options=STIFF):
    """A flat box on its four corners, at rest on the level, under a gravity that is turned by an angle."""
    bench = Bench(primitive("box", BOX, 2.0, mu), (flat(friction=0.0),), options, dt=0.01, substeps=substeps,
                  outputs=("contacts",))  # fmt: skip
    values = bench.initial(1, gravity=(G * math.sin(angle), 0.0, -G * math.cos(angle)))
    bench.block(values, "friction")[:] = 0.0
    values["qpos"][0, 2] = BOX[2] - 2.0 * G * math.cos(angle) / (4 * 2e4)
    values = run(bench, {**values, "gravity": values["gravity"] * torch.tensor([0.0, 1.0, 1.0], dtype=F64)}, 50)
    values["dofs_vel"][:] = 0.0
    values["gravity"] = torch.tensor([[G * math.sin(angle), 0.0, -G * math.cos(angle)]], dtype=F64)
    bench.block(values, "friction")[:] = mu
    return bench, values


def test_sliding_down():
    """v' = g sin a - mu g cos a v / sqrt(v^2 + s^2), integrated on its own; a box on four corners does not tip."""
    angle, t = 0.8, 0.6
    bench, values = incline(angle)
    end = run(bench, values, round(t / bench.dt))
    v = x = 0.0
    n = 20000
    for _ in range(n):
        mid = v + 0.5 * t / n * (G * math.sin(angle) - MU * G * math.cos(angle) * v / math.hypot(v, SLIP))
        v += t / n * (G * math.sin(angle) - MU * G * math.cos(angle) * mid / math.hypot(mid, SLIP))
        x += t / n * v
    got = end["dofs_vel"][0, 0].item(), (end["qpos"] - values["qpos"])[0, 0].item()
    print(got, (v, x))
    assert got[0] == pytest.approx(v, rel=5e-3)
    assert got[1] == pytest.approx(x, rel=5e-3)


def test_sticking_creeps_as_the_law_says():
    """Where tan a < mu the box creeps at s tan a / sqrt(mu^2 - tan^2 a), the velocity at which friction holds."""
    angle = math.atan(0.3)
    bench, values = incline(angle)
    end = run(bench, values, 300)
    wanted = SLIP * 0.3 / math.sqrt(MU**2 - 0.3**2)
    assert end["dofs_vel"][0, 0].item() == pytest.approx(wanted, rel=1e-6)
    assert end["dofs_vel"][0, 1:].abs().max() < 1e-6


@pytest.mark.parametrize("substeps", [8, 32])
def test_by_default_what_sticks_creeps_by_load_and_substep(substeps):
    """s is what a substep of friction, mu times a quarter of the weight, gives four times the mass of the box."""
    angle = math.atan(0.3)
    bench, values = incline(angle, substeps=substeps, options=RigidOptions(contact=CompliantContact(stiffness=2e4)))
    start = run(bench, values, 100)
    end = run(bench, start, 300)
    s = 0.01 / substeps * MU * G * math.cos(angle) / 4 / STUCK_MASS
    wanted = s * 0.3 / math.sqrt(MU**2 - 0.3**2)
    assert end["dofs_vel"][0, 0].item() == pytest.approx(wanted, rel=0.02)  # the load is a little uneven
    assert wanted < 5e-4


def test_friction_acts_against_motion_at_mu_times_normal():
    """The outputs: four corners carry the weight, and each one's friction is mu N V / sqrt(V^2 + s^2), backwards."""
    bench, values = incline(0.0)
    values["dofs_vel"][0, :2] = torch.tensor([0.6, -0.8], dtype=F64)
    force = bench.forward(values)["contacts"][0, :, :3]
    carrying = force[force[:, 2] > 0]
    assert len(carrying) == 4
    assert carrying[:, 2].sum().item() == pytest.approx(2.0 * G, rel=0.02)
    ways = carrying[:, :2] / carrying[:, 2:]
    speed = 1.0 - 0.5 * MU * G * bench.dt
    wanted = -MU * torch.tensor([0.6, -0.8], dtype=F64) * speed / math.hypot(speed, SLIP)
    assert (ways - wanted).norm(dim=-1).max() < 0.02 * MU


@pytest.mark.parametrize("shape, size, n", [("sphere", (0.1,), 1), ("capsule", (0.05, 0.1), 2), ("box", BOX, 4)])
def test_static_penetration(shape, size, n):
    """x = m g / (n k), and the forces of the n points carry the weight."""
    model = primitive(shape, size, 1.7, 0.6)
    bench = Bench(model, (flat(),), RigidOptions(contact=CompliantContact(stiffness=5e3, smoothing=1e-4)), dt=0.02,
                  substeps=20, outputs=("contacts",))  # fmt: skip
    values = bench.initial(1)
    lying = {"capsule": [math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0]}.get(shape, [1.0, 0.0, 0.0, 0.0])
    height = {"sphere": 0.1, "capsule": 0.05, "box": BOX[2]}[shape]
    values["qpos"][0] = torch.tensor([0.0, 0.0, height + 0.02, *lying], dtype=F64)
    end = run(bench, values, 400)
    assert height - end["qpos"][0, 2].item() == pytest.approx(1.7 * G / (n * 5e3), rel=1e-6)
    force = bench.forward(end)["contacts"][0, :, :3]
    assert int((force[:, 2] > 1e-6).sum()) == n
    assert force.sum(0)[2].item() == pytest.approx(1.7 * G, rel=1e-6)
    assert force[:, :2].abs().max() < 1e-6


def test_a_falling_ball_loses_height_and_comes_to_rest():
    """Each bounce is lower than the one before, none higher than the drop, and after some seconds all is quiet."""
    bench = Bench(
        primitive("sphere", (0.1,), 1.0, 0.6),
        (flat(),),
        RigidOptions(contact=CompliantContact(stiffness=1e4)),
        dt=0.01,
        substeps=20,
    )
    values = bench.initial(1)
    values["qpos"][0, 2] = 0.6
    heights = []
    end = run(bench, values, 600, watch=lambda v: heights.append(v["qpos"][0, 2].item()))
    h = np.array(heights)
    peaks = h[1:-1][(h[1:-1] >= h[:-2]) & (h[1:-1] > h[2:])]
    assert h.max() <= 0.6
    assert (np.diff(peaks) <= 1e-9).all()
    assert h.min() > 0.0
    assert end["dofs_vel"].abs().max() < 1e-6


def test_outputs_change_nothing():
    """Kernels with and without outputs agree in the state."""
    found = []
    for outputs in ((), ("contacts", "link_wrench", "link_acceleration")):
        bench = Bench(primitive("box", BOX, 1.0, 0.6), (flat(),), dt=0.2, substeps=100, outputs=outputs)
        values = bench.initial(1)
        values["qpos"][0, 2] = 0.2
        values["dofs_vel"] = noise(1, 6, seed=1)
        found.append(run(bench, values, 2))
    for name in ("qpos", "dofs_vel"):
        assert (found[0][name] - found[1][name]).abs().max() < 1e-12
