"""Every registered material in scenes: gradients by every number, conservation, energy and yield surfaces."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.solvers.mpm.models import MODELS
from tests.physics.finite import compare
from tests.physics.test_conservation import CLEAR, angular_momentum, elastic_energy, momentum, particle_mass
from tests.physics.worlds import DX, F64, build, everything, leaf, noise, plain, probe, stir
from tests.solvers.isotropic_oracle import rotation

pytestmark = pytest.mark.precision("64")

NUMBERS = {"E": 1e4, "nu": 0.3, "rho": 1000.0}
"""Those that only some materials have are as these say."""
MPM = gs.materials.MPM
MATERIALS = (
    MPM.Elastic(model="corotation", **NUMBERS), MPM.Elastic(model="neohooken", **NUMBERS),
    MPM.Liquid(viscosity=20.0, **NUMBERS), MPM.ElastoPlastic(von_mises_yield_stress=100.0, **NUMBERS),
    MPM.ElastoPlastic(von_mises_yield_stress=100.0, hardening_modulus=2e3, **NUMBERS),
    MPM.ElastoPlastic(use_von_mises=False, **NUMBERS), MPM.Sand(**NUMBERS), MPM.Snow(**NUMBERS),
    MPM.Muscle(model="corotation", viscosity=50.0, **NUMBERS),
)  # fmt: skip
NAMES = [tuple(material.numbers) for material in MATERIALS]
MU, LAM = 1e4 / 2.6, 3e3 / (1.3 * 0.4)
FLOWS = {"vonmises", "vonmises_hardening", "clamped", "sand", "snow"}


def test_every_model_has_a_material():
    assert {material.constitutive_model for material in MATERIALS} == set(MODELS)


def make_world(**sim):
    """A body of each material, and a tool that touches none."""
    far = gs.morphs.Box(pos=(0.8, 0.8, 0.2), size=(0.1, 0.1, 0.1))
    centres = [(0.55 + 0.25 * (k % 3), 0.55 + 0.25 * (k // 3), 0.8) for k in range(len(MATERIALS))]
    return build([""] * len(MATERIALS), materials=MATERIALS, centres=centres, tools=[far], **sim)


def given():
    """All numbers as they are made, (own numbers, B) of each material."""
    return [
        torch.tensor([[float(getattr(material, name))] * 2 for name in own], dtype=F64)
        for own, material in zip(NAMES, MATERIALS, strict=True)
    ]


def start(world, shares):
    """Particles stirred, and all numbers these shares (own numbers, B) of what they were."""
    world.scene.reset()
    stir(world)
    for body, own, share, rows in zip(world.bodies, NAMES, shares, given(), strict=True):
        body.set_material(**dict(zip(own, share * rows, strict=True)))


def test_gradients_by_all_numbers_of_all_materials_and_by_a_policy():
    """Numbers of every environment, in closed loop: a policy that sees all bodies tilts gravity and activates the
    muscle."""
    world = make_world()

    def loss(weights, *shares):
        start(world, shares)
        for _ in range(3):
            seen = [f.mean(1) for body in world.bodies for f in (body.get_particles_pos(), body.get_particles_vel())]
            action = torch.tanh(torch.cat([plain(x) for x in seen], 1) @ weights.T)
            world.scene.set_gravity(6.0 * action[:, :3])
            world.bodies[-1].set_actuation(0.5 + 0.4 * action[:, 3:])
            world.run(1)
        return sum(probe(value, seed=seed) for seed, value in enumerate(everything(world)))

    inputs = [leaf(0.3 * noise(4, 6 * len(MATERIALS))), *(leaf(torch.ones_like(rows)) for rows in given())]
    for comparison in compare(loss, inputs):
        comparison.check(1e-6)


GAPS = (0.0, 1e-14, 1e-10, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3)


def deformations(material, generator):
    """(27, 3, 3) whose singular values are all equal, or two of them by all but a gap; of solids that can bear it also
    zero and negative. None near a kink."""
    model = material.constitutive_model
    pressed = 0.8 if model == "sand" else 0.97
    rows = [(0.9, 0.9, 0.9), (pressed, pressed, pressed)]
    rows += [(1.1, 0.9, 0.9 - gap) for gap in GAPS] + [(1.1, 1.1 - gap, 0.9) for gap in GAPS]
    if model == "liquid":
        rows += [(0.7, 0.8, 0.6), (0.5, 0.5, 0.6)]
    if model != "neohookean":
        rows += [(1.1, 0.9, 0.01), (1.1, 0.9, 0.0), (1.1, 0.9, -1e-6), (1.1, 0.9, -0.2), (1.1, 1.1, -0.2)]
    rows += [(1.12, 0.95, 0.85)] * (27 - len(rows))
    return np.array([rotation(generator) @ np.diag(s) @ rotation(generator).T for s in rows])


def test_gradients_where_singular_values_meet_vanish_or_are_negative():
    """By every particle's F, and by the numbers, through a control step of all materials."""
    world = make_world()
    generator = np.random.default_rng(0)
    F = torch.tensor(np.concatenate([deformations(material, generator) for material in MATERIALS]))

    def loss(F, shares):
        start(world, [rows.reshape(-1, 2) for rows in shares.split([2 * len(own) for own in NAMES])])
        state = world.scene.get_state()
        world.scene.reset(state.having("mpm", replace(state.mpm, F=F.expand(2, -1, 3, 3))))
        world.bodies[-1].set_actuation([0.5])
        world.run(1)
        return sum(probe(value, seed=seed) for seed, value in enumerate(everything(world)))

    for comparison in compare(loss, [leaf(F), leaf(torch.ones(2 * sum(len(own) for own in NAMES)))]):
        comparison.check(1e-6)


