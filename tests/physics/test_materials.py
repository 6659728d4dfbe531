"""Gradients of a rollout by every number of every registered material."""

import pytest
import torch

import genesis as gs
from genesis.solvers.mpm.models import MODELS
from tests.physics.finite import compare
from tests.physics.worlds import build, everything, leaf, probe, stir

pytestmark = pytest.mark.precision("64")

NUMBERS = {"E": 1e4, "nu": 0.3, "rho": 1000.0}
"""Those that only some materials have are as these say."""
MATERIALS = (gs.materials.MPM.Elastic(model="corotation"), gs.materials.MPM.Elastic(model="neohooken"),
             gs.materials.MPM.Liquid(), gs.materials.MPM.ElastoPlastic(von_mises_yield_stress=100.0),
             gs.materials.MPM.ElastoPlastic(von_mises_yield_stress=100.0, hardening_modulus=2e3),
             gs.materials.MPM.ElastoPlastic(use_von_mises=False), gs.materials.MPM.Sand(),
             gs.materials.MPM.Snow())  # fmt: skip


def test_every_model_has_a_material():
    assert {material.constitutive_model for material in MATERIALS} == set(MODELS)


def test_gradients_by_all_numbers_of_all_materials():
    far = gs.morphs.Box(pos=(0.8, 0.8, 0.2), size=(0.1, 0.1, 0.1))
    world = build([""] * len(MATERIALS), materials=MATERIALS, tools=[far])
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
        world.run(3)
        return sum(probe(value, seed=seed) for seed, value in enumerate(everything(world)))

    scaled = [leaf(torch.ones(len(own))) for own in names]
    for comparison in compare(lambda *rows: loss(*(r * x.detach() for r, x in zip(rows, inputs, strict=True))), scaled):
        comparison.check(1e-6)
