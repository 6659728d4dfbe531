"""A ball that matter pushes, in a few lines of torch: the least that a solver of bodies must do to take impulses."""

import torch

from genesis.contact.colliders import FORCE, POSITION, QUATERNION, VELOCITY, Collider
from genesis.contact.shapes import Shape
from genesis.solvers.base import Bodies, Field


class ToyBall(Bodies):
    """State pos (3,), vel (3,); no controls, parameters or outputs. Semi-implicit Euler; it does not turn."""

    name, moved_by = "toy", "vel"
    state = (Field("pos", (3,)), Field("vel", (3,)))
    controls = parameters = outputs = ()
    whole_steps = False
    n_colliders = 1

    def __init__(self, mass, radius, dt, substeps, every=1, first=0):
        self.mass, self.every, self.first = mass, every, first
        self.collider = Collider(Shape("sphere", (radius, 0.0, 0.0)), 0.01)
        self.dt = dt / substeps * every
        self.n_frames = substeps // every + 1

    def initial_values(self, n_envs):
        return [torch.zeros(n_envs, 3, dtype=torch.float64) for _ in range(2)]

    def frame_bytes(self, n_envs, n_frames):
        return 0

    def allocate(self, frames):
        frames.of[self.name] = {"state": [None] * self.n_frames, "gradient": None}

    def _exchanged(self, frames, name, frame):
        """Rows (every, …, envs, rows, 4) of its collider from a frame to the next."""
        return frames.exchange.rows(name)[frame * self.every : (frame + 1) * self.every, ..., self.first, :, :]

    def load(self, frames, values):
        frames.of[self.name]["state"][0] = [value.clone() for value in values]

    def publish(self, frames, begin, end):
        for s in range(begin, end):
            x, v = frames.of[self.name]["state"][s // self.every]
            row = frames.exchange.rows("poses")[s, : len(x), self.first]
            row.zero_()
            row[:, POSITION, :3] = x + (s % self.every) * self.dt / self.every * v
            row[:, QUATERNION, 0] = 1.0
            row[:, VELOCITY, :3] = v

    def substep(self, frames, begin, end):
        kept = frames.of[self.name]["state"]
        for s in range(begin, end):
            x, v = kept[s]
            v = v + self._exchanged(frames, "impulse", s).sum((0, 1))[: len(x), FORCE, :3] / self.mass
            kept[s + 1] = [x + self.dt * v, v]

    def store(self, frames):
        return [value.clone() for value in frames.of[self.name]["state"][-1]]

    def failures(self, frames):
        return None

    def load_adjoint(self, frames, cotangents):
        frames.of[self.name]["gradient"] = [c.clone() for c in cotangents]
        frames.exchange.rows("gimpulse")[..., self.first, :, :].zero_()

    def substep_adjoint(self, frames, begin, end):
        gx, gv = frames.of[self.name]["gradient"]
        for s in reversed(range(begin, end)):
            gv += self.dt * gx
            self._exchanged(frames, "gimpulse", s)[:, : len(gv), FORCE, :3] = gv / self.mass

    def publish_adjoint(self, frames, begin, end):
        gx, gv = frames.of[self.name]["gradient"]
        for s in range(begin, end):
            g = frames.exchange.rows("gposes")[s, :, : len(gx), self.first].sum(0)
            gx += g[:, POSITION, :3]
            gv += g[:, VELOCITY, :3] + (s % self.every) * self.dt / self.every * g[:, POSITION, :3]

    def store_adjoint(self, frames, needed):
        return [g.clone() for g in frames.of[self.name]["gradient"]]
