"""Muscles, with damping: rest shapes, laws of conservation, gradients, and what setters refuse."""

import math
from dataclasses import replace

import pytest
import torch

import genesis as gs
from tests.physics.finite import compare
from tests.physics.test_conservation import CLEAR, angular_momentum, momentum, particle_mass, swirl
from tests.physics.worlds import DX, build, everything, leaf, noise, plain, probe, stir

pytestmark = pytest.mark.precision("64")

E, NU, RHO, K, ETA = 1e4, 0.3, 1000.0, 5e3, 100.0
MU, LAM = E / (2 * (1 + NU)), E * NU / ((1 + NU) * (1 - 2 * NU))


@pytest.fixture(scope="module")
def world():
    """A muscle of two groups, and a passive solid of the same model; all tests have their kernels in common."""
    muscle = gs.materials.MPM.Muscle(E=E, nu=NU, rho=RHO, stiffness=K, viscosity=ETA, n_groups=2)
    solid = gs.materials.MPM.Elastic(E=E, nu=NU, rho=RHO, model="neohooken")
    return build(("", ""), materials=[muscle, solid], n_envs=2, gravity=(0.0, 0.0, 0.0),
                 centres=[(0.825, 0.825, 0.825), (0.5, 0.5, 0.4)])  # fmt: skip


@pytest.fixture(autouse=True)
def as_built(world):
    world.scene.reset()
    world.body.set_material(E=E, nu=NU, rho=RHO, stiffness=K, viscosity=ETA)
    world.body.set_muscle([0] * world.body.n_particles, [0.0, 0.0, 1.0])


def rest_shape(activation):
    """Stretches along and across the fibres where stress is zero, by bisection."""
    ratio = math.sqrt(1 + activation * K / MU)
    low, high = 0.1, 10.0
    for _ in range(100):
        s = math.sqrt(low * high)
        low, high = (s, high) if MU * ((s * ratio) ** 2 - 1) + LAM * math.log(s**3 * ratio**2) < 0 else (low, s)
    return s, s * ratio


def test_a_contracting_and_a_lengthening_muscle_come_to_their_rest_shapes(world):
    world.body.set_muscle_direction([0.6, 0.0, 0.8])
    world.body.set_material(viscosity=300.0)
    activations = (0.9, -0.4)
    world.body.set_actuation([[activations[0], 0.0], [activations[1], 0.0]])
    with torch.no_grad():
        world.run(200)
    F = plain(world.body.get_state().F)
    assert plain(world.body.get_particles_vel()).abs().max() < 1e-4
    for env, activation in enumerate(activations):
        s, q = rest_shape(activation)
        assert abs(s - 1) > 0.05, "it must change"
        along = (F[env] @ F.new_tensor([0.6, 0.0, 0.8])).norm(dim=1)
        across = (F[env] @ F.new_tensor([0.0, 1.0, 0.0])).norm(dim=1)
        for found, wanted in ((along, s), (across, q)):
            assert (found - wanted).abs().max() < 1e-3 and abs(found.mean() - wanted) < 2e-5


def energy(world):
    """(B,) of the muscle, J: of motion (with what particles carry in C), of the solid, and of the fibres."""
    body, state = world.body, world.body.get_state()
    F, vel, C, actu = (plain(x) for x in (state.F, state.vel, state.C, state.actu))
    J = torch.linalg.det(F)
    stored = MU / 2 * (F.square().sum((2, 3)) - 3) - MU * J.log() + LAM / 2 * J.log() ** 2
    fibres = actu * K / 2 * (F @ F.new_tensor([0.0, 0.6, 0.8])).square().sum(2)
    motion = (particle_mass(body)[..., 0] * (vel.square().sum(2) + DX**2 / 4 * C.square().sum((2, 3)))).sum(1) / 2
    return motion + body.particle_volume * (stored + fibres).sum(1)


def test_a_muscle_that_is_held_active_gains_no_energy(world):
    world.body.set_muscle_direction([0.0, 0.6, 0.8])
    swirl(world)
    world.body.set_actuation([[0.8, 0.0], [-0.3, 0.0]])
    with torch.no_grad():
        course = [energy(world)]
        for _ in range(60):
            world.scene.step()
            course.append(energy(world))
    course = torch.stack(course)
    assert (course[0] - course[-1] > 1e-3).all(), "it must lose some"
    assert (course.diff(dim=0) < 1e-12).all()


def test_muscles_and_viscosity_keep_momentum_and_angular_momentum(world):
    body = world.body
    body.set_position(CLEAR)
    swirl(world)
    fibres = noise(2, body.n_particles, 3, seed=4)
    body.set_muscle([i % 2 for i in range(body.n_particles)], fibres / fibres.norm(dim=2, keepdim=True))
    body.set_actuation([[0.9, -0.5], [0.1, 1.0]])
    p, L = momentum(body), angular_momentum(body, 0.8)
    world.run(2)
    assert plain(body.get_state().F).sub(torch.eye(3)).abs().max() > 0.03, "it must deform"
    assert (momentum(body) - p).norm() < 1e-13 * p.norm()
    assert (angular_momentum(body, 0.8) - L).norm() < 1e-13 * L.norm()


