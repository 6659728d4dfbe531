"""Gymnasium's Ant-v5: a torso on four legs with two joints each runs forwards."""

from collections.abc import Mapping

import numpy as np
import torch
from gymnasium.spaces import Box

from envs.mujoco.base import MujocoTask, Reward, mujoco_single_env
from envs.streams import Draw


class AntV5(MujocoTask):
    """Run along +x.

    Action (8,): torques in units of 150 N m, in [-1, 1].
    Observation (27,): height of the torso (m), its quaternion (wxyz), the joints' angles (8, rad), velocity (m/s, world
    frame) and angular velocity (rad/s, the torso's frame), the joints' velocities (8, rad/s). With
    `exclude_current_positions_from_observation=False` the torso's x and y (m) come first: (29,).
    Reward, per step: velocity along +x (m/s), 1 while the torso's height is in [0.2, 1] m, -0.5 times the squared
    length of the action. Gymnasium's has a cost of contact forces beside them, at most 0.039 a step, and 78 clipped
    contact forces behind the observation.
    Start: the file's pose, every number of qpos within +-0.1, velocities normal with deviation 0.1. Terminated when the
    height is out of its range, or anything not finite.
    `info`: `x_position`, `y_position`, `distance_from_origin` (m), `x_velocity`, `y_velocity` (m/s), and the terms of
    the reward, `reward_forward`, `reward_survive`, `reward_ctrl`.

    Source: Schulman et al. (2015), in the form of Gymnasium 1.x, `gymnasium.make("Ant-v5")`.
    """

    FILE, TIMESTEP, GYMNASIUM = "ant.xml", 0.01, "Ant-v5"
    DEFAULTS = {
        "frame_skip": 5,
        "forward_reward_weight": 1.0,
        "ctrl_cost_weight": 0.5,
        "contact_cost_weight": 0.0,
        "healthy_reward": 1.0,
        "terminate_when_unhealthy": True,
        "healthy_z_range": (0.2, 1.0),
        "reset_noise_scale": 0.1,
        "exclude_current_positions_from_observation": True,
        "include_cfrc_ext_in_observation": False,
    }
    single_observation_space = Box(-np.inf, np.inf, (27,), np.float32)
    single_action_space = Box(-1.0, 1.0, (8,), np.float32)

    def observation_size(self) -> int:
        """27 or 29."""
        return 29 - self._left_out

    def sample_initial_state(self, draw: Draw, envs_idx: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """The file's pose, disturbed."""
        noise = self.options["reset_noise_scale"]
        qpos = self.rest + self.tensor(draw.uniform(-noise, noise, (len(self.rest),)))
        return self.start_at(qpos, self.tensor(draw.normal(noise, (self.robot.n_dofs,))), envs_idx)

    def observe(self) -> torch.Tensor:
        """See the class."""
        return torch.cat([self.observed_qpos()[:, self._left_out :], self.dofs_vel()], dim=1)

    def reward_terms(self) -> Reward:
        """See the class."""
        return {
            "reward_forward": self.options["forward_reward_weight"] * self.velocity_over_step()[:, 0],
            "reward_survive": self.survival(),
            "reward_ctrl": -self.options["ctrl_cost_weight"] * self.effort(),
        }

    def is_healthy(self) -> torch.Tensor:
        """Whether the torso's height is in its range; a state that is not finite never gets here."""
        low, high = self.options["healthy_z_range"]
        height = self.qpos()[:, 2].detach()
        return (height >= low) & (height <= high)

    def measure(self) -> Mapping[str, torch.Tensor]:
        """See the class."""
        (x, y), velocity = self.qpos()[:, :2].detach().unbind(dim=1), self.velocity_over_step().detach()
        place = {"x_position": x, "y_position": y, "distance_from_origin": torch.hypot(x, y)}
        return {**place, "x_velocity": velocity[:, 0], "y_velocity": velocity[:, 1], **super().measure()}

    @property
    def _left_out(self) -> int:
        """Numbers of qpos before those that are observed."""
        return 2 if self.options["exclude_current_positions_from_observation"] else 0


AntV5Env = mujoco_single_env(AntV5)
