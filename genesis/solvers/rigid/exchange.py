"""What the rigid solver and matter exchange: poses of links' shapes, and what matter does to links in return."""

import torch

from genesis.solvers.base import Bodies, Frames
from genesis.solvers.rigid import blocks
from genesis.solvers.rigid.frames import RigidFrames
from genesis.solvers.rigid.publish import Publisher
from genesis.solvers.rigid.reaction import Reaction
from genesis.solvers.rigid.readout import Readout
from genesis.solvers.rigid.yielding import Yielding


class Exchanging(Bodies):
    """Abstract: the part of `RigidSolver` that is about matter."""

    substeps: int
    _publisher: Publisher
    _reaction: Reaction | None
    """None where no link feels matter."""
    _yields: Yielding | None
    """None where none yields to it within a substep."""
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

    def _links(self, frames: Frames, frame: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """State and links' state of one of its own frames, before which nothing later has been done."""
        mine: RigidFrames = frames.of[self.name]
        if frame not in mine.links:
            if frame == 0:
                state = [mine.launch.arrays["q_in"], mine.launch.arrays["qd_in"]]
            else:
                state = [self._read(frames, "q", frame), self._read(frames, "qd", frame)]
            state += self._poses(frames)
            mine.links = {frame: (state, list(self._readout.forward(*state)))}
        return mine.links[frame]

    # Forward.

    def publish(self, frames: Frames, begin: int, end: int) -> None:
        for frame in self._publisher.frames(begin, end):
            _, links = self._links(frames, frame)
            self._publisher.write(frames.exchange, frame, links, self._read(frames, "model"))

    def substep(self, frames: Frames, begin: int, end: int) -> None:
        if self._reaction is None:
            self._advance(frames, begin, end)
            return
        mine: RigidFrames = frames.of[self.name]
        for frame in range(begin, end):
            links, felt = self._push(frames, self._reaction, frame)
            self._advance(frames, frame, frame + 1)
            mine.links = {}
            if self._yields is not None:
                _, after = self._links(frames, frame + 1)
                mine.free[frame + 1] = self._yields.others(links, after, felt)
                if frames.n_frames == 2:  # nothing is there where substeps run again to find what failed
                    mine.free.pop(frame, None)

    def give_way(self, frames: Frames, substep: int) -> None:
        assert self._yields is not None
        _, links = self._links(frames, substep)
        self._yields.give_way(frames.exchange, substep, links, frames.of[self.name].free[substep])

    def _push(
        self, frames: Frames, reaction: Reaction, frame: int
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """What matter did to links comes to the wrenches that were asked for. Links' state at the frame, and what they
        feel of matter."""
        mine: RigidFrames = frames.of[self.name]
        _, links = self._links(frames, frame)
        felt = reaction.wrench(frames.exchange, frame, links)
        if felt is not None or mine.pushed:
            total = mine.asked if felt is None else mine.asked + felt.flatten(1)
            blocks.write(self._rows(frames, "wrench"), total)
        mine.pushed = felt is not None
        return links, felt

    # Backward.

    def substep_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        if self._reaction is None:
            self._advance_adjoint(frames, begin, end)
            return
        mine: RigidFrames = frames.of[self.name]
        healthy = self.failures(frames) == 0
        for frame in reversed(range(begin, end)):
            mine.links = {}
            links, _ = self._push(frames, self._reaction, frame)
            rows = self._rows(frames, "gwrench")
            rows.zero_()
            self._advance_adjoint(frames, frame, frame + 1)
            part = self._read(frames, "gwrench")
            mine.gwrench = part if frame == self.substeps - 1 else mine.gwrench + part
            gwrench = part.unflatten(1, (-1, 6))
            if self._yields is None:
                mine.glinks = list(self._reaction.adjoint(frames.exchange, frame, links, gwrench, healthy))
            else:  # what they felt, and how they moved, is also in what else moved them
                before, gfelt = mine.gbefore
                gpos, gquat = self._reaction.adjoint(frames.exchange, frame, links, gwrench + gfelt, healthy)
                mine.glinks = [gpos, gquat + before[0], *before[1:]]
            if frame == 0:
                blocks.write(rows, mine.gwrench)

    def give_way_adjoint(self, frames: Frames, substep: int) -> None:
        assert self._yields is not None
        mine: RigidFrames = frames.of[self.name]
        healthy = self.failures(frames) == 0
        _, links = self._links(frames, substep)
        gpos, gquat, gfree = self._yields.give_way_adjoint(
            frames.exchange, substep, links, mine.free[substep], healthy
        )
        mine.glinks[0] += gpos
        mine.glinks[1] += gquat
        mine.gfree = gfree
        self._publisher.write(frames.exchange, substep, links, self._read(frames, "model"))

    def _others_adjoint(self, frames: Frames, frame: int, gfree: torch.Tensor) -> list[torch.Tensor]:
        """Of what else moved links in the substep before a frame: cotangents of quat, vel and ang at it. Keeps what the
        substep's own adjoint takes."""
        assert self._yields is not None
        mine: RigidFrames = frames.of[self.name]
        _, after = self._links(frames, frame)
        _, before = self._links(frames, frame - 1)
        gbefore, gafter, gfelt = self._yields.others_adjoint(before, after, gfree, self.failures(frames) == 0)
        mine.gbefore = gbefore, gfelt
        return gafter

    def publish_adjoint(self, frames: Frames, begin: int, end: int) -> None:
        mine: RigidFrames = frames.of[self.name]
        healthy = self.failures(frames) == 0
        for frame in reversed(self._publisher.frames(begin, end)):
            state, links = self._links(frames, frame)
            glinks, gmodel = self._publisher.adjoint(
                frames.exchange, frame, links, self._read(frames, "model"), healthy
            )
            for g, part in zip(glinks, mine.glinks, strict=False):
                g += part
            if self._yields is not None and frame > 0:
                for g, part in zip(glinks[1:], self._others_adjoint(frames, frame, mine.gfree), strict=True):
                    g += part
            gstate = self._readout.adjoint(state, glinks)
            self._add(frames, "gmodel", gmodel)
            for gposes in gstate.values[2:]:
                self._add(frames, "gmocap", gposes.flatten(1))
            if self._yields is not None and frame == 0:
                mine.cotangents["free_change"] = mine.gfree
            if frame == 0:  # the step's own cotangents have been given out already
                for name, part in zip(("qpos", "dofs_vel"), gstate.values, strict=False):
                    mine.cotangents[name] += part
            else:
                self._add(frames, "gq", gstate.tangent[0])
                self._add(frames, "gqd", gstate.tangent[1])
