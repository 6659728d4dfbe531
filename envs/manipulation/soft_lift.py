"""SoftLift: an arm grasps a soft block on a table, lifts it, and holds it."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from gymnasium.spaces import Box

import genesis as gs
from envs.articulated import ArticulatedTask
from envs.manipulation.table import add_soft_block, end_of_arm, lift, quarters_of, rounded_norm
from envs.single import single_env
from envs.step_cache import cached_per_step
from envs.streams import Draw

CONTROL_DT = 0.02  # s
BLOCK_SIZE = (0.10, 0.10, 0.10)  # m
YOUNG, POISSON, DENSITY = 3e4, 0.2, 1000.0  # Pa, -, kg/m^3
TABLE_FRICTION = 0.5
SOFTNESS = 0.01  # m

# The arm, as genesis/loaders/robots/soft_lift.xml has it.
SHOULDER = (-0.5084, 0.2158)  # m, in the table's plane
LINK = 0.3  # m, of upper arm and forearm each
UPPER_REST = -math.radians(46.0)  # direction of the upper arm at joint angles of zero; that of the forearm is +x
GRIP_LOWEST = 0.055  # m, height of the place between the jaws at the lowest
MOTORS = (0, 1, 2, 3, 3)  # of each motor: which part of the action is its

# Task.
BLOCK_START = (0.02, 0.01)  # m, half-widths along x and y around the origin
HAND_START, JOINT_START = (0.11, 0.13), 0.03  # m over the lowest; rad, half-width of shoulder and elbow
LIFTED, HELD = 0.10, 1.0  # m, s: what counts as success

# Reward.
GOAL = 0.15  # m over where the block lay
LENGTH, SPEED, STROKE = 0.10, 0.3, 0.04  # m, m/s, m: units in observations and rewards
AROUND = 0.04  # m between block and grip, within which closing the jaws is rewarded
REACH_WEIGHT, GRIP_WEIGHT, ACTION_WEIGHT = 0.5, 0.5, 0.01

DOMAIN = (-0.20, -0.32, 0.0), (0.18, 0.32, 0.45)  # m, where particles can be


class SoftLift(ArticulatedTask):
    """Grasp a soft block (neo-Hookean, 10 cm wide, 1 kg, 30 kPa) with two jaws, lift it by 15 cm and hold it there.

    The arm is a carriage on a column, two links that turn about the vertical, and two jaws, boxes with a friction of 1
    that slide towards each other. Block and jaws push each other: the arm bears what it lifts. 1,000 particles, 50 grid
    nodes per metre.

    Action (4,), in [-1, 1]: force that lifts the carriage in units of 40 N, torques of shoulder and elbow in units of 8
    N m, force that closes the jaws in units of 20 N each. The joints are damped: at 1 the free carriage moves with 0.5
    m/s, the links with 1.3 rad/s, the jaws with 0.25 m/s. A spring balances the arm's weight, not the block's.
    Observation (31,), lengths in units of 10 cm and velocities of 0.3 m/s, world frame: block from grip (3; the grip is
    the place between the jaws), grip (3), how high the block is over where it lay, the centres of its four quarters
    (seen from above) from its own (12), how far the jaws have closed (2; 4 cm); velocities of block (3), grip (3) and
    jaws (2); cosine and sine of the forearm's direction.
    Reward, per step: minus the distance of the block's height from the goal's, 15 cm over where it lay, minus 0.5 times
    the distance of block and grip, both in 10 cm and rounded off at 1 cm, plus 0.5 times how far the jaws have closed
    (4 cm) times exp(-(distance / 4 cm)^2), minus 0.01 times the squared action.
    Start: the block within +-2 cm of the origin along x and +-1 cm along y; the grip 11 to 13 cm over its lowest place,
    which is 5.5 cm over the table, shoulder and elbow within +-0.03 rad; jaws open.
    `info`: `lift` (m over where the block lay), `held` (s, for how long it has been 10 cm or more), `success` (for at
    least a second). Never terminated.
    """

    GRID_DENSITY = 50.0  # nodes per m
    SUBSTEPS = 9
    PARTICLE_SIZE = 0.01  # m

    single_observation_space = Box(-np.inf, np.inf, (31,), np.float32)
    single_action_space = Box(-1.0, 1.0, (4,), np.float32)

    def build_scene(self) -> gs.Scene:
        """Arm, block and table."""
        (low, high), room = DOMAIN, 3 / self.GRID_DENSITY + 0.001
        scene = gs.Scene(
            sim_options=gs.options.SimOptions(dt=CONTROL_DT, substeps=self.SUBSTEPS, requires_grad=self.differentiable),
            mpm_options=gs.options.MPMOptions(
                grid_density=self.GRID_DENSITY,
                lower_bound=(low[0] - room, low[1] - room, low[2] - room),
                upper_bound=(high[0] + room, high[1] + room, high[2] + room),
                particle_size=self.PARTICLE_SIZE,
            ),
            rigid_options=gs.options.RigidOptions(contact=gs.options.CompliantContact()),
        )
        scene.add_entity(
            gs.morphs.Plane(),
            material=gs.materials.Rigid(friction=TABLE_FRICTION, coup_softness=SOFTNESS),
            name="table",
        )
        self.block = add_soft_block(scene, BLOCK_SIZE, YOUNG, POISSON, DENSITY)
        self.robot = scene.add_entity(
            gs.morphs.Robot(name="soft_lift"), material=gs.materials.Rigid(coup_softness=SOFTNESS), name="arm"
        )
        scene.build(n_envs=self.num_envs)
        self.took_robot()
        self._regions = quarters_of(self.block.get_particles_pos()[0].as_subclass(torch.Tensor))
        return scene

    def sample_initial_state(self, draw: Draw, envs_idx: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Places block and arm; the episode's `held` (n,), s."""
        block = self.tensor(draw.uniform(-1.0, 1.0, (2,))) * self.tensor(BLOCK_START)
        self.block.set_position(lift(block, 0.5 * BLOCK_SIZE[2]), envs_idx=envs_idx)
        hand = self.tensor(draw.uniform(*HAND_START, (1,)))
        joints = self.tensor(draw.uniform(-JOINT_START, JOINT_START, (2,)))
        qpos = torch.cat([hand, joints, torch.zeros_like(joints)], dim=1)
        self.place(qpos, torch.zeros_like(qpos), envs_idx)
        return {"held": torch.zeros_like(hand[:, 0])}

    def add_camera(self) -> gs.Camera:
        """Over the table, from the arm's right, with the whole arm in sight, also when it is lifted."""
        return self.scene.add_camera(res=self.render_size, pos=(0.45, -1.15, 0.65), lookat=(-0.22, 0.0, 0.2))

    def randomise_parameters(self, draw: Draw, envs_idx: torch.Tensor, width: float) -> None:
        """Those of the arm, and the block's stiffness (downwards only: upwards it would be unstable)."""
        super().randomise_parameters(draw, envs_idx, width)
        self.block.set_material(E=self.tensor(YOUNG * draw.uniform(1.0 - width, 1.0)), envs_idx=envs_idx)

    def apply_action(self, action: torch.Tensor) -> None:
        """Forces and torques in proportion to the action; both jaws have the same."""
        super().apply_action(action[:, MOTORS])

    def after_step(self, failed: torch.Tensor | None) -> None:
        """Counts for how long the block has been lifted."""
        held = torch.where(self._lift().detach() >= LIFTED, self.episode["held"] + CONTROL_DT, 0.0)
        self.episode["held"] = held

    def observe(self) -> torch.Tensor:
        """See the class."""
        block, quarters, block_velocity = self._block()
        place, velocity = self._grip()
        qpos, rates = self.qpos(), self.dofs_vel()
        forearm = qpos[:, 1] + qpos[:, 2]
        lengths = torch.cat([block - place, place, self._lift()[:, None], quarters.flatten(1)], dim=1)
        speeds = torch.cat([block_velocity, velocity, rates[:, 3:]], dim=1)
        direction = torch.stack([torch.cos(forearm), torch.sin(forearm)], dim=1)
        return torch.cat([lengths / LENGTH, qpos[:, 3:] / STROKE, speeds / SPEED, direction], dim=1)

    def reward(self) -> torch.Tensor:
        """See the class."""
        away = self._block()[0] - self._grip()[0]
        missing = rounded_norm(GOAL - self._lift()[:, None])
        closed = self.qpos()[:, 3:].mean(dim=1) / STROKE
        grip = closed * torch.exp(-away.square().sum(dim=1) / AROUND**2)
        reach = rounded_norm(away)
        return GRIP_WEIGHT * grip - (missing + REACH_WEIGHT * reach) / LENGTH - ACTION_WEIGHT * self.effort()

    def terminated(self) -> torch.Tensor:
        """Never."""
        return torch.zeros_like(self._pending)

    def measure(self) -> Mapping[str, torch.Tensor]:
        """How high the block is over where it lay, m, how long it has been lifted, s, and whether that is success."""
        held = self.episode["held"]
        return {"lift": self._lift().detach(), "held": held, "success": held >= HELD - 0.5 * CONTROL_DT}

    def _lift(self) -> torch.Tensor:
        """How high the block's centre is over where it lay, (B,), m."""
        return self._block()[0][:, 2] - 0.5 * BLOCK_SIZE[2]

    @cached_per_step
    def _block(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Centre (B, 3), m, world frame; centres of the quarters (B, 4, 3) from it; velocity (B, 3), m/s."""
        means = self._regions @ self.block.get_particles_pos().as_subclass(torch.Tensor)
        velocity = self.block.get_particles_vel().as_subclass(torch.Tensor).mean(dim=1)
        return means[:, 0], means[:, 1:] - means[:, :1], velocity

    @cached_per_step
    def _grip(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The place between the jaws (B, 3), m, world frame, and its velocity (B, 3), m/s."""
        qpos, rates = self.qpos(), self.dofs_vel()
        angles = torch.cumsum(qpos[:, 1:3], dim=1) + self.tensor((UPPER_REST, 0.0))
        plane, velocity = end_of_arm(angles, torch.cumsum(rates[:, 1:3], dim=1), LINK)
        place = torch.cat([plane + self.tensor(SHOULDER), qpos[:, :1] + GRIP_LOWEST], dim=1)
        return place, torch.cat([velocity, rates[:, :1]], dim=1)


class SoftLiftMini(SoftLift):
    """`SoftLift` for two cores: 216 particles, 30 grid nodes per metre."""

    GRID_DENSITY = 30.0
    SUBSTEPS = 5
    PARTICLE_SIZE = 0.0166  # m


SoftLiftEnv = single_env(SoftLift)
SoftLiftMiniEnv = single_env(SoftLiftMini)
