"""Gymnasium's Humanoid-v5 and HumanoidStandup-v5: a body with arms and legs walks, or gets up."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

from envs.mujoco.base import MujocoTask, Terms, mujoco_single_env
from envs.mujoco.derived import State
from envs.step_cache import cached_per_step

INCLUDED = {"cinert": 130, "cvel": 78, "qfrc_actuator": 17, "cfrc_ext": 78}
"""What MuJoCo derives, and how many numbers of it are observed."""
TENDONS = (("left_hip_y", "left_knee"), ("right_hip_y", "right_knee"))
"""Joints whose angles are subtracted from the next's: lengths of tendons that exert nothing."""


class HumanoidTask(MujocoTask):
    """Abstract: what both tasks observe.

    Action (17,): torques in units of the joints' strengths (25 to 300 N m), in [-0.4, 0.4].
    Observation (348,): height of the torso (m), its quaternion (wxyz), the joints' angles (17, rad), velocity (m/s,
    world frame) and angular velocity (rad/s, the torso's frame), the joints' velocities (17, rad/s); of 13 bodies,
    about the centre of mass of all, inertia, mass times arm and mass (130), angular and linear velocity (78); the
    actuators' torques (17, N m); of 13 bodies torque and force of contacts (78, N m, N). Keywords leave parts out, or
    put the torso's x and y (m) first. Contacts have no gradient, here and in the reward.
    """

    TIMESTEP, EVALUATED = 0.003, True
    single_action_space = Box(-0.4, 0.4, (17,), np.float32)

    @classmethod
    def observation_size(cls, options: Mapping[str, Any]) -> int:
        """348 by default."""
        included = sum(n * options[f"include_{name}_in_observation"] for name, n in INCLUDED.items())
        return 47 - 2 * options["exclude_current_positions_from_observation"] + included

    def observe(self) -> torch.Tensor:
        """See the class."""
        last = self.last()
        derived = {
            "cinert": last.inertias,
            "cvel": last.velocities,
            "qfrc_actuator": self.actuator_torques,
            "cfrc_ext": self.contact_forces,
        }
        first = 2 * self.options["exclude_current_positions_from_observation"]
        parts = [self.observed_qpos()[:, first:], self.dofs_vel()]
        parts += [get().flatten(1) for name, get in derived.items() if self.options[f"include_{name}_in_observation"]]
        return torch.cat(parts, dim=1)

    @cached_per_step
    def contact_forces(self) -> torch.Tensor:
        """(B, N, 6). Without gradient: they rise within micrometres, as those of Ant do."""
        return self.last().contact_forces().detach()

    def actuator_torques(self) -> torch.Tensor:
        """(B, 17) by joint, N m."""
        dofs = torch.tensor([motor.dof - 6 for motor in self.robot.actuators], device=self.device)
        torque = self.strength * self.action.as_subclass(torch.Tensor)
        return torch.zeros_like(torque).index_copy(1, dofs, torque)

    def contact_cost(self, name: str) -> torch.Tensor:
        """(B,) of all forces of contacts, by the keywords `name`_cost_weight and `name`_cost_range."""
        square = self.contact_forces().square().sum(dim=(1, 2))
        return (self.options[f"{name}_cost_weight"] * square).clamp(*self.options[f"{name}_cost_range"])

    def tendons(self) -> Mapping[str, torch.Tensor]:
        """Lengths (B, 2), rad, and velocities (B, 2), rad/s."""
        joints, last = {joint.name: joint for joint in self.robot.model.joints}, self.last()
        lengths = [last.qpos[:, joints[b].q] - last.qpos[:, joints[a].q] for a, b in TENDONS]
        rates = [last.dofs_vel[:, joints[b].dof] - last.dofs_vel[:, joints[a].dof] for a, b in TENDONS]
        pairs = {"tendon_length": lengths, "tendon_velocity": rates}
        return {name: torch.stack(values, dim=1).detach() for name, values in pairs.items()}