def test_a_liquid_that_would_vanish_keeps_a_tenth_of_its_volume():
    """Pressed to nothing, or through it: no logarithm of that is taken, and it expands again."""
    world = make_world()
    start(world, [torch.ones_like(rows) for rows in given()])
    state = world.scene.get_state()
    liquid = next(i for i, material in enumerate(MATERIALS) if material.constitutive_model == "liquid")
    F = plain(state.mpm.F).clone()
    F[:, 27 * liquid : 27 * liquid + 27] = -0.2 * torch.eye(3, dtype=F.dtype)
    world.scene.reset(state.having("mpm", replace(state.mpm, F=F)))
    world.run(1)
    assert not world.scene.failures
    F = plain(world.bodies[liquid].get_state().F)
    assert (F - F[..., :1, :1] * torch.eye(3, dtype=F.dtype)).abs().max() < 1e-12
    first = torch.linalg.det(F)
    assert 0.1 - 1e-12 < first.min() and first.max() < 0.3
    world.run(10)
    assert torch.linalg.det(plain(world.bodies[liquid].get_state().F)).mean() > first.mean()
    assert not world.scene.failures


def stored_energy(material, F, memory):
    """J/m^3 of the elastic part (..., 3, 3) of a deformation, docs/mpm.md."""
    model = material.constitutive_model
    if model == "neohookean":
        return elastic_energy("neohooken", F, 1e4, 0.3)
    if model == "liquid":
        return LAM / 2 * (torch.linalg.det(F) - 1) ** 2
    if model in ("vonmises", "vonmises_hardening", "sand"):
        e = torch.linalg.svdvals(F).log()
        return MU * e.square().sum(-1) + LAM / 2 * e.sum(-1) ** 2
    stiffer = 1.0
    if model == "snow":
        stiffer = (material.hardening * (1 - memory[..., 0])).exp().clamp(max=material.hardening_limit)
    return stiffer * elastic_energy("corotation", F, 1e4, 0.3)


def energy(body, env):
    """(J) of motion, with what particles carry in C, and of elastic deformation."""
    state = body.get_state()
    F, v, C = (plain(x)[env] for x in (state.F, state.vel, state.C))
    motion = 0.5 * float(particle_mass(body)[env]) * (v.square().sum() + DX**2 / 4 * C.square().sum())
    return float(motion + body.particle_volume * stored_energy(body.material, F, plain(state.memory)[env]).sum())


