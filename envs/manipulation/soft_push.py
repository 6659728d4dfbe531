"""SoftPush: an upright stick pushes a soft block over a table to a goal."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from gymnasium.spaces import Box
from typing_extensions import Unpack

import genesis as gs
from envs.base import DifferentiableVectorEnv
from envs.manipulation.table import add_soft_block, lift, pushing_spot, quarters_of, rounded_norm
from envs.options import BatchOptions, TaskOptions
from envs.single import SingleEnv, single_env
from envs.streams import Draw

# Scene. Speed of sound sqrt((lambda + 2 mu) / rho) is 2.4 m/s: 0.47 grid spacings in a substep.
CONTROL_DT = 0.02  # s
SUBSTEPS = 5
GRID_DENSITY = 50  # nodes per m, so 2 cm between nodes and 1 cm between particles
DOMAIN = (-0.45, -0.45, -0.08), (0.45, 0.45, 0.24)  # m; the table is z = 0
BLOCK_SIZE = (0.10, 0.10, 0.06)  # m
N_PARTICLES = 600  # of the block
BLOCK_E, BLOCK_NU, BLOCK_RHO = 5e3, 0.2, 1000.0  # Pa, -, kg/m^3
TABLE_FRICTION = 0.3
STICK_RADIUS, STICK_HEIGHT, STICK_FRICTION = 0.025, 0.06, 0.3  # m, m (straight part), -

# Task.
MAX_SPEED = 0.3  # m/s of the stick along each axis
BLOCK_START = 0.02  # m, half-width of the block's start around the origin
STICK_START = (-0.11, 0.02)  # m, of the stick from the block's centre: along x, half-width along y
GOAL_DISTANCE = (0.09, 0.15)  # m from the block's start
GOAL_ANGLE = math.radians(45)  # half-width of the sector of goals around +x
SUCCESS_DISTANCE = 0.03  # m
REACH = 0.30  # m; the episode ends when the block's centre is farther out along an axis

# Reward.
LENGTH = 0.10  # m, the unit of lengths in observations and rewards
SPOT_BEHIND = 0.08  # m from the block's centre: where the stick should push
SPOT_WEIGHT, ACTION_WEIGHT = 0.3, 0.01


class SoftPush(DifferentiableVectorEnv):
    """Push a soft block (neo-Hookean, 10 x 10 x 6 cm) until its centre lies at the goal.

    Goals are uniform in angle over the sector of +-45 degrees around +x and in distance from 9 to 15 cm of the block's
    centre at the start. The stick starts behind the block, 11 cm from its centre, within +-2 cm to the side; the block
    starts within +-2 cm of the origin.

    Action (2,): velocity of the stick along x and y in units of 0.3 m/s, in [-1, 1].
    Observation (20,), in the table's plane, lengths in units of 10 cm and velocities of 0.3 m/s: goal from block, stick
    from block, stick from pushing spot, goal, the centres of the block's four quarters from its centre (they tell how
    it is turned and deformed), the block's velocity, the stick's velocity.
    Reward, per step: minus the distance of block and goal, minus 0.3 times the distance of the stick from the pushing
    spot (8 cm behind the block, seen from the goal), both in 10 cm and rounded off at 1 cm, minus 0.01 times the
    squared action.
    `info`: `distance` (m), `success` (below 3 cm).

    With `particles=True` the observation is (20 + 600 * 3,): behind the same 20 numbers, the part "state", stand the
    block's 600 particles, the part "particles" (600, 3): each one's place from the stick's along x and y and its height
    over the table, in units of 10 cm.
    """

    single_observation_space = Box(-np.inf, np.inf, (20,), np.float32)
    single_action_space = Box(-1.0, 1.0, (2,), np.float32)

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        *,
        particles: bool = False,
        **options: Unpack[BatchOptions],
    ):
        """Builds the scene.

        Args:
            num_envs: Number of environments in the batch.
            max_episode_steps: Steps after which an episode is truncated; None: never.
            particles: Whether observations have the block's particles as a part.
            options: Those of `DifferentiableVectorEnv`.
        """
        if particles:
            self.observation_parts = {"state": (20,), "particles": (N_PARTICLES, 3)}
            self.single_observation_space = Box(-np.inf, np.inf, (20 + 3 * N_PARTICLES,), np.float32)
        super().__init__(num_envs, max_episode_steps, **options)

    def build_scene(self) -> gs.Scene:
        """A block, a stick and a table."""
        scene = gs.Scene(
            sim_options=gs.options.SimOptions(dt=CONTROL_DT, substeps=SUBSTEPS, requires_grad=self.differentiable),
            mpm_options=gs.options.MPMOptions(grid_density=GRID_DENSITY, lower_bound=DOMAIN[0], upper_bound=DOMAIN[1]),
        )
        scene.add_entity(gs.morphs.Plane(), material=gs.materials.Tool(friction=TABLE_FRICTION), name="table")
        self.block = add_soft_block(scene, BLOCK_SIZE, BLOCK_E, BLOCK_NU, BLOCK_RHO)
        self.stick = scene.add_entity(
            gs.morphs.Capsule(pos=(STICK_START[0], 0.0, self._stick_z), height=STICK_HEIGHT, radius=STICK_RADIUS),
            material=gs.materials.Tool(friction=STICK_FRICTION),
            name="stick",
        )
        scene.build(n_envs=self.num_envs)
        self._regions = quarters_of(self.block.get_particles_pos()[0].as_subclass(torch.Tensor))
        return scene

    def sample_initial_state(self, draw: Draw, envs_idx: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Places block and stick; the episode's `goal` (n, 2), m, world frame."""
        block = self.tensor(draw.uniform(-BLOCK_START, BLOCK_START, (2,)))
        side = self.tensor(draw.uniform(-STICK_START[1], STICK_START[1]))
        stick = block + torch.stack([torch.full_like(side, STICK_START[0]), side], dim=1)
        self.block.set_position(lift(block, 0.5 * BLOCK_SIZE[2]), envs_idx=envs_idx)
        self.stick.set_position(lift(stick, self._stick_z), envs_idx=envs_idx)
        distance = self.tensor(draw.uniform(*GOAL_DISTANCE))
        angle = self.tensor(draw.uniform(-GOAL_ANGLE, GOAL_ANGLE))
        return {"goal": block + distance[:, None] * torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)}

    def add_camera(self) -> gs.Camera:
        """Over the table, from behind the stick's left."""
        return self.scene.add_camera(res=self.render_size, pos=(-0.14, -0.58, 0.42), lookat=(0.01, 0.0, 0.01))

    def draw_marks(self) -> None:
        """The goal: a disc on the table of the size that counts as success."""
        goal = self.episode["goal"]
        self.scene.draw_debug_line(lift(goal, -0.001), lift(goal, 0.001), SUCCESS_DISTANCE, "green")

    def randomise_parameters(self, draw: Draw, envs_idx: torch.Tensor, width: float) -> None:
        """Friction of table and stick, and the block's stiffness (downwards only: upwards would be unstable)."""
        self.block.set_material(E=self.tensor(BLOCK_E * draw.uniform(1.0 - width, 1.0)), envs_idx=envs_idx)
        self.stick.set_friction(self.tensor(STICK_FRICTION * draw.uniform(1.0 - width, 1.0 + width)), envs_idx=envs_idx)

    def apply_action(self, action: torch.Tensor) -> None:
        """Sets the stick's velocity."""
        self.stick.set_velocity(vel=lift(MAX_SPEED * action, 0.0))

    def observe(self) -> torch.Tensor:
        """See the class."""
        block, quarters = self._block()
        velocity = self.block.get_particles_vel().as_subclass(torch.Tensor).mean(dim=1)[:, :2]
        stick, goal = self._stick(), self.episode["goal"]
        lengths = torch.cat([goal - block, stick - block, stick - self._spot(block), goal, quarters.flatten(1)], dim=1)
        speeds = torch.cat([velocity, self.stick.get_vel().as_subclass(torch.Tensor)[:, :2]], dim=1)
        state = torch.cat([lengths / LENGTH, speeds / MAX_SPEED], dim=1)
        if self.observation_parts is None:
            return state
        particles = self.block.get_particles_pos().as_subclass(torch.Tensor) - lift(stick, 0.0)[:, None]
        return torch.cat([state, particles.flatten(1) / LENGTH], dim=1)

    def reward(self) -> torch.Tensor:
        """See the class."""
        block, _ = self._block()
        to_goal = rounded_norm(self.episode["goal"] - block)
        to_spot = rounded_norm(self._stick() - self._spot(block))
        effort = self.action.as_subclass(torch.Tensor).square().sum(dim=1)
        return -(to_goal + SPOT_WEIGHT * to_spot) / LENGTH - ACTION_WEIGHT * effort

    def terminated(self) -> torch.Tensor:
        """Whether the block was pushed out of reach."""
        return (self._block()[0].detach().abs() > REACH).any(dim=1)

    def measure(self) -> Mapping[str, torch.Tensor]:
        """Distance of the block's centre from the goal, m, and whether that is success."""
        distance = (self.episode["goal"] - self._block()[0].detach()).norm(dim=1)
        return {"distance": distance, "success": distance < SUCCESS_DISTANCE}

    _stick_z = 0.5 * STICK_HEIGHT + STICK_RADIUS + 0.005

    def _block(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Centre (B, 2), m, world frame, and the centres of the quarters (B, 4, 2) relative to it."""
        positions = self.block.get_particles_pos().as_subclass(torch.Tensor)[..., :2]
        means = self._regions @ positions
        return means[:, 0], means[:, 1:] - means[:, :1]

    def _stick(self) -> torch.Tensor:
        return self.stick.get_pos().as_subclass(torch.Tensor)[:, :2]

    def _spot(self, block: torch.Tensor) -> torch.Tensor:
        """Where the stick should push, (B, 2)."""
        return pushing_spot(block, self.episode["goal"], SPOT_BEHIND)


class SoftPushFace(SingleEnv):
    """The single env, which knows the task's own option too."""

    def __init__(self, *, particles: bool = False, **options: Unpack[TaskOptions]):
        """Builds the task's scene; the options are those of `SoftPush`."""
        self._build({"particles": particles}, options)
        if self._refusal is None:
            self.observation_space = self.core.single_observation_space


SoftPushEnv = single_env(SoftPush, SoftPushFace)
