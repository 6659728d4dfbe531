"""One control step of all solvers and its adjoint, on plain tensors: order of values, frames, groups, failures.

The canonical order of inputs is: state of every solver, controls of every solver, parameters of every solver, gravity.
Results are: state of every solver, outputs of every solver. A simulator never refers to a scene, nor to a graph.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from genesis import runtime
from genesis.engine.coupling import Coupling
from genesis.engine.failures import Failure, failed_rows, is_finite, warn
from genesis.engine.placements import Placements
from genesis.errors import GenesisRuntimeError
from genesis.solvers.base import CutOff, Frames, Origin, Solver

SCRATCH_BYTES = 512 * 2**20
"""Memory that frames outside the frame budget may take; with more, environments are worked on in groups."""


class Entry(NamedTuple):
    """A value in the canonical order."""

    solver: str
    name: str
    shape: tuple[int, ...]
    """Without the leading environment axis."""


@dataclass(eq=False)
class Slot:
    """Frames of one recent step."""

    frames: Frames
    serial: int = 0
    """Raised whenever the frames are overwritten."""
    spent: bool = True
    """Whether their adjoint has run, so that they are the first to be overwritten."""


class Token(NamedTuple):
    """Where a step left its frames; void once the serial differs."""

    slot: Slot
    serial: int


class StateReader:
    """Implements `Reader` of `genesis.grad.bridge`: what a solver computes from present values."""

    def __init__(self, solver: Solver, n_envs: int, check: Callable[[], None]) -> None:
        self.solver, self.n_envs, self._check = solver, n_envs, check

    def readout(self, values: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The solver's `readouts` from its `reads`."""
        self._check()
        return list(self.solver.readout(*values))

    def readout_adjoint(
        self, values: Sequence[torch.Tensor], cotangents: Sequence[torch.Tensor | None]
    ) -> list[torch.Tensor]:
        """Cotangents of `reads`; zero in environments whose values are not finite. None means zero."""
        self._check()
        complete = [
            values[0].new_zeros(self.n_envs, *field.shape) if cotangent is None else cotangent.contiguous()
            for field, cotangent in zip(self.solver.readouts, cotangents, strict=True)
        ]
        grads = list(self.solver.readout_adjoint(*values, *complete))
        if not is_finite(grads):
            for grad in grads:
                grad[failed_rows(values)] = 0.0
        return grads