def beyond_the_surface(body, env):
    """By how much the worst particle is outside of its yield surface, in parts of the surface's own size."""
    material, state = body.material, body.get_state()
    F, memory = plain(state.F)[env], plain(state.memory)[env, :, 0]
    model, s = material.constitutive_model, torch.linalg.svdvals(F)
    if model in ("clamped", "snow"):
        return float(torch.maximum(s - 1 - material.yield_higher, 1 - material.yield_lower - s).max())
    e = s.log()
    deviator, trace = 2 * MU * (e - e.mean(-1, keepdim=True)).norm(dim=-1), (2 * MU + 3 * LAM) * e.sum(-1)
    if model == "sand":
        sine = np.sin(np.radians(material.friction_angle))
        slope = np.sqrt(2 / 3) * 2 * sine / (3 - sine)
        return float(torch.maximum(trace / MU, (deviator + slope * trace) / (slope * trace.abs() + 1e-4 * MU)).max())
    limit = material.von_mises_yield_stress
    if model == "vonmises_hardening":
        limit = limit + material.hardening_modulus * memory
    return float((deviator / limit - 1).max())


def test_clamping_stretches_can_add_elastic_energy():
    before, after = (
        elastic_energy("corotation", torch.diag(torch.tensor([x, 0.975, 0.975], dtype=F64)), 1e4, 0.3)
        for x in (1.02, 1.0 + MATERIALS[5].yield_higher)
    )
    assert MATERIALS[5].yield_lower == 0.025 and float(after / before) == pytest.approx(1.19, abs=0.005)


def test_every_material_alone_keeps_momentum_gains_no_energy_and_stays_within_its_yield_surface():
    """A body of each material in an environment of its own, which spins and strains by a tenth.

    Symplectic Euler knows the energy of a swing to some omega dt / 2. Clamping stretches is no dissipation
    (docs/mpm.md, "Bounded stretches"): what does so may gain in a step, and must lose in the end.
    """
    n = len(MATERIALS)
    world = make_world(n_envs=n, gravity=(0.0, 0.0, 0.0), dt=2e-3, substeps=16, requires_grad=False)
    for k, body in enumerate(world.bodies):
        body.set_active(False, envs_idx=[env for env in range(n) if env != k])
        body.set_position(CLEAR, envs_idx=[k])
        x = plain(body.get_particles_pos())
        body.set_velocity(8.0 * (x - x.mean(1, keepdim=True)) @ noise(3, 3, seed=k))
    p, L = (
        [of(body)[k] for k, body in enumerate(world.bodies)] for of in (momentum, lambda b: angular_momentum(b, 0.8))
    )
    size = [
        float((particle_mass(b) * plain(b.get_particles_vel())).norm(dim=2).sum(1)[k])
        for k, b in enumerate(world.bodies)
    ]
    course, beyond = [], dict.fromkeys(FLOWS, -1.0)
    for _ in range(60):
        course.append([energy(body, k) for k, body in enumerate(world.bodies)])
        world.run(1)
        for k, body in enumerate(world.bodies):
            model = body.material.constitutive_model
            if model in FLOWS:
                beyond[model] = max(beyond[model], beyond_the_surface(body, k))
    course = torch.tensor(course, dtype=F64)
    gained = (course.diff(dim=0) / course[0]).amax(0)
    for k, body in enumerate(world.bodies):
        assert (momentum(body)[k] - p[k]).norm() < 1e-12 * size[k]
        assert (angular_momentum(body, 0.8)[k] - L[k]).norm() < 1e-12 * size[k]
    clamps = torch.tensor([body.material.constitutive_model in ("clamped", "snow") for body in world.bodies])
    assert (gained < torch.where(clamps, 5e-3, 3e-4)).all()
    assert (course[-1] < course[0]).all()
    assert max(beyond.values()) < 1e-6 and min(beyond.values()) > -1e-6, "all must flow"


def test_momentum_of_all_materials_together_is_kept():
    """Bodies that strain by 10 %, and bump into each other."""
    world = make_world(gravity=(0.0, 0.0, 0.0))
    for k, body in enumerate(world.bodies):
        x = plain(body.get_particles_pos())
        body.set_velocity(4.0 * (x - x.mean(1, keepdim=True)) @ noise(3, 3, seed=k))
    first, own = sum(momentum(body) for body in world.bodies), momentum(world.body)
    size = sum(float((particle_mass(b) * plain(b.get_particles_vel())).norm(dim=2).sum(1).max()) for b in world.bodies)
    world.run(10)
    assert (momentum(world.body) - own).norm() > 1e-3 * size, "they must exchange some"
    assert (sum(momentum(body) for body in world.bodies) - first).norm() < 1e-12 * size


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
