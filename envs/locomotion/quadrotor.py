"""Quadrotor: four rotors fly a body to a point and hold it there."""

from collections.abc import Mapping

import numpy as np
import torch
from gymnasium.spaces import Box

import genesis as gs
from envs.locomotion.base import RobotTask, robot_single_env
from envs.locomotion.sensors import random_turn, rotated, rotation_matrix, upright
from envs.step_cache import cached_per_step
from envs.streams import Draw


class Quadrotor(RobotTask):
    """Fly to a waypoint and hover there.

    Action (4,): thrusts of the rotors (front left, rear left, rear right, front right), in [-1, 1]: from half to one
    and a half of what each carries at rest, so 0 hovers. Thrusts act along the body's z axis, without lag; each rotor
    turns the body about z against its own spin, neighbours spinning in opposite senses.
    Observation (18,): the waypoint from the body (m) and its velocity (m/s), world frame; the body's rotation matrix,
    row by row; its angular velocity in its own frame (rad/s).
    Reward, per step: 1 - distance / 3 m (rounded off at 5 cm), minus 0.01 times each of squared velocity and
    squared action, 0.002 times squared angular velocity, and 0.1 times 1 - the cosine of the tilt.
    Start: 1 m up, turned by up to 30 degrees about a random axis, velocity and angular velocity within +-0.5 along
    each axis; the waypoint is uniform within +-1 m of the body along each axis. Terminated farther than 3 m from it.
    `info`: `distance` (m), `upright` (cosine of the tilt), `success` (below 0.1 m).
    """

    SUBSTEPS = 4
    ROBOT = "quadrotor"
    GRAVITY = 9.81  # m/s^2

    AUTHORITY = 0.5  # change of thrust at action 1, in parts of the thrust at rest
    ROTORS = ((0.12, 0.12), (-0.12, 0.12), (-0.12, -0.12), (0.12, -0.12))  # m, body's x and y
    SPIN = (0.016, -0.016, 0.016, -0.016)  # torque about z per thrust, m

    START_TURN = np.pi / 6  # rad
    START_VELOCITY_NOISE = 0.5  # half-width, m/s, rad/s
    WAYPOINT = 1.0  # half-width, m
    FAR = 3.0  # m from the waypoint: beyond it the episode ends
    SMOOTH = 0.05  # m, where the distance is rounded off
    VELOCITY_WEIGHT, SPIN_WEIGHT, ACTION_WEIGHT, TILT_WEIGHT = 0.01, 0.002, 0.01, 0.1
    SUCCESS_DISTANCE = 0.1  # m

    FLOOR = -3.5  # m; episodes end above it
    VIEW = (0.9, -3.0, 0.8)

    single_observation_space = Box(-np.inf, np.inf, (18,), np.float32)
    single_action_space = Box(-1.0, 1.0, (4,), np.float32)

    def sample_initial_state(self, draw: Draw, envs_idx: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Nearly hovering; the episode's `waypoint` (n, 3), m, world frame."""
        turn = random_turn(draw, self.START_TURN, self.rest)
        velocity = draw.uniform(-self.START_VELOCITY_NOISE, self.START_VELOCITY_NOISE, (6,))
        pos = self.rest[:3].expand(len(turn), 3)
        self.place(torch.cat([pos, turn], dim=1), self.tensor(velocity), envs_idx)
        return {"waypoint": pos + self.tensor(draw.uniform(-self.WAYPOINT, self.WAYPOINT, (3,)))}

    def add_camera(self) -> gs.Camera:
        """Along with the body, which stays in the middle; the waypoint is mostly in the picture, too."""
        camera = self.scene.add_camera(res=self.render_size, pos=self.VIEW, lookat=(0.0, 0.0, 0.0), fov=38.0)
        camera.follow_entity(self.robot)
        return camera

    def draw_marks(self) -> None:
        """The waypoint."""
        self.scene.draw_debug_sphere(self.episode["waypoint"], self.SUCCESS_DISTANCE / 2, "green")

    def apply_action(self, action: torch.Tensor) -> None:
        """Force and torque of the four thrusts."""
        thrust = self.strength * (1.0 + self.AUTHORITY * action)
        x, y = self.tensor(self.ROTORS).unbind(dim=1)
        force = torch.zeros_like(thrust[:, :3])
        force[:, 2] = thrust.sum(dim=1)
        torque = torch.stack([thrust @ y, -(thrust @ x), thrust @ self.tensor(self.SPIN)], dim=1)
        quat = self.qpos()[:, 3:7]
        self.robot.set_links_wrench(force=rotated(quat, force)[:, None], torque=rotated(quat, torque)[:, None])

    def _full_strength(self) -> torch.Tensor:
        """Of each rotor (1, 4): what it carries at rest, N."""
        return self.tensor([[self.GRAVITY * float(self.robot.model.mass.sum()) / 4] * 4])

    @cached_per_step
    def to_waypoint(self) -> torch.Tensor:
        """From the body (B, 3), m, world frame."""
        return self.episode["waypoint"] - self.qpos()[:, :3]

    @cached_per_step
    def upright(self) -> torch.Tensor:
        """Cosine of the tilt (B,)."""
        return upright(self.qpos()[:, 3:7])

    def observe(self) -> torch.Tensor:
        """See the class."""
        velocity = self.dofs_vel()
        turn = rotation_matrix(self.qpos()[:, 3:7]).flatten(1)
        return torch.cat([self.to_waypoint(), velocity[:, :3], turn, velocity[:, 3:]], dim=1)

    def reward(self) -> torch.Tensor:
        """See the class."""
        distance = torch.sqrt(self.to_waypoint().square().sum(dim=1) + self.SMOOTH**2) - self.SMOOTH
        velocity, spin = (part.square().sum(dim=1) for part in self.dofs_vel().split(3, dim=1))
        motion = self.VELOCITY_WEIGHT * velocity + self.SPIN_WEIGHT * spin + self.ACTION_WEIGHT * self.effort()
        return 1.0 - distance / self.FAR - motion - self.TILT_WEIGHT * (1.0 - self.upright())

    def terminated(self) -> torch.Tensor:
        """Whether the body is too far from the waypoint."""
        return self.to_waypoint().detach().norm(dim=1) > self.FAR

    def measure(self) -> Mapping[str, torch.Tensor]:
        """See the class."""
        distance = self.to_waypoint().detach().norm(dim=1)
        return {"distance": distance, "upright": self.upright().detach(), "success": distance < self.SUCCESS_DISTANCE}


QuadrotorEnv = robot_single_env(Quadrotor)
