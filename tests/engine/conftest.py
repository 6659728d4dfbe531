"""Scenes on stand-ins for the particle and tool solvers."""

import pytest
import torch

import genesis as gs
from genesis.engine import assembly
from tests.engine import rigid_scenes, stand_ins


@pytest.fixture
def make(monkeypatch):
    """make(n_envs=3, substeps=3, tools=1, bodies=1, **sim options) -> scene, bodies, tools."""
    monkeypatch.setattr(assembly, "couple", stand_ins.couple)

    def build(n_envs=3, tools=1, bodies=1, outputs=(), E=3e3, rho=500.0, friction=0.3, **sim):
        options = {"dt": 0.02, "substeps": 3, "requires_grad": True, **sim}
        scene = gs.Scene(
            sim_options=gs.options.SimOptions(**options), mpm_options=gs.options.MPMOptions(grid_density=10)
        )
        solid = [
            scene.add_entity(
                morph=gs.morphs.Box(pos=(0.4 * i - 0.2, 0.0, 0.6), size=(0.1, 0.1, 0.1)),
                material=gs.materials.MPM.Elastic(E=E, rho=rho),
            )
            for i in range(bodies)
        ]
        tool = [
            scene.add_entity(
                morph=gs.morphs.Sphere(pos=(0.1 * i, 0.2, 0.5), radius=0.1),
                material=gs.materials.Tool(friction=friction),
            )
            for i in range(tools)
        ]
        scene.build(n_envs=n_envs, outputs=outputs)
        return scene, solid, tool

    return build


@pytest.fixture
def policy():
    """Features of a state (B, 6) to a tool velocity (B, 3)."""
    torch.manual_seed(1)
    return torch.nn.Linear(6, 3).to(gs.tc_float)


@pytest.fixture
def rigid(monkeypatch):
    """Scenes with a robot that has every kind of joint; see `rigid_scenes.builder`."""
    return rigid_scenes.builder(monkeypatch)
