"""Gradients of a rollout by every number of every registered material."""

import pytest
import torch

import genesis as gs
from genesis.solvers.mpm.models import MODELS
from tests.physics.finite import compare
from tests.physics.worlds import build, everything, leaf, noise, plain, probe, stir

pytestmark = pytest.mark.precision("64")

NUMBERS = {"E": 1e4, "nu": 0.3, "rho": 1000.0}
"""Those that only some materials have are as these say."""
MPM = gs.materials.MPM
MATERIALS = (
    MPM.Elastic(model="corotation", E=1e4), MPM.Elastic(model="neohooken", E=1e4), MPM.Liquid(E=1e4, viscosity=20.0),
    MPM.ElastoPlastic(E=1e4, von_mises_yield_stress=100.0),
    MPM.ElastoPlastic(E=1e4, von_mises_yield_stress=100.0, hardening_modulus=2e3),
    MPM.ElastoPlastic(E=1e4, use_von_mises=False), MPM.Sand(E=1e4), MPM.Snow(E=1e4),
    MPM.Muscle(E=1e4, model="corotation", viscosity=50.0),
)  # fmt: skip


def test_every_model_has_a_material():
    assert {material.constitutive_model for material in MATERIALS} == set(MODELS)


def make_world(**sim):
    """A body of each material, and a tool that touches none."""
    far = gs.morphs.Box(pos=(0.8, 0.8, 0.2), size=(0.1, 0.1, 0.1))
    centres = [(0.55 + 0.25 * (k % 3), 0.55 + 0.25 * (k // 3), 0.8) for k in range(len(MATERIALS))]
    return build([""] * len(MATERIALS), materials=MATERIALS, centres=centres, tools=[far], **sim)


def test_gradients_by_all_numbers_of_all_materials():
    world = make_world()
    names = [tuple(material.numbers) for material in MATERIALS]
    inputs = [
        leaf([NUMBERS.get(name, getattr(material, name)) for name in own])
        for own, material in zip(names, MATERIALS, strict=True)
    ]

    def loss(*numbers):
        world.scene.reset()
        stir(world)
        for body, own, row in zip(world.bodies, names, numbers, strict=True):
            body.set_material(**dict(zip(own, row, strict=True)))
        world.bodies[-1].set_actuation([0.7])
        world.run(3)
        return sum(probe(value, seed=seed) for seed, value in enumerate(everything(world)))

    scaled = [leaf(torch.ones(len(own))) for own in names]
    for comparison in compare(lambda *rows: loss(*(r * x.detach() for r, x in zip(rows, inputs, strict=True))), scaled):
        comparison.check(1e-6)


def test_momentum_of_all_materials_together_is_kept_and_what_flows_loses_energy():
    """Bodies that strain by 10 %, and bump into each other. Energy of von Mises' body, in logarithmic strain."""
    world = make_world(gravity=(0.0, 0.0, 0.0))
    for k, body in enumerate(world.bodies):
        x = plain(body.get_particles_pos())
        body.set_velocity(4.0 * (x - x.mean(1, keepdim=True)) @ noise(3, 3, seed=k))
    masses = [plain(body.get_mass())[:, None, None] / body.n_particles for body in world.bodies]

    def momentum():
        return sum((m * plain(body.get_particles_vel())).sum(1) for m, body in zip(masses, world.bodies, strict=True))

    def energy(k=3):
        body, (E, nu, rho) = world.bodies[k], (1e4, 0.2, 1000.0)
        assert MATERIALS[k].constitutive_model == "vonmises"
        mu, lam = E / (2 * (1 + nu)), E * nu / ((1 + nu) * (1 - 2 * nu))
        e = torch.linalg.svdvals(plain(body.get_state().F)).log()
        stored = mu * (e**2).sum(-1) + lam / 2 * e.sum(-1) ** 2
        mass, speed = masses[k][..., 0], plain(body.get_particles_vel()).norm(dim=-1)
        return (mass * (speed**2 / 2 + stored / rho)).sum(1)

    start, first = momentum(), energy()
    speeds = (plain(body.get_particles_vel()).norm(dim=-1, keepdim=True) for body in world.bodies)
    size = sum(float((m * v).sum(1).max()) for m, v in zip(masses, speeds, strict=True))
    for _ in range(10):
        world.run(1)
        assert (energy() < 1.02 * first).all()
    assert (momentum() - start).norm() < 1e-8 * size
    assert (energy() < 0.5 * first).all()


def test_what_flows_says_by_how_much_its_volume_has_changed():
    """The deformation that a particle has been through is what it keeps of it, F, after what has flowed, whose ratio of
    volumes is Jp; of bounded stretches nobody knows it."""
    world = make_world(gravity=(0.0, 0.0, 0.0), dt=2e-3, substeps=1)
    for k, body in enumerate(world.bodies):
        x = plain(body.get_particles_pos())
        body.set_velocity(6.0 * (x - x.mean(1, keepdim=True)) @ noise(3, 3, seed=k))
    J = torch.ones(2, sum(body.n_particles for body in world.bodies), dtype=torch.float64)
    for _ in range(25):
        rate = plain(world.scene.get_state().C).detach()
        world.run(1)
        J *= torch.det(torch.eye(3, dtype=torch.float64) + 2e-3 * rate)
    whole, begin = plain(world.scene.get_state().Jp).detach(), 0
    for body in world.bodies:
        mine, n, model = body.get_state(), body.n_particles, body.material.constitutive_model
        Jp, kept = plain(mine.Jp).detach(), torch.det(plain(mine.F).detach())
        assert torch.equal(Jp, whole[:, begin : begin + n]) or model == "clamped"
        if model == "clamped":
            assert Jp.isnan().all() and whole[:, begin : begin + n].isnan().all()
        else:
            torch.testing.assert_close(Jp * kept, J[:, begin : begin + n], rtol=1e-9, atol=0.0)
        assert (abs(Jp - 1).max() > 0.01) == (model in ("sand", "snow"))
        begin += n