class HumanoidV5(HumanoidTask):
    """Walk along +x.

    Actions and observations: `HumanoidTask`.
    Reward, per step: 1.25 times the velocity of the centre of mass along +x (m/s), 5 while the torso's height is in
    (1, 2) m, -0.1 times the squared length of the action, -5e-7 times the sum of the squared torques and forces of
    contacts, at least -10.
    Start: the model's pose, every number of qpos and every velocity within +-0.01. Terminated when the height is out of
    its range.
    `info`: `x_position`, `y_position`, `distance_from_origin` (m), `x_velocity`, `y_velocity` (m/s), `tendon_length`
    (rad), `tendon_velocity` (rad/s), and the terms `reward_survive`, `reward_forward`, `reward_ctrl`, `reward_contact`.

    Source: Tassa et al. (2012), in the form of Gymnasium 1.x, `gymnasium.make("Humanoid-v5")`.
    """

    ROBOT, GYMNASIUM = "gymnasium/humanoid", "Humanoid-v5"
    VIEW, VIEW_HEIGHT = (0.7, -4.6, 1.2), 0.85
    DEFAULTS = {
        "frame_skip": 5,
        "forward_reward_weight": 1.25,
        "ctrl_cost_weight": 0.1,
        "contact_cost_weight": 5e-7,
        "contact_cost_range": (-np.inf, 10.0),
        "healthy_reward": 5.0,
        "terminate_when_unhealthy": True,
        "healthy_z_range": (1.0, 2.0),
        "reset_noise_scale": 1e-2,
        "exclude_current_positions_from_observation": True,
        **{f"include_{name}_in_observation": True for name in INCLUDED},
    }

    def tracked(self, state: State) -> torch.Tensor:
        """x and y of the centre of mass."""
        return state.centre_of_mass()[:, :2]

    def reward_terms(self) -> Terms:
        """See the class."""
        return {
            "reward_survive": self.survival(),
            "reward_forward": self.options["forward_reward_weight"] * self.velocity_over_step()[:, 0],
            "reward_ctrl": -self.control_cost(),
            "reward_contact": -self.contact_cost("contact"),
        }

    def health(self) -> torch.Tensor:
        """Of the torso's height."""
        return self.within(self.qpos()[:, 2:3], "healthy_z_range")

    def measure(self) -> Mapping[str, torch.Tensor]:
        """See the class."""
        return {**self.ground_place(), **self.ground_velocity(), **self.tendons(), **super().measure()}


class HumanoidStandupV5(HumanoidTask):
    """Get up from the ground.

    Actions and observations: `HumanoidTask`.
    Reward, per step: 1, the torso's height over the model's timestep (m/s), -0.1 times the squared length of the
    action, -5e-7 times the sum of the squared torques and forces of contacts, at least -10.
    Start: lying, every number of qpos and every velocity within +-0.01. It never ends by itself.
    `info`: `x_position`, `y_position`, `z_distance_from_origin` (m), `tendon_length` (rad), `tendon_velocity` (rad/s),
    and `reward_linup`, `reward_quadctrl`, `reward_impact`.

    Source: Tassa et al. (2012), in the form of Gymnasium 1.x, `gymnasium.make("HumanoidStandup-v5")`.
    """

    ROBOT, GYMNASIUM = "gymnasium/humanoid_standup", "HumanoidStandup-v5"
    VIEW, VIEW_HEIGHT = (0.7, -4.6, 1.2), 0.6
    DEFAULTS = {
        "frame_skip": 5,
        "uph_cost_weight": 1.0,
        "ctrl_cost_weight": 0.1,
        "impact_cost_weight": 0.5e-6,
        "impact_cost_range": (-np.inf, 10.0),
        "reset_noise_scale": 1e-2,
        "exclude_current_positions_from_observation": True,
        **{f"include_{name}_in_observation": True for name in INCLUDED},
    }

    def reward_terms(self) -> Terms:
        """See the class."""
        return {
            "reward_linup": self.qpos()[:, 2] / self.TIMESTEP,
            "reward_quadctrl": -self.control_cost(),
            "reward_impact": -self.contact_cost("impact"),
        }

    def reward(self) -> torch.Tensor:
        """The terms, and 1."""
        return super().reward() + 1.0

    def measure(self) -> Mapping[str, torch.Tensor]:
        """See the class."""
        place = self.ground_place()
        place.pop("distance_from_origin")
        return {**place, **self.rise(2), **self.tendons(), **super().measure()}


HumanoidV5Env = mujoco_single_env(HumanoidV5)
HumanoidStandupV5Env = mujoco_single_env(HumanoidStandupV5)
