"""BlockPush: an arm of two links pushes a rigid block over a table to a goal."""

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box
from typing_extensions import Unpack

import genesis as gs
from envs.articulated import ArticulatedTask
from envs.manipulation.table import end_of_arm, lift, pushing_spot, rounded_norm
from envs.options import BatchOptions, TaskOptions
from envs.single import SingleEnv, single_env
from envs.step_cache import cached_per_step
from envs.streams import Draw

# Scene, as genesis/loaders/robots/block_push.xml has it.
CONTROL_DT, SUBSTEPS = 0.02, 4  # s, -
SHOULDER = (-0.4, 0.0)  # m
LINK = 0.3  # m, of upper arm and forearm each
BLOCK_HEIGHT = 0.0299  # m, of the lying block's centre: near where it rests

# Task.
BLOCK_START = 0.02  # m, half-width of the block's start around the origin
FINGER_START = (-0.12, 0.02)  # m, of the finger from the block's centre: along x, half-width along y
GOAL_DISTANCE = (0.09, 0.15)  # m from the block's start
GOAL_ANGLE = math.radians(45)  # half-width of the sector of goals around +x
SUCCESS_DISTANCE = 0.03  # m
REACH = 0.30  # m; the episode ends when the block's centre is farther out along an axis

# Reward.
LENGTH, SPEED, TURN = 0.10, 0.3, 3.0  # m, m/s, rad/s: units in observations and rewards
SPOT_BEHIND = 0.075  # m from the block's centre: where the finger should push
SPOT_WEIGHT, ACTION_WEIGHT = 0.3, 0.01


