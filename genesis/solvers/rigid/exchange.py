"""What the rigid solver and matter exchange: poses of links' shapes, and what matter does to links in return."""

import torch

from genesis.solvers.base import Bodies, Frames
from genesis.solvers.rigid import blocks
from genesis.solvers.rigid.frames import RigidFrames
from genesis.solvers.rigid.publish import Publisher
from genesis.solvers.rigid.reaction import Reaction
from genesis.solvers.rigid.readout import Readout, unpacked


class Exchanging(Bodies):
    """Abstract: the part of `RigidSolver` that is about matter."""

    substeps: int
    _publisher: Publisher
    _reaction: Reaction | None
    """None where no link feels matter."""
    _readout: Readout

    def _advance(self, frames: Frames, begin: int, end: int) -> None:
        """Launch over substeps of its own."""
        raise NotImplementedError

    def _advance_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        raise NotImplementedError

    def _rows(self, frames: Frames, name: str, index: int = 0) -> torch.Tensor:
        """(blocks, lanes, numbers) view of an array, of frame `index` if it has frames."""
        raise NotImplementedError

    def _read(self, frames: Frames, name: str, index: int = 0) -> torch.Tensor:
        """A copy (active, numbers)."""
        return blocks.read(self._rows(frames, name, index), frames.of[self.name].active)

    def _add(self, frames: Frames, name: str, part: torch.Tensor) -> None:
        """Add (active, numbers) to an array of the adjoint."""
        rows = self._rows(frames, name)
        blocks.write(rows, blocks.read(rows, len(part)) + part)

    def _poses(self, frames: Frames) -> list[torch.Tensor]:
        """(active, M, 7) that mocap bodies have in this step, if there are any."""
        raise NotImplementedError

    def _links(self, frames: Frames, frame: int) -> tuple[list[torch.Tensor], torch.Tensor]:
        """State and links' state, packed, of one of its own frames, before which nothing later has been done."""
        mine: RigidFrames = frames.of[self.name]
        if frame not in mine.links:
            if frame == 0:
                state = [mine.launch.arrays["q_in"], mine.launch.arrays["qd_in"]]
            else:
                state = [self._read(frames, "q", frame), self._read(frames, "qd", frame)]
            state += self._poses(frames)
            mine.links = {frame: (state, self._readout.packed(*state))}
        return mine.links[frame]

    # Forward.

    def publish(self, frames: Frames, begin: int, end: int) -> None:
        for frame in self._publisher.frames(begin, end):
            _, links = self._links(frames, frame)
            self._publisher.write(frames.exchange, frame, unpacked(links), self._read(frames, "model"))

    def substep(self, frames: Frames, begin: int, end: int) -> None:
        if self._reaction is None:
            self._advance(frames, begin, end)
            return
        mine: RigidFrames = frames.of[self.name]
        for frame in range(begin, end):
            self._reaction.feel(mine.reaction, frame, self._links(frames, frame)[1], mine.asked)
            self._advance(frames, frame, frame + 1)
            mine.links = {}
            if self.yielding:
                self._links(frames, frame + 1)  # before later frames take its place

    def give_way(self, frames: Frames, substep: int) -> None:
        assert self._reaction is not None
        self._reaction.give_way(frames.of[self.name].reaction, substep, self._links(frames, substep)[1])

    # Backward.

    def substep_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        if self._reaction is None:
            self._advance_adjoint(frames, begin, end)
            return
        mine: RigidFrames = frames.of[self.name]
        for frame in reversed(range(begin, end)):
            mine.links = {}
            links = self._links(frames, frame)[1]
            self._reaction.feel(mine.reaction, frame, links, mine.asked)
            rows = self._rows(frames, "gwrench")
            rows.zero_()
            self._advance_adjoint(frames, frame, frame + 1)
            part = self._read(frames, "gwrench")
            mine.gwrench = part if frame == self.substeps - 1 else mine.gwrench + part
            self._reaction.feel_adjoint(mine.reaction, frame, links, part, mine.healthy)
            if frame == 0:
                blocks.write(rows, mine.gwrench)

    def give_way_adjoint(self, frames: Frames, substep: int) -> None:
        assert self._reaction is not None
        mine: RigidFrames = frames.of[self.name]
        self._reaction.give_way_adjoint(mine.reaction, substep, self._links(frames, substep)[1], mine.healthy)

    def publish_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        mine: RigidFrames = frames.of[self.name]
        healthy = self.failures(frames) == 0
        for frame in reversed(self._publisher.frames(begin, end)):
            state, links = self._links(frames, frame)
            glinks, gmodel = self._publisher.adjoint(
                frames.exchange, frame, unpacked(links), self._read(frames, "model"), healthy
            )
            if self._reaction is not None:
                for g, part in zip(glinks, self._reaction.cotangents(mine.reaction, len(healthy)), strict=True):
                    g += part
            gstate = self._readout.adjoint(state, glinks)
            self._add(frames, "gmodel", gmodel)
            for gposes in gstate.values[2:]:
                self._add(frames, "gmocap", gposes.flatten(1))
            if self._reaction is not None and self.yielding and frame == 0:
                mine.cotangents["free_change"] = self._reaction.free_cotangent(mine.reaction, len(healthy))
            if frame == 0:  # the step's own cotangents have been given out already
                for name, part in zip(("qpos", "dofs_vel"), gstate.values, strict=False):
                    mine.cotangents[name] += part
            else:
                self._add(frames, "gq", gstate.tangent[0])
                self._add(frames, "gqd", gstate.tangent[1])
