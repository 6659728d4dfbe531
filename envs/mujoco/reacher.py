"""Gymnasium's Reacher-v5: an arm of two links reaches for a target in a plane."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

from envs.mujoco.base import MujocoTask, Terms, mujoco_single_env
from envs.step_cache import cached_per_step
from envs.streams import Draw


class ReacherV5(MujocoTask):
    """Bring the fingertip to the target.

    Action (2,): torques of both joints in units of 200 N m, in [-1, 1].
    Observation (10,): cosines and sines of both angles, x and y of the target (m), the angles' velocities (rad/s), and
    the fingertip's place from the target (m) along x and y.
    Reward, per step: minus the distance from fingertip to target (m), minus the squared length of the action.
    Start: angles within +-0.1, their velocities within +-5e-3; the target anywhere within 0.2 m of the arm's base. It
    never ends by itself.
    `info`: `reward_dist`, `reward_ctrl`.

    Source: Gymnasium 1.x, `gymnasium.make("Reacher-v5")`.
    """

    ROBOT, TIMESTEP, GYMNASIUM = "gymnasium/reacher", 0.01, "Reacher-v5"
    EVALUATED = True
    VIEW, VIEW_HEIGHT, FLOOR = (0.0, -0.4, 0.9), 0.0, 0.0
    NOISE, VELOCITY_NOISE, REACH = 0.1, 0.005, 0.2  # rad, rad/s, m
    DEFAULTS = {"frame_skip": 2, "reward_dist_weight": 1.0, "reward_control_weight": 1.0}
    single_action_space = Box(-1.0, 1.0, (2,), np.float32)

    @classmethod
    def observation_size(cls, options: Mapping[str, Any]) -> int:
        """10."""
        return 10

    def sample_initial_state(self, draw: Draw, envs_idx: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """See the class."""
        angles = self.tensor(draw.uniform(-self.NOISE, self.NOISE, (2,)))
        velocity = self.tensor(draw.uniform(-self.VELOCITY_NOISE, self.VELOCITY_NOISE, (2,)))
        # A point of a disc, evenly: the square of its radius is even.
        radius = self.REACH * self.tensor(draw.uniform(0.0, 1.0, (1,))).sqrt()
        turn = self.tensor(draw.uniform(-np.pi, np.pi, (1,)))
        qpos = torch.cat([angles, radius * torch.cos(turn), radius * torch.sin(turn)], dim=1)
        return self.start_at(qpos, torch.cat([velocity, torch.zeros_like(velocity)], dim=1), envs_idx)

    @cached_per_step
    def from_target(self) -> torch.Tensor:
        """(B, 3) place of the fingertip from the target, m."""
        return self.last().position("fingertip") - self.last().position("target")

    def observe(self) -> torch.Tensor:
        """See the class."""
        angles, target = self.qpos().split(2, dim=1)
        place = self.from_target()[:, :2]
        return torch.cat([torch.cos(angles), torch.sin(angles), target, self.dofs_vel()[:, :2], place], dim=1)

    def reward_terms(self) -> Terms:
        """See the class."""
        return {
            "reward_dist": -self.options["reward_dist_weight"] * self.from_target().norm(dim=1),
            "reward_ctrl": -self.options["reward_control_weight"] * self.effort(),
        }


ReacherV5Env = mujoco_single_env(ReacherV5)
