"""Gymnasium's Ant-v5: a torso on four legs with two joints each runs forwards."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

from envs.mujoco.base import MujocoTask, Terms, mujoco_single_env
from envs.step_cache import cached_per_step


class AntV5(MujocoTask):
    """Run along +x.

    Action (8,): torques in units of 150 N m, in [-1, 1].
    Observation (105,): height of the torso (m), its quaternion (wxyz), the joints' angles (8, rad), velocity (m/s,
    world frame) and angular velocity (rad/s, the torso's frame), the joints' velocities (8, rad/s), and of 13 bodies
    torque (N m) and force (N) of contacts (78), clipped to `contact_force_range`. With
    `exclude_current_positions_from_observation=False` the torso's x and y (m) come first, and
    `include_cfrc_ext_in_observation=False` leaves the contacts out. Contacts have no gradient, here and in the reward.
    Reward, per step: velocity along +x (m/s), 1 while the torso's height is in [0.2, 1] m, -0.5 times the squared
    length of the action, -5e-4 times the sum of the squared clipped torques and forces.
    Start: the model's pose, every number of qpos within +-0.1, velocities normal with deviation 0.1. Terminated when
    the height is out of its range, or anything not finite.
    `info`: `x_position`, `y_position`, `distance_from_origin` (m), `x_velocity`, `y_velocity` (m/s), and the terms of
    the reward, `reward_forward`, `reward_survive`, `reward_ctrl`, `reward_contact`.

    Source: Schulman et al. (2015), in the form of Gymnasium 1.x, `gymnasium.make("Ant-v5")`.
    """

    ROBOT, TIMESTEP, GYMNASIUM = "gymnasium/ant", 0.01, "Ant-v5"
    VIEW = (0.6, -4.6, 1.4)
    EVALUATED, NORMAL_VELOCITIES, ENDS_HEALTHY = True, True, True
    DEFAULTS = {
        "frame_skip": 5,
        "forward_reward_weight": 1.0,
        "ctrl_cost_weight": 0.5,
        "contact_cost_weight": 5e-4,
        "healthy_reward": 1.0,
        "terminate_when_unhealthy": True,
        "healthy_z_range": (0.2, 1.0),
        "contact_force_range": (-1.0, 1.0),
        "reset_noise_scale": 0.1,
        "exclude_current_positions_from_observation": True,
        "include_cfrc_ext_in_observation": True,
    }
    single_action_space = Box(-1.0, 1.0, (8,), np.float32)

    @classmethod
    def observation_size(cls, options: Mapping[str, Any]) -> int:
        """105 by default."""
        places = 2 * (not options["exclude_current_positions_from_observation"])
        return 27 + places + 78 * options["include_cfrc_ext_in_observation"]

    @cached_per_step
    def contact_forces(self) -> torch.Tensor:
        """(B, 78) clipped. Without gradient: they rise from -1 to 1 N within micrometres; no slope holds for longer."""
        return self.last().detached().contact_forces().flatten(1).clamp(*self.options["contact_force_range"])

    def observe(self) -> torch.Tensor:
        """See the class."""
        first = 2 * self.options["exclude_current_positions_from_observation"]
        parts = [self.observed_qpos()[:, first:], self.dofs_vel()]
        if self.options["include_cfrc_ext_in_observation"]:
            parts.append(self.contact_forces())
        return torch.cat(parts, dim=1)

    def reward_terms(self) -> Terms:
        """See the class."""
        contact = self.contact_forces().square().sum(dim=1)
        return {
            "reward_forward": self.options["forward_reward_weight"] * self.velocity_over_step()[:, 0],
            "reward_survive": self.survival(),
            "reward_ctrl": -self.control_cost(),
            "reward_contact": -self.options["contact_cost_weight"] * contact,
        }

    def health(self) -> torch.Tensor:
        """Of the torso's height; a state that is not finite never gets here."""
        return self.within(self.qpos()[:, 2:3], "healthy_z_range")

    def measure(self) -> Mapping[str, torch.Tensor]:
        """See the class."""
        return {**self.ground_place(), **self.ground_velocity(), **super().measure()}


AntV5Env = mujoco_single_env(AntV5)
