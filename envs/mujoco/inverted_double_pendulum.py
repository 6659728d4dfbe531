"""Gymnasium's InvertedDoublePendulum-v5: a cart keeps two poles upright, one on top of the other."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

from envs.mujoco.base import MujocoTask, Terms, mujoco_single_env
from envs.step_cache import cached_per_step


class InvertedDoublePendulumV5(MujocoTask):
    """Keep the poles upright.

    Action (1,): force on the cart in units of 500 N, in [-1, 1].
    Observation (9,): the cart's place (m), sines and cosines of both poles' angles, the velocities of cart and angles
    (m/s, rad/s), and the force of the cart's limits (N), which has no gradient; the last four clipped to +-10.
    Reward, per step: 10 while the tip is above 1 m, -0.01 x^2 - (z - 2)^2 of the tip's place (m), -1e-3 and -5e-3 times
    the squared velocities of the poles.
    Start: the model's pose, every coordinate within +-0.1, velocities normal with deviation 0.1. Terminated at 1 m.
    `info`: `reward_survive`, `distance_penalty`, `velocity_penalty`.

    Source: Gymnasium 1.x, `gymnasium.make("InvertedDoublePendulum-v5")`.
    """

    ROBOT, TIMESTEP, GYMNASIUM = "gymnasium/inverted_double_pendulum", 0.01, "InvertedDoublePendulum-v5"
    GRAVITY = (1e-5, 0.0, -9.81)
    EVALUATED, NORMAL_VELOCITIES = True, True
    LOWEST, TARGET = 1.0, 2.0  # m, of the tip
    FREE = 0.99  # m: on either side the slide's range, less its margin; within, the limits push with no force at all
    GREATEST = 10.0  # m/s, rad/s, N: what is observed of velocities and the limits' force
    DEFAULTS = {"frame_skip": 5, "healthy_reward": 10.0, "reset_noise_scale": 0.1}
    single_action_space = Box(-1.0, 1.0, (1,), np.float32)

    @classmethod
    def observation_size(cls, options: Mapping[str, Any]) -> int:
        """9."""
        return 9

    def observe(self) -> torch.Tensor:
        """See the class."""
        place, angles = self.qpos().split((1, 2), dim=1)
        clipped = torch.cat([self.dofs_vel(), self.limit_force()], dim=1).clamp(-self.GREATEST, self.GREATEST)
        return torch.cat([place, torch.sin(angles), torch.cos(angles), clipped], dim=1)

    def limit_force(self) -> torch.Tensor:
        """(B, 1) on the cart along x, N: what its slide transmits, less its motor's force and its damping.

        Exactly 0 where no limit pushes, and without gradient: clipped to 10 N it is a step; and what the motor's part
        of the difference has on the way back cancels only while nothing bounds the cotangents of the step.
        """
        cart, last = self.robot.model.link_names.index("cart"), self.last().detached()
        motor = self.strength * self.action.as_subclass(torch.Tensor).detach()
        damping = self.robot.get_dofs_damping().as_subclass(torch.Tensor).detach()[:, :1]
        force = last.joints[:, cart, :1] - motor + damping * last.dofs_vel[:, :1]
        pushed = (last.qpos[:, :1].abs() > self.FREE) & (self.elapsed > 0)[:, None]
        return torch.where(pushed, force, 0.0)

    @cached_per_step
    def tip(self) -> torch.Tensor:
        """(B, 3) place of the poles' end, m."""
        return self.last().position("tip")

    def reward_terms(self) -> Terms:
        """See the class."""
        x, _, z = self.tip().unbind(dim=1)
        _, first, second = self.dofs_vel().square().unbind(dim=1)
        return {
            "reward_survive": self.survival(),
            "distance_penalty": -(0.01 * x.square() + (z - self.TARGET).square()),
            "velocity_penalty": -(1e-3 * first + 5e-3 * second),
        }

    def health(self) -> torch.Tensor:
        """Of the tip's height."""
        return self.tip()[:, 2:] - self.LOWEST


InvertedDoublePendulumV5Env = mujoco_single_env(InvertedDoublePendulumV5)
