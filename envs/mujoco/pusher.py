"""Gymnasium's Pusher-v5: an arm of seven joints pushes a cylinder on a table to a goal."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

import genesis as gs
from envs.mujoco.base import MujocoTask, Terms, mujoco_single_env
from envs.step_cache import cached_per_step
from envs.streams import Draw


class PusherV5(MujocoTask):
    """Push the object to the goal.

    Action (7,): torques of the joints, N m, in [-2, 2].
    Observation (23,): the joints' angles (7, rad) and velocities (7, rad/s), places of the arm's tip, the object and
    the goal (3 each, m).
    Reward, per step: minus the distance from object to goal (m), minus half of that from object to tip, minus 0.1 times
    the squared length of the action.
    Start: the model's pose, velocities of the joints within +-5e-3; the goal at its place, the object anywhere in
    [-0.3, 0] m along y and [-0.2, 0.2] m along x from there that is at least 0.17 m away. It never ends by itself.
    `info`: `reward_dist`, `reward_ctrl`, `reward_near`.

    Source: Gymnasium 1.x, `gymnasium.make("Pusher-v5")`.
    """

    ROBOT, TIMESTEP, GYMNASIUM = "gymnasium/pusher", 0.01, "Pusher-v5"
    GRAVITY = (0.0, 0.0, 0.0)
    EVALUATED = True
    VELOCITY_NOISE = 0.005  # rad/s
    NEAREST = 0.17  # m from the goal, at the start
    DEFAULTS = {"frame_skip": 5, "reward_near_weight": 0.5, "reward_dist_weight": 1.0, "reward_control_weight": 0.1}
    single_action_space = Box(-2.0, 2.0, (7,), np.float32)

    @classmethod
    def observation_size(cls, options: Mapping[str, Any]) -> int:
        """23."""
        return 23

    def add_camera(self) -> gs.Camera:
        """The arm from above its far side, and the table in front of it."""
        return self.scene.add_camera(res=self.render_size, pos=(2.6, -2.2, 1.7), lookat=(0.3, -0.35, -0.15))

    def sample_initial_state(self, draw: Draw, envs_idx: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """See the class."""
        velocity = self.tensor(draw.uniform(-self.VELOCITY_NOISE, self.VELOCITY_NOISE, (7,)))
        tries = draw.uniform(0.0, 1.0, (TRIES, 2)) * (0.3, 0.4) - (0.3, 0.2)
        far = np.linalg.norm(tries, axis=2) > self.NEAREST
        chosen = tries[np.arange(len(tries)), far.argmax(axis=1)]
        qpos = self.rest.expand(len(envs_idx), -1).clone()
        qpos[:, 7:9], qpos[:, 9:] = self.tensor(chosen), 0.0
        return self.start_at(qpos, torch.cat([velocity, velocity.new_zeros(len(velocity), 4)], dim=1), envs_idx)

    @cached_per_step
    def places(self) -> tuple[torch.Tensor, ...]:
        """Of the arm's tip, the object and the goal, (B, 3) each, m."""
        return tuple(self.last().position(name) for name in ("tips_arm", "object", "goal"))

    def observe(self) -> torch.Tensor:
        """See the class."""
        return torch.cat([self.qpos()[:, :7], self.dofs_vel()[:, :7], *self.places()], dim=1)

    def reward_terms(self) -> Terms:
        """See the class."""
        tip, thing, goal = self.places()
        return {
            "reward_dist": -self.options["reward_dist_weight"] * (thing - goal).norm(dim=1),
            "reward_ctrl": -self.options["reward_control_weight"] * self.effort(),
            "reward_near": -self.options["reward_near_weight"] * (thing - tip).norm(dim=1),
        }


TRIES = 40
"""Places of which the first that is far enough is taken: none of them is with a probability of 1e-16."""
PusherV5Env = mujoco_single_env(PusherV5)
