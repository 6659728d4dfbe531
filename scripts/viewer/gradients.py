"""Gradients of the return along a recorded rollout: where a small push would help, at every frame.

The loss is L = -(r_t + ... + r_{T-1}), the negative return from frame t on, with the recorded actions held fixed.
Arrows show -dL/dx, the direction in which the return grows, through every step of the simulator:

- of particles and tools x is the position at frame t (return per m),
- of links it is a force at the centre of mass that acts during step t (return per N), because the places of links are
  not free: joints tie them together.

Frames are worked through in windows of H steps from a saved state; a window goes on for H more steps, so that frame t
sees between H and 2 H rewards, or fewer at the end of the recording or of its episode.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

import genesis as gs
from genesis.grad.tensor import plain_of
from scripts.viewer.recording import Recording


class Gradients:
    """Gradients at the frames of a recording, by window, when they are asked for."""

    def __init__(self, recording: Recording) -> None:
        """Args: recording: its environment must be differentiable."""
        self._recording = recording
        self._windows: dict[int, np.ndarray] = {}

    def ready(self, frame: int) -> bool:
        """Whether `at` has its answer without work."""
        return min(frame, len(self._recording.frames) - 2) // self._recording.window in self._windows

    def at(self, frame: int) -> np.ndarray | None:
        """(B, A, 3) at the anchors of a frame; None where the recording does not reach far enough beyond it yet."""
        recording = self._recording
        number, place = divmod(min(frame, len(recording.frames) - 2), recording.window)
        if number < 0:
            return None
        end = (number + 2) * recording.window
        if number not in self._windows:
            if len(recording.actions) < end and not recording.complete:
                return None
            self._windows[number] = self._work_through(number * recording.window, min(end, len(recording.actions)))
        return self._windows[number][place]

    def _work_through(self, begin: int, end: int) -> np.ndarray:
        """(frames, B, A, 3) of one window, from the recorded state at `begin`, with rewards up to `end`."""
        recording = self._recording
        env, present = recording.env, recording.env.state_dict()
        try:
            env.load_state_dict(recording.states[begin // recording.window])
            with torch.enable_grad():
                gradients = self._differentiate(recording.actions[begin:end])
        finally:
            env.load_state_dict(present)
        return gradients[: recording.window]

    def _differentiate(self, actions: list[torch.Tensor]) -> np.ndarray:
        env, visible = self._recording.env, self._recording.visible
        places, total = [], torch.zeros(env.num_envs, dtype=env.dtype, device=env.device)
        for action in actions:
            shifts = _shifted(env.scene)
            with _pushed(env, visible.robots) as pushes:
                _, reward, *_ = env.step(gs.from_torch(action))
            places.append([*pushes, *shifts])
            total = total + reward.as_subclass(torch.Tensor)
        flat = [x for step in places for x in step]
        if total.requires_grad:
            found = torch.autograd.grad(total.sum(), flat, allow_unused=True)
        else:
            found = (None,) * len(flat)
        each = len(places[0])
        zero = [torch.zeros_like(x) if g is None else g for x, g in zip(flat, found, strict=True)]
        return np.stack([self._at_anchors(zero[i : i + each]) for i in range(0, len(zero), each)])

    def _at_anchors(self, gradients: list[torch.Tensor]) -> np.ndarray:
        """(B, A, 3) in the order of `Frame.anchors`, from those of robots, tools and particles of one step."""
        visible, rest = self._recording.visible, [plain_of(g) for g in gradients]
        parts = [rest.pop(0)[:, links] for links in visible.links]
        if visible.tools:
            tools = rest.pop(0)
            parts.append(tools[:, [visible.tools.index(tool) for tool in visible.pushers]])
        if visible.stage.particles:
            parts.append(rest.pop(0)[:, visible.solver_order()[visible.chosen]])
        whole = torch.cat(parts, 1).cpu().double().numpy()
        return np.where(np.isfinite(whole).all(2, keepdims=True), whole, 0.0)


def _shifted(scene: Any) -> list[torch.Tensor]:
    """Adds zero to the present positions of tools (B, T, 3) and of particles (B, N, 3); returns those zeros.

    What was read of the state before, as the last reward was, does not depend on them.
    """
    state = scene.get_state()
    shifts = []
    for name in ("tool", "mpm"):
        part = getattr(state, name)
        if part is not None:
            shifts.append(torch.zeros_like(plain_of(part.pos.detach())).requires_grad_())
            state = state.having(name, dataclasses.replace(part, pos=part.pos + shifts[-1]))
    if shifts:
        scene.reset(state=state)
    return shifts


@contextmanager
def _pushed(env: Any, robots: list[Any]) -> Iterator[list[torch.Tensor]]:
    """Adds, to whatever the task does with an action, a force of zero (B, L, 3) on the links of each robot."""
    pushes: list[torch.Tensor] = []
    if not robots:
        yield pushes
        return
    task = env.apply_action

    def apply_action(action: torch.Tensor) -> None:
        for robot in robots:  # those of the step before are held otherwise
            robot.set_links_wrench(force=(0.0, 0.0, 0.0), torque=(0.0, 0.0, 0.0))
        task(action)
        begin = 0
        for robot in robots:
            rows = slice(begin, begin + robot.n_links)
            force = plain_of(env.scene.get_state().rigid.wrench)[:, rows, :3]
            pushes.append(torch.zeros_like(force).requires_grad_())
            robot.set_links_wrench(force=force + pushes[-1])
            begin = rows.stop

    env.apply_action = apply_action
    try:
        yield pushes
    finally:
        del env.apply_action