def test_gradients_in_closed_loop(world):
    """By a policy's weights, all numbers, the fibres' direction and initial velocities."""
    body = world.body
    body.set_muscle_group([i % 2 for i in range(body.n_particles)])

    def loss(weights, numbers, angle, vel):
        world.scene.reset()
        stir(world)
        body.set_velocity(vel + 0.2 * noise(2, body.n_particles, 3))
        body.set_muscle_direction(torch.stack([angle.cos(), 0.6 * angle.sin(), 0.8 * angle.sin()]))
        body.set_material(**dict(zip(("E", "nu", "rho", "stiffness", "viscosity"), numbers, strict=True)))
        for row in weights:
            mean = plain(body.get_particles_vel()).mean((1, 2))
            body.set_actuation(torch.tanh(row + torch.stack([3.0 * mean, 0.3 - 2.0 * mean], 1)))
            world.scene.step()
        state = [*everything(world), 3.0 * plain(world.scene.get_state().mpm.actu)]
        return sum(probe(value, seed=seed) for seed, value in enumerate(state))

    numbers = torch.tensor([E, NU, RHO, K, ETA], dtype=torch.float64)
    weights = leaf([[0.5, 0.3], [0.1, 0.9], [-0.2, 0.4]])
    inputs = [weights, leaf(torch.ones(5)), leaf(0.4), leaf([0.1, 0.2, 0.3])]
    for comparison in compare(lambda w, n, *rest: loss(w, n * numbers, *rest), inputs):
        comparison.check(1e-6)


def test_an_activation_is_held_until_it_is_set_again(world):
    body, last = world.body, world.body.n_particles - 1
    body.set_muscle_group([0] * last + [1])
    body.set_actuation([0.25, 0.5])
    world.run(2)
    body.set_actuation([[0.75, -0.125]], envs_idx=[1])
    found = plain(body.get_particles_actu())
    assert found[:, 0].tolist() == [0.25, 0.75] and found[:, last].tolist() == [0.5, -0.125]
    state = world.scene.get_state()
    assert state.mpm.actu.shape == (2, last + 1 + world.bodies[1].n_particles)
    assert (plain(world.bodies[1].get_state().actu) == 0).all()
    world.run(1)
    after = plain(world.scene.get_state().pos)
    world.scene.reset()
    assert (plain(body.get_particles_actu()) == 0).all()
    world.scene.reset(state)
    world.run(1)
    assert torch.equal(plain(world.scene.get_state().pos), after)


def test_what_no_muscle_can_do_is_refused_before_anything_changes(world):
    body, solid = world.body, world.bodies[1]
    n = body.n_particles
    body.set_actuation([0.5, 0.5])
    before = world.scene.get_state()
    for call, message in (
        (lambda: body.set_actuation([0.0, 1.5]), r"actu must be finite from -1 to 1, got 1.5"),
        (lambda: body.set_actuation([float("nan"), 0.0]), r"actu must be finite, got nan"),
        (lambda: body.set_actuation([0.1, -0.8]), r"actu must stay above .* = -0.7692, .*, got -0.8. Use a smaller"),
        (lambda: body.set_actuation([0.1]), r"actu must have shape \(2,\) or \(2, 2\), got \(1,\)"),
        (lambda: solid.set_actuation([0.1]), r"set_actuation must be called on a body of material MPM.Muscle, got"),
        (lambda: body.set_muscle(), r"set_muscle must get muscle_group, muscle_direction or both, got neither"),
        (lambda: body.set_muscle([0] * n, [0.0, 0.0, 2.0]), r"muscle_direction must have length 1, got length 2"),
        (lambda: body.set_muscle([2] * n, [1.0, 0.0, 0.0]), r"muscle_group must lie in 0 … 1, got 2. Raise"),
        (lambda: body.set_muscle([0.5] * n), r"muscle_group must be integers"),
        (lambda: body.set_muscle([0]), rf"muscle_group must be {n} integers, got int64 of shape \(1,\)"),
        (lambda: body.set_material(stiffness=-1.0), r"stiffness must be finite >= 0"),
        (lambda: body.set_material(stiffness=1e9), r"substep of .* must be at most .* for its stiffness"),
        (lambda: body.set_material(viscosity=1e6), r"substep of .* a kinematic viscosity of 1e\+03 m\^2/s"),
        (lambda: solid.set_material(viscosity=1.0), r"must get E, nu, rho only, got viscosity. Leave it out"),
        (lambda: world.scene.reset(before.having("mpm", replace(before.mpm, actu=before.mpm.actu + 2.0))),
         r"state mpm.actu must be finite from -1 to 1, got 2"),
    ):  # fmt: skip
        with pytest.raises(gs.GenesisException, match=message):
            call()
    assert world.scene.get_state() is before


def test_materials_check_what_they_are_given():
    for make, message in (
        (lambda: gs.materials.MPM.Muscle(n_groups=0), "n_groups must be at least 1, got 0"),
        (lambda: gs.materials.MPM.Muscle(stiffness=-1.0), "stiffness must be a finite number >= 0, got -1"),
        (lambda: gs.materials.MPM.Muscle(model="snow"), "Muscle.model must be one of"),
        (lambda: gs.materials.MPM.Elastic(viscosity=-1.0), "Elastic.viscosity must be a finite number >= 0, got -1"),
        (lambda: gs.materials.MPM.Liquid(viscous=True), "Liquid.viscosity must be given where viscous is True"),
    ):
        with pytest.raises(gs.GenesisException, match=message):
            make()
    assert gs.materials.MPM.Muscle(E=2e4).stiffness == 2e4
