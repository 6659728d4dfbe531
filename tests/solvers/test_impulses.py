"""What matter does to bodies that take its impulses: momentum and gradients, substep by substep or every k-th."""

import numpy as np
import pytest
import torch

from genesis.contact.colliders import FORCE, VELOCITY, Collider, Colliders
from genesis.contact.shapes import Shape
from genesis.engine.coupling import Coupling
from genesis.loaders.model import primitive
from genesis.options import CompliantContact
from genesis.solvers.mpm import solver as mpm_module
from genesis.solvers.mpm.grid import most_offers
from genesis.solvers.mpm.hold import ATTACHED
from genesis.solvers.mpm.solver import MPMBody, MPMSolver
from genesis.solvers.rigid.publish import link_colliders
from genesis.solvers.rigid.solver import RigidSolver
from tests.solvers.test_drivers import driver  # noqa: F401  (a fixture: all three drivers of the particles)
from tests.solvers.toy_ball import ToyBall

pytestmark = pytest.mark.precision("64")
ENVS, SUBSTEPS, DT, MASS, VOLUME, RHO = 2, 20, 4e-3, 0.03, 1e-6, 1e3


class Grid:
    grid_density = 32.0
    lower_bound = (0.0, 0.0, 0.0)
    upper_bound = (1.0, 1.0, 1.0)


class Compliant:
    contact = CompliantContact()


def link_ball(every):
    """A free sphere of the rigid solver, which yields to matter within a substep where it steps as often."""
    model = primitive("sphere", [0.04], MASS, 0.4)
    colliders = link_colliders(model, [], [0.01])
    return RigidSolver(
        model, [], Compliant(), DT, SUBSTEPS // every, ENVS, gravity=(0.0,) * 3, colliders=colliders, every=every,
        feels=True, mobility=torch.tensor([[1.0, 2.5 / 0.04**2]], dtype=torch.float64) / MASS if every == 1 else None,
    )  # fmt: skip


def coupled(every, link=False):
    """A block of particles and a ball that flies into it, with another speed in each environment."""
    positions = np.array([0.5, 0.45, 0.45]) + 0.1 * np.random.default_rng(0).random((80, 3))
    bodies = [MPMBody("block", positions, VOLUME, "neohookean", (5e3, 0.2, RHO))]
    ball = link_ball(every) if link else ToyBall(MASS, 0.04, DT, SUBSTEPS, every)
    shape, chunks = Collider(Shape("sphere", (0.04, 0.0, 0.0)), 0.01, ball.yielding), mpm_module.count_chunks(ENVS, 80)
    colliders = Colliders([shape], SUBSTEPS, chunks, True, most_offers(Grid(), chunks))
    particles = MPMSolver(bodies, Grid(), DT, SUBSTEPS, ENVS, colliders)
    coupling = Coupling([ball, particles], colliders, SUBSTEPS)
    pos = torch.tensor([0.46, 0.5, 0.505], dtype=torch.float64).expand(ENVS, 3)
    vel = torch.tensor([[1.5, 0.2, 0.0], [2.0, 0.0, -0.3]], dtype=torch.float64)
    gravity = torch.zeros(ENVS, 3, dtype=torch.float64)
    own = [pos.clone(), vel]
    if link:
        turned, spin = torch.tensor([[0.9, 0.3, 0.1, -0.2]]), torch.tensor([[1.0, -4.0, 3.0], [0.0, 2.0, 1.0]])
        qpos, qvel = torch.cat([pos, turned.expand(ENVS, 4)], 1), torch.cat([vel, spin], 1)
        own = [qpos.double(), qvel.double(), *ball.initial_values(ENVS)[2:], gravity]
    return coupling, [own, [*particles.initial_values(ENVS), gravity]]


def forward(coupling, frames, values):
    for solver, own in zip(coupling.solvers, values, strict=True):
        solver.load(frames, own)
    coupling.substep(frames, 0, SUBSTEPS)
    return [solver.store(frames) for solver in coupling.solvers]


def momentum(ball_vel, particle_vel):
    """(ENVS, 3) N s."""
    return MASS * ball_vel + RHO * VOLUME * particle_vel.sum(1)


