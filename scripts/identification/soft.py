"""An elastoplastic block on a table: a ball pushes it along and then presses it from above."""

import numpy as np
import torch

import genesis as gs
from genesis.identification import Channel, Experiment

CONTROL_DT, SUBSTEPS = 0.02, 20  # s, -
N_STEPS = 100  # 2 s
AT_ONCE = 100
"""Environments of the coverage study."""
NOISE = 0.01
"""Of the standard deviation of each signal."""
GRID_DENSITY = 30  # nodes per m
DOMAIN = (-0.32, -0.25, -0.13), (0.42, 0.25, 0.4)  # m; the table is z = 0
BLOCK_SIZE = (0.1, 0.1, 0.0667)  # m
BALL_RADIUS, BALL_START = 0.05, (-0.115, 0.0, 0.045)  # m
BALL_FRICTION = 0.3

TRUTH = {"E": 1.2e4, "nu": 0.3, "yield_stress": 1.5e3, "table_friction": 0.35, "rho": 900.0}
BOUNDS = {
    "E": (4e3, 4e4),
    "nu": (0.1, 0.4),
    "yield_stress": (4e2, 6e3),
    "table_friction": (0.1, 0.8),
    "rho": (500.0, 2e3),
}


def build(n_envs: int) -> Experiment:
    """A block of some 150 particles, a table and a ball that moves as it is told and feels what that takes."""
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=CONTROL_DT, substeps=SUBSTEPS, requires_grad=True),
        mpm_options=gs.options.MPMOptions(grid_density=GRID_DENSITY, lower_bound=DOMAIN[0], upper_bound=DOMAIN[1]),
    )
    table = scene.add_entity(gs.morphs.Plane(), material=gs.materials.Tool(friction=0.3), name="table")
    block = scene.add_entity(
        gs.morphs.Box(pos=(0.0, 0.0, 0.5 * BLOCK_SIZE[2]), size=BLOCK_SIZE),
        material=gs.materials.MPM.ElastoPlastic(E=1e4, nu=0.2, rho=1000.0),
        name="block",
    )
    ball = scene.add_entity(
        gs.morphs.Sphere(pos=BALL_START, radius=BALL_RADIUS), material=gs.materials.Tool(friction=BALL_FRICTION)
    )
    scene.build(n_envs=n_envs, outputs=("wrench",))
    markers = _markers(block.get_particles_pos()[0].as_subclass(torch.Tensor))
    return Experiment(
        scene=scene,
        parameters={
            "E": Channel(call=lambda E: block.set_material(E=E), unit="Pa"),
            "nu": Channel(call=lambda nu: block.set_material(nu=nu), unit=""),
            "yield_stress": Channel(call=lambda s: block.set_material(von_mises_yield_stress=s), unit="Pa"),
            "table_friction": Channel(call=table.set_friction, unit=""),
            "rho": Channel(call=lambda rho: block.set_material(rho=rho), unit="kg/m^3"),
        },
        controls={"ball_velocity": Channel(call=ball.set_velocity, unit="m/s")},
        signals={
            "markers": Channel(call=lambda: block.get_particles_pos()[:, markers], unit="m"),
            "ball_force": Channel(call=lambda: ball.get_wrench()[:, :3], unit="N"),
        },
    )


def motion() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Controls, (T, ...) by name, and no initial values: push, draw back, rise, go over the block, press, let go."""
    phases = (
        (0.50, (0.3, 0.0, 0.0)),
        (0.60, (-0.3, 0.0, 0.0)),
        (0.86, (0.0, 0.0, 0.4)),
        (1.16, (0.43, 0.0, 0.0)),
        (1.60, (0.0, 0.0, -0.13)),
        (2.00, (0.0, 0.0, 0.2)),
    )
    times = CONTROL_DT * (np.arange(N_STEPS) + 0.5)
    rows = [next(velocity for end, velocity in phases if time < end) for time in times]
    return {"ball_velocity": np.array(rows)}, {}


def _markers(positions: torch.Tensor) -> list[int]:
    """The particles next to the four corners and the four edges' middles of the block's upper face."""
    half = 0.5 * torch.tensor(BLOCK_SIZE[:2]).to(positions)
    sides = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)]
    places = [torch.tensor([*(half * torch.tensor(side).to(half)), BLOCK_SIZE[2]]).to(positions) for side in sides]
    return [int((positions - place).norm(dim=1).argmin()) for place in places]
