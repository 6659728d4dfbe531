"""The protocol of a solver: which values it maps to which, its frames, one substep and its adjoint.

A control step maps values to values:

    state', outputs = step(state, controls, parameters)

Values are torch tensors (n_envs, *field.shape). Inside a step a solver works on *frames*: the state before and after
each substep, in arrays that its kernels are bound to. Two frames suffice to go forward; `substeps + 1` frames are what
the adjoint reads. A solver never sees autograd: who calls `store` and `load_adjoint` decides what a gradient is.

Order of calls, forward:   load -> substep(0, S) -> store
               backward:   (the same with S + 1 frames) -> load_adjoint -> substep_adjoint(0, S) -> store_adjoint

Solvers are of two kinds. *Matter* (particles) has many points that feel bodies. *Bodies* (tools, articulated links,
grounds) have few shapes, their colliders, and say where these are: `genesis.contact.colliders`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Mapping, NamedTuple, Sequence

import torch

from genesis.contact.colliders import Exchange


class Field(NamedTuple):
    """One named value of a solver."""

    name: str
    """Unique within the solver. `gravity` is shared: every solver that declares it gets the scene's."""
    shape: tuple[int, ...]
    """Without the leading environment axis."""


SPEED_LIMIT = 1e3
"""m/s: a slide, a free body or a tool that moves faster has left physics. Three times the speed of sound."""
SPIN_LIMIT = 1e4
"""rad/s: the same of hinges, balls, free bodies and tools. 95,000 turns a minute."""


class Origin(NamedTuple):
    """What went wrong first in a failed environment."""

    field: str
    """Of the state."""
    body: str | None
    law: str
    """What the field must, in words."""
    value: float
    """What it was instead, as far as it can be told."""


class CutOff(NamedTuple):
    """Iterations that may have been cut off."""

    law: str
    """What they must, in words."""
    remedy: str
    """What follows where they were not, and what helps."""
    counts: torch.Tensor
    """(n_envs,) int32: in how many evaluations."""


@dataclass
class Frames:
    """What a step leaves behind for its adjoint: one entry per solver, made by `Coupling.allocate`."""

    n_envs: int
    n_frames: int
    """2 (forward only, used in turn) or substeps + 1 (kept for the adjoint)."""
    of: dict[str, Any]
    """Solver name -> that solver's own frame object."""
    exchange: Exchange = None  # type: ignore[assignment]
    """Poses and impulses of the colliders; None only where a solver without colliders stands alone."""


