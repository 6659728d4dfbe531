"""Bodies of particles."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch

from genesis.engine.entities.muscle import Muscles
from genesis.engine.entities.particle_life import ParticleLife
from genesis.engine.inputs import Array, Environments
from genesis.engine.state import MPMState
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.grad.tensor import Tensor, plain_of
from genesis.morphs import SolidMorph
from genesis.options import MPMOptions
from genesis.solvers.mpm.models import Model, plastic_volume
from genesis.surfaces import Default
from genesis.visible import Points, Rgb, Visible

SOFT: Rgb = (0.16, 0.60, 0.80)
LIQUID: Rgb = (0.20, 0.45, 0.85)
"""Of bodies whose surface says nothing."""


class ParticleEntity(Muscles, ParticleLife):
    """A body of the particle solver. World frame; setters and getters are differentiable."""

    kind = "mpm"
    morph: SolidMorph
    PLACED = ("initial_positions", "particle_volume", "_begin", "_end", "_first", "_options", "_groups")
    initial_positions: np.ndarray
    """(n, 3) m, at build time."""
    particle_volume: float
    """m^3."""

    def __init__(self, idx: int, name: str, morph: SolidMorph, material: Any, surface: Default, model: Model) -> None:
        super().__init__(idx, name, morph, material, surface)
        self.model = model
        self.numbers: tuple[str, ...] = tuple(material.numbers)

    def _place(self, positions: np.ndarray, options: MPMOptions, begin: int, first: int) -> None:
        """Give the body its particles: `begin` is its first in the solver, `first` its first number there."""
        self.initial_positions = positions
        self.particle_volume = self.morph.volume / len(positions)
        self._begin, self._end, self._first = begin, begin + len(positions), first
        self._options = options
        self._place_muscles()
        self._check_inside(torch.from_numpy(positions))

    @property
    def n_particles(self) -> int:
        """n."""
        return self._end - self._begin

    def set_position(self, pos: Array, envs_idx: Environments = None) -> None:
        """Place the body at rest and undeformed (velocity and C zero, F one, memory as at build time).

        Attached particles are held there from now on.

        Args:
            pos: (3,) or (B, 3): where the mean of the particles goes, each keeping its offset of build time. (n, 3) or
                (B, n, 3): every particle. Metres. With `envs_idx`, a row for each chosen environment in place of B.
            envs_idx: Environments to change, indices or a mask; None for all.

        Raises:
            GenesisValueError: A particle would be outside the domain; wrong shape; an entry not finite.
        """
        envs = self._chosen(envs_idx)
        pos = self._rows("pos", pos, ((3,), (self.n_particles, 3)), envs)
        if pos.dim() == 2:
            centred = self.initial_positions - self.initial_positions.mean(0)
            pos = pos[:, None, :] + torch.as_tensor(centred, dtype=pos.dtype, device=pos.device)
        self._check_inside(pos.detach())
        matrix = torch.eye(3, dtype=pos.dtype, device=pos.device).expand(*pos.shape, 3)
        still = torch.zeros_like(pos, requires_grad=False)
        for name, value in (("pos", pos), ("vel", still), ("C", torch.zeros_like(matrix)), ("F", matrix)):
            self._write(name, value, envs)
        self._take_along(pos, envs)
        if self._values.has("mpm", "memory"):
            memory = pos.new_zeros(*pos.shape[:2], self._values.read("mpm", "memory").shape[2])
            memory[..., : self.model.width] = pos.new_tensor(self.model.initial_memory)
            self._write("memory", memory, envs)

    def set_velocity(self, vel: Array, envs_idx: Environments = None) -> None:
        """Set particle velocities, m/s; C keeps its value.

        Args:
            vel: (3,), (B, 3), (n, 3) or (B, n, 3), as in `set_position`.
            envs_idx: Environments to change, indices or a mask; None for all.
        """
        envs = self._chosen(envs_idx)
        vel = self._rows("vel", vel, ((3,), (self.n_particles, 3)), envs)
        if vel.dim() == 2:
            vel = vel[:, None, :].expand(-1, self.n_particles, 3)
        self._write("vel", vel, envs)

    def set_material(
        self, E: Any = None, nu: Any = None, rho: Any = None, envs_idx: Environments = None, **numbers: Any
    ) -> None:
        """Set numbers of the material: Young's modulus (Pa), Poisson's ratio, density (kg/m^3), and by their names
        those that only this material has; each a number, or a tensor () or (B,).

        A tensor that requires a gradient gets one. If it is a leaf, an optimiser's in-place step on it takes effect at
        the next `scene.step()`; if it is computed, set it again after each `scene.detach_()`.

        Raises:
            GenesisValueError: Out of range, or too stiff for the scene's substep.
            GenesisTypeError: No number, or one that the material does not have.
        """
        given = {"E": E, "nu": nu, "rho": rho, **numbers}
        own = ", ".join(self.numbers)
        if all(value is None for value in given.values()):
            raise GenesisTypeError(f"set_material must get at least one of {own}, got none. Pass one by name.")
        for name in given:
            if name not in self.numbers:
                raise GenesisTypeError(f"set_material of {self.name!r} must get {own} only, got {name}. Leave it out.")
        places = {self._first + i: given[name] for i, name in enumerate(self.numbers) if given.get(name) is not None}
        self._set_parameters(("mpm", "material"), places, self._chosen(envs_idx))

    def get_state(self) -> MPMState:
        """pos, vel (B, n, 3), C, F (B, n, 3, 3), Jp (B, n), active (B, n) int32, hold (B, n, 4), and of this body
        memory (B, n, H) and actu (B, n), None where the scene's state has none."""
        pos, vel, C, F = (self._read(name) for name in ("pos", "vel", "C", "F"))
        active = self.get_particles_active().to(torch.int32)
        memory, actu = (self._read(name) if self._values.has("mpm", name) else None for name in ("memory", "actu"))
        Jp = plastic_volume(self.model, plain_of(pos).detach()[..., :0] if memory is None else plain_of(memory))
        return MPMState(pos, vel, C, F, self._values.own(Jp), active, memory, actu, self._read("hold"))

    def get_particles_pos(self, envs_idx: Environments = None) -> Tensor:
        """(B, n, 3) m; with `envs_idx` only the chosen environments, in their order."""
        return self._pick(self._read("pos"), envs_idx)

    def get_particles_vel(self, envs_idx: Environments = None) -> Tensor:
        """(B, n, 3) m/s; with `envs_idx` only the chosen environments, in their order."""
        return self._pick(self._read("vel"), envs_idx)

    def get_mass(self) -> Tensor:
        """(B,) kg, of the active particles."""
        material = self._values.read("mpm", "material")
        rho = material[:, self._first + self.model.numbers.index("rho")]
        return cast(Tensor, rho * self.get_particles_active().sum(1) * self.particle_volume)

    def visible(self) -> tuple[Visible, ...]:
        """Its particles."""
        tint = self.surface.rgb or (LIQUID if self.material.constitutive_model == "liquid" else SOFT)
        smooth = self.surface.vis_mode == "recon"
        return (Points(self.n_particles, self.particle_volume, tint, self._seen, smooth),)

    def followed(self, link: Any = None) -> Callable[[], torch.Tensor]:
        """To the mean of its particles."""
        self._refuse_link(link)
        return lambda: self.get_particles_pos().mean(1)

    def _seen(self) -> torch.Tensor:
        """Positions (B, n, 3); NaN of what is inactive, so that nobody draws it."""
        pos, active = self.get_particles_pos(), self.get_particles_active()
        return pos if bool(active.all()) else torch.where(active[..., None], pos, torch.nan)

    def _read(self, name: str) -> Tensor:
        value = self._values.read("mpm", name)
        whole = self.n_particles == value.shape[1]
        return value if whole else cast(Tensor, value[:, self._begin : self._end])

    def _write(self, name: str, value: torch.Tensor, envs: torch.Tensor | None) -> None:
        self._values.write("mpm", name, value, envs, self._begin, self._end)

    def _check_on_grid(self, pos: torch.Tensor) -> None:
        """Raise unless this body's particles in the solver's positions (K, N, 3) are on the grid."""
        options = self._options
        mine = pos[:, self._begin : self._end]
        low, high = mine.new_tensor(options.lower_bound), mine.new_tensor(options.upper_bound)
        if bool(((mine < low) | (mine > high)).any()):
            raise GenesisValueError(
                f"particles of {self.name!r} must be inside the domain, got some outside. "
                "Take the state from this scene's get_state(), or enlarge MPMOptions.lower_bound and upper_bound."
            )

    def _check_inside(self, pos: torch.Tensor) -> None:
        """Raise unless all positions (…, 3) keep the padding's distance from the faces of the domain."""
        padding = self._options.PADDING * self._options.dx
        low = [bound + padding for bound in self._options.lower_bound]
        high = [bound - padding for bound in self._options.upper_bound]
        flat = pos.reshape(-1, 3)
        least, most = flat.amin(0).tolist(), flat.amax(0).tolist()
        slack = 1e-6 * self._options.dx
        for axis in range(3):
            if least[axis] < low[axis] - slack or most[axis] > high[axis] + slack:
                raise GenesisValueError(
                    f"particles of {self.name!r} must keep {padding:.4g} m from the faces of the domain: "
                    f"{'xyz'[axis]} from {low[axis]:.4g} to {high[axis]:.4g} m, "
                    f"got {least[axis]:.4g} to {most[axis]:.4g} m. "
                    "Move or shrink the body, or enlarge MPMOptions.lower_bound and upper_bound."
                )
