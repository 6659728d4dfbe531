"""The benchmark scenes: a block of particles, free to fall in the middle of the unit cube."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import genesis as gs


@dataclass(frozen=True)
class MpmCase:
    """A block of particles half a grid cell apart, so eight to a cell."""

    envs: int
    grid: int
    """Cells along an edge of the unit cube."""
    block: tuple[int, int, int]
    """Particles along x, y, z."""
    substeps: int = 20
    substep_dt: float = 1e-4
    """s"""
    youngs: float = 5e3
    """Pa"""
    poisson: float = 0.2
    density: float = 1e3
    """kg/m^3"""

    @property
    def work(self) -> int:
        """Particle-substeps in one scene step."""
        nx, ny, nz = self.block
        return self.envs * nx * ny * nz * self.substeps


ModelName = Literal[
    "neohooken", "corotation", "von_mises", "hardening", "clamped", "sand", "snow", "liquid", "viscous_liquid",
    "muscle", "damped_muscle",
]  # fmt: skip
MATERIALS: dict[str, Callable[..., Any]] = {
    "neohooken": lambda **common: gs.materials.MPM.Elastic(model="neohooken", **common),
    "corotation": lambda **common: gs.materials.MPM.Elastic(model="corotation", **common),
    "von_mises": lambda **common: gs.materials.MPM.ElastoPlastic(von_mises_yield_stress=50.0, **common),
    "hardening": lambda **common: gs.materials.MPM.ElastoPlastic(
        von_mises_yield_stress=50.0, hardening_modulus=500.0, **common
    ),
    "clamped": lambda **common: gs.materials.MPM.ElastoPlastic(use_von_mises=False, **common),
    "sand": lambda **common: gs.materials.MPM.Sand(**common),
    "snow": lambda **common: gs.materials.MPM.Snow(**common),
    "liquid": lambda **common: gs.materials.MPM.Liquid(**common),
    "viscous_liquid": lambda **common: gs.materials.MPM.Liquid(viscosity=1.0, **common),
    "muscle": lambda **common: gs.materials.MPM.Muscle(**common),
    "damped_muscle": lambda **common: gs.materials.MPM.Muscle(viscosity=1.0, **common),
}


CASES = {
    "16x2000": MpmCase(envs=16, grid=32, block=(10, 10, 20)),
    "1x50000": MpmCase(envs=1, grid=64, block=(50, 40, 25)),
    "tiny": MpmCase(envs=1, grid=16, block=(2, 2, 2), substeps=1),
}


def build(
    case: MpmCase, requires_grad: bool, frame_budget_mb: float = 0.0, model: str = "neohooken"
) -> tuple[Any, Any]:
    """The case's scene and block, built.

    Raises:
        RuntimeError: the block came out with another number of particles than the case names.
    """
    spacing = 0.5 / case.grid
    nx, ny, nz = case.block
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(
            dt=case.substep_dt * case.substeps,
            substeps=case.substeps,
            requires_grad=requires_grad,
            frame_budget_mb=frame_budget_mb,
        ),
        mpm_options=gs.options.MPMOptions(
            grid_density=case.grid, particle_size=spacing, lower_bound=(0.0, 0.0, 0.0), upper_bound=(1.0, 1.0, 1.0)
        ),
    )
    block = scene.add_entity(
        morph=gs.morphs.Box(pos=(0.5, 0.5, 0.5), size=(nx * spacing, ny * spacing, nz * spacing)),
        material=MATERIALS[model](E=case.youngs, nu=case.poisson, rho=case.density, sampler="regular"),
    )
    scene.build(n_envs=case.envs)
    if block.n_particles != nx * ny * nz:
        raise RuntimeError(f"the block must have {nx * ny * nz} particles, got {block.n_particles}.")
    return scene, block