class Solver(ABC):
    """Abstract: matter, or a base of `Bodies`. Concrete solvers are final."""

    name: str
    state: tuple[Field, ...]
    """Advanced by every substep."""
    controls: tuple[Field, ...]
    """Held constant over a step, and from step to step until set again."""
    parameters: tuple[Field, ...]
    """Constants of the physics; differentiable."""
    outputs: tuple[Field, ...]
    """Averages over a step. Empty unless asked for at build."""
    remainders: Mapping[str, str] = {}
    """Field of the state -> the field that holds what is rounded away of it: what is meant is the sum of both.

    Without a graph: the derivative by the sum is that by the first. Setters of the first clear it.
    """
    placement: tuple[str, ...] = ()
    """Fields of state and controls that say where its bodies are, and whether they are there."""
    reads: tuple[str, ...] = ()
    """Fields of state, controls and parameters that `readouts` are functions of."""
    readouts: tuple[Field, ...] = ()
    """What can be computed from present values, without a step."""

    @abstractmethod
    def initial_values(self, n_envs: int) -> list[torch.Tensor]:
        """Values at build time: state, then controls, then parameters except `gravity`, each (n_envs, *shape)."""

    @abstractmethod
    def frame_bytes(self, n_envs: int, n_frames: int) -> int:
        """Size of the frames that `allocate` would make, in bytes."""

    @abstractmethod
    def allocate(self, frames: Frames) -> None:
        """Put this solver's frame object for `frames.n_envs` and `frames.n_frames` into `frames.of[self.name]`."""

    @abstractmethod
    def load(self, frames: Frames, values: Sequence[torch.Tensor]) -> None:
        """Write state (into frame 0), controls and parameters. Leading axis at most `frames.n_envs`; detached."""

    @abstractmethod
    def substep(self, frames: Frames, begin: int, end: int) -> None:
        """Advance from frame `begin` to frame `end`."""

    def points(self, frames: Frames) -> torch.Tensor:
        """Of matter: (n_envs, n, 3) m where its points are after the last substep; NaN for those that colliders cannot
        move. `body_of` tells of a row of its first field whose it is."""
        raise NotImplementedError

    def offer(self, frames: Frames, substep: int) -> None:
        """Of matter: a substep as far as its exchange with colliders. Its points near those that yield are listed in
        the `Exchange`. `finish` does the rest, with the velocities that colliders have then."""
        raise NotImplementedError

    def finish(self, frames: Frames, substep: int) -> None:
        """What follows `offer`; both together are `substep`."""
        raise NotImplementedError

    @abstractmethod
    def store(self, frames: Frames) -> list[torch.Tensor]:
        """State in the last frame, then outputs, in fresh tensors."""

    @abstractmethod
    def failures(self, frames: Frames) -> torch.Tensor | None:
        """(n_envs,) int32: 0 where the environment stayed healthy, else 1 + the substep that went wrong.

        None where this solver cannot fail.
        """

    def unconverged(self, frames: Frames) -> Sequence[CutOff]:
        """Iterations of the last step."""
        return ()

    def readout(self, *values: torch.Tensor) -> Sequence[torch.Tensor]:
        """`readouts` from `reads`, in fresh tensors."""
        raise NotImplementedError

    def readout_adjoint(self, *tensors: torch.Tensor) -> Sequence[torch.Tensor]:
        """Cotangents of `reads` from the values of `reads` and the cotangents of `readouts`, in fresh tensors."""
        raise NotImplementedError

    def origin(self, frames: Frames, env: int, code: int) -> Origin | None:
        """What went wrong in environment `env` of `frames`, for which `failures` says `code`; None if it is unknown.

        Called between `store` and the next `load`, before the adjoint.
        """
        return None

    def body_of(self, field: str, row: int) -> str | None:
        """Name of the body that row `row` of a field of the state belongs to; None if it is unknown."""
        return None

    @abstractmethod
    def load_adjoint(self, frames: Frames, cotangents: Sequence[torch.Tensor]) -> None:
        """Take the cotangents of state' and outputs (order of `store`) and clear those of everything else."""

    @abstractmethod
    def substep_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        """Pull the cotangents back from frame `end` to frame `begin`. Reads all frames between.

        Skips, and leaves zero, an environment whose cotangents are all zero, or which failed.
        """

    def finish_adjoint(self, frames: Frames, substep: int) -> None:
        """As far back as `offer`; lists those points again."""
        raise NotImplementedError

    def offer_adjoint(self, frames: Frames, substep: int) -> None:
        """The rest, with the cotangents of the impulses to which colliders yielded."""
        raise NotImplementedError

    @abstractmethod
    def store_adjoint(self, frames: Frames, needed: Sequence[bool]) -> list[torch.Tensor | None]:
        """Cotangents of state, controls and parameters (order of `load`), in fresh tensors; None at will where they are
        not needed."""


class Bodies(Solver):
    """Abstract: a solver whose bodies push matter, and may be pushed by it.

    In every substep of the scene bodies publish their poses, matter advances, and then bodies do, so that an impulse
    which matter gives in a substep is there when the body takes it. Bodies that take none may advance a whole step
    before matter does.
    """

    first: int
    """Index of its first collider among those of the scene."""
    n_colliders: int
    moved_by: str
    """Field of its state or controls that says how fast they are."""
    whole_steps: bool
    """Whether it can advance a whole step before matter does: it takes no impulses, and keeps all of its poses."""
    every: int
    """Substeps of the scene in one of its own. Frames and ranges of `substep` count its own."""
    yielding = False
    """Whether its colliders come out of an exchange with other velocities than they had before it."""

    def give_way(self, frames: Frames, substep: int) -> None:
        """Of a `yielding` one: write these velocities in place of those that it published, from what was offered."""
        raise NotImplementedError

    def give_way_adjoint(self, frames: Frames, substep: int) -> None:
        """Take the cotangents of these velocities, and give those of the impulses to which it yielded."""
        raise NotImplementedError

    @abstractmethod
    def publish(self, frames: Frames, begin: int, end: int) -> None:
        """Write the poses of its colliders at the beginning of the scene's substeps `begin` … `end` - 1.

        Between two of its own frames a body goes on as it moved at the earlier one.
        """

    @abstractmethod
    def publish_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        """Take the cotangents of those poses, which belong to its frames before these substeps."""
