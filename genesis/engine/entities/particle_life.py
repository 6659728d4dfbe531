"""Which particles of a body are there, and which are attached to something."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from genesis import runtime
from genesis.convert import check_dense
from genesis.engine.entities.base import Entity
from genesis.engine.inputs import Array, Environments, indices
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.grad.tensor import Tensor, plain_of
from genesis.options import MPMOptions
from genesis.solvers.mpm.hold import ATTACHED, FREE, INACTIVE


class ParticleLife(Entity):
    """Abstract: setters of a body of particles that switch them off, and attach them.

    Both are controls: held until set again, back to those of build time (all active, none attached) by `scene.reset`,
    part of `scene.get_state()`.
    """

    n_particles: int
    _begin: int
    _options: MPMOptions

    def set_active(self, active: Any, envs_idx: Environments = None) -> None:
        """Switch particles on or off. One that is off keeps its state, and is not felt: it has no mass, and touches
        nothing. Derivatives by its state are those of what was kept.

        Args:
            active: A bool, (n,) or (B, n); numbers count as bools. With `envs_idx`, a row for each chosen environment
                in place of B.
            envs_idx: Environments to change, indices or a mask; None for all.

        Raises:
            GenesisValueError: Wrong shape.
            GenesisTypeError: Neither bools nor numbers.
        """
        envs = self._chosen(envs_idx)
        active = self._masks("active", active, envs)
        hold = self._hold(envs)
        mode = torch.where(hold[..., 3] < 0, hold[..., 3] + INACTIVE, hold[..., 3])
        self._write_hold(hold[..., :3], torch.where(active, mode, mode - INACTIVE), envs)

    def activate(self, envs_idx: Environments = None) -> None:
        """`set_active` of all particles."""
        self.set_active(True, envs_idx)

    def deactivate(self, envs_idx: Environments = None) -> None:
        """`set_active(False)` of all particles."""
        self.set_active(False, envs_idx)

    def attach(self, particles: Any = None, target: Array | None = None, envs_idx: Environments = None) -> None:
        """Attach particles to places: at the end of every step they are there, whatever pulls at them.

        Within a step they move at a constant velocity, and they give the rest of the body what it takes: the hold is
        exact, without a stiffness. Free particles up to a cell away go with them. Call it before every step with the
        places of a gripper, say `link.get_pos()`, to move them. `set_position` takes them along; free again
        (`set_free`) they fly on as they moved last.

        Args:
            particles: Indices (k,), 0 … n - 1, or a mask (n,), the same in all environments; None for all.
            target: (3,) or (B, 3): where the mean of these particles goes, each keeping its present offset. (k, 3) or
                (B, k, 3): every one. World frame, m. None: where they are. Differentiable. With `envs_idx`, a row for
                each chosen environment in place of B.
            envs_idx: Environments to change, indices or a mask; None for all.

        Raises:
            GenesisValueError: No such particle, or none at all; a target outside the domain, or further from its
                particle than a cell for each substep; wrong shape; an entry not finite.
            GenesisTypeError: A body in place of a target.
        """
        if isinstance(target, Entity):
            raise GenesisTypeError(
                f"{self.name}.target must be places, got the body {target.name!r}. Pass its get_pos() before each step."
            )
        envs = self._chosen(envs_idx)
        chosen = self._particles(particles)
        pos = plain_of(self._pick(self._read("pos"), envs_idx))[:, chosen]
        if target is None:
            target = pos
        else:
            target = self._rows("target", target, ((3,), (len(chosen), 3)), envs)
            if target.dim() == 2:
                target = pos - pos.mean(1, keepdim=True) + target[:, None]
            sound = torch.isfinite(target.detach() + pos.detach()).all(2)  # not of what has failed
            if bool(sound.any()):
                self._check_inside(target.detach()[sound])
                self._check_within_reach((target - pos).detach()[sound])
        hold = self._hold(envs)
        modes = hold[..., 3].clone()
        modes[:, chosen] = torch.where(modes[:, chosen] < 0, ATTACHED - INACTIVE, ATTACHED).to(modes.dtype)
        self._write_hold(hold[..., :3].index_copy(1, chosen, target), modes, envs)

    def set_free(self, free: Any, envs_idx: Environments = None) -> None:
        """Free particles from what they are attached to, or attach them where they are.

        Args:
            free: A bool, (n,) or (B, n), as in `set_active`. What is attached already keeps its target where this is
                False.
            envs_idx: Environments to change, indices or a mask; None for all.
        """
        envs = self._chosen(envs_idx)
        free = self._masks("free", free, envs)
        hold = self._hold(envs)
        place, modes = hold[..., :3], hold[..., 3]
        attached = _attached(modes)
        pos = plain_of(self._pick(self._read("pos"), envs_idx))
        place = torch.where((~free & ~attached)[..., None], pos, place)
        mode = torch.where(free, FREE, ATTACHED).to(modes.dtype)
        self._write_hold(place, torch.where(modes < 0, mode - INACTIVE, mode), envs)

    def get_particles_active(self, envs_idx: Environments = None) -> torch.Tensor:
        """(B, n) bool, plain: which particles are there; with `envs_idx` only the chosen environments."""
        return self._hold(self._chosen(envs_idx)).detach()[..., 3] >= 0

    def get_particles_free(self, envs_idx: Environments = None) -> torch.Tensor:
        """(B, n) bool, plain: which particles are attached to nothing."""
        return ~_attached(self._hold(self._chosen(envs_idx)).detach()[..., 3])

    def _hold(self, envs: torch.Tensor | None) -> torch.Tensor:
        """(K, n, 4) of the chosen environments, connected to what set it."""
        hold = plain_of(self._read("hold"))
        return hold if envs is None else hold.index_select(0, envs)

    def _write_hold(self, place: torch.Tensor, mode: torch.Tensor, envs: torch.Tensor | None) -> None:
        rows = torch.cat([place, mode.detach()[..., None]], dim=-1)
        self._values.write("mpm", "hold", rows, envs, self._begin, self._begin + self.n_particles)

    def _take_along(self, pos: torch.Tensor, envs: torch.Tensor | None) -> None:
        """Attached particles that are placed anew are held there."""
        hold = self._hold(envs)
        attached = _attached(hold[..., 3])
        if bool(attached.any()):
            self._write_hold(torch.where(attached[..., None], pos, hold[..., :3]), hold[..., 3], envs)

    def _read(self, name: str) -> Tensor:
        raise NotImplementedError

    def _check_inside(self, pos: torch.Tensor) -> None:
        raise NotImplementedError

    def _particles(self, particles: Any) -> torch.Tensor:
        """Indices (k,) of at least one particle."""
        what, n = f"{self.name}.particles", self.n_particles
        mask = _mask_of(particles)
        if mask is not None:
            if mask.shape != (n,):
                raise GenesisValueError(
                    f"{what} must be indices or a mask ({n},), got a mask {mask.shape}. Give one entry per particle."
                )
            particles = mask.nonzero()[0].tolist()
        chosen = list(indices(what, particles, n, f"particles of {self.name!r}"))
        if not chosen:
            raise GenesisValueError(f"{what} must hold at least one particle, got none. Leave the call out.")
        return torch.tensor(chosen, device=runtime.current().device)

    def _masks(self, what: str, value: Any, envs: torch.Tensor | None) -> torch.Tensor:
        """(K, n) bools."""
        name, n = f"{self.name}.{what}", self.n_particles
        count = self._values.n_envs if envs is None else len(envs)
        try:
            given = torch.as_tensor(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise GenesisTypeError(
                f"{name} must hold bools, got {type(value).__name__}. Pass True or False."
            ) from error
        check_dense(name, given)
        given = plain_of(given.detach()).to(runtime.current().device).bool()
        if envs is not None and tuple(given.shape) == (self._values.n_envs, n) and count != self._values.n_envs:
            given = given.index_select(0, envs)
        if tuple(given.shape) not in ((), (n,), (count, n)):
            raise GenesisValueError(
                f"{name} must have shape (), ({n},) or ({count}, {n}), got {tuple(given.shape)}. "
                "Give one value, or one for each particle."
            )
        return given.expand(count, n)

    def _check_within_reach(self, way: torch.Tensor) -> None:
        """Raise unless what is attached can be at its target at the end of a step, no cell crossed in a substep."""
        reach = self._options.dx * self._values.simulator.substeps
        furthest = float(way.abs().amax())
        if furthest > reach:
            raise GenesisValueError(
                f"{self.name}.target must lie within {reach:.4g} m of its particle on each axis, a cell for each "
                f"substep, got {furthest:.4g} m. Move it over several steps, or place the body with set_position."
            )


def check_hold(name: str, hold: torch.Tensor) -> None:
    """Raise unless the modes in a state's `hold` (…, 4) are ones that there are."""
    modes = hold[..., 3]
    known = torch.isin(modes, modes.new_tensor([FREE, ATTACHED, FREE - INACTIVE, ATTACHED - INACTIVE]))
    if not bool(known.all()):
        raise GenesisValueError(
            f"{name} must have modes 0 (free), 1 (attached), -2 and -1 (the same, inactive), got "
            f"{float(modes[~known][0])}. Take the state from get_state()."
        )


def _attached(modes: torch.Tensor) -> torch.Tensor:
    return modes.abs() == ATTACHED


def _mask_of(particles: Any) -> np.ndarray | None:
    """What is given if it is a mask."""
    if isinstance(particles, torch.Tensor) and particles.dtype == torch.bool:
        return plain_of(particles.detach()).cpu().numpy()
    if isinstance(particles, np.ndarray) and particles.dtype == np.bool_:
        return particles
    if isinstance(particles, Sequence) and len(particles) and all(type(entry) is bool for entry in particles):
        return np.array(particles)
    return None