@pytest.mark.parametrize(("every", "link"), [(1, False), (20, False), (1, True)])
def test_momentum_goes_from_the_ball_to_the_particles(driver, every, link):  # noqa: F811
    coupling, values = coupled(every, link)
    frames = coupling.allocate(ENVS, 2)
    before = momentum(values[0][1][:, :3], values[1][1])
    vel = values[0][1]
    for _ in range(4):
        results = forward(coupling, frames, values)
        assert not coupling.failures(frames).any()
        values = [[*after, *own[len(after) :]] for after, own in zip(results, values, strict=True)]
    after = momentum(values[0][1][:, :3], values[1][1])
    assert (values[0][1] - vel)[:, 0].max() < -0.1  # the ball has lost speed
    if link and every == 1:  # nothing else moves it, so particles went with the velocity that it has now
        went = frames.exchange.rows("poses")[-1, :, 0, VELOCITY, :3]
        assert frames.exchange.rows("impulse")[-1, ..., FORCE, :3].sum((0, 2)).norm(dim=1).min() > 1e-5
        assert (went - values[0][1][:, :3]).abs().max() < 1e-13
    assert (after - before).abs().max() < 1e-13 * before.abs().max()


HOLD = (None, 4)
"""Which of a solver's values is `hold`."""


@pytest.mark.parametrize(("every", "link"), [(1, False), (4, False), (20, False), (1, True), (4, True)])
def test_gradients_through_impulses(driver, every, link):  # noqa: F811
    """With some attached particles where the ball is a link that yields, else with free ones alone."""
    coupling, values = coupled(every, link)
    held = link and every == 1
    if held:
        hold = values[1][HOLD[1]]
        hold[:, ::7, 3] = ATTACHED
        hold[..., :3] = values[1][0] + torch.tensor([2e-3, 5e-4, -1e-3])
    frames = coupling.allocate(ENVS, SUBSTEPS + 1)
    generator = torch.Generator().manual_seed(1)
    weights = [[torch.randn(r.shape, generator=generator, dtype=r.dtype) for r in own]
               for own in forward(coupling, frames, values)]  # fmt: skip
    for solver, own in zip(coupling.solvers, weights, strict=True):
        solver.load_adjoint(frames, own)
    coupling.substep_adjoint(frames, 0, SUBSTEPS)
    gradients = [
        solver.store_adjoint(frames, [True] * len(own)) for solver, own in zip(coupling.solvers, values, strict=True)
    ]

    def loss(changed):
        results = forward(coupling, frames, changed)
        return sum(
            float((r * w).sum()) for own, ws in zip(results, weights, strict=True) for r, w in zip(own, ws, strict=True)
        )

    for i, own in enumerate(values):
        for k, value in enumerate(own):
            if k == HOLD[i] and not held:
                assert (gradients[i][k] == 0).all()
                continue
            smallest = 1e-4 if link and (i, k) == (0, len(own) - 2) else 0.1  # the model has inertias of 2e-5 kg m^2
            scale = value.abs().flatten(0, -2).amax(0).clamp(min=smallest)
            direction = scale * torch.randn(value.shape, generator=generator, dtype=value.dtype).abs()
            direction = torch.where(gradients[i][k] < 0, -direction, direction)  # so that no sum cancels
            if k == HOLD[i]:
                direction[..., 3] = 0.0  # whether a particle is attached is no number
            expected, errors = float((gradients[i][k] * direction).sum()), []
            for h in (1e-5, 1e-6, 1e-4, 1e-7):  # none makes a wrong derivative right
                ends = []
                for sign in (1.0, -1.0):
                    changed = [list(row) for row in values]
                    changed[i][k] = value + sign * h * direction
                    ends.append(loss(changed))
                errors.append(abs((ends[0] - ends[1]) / (2 * h) - expected) / abs(expected))
                if errors[-1] < 1e-6:
                    break
            assert min(errors) < 1e-6, (coupling.solvers[i].name, k, errors)


def test_a_ball_that_only_the_loss_of_another_body_asks_about_still_moves_particles():
    """The cotangents of particles are zero at the end of a step, and come from the ball within it."""
    coupling, values = coupled(1)
    frames = coupling.allocate(ENVS, SUBSTEPS + 1)
    results = forward(coupling, frames, values)
    coupling.solvers[0].load_adjoint(frames, [torch.zeros_like(results[0][0]), torch.ones_like(results[0][1])])
    coupling.solvers[1].load_adjoint(frames, [torch.zeros_like(r) for r in results[1]])
    coupling.substep_adjoint(frames, 0, SUBSTEPS)
    gvel = coupling.solvers[1].store_adjoint(frames, [True] * 6)[1]
    h, ends = 1e-6, []
    for sign in (1.0, -1.0):
        changed = [values[0], list(values[1])]
        changed[1][1] = values[1][1] + sign * h
        ends.append(float(forward(coupling, frames, changed)[0][1].sum()))
    assert float(gvel.sum()) == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6)