class BlockPush(ArticulatedTask):
    """Push a block (10 x 10 x 6 cm, 0.42 kg) with an arm of two links until its centre lies at the goal.

    Goals are uniform in angle over the sector of +-45 degrees around +x and in distance from 9 to 15 cm of the block's
    centre at the start. The block starts within +-2 cm of the origin, turned by any angle; the finger at the arm's end
    rests 12 cm behind it, within +-2 cm to the side. Arm, block and table are bodies in MuJoCo's contact model.

    Action (2,): torques of shoulder and elbow in units of 3 N m, in [-1, 1].
    Observation (21,), lengths in units of 10 cm and velocities of 0.3 m/s, in the table's plane: goal from block,
    finger from block, finger from pushing spot, goal, the direction of one side of the block, its velocity and turning
    rate (3 rad/s), the finger's velocity, cosines and sines of both joints, their velocities (3 rad/s).
    Reward, per step: minus the distance of block and goal, minus 0.3 times the distance of the finger from the pushing
    spot (7.5 cm behind the block's centre, seen from the goal), both in 10 cm and rounded off at 1 cm, minus 0.01 times
    the squared action.
    Terminated when the block is more than 30 cm from the table's middle along an axis.
    `info`: `distance` (m), `success` (below 3 cm).

    Two models of contact: "mujoco" is MuJoCo's own, "smoothed" lets contacts and limits begin to act over 1 cm.
    """

    CONTACTS: ClassVar[Mapping[str, gs.options.RigidOptions]] = {
        "mujoco": gs.options.RigidOptions(contact=gs.options.MujocoContact()),
        "smoothed": gs.options.RigidOptions(contact=gs.options.MujocoContact(smoothing=0.01)),
    }
    WORLD = "block_push"
    single_observation_space = Box(-np.inf, np.inf, (21,), np.float32)
    single_action_space = Box(-1.0, 1.0, (2,), np.float32)

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        *,
        contact: str = "mujoco",
        **options: Unpack[BatchOptions],
    ):
        """Builds the scene.

        Args:
            num_envs: Number of environments in the batch.
            max_episode_steps: Steps after which an episode is truncated; None: never.
            contact: "mujoco" or "smoothed".
            options: See `envs.options`.

        Raises:
            gs.GenesisException: An argument violates its constraint.
        """
        self.contact = self.checked_contact(contact)
        self.substeps, self.control_dt = SUBSTEPS, CONTROL_DT
        super().__init__(num_envs, max_episode_steps, **options)

    def build_scene(self) -> gs.Scene:
        """Arm, block and table of the file."""
        scene = gs.Scene(
            sim_options=gs.options.SimOptions(dt=CONTROL_DT, substeps=SUBSTEPS, requires_grad=self.differentiable),
            rigid_options=self.CONTACTS[self.contact],
        )
        self.robot = scene.add_entity(gs.morphs.Robot(name="block_push"), name="robot")
        scene.build(n_envs=self.num_envs)
        self.took_robot()
        return scene

    def sample_initial_state(self, draw: Draw, envs_idx: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Places block and arm; the episode's `goal` (n, 2), m, world frame."""
        block = self.tensor(draw.uniform(-BLOCK_START, BLOCK_START, (2,)))
        side = self.tensor(draw.uniform(-FINGER_START[1], FINGER_START[1]))
        half = 0.5 * self.tensor(draw.uniform(-math.pi, math.pi))
        finger = block + torch.stack([torch.full_like(side, FINGER_START[0]), side], dim=1)
        zero = torch.zeros_like(half)
        turned = torch.stack([torch.cos(half), zero, zero, torch.sin(half)], dim=1)
        lifted = torch.cat([block, torch.full_like(block[:, :1], BLOCK_HEIGHT), turned], dim=1)
        qpos = torch.cat([_joints_at(finger), lifted], dim=1)
        self.place(qpos, torch.zeros(len(qpos), self.robot.n_dofs).to(qpos), envs_idx)
        distance = self.tensor(draw.uniform(*GOAL_DISTANCE))
        angle = self.tensor(draw.uniform(-GOAL_ANGLE, GOAL_ANGLE))
        return {"goal": block + distance[:, None] * torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)}

    def observe(self) -> torch.Tensor:
        """See the class."""
        qpos, velocity = self.qpos(), self.dofs_vel()
        joints, block, goal = qpos[:, :2], qpos[:, 2:4], self.episode["goal"]
        w, x, y, z = qpos[:, 5:9].unbind(dim=1)
        side = torch.stack([1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z)], dim=1)
        finger, finger_velocity = self._finger()
        return torch.cat(
            [
                torch.cat([goal - block, finger - block, finger - self._spot(), goal], dim=1) / LENGTH,
                side,
                velocity[:, 2:4] / SPEED,
                velocity[:, 7:8] / TURN,
                finger_velocity / SPEED,
                torch.cos(joints),
                torch.sin(joints),
                velocity[:, :2] / TURN,
            ],
            dim=1,
        )

    def reward(self) -> torch.Tensor:
        """See the class."""
        to_goal = rounded_norm(self.episode["goal"] - self.qpos()[:, 2:4])
        to_spot = rounded_norm(self._finger()[0] - self._spot())
        return -(to_goal + SPOT_WEIGHT * to_spot) / LENGTH - ACTION_WEIGHT * self.effort()

    def terminated(self) -> torch.Tensor:
        """Whether the block was pushed out of reach."""
        return (self.qpos()[:, 2:4].detach().abs() > REACH).any(dim=1)

    def measure(self) -> Mapping[str, torch.Tensor]:
        """Distance of the block's centre from the goal, m, and whether that is success."""
        distance = (self.episode["goal"] - self.qpos()[:, 2:4].detach()).norm(dim=1)
        return {"distance": distance, "success": distance < SUCCESS_DISTANCE}

    def add_camera(self) -> gs.Camera:
        """Over the table, from the arm's right."""
        return self.scene.add_camera(res=self.render_size, pos=(-0.15, -0.85, 0.65), lookat=(-0.12, 0.0, 0.0))

    def draw_marks(self) -> None:
        """The goal: a disc on the table of the size that counts as success."""
        goal = self.episode["goal"]
        self.scene.draw_debug_line(lift(goal, -0.001), lift(goal, 0.001), SUCCESS_DISTANCE, "green")

    @cached_per_step
    def _finger(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The finger's place (B, 2), m, and velocity (B, 2), m/s, in the table's plane."""
        angles, rates = torch.cumsum(self.qpos()[:, :2], dim=1), torch.cumsum(self.dofs_vel()[:, :2], dim=1)
        place, velocity = end_of_arm(angles, rates, LINK)
        return self.tensor(SHOULDER) + place, velocity

    @cached_per_step
    def _spot(self) -> torch.Tensor:
        """Where the finger should push, (B, 2), m."""
        return pushing_spot(self.qpos()[:, 2:4], self.episode["goal"], SPOT_BEHIND)


class BlockPushFace(SingleEnv):
    """The single env, which knows the task's own option too."""

    def __init__(self, *, contact: str = "mujoco", **options: Unpack[TaskOptions]):
        """Builds the task's scene; the options are those of `BlockPush`."""
        self._build({"contact": contact}, options)


BlockPushEnv = single_env(BlockPush, BlockPushFace)


def _joints_at(finger: torch.Tensor) -> torch.Tensor:
    """Angles (n, 2) of shoulder and elbow, rad, with the finger at (n, 2), the elbow to the arm's right."""
    reach = finger - finger.new_tensor(SHOULDER)
    half = torch.acos((reach.norm(dim=1) / (2.0 * LINK)).clamp(max=1.0))
    return torch.stack([torch.atan2(reach[:, 1], reach[:, 0]) - half, 2.0 * half], dim=1)