class Simulator:
    """Implements `Stepper` of `genesis.grad.bridge`.

    Args:
        coupling: The solvers, in forward order.
        n_envs: B, at least 1.
        substeps: S.
        frame_budget: Bytes for frames of recent steps (S + 1 each); steps beyond are replayed in the backward pass.
        scratch: Bytes for all other frames.
    """

    def __init__(
        self, coupling: Coupling, n_envs: int, substeps: int, frame_budget: float, scratch: float = SCRATCH_BYTES
    ) -> None:
        self.coupling, self.n_envs, self.substeps = coupling, n_envs, substeps
        self.failures: list[Failure] = []
        self.unconverged = 0
        """Evaluations of contact that an iteration's cap cut off, since the scene was built."""
        self.placements = Placements(coupling.placement, n_envs)
        self._placed: dict[str, np.ndarray] = {}
        solvers = coupling.solvers
        parameters = [[f for f in solver.parameters if f.name != "gravity"] for solver in solvers]
        self.state = [Entry(s.name, *f) for s in solvers for f in s.state]
        self.controls = [Entry(s.name, *f) for s in solvers for f in s.controls]
        self.parameters = [Entry(s.name, *f) for s, fields in zip(solvers, parameters, strict=True) for f in fields]
        self.parameters.append(Entry("scene", "gravity", (3,)))
        self.outputs = [Entry(s.name, *f) for s in solvers for f in s.outputs]
        self.inputs = self.state + self.controls + self.parameters
        self.results = self.state + self.outputs
        place = {(entry.solver, entry.name): i for i, entry in enumerate(self.inputs)}
        self._loads = [
            [place.get((s.name, f.name), len(self.inputs) - 1) for f in (*s.state, *s.controls, *s.parameters)]
            for s in solvers
        ]
        self._stores = [[i for i, entry in enumerate(self.results) if entry.solver == s.name] for s in solvers]
        kept = coupling.frame_bytes(n_envs, substeps + 1)
        self._n_slots = int(frame_budget // max(kept, 1))
        self._slots: list[Slot] = []
        """In the order in which they will be overwritten."""
        self._forward_group = self._group(2, scratch)
        self._replay_group = n_envs if self._n_slots else self._group(substeps + 1, scratch)
        self._scratch: dict[int, Frames] = {}
        self._zeros: list[torch.Tensor | None] = [None] * len(self.results)
        self.remainders = [
            (place[s.name, field], place[s.name, low]) for s in solvers for field, low in s.remainders.items()
        ]
        """Places of fields of the state and of what is rounded away of them."""
        self.readers = {s.name: StateReader(s, n_envs, self.check_runtime) for s in solvers if s.readouts}
        """By name of the solver."""
        self._generation = runtime.current().generation

    def initial_values(self) -> list[list[torch.Tensor]]:
        """Per solver: state, controls and parameters at build time (gravity left out)."""
        return [solver.initial_values(self.n_envs) for solver in self.coupling.solvers]

    def forward(self, values: Sequence[torch.Tensor], step: int, keep: bool) -> tuple[list[torch.Tensor], Token | None]:
        """Results in fresh tensors, and a token of the frames if they were kept."""
        self.check_runtime()
        if self.failures:
            self.failures = []
        self._placed = self.placements.take()
        token = None
        if keep and self._n_slots:
            token = self._take_slot()
            results = self._run(token.slot.frames, values, step, 0)
        else:
            frames = self._scratch_frames(2, self._forward_group)
            parts = [self._run(frames, part, step, begin) for begin, part in self._groups(values, frames.n_envs)]
            results = parts[0] if len(parts) == 1 else [torch.cat(rows) for rows in zip(*parts, strict=True)]
        return results, token

    def backward(
        self,
        values: Sequence[torch.Tensor],
        cotangents: Sequence[torch.Tensor | None],
        step: int,
        token: Token | None,
        needed: Sequence[bool],
    ) -> list[torch.Tensor | None]:
        """Cotangents of those of `values` that are needed, in fresh tensors. None among `cotangents` means zero.

        An environment whose frames or cotangents are not finite gets zeros, and so poisons neither a neighbour nor a
        shared parameter.
        """
        self.check_runtime()
        cotangents = self._complete(cotangents)
        if token is not None and token.serial == token.slot.serial:
            token.slot.spent = True
            return self._backward(token.slot.frames, cotangents, step, 0, needed)
        if self._n_slots:
            slot = self._take_slot().slot
            slot.spent = True
            frames = slot.frames
        else:
            frames = self._scratch_frames(self.substeps + 1, self._replay_group)
        parts = []
        groups = zip(self._groups(values, frames.n_envs), self._groups(cotangents, frames.n_envs), strict=True)
        for (begin, part), (_, group_cotangents) in groups:
            self._advance(frames, part)
            parts.append(self._backward(frames, group_cotangents, step, begin, needed))
        if len(parts) == 1:
            return parts[0]
        return [None if rows[0] is None else torch.cat(rows) for rows in zip(*parts, strict=True)]

    def check_runtime(self) -> None:
        """Raise if `gs.destroy()` has ended the runtime in which this was built."""
        if not runtime.is_initialized() or runtime.current().generation != self._generation:
            raise GenesisRuntimeError(
                "a scene must be used under the gs.init that it was built under, got a call after gs.destroy(). "
                "Build a new scene."
            )

    # Below: substep by substep, for as many environments as the frames hold.

    def _advance(self, frames: Frames, values: Sequence[torch.Tensor]) -> None:
        for solver, indices in zip(self.coupling.solvers, self._loads, strict=True):
            solver.load(frames, [values[i] for i in indices])
        self.coupling.substep(frames, 0, self.substeps)

    def _run(self, frames: Frames, values: Sequence[torch.Tensor], step: int, begin: int) -> list[torch.Tensor]:
        self._advance(frames, values)
        results: list[torch.Tensor] = [None] * len(self.results)  # type: ignore[list-item]
        for solver, indices in zip(self.coupling.solvers, self._stores, strict=True):
            for i, tensor in zip(indices, solver.store(frames), strict=True):
                results[i] = tensor
        placed = {solver: rows[begin : begin + len(results[0])] for solver, rows in self._placed.items()}
        self.coupling.watch(frames, step, begin, placed)
        for solver in self.coupling.solvers:
            for found in solver.unconverged(frames):
                if _some(found.counts):
                    self._note_unconverged(found, step, begin)
        codes = self.coupling.failures(frames)
        if codes is not None and _some(codes):
            self._declare_failed(frames, codes[: len(results[0])].clone(), values, results, step, begin)
        return results

    def _backward(
        self, frames: Frames, cotangents: Sequence[torch.Tensor], step: int, begin: int, needed: Sequence[bool]
    ) -> list[torch.Tensor | None]:
        codes = self.coupling.failures(frames)
        if codes is not None and _some(codes):  # also of solvers that went on: nothing comes out of this environment
            failed = codes[: len(cotangents[0])] != 0
            cotangents = [c.masked_fill(failed.view(-1, *[1] * (c.dim() - 1)), 0.0) for c in cotangents]
        for solver, indices in zip(self.coupling.solvers, self._stores, strict=True):
            solver.load_adjoint(frames, [cotangents[i] for i in indices])
        self.coupling.substep_adjoint(frames, 0, self.substeps)
        grads: list[torch.Tensor | None] = [None] * len(self.inputs)
        for solver, indices in zip(self.coupling.solvers, self._loads, strict=True):
            for i, grad in zip(indices, solver.store_adjoint(frames, [needed[i] for i in indices]), strict=True):
                if grad is not None and needed[i]:
                    before = grads[i]
                    grads[i] = grad if before is None else before + grad  # gravity belongs to several solvers
        if needed[-1] and grads[-1] is None:
            grads[-1] = cotangents[0].new_zeros(len(cotangents[0]), 3)
        present = [(entry, grad) for entry, grad in zip(self.inputs, grads, strict=True) if grad is not None]
        if not is_finite([grad for _, grad in present]):
            self._clear_failed(frames, present, cotangents, step, begin)
        return grads

    def _note_unconverged(self, found: CutOff, step: int, begin: int) -> None:
        """Count the iterations that were cut off; the first time, say so."""
        if not self.unconverged:
            env = begin + int(found.counts.nonzero()[0])
            runtime.logger.warning(
                f"{found.law}, got one cut off in step {step}, environment {env}: {found.remedy}; "
                "scene.unconverged counts on."
            )
        self.unconverged += int(found.counts.sum())

    # Failed environments.

    def _origin(self, frames: Frames, env: int, code: int, results: Sequence[torch.Tensor]) -> tuple[str, Origin]:
        """The solver that failed, and what of it; what cannot be told is looked for in the results."""
        jumped = self.coupling.origin(frames, env, code)
        if jumped is not None:
            return jumped
        failing = []
        for solver in self.coupling.solvers:
            codes = solver.failures(frames)
            if codes is None:
                continue
            origin = solver.origin(frames, env, code) if codes[env] == code else None
            if origin is not None:
                return solver.name, origin
            failing.append(solver.name)
        fragile = [i for i, entry in enumerate(self.state) if entry.solver in failing]
        i = next((i for i in fragile if not torch.isfinite(results[i][env]).all()), fragile[0])
        return self.state[i].solver, Origin(self.state[i].name, None, "be finite and inside the domain", math.nan)

    def _declare_failed(
        self,
        frames: Frames,
        codes: torch.Tensor,
        values: Sequence[torch.Tensor],
        results: list[torch.Tensor],
        step: int,
        begin: int,
    ) -> None:
        """Report the environments that failed in this step, and fill all their results with NaN."""
        failed = codes != 0
        old = failed_rows(values[: len(self.state)])
        for env in (failed & ~old).nonzero().flatten().tolist():
            code = int(codes[env])
            solver, (field, body, constraint, value) = self._origin(frames, env, code, results)
            self.failures.append(Failure(step, code - 1, begin + env, f"{solver}.{field}", body))
            warn(self.failures[-1], constraint, value)
        for result in results:
            result[failed] = torch.nan

    def _clear_failed(
        self,
        frames: Frames,
        grads: list[tuple[Entry, torch.Tensor]],
        cotangents: Sequence[torch.Tensor],
        step: int,
        begin: int,
    ) -> None:
        """Zero the gradients of environments where they are not finite; report those that were healthy going forward.

        Environments do not mix in the adjoint, so a non-finite cotangent has spoilt nothing but its own environment.
        """
        failed_before, failed_after = failed_rows(cotangents), failed_rows([grad for _, grad in grads])
        codes = self.coupling.failures(frames)
        known = torch.zeros_like(failed_after) if codes is None else codes[: len(failed_after)] != 0
        for env in (failed_after & ~known).nonzero().flatten().tolist():
            pairs, substep = grads, 0
            if failed_before[env]:
                pairs, substep = list(zip(self.results, cotangents, strict=True)), self.substeps - 1
            entry, tensor = next((entry, tensor) for entry, tensor in pairs if not torch.isfinite(tensor[env]).all())
            row = int((~torch.isfinite(tensor[env])).nonzero()[0, 0])
            solver = next((s for s in self.coupling.solvers if s.name == entry.solver), None)
            body = None if solver is None else solver.body_of(entry.name, row)
            self.failures.append(Failure(step, substep, begin + env, f"gradient of {entry.solver}.{entry.name}", body))
            warn(self.failures[-1])
        for _, grad in grads:
            grad[failed_after] = 0.0

    def _complete(self, cotangents: Sequence[torch.Tensor | None]) -> list[torch.Tensor]:
        """Zeros in place of None, without memory of their own."""
        for i, cotangent in enumerate(cotangents):
            if cotangent is None and self._zeros[i] is None:
                given = next(c for c in cotangents if c is not None)
                self._zeros[i] = given.new_zeros(()).expand(self.n_envs, *self.results[i].shape)
        return [zero if c is None else c for c, zero in zip(cotangents, self._zeros, strict=True)]  # type: ignore[misc]

    # Frames and groups of environments.

    def _group(self, n_frames: int, budget: float) -> int:
        """The number of environments to work on at once so that their frames fit into `budget` bytes."""
        groups = 1
        while groups < self.n_envs:
            size = -(-self.n_envs // groups)
            if self.coupling.frame_bytes(size, n_frames) <= budget:
                return size
            groups += 1
        return 1

    @staticmethod
    def _groups(values: Sequence[torch.Tensor], size: int) -> list[tuple[int, Sequence[torch.Tensor]]]:
        n_envs = len(values[0])
        if n_envs <= size:
            return [(0, values)]
        return [(b, [value[b : b + size] for value in values]) for b in range(0, n_envs, size)]

    def _scratch_frames(self, n_frames: int, n_envs: int) -> Frames:
        if n_frames not in self._scratch:
            self._scratch[n_frames] = self.coupling.allocate(n_envs, n_frames)
        return self._scratch[n_frames]

    def _take_slot(self) -> Token:
        """The slot to write next: a spent one, else a new one if the budget allows, else the oldest."""
        spent = next((i for i, slot in enumerate(self._slots) if slot.spent), None)
        if spent is not None or len(self._slots) == self._n_slots:
            slot = self._slots.pop(spent or 0)
        else:
            slot = Slot(self.coupling.allocate(self.n_envs, self.substeps + 1))
        slot.serial += 1
        slot.spent = False
        self._slots.append(slot)
        return Token(slot, slot.serial)


def _some(numbers: torch.Tensor) -> bool:
    """Whether any is not zero; asked every step, and numpy's answer takes a tenth of torch's time."""
    return bool((numbers.numpy() if numbers.device.type == "cpu" else numbers).any())
