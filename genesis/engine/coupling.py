"""The solvers of a scene, in the order in which they advance, and what they exchange in every substep."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch

from genesis.contact.colliders import Colliders
from genesis.contact.doubling import Doubling
from genesis.contact.jumps import Jumps
from genesis.contact.sinking import EVERY, Sinking
from genesis.solvers.base import Bodies, Frames, Origin, Solver


class Coupling:
    """Bodies say where they are, matter advances among them, then bodies do.

        for s in substeps:
            for b in bodies: b.publish(frames, s, s + 1)
            for m in matter: m.substep(frames, s, s + 1)
            for b in bodies: b.substep(frames, s, s + 1)

    Where some bodies yield to what they push, matter stops in its substep as soon as it knows what is near them,
    and goes on when they have said with which velocities they come out of that:

        for m in matter: m.offer(frames, s)
        for b in yielding bodies: b.give_way(frames, s)
        for m in matter: m.finish(frames, s)

    The adjoint is the reversed list. Where no body waits for what matter does to it, the same happens in whole
    intervals: bodies first, then all their poses, then matter.

    Args:
        solvers: Of which each has been given `colliders`.
        colliders: Of all bodies.
        substeps: Of the scene, in a control step.
        jumps: Finds colliders that are too fast for matter; None where nobody asks.
        sinking: Finds matter that is too deep inside of them; the same.
        doubling: By solver of matter, finds bodies that are set into each other; the same.
    """

    def __init__(
        self, solvers: Sequence[Solver], colliders: Colliders, substeps: int, jumps: Jumps | None = None,
        sinking: Sinking | None = None, doubling: Mapping[str, Doubling] | None = None,
    ) -> None:  # fmt: skip
        self.bodies = [solver for solver in solvers if isinstance(solver, Bodies)]
        self.matter = [solver for solver in solvers if not isinstance(solver, Bodies)]
        self.solvers: list[Solver] = [*self.bodies, *self.matter]
        self.colliders, self.substeps = colliders, substeps
        self._publishing = [body for body in self.bodies if body.n_colliders] if self.matter else []
        self._alternating = not all(body.whole_steps for body in self._publishing)
        self._yielding = [body for body in self._publishing if body.yielding]
        self._jumps, self._sinking = (jumps, sinking) if self._publishing else (None, None)
        self._doubling = doubling or {}
        asked = self._sinking is not None or bool(self._doubling)
        self.placement = {solver.name: solver.placement for solver in self.solvers} if asked else {}
        """By solver, values of which `watch` must know that they have been set; none where it looks at nothing."""

    def frame_bytes(self, n_envs: int, n_frames: int) -> int:
        """Size of what `allocate` makes."""
        return self.colliders.frame_bytes(n_envs) + sum(s.frame_bytes(n_envs, n_frames) for s in self.solvers)

    def allocate(self, n_envs: int, n_frames: int) -> Frames:
        """Frames of all solvers; n_frames is 2 (forward only) or substeps + 1."""
        frames = Frames(n_envs, n_frames, {}, self.colliders.allocate(n_envs))
        for solver in self.solvers:
            solver.allocate(frames)
        return frames

    def substep(self, frames: Frames, begin: int, end: int) -> None:
        """Advance all solvers over substeps of the scene."""
        if begin == 0 and len(self.colliders):
            frames.exchange.rows("impulse").zero_()
        for first, last in self._intervals(begin, end):
            if not self._alternating:
                self._advance(frames, first, last)
            for body in self._publishing:
                body.publish(frames, first, last)
            self._exchange(frames, first, last)
            if self._alternating:
                self._advance(frames, first, last)

    def substep_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        """The reverse."""
        if end == self.substeps and len(self.colliders):
            frames.exchange.rows("gposes").zero_()
            frames.exchange.rows("ganswer").zero_()
        for first, last in reversed(self._intervals(begin, end)):
            if self._alternating:
                self._advance_adjoint(frames, first, last)
            self._exchange_adjoint(frames, first, last)
            for body in reversed(self._publishing):
                body.publish_adjoint(frames, first, last)
            if not self._alternating:
                self._advance_adjoint(frames, first, last)

    def failures(self, frames: Frames) -> torch.Tensor | None:
        """(n_envs,) int32: 0 where healthy, else 1 + the substep that went wrong. None if no solver can fail."""
        codes = []
        for solver in self.solvers:
            code, every = solver.failures(frames), self._every(solver)
            if code is not None:
                codes.append(code if every == 1 else torch.where(code == 0, 0, (code - 1) * every + 1))
        if self._jumps is not None and self._jumps.any_fast(frames.exchange.rows("poses")):
            codes.append(self._jumps.find(frames.exchange.rows("poses"), self._bounds(frames)))
        if len(codes) < 2:
            return codes[0] if codes else None
        first = torch.stack([torch.where(code == 0, torch.iinfo(code.dtype).max, code) for code in codes]).amin(0)
        return torch.where(first == torch.iinfo(first.dtype).max, 0, first)

    def origin(self, frames: Frames, env: int, code: int) -> tuple[str, Origin] | None:
        """The solver whose collider jumped over matter in environment `env` of `frames`, and what of it; None if it is
        not that for which `failures` says `code`."""
        if self._jumps is None:
            return None
        bounds = [corners[env : env + 1] for corners in self._bounds(frames)]
        found = self._jumps.first(frames.exchange.rows("poses")[:, env : env + 1], bounds)
        if found is None or found[0] != code:
            return None
        _, k, speed = found
        body = next(body for body in self._publishing if body.first <= k < body.first + body.n_colliders)
        law = f"stay below {float(self._jumps.fastest[k]):.4g} m/s among particles, its depth and softness in a substep"
        return body.name, Origin(body.moved_by, self._jumps.names[k], law, speed)

    def watch(self, frames: Frames, step: int, first: int, placed: Mapping[str, np.ndarray]) -> None:
        """After a step forward, warn of what went wrong in it, or in setters before it, without a failure.

        Args:
            frames: Of the step.
            step: Its number.
            first: Number of the first environment.
            placed: By solver (n,) bool, of which environments of the frames something of it has been set since the
                step before.
        """
        if not placed and (self._sinking is None or step % EVERY):
            return
        envs = np.any([*placed.values()], axis=0).nonzero()[0].tolist() if placed else []
        for solver in self.matter:
            points = solver.points(frames)
            if solver.name in self._doubling and solver.name in placed:
                self._doubling[solver.name].look(points, placed[solver.name].nonzero()[0], step, first)
            if self._sinking is not None:
                body_of = partial(solver.body_of, solver.state[0].name)
                self._sinking.look(frames.exchange.rows("poses")[-1], points, body_of, step, first, envs)

    # Within.

    def _bounds(self, frames: Frames) -> list[torch.Tensor]:
        """Of each kind of matter (n, 2, 3): lower and upper corner of where it is."""
        points = [solver.points(frames) for solver in self.matter]
        ends = [(x.nan_to_num(nan=math.inf).amin(1), x.nan_to_num(nan=-math.inf).amax(1)) for x in points]
        return [torch.stack(end, 1) for end in ends]

    def _intervals(self, begin: int, end: int) -> list[tuple[int, int]]:
        return [(s, s + 1) for s in range(begin, end)] if self._alternating else [(begin, end)]

    @staticmethod
    def _every(solver: Solver) -> int:
        return solver.every if isinstance(solver, Bodies) else 1

    def _exchange(self, frames: Frames, begin: int, end: int) -> None:
        """Matter over these substeps, of which there is but one where bodies yield."""
        if not self._yielding:
            for solver in self.matter:
                solver.substep(frames, begin, end)
            return
        for solver in self.matter:
            solver.offer(frames, begin)
        for body in self._yielding:
            body.give_way(frames, begin)
        for solver in self.matter:
            solver.finish(frames, begin)

    def _exchange_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        if not self._yielding:
            for solver in reversed(self.matter):
                solver.substep_adjoint(frames, begin, end)
            return
        for solver in reversed(self.matter):
            solver.finish_adjoint(frames, begin)
        for body in reversed(self._yielding):
            body.give_way_adjoint(frames, begin)
        for solver in reversed(self.matter):
            solver.offer_adjoint(frames, begin)

    def _advance(self, frames: Frames, begin: int, end: int) -> None:
        """Bodies over the substeps of their own that end in these."""
        for body in self.bodies:
            if begin // body.every < end // body.every:
                body.substep(frames, begin // body.every, end // body.every)

    def _advance_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        for body in reversed(self.bodies):
            if begin // body.every < end // body.every:
                body.substep_adjoint(frames, begin // body.every, end // body.every)
